//! The number of threads changes no bit of a training.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::data::demo;
use std::process::Command;

#[test]
fn a_study_has_the_same_bits_at_one_two_and_four_threads() {
    let dir = tempfile::tempdir().unwrap();
    demo::write(3, dir.path()).unwrap();
    let text = include_str!("../../examples/breast-cancer/study.toml")
        .replace("[16]\n", "[256, 64]\ndropout = 0.3\n")
        .replace("batch_size = 32", "batch_size = 140");
    let file = consilium_study::StudyFile::parse(&text).unwrap();
    std::fs::write(dir.path().join("spec.json"), file.spec().canonical().unwrap()).unwrap();
    let mut rules = file.rules(2_000, 4).unwrap();
    rules.max_rounds = 2;
    std::fs::write(dir.path().join("rules.json"), serde_json::to_vec(&rules).unwrap()).unwrap();
    let sites: Vec<_> = demo::SITES
        .iter()
        .zip(0..)
        .map(|((name, rows, _), n)| {
            let file = |end: &str| dir.path().join(format!("{name}.{end}"));
            serde_json::json!({
                "name": name, "id": format!("{n:02}").repeat(32), "secret": file("secret"), "samples": rows,
                "train": file("csv"), "test": null,
            })
        })
        .collect();
    std::fs::write(dir.path().join("sites.json"), serde_json::to_vec(&sites).unwrap()).unwrap();
    let run = |threads: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ml-worker"));
        command.env("RAYON_NUM_THREADS", threads).arg("compare");
        for name in ["spec", "rules"] {
            command.arg(format!("--{name}")).arg(dir.path().join(format!("{name}.json")));
        }
        command.arg("--sites").arg(dir.path().join("sites.json"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["simulated"]["rounds"].clone()
    };
    let one = run("1");
    assert_eq!(one.as_array().unwrap().len(), 3);
    assert_eq!(run("2"), one);
    assert_eq!(run("4"), one);
}
