//! Sites that are lost in masked rounds: of seven two in each round, at every step that there is; and of four one more than a sum can
//! miss, when its shares are asked for.

use super::{
    super::{
        house::{Clock, House, Program},
        masked::{is_their_mean, Trained},
    },
    begin, demo_data, founders, four, inputs, logs,
    masks::{self, AGAIN},
    over, study, until_round, TERMS,
};
use consilium_e2e::hosts::Hosts;
use serde_json::{json, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

/// Each of seven but the first is lost in one round, in which another one is, too: before its keys, after them, after its deal, after
/// its update, with an update that nobody gets, and when shares are asked for.
const LOST: &str =
    "st-john=gone-before-keys@1,hill=gone-after-update@1,lakeside=gone-after-keys@2,newcomer=gone-after-deal@2,\
                    latecomer=gone-after-gathering@3,riverside=withhold@3";
/// One round more, with all of them.
const ROUNDS: u32 = 4;
/// Of four sites three must give shares.
const ONE_TOO_MANY: &str = "hill=gone-after-gathering@3,lakeside=gone-after-gathering@3";
/// How long the study of seven may take: each step at which somebody is waited for is 20 seconds and more of it, and 14 programs share
/// two processors.
const PATIENCE: Duration = Duration::from_secs(900);
/// Between two looks at what workers have trained: each is replaced by that of the next round, which is seconds away.
const BETWEEN: Duration = Duration::from_millis(200);
/// So many looks at disks for each question to a node, which is a process of its own.
const LOOKS: u32 = 10;

/// Who holds a round's model, by its hash.
type Held = BTreeMap<String, BTreeSet<&'static str>>;

fn names(houses: &[House]) -> Vec<&'static str> {
    houses.iter().map(|house| house.name).collect()
}

/// The tables of four hospitals as those of seven: the rows of the largest are shared out over three, those of the next over two.
fn seven(tables: &[PathBuf; 4], at: &Path) -> Vec<PathBuf> {
    let mut shared = Vec::new();
    for (table, parts) in tables.iter().zip([3, 2, 1, 1]) {
        let text = fs::read_to_string(table).unwrap();
        let (head, rows) = text.split_once('\n').unwrap();
        for part in 0..parts {
            let rows: Vec<&str> = rows.lines().skip(part).step_by(parts).collect();
            let file = at.join(format!("table-{}.csv", shared.len()));
            fs::write(&file, format!("{head}\n{}\n", rows.join("\n"))).unwrap();
            shared.push(file);
        }
    }
    shared
}

/// Starts all of them, with these liars among their workers, and waits until a block is final for each.
fn start(houses: &[House], liars: &str) {
    for house in houses {
        house.start_lying(liars);
        house.start(Program::Node);
    }
    for house in houses {
        house.until("it runs", || house.chain()?["finalised"].as_u64().filter(|block| *block > 0));
    }
}

/// Follows a study to its certificate, takes what is trained meanwhile, and notes who has which round's model.
fn follow(houses: &[House], at: &Path, trained: &Trained) -> Held {
    let (sites, end) = (names(houses), Instant::now() + PATIENCE);
    let mut held = Held::new();
    loop {
        for _ in 0..LOOKS {
            trained.look(at, &sites);
            sleep(BETWEEN);
        }
        // on a machine that is busy a question may go unanswered
        let study = houses[0].study("0").unwrap_or_default();
        for round in study["rounds"].as_array().into_iter().flatten() {
            let root = round["root"].as_str().unwrap();
            let holders = houses.iter().filter(|house| house.seen("blobs").join(root).is_file());
            held.entry(root.to_owned()).or_default().extend(holders.map(|house| house.name));
        }
        if study["certificate"]["root"].is_string() {
            return held;
        }
        assert!(Instant::now() < end, "study 0 is still {}\n{}", study["phase"], logs(houses));
    }
}

