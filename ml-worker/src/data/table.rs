//! Tables as hospitals export them: a header, then one row per line, comma, semicolon or tab between cells; packed with
//! gzip or not.
//!
//! No message names what stands in a cell: messages name the file, the line and the column, and what was expected.

pub use super::{error::DataError, header::Header};

use super::{
    cells::Cells,
    copy::{self, Known, WorkingCopy},
    header::{self, Form},
    reading::{self, Outcome, Target},
    record::Mode,
    source::{hash_file, Reading, Source},
};
use consilium_primitives::{FailureCode, Hash};
use consilium_study::{BadRows, DataSpec, Task};
use std::{collections::HashSet, io, path::Path, sync::Arc};

/// A site's rows. Their values are in memory or in a working copy on disk; which of both changes no number.
#[derive(Clone, Debug)]
pub struct Table {
    /// Names of the numeric features, in the model's order.
    pub features: Vec<String>,
    /// Labels of each row, row by row, as [`Objective`](crate::learn::loss::Objective) says.
    pub labels: Vec<u32>,
    /// One per row: a keyed hash of the patient, or of the row's features and label where the study names no group column.
    pub groups: Vec<[u8; 32]>,
    /// Files' names of pictures, one per row; empty where the study has none.
    pub pictures: Vec<String>,
    /// Empty cells among the features.
    pub missing: usize,
    /// Rows that were left out because something was missing in them.
    pub dropped: usize,
    /// Rows that were left out because they could not be read.
    pub skipped: usize,
    pub(super) form: Form,
    pub(super) cells: Arc<Cells>,
}

/// A file that was read once: its hash, and what it gave.
#[derive(Clone, Debug)]
pub struct Read {
    /// BLAKE3 of the file's bytes: of exactly those that the table was read from.
    pub hash: Hash,
    /// The table, or the first thing that does not fit.
    pub table: Result<Table, DataError>,
}

impl Table {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.groups.len()
    }

    /// How many of the labels one row has.
    pub fn per_row(&self) -> usize {
        self.form.per_row()
    }

    /// One row's labels.
    pub fn label(&self, row: usize) -> &[u32] {
        &self.labels[row * self.per_row()..(row + 1) * self.per_row()]
    }

    /// One row's values as they stand in the file: the numeric features, NaN where one is missing; then of each
    /// categorical column the number of its level, from 0, or NaN.
    ///
    /// # Errors
    /// They lie on disk and cannot be read.
    pub fn row(&self, row: usize) -> io::Result<Vec<f64>> {
        let mut out = vec![0.0; self.form.raw()];
        self.cells.row(row, &mut out, &mut Vec::new())?;
        Ok(out)
    }

    /// All rows' values, as [`row`](Self::row) gives them.
    ///
    /// # Errors
    /// They lie on disk and cannot be read.
    pub fn values(&self) -> io::Result<Vec<f64>> {
        let mut all = Vec::with_capacity(self.rows() * self.form.raw());
        let rows: Vec<usize> = (0..self.rows()).collect();
        self.cells.each_block(self.form.raw(), &rows, |_, values| {
            all.extend_from_slice(values);
            Ok::<_, io::Error>(())
        })?;
        Ok(all)
    }

    /// Whether the values lie in a working copy on disk.
    pub fn on_disk(&self) -> bool {
        matches!(*self.cells, Cells::File(_))
    }

    /// Whether a patient is in both tables, which must have been read with the same key.
    pub fn shares_a_group(&self, other: &Self) -> bool {
        let own: HashSet<&[u8; 32]> = self.groups.iter().collect();
        other.groups.iter().any(|group| own.contains(group))
    }

    /// Rows of the positive class of two; 0 where the study has other labels.
    pub fn positives(&self) -> usize {
        match self.form.task {
            Task::Binary => self.labels.iter().filter(|label| **label == 1).count(),
            Task::Classes(_) | Task::Labels(_) => 0,
        }
    }

    /// How many of these rows have each class: of two, the negative one first; of several labels, those that each label
    /// holds for.
    pub fn classes(&self, rows: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut counts = vec![0; if let Task::Binary = self.form.task { 2 } else { self.form.task.outputs() }];
        for row in rows {
            for (n, label) in self.label(row).iter().enumerate() {
                match self.form.task {
                    Task::Binary | Task::Classes(_) => counts[*label as usize] += 1,
                    Task::Labels(_) => counts[n] += usize::from(*label == 1),
                }
            }
        }
        counts
    }

    pub(super) fn new(known: Known, cells: Cells, spec: &DataSpec) -> Self {
        Self {
            features: known.features,
            labels: known.labels,
            groups: known.groups,
            pictures: known.pictures,
            missing: known.missing as usize,
            dropped: known.dropped as usize,
            skipped: known.skipped as usize,
            form: Form::of(spec),
            cells: Arc::new(cells),
        }
    }
}

