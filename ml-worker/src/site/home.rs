//! The worker's own folder: the site's secret, what was done, and what outlives a duty.

use super::store::{make_folder, sweep, write_whole};
use crate::{
    data::Split,
    learn::{Checkpoint, OptimizerState},
    random::key,
};
use anyhow::{bail, Context, Result};
use codec::{Decode, Encode};
use consilium_aggregation::blob_hash;
use consilium_primitives::{DutyOutput, Hash};
use std::{
    fs,
    io::Read,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Key of the hashes that stand for a site's patients in one study.
pub fn group_key(secret: &[u8; 32], spec: &[u8; 32]) -> [u8; 32] {
    key("consilium/group/1", &[secret, spec])
}

/// Reads a site's secret from a file of 64 hexadecimal digits.
///
/// # Errors
/// It cannot be read, or is no secret.
pub fn read_secret(path: &Path) -> Result<[u8; 32]> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse_secret(&text, path)
}

fn parse_secret(text: &str, path: &Path) -> Result<[u8; 32]> {
    let mut secret = [0; 32];
    if hex::decode_to_slice(text.trim(), &mut secret).is_err() {
        bail!("{}: must hold 64 hexadecimal digits", path.display());
    }
    Ok(secret)
}

/// What every worker's folder has in it.
const PARTS: [&str; 3] = ["results", "specs", "studies"];
/// Mode of the worker's own files: nobody else's business.
pub(super) const OWN: u32 = 0o600;

/// A worker's folder.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

impl Home {
    /// Opens the folder; makes it if need be.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(folder: &Path) -> Result<Self> {
        for sub in PARTS {
            let sub = folder.join(sub);
            make_folder(&sub, 0o700).with_context(|| format!("cannot make {}", sub.display()))?;
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot protect {}", folder.display()))?;
        Ok(Self(folder.to_path_buf()))
    }

