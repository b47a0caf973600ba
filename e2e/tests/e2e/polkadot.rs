//! A finished network as other programs see it: the library under the polkadot-js page reads it, enrols in it, decodes
//! its votes; it and PAPI walk all that the metadata names; and nothing of a model or of a row is on its chain.

use super::{SITES, STUDY};
use consilium_e2e::{workspace, Run};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

fn node(script: &str, url: &str, out: &Path, more: &[&str]) -> (bool, String) {
    let (folder, file) = script.split_once('/').unwrap();
    let mut command = Command::new("node");
    command.current_dir(workspace().join("e2e").join(folder)).args([file, url]);
    if file == "leak.mjs" {
        command.arg("--blobs");
        for site in SITES {
            command.arg(out.join(site).join("blobs"));
        }
        command.arg("--csv");
        for entry in fs::read_dir(out.join("data")).unwrap().flatten() {
            if entry.path().extension().is_some_and(|e| e == "csv") {
                command.arg(entry.path());
            }
        }
    }
    let output = command.args(more).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_kept_network_can_be_read_by_other_clients_and_holds_no_piece_of_a_model_or_a_row() {
    for folder in ["polkadot-js", "papi"] {
        let modules = workspace().join("e2e").join(folder).join("node_modules");
        assert!(modules.exists(), "{} is missing: scripts/setup.sh tests installs it", modules.display());
    }
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    // on the chain that ships, as scripts/demo.sh starts it
    let arguments = [
        "localnet",
        "run",
        "--runtime",
        "chain-specs/consilium-runtime.wasm",
        "--study",
        STUDY,
        "--rounds",
        "3",
        "--keep",
        "--out",
    ];
    let arguments: Vec<&str> = arguments.into_iter().chain([out.to_str().unwrap()]).collect();
    let mut run = Run::start(scratch.path(), &arguments).unwrap();
    run.until(Duration::from_secs(600), |run| run.said().contains("the network keeps running")).unwrap();
    let said = run.said();
    let url = said.split("?rpc=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().to_owned();

    let folder = out.to_str().unwrap();
    for (script, more) in [
        ("polkadot-js/leak.mjs", &[][..]),
        ("polkadot-js/leak.mjs", &["--plant"]),
        ("polkadot-js/walk.mjs", &[]),
        ("polkadot-js/look.mjs", &[folder]),
        ("papi/walk.mjs", &[]),
    ] {
        let (worked, said) = node(script, &url, &out, more);
        assert!(worked, "{script} {more:?}:\n{said}");
    }
    run.signal(nix::sys::signal::Signal::SIGINT).unwrap();
    let outcome = run.finish(Duration::from_secs(30)).unwrap();
    assert!(outcome.status.success(), "told to stop, a finished run has not failed: {}", outcome.stderr);
    assert!(outcome.orphans.is_empty(), "{:?}", outcome.orphans);
    assert!(outcome.stdout.contains(&url), "the address is in the final lines:\n{}", outcome.stdout);
}

#[test]
fn a_hospitals_own_tables_train_whatever_the_order_of_columns_and_the_way_numbers_are_written() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let arguments = [
        "localnet",
        "run",
        "--study",
        "examples/own-csv/study.toml",
        "--rounds",
        "2",
        "--seed",
        "7",
        "--site",
        "north=examples/own-csv/north.csv",
        "--site",
        "south=examples/own-csv/south.csv",
        "--out",
        out.to_str().unwrap(),
    ];
    let outcome = Run::start(scratch.path(), &arguments).unwrap().finish(Duration::from_secs(600)).unwrap();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("south: "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("--keep"), "how to keep the network is said:\n{}", outcome.stdout);
    let report: Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    for site in report["sites"].as_array().unwrap() {
        // with another seed or secret, other patients would train, and another number of rows
        assert_eq!(site["signed_samples"], site["local"]["training_rows"], "{}", site["name"]);
    }
    for site in ["north", "south"] {
        let secret = out.join("data").join(format!("{site}.secret"));
        assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600, "{}", secret.display());
    }
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o700, "others cannot look into the folder");
    assert!(outcome.orphans.is_empty());
}
