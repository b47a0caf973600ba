//! Bad input is refused in seconds, by name, and leaves nothing: no process, no socket, no file.

use super::STUDY;
use consilium_e2e::{still_listening, workspace, Outcome, Run};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

const SECONDS: Duration = Duration::from_secs(15);

fn demo_study() -> String {
    fs::read_to_string(workspace().join(STUDY)).unwrap()
}

fn localnet(scratch: &Path, study: &Path, more: &[&str]) -> Outcome {
    let out = scratch.join("out");
    let mut arguments = vec!["localnet", "run", "--study", study.to_str().unwrap(), "--out", out.to_str().unwrap()];
    arguments.extend_from_slice(more);
    let mut run = Run::start(scratch, &arguments).unwrap();
    let listened = run.listened(SECONDS).unwrap();
    let outcome = run.finish(SECONDS).unwrap();
    assert_eq!(still_listening(&listened), [], "a socket is left");
    outcome
}

/// What must hold of a refusal, the out folder's content apart.
fn says(outcome: &Outcome, names: &[&str]) {
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    for name in names {
        assert!(outcome.stderr.contains(name), "{name:?} is not named in:\n{}", outcome.stderr);
    }
    assert!(outcome.orphans.is_empty(), "left running: {:?}", outcome.orphans);
}

fn refused(outcome: &Outcome, scratch: &Path, names: &[&str]) {
    says(outcome, names);
    let left: Vec<_> = fs::read_dir(scratch.join("out")).map(|entries| entries.flatten().collect()).unwrap_or_default();
    assert!(left.is_empty(), "something was begun: {left:?}");
}

fn refuses_study(text: &str, names: &[&str]) {
    let scratch = tempfile::tempdir().unwrap();
    let study = scratch.path().join("study.toml");
    fs::write(&study, text).unwrap();
    refused(&localnet(scratch.path(), &study, &[]), scratch.path(), names);
}

/// Two sites with tables of their own, of which the one called north has this text; gives what was said.
fn refuses_table(table: &str, names: &[&str]) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let north = scratch.path().join("north.csv");
    fs::write(&north, table).unwrap();
    let sites = [format!("south={}", own("south.csv").display()), format!("north={}", north.display())];
    let outcome = localnet(scratch.path(), &own("study.toml"), &["--site", &sites[0], "--site", &sites[1]]);
    refused(&outcome, scratch.path(), &[names, &[north.to_str().unwrap()]].concat());
    outcome.stderr
}

/// A file of the example with tables of one's own.
fn own(file: &str) -> PathBuf {
    workspace().join("examples/own-csv").join(file)
}

#[test]
fn a_table_whose_rows_have_too_few_cells() {
    refuses_table("patient,age,crp,spo2,admitted\nP1,63.1,5,97,no\nP2,63.1,5,no\n", &["line 3", "4 cells"]);
}

#[test]
fn a_table_with_a_text_where_a_number_should_stand_which_is_not_repeated() {
    let said = refuses_table(
        "patient,age,crp,spo2,admitted\nP1,MARKER-63,5,97,no\nP2,63.1,5,97,yes\n",
        &["line 2", "column \"age\"", "not a number"],
    );
    assert!(!said.contains("MARKER"), "a cell's content is repeated: {said}");
}

#[test]
fn a_table_that_is_no_text() {
    refuses_table("PK\u{3}\u{4}\u{0}\u{1}no spreadsheet\n", &["begins as an Excel workbook", "save it there as CSV"]);
}

#[test]
fn a_table_without_the_label_column() {
    refuses_table("patient,age,crp,spo2\nP1,63.1,5,97\n", &["no column \"admitted\"", "its label"]);
}

#[test]
fn a_table_with_a_label_that_is_neither_class() {
    refuses_table("patient,age,crp,spo2,admitted\nP1,63.1,5,97,perhaps\n", &["line 2", "column \"admitted\"", "yes"]);
}

#[test]
fn a_table_whose_rows_are_all_of_one_class() {
    let rows: String = (0..60).map(|n| format!("P{n},{}.5,{n},97,no\n", 40 + n)).collect();
    refuses_table(&format!("patient,age,crp,spo2,admitted\n{rows}"), &["class"]);
}

