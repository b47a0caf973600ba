//! Motions: whose voice counts, what the deciding vote does, and what a minority cannot.

use super::*;
use crate::{
    Error, Event, Motion, Motions, PendingUpgrade, Share, MAX_PROPOSED, MAX_VOICES, RESCUE_LEAST, RESCUE_MOST,
    VOICE_MILLIS,
};
use consilium_primitives::blocks;
use frame_support::{assert_noop, assert_ok};
use sp_core::H256;

#[test]
fn the_deciding_vote_executes() {
    run(|| {
        assert_ok!(propose(1, Motion::Suspend { who: 4 }));
        assert_ok!(vote(2, 0, true));
        assert!(!stored(4).suspended, "two of four are no majority");
        assert_ok!(vote(3, 0, true));
        assert!(stored(4).suspended);
        assert_eq!(last_event(), Event::Passed { motion: 0 }.into());
        assert_noop!(vote(1, 0, true), Error::<Test>::NoSuchMotion);
    });
}

#[test]
fn a_vote_is_counted_once_and_may_be_changed() {
    run(|| {
        assert_ok!(propose(1, Motion::Suspend { who: 4 }));
        for _ in 0..3 {
            assert_ok!(vote(1, 0, true));
        }
        assert_ok!(vote(2, 0, true));
        assert_ok!(vote(2, 0, false));
        assert_ok!(vote(3, 0, false));
        assert_eq!(last_event(), Event::Rejected { motion: 0 }.into());
        assert!(!stored(4).suspended);
    });
}

#[test]
fn strangers_and_the_suspended_have_no_voice() {
    run(|| {
        assert_noop!(propose(9, upgrade()), Error::<Test>::NotAnInstitution);
        assert_ok!(propose(1, upgrade()));
        assert_noop!(vote(9, 0, true), Error::<Test>::NotAnInstitution);
        assert_ok!(Consortium::do_suspend(4));
        assert_noop!(propose(4, upgrade()), Error::<Test>::NoVoice);
        assert_noop!(vote(4, 0, true), Error::<Test>::NoVoice);
    });
}

#[test]
fn what_cannot_be_done_is_not_put_to_the_vote() {
    run(|| {
        assert_noop!(propose(1, Motion::Suspend { who: 9 }), Error::<Test>::NotAnInstitution);
        assert_noop!(propose(1, Motion::CancelUpgrade), Error::<Test>::NothingPending);
        assert_noop!(propose(1, Motion::Upgrade { code: H256::zero(), delay: 1 }), Error::<Test>::DelayTooShort);
        assert_noop!(propose(1, Motion::Rescue { delay: 1, best_final: 9 }), Error::<Test>::NotFinalYet);
        let half = Share { num: 1, den: 2, more: false };
        let all = Share { num: 1, den: 1, more: false };
        for unsound in [half, all, Share { num: 1, den: 0, more: false }] {
            let shares = crate::Thresholds { suspend: unsound, ..Default::default() };
            assert_noop!(propose(1, Motion::SetThresholds(shares)), Error::<Test>::UnsoundThresholds);
        }
    });
}

#[test]
fn a_rescue_waits_until_the_set_is_in_force_and_brings_about_the_end_of_the_session() {
    use pallet_session::ShouldEndSession;
    run(|| {
        let rescue = |delay| Motion::Rescue { delay, best_final: 0 };
        let least = blocks(RESCUE_LEAST);
        for delay in [0, least - 1, blocks(RESCUE_MOST) + 1, u32::MAX] {
            assert_noop!(propose(1, rescue(delay)), Error::<Test>::RescueDelay);
        }
        // a change of the set, as the suspension of who is lost makes one, is not in force yet
        Consortium::mark_changed();
        assert_noop!(propose(1, rescue(least)), Error::<Test>::StillSettling);
        crate::Changed::<Test>::kill();
        assert_ok!(propose(1, rescue(least)));
        assert_ok!(vote(2, 0, true));
        assert_ok!(vote(3, 0, true));
        assert_eq!(Rescued::get(), Some((least, 0)));
        assert!(crate::Changed::<Test>::exists(), "the session ends soon");
        // until it is in force there is no second one, and no session ends
        crate::Changed::<Test>::kill();
        Forcing::set(true);
        assert_noop!(propose(1, rescue(least)), Error::<Test>::StillSettling);
        assert!(!Consortium::should_end_session(u32::MAX.into()));
        Forcing::set(false);
        assert!(Consortium::should_end_session(u32::MAX.into()));
    });
}

/// Members are as many as voices at most, so no call leads here: it is a registry that only a faulty runtime could have written.
#[test]
fn a_motion_holds_so_many_voices_and_no_more() {
    run(|| {
        assert_ok!(propose(1, upgrade()));
        let crowd = 100..100 + u64::from(MAX_VOICES);
        for who in crowd.clone() {
            Stored::<Test>::insert(who, stored(4));
        }
        Motions::<Test>::mutate(0, |open| {
            open.as_mut().unwrap().nays = crowd.clone().collect::<Vec<_>>().try_into().unwrap();
        });
        assert_noop!(vote(2, 0, false), Error::<Test>::TooManyVoices);
        assert_ok!(vote(100, 0, false));
        crowd.for_each(Stored::<Test>::remove);
    });
}

