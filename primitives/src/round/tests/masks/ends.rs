//! Pooled losses, the last evaluation, statistics, and pauses in between.

use super::*;

/// Plays the last evaluation with this pooled loss.
fn evaluate(shell: &mut Shell, pooled: Option<u32>) {
    assert!(shell.study.evaluates());
    let all = shell.all();
    assert_eq!(shell.work(0), Some(DutyKind::Evaluate));
    shell.pair_up(&all);
    shell.reach_revealing(&all);
    shell.reach_summing(&all);
    for member in all {
        if matches!(shell.study.phase, Phase::Summing(_)) {
            let with_root = VoteBody::Summed { root: hash("a file"), pooled };
            assert_eq!(shell.vote(member, with_root), Err(Refusal::WrongAnswer), "figures give no file");
            shell.vote(member, VoteBody::Summed { root: Hash::zero(), pooled }).expect("the sum is asked for");
        }
    }
}

fn chosen(shell: &Shell) -> (u32, Hash) {
    match &shell.study.phase {
        Phase::Certifying(c) => (c.round, c.root),
        other => panic!("not certifying but {other:?}"),
    }
}

#[test]
fn the_least_pooled_loss_is_the_best_and_the_latest_of_equals() {
    // the loss that comes with a round is that of the round before; the last one's comes with the evaluation
    for (losses, best) in [
        ([Some(9), Some(7), Some(8)], 2),
        ([Some(7), Some(7), Some(8)], 2),
        ([Some(7), Some(9), Some(7)], 3),
        ([None, None, None], 3),
        ([Some(5), None, None], 1),
        ([None, None, Some(3)], 3),
    ] {
        let mut shell = Shell::masking(masked(), 4);
        shell.masked_round(None);
        shell.masked_round(losses[0]);
        shell.masked_round(losses[1]);
        evaluate(&mut shell, losses[2]);
        assert_eq!(chosen(&shell), (best, hash(&format!("merge {best}"))), "{losses:?}");
        let record = shell.last_record();
        assert_eq!((record.kind, record.root), (Kind::Evaluation, Hash::zero()));
        assert!(shell.world.losses.is_empty(), "no site's loss is known");
    }
}

#[test]
fn target_and_patience_go_by_the_pooled_loss() {
    let mut shell = Shell::masking(StudyRules { max_rounds: 9, target: Some(5), ..masked() }, 4);
    shell.masked_round(None);
    shell.masked_round(Some(6));
    assert!(!shell.study.evaluates());
    shell.masked_round(Some(5));
    assert!(shell.study.evaluates(), "round 2 has reached it");

    let mut shell = Shell::masking(StudyRules { max_rounds: 9, patience: 2, ..masked() }, 4);
    for loss in [None, Some(5), Some(6), None] {
        shell.masked_round(loss);
        assert!(!shell.study.evaluates(), "of a round without a loss nothing is known");
    }
    shell.masked_round(Some(7));
    assert!(shell.study.evaluates());
}

