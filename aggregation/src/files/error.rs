//! Why files were not merged.

use crate::{layout::FileError, rules::MergeError};
use consilium_primitives::Hash;
use std::{io, path::PathBuf};

/// Why files were not merged.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// An input is not what it must be.
    #[error("input {input} is invalid: {error}")]
    Input {
        /// Its position in canonical order.
        input: usize,
        /// What is wrong.
        error: FileError,
    },
    /// The file of an input does not have the bytes that were committed.
    #[error("the file of input {input} has the hash {found:?}, not the committed one")]
    Differs {
        /// Its position in canonical order.
        input: usize,
        /// Its hash.
        found: Hash,
    },
    /// The model that the inputs stand on is not what it must be.
    #[error("the model that the inputs stand on is invalid: {0}")]
    Base(FileError),
    /// The merge itself.
    #[error(transparent)]
    Merge(#[from] MergeError),
}
