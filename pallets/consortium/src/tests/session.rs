//! The set of validators, with the real session pallet.

use super::*;
use crate::{Changed, Error, LastEnd};
use crate::{Event, PlannedValidators};
use consilium_primitives::blocks;
use frame_support::{assert_noop, assert_ok, dispatch::DispatchClass, traits::EstimateNextSessionRotation};
use pallet_session::SessionManager;

fn new_session(index: u32) -> Option<Vec<u64>> {
    <Consortium as SessionManager<u64>>::new_session(index)
}

#[test]
fn an_unchanged_set_is_not_handed_over_again() {
    run(|| {
        assert_eq!(new_session(2), None);
        assert_ok!(Consortium::do_set_flags(4, false, false));
        assert_eq!(new_session(3), None);
        advance_sessions(3);
        assert_eq!(Session::validators(), vec![1, 2, 3]);
        let queued = pallet_session::Event::<Test>::NewQueued;
        assert!(System::events().iter().all(|record| record.event != queued.clone().into()));
    });
}

#[test]
fn a_changed_set_is_handed_over_once_and_in_ascending_order() {
    run(|| {
        assert_ok!(Consortium::do_admit(0, name("Z"), false, false));
        register_keys(0);
        assert_ok!(Consortium::do_set_flags(0, true, false));
        step_in(0);
        assert_eq!(new_session(2), Some(vec![0, 1, 2, 3]));
        assert_eq!(last_event(), Event::ValidatorsPlanned { session: 2, validators: 4 }.into());
        assert_eq!(new_session(3), None);
        assert_ok!(Consortium::do_suspend(2));
        assert_eq!(new_session(4), Some(vec![0, 1, 3]));
        assert_ok!(Consortium::do_reinstate(2));
        step_in(2);
        assert_ok!(Consortium::do_suspend(2));
        assert_eq!(new_session(5), None);
    });
}

#[test]
fn a_new_validator_makes_blocks_after_two_sessions_at_most() {
    run(|| {
        assert_ok!(Consortium::do_admit(7, name("G"), false, true));
        register_keys(7);
        assert_ok!(Consortium::do_set_flags(7, true, true));
        step_in(7);
        advance_sessions(1);
        assert_eq!(Session::validators(), vec![1, 2, 3]);
        advance_sessions(1);
        assert_eq!(Session::validators(), vec![1, 2, 3, 7]);
    });
}

#[test]
fn an_institution_that_left_makes_no_blocks_after_two_sessions() {
    run(|| {
        assert_ok!(Consortium::leave(RuntimeOrigin::signed(1)));
        advance_sessions(2);
        assert_eq!(Session::validators(), vec![2, 3]);
    });
}

#[test]
fn below_the_minimum_the_set_is_kept() {
    run(|| {
        assert_ok!(Session::purge_keys(RuntimeOrigin::signed(2)));
        assert_ok!(Session::purge_keys(RuntimeOrigin::signed(3)));
        assert_eq!(new_session(2), None);
    });
}

#[test]
fn a_validator_that_purged_its_keys_returns_once_it_has_registered_new_ones() {
    run(|| {
        assert_ok!(Session::purge_keys(RuntimeOrigin::signed(3)));
        advance_sessions(2);
        assert_eq!(Session::validators(), vec![1, 2]);
        register_keys(3);
        advance_sessions(2);
        assert_eq!(Session::validators(), vec![1, 2, 3]);
    });
}

#[test]
fn validators_skipped_below_the_minimum_return_once_they_have_keys() {
    run(|| {
        assert_ok!(Session::purge_keys(RuntimeOrigin::signed(2)));
        assert_ok!(Session::purge_keys(RuntimeOrigin::signed(3)));
        advance_sessions(2);
        assert_eq!(Session::validators(), vec![1]);
        assert_eq!(PlannedValidators::<Test>::get().into_inner(), vec![1]);
        register_keys(2);
        register_keys(3);
        advance_sessions(2);
        assert_eq!(Session::validators(), vec![1, 2, 3]);
    });
}

