//! The choice of the canonical round, the rules that stop a study, benching, and the certificate.

use super::*;

/// After the merge of the last round all that are left report its loss.
pub(super) fn evaluate(shell: &mut Shell, losses: &[Option<u32>]) {
    for (member, loss) in (0u8..).zip(losses) {
        assert_eq!(shell.asks(member), Some(DutyKind::Evaluate));
        shell.vote(member, VoteBody::Metric(*loss)).expect("asked for");
        assert!(matches!(shell.study.phase, Phase::FinalEvaluation { .. }), "the choice waits for a block's beginning");
    }
    shell.pass(1);
}

pub(super) fn canonical(shell: &Shell) -> (u32, Hash) {
    match &shell.study.phase {
        Phase::Certifying(c) => (c.round, c.root),
        other => panic!("not certifying but {other:?}"),
    }
}

#[test]
fn the_best_round_is_certified_not_the_last() {
    let mut shell = Shell::training(plain(), &[15, 40, 45]);
    shell.whole_round(&[Some(1); 3]);
    shell.whole_round(&[Some(0), Some(500), Some(480)]);
    shell.whole_round(&[Some(u32::MAX), Some(400), Some(390)]);
    assert!(matches!(shell.study.phase, Phase::FinalEvaluation { .. }));
    evaluate(&mut shell, &[Some(u32::MAX), Some(410), Some(420)]);
    assert_eq!(canonical(&shell), (2, hash("merge 2")));
    assert!(shell.world.losses[&0].len() == 3, "the loss of the initial model is kept, and chosen by nobody");
}

#[test]
fn the_last_merge_is_canonical_where_too_few_report() {
    let mut shell = Shell::training(plain(), &[100; 3]);
    for _ in 0..3 {
        shell.whole_round(&[Some(7), None, None]);
    }
    evaluate(&mut shell, &[Some(9), None, None]);
    assert_eq!(canonical(&shell), (3, hash("merge 3")));
}

#[test]
fn the_report_that_ends_the_evaluation_counts() {
    let mut shell = Shell::training(plain(), &[100; 3]);
    shell.whole_round(&[None; 3]);
    shell.whole_round(&[Some(7); 3]);
    shell.whole_round(&[Some(5); 3]);
    // one more than the first two is needed
    evaluate(&mut shell, &[None, Some(9), Some(9)]);
    assert_eq!(canonical(&shell), (2, hash("merge 2")));
}

#[test]
fn the_last_evaluation_waits_until_its_deadline() {
    let mut shell = Shell::training(plain(), &[100; 3]);
    shell.whole_round(&[None; 3]);
    shell.whole_round(&[Some(5); 3]);
    shell.whole_round(&[Some(7); 3]);
    let since = shell.world.now;
    // two of three are enough for a comparison
    evaluate(&mut shell, &[Some(9), Some(9)]);
    assert_eq!(shell.vote(0, VoteBody::Metric(Some(1))), Err(Refusal::NoSuchDuty));
    assert_eq!(shell.step(Event::Enrol { who: id(9), samples: 5 }), Err(Refusal::WrongPhase));
    shell.deadline();
    assert_eq!((shell.world.now - since, canonical(&shell).0), (80, 1));
}

#[test]
fn who_enrols_in_the_last_round_has_no_part_in_its_end() {
    let mut shell = Shell::training(StudyRules { max_rounds: 2, ..plain() }, &[100; 2]);
    shell.whole_round(&[Some(9); 2]);
    shell.commit_with(0, Some(5)).expect("asked for");
    shell.commit_with(1, Some(5)).expect("asked for");
    for late in 3..6 {
        shell.step(Event::Enrol { who: id(late), samples: 100 }).expect("may enrol");
    }
    shell.root(0, "merge 2").expect("asked for");
    shell.root(1, "merge 2").expect("asked for");
    assert_eq!((shell.asks(2), shell.asks(4)), (None, None));
    // three newcomers could neither outvote the two, nor keep the certificate waiting
    evaluate(&mut shell, &[Some(7); 2]);
    assert_eq!(canonical(&shell).0, 1);
    for member in 0..2 {
        shell.vote(member, VoteBody::Held(hash("merge 1"))).expect("asked for");
    }
    let Phase::Completed(certificate) = &shell.study.phase else { panic!("not completed") };
    assert_eq!(certificate.roster, 0b11);

    // a round later they count
    let mut shell = Shell::training(StudyRules { max_rounds: 2, ..plain() }, &[100; 2]);
    shell.step(Event::Enrol { who: id(3), samples: 100 }).expect("may enrol");
    shell.whole_round(&[None; 2]);
    shell.whole_round(&[None; 3]);
    assert_eq!(shell.asks(2), Some(DutyKind::Evaluate));
}

#[test]
fn nobody_enrols_for_the_certificate_alone() {
    let mut shell = certifying(plain());
    assert_eq!(shell.step(Event::Enrol { who: id(9), samples: 5 }), Err(Refusal::WrongPhase));
    shell.deadline();
    shell.deadline();
    assert_eq!(shell.paused(), PauseReason::NotHeld);
    assert_eq!(shell.step(Event::Enrol { who: id(9), samples: 5 }), Err(Refusal::WrongPhase));
}

