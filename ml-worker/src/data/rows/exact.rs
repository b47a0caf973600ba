//! Statistics of a study with masked sums: whole numbers that sites add up, each of which nobody sees.

use crate::data::{
    error::DataError,
    rows::{numbers::transform, target},
    table::Table,
};
use consilium_aggregation::masked::{ExactStatistics, MaskedError, MAX_VALUE};
use consilium_primitives::FailureCode;
use consilium_study::{Task, Transform};
use std::io;

/// Exact sums of some rows of a table, missing values left out, for a sum under masks: nothing is withheld, for nobody sees them. Of an
/// outcome that is a number where nothing else is shared, that alone.
///
/// # Errors
/// Rows on disk that cannot be read; a value that is too large for such sums, by its column.
pub fn exact_statistics(table: &Table, rows: &[usize]) -> Result<ExactStatistics, DataError> {
    let outcome = table.form.task == Task::Value;
    // an outcome alone is shared where features are not
    let numeric = if outcome && !table.form.swarm { 0 } else { table.form.numeric };
    let raw = table.form.raw();
    let mut all = ExactStatistics::new(numeric + usize::from(outcome));
    let mut row = Vec::with_capacity(numeric + 1);
    let mut add = |features: &[f64], place: usize| -> Result<(), Failure> {
        row.clear();
        row.extend_from_slice(features);
        if outcome {
            row.push(target::value(table, rows[place]));
        }
        all.add_row(&row).map_err(Failure::Sum)
    };
    let done = if numeric == 0 {
        (0..rows.len()).try_for_each(|place| add(&[], place))
    } else {
        let (mut changed, mut order) = (Vec::new(), Vec::new());
        table.cells.each_block(raw, rows, |first, block| {
            for (place, values) in block.chunks_exact(raw).enumerate() {
                changed.clear();
                changed.extend_from_slice(&values[..numeric]);
                if table.form.transform != Transform::None {
                    transform(table.form.transform, &mut changed, &mut order);
                }
                add(&changed, first + place)?;
            }
            Ok(())
        })
    };
    done.map_err(|failure| match failure {
        Failure::Reading(error) => DataError::io("rows of a table cannot be read", &error),
        Failure::Sum(MaskedError::Value { column, .. }) => {
            let named = table.features.get(column).filter(|_| column < numeric);
            let name = named.map_or("the outcome".to_owned(), |name| format!("column {name:?}"));
            DataError::new(
                FailureCode::NotFinite,
                format!(
                    "{name}: a value is beyond ±{MAX_VALUE:.0}, which masked statistics cannot hold; mend it, or transform the \
                     features (data.transform)"
                ),
            )
        }
        Failure::Sum(error) => DataError::new(FailureCode::Internal, error.to_string()),
    })?;
    Ok(all)
}

/// Why rows were not added.
enum Failure {
    Reading(io::Error),
    Sum(MaskedError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Reading(error)
    }
}
