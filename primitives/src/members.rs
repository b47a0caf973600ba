//! What the chain says about the members of a consortium to the node.

use crate::text::{Address, Name};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// An institution of the consortium.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Member<AccountId> {
    /// The institution.
    pub account: AccountId,
    /// Its name.
    pub name: Name,
    /// Multihash bytes of its node's peer id, once registered; for an hour after a change the one before, too, as the second.
    pub peer_ids: Vec<Vec<u8>>,
    /// Where its node can be reached: multiaddresses without the peer id. None: it only dials.
    pub addresses: Vec<Address>,
    /// Is to make and finalise blocks: has the flag and is not suspended.
    pub validator: bool,
    /// May take part in studies.
    pub participant: bool,
    /// Suspended: follows the chain, and does nothing else.
    pub suspended: bool,
    /// Removed or left, but still in a set of validators; then no other flag but the next is set.
    pub leaving: bool,
    /// Removed, and to be cut off at once although it is still in a set.
    pub at_once: bool,
}
