//! What can be decided, and how an open motion is kept.

use crate::{terms, AddressList, Name};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;

/// Most motions that one institution may have open.
pub const MAX_PROPOSED: u32 = 3;
/// Most voices on one side of a motion: no consortium can have more institutions.
pub const MAX_VOICES: u32 = 64;
/// For so long, in milliseconds, somebody suspended or removed still counts in the electorate of what is weighty, a newcomer
/// does not yet, and whose account was replaced is counted but not heard: no majority gets one of three quarters by
/// suspending, removing, admitting or taking over first.
pub const VOICE_MILLIS: u64 = 14 * 24 * 3_600_000;

/// Accounts, in the order in which they voted.
pub type Voices<AccountId> = BoundedVec<AccountId, ConstU32<MAX_VOICES>>;

/// Session keys, encoded.
pub type Keys = BoundedVec<u8, ConstU32<256>>;
/// The proof of their possession, encoded.
pub type Proof = BoundedVec<u8, ConstU32<512>>;

/// A newcomer, in one act.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Admission<AccountId> {
    /// Its account.
    pub who: AccountId,
    /// Its name.
    pub name: Name,
    /// Is to make blocks.
    pub validator: bool,
    /// May take part in studies.
    pub participant: bool,
    /// The ed25519 public key of its node.
    pub node_key: [u8; 32],
    /// That key's signature of [`peer_id_claim`](crate::peer_id_claim).
    pub claim: [u8; 64],
    /// Where its node can be reached.
    pub addresses: AddressList,
    /// Its session keys, encoded.
    pub keys: Keys,
    /// The keys' proof of possession for its account, encoded.
    pub proof: Proof,
}

/// What can be decided.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub enum Motion<AccountId, Hash> {
    /// Admit an institution.
    Admit(Admission<AccountId>),
    /// Set both flags of an institution.
    SetFlags {
        /// The institution.
        who: AccountId,
        /// Is to make blocks.
        validator: bool,
        /// May take part in studies.
        participant: bool,
    },
    /// Suspend an institution.
    Suspend {
        /// The institution.
        who: AccountId,
    },
    /// Reinstate a suspended institution.
    Reinstate {
        /// The institution.
        who: AccountId,
    },
    /// Remove an institution for good.
    Remove {
        /// The institution.
        who: AccountId,
        /// Its node is cut off at once, although it may still be needed for finality.
        at_once: bool,
    },
    /// Set how many voices decide what.
    SetThresholds(terms::Thresholds),
    /// A new runtime with this BLAKE2b-256 hash, so many blocks after the deciding vote.
    Upgrade {
        /// Hash of the code.
        code: Hash,
        /// How long it waits, in blocks.
        delay: u32,
    },
    /// Call the pending runtime off.
    CancelUpgrade,
    /// Let GRANDPA go on with the validators that are left, after so many blocks, from this finalised block.
    Rescue {
        /// How long it waits, in blocks.
        delay: u32,
        /// Number of the last finalised block.
        best_final: u32,
    },
    /// Let another account sign for an institution.
    RotateAccount {
        /// The institution.
        who: AccountId,
        /// The account.
        to: AccountId,
    },
}

/// A motion that is voted on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Open<AccountId, Hash> {
    /// What is to be decided.
    pub motion: Motion<AccountId, Hash>,
    /// Who proposed it.
    pub proposer: AccountId,
    /// Who is for it.
    pub ayes: Voices<AccountId>,
    /// Who is against it.
    pub nays: Voices<AccountId>,
    /// Block in which it was proposed.
    pub proposed_at: u32,
    /// Last block in which it can be voted on.
    pub until: u32,
}
