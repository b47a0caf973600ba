//! Pauses that end by themselves, as the chain and the offchain worker see them.

use crate::{
    mock::*,
    tests::{
        conductor::says,
        host::{conduct_with, done, Answer},
    },
    *,
};
use codec::Decode;
use consilium_primitives::{
    duty::{held_bit, AHEAD_PROTOCOL, HELD_BASE, OLDER_PROTOCOL, PRESENT_PROTOCOL},
    round::{PauseReason, Phase, TAKE_UP_BLOCKS},
    *,
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};
use std::cell::Cell;

fn there() -> VoteBody {
    VoteBody::Present { held: HELD_BASE }
}

fn paused(study: StudyId) -> PauseReason {
    let Phase::Paused(pause) = info(study).state.phase else { panic!("not paused") };
    pause.reason
}

/// Four that do not answer for an initial model.
fn no_common_start() -> StudyId {
    let study = started(rules(), &[0, 1, 2, 3]);
    to_block(info(study).state.deadline().unwrap());
    assert_eq!(paused(study), PauseReason::NoCommonStart);
    study
}

/// Two that pause in their second round, with nothing committed.
fn in_round_two(study: StudyId) {
    (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(100))));
    (0..2).for_each(|n| answer(n, study, update(n, None)));
    (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(101))));
    (0..2).for_each(|n| answer(n, study, VoteBody::Failure(FailureCode::OutOfMemory)));
    assert_eq!((paused(study), info(study).state.round), (PauseReason::TooFewUpdates, 2));
}

fn events() -> Vec<Event<Test>> {
    let told = System::events().into_iter().filter_map(|record| match record.event {
        RuntimeEvent::Swarm(event) => Some(event),
        _ => None,
    });
    told.collect()
}

#[test]
fn the_third_of_four_voices_takes_a_study_up_once_an_hour() {
    run(|| {
        let study = no_common_start();
        to_block(System::block_number() + 5);
        answer(3, study, there());
        answer(0, study, there());
        assert_eq!(paused(study), PauseReason::NoCommonStart);
        answer(1, study, there());
        let first = System::block_number();
        assert!(matches!(info(study).state.phase, Phase::Init { .. }));
        let end = events().split_off(events().len() - 4);
        let round = 0;
        let said = Event::Present { study, round, institution: id(1), held: HELD_BASE };
        let then = [Event::EnoughPresent { study, round }, Event::Resumed { study, round }];
        assert_eq!(end, [&[said], &then[..], &[Event::InitOpened { study, round }]].concat());
        to_block(info(study).state.deadline().unwrap());
        assert_eq!(paused(study), PauseReason::NoCommonStart);
        to_block(first + TAKE_UP_BLOCKS - 1);
        assert!(Swarm::orders(&id(0)).is_empty(), "nobody is asked within the hour");
        to_block(first + TAKE_UP_BLOCKS);
        (0..3).for_each(|n| answer(n, study, there()));
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        assert_eq!(record(study, 0).root, hash(1));
    });
}

#[test]
fn voices_that_do_not_fit_are_refused_in_pool_and_block() {
    let call_refuses = |vote: Vote, error: Error<Test>| {
        let signature = sign(&vote, &pair(0, 0));
        assert_noop!(Swarm::vote(frame_system::RawOrigin::Authorized.into(), vote, signature), error);
    };
    let pool = |vote: Vote| pool_says(vote, sign(&vote, &pair(0, 0)));
    let custom = |code| -> Result<(), TransactionValidityError> { Err(InvalidTransaction::Custom(code).into()) };
    run(|| {
        let study = no_common_start();
        for body in [VoteBody::Metric(None), VoteBody::Root(hash(1)), VoteBody::Held(Hash::zero())] {
            let vote = ballot(0, study, body);
            assert_eq!(pool(vote), custom(12));
            call_refuses(vote, Error::WrongAnswer);
        }
        // there are no rounds yet
        let vote = ballot(0, study, VoteBody::Present { held: 0b1000 });
        assert_eq!(pool(vote), custom(15));
        call_refuses(vote, Error::BadMask);
        let vote = ballot(0, study, there());
        call_refuses(Vote { institution: id(5), ..vote }, Error::NotAMember);
        call_refuses(Vote { resumed: 1, ..vote }, Error::NoSuchDuty);
        call_refuses(Vote { round: 1, ..vote }, Error::NoSuchDuty);
        send(0, vote).unwrap();
        assert_eq!(pool(vote), Err(InvalidTransaction::Stale.into()));
        call_refuses(vote, Error::AlreadyAnswered);
        // as many as survive no merge together want it to end: nobody is asked any more
        let waiting = ballot(3, study, there());
        assert_ok!(Swarm::abort(signed(1), study));
        assert_ok!(Swarm::abort(signed(2), study));
        let signature = sign(&waiting, &pair(3, 0));
        assert_eq!(pool_says(waiting, signature.clone()), not_yet());
        let origin = || frame_system::RawOrigin::Authorized.into();
        assert_noop!(Swarm::vote(origin(), waiting, signature), Error::<Test>::NoSuchDuty);
        assert_noop!(Swarm::abort(signed(1), study), Error::<Test>::AlreadyAnswered);
        assert_ok!(Swarm::resume(signed(0), study));
    });
    run(|| {
        let study = started(rules(), &[0, 1]);
        in_round_two(study);
        let without = ballot(0, study, VoteBody::Present { held: held_bit(1, 0) });
        send(0, without).unwrap();
        assert_eq!(pool(without), Err(InvalidTransaction::Stale.into()));
        call_refuses(without, Error::AlreadyAnswered);
        send(0, Vote { body: there(), ..without }).unwrap();
        call_refuses(Vote { body: there(), ..without }, Error::AlreadyAnswered);
        shut_out(account(1));
        let outsider = ballot(1, study, there());
        assert_eq!(pool_says(outsider, sign(&outsider, &pair(1, 0))), custom(3));
    });
}

