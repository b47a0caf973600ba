//! What the chain must know of masked sums: keys, roots over what was agreed, commitments to shares, and lengths. All of it is
//! public; secrets are never here. Bytes are those of `docs/masks.md`: whole numbers little-endian, names of 32 bytes, lists in
//! order of institution.

pub use crate::kinds::{MaskKeys, VoidReason};

use crate::{
    ids::{Hash, InstitutionId, StudyId},
    kinds::Kind,
    rules::close_at_once,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Bytes of one partner's part in a deal: two commitments, and two shares sealed for it.
pub const DEALT: u32 = 144;
/// Bytes of a share, and of a secret.
pub const SHARE: u32 = 32;
/// Bytes before the shares of a reveal: for which partners they are.
pub const REVEAL_HEAD: u32 = 8;
/// Longest posting, in bytes: more than the deal for as many as take part in the largest study.
pub const MAX_POSTING: u32 = 16 * 1024;
/// Fewest partners, and fewest inputs of a sum: of two each would know the other's.
pub const LEAST: u32 = 3;

/// What an institution posts for a masked sum.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[scale_info(capture_docs = "always")]
pub enum PostStep {
    /// Its keys, 96 bytes; they come as a vote.
    Keys,
    /// Its deal: [`DEALT`] bytes for each in the key list.
    Deal,
    /// Its shares of the secrets that are opened.
    Reveal,
}

/// One partner of a masked sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Partner {
    /// Who.
    pub institution: InstitutionId,
    /// BLAKE2b-256 of its deal.
    pub deal: Hash,
    /// Its weight, capped among the partners.
    pub weight: u32,
}

fn blake2(parts: &[&[u8]]) -> Hash {
    Hash::from(sp_crypto_hashing::blake2_256(&parts.concat()))
}

/// The number of a kind in a context.
fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Statistics => 0,
        Kind::Model => 1,
        Kind::Evaluation => 2,
    }
}

/// What one masked sum is for: nothing made for another one fits it.
pub fn context(genesis: &Hash, study: StudyId, agreement: &Hash, kind: Kind, round: u32, pairing: u32) -> Hash {
    blake2(&[
        b"consilium/masks/1",
        genesis.as_bytes(),
        &study.to_le_bytes(),
        agreement.as_bytes(),
        &[code(kind)],
        &round.to_le_bytes(),
        &pairing.to_le_bytes(),
    ])
}

/// Hash over the key list, in order of institution.
pub fn keys_root(context: &Hash, keys: &[(InstitutionId, MaskKeys)]) -> Hash {
    let mut bytes = b"consilium/keys/1".to_vec();
    bytes.extend_from_slice(context.as_bytes());
    for (institution, keys) in keys {
        bytes.extend_from_slice(&institution.0);
        bytes.extend_from_slice(&keys.bytes());
    }
    blake2(&[&bytes])
}

/// `t`: how many shares open a secret, with so many in the key list.
pub fn threshold(keys: u32) -> u32 {
    close_at_once(keys)
}

/// Bytes of a deal for so many in the key list.
pub fn deal_len(keys: u32) -> u32 {
    DEALT.saturating_mul(keys)
}

/// Bytes of a reveal with so many shares.
pub fn reveal_len(shares: u32) -> u32 {
    REVEAL_HEAD.saturating_add(SHARE.saturating_mul(shares))
}

/// What a dealer has said of one share before anybody saw it: `which` 0 is of its seed, 1 of its pair secret.
pub fn commitment(keys_root: &Hash, dealer: &InstitutionId, holder: &InstitutionId, which: u8, share: &[u8]) -> Hash {
    blake2(&[b"consilium/share/1", keys_root.as_bytes(), &dealer.0, &holder.0, &[which], share])
}

/// Hash over the partners, in order of institution; `places` are their bits by place in the key list.
pub fn partners_root(keys_root: &Hash, places: u64, partners: &[Partner]) -> Hash {
    let mut bytes = b"consilium/partners/1".to_vec();
    bytes.extend_from_slice(keys_root.as_bytes());
    bytes.extend_from_slice(&places.to_le_bytes());
    for partner in partners {
        bytes.extend_from_slice(&partner.institution.0);
        bytes.extend_from_slice(partner.deal.as_bytes());
        bytes.extend_from_slice(&partner.weight.to_le_bytes());
    }
    blake2(&[&bytes])
}

/// The shares that a reveal gives: for which of so many partners, by place, and each 32 bytes. `None` where it says so otherwise
/// than agreed.
pub fn shares(reveal: &[u8], partners: u32) -> Option<Vec<(u32, &[u8])>> {
    let (head, rest) = reveal.split_first_chunk::<8>()?;
    let mask = u64::from_le_bytes(*head);
    let known = 1u64.checked_shl(partners).map_or(u64::MAX, |bit| bit.wrapping_sub(1));
    if mask & !known != 0 || u32::try_from(reveal.len()).ok()? != reveal_len(mask.count_ones()) {
        return None;
    }
    let places = (0..partners).filter(|place| mask & 1u64.checked_shl(*place).unwrap_or(0) != 0);
    Some(places.zip(rest.chunks_exact(SHARE as usize)).collect())
}
