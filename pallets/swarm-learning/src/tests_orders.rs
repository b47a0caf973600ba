//! What orders say beside the duty.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::mock::*;
use consilium_primitives::*;

#[test]
fn orders_that_need_rows_say_whether_something_of_this_site_was_merged_before() {
    run(|| {
        let study = started(StudyRules { max_rounds: 4, statistics_len: 300, ..rules() }, &[0, 1]);
        let before = |n| Swarm::orders(&id(n))[0].committed_before;
        let root = |n: u8, root| answer(n, study, VoteBody::Root(hash(root)));
        assert!(!before(0), "nothing was merged yet");
        (0..2).for_each(|n| answer(n, study, VoteBody::Update { root: hash(n), len: 300, metric: None }));
        assert!(!before(0), "merges need no rows");
        (0..2).for_each(|n| root(n, 50));
        (0..2).for_each(|n| root(n, 100));
        // who joins when training has begun has nothing in the statistics
        enrol(2, study, 10).unwrap();
        assert!(before(0) && before(1), "its rows are in the statistics");
        (0..2).for_each(|n| answer(n, study, update(n, None)));
        assert!(!before(0));
        (0..2).for_each(|n| root(n, 101));
        assert!(before(0) && before(1) && !before(2), "it trains for the first time in round 2");
        (0..3).for_each(|n| answer(n, study, update(n, None)));
        (0..3).for_each(|n| root(n, 102));
        assert!((0..3).all(before));
        // one that missed a round was there before it all the same
        answer(0, study, update(0, None));
        answer(1, study, update(1, None));
        answer(2, study, VoteBody::Failure(FailureCode::DataUnreadable));
        (0..2).for_each(|n| root(n, 103));
        assert!((0..3).all(before));
    });
}
