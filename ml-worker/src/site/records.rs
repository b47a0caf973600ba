//! Files of a worker's folder: their mode, and what tells whether they are whole.

use anyhow::{Context, Result};
use codec::{Decode, Encode};
use consilium_aggregation::blob_hash;
use std::{fs, io, path::Path};

/// Mode of the worker's own files: nobody else's business.
pub(super) const OWN: u32 = 0o600;

/// A value's bytes after their hash: a damaged state would train on in silence.
pub(super) fn with_hash(value: &impl Encode) -> Vec<u8> {
    hashed(value.encode())
}

/// Bytes after their hash.
pub(super) fn hashed(content: Vec<u8>) -> Vec<u8> {
    let mut bytes = blob_hash(&content).as_bytes().to_vec();
    bytes.extend(content);
    bytes
}

/// What stands after its hash, if it is whole.
pub(super) fn intact(bytes: &[u8]) -> Option<&[u8]> {
    let (hash, content) = bytes.split_at_checked(32)?;
    (blob_hash(content).as_bytes() == hash).then_some(content)
}

/// What [`with_hash`] wrote, if it is whole.
pub(super) fn whole<T: Decode>(bytes: &[u8]) -> Option<T> {
    intact(bytes).and_then(|mut content| T::decode(&mut content).ok())
}

/// A file's bytes; `None` where there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
