//! Enrolment, statistics, the common start, training, and pauses.

use super::*;
use crate::rules::{OnStall, PAUSE_BLOCKS};

#[test]
fn enrolment_ends_by_itself_or_by_the_proposer() {
    let mut shell = Shell::enrolled(plain(), &[100]);
    assert_eq!(shell.step(Event::Start { who: id(1) }), Err(Refusal::TooFewEnrolled));
    shell.deadline();
    assert_eq!(shell.study.phase, Phase::Aborted { reason: AbortReason::TooFewEnrolled });

    let mut shell = Shell::enrolled(plain(), &[100, 100]);
    assert_eq!(shell.step(Event::Start { who: id(2) }), Err(Refusal::NotTheProposer));
    assert_eq!(shell.step(Event::Abort { who: id(2) }), Err(Refusal::NotTheProposer));
    shell.deadline();
    assert_eq!(shell.world.now, 1 + 50);
    assert!(matches!(shell.study.phase, Phase::Init { .. }));
    assert_eq!(shell.step(Event::Start { who: id(1) }), Err(Refusal::WrongPhase));

    let mut shell = Shell::enrolled(StudyRules { auto_start: false, ..plain() }, &[100, 100]);
    shell.deadline();
    assert_eq!(shell.study.phase, Phase::Aborted { reason: AbortReason::TooFewEnrolled });
}

#[test]
fn only_the_invited_enrol() {
    let invited = vec![id(1), id(2)].try_into().expect("two are few");
    let mut shell = Shell::enrolled(StudyRules { invited, ..plain() }, &[100, 100]);
    assert_eq!(shell.step(Event::Enrol { who: id(3), samples: 5 }), Err(Refusal::NotInvited));
}

#[test]
fn statistics_lead_to_init() {
    let mut shell = Shell::enrolled(StudyRules { statistics_len: 800, ..plain() }, &[100; 3]);
    shell.step(Event::Start { who: id(1) }).expect("may start");
    assert_eq!((shell.collecting().kind, shell.study.round), (Kind::Statistics, 0));
    for member in 0..3 {
        assert_eq!(shell.asks(member), Some(DutyKind::Statistics));
        let wrong = VoteBody::Update { root: hash("s"), len: shell.study.rules.update_len, metric: None };
        assert_eq!(shell.vote(member, wrong), Err(Refusal::WrongLength));
        shell.vote(member, VoteBody::Update { root: hash("s"), len: 800, metric: Some(1) }).expect("asked for");
    }
    assert!(shell.world.losses.is_empty(), "there is no model yet whose loss this could be");
    for member in 0..3 {
        assert_eq!(shell.asks(member), Some(DutyKind::MergeStatistics));
        shell.root(member, "statistics").expect("asked for");
    }
    assert_eq!(shell.study.statistics, Some(hash("statistics")));
    assert_eq!(shell.study.base, Hash::zero());
    assert!(matches!(shell.study.phase, Phase::Init { .. }));
    for member in 0..3 {
        shell.root(member, "init").expect("asked for");
    }
    assert_eq!((shell.collecting().kind, shell.study.round, shell.study.base), (Kind::Model, 1, hash("init")));
    let kinds: Vec<_> = shell.world.records.iter().map(|r| (r.kind, r.round)).collect();
    assert_eq!(kinds, [(Kind::Statistics, 0), (Kind::Model, 0)]);
}

fn init(members: usize) -> Shell {
    let mut shell = Shell::enrolled(plain(), &vec![100; members]);
    shell.step(Event::Start { who: id(1) }).expect("may start");
    shell
}

#[test]
fn a_common_start_needs_two_thirds_at_once_or_half_at_the_deadline() {
    for (members, at_once, late) in [(2, 2, 2), (3, 3, 2), (4, 3, 3), (5, 4, 3), (6, 5, 4), (7, 5, 4)] {
        let mut shell = init(members);
        for member in 0..at_once {
            assert!(matches!(shell.study.phase, Phase::Init { .. }), "{members}: after {member}");
            shell.root(member, "init").expect("asked for");
        }
        assert_eq!(shell.study.round, 1, "{members}");

        let mut shell = init(members);
        for member in 0..late {
            shell.root(member, "init").expect("asked for");
        }
        if late < at_once {
            shell.root(late, "another").expect("asked for");
            if shell.study.round == 0 {
                shell.deadline();
            }
            let dissent: Vec<_> = shell.last_record().dissenters.to_vec();
            assert_eq!(dissent, [(id(late + 1), hash("another"))]);
        }
        assert_eq!((shell.study.round, shell.study.base), (1, hash("init")), "{members}");

        let mut shell = init(members);
        for member in 0..late - 1 {
            shell.root(member, "init").expect("asked for");
        }
        let asked_at = shell.world.now;
        shell.deadline();
        assert_eq!((shell.world.now - asked_at, shell.paused()), (80, PauseReason::NoCommonStart), "{members}");
    }
}

