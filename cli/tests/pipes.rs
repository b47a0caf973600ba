//! Commands whose reader has gone away, as in `consilium study 0 | head -1`: all three programs end without a word.
//!
//! The node and the worker lie beside the command line: `cargo build --release --workspace --bins` makes all three.
#![allow(clippy::unwrap_used)]

use std::{
    fs::File,
    path::Path,
    process::{Command, Output, Stdio},
};

fn program(name: &str) -> Command {
    let path = Path::new(env!("CARGO_BIN_EXE_consilium")).with_file_name(name);
    assert!(path.exists(), "{} is missing: cargo build --release --workspace --bins", path.display());
    Command::new(path)
}

/// What a command does whose standard output nobody reads.
fn unread(name: &str, arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    program(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap()
}

#[test]
fn a_command_whose_reader_has_gone_away_ends_without_a_word() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("st-mary");
    let dir = dir.to_str().unwrap();
    // it makes the folder before it prints, and that is whole
    let made = unread("consilium", &["init", "--consortium", "north-lungs", "--name", "St. Mary", "--dir", dir]);
    let card = format!("{dir}/card.json");
    let all = [
        ("init", made),
        ("card", unread("consilium", &["card", dir])),
        ("card as JSON", unread("consilium", &["card", dir, "--format", "json"])),
        ("units", unread("consilium", &["units", "--dir", dir])),
        ("doctor", unread("consilium", &["doctor", "--dir", dir])),
        ("up --status", unread("consilium", &["up", "--dir", dir, "--status"])),
    ];
    for (what, output) in all {
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{what}");
        assert_eq!(output.status.code(), Some(141), "{what}");
    }
    assert!(Path::new(&card).exists());
    let keys = format!("{dir}/other");
    let owner = "07".repeat(32);
    for arguments in [
        &["make-keys", "--keystore-path", &keys, "--owner", &owner][..],
        &["inspect-runtime"],
        // the SDK's own
        &["key", "generate"],
    ] {
        let output = unread("consilium-node", arguments);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(141), "{arguments:?}: {}", output.status);
    }
    // the worker's commands have ended with 0 then since there were any
    let demo = format!("{dir}/demo");
    let output = unread("ml-worker", &["demo-data", "--out", &demo]);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn what_cannot_be_written_is_a_failure_with_the_reason() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = program("consilium").args(["card", "--help"]).stdout(full).output().unwrap();
    assert!(!output.status.success());
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("st-mary");
    let dir = dir.to_str().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let made = ["init", "--consortium", "north-lungs", "--name", "St. Mary", "--dir", dir];
    let output = program("consilium").args(made).stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write to standard output") && !said.contains("panic"), "{said}");
}
