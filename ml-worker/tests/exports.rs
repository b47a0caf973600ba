//! Tables as other programs write them, that such programs are known to misread: each is read as it was meant, or refused
//! by what is wrong with it.
#![allow(clippy::unwrap_used)]

mod made;

use consilium_ml_worker::{
    data::{columns, preflight, read_table, Prepared, Reading, Split, Table},
    learn::{initial_parameters, OptimizerState, Seeds, Session, TrainError, Trained},
};
use consilium_primitives::FailureCode;
use consilium_study::{BadRows, Categorical, Decimal, Missing, StudyFile, StudySpec};
use made::{look, read, refused, spec};
use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
};

const AGE: &str = "features = { columns = [\"age\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"";

/// Forty rows of age, label and a remark, which `remark` writes; python's csv module in its strict mode reads the same.
fn remarks(header: &str, remark: impl Fn(usize) -> &'static str) -> String {
    let mut text = format!("{header}\n");
    for n in 0..40 {
        let ill = if n % 3 == 0 { "no" } else { "yes" };
        let (a, b) = if header.ends_with("remark") { (ill, remark(n)) } else { (remark(n), ill) };
        writeln!(text, "{},{a},{b}", 30 + n).unwrap();
    }
    text
}

#[test]
fn a_stray_quotation_mark_is_an_error_that_names_its_line_whatever_the_study_lets_go() {
    let mut spec = spec(AGE);
    let one = |line: usize, what: &'static str| move |n: usize| if n == line { what } else { "fine" };
    let (last, middle) = ("age,ill,remark", "age,remark,ill");
    for remark in ["scar 5\" long", "\"fell, twice\"", "\"fell\ntwice\"", "\"a \"\"bad\"\" fall\"", "\"\""] {
        assert_eq!(read(&spec, remarks(last, one(9, remark))).unwrap().rows(), 40, "{remark}");
    }
    let joined = |n: usize| ["fine", "\"fell", "scar 2\" long"][if n == 9 || n == 10 { n - 8 } else { 0 }];
    for at_most in [None, Some(0.5)] {
        if let Some(at_most) = at_most {
            spec.data.bad_rows = BadRows::Skip { at_most };
        }
        for text in [
            remarks(last, one(9, "\"fell at home")),
            remarks(middle, joined),
            remarks(last, one(9, "\"fell\" at home")),
            remarks(last, |n| if n == 9 || n == 30 { "\"fell" } else { "\"fine\"" }),
        ] {
            let said = refused(&spec, &text);
            assert!(said.contains("t.csv, line 11: has a cell that begins with a quotation mark"), "{said}");
            let (report, words) = look(&spec, &text);
            assert!(!report.usable && words.contains("line 11: has a cell that begins"), "{words}");
        }
        assert!(refused(&spec, "age,\"ill\n30,yes\n31,no\n").contains("line 1: has a cell that begins"));
        assert!(refused(&spec, "\"age\" ,ill\n30,yes\n31,no\n").contains("line 1: has a cell that begins"));
    }
    // in a later piece of a table that is read in several
    spec.data.bad_rows = BadRows::Refuse;
    let mut text = String::from("age,ill,remark\n");
    for n in 0..30_000 {
        let remark = if n == 29_000 { "\"fell" } else { "\"fine, as it was\"" };
        writeln!(text, "{},{},{remark}", n % 90, ["yes", "no"][n % 2]).unwrap();
    }
    assert!(refused(&spec, &text).contains("line 29002: has a cell that begins"));
}

