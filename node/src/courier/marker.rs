//! Which chain the courier's folder belongs to. What it says of studies is true on one chain only: study numbers begin
//! anew on the next.

use super::files;
use sp_core::H256;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Name of the file that holds the chain's genesis hash.
const MARKER: &str = "genesis";

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NotOurs {
    /// It was made for another chain.
    #[error(
        "courier folder {}: it belongs to the chain with genesis {found}, and this chain's is {expected}; start with \
         another --base-path, or move the folder away with its egress log",
        folder.display()
    )]
    OtherChain {
        /// The folder.
        folder: PathBuf,
        /// What is written in it.
        found: String,
        /// This chain.
        expected: String,
    },
    /// The disk failed.
    #[error("courier folder: {0}")]
    Io(#[from] io::Error),
}

/// Makes the folder where it is not there, and binds it to a chain where it is not bound yet.
///
/// # Errors
/// It is bound to another chain, or cannot be written.
pub fn bind(folder: &Path, genesis: &H256) -> Result<(), NotOurs> {
    files::folder(folder)?;
    let (path, expected) = (folder.join(MARKER), hex::encode(genesis));
    match fs::read_to_string(&path) {
        Ok(text) if text.trim() == expected => Ok(()),
        Ok(text) => Err(NotOurs::OtherChain { folder: folder.to_owned(), found: text.trim().to_owned(), expected }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(files::replace(&path, format!("{expected}\n").as_bytes())?)
        }
        Err(error) => Err(files::named(&path, &error).into()),
    }
}
