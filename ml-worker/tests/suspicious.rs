//! What is said, or refused, before a study learns something else than its people mean: codes among numbers, rows that are
//! there twice, units, sites with too little to say.
#![allow(clippy::unwrap_used)]

mod made;

use consilium_aggregation::Statistics;
use consilium_ml_worker::data::{
    apart, far_from_common, own_statistics, preflight, withheld, Prepared, Reading, Scaler, Split, Table,
};
use consilium_primitives::FailureCode;
use consilium_study::{Missing, OneClass, Scaling, StudyFile, StudySpec};
use made::look;
use std::{fmt::Write, fs, path::Path};

const TWO: &str = "features = { columns = [\"age\", \"crp\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"";

fn spec(data: &str) -> StudySpec {
    made::spec_with(data, 0.25)
}

fn read(spec: &StudySpec, text: &str) -> Table {
    made::read(spec, text).unwrap()
}

/// So many rows of two numbers that nothing stands out of; `crp` may say another.
fn table(rows: usize, crp: impl Fn(usize) -> Option<String>) -> String {
    let mut text = String::from("age,crp,ill\n");
    for n in 0..rows {
        let own = || format!("{}.{}", (n * n * 31 + 7 * n) % 173, n * 7 % 10);
        writeln!(text, "{},{},{}", 25 + n * 29 % 66, crp(n).unwrap_or_else(own), ["yes", "no"][n % 2]).unwrap();
    }
    text
}

fn suspicious(words: &str) -> Vec<&str> {
    words.lines().filter(|line| ["note", "suspicious", "problem"].iter().any(|w| line.starts_with(w))).collect()
}

#[test]
fn a_code_among_a_columns_numbers_is_named_with_its_rows_and_clean_tables_have_nothing() {
    let spec = spec(TWO);
    let (report, words) = look(&spec, table(200, |_| None));
    assert!(report.usable && suspicious(&words).is_empty(), "{words}");
    for code in ["-999", "9999", "-9", "-1"] {
        let (report, words) = look(&spec, table(200, |n| (n % 33 == 0).then(|| code.into())));
        assert!(report.usable, "{words}");
        let said = suspicious(&words);
        assert!(
            said.len() == 1 && said[0].contains("column \"crp\": 7 rows have the same number far outside"),
            "{words}"
        );
        assert!(!words.contains(code), "{words}");
        assert_eq!((report.look.codes[0].column.as_str(), report.look.codes[0].rows), ("crp", 7));
    }
}

#[test]
fn a_constant_but_for_rounding_and_row_numbers_are_named() {
    let spec = spec(TWO);
    let (report, words) = look(&spec, table(60, |n| Some(["14.62", "14.619999885559082"][n % 2].into())));
    assert!(report.usable && words.contains("with one value only, but for rounding: \"crp\""), "{words}");
    let (_, words) = look(&spec, table(60, |n| Some((3 * n + 1).to_string())));
    assert!(
        words.contains("suspicious: whole numbers that rise from row to row, as row numbers do: \"crp\""),
        "{words}"
    );
}

#[test]
fn rows_that_are_there_twice_are_counted_where_that_is_no_chance() {
    let spec = spec(TWO);
    let once = table(80, |_| None);
    let rows: Vec<&str> = once.lines().skip(1).collect();
    let with = |more: &[String]| format!("{once}{}\n", more.join("\n"));
    let doubled: Vec<String> = rows[..40].iter().map(|row| (*row).to_owned()).collect();
    let (report, words) = look(&spec, with(&doubled));
    assert_eq!(report.look.twice, (40, 0), "{words}");
    assert!(
        words.contains("suspicious: 40 rows have all values of another row, 0 of them with another label"),
        "{words}"
    );
    let other: Vec<String> = rows[..20].iter().map(|row| row.replace("yes", "no")).collect();
    assert_eq!(look(&spec, with(&other)).0.look.twice, (20, 10));
    assert_eq!(look(&spec, with(&doubled[..1])).0.look.twice, (0, 0));
    // yes-or-no columns are alike by chance
    let flags: String = (0..80).map(|n| format!("{},{},{}\n", n % 2, n % 3 / 2, ["yes", "no"][n % 2])).collect();
    assert_eq!(look(&spec, format!("age,crp,ill\n{flags}")).0.look.twice, (0, 0));
}

