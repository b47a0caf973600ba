//! Exported models, computed by onnxruntime from what they say of themselves (`run.py`), beside `predict`.
#![allow(clippy::unwrap_used)]

mod pictures;
mod refused;
#[path = "../support/mod.rs"]
mod support;
mod tables;

use consilium_aggregation::blob_hash;
use consilium_ml_worker::{
    data::{read_unlabelled, Reading},
    desk::{self, Bundle},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use support::{program, says};

/// How far numbers may lie from those of `predict`.
const BAR: f64 = 1e-5;

/// What onnxruntime makes of models and rows, in this order.
fn run(pairs: &[(PathBuf, PathBuf)]) -> Vec<Value> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/merges/.venv/bin/python");
    assert!(python.exists(), "{} is missing: scripts/setup.sh tests installs it", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/run.py");
    let files = pairs.iter().flat_map(|(model, rows)| [model, rows]);
    let output = Command::new(python).arg(script).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // nothing is in a file that nothing uses, which onnxruntime would take out and warn of
    let warned = String::from_utf8_lossy(&output.stderr);
    assert!(!warned.contains("graph.cc"), "{warned}");
    let all: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all.len(), pairs.len());
    all
}

/// Runs a line of the program in a folder; words that begin with `./` are files there.
fn line(folder: &Path, line: &str) -> String {
    String::from_utf8(says(&words(folder, line))).unwrap()
}

/// What it says where it fails.
fn fails(folder: &Path, line: &str) -> String {
    let output = program(&words(folder, line));
    assert_eq!(output.status.code(), Some(1), "{line}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn words(folder: &Path, line: &str) -> Vec<String> {
    let word = |word: &str| match word.strip_prefix("./") {
        Some(file) => folder.join(file).display().to_string(),
        None => word.to_owned(),
    };
    line.split(' ').map(word).collect()
}

/// Numbers of an output, row by row; NaN where there is none.
fn numbers(found: &Value, output: &str) -> Vec<Vec<f64>> {
    let rows = found["outputs"][output].as_array().unwrap_or_else(|| panic!("no {output}: {found}"));
    rows.iter().map(|row| row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()).collect()
}

/// JSON of an entry of the metadata.
fn entry(found: &Value, name: &str) -> Value {
    serde_json::from_str(found["about"][name].as_str().unwrap_or_else(|| panic!("no {name}: {found}"))).unwrap()
}

/// Columns of what `predict` prints, by name.
fn columns(printed: &str) -> HashMap<String, Vec<String>> {
    let mut reader = csv::Reader::from_reader(printed.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let column = |n: usize| rows.iter().map(|row| row[n].to_owned()).collect();
    names.into_iter().enumerate().map(|(n, name)| (name, column(n))).collect()
}

/// Holds what onnxruntime gave to what `predict` gives for the same table, and what the file says of itself to the model's
/// folder. How many numbers were compared.
fn compare(what: &str, folder: &Path, model: &str, table: &str, found: &Value) -> usize {
    let bundle = Bundle::read(&folder.join(model)).unwrap();
    let printed = columns(&line(folder, &format!("predict --model ./{model} --data ./{table}")));
    let rows = read_unlabelled(&folder.join(table), &bundle.spec.data, &Reading::default()).unwrap();
    let logits = desk::logits(&bundle, &rows).unwrap().0;
    let names: Vec<String> = serde_json::from_value(entry(found, "outputs")).unwrap();
    let mut compared = 0;
    let mut near = |is: f64, wanted: f64, place: &str| {
        let bar = BAR * wanted.abs().max(1.0);
        assert!((is - wanted).abs() <= bar, "{what}, {place}: {is} instead of {wanted}");
        compared += 1;
    };
    let ours: Vec<&[f32]> = logits.chunks(names.len()).collect();
    let theirs = numbers(found, "logits");
    assert_eq!(theirs.len(), ours.len(), "{what}");
    for (n, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        assert_eq!(theirs.len(), ours.len());
        theirs.iter().zip(*ours).for_each(|(is, wanted)| near(*is, f64::from(*wanted), &format!("logits, row {n}")));
    }
    for (output, before, after) in
        [("probabilities", "p(", ")"), ("recalibrated", "recalibrated p(", ")"), ("predictions", "predicted ", "")]
    {
        let column = |name: &String| printed.get(&format!("{before}{name}{after}"));
        if column(&names[0]).is_none() {
            assert!(found["outputs"].get(output).is_none(), "{what}: {output}");
            continue;
        }
        let theirs = numbers(found, output);
        for (place, name) in names.iter().enumerate() {
            for (n, (row, wanted)) in theirs.iter().zip(column(name).unwrap()).enumerate() {
                near(row[place], wanted.parse().unwrap(), &format!("{output} of {name}, row {n}"));
            }
        }
    }
    assert_eq!(found["about"]["spec_hash"], hex::encode(bundle.spec.hash().unwrap()));
    let file = fs::read(folder.join(model).join("model.safetensors")).unwrap();
    assert_eq!(found["about"]["model_hash"], hex::encode(blob_hash(&file)));
    compared
}
