//! Liars among real processes: four institutions, each lie told by one of them, and what more than one could do.

use super::{json::fits, SITES, STUDY};
use consilium_e2e::{bin_dir, free_port, Run};
use consilium_primitives::rules::FETCH_SLACK;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const MINUTES: Duration = Duration::from_secs(10 * 60);

pub fn report(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap()
}

pub fn round(report: &Value, number: u64) -> Value {
    let rounds = report["rounds"].as_array().unwrap();
    rounds.iter().find(|r| r["kind"] == "round" && r["round"] == number).unwrap().clone()
}

pub fn names(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["site"].as_str().or(entry.as_str()).unwrap()).collect()
}

/// Who is not with the attested root. Three of four equal votes close a round: another vote after them is not taken, and whose it
/// was counts as silent.
fn apart(record: &Value) -> BTreeSet<&str> {
    &names(&record["dissenters"]) | &names(&record["silent"])
}

pub fn dropped(record: &Value) -> Vec<(&str, &str)> {
    let list = record["dropped"].as_array().unwrap();
    list.iter().map(|d| (d["site"].as_str().unwrap(), d["reason"].as_str().unwrap())).collect()
}

/// A round is done within the attestation limit `A` of its last attempt, of at most two.
fn in_time(out: &Path, record: &Value) {
    let rules: Value = serde_json::from_slice(&fs::read(out.join("rules.json")).unwrap()).unwrap();
    let limit = 2 * (rules["transfer_blocks"].as_u64().unwrap() + u64::from(FETCH_SLACK));
    let attempts = record["attempts"].as_u64().unwrap();
    assert!(attempts <= 2, "{record:#}");
    let blocks = record["closed_at"].as_u64().unwrap() - record["frozen_at"].as_u64().unwrap();
    assert!(blocks <= limit, "{blocks} blocks, at most {limit}: {record:#}");
}

/// These sites have the bytes of the certified model.
pub fn same_model(out: &Path, report: &Value, sites: &[&str]) {
    let root = report["final_root"].as_str().unwrap();
    let certified = fs::read(out.join("model.safetensors")).unwrap();
    assert_eq!(blake3::hash(&certified).to_hex().as_str(), root);
    for site in sites {
        assert!(fs::read(out.join(site).join("blobs").join(root)).unwrap() == certified, "{site}");
    }
}

/// No site has stopped.
pub fn nobody_dissents(out: &Path) {
    for folder in SITES.iter().filter_map(|site| notes(out, site)) {
        let entries = fs::read_dir(&folder).unwrap().flatten();
        let names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        assert!(names.iter().all(|name| !name.starts_with("dissent")), "{}: {names:?}", folder.display());
    }
}

#[test]
fn each_lie_is_named_and_the_round_closes_without_the_liar() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let arguments = ["localnet", "run", "--study", STUDY, "--out", out.to_str().unwrap(), "--rounds", "4"];
    let liars = "hospital-d=wrong-hash@1,hospital-a=withhold@2,hospital-b=not-a-number@3,hospital-c=architecture@4";
    let outcome = Run::with_liars(scratch.path(), &arguments, liars).unwrap().finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
    let report = report(&out);
    same_model(&out, &report, &SITES);
    nobody_dissents(&out);

    let first = round(&report, 1);
    in_time(&out, &first);
    assert_eq!((apart(&first), dropped(&first)), (BTreeSet::from(["hospital-d"]), vec![]), "{first:#}");
    assert_eq!((first["inputs"].as_array().unwrap().len(), first["attesters"].as_array().unwrap().len()), (4, 3));
    let lies = [
        (2, "hospital-a", "Withheld", BTreeSet::from(["hospital-b", "hospital-c", "hospital-d"])),
        (3, "hospital-b", "Invalid", BTreeSet::from(["hospital-a", "hospital-c", "hospital-d"])),
        (4, "hospital-c", "Invalid", BTreeSet::from(["hospital-a", "hospital-b", "hospital-d"])),
    ];
    for (number, liar, reason, honest) in lies {
        let record = round(&report, number);
        in_time(&out, &record);
        assert_eq!(dropped(&record), [(liar, reason)], "{record:#}");
        assert_eq!((names(&record["inputs"]), names(&record["attesters"])), (honest.clone(), honest), "{record:#}");
        assert!(record["dissenters"].as_array().unwrap().is_empty(), "{record:#}");
    }
    // the honest say in their own logs what was wrong with the file, in words
    let said = |site: &str| fs::read_to_string(out.join(site).join("worker.log")).unwrap();
    assert!(
        said("hospital-a").contains("round 3: the file") && said("hospital-a").contains("NaN"),
        "{}",
        said("hospital-a")
    );
    assert!(said("hospital-a").contains("round 4: the file"), "{}", said("hospital-a"));
}

#[test]
fn who_serves_other_bytes_than_it_committed_is_dropped_and_then_left_out() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let arguments = ["localnet", "run", "--study", STUDY, "--out", out.to_str().unwrap(), "--rounds", "3"];
    let liars = "hospital-d=corrupt-chunks";
    let outcome = Run::with_liars(scratch.path(), &arguments, liars).unwrap().finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let report = report(&out);
    same_model(&out, &report, &SITES[..3]);
    // nor does the one that was dropped, and has merged what the others could not
    nobody_dissents(&out);
    // first found out with its statistics; later it is dropped again, or the others have cut it off by then
    let statistics = report["rounds"].as_array().unwrap().iter().find(|r| r["kind"] != "round").unwrap();
    in_time(&out, statistics);
    assert_eq!(dropped(statistics), [("hospital-d", "Withheld")], "{statistics:#}");
    let honest = BTreeSet::from_iter(SITES[..3].iter().copied());
    for number in [1, 2, 3] {
        let record = round(&report, number);
        in_time(&out, &record);
        assert_eq!(
            (names(&record["inputs"]), names(&record["attesters"])),
            (honest.clone(), honest.clone()),
            "{record:#}"
        );
        assert!(dropped(&record).iter().all(|(who, _)| *who == "hospital-d"), "{record:#}");
    }
    for site in &SITES[..3] {
        let log = fs::read_to_string(out.join(site).join("node.log")).unwrap();
        assert!(log.contains("wrong bytes"), "{site} does not say what it got:\n{log}");
    }
}

