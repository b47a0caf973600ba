//! Columns scaled by numbers that the study names, and what private studies mean for a table.
#![allow(clippy::unwrap_used)]

mod made;

use consilium_ml_worker::{
    data::{preflight, Prepared, Preprocessing, Reading, Split},
    learn::{initial_parameters, OptimizerState, Seeds, Session},
};
use consilium_primitives::FailureCode;
use consilium_study::StudySpec;
use made::{read, spec, Folder};

const FIXED: &str = "features = { columns = [\"b\", \"a\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\n\
                     missing = \"mean\"\nscaling = { fixed = { a = [10.0, 4.0], b = [-1.0, 0.5] } }";
const TABLE: &str = "a,b,ill\n2,0,yes\n,1,no\n18,,yes\n10,-1,no\n6,4,yes\n7,7,no\n";

#[test]
fn rows_are_scaled_by_the_agreed_numbers_and_by_nothing_of_their_own() {
    let spec = spec(FIXED);
    let table = read(&spec, TABLE).unwrap();
    let split = Split::of(&table, 0.3);
    let prepared = Prepared::new(&spec, &table, &split, None).unwrap();
    let (training, validation) = split.rows(&table);
    for (places, rows) in [(training, &prepared.training), (validation, &prepared.validation)] {
        let features = rows.features().unwrap();
        for (place, found) in places.iter().zip(features.chunks(2)) {
            // the model's order: b, then a; an empty cell is the agreed centre, which is 0 after scaling
            let raw = table.row(*place).unwrap();
            let wanted = [(raw[0], -1.0, 0.5), (raw[1], 10.0, 4.0)].map(|(value, centre, deviation)| {
                if value.is_nan() {
                    0.0
                } else {
                    ((value - centre) / deviation) as f32
                }
            });
            assert_eq!(found, wanted, "row {place}");
        }
    }
    // one row alone is scaled as it is among others: what travels with a model says it all
    let text = serde_json::to_string(&prepared.preprocessing).unwrap();
    let again: Preprocessing = serde_json::from_str(&text).unwrap();
    assert_eq!(again, prepared.preprocessing);
    let one = read(&spec, "ill,b,a\nno,2,2\n").unwrap();
    assert_eq!(again.rows(&one).unwrap().features().unwrap(), [6.0, -2.0]);
}

#[test]
fn preflight_looks_at_what_the_agreed_numbers_make_of_a_table() {
    let spec = spec(&FIXED.replace("[-1.0, 0.5]", "[-1.0, 1e-300]"));
    let mut text = String::from("a,b,ill\n");
    for n in 0..60 {
        text.push_str(&format!("{n},{},{}\n", n * 7 % 11, if n % 2 == 0 { "yes" } else { "no" }));
    }
    let report = preflight(&Folder::new().write("t.csv", &text), &spec, &[1; 32], &Reading::default()).to_string();
    assert!(report.contains("column \"b\": a scaled value leaves the range of f32"), "{report}");
}

/// What is promised, to these lines; the study is not read from a file, of which this version refuses what it cannot keep.
fn private(data: &str, privacy: &str) -> StudySpec {
    let mut spec = spec(data);
    (spec.training.batch_size, spec.training.epochs) = (0, 0);
    let text = format!("epsilon = 4.0\nclip = 0.5\nrate = 0.25\nsteps = 8\nrounds = 1\n{privacy}");
    spec.privacy = Some(toml::from_str(&text).unwrap());
    spec.check().unwrap();
    spec
}

#[test]
fn preflight_says_what_privacy_means_for_a_tables_patients() {
    let data = FIXED.replace("negative = \"no\"", "negative = \"no\"\ngroup = \"who\"");
    let mut text = String::from("a,b,who,ill\n");
    for n in 0..60 {
        // four patients of ten rows, and twenty of one
        let who = if n < 40 { n / 10 } else { n };
        text.push_str(&format!("{n},{},p{who},{}\n", n * 7 % 11, if n % 2 == 0 { "yes" } else { "no" }));
    }
    let said = |privacy: &str| {
        let spec = private(&data, privacy);
        preflight(&Folder::new().write("t.csv", &text), &spec, &[1; 32], &Reading::default())
    };
    let record = said("delta = 1e-5\nunit = \"record\"");
    assert!(record.usable, "{record}");
    assert!(record.to_string().contains("10 training rows: what is promised, ε 4, is for one row"), "{record}");
    assert!(record.to_string().contains("privacy.unit = \"patient\""), "{record}");
    let patient = said("delta = 1e-5\nunit = \"patient\"\nrows_per_patient = 4").to_string();
    assert!(
        patient.contains("patients have more than 4 training rows, the most 10: of each of them 4 are drawn"),
        "{patient}"
    );
    // of so few rows a thousandth is still one in ten times as many
    let coarse = said("delta = 1e-3\nunit = \"record\"");
    assert!(coarse.usable, "{coarse}");
}

#[test]
fn a_private_study_is_trained_nowhere_but_within_a_study() {
    let spec = private(FIXED, "delta = 1e-5");
    let table = read(&spec, TABLE).unwrap();
    let prepared = Prepared::new(&spec, &table, &Split::of(&table, 0.3), None).unwrap();
    let base = initial_parameters(&spec).unwrap();
    let (fresh, seeds) = (OptimizerState::default(), Seeds::new(&[1; 32], &[2; 32], 1));
    let session = Session::new(&spec, &base, &prepared.training, None, &fresh, &seeds);
    let error = session.train(&|_| false).unwrap_err();
    assert_eq!(error.code(), FailureCode::Refused);
    assert!(error.to_string().contains("within a study"), "{error}");
}
