//! What a site keeps of the pairings of a masked study: `masks/PAIRING` in the study's folder, for the worker alone to read.
//!
//! A pairing is one agreement on masks. Its file has the secrets that were drawn for it, and the first list of keys, the first
//! partners, the first masked file and the first set that this site has answered for: each is on the disk before the answer leaves, and another one for the
//! same pairing is refused, whoever asks and whatever became of the chain meanwhile. Secrets stand at one place of the file for as
//! long as they are needed, and are overwritten there. (What a disk keeps of overwritten blocks is not in a program's hands.)

mod summed;
mod unasked;

pub use summed::{Source, Summed};

use super::{
    later::force,
    records::{hashed, intact, read, whole, with_hash, OWN},
    store::{make_folder, write_loosely, write_whole},
    Home, StudyKey,
};
use anyhow::{bail, Context, Result};
use codec::{Decode, Encode};
use consilium_aggregation::blob_hash;
use consilium_primitives::Hash;
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Bytes of a pairing's secrets, as they are kept.
pub const SECRETS: usize = 128;
/// Bytes of what a site publishes for a pairing.
pub const KEYS: usize = 96;
/// Where the secrets stand: behind the hash of what is before them, the pairing's context and the published keys.
const AT: usize = 32 + 32 + KEYS;
/// Where the answers begin: behind the secrets and their hash.
const ANSWERS: usize = AT + 32 + SECRETS;
/// Longest answer: the shares of 64 partners, and what goes with them.
const LONGEST: u32 = 16 * 1024;
/// So many pairings of which nothing is secret any more are kept on the disk, the newest; all numbers below theirs are over.
const KEPT: usize = 8;

/// What was answered in a pairing: each kind once.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answered {
    /// Shares were dealt to the sites of this list of keys.
    Dealt {
        /// What stands for the list.
        keys_root: [u8; 32],
    },
    /// An update was masked for these partners.
    Masked {
        /// What stands for the partners.
        partners_root: [u8; 32],
        /// The duty that was answered.
        duty: Hash,
        /// What was masked.
        source: Source,
        /// The masked file.
        file: Hash,
    },
    /// Shares were opened for the sum over this set.
    Opened {
        /// Bits by place among the partners.
        used: u64,
        /// What was posted.
        bytes: Vec<u8>,
    },
}

/// What a site has of one pairing.
#[derive(Clone, PartialEq, Eq)]
pub struct Pairing {
    /// Its number.
    pub number: u32,
    /// What its keys are bound to.
    pub context: [u8; 32],
    /// What the site has published for it.
    pub keys: [u8; KEYS],
    /// What the site keeps to itself; none, once it was overwritten.
    pub secrets: Option<Zeroizing<[u8; SECRETS]>>,
    /// What was answered, in this order.
    pub answered: Vec<Answered>,
}

impl std::fmt::Debug for Pairing {
    /// Without its secrets: what is printed may be kept.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secret = self.secrets.is_some();
        write!(f, "Pairing({}, secrets: {secret}, answered: {:?})", self.number, self.answered)
    }
}

impl Pairing {
    /// The list of keys that shares were dealt for.
    pub fn keys_root(&self) -> Option<[u8; 32]> {
        self.answered.iter().find_map(|answered| match answered {
            Answered::Dealt { keys_root } => Some(*keys_root),
            _ => None,
        })
    }

    /// The partners that an update was masked for.
    pub fn partners_root(&self) -> Option<[u8; 32]> {
        self.answered.iter().find_map(|answered| match answered {
            Answered::Masked { partners_root, .. } => Some(*partners_root),
            _ => None,
        })
    }

    /// The set that shares were opened for, and what was posted.
    pub fn opened(&self) -> Option<(u64, &[u8])> {
        self.answered.iter().find_map(|answered| match answered {
            Answered::Opened { used, bytes } => Some((*used, &bytes[..])),
            _ => None,
        })
    }

    /// The duty that was answered by a masked file, and that file.
    pub fn masked(&self) -> Option<(Hash, Hash)> {
        self.answered.iter().find_map(|answered| match answered {
            Answered::Masked { duty, file, .. } => Some((*duty, *file)),
            _ => None,
        })
    }

    /// What was masked.
    pub fn source(&self) -> Option<Source> {
        self.answered.iter().find_map(|answered| match answered {
            Answered::Masked { source, .. } => Some(*source),
            _ => None,
        })
    }
}

