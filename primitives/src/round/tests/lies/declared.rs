//! Lies in what a site declares of itself: sample counts and losses.

use super::*;
use crate::rules::{Merge, MergeRule, Weighting};

#[test]
fn what_is_declared_is_known_before_the_start_and_stays() {
    let mut shell = Shell::enrolled(plain(), &[10, 20, MAX_WEIGHT - 1]);
    // all can read it while they can still refuse to start, or leave
    assert_eq!(shell.study.members.iter().map(|m| m.samples).collect::<Vec<_>>(), [10, 20, MAX_WEIGHT - 1]);
    assert!(matches!(shell.study.phase, Phase::Enrolling { .. }));
    shell.deadline();
    for member in 0..3 {
        shell.root(member, "init").expect("asked for");
    }
    // nor is coming back in a later phase a way to another weight
    shell.step(Event::Withdraw { who: id(3) }).expect("may leave");
    for samples in [1, 20, MAX_WEIGHT - 2] {
        assert_eq!(shell.step(Event::Enrol { who: id(3), samples }), Err(Refusal::BadSampleCount));
    }
    assert_eq!(shell.step(Event::Enrol { who: id(1), samples: 5 }), Err(Refusal::AlreadyEnrolled));
}

#[test]
fn the_largest_weights_of_f_sites_stay_below_half_where_the_rule_tolerates_f() {
    for (members, liars) in [(3, 1), (4, 1), (5, 2), (7, 2), (7, 3), (10, 4), (64, 31)] {
        for max_share in [1, 100_000, 500_000, 1_000_000] {
            let rule = MergeRule::Median(Weighting::Samples);
            let needs = 2 * liars as u32 + 1;
            let rules = StudyRules {
                merge: Merge { liars: liars as u32, ..Merge::by(rule) },
                min_participants: needs,
                rule_min: needs,
                max_share,
                ..plain()
            };
            let samples: Vec<u32> =
                (0..members).map(|m| if m < liars { MAX_WEIGHT - 1 - m as u32 } else { 10 + m as u32 }).collect();
            let mut shell = Shell::training(rules, &samples);
            shell.commit_all();
            let mut weights: Vec<u64> = shell.merge().inputs.iter().map(|input| u64::from(input.weight)).collect();
            weights.sort_unstable_by(|a, b| b.cmp(a));
            let (most, all): (u64, u64) = (weights[..liars].iter().sum(), weights.iter().sum());
            assert!(2 * most < all, "{liars} of {members}, cap {max_share}: {weights:?}");
        }
    }
}

#[test]
fn false_losses_reach_no_target_and_certify_no_other_round() {
    // equal weights; 5 and 6 praise round 1 and say that the target is reached; the honest find round 2 the best
    let rules = StudyRules { target: Some(50), max_rounds: 3, ..plain() };
    let mut shell = Shell::training(rules, &[100; 7]);
    let reports = |honest: u32, lie: u32| {
        let mut row = [Some(honest); 7];
        row[5..].fill(Some(lie));
        row
    };
    shell.whole_round(&reports(900, 0));
    shell.whole_round(&reports(500, 0));
    shell.whole_round(&reports(100, u32::MAX));
    assert_eq!(shell.study.round, 3, "two of seven reach no target");
    for (member, loss) in (0u8..).zip(reports(500, u32::MAX)) {
        shell.vote(member, VoteBody::Metric(loss)).expect("asked for");
    }
    shell.pass(1);
    let Phase::Certifying(c) = &shell.study.phase else { panic!("not certifying") };
    assert_eq!((c.round, c.root), (2, hash("merge 2")));
}
