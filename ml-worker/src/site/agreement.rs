//! What the worker keeps of an agreement, whichever study is worked on under it: `studies/AGREEMENT/`. Its spec, the hash of its
//! data, which rows train and which validate, and by which secret that was decided.

use super::{
    records::{read, OWN},
    store::{make_folder, write_whole},
    Home,
};
use crate::{data::Split, random::key};
use anyhow::{bail, Context, Result};
use consilium_primitives::Hash;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The note on a study that this site has stopped because its split is lost.
const STOPPED: &str = "split-lost.json";

impl Home {
    /// Where what belongs to an agreement is kept, whether or not anything is.
    pub(super) fn agreement_folder(&self, agreement: &Hash) -> PathBuf {
        self.0.join("studies").join(hex::encode(agreement))
    }

    /// The same, made where it is not there.
    pub(super) fn agreement(&self, agreement: &Hash) -> Result<PathBuf> {
        let path = self.agreement_folder(agreement);
        make_folder(&path, 0o700).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// Notes the hash of an agreement's spec when it is first seen. False: this is another spec. An agreement's hash is
    /// made from one spec, but only the chain can check that.
    ///
    /// # Errors
    /// What the file system says.
    pub fn same_spec(&self, agreement: &Hash, spec: &Hash) -> Result<bool> {
        let path = self.agreement(agreement)?.join("spec.blake2");
        match hash(&path)? {
            Some(first) => Ok(first == *spec),
            None => put_hash(&path, spec).map(|()| true),
        }
    }

    /// The spec of an agreement, in canonical form; `None` where none was seen, or it is damaged.
    ///
    /// # Errors
    /// What the file system says.
    pub fn spec_of(&self, agreement: &Hash) -> Result<Option<Vec<u8>>> {
        let path = self.agreement_folder(agreement).join("spec.blake2");
        Ok(hash(&path)?.and_then(|hash| self.spec(&hash)))
    }

    /// The hash of the data that an agreement's studies work with, once one could be used.
    ///
    /// # Errors
    /// What the file system says.
    pub fn data(&self, agreement: &Hash) -> Result<Option<Hash>> {
        hash(&self.agreement_folder(agreement).join("data.blake3"))
    }

    /// Notes the hash of the data that an agreement's studies work with.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_data(&self, agreement: &Hash, data: &Hash) -> Result<()> {
        put_hash(&self.agreement(agreement)?.join("data.blake3"), data)
    }

    /// Takes another data file for an agreement: the one with this hash, and no third one. What was trained on the one before
    /// is of no use any more.
    ///
    /// # Errors
    /// What the file system says; an agreement that no data file was ever used for.
    pub fn accept_data(&self, agreement: &Hash, data: &Hash) -> Result<()> {
        let folder = self.agreement_folder(agreement);
        if !folder.join("data.blake3").is_file() {
            bail!("{}: no data file was ever used for this agreement", folder.display());
        }
        self.drop_all_checkpoints(agreement)?;
        self.put_data(agreement, data)
    }

    /// An agreement's split, if it was made.
    ///
    /// # Errors
    /// It cannot be read. It is never made anew then: rows could change sides.
    pub fn split(&self, agreement: &Hash) -> Result<Option<Split>> {
        let path = self.agreement_folder(agreement).join("split.json");
        let Some(bytes) = read(&path)? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?))
    }

    /// Keeps an agreement's split, and by which secret it was made.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_split(&self, agreement: &Hash, split: &Split, secret: &[u8; 32]) -> Result<()> {
        let path = self.agreement(agreement)?.join("split.json");
        write_whole(&path, &serde_json::to_vec(split)?, OWN)
            .with_context(|| format!("cannot write {}", path.display()))?;
        // afterwards: a split without it counts as this secret's
        let path = self.agreement(agreement)?.join("secret.blake3");
        if hash(&path)? == Some(mark(secret, agreement)) {
            return Ok(());
        }
        put_hash(&path, &mark(secret, agreement))
    }

    /// Whether an agreement's rows were split by this secret; `None` where nothing is known of a split.
    ///
    /// # Errors
    /// What the file system says.
    pub fn split_by(&self, agreement: &Hash, secret: &[u8; 32]) -> Result<Option<bool>> {
        let folder = self.agreement_folder(agreement);
        match hash(&folder.join("secret.blake3"))? {
            Some(noted) => Ok(Some(noted == mark(secret, agreement))),
            // an earlier version noted the split alone
            None => Ok(folder.join("split.json").is_file().then_some(true)),
        }
    }

    /// Notes why this site takes no part in an agreement's studies until its people have decided. Gives the note's path.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_split_lost(&self, agreement: &Hash, why: &str) -> Result<PathBuf> {
        let path = self.agreement(agreement)?.join(STOPPED);
        let note = serde_json::json!({ "agreement": hex::encode(agreement), "note": why });
        write_whole(&path, &serde_json::to_vec_pretty(&note)?, OWN)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Lets an agreement's rows be split anew, by the secret that is here now: what its people decide. What is left of the
    /// earlier split is laid aside.
    ///
    /// # Errors
    /// This site has not stopped there; what the file system says.
    pub fn accept_split(&self, agreement: &Hash) -> Result<()> {
        let folder = self.agreement_folder(agreement);
        let stopped = folder.join(STOPPED);
        if !stopped.is_file() {
            bail!(
                "{}: this site has not stopped there for want of its split, so there is nothing to accept",
                folder.display()
            );
        }
        let secret = super::read_secret(&self.0.join("secret"))?;
        if self.split_by(agreement, &secret)? != Some(true) {
            self.drop_all_checkpoints(agreement)?;
            lay_aside(&folder, "split.json")?;
            put_hash(&folder.join("secret.blake3"), &mark(&secret, agreement))?;
        }
        lay_aside(&folder, STOPPED)
    }
}

/// What tells one secret from another in one agreement, and nothing else of it.
fn mark(secret: &[u8; 32], agreement: &Hash) -> Hash {
    key("consilium/secret/1", &[secret, &agreement.0]).into()
}

/// Renames `NAME` to `past-NAME`, with a number behind it where that is taken.
fn lay_aside(folder: &Path, name: &str) -> Result<()> {
    let from = folder.join(name);
    let free = (0u32..)
        .map(|n| folder.join(if n == 0 { format!("past-{name}") } else { format!("past-{n}-{name}") }))
        .find(|to| !to.exists());
    let Some(to) = free else { bail!("{}: no name is free to lay it aside", from.display()) };
    match fs::rename(&from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot rename {}", from.display()))
        }
        _ => Ok(()),
    }
}

/// A hash that is kept in a file of 64 hexadecimal digits.
fn hash(path: &Path) -> Result<Option<Hash>> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    match parse_hash(&bytes) {
        None => bail!("{} is damaged: it must hold 64 hexadecimal digits", path.display()),
        hash => Ok(hash),
    }
}

/// The hash that such a file holds.
pub(super) fn parse_hash(bytes: &[u8]) -> Option<Hash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(String::from_utf8_lossy(bytes).trim(), &mut hash).ok()?;
    Some(Hash::from(hash))
}

fn put_hash(path: &Path, hash: &Hash) -> Result<()> {
    write_hash(path, hash, write_whole)
}

/// Keeps a hash in a file, which is written in this way.
pub(super) fn write_hash(
    path: &Path,
    hash: &Hash,
    write: impl FnOnce(&Path, &[u8], u32) -> io::Result<()>,
) -> Result<()> {
    write(path, hex::encode(hash).as_bytes(), OWN).with_context(|| format!("cannot write {}", path.display()))
}
