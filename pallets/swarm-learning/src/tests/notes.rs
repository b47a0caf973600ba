//! What the offchain worker keeps between its runs, and what others may have put there.

use crate::{
    conductor,
    mock::*,
    tests::{
        conductor::to_training,
        host::{conduct_with, done, set, Answer},
    },
};
use codec::Encode;
use consilium_primitives::{round::Phase, DutyState, Hash, VoteBody};
use sp_core::offchain::Timestamp;
use sp_runtime::offchain::storage::StorageValueRef;
use std::cell::Cell;

#[test]
fn duties_and_token_go_to_this_machine_only() {
    for good in ["http://127.0.0.1:1", "http://localhost:8601", "http://[::1]:65535"] {
        assert_eq!(
            conduct_with(Answer::State(done()), &[1], true, |_| set(conductor::URL_KEY, good.as_bytes())).votes.len(),
            1
        );
    }
    for bad in [
        "http://10.0.0.1:80",
        "http://127.0.0.1.example.org:80",
        "http://localhost.example.org:80",
        "http://127.0.0.1:80@example.org",
        "http://127.0.0.1:80/../x",
        "https://127.0.0.1:8601",
        "http://127.0.0.1",
        "http://127.0.0.1:70000",
        "127.0.0.1:80",
        "",
    ] {
        let outcome = conduct_with(Answer::State(done()), &[1, 2], true, |_| set(conductor::URL_KEY, bad.as_bytes()));
        assert!(outcome.votes.is_empty() && outcome.log.lock().requests.is_empty(), "{bad}");
    }
}

#[test]
fn a_lock_from_a_clock_that_was_ahead_is_taken_away() {
    let hours = |hours: u64| Timestamp::from_unix_millis(1_000 + hours * 3_600_000);
    let lock = |until: Timestamp| StorageValueRef::persistent(b"consilium/conductor/lock").set(&until);
    assert_eq!(conduct_with(Answer::State(done()), &[1], true, |_| lock(hours(6))).votes.len(), 1);
    // one that a run of now may have set is not, be its clock a little ahead
    let soon = Timestamp::from_unix_millis(1_000 + 1_700);
    assert!(conduct_with(Answer::State(done()), &[1], true, |_| lock(soon)).votes.is_empty());
}

fn sent() -> Vec<(Hash, u32)> {
    StorageValueRef::persistent(b"consilium/conductor/sent").get().unwrap().unwrap_or_default()
}

#[test]
fn what_was_sent_is_forgotten_when_it_says_no_more() {
    let most = Cell::new(0);
    let blocks: Vec<u32> = (1..=40).collect();
    let outcome = conduct_with(Answer::State(done()), &blocks, true, |_| most.set(most.get().max(sent().len())));
    assert_eq!((outcome.votes.len(), most.get()), (20, 1));
    // nothing is left when nothing is asked
    let seen = Cell::new(None);
    let run = Cell::new(0);
    conduct_with(Answer::State(done()), &[1, 2, 3], true, |study| {
        run.set(run.get() + 1);
        match run.get() {
            2 => answer(1, study, VoteBody::Root(hash(7))),
            3 => seen.set(Some(sent().len())),
            _ => {}
        }
    });
    assert_eq!(seen.get(), Some(0));
}

fn finalised(block: u32) {
    StorageValueRef::persistent(conductor::FINALISED_KEY).set(&block);
}

/// A merge of two that was frozen in block 1. The fetch window is 26 blocks, the attempt 52.
fn to_merging(study: u32) {
    if !matches!(info(study).state.phase, Phase::Merging(_)) {
        to_training(study);
        (0..2).for_each(|n| answer(n, study, update(10 + n, None)));
    }
}

/// What is said at these blocks, each with the number of the finalised one.
fn said(blocks: &[(u32, Option<u32>)], with: impl Fn(u32)) -> Vec<VoteBody> {
    let numbers: Vec<u32> = blocks.iter().map(|(now, _)| *now).collect();
    let next = Cell::new(0);
    let missing = DutyState::Inputs { have: 0b10, invalid: 0 };
    let outcome = conduct_with(Answer::State(missing), &numbers, true, |study| {
        to_merging(study);
        let (now, number) = blocks[next.replace(next.get() + 1)];
        to_block(now);
        if let Some(number) = number {
            finalised(number);
        }
        with(study);
    });
    outcome.votes.iter().map(|(vote, _)| vote.body).collect()
}

fn missing(not_final: bool) -> VoteBody {
    VoteBody::Partial { have: 0b10, invalid: 0, not_final }
}

#[test]
fn a_site_says_that_a_freeze_is_not_final() {
    // before the fetch window has passed nothing is said, and well before the end of the attempt it is
    assert_eq!(said(&[(26, Some(0)), (27, Some(0))], |_| ()), [missing(true)]);
    // what is final in time is missing
    assert_eq!(said(&[(3, Some(1)), (27, Some(4))], |_| ()), [missing(false)]);
    // a node that says nothing of finality
    assert_eq!(said(&[(27, None)], |_| ()), [missing(false)]);
    // final too late to have been fetched
    assert_eq!(said(&[(26, Some(0)), (27, Some(1))], |_| ()), [missing(true)]);
}

#[test]
fn a_site_says_that_it_is_final_now_when_it_has_had_time_to_fetch() {
    let say = |study: u32| {
        if matches!(&info(study).state.phase, Phase::Merging(m) if !m.stands) {
            answer(1, study, missing(true));
        }
    };
    let quiet = [(27, Some(0)), (60, Some(0)), (70, Some(1)), (95, Some(8))];
    assert_eq!(said(&quiet, say), []);
    assert_eq!(said(&[&quiet[..], &[(96, Some(9))]].concat(), say), [missing(false)]);
    // the pool takes both, one after the other
    run(|| {
        let study = started(rules(), &[0, 1]);
        to_merging(study);
        to_block(27);
        let provides = |body| {
            let vote = ballot(1, study, body);
            let signature = sign(&vote, &pair(1, 0));
            let call = RuntimeCall::Swarm(crate::Call::vote { vote, signature });
            let source = sp_runtime::transaction_validity::TransactionSource::External;
            frame_support::traits::Authorize::authorize(&call, source).unwrap().unwrap().0.provides
        };
        let tags: std::collections::BTreeSet<_> =
            [missing(true), missing(false), VoteBody::Root(hash(1))].map(|body| provides(body).encode()).into();
        assert_eq!(tags.len(), 3);
    });
}
