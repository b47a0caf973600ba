//! A run one of whose processes dies for good: what it leaves, and that it is taken up again from its folder, with the bits of a run that
//! nothing has happened to.

use super::{checks::check, localnet::plain_loop, STUDY};
use consilium_e2e::Run;
use nix::sys::signal::{kill, Signal};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

const ROUNDS: u32 = 30;
const MINUTES: Duration = Duration::from_secs(15 * 60);

fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_run_whose_node_is_killed_for_good_says_what_there_is_and_goes_on_from_its_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().canonicalize().unwrap().join("out");
    let shown = out.to_str().unwrap();
    let rounds = ROUNDS.to_string();
    let arguments = ["localnet", "run", "--study", STUDY, "--out", shown, "--seed", "1", "--rounds", &rounds];
    let mut run = Run::start(scratch.path(), &arguments).unwrap();
    run.until(Duration::from_secs(300), |run| run.said().contains(&format!("round  4 of {ROUNDS}"))).unwrap();
    kill(run.find("consilium-node", "hospital-b").unwrap(), Signal::SIGKILL).unwrap();
    let outcome = run.finish(Duration::from_secs(120)).unwrap();
    assert_eq!(outcome.status.code(), Some(1));
    assert!(outcome.orphans.is_empty(), "{:?}", outcome.orphans);
    assert!(outcome.stderr.contains("the node of hospital-b has ended"), "{}", outcome.stderr);
    let line = format!("to go on: consilium localnet resume {shown}");
    assert!(outcome.stderr.contains(&line), "{}", outcome.stderr);

    // what there is of it: every closed round, and the newest model
    let so_far = read(&out.join("report-so-far.json"));
    assert_eq!(so_far["complete"], false);
    assert_eq!(so_far["resume"], line.trim_start_matches("to go on: "));
    assert!(so_far["ended_by"].as_str().unwrap().contains("the node of hospital-b has ended"), "{so_far:#}");
    let newest = so_far["newest_model"]["round"].as_u64().unwrap();
    assert!((3..u64::from(ROUNDS)).contains(&newest), "{newest}");
    let closed: Vec<u64> = so_far["rounds"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|record| record["kind"] == "round")
        .map(|record| record["round"].as_u64().unwrap())
        .collect();
    assert_eq!(closed, (0..=newest).collect::<Vec<_>>());
    let model = fs::read(out.join("model-so-far.safetensors")).unwrap();
    assert_eq!(so_far["newest_model"]["root"], blake3::hash(&model).to_hex().as_str());
    let page = fs::read_to_string(out.join("report-so-far.html")).unwrap();
    assert!(!page.contains("<script") && page.contains("default-src 'none'"));
    assert!(!out.join("report.json").exists());

    // the whole network again, the killed node with it
    let resume = ["localnet", "resume", shown, "--format", "json"];
    let outcome = Run::start(scratch.path(), &resume).unwrap().finish(MINUTES).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(outcome.orphans.is_empty(), "{:?}", outcome.orphans);
    assert!(outcome.stderr.contains("study 0 goes on, in round "), "{}", outcome.stderr);
    let report = check(&out, ROUNDS.into());
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["final_root"], report["final_root"]);
    for file in ["report-so-far.json", "report-so-far.html", "model-so-far.safetensors"] {
        assert!(!out.join(file).exists(), "{file} is of a study that has ended since");
    }
    let roots: Vec<&Value> =
        report["rounds"].as_array().unwrap().iter().filter(|r| r["kind"] == "round").map(|r| &r["root"]).collect();
    let plain = plain_loop(&out, ROUNDS);
    let plain: Vec<&Value> = plain["simulated"]["rounds"].as_array().unwrap().iter().collect();
    assert_eq!(roots, plain, "every merge has the bits of a run that nothing has happened to");

    // one that is complete can be started again to look around, and its report stays as it is
    let written = fs::read(out.join("report.json")).unwrap();
    let mut run = Run::start(scratch.path(), &["localnet", "resume", shown, "--keep"]).unwrap();
    run.until(Duration::from_secs(180), |run| run.said().contains("the network keeps running")).unwrap();
    let aside = tempfile::tempdir().unwrap();
    let second = Run::start(aside.path(), &["localnet", "resume", shown]).unwrap();
    let second = second.finish(Duration::from_secs(30)).unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(second.stderr.contains("running still?"), "{}", second.stderr);
    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(30)).unwrap();
    assert!(outcome.status.success() && outcome.orphans.is_empty(), "{}", outcome.stderr);
    assert_eq!(fs::read(out.join("report.json")).unwrap(), written);
}
