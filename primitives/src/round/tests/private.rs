//! Studies that promise privacy: what is charged and when, and what no vote may say in them.

use super::*;
use crate::{
    rules::{Masked, Merge, MergeRule, NormBound, Privacy, PrivacyUnit, RulesError, Weighting, PPM},
    vote::Marks,
};

pub(super) fn privacy() -> Privacy {
    Privacy {
        unit: PrivacyUnit::Record,
        rate_ppm: 250_000,
        steps: 8,
        clip_micro: 500_000,
        sigma_1024: 2_886,
        delta_exp: 5,
        shared: false,
        colluders: 0,
        spend: [7; 16],
    }
}

fn private() -> StudyRules {
    StudyRules { privacy: Some(privacy()), max_rounds: 9, ..plain() }
}

/// Who was charged, for which round.
fn charged(effects: &[Effect]) -> Vec<(InstitutionId, u32)> {
    let spent = effects.iter().filter_map(|effect| match effect {
        Effect::Spent { who, round, .. } => Some((*who, *round)),
        _ => None,
    });
    spent.collect()
}

#[test]
fn numbers_that_promise_nothing_are_refused_by_name() {
    assert_eq!(private().check(), Ok(()));
    let with = |change: &dyn Fn(&mut Privacy)| {
        let mut slip = privacy();
        change(&mut slip);
        StudyRules { privacy: Some(slip), ..private() }.check()
    };
    assert_eq!(with(&|p| p.rate_ppm = 0), Err(RulesError::PrivacyRate));
    assert_eq!(with(&|p| p.rate_ppm = 1_000_001), Err(RulesError::PrivacyRate));
    assert_eq!(with(&|p| p.steps = 0), Err(RulesError::PrivacySteps));
    assert_eq!(with(&|p| p.clip_micro = 0), Err(RulesError::PrivacySteps));
    assert_eq!(with(&|p| p.sigma_1024 = 0), Err(RulesError::PrivacyNoise));
    assert_eq!(with(&|p| p.delta_exp = 2), Err(RulesError::PrivacyDelta));
    assert_eq!(with(&|p| p.delta_exp = 13), Err(RulesError::PrivacyDelta));
    assert_eq!(with(&|p| p.spend[9] = 0), Err(RulesError::PrivacySpend));
    assert_eq!(with(&|p| p.shared = true), Err(RulesError::PrivacyShared));
    assert_eq!(with(&|p| p.colluders = 1), Err(RulesError::PrivacyColluders));
    for rules in [
        StudyRules { target: Some(1), ..private() },
        StudyRules { patience: 1, ..private() },
        StudyRules { statistics_len: 800, ..private() },
    ] {
        assert_eq!(rules.check(), Err(RulesError::PrivacyFigures));
    }
}

/// Noise that the sites of a masked sum share is taken where the sum is one of gradients of one model, and nothing treats one site's
/// part otherwise than another's.
#[test]
fn shared_noise_needs_sums_that_have_all_of_it() {
    let share = Privacy { shared: true, steps: 1, colluders: 1, ..privacy() };
    let shared = || StudyRules {
        privacy: Some(share),
        masked: Some(Masked { range_log2: 16, statistics_len: 0, figures_len: 120 }),
        min_participants: 4,
        max_share: PPM,
        merge: Merge::by(MergeRule::Mean(Weighting::Samples)),
        ..private()
    };
    assert_eq!(shared().check(), Ok(()));
    let with = |change: &dyn Fn(&mut StudyRules)| {
        let mut slip = shared();
        change(&mut slip);
        slip.check()
    };
    assert_eq!(with(&|rules| rules.masked = None), Err(RulesError::PrivacyShared));
    assert_eq!(with(&|rules| rules.privacy = Some(Privacy { steps: 2, ..share })), Err(RulesError::PrivacyShared));
    assert_eq!(with(&|rules| rules.max_share = PPM - 1), Err(RulesError::PrivacyShared));
    assert_eq!(with(&|rules| rules.merge.bound = Some(NormBound::Fixed(1))), Err(RulesError::PrivacyShared));
    for rule in [MergeRule::Mean(Weighting::Equal), MergeRule::TrimmedMean] {
        assert_eq!(with(&|rules| rules.merge.rule = rule.clone()), Err(RulesError::PrivacyShared));
    }
    // three shares open a mask of three or four sites: who holds so many sees single sites, with a part of the noise
    for (least, colluders, said) in [
        (4, 0, Err(RulesError::PrivacyColluders)),
        (4, 2, Ok(())),
        (4, 3, Err(RulesError::PrivacyColluders)),
        (3, 2, Ok(())),
        (7, 4, Ok(())),
        (7, 5, Err(RulesError::PrivacyColluders)),
    ] {
        let rules = with(&|rules| {
            rules.min_participants = least;
            rules.privacy = Some(Privacy { colluders, ..share });
        });
        assert_eq!(rules, said, "{least} {colluders}");
    }
    // a site's own noise goes with masks, too, and then no site is most of a sum
    let own = Some(privacy());
    assert_eq!(with(&|rules| rules.privacy = own), Err(RulesError::MaskedShare));
    let capped = |rules: &mut StudyRules| (rules.privacy, rules.max_share) = (own, PPM / 2);
    assert_eq!(with(&capped), Ok(()));
}

