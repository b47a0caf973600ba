//! Tables as hospitals export them, and the split of their rows.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_aggregation::{blob_hash, Statistics, MIN_ROWS};
use consilium_ml_worker::data::{all_known, read_table, statistics_of, DataError, Prepared, Split, Table};
use consilium_primitives::{DutyKind, FailureCode, Hash};
use consilium_study::{DataSpec, Missing, StudyFile, StudySpec};
use std::{collections::BTreeMap, fmt::Write, fs};
use support::{unscaled, Lab, AGREEMENT};

/// Two features, a label of two texts.
fn spec() -> StudySpec {
    let text =
        "title = \"t\"\n[data]\nfeatures = { columns = [\"age\", \"bmi\"] }\nlabel = \"ill\"\npositive = \"yes\"\n\
        negative = \"no\"\n[model.logistic]\n[training]\noptimizer = { sgd = { learning_rate = 0.1 } }\n\
        batch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = 0.3\n[rules]\nrounds = 1\ntraining_seconds = 1\n";
    StudyFile::parse(text).unwrap().spec()
}

fn read_with(data: &DataSpec, text: impl AsRef<[u8]>) -> Result<Table, DataError> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.csv"), text).unwrap();
    read_table(&dir.path().join("t.csv"), data, &[3; 32])
}

fn read(text: impl AsRef<[u8]>) -> Table {
    read_with(&spec().data, text).unwrap()
}

/// The message, which must be a mismatch with the schema.
fn refused(data: &DataSpec, text: impl AsRef<[u8]>) -> String {
    let error = read_with(data, text).unwrap_err();
    assert_eq!(error.code, FailureCode::SchemaMismatch, "{error}");
    error.message
}

#[test]
fn the_same_rows_are_read_from_every_usual_dialect() {
    let rows = read("age,bmi,ill\n71,23.5,yes\n64,-0.25,no\n");
    assert_eq!(rows.values().unwrap(), [71.0, 23.5, 64.0, -0.25]);
    assert_eq!(rows.labels, [1, 0]);
    for (dialect, text) in [
        ("semicolon and decimal comma", "age;bmi;ill\n71;23,5;yes\n64;-0,25;no\n"),
        ("semicolon and decimal point", "age;bmi;ill\n71;23.5;yes\n64;-0.25;no\n"),
        ("tab and decimal comma", "age\tbmi\till\n71\t23,5\tyes\n64\t-0,25\tno\n"),
        ("byte-order mark", "\u{feff}age,bmi,ill\n71,23.5,yes\n64,-0.25,no\n"),
        ("byte-order mark and quotes", "\u{feff}\"age\",\"bmi\",\"ill\"\n71,23.5,yes\n64,-0.25,no\n"),
        ("quoted cells", "age,bmi,ill\n\"71\",\"23.5\",\"yes\"\n\"64\",-0.25,\"no\"\n"),
        ("lines as of Windows", "age,bmi,ill\r\n71,23.5,yes\r\n64,-0.25,no\r\n"),
        ("no line end at the end", "age,bmi,ill\n71,23.5,yes\n64,-0.25,no"),
        ("blanks around cells", " age , bmi,ill \n 71, 23.5 ,yes \n64 ,-0.25, no\n"),
        ("empty lines", "age,bmi,ill\n71,23.5,yes\n\n,,\n64,-0.25,no\n\n"),
        ("other columns, another order", "ill,\"note, with comma\",bmi,age\nyes,\"a\nb\",23.5,71\nno,,-0.25,64\n"),
        ("exponents", "age,bmi,ill\n7.1e1,235e-1,yes\n64,-.25,no\n"),
    ] {
        let read = read(text);
        assert_eq!((read.values().unwrap(), &read.labels), (rows.values().unwrap(), &rows.labels), "{dialect}");
        assert_eq!(read.features, ["age", "bmi"], "{dialect}");
    }
}

