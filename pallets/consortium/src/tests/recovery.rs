//! How those who remain go on without those that are gone for good.

use super::*;
use crate::{pallet::Founding, Awake, Error, Event, Heard, Leaving, Recovered, Signers};
use consilium_primitives::{Consent, FinalitySet, Recovery};
use frame_support::{assert_noop, assert_ok};

/// Slots of the time of silence that is agreed on in these tests.
const SILENCE: u64 = 30;

fn recovery(lost: &[u64]) -> Recovery<u64> {
    let genesis = H256::from_slice(System::block_hash(0).as_ref());
    let set = FinalitySet { id: 0, signalled: None, authorities: vec![[1; 32]] };
    Recovery { genesis, last_final: (3, H256::repeat_byte(3)), lost: lost.to_vec(), sets: vec![set] }
}

fn consents(of: &Recovery<u64>, who: &[u64]) -> Vec<Consent<u64>> {
    let consent = |who: &u64| Consent { institution: *who, signature: sign(*who, &of.digest()) };
    who.iter().map(consent).collect()
}

fn send(sender: u64, it: &Recovery<u64>, signed: &[u64]) -> DispatchResult {
    Consortium::recover(RuntimeOrigin::signed(sender), Box::new(it.clone()), consents(it, signed))
}

/// A block of this validator in this slot.
fn block_of(who: u64, slot: u64) {
    Author::set(Some((who, slot)));
    next_block();
}

/// Five validators, of which all but the first have been silent for the time agreed since the chain's first blocks, in slots
/// up to 105, and not a slot longer. Two turns are ten slots.
fn silent(test: impl FnOnce()) {
    run_of(5, || {
        Founding::<Test>::mutate(|terms| terms.silence = SILENCE * consilium_primitives::SLOT_MILLIS);
        for who in [1, 2, 3, 4, 5] {
            block_of(who, 100 + who);
        }
        for slot in [115, 125, 135] {
            block_of(1, slot);
        }
        test();
    });
}

#[test]
fn when_each_active_validator_was_heard_last_is_known() {
    run_of(3, || {
        block_of(2, 100);
        assert_eq!(Awake::<Test>::get(), (100, 6), "two turns, not the time before");
        assert_eq!(Heard::<Test>::get().into_inner(), vec![(1, 6), (2, 6), (3, 6)]);
        block_of(1, 101);
        // the turn of who is none, and a block without a turn
        block_of(9, 102);
        Author::set(None);
        next_block();
        assert_eq!(Heard::<Test>::get().into_inner(), vec![(1, 7), (2, 6), (3, 6)]);

        assert_ok!(Consortium::do_admit(4, name("D"), false, true));
        register_keys(4);
        assert_ok!(Consortium::do_set_flags(4, true, true));
        step_in(4);
        assert_ok!(Consortium::leave(RuntimeOrigin::signed(2)));
        advance_sessions(2);
        block_of(1, 104);
        assert_eq!(Heard::<Test>::get().into_inner(), vec![(1, 10), (3, 6), (4, 10)]);
    });
}

#[test]
fn nobody_was_silent_while_the_whole_chain_stood() {
    silent(|| {
        block_of(5, 136);
        let (_, awake) = Awake::<Test>::get();
        block_of(1, 100_000);
        assert_eq!(Awake::<Test>::get(), (100_000, awake + 10));
        assert_noop!(send(1, &recovery(&[4, 5]), &[1, 2, 3]), Error::<Test>::StillHeard);
    });
}

#[test]
fn those_who_remain_take_out_who_is_silent() {
    silent(|| {
        assert_ok!(send(2, &recovery(&[3, 4, 5]), &[1, 2]));
        assert_eq!(last_event(), Event::Recovered { last_final: 3, lost: vec![3, 4, 5] }.into());
        assert_eq!(Recovered::<Test>::get(), Some(3));
        assert!((3..=5).all(|who| Stored::<Test>::get(who).is_none()));
        assert!(Consortium::members().iter().filter(|it| it.leaving).all(|it| it.at_once));
        assert_eq!(Leaving::<Test>::iter().count(), 3);
        // shares and code stay out of their reach for fourteen days, as after a removal
        all_vote(upgrade(), [2]);
        assert!(crate::PendingUpgrade::<Test>::get().is_none());
        advance_sessions(2);
        assert_eq!(Session::validators(), vec![1, 2]);
        assert_eq!(Leaving::<Test>::iter().count(), 0);
    });
}

#[test]
fn an_account_that_signs_for_another_consents_for_it() {
    silent(|| {
        assert_ok!(Consortium::do_rotate_account(2, 77));
        let it = recovery(&[3, 4, 5]);
        assert_eq!(send(1, &it, &[1, 2]), Err(Error::<Test>::InvalidConsent.into()));
        let mut given = consents(&it, &[1, 2]);
        given[1].signature = sign(77, &it.digest());
        assert_eq!(Signers::<Test>::get(77), Some(2));
        assert_ok!(Consortium::recover(RuntimeOrigin::signed(77), Box::new(it), given));
    });
}

#[test]
fn who_is_leaving_can_be_lost_and_who_is_suspended_is_not_asked() {
    silent(|| {
        assert_ok!(Consortium::do_suspend(2));
        assert_ok!(Consortium::do_remove(5, false));
        assert_noop!(send(1, &recovery(&[4, 5]), &[1, 2, 3]), Error::<Test>::InvalidConsent);
        assert_ok!(send(1, &recovery(&[4, 5]), &[1, 3]));
        assert!(Stored::<Test>::get(4).is_none() && Stored::<Test>::get(2).is_some());
    });
}

