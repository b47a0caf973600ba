//! What the docs name is there: a file of this repository that was moved or split is named where it lies now, a test by its name, and a
//! setting of the book where mdBook looks for it.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Kinds of files that the docs name as ours; others, as `node/courier/egress.log`, are those of an institution's folder.
const OURS: [&str; 9] = ["rs", "py", "sh", "toml", "md", "json", "ts", "tsx", "mjs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// README and all pages of `docs/`.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    pages.push(root().join("README.md"));
    pages
}

/// The paths of this repository among what stands between backquotes.
fn named(text: &str) -> Vec<&str> {
    let plain = |c: char| c.is_alphanumeric() || "_./-".contains(c);
    let ours = |path: &Path| path.extension().and_then(|kind| kind.to_str()).is_some_and(|kind| OURS.contains(&kind));
    let top = |path: &Path| path.iter().next().is_some_and(|first| root().join(first).is_dir());
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|span| span.contains('/') && span.chars().all(plain) && ours(Path::new(span)) && top(Path::new(span)))
        .collect()
}

/// All sources in Rust below a folder, but what was built or installed.
fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && !["target", "node_modules", "dist"].contains(&name.as_str()) {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// The tests that a row of the page for security officers names, in its last column; none where a line is no row.
fn tests_of(line: &str) -> Option<Vec<&str>> {
    let last = line.strip_prefix("| ")?.trim_end().trim_end_matches('|').rsplit('|').next()?;
    let plain = |name: &&str| {
        name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    Some(last.split('`').skip(1).step_by(2).filter(plain).collect())
}

#[test]
fn each_row_for_security_officers_names_a_test_that_is_there_or_says_that_there_is_none() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let mut all = String::new();
    sources(&root(), &mut all);
    let mut count = 0;
    for line in page.lines() {
        let Some(names) = tests_of(line) else { continue };
        let head = line.trim_end().ends_with("| test |");
        assert!(head || !names.is_empty() || line.trim_end().ends_with("| none can |"), "no test is named: {line}");
        for name in names {
            let place = all.find(&format!("fn {name}("));
            let place = place.unwrap_or_else(|| panic!("there is no test {name}"));
            // its attribute stands on the lines before it
            let before: Vec<&str> = all[..place].lines().rev().take(6).collect();
            assert!(
                before.iter().any(|line| line.contains("test]") || line.contains("#[tokio::test")),
                "{name} is no test"
            );
            count += 1;
        }
    }
    assert!(count > 60, "only {count} were found");
}

#[test]
fn files_that_the_docs_name_are_there() {
    let (mut count, mut missing) = (0, Vec::new());
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        // what is quoted line by line has marks of its own
        for line in text.lines().filter(|line| !line.starts_with("```")) {
            for path in named(line) {
                count += 1;
                if !root().join(path).exists() {
                    missing.push(format!("{}: {path}", page.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(count > 30, "only {count} were found");
}

#[test]
fn a_file_that_was_moved_is_found_out() {
    let named = named(
        "see `ml-worker/tests/layers.rs`, `cargo test`, `node/courier/egress.log` and `ml-worker/tests/layers/main.rs`",
    );
    assert_eq!(named, ["ml-worker/tests/layers.rs", "ml-worker/tests/layers/main.rs"]);
    assert!(!root().join(named[0]).exists() && root().join(named[1]).exists());
}
