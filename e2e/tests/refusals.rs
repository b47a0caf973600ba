//! Bad input is refused in seconds, by name, and leaves nothing running and nothing begun.
#![allow(clippy::unwrap_used)]

use consilium_e2e::{Outcome, Run};
use std::{fs, net::TcpListener, path::Path, time::Duration};

const SECONDS: Duration = Duration::from_secs(15);

fn up(scratch: &Path, more: &[&str]) -> Outcome {
    let out = scratch.join("out");
    let mut arguments = vec!["localnet", "up", "--out", out.to_str().unwrap()];
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

#[test]
fn a_busy_port() {
    let scratch = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    // any file will do for a node that is never started
    fs::write(scratch.path().join("consilium-node"), "").unwrap();
    let bins = scratch.path().to_str().unwrap();
    let outcome = up(scratch.path(), &["--rpc-port", &port, "--bin-dir", bins]);
    refused(&outcome, scratch.path(), &[&port, "--rpc-port"]);
}

#[test]
fn a_folder_that_holds_something() {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(scratch.path().join("out")).unwrap();
    fs::write(scratch.path().join("out/precious"), "data").unwrap();
    fs::write(scratch.path().join("consilium-node"), "").unwrap();
    let outcome = up(scratch.path(), &["--bin-dir", scratch.path().to_str().unwrap()]);
    refused(&outcome, scratch.path(), &["out", "not empty", "--out"]);
    assert_eq!(fs::read_to_string(scratch.path().join("out/precious")).unwrap(), "data");
}

#[test]
fn a_node_that_is_not_built() {
    let scratch = tempfile::tempdir().unwrap();
    refused(&up(scratch.path(), &["--bin-dir", "/nonexistent"]), scratch.path(), &["/nonexistent/consilium-node"]);
}

#[test]
fn a_node_that_cannot_be_run() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("consilium-node"), "no program").unwrap();
    let outcome = up(scratch.path(), &["--bin-dir", scratch.path().to_str().unwrap()]);
    refused(&outcome, scratch.path(), &["cannot start", "consilium-node"]);
}

#[test]
fn an_address_where_nobody_answers() {
    let scratch = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://127.0.0.1:{}", held.local_addr().unwrap().port());
    drop(held);
    for command in [&["studies", "--url", &url][..], &["study", "0", "--url", &url], &["institutions", "--url", &url]] {
        let outcome = Run::start(scratch.path(), command).unwrap().finish(SECONDS).unwrap();
        refused(&outcome, scratch.path(), &["no node answers", &url]);
    }
}
