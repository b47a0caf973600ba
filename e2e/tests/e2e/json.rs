//! What commands print for programs: each document has the keys of `docs/json.md` and no others, on a network with a finished study, one
//! that enrols, and a motion.

use super::STUDY;
use consilium_e2e::{
    bin_dir, free_port,
    schema::{documented, schemas, Schema},
    workspace, Run,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Sections whose commands take a network of another kind, and the tests that compare them there.
const ELSEWHERE: [(&str, &str); 9] = [
    ("consilium study watch", "cli/src/study/watch/tests.rs"),
    ("consilium study accept", "e2e/tests/e2e/liars.rs"),
    ("consilium budget show", "e2e/tests/e2e/private.rs"),
    ("consilium budget audit", "e2e/tests/e2e/private.rs"),
    ("consilium upgrade apply", "e2e/tests/e2e/story.rs"),
    ("consilium recover propose", "e2e/tests/e2e/lost.rs"),
    ("consilium recover sign", "e2e/tests/e2e/lost.rs"),
    ("consilium recover show", "e2e/tests/e2e/lost.rs"),
    ("consilium recover send", "e2e/tests/e2e/lost.rs"),
];

/// A document has the keys of its section, and no others.
#[track_caller]
pub fn fits(section: &str, document: &Value) {
    documented(section).unwrap().check(document).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_takes_another_network_is_compared_where_there_is_one() {
    for (section, file) in ELSEWHERE {
        let text = fs::read_to_string(workspace().join(file)).unwrap();
        assert!(text.contains(&format!("\"{section}\"")), "{file} does not compare {section}");
    }
}

/// Sections of the page, and which of them were compared.
struct Page {
    schemas: BTreeMap<String, Schema>,
    compared: RefCell<BTreeSet<String>>,
}

impl Page {
    fn read() -> Self {
        let schemas = schemas(&workspace().join("docs/json.md")).unwrap();
        Self { schemas, compared: RefCell::default() }
    }

    fn check(&self, section: &str, document: &Value) {
        let schema = self.schemas.get(section).unwrap_or_else(|| panic!("{section}: no such section"));
        schema.check(document).unwrap_or_else(|error| panic!("{error}"));
        self.compared.borrow_mut().insert(section.to_owned());
    }

    /// Compares what a command prints, and gives it.
    fn says(&self, section: &str, dir: &Path, arguments: &[&str]) -> Value {
        let mut command = Command::new(bin_dir().unwrap().join("consilium"));
        command.args(arguments).args(["--format", "json"]).current_dir(dir).stdin(Stdio::null());
        let output = command.output().unwrap();
        let document = serde_json::from_slice(&output.stdout);
        let document =
            document.unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
        self.check(section, &document);
        document
    }
}

#[test]
fn what_is_printed_for_programs_has_the_keys_of_the_page() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let out = dir.join("out");
    let port = free_port().unwrap().to_string();
    let url = format!("ws://127.0.0.1:{port}");
    let arguments = ["localnet", "run", "--study", STUDY, "--out", out.to_str().unwrap(), "--rounds", "3", "--keep"];
    let mut run = Run::start(dir, &[&arguments[..], &["--rpc-port", &port, "--format", "json"]].concat()).unwrap();
    run.until(Duration::from_secs(600), |run| run.said().contains("the network keeps running")).unwrap();

    let page = Page::read();
    let says = |section: &str, arguments: &[&str]| page.says(section, dir, arguments);
    page.check("consilium localnet run", &serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap());
    let (a, b) = ("out/hospital-a", "out/hospital-b");
    let (north, blobs) = (workspace().join("examples/own-csv/north.csv"), "out/hospital-a/blobs");
    let north = north.to_str().unwrap();

    // what was finished
    says("consilium study N", &["study", "0", "--dir", a]);
    says("consilium late N", &["late", "0", "--url", &url]);
    assert_eq!(says("consilium audit", &["audit", "0", "--url", &url, "--blobs", blobs])["exit_code"], 0);
    says("consilium export N", &["export", "0", "--url", &url, "--blobs", blobs, "--out", "study.tar"]);
    let of_node = says("consilium authorities", &["authorities", "--dir", a, "--out", "authorities.json"]);
    assert_eq!(of_node["authorities"].as_array().unwrap().len(), 4);
    assert_eq!(says("consilium authorities", &["authorities", "--archive", "study.tar"]), of_node);
    let trusted = ["audit", "--archive", "study.tar", "--trust-authorities", "authorities.json"];
    assert_eq!(says("consilium audit", &trusted)["rests_on"]["trust"], "authorities");
    says("consilium study fetch", &["study", "fetch", "0", "--dir", a, "--out", "model"]);
    says("consilium study reasons", &["study", "reasons", "0", "--round", "2", "--dir", a]);
    says("consilium report N", &["report", "0", "--dir", a]);
    let figures = says("consilium study figures", &["study", "figures", "0", "--dir", a, "--out", "figures.json"]);
    assert_eq!(figures["signed"]["study"], 0, "{figures:#}");

    // one that enrols
    let file = workspace().join("examples/own-csv/study.toml");
    let register =
        ["study", "register", file.to_str().unwrap(), "--invite", "hospital-a", "--invite", "hospital-b", "--dir", a];
    let agreement = says("consilium study register", &register)["agreement"].as_str().unwrap().to_owned();
    let enrol = ["study", "enrol", "1", "--agreement", &agreement, "--data", north, "--dir", b, "--yes"];
    assert_eq!(says("consilium study enrol", &enrol)["done"], "enrolled");
    let enrolling = says("consilium study N", &["study", "1", "--dir", b]);
    assert_eq!(enrolling["waiting"]["sites"].as_array().unwrap().len(), 2);
    assert_eq!(says("consilium studies", &["studies", "--dir", b]).as_array().unwrap().len(), 2);

    // the consortium
    let set = ["profile", "set", "Universitätsklinikum\nstudies@a.example", "--dir", a];
    assert_eq!(says("consilium profile set", &set)["institution"], "hospital-a");
    let shown = says("consilium profile show", &["profile", "show", "hospital-a", "--dir", b]);
    assert_eq!(shown[0]["profile"], "Universitätsklinikum\nstudies@a.example");
    let all = says("consilium institutions", &["institutions", "--dir", b]);
    assert!(all.as_array().unwrap().iter().any(|it| it["profile"] == shown[0]["profile"]));
    says("consilium addresses set", &["addresses", "set", "--none", "--dir", a]);
    says("consilium propose", &["propose", "flags", "hospital-d", "--participant", "no", "--dir", a]);
    assert_eq!(says("consilium motions", &["motions", "--url", &url])["open"].as_array().unwrap().len(), 1);
    assert_eq!(says("consilium motions N", &["motions", "0", "--url", &url])["needed"], 3);
    assert_eq!(says("consilium propose", &["vote", "0", "aye", "--dir", b])["ayes"], 2);
    let decided = says("consilium propose", &["vote", "0", "aye", "--dir", "out/hospital-c"]);
    assert!(decided["outcome"].is_string(), "{decided}");
    assert_eq!(says("consilium motions", &["motions", "--url", &url])["decided"].as_array().unwrap().len(), 1);
    assert!(says("consilium motions N", &["motions", "0", "--url", &url])["outcome"].is_string());
    says("consilium upgrade status", &["upgrade", "status", "--url", &url]);

    // a data set's budget
    let of = |what: &str, more: &[&str]| {
        let limit = [&["budget", what, "oncology-2026", "--dir", a, "--epsilon"][..], more].concat();
        says("consilium budget declare", &limit)["limit_micro"].as_u64()
    };
    assert_eq!(of("declare", &["8", "--unit", "patient"]), Some(8_000_000));
    assert_eq!(of("lower", &["6"]), Some(6_000_000));
    assert_eq!(of("raise", &["9"]), Some(9_000_000));

    // what an institution does with its own keys, and leaving
    let d = "out/hospital-d";
    assert_eq!(says("consilium rotate session", &["rotate", "session", "--dir", d])["used"], true);
    says("consilium rotate node", &["rotate", "node", "--dir", d]);
    assert_eq!(says("consilium leave", &["leave", "hospital-d", "--dir", d])["done"], "left");

    // a study file
    let looked = says("consilium study validate", &["study", "validate", file.to_str().unwrap(), "--data", north]);
    assert_eq!(looked["usable"], true);

    // folders and cards
    says("consilium up --status", &["up", "--status", "--dir", a]);
    assert!(says("consilium doctor", &["doctor", "--dir", a])["lines"].as_array().unwrap().len() > 5);
    says("consilium card", &["card", a]);
    let found =
        ["found", "--consortium", "local", "--cards", "out/cards", "--out", "again.json", "--private-addresses"];
    says("consilium found", &found);
    let elsewhere = |section: &String| ELSEWHERE.iter().any(|(other, _)| other == section);
    let compared = page.compared.borrow();
    let missed: Vec<&String> =
        page.schemas.keys().filter(|section| !compared.contains(*section) && !elsewhere(section)).collect();
    assert!(missed.is_empty(), "sections of the page that nothing was compared with: {missed:?}");

    run.signal(Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(60)).unwrap();
    assert!(outcome.status.success() && outcome.orphans.is_empty(), "{}", outcome.stderr);
}
