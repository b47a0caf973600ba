//! What the columns of a table hold, as far as somebody needs to know who writes a study file for it.
//!
//! A study file names values: the label's classes, and the levels of columns of names. Of other cells nothing is told, and a
//! level only where so many rows have it that it is nobody's own.

use super::{
    error::DataError,
    table::{columns_in, header::numbers_rows, source::Reading, texts::read_names},
    text::number::{is_missing, number, Marks},
};
use consilium_aggregation::MIN_ROWS;
use consilium_primitives::FailureCode;
use consilium_study::{same_value, DataSpec, Features, Layout, Others};
use serde::Serialize;
use std::{collections::HashMap, path::Path};

/// Most columns that are looked at one by one. With more of them a study takes all but those that it names.
pub const MOST_COLUMNS: usize = 300;
/// Most values of a label, or levels of a column of names, that are told.
pub const MOST_VALUES: usize = 16;
/// Fewest rows that must have a level so that it is told.
pub const FEWEST_ROWS: usize = MIN_ROWS;
/// Fewest numbers that make rising whole numbers row numbers.
const COUNTING: usize = 20;

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableSurvey {
    /// Rows of the file.
    pub rows: usize,
    /// Its columns, in the file's order; the label alone where there are more than [`MOST_COLUMNS`].
    pub columns: Vec<Surveyed>,
    /// All columns but the label, as a study file names them where they are too many; none where `columns` has them all.
    pub others: Option<Others>,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Surveyed {
    /// Its name.
    pub name: String,
    /// What stands in it.
    pub holds: Holds,
    /// Empty cells.
    pub missing: usize,
    /// The label's classes, or the levels of a column of names; empty where they are not to be told.
    pub values: Vec<String>,
}

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// Numbers.
    Numbers,
    /// Few names, each in many rows.
    Levels,
    /// Other texts: names of patients, words, dates.
    Texts,
    /// Whole numbers that rise from row to row, or what programs number rows with.
    RowNumbers,
    /// One value only.
    Constant,
    /// Nothing.
    Nothing,
}

/// Looks at the columns of a table, of which one is the label.
///
/// # Errors
/// The file cannot be read as a table, or has no such column.
pub fn survey(path: &Path, layout: Layout, label: &str, how: &Reading) -> Result<TableSurvey, DataError> {
    let header = columns_in(path, layout, &[label], Vec::new())?;
    let many = header.names.len() > MOST_COLUMNS;
    let (mut rows, mut columns) = (0, Vec::new());
    for name in header.names.iter().filter(|name| !many || *name == label.trim()) {
        let of_label = name == label.trim();
        let cells = cells(path, layout, name, how)?;
        rows = rows.max(cells.len());
        columns.push(column(name, &cells, of_label));
    }
    Ok(TableSurvey { rows, columns, others: many.then_some(header.others) })
}

/// The texts of a column.
fn cells(path: &Path, layout: Layout, name: &str, how: &Reading) -> Result<Vec<String>, DataError> {
    let (columns, Layout { encoding, orientation }) = (vec![name.to_owned()], layout);
    // by the column's name the file's delimiter is found
    let spec = serde_json::json!({
        "features": Features { columns, others: None }, "encoding": encoding, "orientation": orientation,
    });
    let spec: DataSpec = serde_json::from_value(spec)
        .map_err(|e| DataError::new(FailureCode::Internal, format!("a column cannot be asked for: {e}")))?;
    Ok(read_names(path, &spec, name, how)?.unwrap_or_default())
}

