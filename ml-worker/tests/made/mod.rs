//! A study of a few lines, and tables that are written down for it and read.
// every test program uses its own part of this
#![allow(dead_code)]

use consilium_ml_worker::data::{preflight, read_table, DataError, Reading, Report, Table};
use consilium_primitives::FailureCode;
use consilium_study::{StudyFile, StudySpec};
use std::{fs, path::PathBuf};

/// The study of these lines of its `[data]` part; three of ten rows validate.
pub fn spec(data: &str) -> StudySpec {
    spec_with(data, 0.3)
}

/// The same, with this share of rows that validate.
pub fn spec_with(data: &str, share: f64) -> StudySpec {
    let text = format!(
        "title = \"t\"\n[data]\n{data}\n[model.logistic]\n[training]\noptimizer = {{ sgd = {{ learning_rate = 0.1 }} }}\n\
         batch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = {share}\nmin_rows = 2\n[rules]\nrounds = 1\n\
         training_seconds = 1\n"
    );
    StudyFile::parse(&text).unwrap().spec()
}

pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.0.path().join(name), text).unwrap();
        self.0.path().join(name)
    }
}

pub fn read(spec: &StudySpec, text: impl AsRef<[u8]>) -> Result<Table, DataError> {
    read_table(&Folder::new().write("t.csv", text), &spec.data, &[3; 32])
}

/// Why a table does not fit.
pub fn refused(spec: &StudySpec, text: impl AsRef<[u8]>) -> String {
    let error = read(spec, text).unwrap_err();
    assert_eq!(error.code, FailureCode::SchemaMismatch, "{error}");
    error.message
}

/// What `preflight` finds, and its words.
pub fn look(spec: &StudySpec, text: impl AsRef<[u8]>) -> (Report, String) {
    let report = preflight(&Folder::new().write("t.csv", text), spec, &[1; 32], &Reading::default());
    let words = report.to_string();
    (report, words)
}
