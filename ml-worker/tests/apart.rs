//! Rows to measure on that were trained on, and output that nobody reads.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_study::StudyFile;
use serde_json::{json, Value};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use support::{program, says};

const STUDY: &str =
    "title = \"t\"\n[data]\nfeatures = { columns = [\"x\", \"y\"] }\nlabel = \"ill\"\npositive = \"1\"\n\
    negative = \"0\"\n[model.logistic]\n[training]\noptimizer = { sgd = { learning_rate = 0.1 } }\nbatch_size = 8\n\
    epochs = 1\n[evaluation]\nvalidation_share = 0.3\n[rules]\nrounds = 2\ntraining_seconds = 1\n";

fn rows(from: usize, to: usize) -> String {
    let mut text = String::from("x,y,ill\n");
    for n in from..to {
        writeln!(text, "{}.5,{},{}", n % 17, n, u8::from(n % 3 == 0)).unwrap();
    }
    text
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let file = StudyFile::parse(STUDY).unwrap();
        folder.write("study.toml", STUDY);
        folder.write("spec.json", file.spec().canonical().unwrap());
        folder.write("rules.json", serde_json::to_vec(&file.rules(2_000, 2).unwrap()).unwrap());
        folder.write("secret", "31".repeat(32));
        for (name, from, to) in [
            ("a.csv", 0, 80),
            ("b.csv", 100, 180),
            ("apart.csv", 200, 240),
            ("shared.csv", 70, 90),
            ("within.csv", 10, 40),
        ] {
            folder.write(name, rows(from, to));
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn compare(&self, test: Option<&str>, held_out: Option<&str>) -> Output {
        let site = |name: &str, id: u8, test: Option<&str>| {
            json!({
                "name": name, "id": hex::encode([id; 32]), "secret": self.path("secret"), "samples": 10,
                "train": self.path(&format!("{name}.csv")), "test": test.map(|t| self.path(t)),
            })
        };
        self.write("sites.json", serde_json::to_vec(&[site("a", 1, test), site("b", 2, None)]).unwrap());
        let mut arguments: Vec<PathBuf> = vec!["compare".into()];
        for name in ["spec", "rules", "sites"] {
            arguments.extend([format!("--{name}").into(), self.path(&format!("{name}.json"))]);
        }
        if let Some(name) = held_out {
            arguments.extend(["--held-out".into(), self.path(name)]);
        }
        program(&arguments)
    }

    fn with_test(&self, command: &str, test: &str) -> Output {
        let mut arguments: Vec<PathBuf> = vec![command.into(), "--study".into(), self.path("study.toml")];
        arguments.extend(["--data".into(), self.path("a.csv"), "--test".into(), self.path(test)]);
        if command == "train" {
            arguments.extend(["--out".into(), self.path(&format!("model-{test}")), "--draws".into(), "0".into()]);
        }
        program(&arguments)
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_a_group_column_equal_rows_are_counted_and_refused_where_no_other_is_left() {
    let folder = Folder::new();
    for command in ["check", "train"] {
        let apart = folder.with_test(command, "apart.csv");
        assert!(apart.status.success() && !errors(&apart).contains("equal"), "{}", errors(&apart));
        let shared = folder.with_test(command, "shared.csv");
        let said = errors(&shared);
        assert!(
            shared.status.success() && said.contains("shared.csv: 10 of its 20 rows are equal to rows of"),
            "{said}"
        );
        let within = folder.with_test(command, "within.csv");
        let said = errors(&within);
        assert!(!within.status.success() && said.contains("within.csv: each of its 30 rows is in"), "{said}");
    }
    let tested = folder.compare(Some("shared.csv"), None);
    let found: Value = serde_json::from_slice(&tested.stdout).unwrap();
    assert!(found["notes"][0].as_str().unwrap().contains("10 of its 20 rows are equal"), "{found}");
    assert!(!folder.compare(Some("within.csv"), None).status.success());
}

#[test]
fn rows_held_out_from_everyone_are_compared_with_every_sites() {
    let folder = Folder::new();
    assert!(folder.compare(None, Some("apart.csv")).status.success());
    // in the first site's file, and in the second one's
    for (from, to, site) in [(70, 100, "a.csv"), (95, 105, "b.csv")] {
        folder.write("common.csv", rows(from, to));
        let output = folder.compare(None, Some("common.csv"));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let note = found["notes"][0].as_str().unwrap();
        assert!(note.contains("common.csv: ") && note.contains(site), "{note}");
        assert!(found["tables"].as_str().unwrap().contains(note), "people read it, too");
    }
    let said = errors(&folder.compare(None, Some("b.csv")));
    assert!(said.contains("each of its 80 rows is in"), "{said}");
    // and patients, where the study knows them
    let grouped = STUDY.replace("negative = \"0\"\n", "negative = \"0\"\ngroup = \"who\"\n");
    folder.write("spec.json", StudyFile::parse(&grouped).unwrap().spec().canonical().unwrap());
    let with_who = |from, to, first: usize| -> String {
        let rows = rows(from, to);
        let who = rows.lines().enumerate().map(|(n, line)| match n {
            0 => format!("{line},who\n"),
            n => format!("{line},PATIENT{}\n", n + first),
        });
        who.collect()
    };
    folder.write("a.csv", with_who(0, 80, 0));
    folder.write("b.csv", with_who(100, 180, 1_000));
    folder.write("common.csv", with_who(300, 330, 1_079));
    let said = errors(&folder.compare(None, Some("common.csv")));
    assert!(said.contains("b.csv") && said.contains("rows of the same \"who\" are in both"), "{said}");
    assert!(!said.contains("PATIENT"), "{said}");
    // patients of two sites are counted, and stop nothing
    folder.write("b.csv", with_who(100, 180, 75));
    let found: Value = serde_json::from_slice(&folder.compare(None, None).stdout).unwrap();
    let note = found["notes"][0].as_str().unwrap();
    assert!(note.starts_with("5 values of \"who\" are at more than one site (a, b)"), "{note}");
    folder.write("b.csv", with_who(100, 180, 1_000));
    let found: Value = serde_json::from_slice(&folder.compare(None, None).stdout).unwrap();
    assert_eq!(found["notes"], json!([]), "{found}");
}

/// What the program ends with when its reader goes away after one byte.
fn cut_off(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ml-worker"))
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), errors(&output))
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = Folder::new();
    let dir = folder.0.path();
    let trained = ["train", "--study", "study.toml", "--data", "a.csv", "--out", "model"];
    says(&trained.map(|word| {
        if word.contains('.') || word == "model" {
            dir.join(word).display().to_string()
        } else {
            word.to_owned()
        }
    }));
    let mut all = String::from("site,x,y,ill\n");
    for (n, line) in rows(0, 120).lines().skip(1).enumerate() {
        writeln!(all, "{},{line}", ["north", "south"][n % 2]).unwrap();
    }
    folder.write("all.csv", all);
    for arguments in [
        &["train", "--study", "study.toml", "--data", "a.csv", "--out", "again"][..],
        &["inspect", "--study", "study.toml"],
        &["inspect", "--model", "model"],
        &["predict", "--model", "model", "--data", "b.csv"],
        &["evaluate", "--model", "model", "--data", "b.csv", "--draws", "10"],
        &["preflight", "--study", "study.toml", "--data", "a.csv"],
        &["check", "--study", "study.toml", "--data", "a.csv"],
        &["columns", "--data", "a.csv", "--named", "ill"],
        &["purge", "--dir", "."],
        &["demo-data", "--out", "demo"],
        &[
            "table",
            "--study",
            "study.toml",
            "--data",
            "all.csv",
            "--site-column",
            "site",
            "--held-out",
            "20",
            "--seeds",
            "1",
        ],
    ] {
        let (code, said) = cut_off(dir, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("error"), "{arguments:?}: {said}");
    }
}
