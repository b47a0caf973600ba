//! What stands out in the columns of a table.

use crate::data::{error::DataError, table::Table};
use serde::Serialize;
use std::io;

/// Share of a column's rows that one value may have.
const SAME: f64 = 0.99;
/// How many times its median size a number may have.
const FAR: f64 = 1e6;
/// Bytes of numbers, and rows, that medians are taken from: of larger tables, rows evenly spaced.
const SAMPLE: (usize, usize) = (1 << 26, 10_000);

/// A column's name, and a number of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The column.
    pub column: String,
    /// Rows.
    pub rows: usize,
}

/// What stands out in numeric columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Look {
    /// Missing values, by column in the table's order; categorical columns last.
    #[serde(skip)]
    pub(in crate::data) missing: Vec<usize>,
    /// Columns that have one value only.
    pub constant: Vec<String>,
    /// Columns of which one value has more than 99 % of all rows, and how many rows.
    pub same: Vec<Count>,
    /// Columns with numbers of more than a million times their median size, and how many rows have such.
    pub far: Vec<Count>,
    /// Rows that have a missing value.
    #[serde(skip)]
    pub(in crate::data) incomplete: Vec<usize>,
}

#[derive(Clone, Copy, Default)]
struct Column {
    known: usize,
    first: f64,
    differs: bool,
    /// The value that has more than half of the rows, if any has (Boyer and Moore's vote).
    most: f64,
    votes: usize,
    has_most: usize,
    limit: f64,
    beyond: usize,
}

/// Looks at all rows twice.
pub(in crate::data) fn look(table: &Table) -> Result<Look, DataError> {
    let (numeric, raw) = (table.form.numeric, table.form.raw());
    let rows: Vec<usize> = (0..table.rows()).collect();
    let mut out = Look { missing: vec![0; raw], ..Look::default() };
    if raw == 0 || rows.is_empty() {
        return Ok(out);
    }
    let mut columns = vec![Column::default(); numeric];
    let every = rows.len().div_ceil((SAMPLE.0 / 8 / raw).clamp(50, SAMPLE.1));
    let mut sample: Vec<Vec<f64>> = vec![Vec::new(); numeric];
    let each = |each: &mut dyn FnMut(usize, &[f64])| {
        let blocks = table.cells.each_block::<io::Error>(raw, &rows, |first, block| {
            block.chunks_exact(raw).zip(first..).for_each(|(row, n)| each(n, row));
            Ok(())
        });
        blocks.map_err(|e| DataError::io("rows of a table cannot be read", &e))
    };
    each(&mut |n, row| {
        let mut complete = true;
        for (value, missing) in row.iter().zip(&mut out.missing) {
            *missing += usize::from(value.is_nan());
            complete &= !value.is_nan();
        }
        if !complete {
            out.incomplete.push(n);
        }
        for ((value, column), sample) in row.iter().zip(&mut columns).zip(&mut sample) {
            if !value.is_nan() {
                column.see(*value);
                if n.is_multiple_of(every) {
                    sample.push(value.abs());
                }
            }
        }
    })?;
    for (column, mut sample) in columns.iter_mut().zip(sample) {
        sample.sort_unstable_by(f64::total_cmp);
        let median = sample.get(sample.len() / 2).copied().unwrap_or(0.0);
        column.limit = if median > 0.0 { median * FAR } else { f64::INFINITY };
    }
    each(&mut |_, row| {
        for (value, column) in row.iter().zip(&mut columns) {
            column.has_most += usize::from(*value == column.most);
            column.beyond += usize::from(value.abs() > column.limit);
        }
    })?;
    for (column, name) in columns.iter().zip(&table.features) {
        let count = |rows| Count { column: name.clone(), rows };
        if column.known > 0 && !column.differs {
            out.constant.push(name.clone());
        } else if column.has_most as f64 > SAME * rows.len() as f64 {
            out.same.push(count(column.has_most));
        }
        if column.beyond > 0 {
            out.far.push(count(column.beyond));
        }
    }
    Ok(out)
}

impl Column {
    fn see(&mut self, value: f64) {
        if self.known == 0 {
            self.first = value;
        }
        self.known += 1;
        self.differs |= value != self.first;
        if self.votes == 0 {
            self.most = value;
        }
        self.votes = if value == self.most { self.votes + 1 } else { self.votes - 1 };
    }
}
