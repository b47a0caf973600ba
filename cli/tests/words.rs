//! Words that promise more than anything here keeps stand in no page, message or log.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is never said. Whoever wants to say such a thing says what holds, for whom, and until when.
const NEVER: [&str; 11] = [
    "anonymous",
    "anonymis",
    "anonymiz",
    "de-identif",
    "deidentif",
    "cannot be traced",
    "privacy-preserving",
    "guarantees privacy",
    "tamper-proof",
    "trustless",
    "secure by design",
];

/// Files of these endings, below a folder.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, endings, found);
        } else if path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| endings.contains(&ending)) {
            found.push(path);
        }
    }
}

/// A text with its lines joined, so that no word hides behind the end of one.
fn joined(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.trim().trim_end_matches('\\').trim_end()).collect();
    lines.join(" ").replace("- ", "-").to_lowercase()
}

/// Those of the words that stand in a text.
fn said(text: &str) -> Vec<&'static str> {
    let plain = joined(text);
    NEVER.into_iter().filter(|word| plain.contains(*word)).collect()
}

#[test]
fn no_page_no_message_and_no_log_says_more_than_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    files(&root.join("docs"), &["md"], &mut all);
    for room in [
        "aggregation",
        "cli",
        "dashboard",
        "founding",
        "ml-worker",
        "node",
        "pallets",
        "primitives",
        "privacy",
        "program",
        "runtime",
        "study",
    ] {
        let room = root.join(room);
        let source = room.join("src");
        let endings = ["rs", "ts", "tsx", "js", "css", "html", "toml"];
        if source.is_dir() {
            files(&source, &endings, &mut all);
        } else {
            // rooms in rooms
            for inner in fs::read_dir(&room).unwrap().flatten().filter(|inner| inner.path().join("src").is_dir()) {
                files(&inner.path().join("src"), &endings, &mut all);
            }
        }
    }
    assert!(all.len() > 400, "{} files", all.len());
    for path in all {
        let words = said(&fs::read_to_string(&path).unwrap());
        assert!(words.is_empty(), "{}: {words:?}: say what holds, for whom, and until when", path.display());
    }
}

#[test]
fn a_word_is_found_in_whatever_case_and_over_the_end_of_a_line() {
    assert_eq!(said("fully Anonymised data"), ["anonymis"]);
    assert_eq!(said("a \"privacy-\\\n   preserving\" way"), ["privacy-preserving"]);
    assert_eq!(said("it is secure by\ndesign"), ["secure by design"]);
    assert!(said("each patient is promised ε 4").is_empty());
}
