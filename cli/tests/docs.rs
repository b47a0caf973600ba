//! What the docs name is there: a file of this repository that was moved or split is named where it lies now.
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
