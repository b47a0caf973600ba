//! Sites that are off and come back: the study goes on by itself, with nobody's vote but theirs.

use super::{
    properties::assert_recorded,
    simulate::{run, Outcome, Scenario},
    stalls::calm,
    *,
};
use crate::time::blocks;
use std::collections::BTreeSet;

const SIX_MINUTES: u32 = blocks(360_000);

/// Four sites with statistics and three rounds, on whose pauses nobody votes.
fn left_alone(seed: u64, off: Vec<(u64, u32, u32)>, stall: Option<(u32, u32)>) -> Scenario {
    Scenario { rules: testing::rules(), off, people: false, ..calm(seed, stall) }
}

/// Why it paused; it must have completed, with each round once, and with all votes and commitments of the honest in place.
fn reasons(outcome: &Outcome) -> Vec<PauseReason> {
    let shell = &outcome.shell;
    assert!(matches!(shell.study.phase, Phase::Completed(_)), "{:?}", shell.study.phase);
    assert_recorded(shell);
    assert_eq!(shell.study.round, 3);
    assert!(shell.world.records.iter().all(|record| record.dissenters.is_empty()));
    let pauses = shell.log.iter().filter_map(|effect| match effect {
        Effect::Paused { reason } => Some(*reason),
        _ => None,
    });
    pauses.collect()
}

#[test]
fn two_of_four_that_were_off_for_six_minutes_in_any_phase_come_back_and_the_study_completes_by_itself() {
    let mut met = BTreeSet::new();
    for seed in 0..6 {
        let whole = run(left_alone(seed, Vec::new(), None)).shell.study.ended_at.expect("it has ended");
        // from every block of the study on
        for from in 51..whole {
            let pauses = reasons(&run(left_alone(seed, vec![(0b0110, from, SIX_MINUTES)], None)));
            assert!(pauses.len() <= 1, "off from block {from}: {pauses:?}");
            met.extend(pauses.iter().map(|reason| format!("{reason:?}")));
        }
    }
    for reason in ["TooFewUpdates", "TooFewInputs", "NoAgreement", "NoCommonStart", "NotHeld"] {
        assert!(met.contains(reason), "{reason} was not met: {met:?}");
    }
}

#[test]
fn the_same_with_finality_stalled_as_long() {
    let whole = run(left_alone(7, Vec::new(), None)).shell.study.ended_at.expect("it has ended");
    for from in 51..whole {
        let off = vec![(0b0101, from, SIX_MINUTES)];
        let pauses = reasons(&run(left_alone(7, off, Some((from, SIX_MINUTES)))));
        assert!(pauses.len() <= 1, "off from block {from}: {pauses:?}");
    }
}

#[test]
fn all_four_that_were_off_for_six_minutes_go_on_by_themselves() {
    let whole = run(left_alone(5, Vec::new(), None)).shell.study.ended_at.expect("it has ended");
    for from in 51..whole {
        reasons(&run(left_alone(5, vec![(0b1111, from, SIX_MINUTES)], None)));
    }
}

#[test]
fn a_second_outage_within_the_hour_is_waited_for_until_the_hour_is_over() {
    let whole = run(left_alone(1, Vec::new(), None)).shell.study.ended_at.expect("it has ended");
    for from in (51..whole).step_by(7) {
        let first = (0b0110, from, SIX_MINUTES);
        let second = (0b0011, from + SIX_MINUTES + 60, SIX_MINUTES);
        let outcome = run(left_alone(1, vec![first, second], None));
        let pauses = reasons(&outcome);
        let taken_up = outcome.shell.log.iter().filter(|effect| **effect == Effect::EnoughPresent).count();
        assert_eq!(pauses.len(), taken_up, "{pauses:?}");
        if pauses.len() > 1 {
            // that it was an hour is asserted of every step
            assert!(outcome.shell.study.taken_up.is_some_and(|at| at >= from + TAKE_UP_BLOCKS));
        }
    }
}
