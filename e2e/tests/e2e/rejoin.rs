//! Machines that come back with less than they had, a node that keeps little, and nodes that come late, all while one study runs.

use super::house::{all_up, demo_data, founders, motion, same_model, study, study_file, text, Clock, House};
use consilium_e2e::{hosts::Hosts, workspace};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// States that the pruned node keeps: the fewest that it may.
const STATES: &str = "32";

/// Rounds of the study: while a site is away, five of six do not wait for it.
const ROUNDS: u32 = 40;

/// What lies in an institution's folder, as the documentation lists it: what its backup holds, and what it does not.
fn backup_list() -> (BTreeSet<String>, BTreeSet<String>) {
    let text = fs::read_to_string(workspace().join("docs/running.md")).unwrap();
    let section = text.split("## What to keep").nth(1).unwrap();
    let (mut kept, mut not) = (BTreeSet::new(), BTreeSet::new());
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names = cells[1].split('`').skip(1).step_by(2).map(|name| name.trim_end_matches('/').to_owned());
        // a paper is not put back, and models are fetched
        let list = if cells[2].contains("backup") || cells[2].contains("daily") { &mut kept } else { &mut not };
        list.extend(names);
    }
    assert!(kept.contains("keystore") && kept.contains("worker") && not.contains("node"), "{kept:?} {not:?}");
    (kept, not)
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").args(["-a", text(from), text(to)]).status().unwrap();
    assert!(done.success(), "{}", from.display());
}

/// The number of the study's current round.
fn round(house: &House) -> u64 {
    house.until("the study", || house.study("0")?["round"].as_u64())
}

/// Waits until a site's update is in a round that began after this one; gives that round.
#[track_caller]
fn takes_part(site: &House, seen_by: &House, after: u64) -> u64 {
    let in_round = |round: &Value| {
        let number = round["round"].as_u64().filter(|number| *number > after)?;
        round["inputs"].as_array()?.iter().any(|input| input["site"] == site.name).then_some(number)
    };
    site.until("it takes part again", || seen_by.study("0")?["rounds"].as_array()?.iter().find_map(in_round))
}

/// The newest final block that each node knows: its number and hash. All are asked at the same time: blocks become final twice a
/// second, and an answer takes longer than that on a slow machine.
fn lasts(houses: &[&House], blobs: &Path) -> BTreeSet<Option<(u64, String)>> {
    let ask = |house: &&House| house.begin(&["audit", "0", "--blobs", text(blobs), "--format", "json"]);
    let asked: Vec<_> = houses.iter().map(ask).collect();
    let told = asked.into_iter().map(|asked| {
        let report: Value = serde_json::from_slice(&asked.wait_with_output().unwrap().stdout).ok()?;
        let rests_on = &report["rests_on"];
        Some((rests_on["number"].as_u64()?, rests_on["block"].as_str()?.to_owned()))
    });
    told.collect()
}

