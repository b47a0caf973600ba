//! The lines of the page on a model of one's own, as they are written, with its trainer in scikit-learn.

use crate::tutorial::run;
use consilium_e2e::workspace;
use serde_json::Value;
use std::{fs, os::unix::fs::symlink};

/// A page's blocks in one language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    page.split(begin.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn a_model_in_scikit_learn_and_two_tables_become_a_certified_model_by_the_page_s_lines() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let page = fs::read_to_string(workspace().join("docs/own-model.md")).unwrap();
    let environment = workspace().join("e2e/merges/.venv");
    assert!(environment.exists(), "{} is missing: scripts/setup.sh tests makes it", environment.display());
    symlink(workspace().join("examples"), dir.join("examples")).unwrap();
    symlink(environment, dir.join("venv")).unwrap();
    let trainers = blocks(&page, "python");
    assert_eq!(trainers.len(), 2, "one in PyTorch, one in scikit-learn");
    assert!(trainers.iter().all(|trainer| trainer.lines().count() <= 40), "at most forty lines each");
    let lines = blocks(&page, "sh");
    assert_eq!(lines.len(), 7, "{lines:?}");
    let mut said = Vec::new();
    for block in &lines {
        said.push(run(dir, block));
        if block.contains("trainer new") {
            fs::write(dir.join("code/trainer.py"), trainers[1]).unwrap();
        }
    }
    let told = |holds: &str| &said[lines.iter().position(|block| block.contains(holds)).unwrap()];
    assert!(told("study validate").contains("the study can train on it"), "{}", told("study validate"));
    assert!(told("trainer check").contains("all that the worker will ask of it"), "{}", told("trainer check"));
    let run = told("localnet run");
    assert!(run.contains("Certificate in finalised block") && run.contains("2 of 2 hold it"), "{run}");
    let report: Value = serde_json::from_slice(&fs::read(dir.join("run/report.json")).unwrap()).unwrap();
    let names: Vec<&str> =
        report["sites"].as_array().unwrap().iter().map(|site| site["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["north", "south"]);
    assert!(told("ml-worker evaluate").contains("188"), "{}", told("ml-worker evaluate"));
    let predictions = fs::read_to_string(dir.join("predictions.csv")).unwrap();
    assert_eq!(predictions.trim().lines().count(), 189, "a header, and a row for each visit");
}
