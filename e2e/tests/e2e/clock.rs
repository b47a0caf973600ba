//! A machine whose clock is wrong, set while its node runs and wrong when it starts: ten seconds and an hour, in both directions.

use super::house::{all_up, demo_data, founders, study, study_file, Clock, House};
use consilium_e2e::hosts::Hosts;
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Within this a wrong clock is named, and within that a node is back in step whose clock is right again.
const NAMED: Duration = Duration::from_secs(30);
const BACK: Duration = Duration::from_secs(120);
/// How long the clock stays wrong.
const WRONG: Duration = Duration::from_secs(10);
/// How far a node's best block may be behind another's that is in step.
const IN_STEP: u64 = 5;

/// What a node logs when it makes a block, names a wrong clock, refuses a block for its time, or shuts another node out.
const MADE: &str = "Pre-sealed block";
const WORDS: &str = "set it (timedatectl)";
/// And how that begins.
const OFF: &str = "this machine's clock is ";
const REFUSED: &str = "too far in the future";
const BANNED: &str = "Banned, disconnecting";

fn best(house: &House) -> u64 {
    house.until("it answers", || house.chain()?["best"].as_u64())
}

/// How often something is in its node's log.
fn count(house: &House, what: &str) -> usize {
    house.node_log().matches(what).count()
}

/// Waits until something is so; gives how long that took.
#[track_caller]
fn within(limit: Duration, what: &str, house: &House, is: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}\n{}", house.logs());
        sleep(Duration::from_millis(200));
    }
    began.elapsed()
}

/// What is so while one machine's clock is wrong: it is named, by its size; its node follows the others, and makes no block; they
/// lack its blocks, and nothing else; the study goes on. `named` and `made`: how often a wrong clock was named in its log before, and
/// how many blocks it had made; `since`: when it became wrong.
fn bear(lake: &House, others: [&House; 3], (named, made, since): (usize, usize, Instant), sizes: [&str; 3]) {
    let said = || lake.node_log().lines().filter(|line| line.contains(WORDS)).nth(named).map(str::to_owned);
    within(NAMED, "the wrong clock is named", lake, || said().is_some());
    let took = since.elapsed();
    let words = said().unwrap();
    // the first to answer may be two of the three
    let of = ["2", "3"].map(|count| format!("{count} other institutions'"));
    let right = |size: &&str| of.iter().any(|of| words.contains(&format!("{OFF}{size} {of}")));
    assert!(sizes.iter().any(right), "{words}");
    println!("         after {:.1} s: {}", took.as_secs_f64(), &words[words.find(OFF).unwrap()..]);
    // the doctor and the figures say so, too, once a node that has just begun answers
    best(lake);
    let doctor = String::from_utf8(lake.run(&["doctor", "--dir", lake.dir()]).stdout).unwrap();
    let line = doctor.lines().find(|line| line.starts_with("MEND  clock")).unwrap_or_else(|| panic!("{doctor}"));
    assert!(line.contains(WORDS), "{line}");
    let figure = lake.figure("consilium_clock_offset_seconds").unwrap();
    assert!((9.0..3_700.0).contains(&figure.abs()), "{figure}");

    let [mary, ..] = others;
    let rounds = || mary.shown("0")["round"].as_u64().unwrap();
    let (blocks, round, began) = (best(mary), rounds(), Instant::now());
    sleep(WRONG);
    let (end, passed) = (best(mary), began.elapsed());
    assert_eq!(count(lake, MADE), made, "a node whose clock is wrong makes a block");
    assert!(best(lake) + IN_STEP >= end, "{} is not in step\n{}", lake.name, lake.logs());
    println!("         {} blocks in {:.0} s without it, and it follows", end - blocks, passed.as_secs_f64());
    within(BACK, "rounds go on", mary, || rounds() > round);
    for house in others {
        assert_eq!(house.chain().unwrap()["peers"], 3, "{}", house.logs());
    }
    let finalised = mary.chain().unwrap()["finalised"].as_u64().unwrap();
    assert!(finalised > blocks, "nothing became final: {finalised}");
}

/// Sets the clock right, and waits until its node makes blocks again, in step with the others.
fn mend(lake: &House, mary: &House) -> Duration {
    let made = count(lake, MADE);
    lake.set_clock("+0");
    within(BACK, "it makes blocks again", lake, || {
        // one may be of the moment before its clock was wrong
        count(lake, MADE) > made + 1 && best(lake) + IN_STEP >= best(mary)
    })
}

#[test]
fn a_wrong_clock_is_named_stops_nobody_and_costs_no_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let hosts = Hosts::new(4).unwrap();
    let mut clock = Clock(Instant::now());
    let founders = founders(&hosts, at, 4, &["--private-addresses", "--test", "--motion-life", "10m"]);
    let [mary, john, hill, lake] = &founders[..] else { panic!("four") };
    lake.set_clock("+0");
    all_up(&founders);
    let tables = demo_data(&hosts, at);
    let members: Vec<_> = founders.iter().zip(tables).collect();
    study(mary, &members, &study_file(at, 1_000, 1), "0");
    mary.until("a round", || (mary.study("0")?["round"].as_u64()? >= 1).then_some(()));
    clock.step("four founders run, and a study");
    assert_eq!(count(lake, WORDS), 0, "a right clock is called wrong\n{}", lake.logs());
    assert!(count(lake, MADE) > 0);

    let others = [mary, john, hill];
    let seconds = |side: &str| ["9.9", "10.0", "10.1"].map(|seconds| format!("{seconds} s {side}"));
    let hour = |side: &str| ["59 min 59", "60 min 0", "60 min 1"].map(|minutes| format!("{minutes} s {side}"));
    for (off, sizes) in
        [("-10s", seconds("behind")), ("+10s", seconds("ahead of")), ("-1h", hour("behind")), ("+1h", hour("ahead of"))]
    {
        let sizes = sizes.each_ref().map(String::as_str);
        let (said, since) = (count(lake, WORDS), Instant::now());
        lake.set_clock(off);
        // its programs know it a second later, and a block may be under way
        sleep(Duration::from_millis(2_500));
        bear(lake, others, (said, count(lake, MADE), since), sizes);
        clock.step(&format!("the clock of one is {off}"));
        let took = mend(lake, mary);
        clock.step(&format!("it was set right, and its node made blocks in step {:.1} s later", took.as_secs_f64()));

        // a machine that starts with it
        lake.lose();
        lake.set_clock(off);
        let before = (count(lake, WORDS), count(lake, MADE), Instant::now());
        lake.up();
        bear(lake, others, before, sizes);
        clock.step(&format!("it was started anew with a clock of {off}"));
        let took = mend(lake, mary);
        clock.step(&format!("it was set right, and its node made blocks in step {:.1} s later", took.as_secs_f64()));
    }
    for house in &founders {
        for fault in [REFUSED, BANNED] {
            assert_eq!(count(house, fault), 0, "{}: {fault}\n{}", house.name, house.logs());
        }
    }
}
