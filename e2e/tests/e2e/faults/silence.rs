//! A site whose node is off: two rounds wait for it, the next five do not; back, it is in again.

use super::{
    super::house::{Clock, House, Program},
    begin, closed, four, inputs, lines, over, takes_part, until_round, GRACE, NOT_WAITED,
};
use consilium_e2e::hosts::Hosts;
use serde_json::Value;
use std::time::Instant;

/// Blocks in a second.
const BLOCKS: u64 = 2;
/// Rounds of the study: more than close before the site is back.
const ROUNDS: u32 = 60;
/// Rounds that close without the site before its node is started again: two that wait, those that do not, and one that waits again.
const WITHOUT: usize = 2 + NOT_WAITED + 1;

/// Rounds that a site has sent nothing for, each with the blocks from its opening to its freeze.
fn without(rounds: &[Value], site: &House) -> Vec<(u64, u64)> {
    // killed before the others had its update, it has sent one all the same
    let dropped = |round: &Value| round["dropped"].as_array().unwrap().iter().any(|it| it["site"] == site.name);
    let lacks =
        |round: &&Value| round["round"].as_u64() > Some(0) && !inputs(round).contains(site.name) && !dropped(round);
    let number = |round: &Value, key: &str| round[key].as_u64().unwrap();
    let froze = |round: &Value| number(round, "frozen_at") - number(round, "opened_at");
    rounds.iter().filter(lacks).map(|round| (number(round, "round"), froze(round))).collect()
}

#[test]
fn a_site_whose_node_is_off_costs_two_graces_and_is_in_again_when_it_is_back() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    let [mary, .., lake] = &houses[..] else { panic!("four") };
    for house in &houses {
        [Program::Worker, Program::Node].into_iter().for_each(|program| house.start(program));
    }
    for house in &houses {
        house.until("it runs", || house.chain()?["finalised"].as_u64().filter(|block| *block > 0));
    }
    begin(&houses, &tables, &lines::quick_study(at, ROUNDS, 1), "0");
    until_round(mary, "0", 2);
    clock.step("four run a study");

    lake.kill(Program::Node);
    let gone = || closed(mary, "0").map(|rounds| without(&rounds, lake));
    let two = mary.until("two rounds without it", || gone().filter(|it| it.len() >= 2));
    let (first, second) = (two[0].0, two[1].0);
    clock.step(&format!("its node is off, and rounds {first} and {second} have waited for it"));
    // the chain, the command line and the others' nodes say so
    let back = second + NOT_WAITED as u64 + 1;
    let words = format!(
        "is not waited for until round {back}, since nothing came from it in rounds {first} and {second}; what it sends in time counts"
    );
    let log = format!("\"{}\" {words}", lake.name);
    mary.until("its log says so", || mary.node_log().contains(&log).then_some(()));
    mary.until("rounds go on, and wait again", || gone().filter(|it| it.len() >= WITHOUT));
    let late = mary.done(&["late", "0", "--dir", mary.dir()]);
    assert!(late.contains(&format!("is not waited for until round {back}")), "{late}");
    clock.step(&format!("{WITHOUT} rounds have closed without it"));

    lake.start(Program::Node);
    let (again, missed) = (Instant::now(), takes_part(lake, mary, "0"));
    clock.step(&format!(
        "its node runs again; {missed} rounds later, after {:.1} s, it takes part",
        again.elapsed().as_secs_f64()
    ));
    let rounds = over(&houses, "0", ROUNDS.into());
    let gone = without(&rounds, lake);
    println!("         rounds without it, and blocks to their freeze: {gone:?}");
    let numbers: Vec<u64> = gone.iter().map(|(round, _)| *round).collect();
    assert_eq!(numbers, (first..first + gone.len() as u64).collect::<Vec<_>>(), "one absence, and none after it");
    for (place, (round, blocks)) in gone.iter().enumerate() {
        // two rounds wait, then each sixth one, as long as it is off
        let waits = place < 2 || (place - 2) % (NOT_WAITED + 1) == NOT_WAITED;
        assert_eq!(*blocks >= GRACE * BLOCKS, waits, "round {round} froze after {blocks} blocks: {gone:?}");
    }
    assert!(inputs(rounds.last().unwrap()).contains(lake.name), "{:#}", rounds[rounds.len() - 1]);
    clock.step("the study is over, and all sites were in its last round");
}
