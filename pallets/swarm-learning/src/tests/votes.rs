//! Votes against replay, and every refusal of theirs.

use super::custom;
use crate::{mock::*, *};
use consilium_primitives::{round::Phase, *};
use frame_support::{assert_noop, assert_ok};
use sp_core::Pair;
use sp_runtime::{traits::BadOrigin, transaction_validity::InvalidTransaction};

#[test]
fn a_vote_is_good_for_one_chain_study_round_attempt_and_institution() {
    run(|| {
        let study = started(rules(), &[0, 1, 2, 3]);
        let other = started(rules(), &[0, 1, 2, 3]);
        let vote = ballot(0, study, VoteBody::Root(hash(1)));
        let key = pair(0, 0);
        let good = sign(&vote, &key);
        assert_ok!(pool_says(vote, good.clone()));
        // another genesis
        let elsewhere = key.sign(&vote.payload(&hash(0x98), &info(study).agreement));
        assert_eq!(pool_says(vote, elsewhere), Err(InvalidTransaction::BadProof.into()));
        // another study, with the signature of the first, and with its duty
        assert_eq!(pool_says(Vote { study: other, ..vote }, good.clone()), not_yet());
        let there = ballot(0, other, VoteBody::Root(hash(1)));
        assert_eq!(pool_says(there, good.clone()), Err(InvalidTransaction::BadProof.into()));
        // another attempt, round, kind
        assert_eq!(pool_says(Vote { attempt: 1, ..vote }, good.clone()), not_yet());
        assert_eq!(pool_says(Vote { round: 1, ..vote }, good.clone()), not_yet());
        assert_eq!(pool_says(Vote { kind: DutyKind::Merge, ..vote }, good.clone()), not_yet());
        // another institution, and one that is no member
        let theirs = ballot(1, study, VoteBody::Root(hash(1)));
        assert_eq!(pool_says(theirs, good.clone()), Err(InvalidTransaction::BadProof.into()));
        assert_eq!(pool_says(Vote { institution: id(5), ..vote }, good.clone()), custom(10));
        // another body, and a study that is not there
        let changed = Vote { body: VoteBody::Root(hash(2)), ..vote };
        assert_eq!(pool_says(changed, good.clone()), Err(InvalidTransaction::BadProof.into()));
        assert_eq!(pool_says(Vote { study: 77, ..vote }, good.clone()), not_yet());
        assert_noop!(Swarm::vote(RuntimeOrigin::signed(account(0)), vote, good.clone()), BadOrigin);
        assert_noop!(Swarm::vote(RuntimeOrigin::none(), vote, good), BadOrigin);
    });
}

#[test]
fn the_same_merge_vote_is_refused_in_the_next_attempt() {
    run(|| {
        let study = started(rules(), &[0, 1, 2, 3]);
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        (0..4).for_each(|n| answer(n, study, update(n, None)));
        let vote = ballot(3, study, VoteBody::Root(hash(9)));
        let signature = sign(&vote, &pair(3, 0));
        assert_ok!(pool_says(vote, signature.clone()));
        // two against two: nobody closes it, and everyone is asked again
        answer(0, study, VoteBody::Root(hash(7)));
        answer(1, study, VoteBody::Root(hash(7)));
        answer(2, study, VoteBody::Root(hash(8)));
        let Phase::Merging(m) = info(study).state.phase else { panic!("not merging") };
        to_block(m.frozen_at + m.window);
        let Phase::Merging(m) = info(study).state.phase else { panic!("not merging") };
        assert_eq!(m.attempt, 2);
        assert_eq!(pool_says(vote, signature.clone()), custom(11));
        let again = Vote { attempt: 2, ..vote };
        assert_eq!(pool_says(again, signature), Err(InvalidTransaction::BadProof.into()));
    });
}

#[test]
fn a_participant_that_is_no_validator_votes() {
    run(|| {
        assert_eq!(Session::validators(), vec![account(0)]);
        let study = started(rules(), &[1, 2]);
        answer(1, study, VoteBody::Root(hash(1)));
        answer(2, study, VoteBody::Root(hash(1)));
        assert_eq!(record(study, 0).attesters.to_vec(), [id(1), id(2)]);
    });
}

#[test]
fn a_key_rotated_in_mid_round_replaces_the_old_one_at_once() {
    run(|| {
        let study = started(rules(), &[0, 1]);
        let vote = ballot(1, study, VoteBody::Root(hash(1)));
        let old = sign(&vote, &pair(1, 0));
        assert_ok!(pool_says(vote, old.clone()));
        let new = pair(1, 1);
        let keys = SessionKeys { swarm: new.public() };
        pallet_session::NextKeys::<Test>::insert(account(1), keys);
        assert_eq!(pool_says(vote, old), Err(InvalidTransaction::BadProof.into()));
        assert_ok!(pool_says(vote, sign(&vote, &new)));
        pallet_session::NextKeys::<Test>::remove(account(1));
        assert_eq!(pool_says(vote, sign(&vote, &new)), custom(2));
    });
}

