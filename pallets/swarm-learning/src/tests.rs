//! Behaviour of the pallet: every refusal, votes against replay, and whole studies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{mock::*, *};
use codec::Encode;
use consilium_primitives::{
    round::{AbortReason, Kind, PauseReason, Phase},
    *,
};
use frame_support::{assert_noop, assert_ok};
use sp_core::Pair;
use sp_runtime::{
    traits::BadOrigin,
    transaction_validity::{InvalidTransaction, TransactionValidityError},
};

fn custom(code: u8) -> Result<(), TransactionValidityError> {
    Err(InvalidTransaction::Custom(code).into())
}

fn refuses(change: impl FnOnce(&mut StudyRules), error: Error<Test>) {
    let mut bad = rules();
    change(&mut bad);
    assert_noop!(register(0, bad), error);
}

#[test]
fn merges_that_cannot_hold_what_they_promise_are_refused_by_name() {
    let robust = |r: &mut StudyRules, rule, liars, least| {
        r.merge = Merge { liars, ..Merge::by(rule) };
        (r.rule_min, r.min_participants) = (least, least);
    };
    let adaptive = |rate, beta1, beta2, tau| rules::Adaptive { rate, beta1, beta2, tau };
    run(|| {
        let median = || MergeRule::Median(Weighting::Equal);
        refuses(|r| r.merge.liars = 1, Error::BadMerge);
        refuses(|r| robust(r, median(), 32, 64), Error::BadMerge);
        refuses(|r| robust(r, MergeRule::Krum { keep: 1 }, 31, 64), Error::BadMerge);
        refuses(|r| robust(r, MergeRule::Krum { keep: 0 }, 1, 5), Error::BadMerge);
        refuses(|r| r.merge.mixing = true, Error::BadMerge);
        refuses(|r| r.merge.bound = Some(rules::NormBound::Fixed(0)), Error::BadMerge);
        for server in [
            rules::ServerOptimizer::Momentum { rate: 0, beta: 900_000 },
            rules::ServerOptimizer::Momentum { rate: 1, beta: 1_000_000 },
            rules::ServerOptimizer::Adam(adaptive(0, 0, 0, 1)),
            rules::ServerOptimizer::Adam(adaptive(1, 1_000_000, 0, 1)),
            rules::ServerOptimizer::Yogi(adaptive(1, 0, 1_000_000, 1)),
            rules::ServerOptimizer::Adagrad(adaptive(1, 0, 0, 0)),
        ] {
            refuses(|r| r.merge.server = Some(server), Error::BadMerge);
        }
        refuses(|r| robust(r, median(), 1, 2), Error::BadRuleMin);
        refuses(|r| robust(r, MergeRule::TrimmedMean, 2, 4), Error::BadRuleMin);
        refuses(|r| robust(r, MergeRule::Krum { keep: 1 }, 1, 4), Error::BadRuleMin);
        refuses(|r| robust(r, MergeRule::Krum { keep: 5 }, 1, 5), Error::BadRuleMin);
        refuses(|r| r.rule_min = 3, Error::BadRuleMin);
        let mut good = rules();
        robust(&mut good, MergeRule::Krum { keep: 4 }, 1, 5);
        good.merge.mixing = true;
        assert_ok!(register(0, good));
    });
}

#[test]
fn rules_that_make_no_sense_are_refused_by_name() {
    run(|| {
        refuses(|r| r.training_blocks = 0, Error::BadWindow);
        refuses(|r| r.transfer_blocks = rules::MAX_WINDOW + 1, Error::BadWindow);
        refuses(|r| r.enrolment_blocks = 0, Error::BadWindow);
        refuses(|r| r.min_participants = 1, Error::BadParticipants);
        refuses(|r| r.rule_min = 65, Error::BadParticipants);
        refuses(|r| r.max_rounds = 1001, Error::BadRounds);
        refuses(|r| r.max_rounds = 0, Error::BadRounds);
        refuses(|r| r.keep_updates = 4, Error::BadKept);
        refuses(|r| r.max_share = 0, Error::BadShare);
        refuses(|r| r.max_share = 1_000_001, Error::BadShare);
        refuses(|r| r.update_len = 0, Error::BadLength);
        refuses(|r| r.merged_len = (4 << 30) + 1, Error::BadLength);
        refuses(|r| r.statistics_len = (4 << 30) + 1, Error::BadLength);
        refuses(|r| r.invited = vec![id(1), id(0)].try_into().unwrap(), Error::BadInvited);
        refuses(|r| r.invited = vec![id(1)].try_into().unwrap(), Error::BadInvited);
        refuses(|r| r.invited = vec![id(1), id(1)].try_into().unwrap(), Error::BadInvited);
        let two_of_three = |r: &mut StudyRules| {
            r.invited = vec![id(0), id(1)].try_into().unwrap();
            r.min_participants = 3;
        };
        refuses(two_of_three, Error::BadInvited);
        for weights in [
            vec![],
            vec![(id(0), 1)],
            vec![(id(0), 1), (id(1), 1 << 29)],
            vec![(id(0), 1), (id(1), 0)],
            vec![(id(1), 1), (id(0), 1)],
            vec![(id(0), 1), (id(0), 1)],
        ] {
            let merge = Merge::by(MergeRule::Mean(Weighting::Declared(weights.try_into().unwrap())));
            refuses(|r| r.merge = merge, Error::BadWeights);
        }
        assert_noop!(Swarm::register(signed(0), Box::new(rules()), Default::default()), Error::<Test>::EmptySpec);
        let bytes = b"{\xff}".to_vec().try_into().unwrap();
        assert_noop!(Swarm::register(signed(0), Box::new(rules()), bytes), Error::<Test>::SpecNotText);
    });
}

