//! `consilium study new` writes a study file that is one, and that its own table passes.
//!
//! The worker lies beside the command line: `cargo build --release --workspace --bins` makes both.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

fn consilium(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consilium")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn what_new_writes_passes_preflight_on_its_own_table() {
    let scratch = tempfile::tempdir().unwrap();
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/own-csv/north.csv");
    let made = scratch.path().join("made.csv");
    let row = |n: usize| format!("{n},P{n},{}.5,{},{}\n", 40 + n * 7 % 31, ["f", "m"][n % 2], ["B", "M"][n / 2 % 2]);
    fs::write(&made, format!("nr,name,age,sex,type\n{}", (0..200).map(row).collect::<String>())).unwrap();
    let cases: [(&str, &[&str]); 4] = [
        (own, &["--label", "admitted", "--group", "patient"]),
        (made.to_str().unwrap(), &["--label", "type", "--positive", "M"]),
        // a number, and the time until an event
        (made.to_str().unwrap(), &["--label", "age"]),
        (made.to_str().unwrap(), &["--time", "age", "--event", "type", "--positive", "M", "--cuts", "50,60"]),
    ];
    for (n, (data, more)) in cases.into_iter().enumerate() {
        let file = scratch.path().join(format!("study-{n}.toml"));
        let file = file.to_str().unwrap();
        let output = consilium(&[&["study", "new", "--data", data, "--out", file], more].concat());
        assert!(output.status.success(), "{}", said(&output));
        let worker = Path::new(env!("CARGO_BIN_EXE_consilium")).with_file_name("ml-worker");
        let looked = Command::new(worker).args(["preflight", "--study", file, "--data", data]).output().unwrap();
        assert!(looked.status.success(), "{}\n{}", said(&looked), fs::read_to_string(file).unwrap());
        let output = consilium(&["study", "validate", file, "--data", data, "--format", "json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&told["usable"], &told["sites"]), (&true.into(), &2.into()), "{told}");
        assert_eq!(told["spec_hash"].as_str().unwrap().len(), 64);
        // what is there is not overwritten
        let again = consilium(&[&["study", "new", "--data", data, "--out", file], more].concat());
        assert!(!again.status.success() && said(&again).contains("is there already"), "{}", said(&again));
    }
}

#[test]
fn what_new_chooses_by_a_name_it_says_and_an_option_turns_it_round() {
    let scratch = tempfile::tempdir().unwrap();
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/own-csv/north.csv");
    let new = |name: &str, more: &[&str]| {
        let file = scratch.path().join(name).to_str().unwrap().to_owned();
        let output =
            consilium(&[&["study", "new", "--data", own, "--label", "admitted", "--out", &file], more].concat());
        assert!(output.status.success(), "{}", said(&output));
        (said(&output), file)
    };
    let (told, file) = new("chosen.toml", &[]);
    for part in ["looked for is \"yes\"", "--positive no", "\"patient\"", "--group COLUMN", "--no-group"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let looked = consilium(&["study", "validate", &file, "--format", "json"]);
    let looked: Value = serde_json::from_slice(&looked.stdout).unwrap();
    assert_eq!(looked["group"], "patient", "{looked}");
    let words = said(&consilium(&["study", "validate", &file]));
    assert!(words.contains("rows of one “patient”"), "{words}");
    let (told, file) = new("said.toml", &["--positive", "no", "--no-group"]);
    assert!(!told.contains("--positive") && !told.contains("--group"), "{told}");
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("positive = \"no\"") && !text.contains("\ngroup = "), "{text}");
}

#[test]
fn what_is_missing_is_asked_for_by_its_option_where_nobody_is_at_a_terminal() {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/own-csv/north.csv");
    let bare = consilium(&["study", "new", "--data", own]);
    assert!(!bare.status.success() && said(&bare).contains("--label COLUMN"), "{}", said(&bare));
    // what the command line's parser says is followed by a line that can be typed
    for (line, example) in [
        (&["study", "fetch", "0"][..], "For example: consilium study fetch 0 --dir alder"),
        (&["report", "0"], "For example: consilium report 0 --dir alder"),
    ] {
        let bare = consilium(line);
        assert!(!bare.status.success() && said(&bare).contains(example), "{}", said(&bare));
    }
    let wrong = consilium(&["study", "new", "--data", own, "--label", "admited"]);
    assert!(
        !wrong.status.success() && said(&wrong).contains("no column \"admited\"; is \"admitted\" meant?"),
        "{}",
        said(&wrong)
    );
    let table = consilium(&["study", "validate", own]);
    assert!(!table.status.success() && said(&table).contains("this is a table"), "{}", said(&table));
}