#[test]
fn numbers_that_make_no_sense() {
    for (stands, wrong, names) in [
        ("hidden = [16]", "hidden = []", &["model.hidden"][..]),
        ("hidden = [16]", "hidden = [0]", &["model.hidden"]),
        ("hidden = [16]", "hidden = [1000000000]", &["model.hidden", "1000000000"]),
        ("hidden = [16]", "hidden = [65536, 65536]", &["model", "parameters"]),
        ("batch_size = 32", "batch_size = 0", &["training.batch_size"]),
        ("epochs = 2 ", "epochs = 0 ", &["training.epochs"]),
        ("learning_rate = 0.01", "learning_rate = -1.0", &["training.optimizer.learning_rate"]),
        ("validation_share = 0.3", "validation_share = 1.0", &["evaluation.validation_share"]),
        ("rounds = 10", "rounds = 0", &["rules.rounds"]),
        ("rounds = 10", "rounds = -3", &["rounds", "line"]),
        ("min_participants = 3", "min_participants = 5", &["rules.min_participants", "4 sites"]),
    ] {
        let study = demo_study();
        assert!(study.contains(stands), "{stands:?} is no longer in the demo's study file");
        refuses_study(&study.replace(stands, wrong), &[names, &["study.toml"]].concat());
    }
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
    let study = workspace().join(STUDY);
    let sites = ["--site", "north=/nonexistent/north.csv", "--site", "south=/nonexistent/south.csv"];
    refused(&localnet(scratch.path(), &study, &sites), scratch.path(), &["/nonexistent/north.csv"]);
}

#[test]
fn a_csv_without_the_columns_that_the_study_names() {
    let scratch = tempfile::tempdir().unwrap();
    let csv = scratch.path().join("north.csv");
    fs::write(&csv, "a,b\n1,2\n3,4\n").unwrap();
    let study = workspace().join(STUDY);
    let sites = ["north", "south", "west"].map(|name| format!("{name}={}", csv.display()));
    let outcome = localnet(scratch.path(), &study, &["--site", &sites[0], "--site", &sites[1], "--site", &sites[2]]);
    refused(&outcome, scratch.path(), &["north.csv"]);
}

#[test]
fn a_site_without_a_name() {
    let scratch = tempfile::tempdir().unwrap();
    let study = workspace().join(STUDY);
    refused(&localnet(scratch.path(), &study, &["--site", "north.csv"]), scratch.path(), &["north.csv", "NAME="]);
}

#[test]
fn one_site_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let csv = scratch.path().join("north.csv");
    fs::write(&csv, "a,b\n1,2\n").unwrap();
    let study = workspace().join(STUDY);
    let north = format!("north={}", csv.display());
    refused(&localnet(scratch.path(), &study, &["--site", &north]), scratch.path(), &["2 to 4 sites"]);
}

#[test]
fn a_busy_port() {
    let scratch = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    let study = workspace().join(STUDY);
    refused(&localnet(scratch.path(), &study, &["--rpc-port", &port]), scratch.path(), &[&port, "--rpc-port"]);
}

#[test]
fn a_folder_that_holds_something() {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(scratch.path().join("out")).unwrap();
    fs::write(scratch.path().join("out/precious"), "data").unwrap();
    let study = workspace().join(STUDY);
    says(&localnet(scratch.path(), &study, &[]), &["out", "empty"]);
    assert_eq!(fs::read_dir(scratch.path().join("out")).unwrap().count(), 1, "something was begun");
    assert_eq!(fs::read_to_string(scratch.path().join("out/precious")).unwrap(), "data");
}

#[test]
fn a_chain_specification_that_is_not_there_or_not_raw() {
    let scratch = tempfile::tempdir().unwrap();
    let study = workspace().join(STUDY);
    let nowhere = localnet(scratch.path(), &study, &["--runtime", "/nonexistent/spec.json"]);
    refused(&nowhere, scratch.path(), &["/nonexistent/spec.json"]);
    let readable = workspace().join("chain-specs/local.json");
    let readable = readable.to_str().unwrap();
    refused(&localnet(scratch.path(), &study, &["--runtime", readable]), scratch.path(), &[readable, "raw"]);
}

#[test]
fn binaries_that_are_not_there() {
    let scratch = tempfile::tempdir().unwrap();
    let study = workspace().join(STUDY);
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