#[test]
fn only_participants_register_and_enrol() {
    run(|| {
        register(0, rules()).unwrap();
        shut_out(account(1));
        assert_noop!(register(1, rules()), Error::<Test>::NotAParticipant);
        assert_noop!(enrol(1, 0, 10), Error::<Test>::NotAParticipant);
        assert_noop!(Swarm::register(RuntimeOrigin::root(), Box::new(rules()), spec()), BadOrigin);
        assert_noop!(Swarm::enrol(RuntimeOrigin::none(), 0, hash(0), 1), BadOrigin);
    });
}

#[test]
fn a_proposer_and_the_chain_have_limits() {
    run(|| {
        for proposer in 0..4 {
            for _ in 0..MAX_PROPOSED {
                assert_ok!(register(proposer, rules()));
            }
            assert_noop!(register(proposer, rules()), Error::<Test>::TooManyProposals);
        }
        assert_noop!(register(4, rules()), Error::<Test>::TooManyStudies);
        assert_ok!(Swarm::abort(signed(0), 0));
        assert_ok!(register(4, rules()));
    });
}

#[test]
fn one_agreement_runs_once() {
    run(|| {
        let again = || Swarm::register(signed(0), Box::new(rules()), spec());
        assert_ok!(again());
        assert_noop!(again(), Error::<Test>::AlreadyRuns);
        // another proposer's is another agreement
        assert_ok!(Swarm::register(signed(1), Box::new(rules()), spec()));
        assert_ok!(Swarm::abort(signed(0), 0));
        assert_ok!(again());
        assert_noop!(again(), Error::<Test>::AlreadyRuns);
    });
}

#[test]
fn enrolment_signs_exactly_the_agreement() {
    run(|| {
        register(0, rules()).unwrap();
        assert_noop!(Swarm::enrol(signed(1), 7, hash(0), 10), Error::<Test>::NoSuchStudy);
        assert_noop!(Swarm::enrol(signed(1), 0, hash(0), 10), Error::<Test>::OtherAgreement);
        assert_noop!(enrol(1, 0, 0), Error::<Test>::BadSampleCount);
        assert_noop!(enrol(1, 0, 1 << 29), Error::<Test>::BadSampleCount);
        assert_ok!(enrol(1, 0, 10));
        assert_noop!(enrol(1, 0, 10), Error::<Test>::AlreadyEnrolled);
        let by_hand = (hash(0x99), id(0), rules()).encode();
        let expected = sp_io::hashing::blake2_256(&[by_hand, spec().into_inner()].concat());
        assert_eq!(info(0).agreement.0, expected);
    });
}

#[test]
fn invited_and_declared_lists_decide_who_enrols() {
    run(|| {
        let mut closed = rules();
        closed.invited = vec![id(0), id(1)].try_into().unwrap();
        register(0, closed).unwrap();
        assert_noop!(enrol(2, 0, 10), Error::<Test>::NotInvited);
        let mut declared = rules();
        declared.merge =
            Merge::by(MergeRule::Mean(Weighting::Declared(vec![(id(0), 3), (id(1), 1)].try_into().unwrap())));
        register(0, declared).unwrap();
        assert_noop!(enrol(2, 1, 10), Error::<Test>::NoDeclaredWeight);
        assert_ok!(enrol(0, 1, 10));
        assert_eq!(info(1).state.members[0].weight, 3);
    });
}

#[test]
fn a_study_is_full_at_sixty_four() {
    run(|| {
        register(0, rules()).unwrap();
        for n in 0..64 {
            assert_ok!(enrol(n, 0, 10));
        }
        assert_noop!(enrol(64, 0, 10), Error::<Test>::Full);
    });
}

