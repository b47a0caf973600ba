//! Names of things.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::crypto::AccountId32;

/// 32 bytes: a BLAKE3 hash where it names a blob, a BLAKE2b-256 hash where the chain computed it.
pub type Hash = sp_core::H256;

/// Number of a study on its chain, counted from 0.
pub type StudyId = u32;

/// An institution: the 32 bytes of its account.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    core::hash::Hash,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    Serialize,
    Deserialize,
)]
pub struct InstitutionId(pub [u8; 32]);

/// The metadata calls it what it is, so that every client shows it as the address that it has everywhere else.
impl TypeInfo for InstitutionId {
    type Identity = AccountId32;

    fn type_info() -> scale_info::Type {
        AccountId32::type_info()
    }
}

impl fmt::Debug for InstitutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for InstitutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        for byte in &self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Bytes named by what they are: BLAKE3 hash (so `b3sum` checks it) and length in bytes.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub struct BlobRef {
    /// BLAKE3 hash of the bytes.
    pub root: Hash,
    /// Length in bytes.
    pub len: u64,
}
