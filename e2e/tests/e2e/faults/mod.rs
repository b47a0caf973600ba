//! Faults of every kind in the middle of a study, with real processes on machines with addresses of their own. After each of them the
//! study is completed, no round is lost or counted twice, all sites have the same model, and nobody has done anything but start a
//! machine again or free its disk.
//!
//! The short forms run with the other tests. The long ones are told apart by `#[ignore]`, and `scripts/faults.sh` runs them.

mod cases;
mod disks;
mod kills;
mod lines;
mod losses;
mod machines;
mod masks;
mod silence;

use super::house::{all_up, demo_data, founders, study, study_file, text, House};
use consilium_e2e::{bin_dir, hosts::Hosts};
use serde_json::{json, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

/// How long a study may take that was disturbed, beyond what its faults cost it.
const STUDY: Duration = Duration::from_secs(480);
/// Terms of a chain that is tried out.
const TERMS: [&str; 4] = ["--private-addresses", "--test", "--motion-life", "10m"];
/// What a round's deadlines follow from in the study that ships, as `docs/rounds.md` has them: `T`, `G` and `A`, in seconds.
const TRAINING: u64 = 10;
const GRACE: u64 = 20;
const MERGING: u64 = 26;
/// So many rounds do not wait for a site of which nothing came in two.
const NOT_WAITED: usize = 5;

/// Four institutions that found a chain, and their tables. Nothing runs yet.
fn four<'a>(hosts: &'a Hosts, at: &Path) -> (Vec<House<'a>>, [PathBuf; 4]) {
    let houses = founders(hosts, at, 4, &TERMS);
    (houses, demo_data(hosts, at))
}

/// Starts a study of all of them.
fn begin(houses: &[House], tables: &[PathBuf; 4], file: &Path, number: &str) {
    let members: Vec<_> = houses.iter().zip(tables.iter().cloned()).collect();
    study(&houses[0], &members, file, number);
}

/// The study's round, as a house's node knows it.
fn round(house: &House, number: &str) -> Option<u64> {
    house.study(number)?["round"].as_u64()
}

/// Waits until a study is in this round or a later one.
#[track_caller]
fn until_round(house: &House, number: &str, least: u64) {
    house.until("rounds go on", || round(house, number).filter(|round| *round >= least));
}

/// The closed rounds of a study, without its statistics.
fn closed(house: &House, number: &str) -> Option<Vec<Value>> {
    let rounds = house.study(number)?["rounds"].as_array()?.clone();
    Some(rounds.into_iter().filter(|round| round["kind"] == "round").collect())
}

/// Whose updates are in a round.
fn inputs(round: &Value) -> BTreeSet<&str> {
    round["inputs"].as_array().unwrap().iter().map(|input| input["site"].as_str().unwrap()).collect()
}

/// Waits until a site's update is in a round that is later than all that are closed now; gives how many of those that closed
/// meanwhile are without it.
#[track_caller]
fn takes_part(site: &House, seen_by: &House, number: &str) -> usize {
    let before = seen_by.until("the study", || closed(seen_by, number)).len();
    site.until("it takes part again", || {
        let rounds = closed(seen_by, number)?;
        rounds.iter().skip(before).position(|round| inputs(round).contains(site.name))
    })
}

