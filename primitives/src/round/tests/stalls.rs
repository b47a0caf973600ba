//! Finality stalls while a merge is open: nobody serves an update before its freeze is final.

use super::{
    simulate::{run, Scenario},
    *,
};
use crate::rules::PAUSE_BLOCKS;

pub(super) fn calm(seed: u64, stall: Option<(u32, u32)>) -> Scenario {
    Scenario {
        members: 4,
        rules: plain(),
        validators: 4,
        first_liar: 0,
        liars: Vec::new(),
        mishaps: 0,
        stall,
        off: Vec::new(),
        people: true,
        ahead: 0,
        seed,
    }
}

/// All attempts together, 1, 2 and 4 attestation limits, are 112 blocks here; before clocks could stand, such a study paused.
#[test]
fn a_merge_that_stood_for_110_blocks_goes_on_by_itself() {
    for seed in 0..20 {
        let frozen_at = run(calm(seed, None)).shell.world.records[1].frozen_at;
        let outcome = run(calm(seed, Some((frozen_at, 110))));
        let shell = &outcome.shell;
        assert!(shell.log.contains(&Effect::Stood) && shell.log.contains(&Effect::WentOn));
        assert_eq!((outcome.pauses, shell.dropped().len()), (0, 0));
        assert!(matches!(shell.study.phase, Phase::Completed(_)), "{:?}", shell.study.phase);
        let record = &shell.world.records[1];
        assert_eq!((record.round, record.frozen_at, record.attempts, record.inputs.len()), (1, frozen_at, 1, 4));
        assert!(record.closed_at >= frozen_at + 110 && record.silent.len() <= 1);
        assert!(shell.study.members.iter().all(|m| m.struck.is_none()), "nobody is struck for it");
    }
}

/// Members of a merge of so many that stop its clock if they say that it is not final: one more than liars it survives.
fn needed(members: u8) -> u8 {
    crate::rules::holders_needed(u32::from(members)) as u8
}

#[test]
fn as_many_as_make_an_input_invalid_stop_the_clock_and_fewer_do_not() {
    for members in 2..=13 {
        let mut shell = Shell::merging(plain(), members);
        let until = shell.merge().until;
        shell.fetched();
        for member in 0..needed(members) - 1 {
            shell.not_final(member, bit(member)).expect("asked for");
        }
        assert_eq!((shell.merge().stands, shell.merge().until), (false, until), "{members}");
        // liars that survive a merge are too few to stop its clock: it ends when it would have ended
        let mut lied = shell.clone();
        lied.until(until);
        assert!(!matches!(&lied.study.phase, Phase::Merging(m) if m.attempt == 1), "{members}");

        let last = needed(members) - 1;
        let effects = shell.not_final(last, bit(last)).expect("asked for");
        assert_eq!(effects.last(), Some(&Effect::Stood), "{members}");
        let since = shell.world.now;
        shell.pass(500);
        assert_eq!((shell.merge().stands, shell.merge().attempt), (true, 1), "{members}");
        // one of them has it final now: the window begins anew, and with it what may be reported
        let before = shell.study.resumed;
        let effects = shell.partial(0, bit(0), 0).expect("it may say that it is final now");
        assert_eq!(effects.last(), Some(&Effect::WentOn), "{members}");
        let m = shell.merge();
        assert_eq!((m.stands, m.began, m.until), (false, since + 500, since + 500 + m.window));
        assert!(m.ballots.iter().all(Option::is_none), "what was missing is forgotten");
        assert_eq!(shell.study.resumed, before + 1, "and may not be sent again by somebody else");
        assert_eq!(shell.partial(0, bit(0), 0), Err(Refusal::TooEarly));
        for member in 0..members {
            if matches!(shell.study.phase, Phase::Merging(_)) {
                shell.root(member, "merge").expect("asked for");
            }
        }
        assert_eq!(shell.study.round, 2, "{members}");
    }
}

#[test]
fn not_final_is_said_once_and_may_be_followed_by_what_is_so_then() {
    let mut shell = Shell::merging(plain(), 7);
    assert_eq!(shell.not_final(0, 1), Err(Refusal::TooEarly));
    shell.fetched();
    shell.not_final(0, 1).expect("asked for");
    assert_eq!(shell.not_final(0, 0b11), Err(Refusal::AlreadyAnswered));
    shell.partial(0, 0b11, 0).expect("it is final now");
    assert_eq!(shell.partial(0, 0b111, 0), Err(Refusal::AlreadyAnswered));
    assert_eq!(shell.not_final(0, 0b11), Err(Refusal::AlreadyAnswered), "and stays so");
    shell.root(0, "merge").expect("asked for");
    shell.not_final(1, 0b10).expect("asked for");
    shell.root(1, "merge").expect("asked for");
}

#[test]
fn who_cannot_have_got_anything_lacks_nothing() {
    // so many of seven lack the last one's input, and two cannot have got it; it takes three that could
    for (accusers, dropped) in [(2, 0), (3, 1)] {
        let mut shell = Shell::merging(plain(), 7);
        shell.fetched();
        for member in 0..accusers {
            shell.partial(member, 0b0111111, 0).expect("asked for");
        }
        for member in accusers..accusers + 2 {
            shell.not_final(member, 0b0111111).expect("asked for");
        }
        assert!(!shell.merge().stands);
        shell.deadline();
        assert_eq!((shell.dropped().len(), shell.merge().attempt), (dropped, 2), "{accusers}");
    }
}

#[test]
fn those_who_agree_close_a_merge_whose_clock_stands() {
    // of nine, five agree, three have nothing final, and one says nothing
    let mut shell = Shell::merging(plain(), 9);
    shell.fetched();
    for member in 0..4 {
        shell.root(member, "merge").expect("asked for");
    }
    for member in 4..7 {
        shell.not_final(member, bit(member)).expect("asked for");
    }
    assert!(shell.merge().stands);
    shell.root(7, "merge").expect("asked for");
    assert_eq!((shell.study.round, shell.last_record().silent.len()), (2, 4));
}

#[test]
fn a_clock_stands_no_longer_than_a_pause() {
    let mut shell = Shell::merging(plain(), 4);
    shell.fetched();
    let since = shell.world.now;
    shell.not_final(0, 0b0001).expect("asked for");
    shell.not_final(1, 0b0010).expect("asked for");
    // that it goes on and stands again does not give it more
    shell.pass(1_000);
    shell.partial(0, 0b0001, 0).expect("it is final now");
    shell.pass(shell.windows().fetch);
    shell.not_final(0, 0b0001).expect("asked for");
    shell.not_final(1, 0b0010).expect("asked for");
    assert_eq!(shell.study.deadline(), Some(since + PAUSE_BLOCKS));
    shell.deadline();
    assert_eq!(shell.paused(), PauseReason::NoAgreement);
    assert!(shell.dropped().is_empty() && shell.study.members.iter().all(|m| m.struck.is_none()));
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    assert_eq!(shell.merge().inputs.len(), 4);
}

#[test]
fn a_clock_does_not_wait_for_who_has_left() {
    let mut shell = Shell::merging(plain(), 4);
    shell.fetched();
    shell.not_final(0, 0b0001).expect("asked for");
    shell.not_final(1, 0b0010).expect("asked for");
    assert!(shell.merge().stands);
    let effects = shell.step(Event::Withdraw { who: id(1) }).expect("may leave");
    assert!(effects.contains(&Effect::WentOn) && !shell.merge().stands);
}