#[test]
fn a_comma_that_may_stand_between_thousands_is_asked_about() {
    let mut spec =
        spec("features = { columns = [\"bnp\", \"crp\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"");
    let table = |numbers: &[(&str, &str)], mark: &str| {
        let mut text = format!("bnp{mark}crp{mark}ill\n");
        for n in 0..40 {
            let (a, b) = numbers[n % numbers.len()];
            writeln!(text, "{a}{mark}{b}{mark}{}", ["yes", "no"][n % 2]).unwrap();
        }
        text
    };
    for mark in ["\t", ";"] {
        for numbers in [&[("999", "1"), ("1,020", "2")][..], &[("1,020", "2")], &[("-12,500", "3"), ("17", "1,001")]] {
            let text = table(numbers, mark);
            let said = refused(&spec, &text);
            assert!(
                said.contains("column \"bnp\": has three digits behind a comma") && said.contains("thousands"),
                "{said}"
            );
            assert!(
                said.contains("data.decimal \"comma\"") && !said.contains("020") && !said.contains("500"),
                "{said}"
            );
            let (report, words) = look(&spec, &text);
            assert!(!report.usable && words.contains("problem: column \"bnp\": "), "{words}");
        }
    }
    // what says that it is the decimal mark: another number of the column, one of another column, one of 1000 and more
    for numbers in [
        [("0,512", "1"), ("1,020", "2")],
        [("1,5", "1"), ("1,020", "2")],
        [("1,020", "1,5"), ("2,020", "2")],
        [("1,020", "1"), ("1500", "2")],
    ] {
        let read = read(&spec, table(&numbers, ";")).unwrap();
        let wanted: f64 = numbers[0].0.replace(',', ".").parse().unwrap();
        assert_eq!(read.row(0).unwrap()[0], wanted);
    }
    assert!(refused(&spec, table(&[("1.234.567", "1")], "\t")).contains("separators between thousands"));
    assert!(refused(&spec, table(&[("\"1,234\"", "1")], ",")).contains("separators between thousands"));
    // the same of a point is worth a word where whole numbers below 1000 stand beside it, and no refusal
    let (report, words) = look(&spec, table(&[("999", "1.5"), ("1.020", "2")], ";"));
    assert!(report.usable && !words.contains("thousands"), "{words}");
    let (report, words) = look(&spec, table(&[("999", "1"), ("1.020", "2")], ";"));
    assert!(
        report.usable && words.contains("note: column \"bnp\": 20 rows, the first in line 3: has three digits"),
        "{words}"
    );
    assert!(!look(&spec, table(&[("999", "1"), ("1.020", "2")], ",")).1.contains("thousands"));
    assert!(!look(&spec, table(&[("1.234", "1"), ("1.020", "2")], ";")).1.contains("thousands"));

    let (doubtful, point) =
        (table(&[("999", "1"), ("1,020", "2")], "\t"), table(&[("999", "1"), ("1.020", "2")], "\t"));
    let plain = spec.canonical().unwrap();
    assert!(!String::from_utf8(plain).unwrap().contains("decimal"), "older specifications keep their hash");
    spec.data.decimal = Some(Decimal::Comma);
    assert_eq!(read(&spec, &doubtful).unwrap().row(1).unwrap(), [1.02, 2.0]);
    assert!(refused(&spec, &point).contains("another decimal mark than the study takes"));
    assert_eq!(read(&spec, table(&[("1.02", "1")], ",")).unwrap().row(0).unwrap(), [1.02, 1.0]);
    spec.data.decimal = Some(Decimal::Point);
    assert_eq!(read(&spec, &point).unwrap().row(1).unwrap(), [1.02, 2.0]);
    assert!(refused(&spec, &doubtful).contains("separators between thousands"));
    assert!(!look(&spec, &point).1.contains("thousands"));
    let file = "title = \"t\"\n[data]\ndecimal = \"comma\"\nfeatures = { columns = [\"a\"] }\nlabel = \"l\"\npositive = \"1\"\n\
                negative = \"0\"\n[model.logistic]\n[training]\noptimizer = { sgd = { learning_rate = 0.1 } }\nbatch_size = 4\n\
                epochs = 1\n[evaluation]\nvalidation_share = 0.3\n[rules]\nrounds = 1\ntraining_seconds = 1\n";
    let spec = StudyFile::parse(file).unwrap().spec();
    assert_eq!(StudySpec::from_canonical(&spec.canonical().unwrap()).unwrap().data.decimal, Some(Decimal::Comma));
}

/// Of golden/tables/others.py.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tables").join(name)
}

#[test]
fn the_row_numbers_of_a_filtered_data_frame_are_no_feature_and_are_named() {
    let path = golden("filtered.parquet");
    let header = columns(&path, &["ill"], Vec::new()).unwrap();
    assert_eq!(header.names, ["age", "crp", "ill", "__index_level_0__"]);
    assert_eq!(header.others.count, 2);
    let spec = spec(&format!("{header}\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\""));
    assert_eq!(read_table(&path, &spec.data, &[0; 32]).unwrap().features, ["age", "crp"]);
    let words = preflight(&path, &spec, &[0; 32], &Reading::default()).to_string();
    assert!(words.contains("note: the column \"__index_level_0__\" is left out"), "{words}");
    let (_, words) = look(&spec, "age,crp,ill\n1,2,yes\n3,4,no\n");
    assert!(!words.contains("is left out"), "{words}");
    // as R and pandas write them into a text, without a name, and pandas when it reads that and writes it again
    for name in ["", "\"\"", "Unnamed: 0"] {
        let text = format!("{name},age,crp,ill\n8,61,2.5,yes\n9,47,4,no\n");
        let table = read(&spec, &text).unwrap();
        assert_eq!(
            (table.features.clone(), table.values().unwrap()),
            (vec!["age".to_owned(), "crp".to_owned()], vec![61.0, 2.5, 47.0, 4.0])
        );
        let (_, words) = look(&spec, &text);
        let said = format!("note: the column {:?} is left out", name.trim_matches('"'));
        assert!(words.contains(&said), "{said} in {words}");
    }
    // who names it wants it
    let mut named = spec.clone();
    named.data.features.others = None;
    named.data.features.columns = vec!["__index_level_0__".into()];
    assert!(!preflight(&path, &named, &[0; 32], &Reading::default()).to_string().contains("is left out"));
}

