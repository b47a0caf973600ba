//! Budgets of data sets.

use super::{
    custom,
    host::{conduct_with, done, Answer},
};
use crate::{mock::*, *};
use codec::Decode;
use consilium_primitives::{
    budget::{dataset_id, RAISE_BLOCKS},
    round::Phase,
    rules::NormBound,
    DutyKind, DutyRequest, FailureCode, Hash, Masked, Merge, MergeRule, Privacy, PrivacyUnit, StudyId, StudyRules,
    VoteBody, Weighting,
};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};

#[test]
fn a_budget_is_declared_once_raised_after_seven_days_and_lowered_at_once() {
    run(|| {
        let set = dataset_id(&id(1), "oncology-2026");
        let limit = |block: u32| Budgets::<Test>::get(id(1), set).unwrap().limit_micro(block);
        assert_noop!(Swarm::raise_budget(signed(1), set, 9), Error::<Test>::NoBudget);
        assert_noop!(Swarm::lower_budget(signed(1), set, 9), Error::<Test>::NoBudget);
        assert_noop!(Swarm::declare_budget(signed(1), set, 0, 5, PrivacyUnit::Patient), Error::<Test>::BadLimit);
        assert_noop!(Swarm::declare_budget(signed(1), set, 1, 2, PrivacyUnit::Patient), Error::<Test>::BadDelta);
        assert_ok!(Swarm::declare_budget(signed(1), set, 4_000_000, 5, PrivacyUnit::Patient));
        assert_noop!(Swarm::declare_budget(signed(1), set, 9, 5, PrivacyUnit::Patient), Error::<Test>::HasBudget);
        // another institution's data set of this name is another one
        assert_noop!(Swarm::lower_budget(signed(2), set, 9), Error::<Test>::NoBudget);
        assert_noop!(Swarm::raise_budget(signed(1), set, 4_000_000), Error::<Test>::LimitStays);
        assert_ok!(Swarm::raise_budget(signed(1), set, 8_000_000));
        let from = System::block_number() + RAISE_BLOCKS;
        assert_eq!((limit(from - 1), limit(from)), (4_000_000, 8_000_000));
        let told = Event::<Test>::BudgetSet { institution: id(1), dataset: set, limit_micro: 8_000_000, from };
        assert!(System::events().iter().any(|record| record.event == RuntimeEvent::Swarm(told.clone())));
        assert_noop!(Swarm::lower_budget(signed(1), set, 4_000_000), Error::<Test>::LimitStays);
        assert_ok!(Swarm::lower_budget(signed(1), set, 1_000_000));
        assert_eq!(limit(from), 1_000_000, "a higher one that waits is off");
        shut_out(account(3));
        assert_noop!(Swarm::declare_budget(signed(3), set, 9, 5, PrivacyUnit::Record), Error::<Test>::NotAParticipant);
    });
}

#[test]
fn an_institution_declares_so_many_budgets_and_no_more() {
    run(|| {
        let set = |n: u32| dataset_id(&id(1), &format!("set-{n}"));
        for n in 0..MAX_DATASETS {
            assert_ok!(Swarm::declare_budget(signed(1), set(n), 1, 5, PrivacyUnit::Record));
        }
        let one_more = Swarm::declare_budget(signed(1), set(MAX_DATASETS), 1, 5, PrivacyUnit::Record);
        assert_eq!(one_more, Err(Error::<Test>::TooManyDatasets.into()));
        assert_ok!(Swarm::declare_budget(signed(2), set(0), 1, 5, PrivacyUnit::Record));
    });
}

/// A round of it costs about ε 1.6, two 2.2.
pub(super) fn privacy() -> Privacy {
    Privacy {
        unit: PrivacyUnit::Record,
        rate_ppm: 250_000,
        steps: 8,
        clip_micro: 500_000,
        sigma_1024: 3_072,
        delta_exp: 5,
        shared: false,
        colluders: 0,
        // in thousandths
        spend: [70, 105, 140, 180, 215, 260, 300, 400, 500, 760, 1200, 2000, 4500, 17000, 45000, 100000]
            .map(|thousandths: u64| thousandths * 1_000_000),
    }
}

