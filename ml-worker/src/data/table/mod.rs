//! Tables as hospitals export them: a header, then one row per line, comma, semicolon or tab between cells, packed with
//! gzip or not; or Parquet files. And the pictures that tables name.
//!
//! No message names what stands in a cell: messages name the file, the line and the column, and what was expected.

pub mod cell;
pub mod cells;
pub mod columnar;
mod contents;
pub mod copy;
pub mod header;
pub mod identity;
mod memory;
mod near;
pub mod reading;
pub mod record;
pub mod sink;
pub mod source;
pub mod texts;
mod words;

use crate::data::{
    error::DataError,
    pictures::{self, Pixels, Sheet},
    table::{
        cell::Mode,
        cells::{Cells, Memory},
        copy::{Known, WorkingCopy},
        header::{Form, Header},
        sink::{Outcome, Target},
        source::{hash_file, Kind, Reading, Source},
    },
};
use consilium_primitives::{FailureCode, Hash};
use consilium_study::{BadRows, DataSpec, Layout, Pictures, Task};
use std::{collections::HashSet, io, path::Path, sync::Arc};

/// One of several labels of which nobody knows whether it holds for a row.
pub const UNKNOWN: u32 = u32::MAX;

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
    pub(in crate::data) form: Form,
    pub(in crate::data) cells: Arc<Cells>,
    /// Pixels of pictures, in place of values.
    pub(in crate::data) pixels: Option<Arc<Pixels>>,
}

/// A file that was read once: its hash, and what it gave.
#[derive(Clone, Debug)]
pub struct Read {
    /// [`hash_data`]: of exactly the bytes that the table, and its pictures, were read from.
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

