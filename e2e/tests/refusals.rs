//! Bad input is refused in seconds, by name, and leaves nothing: no process, no folder.
#![allow(clippy::unwrap_used)]

use consilium_e2e::{workspace, Outcome, Run};
use std::{fs, net::TcpListener, path::Path, time::Duration};

const SECONDS: Duration = Duration::from_secs(15);

fn demo_study() -> String {
    fs::read_to_string(workspace().join("examples/breast-cancer/study.toml")).unwrap()
}

fn localnet(scratch: &Path, study: &Path, more: &[&str]) -> Outcome {
    let out = scratch.join("out");
    let mut arguments = vec!["localnet", "run", "--study", study.to_str().unwrap(), "--out", out.to_str().unwrap()];
    arguments.extend_from_slice(more);
    Run::start(scratch, &arguments).unwrap().finish(SECONDS).unwrap()
}

fn refused(outcome: &Outcome, scratch: &Path, names: &[&str]) {
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    for name in names {
        assert!(outcome.stderr.contains(name), "{name:?} is not named in:\n{}", outcome.stderr);
    }
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
    assert!(!scratch.join("out/chain-spec.json").exists(), "something was begun");
}

fn refuses_study(text: &str, names: &[&str]) {
    let scratch = tempfile::tempdir().unwrap();
    let study = scratch.path().join("study.toml");
    fs::write(&study, text).unwrap();
    refused(&localnet(scratch.path(), &study, &[]), scratch.path(), names);
}

#[test]
fn a_study_file_that_is_not_there() {
    let scratch = tempfile::tempdir().unwrap();
    let study = scratch.path().join("nowhere.toml");
    refused(&localnet(scratch.path(), &study, &[]), scratch.path(), &["nowhere.toml"]);
}

#[test]
fn a_study_file_that_is_no_toml() {
    refuses_study("version = 1\nthis is not toml\n", &["study.toml", "line 2"]);
}

#[test]
fn a_study_file_with_an_unknown_key() {
    refuses_study(&format!("frobnicate = 3\n{}", demo_study()), &["study.toml", "frobnicate"]);
}

#[test]
fn a_site_whose_csv_is_not_there() {
    let scratch = tempfile::tempdir().unwrap();
    let study = workspace().join("examples/breast-cancer/study.toml");
    let sites = ["--site", "north=/nonexistent/north.csv", "--site", "south=/nonexistent/south.csv"];
    refused(&localnet(scratch.path(), &study, &sites), scratch.path(), &["/nonexistent/north.csv"]);
}

#[test]
fn a_csv_without_the_columns_that_the_study_names() {
    let scratch = tempfile::tempdir().unwrap();
    let csv = scratch.path().join("north.csv");
    fs::write(&csv, "a,b\n1,2\n3,4\n").unwrap();
    let study = workspace().join("examples/breast-cancer/study.toml");
    let sites = ["north", "south", "west"].map(|name| format!("{name}={}", csv.display()));
    let outcome = localnet(scratch.path(), &study, &["--site", &sites[0], "--site", &sites[1], "--site", &sites[2]]);
    refused(&outcome, scratch.path(), &["north.csv"]);
}

#[test]
fn a_site_without_a_name() {
    let scratch = tempfile::tempdir().unwrap();
    let study = workspace().join("examples/breast-cancer/study.toml");
    refused(&localnet(scratch.path(), &study, &["--site", "north.csv"]), scratch.path(), &["north.csv", "NAME="]);
}

#[test]
fn one_site_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let csv = scratch.path().join("north.csv");
    fs::write(&csv, "a,b\n1,2\n").unwrap();
    let study = workspace().join("examples/breast-cancer/study.toml");
    let north = format!("north={}", csv.display());
    refused(&localnet(scratch.path(), &study, &["--site", &north]), scratch.path(), &["2 to 4 sites"]);
}

#[test]
fn a_busy_port() {
    let scratch = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    let study = workspace().join("examples/breast-cancer/study.toml");
    refused(&localnet(scratch.path(), &study, &["--rpc-port", &port]), scratch.path(), &[&port, "--rpc-port"]);
}

#[test]
fn a_folder_that_holds_something() {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(scratch.path().join("out")).unwrap();
    fs::write(scratch.path().join("out/precious"), "data").unwrap();
    let study = workspace().join("examples/breast-cancer/study.toml");
    refused(&localnet(scratch.path(), &study, &[]), scratch.path(), &["out", "empty"]);
    assert_eq!(fs::read_to_string(scratch.path().join("out/precious")).unwrap(), "data");
}

#[test]
fn binaries_that_are_not_there() {
    let scratch = tempfile::tempdir().unwrap();
    let study = workspace().join("examples/breast-cancer/study.toml");
    refused(&localnet(scratch.path(), &study, &["--bin-dir", "/nonexistent"]), scratch.path(), &["consilium-node"]);
}

#[test]
fn a_node_that_does_not_answer() {
    let scratch = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://127.0.0.1:{}", held.local_addr().unwrap().port());
    drop(held);
    let run = Run::start(scratch.path(), &["studies", "--url", &url]).unwrap();
    refused(&run.finish(SECONDS).unwrap(), scratch.path(), &[&url]);
}
