//! Tables as other programs write them, that such programs are known to misread: each is read as it was meant, or refused
//! by what is wrong with it.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::data::{preflight, read_table, DataError, Reading, Report, Table};
use consilium_primitives::FailureCode;
use consilium_study::{BadRows, StudyFile, StudySpec};
use std::{fmt::Write, fs, path::PathBuf};

const AGE: &str = "features = { columns = [\"age\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"";

/// The study of these lines of its `[data]` part.
fn spec(data: &str) -> StudySpec {
    let text = format!(
        "title = \"t\"\n[data]\n{data}\n[model.logistic]\n[training]\noptimizer = {{ sgd = {{ learning_rate = 0.1 }} }}\n\
         batch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = 0.3\nmin_rows = 2\n[rules]\nrounds = 1\n\
         training_seconds = 1\n"
    );
    StudyFile::parse(&text).unwrap().spec()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.0.path().join(name), text).unwrap();
        self.0.path().join(name)
    }
}

fn read(spec: &StudySpec, text: impl AsRef<[u8]>) -> Result<Table, DataError> {
    read_table(&Folder::new().write("t.csv", text), &spec.data, &[3; 32])
}

fn refused(spec: &StudySpec, text: impl AsRef<[u8]>) -> String {
    let error = read(spec, text).unwrap_err();
    assert_eq!(error.code, FailureCode::SchemaMismatch, "{error}");
    error.message
}

fn look(spec: &StudySpec, text: impl AsRef<[u8]>) -> (Report, String) {
    let report = preflight(&Folder::new().write("t.csv", text), spec, &[1; 32], &Reading::default());
    let words = report.to_string();
    (report, words)
}

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