#[test]
fn pictures_that_are_there_twice_are_counted() {
    let mut spec = spec(TWO);
    let text = "title = \"t\"\n[data]\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\npictures = { column = \"file\", \
                height = 4, width = 4 }\n[model]\nlayers = [\"flatten\"]\n[training]\noptimizer = { sgd = { learning_rate = \
                0.1 } }\nbatch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = 0.25\nmin_rows = 2\n[rules]\nrounds = \
                1\ntraining_seconds = 1\n";
    spec.data = StudyFile::parse(text).unwrap().spec().data;
    let folder = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pictures");
    let png = ["alpha.png", "grey8.png", "grey16.png"].map(|name| golden.join(name));
    let mut rows = String::from("file,who,ill\n");
    for (n, path) in png.iter().enumerate() {
        for copy in ["a", "b"] {
            fs::copy(path, folder.path().join(format!("{copy}{n}.png"))).unwrap();
            let ill = if n == 0 && copy == "b" { "yes" } else { "no" };
            writeln!(rows, "{copy}{n}.png,{n},{ill}").unwrap();
        }
    }
    let path = folder.path().join("t.csv");
    fs::write(&path, rows).unwrap();
    let words = preflight(&path, &spec, &[1; 32], &Reading::default()).to_string();
    assert!(words.contains("suspicious: 3 rows name the same picture as a row before"), "{words}");
    assert!(words.contains("1 of them with another label"), "{words}");
    spec.data.group = Some("who".into());
    let words = preflight(&path, &spec, &[1; 32], &Reading::default()).to_string();
    assert!(!words.contains("same picture"), "of one patient: {words}");
}

#[test]
fn another_unit_at_one_site_is_seen_in_the_common_statistics() {
    let spec = spec(TWO);
    let of = |factor: f64, start: usize| {
        let crp = |n: usize| Some(format!("{}", (70 + (n + start) * 13 % 61) as f64 / 100.0 * factor));
        let table = read(&spec, &table(300, crp));
        own_statistics(&table, &(0..300).collect::<Vec<_>>()).unwrap()
    };
    // creatinine in mg/dl and in umol/l
    let (north, south, same) = (of(1.0, 0), of(88.4, 5), of(1.0, 5));
    let common = Statistics::merge(&[north.clone(), south]).unwrap();
    let far = far_from_common(&north, &common);
    assert_eq!(far.len(), 1, "{far:?}");
    assert!(far[0].0 == 1 && far[0].1 > 100.0, "{far:?}");
    assert!(far_from_common(&north, &Statistics::merge(&[north.clone(), same]).unwrap()).is_empty());
    // a yes that is rare here and common elsewhere is no unit, nor is a constant
    let flags =
        |yes: usize| Statistics::of_columns(&[(0..1_000).map(|n| f64::from(u8::from(n < yes))).collect::<Vec<_>>()]);
    for (here, there) in [(2, 600), (995, 100), (0, 600)] {
        let common = Statistics::merge(&[flags(here), flags(there)]).unwrap();
        assert!(far_from_common(&flags(here), &common).is_empty(), "{here} {there}");
    }
}

#[test]
fn sites_whose_values_are_a_hundred_times_apart_are_named_and_what_is_rare_or_withheld_is_not() {
    let of = |columns: &[Vec<f64>]| Statistics::of_columns(columns);
    let numbers = |factor: f64, rows: usize| (0..rows).map(|n| factor * (70 + n * 13 % 61) as f64).collect::<Vec<_>>();
    // a heart rate a minute and a second in the second column of three sites, of which one differs
    let sites: Vec<Statistics> = [1.0, 0.009, 1.2].map(|f| of(&[numbers(1.0, 50), numbers(f, 50)])).into();
    let found = apart(&sites);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].column, found[0].sites), (1, (2, 1)));
    assert!((found[0].times - 1.2 / 0.009).abs() < 1e-9, "{found:?}");
    assert!(apart(&[of(&[numbers(1.0, 50)]), of(&[numbers(99.0, 50)])]).is_empty());
    // of centred values it is how far they spread
    let centred = |factor: f64| (0..50).map(|n| factor * f64::from(n % 5 - 2)).collect::<Vec<_>>();
    let found = apart(&[of(&[centred(1.0)]), of(&[numbers(3.0, 50)])]);
    assert!((found[0].times - (3.0f64 * 3.0 * found_square()).sqrt() / 2f64.sqrt()).abs() < 1e-9, "{found:?}");
    // fewer than twenty values are withheld; zeros say nothing of a unit; a yes may be rare, and so may a count
    let rare =
        |every: usize, size: f64| (0..2_000).map(|n| if n % every == 0 { size } else { 0.0 }).collect::<Vec<_>>();
    for (here, there) in [
        (numbers(1.0, 19), numbers(1_000.0, 50)),
        (vec![0.0; 50], numbers(1.0, 50)),
        (rare(2_000, 1.0), rare(1, 1.0)),
        (rare(2_000, 2.0), rare(9, 30.0)),
    ] {
        let found = apart(&[of(&[here]), of(&[there])]);
        assert!(found.is_empty(), "{found:?}");
    }
    assert!(apart(&[]).is_empty());
}

