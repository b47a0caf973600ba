//! A whole run over real processes: certificate, equal bytes, the same bits as a plain loop; and what faults leave.
//!
//! Every test here starts eight processes; they run one after the other (`--test-threads=1`), for the machine's sake.
#![allow(clippy::unwrap_used)]

use consilium_e2e::{bin_dir, workspace, Run};
use nix::sys::signal::{kill, Signal};
use serde_json::Value;
use std::{collections::BTreeSet, fs, net::TcpListener, path::Path, process::Command, time::Duration};

const MINUTES: Duration = Duration::from_secs(15 * 60);
const STUDY: &str = "examples/breast-cancer/study.toml";
const SITES: [&str; 4] = ["hospital-a", "hospital-b", "hospital-c", "hospital-d"];

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
    for site in SITES {
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

/// The same study as a plain loop in one process.
fn plain_loop(out: &Path) -> Value {
    let mut command = Command::new(bin_dir().unwrap().join("ml-worker"));
    command.arg("compare").arg("--spec").arg(out.join("spec.json")).arg("--rules").arg(out.join("rules.json"));
    let report: Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    for member in report["study"]["members"].as_array().unwrap() {
        let name = member["name"].as_str().unwrap();
        let secret = fs::read_to_string(out.join(name).join("worker/secret")).unwrap();
        command.arg("--site").arg(format!(
            "{name},{},{},{},{}",
            member["id"].as_str().unwrap().trim_start_matches("0x"),
            secret.trim(),
            member["samples"],
            out.join("data").join(format!("{name}.csv")).display()
        ));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_run_ends_with_a_certificate_and_gives_the_bits_of_a_plain_loop() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let run = Run::start(scratch.path(), &arguments(&out, &["--rounds", "10", "--seed", "1"])).unwrap();
    let outcome = run.finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
    let report = check(&out, 10);
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["final_root"], report["final_root"], "--format json prints the report");
    let auc = report["swarm"]["held_out"]["auc"].as_f64().unwrap();
    assert!(auc >= 0.96, "the swarm has learned: AUC {auc}");

    let simulated = &plain_loop(&out)["simulated"];
    let chain: Vec<&str> = report["rounds"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["kind"] == "round")
        .map(|r| r["root"].as_str().unwrap())
        .collect();
    let plain: Vec<&str> = simulated["rounds"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    assert_eq!(chain, plain, "every round's merge has the bits of the plain loop's");
    assert_eq!(simulated["canonical"], report["study"]["certificate"]["round"]);

    // every blob that left is in the log of the house it left
    for site in SITES {
        let log = fs::read_to_string(out.join(site).join("node/courier/egress.log")).unwrap();
        let hashes: BTreeSet<String> = log
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap()["hash"].as_str().unwrap().to_owned())
            .collect();
        let updates = report["rounds"].as_array().unwrap().iter().flat_map(|r| r["inputs"].as_array().unwrap());
        for update in updates.filter(|i| i["site"] == site) {
            let root = update["root"].as_str().unwrap();
            assert!(hashes.contains(root), "{site}: {root} left without a line in the egress log");
        }
    }
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
    let victim = run.find("ml-worker", "hospital-c").unwrap();
    kill(victim, Signal::SIGKILL).unwrap();
    let outcome = run.finish(Duration::from_secs(30)).unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    assert!(outcome.stderr.contains("the worker of hospital-c has ended"), "{}", outcome.stderr);
    assert!(outcome.orphans.is_empty());
}

/// What the command line says, as JSON.
fn consilium(arguments: &[&str]) -> Value {
    let output = Command::new(bin_dir().unwrap().join("consilium")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn two_studies_with_different_members_run_at_once_and_both_finish() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let url = format!("ws://127.0.0.1:{port}");
    let more = ["--rounds", "6", "--keep", "--rpc-port", &port];
    let mut run = Run::start(scratch.path(), &arguments(&out, &more)).unwrap();
    run.until(Duration::from_secs(180), |run| run.said().contains("study 0 is registered")).unwrap();

    // three of the four agree on a second study, by hand
    let members = &SITES[1..];
    let file = scratch.path().join("second.toml");
    let text = fs::read_to_string(workspace().join(STUDY)).unwrap();
    let text = text.replace("rounds = 10", "rounds = 3").replace("seed = 1\n", "seed = 2\n");
    fs::write(&file, text).unwrap();
    let key = |site: &str| out.join(site).join("institution.key").to_str().unwrap().to_owned();
    let common = ["--url", &url, "--format", "json"];
    let call = |arguments: &[&str]| consilium(&[arguments, &common].concat());
    let proposer = key(members[0]);
    let mut register = vec!["study", "register", file.to_str().unwrap(), "--key", &proposer];
    for site in members {
        register.extend(["--invite", site]);
    }
    let registered = call(&register);
    assert_eq!(registered["study"], 1);
    let agreement = registered["agreement"].as_str().unwrap();
    for site in members {
        let data = out.join("data").join(format!("{site}.csv"));
        let sites = out.join(site).join("sites.toml");
        let entry = format!("\n[[study]]\nagreement = \"{agreement}\"\ndata = \"{}\"\n", data.display());
        fs::write(&sites, fs::read_to_string(&sites).unwrap() + &entry).unwrap();
        let checked = Command::new(bin_dir().unwrap().join("ml-worker"))
            .args(["check", "--study", file.to_str().unwrap(), "--data", data.to_str().unwrap()])
            .output()
            .unwrap();
        let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
        let samples = checked["training"]["rows"].to_string();
        call(&["study", "enrol", "1", "--agreement", agreement, "--samples", &samples, "--key", &key(site)]);
    }
    call(&["study", "start", "1", "--key", &proposer]);

    run.until(MINUTES, |run| {
        run.said().contains("the network keeps running") && call(&["study", "1"])["phase"] == "completed"
    })
    .unwrap();
    check(&out, 6);
    let (first, second) = (call(&["study", "0"]), call(&["study", "1"]));
    let of = |study: &Value, edge: &str| -> Vec<u64> {
        study["rounds"].as_array().unwrap().iter().map(|r| r[edge].as_u64().unwrap()).collect()
    };
    assert!(
        of(&second, "opened_at").iter().min() < of(&first, "closed_at").iter().max(),
        "the second study has begun before the first one ended"
    );
    let names = |list: &Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()).collect()
    };
    let wanted: BTreeSet<String> = members.iter().map(|s| (*s).to_owned()).collect();
    assert_eq!(names(&second["certificate"]["held_by"]), wanted);
    let root = second["certificate"]["root"].as_str().unwrap();
    for site in SITES {
        let holds = out.join(site).join("blobs").join(root).is_file();
        assert_eq!(holds, wanted.contains(site), "{site}: the second study's model is its members' alone");
    }
    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(30)).unwrap();
    assert!(outcome.orphans.is_empty(), "{:?}", outcome.orphans);
}