#[test]
fn of_seven_two_are_lost_in_a_round_at_every_step_and_its_sum_is_exactly_that_of_the_others() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(7).unwrap());
    let mut clock = Clock(Instant::now());
    let houses = founders(&hosts, at, 7, &TERMS);
    let tables = seven(&demo_data(&hosts, at), at);
    assert_eq!(tables.len(), houses.len());
    start(&houses, LOST);
    let members: Vec<_> = houses.iter().zip(tables).collect();
    study(&houses[0], &members, &masks::study(at, ROUNDS), "0");
    clock.step("seven run a masked study");

    let trained = Trained::default();
    let held = follow(&houses, at, &trained);
    let closed = over(&houses, "0", ROUNDS.into());
    clock.step("the study is over");
    let (sites, all) = (names(&houses), BTreeSet::from_iter(names(&houses)));
    // by round: who dealt nothing after its keys, whose update is not in the sum though it dealt, and who else is not in it
    for (number, undealt, missing, before) in [
        (1, None, None, Some("st-john")),
        (2, Some("lakeside"), Some("newcomer"), None),
        (3, None, Some("riverside"), None),
        (4, None, None, None),
    ] {
        let record = &closed[number];
        let gone: BTreeSet<&str> = [undealt, missing, before].into_iter().flatten().collect();
        let left: BTreeSet<&str> = &all - &gone;
        assert_eq!(inputs(record), left, "{record:#}\n{}", logs(&houses));
        let list = |site: Option<&str>| json!(site.into_iter().collect::<Vec<_>>());
        let masked = &record["masked"];
        assert_eq!((&masked["without_shares"], &masked["missing"]), (&list(undealt), &list(missing)), "{record:#}");
        assert_eq!(masked["void"], Value::Null, "{record:#}");
        is_their_mean(at, &sites, record, &trained);
        // the last one's is held where it is the certified one, which was looked at
        if number < ROUNDS as usize {
            let holders = &held[record["root"].as_str().unwrap()];
            assert!(holders.is_superset(&left), "round {number}: {holders:?}");
        }
    }
    // who was lost after its update was in the sum had no part in opening it
    for (number, gone) in [(1, "hill"), (3, "latecomer")] {
        let attesters = closed[number]["attesters"].as_array().unwrap();
        assert!(!attesters.iter().any(|site| site == gone), "{:#}", closed[number]);
    }
    assert_eq!(closed[3]["dropped"], json!([{ "site": "riverside", "reason": "Withheld" }]));
}

#[test]
fn where_one_more_is_lost_than_a_sum_can_miss_the_study_waits_and_opens_that_same_sum_when_they_are_back() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, hosts) = (scratch.path(), Hosts::new(4).unwrap());
    let mut clock = Clock(Instant::now());
    let (houses, tables) = four(&hosts, at);
    let [mary, _, hill, lake] = &houses[..] else { panic!("four") };
    start(&houses, ONE_TOO_MANY);
    begin(&houses, &tables, &masks::study(at, 5), "0");
    until_round(mary, "0", 3);
    clock.step("four run a masked study");

    let paused = mary.until("the study pauses", || {
        let study = mary.study("0")?;
        // those that are there are asked, and are too few by themselves
        let two = study["phase"].as_str()?.contains("(2 of 4 have said that they are there)");
        two.then_some(study)
    });
    assert_eq!((&paused["standstill"]["reason"], &paused["round"]), (&json!("NotRevealed"), &json!(3)), "{paused:#}");
    let trained = Trained::default();
    trained.look(at, &names(&houses));
    let block = mary.until("a block", || mary.chain()?["best"].as_u64());
    clock.step("two of four are lost when shares are asked for, and the study is paused");

    for house in [hill, lake] {
        house.kill(Program::Worker);
    }
    sleep(AGAIN);
    for house in [hill, lake] {
        house.start(Program::Worker);
    }
    let closed = over(&houses, "0", 5);
    clock.step("they are back, and the study is over");
    let (sites, third) = (names(&houses), &closed[3]);
    assert_eq!(inputs(third), BTreeSet::from_iter(sites.iter().copied()), "{third:#}");
    // the set is the one that was fixed before the pause, and what came of it is the mean of what its sites had trained by then
    assert_eq!(third["masked"]["void"], Value::Null, "{third:#}");
    assert!(third["masked"]["fixed_at"].as_u64().unwrap() < block, "{third:#}");
    assert!(third["closed_at"].as_u64().unwrap() > block, "{third:#}");
    is_their_mean(at, &sites, third, &trained);
    // no other keys were agreed on for it, and no site has given shares but once
    let pairings: Vec<u64> = closed[2..5].iter().map(|it| it["masked"]["pairing"].as_u64().unwrap()).collect();
    assert_eq!(pairings, [pairings[0], pairings[0] + 1, pairings[0] + 2]);
    for house in &houses {
        let log = fs::read_to_string(house.dir.join("logs/worker.log")).unwrap();
        let given = log.matches("study 0, round 3, Reveal: done").count();
        assert!(given <= 1, "{} has given shares {given} times\n{}", house.name, house.logs());
    }
}
