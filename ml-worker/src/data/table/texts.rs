//! What stands in a single column, beside the rows of a table.

use super::{mode, rows};
use crate::data::{
    error::DataError,
    table::{
        cell::Mode,
        header, reading,
        sink::Target,
        source::{Reading, Source},
    },
};
use consilium_study::{BadRows, DataSpec, Features, Missing, PictureKind, Pictures};
use std::path::Path;

/// What stands in a column that the study need not know, for each row that [`read_file`](super::read_file) keeps, in its order, without blanks
/// around it. For rows that are told apart by it, not for the network.
///
/// # Errors
/// What [`read_file`](super::read_file) says; no such column; a row that has nothing there; rows of pictures that are skipped,
/// which cannot be matched.
pub fn read_texts(path: &Path, spec: &DataSpec, column: &str, how: &Reading) -> Result<Vec<String>, DataError> {
    let mut spec = spec.clone();
    if spec.bad_rows == BadRows::Refuse && spec.missing != Missing::DropRow {
        // every row is kept: nothing else need be read
        (spec.features, spec.categorical) = (Features::default(), Vec::new());
    }
    spec.pictures = Some(texts_in(column));
    let target = Target { reading: how, copy: None, path };
    let named = |error: DataError| {
        let message = error.message.replace("which the study names as that of its pictures", "which was asked for");
        DataError::new(error.code, message.replace("every row needs its picture", "every row needs a value there"))
    };
    let outcome = rows(&target, &spec, &[0; 32], mode(&spec)).map_err(named)?.1.map_err(named)?;
    Ok(outcome.known.pictures)
}

/// What stands in a column beside each row that [`read_unlabelled`](super::read_unlabelled) gives, without blanks around it;
/// empty where nothing does. `None`: there is no such column.
///
/// # Errors
/// What [`read_unlabelled`](super::read_unlabelled) says; two such columns; texts that are no UTF-8.
pub fn read_names(path: &Path, spec: &DataSpec, column: &str, how: &Reading) -> Result<Option<Vec<String>>, DataError> {
    let target = Target { reading: how, copy: None, path };
    let mut source = Source::open(path, how, spec.layout())?;
    let there = reading::names(&mut source, &target, &|names| header::fits(names, spec, Mode::Predict));
    if !there.map_err(|e| e.of(path))?.iter().any(|name| name == column.trim()) {
        return Ok(None);
    }
    let spec = DataSpec {
        features: Features::default(),
        categorical: Vec::new(),
        pictures: Some(texts_in(column)),
        ..spec.clone()
    };
    Ok(Some(rows(&target, &spec, &[0; 32], Mode::Texts)?.1?.known.pictures))
}

/// A column that is read as that of the pictures' names, of which there are none.
fn texts_in(column: &str) -> Pictures {
    Pictures {
        column: column.to_owned(),
        height: 1,
        width: 1,
        channels: 1,
        kind: PictureKind::Picture,
        mean: 0.0,
        deviation: 1.0,
    }
}
