//! The worker's own folder: the site's secret, what was done, and what outlives a duty.

use super::store::{sweep, write_whole};
use crate::{data::Split, learn::OptimizerState, random::key};
use anyhow::{bail, Context, Result};
use codec::{Decode, Encode};
use consilium_aggregation::blob_hash;
use consilium_primitives::{DutyOutput, Hash};
use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Key of the hashes that stand for a site's patients in one study.
pub fn group_key(secret: &[u8; 32], spec: &[u8; 32]) -> [u8; 32] {
    key("consilium/group/1", &[secret, spec])
}

/// A worker's folder.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

impl Home {
    /// Opens the folder; makes it if need be.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(folder: &Path) -> Result<Self> {
        for sub in ["results", "specs", "studies"] {
            let sub = folder.join(sub);
            fs::create_dir_all(&sub).with_context(|| format!("cannot make {}", sub.display()))?;
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot protect {}", folder.display()))?;
        Ok(Self(folder.to_path_buf()))
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
            Ok(text) => {
                let mut secret = [0; 32];
                if hex::decode_to_slice(text.trim(), &mut secret).is_err() {
                    bail!("{}: must hold 64 hexadecimal digits", path.display());
                }
                Ok(secret)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut secret = [0; 32];
                fs::File::open("/dev/urandom")
                    .and_then(|mut f| f.read_exact(&mut secret))
                    .context("cannot read /dev/urandom")?;
                write_whole(&path, hex::encode(secret).as_bytes())
                    .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)))
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
            write_whole(&path, b"").with_context(|| format!("cannot write {}", path.display()))
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
        write_whole(&path, &output.encode()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// A spec's bytes, by their hash.
    pub fn spec(&self, hash: &Hash) -> Option<Vec<u8>> {
        fs::read(self.0.join("specs").join(hex::encode(hash))).ok()
    }

    /// Keeps a spec's bytes under their hash.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_spec(&self, bytes: &[u8]) -> Result<Hash> {
        let hash = Hash::from(sp_crypto_hashing::blake2_256(bytes));
        let path = self.0.join("specs").join(hex::encode(hash));
        write_whole(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(hash)
    }

    fn study(&self, agreement: &Hash) -> Result<PathBuf> {
        let path = self.0.join("studies").join(hex::encode(agreement));
        fs::create_dir_all(path.join("optimizer")).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// Notes the hash of a study's data file when it is first used. False: it is another file now.
    ///
    /// # Errors
    /// What the file system says.
    pub fn same_data(&self, agreement: &Hash, data: &Hash) -> Result<bool> {
        let path = self.study(agreement)?.join("data.blake3");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim() == hex::encode(data)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                write_whole(&path, hex::encode(data).as_bytes())
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Ok(true)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Forgets the hash of a study's data file, so that the next duty takes whatever lies there.
    ///
    /// # Errors
    /// What the file system says; a study this worker has never worked for.
    pub fn accept_data(&self, agreement: &Hash) -> Result<()> {
        let path = self.study(agreement)?.join("data.blake3");
        fs::remove_file(&path)
            .with_context(|| format!("{}: no data file was ever used for this agreement", path.display()))
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
        write_whole(&path, &serde_json::to_vec(split)?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What the optimiser remembered after the last round before `round`; `None` where nothing was kept or the file is
    /// damaged.
    ///
    /// # Errors
    /// What the file system says.
    pub fn optimizer(&self, agreement: &Hash, round: u32) -> Result<Option<OptimizerState>> {
        let folder = self.study(agreement)?.join("optimizer");
        let mut newest: Option<(u32, PathBuf)> = None;
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let of = name.to_string_lossy().split('-').next().and_then(|r| r.parse::<u32>().ok());
            if let Some(of) = of.filter(|r| *r < round) {
                if newest.as_ref().is_none_or(|(r, _)| of > *r) {
                    newest = Some((of, entry.path()));
                }
            }
        }
        let Some((_, path)) = newest else { return Ok(None) };
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // a hash before the content: a damaged state would train on in silence
        let state = bytes
            .split_at_checked(32)
            .filter(|(hash, rest)| blob_hash(rest).as_bytes() == *hash)
            .and_then(|(_, rest)| OptimizerState::decode(&mut &rest[..]).ok());
        if state.is_none() {
            tracing::warn!("{} is damaged", path.display());
        }
        Ok(state)
    }

    /// Keeps what the optimiser remembers after a duty; states of rounds before the last two are removed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_optimizer(&self, agreement: &Hash, round: u32, duty: &Hash, state: &OptimizerState) -> Result<()> {
        let folder = self.study(agreement)?.join("optimizer");
        let content = state.encode();
        let mut bytes = blob_hash(&content).as_bytes().to_vec();
        bytes.extend(content);
        let path = folder.join(format!("{round}-{}", hex::encode(duty)));
        write_whole(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        for entry in fs::read_dir(&folder)?.flatten() {
            let old = entry.file_name().to_string_lossy().split('-').next().and_then(|r| r.parse::<u32>().ok());
            if old.is_some_and(|old| old.saturating_add(2) < round) {
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
        write_whole(&path, &serde_json::to_vec_pretty(note)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
