//! A study over real processes, audited from its node, and from an archive when no process is left.

use super::STUDY;
use consilium_e2e::{bin_dir, free_port, Run};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// A pair of age keys for tests, from the test vectors of age.
const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

/// Exit code, standard output and standard error of the command line.
fn consilium(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(bin_dir().unwrap().join("consilium"));
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(arguments: &[&str]) -> (i32, Value) {
    let (code, out, error) = consilium(&[arguments, &["--format", "json"]].concat());
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}{error}")))
}

/// What a port of this machine answers to a request for figures.
fn figures(port: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let head =
        format!("GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Both programs of a site tell Prometheus what they did in a study of so many rounds.
fn check_figures(house: &Path, rounds: u64) {
    let settings = fs::read_to_string(house.join("consilium.toml")).unwrap();
    let port = |name: &str| {
        let line = settings.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let value = |answer: &str, name: &str, label: &str| -> f64 {
        let line = answer.lines().find(|line| line.starts_with(name) && line.contains(label));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("{name} {label} in {answer}"))
    };
    let node = figures(&port("prometheus_port"), "-");
    assert_eq!(value(&node, "consilium_rounds_closed_total{", "study=\"0\"") as u64, rounds, "{node}");
    // the votes of a merge may hold the next round's update
    let voted =
        ["train", "merge"].map(|kind| value(&node, "consilium_votes_included_total{", &format!("kind=\"{kind}\"")));
    assert!(voted[0] >= 1.0 && voted[0] + voted[1] >= rounds as f64, "{node}");
    for (name, label) in [
        ("consilium_round_phase_seconds_count{", "phase=\"merging\""),
        ("consilium_courier_bytes_total{", "direction=\"out\""),
    ] {
        assert!(value(&node, name, label) >= rounds as f64, "{name} in {node}");
    }
    for (name, most) in [("consilium_finality_lag_blocks", 10.0), ("consilium_best_block_age_seconds", 10.0)] {
        assert!(value(&node, name, "") < most, "{name} in {node}");
    }
    let token = fs::read_to_string(house.join("token")).unwrap();
    let worker = figures(&port("worker_port"), token.trim());
    let merged = value(&worker, "consilium_worker_duties_worked_total{", "end=\"done\",kind=\"merge\"");
    assert!(merged >= rounds as f64, "{worker}");
    assert!(figures(&port("worker_port"), "-").starts_with("HTTP/1.1 401"));
}

/// Which block each vote came in, as the rounds' records have it.
fn check_late(url: &str) {
    let (code, late) = json(&["late", "0", "--url", url]);
    assert_eq!(code, 0, "{late:#}");
    let (_, study) = json(&["study", "0", "--url", url]);
    assert_eq!(study["waiting"], Value::Null, "it has ended");
    let records = study["rounds"].as_array().unwrap().iter().filter(|record| record["kind"] == "round");
    for record in records.filter(|record| record["round"].as_u64() > Some(0)) {
        let told = late["rounds"].as_array().unwrap().iter().find(|told| told["round"] == record["round"]).unwrap();
        assert_eq!((&told["opened"]["block"], &told["closed"]["block"]), (&record["opened_at"], &record["closed_at"]));
        let phases = told["phases"].as_array().unwrap();
        for input in record["inputs"].as_array().unwrap() {
            let votes = phases[0]["votes"].as_array().unwrap();
            let vote = votes.iter().find(|vote| vote["site"] == input["site"]).unwrap();
            assert_eq!(vote["block"], input["committed_at"], "{told:#}");
        }
        let merge = phases.last().unwrap();
        let voted = ["votes", "votes_after"].map(|list| merge[list].as_array().unwrap().clone()).concat();
        for site in record["attesters"].as_array().unwrap() {
            assert!(voted.iter().any(|vote| vote["site"] == *site), "{site} in {told:#}");
        }
        assert_eq!(merge["ended"]["waited_for"], "vote", "{told:#}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_finished_study_is_audited_from_its_node_and_from_an_archive_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let port = free_port().unwrap().to_string();
    let url = format!("ws://127.0.0.1:{port}");
    let study = ["localnet", "run", "--study", STUDY, "--out", path(&out)];
    let mut run =
        Run::start(scratch.path(), &[&study[..], &["--rounds", "3", "--keep", "--rpc-port", &port]].concat()).unwrap();
    run.until(Duration::from_secs(600), |run| run.said().contains("the network keeps running")).unwrap();
    let blobs = out.join("hospital-b/blobs");
    let online = ["audit", "0", "--url", &url, "--blobs", path(&blobs)];

    // the certificate is on the best chain; the audit goes by what is final
    run.until(Duration::from_secs(60), |_| json(&online).1["phase"] == "completed").unwrap();
    let (code, report) = json(&online);
    assert_eq!(code, 0, "{report:#}");
    // statistics, the initial model, three rounds
    assert_eq!((&report["merges"], &report["merges_recomputed"]), (&5.into(), &5.into()), "{report:#}");
    let last = report["findings"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["what"], &last["verdict"]), (&"certificate".into(), &"verified".into()), "{report:#}");

    check_late(&url);
    check_figures(&out.join("hospital-b"), 3);

    // a copy of the files in which one bit of the certified model is another
    let copy = scratch.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&blobs).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let model = copy.join(last["root"].as_str().unwrap());
    let mut bytes = fs::read(&model).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&model, bytes).unwrap();
    assert_eq!(consilium(&["audit", "0", "--url", &url, "--blobs", path(&copy)]).0, 2);
    fs::remove_file(&model).unwrap();
    assert_eq!(consilium(&["audit", "0", "--url", &url, "--blobs", path(&copy)]).0, 3);

    let (plain, secret) = (scratch.path().join("study.tar"), scratch.path().join("study.age"));
    let export = ["export", "0", "--url", &url, "--blobs", path(&blobs), "--out"];
    let (code, made) = json(&[&export[..], &[path(&plain)]].concat());
    assert_eq!(code, 0, "{made:#}");
    assert_eq!(made["missing"], Value::Array(Vec::new()));
    let again = consilium(&[&export[..], &[path(&plain)]].concat());
    assert!(again.0 == 1 && again.2.contains("--force"), "{again:?}");
    // nobody is at this terminal who could agree
    let updates = ["--with-updates", "--recipient", RECIPIENT];
    let unasked = consilium(&[&export[..], &[path(&secret)], &updates].concat());
    assert!(unasked.0 == 1 && unasked.2.contains("--yes") && !secret.exists(), "{unasked:?}");
    let (code, with_updates) = json(&[&export[..], &[path(&secret), "--yes"], &updates].concat());
    assert_eq!(code, 0, "{with_updates:#}");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);

    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(30)).unwrap();
    assert!(outcome.orphans.is_empty(), "{:?}", outcome.orphans);

    let block = made["block"].as_str().unwrap();
    let (code, said, _) = consilium(&["audit", "--archive", path(&plain), "--trust-block", block]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("relative to block") && said.lines().next().unwrap().contains(block), "{said}");
    let authorities = scratch.path().join("authorities.json");
    fs::write(&authorities, made["authorities"].to_string()).unwrap();
    let (code, said, _) = consilium(&["audit", "--archive", path(&plain), "--trust-authorities", path(&authorities)]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("relative to authority set"), "{said}");
    let (code, said, error) = consilium(&["audit", "--archive", path(&plain)]);
    assert!(code == 1 && said.is_empty() && error.contains("--trust-nothing"), "{said}{error}");
    let (code, said, _) = consilium(&["audit", "--archive", path(&plain), "--trust-nothing"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("resting on nothing but the archive itself"), "{said}");
    let other = "00".repeat(32);
    let (code, said, error) = consilium(&["audit", "--archive", path(&plain), "--trust-block", &other]);
    assert!(code == 1 && said.is_empty() && error.contains("you trust"), "{said}{error}");

    let key = scratch.path().join("key.txt");
    fs::write(&key, IDENTITY).unwrap();
    let block = with_updates["block"].as_str().unwrap();
    let trusted = ["audit", "--archive", path(&secret), "--trust-block", block];
    assert_eq!(consilium(&trusted).0, 1, "it is encrypted");
    let (code, report) = json(&[&trusted[..], &["--identity", path(&key)]].concat());
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["rests_on"]["trust"], "block");
    assert!(report["merges_recomputed"].as_u64().unwrap() >= 3, "{report:#}");
}
