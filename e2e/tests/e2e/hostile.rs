//! A study's own trainer that turns on one of four sites, another misdeed in each round: it costs that site the round, and the others
//! learn a code. How it is kept from each is held form by form in the worker's tests (`ml-worker/tests/external`).

use super::{
    attached::{done, root, study, zeros, TRAINER},
    SITES,
};
use consilium_e2e::Run;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

const MINUTES: Duration = Duration::from_secs(15 * 60);
/// What the trainer does at the largest site, from round 1 on; in the first round nothing, in the last it prints rows and trains.
const MISDEEDS: [&str; 8] = ["", "network", "read", "write", "children", "memory", "sleep", "print"];
/// What stands in a file that is the site's alone.
const OUTSIDE: &str = "nobody but this site's people";

/// Files below a folder, at any depth.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.extend(below(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files
}

/// Which of these files hold a text.
fn holding<'a>(files: &'a [PathBuf], text: &str) -> Vec<&'a Path> {
    let has = |path: &&PathBuf| {
        // one that is gone meanwhile holds nothing
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    };
    files.iter().filter(has).map(PathBuf::as_path).collect()
}

#[test]
fn a_trainer_that_turns_on_its_site_costs_it_rounds_and_tells_the_others_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let text = |name: &str| at(name).to_str().unwrap().to_owned();
    fs::create_dir(at("mine")).unwrap();
    fs::write(at("mine/trainer.py"), TRAINER).unwrap();
    done(&["trainer", "pack", &text("mine"), "--out", &text("trainer.tar")]);
    let (code, initial) = (fs::read(at("trainer.tar")).unwrap(), zeros());
    fs::write(at("initial.safetensors"), &initial).unwrap();
    // as a site's table and its secret are
    fs::write(at("private"), OUTSIDE).unwrap();
    fs::set_permissions(at("private"), Permissions::from_mode(0o600)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings =
        format!("steps = 20\nabove = 100\nmisdeeds = {MISDEEDS:?}\nport = {port}\npath = {:?}\n", text("private"));
    fs::write(at("study.toml"), study(&initial, &code, &settings)).unwrap();
    // a job ends before a round's grace does
    let allowed = format!(
        "code = \"{}\"\ncommand = [\"/usr/bin/python3\", \"code/trainer.py\"]\nuser = \"nobody\"\nprocesses = 32\n\
         memory_mib = 1024\nseconds = 12\n",
        root(&code)
    );
    fs::write(at("trainer.toml"), allowed).unwrap();

    let (out, rounds) = (at("out"), MISDEEDS.len().to_string());
    let (file, begins) = (text("study.toml"), text("initial.safetensors"));
    let (own, archive) = (text("trainer.toml"), text("trainer.tar"));
    let arguments = ["localnet", "run", "--study", &file, "--out", out.to_str().unwrap(), "--format", "json"];
    let more = ["--rounds", &rounds, "--initial", &begins, "--trainer", &own, "--code", &archive];
    let run = Run::start(scratch.path(), &[&arguments[..], &more].concat()).unwrap();
    let outcome = run.finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["study"]["certificate"]["held_by"].as_array().unwrap().len(), SITES.len());

    // its rounds lack it, and no others; the others were in each
    let [large, others @ ..] = SITES;
    let misdeeds = (1u64..).zip(MISDEEDS).filter(|(_, misdeed)| !["", "print"].contains(misdeed));
    let lacking: BTreeSet<u64> = misdeeds.map(|(round, _)| round).collect();
    for round in report["rounds"].as_array().unwrap().iter().filter(|round| round["round"].as_u64() > Some(0)) {
        let inputs: BTreeSet<&str> =
            round["inputs"].as_array().unwrap().iter().map(|input| input["site"].as_str().unwrap()).collect();
        let number = round["round"].as_u64().unwrap();
        assert_eq!(inputs.contains(large), !lacking.contains(&number), "round {number}: {round:#}");
        assert!(others.iter().all(|site| inputs.contains(site)), "round {number}: {round:#}");
    }
    // what the chain has of them is a code
    let faults = report["report"]["faults"].as_array().unwrap();
    let failures: Vec<&Value> = faults.iter().filter(|fault| fault["kind"] == "failure").collect();
    let times: u64 = failures.iter().map(|fault| fault["times"].as_u64().unwrap()).sum();
    // the last but one is done when its round may be over
    assert!((lacking.len() as u64 - 1..=lacking.len() as u64).contains(&times), "{failures:#?}");
    for fault in failures {
        let words = fault["words"].as_str().unwrap();
        assert_eq!(fault["sites"], serde_json::json!([large]), "{fault:#}");
        assert!(words.contains("(Internal)") || words.contains("(OutOfMemory)"), "{words}");
    }

    // nobody was called, nothing outside was read, and what it printed is in one file of that site alone
    assert!(listener.accept().is_err(), "the network was reached");
    let files = below(&out);
    assert_eq!(holding(&files, OUTSIDE), Vec::<&Path>::new());
    let printed = holding(&files, "PATIENT");
    assert_eq!(printed.len(), 1, "{printed:?}");
    assert!(
        printed[0].starts_with(out.join(large).join("worker")) && printed[0].ends_with("trainer.log"),
        "{printed:?}"
    );
    assert_eq!(fs::metadata(printed[0]).unwrap().permissions().mode() & 0o777, 0o600);
    // its own log says why, round by round
    let log = fs::read_to_string(out.join(large).join("worker.log")).unwrap();
    for words in ["its words are in", "(trainer.processes)", "(trainer.seconds in sites.toml)"] {
        assert!(log.contains(words), "{words} in\n{log}");
    }
    for site in others {
        let log = fs::read_to_string(out.join(site).join("worker.log")).unwrap();
        assert!(!log.contains("trainer.log") && !log.contains("the trainer was stopped"), "{site}: {log}");
    }
    // no update of those rounds has left
    let egress = fs::read_to_string(out.join(large).join("node/courier/egress.log")).unwrap();
    let lines = egress.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let gave: BTreeSet<u64> =
        lines.filter(|line| line["kind"] == "update").map(|line| line["round"].as_u64().unwrap()).collect();
    assert!(!gave.is_empty() && gave.is_disjoint(&lacking), "{gave:?}");
}
