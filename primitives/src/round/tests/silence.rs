//! Sites of which nothing comes: for how many rounds they are waited for, and when again.

use super::*;
use crate::rules::OnStall;
use proptest::{collection::vec, prelude::*, test_runner::RngSeed};

fn rules() -> StudyRules {
    StudyRules { max_rounds: 30, ..plain() }
}

/// One round in which these send nothing, and all others what they are asked for; how many blocks it took until its list froze.
pub(super) fn round(shell: &mut Shell, silent: &[u8]) -> u32 {
    let round = shell.study.round;
    for member in 0..shell.study.members.len() as u8 {
        if !silent.contains(&member) && shell.asks(member) == Some(DutyKind::Train) {
            shell.commit(member).expect("an update is asked for");
        }
    }
    while matches!(shell.study.phase, Phase::Collecting(_)) {
        shell.deadline();
    }
    agree(shell);
    let record = shell.last_record();
    assert_eq!(record.round, round);
    record.frozen_at - record.opened_at
}

fn twice(shell: &mut Shell, silent: &[u8]) {
    round(shell, silent);
    round(shell, silent);
}

/// The authors of the merge that is open attest the same.
fn agree(shell: &mut Shell) {
    let round = shell.study.round;
    let authors: Vec<u8> = shell.merge().inputs.iter().map(|input| input.commitment.member).collect();
    for member in authors {
        if matches!(shell.study.phase, Phase::Merging(_)) {
            shell.root(member, &format!("merge {round}")).expect("a merge is asked for");
        }
    }
}

/// How long a round takes whose grace runs out.
fn late(shell: &Shell) -> u32 {
    shell.study.rules.training_blocks + shell.windows().grace
}

/// Who is not waited for, since which rounds and until which one, as it was told.
fn told(shell: &Shell) -> Vec<(InstitutionId, u32, u32)> {
    let told = shell.log.iter().filter_map(|effect| match effect {
        Effect::NotAwaited { who, before, until_round } => Some((*who, *before, *until_round)),
        _ => None,
    });
    told.collect()
}

/// It says that nothing comes from it.
fn fail(shell: &mut Shell, member: u8) {
    shell.vote(member, VoteBody::Failure(FailureCode::OneClass)).expect("a failure is an answer");
}

/// As many are waited for, or in already, as make a round; or all are waited for.
pub(super) fn check_waited(study: &Study) {
    let Phase::Collecting(c) = &study.phase else { return };
    let there: Mask = c.commitments.iter().fold(0, |mask, commitment| mask | bit(commitment.member));
    let waited = there | (c.awaited & !study.unawaited);
    let needs = study.rules.freeze_needs(c.roster.count_ones());
    assert!(study.unawaited == 0 || waited.count_ones() >= needs, "{:b} of {c:?}", study.unawaited);
}

#[test]
fn two_rounds_missed_and_the_next_five_do_not_wait() {
    let mut shell = Shell::training(rules(), &[100; 4]);
    let late = late(&shell);
    let took: Vec<u32> = (1..=15).map(|_| round(&mut shell, &[3])).collect();
    // once the five rounds are over, one more is enough
    let expected = [late, late, 0, 0, 0, 0, 0, late, 0, 0, 0, 0, 0, late, 0];
    assert_eq!(took, expected);
    assert_eq!(told(&shell), [(id(4), 1, 7), (id(4), 2, 13), (id(4), 8, 19)]);
    assert!(shell.study.members.iter().all(|m| m.struck.is_none() && m.benched_until.is_none()));
}

