//! What commands are given: a study file, a hash, and a data file in the place of a secret.

use anyhow::{bail, Context, Result};
use consilium_ml_worker::{data::hash_file, random::key};
use consilium_study::{StudyFile, StudySpec};
use std::{fs, path::Path};

/// The study file at a path.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read_study(path: &Path) -> Result<StudyFile> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    StudyFile::parse(&text).with_context(|| format!("{}", path.display()))
}

/// The specification of a study file, or in its place one that was agreed, in canonical form.
///
/// # Errors
/// Neither was given; it cannot be read, or is none.
pub fn read_spec(study: Option<&Path>, spec: Option<&Path>) -> Result<StudySpec> {
    match (study, spec) {
        (Some(study), _) => Ok(read_study(study)?.spec()),
        (None, Some(spec)) => {
            let bytes = fs::read(spec).with_context(|| format!("cannot read {}", spec.display()))?;
            StudySpec::from_canonical(&bytes).with_context(|| spec.display().to_string())
        }
        (None, None) => bail!("--study or --spec is needed"),
    }
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
