//! A study over real processes, audited from its node, and from an archive when no process is left.

use super::STUDY;
use consilium_e2e::{bin_dir, free_port, Run};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    fs,
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
