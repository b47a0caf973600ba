//! What the offchain worker sends, and what it makes of every kind of answer.

use super::host::*;
use crate::mock::*;
use codec::{Decode, Encode};
use consilium_primitives::{
    duty::OLDER_PROTOCOL, DutyAnswer, DutyOutput, DutyReply, DutyRequest, DutyState, FailureCode, Marks, VoteBody,
};
use sp_core::offchain::Timestamp;

#[test]
fn a_done_duty_becomes_a_signed_vote_that_the_chain_takes() {
    let outcome = conduct(Answer::State(done()), &[1]);
    let (vote, signature) = outcome.votes[0].clone();
    assert_eq!((vote.institution, vote.body), (id(1), VoteBody::Root(hash(7))));
    run(|| {
        started(rules(), &[0, 1]);
        pool_says(vote, signature).unwrap();
    });
    let log = outcome.log.lock();
    let (method, uri, headers, body) = &log.requests[0];
    assert_eq!((method.as_str(), uri.as_str()), ("PUT", "http://127.0.0.1:8601/v1/duties"));
    assert!(headers.contains(&("authorization".into(), "Bearer a-token-of-some-length".into())));
    assert_eq!(DutyRequest::decode(&mut &body[..]).unwrap().orders.len(), 1);
    // one absolute deadline for sending, waiting and reading
    assert!(log.deadlines.iter().all(|at| *at == Some(Timestamp::from_unix_millis(1_400))));
}

#[test]
fn unfinished_work_says_nothing_on_chain() {
    for state in [DutyState::Queued, DutyState::Running { done: 500_000 }, DutyState::Held, DutyState::NeedSpec] {
        assert!(conduct(Answer::State(state), &[1, 2, 3]).votes.is_empty());
    }
    // a failure of a pure duty is no vote either
    assert!(conduct(Answer::State(DutyState::Failed(FailureCode::OutOfMemory)), &[1]).votes.is_empty());
}

#[test]
fn a_worker_without_the_spec_gets_it_in_the_same_run() {
    let outcome = conduct(Answer::SpecFirst(done()), &[1]);
    assert_eq!(outcome.votes.len(), 1);
    let log = outcome.log.lock();
    assert_eq!(log.requests.len(), 2);
    let second = DutyRequest::decode(&mut &log.requests[1].3[..]).unwrap();
    assert_eq!(second.specs, [spec().into_inner()]);
}

#[test]
fn bad_answers_change_nothing() {
    let answers = vec![DutyAnswer { duty: hash(1), state: done() }];
    let other_duty = DutyReply { version: OLDER_PROTOCOL, answers, ..Default::default() };
    let answers = [
        Answer::Status(400),
        Answer::Status(401),
        Answer::Status(404),
        Answer::Status(500),
        Answer::Status(503),
        Answer::Late,
        Answer::Endless,
        Answer::Nobody,
        Answer::Bytes(vec![]),
        Answer::Bytes(vec![0xff; 100]),
        Answer::Bytes(other_duty.encode()),
        Answer::Bytes(DutyReply { version: OLDER_PROTOCOL, ..Default::default() }.encode()),
        Answer::Bytes([other_duty.encode(), vec![0]].concat()),
    ];
    for answer in answers {
        assert!(conduct(answer, &[1, 2]).votes.is_empty());
    }
}

#[test]
fn a_vote_that_is_lost_is_sent_again_after_a_second_and_signed_anew() {
    let outcome = conduct(Answer::State(done()), &[1, 1, 2, 3]);
    assert_eq!(outcome.votes.len(), 2);
    let (first, second) = (&outcome.votes[0], &outcome.votes[1]);
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1, "sr25519 signatures are randomised: the same one would be a repetition");
}

#[test]
fn a_chain_that_was_taken_back_gets_the_vote_again() {
    assert_eq!(conduct(Answer::State(done()), &[9, 8]).votes.len(), 2);
}

