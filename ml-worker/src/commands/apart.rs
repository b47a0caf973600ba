//! Whether rows to measure on are others than those trained on.

use anyhow::{bail, Result};
use consilium_ml_worker::data::Table;
use consilium_study::DataSpec;
use std::{collections::HashSet, path::Path};

/// Refuses held-out rows of patients whose other rows are trained on. Both tables must have been read with the same key.
///
/// Where the study names no group, rows are known by their values: equal ones are counted, logged and given back in words,
/// and refused where no held-out row is another.
pub fn apart(spec: &DataSpec, train: (&Path, &Table), test: (&Path, &Table)) -> Result<Option<String>> {
    let there: HashSet<&[u8; 32]> = train.1.groups.iter().collect();
    let shared = test.1.groups.iter().filter(|group| there.contains(group)).count();
    if shared == 0 {
        return Ok(None);
    }
    let (trained, held_out, rows) = (train.0.display(), test.0.display(), test.1.rows());
    if let Some(group) = &spec.group {
        bail!(
            "{trained} and {held_out}: rows of the same {group:?} are in both; held-out rows must be of others than those \
             trained on"
        );
    }
    if shared == rows {
        bail!(
            "{held_out}: each of its {rows} rows is in {trained}, too; held-out rows must be others than those trained on"
        );
    }
    let words = format!(
        "{held_out}: {shared} of its {rows} rows are equal to rows of {trained}; if they are the same patients, figures on \
         them flatter: take them out, or name a group column in the study"
    );
    tracing::warn!("{words}");
    Ok(Some(words))
}
