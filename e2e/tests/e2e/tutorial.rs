//! The tutorial's lines, as they are written, from four tables to predictions.

use consilium_e2e::{bin_dir, workspace};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

/// The lines of the blocks that are for a shell.
fn lines() -> Vec<String> {
    let page = fs::read_to_string(workspace().join("docs/tutorial.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// What lines say in a folder, one after the other as long as each succeeds; all must.
pub fn run(dir: &Path, line: &str) -> String {
    let path = format!("{}:{}", bin_dir().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("timeout");
    command.args(["900", "sh", "-ec", line]).current_dir(dir).env("PATH", path).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    assert!(output.status.success(), "{line}: {said}");
    said
}

#[test]
fn four_tables_become_a_certified_model_by_the_tutorial_s_lines() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    symlink(workspace().join("examples"), dir.join("examples")).unwrap();
    let lines = lines();
    assert_eq!(lines.len(), 10, "{lines:?}");
    let said: Vec<String> = lines.iter().map(|line| run(dir, line)).collect();
    let told = |begins: &str| &said[lines.iter().position(|line| line.starts_with(begins)).unwrap()];
    assert!(told("ml-worker preflight").contains("the study can train on it"), "{}", told("ml-worker preflight"));
    let run = told("consilium localnet run");
    assert!(run.contains("Certificate in finalised block") && run.contains("4 of 4 hold it"), "{run}");
    assert!(run.contains("consilium localnet resume "), "{run}");
    assert!(told("ml-worker evaluate").contains("114"), "{}", told("ml-worker evaluate"));
    let predictions = fs::read_to_string(dir.join("predictions.csv")).unwrap();
    assert_eq!(predictions.trim().lines().count(), 115, "a header, and a row for each patient");
    let report: Value = serde_json::from_slice(&fs::read(dir.join("run/report.json")).unwrap()).unwrap();
    let names: Vec<&str> =
        report["sites"].as_array().unwrap().iter().map(|site| site["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["north", "south", "east", "west"]);
}