#[test]
fn a_pause_is_decided_by_those_that_are_left() {
    let paused = |voice: fn(u8) -> Event| {
        let mut shell = Shell::training(plain(), &[100; 5]);
        shell.deadline();
        shell.deadline();
        assert_eq!(shell.paused(), PauseReason::TooFewUpdates);
        // three of five are needed, and three of four; of the three that stay when two have left, two
        for member in 2..4 {
            shell.step(voice(member)).expect("may ask");
        }
        shell.step(Event::Withdraw { who: id(1) }).expect("may leave");
        assert!(matches!(shell.study.phase, Phase::Paused(_)));
        shell.step(Event::Withdraw { who: id(2) }).expect("may leave");
        shell
    };
    let resumed = paused(|member| Event::Resume { who: id(member + 1) });
    assert_eq!(resumed.collecting().roster, 0b11100);
    let ended = paused(|member| Event::Abort { who: id(member + 1) });
    assert_eq!(ended.study.phase, Phase::Aborted { reason: AbortReason::Decided });
}

#[test]
fn who_has_left_is_not_struck_for_silence() {
    let mut shell = Shell::merging(StudyRules { max_rounds: 30, ..plain() }, 4);
    shell.step(Event::Withdraw { who: id(4) }).expect("may leave");
    shell.root(0, "merge").expect("asked for");
    shell.root(1, "merge").expect("asked for");
    shell.deadline();
    let struck = |shell: &Shell, member| shell.study.member(member).and_then(|m| m.struck);
    assert_eq!((struck(&shell, 3), struck(&shell, 2)), (None, Some(1)), "who stays and is silent is struck");
}

#[test]
fn a_target_needs_half_of_the_weight_and_of_the_roster() {
    let rounds = |samples: &[u32], losses: &[Option<u32>]| {
        let rules = StudyRules { target: Some(50), max_rounds: 9, ..plain() };
        let mut shell = Shell::training(rules, samples);
        shell.whole_round(&vec![Some(0); samples.len()]);
        assert_eq!(shell.study.round, 2, "the initial model reaches no target");
        shell.whole_round(losses);
        !matches!(shell.study.phase, Phase::Collecting(_))
    };
    let four = [100, 10, 10, 10];
    assert!(rounds(&four, &[Some(50), Some(50), Some(50), Some(51)]));
    assert!(!rounds(&four, &[Some(50), Some(50), Some(51), Some(51)]), "two heads of four");
    assert!(rounds(&four, &[Some(51), Some(1), Some(1), Some(1)]), "nobody alone keeps the others from it");
    assert!(!rounds(&four, &[Some(50), Some(50), None, None]), "who reports nothing reaches nothing");
    let five = [100, 100, 10, 10, 10];
    assert!(
        !rounds(&five, &[Some(51), Some(51), Some(1), Some(1), Some(1)]),
        "three heads of five, 30 of 230 in weight"
    );
}

#[test]
fn patience_counts_rounds_since_the_best_one() {
    let rules = StudyRules { patience: 2, max_rounds: 20, ..plain() };
    let mut shell = Shell::training(rules, &[100; 3]);
    // the losses of the merges of rounds 0, 1, 2 ...; the best is the third merge
    let mut rounds = 0;
    for loss in [90, 80, 70, 60, 65, 66, 67, 68] {
        if !matches!(shell.study.phase, Phase::Collecting(_)) {
            break;
        }
        shell.whole_round(&[Some(loss); 3]);
        rounds += 1;
    }
    // round 6 brings the losses of merge 5, two after merge 3
    assert_eq!((rounds, shell.study.round), (6, 6));
    assert!(matches!(shell.study.phase, Phase::FinalEvaluation { .. }));
    evaluate(&mut shell, &[Some(99); 3]);
    assert_eq!(canonical(&shell).0, 3);

    // without news nothing runs out, be there a best round or not
    for first in [None, Some(5)] {
        let rules = StudyRules { patience: 1, max_rounds: 5, ..plain() };
        let mut shell = Shell::training(rules, &[100; 3]);
        shell.whole_round(&[None; 3]);
        for loss in [first, None, None, None] {
            shell.whole_round(&[loss; 3]);
        }
        assert_eq!((shell.study.round, shell.study.best), (5, first.map(|_| 1)));
    }
}

/// A round of three in which the last one, if asked at all, attests or lets the merge run to its deadline.
fn round_of_three(shell: &mut Shell, silent: bool) -> bool {
    let asked = shell.asks(2).is_some();
    shell.commit_all();
    for member in 0..if silent { 2 } else { 3 } {
        if matches!(shell.study.phase, Phase::Merging(_)) && shell.asks(member).is_some() {
            shell.root(member, "merge").expect("asked for");
        }
    }
    if matches!(shell.study.phase, Phase::Merging(_)) {
        shell.deadline();
    }
    asked
}

