//! What a site keeps of its merges: what it has computed itself, and what becomes of it where the chain attests another.

use super::{
    home::{whole, with_hash, OWN},
    store::{make_folder, write_whole},
    Home,
};
use anyhow::{Context, Result};
use codec::{Decode, Encode};
use consilium_primitives::{DutyKind, DutyOrder, DutyOutput, Hash};
use serde::{Deserialize, Serialize};
use std::{fs, io, path::PathBuf};

/// Rounds before the last one whose own merges are kept.
const KEPT: u32 = 2;

/// What is merged: models, or the statistics of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// The model of a round; that of round 0 is the initial one.
    Model(u32),
    /// The statistics.
    Statistics,
}

impl What {
    fn name(self) -> String {
        match self {
            Self::Model(round) => format!("{round:04}"),
            Self::Statistics => "statistics".into(),
        }
    }

    /// What [`What::name`] names.
    fn named(name: &str) -> Option<Self> {
        let what = if name == "statistics" { Self::Statistics } else { Self::Model(name.parse().ok()?) };
        (what.name() == name).then_some(what)
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Model(0) => f.write_str("the initial model"),
            Self::Model(round) => write!(f, "the merge of round {round}"),
            Self::Statistics => f.write_str("the merged statistics"),
        }
    }
}

/// A merge, or an initial model, that this site has computed: what it was asked for, and what came out.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OwnMerge {
    /// What was asked for.
    pub order: DutyOrder,
    /// BLAKE3 hash of what came out.
    pub root: Hash,
}

impl OwnMerge {
    /// That of a duty, if it is one that everyone computes alike.
    pub fn of(order: &DutyOrder, output: &DutyOutput) -> Option<Self> {
        let root = match output {
            DutyOutput::Root(root) | DutyOutput::Marked { root, .. } => *root,
            _ => return None,
        };
        Some(Self { order: order.clone(), root })
    }

    /// What it is of.
    pub fn what(&self) -> What {
        match self.order.duty.kind {
            DutyKind::MergeStatistics => What::Statistics,
            _ => What::Model(self.order.duty.round),
        }
    }
}

/// Why a site no longer works for a study: `dissent-ROUND.json` in the study's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dissent {
    /// Number of the study.
    pub study: u32,
    /// Round; 0 for the initial model and the statistics.
    pub round: u32,
    /// What was computed differently, in words.
    pub what: String,
    /// BLAKE3 hash that the chain attests.
    pub attested: String,
    /// BLAKE3 hash that was computed here.
    pub own: String,
    /// And the one that was computed the second time, from inputs that were hashed again; none where that was not possible.
    pub again: Option<String>,
    /// BLAKE2b-256 of the inputs, their order, weights, the rule and the base, as frozen.
    pub inputs_root: String,
    /// The inputs: institution, BLAKE3 hash of the file, weight.
    pub inputs: Vec<(String, String, u32)>,
    /// Both models' files.
    pub files: Vec<PathBuf>,
    /// What this means and what to do, for people.
    pub note: String,
}

impl Home {
    fn file(&self, agreement: &Hash, kind: &str, what: What, ending: &str) -> Result<PathBuf> {
        Ok(self.study(agreement)?.join(format!("{kind}-{}{ending}", what.name())))
    }

    /// Keeps what is needed to compute a merge once more; those of rounds long past are removed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_own_merge(&self, own: &OwnMerge) -> Result<()> {
        let agreement = &own.order.duty.agreement;
        let path = self.file(agreement, "own", own.what(), "")?;
        write_whole(&path, &with_hash(own), OWN).with_context(|| format!("cannot write {}", path.display()))?;
        if let Some(old) = own.order.duty.round.checked_sub(KEPT + 1) {
            match fs::remove_file(self.file(agreement, "own", What::Model(old), "")?) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// What this site has computed; `None` where it has not, or the file is damaged.
    ///
    /// # Errors
    /// What the file system says.
    pub fn own_merge(&self, agreement: &Hash, what: What) -> Result<Option<OwnMerge>> {
        let path = self.file(agreement, "own", what, "")?;
        Ok(read(&path)?.and_then(|bytes| whole(&bytes)))
    }

    /// Where this site has stopped, and which attested hash each time, unless its people have decided to go on.
    ///
    /// # Errors
    /// A file cannot be read, or is damaged.
    pub fn dissents(&self, agreement: &Hash) -> Result<Vec<(What, String)>> {
        let folder = self.study(agreement)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let part = name.strip_prefix("dissent-").and_then(|rest| rest.strip_suffix(".json"));
            let Some(what) = part.and_then(What::named) else { continue };
            let path = folder.join(&name);
            let Some(bytes) = read(&path)? else { continue };
            let noted: Dissent =
                serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
            if !self.accepted(agreement, what, &noted.attested)? {
                found.push((what, noted.attested));
            }
        }
        Ok(found)
    }

    /// Lays aside the note on a dissent about a hash that the chain attests no longer.
    ///
    /// # Errors
    /// What the file system says.
    pub fn end_dissent(&self, agreement: &Hash, what: What, attested: &str) -> Result<()> {
        let (from, to) = (self.file(agreement, "dissent", what, ".json")?, format!("-{attested}.json"));
        let to = self.file(agreement, "past-dissent", what, &to)?;
        fs::rename(&from, &to).with_context(|| format!("cannot rename {}", from.display()))
    }

    /// Notes that this site stops, and gives the note's path.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_dissent(&self, agreement: &Hash, what: What, dissent: &Dissent) -> Result<PathBuf> {
        let path = self.file(agreement, "dissent", what, ".json")?;
        write_whole(&path, &serde_json::to_vec_pretty(dissent)?, OWN)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Keeps a copy of a file beside the note on a dissent: the store may delete its own.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep_file(&self, agreement: &Hash, what: What, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let folder = self.file(agreement, "dissent", what, "")?;
        make_folder(&folder, 0o700).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(name);
        write_whole(&path, bytes, OWN).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Whether people at this site have decided to go on from what the chain attests (`consilium study accept`).
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn accepted(&self, agreement: &Hash, what: What, attested: &str) -> Result<bool> {
        #[derive(Deserialize)]
        struct Accepted {
            attested: String,
        }
        let path = self.file(agreement, "accepted", what, ".json")?;
        let Some(bytes) = read(&path)? else { return Ok(false) };
        let noted: Accepted =
            serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
        Ok(noted.attested == attested)
    }
}

fn read(path: &std::path::Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
