//! What people are told who wait for a final block while finality stands, and that they get what they wait for once it moves.

use super::STUDY;
use consilium_e2e::{bin_dir, free_port, Run};
use nix::sys::signal::{kill, Signal};
use std::{
    fs::{self, File},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

#[test]
fn who_exports_or_audits_while_finality_stands_is_told_so_and_the_archive_comes_when_it_moves() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let port = free_port().unwrap().to_string();
    let url = format!("ws://127.0.0.1:{port}");
    let arguments = ["localnet", "run", "--study", STUDY, "--out", out.to_str().unwrap(), "--rounds", "1", "--keep"];
    let mut run = Run::start(scratch.path(), &[&arguments[..], &["--rpc-port", &port]].concat()).unwrap();
    run.until(Duration::from_secs(600), |run| run.said().contains("the network keeps running")).unwrap();
    let away = ["hospital-c", "hospital-d"].map(|site| run.find("consilium-node", site).unwrap());
    away.iter().for_each(|node| kill(*node, Signal::SIGSTOP).unwrap());
    // two of four still make blocks, and finalise none; ten seconds of that are told
    sleep(Duration::from_secs(14));

    let blobs = out.join("hospital-a/blobs");
    let of = |what: &[&str]| {
        let mut command = Command::new(bin_dir().unwrap().join("consilium"));
        command.args(what).arg("--blobs").arg(&blobs).args(["--url", &url]).stdin(Stdio::null());
        command
    };
    let audit = of(&["audit", "0"]).output().unwrap();
    let said = String::from_utf8_lossy(&audit.stderr).into_owned();
    assert_eq!(audit.status.code(), Some(0), "{said}");
    assert!(said.starts_with("note: final is block ") && said.contains("the newest that is final"), "{said}");

    let (archive, told) = (scratch.path().join("study.tar"), scratch.path().join("told"));
    let mut export = of(&["export", "0", "--out", archive.to_str().unwrap()]);
    let mut export = export.stdout(Stdio::null()).stderr(File::create(&told).unwrap()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let words = "waiting for a final block, for 3 s now: final is block ";
    while !fs::read_to_string(&told).unwrap().contains(words) {
        assert!(Instant::now() < until, "{}", fs::read_to_string(&told).unwrap());
        sleep(Duration::from_millis(100));
    }
    assert!(!archive.exists());
    away.iter().for_each(|node| kill(*node, Signal::SIGCONT).unwrap());
    assert!(export.wait().unwrap().success(), "{}", fs::read_to_string(&told).unwrap());
    assert!(archive.exists());
    run.signal(Signal::SIGINT).unwrap();
    assert!(run.finish(Duration::from_secs(60)).unwrap().orphans.is_empty());
}
