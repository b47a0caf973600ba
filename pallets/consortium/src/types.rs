//! What an institution is on chain, how a node's peer id is written and claimed, and what other pallets may ask.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use consilium_primitives::text::{unseen, Name, Text};
use frame_support::{traits::ConstU32, weights::Weight, BoundedVec};
use scale_info::TypeInfo;

/// Longest profile of an institution, in bytes of UTF-8.
pub const MAX_PROFILE_LEN: u32 = 512;
/// Longest peer id that the storage can hold, in bytes. The only form accepted today has [`PEER_ID_LEN`] bytes.
pub const MAX_PEER_ID_LEN: u32 = 64;

/// What an institution says about itself: UTF-8, no control or format characters but the line feed.
pub type Profile = Text<MAX_PROFILE_LEN>;
/// A libp2p peer id as bytes: an identity multihash of the node's ed25519 key.
pub type PeerId = BoundedVec<u8, ConstU32<MAX_PEER_ID_LEN>>;

/// One institution of the consortium.
///
/// The two flags are independent: a validator makes blocks, a participant takes part in studies.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Institution {
    /// Name given at admission.
    pub name: Name,
    /// Is to make and finalise blocks.
    pub validator: bool,
    /// May take part in studies.
    pub participant: bool,
    /// Neither flag has effect until the institution is reinstated.
    pub suspended: bool,
    /// What the institution says about itself, a contact address for example.
    pub profile: Profile,
    /// Peer id of its node, once claimed.
    pub peer_id: Option<PeerId>,
    /// Block of its admission; 0 for founders.
    pub admitted_at: u32,
    /// Block of its suspension, while it is suspended.
    pub suspended_at: Option<u32>,
    /// Block since which it waits for its node to say that it is in step; until then it is no standing validator.
    pub waits_since: Option<u32>,
    /// Block in which another account was let sign for it.
    pub rotated_at: Option<u32>,
    /// Block in which it last hastened the end of a session by new session keys.
    pub keys_at: Option<u32>,
}

impl Institution {
    /// Is to make blocks now: the flag is set and the institution is not suspended.
    pub fn is_active_validator(&self) -> bool {
        self.validator && !self.suspended
    }

    /// May take part in studies now: the flag is set and the institution is not suspended.
    pub fn is_active_participant(&self) -> bool {
        self.participant && !self.suspended
    }
}

/// Length of a peer id made from an ed25519 key, in bytes.
pub const PEER_ID_LEN: u32 = 38;

/// First bytes of what a node signs to say that it belongs to an institution.
pub const PEER_ID_CONTEXT: &[u8] = b"consilium/peer/1";

/// Identity multihash (code 0, 36 bytes) of a protobuf `PublicKey` of type ed25519 with 32 bytes of data.
/// Source: libp2p specification, "Peer Ids and Keys".
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The peer id, [`PEER_ID_LEN`] bytes, of a node with this ed25519 public key. Its base58 form begins with `12D3KooW`.
pub fn peer_id_of(node_key: &[u8; 32]) -> PeerId {
    BoundedVec::truncate_from([&PEER_ID_PREFIX[..], &node_key[..]].concat())
}

/// The ed25519 public key within a peer id, or `None` if the bytes have another form.
pub fn node_key_of(peer_id: &[u8]) -> Option<[u8; 32]> {
    peer_id.strip_prefix(&PEER_ID_PREFIX).and_then(|key| key.try_into().ok())
}

/// What the node with `peer_id` signs with its node key to claim that it belongs to an institution:
/// `"consilium/peer/1" ‖ genesis hash ‖ SCALE of the institution's account ‖ peer id`.
///
/// The genesis hash keeps a claim within its chain, the account keeps anyone else from using it.
pub fn peer_id_claim<AccountId: Encode>(genesis: &[u8], institution: &AccountId, peer_id: &[u8]) -> Vec<u8> {
    [PEER_ID_CONTEXT, genesis, &institution.encode(), peer_id].concat()
}

