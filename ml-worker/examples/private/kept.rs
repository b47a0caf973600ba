//! AUCs that were measured before, so that a run which was interrupted goes on where it was.

use super::records;
use anyhow::{bail, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Record {
    what: String,
    seed: u64,
    auc: f64,
}

struct Kept {
    path: PathBuf,
    before: HashMap<(String, u64), f64>,
    /// One line at a time.
    writing: Mutex<()>,
}

static KEPT: OnceLock<Kept> = OnceLock::new();

/// Reads what stands in the file, and keeps in it what is measured from now on.
///
/// # Errors
/// What the file system says; a line that is no record; another file was opened before.
pub fn open(path: &Path) -> Result<()> {
    let records: Vec<Record> = records::read(path)?;
    let before = records.into_iter().map(|record| ((record.what, record.seed), record.auc)).collect();
    if KEPT.set(Kept { path: path.to_owned(), before, writing: Mutex::new(()) }).is_err() {
        bail!("{}: figures are kept in another file already", path.display());
    }
    Ok(())
}

/// The AUC of this training and seed: as it was kept, or measured now. Without a file nothing is kept.
///
/// # Errors
/// What measuring says, or the file system.
pub fn auc(what: &str, seed: u64, measure: impl FnOnce() -> Result<f64>) -> Result<f64> {
    let Some(kept) = KEPT.get() else { return measure() };
    if let Some(auc) = kept.before.get(&(what.to_owned(), seed)) {
        return Ok(*auc);
    }
    let auc = measure()?;
    let _one = kept.writing.lock().unwrap_or_else(PoisonError::into_inner);
    records::add(&kept.path, &[Record { what: what.to_owned(), seed, auc }])?;
    Ok(auc)
}
