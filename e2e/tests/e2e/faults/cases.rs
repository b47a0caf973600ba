//! What other people's chains were reported to fail on, over founded hosts: a warp sync with too few peers, a clock that is wrong for a
//! minute, programs that stand still.

use super::{
    super::house::{Clock, House},
    all_up, begin, closed, four, over, round, study_file, takes_part, until_round, GRACE, NOT_WAITED, TRAINING,
};
use consilium_e2e::hosts::Hosts;
use nix::{
    sys::signal::{kill, Signal},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

/// What a node says that begins with a warp sync and has too few peers for it.
const WAITS: &str = "warp sync waits for 3 peers and has 2";
/// Within this a node is back in step whose clock is right again, and so many blocks behind the others it may be then.
const BACK: Duration = Duration::from_secs(120);
const IN_STEP: u64 = 20;

fn best(house: &House) -> u64 {
    house.until("it answers", || house.chain()?["best"].as_u64())
}

#[test]
fn an_emptied_node_that_begins_with_a_warp_sync_and_too_few_peers_says_so_and_syncs_when_there_are_more() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, _) = four(&hosts, at);
    let [mary, _, hill, lake] = &houses[..] else { panic!("four") };
    all_up(&houses);
    mary.until("some blocks", || mary.chain()?["finalised"].as_u64().filter(|block| *block > 20));
    clock.step("four run");
    lake.lose();
    hill.lose();
    fs::remove_dir_all(hill.dir.join("node")).unwrap();
    hill.set("sync", "warp");
    hill.set("pruning", "256");
    hill.up();
    hill.until("it says what it waits for", || hill.node_log().contains(WAITS).then_some(()));
    clock.step("an emptied node has two of the three peers that it needs, and says so");
    lake.up();
    hill.until("it is in step", || hill.chain().filter(|chain| chain["in_step"] == true));
    assert!(best(hill) + IN_STEP >= best(mary));
    clock.step("the third is back, and it is in step");
}

/// The processes that run for a house.
fn processes(house: &House) -> [Pid; 2] {
    let up: Value = serde_json::from_slice(&fs::read(house.dir.join("up.json")).unwrap()).unwrap();
    ["node", "worker"].map(|name| Pid::from_raw(up[name]["pid"].as_i64().unwrap().try_into().unwrap()))
}

/// Both processes of a site stand still for so long; back, it misses one round at most, and those that do not wait for it.
fn stands_still(so_long: Duration) {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    let [mary, _, hill, _] = &houses[..] else { panic!("four") };
    all_up(&houses);
    // of those without it, one waits and five do not
    let rounds = 20 + 6 * (so_long.as_secs() / (TRAINING + GRACE)) as u32;
    begin(&houses, &tables, &study_file(at, rounds, 1), "0");
    until_round(mary, "0", 2);
    clock.step("four run a study");
    processes(hill).into_iter().for_each(|process| kill(process, Signal::SIGSTOP).unwrap());
    sleep(so_long);
    let without = mary.until("its rounds", || closed(mary, "0")).len();
    processes(hill).into_iter().for_each(|process| kill(process, Signal::SIGCONT).unwrap());
    let back = Instant::now();
    let missed = takes_part(hill, mary, "0");
    assert!(missed <= 1 + NOT_WAITED, "{missed} rounds closed without it after it was back\n{}", hill.logs());
    let took = back.elapsed().as_secs_f64();
    clock.step(&format!(
        "it stood still for {so_long:?}, to round {without}; {missed} rounds later, after {took:.1} s, it takes part"
    ));
    over(&houses, "0", rounds.into());
    clock.step("the study is over");
}

#[test]
#[ignore = "six minutes: scripts/faults.sh"]
fn programs_that_stood_still_for_two_minutes_and_a_half_are_in_again_when_they_are_waited_for() {
    stands_still(Duration::from_secs(150));
}

#[test]
#[ignore = "ten minutes: scripts/faults.sh"]
fn programs_that_stood_still_for_six_minutes_are_in_again_when_they_are_waited_for() {
    stands_still(Duration::from_secs(6 * 60));
}

#[test]
#[ignore = "four minutes: scripts/faults.sh"]
fn a_clock_that_was_fifteen_seconds_slow_for_a_minute_is_back_in_step_within_two() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    let [mary, _, hill, _] = &houses[..] else { panic!("four") };
    all_up(&houses);
    begin(&houses, &tables, &study_file(at, 150, 1), "0");
    until_round(mary, "0", 4);
    clock.step("four run a study");
    hill.lose();
    hill.set_clock("-15s");
    hill.up();
    sleep(Duration::from_secs(60));
    clock.step(&format!("a clock was 15 s slow for a minute; round {}", round(mary, "0").unwrap()));
    let (log, right) = (hill.node_log().len(), Instant::now());
    hill.set_clock("+0");
    // it makes blocks again, and they are the others' too
    let makes = || hill.node_log()[log..].contains("Pre-sealed block") && best(hill) + IN_STEP >= best(mary);
    while !makes() {
        assert!(right.elapsed() < BACK, "best block here {}, there {}\n{}", best(hill), best(mary), hill.logs());
        sleep(Duration::from_millis(500));
    }
    clock.step(&format!(
        "{:.1} s after it is right, it makes blocks in step with the others",
        right.elapsed().as_secs_f64()
    ));
    takes_part(hill, mary, "0");
    clock.step("it takes part in the study");
}
