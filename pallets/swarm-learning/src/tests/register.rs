//! Studies that are registered, enrolled in and started, and every refusal of those calls.

use crate::{mock::*, *};
use codec::Encode;
use consilium_primitives::{
    round::{AbortReason, Phase},
    *,
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::traits::BadOrigin;

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
