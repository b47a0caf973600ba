//! The blob store, and how files are written so that a kill at any moment leaves whole files or none.

use consilium_aggregation::blob_hash;
use consilium_primitives::{BlobRef, Hash};
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

const UNFINISHED: &str = ".tmp-worker-";
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Writes a file by a temporary one beside it: written, synced, renamed, the folder synced.
///
/// # Errors
/// What the file system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let own = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!("{UNFINISHED}{}-{own}", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // best effort: the error that counts is the first one
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Removes what an earlier process left unfinished in a folder.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A folder of blobs, shared with the node: each file is named by the BLAKE3 hash of its bytes.
#[derive(Clone, Debug)]
pub struct Blobs(PathBuf);

impl Blobs {
    /// Opens the folder; makes it if need be.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        sweep(folder)?;
        Ok(Self(folder.to_path_buf()))
    }

    /// Where a blob is, or would be.
    pub fn path(&self, root: &Hash) -> PathBuf {
        self.0.join(hex::encode(root))
    }

    /// Whether a file of the right name and length is there. Its bytes are checked when they are read.
    pub fn has(&self, blob: &BlobRef) -> bool {
        fs::metadata(self.path(&blob.root)).is_ok_and(|m| m.is_file() && m.len() == blob.len)
    }

    /// Puts bytes there, and gives their hash.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put(&self, bytes: &[u8]) -> io::Result<Hash> {
        let root = blob_hash(bytes);
        if !self.has(&BlobRef { root, len: bytes.len() as u64 }) {
            write_whole(&self.path(&root), bytes)?;
        }
        Ok(root)
    }

    /// The bytes of a blob. A file that does not have its own hash is removed, and counts as missing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn read(&self, blob: &BlobRef) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(&blob.root);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if bytes.len() as u64 == blob.len && blob_hash(&bytes) == blob.root {
            return Ok(Some(bytes));
        }
        tracing::warn!(
            "{} does not hold the bytes it is named after; removed, it will be fetched again",
            path.display()
        );
        fs::remove_file(&path)?;
        Ok(None)
    }
}
