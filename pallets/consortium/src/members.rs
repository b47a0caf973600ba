//! Who belongs to the network: what the node reads, and what the genesis says of it.

use crate::{
    is_valid_address,
    pallet::{Addresses, Config, Founding, Institutions, Pallet, Thresholds},
    terms, Address, AddressList,
};
use alloc::vec::Vec;
use consilium_primitives::Member;
use frame_support::traits::Get;

impl<T: Config> Pallet<T> {
    /// All institutions by account, in ascending order, as the node must know them.
    pub fn members() -> Vec<Member<T::AccountId>> {
        let mut members: Vec<_> = Institutions::<T>::iter()
            .map(|(account, it)| Member {
                validator: it.is_active_validator(),
                participant: it.is_active_participant(),
                suspended: it.suspended,
                leaving: false,
                at_once: false,
                peer_ids: it.peer_id.into_iter().map(|id| id.into_inner()).collect(),
                addresses: Addresses::<T>::get(&account).into_iter().map(|address| address.into_inner()).collect(),
                name: it.name.into_inner(),
                account,
            })
            .collect();
        members.sort_by(|a, b| a.account.cmp(&b.account));
        members
    }

    /// The accounts in the active and in the queued set of validators, ascending.
    pub fn keep_connected() -> Vec<T::AccountId> {
        let queued = pallet_session::Pallet::<T>::queued_keys().into_iter().map(|(who, _)| who);
        let mut all: Vec<_> = pallet_session::Pallet::<T>::validators().into_iter().chain(queued).collect();
        all.sort();
        all.dedup();
        all
    }

    pub(crate) fn build_terms(founding: &terms::Founding, thresholds: &terms::Thresholds) {
        assert!(
            founding.upgrade_delay > 0 && founding.silence > 0 && founding.motion_life > 0,
            "consortium genesis: a duration of its founding is 0"
        );
        assert!(
            thresholds.are_sound(T::MaxInstitutions::get()),
            "consortium genesis: a threshold is half of the voices or less, or one of four institutions could hold it up"
        );
        Founding::<T>::put(founding);
        Thresholds::<T>::put(thresholds);
    }

    pub(crate) fn build_addresses(addresses: &[(T::AccountId, Vec<Vec<u8>>)]) {
        let private = Founding::<T>::get().private_addresses;
        for (who, texts) in addresses {
            assert!(
                Institutions::<T>::contains_key(who),
                "consortium genesis: {who:?} has addresses but is no institution"
            );
            let list: Vec<Address> = texts
                .iter()
                .map(|text| {
                    assert!(
                        is_valid_address(text, private),
                        "consortium genesis: an address of {who:?} is not /dns, /ip4 or /ip6 with /tcp and a port, or not public"
                    );
                    Address::truncate_from(text.clone())
                })
                .collect();
            let Ok(list) = AddressList::try_from(list) else {
                panic!("consortium genesis: {who:?} has more than 4 addresses");
            };
            assert!(!Addresses::<T>::contains_key(who), "consortium genesis: the addresses of {who:?} are given twice");
            Addresses::<T>::insert(who, list);
        }
    }
}