#[test]
fn a_consortium_that_begins_empty_takes_over_once_it_has_enough_validators() {
    run_with(vec![], vec![], &[8, 9], || {
        assert_eq!(new_session(2), None);
        assert_ok!(Consortium::do_admit(8, name("H"), true, true));
        step_in(8);
        assert_eq!(new_session(3), None);
        assert_ok!(Consortium::do_admit(9, name("I"), true, true));
        step_in(9);
        assert_eq!(new_session(4), Some(vec![8, 9]));
    });
}

#[test]
fn planning_a_session_is_paid_for_as_mandatory_weight() {
    run(|| {
        let before = System::block_weight().get(DispatchClass::Mandatory).ref_time();
        new_session(2);
        let after = System::block_weight().get(DispatchClass::Mandatory).ref_time();
        assert_eq!(after - before, <crate::weights::Measured<Test> as crate::WeightInfo>::new_session(4).ref_time());
    });
}

#[test]
fn a_session_ends_soon_after_a_change_and_else_once_an_hour() {
    run(|| {
        let (soon, hour) = (blocks(crate::SETTLE_MILLIS), blocks(crate::SESSION_MILLIS));
        advance_sessions(1);
        assert_eq!(LastEnd::<Test>::get(), hour);
        next_block();
        assert_ok!(Consortium::do_suspend(1));
        assert_eq!(Consortium::estimate_next_session_rotation(0).0, Some(u64::from(hour + soon)));
        advance_sessions(1);
        assert_eq!((LastEnd::<Test>::get(), Session::validators()), (hour + soon, vec![1, 2, 3]));
        advance_sessions(1);
        assert_eq!((LastEnd::<Test>::get(), Session::validators()), (hour + 2 * soon, vec![2, 3]));
        assert_eq!(Changed::<Test>::get(), None);
        advance_sessions(1);
        assert_eq!(LastEnd::<Test>::get(), 2 * hour + 2 * soon);
        assert_eq!(Consortium::average_session_length(), u64::from(hour));
    });
}

fn rotate(who: u64, keys: (Vec<u8>, Vec<u8>)) -> frame_support::dispatch::DispatchResult {
    let (keys, proof) = (keys.0.try_into().unwrap(), keys.1.try_into().unwrap());
    Consortium::rotate_keys(RuntimeOrigin::signed(who), keys, proof)
}

fn key_of(who: u64) -> Vec<u8> {
    codec::Encode::encode(&pallet_session::NextKeys::<Test>::get(who))
}

#[test]
fn new_session_keys_are_in_force_after_two_sessions_which_end_soon() {
    run(|| {
        assert_ok!(rotate(1, keys_of(1, 11)));
        assert_eq!(last_event(), Event::KeysRotated { institution: 1 }.into());
        assert!(stored(1).waits_since.is_none(), "its node stays in step");
        let queued = || Session::queued_keys().iter().any(|(who, keys)| *who == 1 && keys.dummy.0 == 11);
        assert!(!queued());
        advance_sessions(1);
        assert!(queued() && Changed::<Test>::exists());
        advance_sessions(1);
        assert!(LastEnd::<Test>::get() <= 2 * blocks(crate::SETTLE_MILLIS) && !Changed::<Test>::exists());
        // the next ones within the hour wait for its end
        assert_ok!(rotate(1, keys_of(1, 12)));
        assert!(!Changed::<Test>::exists());
        // who makes no blocks changes no set
        assert_ok!(rotate(4, keys_of(4, 14)));
        assert!(!Changed::<Test>::exists());
    });
}

#[test]
fn session_keys_are_ones_own_and_proven() {
    run(|| {
        let before = key_of(1);
        assert_noop!(rotate(9, keys_of(9, 9)), Error::<Test>::NotAnInstitution);
        assert_noop!(rotate(1, (vec![1, 2, 3], vec![])), Error::<Test>::InvalidSessionKeys);
        assert_noop!(rotate(1, keys_of(2, 11)), pallet_session::Error::<Test>::InvalidProof);
        assert_noop!(rotate(1, keys_of(1, 2)), pallet_session::Error::<Test>::DuplicatedKey);
        assert_eq!(key_of(1), before);
    });
}
