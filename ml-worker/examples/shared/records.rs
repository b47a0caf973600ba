//! What a bench has measured, kept in a file with one JSON object a line, so that an interrupted run goes on where it was.

use anyhow::{Context, Result};
use serde::{de::DeserializeOwned, Serialize};
use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::Path,
};

/// All records of a file; none of one that is not there yet. A last line without an end was cut off while it was written: it counts as
/// not measured.
///
/// # Errors
/// A file that cannot be read; a line that is no such record.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let records = whole.lines().enumerate().map(|(line, record)| {
        serde_json::from_str::<T>(record).with_context(|| {
            format!(
                "{}, line {}: no record of this program; if it was written by an earlier one, move the file away",
                path.display(),
                line + 1
            )
        })
    });
    records.collect()
}

/// Adds records at the end of a file, all at once, behind what was written whole.
///
/// # Errors
/// A file that cannot be written.
pub fn add<T: Serialize>(path: &Path, records: &[T]) -> Result<()> {
    let mut text = String::new();
    for record in records {
        text.push_str(&serde_json::to_string(record)?);
        text.push('\n');
    }
    let write = || -> std::io::Result<()> {
        let whole = match fs::read(path) {
            Ok(bytes) => bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1),
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        // what an interrupted run left of its last line
        file.set_len(whole as u64)?;
        file.write_all(text.as_bytes())
    };
    write().with_context(|| path.display().to_string())
}
