//! The peer ids of institutions' nodes: how one is claimed, and for how long the one before counts beside it.

use crate::{
    node_key_of,
    pallet::{Config, Error, Event, Institutions, Pallet, PeerIds, PreviousPeer},
    peer_id_claim, peer_id_of, Institution, PeerId,
};
use alloc::vec::Vec;
use consilium_primitives::blocks;
use frame_support::{dispatch::DispatchResult, ensure};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_core::ed25519;
use sp_runtime::traits::Zero;

/// For so long, in milliseconds, a node's peer id counts after its institution has claimed another: others learn of the
/// new one from the chain, and the node needs to be restarted with it.
pub const PREVIOUS_MILLIS: u64 = 3_600_000;

impl<T: Config> Pallet<T> {
    /// What the node with this peer id signs to belong to `institution` on this chain; see [`peer_id_claim`].
    pub fn peer_id_claim(institution: &T::AccountId, peer_id: &PeerId) -> Vec<u8> {
        peer_id_claim(Self::genesis().as_ref(), institution, peer_id)
    }

    /// Hash of this chain's first block.
    pub(crate) fn genesis() -> T::Hash {
        frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
    }

    pub(crate) fn do_set_peer_id(who: T::AccountId, node_key: [u8; 32], signature: [u8; 64]) -> DispatchResult {
        let mut institution = Self::institution(&who)?;
        let peer_id = peer_id_of(&node_key);
        let other = PeerIds::<T>::get(&peer_id).filter(|owner| *owner != who);
        ensure!(other.as_ref().is_none_or(|owner| Self::was_given_up(owner, &peer_id)), Error::<T>::PeerIdTaken);
        ensure!(
            sp_io::crypto::ed25519_verify(
                &ed25519::Signature::from_raw(signature),
                &Self::peer_id_claim(&who, &peer_id),
                &ed25519::Public::from_raw(node_key),
            ),
            Error::<T>::InvalidPeerIdSignature
        );

        if let Some(owner) = other {
            PreviousPeer::<T>::remove(owner);
        }
        let before = institution.peer_id.replace(peer_id.clone());
        if let Some(before) = before.filter(|before| *before != peer_id) {
            if let Some((older, _)) = PreviousPeer::<T>::take(&who) {
                PeerIds::<T>::remove(older);
            }
            PreviousPeer::<T>::insert(&who, (before, Self::now().saturating_add(blocks(PREVIOUS_MILLIS))));
        }
        PeerIds::<T>::insert(&peer_id, &who);
        Institutions::<T>::insert(&who, institution);
        Self::deposit_event(Event::PeerIdSet { institution: who, peer_id });
        Ok(())
    }

    /// The peer ids that count for `who`: the one it claimed last, and the one before it for an hour.
    pub(crate) fn peer_ids_of(who: &T::AccountId, institution: &Institution) -> Vec<Vec<u8>> {
        let previous =
            PreviousPeer::<T>::get(who).filter(|(_, until)| *until >= Self::now()).map(|(peer_id, _)| peer_id);
        institution.peer_id.iter().cloned().chain(previous).map(PeerId::into_inner).collect()
    }

    /// Whether `peer_id` is what `owner` had before, and its hour is over.
    fn was_given_up(owner: &T::AccountId, peer_id: &PeerId) -> bool {
        PreviousPeer::<T>::get(owner).is_some_and(|(before, until)| before == *peer_id && until < Self::now())
    }

    /// The peer id in its one form, or `None`.
    pub(crate) fn well_formed(peer_id: &[u8]) -> Option<PeerId> {
        node_key_of(peer_id).map(|key| peer_id_of(&key))
    }
}
