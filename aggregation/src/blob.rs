//! What a blob is called.

use consilium_primitives::{BlobRef, Hash};

/// The BLAKE3 hash of `bytes`, the same as `b3sum` prints.
pub fn blob_hash(bytes: &[u8]) -> Hash {
    Hash::from(*blake3::Hasher::new().update_rayon(bytes).finalize().as_bytes())
}

/// Hash and length of `bytes`.
pub fn blob_ref(bytes: &[u8]) -> BlobRef {
    BlobRef { root: blob_hash(bytes), len: bytes.len() as u64 }
}

/// The hash of a file's bytes, read piece by piece.
///
/// # Errors
/// What the file system says.
pub fn hash_file(path: &std::path::Path) -> std::io::Result<Hash> {
    let mut hash = blake3::Hasher::new();
    hash.update_reader(std::fs::File::open(path)?)?;
    Ok(Hash::from(*hash.finalize().as_bytes()))
}