#[test]
fn an_answered_duty_is_not_asked_about_again() {
    let outcome = conduct_with(Answer::State(done()), &[1], true, |study| {
        answer(1, study, VoteBody::Root(hash(7)));
    });
    assert!(outcome.votes.is_empty());
    assert!(outcome.log.lock().requests.is_empty());
}

#[test]
fn a_node_without_a_worker_asks_nobody() {
    let outcome = conduct_with(Answer::State(done()), &[1], false, |_| ());
    assert!(outcome.votes.is_empty() && outcome.log.lock().requests.is_empty());
}

/// Both have attested the initial model: training is asked for.
pub(crate) fn to_training(study: u32) {
    if matches!(info(study).state.phase, consilium_primitives::round::Phase::Init { .. }) {
        answer(0, study, VoteBody::Root(hash(7)));
        answer(1, study, VoteBody::Root(hash(7)));
    }
}

#[test]
fn a_worker_that_is_away_for_the_expected_training_time_is_reported_missing() {
    for nobody in [Answer::Nobody, Answer::Late, Answer::Status(401)] {
        let until = |last: u32| (1..=last).collect::<Vec<u32>>();
        assert!(conduct_with(nobody.clone(), &until(40), true, to_training).votes.is_empty());
        let votes = conduct_with(nobody, &until(41), true, to_training).votes;
        assert_eq!(votes[0].0.body, VoteBody::Failure(FailureCode::WorkerMissing));
        assert_eq!((votes.len(), votes[0].0.institution), (1, id(1)));
    }
}

#[test]
fn a_node_without_a_worker_calls_nobody_missing() {
    let blocks: Vec<u32> = (1..=60).collect();
    assert!(conduct_with(Answer::Nobody, &blocks, false, to_training).votes.is_empty());
}

#[test]
fn silence_before_a_duty_is_no_silence_about_it() {
    // asked in vain about the initial model until block 20, and only then about an update
    let began = std::cell::Cell::new(0u32);
    let train_at_twenty = |study: u32| {
        began.set(began.get() + 1);
        if began.get() == 20 {
            to_training(study);
        }
    };
    let until = |last: u32| (1..=last).collect::<Vec<u32>>();
    assert!(conduct_with(Answer::Nobody, &until(59), true, train_at_twenty).votes.is_empty());
    began.set(0);
    assert_eq!(conduct_with(Answer::Nobody, &until(61), true, train_at_twenty).votes.len(), 1);
}

#[test]
fn a_node_that_was_off_itself_does_not_call_its_worker_missing() {
    let blocks: Vec<u32> = (1..=5).chain(100..=139).collect();
    assert!(conduct_with(Answer::Nobody, &blocks, true, to_training).votes.is_empty());
    // nor one whose chain was taken back
    let blocks: Vec<u32> = (50..=58).chain(40..=79).collect();
    assert!(conduct_with(Answer::Nobody, &blocks, true, to_training).votes.is_empty());
}

#[test]
fn a_missing_worker_says_nothing_about_an_initial_model() {
    let blocks: Vec<u32> = (1..=60).collect();
    assert!(conduct(Answer::Nobody, &blocks).votes.is_empty());
}

#[test]
fn a_second_run_beside_the_first_does_nothing() {
    use sp_runtime::offchain::storage_lock::{StorageLock, Time};
    let outcome = conduct_with(Answer::State(done()), &[1], true, |_| {
        let expiry = sp_core::offchain::Duration::from_millis(1_600);
        let mut lock = StorageLock::<Time>::with_deadline(b"consilium/conductor/lock", expiry);
        let guard = lock.try_lock().map_err(|_| ()).expect("free");
        guard.forget();
    });
    assert!(outcome.votes.is_empty() && outcome.log.lock().requests.is_empty());
}

#[test]
fn the_keystores_key_decides_whose_duties_are_done() {
    let votes = conduct(Answer::State(done()), &[1]).votes;
    assert_eq!(votes.iter().map(|(vote, _)| vote.institution).collect::<Vec<_>>(), [id(1)]);
    let nobodys = format!("0x{}", "4d".repeat(32));
    let outcome = conduct_as(&nobodys, Answer::State(done()), &[1], true, |_| ());
    assert!(outcome.votes.is_empty() && outcome.log.lock().requests.is_empty());
}

