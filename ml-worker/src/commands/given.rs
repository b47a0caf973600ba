//! What commands are given: a study file, a hash, and a data file in the place of a secret.

use anyhow::{bail, Context, Result};
use consilium_ml_worker::{data::hash_file, random::key};
use consilium_study::StudyFile;
use std::{fs, path::Path};

/// The study file at a path.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read_study(path: &Path) -> Result<StudyFile> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    StudyFile::parse(&text).with_context(|| format!("{}", path.display()))
}

/// A secret that follows from a data file, for work at a desk: the same file gives the same training.
///
/// # Errors
/// It cannot be read.
pub fn secret_of(data: &Path) -> Result<[u8; 32]> {
    Ok(key("consilium/desk/1", &[&hash_file(data)?.0]))
}

/// A hash that was given as `what`.
///
/// # Errors
/// It is none.
pub fn hash(what: &str, text: &str) -> Result<[u8; 32]> {
    let mut hash = [0; 32];
    if hex::decode_to_slice(text.trim_start_matches("0x"), &mut hash).is_err() {
        bail!("{what}: must have 64 hexadecimal digits");
    }
    Ok(hash)
}
