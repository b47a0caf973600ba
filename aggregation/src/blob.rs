//! What a blob is called.

use consilium_primitives::{BlobRef, Hash};
use std::{io, path::Path};

/// The BLAKE3 hash of `bytes`, the same as `b3sum` prints.
pub fn blob_hash(bytes: &[u8]) -> Hash {
    Hash::from(*blake3::Hasher::new().update_rayon(bytes).finalize().as_bytes())
}

/// Hash and length of `bytes`.
pub fn blob_ref(bytes: &[u8]) -> BlobRef {
    BlobRef { root: blob_hash(bytes), len: bytes.len() as u64 }
}

/// Hash and length of the file at `path`, which is not read into memory at once.
///
/// # Errors
/// What the file system says.
pub fn file_ref(path: &Path) -> io::Result<BlobRef> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap_rayon(path)?;
    Ok(BlobRef { root: Hash::from(*hasher.finalize().as_bytes()), len: hasher.count() })
}
