//! A study with a trainer of its own, whose two files the proposer alone has: couriers bring them to the others.

use super::{SITES, STUDY};
use crate::tutorial::run as types;
use consilium_e2e::{bin_dir, workspace, Run};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

/// Logistic regression in nothing but Python.
pub(super) const TRAINER: &str = include_str!("../../../ml-worker/tests/external/trainer.py");
const MINUTES: Duration = Duration::from_secs(15 * 60);

fn worker(arguments: &[&str]) -> Output {
    Command::new(bin_dir().unwrap().join("ml-worker")).args(arguments).output().unwrap()
}

#[track_caller]
pub(super) fn done(arguments: &[&str]) -> String {
    let output = worker(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(super) fn root(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// A safetensors file of zeros.
pub(super) fn zeros() -> Vec<u8> {
    let head = "{\"bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\
                \"weight\":{\"dtype\":\"F32\",\"shape\":[1,30],\"data_offsets\":[4,124]}}";
    [&(head.len() as u64).to_le_bytes()[..], head.as_bytes(), &[0; 124]].concat()
}

/// The demo's study with this trainer and settings of it, standardised by each site's own rows.
pub(super) fn study(initial: &[u8], code: &[u8], settings: &str) -> String {
    let named = |bytes: &[u8]| format!("{{ root = \"{}\", len = {} }}", root(bytes), bytes.len());
    let text = fs::read_to_string(workspace().join(STUDY)).unwrap();
    let model = format!(
        "code = {}\ntensors = [\"bias 1\", \"weight 1x30\"]\n[model.external.settings]\n{settings}\n",
        named(code)
    );
    text.replace("seed = 1\n", &format!("seed = 1\ninitial = {}\n", named(initial)))
        .replace("scaling = \"swarm\"", "scaling = \"site\"")
        .replace("[model.dense]", "[model.external]")
        .replace("hidden = [16]\nactivation = \"relu\"\n", &model)
}

/// What a site's node gave to others of what a kind is: bytes, by receiver.
fn gave(site: &Path, kind: &str) -> BTreeMap<String, u64> {
    let log = fs::read_to_string(site.join("node/courier/egress.log")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["kind"] == kind).fold(BTreeMap::new(), |mut sums, line| {
        assert_eq!((&line["study"], &line["round"]), (&0.into(), &0.into()), "{line}");
        *sums.entry(line["name"].as_str().unwrap().to_owned()).or_default() += line["bytes"].as_u64().unwrap();
        sums
    })
}

/// What people of a site, who have the study's files from others, do after the study: a model of their own rows by the same trainer
/// beside the swarm's, signed, and the swarm's made ready by the line that they are told.
fn used(site: &Path, scratch: &Path) {
    let dir = site.display();
    let said = types(scratch, &format!("consilium study figures 0 --dir {dir} --out figures.json"));
    assert!(said.contains("signed for"), "{said}");
    let file: Value = serde_json::from_slice(&fs::read(scratch.join("figures.json")).unwrap()).unwrap();
    let alone = &file["figures"]["alone"];
    assert_eq!(alone["by_round"].as_array().unwrap().len(), 2, "{file:#}");
    // it has learned: ln 2 is what a model of zeros has
    assert!(alone["by_round"][1].as_f64().unwrap() < 0.6, "{file:#}");

    // an audit needs neither the trainer nor Python: the initial model's, and both rounds'
    let said = types(scratch, &format!("consilium audit 0 --dir {dir}"));
    assert!(said.contains("3 of 3 merges were computed again"), "{said}");

    let said = types(scratch, &format!("consilium study fetch 0 --dir {dir} --out model"));
    let line = said.lines().map(str::trim).find(|line| line.starts_with("ml-worker pack")).unwrap();
    for part in ["--data ", "--initial ", "--trainer ", "--code "] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let said = types(scratch, line);
    assert!(scratch.join("model/ready/model.json").exists(), "{said}");
}

#[test]
fn files_that_the_proposer_alone_has_reach_the_others_and_the_study_is_completed() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let text = |name: &str| at(name).to_str().unwrap().to_owned();
    fs::create_dir(at("mine")).unwrap();
    fs::write(at("mine/trainer.py"), TRAINER).unwrap();
    let said = done(&["trainer", "pack", &text("mine"), "--out", &text("trainer.tar")]);
    let (code, initial) = (fs::read(at("trainer.tar")).unwrap(), zeros());
    assert!(said.contains(&root(&code)), "{said}");
    fs::write(at("initial.safetensors"), &initial).unwrap();
    fs::write(at("study.toml"), study(&initial, &code, "steps = 20")).unwrap();
    let allowed = format!(
        "code = \"{}\"\ncommand = [\"/usr/bin/python3\", \"code/trainer.py\"]\nuser = \"nobody\"\n",
        root(&code)
    );
    fs::write(at("trainer.toml"), allowed).unwrap();

    let (out, file) = (at("out"), text("study.toml"));
    let (begins, own, archive) = (text("initial.safetensors"), text("trainer.toml"), text("trainer.tar"));
    let arguments = ["localnet", "run", "--study", &file, "--out", out.to_str().unwrap(), "--format", "json"];
    let more = ["--rounds", "2", "--keep", "--initial", &begins, "--trainer", &own, "--code", &archive];
    let mut run = Run::start(scratch.path(), &[&arguments[..], &more].concat()).unwrap();
    run.until(MINUTES, |run| run.said().contains("the network keeps running")).unwrap();
    used(&out.join(SITES[1]), scratch.path());
    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["study"]["certificate"]["held_by"].as_array().unwrap().len(), SITES.len());

    // the proposer's people put them there, and nobody else's
    let [proposer, others @ ..] = SITES.map(|site| out.join(site));
    let meant =
        |site: &Path| [&initial, &code].map(|bytes| site.join("blobs").join(root(bytes) + ".attachment").exists());
    assert_eq!(meant(&proposer), [true; 2]);
    for site in &others {
        assert_eq!(meant(site), [false; 2]);
        for bytes in [&initial, &code] {
            assert!(fs::read(site.join("blobs").join(root(bytes))).unwrap() == *bytes, "{}", site.display());
        }
    }
    // each of the others was given all of both, by whom its log says, and the first of them by the proposer
    for (kind, bytes) in [("initial", &initial), ("code", &code)] {
        let mut came: BTreeMap<String, u64> = BTreeMap::new();
        for site in SITES {
            let gave = gave(&out.join(site), kind);
            assert!(site != SITES[0] || !gave.is_empty(), "{kind}: nothing came from the proposer");
            gave.into_iter().for_each(|(to, bytes)| *came.entry(to).or_default() += bytes);
        }
        assert_eq!(came.keys().map(String::as_str).collect::<Vec<_>>(), SITES[1..].to_vec(), "{kind}");
        assert!(came.values().all(|sum| *sum >= bytes.len() as u64), "{kind}: {came:?}");
    }

    // what came can be read, as the node's log says
    let log = fs::read_to_string(out.join("hospital-b/node.log")).unwrap();
    assert!(log.contains("own trainer is here") && log.contains(&root(&code)), "{log}");
    let blobs = out.join("hospital-b/blobs");
    let unpack = ["trainer", "unpack", &root(&code), "--blobs", blobs.to_str().unwrap(), "--out", &text("read")];
    assert!(done(&unpack).contains("[study.trainer]"));
    assert_eq!(fs::read_to_string(at("read/trainer.py")).unwrap(), TRAINER);
}
