//! The page of `consilium dashboard`: in a headless Chromium beside a running network, from proposal to certificate, and with the
//! largest consortium that there can be. Screenshots stay in TARGET/test-logs/dashboard.

use super::STUDY;
use consilium_e2e::{bin_dir, workspace, Run};
use nix::sys::signal::Signal;
use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A program that is killed when nobody needs it any more.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // an error says that it has ended already
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn shots(name: &str) -> PathBuf {
    let folder = bin_dir().unwrap().parent().unwrap().join("test-logs/dashboard").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn node(script: &str, arguments: &[&str]) -> String {
    let folder = workspace().join("dashboard");
    assert!(
        folder.join("node_modules").exists(),
        "{}/node_modules is missing: scripts/setup.sh tests makes it",
        folder.display()
    );
    let output = Command::new("node").current_dir(&folder).arg(script).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{script}:\n{said}");
    said
}

/// Starts the page of a folder, and gives its address.
fn dashboard(dir: &Path) -> (Served, String) {
    let mut command = Command::new(bin_dir().unwrap().join("consilium"));
    command.arg("dashboard").arg("--dir").arg(dir).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut served = Served(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(served.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:")).unwrap().to_owned();
    (served, address)
}

#[test]
fn the_page_follows_a_study_from_proposal_to_certificate_and_asks_no_other_host() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let arguments = ["localnet", "run", "--study", STUDY, "--rounds", "40", "--keep", "--out", out.to_str().unwrap()];
    let mut run = Run::start(scratch.path(), &arguments).unwrap();
    // before its node answers
    let folder = out.join("hospital-a");
    run.until(Duration::from_secs(120), |_| folder.join("chain.json").exists()).unwrap();
    let (served, address) = dashboard(&folder);
    let said = node("test/live.mjs", &[&address, shots("live").to_str().unwrap()]);
    eprintln!("{said}");
    drop(served);
    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(30)).unwrap();
    assert!(outcome.orphans.is_empty(), "{:?}", outcome.orphans);
}

#[test]
fn the_page_stays_usable_with_the_largest_consortium_and_shows_names_as_text() {
    eprintln!("{}", node("test/large.mjs", &[shots("large").to_str().unwrap()]));
}

#[test]
fn the_page_says_who_is_missing_and_is_whole_for_a_browser_that_looks_once() {
    eprintln!("{}", node("test/missing.mjs", &[shots("missing").to_str().unwrap()]));
}

#[test]
fn the_page_is_served_to_this_machine_alone_from_an_institution_s_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let output =
            Command::new(bin_dir().unwrap().join("consilium")).arg("dashboard").args(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let nowhere = scratch.path().join("nowhere");
    assert!(refused(&["--dir", nowhere.to_str().unwrap()]).contains("consilium init"));
    let empty = refused(&["--dir", scratch.path().to_str().unwrap()]);
    assert!(empty.contains("consilium.toml"), "{empty}");
    let dir = scratch.path().join("alder");
    let init = ["init", "--consortium", "x", "--name", "Alder", "--address", "/ip4/127.0.0.1/tcp/30333", "--dir"];
    assert!(Command::new(bin_dir().unwrap().join("consilium")).args(init).arg(&dir).output().unwrap().status.success());
    let dir = dir.to_str().unwrap();
    let open = refused(&["--dir", dir, "--listen", "0.0.0.0:8800"]);
    assert!(open.contains("other machines could reach") && open.contains("ssh -L"), "{open}");
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = refused(&["--dir", dir, "--listen", &busy.local_addr().unwrap().to_string()]);
    assert!(taken.contains("Give another port"), "{taken}");
    let report = refused(&["--dir", dir, "--report", "none.json"]);
    assert!(report.contains("--report none.json"), "{report}");
}