#[test]
fn what_is_no_number_is_refused_by_line_and_column() {
    let data = spec().data;
    for cell in ["x", "1 2", "inf", "-Infinity", "1e999", "0x10", "1,5", "12'000"] {
        let said = refused(&data, format!("age,bmi,ill\n1,2,no\n\"{cell}\",2,yes\n"));
        assert!(said.contains("line 3, column \"age\"") && said.contains("number"), "{cell}: {said}");
    }
    for cell in ["1.234,5", "1,234,567"] {
        let said = refused(&data, format!("age;bmi;ill\n{cell};2;yes\n"));
        assert!(said.contains("thousands"), "{cell}: {said}");
    }
    let said = refused(&data, b"age,bmi,ill\n1,\xfc,yes\n");
    assert!(said.contains("line 2, column \"bmi\": is not UTF-8"), "{said}");
    assert!(refused(&data, b"\xff\xfea\0g\0e\0").contains("UTF-16"));
}

#[test]
fn decimal_commas_and_points_in_one_file_are_refused_by_both_places() {
    let data = spec().data;
    for separator in [';', '\t'] {
        let text = |rows: &str| format!("age;bmi;ill\n{rows}").replace(';', &separator.to_string());
        let said = refused(&data, text("71;23,5;yes\n1.234;20;no\n"));
        assert!(said.contains("line 3, column \"age\": has a decimal point"), "{said}");
        assert!(said.contains("line 2, column \"bmi\" has a decimal comma"), "{said}");
        assert!(said.contains("the same decimal mark"), "{said}");
        let said = refused(&data, text("71.5;23,5;yes\n"));
        assert!(said.contains("line 2, column \"bmi\": has a decimal comma"), "{said}");
        // in other columns, or without decimals, they say nothing
        read(text("71;23,5;yes\n64;20;no\n"));
        read("note;age;bmi;ill\n1.5;71;23,5;yes\n".replace(';', &separator.to_string()));
    }
}

#[test]
fn cells_are_parted_where_that_gives_the_studys_columns() {
    // more commas than semicolons in the header, and the other way round
    for text in [
        "age;bmi;ill;a,b,c,d,e,f\n71;23,5;yes;x\n",
        "age,bmi,ill,a;b;c;d;e;f\n71,23.5,yes,x\n",
        "age\tbmi\till\ta,b,c;d;e;f;g,h\n71\t23,5\tyes\tx\n",
    ] {
        let read = read(text);
        assert_eq!((read.values().unwrap(), read.labels), (vec![71.0, 23.5], vec![1]), "{text}");
    }
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    let data = spec().data;
    for (name, text) in [
        ("as of Unix", "age,bmi,ill\n1,2,no\n3,4,yes\n5,yes\n"),
        ("as of Windows", "age,bmi,ill\r\n1,2,no\r\n3,4,yes\r\n5,yes\r\n"),
        ("an empty line before", "age,bmi,ill\n1,2,no\n\n5,yes\n"),
        ("an empty line before, Windows", "age,bmi,ill\r\n1,2,no\r\n\r\n5,yes\r\n"),
        ("a line within a cell before", "age,bmi,ill,note\n1,2,no,\"a\nb\"\n5,yes\n"),
        ("too many cells", "age,bmi,ill\n1,2,no\n3,4,yes\n5,6,yes,7\n"),
    ] {
        let said = refused(&data, text);
        assert!(said.contains("t.csv, line 4: has") && said.contains("the header has"), "{name}: {said}");
    }
}

