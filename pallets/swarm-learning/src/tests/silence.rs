//! Sites of which nothing comes, as the chain tells it.

use crate::{mock::*, *};
use consilium_primitives::{round::Phase, *};

/// What was told of sites that are not waited for.
fn told() -> Vec<Event<Test>> {
    let told = System::events().into_iter().filter_map(|record| match record.event {
        RuntimeEvent::Swarm(event @ Event::NotAwaited { .. }) => Some(event),
        _ => None,
    });
    told.collect()
}

/// A round of four without the last one; gives in how many blocks it froze.
fn round_without_one(study: StudyId) -> u32 {
    let round = info(study).state.round;
    let sent = 10 * round as u8;
    (0..3).for_each(|n| answer(n, study, update(sent + n, None)));
    if matches!(info(study).state.phase, Phase::Collecting(_)) {
        to_block(info(study).state.deadline().unwrap());
    }
    (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(100 + round as u8))));
    let closed = record(study, round);
    closed.frozen_at - closed.opened_at
}

#[test]
fn who_has_missed_two_rounds_is_told_with_the_last_round_that_does_not_wait_for_it() {
    run(|| {
        let study = started(StudyRules { max_rounds: 20, ..rules() }, &[0, 1, 2, 3]);
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        let windows = info(study).state.windows();
        assert_eq!(round_without_one(study), windows.expected + windows.grace);
        assert!(told().is_empty(), "once may happen to anybody");
        assert_eq!(round_without_one(study), windows.expected + windows.grace);
        let event = Event::NotAwaited { study, round: 2, institution: id(3), before: 1, until_round: 7 };
        assert_eq!(told(), [event]);
        Swarm::do_try_state().unwrap();
        // it is asked all the same
        for round in 3..=7 {
            assert!(Swarm::asked(&id(3)).iter().any(|asked| asked.order.duty.round == round));
            assert_eq!(round_without_one(study), 0);
        }
        assert_eq!(round_without_one(study), windows.expected + windows.grace);
        Swarm::do_try_state().unwrap();
    });
}
