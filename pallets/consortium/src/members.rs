//! Who belongs to the network: what the node reads.

use crate::{
    pallet::{Addresses, Config, Institutions, Leaving, Pallet},
    PeerId,
};
use alloc::vec::Vec;
use consilium_primitives::Member;

impl<T: Config> Pallet<T> {
    /// All institutions by account, in ascending order, as the node must know them, and those that are leaving.
    pub fn members() -> Vec<Member<T::AccountId>> {
        let mut members: Vec<_> = Institutions::<T>::iter()
            .map(|(account, it)| Member {
                validator: it.is_active_validator(),
                participant: it.is_active_participant(),
                suspended: it.suspended,
                leaving: false,
                at_once: false,
                peer_ids: Self::peer_ids_of(&account, &it),
                addresses: Addresses::<T>::get(&account).into_inner(),
                name: it.name,
                account,
            })
            .chain(Leaving::<T>::iter().map(|(account, it)| Member {
                validator: false,
                participant: false,
                suspended: false,
                leaving: true,
                at_once: it.at_once,
                peer_ids: it.peer_ids.into_iter().map(PeerId::into_inner).collect(),
                addresses: it.addresses.into_inner(),
                name: it.name,
                account,
            }))
            .collect();
        members.sort_by(|a, b| a.account.cmp(&b.account));
        members
    }

    /// The accounts in the active and in the queued set of validators, and those of who has left or was removed and goes on
    /// serving a merge; ascending.
    pub fn keep_connected() -> Vec<T::AccountId> {
        let mut all = Self::sets();
        all.extend(Leaving::<T>::iter().filter(|(_, it)| !it.at_once).map(|(who, _)| who));
        all.sort();
        all.dedup();
        all
    }

    /// The accounts in the active and in the queued set of validators, ascending.
    pub(crate) fn sets() -> Vec<T::AccountId> {
        let queued = pallet_session::Pallet::<T>::queued_keys().into_iter().map(|(who, _)| who);
        let mut all: Vec<_> = pallet_session::Pallet::<T>::validators().into_iter().chain(queued).collect();
        all.sort();
        all.dedup();
        all
    }
}