#[test]
fn a_worker_that_stops_answering_is_reported_missing_and_the_others_go_on() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let mut run = Run::start(scratch.path(), &arguments(&out, &["--rounds", "5"])).unwrap();
    run.until(Duration::from_secs(300), |run| run.said().contains("round  1 of 5 · training")).unwrap();
    let worker = run.find("ml-worker", "hospital-d").unwrap();
    kill(worker, Signal::SIGSTOP).unwrap();
    let log = out.join("hospital-d/node.log");
    run.until(Duration::from_secs(300), |_| {
        fs::read_to_string(&log).unwrap_or_default().contains("answered Failure(WorkerMissing)")
    })
    .unwrap();
    kill(worker, Signal::SIGCONT).unwrap();
    let outcome = run.finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let report: Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    let inputs = |r: &Value| r["inputs"].as_array().unwrap().len();
    let merges: Vec<usize> =
        report["rounds"].as_array().unwrap().iter().filter(|r| r["kind"] == "round").skip(1).map(inputs).collect();
    assert!(merges.contains(&3), "one round went on with three: {merges:?}");
    assert_eq!(merges.last(), Some(&4), "the site is back: {merges:?}");
    assert_eq!(report["study"]["certificate"]["held_by"].as_array().unwrap().len(), 4);
}