/// The mean of the squares of fifty numbers from 70 on in steps of 13, modulo 61.
fn found_square() -> f64 {
    (0..50u32).map(|n| f64::from(70 + n * 13 % 61).powi(2)).sum::<f64>() / 50.0
}

#[test]
fn a_column_that_a_site_never_records_is_no_zero() {
    let mut spec = spec(TWO);
    spec.data.missing = Missing::Mean;
    let never = table(60, |_| Some("NA".into()));
    let rows = read(&spec, &never);
    let prepared = |spec: &StudySpec| Prepared::new(spec, &rows, &Split::of(&rows, 0.25), None);
    let error = prepared(&spec).unwrap_err();
    assert_eq!(error.code, FailureCode::TooFewSamples);
    assert!(error.message.contains("column \"crp\": no training row has a value"), "{error}");
    let (report, words) = look(&spec, &never);
    assert!(!report.usable && words.contains("problem: column \"crp\": no training row has a value"), "{words}");
    // scaled by the site itself 0 is the mean of what is not known
    spec.data.scaling = Scaling::Site;
    prepared(&spec).unwrap();
    let some = read(&spec, &table(60, |n| (n % 2 == 0).then(|| "NA".into())));
    Scaler::own(&some, &(0..60).collect::<Vec<_>>()).unwrap();
}

#[test]
fn a_site_with_too_few_rows_for_common_statistics_is_told_so() {
    let mut spec = spec(TWO);
    let (small, large) = (table(19, |_| None), table(60, |_| None));
    assert!(suspicious(&look(&spec, &small).1).iter().all(|line| !line.contains("withheld")));
    spec.data.scaling = Scaling::Swarm;
    let (report, words) = look(&spec, &small);
    assert!(report.usable && words.contains("of 2 of 2 columns (the first: \"age\"): this site's figures"), "{words}");
    assert!(!look(&spec, &large).1.contains("withheld"));
    let names = |text: &str, rows: usize| {
        let table = read(&spec, text);
        withheld(&spec, &table, &(0..rows).collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(names(&small, 19), ["age", "crp"]);
    assert!(names(&large, 20).is_empty());
}

#[test]
fn a_site_of_one_class_trains_where_the_study_says_so() {
    let mut spec = spec(TWO);
    assert!(!String::from_utf8(spec.canonical().unwrap()).unwrap().contains("one_class"), "older hashes stay");
    let text = table(40, |_| None).replace("yes", "no");
    let rows = read(&spec, &text);
    let prepared = |spec: &StudySpec| Prepared::new(spec, &rows, &Split::of(&rows, 0.25), None);
    assert_eq!(prepared(&spec).unwrap_err().code, FailureCode::OneClass);
    assert!(!look(&spec, &text).0.usable);
    spec.data.one_class = OneClass::Train;
    assert_eq!(prepared(&spec).unwrap().training.len(), 30);
    let (report, words) = look(&spec, &text);
    assert!(report.usable && words.contains("note: all 30 training rows are of one class: the site trains"), "{words}");
    assert!(!look(&spec, table(40, |_| None)).1.contains("one class"));
    let text = String::from_utf8(spec.canonical().unwrap()).unwrap();
    assert!(text.contains("\"one_class\":\"train\""), "{text}");
}

#[test]
fn rows_without_a_group_keep_their_side_in_another_export_and_a_corrected_one_trains() {
    let spec = spec(TWO);
    // the same numbers with seventeen digits, as pandas writes them, and with fifteen, as R does
    let write = |digits: usize| table(90, |n| Some(format!("{:.*e}", digits - 1, (n + 1) as f64 / 7.0)));
    let (all, short) = (read(&spec, &write(17)), read(&spec, &write(15)));
    assert_ne!(all.values().unwrap(), short.values().unwrap());
    assert_eq!(all.groups, short.groups);
    let mut split = Split::of(&all, 0.25);
    let before = split.rows(&all);
    assert_eq!(before, split.rows(&short));
    // all validation rows are corrected: none of them may be measured on, nor may one of the training rows
    let corrected = read(&spec, &table(90, |n| Some(((n + 1) as f64 / 8.0).to_string())));
    split.extend(&corrected, 0.25);
    assert!(split.rows(&corrected).1.is_empty());
    assert_eq!(split.rows(&all), before);
    // patients that come later are shared out as before
    let mut grouped = spec.clone();
    grouped.data.group = Some("age".into());
    let few = read(&grouped, &table(20, |_| None));
    let mut split = Split::of(&few, 0.25);
    let many = read(&grouped, &table(60, |_| None));
    split.extend(&many, 0.25);
    assert!(split.rows(&many).1.len() > split.rows(&few).1.len());
}
