//! Columns of names of which one level is that of all other names.
#![allow(clippy::unwrap_used)]

mod made;

use consilium_ml_worker::data::{read_table, read_unlabelled, Reading, Scaler};
use consilium_primitives::FailureCode;
use consilium_study::{StudyFile, StudySpec};
use made::{look, read, refused, spec, Folder};
use std::path::Path;

fn with(categorical: &str) -> StudySpec {
    spec(&format!(
        "features = {{ columns = [\"age\"] }}\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\nmissing = \"mean\"\n\
         missing_values = [\"?\"]\ncategorical = [{categorical}]"
    ))
}

const WARD: &str = "{ column = \"ward\", levels = [\"ICU\", \"7\", \"other\"], other = \"other\" }";
const TEXT: &str = "age,ward,ill\n1,ICU,yes\n2,7.0,no\n3,surgery,yes\n4,other,no\n5,,yes\n6,?,no\n7,icu,no\n";

#[test]
fn one_level_may_be_that_of_all_other_values_and_what_is_missing_stays_so() {
    let strict = with("{ column = \"ward\", levels = [\"ICU\", \"7\", \"other\"] }");
    let said = refused(&strict, TEXT);
    assert!(said.contains("line 4, column \"ward\": is none of the levels"), "{said}");
    let spec = with(WARD);
    let table = read(&spec, TEXT).unwrap();
    let found: Vec<Option<f64>> =
        table.values().unwrap().chunks_exact(2).map(|row| Some(row[1]).filter(|v| !v.is_nan())).collect();
    // a name is compared as it is written: `icu` is another one
    assert_eq!(found, [Some(0.0), Some(1.0), Some(2.0), Some(2.0), None, None, Some(2.0)]);
    assert_eq!(table.missing, 2);
    let all: Vec<usize> = (0..7).collect();
    let inputs = Scaler::own(&table, &all).unwrap().apply(&table, &all).unwrap().features().unwrap();
    let levels: Vec<&[f32]> = inputs.chunks_exact(4).map(|row| &row[1..]).collect();
    assert_eq!(levels[2], [0.0, 0.0, 1.0]);
    assert_eq!(levels[4], [0.0, 0.0, 0.0]);
    // in prediction, too
    let folder = Folder::new();
    let new = folder.write("new.csv", "ward,age\nradiology,3\n");
    let table = read_unlabelled(&new, &spec.data, &Reading::default()).unwrap();
    assert_eq!(table.values().unwrap(), [3.0, 2.0]);
    // bytes that are no text are no name of a ward
    let latin = folder.write("latin.csv", b"age,ward,ill\n1,Sankt J\xfcrgen,yes\n");
    let error = read_table(&latin, &spec.data, &[3; 32]).unwrap_err();
    assert!(error.code == FailureCode::SchemaMismatch && error.message.contains("line 2, column \"ward\""), "{error}");
}

#[test]
fn truth_values_of_parquet_may_be_other_values() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tables/truths.parquet");
    let of = |levels: &str| {
        let mut spec = spec("features = { columns = [\"a\"] }\nlabel = \"ill\"\npositive = \"true\"\nnegative = \"false\"\nmissing = \"mean\"");
        let text = format!("column = \"smokes\"\n{levels}");
        spec.data.features.columns.clear();
        spec.data.categorical = vec![toml::from_str(&text).unwrap()];
        spec
    };
    let read = |levels: &str| read_table(&golden, &of(levels).data, &[3; 32]).map(|table| table.values().unwrap());
    let both = read("levels = [\"true\", \"false\"]").unwrap();
    let other = read("levels = [\"true\", \"rest\"]\nother = \"rest\"").unwrap();
    assert!(both.contains(&0.0) && both.contains(&1.0));
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&both), bits(&other));
    assert!(read("levels = [\"true\", \"rest\"]").is_err());
}

#[test]
fn preflight_says_how_many_rows_have_the_level_of_all_others() {
    let rows: String = (0..60)
        .map(|n| format!("{},{},{}\n", 20 + n % 13, ["ICU", "7", "ICU ", "surgery"][n % 4], ["yes", "no"][n % 2]))
        .collect();
    let text = format!("age,ward,ill\n{rows}");
    let (report, words) = look(&with(WARD), &text);
    assert!(report.usable, "{words}");
    assert!(words.contains("column \"ward\": 15 rows have the level that all other values count as"), "{words}");
    assert_eq!((report.look.other[0].column.as_str(), report.look.other[0].rows), ("ward", 15));
    assert!(report.look.absent.is_empty(), "{words}");
    // a level that is spelt otherwise than in the table would be one of the others without a word
    let (report, words) = look(&with(&WARD.replace("\"ICU\"", "\"IUC\", \"ICU\"")), &text);
    assert!(words.contains("column \"ward\": no row has [\"IUC\"]: if the table spells it otherwise"), "{words}");
    assert_eq!((report.look.absent[0].column.as_str(), report.look.absent[0].levels.len()), ("ward", 1));
    let (report, words) = look(&with("{ column = \"ward\", levels = [\"ICU\", \"7\", \"surgery\"] }"), &text);
    assert!(report.look.other.is_empty() && !words.contains("all other values"), "{words}");
}

#[test]
fn the_level_of_all_others_is_one_of_the_levels() {
    let text = |categorical: &str| {
        format!(
            "title = \"t\"\n[data]\nfeatures = {{ columns = [\"age\"] }}\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\n\
             categorical = [{categorical}]\n[model.logistic]\n[training]\noptimizer = {{ sgd = {{ learning_rate = 0.1 }} }}\n\
             batch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = 0.25\n[rules]\nrounds = 1\ntraining_seconds = 1\n"
        )
    };
    let error =
        StudyFile::parse(&text(&WARD.replace("other = \"other\"", "other = \"rest\""))).unwrap_err().to_string();
    assert!(
        error.contains("data.categorical") && error.contains("\"rest\" (other), which must be one of its levels"),
        "{error}"
    );
    let canonical = |categorical: &str| {
        String::from_utf8(StudyFile::parse(&text(categorical)).unwrap().spec().canonical().unwrap()).unwrap()
    };
    assert!(canonical(WARD).contains("\"other\":\"other\""));
    assert!(!canonical("{ column = \"ward\", levels = [\"ICU\", \"other\"] }").contains("\"other\":"));
}
