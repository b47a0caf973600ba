//! The consortium at the first block, and what a genesis must not be.

use super::*;
use crate::{peer_id_of, GenesisConfig, Institutions, PlannedValidators};
use frame_support::traits::StorageVersion;
use sp_core::Pair;

fn peer_id(seed: u8) -> Vec<u8> {
    peer_id_of(&node_key(seed).public().0).to_vec()
}

#[test]
fn genesis_admits_its_institutions_with_peer_ids_and_accounts() {
    run_with(genesis_institutions(), vec![(1, peer_id(1)), (4, peer_id(4))], &[1, 2, 3], || {
        assert_eq!(Stored::<Test>::count(), 4);
        assert_eq!(Consortium::peer_id(&4), Some(peer_id(4)));
        assert_eq!(Consortium::peer_id(&2), None);
        assert!((1..=4).all(|who| System::providers(&who) == 1));
        assert_eq!(StorageVersion::get::<Consortium>(), StorageVersion::new(2));
    });
}

#[test]
fn genesis_hands_its_validators_to_the_session_pallet() {
    run(|| {
        assert_eq!(Session::validators(), vec![1, 2, 3]);
        assert_eq!(PlannedValidators::<Test>::get().into_inner(), vec![1, 2, 3]);
    });
}

#[test]
fn genesis_does_not_ask_for_session_keys() {
    run_with(genesis_institutions(), vec![], &[], || {
        assert_eq!(Consortium::validator_count(), 3);
    });
}

#[test]
fn an_empty_genesis_leaves_the_session_pallet_its_own_list() {
    run_with(vec![], vec![], &[8, 9], || {
        assert_eq!(Session::validators(), vec![8, 9]);
        assert!(PlannedValidators::<Test>::get().is_empty());
    });
}

#[test]
fn a_preset_gives_accounts_names_and_flags_as_json() {
    let mut json = serde_json::to_value(GenesisConfig::<Test>::default()).unwrap();
    json["institutions"] = serde_json::json!([[1, b"A", true, true], [2, b"B", true, false]]);
    json["peerIds"] = serde_json::json!([[1, peer_id(1)]]);
    json["addresses"] = serde_json::json!([[1, [b"/dns/node.a.example/tcp/1"]]]);
    json["founding"]["upgradeDelay"] = 1_000.into();
    let config: GenesisConfig<Test> = serde_json::from_value(json).unwrap();
    assert_eq!(config.addresses, vec![(1, vec![b"/dns/node.a.example/tcp/1".to_vec()])]);
    assert_eq!(config.founding.upgrade_delay, 1_000);
    assert_eq!(config.institutions[1], (2, b"B".to_vec(), true, false));
    assert_eq!(config.peer_ids, vec![(1, peer_id(1))]);
}

#[test]
#[should_panic(expected = "1 validators, at least 2 are needed")]
fn a_genesis_with_too_few_validators_is_refused() {
    ext_with(vec![(1, b"A".to_vec(), true, true), (2, b"B".to_vec(), false, true)], vec![], &[]);
}

#[test]
#[should_panic(expected = "9 institutions, at most 8 are allowed")]
fn a_genesis_with_too_many_institutions_is_refused() {
    ext_with((1..=9).map(|who| (who, b"X".to_vec(), true, true)).collect(), vec![], &[]);
}

#[test]
#[should_panic(expected = "2 is named twice")]
fn a_genesis_that_names_an_account_twice_is_refused() {
    ext_with(vec![(2, b"A".to_vec(), true, true), (2, b"B".to_vec(), true, true)], vec![], &[]);
}

#[test]
#[should_panic(expected = "name of 1 is empty or not plain text")]
fn a_genesis_with_an_empty_name_is_refused() {
    ext_with(vec![(1, vec![], true, true)], vec![], &[]);
}

#[test]
#[should_panic(expected = "name of 1 is longer than 64 bytes")]
fn a_genesis_with_an_overlong_name_is_refused() {
    ext_with(vec![(1, vec![b'x'; 65], true, true)], vec![], &[]);
}

#[test]
#[should_panic(expected = "peer id of 1 is not that of an ed25519 key")]
fn a_genesis_with_a_malformed_peer_id_is_refused() {
    ext_with(genesis_institutions(), vec![(1, vec![0; 38])], &[]);
}

#[test]
#[should_panic(expected = "peer id of 2 is given twice")]
fn a_genesis_with_a_shared_peer_id_is_refused() {
    ext_with(genesis_institutions(), vec![(1, peer_id(1)), (2, peer_id(1))], &[]);
}

#[test]
#[should_panic(expected = "1 has two peer ids")]
fn a_genesis_with_two_peer_ids_for_an_institution_is_refused() {
    ext_with(genesis_institutions(), vec![(1, peer_id(1)), (1, peer_id(2))], &[]);
}

#[test]
#[should_panic(expected = "7 has a peer id but is no institution")]
fn a_genesis_with_a_stranger_s_peer_id_is_refused() {
    ext_with(genesis_institutions(), vec![(7, peer_id(1))], &[]);
}