#[test]
fn columns_that_are_missing_or_there_twice_are_named() {
    let data = spec().data;
    assert!(refused(&data, "age,ill\n1,yes\n").contains("has no column \"bmi\", which the study names as a feature"));
    assert!(refused(&data, "age,bmi\n1,2\n").contains("has no column \"ill\", which the study names as its label"));
    let said = refused(&data, "age,BMI ,ill\n1,2,yes\n");
    assert!(said.contains("has no column \"bmi\", which the study names as a feature (is \"BMI\" meant?)"), "{said}");
    let grouped = DataSpec { group: Some("bmi2".into()), ..data.clone() };
    let said = refused(&grouped, "age,bmi2,ill\n1,2,yes\n");
    assert!(said.contains("\"bmi\"") && !said.contains("meant?"), "the study names that, too: {said}");
    assert!(refused(&data, "age,bmi,age,ill\n1,2,3,yes\n").contains("two columns \"age\""));
    assert!(refused(&data, "age,ill,bmi, ill\n1,no,3,yes\n").contains("two columns \"ill\""));
    assert!(refused(&data, b"age,bmi,ill,\xfc\n1,2,yes,3\n").contains("column 4 is not UTF-8"));
    let grouped = DataSpec { group: Some("patient".into()), ..data.clone() };
    assert!(refused(&grouped, "age,bmi,ill\n1,2,yes\n").contains("\"patient\", which the study names as its group"));
    // a column that nobody asked for may be there twice
    read("age,bmi,ill,x,x\n1,2,yes,3,4\n");
    let empty = read_with(&data, "age,bmi,ill\n").unwrap_err();
    assert_eq!(empty.code, FailureCode::TooFewSamples);
    assert_eq!(read_table("/nowhere/t.csv".as_ref(), &data, &[0; 32]).unwrap_err().code, FailureCode::DataUnreadable);
}

#[test]
fn empty_cells_are_refused_or_become_the_mean_as_agreed() {
    let refuse = spec().data;
    for cell in ["", " ", "NA", "NaN", "nan", "\"\""] {
        let said = refused(&refuse, format!("age,bmi,ill\n1,2,no\n3,{cell},yes\n"));
        assert!(said.contains("line 3, column \"bmi\": is empty") && said.contains("data.missing"), "{said}");
    }
    let mut spec = spec();
    spec.data.missing = Missing::Mean;
    spec.evaluation.validation_share = 0.2;
    for rows in [10, 60] {
        let mut text = String::from("age,bmi,ill\n");
        for n in 0..rows {
            let bmi = if n % 5 == 0 { "NA".to_owned() } else { format!("{}.25", 20 + n) };
            writeln!(text, "{n},{bmi},{}", if n % 2 == 0 { "yes" } else { "no" }).unwrap();
        }
        let table = read_with(&spec.data, text).unwrap();
        assert_eq!(table.missing, rows / 5);
        let split = Split::of(&table, spec.evaluation.validation_share);
        let (training, _) = split.rows(&table);
        let known: Vec<f64> = training.iter().map(|r| table.row(*r).unwrap()[1]).filter(|v| !v.is_nan()).collect();
        assert!(known.len() < training.len());
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        let prepared = Prepared::new(&spec, &table, &split, None).unwrap();
        for (row, at) in training.iter().zip(0..) {
            let value = table.row(*row).unwrap()[1];
            let wanted = if value.is_nan() { mean } else { value } as f32;
            assert_eq!(prepared.training.features().unwrap()[2 * at + 1], wanted, "{rows} rows");
        }
        if rows == 60 {
            // scaled by the swarm's statistics, the mean is 0
            let swarm = statistics_of(&table, &training).unwrap();
            let scaled = Prepared::new(&spec, &table, &split, Some(&swarm)).unwrap();
            for (row, at) in training.iter().zip(0..).filter(|(r, _)| table.row(**r).unwrap()[1].is_nan()) {
                assert_eq!(scaled.training.features().unwrap()[2 * at + 1], 0.0, "row {row}");
            }
        }
    }
}

