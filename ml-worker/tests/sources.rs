//! Parquet tables, tables without labels, and pictures: the same rows as from anywhere else, and what is refused.
#![allow(clippy::unwrap_used)]

#[path = "sources/pictures.rs"]
mod pictures;
mod support;

use consilium_ml_worker::{
    data::{
        columns, hash_file, preflight, purge, read_file, read_unlabelled, DataError, Prepared, Reading, Split, Table,
    },
    desk::{self, Plan},
};
use consilium_primitives::FailureCode;
use consilium_study::{StudyFile, StudySpec};
use std::{
    fs,
    path::{Path, PathBuf},
};

const KEY: [u8; 32] = [9; 32];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A study with these lines about its data, and this model.
fn toml(data: &str, model: &str) -> String {
    format!(
        "title = \"t\"\n[data]\n{data}\n[model]\n{model}\n[training]\noptimizer = {{ adam = {{ learning_rate = 0.01 }} }}\n\
         batch_size = 8\nepochs = 3\n[evaluation]\nvalidation_share = 0.3\nmin_rows = 2\n[rules]\nrounds = 1\n\
         training_seconds = 1\n"
    )
}

fn study(data: &str, model: &str) -> StudySpec {
    StudyFile::parse(&toml(data, model)).unwrap().spec()
}

fn read(path: &Path, spec: &StudySpec, how: &Reading) -> Result<Table, DataError> {
    read_file(path, &spec.data, &KEY, how)?.table
}

fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|n| n.to_bits()).collect()
}

/// Everything a table says of its rows.
type Told<'a> = (&'a [String], Vec<u64>, &'a [u32], &'a [[u8; 32]], &'a [String], [usize; 3]);

fn told(table: &Table) -> Told<'_> {
    (
        &table.features,
        // one NaN
        bits(&table.values().unwrap().iter().map(|v| if v.is_nan() { f64::NAN } else { *v }).collect::<Vec<_>>()),
        &table.labels,
        &table.groups,
        &table.pictures,
        [table.missing, table.dropped, table.skipped],
    )
}

fn small(folder: &Path) -> Reading {
    Reading { allowance: 2_000, folder: Some(folder.join("copies")) }
}

const BINARY: &str = "label = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\n";
const NUMBERS: &str = "features = { columns = [\"spo2\", \"age\", \"crp\"] }\n";
const WARD: &str = "categorical = [{ column = \"ward\", levels = [\"north\", \"south\", \"west\"] }, \
                    { column = \"bed\", levels = [\"3\", \"2.0\", \"1\"] }]\n";

