//! How an institution goes: what is kept of it, and that nobody gains by it.

use super::*;
use crate::{AddressList, Error, Event, Leaving, PeerIds, PendingUpgrade, Removed, SETTLE_MILLIS, VOICE_MILLIS};
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
            assert_eq!((member.peer_ids, member.addresses), (vec![peer_id.clone()], vec![text.try_into().unwrap()]));
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

/// The next block in which it is looked for those that are needed no more.
fn looked() {
    jump(System::block_number() as u32 / blocks(SETTLE_MILLIS) * blocks(SETTLE_MILLIS) + blocks(SETTLE_MILLIS) - 1);
    next_block();
}

#[test]
fn who_is_in_no_set_goes_on_serving_the_merge_that_runs() {
    for removed in [false, true] {
        run(|| {
            let peer_id = set_peer_id(4);
            Serving::set(vec![2, 4]);
            if removed {
                all_vote(Motion::Remove { who: 4, at_once: false }, [2, 3]);
            } else {
                assert_ok!(Consortium::leave(RuntimeOrigin::signed(4)));
            }
            let member = Consortium::members().remove(3);
            assert_eq!((member.account, member.leaving, member.at_once, member.participant), (4, true, false, false));
            assert_eq!(member.peer_ids, vec![peer_id]);
            assert_eq!(Consortium::keep_connected(), vec![1, 2, 3, 4]);
            assert_eq!(Consortium::signs_for(&4), None);
            assert_noop!(Consortium::do_admit(4, name("D"), false, true), Error::<Test>::StillLeaving);
            // no end of a session lets it go, and nothing waits for one
            looked();
            advance_sessions(2);
            assert!(Leaving::<Test>::contains_key(4));

            Serving::set(vec![2]);
            looked();
            assert_eq!(last_event(), Event::Gone { institution: 4 }.into());
            assert!(!Leaving::<Test>::contains_key(4));
            assert_eq!((PeerIds::<Test>::iter().count(), Consortium::keep_connected()), (0, vec![1, 2, 3]));
            assert_ok!(Consortium::do_admit(4, name("D"), false, true));
        });
    }
}

#[test]
fn who_is_cut_off_at_once_serves_nothing() {
    run(|| {
        set_peer_id(4);
        Serving::set(vec![4]);
        all_vote(Motion::Remove { who: 4, at_once: true }, [2, 3]);
        assert_eq!((Consortium::members().len(), PeerIds::<Test>::iter().count()), (3, 0));
        // a validator is cut off at once, too, and stays in the list for as long as it is in a set
        Serving::set(vec![3]);
        all_vote(Motion::Remove { who: 3, at_once: true }, [2, 3]);
        advance_sessions(2);
        assert!(!Leaving::<Test>::contains_key(3));
    });
}

#[test]
fn a_validator_that_serves_a_merge_is_kept_beyond_its_sets() {
    run(|| {
        Serving::set(vec![3]);
        assert_ok!(Consortium::leave(RuntimeOrigin::signed(3)));
        advance_sessions(2);
        assert!(Leaving::<Test>::contains_key(3) && !Session::validators().contains(&3));
        assert_eq!(Consortium::keep_connected(), vec![1, 2, 3]);
        Serving::take();
        looked();
        assert!(!Leaving::<Test>::contains_key(3));
    });
}

#[test]
fn no_more_are_kept_for_merges_than_there_may_be_institutions() {
    run(|| {
        let departed = crate::Departed {
            name: name("X"),
            peer_ids: Default::default(),
            addresses: Default::default(),
            at_once: false,
        };
        (100..108).for_each(|who| Leaving::<Test>::insert(who, departed.clone()));
        Serving::set(vec![4]);
        assert_ok!(Consortium::leave(RuntimeOrigin::signed(4)));
        assert!(!Leaving::<Test>::contains_key(4));
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
