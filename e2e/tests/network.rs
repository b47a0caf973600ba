//! Networks of real nodes: they make and finalise blocks together, do not meet each other, and end when told to.
#![allow(clippy::unwrap_used)]

use consilium_e2e::Run;
use nix::{
    sys::signal::{kill, Signal},
    unistd::Pid,
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, time::Duration};

const START: Duration = Duration::from_secs(180);
const STOP: Duration = Duration::from_secs(20);

/// A network that is up, and what it said about itself.
fn up(scratch: &Path) -> (Run, Value) {
    let out = scratch.join("out");
    let arguments = ["localnet", "up", "--format", "json", "--out", out.to_str().unwrap()];
    let mut run = Run::start(scratch, &arguments).unwrap();
    run.until(START, |run| run.said().contains("the network is up")).unwrap();
    let said = serde_json::from_slice(&fs::read(scratch.join("stdout")).unwrap()).unwrap();
    (run, said)
}

fn ask(command: &str, url: &str) -> Value {
    let scratch = tempfile::tempdir().unwrap();
    let run = Run::start(scratch.path(), &[command, "--url", url, "--format", "json"]).unwrap();
    let outcome = run.finish(STOP).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn four_institutions_meet_register_their_peer_ids_and_stop_without_orphans() {
    let scratch = tempfile::tempdir().unwrap();
    let (run, said) = up(scratch.path());
    assert_eq!(run.processes().len(), 5, "this one and four nodes");
    let nodes = said["nodes"].as_array().unwrap();
    let own: BTreeSet<&str> = nodes.iter().map(|n| n["peer_id"].as_str().unwrap()).collect();
    assert_eq!(own.len(), 4);
    for node in nodes {
        let url = node["url"].as_str().unwrap();
        assert_eq!(ask("studies", url), Value::Array(Vec::new()));
    }
    let institutions = ask("institutions", nodes[0]["url"].as_str().unwrap());
    let list = institutions.as_array().unwrap();
    let names: BTreeSet<&str> = list.iter().map(|i| i["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["hospital-a", "hospital-b", "hospital-c", "hospital-d"]));
    let registered: BTreeSet<&str> = list.iter().map(|i| i["peer_id"].as_str().unwrap()).collect();
    assert_eq!(registered, own);
    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(STOP).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
}

#[test]
fn two_networks_at_once_do_not_meet() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, _) = up(one.path());
    let (second, _) = up(two.path());
    let fork = |scratch: &Path| {
        let spec: Value = serde_json::from_slice(&fs::read(scratch.join("out/chain-spec.json")).unwrap()).unwrap();
        spec["forkId"].as_str().unwrap().to_owned()
    };
    assert_ne!(fork(one.path()), fork(two.path()));
    for run in [first, second] {
        run.signal(Signal::SIGTERM).unwrap();
        let outcome = run.finish(STOP).unwrap();
        assert!(outcome.status.success(), "{}", outcome.stderr);
        assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
    }
}

#[test]
fn killing_the_starter_kills_its_nodes() {
    let scratch = tempfile::tempdir().unwrap();
    let (run, _) = up(scratch.path());
    run.signal(Signal::SIGKILL).unwrap();
    let outcome = run.finish(STOP).unwrap();
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
}

#[test]
fn a_node_that_dies_is_named_and_the_others_are_stopped() {
    let scratch = tempfile::tempdir().unwrap();
    let (run, _) = up(scratch.path());
    let victim = run.processes().into_iter().find(|id| {
        fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default().contains("out/hospital-c/node")
    });
    kill(Pid::from_raw(victim.unwrap()), Signal::SIGKILL).unwrap();
    let outcome = run.finish(STOP).unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    assert!(outcome.stderr.contains("the node of hospital-c has ended"), "{}", outcome.stderr);
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
}