#[test]
fn who_is_not_waited_for_is_asked_all_the_same_and_merged() {
    let mut shell = Shell::training(rules(), &[100; 4]);
    twice(&mut shell, &[3]);
    assert_eq!(
        (shell.collecting().roster, shell.collecting().awaited, shell.study.unawaited),
        (0b1111, 0b1111, 0b1000)
    );
    assert_eq!(shell.asks(3), Some(DutyKind::Train));
    shell.commit(3).expect("asked for");
    assert!(shell.study.missed.is_empty(), "a commitment clears its record");
    shell.commit_all();
    assert_eq!(shell.merge().inputs.len(), 4);
    agree(&mut shell);
    // and from the next round on it is waited for
    assert_eq!(shell.study.unawaited, 0);
    (0..3).for_each(|member| drop(shell.commit(member).expect("asked for")));
    assert!(matches!(shell.study.phase, Phase::Collecting(_)));
    // as one that has missed nothing
    shell.deadline();
    agree(&mut shell);
    assert_eq!((told(&shell).len(), round(&mut shell, &[])), (1, 0));
}

#[test]
fn a_late_commitment_of_the_others_still_has_its_grace() {
    // five, of whom the last one is not waited for, and another one is slow
    let mut shell = Shell::training(rules(), &[100; 5]);
    twice(&mut shell, &[4]);
    (0..3).for_each(|member| drop(shell.commit(member).expect("asked for")));
    assert!(shell.collecting().freeze_at.is_some());
    shell.pass(late(&shell) - 1);
    shell.commit(3).expect("the round waits for it");
    assert_eq!(shell.merge().inputs.len(), 4);
    agree(&mut shell);
    // where the slow one is too slow, only that one has missed the round
    assert_eq!(round(&mut shell, &[3, 4]), late(&shell));
    let missed: Vec<_> = shell.study.missed.iter().map(|missed| (missed.member, missed.last)).collect();
    assert_eq!(missed, [(4, 2), (3, 4)]);
}

#[test]
fn two_rounds_are_within_five_or_forgotten() {
    // a failure is an answer, so that its round is not missed; and no commitment, so that the record stays
    let second = |failures: u32| {
        let mut shell = Shell::training(rules(), &[100; 4]);
        round(&mut shell, &[3]);
        for _ in 0..failures {
            fail(&mut shell, 3);
            assert_eq!(round(&mut shell, &[3]), 0);
        }
        round(&mut shell, &[3]);
        told(&shell)
    };
    assert_eq!(second(3), [(id(4), 1, 10)]);
    assert!(second(4).is_empty());
    // the same once it is waited for again
    let again = |failures: u32| {
        let mut shell = Shell::training(rules(), &[100; 4]);
        for _ in 0..7 {
            round(&mut shell, &[3]);
        }
        for _ in 0..failures {
            fail(&mut shell, 3);
            round(&mut shell, &[3]);
        }
        round(&mut shell, &[3]);
        told(&shell)[1..].to_vec()
    };
    assert_eq!(again(3), [(id(4), 2, 16)]);
    assert!(again(4).is_empty());
}

#[test]
fn a_round_is_missed_too_where_a_node_says_that_its_worker_is_missing() {
    let mut shell = Shell::training(rules(), &[100; 4]);
    for number in 1..=2 {
        assert_eq!(shell.study.unawaited, 0);
        (0..3).for_each(|member| drop(shell.commit(member).expect("asked for")));
        shell.pass(15);
        shell.vote(3, VoteBody::Failure(FailureCode::WorkerMissing)).expect("a failure is an answer");
        assert_eq!(shell.merge().frozen_at - shell.study.opened_at, 15, "{number}");
        agree(&mut shell);
    }
    assert_eq!((told(&shell), shell.study.unawaited), (vec![(id(4), 1, 7)], 0b1000));
    assert_eq!(round(&mut shell, &[3]), 0);
    // of one that is back it is known by what it sends
    shell.commit(3).expect("asked for");
    assert!(shell.study.missed.is_empty());
}

