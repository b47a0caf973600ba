//! A whole run over real processes: certificate, equal bytes, report; and what Ctrl-C leaves.
#![allow(clippy::unwrap_used)]

use consilium_e2e::Run;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, time::Duration};

const MINUTES: Duration = Duration::from_secs(15 * 60);
const STUDY: &str = "examples/breast-cancer/study.toml";

fn arguments<'a>(out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["localnet", "run", "--study", STUDY, "--out", out.to_str().unwrap(), "--format", "json"];
    arguments.extend_from_slice(more);
    arguments
}

/// What must hold for every finished run of the demo with this many rounds.
fn check(out: &Path, rounds: u64) -> Value {
    let report: Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    let root = report["final_root"].as_str().unwrap();

    let model = fs::read(out.join("model.safetensors")).unwrap();
    assert_eq!(blake3::hash(&model).to_hex().as_str(), root, "model.safetensors is the certified model");
    for site in ["hospital-a", "hospital-b", "hospital-c", "hospital-d"] {
        let copy = fs::read(out.join(site).join("blobs").join(root)).unwrap();
        assert!(copy == model, "{site} holds the same bytes");
    }

    let certificate = &report["study"]["certificate"];
    assert_eq!(certificate["root"], root);
    assert_eq!(certificate["held_by"].as_array().unwrap().len(), 4);

    let closed: Vec<&Value> = report["rounds"].as_array().unwrap().iter().filter(|r| r["kind"] == "round").collect();
    let numbers: Vec<u64> = closed.iter().map(|r| r["round"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..=rounds).collect::<Vec<_>>(), "round 0 and every merge round has a record");
    for pair in closed.windows(2) {
        assert_eq!(pair[1]["base"], pair[0]["root"], "each round starts from the last merge");
    }
    for record in closed.iter().skip(1) {
        assert_eq!(record["inputs"].as_array().unwrap().len(), 4);
        let distinct: BTreeSet<_> =
            record["inputs"].as_array().unwrap().iter().map(|i| i["root"].as_str().unwrap()).collect();
        assert_eq!(distinct.len(), 4, "four sites train four different updates");
        assert!(record["attesters"].as_array().unwrap().len() >= 3);
        assert!(record["dissenters"].as_array().unwrap().is_empty());
    }
    report
}

#[test]
fn a_run_ends_with_a_certificate_and_the_same_bytes_everywhere() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let run = Run::start(scratch.path(), &arguments(&out, &["--rounds", "10", "--seed", "1"])).unwrap();
    let outcome = run.finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
    let report = check(&out, 10);
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["final_root"], report["final_root"], "--format json prints the report");
    let auc = report["swarm"]["auc"].as_f64().unwrap();
    assert!(auc >= 0.96, "the swarm has learned: AUC {auc}");
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (out_one, out_two) = (one.path().join("out"), two.path().join("out"));
    let first = Run::start(one.path(), &arguments(&out_one, &["--rounds", "2", "--seed", "1"])).unwrap();
    let second = Run::start(two.path(), &arguments(&out_two, &["--rounds", "2", "--seed", "2"])).unwrap();
    for (run, out) in [(first, &out_one), (second, &out_two)] {
        let outcome = run.finish(MINUTES).unwrap();
        assert!(outcome.status.success(), "{}", outcome.stderr);
        assert!(outcome.orphans.is_empty());
        check(out, 2);
    }
    let fork = |out: &Path| {
        let spec: Value = serde_json::from_slice(&fs::read(out.join("chain-spec.json")).unwrap()).unwrap();
        spec["forkId"].as_str().unwrap().to_owned()
    };
    assert_ne!(fork(&out_one), fork(&out_two));
}

#[test]
fn an_interrupted_run_leaves_no_process() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("out");
        let mut run = Run::start(scratch.path(), &arguments(&out, &[])).unwrap();
        run.until(Duration::from_secs(120), |run| run.processes().len() == 9).unwrap();
        run.signal(signal).unwrap();
        let outcome = run.finish(Duration::from_secs(20)).unwrap();
        assert!(!outcome.status.success());
        assert!(outcome.orphans.is_empty(), "after {signal}: {:?}", outcome.orphans);
    }
}

#[test]
fn a_process_that_dies_is_named_and_the_others_are_stopped() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let mut run = Run::start(scratch.path(), &arguments(&out, &[])).unwrap();
    run.until(Duration::from_secs(120), |run| run.processes().len() == 9).unwrap();
    let victim = run
        .processes()
        .into_iter()
        .find(|id| {
            let command = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
            command.contains("ml-worker") && command.contains("hospital-c")
        })
        .unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), Signal::SIGKILL).unwrap();
    let outcome = run.finish(Duration::from_secs(30)).unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    assert!(outcome.stderr.contains("the worker of hospital-c has ended"), "{}", outcome.stderr);
    assert!(outcome.orphans.is_empty());
}
