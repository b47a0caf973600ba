//! What the worker keeps of one study, `studies/AGREEMENT/study-NUMBER/`: what outlives a duty, and notes for people. Two
//! studies can have one agreement; no two chains can, for its hash names the chain's genesis.

use super::{
    agreement::{parse_hash, write_hash},
    records::{read, whole, with_hash, OWN},
    store::{make_folder, write_loosely, write_whole},
    Home,
};
use crate::learn::{Checkpoint, OptimizerState};
use anyhow::{Context, Result};
use codec::{Decode, Encode};
use consilium_primitives::{Duty, Hash, StudyId};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A study that is worked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StudyKey {
    /// Its agreement.
    pub agreement: Hash,
    /// Its number on the chain.
    pub study: StudyId,
}

impl StudyKey {
    /// That of a duty.
    pub fn of(duty: &Duty) -> Self {
        Self { agreement: duty.agreement, study: duty.study }
    }
}

/// A checkpoint as it lies on disk, with the name of what it was trained on.
#[derive(Encode, Decode)]
struct Marked {
    rows: Hash,
    checkpoint: Checkpoint,
}

impl Home {
    /// Where what belongs to a study is kept, whether or not anything is.
    pub fn study_folder(&self, study: &StudyKey) -> PathBuf {
        self.agreement_folder(&study.agreement).join(format!("study-{}", study.study))
    }

    /// The same, made where it is not there.
    pub(super) fn study(&self, study: &StudyKey) -> Result<PathBuf> {
        let path = self.study_folder(study);
        make_folder(&path.join("optimizer"), 0o700).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// What the optimiser remembered after round `round - 1`; `None` where nothing was kept of it or the file is damaged.
    ///
    /// # Errors
    /// What the file system says.
    pub fn optimizer(&self, study: &StudyKey, round: u32) -> Result<Option<OptimizerState>> {
        let Some(name) = self.optimizer_name(study, round)? else { return Ok(None) };
        let path = self.study(study)?.join("optimizer").join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let state: Option<OptimizerState> = whole(&bytes);
        if state.is_none() {
            tracing::warn!("{} is damaged", path.display());
        }
        Ok(state)
    }

    /// The file of that. A note on what went into the merge that is damaged counts as none. Where the chain has taken a round back and asked for it again there are two: then that which went
    /// into the merge, if it is known, else the first by its duty's hash.
    ///
    /// # Errors
    /// What the file system says.
    pub fn optimizer_name(&self, study: &StudyKey, round: u32) -> Result<Option<String>> {
        let folder = self.study(study)?.join("optimizer");
        let Some(before) = round.checked_sub(1) else { return Ok(None) };
        if let Some(duty) = read(&folder.join(format!("{before}-merged")))?.as_deref().and_then(parse_hash) {
            return Ok(Some(state_name(before, &duty)).filter(|name| folder.join(name).is_file()));
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.retain(|name| name.starts_with(&format!("{before}-")));
        Ok(names.into_iter().min())
    }

    /// Notes which of this site's training duties went into a round's merge.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_merged(&self, study: &StudyKey, round: u32, duty: &Hash) -> Result<()> {
        write_hash(&self.study(study)?.join("optimizer").join(format!("{round}-merged")), duty, write_loosely)
    }

    /// Keeps what the optimiser remembers after a duty; states of rounds before the last two are removed. It reaches the disk a
    /// little later: where a power cut takes it, the optimiser starts anew, as on a site that has missed a round.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_optimizer(&self, study: &StudyKey, round: u32, duty: &Hash, state: &OptimizerState) -> Result<()> {
        let folder = self.study(study)?.join("optimizer");
        let path = folder.join(state_name(round, duty));
        write_loosely(&path, &with_hash(state), OWN).with_context(|| format!("cannot write {}", path.display()))?;
        self.1.add(path);
        for entry in fs::read_dir(&folder)?.flatten() {
            let old = entry.file_name().to_string_lossy().split('-').next().and_then(|r| r.parse::<u32>().ok());
            if old.is_some_and(|old| old.saturating_add(2) < round) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn checkpoint_file(&self, study: &StudyKey, duty: &Hash) -> Result<PathBuf> {
        Ok(self.study(study)?.join(format!("checkpoint-{}", hex::encode(duty))))
    }

    /// Where a training that was interrupted can go on. `rows`: the name of what it trains on. `None`: it begins at its
    /// beginning, as it does where the file is damaged, or was made on other rows.
    ///
    /// # Errors
    /// What the file system says.
    pub fn checkpoint(&self, study: &StudyKey, duty: &Hash, rows: &Hash) -> Result<Option<Checkpoint>> {
        let bytes = read(&self.checkpoint_file(study, duty)?)?;
        let marked = bytes.and_then(|bytes| whole::<Marked>(&bytes));
        Ok(marked.filter(|marked| marked.rows == *rows).map(|marked| marked.checkpoint))
    }

    /// Keeps a training's checkpoint.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_checkpoint(&self, study: &StudyKey, duty: &Hash, rows: &Hash, checkpoint: &Checkpoint) -> Result<()> {
        let path = self.checkpoint_file(study, duty)?;
        write_whole(&path, &with_hash(&(rows, checkpoint)), OWN)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes all checkpoints of a study: a round's training is done, and those of rounds before are of no use any more.
    ///
    /// # Errors
    /// What the file system says.
    pub fn drop_checkpoints(&self, study: &StudyKey) -> Result<()> {
        drop_checkpoints(&self.study(study)?)
    }

    /// Removes those of all of an agreement's studies.
    pub(super) fn drop_all_checkpoints(&self, agreement: &Hash) -> Result<()> {
        let folder = self.agreement_folder(agreement);
        // those of an earlier version lie in the folder itself
        drop_checkpoints(&folder)?;
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("study-") {
                drop_checkpoints(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Keeps a note on a round for this site's own people: `NAME-ROUND.json` in the study's folder.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_note(&self, study: &StudyKey, name: &str, round: u32, note: &impl serde::Serialize) -> Result<()> {
        let path = self.study(study)?.join(format!("{name}-{round:04}.json"));
        write_loosely(&path, &serde_json::to_vec_pretty(note)?, OWN)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The newest round that there is such a note on.
    ///
    /// # Errors
    /// What the file system says.
    pub fn newest_note(&self, study: &StudyKey, name: &str) -> Result<Option<u32>> {
        let folder = self.study(study)?;
        let files = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let round = |file: fs::DirEntry| {
            let file = file.file_name();
            file.to_str()?.strip_prefix(name)?.strip_prefix('-')?.strip_suffix(".json")?.parse().ok()
        };
        Ok(files.flatten().filter_map(round).max())
    }
}

/// The name of the file of what the optimiser remembers after a duty.
pub(crate) fn state_name(round: u32, duty: &Hash) -> String {
    format!("{round}-{}", hex::encode(duty))
}

fn drop_checkpoints(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("checkpoint-") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// All studies that there is a folder of.
///
/// # Errors
/// What the file system says.
pub(super) fn studies_below(home: &Home) -> Result<Vec<StudyKey>> {
    let names = |folder: &Path| -> Result<Vec<String>> {
        let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    };
    let studies = home.folder().join("studies");
    let mut found = Vec::new();
    for name in names(&studies)? {
        let Some(agreement) = parse_hash(name.as_bytes()).filter(|_| studies.join(&name).is_dir()) else { continue };
        let numbers = names(&studies.join(&name))?;
        let numbers = numbers.iter().filter_map(|name| name.strip_prefix("study-")?.parse().ok());
        found.extend(numbers.map(|study| StudyKey { agreement, study }));
    }
    Ok(found)
}
