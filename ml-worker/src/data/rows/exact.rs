//! What a site adds to the statistics of a masked study: sums of whole numbers, which nobody sees but in the sum of all sites.

use crate::data::{
    error::DataError,
    rows::{
        scale::each_row,
        target::{self, shared_columns},
    },
    table::Table,
};
use consilium_aggregation::masked::{ExactStatistics, MaskedError, MAX_VALUE};
use consilium_primitives::FailureCode;
use consilium_study::{DataSpec, Task};

/// Exact sums over some rows of a table, missing values left out: of all columns that sites share. A site adds all its values; how many
/// these are nobody sees, and columns of too few values are withheld when all sites' are summed.
///
/// # Errors
/// Rows on disk that cannot be read; a value that is too large, by column.
pub fn exact_statistics_of(data: &DataSpec, table: &Table, rows: &[usize]) -> Result<ExactStatistics, DataError> {
    let outcome = table.form.task == Task::Value;
    let features = if outcome && !table.form.swarm { 0 } else { table.form.numeric };
    let mut all = ExactStatistics::new(features + usize::from(outcome));
    let (mut wrong, mut next, mut one) = (None, rows.iter(), Vec::new());
    let mut add = |numbers: &[f64]| {
        one.clear();
        one.extend_from_slice(numbers);
        if outcome {
            one.extend(next.next().map(|row| target::value(table, *row)));
        }
        if wrong.is_none() {
            wrong = all.add_row(&one).err();
        }
    };
    if features > 0 {
        each_row(table, rows, &mut add)?;
    } else {
        rows.iter().for_each(|_| add(&[]));
    }
    match wrong {
        None => Ok(all),
        // never the value: it is a cell's content
        Some(MaskedError::Value { column, .. }) => {
            let names = shared_columns(data, &table.features);
            let name = names.get(column).map_or("", String::as_str);
            let message = format!(
                "column {name:?}: it has a value that is none, or beyond ±{MAX_VALUE}, the most that masked statistics hold; correct \
                 it, or take the column out of the study"
            );
            Err(DataError::new(FailureCode::NotFinite, message))
        }
        Some(error) => Err(DataError::new(FailureCode::Internal, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::{read_table, Split};
    use consilium_study::StudyFile;
    use std::fs;

    const STUDY: &str = "title = \"t\"\n[data]\nfeatures = { columns = [\"a\", \"b\"] }\nlabel = \"ill\"\npositive = \"yes\"\n\
                         negative = \"no\"\nmissing = \"mean\"\nscaling = \"swarm\"\n[model.logistic]\n[training]\noptimizer = { sgd = { \
                         learning_rate = 0.1 } }\nbatch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = 0.25\n[rules]\n\
                         rounds = 1\ntraining_seconds = 1\n";

    fn read(text: &str) -> (DataSpec, Table, tempfile::TempDir) {
        let spec = StudyFile::parse(STUDY).unwrap().spec();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.csv");
        fs::write(&path, text).unwrap();
        let table = read_table(&path, &spec.data, &[7; 32]).unwrap();
        (spec.data, table, dir)
    }

    #[test]
    fn all_values_of_the_training_rows_are_summed_and_missing_ones_are_not() {
        let rows = (0..40).map(|n| {
            format!("{},{},{}\n", n, if n % 8 == 0 { String::new() } else { format!("{}.5", n) }, ["yes", "no"][n % 2])
        });
        let (data, table, _dir) = read(&format!("a,b,ill\n{}", rows.collect::<String>()));
        let mut split = Split::default();
        split.extend(&table, 0.25);
        let (training, _) = split.rows(&table);
        let found = exact_statistics_of(&data, &table, &training).unwrap();
        let of = |column: fn(usize) -> f64| training.iter().map(|row| column(*row)).collect::<Vec<f64>>();
        let columns = [of(|n| n as f64), of(|n| if n % 8 == 0 { f64::NAN } else { n as f64 + 0.5 })];
        assert_eq!(found, ExactStatistics::of_columns(&columns).unwrap());
    }

    #[test]
    fn a_value_that_is_too_large_is_named_by_its_column_and_never_said() {
        let rows: String =
            (0..40).map(|n| format!("{n},{},{}\n", if n == 7 { 3e12 } else { 1.0 }, ["yes", "no"][n % 2])).collect();
        let (data, table, _dir) = read(&format!("a,b,ill\n{rows}"));
        let error = exact_statistics_of(&data, &table, &(0..40).collect::<Vec<_>>()).unwrap_err();
        assert_eq!(error.code, FailureCode::NotFinite);
        assert!(
            error.message.contains("column \"b\"") && !error.message.contains("3000000000000"),
            "{}",
            error.message
        );
    }
}
