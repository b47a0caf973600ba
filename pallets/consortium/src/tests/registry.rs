//! What motions do to an institution, each by its internal function.

use super::*;
use crate::{Error, Event, Institutions};
use frame_support::{assert_noop, assert_ok};

#[test]
fn admission_stores_the_institution_and_lets_its_account_sign() {
    run(|| {
        assert_eq!(System::providers(&7), 0);
        assert_ok!(Consortium::do_admit(7, name("Klinik Süd"), false, true));
        assert_eq!(System::providers(&7), 1);
        let institution = stored(7);
        assert_eq!(institution.name, name("Klinik Süd"));
        assert!(!institution.validator && institution.participant && !institution.suspended);
        assert!(institution.profile.is_empty() && institution.peer_id.is_none());
        assert_eq!(
            last_event(),
            Event::Admitted { institution: 7, name: name("Klinik Süd"), validator: false, participant: true }.into()
        );
        assert!(Consortium::is_participant(&7));
    });
}

#[test]
fn an_institution_cannot_be_admitted_twice_even_if_suspended() {
    run(|| {
        assert_noop!(Consortium::do_admit(1, name("A"), false, true), Error::<Test>::AlreadyAdmitted);
        assert_ok!(Consortium::do_suspend(4));
        assert_noop!(Consortium::do_admit(4, name("D"), false, true), Error::<Test>::AlreadyAdmitted);
    });
}

#[test]
fn a_name_must_be_plain_text() {
    run(|| {
        for bad in
            [&b""[..], b"\xff\xfe", b"two\nlines", b"\x1b[2Jscreen", "A\u{202e}B".as_bytes(), "A\u{200b}".as_bytes()]
        {
            let bad = Name::try_from(bad.to_vec()).unwrap();
            assert_noop!(Consortium::do_admit(7, bad, false, true), Error::<Test>::InvalidName);
        }
    });
}

#[test]
fn a_full_consortium_admits_nobody() {
    run(|| {
        for who in 5..=8 {
            assert_ok!(Consortium::do_admit(who, name("X"), false, true));
        }
        assert_noop!(Consortium::do_admit(9, name("X"), false, true), Error::<Test>::TooManyInstitutions);
        assert_ok!(Consortium::do_remove(8, false));
        assert_ok!(Consortium::do_admit(9, name("X"), false, true));
    });
}

#[test]
fn a_validator_needs_session_keys_first() {
    run(|| {
        assert_noop!(Consortium::do_admit(7, name("G"), true, true), Error::<Test>::NoSessionKeys);
        assert_ok!(Consortium::do_admit(7, name("G"), false, false));
        assert_noop!(Consortium::do_set_flags(7, true, true), Error::<Test>::NoSessionKeys);
        register_keys(7);
        assert_ok!(Consortium::do_set_flags(7, true, true));
        assert_eq!(last_event(), Event::FlagsSet { institution: 7, validator: true, participant: true }.into());
        assert_eq!(Consortium::validator_count(), 4);
        assert!(Consortium::is_active_validator(&7));
    });
}

#[test]
fn an_account_that_has_session_keys_may_be_admitted_as_validator() {
    run_with(genesis_institutions(), vec![], &[1, 2, 3, 7], || {
        assert_ok!(Consortium::do_admit(7, name("G"), true, false));
        assert!(Consortium::is_active_validator(&7));
        assert!(!Consortium::is_participant(&7));
    });
}

#[test]
fn flags_can_be_set_on_institutions_only() {
    run(|| {
        assert_noop!(Consortium::do_set_flags(7, false, true), Error::<Test>::NotAnInstitution);
    });
}

#[test]
fn losing_the_participant_flag_is_a_departure_and_losing_the_validator_flag_is_not() {
    run(|| {
        assert_ok!(Consortium::do_set_flags(1, false, true));
        assert_eq!(Departed::get(), Vec::<u64>::new());
        assert_ok!(Consortium::do_set_flags(1, false, false));
        assert_eq!(Departed::get(), vec![1]);
        assert_ok!(Consortium::do_set_flags(1, false, false));
        assert_eq!(Departed::get(), vec![1]);
    });
}