/// Rounds of half a second; with the two or so that wait for it, a minute and a half.
const LONG: u64 = 60;

#[test]
fn a_node_whose_requests_for_blocks_were_lost_leaves_its_own_fork_by_itself() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let rounds = LONG.to_string();
    let arguments = ["localnet", "run", "--study", STUDY, "--out", out.to_str().unwrap(), "--rounds", &rounds];
    let outcome =
        Run::with_liars(scratch.path(), &arguments, "hospital-d=lost-blocks").unwrap().finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let report = report(&out);
    same_model(&out, &report, &SITES);
    nobody_dissents(&out);
    let log = fs::read_to_string(out.join("hospital-d/node.log")).unwrap();
    assert!(log.contains("tells of blocks that never came here"), "it was never alone:\n{log}");
    let part = |number| names(&round(&report, number)["inputs"]).contains("hospital-d");
    let without = (1..=LONG).filter(|number| !part(*number)).count();
    assert!(without > 0 && part(LONG), "{without} rounds without it");
    println!("{without} of {LONG} rounds without it");
}

/// The folder that a site's worker keeps for the one study.
fn notes(out: &Path, site: &str) -> Option<PathBuf> {
    let studies = fs::read_dir(out.join(site).join("worker/studies")).ok()?;
    studies.flatten().map(|entry| entry.path().join("study-0")).find(|path| path.is_dir())
}

#[test]
fn against_more_liars_than_agreed_an_honest_site_stops_keeps_the_proof_and_goes_on_only_when_its_people_say_so() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let port = free_port().unwrap().to_string();
    let url = format!("ws://127.0.0.1:{port}");
    let arguments =
        ["localnet", "run", "--study", STUDY, "--out", out.to_str().unwrap(), "--rounds", "8", "--rpc-port", &port];
    let liars = "hospital-b=collude@2,hospital-c=collude@2,hospital-d=collude@2";
    let mut run = Run::with_liars(scratch.path(), &arguments, liars).unwrap();
    // the note is written when the site stops, and once more when the files are copied: two models and four updates
    let read = || {
        let note = fs::read(notes(&out, "hospital-a")?.join("dissent-0002.json")).ok()?;
        serde_json::from_slice::<Value>(&note)
            .ok()
            .filter(|note| note["files"].as_array().is_some_and(|f| f.len() == 6))
    };
    run.until(MINUTES, |_| read().is_some()).unwrap();
    let note = read().unwrap();
    assert_eq!(note["own"], note["again"], "it has computed the same twice: {note:#}");
    assert_ne!(note["own"], note["attested"]);
    assert_eq!(note["inputs"].as_array().unwrap().len(), 4);
    // both files are kept, with the bytes that their names say
    let files: Vec<&str> = note["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    let kept: Vec<String> =
        files.iter().map(|file| blake3::hash(&fs::read(file).unwrap()).to_hex().to_string()).collect();
    assert_eq!(kept[..2], [note["attested"].as_str().unwrap(), note["own"].as_str().unwrap()]);
    let inputs: Vec<&str> = note["inputs"].as_array().unwrap().iter().map(|input| input[1].as_str().unwrap()).collect();
    assert_eq!(kept[2..], inputs);
    let said = fs::read_to_string(out.join("hospital-a/worker.log")).unwrap();
    assert!(said.contains("DISSENT") && said.contains("consilium study accept 0 --round 2"), "{said}");

    let dir = out.join("hospital-a/worker");
    let accept = |round: &str| {
        let mut command = Command::new(bin_dir().unwrap().join("consilium"));
        command.args(["study", "accept", "0", "--round", round, "--url", &url, "--dir", dir.to_str().unwrap()]);
        let output = command.args(["--format", "json"]).output().unwrap();
        if output.status.success() {
            fits("consilium study accept", &serde_json::from_slice(&output.stdout).unwrap());
        }
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    // it works no longer for this study, neither on that model nor on the next one
    run.until(MINUTES, |run| run.said().contains("mean loss of round 4")).unwrap();
    let (done, text) = accept("1");
    assert!(!done && text.contains("does not dissent there") && text.contains("2"), "{text}");
    run.until(Duration::from_secs(60), |_| accept("2").0).unwrap();
    let outcome = run.finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);

    let report = report(&out);
    let second = round(&report, 2);
    assert_eq!(apart(&second), BTreeSet::from(["hospital-a"]), "{second:#}");
    assert_eq!(second["root"], note["attested"]);
    for number in [3, 4] {
        let record = round(&report, number);
        let others = BTreeSet::from_iter(SITES[1..].iter().copied());
        assert_eq!(names(&record["inputs"]), others, "it takes no part: {record:#}");
        assert_eq!(names(&record["attesters"]), others, "{record:#}");
    }
    let last = round(&report, 8);
    assert_eq!(names(&last["inputs"]), BTreeSet::from(SITES), "its people have decided to go on: {last:#}");
}
