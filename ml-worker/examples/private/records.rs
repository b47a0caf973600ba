//! AUCs that were measured before, one line each, so that a run which was interrupted goes on where it was.

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Record {
    what: String,
    seed: u64,
    auc: f64,
}

struct Records {
    file: Mutex<File>,
    before: HashMap<(String, u64), f64>,
}

static RECORDS: OnceLock<Records> = OnceLock::new();

/// Reads what stands in the file, and keeps in it what is measured from now on.
///
/// # Errors
/// What the file system says; a line that is no record.
pub fn open(path: &Path) -> Result<()> {
    let mut before = HashMap::new();
    if path.exists() {
        let lines = BufReader::new(File::open(path).with_context(|| path.display().to_string())?).lines();
        for (number, line) in lines.enumerate() {
            let record: Record = serde_json::from_str(&line?)
                .with_context(|| format!("{}: line {} is no record", path.display(), number + 1))?;
            before.insert((record.what, record.seed), record.auc);
        }
    }
    let file = OpenOptions::new().create(true).append(true).open(path).with_context(|| path.display().to_string())?;
    if RECORDS.set(Records { file: Mutex::new(file), before }).is_err() {
        bail!("{}: records are kept in another file already", path.display());
    }
    Ok(())
}

/// The AUC of this training and seed: as it was kept, or measured now. Without a file nothing is kept.
///
/// # Errors
/// What measuring says, or the file system.
pub fn kept(what: &str, seed: u64, measure: impl FnOnce() -> Result<f64>) -> Result<f64> {
    let Some(records) = RECORDS.get() else { return measure() };
    if let Some(auc) = records.before.get(&(what.to_owned(), seed)) {
        return Ok(*auc);
    }
    let auc = measure()?;
    let line = serde_json::to_string(&Record { what: what.to_owned(), seed, auc })? + "\n";
    let mut file = records.file.lock().unwrap_or_else(PoisonError::into_inner);
    file.write_all(line.as_bytes())?;
    Ok(auc)
}
