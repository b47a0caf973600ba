//! Where this institution's people have put what was made of a study: models that were fetched, and reports. `consilium dashboard` finds
//! them by it, whatever they are called and wherever they lie, and those of no other institution on the same machine.

use crate::programs::replace_private;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The file in the institution's folder.
const FILE: &str = "made.json";
/// Most places that are kept; the oldest are forgotten.
const MOST: usize = 200;

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A folder with a study's model, of `consilium study fetch`.
    Model,
    /// The JSON of a report, of `consilium report`.
    Report,
}

/// One thing that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    /// What.
    what: What,
    /// Where it lies, from the root.
    path: PathBuf,
}

/// Keeps where something lies.
///
/// # Errors
/// It is not there, or the institution's folder cannot be written to.
pub fn keep(dir: &Path, what: What, path: &Path) -> Result<()> {
    let path = path.canonicalize().with_context(|| format!("cannot read {}", path.display()))?;
    let made = Made { what, path };
    let mut all = read(dir);
    all.retain(|one| *one != made);
    all.push(made);
    let newest = all.split_off(all.len().saturating_sub(MOST));
    replace_private(&dir.join(FILE), &serde_json::to_vec_pretty(&newest)?)
}

/// As [`keep`], for what people do not wait for: that it cannot be kept is said, and does no harm to what was made.
pub fn keep_or_warn(dir: &Path, what: What, path: &Path) {
    if let Err(error) = keep(dir, what, path) {
        eprintln!("warning: the page of `consilium dashboard` will not find {}: {error:#}", path.display());
    }
}

/// Where things of a kind lie, the newest last. They may be gone since.
pub fn kept(dir: &Path, what: What) -> Vec<PathBuf> {
    read(dir).into_iter().filter(|made| made.what == what).map(|made| made.path).collect()
}

/// All that was kept; nothing where the file is not there, or is none.
fn read(dir: &Path) -> Vec<Made> {
    fs::read(dir.join(FILE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_made_is_found_by_the_folder_that_it_was_made_for_and_by_no_other() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let (alder, birch) = (root.join("alder"), root.join("birch"));
        for folder in [&alder, &birch] {
            fs::create_dir(folder).unwrap();
        }
        let report = root.join("report-4.json");
        assert!(keep(&alder, What::Report, &report).is_err(), "it is not there");
        fs::write(&report, "{}").unwrap();
        for _ in 0..2 {
            keep(&alder, What::Report, &report).unwrap();
        }
        keep(&alder, What::Model, &birch).unwrap();
        assert_eq!(kept(&alder, What::Report), std::slice::from_ref(&report));
        assert_eq!(kept(&alder, What::Model), std::slice::from_ref(&birch));
        assert!(kept(&birch, What::Report).is_empty());
        // the oldest are forgotten
        for number in 0..MOST {
            let file = root.join(format!("{number}.json"));
            fs::write(&file, "").unwrap();
            keep(&alder, What::Report, &file).unwrap();
        }
        assert_eq!(kept(&alder, What::Report).len(), MOST);
        assert!(kept(&alder, What::Model).is_empty());
        fs::write(alder.join(FILE), "{").unwrap();
        assert!(kept(&alder, What::Report).is_empty());
    }
}