#[test]
fn only_the_proposer_starts_and_only_with_enough() {
    run(|| {
        register(0, rules()).unwrap();
        enrol(0, 0, 10).unwrap();
        assert_noop!(Swarm::start(signed(0), 0), Error::<Test>::TooFewEnrolled);
        enrol(1, 0, 10).unwrap();
        assert_noop!(Swarm::start(signed(1), 0), Error::<Test>::NotTheProposer);
        assert_noop!(Swarm::start(signed(0), 9), Error::<Test>::NoSuchStudy);
        assert_ok!(Swarm::start(signed(0), 0));
        assert_noop!(Swarm::start(signed(0), 0), Error::<Test>::WrongPhase);
        assert_noop!(Swarm::resume(signed(0), 0), Error::<Test>::WrongPhase);
        assert_noop!(Swarm::abort(signed(0), 0), Error::<Test>::WrongPhase);
        assert_noop!(Swarm::resume(signed(0), 9), Error::<Test>::NoSuchStudy);
        assert_noop!(Swarm::abort(signed(0), 9), Error::<Test>::NoSuchStudy);
        assert_noop!(Swarm::withdraw(signed(0), 9), Error::<Test>::NoSuchStudy);
        assert_noop!(Swarm::start(RuntimeOrigin::none(), 0), BadOrigin);
        assert_noop!(Swarm::abort(RuntimeOrigin::root(), 0), BadOrigin);
        assert_noop!(Swarm::resume(RuntimeOrigin::none(), 0), BadOrigin);
        assert_noop!(Swarm::withdraw(RuntimeOrigin::root(), 0), BadOrigin);
    });
}

#[test]
fn who_withdrew_is_no_member_until_it_enrols_with_the_same_count() {
    run(|| {
        register(0, rules()).unwrap();
        assert_noop!(Swarm::withdraw(signed(1), 0), Error::<Test>::NotAMember);
        enrol(1, 0, 10).unwrap();
        assert_ok!(Swarm::withdraw(signed(1), 0));
        assert_noop!(Swarm::withdraw(signed(1), 0), Error::<Test>::NotAMember);
        assert_noop!(enrol(1, 0, 11), Error::<Test>::BadSampleCount);
        assert_ok!(enrol(1, 0, 10));
    });
}

#[test]
fn the_end_of_enrolment_starts_or_aborts() {
    run(|| {
        register(0, rules()).unwrap();
        register(0, rules()).unwrap();
        enrol(0, 0, 10).unwrap();
        enrol(1, 0, 10).unwrap();
        to_block(50);
        assert!(matches!(info(0).state.phase, Phase::Enrolling { .. }));
        to_block(51);
        assert!(matches!(info(0).state.phase, Phase::Init { .. }));
        assert_eq!(info(1).state.phase, Phase::Aborted { reason: AbortReason::TooFewEnrolled });
        assert_noop!(enrol(2, 1, 10), Error::<Test>::WrongPhase);
    });
}

#[test]
fn a_study_runs_from_registration_to_certificate() {
    run(|| {
        let study = started(rules(), &[0, 1, 2, 3]);
        (0..4).for_each(|n| {
            // three equal votes of four close at once; the fourth is too late for round 0
            if n < 3 {
                answer(n, study, VoteBody::Root(hash(1)))
            }
        });
        assert_eq!(record(study, 0).root, hash(1));
        for round in 1..=2u8 {
            (0..4).for_each(|n| answer(n, study, update(10 * round + n, Some(500_000 - u32::from(round)))));
            (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(100 + round))));
            let closed = record(study, u32::from(round));
            assert_eq!(closed.inputs.iter().map(|i| i.weight).collect::<Vec<_>>(), [100, 101, 102, 103]);
            assert_eq!(closed.attesters.len(), 3);
            assert_eq!(closed.silent.to_vec(), [id(3)]);
        }
        // round 2 is worse than round 1 for everyone
        (0..4).for_each(|n| answer(n, study, VoteBody::Metric(Some(600_000))));
        to_block(2);
        (0..4).for_each(|n| answer(n, study, VoteBody::Held(hash(101))));
        let Phase::Completed(certificate) = info(study).state.phase else { panic!("not completed") };
        assert_eq!((certificate.round, certificate.root, certificate.held), (1, hash(101), 0b1111));
        assert!(Running::<Test>::get().is_empty());
        assert_eq!(Ended::<Test>::get().to_vec(), [study]);
        assert_noop!(Swarm::withdraw(signed(0), study), Error::<Test>::WrongPhase);
    });
}

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
fn a_stalled_study_pauses_and_more_than_half_let_it_go_on() {
    run(|| {
        let study = started(rules(), &[0, 1, 2, 3]);
        let until = info(study).state.deadline().unwrap();
        to_block(until);
        let Phase::Paused(pause) = info(study).state.phase else { panic!("not paused") };
        assert_eq!(pause.reason, PauseReason::NoCommonStart);
        assert_ok!(Swarm::resume(signed(1), study));
        assert_noop!(Swarm::resume(signed(1), study), Error::<Test>::AlreadyAnswered);
        assert_noop!(Swarm::resume(signed(5), study), Error::<Test>::NotAMember);
        assert_ok!(Swarm::resume(signed(2), study));
        assert_ok!(Swarm::resume(signed(3), study));
        assert!(matches!(info(study).state.phase, Phase::Init { .. }));
    });
}