#[test]
fn a_rotated_key_counts_at_once_and_the_old_one_no_more() {
    let new = std::cell::RefCell::new(None);
    // the new key comes into the same keystore, beside the old one
    let rotate = |_: u32| {
        let generated = SessionKeys::generate(&account(1).encode(), None);
        Session::set_keys(signed(1), generated.keys.clone(), generated.proof.encode()).unwrap();
        new.replace(Some(generated.keys.swarm));
    };
    let votes = conduct_with(Answer::State(done()), &[1], true, rotate).votes;
    let [(vote, signature)] = &votes[..] else { panic!("{} votes", votes.len()) };
    let key = new.take().expect("rotated");
    run(|| {
        let agreement = info(started(rules(), &[0, 1])).agreement;
        let payload = vote.payload(&crate::types::genesis::<Test>(), &agreement);
        assert!(sp_application_crypto::RuntimeAppPublic::verify(&key, &payload, signature));
    });
}

/// What institution 1's node says on chain when its worker answers so, after the chain was brought to where that is asked.
pub(crate) fn says(bring: impl Fn(u32), state: DutyState) -> Option<VoteBody> {
    let votes = conduct_with(Answer::State(state), &[1], true, bring).votes;
    assert!(votes.len() <= 1);
    votes.first().map(|(vote, _)| vote.body)
}

#[test]
fn every_kind_of_answer_becomes_the_vote_that_it_means() {
    let to_merging = |study: u32| {
        to_training(study);
        (0..2).for_each(|n| answer(n, study, update(10 + n, None)));
    };
    let after_the_fetch = |study: u32| {
        to_merging(study);
        to_block(1 + info(study).state.windows().fetch);
    };
    let to_evaluation = |study: u32| {
        to_merging(study);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        (0..2).for_each(|n| answer(n, study, update(20 + n, None)));
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(2))));
    };
    let to_certificate = |study: u32| {
        to_evaluation(study);
        (0..2).for_each(|n| answer(n, study, VoteBody::Metric(None)));
        to_block(2);
    };
    let given = DutyOutput::Update { root: hash(5), metric: Some(3) };
    let update = VoteBody::Update { root: hash(5), len: 1000, metric: Some(3) };
    assert_eq!(says(to_training, DutyState::Done(given)), Some(update));
    let failed = DutyState::Failed(FailureCode::OneClass);
    assert_eq!(says(to_training, failed), Some(VoteBody::Failure(FailureCode::OneClass)));
    assert_eq!(says(to_merging, done()), Some(VoteBody::Root(hash(7))));
    let marks = Marks { left_out: 0b01, shortened: 0 };
    let marked = DutyState::Done(DutyOutput::Marked { root: hash(7), marks });
    assert_eq!(says(to_merging, marked), Some(VoteBody::Marked { root: hash(7), marks }));
    assert_eq!(says(to_training, marked), None);
    // what is missing is told after the fetch window only, and only where something is
    let some = DutyState::Inputs { have: 0b01, invalid: 0b10 };
    assert_eq!(says(to_merging, some), None);
    assert_eq!(says(after_the_fetch, some), Some(VoteBody::Partial { have: 0b01, invalid: 0b10, not_final: false }));
    assert_eq!(says(after_the_fetch, DutyState::Inputs { have: 0b11, invalid: 0 }), None);
    assert_eq!(says(after_the_fetch, failed), None);
    let metric = DutyState::Done(DutyOutput::Metric(Some(9)));
    assert_eq!(says(to_evaluation, metric), Some(VoteBody::Metric(Some(9))));
    assert_eq!(says(to_evaluation, failed), Some(VoteBody::Metric(None)));
    assert_eq!(says(to_certificate, DutyState::Done(DutyOutput::Held)), Some(VoteBody::Held(hash(2))));
    // an answer of another kind says nothing
    assert_eq!(says(to_certificate, done()), None);
    assert_eq!(says(to_merging, DutyState::Done(DutyOutput::Held)), None);
}
