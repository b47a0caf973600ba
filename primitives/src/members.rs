//! What the chain says about the members of a consortium to the node.

use alloc::vec::Vec;
use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// An institution of the consortium.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Member<AccountId> {
    /// The institution.
    pub account: AccountId,
    /// Its name, in UTF-8.
    pub name: Vec<u8>,
    /// Multihash bytes of its node's peer id, once registered: one, so far.
    pub peer_ids: Vec<Vec<u8>>,
    /// Where its node can be reached: multiaddresses as UTF-8 text, without the peer id. None: it only dials.
    pub addresses: Vec<Vec<u8>>,
    /// Is to make and finalise blocks: has the flag and is not suspended.
    pub validator: bool,
    /// May take part in studies.
    pub participant: bool,
    /// Suspended: follows the chain, and does nothing else.
    pub suspended: bool,
    /// Removed or left, but still in a set of validators. Never set so far: such an institution is not listed.
    pub leaving: bool,
    /// Removed, and to be cut off at once although it may still be in a set. Never set so far.
    pub at_once: bool,
}