#[test]
fn parquet_and_csv_of_the_same_rows_give_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let bed = |text: &str| text.replace("2.0", "2");
    let studies = [
        format!("{NUMBERS}{BINARY}group = \"patient\"\nmissing = \"mean\"\nscaling = \"site\""),
        format!("{NUMBERS}{BINARY}missing = \"drop_row\"\ntransform = \"log1p\""),
        format!("{NUMBERS}{}{BINARY}missing = \"drop_row\"\nscaling = \"transductive\"", bed(WARD)),
        format!(
            "{NUMBERS}label = \"code\"\npositive = \"1.0\"\nnegative = \"0\"\nmissing = \"mean\"\ntransform = \"rank\""
        ),
        format!("{NUMBERS}label = \"stage\"\nclasses = [\"III\", \"I\", \"II\"]\nmissing = \"mean\""),
        format!("{NUMBERS}labels = [\"cough\", \"fever\"]\npositive = \"1\"\nnegative = \"0\"\nmissing = \"mean\""),
    ];
    for text in &studies {
        let spec = study(text, "logistic = {}");
        let csv = read(&golden("tables/same.csv"), &spec, &Reading::default()).unwrap();
        let dropped = if text.contains("drop_row") { 5 } else { 0 };
        assert_eq!((csv.rows(), csv.dropped), (90 - dropped, dropped), "{text}");
        for how in [Reading::default(), small(folder.path())] {
            let parquet = read(&golden("tables/same.parquet"), &spec, &how).unwrap();
            assert_eq!(parquet.on_disk(), how.folder.is_some());
            assert_eq!(told(&csv), told(&parquet), "{text}");
            let rows = |table: &Table| {
                let prepared = Prepared::new(&spec, table, &Split::of(table, 0.3), None).unwrap();
                [prepared.training, prepared.validation].map(|rows| {
                    let features: Vec<u32> = rows.features().unwrap().iter().map(|f| f.to_bits()).collect();
                    (features, rows.labels().to_vec())
                })
            };
            assert_eq!(rows(&csv), rows(&parquet), "{text}");
        }
    }
    // the hash is of the file's bytes, and a working copy is found again by it
    let spec = study(&studies[0], "logistic = {}");
    let path = golden("tables/same.parquet");
    let again = read_file(&path, &spec.data, &KEY, &small(folder.path())).unwrap();
    assert_eq!(again.hash, hash_file(&path).unwrap());
    assert_eq!(again.hash.0, *blake3_of(&fs::read(&path).unwrap()).as_bytes());
    assert_eq!(purge(&folder.path().join("copies")).unwrap().len(), studies.len());
    // a number stands for a level however the study writes it
    let spec = study(&format!("{NUMBERS}{WARD}{BINARY}missing = \"mean\""), "logistic = {}");
    let parquet = read(&path, &spec, &Reading::default()).unwrap();
    let plain = study(&format!("{NUMBERS}{}{BINARY}missing = \"mean\"", bed(WARD)), "logistic = {}");
    let csv = read(&golden("tables/same.csv"), &plain, &Reading::default()).unwrap();
    assert_eq!(told(&csv), told(&parquet));
}

fn blake3_of(bytes: &[u8]) -> consilium_primitives::Hash {
    consilium_aggregation::blob_hash(bytes)
}

#[test]
fn rows_of_a_parquet_file_that_cannot_be_read_are_named_by_number_or_skipped() {
    let spec = study(&format!("{NUMBERS}{WARD}{BINARY}missing = \"mean\"").replace("2.0", "2"), "logistic = {}");
    let path = golden("tables/bad.parquet");
    let said = read(&path, &spec, &Reading::default()).unwrap_err();
    assert_eq!(said.code, FailureCode::SchemaMismatch);
    assert!(said.message.ends_with("bad.parquet, row 5, column \"spo2\": is not a number"), "{said}");
    let mut skips = spec.clone();
    skips.data.bad_rows = consilium_study::BadRows::Skip { at_most: 0.1 };
    let [csv, parquet] = ["csv", "parquet"]
        .map(|kind| read(&golden(&format!("tables/bad.{kind}")), &skips, &Reading::default()).unwrap());
    assert_eq!(told(&csv), told(&parquet));
    assert_eq!(parquet.skipped, 3);
    skips.data.bad_rows = consilium_study::BadRows::Skip { at_most: 0.05 };
    let said = read(&path, &skips, &Reading::default()).unwrap_err().message;
    assert!(said.contains("3 of 30 rows") && said.contains("row 5, column \"spo2\""), "{said}");
    // in prediction no row is left out: labels are not looked at, all else is
    let said = read_unlabelled(&path, &skips.data, &Reading::default()).unwrap_err().message;
    assert!(said.contains("row 5, column \"spo2\": is not a number"), "{said}");

    let report = preflight(&path, &spec, &KEY, &Reading::default());
    assert!(!report.usable);
    let text = report.to_string();
    for part in
        ["1 row, the first in row 5: is not a number", "row 12", "row 21", "rows: 30, of which 3 cannot be read"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("perhaps") && !text.contains("east"), "{text}");
    let report = preflight(&golden("tables/same.parquet"), &spec, &KEY, &Reading::default());
    assert!(report.usable && report.columns == 12, "{report}");

    // a column that is not read hurts where it is wanted alone
    let dates = golden("tables/dates.parquet");
    assert_eq!(read(&dates, &spec, &Reading::default()).unwrap().rows(), 90);
    let wants = study(&format!("features = {{ columns = [\"when\"] }}\n{BINARY}"), "logistic = {}");
    let said = read(&dates, &wants, &Reading::default()).unwrap_err().message;
    assert!(said.contains("column \"when\": is a date or a time"), "{said}");
    assert_eq!(said.matches("dates.parquet").count(), 1, "{said}");
}

