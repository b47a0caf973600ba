//! What the survivors of a consortium agree on when so many validators are gone for good that nothing can be made final, nor
//! voted on, any more.
//!
//! Each signs the [`Recovery`]'s digest by its account. The node takes the sets of finality from it, without those that are
//! lost; the chain takes the lost out of the registry once they have been silent for as long as was agreed at founding.

use crate::{BlockNumber, Hash};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

/// First bytes of what a recovery's digest is of.
pub const RECOVERY_CONTEXT: &[u8] = b"consilium/recovery/1";

/// What the survivors sign.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Recovery<AccountId> {
    /// Hash of block 0.
    pub genesis: Hash,
    /// The last block that was final, by number and hash; all survivors have it.
    pub last_final: (BlockNumber, Hash),
    /// Institutions whose nodes are gone for good, ascending.
    pub lost: Vec<AccountId>,
    /// Who votes on finality from that block on: the set of then without the lost, and each that was signalled since.
    pub sets: Vec<FinalitySet>,
}

/// A set of those who vote on finality, without those that are lost.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct FinalitySet {
    /// Its number, as nodes count.
    pub id: u64,
    /// The block in which it was signalled, by number and hash; none for the set of block 0.
    pub signalled: Option<(BlockNumber, Hash)>,
    /// The ed25519 keys that remain, in the chain's order.
    pub authorities: Vec<[u8; 32]>,
}

/// A survivor's word for a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Consent<AccountId> {
    /// The institution.
    pub institution: AccountId,
    /// sr25519 signature of the digest by the account that signs for it.
    pub signature: [u8; 64],
}

impl<AccountId: Encode> Recovery<AccountId> {
    /// What is signed: `blake2_256("consilium/recovery/1" ‖ SCALE of the recovery)`.
    pub fn digest(&self) -> [u8; 32] {
        sp_crypto_hashing::blake2_256(&[RECOVERY_CONTEXT, &self.encode()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn every_part_is_signed() {
        let hash = Hash::repeat_byte(1);
        let set = FinalitySet { id: 3, signalled: Some((5, hash)), authorities: vec![[7; 32]] };
        let whole = Recovery { genesis: hash, last_final: (9, hash), lost: vec![4u64], sets: vec![set] };
        let mut others = vec![whole.clone(); 8];
        others[0].genesis = Hash::zero();
        others[1].last_final.0 = 8;
        others[2].last_final.1 = Hash::zero();
        others[3].lost = vec![5];
        others[4].sets[0].id = 4;
        others[5].sets[0].signalled = None;
        others[6].sets[0].authorities.clear();
        others[7].sets.clear();
        for other in others {
            assert_ne!(other.digest(), whole.digest(), "{other:?}");
        }
    }
}