#[test]
fn the_last_evaluation_waits_for_nobody() {
    let reach = || {
        let mut shell = Shell::masking(StudyRules { max_rounds: 1, ..masked() }, 4);
        shell.masked_round(None);
        assert_eq!(shell.step(Event::Enrol { who: id(7), samples: 5 }), Err(Refusal::WrongPhase));
        shell
    };
    // nobody gives keys; or deals; or reveals; or they dispute it
    let mut shell = reach();
    while shell.study.evaluates() {
        shell.deadline();
    }
    assert_eq!(chosen(&shell), (1, hash("merge 1")));
    let mut shell = reach();
    shell.pair_up(&[0, 1, 2, 3]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    while shell.study.evaluates() {
        shell.deadline();
    }
    assert_eq!(chosen(&shell), (1, hash("merge 1")));
    let mut shell = reach();
    shell.pair_up(&[0, 1, 2, 3]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    shell.reach_summing(&[0, 1, 2, 3]);
    shell.call_void(VoidReason::OutOfRange);
    assert_eq!(chosen(&shell), (1, hash("merge 1")));
    let mut shell = reach();
    let rest =
        |shell: &mut Shell| (0..4).for_each(|member| drop(shell.vote(member, VoteBody::Failure(FailureCode::Refused))));
    rest(&mut shell);
    assert_eq!(chosen(&shell), (1, hash("merge 1")), "nobody is left to wait for");
}

#[test]
fn statistics_are_summed_once_and_never_again() {
    let statistics = || {
        let masked_too = Masked { range_log2: 2, statistics_len: 700, figures_len: FIGURES };
        let rules = StudyRules { statistics_len: 800, masked: Some(masked_too), ..masked() };
        let mut shell = Shell::enrolled(rules, &[100; 4]);
        shell.step(Event::Start { who: id(1) }).expect("may start");
        assert_eq!((shell.asks(0), shell.work(0)), (Some(DutyKind::Keys), Some(DutyKind::Statistics)));
        shell.pair_up(&[0, 1, 2, 3]);
        let short = VoteBody::Update { root: hash("x"), len: 800, metric: None };
        assert_eq!(shell.vote(0, short), Err(Refusal::WrongLength), "it is the masked file's length that counts");
        shell.reach_revealing(&[0, 1, 2, 3]);
        shell.reach_summing(&[0, 1, 2, 3]);
        assert_eq!(shell.asks(0), Some(DutyKind::MergeStatistics));
        shell
    };
    let mut shell = statistics();
    assert_eq!(shell.sum(0, "statistics", Some(1)), Err(Refusal::WrongAnswer), "statistics have no loss");
    (0..3).for_each(|member| drop(shell.sum(member, "statistics", None).expect("asked for")));
    assert_eq!(shell.study.statistics, Some(hash("statistics")));
    assert!(matches!(shell.study.phase, Phase::Init { .. }));

    let mut shell = statistics();
    shell.call_void(VoidReason::OutOfRange);
    assert_eq!(shell.study.phase, Phase::Aborted { reason: AbortReason::StatisticsUnusable });
}

#[test]
fn a_pause_before_the_set_is_fixed_goes_back_to_a_new_pairing_of_the_same_training() {
    let mut shell = Shell::masking(masked(), 4);
    let train = shell.study.open_work(&shell.world, &id(1)).expect("training").duty.hash();
    shell.pair_up(&[0, 1, 2, 3]);
    (0..4).for_each(|member| drop(shell.mask(member).expect("asked for")));
    // nobody can get anything of two of them: the others are too few
    while !matches!(shell.study.phase, Phase::Paused(_)) {
        let Phase::Gathering(m) = &shell.study.phase else { panic!("not gathering") };
        let fetched = m.began + shell.windows().fetch;
        shell.until(fetched);
        (0..2).for_each(|member| drop(shell.partial(member, 0b0011, 0).expect("may be told")));
        shell.deadline();
    }
    assert!(shell.study.masking.pair.is_none());
    let Phase::Paused(pause) = &shell.study.phase else { panic!("not paused") };
    assert!(matches!(&pause.back, Back::Collecting { commitments, .. } if commitments.is_empty()));
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    assert_eq!((shell.asks(0), shell.pair().number), (Some(DutyKind::Keys), 2));
    let again = shell.study.open_work(&shell.world, &id(1)).expect("training").duty.hash();
    assert_eq!(again, train, "what was trained is masked anew, since nothing was opened");
}

#[test]
fn masked_files_are_listed_from_their_commitment_on_and_apart_from_updates() {
    let mut shell = Shell::masking(masked(), 4);
    let listed = |shell: &Shell| {
        let record = |kind, round| shell.world.records.iter().find(|r| (r.kind, r.round) == (kind, round)).cloned();
        shell.study.masked_blobs(3, shell.world.now, record, |_| true)
    };
    shell.pair_up(&[0, 1, 2, 3]);
    assert!(listed(&shell).rounds.is_empty());
    shell.mask(2).expect("asked for");
    let rounds = listed(&shell).rounds;
    assert_eq!((rounds.len(), rounds[0].updates.len(), rounds[0].wanted), (1, 1, true));
    assert!(listed(&shell).notices().all(|notice| notice.kind == crate::BlobKind::Masked && notice.members.len() == 4));
    assert!(shell.blobs().rounds.is_empty(), "nothing that is served as an update");
    for member in [0, 1, 3] {
        shell.mask(member).expect("asked for");
    }
    (0..3).for_each(|member| drop(shell.gather(member).expect("asked for")));
    assert_eq!(listed(&shell).rounds[0].updates.len(), 4);
    shell.reach_summing(&[0, 1, 2, 3]);
    (0..3).for_each(|member| drop(shell.sum(member, "merge", None).expect("asked for")));
    let rounds = listed(&shell).rounds;
    assert_eq!((rounds.len(), rounds[0].round, rounds[0].wanted), (1, 1, false), "kept with the round's window");
    assert!(shell.blobs().merged.iter().any(|merged| merged.blob.root == hash("merge") && merged.wanted));
}