fn private() -> StudyRules {
    StudyRules { privacy: Some(privacy()), max_rounds: 9, ..rules() }
}

pub(super) fn set(n: u8) -> Hash {
    dataset_id(&id(n), "oncology-2026")
}

pub(super) fn declare(n: u8, limit_micro: u32) {
    assert_ok!(Swarm::declare_budget(signed(n), set(n), limit_micro, 5, PrivacyUnit::Record));
}

pub(super) fn enrol_private(n: u8, study: StudyId, dataset: Hash) -> DispatchResult {
    Swarm::enrol_private(signed(n), study, info(study).agreement, 100, dataset)
}

/// A private study of the first three, whose first updates are asked for.
fn begun(limit_micro: u32) -> StudyId {
    (0..3).filter(|n| !Budgets::<Test>::contains_key(id(*n), set(*n))).for_each(|n| declare(n, limit_micro));
    let study = NextStudy::<Test>::get();
    register(0, private()).unwrap();
    (0..3).for_each(|n| enrol_private(n, study, set(n)).unwrap());
    Swarm::start(signed(0), study).unwrap();
    for n in 0..3 {
        if matches!(info(study).state.phase, Phase::Init { .. }) {
            answer(n, study, VoteBody::Root(hash(1)));
        }
    }
    study
}

fn spent(n: u8) -> [u64; 16] {
    *Budgets::<Test>::get(id(n), set(n)).unwrap().spent()
}

fn times(rounds: u64) -> [u64; 16] {
    privacy().spend.map(|one| one * rounds)
}

#[test]
fn rules_of_privacy_that_promise_nothing_are_refused_by_name() {
    run(|| {
        let refused = |change: &dyn Fn(&mut Privacy), error: Error<Test>| {
            let mut slip = privacy();
            change(&mut slip);
            let rules = Box::new(StudyRules { privacy: Some(slip), ..private() });
            assert_noop!(Swarm::register(signed(0), rules, spec_of(0)), error);
        };
        refused(&|p| p.rate_ppm = 0, Error::PrivacyRate);
        refused(&|p| p.steps = 0, Error::PrivacySteps);
        refused(&|p| p.sigma_1024 = 0, Error::PrivacyNoise);
        refused(&|p| p.delta_exp = 0, Error::PrivacyDelta);
        refused(&|p| p.spend[0] = 0, Error::PrivacySpend);
        refused(&|p| p.shared = true, Error::PrivacyShared);
        refused(&|p| p.colluders = 1, Error::PrivacyColluders);
        let figures = Box::new(StudyRules { patience: 2, ..private() });
        assert_noop!(Swarm::register(signed(0), figures, spec_of(0)), Error::<Test>::PrivacyFigures);
    });
}

/// Noise that the sites of a masked sum share: one step on all rows.
fn shared() -> StudyRules {
    StudyRules {
        min_participants: 3,
        max_share: 1_000_000,
        masked: Some(Masked { range_log2: 16, statistics_len: 0, figures_len: 120 }),
        privacy: Some(Privacy { rate_ppm: 1_000_000, steps: 1, shared: true, colluders: 1, ..privacy() }),
        ..private()
    }
}