#[test]
fn what_is_for_another_chain_or_past_is_refused() {
    silent(|| {
        let mut it = recovery(&[3, 4, 5]);
        it.genesis = H256::repeat_byte(9);
        assert_noop!(send(1, &it, &[1, 2]), Error::<Test>::OtherChain);
        it = recovery(&[3, 4, 5]);
        it.last_final.0 = System::block_number() as u32;
        assert_noop!(send(1, &it, &[1, 2]), Error::<Test>::OtherChain);
        // a block whose hash the chain still knows, and another
        frame_system::BlockHash::<Test>::insert(3, H256::repeat_byte(4));
        assert_noop!(send(1, &recovery(&[3, 4, 5]), &[1, 2]), Error::<Test>::OtherChain);
        frame_system::BlockHash::<Test>::insert(3, H256::repeat_byte(3));
        assert_ok!(send(1, &recovery(&[4, 5]), &[1, 2, 3]));
        advance_sessions(2);
        assert_noop!(send(1, &recovery(&[2, 3]), &[1]), Error::<Test>::RecoveredAlready);
    });
}

#[test]
fn the_lost_are_silent_validators_and_more_than_finality_can_miss() {
    silent(|| {
        for wrong in [&[][..], &[5, 4], &[4, 4], &[6, 7]] {
            assert_noop!(send(1, &recovery(wrong), &[1, 2, 3]), Error::<Test>::NotLost);
        }
        // who is in no active set counts for nothing
        assert_noop!(send(1, &recovery(&[4, 6]), &[1, 2, 3]), Error::<Test>::NotNeeded);
        assert_noop!(send(1, &recovery(&[5]), &[1, 2, 3, 4]), Error::<Test>::NotNeeded);
        assert_noop!(send(1, &recovery(&[1, 2, 3, 4, 5]), &[]), Error::<Test>::NotNeeded);
        // 5 was heard in slot 105, and again
        block_of(5, 136);
        for slot in [146, 156, 165] {
            block_of(1, slot);
            assert_noop!(send(1, &recovery(&[4, 5]), &[1, 2, 3]), Error::<Test>::StillHeard);
        }
        block_of(1, 166);
        assert_ok!(send(1, &recovery(&[4, 5]), &[1, 2, 3]));
    });
}

#[test]
fn all_validators_that_remain_sign_and_two_thirds_of_the_institutions() {
    silent(|| {
        let it = recovery(&[4, 5]);
        assert_noop!(send(9, &it, &[1, 2, 3]), Error::<Test>::NotAnInstitution);
        for few in [&[][..], &[1, 2], &[1, 3], &[2, 3]] {
            assert_noop!(send(1, &it, few), Error::<Test>::TooFewConsents);
        }
        for wrong in [&[1, 3, 2][..], &[1, 1, 2, 3], &[1, 2, 3, 4], &[1, 2, 3, 9]] {
            assert_noop!(send(1, &it, wrong), Error::<Test>::InvalidConsent);
        }
        let mut given = consents(&it, &[1, 2, 3]);
        given[2].signature = sign(3, &recovery(&[3, 4, 5]).digest());
        let other = Consortium::recover(RuntimeOrigin::signed(1), Box::new(it.clone()), given);
        assert_eq!(other, Err(Error::<Test>::InvalidConsent.into()));
        // institutions that make no blocks
        for who in [6, 7, 8] {
            assert_ok!(Consortium::do_admit(who, name("N"), false, true));
        }
        assert_noop!(send(1, &it, &[1, 2, 3]), Error::<Test>::TooFewConsents);
        assert_ok!(send(1, &it, &[1, 2, 3, 7]));
    });
}

#[test]
fn of_those_named_the_validators_of_now_are_taken_out() {
    silent(|| {
        assert_ok!(Consortium::do_admit(6, name("F"), false, true));
        let it = recovery(&[4, 5, 6]);
        assert_ok!(send(1, &it, &[1, 2, 3]));
        assert_eq!(last_event(), Event::Recovered { last_final: 3, lost: vec![4, 5] }.into());
        assert!(Stored::<Test>::get(6).is_some(), "nobody can know whether it is silent");
    });
}

#[test]
fn what_was_signed_is_no_word_for_ever() {
    silent(|| {
        let last = 3 + blocks(crate::RECOVERY_MILLIS);
        System::set_block_number(u64::from(last) + 1);
        assert_noop!(send(1, &recovery(&[4, 5]), &[1, 2, 3]), Error::<Test>::RecoveryTooOld);
        System::set_block_number(u64::from(last));
        assert_ok!(send(1, &recovery(&[4, 5]), &[1, 2, 3]));
    });
}

#[test]
fn the_last_validators_are_not_taken_out() {
    run_of(3, || {
        Founding::<Test>::mutate(|terms| terms.silence = consilium_primitives::SLOT_MILLIS);
        for who in [1, 2, 3, 1] {
            block_of(who, 10 * who);
        }
        block_of(1, 50);
        // the mock wants two
        assert_noop!(send(1, &recovery(&[2, 3]), &[1]), Error::<Test>::TooFewValidators);
    });
}
