//! Votes that answer the next duty together with a merge, and votes on a merge that has closed, as the chain keeps and tells them.

use crate::{mock::*, *};
use consilium_primitives::{
    round::{Kind, Phase},
    Ahead, DutyKind, DutyOutput, DutyState, Hash, Marks, Next, StudyId, Vote, VoteBody,
};
use frame_support::assert_noop;
use sp_runtime::transaction_validity::InvalidTransaction;

/// A study of four, in the merge of its first round.
fn merging() -> StudyId {
    let study = started(rules(), &[0, 1, 2, 3]);
    (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
    (0..4).for_each(|n| answer(n, study, update(10 + n, Some(90))));
    assert!(matches!(info(study).state.phase, Phase::Merging(_)));
    study
}

/// The vote of an institution on the merge that is open, with its update of the next round.
fn ahead(n: u8, study: StudyId, root: Hash) -> Vote {
    let vote = ballot(n, study, VoteBody::Root(root));
    let asked = Swarm::asked(&id(n)).into_iter().find(|asked| asked.order.duty.study == study).unwrap();
    assert_eq!(asked.ahead, Some(Ahead::Train { len: 1000 }));
    let duty = consilium_primitives::Duty {
        kind: DutyKind::Train,
        round: asked.order.duty.round + 1,
        base: root,
        ..asked.order.duty
    };
    let next = Next::Update { duty: duty.hash(), root: hash(20 + n), len: 1000, metric: Some(80) };
    Vote { body: VoteBody::Ahead { root, marks: Marks::default(), next }, ..vote }
}

fn events() -> Vec<Event<Test>> {
    let all = System::events().into_iter();
    all.filter_map(|record| match record.event {
        RuntimeEvent::Swarm(event) => Some(event),
        _ => None,
    })
    .collect()
}

#[test]
fn a_round_closes_and_the_next_one_freezes_in_one_block_and_all_of_it_is_told() {
    run(|| {
        System::set_block_number(1);
        let study = merging();
        let votes: Vec<_> = (0..4).map(|n| ahead(n, study, hash(2))).collect();
        System::reset_events();
        for (n, vote) in (0..4).zip(&votes) {
            send(n, *vote).unwrap();
        }
        let state = info(study).state;
        let Phase::Merging(m) = &state.phase else { panic!("{:?}", state.phase) };
        assert_eq!((state.round, state.base, m.inputs.len()), (2, hash(2), 4));
        let closed = record(study, 1);
        assert_eq!((closed.attesters.len(), closed.silent.len()), (4, 0));
        assert_eq!(Losses::<Test>::get(study, 1).len(), 4);
        // what came of the round that was opened is told as of that
        let told = events();
        let committed: Vec<u32> = told
            .iter()
            .filter_map(|event| match event {
                Event::Committed { round, .. } => Some(*round),
                _ => None,
            })
            .collect();
        assert_eq!(committed, [2; 4]);
        assert!(told.iter().any(|event| matches!(event, Event::Frozen { round: 2, .. })));
        assert!(told.iter().any(|event| matches!(event, Event::AttestedLate { round: 1, agrees: true, .. })));
        Swarm::do_try_state().unwrap();
    });
}

#[test]
fn who_attests_another_merge_late_is_a_dissenter() {
    run(|| {
        let study = merging();
        System::set_block_number(2);
        let late = ahead(3, study, hash(7));
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(2))));
        send(3, late).unwrap();
        assert_eq!(record(study, 1).dissenters.to_vec(), [(id(3), hash(7))]);
        assert!(events().contains(&Event::Dissent {
            study,
            round: 1,
            institution: id(3),
            attested: hash(7),
            root: hash(2)
        }));
        assert!(matches!(&info(study).state.phase, Phase::Collecting(c) if c.commitments.is_empty()));
        assert_eq!(send(3, late), Err(InvalidTransaction::Stale.into()));
    });
}

#[test]
fn what_cannot_be_said_ahead_or_late_changes_nothing() {
    run(|| {
        let study = merging();
        let vote = ahead(0, study, hash(2));
        let VoteBody::Ahead { root, marks, next: Next::Update { duty, root: file, metric, .. } } = vote.body else {
            panic!("it answers ahead")
        };
        let refused = |n: u8, body: VoteBody, error: Error<Test>| {
            let vote = Vote { institution: id(n), body, ..vote };
            let signature = sign(&vote, &pair(n, 0));
            assert_noop!(Swarm::vote(frame_system::RawOrigin::Authorized.into(), vote, signature), error);
        };
        let said =
            |duty, len, marks| VoteBody::Ahead { root, marks, next: Next::Update { duty, root: file, len, metric } };
        refused(0, said(hash(9), 1000, marks), Error::NoSuchDuty);
        refused(0, said(duty, 999, marks), Error::WrongLength);
        refused(0, said(duty, 1000, Marks { left_out: 0b1111, ..marks }), Error::BadMask);
        let late = ahead(3, study, hash(2));
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(2))));
        refused(0, VoteBody::Root(hash(2)), Error::AlreadyAnswered);
        let other = |body| Vote { body, ..late };
        let noop = |vote: Vote, error: Error<Test>| {
            let signature = sign(&vote, &pair(3, 0));
            assert_noop!(Swarm::vote(frame_system::RawOrigin::Authorized.into(), vote, signature), error);
        };
        noop(other(VoteBody::Partial { have: 1, invalid: 0, not_final: false }), Error::NoSuchDuty);
        noop(other(VoteBody::Held(hash(2))), Error::WrongAnswer);
        noop(Vote { attempt: 2, ..late }, Error::NoSuchDuty);
        send(3, late).unwrap();
        assert_eq!(record(study, 1).kind, Kind::Model);
    });
}

#[test]
fn the_worker_is_told_what_follows_and_what_it_answers_is_signed() {
    // the answer of a worker that is one round further; the chain is asked what it makes of it above
    let next = Next::Last { metric: Some(3) };
    let state = DutyState::Done(DutyOutput::Ahead { root: hash(2), marks: Marks::default(), next });
    let to_a_merge = |study: u32| {
        if matches!(info(study).state.phase, Phase::Init { .. }) {
            (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
            (0..2).for_each(|n| answer(n, study, update(10 + n, None)));
        }
    };
    let outcome = super::host::conduct_with(super::host::Answer::State(state), &[1], true, to_a_merge);
    let bodies: Vec<_> = outcome.votes.iter().map(|(vote, _)| vote.body).collect();
    assert_eq!(bodies, [VoteBody::Ahead { root: hash(2), marks: Marks::default(), next }]);
    let request = outcome.log.lock().requests[0].3.clone();
    let request: consilium_primitives::DutyRequest = codec::DecodeAll::decode_all(&mut &request[..]).unwrap();
    assert_eq!(request.ahead, [Some(Ahead::Train { len: 1000 })]);
    // as an earlier version reads it, there is nothing of that
    let older = consilium_primitives::DutyRequest { version: 4, ahead: vec![Some(Ahead::Evaluate)], ..request };
    let read: consilium_primitives::DutyRequest =
        codec::DecodeAll::decode_all(&mut &codec::Encode::encode(&older)[..]).unwrap();
    assert!(read.ahead.is_empty());
}
