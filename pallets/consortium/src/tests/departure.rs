//! How an institution goes: what is kept of it, and that nobody gains by it.

use super::*;
use crate::{AddressList, Error, Event, Leaving, PeerIds, PendingUpgrade, Removed, VOICE_MILLIS};
use frame_support::{assert_noop, assert_ok, BoundedVec};

fn set_peer_id(who: u64) -> Vec<u8> {
    let (key, signature) = claim(&node_key(who as u8), who);
    assert_ok!(Consortium::set_peer_id(RuntimeOrigin::signed(who), key, signature));
    crate::peer_id_of(&key).to_vec()
}

#[test]
fn a_validator_is_leaving_until_it_is_in_no_set() {
    for at_once in [false, true] {
        run(|| {
            let peer_id = set_peer_id(3);
            let text = b"/dns/node.c.example/tcp/30333".to_vec();
            let list = AddressList::truncate_from(vec![text.clone().try_into().unwrap()]);
            assert_ok!(Consortium::set_addresses(RuntimeOrigin::signed(3), list));
            all_vote(Motion::Remove { who: 3, at_once }, [2, 4]);
            assert_eq!(last_event(), Event::Passed { motion: 0 }.into());

            let member = Consortium::members().remove(2);
            assert_eq!((member.account, member.leaving, member.at_once), (3, true, at_once));
            assert!(!member.validator && !member.participant && !member.suspended);
            assert_eq!((member.peer_ids, member.addresses), (vec![peer_id.clone()], vec![text]));
            assert_eq!(Consortium::keep_connected(), vec![1, 2, 3]);
            // once where the motion was tried, and taken back, and once for good
            assert_eq!(Departed::get(), vec![3, 3]);
            // nothing of it is free yet
            let (key, signature) = claim(&node_key(3), 1);
            let claimed = Consortium::set_peer_id(RuntimeOrigin::signed(1), key, signature);
            assert_noop!(claimed, Error::<Test>::PeerIdTaken);
            assert_noop!(Consortium::do_admit(3, name("C"), false, true), Error::<Test>::StillLeaving);
            assert_noop!(Consortium::do_rotate_account(4, 3), Error::<Test>::StillLeaving);

            advance_sessions(1);
            assert!(Leaving::<Test>::contains_key(3) && Session::validators().contains(&3));
            advance_sessions(1);
            assert!(!Leaving::<Test>::contains_key(3) && !Session::validators().contains(&3));
            assert_eq!(PeerIds::<Test>::iter().count(), 0);
            assert_eq!(Consortium::members().len(), 3);
            assert_ok!(Consortium::do_admit(3, name("C"), false, true));
        });
    }
}

#[test]
fn who_is_in_no_set_is_gone_at_once() {
    run(|| {
        set_peer_id(4);
        assert_ok!(Consortium::leave(RuntimeOrigin::signed(4)));
        assert_eq!(Consortium::members().len(), 3);
        assert_eq!(PeerIds::<Test>::iter().count(), 0);
        assert!(Removed::<Test>::get().is_empty(), "nobody is counted against its will");
    });
}

#[test]
fn departure_takes_the_session_keys_and_the_account() {
    run(|| {
        assert_ok!(Consortium::leave(RuntimeOrigin::signed(3)));
        assert!(!pallet_session::NextKeys::<Test>::contains_key(3));
        assert_eq!((System::providers(&3), System::consumers(&3)), (0, 0));
        for refused in [
            Consortium::set_profile(RuntimeOrigin::signed(3), Default::default()),
            propose(3, upgrade()),
            Consortium::leave(RuntimeOrigin::signed(3)),
        ] {
            assert_eq!(refused, Err(Error::<Test>::NotAnInstitution.into()));
        }
    });
}

#[test]
fn removing_others_does_not_make_two_thirds_three_quarters_for_fourteen_days() {
    run_of(7, || {
        for who in [6, 7] {
            all_vote(Motion::Remove { who, at_once: false }, 2..=5);
            assert!(Stored::<Test>::get(who).is_none());
        }
        assert_eq!(Removed::<Test>::get().into_inner(), vec![(6, 1), (7, 1)]);
        all_vote(upgrade(), 2..=5);
        assert!(PendingUpgrade::<Test>::get().is_none(), "five of seven");
        jump(blocks(VOICE_MILLIS) + 1);
        all_vote(upgrade(), 2..=5);
        assert!(PendingUpgrade::<Test>::get().is_some(), "five of five, fourteen days later");
    });
}

#[test]
fn suspending_before_removing_does_not_help_either() {
    run_of(7, || {
        all_vote(Motion::Suspend { who: 7 }, 2..=5);
        jump(100);
        all_vote(Motion::Remove { who: 7, at_once: true }, 2..=5);
        assert_eq!(Removed::<Test>::get().into_inner(), vec![(7, 1)], "its fourteen days have begun already");
        all_vote(upgrade(), 2..=5);
        assert!(PendingUpgrade::<Test>::get().is_none());
    });
}

#[test]
fn a_newcomer_that_is_removed_was_not_counted_and_is_not() {
    run(|| {
        assert_ok!(Consortium::do_admit(7, name("G"), false, true));
        assert_ok!(Consortium::do_remove(7, false));
        assert!(Removed::<Test>::get().is_empty());
    });
}

#[test]
fn as_many_are_remembered_as_there_may_be_institutions() {
    run(|| {
        let many: Vec<(u64, u32)> = (0..8).map(|who| (100 + who, 1)).collect();
        Removed::<Test>::put(BoundedVec::truncate_from(many));
        assert_noop!(Consortium::do_remove(4, false), Error::<Test>::TooManyRemoved);
        jump(blocks(VOICE_MILLIS) + 1);
        assert_ok!(Consortium::do_remove(4, false));
        assert_eq!(Removed::<Test>::get().len(), 1);
    });
}