#[test]
fn labels_are_two_texts_or_two_numbers() {
    let said = refused(&spec().data, "age,bmi,ill\n1,2,no\n3,4,maybe\n");
    assert!(
        said.contains("line 3, column \"ill\": is neither the positive value \"yes\" nor the negative value \"no\"")
    );
    refused(&spec().data, "age,bmi,ill\n1,2,\n");
    refused(&spec().data, "age,bmi,ill\n1,2,YES\n");
    let numbers = DataSpec { positive: "2".into(), negative: "1".into(), ..spec().data };
    let table = read_with(&numbers, "age,bmi,ill\n1,2,1\n1,2,2.0\n1,2, 2 \n1,2,1.00\n1,2,\"2\"\n").unwrap();
    assert_eq!(table.labels, [0, 1, 1, 0, 1]);
    refused(&numbers, "age,bmi,ill\n1,2,3\n");
    refused(&numbers, "age,bmi,ill\n1,2,12\n");
}

/// Rows of patients, from one to five each; some patients have both labels.
fn patients(count: usize) -> String {
    let mut text = String::from("age,patient,bmi,ill\n");
    for patient in 0..count {
        for visit in 0..=patient * 7 % 5 {
            let ill = patient % 3 == 0 && visit % 2 == 0;
            writeln!(text, "{visit},P{patient:03},{patient}.5,{}", if ill { "yes" } else { "no" }).unwrap();
        }
    }
    text
}

#[test]
fn rows_of_one_patient_stay_together() {
    let grouped = DataSpec { group: Some("patient".into()), ..spec().data };
    let table = read_with(&grouped, patients(90)).unwrap();
    let names: Vec<f64> = (0..table.rows()).map(|r| table.row(r).unwrap()[1]).collect();
    let mut sides: BTreeMap<u64, [usize; 2]> = BTreeMap::new();
    let (training, validation) = Split::of(&table, 0.3).rows(&table);
    assert_eq!(training.len() + validation.len(), table.rows());
    for (side, rows) in [training, validation].iter().enumerate() {
        for row in rows {
            sides.entry(names[*row].to_bits()).or_default()[side] += 1;
        }
    }
    assert_eq!(sides.len(), 90);
    assert!(sides.values().all(|[t, v]| *t == 0 || *v == 0), "a patient is on both sides");
    // of 30 patients with an illness and of 60 without, three tenths each
    assert_eq!(sides.values().filter(|[_, v]| *v > 0).count(), 9 + 18);
    refused(&grouped, "age,patient,bmi,ill\n1,,2,no\n");
    // another key, another split: nobody outside can tell who validates
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.csv"), patients(90)).unwrap();
    let other = read_table(&dir.path().join("t.csv"), &grouped, &[4; 32]).unwrap();
    assert!(other.groups.iter().zip(&table.groups).all(|(a, b)| a != b));
    assert_ne!(Split::of(&other, 0.3).rows(&other), Split::of(&table, 0.3).rows(&table));
}

#[test]
fn equal_rows_stay_together_where_no_group_is_named() {
    let row = |n: usize| format!("{n},{n}.5,{}\n", if n.is_multiple_of(2) { "yes" } else { "no" });
    let text: String = (0..40).chain(0..40).map(row).collect();
    let table = read(format!("age,bmi,ill\n{text}"));
    let (training, _) = Split::of(&table, 0.3).rows(&table);
    assert!((0..40).all(|n| training.contains(&n) == training.contains(&(n + 40))));
}

#[test]
fn without_a_group_a_row_is_known_again_in_another_export() {
    let row = |n: usize| (n as f64 / 8.0, n as f64 - 3.5, if n.is_multiple_of(3) { "yes" } else { "no" });
    let plain: String = (0..60).map(row).map(|(a, b, l)| format!("{a},{b},{l}\n")).collect();
    let other: String = (0..60)
        .map(row)
        .map(|(a, b, l)| {
            format!("{l};x;{};{}\n", format!("{b:.3}").replace('.', ","), format!("{a:.4}").replace('.', ","))
        })
        .collect();
    let first = read(format!("age,bmi,ill\n{plain}"));
    let again = read(format!("ill;exported by;bmi;age\n{other}"));
    assert_eq!(first.groups, again.groups);
    // a row with another label is another row
    let flipped = read(format!("age,bmi,ill\n{}", plain.replacen("yes", "no", 1)));
    assert_eq!(first.groups.iter().zip(&flipped.groups).filter(|(a, b)| a != b).count(), 1);
    assert_eq!(read("age,bmi,ill\n0,1,yes\n").groups, read("age,bmi,ill\n-0.0,1,yes\n").groups, "one zero");
}