/// What a column's texts are.
fn column(name: &str, cells: &[String], label: bool) -> Surveyed {
    let marks = Marks::of(None, None);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let (mut missing, mut numbers, mut rises, mut last) = (0, true, true, f64::NEG_INFINITY);
    for cell in cells {
        if is_missing(cell) {
            missing += 1;
            continue;
        }
        *counts.entry(cell).or_default() += 1;
        match number(cell.as_bytes(), marks) {
            Ok((value, _)) => {
                rises &= value > last && value.fract() == 0.0;
                last = value;
            }
            Err(_) => numbers = false,
        }
    }
    let known = cells.len() - missing;
    let values = values(&counts);
    let holds = match (counts.len(), numbers) {
        (0, _) => Holds::Nothing,
        _ if numbers_rows(name) || (numbers && rises && known >= COUNTING) => Holds::RowNumbers,
        (1, _) => Holds::Constant,
        (_, true) => Holds::Numbers,
        _ if values.len() <= MOST_VALUES && values.iter().all(|(_, rows)| *rows >= FEWEST_ROWS) => Holds::Levels,
        _ => Holds::Texts,
    };
    let told = holds == Holds::Levels || (label && values.len() <= MOST_VALUES);
    let values = if told { values.into_iter().map(|(value, _)| value.to_owned()).collect() } else { Vec::new() };
    Surveyed { name: name.to_owned(), holds, missing, values }
}

/// Different values with their rows, sorted; `1` and `1.0` are one.
fn values<'a>(counts: &HashMap<&'a str, usize>) -> Vec<(&'a str, usize)> {
    let mut all: Vec<(&str, usize)> = counts.iter().map(|(value, rows)| (*value, *rows)).collect();
    all.sort_unstable();
    if all.len() > 2 * MOST_VALUES {
        return all;
    }
    let mut different: Vec<(&str, usize)> = Vec::new();
    for (value, rows) in all {
        match different.iter_mut().find(|(known, _)| same_value(known, value)) {
            Some((_, known)) => *known += rows,
            None => different.push((value, rows)),
        }
    }
    different
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    fn looked(text: &str) -> TableSurvey {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.csv");
        fs::write(&file, text).unwrap();
        survey(&file, Layout::default(), "ill", &Reading::default()).unwrap()
    }

    fn holds(survey: &TableSurvey) -> Vec<(&str, Holds)> {
        survey.columns.iter().map(|column| (column.name.as_str(), column.holds)).collect()
    }

    #[test]
    fn columns_are_told_apart_and_rare_texts_are_not_told() {
        let mut text = "nr;patient;age;sex;ward;site;note;ill\n".to_owned();
        for n in 0..60 {
            let (sex, ward) = (["f", "m"][n % 2], if n == 7 { "secret" } else { "A" });
            let age = if n == 3 { String::new() } else { format!("{},5", 40 + n % 7) };
            text += &format!("{n};P{n};{age};{sex};{ward};north;;{}\n", n % 3 % 2);
        }
        let survey = looked(&text);
        assert_eq!(survey.rows, 60);
        assert_eq!(
            holds(&survey),
            [
                ("nr", Holds::RowNumbers),
                ("patient", Holds::Texts),
                ("age", Holds::Numbers),
                ("sex", Holds::Levels),
                // one row alone has a value of its own: it is no level, and is not told
                ("ward", Holds::Texts),
                ("site", Holds::Constant),
                ("note", Holds::Nothing),
                ("ill", Holds::Numbers),
            ]
        );
        assert_eq!(survey.columns[2].missing, 1);
        assert_eq!(survey.columns[3].values, ["f", "m"]);
        // the label's classes are told, also as numbers
        assert_eq!(survey.columns[7].values, ["0", "1"]);
        let told = serde_json::to_string(&survey).unwrap();
        assert!(!told.contains("secret") && !told.contains("P7"), "{told}");
    }

    #[test]
    fn one_number_written_in_two_ways_is_one_class() {
        let rows: String = (0..50).map(|n| format!("{n}.5,{}\n", ["1", "1.0", "0"][n % 3])).collect();
        let survey = looked(&format!("a,ill\n{rows}"));
        assert_eq!(survey.columns[1].values, ["0", "1"]);
    }

    #[test]
    fn of_a_table_with_too_many_columns_the_label_alone_is_looked_at() {
        let names: Vec<String> = (0..MOST_COLUMNS).map(|n| format!("gene{n}")).collect();
        let row = "1,".repeat(MOST_COLUMNS);
        let survey = looked(&format!("{},ill\n{row}yes\n{row}no\n", names.join(",")));
        assert_eq!(survey.columns.len(), 1);
        assert_eq!(survey.columns[0].values, ["no", "yes"]);
        assert_eq!(survey.others, Some(Others::of(&names, Vec::new())));
    }
}