#[test]
fn shared_noise_is_taken_with_masks_and_refused_by_name_where_a_sum_would_not_have_all_of_it() {
    run(|| {
        let refused = |rules: StudyRules, error: Error<Test>| {
            assert_noop!(Swarm::register(signed(0), Box::new(rules), spec_of(0)), error);
        };
        let with = |change: &dyn Fn(&mut Privacy)| {
            let mut rules = shared();
            change(rules.privacy.as_mut().unwrap());
            rules
        };
        refused(StudyRules { masked: None, ..shared() }, Error::PrivacyShared);
        refused(StudyRules { max_share: 500_000, ..shared() }, Error::PrivacyShared);
        let bounded = Merge { bound: Some(NormBound::Fixed(1_000_000)), ..shared().merge };
        refused(StudyRules { merge: bounded, ..shared() }, Error::PrivacyShared);
        let equal = Merge::by(MergeRule::Mean(Weighting::Equal));
        refused(StudyRules { merge: equal, ..shared() }, Error::PrivacyShared);
        refused(with(&|p| p.steps = 2), Error::PrivacyShared);
        refused(with(&|p| p.colluders = 0), Error::PrivacyColluders);
        refused(with(&|p| p.colluders = 3), Error::PrivacyColluders);
        // each adding all of it, no site may be most of a sum
        refused(with(&|p| (p.shared, p.colluders) = (false, 0)), Error::MaskedShare);
        register(0, shared()).unwrap();
        assert_eq!(info(0).state.rules.privacy, shared().privacy);
    });
}

#[test]
fn a_private_study_is_enrolled_in_with_a_data_set_that_has_room_and_counts_as_it_does() {
    run(|| {
        register(0, private()).unwrap();
        let refused = |study: StudyId, dataset: Hash, error: Error<Test>| {
            let agreement = info(study).agreement;
            assert_noop!(Swarm::enrol_private(signed(1), study, agreement, 100, dataset), error);
        };
        refused(0, set(1), Error::NoBudget);
        assert_noop!(Swarm::enrol(signed(1), 0, info(0).agreement, 100), Error::<Test>::NoDataset);
        assert_noop!(Swarm::enrol_private(signed(1), 0, hash(9), 100, set(1)), Error::<Test>::OtherAgreement);
        assert_noop!(Swarm::enrol_private(signed(1), 7, hash(9), 100, set(1)), Error::<Test>::NoSuchStudy);
        let other = |name: &str| dataset_id(&id(1), name);
        let declared = |name: &str, limit, delta_exp, unit| {
            assert_ok!(Swarm::declare_budget(signed(1), other(name), limit, delta_exp, unit));
            other(name)
        };
        refused(0, declared("patients", 8_000_000, 5, PrivacyUnit::Patient), Error::OtherUnit);
        refused(0, declared("finer", 8_000_000, 6, PrivacyUnit::Record), Error::OtherDelta);
        refused(0, declared("little", 100_000, 5, PrivacyUnit::Record), Error::OverBudget);
        // another institution's data set is not the caller's
        declare(2, 8_000_000);
        refused(0, set(2), Error::NoBudget);
        declare(1, 8_000_000);
        assert_ok!(enrol_private(1, 0, set(1)));
        assert_eq!(Counts::<Test>::get(0, id(1)).unwrap(), Counted { dataset: set(1), rounds: 0, last: None });
        // who comes back is counted where it was
        Swarm::withdraw(signed(1), 0).unwrap();
        refused(0, declared("new", 8_000_000, 5, PrivacyUnit::Record), Error::OtherDataset);
        assert_ok!(enrol_private(1, 0, set(1)));
        // a study that promises nothing counts nothing
        register(0, rules()).unwrap();
        refused(1, set(1), Error::NothingCounted);
    });
}