#[test]
fn three_motions_at_a_time_and_no_more_until_they_are_over() {
    run(|| {
        for _ in 0..MAX_PROPOSED {
            assert_ok!(propose(1, Motion::Suspend { who: 4 }));
        }
        assert_noop!(propose(1, Motion::Suspend { who: 4 }), Error::<Test>::TooManyMotions);
        assert_noop!(Consortium::close(RuntimeOrigin::signed(1), 0), Error::<Test>::MotionOpen);
        jump(blocks(15 * 24 * 3_600_000));
        assert_noop!(vote(2, 0, true), Error::<Test>::MotionExpired);
        assert_noop!(Consortium::close(RuntimeOrigin::signed(9), 0), Error::<Test>::NotAnInstitution);
        assert_ok!(Consortium::do_suspend(4));
        assert_noop!(Consortium::close(RuntimeOrigin::signed(4), 0), Error::<Test>::NoVoice);
        assert_ok!(Consortium::do_reinstate(4));
        assert_ok!(Consortium::close(RuntimeOrigin::signed(2), 0));
        assert_noop!(Consortium::close(RuntimeOrigin::signed(2), 0), Error::<Test>::NoSuchMotion);
        assert_ok!(propose(1, Motion::Suspend { who: 4 }));
        assert_eq!(Motions::<Test>::count(), 1);
    });
}

#[test]
fn a_new_runtime_waits_for_its_delay_and_can_be_called_off() {
    run(|| {
        let decide = |motion: TestMotion, id| {
            assert_ok!(propose(1, motion));
            assert_ok!(vote(2, id, true));
            assert_ok!(vote(3, id, true));
        };
        decide(upgrade(), 0);
        let (code, at) = PendingUpgrade::<Test>::get().unwrap();
        assert_eq!((code, at), (H256::repeat_byte(7), 1 + blocks(24 * 3_600_000)));
        assert_noop!(propose(1, upgrade()), Error::<Test>::UpgradePending);
        decide(Motion::CancelUpgrade, 1);
        assert!(PendingUpgrade::<Test>::get().is_none());
        decide(upgrade(), 2);
        Consortium::authorize_upgrade(at - 1);
        assert!(PendingUpgrade::<Test>::get().is_some() && System::authorized_upgrade().is_none());
        Consortium::authorize_upgrade(at);
        assert!(PendingUpgrade::<Test>::get().is_none() && System::authorized_upgrade().is_some());
        decide(Motion::CancelUpgrade, 3);
        assert!(System::authorized_upgrade().is_none(), "called off although nobody had applied it yet");
        assert_noop!(propose(1, Motion::CancelUpgrade), Error::<Test>::NothingPending);
    });
}

#[test]
fn suspending_first_does_not_give_a_majority_the_code_for_fourteen_days() {
    let institutions = (1..=8).map(|who| (who, b"X".to_vec(), true, true)).collect();
    run_with(institutions, vec![], &[1, 2, 3, 4, 5, 6, 7, 8], || {
        for (id, who) in [6, 7, 8].into_iter().enumerate() {
            assert_ok!(propose(1, Motion::Suspend { who }));
            for voter in 2..=5 {
                let _ = vote(voter, id as u32, true);
            }
            assert!(stored(who).suspended);
        }
        assert_ok!(propose(1, upgrade()));
        for voter in 2..=5 {
            assert_ok!(vote(voter, 3, true));
        }
        assert!(PendingUpgrade::<Test>::get().is_none(), "five of eight");
        jump(blocks(VOICE_MILLIS) + 1);
        assert_ok!(propose(1, upgrade()));
        for voter in 2..=4 {
            assert_ok!(vote(voter, 4, true));
        }
        assert!(PendingUpgrade::<Test>::get().is_some(), "four of five, fourteen days later");
        assert_eq!(crate::pallet::Thresholds::<Test>::get(), Default::default());
    });
}

#[test]
fn shares_are_rounded_up_and_strict_ones_ask_for_more() {
    let shares = crate::Thresholds::default();
    for (voices, suspend, admit, upgrade) in
        [(1, 1, 1, 1), (2, 2, 2, 2), (3, 2, 2, 3), (4, 3, 3, 3), (5, 3, 4, 4), (8, 5, 6, 6)]
    {
        let needed = [shares.suspend, shares.admit, shares.upgrade].map(|share| share.needed(voices));
        assert_eq!(needed, [suspend, admit, upgrade], "of {voices}");
    }
}

#[test]
fn removing_by_motion_takes_the_entry_and_the_addresses() {
    run(|| {
        let text = b"/dns/node.d.example/tcp/30333".to_vec();
        let list = crate::AddressList::truncate_from(vec![crate::Address::truncate_from(text)]);
        assert_ok!(Consortium::set_addresses(RuntimeOrigin::signed(4), list.clone()));
        assert_eq!(Consortium::members()[3].addresses, list.to_vec());
        assert_noop!(Consortium::set_addresses(RuntimeOrigin::signed(9), list), Error::<Test>::NotAnInstitution);
        for bad in [&b"here"[..], b"/ip4/10.0.0.1/tcp/1", b"/dns/a.example/tcp/0"] {
            let list = crate::AddressList::truncate_from(vec![crate::Address::truncate_from(bad.to_vec())]);
            assert_noop!(Consortium::set_addresses(RuntimeOrigin::signed(4), list), Error::<Test>::InvalidAddress);
        }
        assert_ok!(propose(1, Motion::Remove { who: 4, at_once: false }));
        assert_ok!(vote(2, 0, true));
        assert_eq!(Consortium::members().len(), 4, "two of four are no two thirds");
        assert_ok!(vote(3, 0, true));
        assert_eq!(Consortium::members().iter().map(|it| it.account).collect::<Vec<_>>(), vec![1, 2, 3]);
        assert!(!crate::pallet::Addresses::<Test>::contains_key(4));
    });
}

#[test]
fn session_keys_that_are_none_are_refused() {
    run(|| {
        assert_noop!(Consortium::set_session_keys(&1, &[1, 2, 3], vec![]), Error::<Test>::InvalidSessionKeys);
    });
}
