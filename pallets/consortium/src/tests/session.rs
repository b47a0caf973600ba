//! The set of validators, with the real session pallet.

use super::*;
use crate::{Event, PlannedValidators};
use frame_support::{assert_ok, dispatch::DispatchClass};
use pallet_session::SessionManager;

fn root() -> RuntimeOrigin {
    RuntimeOrigin::root()
}

fn new_session(index: u32) -> Option<Vec<u64>> {
    <Consortium as SessionManager<u64>>::new_session(index)
}

#[test]
fn an_unchanged_set_is_not_handed_over_again() {
    run(|| {
        assert_eq!(new_session(2), None);
        assert_ok!(Consortium::set_flags(root(), 4, false, false));
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
        assert_ok!(Consortium::admit(root(), 0, name("Z"), false, false));
        register_keys(0);
        assert_ok!(Consortium::set_flags(root(), 0, true, false));
        assert_eq!(new_session(2), Some(vec![0, 1, 2, 3]));
        assert_eq!(last_event(), Event::ValidatorsPlanned { session: 2, validators: 4 }.into());
        assert_eq!(new_session(3), None);
        assert_ok!(Consortium::suspend(root(), 2));
        assert_eq!(new_session(4), Some(vec![0, 1, 3]));
        assert_ok!(Consortium::reinstate(root(), 2));
        assert_ok!(Consortium::suspend(root(), 2));
        assert_eq!(new_session(5), None);
    });
}

#[test]
fn a_new_validator_makes_blocks_after_two_sessions_at_most() {
    run(|| {
        assert_ok!(Consortium::admit(root(), 7, name("G"), false, true));
        register_keys(7);
        assert_ok!(Consortium::set_flags(root(), 7, true, true));
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
        assert_ok!(Consortium::admit(root(), 8, name("H"), true, true));
        assert_eq!(new_session(3), None);
        assert_ok!(Consortium::admit(root(), 9, name("I"), true, true));
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
