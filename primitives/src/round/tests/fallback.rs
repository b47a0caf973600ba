//! Models that too few hold, where a study stands on them: it falls back to an older one.

use super::{ends::evaluate, pauses::silent, *};
use crate::rules::OnStall;

fn lacks(shell: &mut Shell, member: u8) -> Result<Vec<Effect>, Refusal> {
    shell.vote(member, VoteBody::Present { held: 0 })
}

/// Round 3 of four, whose first two were merged by all; nobody sends an update, and it pauses.
fn in_round_three(rules: StudyRules) -> Shell {
    let mut shell = Shell::training(StudyRules { max_rounds: 9, ..rules }, &[100; 4]);
    shell.whole_round(&[Some(90); 4]);
    shell.whole_round(&[Some(80); 4]);
    assert_eq!(silent(&mut shell), PauseReason::TooFewUpdates);
    assert_eq!((shell.study.round, shell.study.base_round), (3, 2));
    shell
}

/// Holds the models of these rounds, of which the second one is needed.
fn holds(shell: &mut Shell, member: u8, rounds: &[u32]) -> Vec<Effect> {
    let held = rounds.iter().fold(0, |mask, round| mask | held_bit(2, *round));
    let base = if rounds.contains(&2) { HELD_BASE } else { 0 };
    shell.vote(member, VoteBody::Present { held: held | base }).expect("asked for")
}

#[test]
fn who_comes_back_without_the_model_has_time_to_fetch_it() {
    let mut shell = in_round_three(plain());
    // of three that are there nobody holds it; of four, two are enough at once
    for member in 0..3 {
        assert_eq!(holds(&mut shell, member, &[0, 1]).len(), 1);
        assert_eq!(shell.asks(member), Some(DutyKind::Present), "it may say that it has come");
        assert_eq!(lacks(&mut shell, member), Err(Refusal::AlreadyAnswered));
    }
    let window = shell.windows().attest;
    assert_eq!(shell.study.deadline(), Some(shell.world.now + window));
    shell.pass(window - 1);
    assert_eq!(holds(&mut shell, 1, &[0, 1, 2]).len(), 1);
    let mut alone = shell.clone();
    let effects = holds(&mut shell, 0, &[0, 1, 2]);
    assert_eq!(effects[1..3], [Effect::EnoughPresent, Effect::Resumed]);
    // when the time is over, one of three is enough: none of three is a liar that is survived
    alone.deadline();
    for shell in [shell, alone] {
        assert!(matches!(shell.study.phase, Phase::Collecting(_)));
        assert_eq!((shell.study.base, shell.study.base_round), (hash("merge 2"), 2));
        assert!(!shell.log.iter().any(|effect| matches!(effect, Effect::FellBack { .. })));
    }
}

#[test]
fn a_model_that_nobody_has_falls_back_to_the_newest_that_enough_have() {
    let mut shell = in_round_three(plain());
    assert_eq!(shell.study.best, Some(1));
    for (member, rounds) in [(0, &[0, 1][..]), (1, &[0]), (2, &[])] {
        holds(&mut shell, member, rounds);
    }
    shell.deadline();
    let fell = Effect::FellBack { from: 2, to: 1 };
    let end = &shell.log[shell.log.len() - 4..];
    assert_eq!(end[..3], [fell, Effect::EnoughPresent, Effect::Resumed]);
    assert_eq!((shell.study.round, shell.study.base_round, shell.study.base), (3, 1, hash("merge 1")));
    // what it stands on is listed as wanted, and the other one not
    let listed: Vec<_> = shell.blobs().merged.iter().map(|m| (m.round, m.wanted)).collect();
    assert_eq!(listed, [(1, true), (2, false), (0, false)]);
    // losses that come now are those of what it stands on
    shell.world.losses.clear();
    shell.whole_round(&[Some(70); 4]);
    assert_eq!(shell.world.losses.keys().copied().collect::<Vec<_>>(), [1]);
    let record = shell.last_record();
    assert_eq!((record.round, record.base, record.root), (3, hash("merge 1"), hash("merge 3")));
    assert_eq!((shell.study.round, shell.study.base_round, shell.study.best), (4, 3, Some(1)));
    assert_eq!(shell.world.records.iter().map(|r| r.round).collect::<Vec<_>>(), [0, 1, 2, 3], "the history stays");
}