#[test]
fn the_order_names_the_model_that_is_needed_and_those_before_it() {
    run(|| {
        let study = started(rules(), &[0, 1]);
        in_round_two(study);
        let order = Swarm::orders(&id(0)).remove(0);
        assert_eq!((order.duty.kind, order.duty.round, order.duty.base), (DutyKind::Present, 1, hash(101)));
        assert_eq!((order.base, order.output_len), (Some(BlobRef { root: hash(101), len: 900 }), 900));
        let named: Vec<_> = order.attested.iter().map(|attested| (attested.round, attested.root)).collect();
        assert_eq!(named, [(0, hash(100)), (1, hash(101))]);
        assert!(order.inputs.is_empty() && order.merge.is_none() && !order.committed_before);
        let wanted: Vec<_> = Swarm::blobs_of(study).unwrap().merged.iter().map(|m| (m.round, m.wanted)).collect();
        assert_eq!(wanted, [(1, true), (0, false)]);
    });
}

#[test]
fn a_model_that_nobody_holds_falls_back_and_is_told() {
    run(|| {
        let study = started(rules(), &[0, 1]);
        in_round_two(study);
        (0..2).for_each(|n| answer(n, study, VoteBody::Present { held: 0 }));
        to_block(info(study).state.deadline().unwrap());
        assert!(events().contains(&Event::FellBack { study, round: 2, from: 1, to: 0 }));
        let order = Swarm::orders(&id(0)).remove(0);
        assert_eq!((order.duty.kind, order.duty.round, order.duty.base), (DutyKind::Train, 2, hash(100)));
        assert_eq!(order.attested[0].root, hash(100), "who knows that it is the initial one can make it again");
        // what is reported now is the loss of that one
        (0..2).for_each(|n| answer(n, study, update(20 + n, Some(7))));
        assert_eq!(Losses::<Test>::get(study, 0).len(), 2);
        assert!(Losses::<Test>::get(study, 1).is_empty());
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(102))));
        assert_eq!((record(study, 2).base, record(study, 1).root), (hash(100), hash(101)));
    });
}

#[test]
fn orders_on_an_old_model_name_it_however_long_ago_it_was() {
    run(|| {
        let study = started(StudyRules { max_rounds: 30, ..rules() }, &[0, 1]);
        in_round_two(study);
        Studies::<Test>::mutate(study, |info| {
            let state = &mut info.as_mut().unwrap().state;
            (state.round, state.base, state.base_round) = (20, hash(100), 0);
        });
        assert_ok!(Swarm::resume(signed(0), study));
        let order = Swarm::orders(&id(0)).remove(0);
        assert_eq!((order.duty.round, order.attested[0].round, order.attested[0].root), (20, 0, hash(100)));
    });
}

#[test]
fn what_a_worker_says_of_itself_becomes_a_voice() {
    let to_a_pause = |study: u32| {
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(n))));
    };
    let present = |held| DutyState::Done(DutyOutput::Present { held });
    assert_eq!(says(to_a_pause, present(0b10)), Some(VoteBody::Present { held: 0b10 }));
    for silent in [DutyState::Held, DutyState::Queued, DutyState::Failed(FailureCode::Refused), done()] {
        assert_eq!(says(to_a_pause, silent), None, "{silent:?}");
    }
    // said once without the model, and once more with it
    let said_without = |study: u32| {
        in_round_two(study);
        answer(1, study, VoteBody::Present { held: 0 });
    };
    assert_eq!(says(in_round_two, present(0)), Some(VoteBody::Present { held: 0 }));
    assert_eq!(says(said_without, present(0b100)), None);
    assert_eq!(says(said_without, present(0b101)), Some(VoteBody::Present { held: 0b101 }));
    // who has no worker is not there
    let blocks: Vec<u32> = (1..=40).collect();
    let begun = Cell::new(false);
    let once = |study| {
        if !begun.replace(true) {
            to_a_pause(study);
        }
    };
    assert!(conduct_with(Answer::Nobody, &blocks, true, once).votes.is_empty());
}

#[test]
fn a_worker_of_an_earlier_version_does_its_other_duties_beside_a_pause() {
    let one_pauses_and_one_begins = |study: u32| {
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(n))));
        started(rules(), &[0, 1]);
    };
    let versions = |outcome: &crate::tests::host::Outcome| -> Vec<(u8, usize)> {
        let requests = outcome.log.lock().requests.iter().map(|sent| sent.3.clone()).collect::<Vec<_>>();
        let read = |bytes: &Vec<u8>| DutyRequest::decode(&mut &bytes[..]).unwrap();
        requests.iter().map(read).map(|request| (request.version, request.orders.len())).collect()
    };
    let older = conduct_with(Answer::Older(done()), &[1], true, one_pauses_and_one_begins);
    assert_eq!(versions(&older), [(AHEAD_PROTOCOL, 2), (OLDER_PROTOCOL, 1), (PRESENT_PROTOCOL, 1)]);
    assert_eq!(older.votes.iter().map(|(vote, _)| (vote.study, vote.kind)).collect::<Vec<_>>(), [(1, DutyKind::Init)]);
    // one of this version answers both
    let newer = conduct_with(
        Answer::State(DutyState::Done(DutyOutput::Present { held: 0 })),
        &[1],
        true,
        one_pauses_and_one_begins,
    );
    assert_eq!(
        newer.votes.iter().map(|(vote, _)| (vote.study, vote.kind)).collect::<Vec<_>>(),
        [(0, DutyKind::Present)]
    );
}
