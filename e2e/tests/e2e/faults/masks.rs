//! Workers that are killed in the middle of agreeing on masks, and started again two seconds later: they say what they said before.

use super::{
    super::house::{Clock, House, Program},
    begin, four, inputs, over, until_round,
};
use consilium_e2e::hosts::Hosts;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

/// After so long, what was killed is started again.
pub(super) const AGAIN: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);
/// What a worker says when it has done each duty of a masked round.
const DONE: [&str; 5] = ["Keys: done", "Deal: done", "Mask: done", "Gather: done", "Reveal: done"];
const ROUNDS: u32 = 14;

/// The study that ships, with masks and so many rounds.
pub(super) fn study(at: &Path, rounds: u32) -> PathBuf {
    let file = super::study_file(at, rounds, 1);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("[rules]\n"), "{text}");
    fs::write(&file, text.replace("[rules]\n", "[rules]\nmasked = true\n")).unwrap();
    file
}

/// Waits until a worker has said something once more.
fn says_again(house: &House, what: &str) {
    let count = || fs::read_to_string(house.dir.join("logs/worker.log")).unwrap_or_default().matches(what).count();
    let (before, end) = (count(), Instant::now() + PATIENCE);
    while count() == before {
        assert!(Instant::now() < end, "no {what:?}\n{}", house.logs());
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_worker_that_is_killed_after_each_duty_of_a_masked_round_is_in_every_sum() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    for house in &houses {
        [Program::Worker, Program::Node].into_iter().for_each(|program| house.start(program));
    }
    for house in &houses {
        house.until("it runs", || house.chain()?["finalised"].as_u64().filter(|block| *block > 0));
    }
    begin(&houses, &tables, &study(at, ROUNDS), "0");
    until_round(&houses[0], "0", 2);
    clock.step("four run a masked study");
    for (who, done) in DONE.into_iter().enumerate() {
        let victim = &houses[who % 4];
        says_again(victim, done);
        victim.kill(Program::Worker);
        sleep(AGAIN);
        victim.start(Program::Worker);
        clock.step(&format!("the worker of {} was killed after {done:?}", victim.name));
    }
    // what it said it has said for good, and the sums are of all four
    let closed = over(&houses, "0", ROUNDS.into());
    let all: BTreeSet<&str> = houses.iter().map(|house| house.name).collect();
    for round in closed.iter().skip(1) {
        assert_eq!(inputs(round), all, "somebody was left out: {round:#}");
    }
    clock.step("the study is over");
}