#[test]
fn columns_of_a_parquet_file_are_those_of_the_csv_file() {
    let named = ["ill", "patient", "ward", "bed", "stage", "note"];
    let [csv, parquet] =
        ["csv", "parquet"].map(|kind| columns(&golden(&format!("tables/same.{kind}")), &named, vec![]).unwrap());
    assert_eq!(csv, parquet);
    let others = format!(
        "features = {{ others = {{ count = {}, hash = \"{}\", ignore = [\"patient\", \"ward\", \"bed\", \"stage\", \"note\"] }} }}\n",
        csv.others.count, csv.others.hash
    );
    let spec = study(&format!("{others}{BINARY}missing = \"mean\""), "logistic = {}");
    let tables = ["csv", "parquet"]
        .map(|kind| read(&golden(&format!("tables/same.{kind}")), &spec, &Reading::default()).unwrap());
    assert_eq!(told(&tables[0]), told(&tables[1]));
    assert_eq!(tables[0].features, ["age", "code", "cough", "crp", "fever", "spo2"]);
}

#[test]
fn rows_without_labels_are_predicted_as_those_with_labels_are() {
    let folder = tempfile::tempdir().unwrap();
    let spec = study(
        &format!("{NUMBERS}{BINARY}group = \"patient\"\nmissing = \"mean\"\nscaling = \"swarm\""),
        "dense = { hidden = [4], activation = \"relu\" }",
    );
    let path = golden("tables/same.csv");
    let table = read(&path, &spec, &Reading::default()).unwrap();
    let plan = Plan { spec: &spec, rounds: 2, table: &table, secret: [4; 32] };
    let outcome = desk::train(&plan, &|_| false).unwrap();
    let labelled = desk::logits(&outcome.bundle, &table).unwrap().0;
    // neither the label nor the group, another order, a note in its place
    let mut text = String::from("crp,age,spo2,note\n");
    let whole = fs::read_to_string(&path).unwrap();
    for line in whole.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        text.push_str(&format!("{},{},{},x\n", cells[2], cells[1], cells[3]));
    }
    let bare = folder.path().join("bare.csv");
    fs::write(&bare, &text).unwrap();
    for file in [&bare, &path, &golden("tables/same.parquet")] {
        for how in [Reading::default(), small(folder.path())] {
            let table = read_unlabelled(file, &spec.data, &how).unwrap();
            assert_eq!((table.rows(), table.labels.clone()), (90, vec![0; 90]));
            assert_eq!(desk::logits(&outcome.bundle, &table).unwrap().0, labelled, "{}", file.display());
        }
    }
    // missing values, rows without anything, and rows that cannot be read: each by its line, whatever training would do
    let mut spec = spec;
    spec.data.bad_rows = consilium_study::BadRows::Skip { at_most: 0.5 };
    for (missing, row, why) in [
        ("mean", "1,x,3,", "line 3, column \"age\": is not a number"),
        ("mean", ",,,", "line 3: has nothing in any cell"),
        ("drop_row", "1,,3,", "line 3, column \"age\": is empty; a study may leave"),
        ("refuse", "1,,3,", "line 3, column \"age\": is empty, and the study refuses"),
        ("mean", "1,2", "line 3: has 2 cells"),
    ] {
        spec.data.missing = serde_json::from_value(missing.into()).unwrap();
        fs::write(&bare, format!("crp,age,spo2,note\n1,2,3,\n{row}\n4,5,6,\n")).unwrap();
        let said = read_unlabelled(&bare, &spec.data, &Reading::default()).unwrap_err().message;
        assert!(said.contains(why), "{said}");
    }
    fs::write(&bare, "crp,age,note\n1,2,\n").unwrap();
    let said = read_unlabelled(&bare, &spec.data, &Reading::default()).unwrap_err().message;
    assert!(said.contains("has no column \"spo2\""), "{said}");
}
