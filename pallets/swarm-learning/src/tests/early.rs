//! Votes that a pool gets before its node has seen the block that asks for them.

use crate::{mock::*, *};
use codec::Encode;
use consilium_primitives::{round::Phase, Duty, DutyKind, StudyId, Vote, VoteBody};
use frame_support::traits::Authorize;
use sp_runtime::transaction_validity::{
    InvalidTransaction, TransactionSource, TransactionValidityError, UnknownTransaction, ValidTransaction,
};

/// What a pool, or a block, says of a vote of this institution.
fn says(source: TransactionSource, n: u8, vote: Vote) -> Result<ValidTransaction, TransactionValidityError> {
    // of a study that is not there, nothing can be signed
    let signed = if NextStudy::<Test>::get() > vote.study { vote } else { Vote { study: 0, ..vote } };
    let call = RuntimeCall::Swarm(Call::vote { vote, signature: sign(&signed, &pair(n, 0)) });
    call.authorize(source).expect("votes are authorized calls").map(|(valid, _)| valid)
}

fn pool(n: u8, vote: Vote) -> Result<ValidTransaction, TransactionValidityError> {
    says(TransactionSource::External, n, vote)
}

/// The tag by which a pool knows what answers a duty.
fn tag(vote: &Vote) -> Vec<u8> {
    let known = (vote.study, vote.round, vote.attempt, vote.resumed, vote.kind, vote.institution, 0u8);
    ("SwarmVote", known).encode()
}

/// A study of four that collects its first updates.
fn training() -> StudyId {
    let study = started(rules(), &[0, 1, 2, 3]);
    (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
    assert!(matches!(info(study).state.phase, Phase::Collecting(_)));
    study
}

/// A vote on a merge of this round that is not open yet.
fn merge(n: u8, study: StudyId, round: u32) -> Vote {
    let asked = Swarm::asked(&id(n)).into_iter().find(|asked| asked.order.duty.study == study).unwrap();
    let duty = Duty { kind: DutyKind::Merge, round, base: hash(77), statistics: hash(0), ..asked.order.duty };
    let (attempt, resumed) = (1, asked.resumed);
    let body = VoteBody::Root(hash(2));
    Vote { study, round, attempt, resumed, kind: DutyKind::Merge, institution: id(n), duty: duty.hash(), body }
}

const NOT_YET: TransactionValidityError =
    TransactionValidityError::Unknown(UnknownTransaction::Custom(crate::types::NOT_YET));

#[test]
fn a_vote_that_comes_one_answer_early_waits_for_that_answer() {
    run(|| {
        let study = training();
        let owed = ballot(3, study, update(3, None));
        let early = pool(3, merge(3, study, 1)).unwrap();
        assert_eq!(early.requires, [tag(&owed)]);
        // once that is in, the early one waits for nothing that this author still owes: it is sent again
        (0..4).for_each(|n| answer(n, study, update(n, None)));
        let owed = ballot(3, study, VoteBody::Root(hash(2)));
        assert_eq!(pool(3, owed).unwrap().requires, Vec::<Vec<u8>>::new());
        // the next round may be opened and frozen in the block that closes this one
        assert_eq!(pool(3, merge(3, study, 2)).unwrap().requires, [tag(&owed)]);
        send(3, owed).unwrap();
        let later = Vote { round: 2, ..owed };
        assert_eq!(pool(3, later), Err(NOT_YET));
    });
}

#[test]
fn what_comes_earlier_or_may_answer_on_another_chain_is_not_shut_out() {
    run(|| {
        let study = training();
        let vote = merge(3, study, 1);
        for vote in [
            Vote { round: 2, ..vote },
            Vote { resumed: 1, ..vote },
            Vote { attempt: 2, ..vote },
            Vote { kind: DutyKind::Acknowledge, ..vote },
            Vote { study: 1, ..vote },
        ] {
            assert_eq!(pool(3, vote), Err(NOT_YET), "{vote:?}");
        }
        // another base: another block may have opened this round
        let train = ballot(3, study, update(3, None));
        assert_eq!(pool(3, Vote { duty: hash(5), ..train }), Err(NOT_YET));
        // missing inputs are reported after a while
        (0..4).for_each(|n| answer(n, study, update(n, None)));
        let partial = ballot(3, study, VoteBody::Partial { have: 1, invalid: 0, not_final: false });
        assert_eq!(pool(3, partial), Err(NOT_YET));
    });
}

#[test]
fn in_a_block_an_early_vote_is_none_and_what_is_over_is_refused_for_good() {
    run(|| {
        let study = training();
        let early = merge(3, study, 1);
        let refused = |code| Err(InvalidTransaction::Custom(code).into());
        assert_eq!(says(TransactionSource::InBlock, 3, early), refused(11));
        assert_eq!(says(TransactionSource::InBlock, 3, Vote { study: 1, ..early }), refused(1));
        // the signature counts, also of what waits
        let call = RuntimeCall::Swarm(Call::vote { vote: early, signature: sign(&early, &pair(2, 0)) });
        let answer_to = call.authorize(TransactionSource::External).unwrap();
        assert_eq!(answer_to.map(|_| ()), Err(InvalidTransaction::BadProof.into()));
        let past = ballot(3, study, update(3, None));
        (0..4).for_each(|n| answer(n, study, update(n, None)));
        assert_eq!(pool(3, past), refused(11));
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(2))));
        assert_eq!(pool(3, past), refused(11));
        assert_eq!(pool(5, Vote { institution: id(5), ..early }), refused(10));
        // after the end
        Swarm::withdraw(signed(1), study).unwrap();
        Swarm::withdraw(signed(2), study).unwrap();
        Swarm::withdraw(signed(3), study).unwrap();
        assert_eq!(pool(3, early), refused(10));
    });
}