/// No sum of fewer is opened, whoever is asked and whoever answers: a site adds less noise by that.
#[test]
fn no_sum_is_opened_over_fewer_than_the_least() {
    for least in 3..=9 {
        let rules = StudyRules { min_participants: least, ..private() };
        let fewest = (least..=64).flat_map(|n| (least..=n).map(move |keys| (n, keys)));
        let fewest = fewest.map(|(n, keys)| rules.masked_needs(n, keys)).min();
        assert_eq!(fewest, Some(rules.least_summed()));
        assert_eq!(rules.least_summed(), least);
    }
    assert_eq!(StudyRules { min_participants: 2, ..private() }.least_summed(), 3);
}

#[test]
fn an_update_is_charged_when_it_is_committed_and_one_that_has_no_room_is_refused() {
    let mut shell = Shell::training(private(), &[100; 4]);
    let effects = shell.commit(0).unwrap();
    assert_eq!(charged(&effects), [(id(1), 1)]);
    let base = shell.study.base;
    assert!(effects.contains(&Effect::Spent { who: id(1), round: 1, base }));
    shell.world.spent_up.insert(id(2));
    assert_eq!(shell.commit(1), Err(Refusal::OverBudget));
    // it can say so, and is not waited for
    let effects = shell.vote(1, VoteBody::Failure(FailureCode::Refused)).unwrap();
    assert!(charged(&effects).is_empty());
    shell.commit(2).unwrap();
    shell.commit(3).unwrap();
    assert_eq!(shell.merge().inputs.len(), 3);
    // a study that promises nothing asks no budget
    let mut plain = Shell::training(plain(), &[100; 2]);
    plain.world.spent_up.insert(id(1));
    assert!(charged(&plain.commit(0).unwrap()).is_empty());
}

#[test]
fn nothing_of_a_private_study_is_trained_ahead() {
    let mut shell = Shell::merging(private(), 3);
    let who = id(1);
    assert_eq!(shell.study.open_duty(&shell.world, &who).unwrap().ahead, None);
    let duty = shell.study.duty_on(&shell.world, DutyKind::Train, 2, &who, hash("merge")).hash();
    let next = Next::Update { duty, root: hash("update"), len: shell.study.rules.update_len, metric: None };
    for next in [next, Next::Last { metric: None }] {
        let body = VoteBody::Ahead { root: hash("merge"), marks: Marks::default(), next };
        assert_eq!(shell.vote(0, body), Err(Refusal::WrongAnswer));
    }
    let late = shell.answer(0, VoteBody::Ahead { root: hash("merge"), marks: Marks::default(), next }).unwrap();
    for member in 1..3 {
        shell.root(member, "merge").unwrap();
    }
    if matches!(shell.study.phase, Phase::Merging(_)) {
        shell.deadline();
    }
    assert_eq!((shell.study.round, shell.asks(0)), (2, Some(DutyKind::Train)));
    assert_eq!(shell.step(Event::Vote(late)), Err(Refusal::WrongAnswer));
}

#[test]
fn no_loss_of_a_site_is_taken() {
    let mut shell = Shell::training(StudyRules { max_rounds: 1, ..private() }, &[100; 3]);
    assert_eq!(shell.commit_with(0, Some(5)), Err(Refusal::WrongAnswer));
    shell.commit_all();
    for member in 0..3 {
        if matches!(shell.study.phase, Phase::Merging(_)) {
            shell.root(member, "merge").unwrap();
        }
    }
    assert_eq!(shell.vote(0, VoteBody::Metric(Some(5))), Err(Refusal::WrongAnswer));
    shell.vote(0, VoteBody::Metric(None)).unwrap();
}