#[test]
fn a_suspended_institution_keeps_its_flags_without_effect_until_reinstated() {
    run(|| {
        assert_ok!(Consortium::do_suspend(1));
        assert_eq!(last_event(), Event::Suspended { institution: 1 }.into());
        assert!(stored(1).validator && stored(1).participant);
        assert!(!Consortium::is_member(&1) && !Consortium::is_participant(&1));
        assert!(!Consortium::is_active_validator(&1));
        assert_eq!(Consortium::validator_count(), 2);
        assert_eq!(Departed::get(), vec![1]);

        assert_ok!(Consortium::do_reinstate(1));
        assert_eq!(last_event(), Event::Reinstated { institution: 1 }.into());
        assert!(Consortium::is_member(&1) && Consortium::is_participant(&1));
        assert_eq!(Consortium::validator_count(), 3);
    });
}

#[test]
fn suspension_asks_for_an_institution_that_is_not_suspended() {
    run(|| {
        assert_noop!(Consortium::do_suspend(7), Error::<Test>::NotAnInstitution);
        assert_ok!(Consortium::do_suspend(4));
        assert_noop!(Consortium::do_suspend(4), Error::<Test>::AlreadySuspended);
    });
}

#[test]
fn reinstatement_asks_for_a_suspended_institution_with_keys_if_it_validates() {
    run(|| {
        assert_noop!(Consortium::do_reinstate(7), Error::<Test>::NotAnInstitution);
        assert_noop!(Consortium::do_reinstate(1), Error::<Test>::NotSuspended);
        assert_ok!(Consortium::do_suspend(1));
        assert_ok!(Session::purge_keys(RuntimeOrigin::signed(1)));
        assert_noop!(Consortium::do_reinstate(1), Error::<Test>::NoSessionKeys);
        assert_ok!(Consortium::do_set_flags(1, false, true));
        assert_ok!(Consortium::do_reinstate(1));
    });
}

#[test]
fn the_last_validators_can_be_neither_demoted_nor_suspended_nor_removed() {
    run(|| {
        assert_ok!(Consortium::do_remove(3, false));
        assert_noop!(Consortium::do_set_flags(1, false, true), Error::<Test>::TooFewValidators);
        assert_noop!(Consortium::do_suspend(1), Error::<Test>::TooFewValidators);
        assert_noop!(Consortium::do_remove(1, false), Error::<Test>::TooFewValidators);
        assert_ok!(Consortium::do_set_flags(1, true, false));
    });
}

#[test]
fn a_validator_without_keys_does_not_count_towards_the_minimum() {
    run(|| {
        assert_ok!(Session::purge_keys(RuntimeOrigin::signed(3)));
        assert_noop!(Consortium::do_remove(1, false), Error::<Test>::TooFewValidators);
        assert_ok!(Consortium::do_remove(3, false));
    });
}

#[test]
fn a_suspended_validator_can_be_demoted_and_removed_at_the_minimum() {
    run(|| {
        assert_ok!(Consortium::do_suspend(1));
        assert_ok!(Consortium::do_set_flags(1, false, true));
        assert_ok!(Consortium::do_remove(1, false));
    });
}

#[test]
fn removal_frees_the_place_the_peer_id_and_the_account() {
    run(|| {
        let (key, signature) = claim(&node_key(4), 4);
        assert_ok!(Consortium::set_peer_id(RuntimeOrigin::signed(4), key, signature));
        assert_ok!(Consortium::do_remove(4, false));
        assert_eq!(last_event(), Event::Removed { institution: 4 }.into());
        assert!(Stored::<Test>::get(4).is_none());
        assert_eq!(System::providers(&4), 0);
        assert_eq!(Departed::get(), vec![4]);

        let (key, signature) = claim(&node_key(4), 1);
        assert_ok!(Consortium::set_peer_id(RuntimeOrigin::signed(1), key, signature));
    });
}

#[test]
fn only_institutions_can_be_removed() {
    run(|| {
        assert_noop!(Consortium::do_remove(7, false), Error::<Test>::NotAnInstitution);
    });
}