fn groups(table: &Table) -> usize {
    table.groups.iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn a_patient_is_one_however_programs_write_the_number() {
    let spec = spec(&format!("{AGE}\ngroup = \"who\""));
    let table = |names: &[&str]| {
        let mut text = String::from("who;age;ill\n");
        for (n, name) in names.iter().enumerate() {
            writeln!(text, "{name};{n};{}", ["yes", "no"][n % 2]).unwrap();
        }
        read(&spec, text).unwrap()
    };
    // pandas once a cell is empty; a decimal comma; R of 100000
    assert_eq!(groups(&table(&["101", "101.0", " 101.00", "101,0", "1.01e2"])), 1);
    assert_eq!(groups(&table(&["100000", "1e+05", "1e5", "100000.0"])), 1);
    assert!(table(&["101", "102"]).shares_a_group(&table(&["7", "102.0"])));
    // other patients, and names that are no numbers
    let others = ["101", "0101", "101.5", "-101", "101.0.0", "A101.0", "101e", "1e400", "9007199254740993.0", "1,2,3"];
    assert_eq!(groups(&table(&others)), others.len());
    for missing in ["", "NA", " NA ", "NaN", "nan"] {
        let said = refused(&spec, format!("who,age,ill\n1,2,yes\n{missing},3,no\n"));
        assert!(said.contains("line 3, column \"who\": is empty (or NA); every row needs its group"), "{said}");
    }
}

#[test]
fn a_level_is_the_same_number_whichever_way_it_is_written() {
    let mut spec = spec(AGE);
    let levels = |levels: &[&str]| levels.iter().map(|level| (*level).to_owned()).collect();
    spec.data.categorical = vec![Categorical { column: "stage".into(), levels: levels(&["1", "2", "x"]), other: None }];
    let stages = |text: &str| {
        let rows = text.split(',').enumerate().map(|(n, stage)| format!("{n},{stage},{}\n", ["yes", "no"][n % 2]));
        format!("age,stage,ill\n{}", rows.collect::<String>())
    };
    let found: Vec<f64> = read(&spec, stages("1,1.0,2.00,x, 2 ,1e0")).unwrap().values().unwrap();
    assert_eq!(found.chunks(2).map(|row| row[1]).collect::<Vec<_>>(), [0., 0., 1., 2., 1., 0.]);
    assert!(refused(&spec, stages("1,1.5")).contains("line 3, column \"stage\": is none of the levels"));
    assert!(refused(&spec, stages("1,inf")).contains("is none of the levels"));
    // what is declared as another level is one
    spec.data.categorical[0].levels = levels(&["1", "1.0", "2"]);
    let found: Vec<f64> = read(&spec, stages("1,1.0,1.00")).unwrap().values().unwrap();
    assert_eq!(found.chunks(2).map(|row| row[1]).collect::<Vec<_>>(), [0., 1., 0.]);
}

#[test]
fn truth_values_of_parquet_are_numbers_and_words() {
    let mut spec =
        spec("features = { columns = [\"a\", \"diabetes\"] }\nlabel = \"ill\"\npositive = \"1\"\nnegative = \"0\"");
    spec.data.missing = Missing::Mean;
    let path = golden("truths.parquet");
    for (positive, negative) in [("1", "0"), ("true", "false"), ("TRUE", "FALSE"), ("True", "0")] {
        (spec.data.positive, spec.data.negative) = (positive.into(), negative.into());
        for levels in [["0", "1"], ["false", "true"], ["False", "True"]] {
            let levels = levels.map(String::from).to_vec();
            spec.data.categorical = vec![Categorical { column: "smokes".into(), levels, other: None }];
            let table = read_table(&path, &spec.data, &[0; 32]).unwrap();
            assert_eq!(table.labels, [1, 0, 1, 0]);
            let found: Vec<f64> =
                table.values().unwrap().into_iter().map(|v| if v.is_nan() { -1.0 } else { v }).collect();
            assert_eq!(found, [1., 0., 0., 2., 1., 1., 3., 1., -1., 4., 0., 1.]);
        }
    }
    (spec.data.positive, spec.data.negative) = ("yes".into(), "no".into());
    assert!(read_table(&path, &spec.data, &[0; 32]).unwrap_err().message.contains("neither the positive value"));
}

#[test]
fn a_table_of_r_with_row_names_is_called_that() {
    // write.table(data.frame(age = c(30, 31), ill = c("yes", "no")), sep = ","), whose header has no name for them
    let said = refused(&spec(AGE), "\"age\",\"ill\"\n\"1\",30,\"yes\"\n\"2\",31,\"no\"\n");
    assert!(
        said.contains("line 2: has 3 cells, the header has 2; where every row is so") && said.contains("row.names"),
        "{said}"
    );
    assert!(refused(&spec(AGE), "age,ill\n30\n").contains("is a separator or a quotation mark missing"));
}

/// One round at a site whose secret is this.
fn train(spec: &StudySpec, text: &str, secret: u8) -> Result<Trained, TrainError> {
    let table = read(spec, text).unwrap();
    let prepared = Prepared::new(spec, &table, &Split::of(&table, 0.25), None).unwrap();
    let (seeds, base) = (Seeds::new(&[secret; 32], &[6; 32], 1), initial_parameters(spec).unwrap());
    Session::new(spec, &base, &prepared.training, None, &OptimizerState::default(), &seeds).train(&|_| false)
}

#[test]
fn rare_yes_or_no_columns_are_trained_on_though_a_batch_may_have_none() {
    let spec = spec(&AGE.replace("\"age\"", "\"dialysis\", \"sepsis\""));
    let text = |rare: usize| {
        let mut text = String::from("dialysis,sepsis,ill\n");
        for n in 0..400 {
            let (a, b) = (usize::from(rare > 0 && n % 101 == 7), usize::from(rare > 1 && n % 131 == 3));
            writeln!(text, "{a},{b},{}", if a + b > 0 || n % 6 == 0 { "yes" } else { "no" }).unwrap();
        }
        text
    };
    for secret in 0..6 {
        let trained = train(&spec, &text(2), secret).unwrap();
        assert!(trained.parameters.iter().all(|p| *p != 0.0));
        train(&spec, &text(1), secret).unwrap();
        // a site that has no such patient does no harm to those that have
        train(&spec, &text(0), secret).unwrap();
    }
}

#[test]
fn units_that_are_dead_in_every_row_are_called_so() {
    let mut spec = spec(AGE);
    spec.model = StudyFile::parse(
        "title = \"t\"\n[data]\nfeatures = { columns = [\"age\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\n\
         [model.dense]\nhidden = [1]\nactivation = \"relu\"\n[training]\noptimizer = { sgd = { learning_rate = 1e-9 } }\n\
         batch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = 0.3\n[rules]\nrounds = 1\ntraining_seconds = 1\n",
    )
    .unwrap()
    .spec()
    .model;
    let text = |sign: f64| {
        let mut text = String::from("age,ill\n");
        // one row in twenty is of the other sign
        for n in 0..200 {
            let age = if n % 20 == 0 { -sign } else { sign } * (1.0 + n as f64);
            writeln!(text, "{age},{}", ["yes", "no"][n % 2]).unwrap();
        }
        text
    };
    let weight = initial_parameters(&spec).unwrap()[1];
    // nearly every batch is silent, and not all rows are
    for secret in 0..4 {
        train(&spec, &text(if weight > 0.0 { -1.0 } else { 1.0 }), secret).unwrap();
    }
    let dead = text(if weight > 0.0 { -1.0 } else { 1.0 })
        .lines()
        .filter(|line| {
            let age = line.split(',').next().unwrap().parse::<f64>();
            age.map_or(true, |age| age * f64::from(weight) < 0.0)
        })
        .fold(String::new(), |all, line| all + line + "\n");
    let error = train(&spec, &dead, 1).unwrap_err();
    assert_eq!(error.code(), FailureCode::SchemaMismatch);
    assert!(error.to_string().contains("Its units are dead"), "{error}");
}