#[test]
fn a_start_without_agreement_is_tried_again_after_a_pause() {
    let mut shell = init(2);
    shell.root(0, "init").expect("asked for");
    shell.root(1, "another").expect("asked for");
    assert_eq!(shell.paused(), PauseReason::NoCommonStart);
    shell.step(Event::Resume { who: id(1) }).expect("the proposer decides");
    shell.root(0, "init").expect("asked again");
    shell.root(1, "init").expect("asked again");
    assert_eq!(shell.study.base, hash("init"));
}

#[test]
fn the_list_freezes_at_once_when_all_are_in() {
    let mut shell = Shell::training(plain(), &[10, 20, 70, 1000]);
    for member in [3, 1, 0] {
        shell.commit(member).expect("asked for");
        assert_eq!(shell.asks(member), None);
    }
    let frozen_at = shell.world.now;
    shell.commit(2).expect("asked for");
    let m = shell.merge();
    assert_eq!((m.attempt, m.needs, m.frozen_at, m.window), (1, 3, frozen_at, 16));
    let inputs: Vec<_> = m.inputs.iter().map(|i| (i.commitment.member, i.weight)).collect();
    assert_eq!(inputs, [(0, 10), (1, 20), (2, 70), (3, 100)], "in order of the institution, the largest capped");
    let listed: Vec<_> = m.inputs.iter().map(|i| (id(i.commitment.member + 1), i.commitment.root, i.weight)).collect();
    assert_eq!(m.inputs_root, inputs_root(&listed, &shell.study.rules.merge, hash("init")));
}

#[test]
fn inputs_are_in_order_of_the_institution_not_of_enrolment() {
    let mut shell = Shell::enrolled(plain(), &[]);
    for who in [9, 4, 6] {
        shell.step(Event::Enrol { who: id(who), samples: 10 }).expect("may enrol");
    }
    shell.deadline();
    for member in 0..3 {
        shell.root(member, "init").expect("asked for");
    }
    shell.commit_all();
    assert_eq!(shell.merge().inputs.iter().map(|i| i.commitment.member).collect::<Vec<_>>(), [1, 2, 0]);
}