#[test]
fn a_kept_split_knows_whether_any_of_a_tables_rows_has_a_place_in_it() {
    let (old, added) = (read("age,bmi,ill\n1,2,yes\n3,4,no\n"), read("age,bmi,ill\n3,4,no\n7,8,yes\n"));
    let foreign = read("age,bmi,ill\n5,6,yes\n");
    let split = Split::of(&old, 0.3);
    assert!(Split::default().knows(&old) && split.knows(&old) && split.knows(&added));
    assert!(!split.knows(&foreign));
}

#[test]
fn a_column_that_no_site_has_enough_values_of_is_named() {
    let columns = |n: usize| Statistics::of_columns(&[vec![1.5; 40], vec![2.5; n]]);
    all_known(&columns(MIN_ROWS), &spec()).unwrap();
    let merged = Statistics::merge(&[columns(MIN_ROWS - 1), columns(3)]).unwrap();
    let error = all_known(&merged, &spec()).unwrap_err();
    assert_eq!(error.code, FailureCode::TooFewSamples);
    assert!(error.message.contains("column \"bmi\""), "{error}");
}

#[test]
fn the_split_stays_when_rows_are_added_moved_or_taken_away() {
    let grouped = DataSpec { group: Some("patient".into()), ..spec().data };
    let (few, many) = (patients(40), patients(90));
    let old = read_with(&grouped, &few).unwrap();
    let new = read_with(&grouped, &many).unwrap();
    let mut split = Split::of(&old, 0.3);
    let (before, _) = split.rows(&old);
    split.extend(&new, 0.3);
    let (after, validation) = split.rows(&new);
    assert!((0..old.rows()).all(|row| before.contains(&row) == after.contains(&row)));
    let share = validation.len() as f64 / new.rows() as f64;
    assert!((0.2..0.4).contains(&share), "new rows are shared out too: {share}");
    split.extend(&old, 0.3);
    assert_eq!(split.rows(&old).0, before);
}

#[test]
fn the_kept_split_outlives_accepted_data_and_the_worker() {
    let lab = Lab::new(0, unscaled(1));
    lab.done(&lab.order(DutyKind::Statistics, 1, None, None));
    let split = || lab.home().split(&AGREEMENT).unwrap().unwrap();
    let key = consilium_ml_worker::simulate::site_group_key(&lab.spec, &lab.home().secret().unwrap()).unwrap();
    let path = lab.dir.path().join("data.csv");
    let table = || read_table(&path, &lab.spec.data, &key).unwrap();
    let (old, before) = (table(), split().rows(&table()));
    assert_eq!(before, Split::of(&old, lab.spec.evaluation.validation_share).rows(&old));

    let mut more = fs::read_to_string(&path).unwrap();
    more.push_str(support::demo_csv(1).split_once('\n').unwrap().1);
    fs::write(&path, &more).unwrap();
    lab.home().accept_data(&AGREEMENT, &blob_hash(more.as_bytes())).unwrap();
    lab.done(&lab.order(DutyKind::Statistics, 2, None, Some(Hash::zero())));
    let after = split().rows(&table());
    assert_eq!(after.0.len() + after.1.len(), 310);
    assert!((0..old.rows()).all(|row| before.0.contains(&row) == after.0.contains(&row)));
    // damaged, it is never made anew: rows could change sides
    fs::write(lab.dir.path().join("home/studies").join(hex::encode(AGREEMENT)).join("split.json"), "{").unwrap();
    assert_eq!(lab.failed(&lab.order(DutyKind::Statistics, 3, None, None)), FailureCode::Internal);
}