#[test]
fn where_nobody_has_any_it_begins_anew_from_the_initial_model() {
    let mut shell = in_round_three(plain());
    shell.commit(0).expect_err("it is paused");
    for member in 0..3 {
        lacks(&mut shell, member).expect("asked for");
    }
    shell.deadline();
    assert!(shell.log.contains(&Effect::FellBack { from: 2, to: 0 }));
    assert_eq!((shell.study.base, shell.study.base_round, shell.study.best), (hash("init"), 0, None));
    shell.whole_round(&[Some(95); 4]);
    assert_eq!((shell.study.round, shell.study.base_round, shell.study.best), (4, 3, None));
    // and from there on everything is as always: what it needs is computed by everybody
    assert!(matches!(shell.study.phase, Phase::Collecting(_)));
}

#[test]
fn what_was_committed_on_a_model_that_is_given_up_is_given_up() {
    let mut shell = in_round_three(plain());
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    shell.commit(0).expect("asked for");
    silent(&mut shell);
    for member in 0..3 {
        holds(&mut shell, member, &[1]);
    }
    shell.deadline();
    assert_eq!((shell.study.base_round, shell.collecting().commitments.len()), (1, 0));
    assert_eq!(shell.collecting().awaited, 0b1111);
}

#[test]
fn as_many_liars_as_a_merge_survives_neither_keep_a_study_on_a_model_nor_take_it_off_one() {
    // of seven that are all there, two say that they hold it
    let rounds = |liars: &[u16], others: u16| {
        let mut shell = Shell::training(StudyRules { max_rounds: 9, ..plain() }, &[100; 7]);
        shell.whole_round(&[None; 7]);
        shell.whole_round(&[None; 7]);
        silent(&mut shell);
        for member in 0..7 {
            let held = liars.get(usize::from(member)).copied().unwrap_or(others);
            if matches!(shell.study.phase, Phase::Paused(_)) {
                shell.vote(member, VoteBody::Present { held }).expect("asked for");
            }
        }
        if matches!(shell.study.phase, Phase::Paused(_)) {
            shell.deadline();
        }
        shell.study.base_round
    };
    let (has, older) = (HELD_BASE, held_bit(2, 1));
    assert_eq!(rounds(&[has, has], older), 1, "two say that they hold it, and give it to nobody");
    assert_eq!(rounds(&[0, 0], has | older), 2, "two say that they do not");
}

#[test]
fn fewer_than_half_give_up_no_model() {
    // it may shrink to two of four; these two are there
    let mut shell = in_round_three(StudyRules { on_stall: OnStall::Shrink, ..plain() });
    lacks(&mut shell, 0).expect("asked for");
    lacks(&mut shell, 1).expect("asked for");
    shell.deadline();
    assert_eq!((shell.paused(), shell.study.base_round), (PauseReason::TooFewUpdates, 2));
    // with a third one they are enough, and have their time again
    let now = shell.world.now;
    lacks(&mut shell, 2).expect("asked for");
    assert_eq!(shell.study.deadline(), Some(now + shell.windows().attest));
    shell.deadline();
    assert_eq!(shell.study.base_round, 0);
}

#[test]
fn a_certificate_falls_back_too_and_waits_where_there_is_nothing_to_certify() {
    let canonical = |last: &[u32]| {
        let mut shell = Shell::training(StudyRules { max_rounds: 3, ..plain() }, &[100; 4]);
        for loss in [90, 80, 60] {
            shell.whole_round(&[Some(loss); 4]);
        }
        // round 2 is better than round 3
        evaluate(&mut shell, &[Some(70); 4]);
        assert_eq!(silent(&mut shell), PauseReason::NotHeld);
        let held = last.iter().fold(0, |mask, round| mask | held_bit(3, *round));
        for member in 0..3 {
            shell.vote(member, VoteBody::Present { held }).expect("asked for");
        }
        shell.deadline();
        shell
    };
    let mut shell = canonical(&[1, 3]);
    let Phase::Certifying(c) = &shell.study.phase else { panic!("not certifying") };
    assert_eq!((c.round, c.root, c.held), (3, hash("merge 3"), 0));
    assert!(shell.log.contains(&Effect::FellBack { from: 2, to: 3 }));
    for member in 0..4 {
        shell.vote(member, VoteBody::Held(hash("merge 3"))).expect("asked for");
    }
    assert!(matches!(&shell.study.phase, Phase::Completed(c) if c.round == 3));
    // nobody has any: it waits, and goes on when one that has it comes
    let mut shell = canonical(&[]);
    assert_eq!(shell.paused(), PauseReason::NotHeld);
    shell.pass(100);
    shell.there(3).expect("asked for");
    shell.there(2).expect("it has got it");
    let Phase::Certifying(c) = &shell.study.phase else { panic!("not certifying") };
    assert_eq!((c.round, c.root), (2, hash("merge 2")));
}
