//! What a site keeps of its merges: what it has computed itself, and what becomes of it where the chain attests another.

use super::{
    records::{read, whole, with_hash, OWN},
    store::{make_folder, write_loosely, write_whole},
    Blobs, Home, StudyKey,
};
use anyhow::{Context, Result};
use codec::{Decode, Encode, Input, Output};
use consilium_primitives::{
    duty::ATTESTED_ROUNDS, round::Kind, Attested, DutyKind, DutyOrder, DutyOutput, Hash, MaskOrder,
};
use serde::{Deserialize, Serialize};
use std::{fs, io, path::PathBuf};

/// Rounds before the last one whose own merges are kept: those whose attested ones the chain names.
const KEPT: u32 = ATTESTED_ROUNDS;

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

    /// What is attested there.
    pub fn of(attested: &Attested) -> Self {
        match attested.kind {
            Kind::Statistics => Self::Statistics,
            Kind::Model | Kind::Evaluation => Self::Model(attested.round),
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnMerge {
    /// What was asked for.
    pub order: DutyOrder,
    /// BLAKE3 hash of what came out.
    pub root: Hash,
    /// Of masked files: what the order needs beyond itself.
    pub masked: Option<MaskOrder>,
}

impl Encode for OwnMerge {
    fn encode_to<T: Output + ?Sized>(&self, to: &mut T) {
        (&self.order, self.root).encode_to(to);
        // without masks, as earlier versions write and read it
        if let Some(masked) = &self.masked {
            masked.encode_to(to);
        }
    }
}

impl Decode for OwnMerge {
    fn decode<I: Input>(input: &mut I) -> Result<Self, codec::Error> {
        let (order, root) = Decode::decode(input)?;
        let masked = match input.remaining_len()? {
            Some(0) => None,
            _ => Some(Decode::decode(input)?),
        };
        Ok(Self { order, root, masked })
    }
}

impl OwnMerge {
    /// That of a duty, if it is one that everyone computes alike.
    pub fn of(order: &DutyOrder, masked: Option<&MaskOrder>, output: &DutyOutput) -> Option<Self> {
        let root = match output {
            DutyOutput::Root(root) | DutyOutput::Marked { root, .. } => *root,
            // a sum of figures gives no file
            DutyOutput::Summed { root, .. } if *root != Hash::zero() => *root,
            _ => return None,
        };
        Some(Self { order: order.clone(), root, masked: masked.cloned() })
    }

    /// Hash over what was merged; zero for the initial model.
    pub fn inputs_root(&self) -> Hash {
        self.order.duty.base
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
    /// Copies of both models' files and of what was merged, once they are here.
    pub files: Vec<PathBuf>,
    /// What this means and what to do, for people.
    pub note: String,
}

impl Dissent {
    /// The files that are kept beside the note: what they are, and their hashes. Both models, and what was merged.
    pub fn wanted(&self) -> Vec<(&'static str, String)> {
        let mut wanted = vec![("attested", self.attested.clone()), ("own", self.own.clone())];
        wanted.extend(self.again.clone().filter(|again| *again != self.own).map(|again| ("again", again)));
        wanted.extend(self.inputs.iter().map(|(_, root, _)| ("input", root.clone())));
        wanted
    }

    /// Whether all of them are there.
    pub fn complete(&self) -> bool {
        self.files.len() == self.wanted().len()
    }
}

impl Home {
    fn file(&self, study: &StudyKey, kind: &str, what: What, ending: &str) -> Result<PathBuf> {
        Ok(self.study(study)?.join(format!("{kind}-{}{ending}", what.name())))
    }

    /// The file of an own merge: a round can have several, of other inputs each.
    fn own(&self, study: &StudyKey, what: What, inputs_root: &Hash) -> Result<PathBuf> {
        self.file(study, "own", what, &format!("-{}", hex::encode(inputs_root)))
    }

    /// Keeps what is needed to compute a merge once more; those of rounds long past are removed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_own_merge(&self, own: &OwnMerge) -> Result<()> {
        let study = &StudyKey::of(&own.order.duty);
        let path = self.own(study, own.what(), &own.inputs_root())?;
        write_loosely(&path, &with_hash(own), OWN).with_context(|| format!("cannot write {}", path.display()))?;
        let What::Model(round) = own.what() else { return Ok(()) };
        let folder = self.study(study)?;
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let part = name.strip_prefix("own-").and_then(|rest| rest.split('-').next());
            if matches!(part.and_then(What::named), Some(What::Model(old)) if old.saturating_add(KEPT) < round) {
                // what cannot be removed now is old next time too
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// What this site has computed of these inputs; `None` where it has not, or the file is damaged.
    ///
    /// # Errors
    /// What the file system says.
    pub fn own_merge(&self, study: &StudyKey, what: What, inputs_root: &Hash) -> Result<Option<OwnMerge>> {
        // a study that is refused here gets no folder by being asked for
        if !self.study_folder(study).is_dir() {
            return Ok(None);
        }
        let path = self.own(study, what, inputs_root)?;
        Ok(read(&path)?.and_then(|bytes| whole(&bytes)))
    }

    /// Where this site has stopped, unless its people have decided to go on.
    ///
    /// # Errors
    /// A file cannot be read, or is damaged.
    pub fn dissents(&self, study: &StudyKey) -> Result<Vec<(What, Dissent)>> {
        let folder = self.study_folder(study);
        let mut found = Vec::new();
        if !folder.is_dir() {
            return Ok(found);
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let part = name.strip_prefix("dissent-").and_then(|rest| rest.strip_suffix(".json"));
            let Some(what) = part.and_then(What::named) else { continue };
            let path = folder.join(&name);
            let Some(bytes) = read(&path)? else { continue };
            let noted: Dissent =
                serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
            if !self.accepted(study, what, &noted.attested)? {
                found.push((what, noted));
            }
        }
        Ok(found)
    }

    /// Lays aside the note on a dissent about a hash that the chain attests no longer.
    ///
    /// # Errors
    /// What the file system says.
    pub fn end_dissent(&self, study: &StudyKey, what: What, attested: &str) -> Result<()> {
        let (from, to) = (self.file(study, "dissent", what, ".json")?, format!("-{attested}.json"));
        let to = self.file(study, "past-dissent", what, &to)?;
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot rename {}", from.display()))
            }
            _ => Ok(()),
        }
    }

    /// Notes that this site stops, and gives the note's path.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_dissent(&self, study: &StudyKey, what: What, dissent: &Dissent) -> Result<PathBuf> {
        let path = self.file(study, "dissent", what, ".json")?;
        write_whole(&path, &serde_json::to_vec_pretty(dissent)?, OWN)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Keeps a copy of a file of the store beside the note on a dissent, and gives its path; `None` while it is not there. Its
    /// hash is in its name, for whoever it is sent to.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep_file(
        &self,
        study: &StudyKey,
        what: What,
        name: &str,
        blobs: &Blobs,
        root: &str,
    ) -> Result<Option<PathBuf>> {
        let folder = self.file(study, "dissent", what, "")?;
        let path = folder.join(name);
        if path.exists() {
            return Ok(Some(path));
        }
        let root = <[u8; 32]>::try_from(hex::decode(root)?).map_err(|_| anyhow::anyhow!("{root} is no hash"))?;
        let Some(bytes) = read(&blobs.path(&root.into()))? else { return Ok(None) };
        make_folder(&folder, 0o700).with_context(|| format!("cannot make {}", folder.display()))?;
        write_whole(&path, &bytes, OWN).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Some(path))
    }

    /// Whether people at this site have decided to go on from what the chain attests (`consilium study accept`).
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn accepted(&self, study: &StudyKey, what: What, attested: &str) -> Result<bool> {
        #[derive(Deserialize)]
        struct Accepted {
            attested: String,
        }
        let path = self.file(study, "accepted", what, ".json")?;
        let Some(bytes) = read(&path)? else { return Ok(false) };
        let noted: Accepted =
            serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
        Ok(noted.attested == attested)
    }
}
