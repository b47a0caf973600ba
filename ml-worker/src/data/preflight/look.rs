//! What stands out in the columns of a table, and how many of its rows are there twice.

use crate::data::{
    error::DataError,
    preflight::column::Column,
    table::{header::other, Table},
};
use consilium_study::DataSpec;
use serde::Serialize;
use std::{collections::HashMap, io};

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

/// A column's name, and levels that the study declares for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// The column.
    pub column: String,
    /// Levels.
    pub levels: Vec<String>,
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
    /// Columns of which several rows share a value far outside all others, as a code has it, and how many rows.
    pub codes: Vec<Count>,
    /// Columns of whole numbers of which each is above the one before, as row numbers are.
    pub counting: Vec<String>,
    /// Categorical columns of which one level is that of all other values (`other`), and how many rows have that level.
    pub other: Vec<Count>,
    /// Of these columns, levels that no row has: they may be spelt otherwise in the table, whose rows then count as the others.
    pub absent: Vec<Absent>,
    /// Rows that have all values of another one, where that is no matter of chance: how many, and how many of them are
    /// labelled otherwise than the first such.
    pub twice: (usize, usize),
    /// Rows that have a missing value.
    #[serde(skip)]
    pub(in crate::data) incomplete: Vec<usize>,
}

/// Looks at all rows of a table twice, which has been read by this specification.
pub(in crate::data) fn look(table: &Table, spec: &DataSpec) -> Result<Look, DataError> {
    let (numeric, raw) = (table.form.numeric, table.form.raw());
    let rows: Vec<usize> = (0..table.rows()).collect();
    let mut out = Look { missing: vec![0; raw], ..Look::default() };
    if raw == 0 || rows.is_empty() {
        return Ok(out);
    }
    let mut columns = vec![Column::default(); numeric];
    let every = rows.len().div_ceil((SAMPLE.0 / 8 / raw).clamp(50, SAMPLE.1));
    let mut sample: Vec<Vec<f64>> = vec![Vec::new(); numeric];
    let mut same = Same::default();
    // of categorical columns the place, the level of all other values, and how many rows have each level
    let others = spec.categorical.iter().zip(numeric..);
    let mut others: Vec<(usize, u32, Vec<usize>)> =
        others.filter_map(|(c, place)| Some((place, other(c)?, vec![0; c.levels.len()]))).collect();
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
        same.see(table, n, row);
        for (place, _, rows) in &mut others {
            // no level is an empty cell
            if let Some(rows) = rows.get_mut(row[*place] as usize).filter(|_| !row[*place].is_nan()) {
                *rows += 1;
            }
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
    let mut log = 0.0;
    for (column, mut sample) in columns.iter_mut().zip(sample) {
        sample.sort_unstable_by(f64::total_cmp);
        log += alike(&sample).ln();
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
        if column.codes() > 0 {
            out.codes.push(count(column.codes()));
        }
        if column.counts() {
            out.counting.push(name.clone());
        }
    }
    for (place, level, rows) in others {
        let column = &spec.categorical[place - numeric];
        let counted = rows.get(level as usize).copied().filter(|rows| *rows > 0);
        let Some(counted) = counted else { continue };
        out.other.push(Count { column: column.column.clone(), rows: counted });
        let absent = column.levels.iter().zip(rows).filter(|(_, rows)| *rows == 0);
        let levels: Vec<String> = absent.map(|(level, _)| level.clone()).collect();
        if !levels.is_empty() {
            out.absent.push(Absent { column: column.column.clone(), levels });
        }
    }
    out.twice = same.found(rows.len(), log);
    Ok(out)
}

/// Which rows have all values of another one.
#[derive(Default)]
struct Same {
    seen: HashMap<[u8; 16], u32>,
    bytes: Vec<u8>,
    rows: usize,
    other: usize,
}

impl Same {
    fn see(&mut self, table: &Table, row: usize, values: &[f64]) {
        self.bytes.clear();
        // one zero and one NaN
        let bits = values.iter().map(|v| if v.is_nan() { f64::NAN } else { v + 0.0 }.to_le_bytes());
        self.bytes.extend(bits.flatten());
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::hash(&self.bytes).as_bytes()[..16]);
        let first = *self.seen.entry(short).or_insert(row as u32) as usize;
        self.rows += usize::from(first != row);
        self.other += usize::from(table.label(first) != table.label(row));
    }

    /// None where so many may be the same by chance. `log`: the logarithm of the chance that two rows are, if columns know
    /// nothing of each other.
    fn found(&self, rows: usize, log: f64) -> (usize, usize) {
        let expected = (rows as f64).powi(2) / 2.0 * log.exp();
        let rare = expected < 0.05 * rows as f64;
        let enough = self.rows as f64 > (5.0 * expected + 3.0).max(0.01 * rows as f64);
        if rare && enough {
            (self.rows, self.other)
        } else {
            (0, 0)
        }
    }
}

/// The chance that two values of a sorted sample are the same.
fn alike(sorted: &[f64]) -> f64 {
    let shares = sorted.chunk_by(|a, b| a == b).map(|run| (run.len() as f64 / sorted.len() as f64).powi(2));
    if sorted.is_empty() {
        1.0
    } else {
        shares.sum()
    }
}
