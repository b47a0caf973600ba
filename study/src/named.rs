//! A file that a specification names by its bytes.

use crate::error::{wrong, SpecError};
use consilium_primitives::{BlobRef, Hash};
use serde::{Deserialize, Serialize};

/// A file by hash and length: whoever holds other bytes holds another file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedFile {
    /// BLAKE3 of its bytes, 64 hexadecimal digits in lower case.
    pub root: String,
    /// Its length in bytes.
    pub len: u64,
}

impl NamedFile {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let root = consilium_aggregation::blob_hash(bytes);
        Self { root: format!("{root:x}"), len: bytes.len() as u64 }
    }

    /// Hash and length.
    ///
    /// # Errors
    /// A root that is no hash; `field` is named.
    pub fn blob(&self, field: &str) -> Result<BlobRef, SpecError> {
        Ok(BlobRef { root: hash_of(&format!("{field}.root"), &self.root)?, len: self.len })
    }

    /// Whether both make sense.
    pub(crate) fn check(&self, field: &str) -> Result<(), SpecError> {
        self.blob(field)?;
        if self.len == 0 || self.len > 4 << 30 {
            return Err(wrong(format!("{field}.len"), format!("{} bytes are impossible; 1 to 2^32 are", self.len)));
        }
        Ok(())
    }
}

/// 64 hexadecimal digits in lower case: one file, one text.
pub(crate) fn hash_of(field: &str, text: &str) -> Result<Hash, SpecError> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0u8; 32];
    let digits: Option<Vec<u8>> = text.bytes().map(digit).collect();
    match digits {
        Some(digits) if digits.len() == 64 => {
            for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = pair[0] << 4 | pair[1];
            }
            Ok(bytes.into())
        }
        _ => Err(wrong(
            field,
            format!("{text:?} is no BLAKE3 hash: 64 hexadecimal digits in lower case, as b3sum prints"),
        )),
    }
}