#[test]
fn an_update_is_charged_when_it_is_included_once_for_each_round_and_never_given_back() {
    run(|| {
        let study = begun(8_000_000);
        assert_eq!(spent(0), [0; 16]);
        answer(0, study, update(10, None));
        assert_eq!((spent(0), spent(1)), (times(1), [0; 16]));
        let epsilon_micro = Budgets::<Test>::get(id(0), set(0)).unwrap().epsilon_micro();
        let told = Event::<Test>::Charged { institution: id(0), dataset: set(0), study, round: 1, epsilon_micro };
        assert!(System::events().iter().any(|record| record.event == RuntimeEvent::Swarm(told.clone())));
        // a commitment that is taken back gives nothing back, and the same training costs nothing when it is committed again
        Swarm::withdraw(signed(0), study).unwrap();
        assert_ok!(enrol_private(0, study, set(0)));
        let counted = Counts::<Test>::get(study, id(0)).unwrap();
        Swarm::charge(study, id(0), &privacy(), counted.last.unwrap());
        assert_eq!((spent(0), Counts::<Test>::get(study, id(0))), (times(1), Some(counted)));
        assert_eq!(counted.rounds, 1);
        (1..3).for_each(|n| answer(n, study, update(10 + n, None)));
        assert_eq!((spent(1), spent(2)), (times(1), times(1)));
        // of one that says that nothing will come nothing is charged
        for n in 1..3 {
            if matches!(info(study).state.phase, Phase::Merging(_)) {
                answer(n, study, VoteBody::Root(hash(50)));
            }
        }
        assert_eq!(info(study).state.round, 2);
        answer(1, study, VoteBody::Failure(FailureCode::Refused));
        assert_eq!(spent(1), times(1));
    });
}

#[test]
fn an_update_beyond_the_limit_is_refused_by_pool_and_call_and_leaves_nothing() {
    run(|| {
        // with room for one round and not for two
        let one = consilium_primitives::budget::epsilon_micro(&times(1), 5).unwrap();
        let two = consilium_primitives::budget::epsilon_micro(&times(2), 5).unwrap();
        let limit = u32::try_from((one + two) / 2).unwrap();
        let first = begun(limit);
        let second = begun(limit);
        (0..3).for_each(|n| answer(n, first, update(10 + n, None)));
        // the other study's updates of the same data sets have no room any more
        let vote = ballot(0, second, update(20, None));
        let signature = sign(&vote, &pair(0, 0));
        assert_eq!(pool_says(vote, signature.clone()), custom(19));
        let origin = frame_system::RawOrigin::Authorized.into();
        assert_noop!(Swarm::vote(origin, vote, signature), Error::<Test>::OverBudget);
        assert_eq!(spent(0), times(1));
        // nobody enrols with it either
        register(0, private()).unwrap();
        assert_noop!(Swarm::enrol_private(signed(0), 2, info(2).agreement, 100, set(0)), Error::<Test>::OverBudget);
        // that nothing will come can be said
        answer(0, second, VoteBody::Failure(FailureCode::Refused));
        // a loss of a site is no answer of a private study
        let told = ballot(1, second, update(21, Some(7)));
        assert_eq!(pool_says(told, sign(&told, &pair(1, 0))), custom(12));
    });
}

#[test]
fn a_node_whose_budget_has_no_room_says_so_and_asks_no_worker_to_train() {
    let one = consilium_primitives::budget::epsilon_micro(&times(1), 5).unwrap();
    let outcome = conduct_with(Answer::State(done()), &[1], true, |_| {
        let (first, second) = (begun(u32::try_from(one).unwrap() + 1), begun(0));
        // the first study takes what there is; of the second one, training is all that is asked
        (0..3).for_each(|n| answer(n, first, update(10 + n, None)));
        (0..3).for_each(|n| answer(n, first, VoteBody::Root(hash(50))));
        assert_eq!(spent(1), times(1));
        assert!(matches!(info(second).state.phase, Phase::Collecting(_)));
    });
    let refused: Vec<_> = outcome.votes.iter().filter(|(vote, _)| vote.kind == DutyKind::Train).collect();
    // in both: the first study's second round has no room either
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|(vote, _)| vote.body == VoteBody::Failure(FailureCode::Refused)));
    let log = outcome.log.lock();
    let mut orders = log.requests.iter().flat_map(|sent| DutyRequest::decode(&mut &sent.3[..]).unwrap().orders);
    assert!(orders.all(|order| order.duty.kind != DutyKind::Train));
}