#[test]
fn where_the_others_are_too_few_all_are_waited_for() {
    let without_two = || {
        let mut shell = Shell::training(rules(), &[100; 5]);
        twice(&mut shell, &[3, 4]);
        assert_eq!(shell.study.unawaited, 0b11000);
        shell
    };
    // one of the three that make the round leaves while it runs
    let mut shell = without_two();
    shell.step(Event::Withdraw { who: id(1) }).expect("may leave");
    assert_eq!((shell.study.unawaited, shell.collecting().awaited), (0, 0b11110));
    (1..4).for_each(|member| drop(shell.commit(member).expect("asked for")));
    assert!(matches!(shell.study.phase, Phase::Collecting(_)), "it waits for the last one");
    shell.commit(4).expect("asked for");
    assert_eq!(shell.merge().inputs.len(), 4);
    // or says that nothing comes from it
    let mut shell = without_two();
    fail(&mut shell, 0);
    assert_eq!((shell.study.unawaited, shell.collecting().awaited), (0, 0b11110));
    // or leaves before it is opened
    let mut shell = without_two();
    (0..3).for_each(|member| drop(shell.commit(member).expect("asked for")));
    shell.step(Event::Withdraw { who: id(1) }).expect("may leave");
    (1..3).for_each(|member| drop(shell.root(member, "merge 3").expect("a merge is asked for")));
    assert_eq!((shell.study.round, shell.collecting().roster, shell.study.unawaited), (4, 0b11110, 0));
}

#[test]
fn a_failure_that_leaves_too_few_does_not_pause_while_one_may_still_come() {
    let mut shell = Shell::training(rules(), &[100; 4]);
    twice(&mut shell, &[3]);
    shell.commit(0).expect("asked for");
    shell.commit(1).expect("asked for");
    fail(&mut shell, 2);
    assert!(matches!(shell.study.phase, Phase::Collecting(_)), "it waits for the fourth one");
    shell.commit(3).expect("asked for");
    assert_eq!(shell.merge().inputs.len(), 3);
}

#[test]
fn statistics_wait_for_all_and_nobody_misses_them() {
    let mut shell = Shell::enrolled(StudyRules { statistics_len: 800, ..rules() }, &[100; 4]);
    shell.step(Event::Start { who: id(1) }).expect("may start");
    for member in 0..3 {
        shell.vote(member, VoteBody::Update { root: hash("s"), len: 800, metric: None }).expect("asked for");
    }
    shell.deadline();
    assert_eq!((shell.merge().inputs.len(), shell.study.missed.len()), (3, 0));
}

#[test]
fn a_round_that_is_shrunk_is_missed_too() {
    let mut shell = Shell::training(StudyRules { on_stall: OnStall::Shrink, ..rules() }, &[100; 5]);
    shell.commit(0).expect("asked for");
    shell.commit(1).expect("asked for");
    shell.deadline();
    assert!(shell.study.missed.is_empty(), "it is extended first");
    shell.deadline();
    let missed: Vec<_> = shell.study.missed.iter().map(|missed| (missed.member, missed.last)).collect();
    assert_eq!((shell.merge().inputs.len(), missed), (2, vec![(2, 1), (3, 1), (4, 1)]));
}

#[test]
fn who_sends_in_every_second_round_is_waited_for_in_each() {
    // what it sends clears its record: so much a liar can have
    let mut shell = Shell::training(rules(), &[100; 4]);
    let late = late(&shell);
    let took: Vec<u32> = (0..4).flat_map(|_| [round(&mut shell, &[3]), round(&mut shell, &[])]).collect();
    assert_eq!(took, [late, 0, late, 0, late, 0, late, 0]);
    assert!(told(&shell).is_empty());
}

/// Nobody agrees on the merge that is open, until it pauses; then the same round is opened again.
fn again(shell: &mut Shell) {
    while matches!(shell.study.phase, Phase::Merging(_)) {
        for member in 0..3 {
            if matches!(shell.study.phase, Phase::Merging(_)) {
                shell.root(member, &format!("of {member}")).expect("a merge is asked for");
            }
        }
    }
    assert_eq!(shell.paused(), PauseReason::NoAgreement);
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
}

