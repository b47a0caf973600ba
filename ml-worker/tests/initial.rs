//! A network of this program that goes on from the model of a finished study.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_aggregation::blob_hash;
use consilium_primitives::DutyKind;
use consilium_study::StudyFile;
use std::fs;
use support::{demo_csv, program, root, says, Lab};

/// The demo's study, of rows that each site scales by its own, with this line above all tables.
fn study(line: &str) -> String {
    include_str!("../../examples/breast-cancer/study.toml")
        .replace("scaling = \"swarm\"", "scaling = \"site\"")
        .replace("seed = 1\n", &format!("seed = 1\n{line}\n"))
}

#[test]
fn a_study_goes_on_from_the_model_of_an_earlier_one_at_a_desk_and_at_a_worker() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // words that begin so are files of the folder
    let words = |line: &str| -> Vec<String> {
        let word = |word: &str| match word.strip_prefix("./") {
            Some(file) => at(file).display().to_string(),
            None => word.to_owned(),
        };
        line.split(' ').map(word).collect()
    };
    fs::write(at("data.csv"), demo_csv(0)).unwrap();
    fs::write(at("first.toml"), study("")).unwrap();
    says(&words("train --study ./first.toml --data ./data.csv --rounds 2 --out ./first"));
    let model = fs::read(at("first/model.safetensors")).unwrap();

    let said = String::from_utf8(says(&words("trainer describe ./first/model.safetensors"))).unwrap();
    let line = said.lines().find(|line| line.starts_with("initial = { root = ")).expect(&said);
    let second = study(line);
    fs::write(at("second.toml"), &second).unwrap();
    let train = "train --study ./second.toml --data ./data.csv --rounds 1 --out ./second";
    let refused = |line: &str| {
        let output = program(&words(line));
        assert!(!output.status.success() && !at("second").exists(), "{line}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(train).contains("not at hand"));
    assert!(refused(&format!("{train} --initial ./data.csv")).contains("not the one"));
    says(&words(&format!("{train} --initial ./first/model.safetensors")));
    let next = fs::read(at("second/model.safetensors")).unwrap();
    // where one round from its own seed ends elsewhere
    says(&words("train --study ./first.toml --data ./data.csv --rounds 1 --out ./alone"));
    assert!(next != model && next != fs::read(at("alone/model.safetensors")).unwrap());

    // a worker attests the file itself, to the byte
    let lab = Lab::with(&demo_csv(0), StudyFile::parse(&second).unwrap().spec());
    lab.blobs().put(&model).unwrap();
    assert_eq!(root(lab.done(&lab.order(DutyKind::Init, 0, None, None))), blob_hash(&model));
}
