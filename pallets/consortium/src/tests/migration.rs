//! What an older runtime has stored in longer blocks.

use super::*;
use crate::{Awake, Error, Heard, LastEnd, Motions, PendingUpgrade, PreviousPeer, Removed};
use frame_support::{
    assert_noop, assert_ok,
    traits::{Hooks, StorageVersion},
};

/// Blocks of two seconds in so many milliseconds.
const fn old(ms: u64) -> u32 {
    (ms / 2_000) as u32
}

#[test]
fn what_is_to_come_is_as_far_away_and_what_has_passed_has_lasted_as_long() {
    const DAY: u64 = 24 * 3_600_000;
    run(|| {
        // ten days of blocks of two seconds
        let now = old(10 * DAY);
        assert_ok!(propose(1, upgrade()));
        assert_ok!(Consortium::do_suspend(4));
        jump(now);
        Motions::<Test>::mutate(0, |open| {
            let open = open.as_mut().unwrap();
            open.motion = Motion::Upgrade { code: H256::repeat_byte(7), delay: old(DAY) };
            open.until = now + old(4 * DAY);
        });
        Stored::<Test>::mutate(4, |it| it.as_mut().unwrap().suspended_at = Some(now - old(DAY)));
        Stored::<Test>::mutate(2, |it| {
            let it = it.as_mut().unwrap();
            it.admitted_at = 5;
            it.rotated_at = Some(now - old(2 * DAY));
        });
        PendingUpgrade::<Test>::put((H256::repeat_byte(8), now + old(3_600_000)));
        Removed::<Test>::put(frame_support::BoundedVec::truncate_from(vec![(9, now - old(DAY))]));
        LastEnd::<Test>::put(now - old(60_000));
        Changed::<Test>::put((now - old(4_000), 2));
        PreviousPeer::<Test>::insert(3, (crate::PeerId::default(), now + old(60_000)));
        Awake::<Test>::put((1_000, 100));
        Heard::<Test>::put(frame_support::BoundedVec::truncate_from(vec![(1, 90)]));
        StorageVersion::new(1).put::<Consortium>();

        Consortium::on_runtime_upgrade();
        assert_eq!(StorageVersion::get::<Consortium>(), 2);
        let open = Motions::<Test>::get(0).unwrap();
        assert_eq!(open.motion, Motion::Upgrade { code: H256::repeat_byte(7), delay: blocks(DAY) });
        assert_eq!(open.until, now + blocks(4 * DAY));
        assert_eq!(stored(4).suspended_at, Some(now - blocks(DAY)));
        assert_eq!(stored(2).rotated_at, Some(now - blocks(2 * DAY)));
        assert_eq!(stored(2).admitted_at, 1, "as long ago as there are blocks, and still no founder");
        assert_eq!(stored(1).admitted_at, 0, "a founder");
        assert_eq!(PendingUpgrade::<Test>::get(), Some((H256::repeat_byte(8), now + blocks(3_600_000))));
        assert_eq!(Removed::<Test>::get().to_vec(), vec![(9, now - blocks(DAY))]);
        assert_eq!(LastEnd::<Test>::get(), now - blocks(60_000));
        assert_eq!(Changed::<Test>::get(), Some((now - blocks(4_000), 2)));
        assert_eq!(PreviousPeer::<Test>::get(3).unwrap().1, now + blocks(60_000));
        assert_eq!(Awake::<Test>::get(), (4_000, 400));
        assert_eq!(Heard::<Test>::get().to_vec(), vec![(1, 360)]);

        let before = Motions::<Test>::get(0);
        Consortium::on_runtime_upgrade();
        assert_eq!(Motions::<Test>::get(0), before, "only once");

        // put there by hand: neither is what a chain would have for thirteen days
        PreviousPeer::<Test>::remove(3);
        Changed::<Test>::kill();
        // the voice of the suspended counts for fourteen days in all, thirteen of them still to come
        jump(now + blocks(13 * DAY) - 1);
        assert!(Consortium::weighs(&stored(4)));
        jump(now + blocks(13 * DAY));
        assert!(!Consortium::weighs(&stored(4)));
        assert_noop!(vote(3, 0, true), Error::<Test>::MotionExpired);
    });
}