#[test]
fn nobody_waits_for_an_institution_that_has_departed() {
    run(|| {
        let study = started(rules(), &[0, 1, 2, 3]);
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        (0..3).for_each(|n| answer(n, study, update(n, None)));
        assert!(matches!(info(study).state.phase, Phase::Collecting(_)));
        Swarm::departed(&account(3));
        assert!(matches!(info(study).state.phase, Phase::Merging(_)));
    });
}

#[test]
fn who_is_no_participant_any_more_decides_nothing() {
    run(|| {
        let waiting = NextStudy::<Test>::get();
        register(0, rules()).unwrap();
        (0..2).for_each(|n| enrol(n, waiting, 10).unwrap());
        let study = started(rules(), &[0, 1]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(n))));
        assert!(matches!(info(study).state.phase, Phase::Paused(_)));
        shut_out(account(0));
        assert_noop!(Swarm::start(signed(0), waiting), Error::<Test>::NotAParticipant);
        assert_noop!(Swarm::abort(signed(0), waiting), Error::<Test>::NotAParticipant);
        assert_noop!(Swarm::resume(signed(0), study), Error::<Test>::NotAParticipant);
        assert_noop!(Swarm::abort(signed(0), study), Error::<Test>::NotAParticipant);
        assert_ok!(Swarm::withdraw(signed(0), study));
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

#[test]
fn a_study_that_never_started_leaves_no_spec_and_takes_no_ones_place() {
    run(|| {
        let study = started(rules(), &[0, 1]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(n))));
        assert_ok!(Swarm::abort(signed(0), study));
        for _ in 0..2 * MAX_RUNNING {
            let idle = NextStudy::<Test>::get();
            assert_ok!(register(1, rules()));
            assert_ok!(Swarm::abort(signed(1), idle));
            assert!(!Specs::<Test>::contains_key(idle));
        }
        assert_eq!(Ended::<Test>::get().to_vec(), [study]);
        assert!(Specs::<Test>::contains_key(study));
    });
}

#[test]
fn the_chain_keeps_the_losses_and_the_latest_report_of_a_site() {
    run(|| {
        let study = started(rules(), &[0, 1]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        (0..2).for_each(|n| answer(n, study, update(n, Some(700_000 + u32::from(n)))));
        assert_eq!(Losses::<Test>::get(study, 0).to_vec(), [(id(0), 700_000), (id(1), 700_001)]);
    });
}

#[test]
fn orders_name_what_is_attested_and_of_which_inputs_as_far_back_as_sites_keep_their_own() {
    run(|| {
        let study = started(StudyRules { max_rounds: 20, statistics_len: 300, ..rules() }, &[0, 1]);
        let attested = || Swarm::orders(&id(0))[0].attested.clone();
        assert_eq!(attested(), []);
        (0..2).for_each(|n| answer(n, study, VoteBody::Update { root: hash(n), len: 300, metric: None }));
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(50))));
        let statistics = attested();
        let inputs_root = History::<Test>::get(study, (Kind::Statistics, 0)).unwrap().inputs_root;
        assert_eq!(statistics, [Attested { kind: Kind::Statistics, round: 0, inputs_root, root: hash(50) }]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(100))));
        for round in 1..=12u8 {
            (0..2).for_each(|n| answer(n, study, update(n, None)));
            let duty = Swarm::orders(&id(0))[0].duty;
            (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(100 + round))));
            assert_eq!(attested().last().unwrap().inputs_root, duty.base, "that of the merge's duty");
        }
        let models = (5..=12u32).map(|round| {
            let record = record(study, round);
            Attested { kind: Kind::Model, round, inputs_root: record.inputs_root, root: hash(100 + round as u8) }
        });
        let all: Vec<_> = statistics.into_iter().chain(models).collect();
        assert_eq!(attested(), all);
        // who is to hold an earlier round's model is told of that one too
        let rounds = |asked| Swarm::attested(study, 13, asked).iter().skip(1).map(|a| a.round).collect::<Vec<_>>();
        assert_eq!(rounds(3), [3, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(rounds(7), rounds(13));
    });
}