#[test]
fn two_strikes_within_five_rounds_bench_for_five() {
    let mut shell = Shell::training(StudyRules { max_rounds: 30, ..plain() }, &[100; 3]);
    let mut asked = Vec::new();
    for round in 1..=20 {
        assert_eq!(shell.study.round, round);
        // five rounds apart is no second strike within five; then the second one in round 10
        let silent = [1, 6, 10, 16, 17].contains(&round);
        asked.push(round_of_three(&mut shell, silent));
    }
    let benched: Vec<_> = (1u32..).zip(&asked).filter(|(_, asked)| !**asked).map(|(round, _)| round).collect();
    assert_eq!(benched, [11, 12, 13, 14, 15, 18, 19, 20]);
    let log: Vec<_> = shell.log.iter().filter(|e| matches!(e, Effect::Benched { .. })).collect();
    let event = |until_round| Effect::Benched { who: id(3), until_round };
    assert_eq!(log, [&event(15), &event(22)]);
}

#[test]
fn dropped_inputs_bench_too() {
    let mut shell = Shell::training(StudyRules { max_rounds: 30, ..plain() }, &[100; 4]);
    for round in 1..=2 {
        shell.commit_all();
        shell.fetched();
        for member in 0..2 {
            shell.partial(member, 0b0111, 0b1000).expect("asked for");
        }
        assert_eq!(shell.merge().attempt, 2);
        for member in 0..3 {
            shell.root(member, "merge").expect("asked for");
        }
        assert_eq!(shell.study.round, round + 1);
    }
    assert_eq!((shell.collecting().roster, shell.asks(3)), (0b0111, None));
}

#[test]
fn a_round_that_would_be_too_small_calls_the_benched_back() {
    let mut shell = Shell::training(StudyRules { max_rounds: 30, min_participants: 3, ..plain() }, &[100; 3]);
    round_of_three(&mut shell, true);
    round_of_three(&mut shell, true);
    assert!(matches!(shell.log.iter().rfind(|e| !matches!(e, Effect::Opened { .. } | Effect::Closed(_))), Some(
        Effect::Benched { who, until_round: 7 }
    ) if *who == id(3)));
    assert_eq!(shell.collecting().roster, 0b111);
}

/// Five members before a certificate.
fn certifying(rules: StudyRules) -> Shell {
    let mut shell = Shell::training(StudyRules { max_rounds: 1, ..rules }, &[100; 5]);
    shell.whole_round(&[None; 5]);
    evaluate(&mut shell, &[None; 5]);
    assert_eq!(canonical(&shell), (1, hash("merge 1")));
    shell
}

fn hold(shell: &mut Shell, member: u8) {
    shell.vote(member, VoteBody::Held(hash("merge 1"))).expect("asked for");
}

#[test]
fn all_that_hold_the_model_complete_the_study_at_once() {
    let mut shell = certifying(plain());
    assert_eq!(shell.vote(0, VoteBody::Held(hash("another"))), Err(Refusal::WrongRoot));
    for member in 0..5 {
        assert!(!shell.study.ended());
        hold(&mut shell, member);
    }
    let Phase::Completed(certificate) = &shell.study.phase else { panic!("not completed") };
    assert_eq!((certificate.held, certificate.root), (0b11111, hash("merge 1")));
    assert_eq!(shell.step(Event::Withdraw { who: id(1) }), Err(Refusal::WrongPhase));
}

#[test]
fn late_acknowledgements_are_added() {
    for (rules, needed) in [(plain(), 3), (StudyRules { strict: true, ..plain() }, 4)] {
        let mut shell = certifying(rules);
        for member in 0..needed {
            hold(&mut shell, member);
        }
        assert!(!shell.study.ended());
        shell.deadline();
        let held = |shell: &Shell| match &shell.study.phase {
            Phase::Completed(certificate) => certificate.held.count_ones(),
            other => panic!("not completed but {other:?}"),
        };
        assert_eq!(held(&shell), u32::from(needed));
        assert_eq!(shell.vote(4, VoteBody::Held(hash("another"))), Err(Refusal::WrongRoot));
        hold(&mut shell, 4);
        assert_eq!((held(&shell), shell.asks(4)), (u32::from(needed) + 1, None));
        assert_eq!(shell.log.last(), Some(&Effect::Acknowledged { who: id(5) }));
    }
}

#[test]
fn too_few_that_hold_it_are_waited_for_twice() {
    let mut shell = certifying(plain());
    hold(&mut shell, 0);
    hold(&mut shell, 1);
    let since = shell.world.now;
    shell.deadline();
    let silent = vec![id(3), id(4), id(5)].try_into().expect("few");
    assert_eq!(shell.log.last(), Some(&Effect::Extended { silent }));
    shell.deadline();
    assert_eq!((shell.world.now - since, shell.paused()), (40, PauseReason::NotHeld));
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    assert_eq!((shell.asks(0), shell.asks(2)), (None, Some(DutyKind::Acknowledge)));
    // who leaves is asked no more
    shell.step(Event::Withdraw { who: id(4) }).expect("may leave");
    shell.step(Event::Withdraw { who: id(5) }).expect("may leave");
    hold(&mut shell, 2);
    assert!(matches!(shell.study.phase, Phase::Completed(_)));
}
