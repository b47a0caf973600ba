//! A trainer that is asked to end: it is known whether it did, whatever else the machine is busy with.

use super::*;
use consilium_ml_worker::{
    data::Rows,
    external::{ExternalError, RoundRows},
};
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// Forty made-up rows.
fn made_up() -> Rows {
    let labels: Vec<u32> = (0..40).map(|row| row % 2).collect();
    Rows::kept(30, 1, labels.iter().flat_map(|label| [*label as f32; 30]).collect(), labels.clone())
}

#[test]
fn it_is_known_whether_a_trainer_ended_when_it_was_asked_or_had_to_be_killed() {
    let (rows, none) = (made_up(), Rows::new(30, 1));
    let rows = RoundRows { name: "made-up", training: &rows, validation: &none };
    // one deaf to SIGTERM, and one that any signal ends in the middle of its steps
    for (settings, stubborn) in [("misdeed = \"sleep\"", true), ("steps = 10000000", false)] {
        let scratch = tempfile::tempdir().unwrap();
        let own = at_a_desk(scratch.path(), &study(settings, false));
        let begun = scratch.path().join(if stubborn { "trainer/state/asleep" } else { "trainer/state/rounds" });
        let halt = |_: f64| begun.exists();
        let began = Instant::now();
        let done = own.train(&rows, &[0.0; 31], (&[7; 32], 1), &halt);
        assert!(matches!(done, Err(ExternalError::Halted)), "{settings}: {done:?}");
        assert_eq!(own.stubborn(), stubborn, "{settings}");
        assert!(!stubborn || began.elapsed() >= Duration::from_secs(5), "it was given its time");
    }
}

#[test]
fn one_that_is_to_be_killed_is_not_asked_before() {
    let (rows, none) = (made_up(), Rows::new(30, 1));
    let rows = RoundRows { name: "made-up", training: &rows, validation: &none };
    let scratch = tempfile::tempdir().unwrap();
    // asked, it would not listen for five seconds
    let own = at_a_desk(scratch.path(), &study("misdeed = \"sleep\"", false));
    let (asleep, told) = (scratch.path().join("trainer/state/asleep"), Cell::new(None));
    let halt = |_: f64| {
        if asleep.exists() {
            told.set(told.get().or_else(|| Some(Instant::now())));
        }
        told.get().is_some()
    };
    own.abruptly(true);
    let done = own.train(&rows, &[0.0; 31], (&[7; 32], 1), &halt);
    assert!(matches!(done, Err(ExternalError::Halted)), "{done:?}");
    let took = told.get().unwrap().elapsed();
    assert!(!own.stubborn() && took < Duration::from_secs(4), "{took:?}");
}
