//! What orders say beside the duty.

use crate::{mock::*, Error, Event, Studies};
use consilium_primitives::*;
use frame_support::{assert_noop, assert_ok};

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

#[test]
fn another_account_may_sign_for_an_institution_and_then_the_first_does_not() {
    run(|| {
        let other = || RuntimeOrigin::signed(account(40));
        assert_ok!(register(0, rules()));
        let agreement = Studies::<Test>::get(0).unwrap().agreement;
        rotate_account(account(1), account(40));
        assert_noop!(enrol(1, 0, 10), Error::<Test>::NotAParticipant);
        assert_noop!(register(1, rules()), Error::<Test>::NotAParticipant);
        assert_ok!(Swarm::enrol(other(), 0, agreement, 10));
        let members = || Studies::<Test>::get(0).unwrap().state.members;
        assert_eq!(members().iter().map(|it| it.id).collect::<Vec<_>>(), vec![id(1)]);
        assert_noop!(Swarm::withdraw(signed(1), 0), Error::<Test>::NotAParticipant);
        assert_noop!(Swarm::withdraw(other(), 7), Error::<Test>::NoSuchStudy);
        assert_ok!(Swarm::withdraw(other(), 0));
        assert_eq!(
            System::events().pop().map(|it| it.event),
            Some(Event::Withdrawn { study: 0, institution: id(1) }.into())
        );
        for n in [0, 2] {
            assert_ok!(enrol(n, 0, 10));
        }
        rotate_account(account(0), account(41));
        assert_noop!(Swarm::start(signed(0), 0), Error::<Test>::NotAParticipant);
        assert_ok!(Swarm::start(RuntimeOrigin::signed(account(41)), 0));
    });
}