#[test]
fn a_round_that_is_opened_again_after_a_pause_waits_and_is_missed_once() {
    let mut shell = Shell::training(rules(), &[100; 4]);
    (0..3).for_each(|member| drop(shell.commit(member).expect("asked for")));
    shell.deadline();
    again(&mut shell);
    shell.deadline();
    assert_eq!(shell.study.missed.to_vec(), [Missed { member: 3, last: 1, unawaited: None }]);
    agree(&mut shell);
    // the second one too: it is the rounds after it that do not wait
    (0..3).for_each(|member| drop(shell.commit(member).expect("asked for")));
    shell.deadline();
    again(&mut shell);
    assert_eq!((shell.study.round, shell.study.unawaited, shell.collecting().awaited), (2, 0, 0b1000));
    shell.deadline();
    agree(&mut shell);
    assert_eq!((shell.study.unawaited, told(&shell)), (0b1000, vec![(id(4), 1, 7)]));
}

/// What happens to a member of a round that is open for updates, or with 3 and more, that time passes.
fn deed(shell: &mut Shell, member: u8, what: u8) -> bool {
    match what {
        0 | 1 => shell.commit(member).is_ok(),
        2 => shell.vote(member, VoteBody::Failure(FailureCode::NotFinite)).is_ok(),
        3 => shell.step(Event::Withdraw { who: id(member + 1) }).is_ok(),
        _ => {
            shell.pass(7);
            true
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2048,
        rng_seed: RngSeed::Fixed(8),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whoever is noted, and whatever happens: as many are waited for as make the round, the list freezes with no fewer, and a
    /// round pauses where and when it would if all were waited for.
    #[test]
    fn never_fewer_than_make_the_round_and_no_pause_comes_of_it(
        members in 2u8..=9,
        silent in any::<u64>(),
        minimum in 2u32..5,
        shrink in any::<bool>(),
        deeds in vec((0u8..9, 0u8..5), 1..40),
    ) {
        let on_stall = if shrink { OnStall::Shrink } else { OnStall::Pause };
        let min_participants = minimum.min(u32::from(members));
        let rules = StudyRules { min_participants, on_stall, ..rules() };
        let mut with = Shell::training(rules, &vec![100; usize::from(members)]);
        with.whole_round(&vec![None; usize::from(members)]);
        with.whole_round(&vec![None; usize::from(members)]);
        let mut without = with.clone();
        let noted: Vec<u8> = (0..members).filter(|member| silent & bit(*member) != 0).collect();
        for member in noted {
            let unawaited = Some(Unawaited { before: 1, until: 7 });
            with.study.missed.try_push(Missed { member, last: 2, unawaited }).expect("room for all");
        }
        let roster = with.collecting().roster;
        with.study.unawaited = with.study.without_silent(roster, roster);
        check_waited(&with.study);
        for (member, what) in deeds {
            prop_assert_eq!(deed(&mut with, member % members, what), deed(&mut without, member % members, what));
            prop_assert!(with.study.silence_is_sound());
            check_waited(&with.study);
            match (&with.study.phase, &without.study.phase) {
                (Phase::Collecting(one), Phase::Collecting(other)) => prop_assert_eq!(one, other),
                (Phase::Paused(one), Phase::Paused(other)) => {
                    prop_assert_eq!(one, other);
                    break;
                }
                // at once, where the other one may still wait
                (Phase::Merging(m), Phase::Collecting(c)) => {
                    let authors: Mask = m.inputs.iter().fold(0, |mask, input| mask | bit(input.commitment.member));
                    prop_assert!(authors.count_ones() >= with.study.rules.freeze_needs(roster.count_ones()));
                    prop_assert_eq!(c.awaited & !silent, 0, "somebody else is still awaited");
                    break;
                }
                (Phase::Merging(one), Phase::Merging(other)) => {
                    prop_assert_eq!(one, other);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