/// Whether `name` may name an institution: UTF-8, not empty, without control or format characters, with which it could be
/// shown as another's.
pub(crate) fn is_valid_name(name: &[u8]) -> bool {
    !name.is_empty() && core::str::from_utf8(name).is_ok_and(|text| !text.chars().any(unseen))
}

/// Whether `profile` may be shown: UTF-8, without control or format characters but the line feed.
pub(crate) fn is_valid_profile(profile: &[u8]) -> bool {
    core::str::from_utf8(profile).is_ok_and(|text| !text.chars().any(|c| unseen(c) && c != '\n'))
}

/// What other pallets may ask about the consortium. Implemented by [`Pallet`](crate::Pallet).
///
/// Not to be confused with the storage map of the same name, [`pallet::Institutions`](crate::pallet::Institutions).
pub trait Institutions<AccountId> {
    /// Whether `who` may take part in studies: has the participant flag and is not suspended.
    fn is_participant(who: &AccountId) -> bool;
    /// Whether `who` belongs to the consortium: is admitted and not suspended.
    fn is_member(who: &AccountId) -> bool;
    /// Number of institutions that have the validator flag and are not suspended.
    fn validator_count() -> u32;
    /// Peer id of the node of `who` as claimed, also while `who` is suspended.
    fn peer_id(who: &AccountId) -> Option<Vec<u8>>;
    /// All institutions by account, in ascending order, the suspended ones among them.
    fn all() -> Vec<(AccountId, Institution)>;
}

/// Told when an institution may no longer take part in studies.
///
/// Called upon suspension, loss of the participant flag, leaving and removal, after the change is stored. May name an
/// institution that takes part in nothing, or one named before (suspended, then removed): an implementor has to stand both.
pub trait OnDeparture<AccountId> {
    /// `who` departed: nothing may wait for it any longer.
    fn departed(who: &AccountId);

    /// Of whom something is in a merge that runs: others may still ask these for it, also after they departed.
    fn serving() -> Vec<AccountId> {
        Vec::new()
    }

    /// Most weight that [`departed`](Self::departed) and [`serving`](Self::serving) may take together. Added to the weight of
    /// every call that may lead to them.
    fn weight() -> Weight {
        Weight::zero()
    }
}

impl<AccountId> OnDeparture<AccountId> for () {
    fn departed(_who: &AccountId) {}
}

/// Lets finality go on without validators that are gone for good.
pub trait NoteStalled {
    /// Notes that finality stands at block `best_final`, to be forced on `delay` blocks after the next session begins.
    ///
    /// # Errors
    /// What the finality gadget has against it.
    fn note_stalled(delay: u32, best_final: u32) -> frame_support::dispatch::DispatchResult;

    /// Whether a change of who votes on finality is under way.
    fn pending() -> bool;
}

/// What the chain itself has seen, which this pallet must know when nothing can be voted on any more.
pub trait Witness<AccountId> {
    /// Who has made the block that is being run, and in which slot; asked before the validators change in it.
    fn author() -> Option<(AccountId, u64)>;

    /// Whether this is the account's signature of these bytes.
    fn has_signed(who: &AccountId, said: &[u8], signature: &[u8; 64]) -> bool;
}

/// Gives an institution session keys in a benchmark; which keys is the runtime's affair.
#[cfg(any(feature = "runtime-benchmarks", test))]
pub trait BenchmarkHelper<AccountId, ReadyKey> {
    /// Makes the runtime's `Keys` say that `who` has registered session keys.
    fn register_keys(who: &AccountId);
    /// The same, with this one among them.
    fn register_ready_key(who: &AccountId, key: ReadyKey);
    /// Session keys that are in the keystore, and their proof for `who`, encoded.
    fn generate_keys(who: &AccountId) -> (Vec<u8>, Vec<u8>);
}