/// Reads a table into memory. `group_key` keys the hashes that stand for patients.
///
/// # Errors
/// The first thing that does not fit, by file, line and column.
pub fn read_table(path: &Path, spec: &DataSpec, group_key: &[u8; 32]) -> Result<Table, DataError> {
    read_file(path, spec, group_key, &Reading::default())?.table
}

/// Reads a table once, and hashes the bytes that it is read from. One that needs more memory than is allowed goes into a
/// working copy, which is used again as long as the file stays the same.
///
/// # Errors
/// The file cannot be read. What does not fit in it is in the answer, beside its hash.
pub fn read_file(path: &Path, spec: &DataSpec, group_key: &[u8; 32], how: &Reading) -> Result<Read, DataError> {
    let mode = if let BadRows::Skip { .. } = spec.bad_rows { Mode::Skip } else { Mode::First };
    read_as(path, spec, group_key, how, mode)
}

/// Reads a table for prediction. Columns of labels and groups need not be there, and are not read where they are: every
/// label is 0. Each of its rows is in the table, in the file's order: one that cannot be read is an error whatever the
/// specification says of such rows, and so is a missing value unless the mean stands in for it.
///
/// # Errors
/// The first thing that does not fit, by file, line and column.
pub fn read_unlabelled(path: &Path, spec: &DataSpec, how: &Reading) -> Result<Table, DataError> {
    read_as(path, spec, &[0; 32], how, Mode::Predict)?.table
}

fn read_as(path: &Path, spec: &DataSpec, group_key: &[u8; 32], how: &Reading, mode: Mode) -> Result<Read, DataError> {
    let copy = match &how.folder {
        Some(folder) => {
            let form = serde_json::to_vec(&(spec, mode.labelled()))
                .map_err(|e| DataError::new(FailureCode::Internal, format!("cannot write the specification: {e}")))?;
            Some(copy::place(folder, path, &form, group_key))
        }
        None => None,
    };
    if let Some(place) = copy.as_ref().filter(|place| place.exists()) {
        let hash = hash_file(path)?;
        if let Some((file, known)) = copy::open(place, &hash.0).map_err(|e| copy::error(place, &e))? {
            tracing::info!("{}: its values are read from the working copy {}", path.display(), place.display());
            return Ok(Read { hash, table: Ok(Table::new(known, Cells::File(file), spec)) });
        }
    }
    let mut source = Source::open(path, how)?;
    let target = Target { reading: how, copy, path };
    let outcome = reading::read(&mut source, &target, spec, group_key, mode);
    if let Err(error) = &outcome {
        if error.code == FailureCode::DataUnreadable {
            return Err(error.clone().of(path));
        }
    }
    let hash = source.hash().map_err(|e| DataError::io("cannot be read", &e).of(path))?;
    let table = outcome.map_err(|error| error.of(path)).and_then(|outcome| finish(outcome, &target, &hash, spec));
    let (skipped, dropped) = table.as_ref().map_or((0, 0), |table| (table.skipped, table.dropped));
    if skipped + dropped > 0 {
        tracing::warn!(
            "{}: {skipped} rows cannot be read and {dropped} have empty cells: they are left out",
            path.display()
        );
    }
    Ok(Read { hash, table })
}

fn finish(outcome: Outcome, target: &Target<'_>, hash: &Hash, spec: &DataSpec) -> Result<Table, DataError> {
    let Outcome { mut known, values, writer, .. } = outcome;
    known.source = hash.0;
    let cells = match (writer, &target.copy) {
        (Some(writer), Some(place)) => {
            let copy: WorkingCopy = writer.finish(&mut known).map_err(|e| copy::error(place, &e))?;
            Cells::File(copy)
        }
        _ => Cells::Memory(values),
    };
    Ok(Table::new(known, cells, spec))
}

/// The columns of a file's header. `named`: columns that a study names otherwise than as features, its label above all;
/// `ignore`: those it leaves out. `println!("{}", columns(..)?)` prints what goes into the study file.
///
/// # Errors
/// The file cannot be read as a table, a named column is not there, or two of the others have the same name.
pub fn columns(path: &Path, named: &[&str], ignore: Vec<String>) -> Result<Header, DataError> {
    let how = Reading { allowance: 1 << 18, folder: None };
    let there =
        |names: &[String]| names.len() > 1 && named.iter().all(|column| names.iter().any(|name| name == column.trim()));
    let mut source = Source::open(path, &how)?;
    let (block, delimiter) = reading::begin(&mut source, &how, &there).map_err(|e| e.of(path))?;
    let names = reading::head(&block, delimiter).map_err(|e| e.of(path))?.0;
    header::header(names, named, ignore).map_err(|e| e.of(path))
}