#[test]
fn sites_come_back_from_their_backup_and_nodes_keep_little_or_come_late() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let hosts = Hosts::new(6).unwrap();
    let mut clock = Clock(Instant::now());
    let founders = founders(&hosts, at, 4, &["--private-addresses", "--test", "--motion-life", "10m"]);
    let [mary, john, hill, lake] = &founders[..] else { panic!("four") };
    // one of them keeps the states of the last blocks alone
    john.set("pruning", STATES);
    all_up(&founders);
    clock.step("four founders run, one of them with pruned states");

    // two newcomers are admitted, and start later
    let chain = mary.dir.join("chain.json");
    let newcomers: Vec<House> = (5..=6).map(|n| House::init(&hosts, at, n, &["--join", text(&chain)])).collect();
    for newcomer in &newcomers {
        fs::copy(&chain, newcomer.dir.join("chain.json")).unwrap();
        let card = newcomer.dir.join("card.json");
        let admission = motion(&mary.done(&["propose", "admit", text(&card), "--dir", mary.dir()]));
        let decided = |voter: &&House| voter.aye(&admission).contains("is an institution");
        assert!([john, hill, lake].iter().any(decided), "{} is not admitted", newcomer.name);
    }
    let [by_warp, in_full] = &newcomers[..] else { panic!("two") };
    clock.step("two newcomers are admitted");

    let tables = demo_data(&hosts, at);
    let members: Vec<_> = founders.iter().zip(tables).collect();
    study(mary, &members, &study_file(at, ROUNDS, 1), "0");
    clock.step("the study has started");
    mary.until("a round", || (round(mary) >= 1).then_some(()));

    // a machine's disk is lost; on a new one is what the backup of some rounds ago holds, and the data
    let (kept, not) = backup_list();
    let backup = at.join("backup");
    DirBuilder::new().mode(0o700).create(&backup).unwrap();
    kept.iter().for_each(|name| copy(&lake.dir.join(name), &backup.join(name)));
    let saved = round(mary);
    mary.until("a round after the backup", || (round(mary) > saved).then_some(()));
    lake.lose();
    for entry in fs::read_dir(&lake.dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            kept.contains(&name) || not.contains(&name),
            "{name} is not in the list of what to keep, nor of what not"
        );
    }
    fs::remove_dir_all(&lake.dir).unwrap();
    clock.step("one machine is lost, some rounds after its backup");
    copy(&backup, &lake.dir);
    lake.up();
    lake.until("it is in step", || lake.chain().filter(|chain| chain["in_step"] == true));
    clock.step("from the backup it is in step");
    let again = takes_part(lake, mary, round(mary));
    clock.step(&format!("it takes part again, in round {again}"));

    // a node's database is gone
    hill.lose();
    fs::remove_dir_all(hill.dir.join("node")).unwrap();
    hill.up();
    hill.until("it is in step", || hill.chain().filter(|chain| chain["in_step"] == true));
    clock.step("another, that had lost its database alone, is in step");
    let again = takes_part(hill, mary, round(mary));
    clock.step(&format!("it takes part again, in round {again}"));

    // newcomers: one by warp, which keeps states as they come only, one in full
    by_warp.set("sync", "warp");
    let refused = by_warp.refused(&["up", "--dir", by_warp.dir()]);
    assert!(refused.contains("pruning") && refused.contains("warp"), "{refused}");
    by_warp.set("pruning", "256");
    newcomers.iter().for_each(House::up);
    for newcomer in &newcomers {
        newcomer.until("it is in step", || newcomer.chain().filter(|chain| chain["in_step"] == true));
        clock.step(&format!("{} is in step", newcomer.name));
    }
    for newcomer in &newcomers {
        let stands = || (mary.institution(newcomer.name)?["makes_blocks"] == true).then_some(());
        newcomer.until("the newcomer makes blocks", stands);
    }
    clock.step("both make blocks");

    same_model(&[mary, john, hill, lake], "0");
    clock.step("the study is completed, with one model at its four sites");

    // every node says the same, as far as its states go back
    let blobs = mary.dir.join("blobs");
    let nodes = [mary, john, lake, by_warp, in_full];
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let lasts = lasts(&nodes, &blobs);
        if lasts.len() == 1 && lasts.first().unwrap().is_some() {
            break;
        }
        let numbers: BTreeSet<_> = lasts.iter().flatten().map(|(number, _)| number).collect();
        assert_eq!(numbers.len(), lasts.iter().flatten().count(), "one block has two hashes: {lasts:?}");
        assert!(Instant::now() < end, "no final block that all have: {lasts:?}");
    }
    clock.step("all have the same final block");
    for (house, whole) in [(mary, true), (in_full, true), (lake, true), (hill, true), (john, false), (by_warp, false)] {
        let shown = house.shown("0");
        // with the statistics and the initial model
        assert_eq!(shown["rounds"].as_array().unwrap().len(), ROUNDS as usize + 2, "{}: {shown:#}", house.name);
        let audited = house.json(&["audit", "0", "--blobs", text(&blobs)]);
        assert_eq!(audited["merges"], ROUNDS + 2, "{}: {audited:#}", house.name);
        let archive = at.join(format!("{}.tar", house.name));
        let made = house.json(&["export", "0", "--blobs", text(&blobs), "--out", text(&archive)]);
        let trusted = made["block"].as_str().unwrap();
        house.done(&["audit", "--archive", text(&archive), "--trust-block", trusted]);
        // the first admission, in a block whose state is pruned by now
        match whole {
            true => assert!(house.done(&["motions", "0"]).contains("passed"), "{}", house.name),
            false => {
                let said = house.refused(&["motions", "0"]);
                assert!(said.contains("archive-canonical"), "{}: {said}", house.name);
                // the list itself comes all the same
                let list = house.done(&["motions"]);
                assert!(list.contains("No motion is open") && list.contains("archive-canonical"), "{list}");
            }
        }
    }
    clock.step("all show, audit and export the study");

    // a site cannot turn one kind of node into the other without a new database, and is told so
    john.lose();
    john.set("pruning", "archive-canonical");
    john.up();
    let told = john.until("it is refused", || {
        let status: Value =
            serde_json::from_slice(&john.run(&["up", "--status", "--dir", john.dir(), "--format", "json"]).stdout)
                .ok()?;
        let node = &status["programs"]["node"];
        (node["state"] == "refused").then(|| node["why"].as_str().unwrap_or_default().to_owned())
    });
    assert!(told.contains("pruning") && told.contains("node/"), "{told}");
    john.lose();
    // as docs/running.md says: what has left is still known afterwards
    let log = || fs::read_to_string(john.dir.join("node/courier/egress.log")).unwrap();
    let left = log();
    fs::remove_dir_all(john.dir.join("node/chains")).unwrap();
    john.up();
    john.until("it has all states", || john.run(&["motions", "0"]).status.success().then_some(()));
    assert!(!left.is_empty() && log().starts_with(&left));
    clock.step("the pruned one has begun anew as an archive");
}
