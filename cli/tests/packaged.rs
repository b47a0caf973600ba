//! What the three programs say of themselves, as packages have it: `--version`, manual pages, completions.
//!
//! The node and the worker lie beside the command line: `cargo build --release --workspace --bins` makes all three.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

const PROGRAMS: [&str; 3] = ["consilium", "consilium-node", "ml-worker"];

/// What a program prints.
fn says(name: &str, arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_BIN_EXE_consilium")).with_file_name(name);
    assert!(path.exists(), "{} is missing: cargo build --release --workspace --bins", path.display());
    let output = Command::new(path).args(arguments).output().unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn version(name: &str) -> String {
    says(name, &["--version"]).strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn each_program_names_its_build_and_the_release_of_the_sdk() {
    for name in PROGRAMS {
        let said = version(name);
        let rest =
            said.strip_prefix(&format!("{name} {} (", env!("CARGO_PKG_VERSION"))).unwrap_or_else(|| panic!("{said}"));
        let (build, sdk) =
            rest.strip_suffix(')').and_then(|rest| rest.split_once(", ")).unwrap_or_else(|| panic!("{said}"));
        let commit = build.strip_prefix("commit ").map(|commit| commit.trim_end_matches(" with changes"));
        let named = commit.is_some_and(|commit| commit.len() == 11 && commit.chars().all(|c| c.is_ascii_hexdigit()));
        assert!(named || build == "built without naming a commit", "{said}");
        assert_eq!(sdk, consilium_program::SDK, "{said}");
    }
}

#[test]
fn the_commit_is_the_one_that_the_build_was_told() {
    // cargo builds the program and this test with the same variables
    let said = version("consilium");
    match option_env!("CONSILIUM_COMMIT") {
        Some(commit) if !commit.is_empty() => assert!(said.contains(&format!("(commit {commit}, ")), "{said}"),
        _ => assert!(said.contains("built without naming a commit"), "{said}"),
    }
}

#[test]
fn each_command_has_a_manual_page_and_each_shell_its_completions() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path();
    for name in PROGRAMS {
        assert_eq!(says(name, &["manuals", "--out", out.to_str().unwrap()]), "");
        let read = |file: String| fs::read_to_string(out.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(read(format!("man/man1/{name}.1")).contains(consilium_program::SDK), "{name}");
        for file in
            ["bash-completion/completions/NAME", "zsh/vendor-completions/_NAME", "fish/vendor_completions.d/NAME.fish"]
        {
            assert!(read(file.replace("NAME", name)).contains("help"), "{name}: {file}");
        }
        let bash = out.join("bash-completion/completions").join(name);
        assert!(Command::new("bash").arg("-n").arg(bash).status().unwrap().success(), "{name}");
    }
    let page = |name: &str| {
        fs::read_to_string(out.join("man/man1").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    // a command of a command, with its example; the node's and the worker's
    assert!(page("consilium-study-register.1").contains("consilium study register study.toml"));
    assert!(page("consilium-node-key-insert.1").contains("keystore") && page("ml-worker-serve.1").contains("token"));
    assert!(!out.join("man/man1/consilium-manuals.1").exists());
}
