//! When nothing waits for blocks.

use super::*;
use crate::{
    pallet::Founding, Awake, Motions, PendingUpgrade, Quota, BURST, PREVIOUS_MILLIS, REFILL_MILLIS, SESSION_MILLIS,
};
use consilium_primitives::SLOT_MILLIS;
use frame_support::assert_ok;

const DAY: u32 = blocks(24 * 3_600_000);

/// A chain of four on which nothing has happened for fifteen days.
fn quiet(test: impl FnOnce()) {
    run_of(4, || {
        later(15 * DAY);
        assert!(Consortium::idle());
        test();
    });
}

fn later(blocks: u32) {
    jump(u32::try_from(System::block_number()).unwrap() + blocks);
}

#[test]
fn a_motion_is_waited_for_until_it_is_decided_or_its_time_is_over() {
    quiet(|| {
        let id = crate::NextMotion::<Test>::get();
        assert_ok!(propose(1, upgrade()));
        assert!(!Consortium::idle());
        let until = Motions::<Test>::get(id).unwrap().until;
        System::set_block_number(until.into());
        assert!(!Consortium::idle(), "the last block in which it can be voted on");
        System::set_block_number((until + 1).into());
        assert!(Consortium::idle(), "it lies there until somebody takes it away");
        all_vote(upgrade(), [2, 3, 4]);
        assert!(PendingUpgrade::<Test>::exists() && !Consortium::idle(), "decided, and put off");
    });
}

#[test]
fn newcomers_and_those_who_are_suspended_are_waited_for_while_days_are_counted() {
    quiet(|| {
        assert_ok!(Consortium::do_admit(5, name("E"), false, true));
        later(DAY);
        assert!(!Consortium::idle());
        later(14 * DAY);
        assert!(Consortium::idle());
        assert_ok!(Consortium::do_suspend(5));
        later(DAY);
        assert!(!Consortium::idle());
        later(14 * DAY);
        assert!(Consortium::idle());
    });
}

#[test]
fn keys_peer_ids_and_calls_are_waited_for_as_long_as_they_count() {
    quiet(|| {
        let (keys, proof) = keys_of(1, 11);
        assert_ok!(Consortium::do_rotate_keys(1, &keys, proof));
        assert!(!Consortium::idle(), "two sessions end soon");
        later(blocks(SESSION_MILLIS));
        assert!(!Consortium::idle(), "keys of a moment later wait for two more");
        later(blocks(3 * SESSION_MILLIS));
        assert!(Consortium::idle());

        for seed in [1, 2] {
            let (key, signature) = claim(&node_key(seed), 1);
            assert_ok!(Consortium::do_set_peer_id(1, key, signature));
        }
        assert!(!Consortium::idle(), "the one before counts for an hour");
        later(blocks(PREVIOUS_MILLIS) + 1);
        assert!(Consortium::idle());

        Quota::<Test>::insert(1, (BURST - 2, u32::try_from(System::block_number()).unwrap()));
        assert!(!Consortium::idle());
        later(blocks(2 * REFILL_MILLIS));
        assert!(Consortium::idle());
    });
}

#[test]
fn a_validator_that_is_missed_is_waited_for_until_it_is_silent_as_agreed() {
    quiet(|| {
        Founding::<Test>::mutate(|terms| terms.silence = 60 * SLOT_MILLIS);
        let block_of = |who: u64, slot: u64| {
            Author::set(Some((who, slot)));
            next_block();
        };
        // one slot in three, and each has its turn
        for turn in 0..20 {
            block_of(turn * 3 % 4 + 1, 1_000 + turn * 3);
            assert!(Consortium::idle(), "after turn {turn}");
        }
        let (last, awake) = Awake::<Test>::get();
        (0..4).for_each(|who| block_of(who + 1, last + 1 + who));
        // the fourth is away
        let idle: Vec<bool> = (1..30)
            .map(|turn| {
                block_of(turn % 3 + 1, last + 4 + 3 * turn);
                assert_eq!(Awake::<Test>::get().1, awake + 4 + 3 * turn);
                Consortium::idle()
            })
            .collect();
        // 3 slots a block: more than 24 from the ninth on, 60 with the twentieth
        let expected: Vec<bool> = (1..30).map(|turn| !(9..20).contains(&turn)).collect();
        assert_eq!(idle, expected);
    });
}