    /// Whether the values, or the pixels, lie in a working copy on disk.
    pub fn on_disk(&self) -> bool {
        matches!(*self.cells, Cells::File(_)) || matches!(self.pixels.as_deref(), Some(Pixels::File(_)))
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
            Task::Classes(_) | Task::Labels(_) | Task::Value | Task::Events(_) => 0,
        }
    }

    /// How many of these rows have each class: of two, the negative one first; of several labels, those that each label
    /// holds for; of the time until an event, those without it first. Empty of an outcome that is a number.
    pub fn classes(&self, rows: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let classes = match self.form.task {
            Task::Binary | Task::Events(_) => 2,
            Task::Classes(n) | Task::Labels(n) => n,
            Task::Value => return Vec::new(),
        };
        let mut counts = vec![0; classes];
        for row in rows {
            for (n, label) in self.label(row).iter().enumerate() {
                match self.form.task {
                    Task::Binary | Task::Classes(_) => counts[*label as usize] += 1,
                    Task::Labels(_) => counts[n] += usize::from(*label == 1),
                    // the time stands before the event
                    Task::Events(_) if n == 1 => counts[*label as usize] += 1,
                    Task::Value | Task::Events(_) => {}
                }
            }
        }
        counts
    }

    /// Of how many of these rows each of several labels is known; none where the study has no such labels.
    pub fn known(&self, rows: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let Task::Labels(labels) = self.form.task else { return Vec::new() };
        let mut counts = vec![0; labels];
        for row in rows {
            counts.iter_mut().zip(self.label(row)).for_each(|(count, label)| *count += usize::from(*label != UNKNOWN));
        }
        counts
    }

    pub(in crate::data) fn new(known: Known, cells: Cells, spec: &DataSpec) -> Self {
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
            pixels: None,
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
    read_as(path, spec, group_key, how, mode(spec))
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

/// The hash that [`read_file`] gives for a file and, where the specification names pictures, for these too: what a study
/// holds a site's data to.
///
/// Without pictures it is BLAKE3 of the file's bytes ([`hash_file`]). With pictures it is BLAKE3 of 32 bytes for the table
/// and 32 for each picture, one after the other: the BLAKE3 of the table's bytes; then, for each row of the table that the
/// specification keeps, in the table's order, that of its picture's bytes, or zeros where there is no such file, it is
/// larger than a picture may be, or lies outside of the table's folder. A table that cannot be read by the specification
/// has the hash of its own bytes.
///
/// # Errors
/// The table's file cannot be read.
pub fn hash_data(path: &Path, spec: &DataSpec) -> Result<Hash, DataError> {
    let Some(pictures) = &spec.pictures else { return hash_file(path) };
    let how = Reading::default();
    let target = Target { reading: &how, copy: None, path };
    let (hash, outcome) = rows(&target, spec, &[0; 32], mode(spec))?;
    let Ok(outcome) = outcome else { return Ok(hash) };
    let places = (outcome.places.as_slice(), outcome.unit);
    Sheet::new(pictures, &target, &outcome.known.pictures, places)?.hash(&hash).map_err(|e| e.of(path))
}

fn mode(spec: &DataSpec) -> Mode {
    if let BadRows::Skip { .. } = spec.bad_rows {
        Mode::Skip
    } else {
        Mode::First
    }
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
    let target = Target { reading: how, copy, path };
    let there = target.copy.as_ref().is_some_and(|place| place.exists());
    if there && spec.pictures.is_none() {
        let hash = hash_file(path)?;
        if let Some((file, known)) = again(&target, &hash)? {
            return Ok(Read { hash, table: Ok(Table::new(known, Cells::File(file), spec)) });
        }
    }
    let (hash, outcome) = rows(&target, spec, group_key, mode)?;
    let (hash, table) = match (outcome, &spec.pictures) {
        (Err(error), _) => (hash, Err(error)),
        (Ok(outcome), None) => (hash, finish(outcome, &target, &hash, spec)),
        (Ok(outcome), Some(pictures)) => with_pictures(outcome, &target, (spec, pictures), &hash, (mode, there))?,
    };
    let table = table.map_err(|error| error.of(path));
    let (skipped, dropped) = table.as_ref().map_or((0, 0), |table| (table.skipped, table.dropped));
    if skipped + dropped > 0 {
        tracing::warn!(
            "{}: {skipped} rows cannot be read and {dropped} have empty cells: they are left out",
            path.display()
        );
    }
    Ok(Read { hash, table })
}

/// A working copy of what has this hash, if there is one.
fn again(target: &Target<'_>, hash: &Hash) -> Result<Option<(WorkingCopy, Known)>, DataError> {
    let Some(place) = &target.copy else { return Ok(None) };
    let found = copy::open(place, &hash.0).map_err(|e| copy::error(place, &e))?;
    if found.is_some() {
        let (data, copy) = (target.path.display(), place.display());
        tracing::info!("{data}: its values are read from the working copy {copy}");
    }
    Ok(found)
}

/// A file's hash, and what its rows gave.
fn rows(
    target: &Target<'_>,
    spec: &DataSpec,
    key: &[u8; 32],
    mode: Mode,
) -> Result<(Hash, Result<Outcome, DataError>), DataError> {
    let path = target.path;
    let mut source = Source::open(path, target.reading, spec.layout())?;
    let unreadable = |e: &io::Error| DataError::io("cannot be read", e).of(path);
    if source.kind == Kind::Parquet {
        // it is not read from its beginning to its end: a change meanwhile shows in the hash
        let hash = source.hash().map_err(|e| unreadable(&e))?;
        let outcome = columnar::read(target, spec, key, mode).map_err(|e| e.of(path));
        if hash_file(path)? != hash {
            return Err(DataError::new(FailureCode::DataUnreadable, "changes while it is read").of(path));
        }
        return Ok((hash, outcome));
    }
    let outcome = reading::read(&mut source, target, spec, key, mode).map_err(|e| e.of(path));
    match outcome {
        Err(error) if error.code == FailureCode::DataUnreadable => Err(error),
        outcome => Ok((source.hash().map_err(|e| unreadable(&e))?, outcome)),
    }
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

/// The table of these rows and their pictures; the hash of both.
fn with_pictures(
    outcome: Outcome,
    target: &Target<'_>,
    spec: (&DataSpec, &Pictures),
    hash: &Hash,
    (mode, there): (Mode, bool),
) -> Result<(Hash, Result<Table, DataError>), DataError> {
    let Outcome { mut known, places, unit, .. } = outcome;
    let named = |error: DataError| error.of(target.path);
    let table = |known, pixels: Pixels| {
        let mut table = Table::new(known, Cells::Memory(Memory::default()), spec.0);
        table.pixels = Some(Arc::new(pixels));
        table
    };
    if there {
        let sheet = Sheet::new(spec.1, target, &known.pictures, (&places, unit)).map_err(named)?;
        let hash = sheet.hash(hash).map_err(named)?;
        if let Some((file, known)) = again(target, &hash)? {
            return Ok((hash, Ok(table(known, Pixels::File(file)))));
        }
    }
    let (hash, pixels) = pictures::load(target, spec, &mut known, (&places, unit), hash, mode).map_err(named)?;
    Ok((hash, pixels.map(|pixels| table(known, pixels))))
}

/// The columns of a file's header. `named`: columns that a study names otherwise than as features, its label above all;
/// `ignore`: those it leaves out. `println!("{}", columns(..)?)` prints what goes into the study file.
///
/// # Errors
/// The file cannot be read as a table, a named column is not there, or two of the others have the same name.
pub fn columns(path: &Path, named: &[&str], ignore: Vec<String>) -> Result<Header, DataError> {
    columns_in(path, Layout::default(), named, ignore)
}

/// [`columns`], of a file whose text is written and laid out so.
///
/// # Errors
/// As [`columns`].
pub fn columns_in(path: &Path, layout: Layout, named: &[&str], ignore: Vec<String>) -> Result<Header, DataError> {
    // a text that is made anew is in memory whole
    let allowance = if layout == Layout::default() { 1 << 18 } else { Reading::default().allowance };
    let how = Reading { allowance, folder: None };
    let there =
        |names: &[String]| names.len() > 1 && named.iter().all(|column| names.iter().any(|name| name == column.trim()));
    let mut source = Source::open(path, &how, layout)?;
    let target = Target { reading: &how, copy: None, path };
    let names = reading::names(&mut source, &target, &there).map_err(|e| e.of(path))?;
    for name in names.iter().filter(|name| header::numbers_rows(name) && !named.contains(&name.as_str())) {
        tracing::warn!(
            "{}: the column {name:?} is left out: programs give that name to row numbers, which are no feature",
            path.display()
        );
    }
    header::header(names, named, ignore).map_err(|e| e.of(path))
}
