//! Folders of an earlier version, which kept what belongs to a study in the folder of its agreement.

use super::{records::read, store::make_folder, Home, StudyKey};
use anyhow::{Context, Result};
use consilium_primitives::{DutyKind, Hash, StudyId};
use std::{fs, path::Path};

/// How the names of what belongs to a study begin.
const NAMES: [&str; 10] = [
    "accepted-",
    "checkpoint-",
    "dissent-",
    "figures-",
    "merge-",
    "optimizer",
    "own-",
    "past-dissent-",
    "training-",
    "transient-",
];

impl Home {
    /// Moves what an earlier version has left in an agreement's folder into that of the study which is asked for: all that
    /// names this study, and what names none. What names another study of the same agreement stays until that one is asked
    /// for. Checkpoints of that version are of no use: they do not say which rows they were made on.
    ///
    /// # Errors
    /// What the file system says.
    pub fn adopt(&self, study: &StudyKey) -> Result<()> {
        let (from, to) = (self.agreement_folder(&study.agreement), self.study_folder(study));
        if !from.is_dir() {
            return Ok(());
        }
        for entry in fs::read_dir(&from).with_context(|| format!("cannot read {}", from.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !NAMES.iter().any(|start| name.starts_with(start)) {
                continue;
            }
            if study_in(&entry.path())?.is_some_and(|named| named != study.study) || to.join(&name).exists() {
                continue;
            }
            make_folder(&to, 0o700).with_context(|| format!("cannot make {}", to.display()))?;
            fs::rename(entry.path(), to.join(&name))
                .with_context(|| format!("cannot move {} to {}", entry.path().display(), to.display()))?;
        }
        Ok(())
    }
}

/// The study that a file names. The copies beside a note on a dissent are that note's.
fn study_in(path: &Path) -> Result<Option<StudyId>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name.starts_with("own-") {
        // the hash of its content, then a merge's order, which begins with its duty
        let bytes = read(path)?.unwrap_or_default();
        let duty = bytes.get(32..).unwrap_or_default();
        return Ok(codec::Decode::decode(&mut &duty[..]).ok().map(|(_, _, study): (DutyKind, Hash, StudyId)| study));
    }
    let note = if path.is_dir() { path.with_extension("json") } else { path.to_path_buf() };
    if note.extension().is_none_or(|ending| ending != "json") {
        return Ok(None);
    }
    let note: serde_json::Value =
        read(&note)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    Ok(note["study"].as_u64().and_then(|study| study.try_into().ok()))
}