fn call_refuses(vote: Vote, error: Error<Test>) {
    let signature = sign(&vote, &pair(0, 0));
    let origin = || frame_system::RawOrigin::Authorized.into();
    assert_noop!(Swarm::vote(origin(), vote, signature), error);
}

fn refused_in_pool_and_block(vote: Vote, code: u8, error: Error<Test>) {
    assert_eq!(pool_says(vote, sign(&vote, &pair(0, 0))), custom(code));
    call_refuses(vote, error);
}

#[test]
fn the_first_answer_binds() {
    run(|| {
        let study = started(rules(), &[0, 1, 2, 3]);
        let vote = ballot(0, study, VoteBody::Root(hash(1)));
        send(0, vote).unwrap();
        let second = Vote { body: VoteBody::Root(hash(2)), ..vote };
        assert_eq!(pool_says(second, sign(&second, &pair(0, 0))), Err(InvalidTransaction::Stale.into()));
        call_refuses(second, Error::AlreadyAnswered);
    });
}

#[test]
fn answers_that_do_not_fit_are_refused_in_pool_and_block() {
    run(|| {
        let study = started(rules(), &[0, 1]);
        let vote = ballot(0, study, VoteBody::Metric(None));
        assert_eq!(pool_says(vote, sign(&vote, &pair(0, 0))), custom(12));
        call_refuses(vote, Error::WrongAnswer);
        call_refuses(Vote { round: 5, ..vote }, Error::NoSuchDuty);
        call_refuses(Vote { institution: id(4), ..vote }, Error::NotAMember);
        answer(0, study, VoteBody::Root(hash(1)));
        answer(1, study, VoteBody::Root(hash(1)));
        let short = ballot(0, study, VoteBody::Update { root: hash(1), len: 999, metric: None });
        refused_in_pool_and_block(short, 13, Error::WrongLength);
        answer(0, study, update(1, None));
        answer(1, study, update(2, None));
        let partial = |have, invalid| VoteBody::Partial { have, invalid, not_final: false };
        let early = ballot(0, study, partial(1, 0));
        assert_eq!(pool_says(early, sign(&early, &pair(0, 0))), not_yet());
        call_refuses(early, Error::TooEarly);
        to_block(System::block_number() + info(study).state.windows().fetch);
        for (have, invalid) in [(4, 0), (1, 1), (3, 0)] {
            refused_in_pool_and_block(ballot(0, study, partial(have, invalid)), 15, Error::BadMask);
        }
        for (left_out, shortened) in [(0, 0), (4, 0), (3, 0)] {
            let marks = Marks { left_out, shortened };
            let marked = ballot(0, study, VoteBody::Marked { root: hash(1), marks });
            refused_in_pool_and_block(marked, 15, Error::BadMask);
        }
        let first = ballot(0, study, partial(1, 0));
        send(0, first).unwrap();
        assert_eq!(pool_says(first, sign(&first, &pair(0, 0))), Err(InvalidTransaction::Stale.into()));
        call_refuses(first, Error::AlreadyAnswered);
        answer(0, study, VoteBody::Root(hash(3)));
        answer(1, study, VoteBody::Root(hash(3)));
        (0..2).for_each(|n| answer(n, study, update(20 + n, None)));
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(4))));
        (0..2).for_each(|n| answer(n, study, VoteBody::Metric(None)));
        to_block(System::block_number() + 1);
        refused_in_pool_and_block(ballot(0, study, VoteBody::Held(hash(9))), 16, Error::WrongRoot);
        assert_eq!(info(study).state.base, hash(4));
    });
}

#[test]
fn a_vote_of_an_institution_that_was_suspended_is_refused() {
    run(|| {
        let study = started(rules(), &[0, 1]);
        let vote = ballot(0, study, VoteBody::Root(hash(1)));
        assert_ok!(pool_says(vote, sign(&vote, &pair(0, 0))));
        shut_out(account(0));
        assert_eq!(pool_says(vote, sign(&vote, &pair(0, 0))), custom(3));
    });
}

#[test]
fn a_vote_from_before_a_pause_is_refused_after_it() {
    run(|| {
        let study = started(rules(), &[0, 1]);
        let vote = ballot(0, study, VoteBody::Root(hash(1)));
        let signature = sign(&vote, &pair(0, 0));
        send(0, vote).unwrap();
        answer(1, study, VoteBody::Root(hash(2)));
        assert_ok!(Swarm::resume(signed(0), study));
        assert_eq!(pool_says(vote, signature.clone()), custom(11));
        let now = ballot(0, study, VoteBody::Root(hash(1)));
        assert_eq!((now.duty, now.resumed), (vote.duty, 1));
        assert_eq!(pool_says(now, signature), Err(InvalidTransaction::BadProof.into()));
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        assert_eq!(record(study, 0).root, hash(1));
    });
}