/// Waits for a study's end and looks at everything that must hold then, whatever happened in it; gives its rounds.
#[track_caller]
fn over(houses: &[House], number: &str, rounds: u64) -> Vec<Value> {
    let end = Instant::now() + STUDY;
    let certificate = |house: &House| Some(house.study(number)?["certificate"]["root"].as_str()?.to_owned());
    let root = loop {
        if let Some(root) = certificate(&houses[0]) {
            break root;
        }
        let phase = houses[0].study(number).map(|study| study["phase"].to_string()).unwrap_or_default();
        assert!(Instant::now() < end, "study {number} is still {phase}\n{}", logs(houses));
        sleep(Duration::from_millis(500));
    };
    for house in houses {
        assert_eq!(house.until("the certificate", || certificate(house)), root, "{}", house.name);
        let file = house.seen("blobs").join(&root);
        let model = house.until("the model", || fs::read(&file).ok());
        assert_eq!(blake3::hash(&model).to_hex().to_string(), root, "{}", house.name);
        says_one_thing(house, number);
        // what was spoilt of a site's old blobs and is needed no more, its audit would name
        let output = house.run(&["audit", number, "--blobs", text(&houses[0].dir.join("blobs")), "--format", "json"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", house.name);
        let audited: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(audited["merges"], rounds + 2, "{}: {audited:#}", house.name);
    }
    let closed = houses[0].until("its rounds", || closed(&houses[0], number));
    let numbers: Vec<u64> = closed.iter().map(|round| round["round"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..=rounds).collect::<Vec<_>>(), "each round is closed once");
    for pair in closed.windows(2) {
        assert_eq!(pair[1]["base"], pair[0]["root"], "each round stands on the one before: {:#}", pair[1]);
    }
    for round in &closed {
        assert_eq!(round["dissenters"], json!([]), "{round:#}");
    }
    for folder in houses.iter().flat_map(|house| notes(house, number)) {
        let dissents = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name());
        assert_eq!(
            dissents.filter(|name| name.to_string_lossy().starts_with("dissent")).count(),
            0,
            "{}",
            folder.display()
        );
    }
    closed
}

/// All sites are in each of these rounds, and the rounds gave what they give where nothing happens.
#[track_caller]
fn undisturbed(houses: &[House], tables: &[PathBuf; 4], at: &Path, number: &str, rounds: &[Value]) {
    let all: BTreeSet<&str> = houses.iter().map(|house| house.name).collect();
    for round in rounds.iter().skip(1) {
        assert_eq!(inputs(round), all, "somebody was left out: {round:#}\n{}", logs(houses));
    }
    let roots: Vec<&str> = rounds.iter().map(|round| round["root"].as_str().unwrap()).collect();
    assert_eq!(roots, plain_loop(houses, tables, at, number), "the same study, undisturbed, has other models");
}

/// Hashes of the models of every round, the initial one too, where nothing happens: the same study as a plain loop in one process.
fn plain_loop(houses: &[House], tables: &[PathBuf; 4], at: &Path, number: &str) -> Vec<String> {
    let shown = houses[0].shown(number);
    let (rules, sites) = (at.join("rules.json"), at.join("sites.json"));
    let mut agreed = shown["rules"].clone();
    agreed["invited"] = json!([]);
    fs::write(&rules, agreed.to_string()).unwrap();
    let site = |(house, table): (&House, &PathBuf)| {
        let member = shown["members"].as_array().unwrap().iter().find(|member| member["name"] == house.name).unwrap();
        json!({
            "name": house.name, "id": member["id"], "samples": member["samples"], "train": table, "test": null,
            "secret": house.seen("worker/secret"),
        })
    };
    let list: Vec<Value> = houses.iter().zip(tables).map(site).collect();
    fs::write(&sites, json!(list).to_string()).unwrap();
    let spec = houses[0].seen("worker/specs").join(shown["spec_hash"].as_str().unwrap());
    let mut command = Command::new(bin_dir().unwrap().join("ml-worker"));
    command.arg("compare").arg("--spec").arg(spec).arg("--rules").arg(rules).arg("--sites").arg(sites);
    let output = command.arg("--hashes").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let roots = made["simulated"]["rounds"].as_array().unwrap();
    roots.iter().map(|root| root.as_str().unwrap().to_owned()).collect()
}

/// A house's node has never said two things of one duty of a study, in all that it has sent.
fn says_one_thing(house: &House, number: &str) {
    let (log, mut said) = (house.node_log(), BTreeMap::new());
    for line in log.lines().filter(|line| line.contains(": answered ")) {
        let Some((duty, body)) =
            line.split_once(&format!("study {number} ")).and_then(|(_, it)| it.split_once(": answered "))
        else {
            continue;
        };
        // a merge is of other updates in another attempt; what is missing, and who is there, changes
        if !body.starts_with("Update") {
            continue;
        }
        let before = said.entry(duty.to_owned()).or_insert_with(|| body.trim().to_owned());
        // what is masked is masked anew for other partners, and in the last round there are the model and the figures
        assert!(duty.ends_with("Mask") || before == body.trim(), "{} has said two things of {duty}", house.name);
    }
    assert!(!said.is_empty(), "{} has never said anything\n{}", house.name, house.logs());
}

/// The folders that a site's worker keeps for a study.
fn notes(house: &House, number: &str) -> Vec<PathBuf> {
    let studies = fs::read_dir(house.seen("worker/studies")).into_iter().flatten().flatten();
    studies.map(|entry| entry.path().join(format!("study-{number}"))).filter(|path| path.is_dir()).collect()
}

fn logs(houses: &[House]) -> String {
    houses.iter().map(House::logs).collect::<Vec<_>>().join("\n")
}
