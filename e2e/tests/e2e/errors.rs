//! The mistakes of `docs/errors.md` that need a network: what is printed is what the page says.

use super::STUDY;
use consilium_e2e::{
    bin_dir, free_port,
    page::{compare, sections, without_hashes},
    workspace, Run,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{fs, os::unix::fs::symlink, path::Path, process::Command, time::Duration};

/// What a line prints in a folder, on both streams; and its exit code.
fn shell(dir: &Path, line: &str) -> (String, Option<i32>) {
    let programs = bin_dir().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("timeout");
    command.args(["120", "sh", "-c", &format!("{{ {line}; }} 2>&1")]).current_dir(dir);
    let output = command.env("PATH", format!("{}:{path}", programs.display())).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

/// Makes one of the page's mistakes in a folder, with `hash` for the agreement that it names: what is printed is what the page says.
#[track_caller]
pub fn as_on_the_page(dir: &Path, title: &str, hash: &str) {
    let page = sections(&workspace().join("docs/errors.md")).unwrap();
    let section = page.iter().find(|section| section.title == title).unwrap_or_else(|| panic!("{title}: no section"));
    let (said, code) = shell(dir, &section.command.replace("HASH", hash));
    assert_eq!(code, Some(1), "{title}: {said}");
    compare(&section.message, &without_hashes(&said)).unwrap_or_else(|error| panic!("{title}: {error}"));
}

#[test]
fn an_agreement_that_was_not_read_and_a_site_that_was_not_invited_are_refused_in_the_page_s_words() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let port = free_port().unwrap().to_string();
    let arguments = ["localnet", "run", "--study", STUDY, "--out", out.to_str().unwrap(), "--rounds", "2", "--keep"];
    let mut run = Run::start(scratch.path(), &[&arguments[..], &["--rpc-port", &port]].concat()).unwrap();
    run.until(Duration::from_secs(300), |run| run.said().contains("study 0 is registered")).unwrap();

    // the page's alder is a hospital that the study does not invite
    symlink(out.join("hospital-d"), scratch.path().join("alder")).unwrap();
    for file in ["study.toml", "north.csv"] {
        fs::copy(workspace().join("examples/own-csv").join(file), scratch.path().join(file)).unwrap();
    }
    let register = "consilium study register study.toml --invite hospital-b --invite hospital-c --dir out/hospital-b --format json";
    let (said, code) = shell(scratch.path(), register);
    assert_eq!(code, Some(0), "{said}");
    let registered: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(registered["study"], 1);
    let agreement = registered["agreement"].as_str().unwrap().to_owned();

    as_on_the_page(scratch.path(), "Enrolling in something that was not read", &"00".repeat(32));
    as_on_the_page(scratch.path(), "Enrolling without having been invited", &agreement);
    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(60)).unwrap();
    assert!(outcome.orphans.is_empty(), "{:?}", outcome.orphans);
}
