//! Rows ready for the network: made once and kept, or made when they are asked for.

pub mod exact;
pub mod numbers;
pub mod prepare;
pub mod scale;
pub mod split;
pub mod target;

use crate::data::{
    rows::numbers::{Numbers, Scratch},
    table::cells::{Cells, Make},
};
use rayon::prelude::*;
use std::{fmt, io, path::Path, sync::Arc};

/// Numbers that are worth being made on several cores.
const TOGETHER: usize = 1 << 12;
/// Numbers that are worth being copied by several.
const COPIED: usize = 1 << 17;

/// Rows ready for the network. Whether they are kept or made each time changes no bit of them.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Numbers per row.
    width: usize,
    /// Labels, as [`Objective`](crate::learn::loss::Objective) says.
    labels: Vec<u32>,
    /// How many of them one row has.
    per_row: usize,
    /// Parts, each with the number of the first row after it.
    parts: Vec<(usize, Part)>,
}

#[derive(Clone)]
enum Part {
    /// The numbers themselves.
    Kept(Vec<f32>),
    /// Rows of a table on disk.
    Table { cells: Arc<Cells>, numbers: Arc<Numbers>, rows: Arc<[usize]> },
    /// Rows from elsewhere.
    Made { from: Arc<dyn Make>, rows: Arc<[usize]> },
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(numbers) => write!(f, "Kept({} numbers)", numbers.len()),
            Self::Table { rows, .. } => write!(f, "Table({} rows)", rows.len()),
            Self::Made { rows, .. } => write!(f, "Made({} rows)", rows.len()),
        }
    }
}

/// What one row after the other is made in.
#[derive(Default)]
struct Work {
    raw: Vec<f64>,
    bytes: Vec<u8>,
    scratch: Scratch,
}

impl Rows {
    /// None yet, of so many features and labels each.
    pub fn new(width: usize, per_row: usize) -> Self {
        Self { width, labels: Vec::new(), per_row: per_row.max(1), parts: Vec::new() }
    }

    /// These numbers and labels, row by row.
    pub fn kept(width: usize, per_row: usize, features: Vec<f32>, labels: Vec<u32>) -> Self {
        let mut rows = Self::new(width, per_row);
        rows.put(labels, Part::Kept(features));
        rows
    }

    /// Rows of another source, in this order, with their labels.
    pub fn made(width: usize, per_row: usize, from: Arc<dyn Make>, rows: &[usize], labels: Vec<u32>) -> Self {
        let mut all = Self::new(width, per_row);
        all.put(labels, Part::Made { from, rows: rows.into() });
        all
    }

    pub(in crate::data) fn table(
        width: usize,
        per_row: usize,
        (cells, numbers): (Arc<Cells>, Arc<Numbers>),
        rows: &[usize],
        labels: Vec<u32>,
    ) -> Self {
        let mut all = Self::new(width, per_row);
        all.put(labels, Part::Table { cells, numbers, rows: rows.into() });
        all
    }

    fn put(&mut self, labels: Vec<u32>, part: Part) {
        self.labels.extend(labels);
        match (self.parts.last_mut(), part) {
            (Some((end, Part::Kept(there))), Part::Kept(more)) => {
                there.extend(more);
                *end = self.labels.len() / self.per_row;
            }
            (_, part) => self.parts.push((self.labels.len() / self.per_row, part)),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.labels.len() / self.per_row
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Numbers per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Labels of all rows.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Labels of two classes: true is the positive one.
    pub fn positive(&self) -> Vec<bool> {
        self.labels.iter().map(|label| *label == 1).collect()
    }

    /// Writes the features of some rows one after the other. What is made anew is made on all cores.
    ///
    /// # Errors
    /// They lie on disk and cannot be read.
    pub fn gather(&self, rows: &[usize], out: &mut [f32]) -> io::Result<()> {
        let width = self.width.max(1);
        let kept = self.parts.iter().all(|(_, part)| matches!(part, Part::Kept(_)));
        if out.len() < if kept { COPIED } else { TOGETHER } {
            let mut work = Work::default();
            return rows
                .iter()
                .zip(out.chunks_exact_mut(width))
                .try_for_each(|(row, out)| self.one(*row, out, &mut work));
        }
        let parts = out.par_chunks_exact_mut(width).zip(rows);
        parts.try_for_each_init(Work::default, |work, (out, row)| self.one(*row, out, work))
    }

    fn one(&self, row: usize, out: &mut [f32], work: &mut Work) -> io::Result<()> {
        let number = self.parts.partition_point(|(end, _)| *end <= row);
        let begin = number.checked_sub(1).map_or(0, |before| self.parts[before].0);
        let row = row - begin;
        match &self.parts[number].1 {
            Part::Kept(numbers) => out.copy_from_slice(&numbers[row * self.width..(row + 1) * self.width]),
            Part::Table { cells, numbers, rows } => {
                work.raw.resize(numbers.form.raw(), 0.0);
                cells.row(rows[row], &mut work.raw, &mut work.bytes)?;
                numbers.row(&work.raw, out, &mut work.scratch);
            }
            Part::Made { from, rows } => from.make(rows[row], out)?,
        }
        Ok(())
    }

    /// All features, row by row: for sets that fit into memory.
    ///
    /// # Errors
    /// They lie on disk and cannot be read.
    pub fn features(&self) -> io::Result<Vec<f32>> {
        let mut out = vec![0.0; self.len() * self.width];
        self.gather(&(0..self.len()).collect::<Vec<_>>(), &mut out)?;
        Ok(out)
    }

    /// The files that rows are, with the folder of the table that names each, where the study's own trainer reads them; none
    /// where rows are numbers.
    pub fn files(&self) -> Vec<(&Path, &Path)> {
        let made = self.parts.iter().filter_map(|(_, part)| match part {
            Part::Made { from, rows } => Some(rows.iter().filter_map(move |row| from.file(*row))),
            Part::Kept(_) | Part::Table { .. } => None,
        });
        made.flatten().collect()
    }

    /// The first number that is not finite: its row and its place in it.
    ///
    /// # Errors
    /// They lie on disk and cannot be read.
    pub fn not_finite(&self) -> io::Result<Option<(usize, usize)>> {
        let most = ((1 << 18) / self.width.max(1)).max(1);
        let mut out = Vec::new();
        let all: Vec<usize> = (0..self.len()).collect();
        for rows in all.chunks(most) {
            out.resize(rows.len() * self.width, 0.0);
            self.gather(rows, &mut out)?;
            if let Some(place) = out.iter().position(|number| !number.is_finite()) {
                return Ok(Some((rows[0] + place / self.width, place % self.width)));
            }
        }
        Ok(None)
    }

    /// Writes the labels of some rows.
    pub fn labels_of(&self, rows: &[usize], out: &mut Vec<u32>) {
        out.clear();
        for row in rows {
            out.extend_from_slice(&self.labels[row * self.per_row..(row + 1) * self.per_row]);
        }
    }

    /// Appends other rows of the same kind.
    pub fn append(&mut self, other: &Self) {
        let mut begin = 0;
        for (end, part) in &other.parts {
            self.put(other.labels[begin * self.per_row..end * self.per_row].to_vec(), part.clone());
            begin = *end;
        }
    }
}