#[test]
fn the_kth_commitment_sets_the_freeze_once() {
    for (members, needed) in [(2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
        let mut shell = Shell::training(plain(), &vec![100; members]);
        let start = shell.collecting().start;
        shell.pass(3);
        for member in 0..needed {
            assert_eq!(shell.collecting().freeze_at, None, "{members}");
            shell.commit(member).expect("asked for");
        }
        if needed < members as u8 {
            // start + T + G, and a later one changes nothing
            assert_eq!(shell.collecting().freeze_at, Some(start + 10 + 40), "{members}");
            shell.pass(12);
            if needed + 1 < members as u8 {
                shell.commit(needed).expect("asked for");
                assert_eq!(shell.collecting().freeze_at, Some(start + 10 + 40), "{members}");
            }
            shell.pass(1);
            assert_eq!(shell.merge().frozen_at, start + 16, "{members}");
        } else {
            assert_eq!(shell.merge().frozen_at, start + 3, "{members}");
        }
    }
}

#[test]
fn after_the_training_time_the_grace_runs_from_the_kth_commitment() {
    let mut shell = Shell::training(plain(), &[100; 3]);
    shell.commit(0).expect("asked for");
    shell.pass(25);
    shell.commit(1).expect("asked for");
    assert_eq!(shell.collecting().freeze_at, Some(shell.world.now + 6));
}

#[test]
fn the_minimum_and_the_rule_raise_what_a_freeze_needs() {
    let rules = StudyRules { min_participants: 5, rule_min: 5, ..plain() };
    let mut shell = Shell::training(rules, &[100; 6]);
    for member in 0..5 {
        assert_eq!(shell.collecting().freeze_at, None);
        shell.commit(member).expect("asked for");
    }
    assert!(shell.collecting().freeze_at.is_some());
}

#[test]
fn who_reports_a_failure_is_awaited_no_longer() {
    let mut shell = Shell::training(plain(), &[100; 3]);
    shell.vote(2, VoteBody::Failure(FailureCode::OneClass)).expect("a failure is an answer");
    assert_eq!(shell.commit(2), Err(Refusal::NoSuchDuty), "the first answer binds");
    shell.commit(0).expect("asked for");
    shell.commit(1).expect("asked for");
    assert_eq!(shell.merge().inputs.len(), 2);

    let mut shell = Shell::training(plain(), &[100; 3]);
    shell.vote(2, VoteBody::Failure(FailureCode::OneClass)).expect("a failure is an answer");
    shell.commit(0).expect("asked for");
    shell.vote(1, VoteBody::Failure(FailureCode::NotFinite)).expect("a failure is an answer");
    assert_eq!(shell.paused(), PauseReason::TooFewUpdates);
}

#[test]
fn a_stalled_training_is_extended_once_by_name() {
    let stalled = |on_stall, commits: u8| {
        let mut shell = Shell::training(StudyRules { on_stall, ..plain() }, &[100; 5]);
        for member in 0..commits {
            shell.commit(member).expect("asked for");
        }
        let start = shell.world.now;
        shell.deadline();
        assert_eq!(shell.world.now, start + 36);
        let silent = (commits + 1..=5).map(id).collect::<Vec<_>>().try_into().expect("few");
        assert_eq!(shell.log.last(), Some(&Effect::Extended { silent }));
        shell.deadline();
        assert_eq!(shell.world.now, start + 72);
        shell
    };
    assert_eq!(stalled(OnStall::Pause, 2).paused(), PauseReason::TooFewUpdates);
    assert_eq!(stalled(OnStall::Shrink, 2).merge().inputs.len(), 2);
    assert_eq!(stalled(OnStall::Shrink, 1).paused(), PauseReason::TooFewUpdates);
    assert_eq!(stalled(OnStall::Abort, 2).study.phase, Phase::Aborted { reason: AbortReason::Stalled });
}

#[test]
fn a_withdrawal_takes_back_what_is_not_frozen() {
    let mut shell = Shell::training(plain(), &[100; 4]);
    for member in 0..3 {
        shell.commit(member).expect("asked for");
    }
    assert!(shell.collecting().freeze_at.is_some());
    shell.step(Event::Withdraw { who: id(2) }).expect("may leave");
    assert_eq!((shell.collecting().freeze_at, shell.collecting().commitments.len()), (None, 2));
    assert_eq!(shell.step(Event::Withdraw { who: id(2) }), Err(Refusal::NotAMember));
    // it may come back, with the same count, for the next round
    assert_eq!(shell.step(Event::Enrol { who: id(1), samples: 100 }), Err(Refusal::AlreadyEnrolled));
    shell.step(Event::Enrol { who: id(2), samples: 100 }).expect("may come back");
    assert_eq!(shell.asks(1), None);
    shell.commit(3).expect("asked for");
    assert_eq!(shell.merge().inputs.len(), 3);
    for member in [0, 2, 3] {
        shell.root(member, "merge").expect("asked for");
    }
    assert_eq!((shell.study.round, shell.asks(1)), (2, Some(DutyKind::Train)));
}

#[test]
fn a_withdrawal_after_the_limit_leaves_a_grace() {
    let mut shell = Shell::training(plain(), &[100; 5]);
    let start = shell.collecting().start;
    shell.until(start + 35);
    for member in 0..3 {
        shell.commit(member).expect("asked for");
    }
    // start + L has passed, and the freeze has not come yet
    shell.until(start + 40);
    shell.step(Event::Withdraw { who: id(2) }).expect("may leave");
    assert_eq!(shell.study.deadline(), Some(start + 40 + 6));
    shell.commit(3).expect("there is still time");
    assert_eq!(shell.collecting().freeze_at, Some(start + 46));
}

#[test]
fn who_enrols_in_a_round_counts_from_the_next() {
    let mut shell = Shell::training(plain(), &[100; 2]);
    shell.step(Event::Enrol { who: id(9), samples: 50 }).expect("may join");
    assert_eq!(shell.asks(2), None);
    shell.whole_round(&[None, None]);
    assert_eq!((shell.study.round, shell.collecting().roster, shell.asks(2)), (2, 0b111, Some(DutyKind::Train)));
}

#[test]
fn a_pause_keeps_the_round_and_its_commitments() {
    let mut shell = Shell::training(plain(), &[100; 5]);
    shell.commit(1).expect("asked for");
    shell.commit(4).expect("asked for");
    shell.deadline();
    shell.deadline();
    assert_eq!(shell.paused(), PauseReason::TooFewUpdates);
    // more than half of the roster, or the proposer alone
    let mut by_many = shell.clone();
    by_many.step(Event::Resume { who: id(2) }).expect("a member");
    assert_eq!(by_many.step(Event::Resume { who: id(2) }), Err(Refusal::AlreadyAnswered));
    assert_eq!(by_many.step(Event::Resume { who: id(9) }), Err(Refusal::NotAMember));
    by_many.step(Event::Resume { who: id(3) }).expect("a member");
    assert_eq!(by_many.paused(), PauseReason::TooFewUpdates);
    by_many.step(Event::Resume { who: id(4) }).expect("a member");
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    for mut shell in [by_many, shell] {
        assert_eq!((shell.study.round, shell.collecting().awaited, shell.asks(1)), (1, 0b01101, None));
        shell.commit(0).expect("asked for");
        assert!(shell.collecting().freeze_at.is_some());
    }
}

#[test]
fn a_pause_ends_the_study_by_decision_or_by_time() {
    let mut shell = init(3);
    shell.deadline();
    let mut decided = shell.clone();
    decided.step(Event::Abort { who: id(2) }).expect("a member");
    assert!(!decided.study.ended());
    decided.step(Event::Abort { who: id(3) }).expect("a member");
    assert_eq!(decided.study.phase, Phase::Aborted { reason: AbortReason::Decided });
    assert_eq!(decided.study.deadline(), None);

    let since = shell.world.now;
    shell.deadline();
    assert_eq!(shell.world.now - since, PAUSE_BLOCKS);
    assert_eq!(shell.study.phase, Phase::Aborted { reason: AbortReason::PausedTooLong });
    assert_eq!(shell.step(Event::Resume { who: id(1) }), Err(Refusal::WrongPhase));
    assert_eq!(shell.step(Event::Enrol { who: id(9), samples: 5 }), Err(Refusal::WrongPhase));
}

#[test]
fn too_few_members_pause_the_study() {
    let mut shell = Shell::merging(plain(), 2);
    shell.root(0, "merge").expect("asked for");
    shell.root(1, "merge").expect("asked for");
    shell.step(Event::Withdraw { who: id(2) }).expect("may leave");
    shell.commit(0).expect("asked for");
    assert_eq!(shell.paused(), PauseReason::TooFewUpdates);
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    assert_eq!(shell.paused(), PauseReason::TooFewMembers);
    shell.step(Event::Enrol { who: id(3), samples: 5 }).expect("may join");
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    assert_eq!((shell.study.round, shell.collecting().roster), (2, 0b101));
}

/// After a block was taken back the same sites may have merged other statistics, and the seed gives the same initial model: the
/// update that was scaled by the former ones must not answer the duty that stands on the latter.
#[test]
fn what_is_scaled_names_the_statistics() {
    let duties = |statistics: Option<&str>| {
        let mut shell = Shell::training(plain(), &[100; 2]);
        shell.study.statistics = statistics.map(hash);
        let duty = |shell: &Shell| shell.study.open_duty(&shell.world, &id(1)).expect("a duty is open").duty;
        let train = duty(&shell);
        shell.commit_all();
        let merge = duty(&shell);
        (0..2).for_each(|member| drop(shell.root(member, "merge").expect("asked for")));
        shell.whole_round(&[None; 2]);
        shell.whole_round(&[None; 2]);
        let evaluate = duty(&shell);
        assert_eq!((train.kind, evaluate.kind), (DutyKind::Train, DutyKind::Evaluate));
        for (duty, named) in [(train, true), (merge, false), (evaluate, true)] {
            let expected = statistics.filter(|_| named).map(hash).unwrap_or_default();
            assert_eq!(duty.statistics, expected, "{:?}", duty.kind);
        }
        [train.hash(), evaluate.hash()]
    };
    let all = [duties(None), duties(Some("once")), duties(Some("again"))].concat();
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
}
