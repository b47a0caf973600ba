//! `ml-worker table` on a table of one's own, through the built program.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const STUDY: &str = r#"
title = "Made up"
[data]
features = { columns = ["a", "b", "c"] }
label = "ill"
positive = "yes"
negative = "no"
group = "patient"
scaling = "swarm"
[model.logistic]
[training]
optimizer = { adam = { learning_rate = 0.1 } }
batch_size = 16
epochs = 2
[evaluation]
validation_share = 0.25
[rules]
rounds = 3
training_seconds = 1
"#;

/// 240 patients at three sites; the label follows from `a`, `b` and some noise.
fn table() -> String {
    let mut state = 7u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % 2_001) as f64 / 1_000.0 - 1.0
    };
    let mut text = "patient;clinic;a;b;c;ill\n".to_owned();
    for n in 0..240 {
        let (a, b, c, noise) = (draw(), draw(), draw(), draw());
        let site = ["north", "south", "west"][n % 3];
        let ill = if a - b + noise / 2.0 > 0.0 { "yes" } else { "no" };
        text += &format!("p{n};{site};{a:.3};{b:.3};{c:.3};{ill}\n").replace('.', ",");
    }
    text
}

fn run(folder: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ml-worker"))
        .current_dir(folder)
        .env("TMPDIR", folder.join("tmp"))
        .args(["table", "--study", "study.toml", "--data", "all.csv"])
        .args(if more.contains(&"--seeds") { &[][..] } else { &["--seeds", "2"][..] })
        .args(more)
        .output()
        .unwrap()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("study.toml"), STUDY).unwrap();
    fs::write(folder.path().join("all.csv"), table()).unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    folder
}

#[test]
fn a_table_of_all_sites_is_run_over_seeds() {
    let folder = folder();
    let options = ["--site-column", "clinic", "--held-out", "60", "--json", "lines.json"];
    let out = run(folder.path(), &options);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(text.contains("on 60 held-out rows"), "{text}");
    assert!(text.contains("3 sites train on"), "{text}");
    // 60 rows at a site, of which a quarter validates: too few at each site, enough in one place
    assert!(text.contains("swarm 2 of 2, central 0 of 2, local 6 of 6"), "{text}");
    assert!(text.contains("no interval: fewer than ten seeds"), "{text}");
    let lines = fs::read_to_string(folder.path().join("lines.json")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    let aucs: Vec<f64> = lines.iter().map(|line| line["swarm"]["held_out"]["auc"].as_f64().unwrap()).collect();
    assert!(aucs.iter().all(|auc| *auc > 0.8) && aucs[0] != aucs[1], "{aucs:?}");
    for line in &lines {
        let local = line["local"].as_array().unwrap();
        let rows = |arm: &Value| arm["training_rows"].as_u64().unwrap();
        assert_eq!(
            local.iter().map(|arm| arm["name"].as_str().unwrap()).collect::<Vec<_>>(),
            ["north", "south", "west"]
        );
        assert_eq!(local.iter().map(rows).sum::<u64>(), rows(&line["central"]));
        assert_eq!(local[0]["choice"]["too_few"], true);
        assert_eq!(line["held_out"][0], 60);
    }
    let mean = aucs.iter().sum::<f64>() / 2.0;
    assert!(text.contains(&format!("swarm AUC: mean {mean:.4}")), "{text}");
    // the same again, and other sites when they are dealt anew
    assert_eq!(String::from_utf8(run(folder.path(), &options).stdout).unwrap(), text);
    let dealt = run(folder.path(), &[&options[..4], &["--deal"]].concat());
    assert!(dealt.status.success());
    assert_ne!(String::from_utf8(dealt.stdout).unwrap(), text);
    assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn rows_of_a_study_without_patients_that_are_there_twice_are_counted() {
    let folder = folder();
    fs::write(folder.path().join("study.toml"), STUDY.replace("group = \"patient\"\n", "")).unwrap();
    let text = table();
    // three of the first rows once more
    let again: String = text.lines().skip(1).take(3).map(|line| format!("{line}\n")).collect();
    for (text, said) in [(text.clone() + &again, true), (text, false)] {
        fs::write(folder.path().join("all.csv"), text).unwrap();
        let out = run(folder.path(), &["--site-column", "clinic", "--held-out", "60", "--seeds", "1"]);
        let errors = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{errors}");
        assert_eq!(errors.contains("all.csv: 3 of its 243 rows are equal to an earlier one"), said, "{errors}");
    }
}

#[test]
fn what_cannot_be_run_is_named() {
    let folder = folder();
    let refused = |more: &[&str], words: &str| {
        let out = run(folder.path(), more);
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && error.contains(words), "{more:?}: {error}");
    };
    refused(&["--site-column", "clinic"], "--held-out");
    refused(&["--held-out", "60"], "--site-column");
    refused(&["--site-column", "ward", "--held-out", "60"], "all.csv: has no column \"ward\" that names the site");
    refused(&["--site-column", "a", "--held-out", "60"], "the study reads it otherwise");
    refused(&["--site-column", "clinic", "--held-out", "240"], "240 are to be held out, of 240");
    // of one class there is no AUC
    refused(&["--site-column", "clinic", "--held-out", "1"], "the 1 held-out rows are all of one class");
    fs::write(folder.path().join("all.csv"), table().replacen("p17;", "p18;", 1)).unwrap();
    refused(&["--site-column", "clinic", "--held-out", "60"], "row 19: a patient's rows stand at two sites");
}