    /// Opens a folder that a worker has made.
    ///
    /// # Errors
    /// It is no worker's folder.
    pub fn existing(folder: &Path) -> Result<Self> {
        if PARTS.iter().all(|part| folder.join(part).is_dir()) {
            return Ok(Self(folder.to_path_buf()));
        }
        bail!("{} is no worker's folder: name the one that `ml-worker serve --dir` was started with", folder.display())
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Keeps other workers off this folder for as long as what is returned lives. The system lets go of it when this
    /// process ends, however it ends.
    ///
    /// # Errors
    /// Another worker has it.
    pub fn lock(&self) -> Result<fs::File> {
        let path = self.0.join("lock");
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(OWN)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                bail!("{}: another worker is running on this folder", self.0.display())
            }
            Err(fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// Removes what an earlier worker left unfinished. Only the worker itself does so: beside a running one, it would
    /// take away what that is just writing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clean(&self) -> Result<()> {
        let clean = |folder: &Path| sweep(folder).with_context(|| format!("cannot clean {}", folder.display()));
        let studies = self.0.join("studies");
        for folder in [&self.0, &self.0.join("results"), &self.0.join("specs"), &studies] {
            clean(folder)?;
        }
        for study in fs::read_dir(&studies).with_context(|| format!("cannot read {}", studies.display()))?.flatten() {
            for folder in [study.path(), study.path().join("optimizer")] {
                if folder.is_dir() {
                    clean(&folder)?;
                }
            }
        }
        Ok(())
    }

    /// The site's secret: made once, from the system's random bytes, and kept (file `secret`, 64 hexadecimal digits).
    ///
    /// # Errors
    /// It cannot be read, written, or is no secret.
    pub fn secret(&self) -> Result<[u8; 32]> {
        let path = self.0.join("secret");
        match fs::read_to_string(&path) {
            Ok(text) => parse_secret(&text, &path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut secret = [0; 32];
                fs::File::open("/dev/urandom")
                    .and_then(|mut f| f.read_exact(&mut secret))
                    .context("cannot read /dev/urandom")?;
                write_whole(&path, hex::encode(secret).as_bytes(), OWN)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Ok(secret)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Whether people have put this site's work on hold.
    pub fn held(&self) -> bool {
        self.0.join("hold").exists()
    }

    /// Puts this site's work on hold, or takes it up again.
    ///
    /// # Errors
    /// What the file system says.
    pub fn set_held(&self, held: bool) -> Result<()> {
        let path = self.0.join("hold");
        if held {
            write_whole(&path, b"", OWN).with_context(|| format!("cannot write {}", path.display()))
        } else if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
        } else {
            Ok(())
        }
    }

    /// What a duty gave, if it was done.
    ///
    /// # Errors
    /// A result that cannot be read.
    pub fn result(&self, duty: &Hash) -> Result<Option<DutyOutput>> {
        let path = self.0.join("results").join(hex::encode(duty));
        match fs::read(&path) {
            Ok(bytes) => {
                Ok(Some(DutyOutput::decode(&mut &bytes[..]).with_context(|| format!("{} is damaged", path.display()))?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Keeps what a duty gave. The first result stays.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_result(&self, duty: &Hash, output: &DutyOutput) -> Result<()> {
        let path = self.0.join("results").join(hex::encode(duty));
        if path.exists() {
            return Ok(());
        }
        write_whole(&path, &output.encode(), OWN).with_context(|| format!("cannot write {}", path.display()))
    }

    /// A spec's bytes, by their hash; none where what is there has another hash.
    pub fn spec(&self, hash: &Hash) -> Option<Vec<u8>> {
        let bytes = fs::read(self.0.join("specs").join(hex::encode(hash))).ok()?;
        (sp_crypto_hashing::blake2_256(&bytes) == hash.0).then_some(bytes)
    }

    /// Keeps a spec's bytes under their hash.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_spec(&self, bytes: &[u8]) -> Result<Hash> {
        let hash = Hash::from(sp_crypto_hashing::blake2_256(bytes));
        let path = self.0.join("specs").join(hex::encode(hash));
        write_whole(&path, bytes, OWN).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(hash)
    }

    /// Where what belongs to a study is kept, whether or not anything is.
    pub(super) fn study_folder(&self, agreement: &Hash) -> PathBuf {
        self.0.join("studies").join(hex::encode(agreement))
    }

    /// The same, made where it is not there.
    pub(super) fn study(&self, agreement: &Hash) -> Result<PathBuf> {
        let path = self.study_folder(agreement);
        make_folder(&path.join("optimizer"), 0o700).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// A hash that is kept in a file of 64 hexadecimal digits.
    fn hash(path: &Path) -> Result<Option<Hash>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let mut hash = [0; 32];
        if hex::decode_to_slice(text.trim(), &mut hash).is_err() {
            bail!("{} is damaged: it must hold 64 hexadecimal digits", path.display());
        }
        Ok(Some(Hash::from(hash)))
    }

    fn put_hash(path: &Path, hash: &Hash) -> Result<()> {
        write_whole(path, hex::encode(hash).as_bytes(), OWN).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Notes the hash of an agreement's spec when it is first seen. False: this is another spec. An agreement's hash is
    /// made from one spec, but only the chain can check that.
    ///
    /// # Errors
    /// What the file system says.
    pub fn same_spec(&self, agreement: &Hash, spec: &Hash) -> Result<bool> {
        let path = self.study(agreement)?.join("spec.blake2");
        match Self::hash(&path)? {
            Some(first) => Ok(first == *spec),
            None => Self::put_hash(&path, spec).map(|()| true),
        }
    }

    /// The spec of an agreement, in canonical form; `None` where none was seen, or it is damaged.
    ///
    /// # Errors
    /// What the file system says.
    pub fn spec_of(&self, agreement: &Hash) -> Result<Option<Vec<u8>>> {
        let path = self.0.join("studies").join(hex::encode(agreement)).join("spec.blake2");
        Ok(Self::hash(&path)?.and_then(|hash| self.spec(&hash)))
    }

    /// The hash of the data that a study works with, once one could be used.
    ///
    /// # Errors
    /// What the file system says.
    pub fn data(&self, agreement: &Hash) -> Result<Option<Hash>> {
        Self::hash(&self.study(agreement)?.join("data.blake3"))
    }

    /// Notes the hash of the data that a study works with.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_data(&self, agreement: &Hash, data: &Hash) -> Result<()> {
        Self::put_hash(&self.study(agreement)?.join("data.blake3"), data)
    }

    /// Takes another data file for a study: the one with this hash, and no third one.
    ///
    /// # Errors
    /// What the file system says; a study that no data file was ever used for.
    pub fn accept_data(&self, agreement: &Hash, data: &Hash) -> Result<()> {
        let study = self.0.join("studies").join(hex::encode(agreement));
        if !study.join("data.blake3").is_file() {
            bail!("{}: no data file was ever used for this agreement", study.display());
        }
        self.put_data(agreement, data)
    }

    /// A study's split, if it was made.
    ///
    /// # Errors
    /// It cannot be read. It is never made anew then: rows could change sides.
    pub fn split(&self, agreement: &Hash) -> Result<Option<Split>> {
        let path = self.study(agreement)?.join("split.json");
        match fs::read(&path) {
            Ok(bytes) => {
                Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Keeps a study's split.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_split(&self, agreement: &Hash, split: &Split) -> Result<()> {
        let path = self.study(agreement)?.join("split.json");
        write_whole(&path, &serde_json::to_vec(split)?, OWN).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What the optimiser remembered after round `round - 1`; `None` where nothing was kept of it or the file is damaged.
    /// Where the chain has taken a round back and asked for it again there are two: then that which went into the merge,
    /// if it is known, else the first by its duty's hash.
    ///
    /// # Errors
    /// What the file system says.
    pub fn optimizer(&self, agreement: &Hash, round: u32) -> Result<Option<OptimizerState>> {
        let folder = self.study(agreement)?.join("optimizer");
        let Some(before) = round.checked_sub(1) else { return Ok(None) };
        let name = match Self::hash(&folder.join(format!("{before}-merged")))? {
            Some(duty) => Some(format!("{before}-{}", hex::encode(duty))).filter(|name| folder.join(name).is_file()),
            None => {
                let mut names = Vec::new();
                for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
                    names.push(entry?.file_name().to_string_lossy().into_owned());
                }
                names.retain(|name| name.starts_with(&format!("{before}-")));
                names.into_iter().min()
            }
        };
        let Some(name) = name else { return Ok(None) };
        let path = folder.join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let state: Option<OptimizerState> = whole(&bytes);
        if state.is_none() {
            tracing::warn!("{} is damaged", path.display());
        }
        Ok(state)
    }

    /// Notes which of this site's training duties went into a round's merge.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_merged(&self, agreement: &Hash, round: u32, duty: &Hash) -> Result<()> {
        Self::put_hash(&self.study(agreement)?.join("optimizer").join(format!("{round}-merged")), duty)
    }

    /// Keeps what the optimiser remembers after a duty; states of rounds before the last two are removed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_optimizer(&self, agreement: &Hash, round: u32, duty: &Hash, state: &OptimizerState) -> Result<()> {
        let folder = self.study(agreement)?.join("optimizer");
        let path = folder.join(format!("{round}-{}", hex::encode(duty)));
        write_whole(&path, &with_hash(state), OWN).with_context(|| format!("cannot write {}", path.display()))?;
        for entry in fs::read_dir(&folder)?.flatten() {
            let old = entry.file_name().to_string_lossy().split('-').next().and_then(|r| r.parse::<u32>().ok());
            if old.is_some_and(|old| old.saturating_add(2) < round) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn checkpoint_file(&self, agreement: &Hash, duty: &Hash) -> Result<PathBuf> {
        Ok(self.study(agreement)?.join(format!("checkpoint-{}", hex::encode(duty))))
    }

    /// Where a training duty that was interrupted can go on. `None`: it begins at its beginning, as it does where the file
    /// is damaged.
    ///
    /// # Errors
    /// What the file system says.
    pub fn checkpoint(&self, agreement: &Hash, duty: &Hash) -> Result<Option<Checkpoint>> {
        let path = self.checkpoint_file(agreement, duty)?;
        match fs::read(&path) {
            Ok(bytes) => Ok(whole(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Keeps a training duty's checkpoint.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_checkpoint(&self, agreement: &Hash, duty: &Hash, checkpoint: &Checkpoint) -> Result<()> {
        let path = self.checkpoint_file(agreement, duty)?;
        write_whole(&path, &with_hash(checkpoint), OWN).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes all checkpoints of a study: a round's training is done, and those of rounds before are of no use any more.
    ///
    /// # Errors
    /// What the file system says.
    pub fn drop_checkpoints(&self, agreement: &Hash) -> Result<()> {
        for entry in fs::read_dir(self.study(agreement)?)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("checkpoint-") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Keeps a note on a round for this site's own people: `NAME-ROUND.json` in the study's folder.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_note(&self, agreement: &Hash, name: &str, round: u32, note: &impl serde::Serialize) -> Result<()> {
        let path = self.study(agreement)?.join(format!("{name}-{round:04}.json"));
        write_whole(&path, &serde_json::to_vec_pretty(note)?, OWN)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A value's bytes after their hash: a damaged state would train on in silence.
pub(super) fn with_hash(value: &impl Encode) -> Vec<u8> {
    let content = value.encode();
    let mut bytes = blob_hash(&content).as_bytes().to_vec();
    bytes.extend(content);
    bytes
}

/// What [`with_hash`] wrote, if it is whole.
pub(super) fn whole<T: Decode>(bytes: &[u8]) -> Option<T> {
    bytes
        .split_at_checked(32)
        .filter(|(hash, rest)| blob_hash(rest).as_bytes() == *hash)
        .and_then(|(_, rest)| T::decode(&mut &rest[..]).ok())
}