/// What a site's work gave in a masked study. It stays here: what leaves is a masked file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Worked {
    /// BLAKE3 hash of the update's file, as an unmasked study would commit it; none where the work makes no file.
    pub update: Option<Hash>,
    /// The loss of the model that it was given, on this site's validation rows, in micro-units, and how many these are; none where there
    /// are too few.
    pub loss: Option<(u32, u32)>,
    /// Whether training on the same model would give the same update again, whatever the round.
    pub again: bool,
}

impl Home {
    fn masks(&self, study: &StudyKey) -> PathBuf {
        self.study_folder(study).join("masks")
    }

    fn make_masks(&self, study: &StudyKey) -> Result<PathBuf> {
        let folder = self.masks(study);
        make_folder(&folder, 0o700).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// Begins a pairing: its secrets are on the disk before what follows from them is published.
    ///
    /// # Errors
    /// There is a file of this pairing; what the file system says.
    pub fn begin_pairing(&self, study: &StudyKey, pairing: &Pairing) -> Result<()> {
        let path = self.make_masks(study)?.join(name(pairing.number));
        if path.exists() {
            bail!("{}: this pairing has begun", path.display());
        }
        let Some(secrets) = &pairing.secrets else { bail!("{}: a pairing begins with secrets", path.display()) };
        let head = hashed((pairing.context, pairing.keys).encode());
        let bytes = Zeroizing::new([&head[..], blob_hash(&secrets[..]).as_bytes(), &secrets[..]].concat());
        write_whole(&path, &bytes, OWN).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What this site has of a pairing; none where it has begun none of this number, or lost it.
    ///
    /// # Errors
    /// It cannot be read, or is damaged where it begins.
    pub fn pairing(&self, study: &StudyKey, number: u32) -> Result<Option<Pairing>> {
        let path = self.masks(study).join(name(number));
        let Some(bytes) = read(&path)?.map(Zeroizing::new) else { return Ok(None) };
        let (found, _) = parse(number, &bytes)
            .with_context(|| format!("{} is damaged: nothing is answered for this pairing", path.display()))?;
        Ok(Some(found))
    }

    /// Notes an answer: it is on the disk when this returns.
    ///
    /// # Errors
    /// The pairing is not here; what the file system says.
    pub fn answer_pairing(&self, study: &StudyKey, number: u32, answered: &Answered) -> Result<()> {
        let path = self.masks(study).join(name(number));
        let append = || -> Result<()> {
            let bytes = Zeroizing::new(fs::read(&path)?);
            let (_, whole) = parse(number, &bytes).context("it is damaged")?;
            let record = hashed(answered.encode());
            let mut file = OpenOptions::new().append(true).open(&path)?;
            // what a power cut left of an answer that nobody was given
            file.set_len(whole as u64)?;
            file.write_all(&[&(record.len() as u32).to_le_bytes()[..], &record].concat())?;
            Ok(file.sync_all()?)
        };
        append().with_context(|| format!("cannot note an answer in {}", path.display()))
    }

    /// Overwrites the secrets of a pairing, where there are any.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_secrets(&self, study: &StudyKey, number: u32) -> Result<()> {
        let path = self.masks(study).join(name(number));
        overwrite(&path).with_context(|| format!("cannot overwrite the secrets in {}", path.display()))
    }

    /// Overwrites the secrets of all pairings before this one, and removes files of those that are long over. Their numbers stay
    /// refused: a number that is below another's and has no file is over ([`Home::may_begin`]).
    ///
    /// # Errors
    /// What the file system says.
    pub fn close_pairings(&self, study: &StudyKey, before: u32) -> Result<()> {
        let mut old = self.pairings(study)?;
        old.retain(|number| *number < before);
        for number in &old {
            self.forget_secrets(study, *number)?;
        }
        for number in &old[..old.len().saturating_sub(KEPT)] {
            let path = self.masks(study).join(name(*number));
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Whether a pairing of this number may begin: numbers only rise, so that one below another is over, also where its file is gone.
    ///
    /// # Errors
    /// What the file system says.
    pub fn may_begin(&self, study: &StudyKey, number: u32) -> Result<bool> {
        Ok(self.pairings(study)?.last().is_none_or(|last| *last < number))
    }

    /// Whether this site has anything of masked sums of a study.
    pub fn has_pairings(&self, study: &StudyKey) -> bool {
        self.masks(study).is_dir()
    }

    /// Numbers of the pairings that there are files of, in their order.
    ///
    /// # Errors
    /// What the file system says.
    pub fn pairings(&self, study: &StudyKey) -> Result<Vec<u32>> {
        let folder = self.masks(study);
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let number = |entry: fs::DirEntry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            (name(number) == entry.file_name().to_str()?).then_some(number)
        };
        let mut found: Vec<u32> = entries.flatten().filter_map(number).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Keeps what a work gave, by its name, with the update's file where there is one: those of other works of the study go. It can be
    /// done anew, and reaches the disk a little later. The loss and `again` are those of [`Worked`].
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_worked(
        &self,
        study: &StudyKey,
        work: &Hash,
        update: Option<&[u8]>,
        (loss, again): (Option<(u32, u32)>, bool),
    ) -> Result<()> {
        let folder = self.make_masks(study)?;
        let (file, note) = (folder.join(file_name(UPDATE, work)), folder.join(file_name(NOTE, work)));
        let worked = Worked { update: update.map(blob_hash), loss, again };
        for (path, bytes) in [(&file, update), (&note, Some(&with_hash(&worked)[..]))] {
            let Some(bytes) = bytes else { continue };
            write_loosely(path, bytes, OWN).with_context(|| format!("cannot write {}", path.display()))?;
            self.1.add(path.clone());
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if [UPDATE, NOTE].iter().any(|kind| name.starts_with(kind)) && path != file && path != note {
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// What a work gave, if it is here. Whether the update's file has its bytes is seen when it is masked.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn worked(&self, study: &StudyKey, work: &Hash) -> Result<Option<Worked>> {
        let noted = read(&self.masks(study).join(file_name(NOTE, work)))?.and_then(|bytes| whole::<Worked>(&bytes));
        Ok(noted.filter(|worked| worked.update.is_none() || self.update_path(study, work).is_file()))
    }

    /// Where the update is that a work gave.
    pub fn update_path(&self, study: &StudyKey, work: &Hash) -> PathBuf {
        self.masks(study).join(file_name(UPDATE, work))
    }

    /// Forgets what a work gave: its file is damaged, and it is done anew.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_worked(&self, study: &StudyKey, work: &Hash) -> Result<()> {
        let path = self.masks(study).join(file_name(NOTE, work));
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }
}

/// How the files begin that trainings gave, and the notes on what works gave.
const UPDATE: &str = "trained-";
const NOTE: &str = "worked-";

fn file_name(kind: &str, work: &Hash) -> String {
    format!("{kind}{}", hex::encode(work))
}

fn name(number: u32) -> String {
    format!("{number:06}")
}

/// What a file says, and how many of its bytes are whole.
fn parse(number: u32, bytes: &[u8]) -> Option<(Pairing, usize)> {
    let mut head = intact(bytes.get(..AT)?)?;
    let (context, keys) = Decode::decode(&mut head).ok()?;
    let secrets = intact(bytes.get(AT..ANSWERS)?);
    let secrets = secrets.and_then(|secrets| <[u8; SECRETS]>::try_from(secrets).ok()).map(Zeroizing::new);
    let (mut answered, mut whole) = (Vec::new(), ANSWERS);
    while let Some((answer, length)) = next(&bytes[whole..]) {
        answered.push(answer);
        whole += length;
    }
    Some((Pairing { number, context, keys, secrets, answered }, whole))
}

/// The answer that some bytes begin with, and how many these are.
fn next(bytes: &[u8]) -> Option<(Answered, usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = u32::from_le_bytes(*length);
    let record = rest.get(..length.min(LONGEST) as usize)?;
    let answer = Answered::decode(&mut intact(record)?).ok()?;
    Some((answer, 4 + record.len()))
}

/// Writes zeros where the secrets stand.
fn overwrite(path: &Path) -> std::io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut there = Zeroizing::new([0; ANSWERS - AT]);
    file.read_exact_at(&mut there[..], AT as u64)?;
    if there.iter().any(|byte| *byte != 0) {
        file.write_all_at(&[0; ANSWERS - AT], AT as u64)?;
        force(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
