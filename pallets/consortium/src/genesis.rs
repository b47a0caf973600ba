//! The consortium at the first block.

use crate::{
    is_valid_address,
    pallet::{Addresses, Config, Founding, Institutions, Pallet, PeerIds, Thresholds},
    terms,
    types::is_valid_name,
    Address, AddressList, Name,
};
use alloc::vec::Vec;
use frame_support::traits::Get;

impl<T: Config> Pallet<T> {
    pub(crate) fn build_institutions(
        institutions: &[(T::AccountId, Vec<u8>, bool, bool)],
        peer_ids: &[(T::AccountId, Vec<u8>)],
    ) {
        for (who, name, validator, participant) in institutions {
            assert!(is_valid_name(name), "consortium genesis: name of {who:?} is empty or not plain text");
            assert!(!Institutions::<T>::contains_key(who), "consortium genesis: {who:?} is named twice");
            let Ok(name) = Name::try_from(name.clone()) else {
                panic!("consortium genesis: name of {who:?} is longer than 64 bytes");
            };
            Self::enter(who, name, *validator, *participant, None);
        }
        for (who, peer_id) in peer_ids {
            let Some(peer_id) = Self::well_formed(peer_id) else {
                panic!("consortium genesis: peer id of {who:?} is not that of an ed25519 key (38 bytes)");
            };
            assert!(!PeerIds::<T>::contains_key(&peer_id), "consortium genesis: peer id of {who:?} is given twice");
            let Some(mut institution) = Institutions::<T>::get(who) else {
                panic!("consortium genesis: {who:?} has a peer id but is no institution");
            };
            assert!(institution.peer_id.is_none(), "consortium genesis: {who:?} has two peer ids");
            institution.peer_id = Some(peer_id.clone());
            Institutions::<T>::insert(who, institution);
            PeerIds::<T>::insert(peer_id, who);
        }

        let (count, most) = (Institutions::<T>::count(), T::MaxInstitutions::get());
        assert!(count <= most, "consortium genesis: {count} institutions, at most {most} are allowed");
        let (validators, fewest) = (Self::active_validator_count(), T::MinValidators::get());
        assert!(
            count == 0 || validators >= fewest,
            "consortium genesis: {validators} validators, at least {fewest} are needed"
        );
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
