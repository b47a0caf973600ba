//! The worker's own folder: the site's secret, what was done, and what outlives a duty.

use super::{
    journal::{Journal, Left},
    later::{force, Later},
    records::{read, whole, with_hash, OWN},
    store::{make_folder, random, sweep, write_loosely, write_whole, Blobs, CARRIED},
};
use crate::random::key;
use anyhow::{bail, Context, Result};
use codec::DecodeAll;
use consilium_aggregation::blob_hash;
use consilium_primitives::{BlobRef, DutyOutput, Hash};
use std::{
    fs, io,
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
/// First byte of the file of a result whose hash stands before it; those of earlier versions begin with the kind of the result.
const SEALED: u8 = 0xc1;

/// A worker's folder.
#[derive(Clone, Debug)]
pub struct Home(pub(super) PathBuf, pub(super) Later, Journal);

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
        Ok(Self(folder.to_path_buf(), Later::of(folder), Journal::default()))
    }

    /// Opens a folder that a worker has made.
    ///
    /// # Errors
    /// It is no worker's folder.
    pub fn existing(folder: &Path) -> Result<Self> {
        if PARTS.iter().all(|part| folder.join(part).is_dir()) {
            return Ok(Self(folder.to_path_buf(), Later::of(folder), Journal::default()));
        }
        bail!("{} is no worker's folder: name the one that `ml-worker serve --dir` was started with", folder.display())
    }

    /// Brings to the disk what nobody waited for, here and among the blobs; gives how many files these were.
    ///
    /// # Errors
    /// The first that could not be brought there.
    pub fn settle(&self, blobs: &Blobs) -> io::Result<usize> {
        self.2.settled(|| {
            let (there, here) = (blobs.later().settle(), self.1.settle());
            Ok(there? + here?)
        })
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

    /// Removes what an earlier worker left unfinished, and puts what its journal has where it belongs, here and among the blobs. Only the worker itself does
    /// so: beside a running one, it would take away what that is just writing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clean(&self, blobs: &Blobs) -> Result<()> {
        let clean = |folder: &Path| sweep(folder).with_context(|| format!("cannot clean {}", folder.display()));
        self.take_up(blobs).with_context(|| format!("cannot put the results in {} in order", self.0.display()))?;
        let studies = self.0.join("studies");
        for folder in [&self.0, &self.0.join("results"), &self.0.join("specs"), &studies] {
            clean(folder)?;
        }
        let ledger = self.0.join("ledger");
        if ledger.is_dir() {
            clean(&ledger)?;
        }
        let below = |folder: &Path| -> Result<Vec<PathBuf>> {
            let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
            Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
        };
        for agreement in below(&studies)? {
            clean(&agreement)?;
            for study in below(&agreement)? {
                clean(&study)?;
                for folder in ["optimizer", "masks"].map(|folder| study.join(folder)) {
                    if folder.is_dir() {
                        clean(&folder)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts what an earlier worker's journal has into files, and has all of these on the disk before the journal goes.
    fn take_up(&self, blobs: &Blobs) -> Result<()> {
        let left = Journal::left(&self.0)?;
        for Left { duty, output, update } in &left {
            if !update.is_empty() {
                blobs.put(update)?;
            }
            let path = self.result_path(duty);
            match self.result(duty)? {
                Some(_) => force(&path)?,
                None => write_whole(&path, &sealed(output), OWN)?,
            }
        }
        if !left.is_empty() {
            force(&self.0.join("results"))?;
        }
        Ok(Journal::remove(&self.0)?)
    }

    fn result_path(&self, duty: &Hash) -> PathBuf {
        self.0.join("results").join(hex::encode(duty))
    }

    /// The site's secret: made once, from the system's random bytes, and kept (file `secret`, 64 hexadecimal digits).
    ///
    /// # Errors
    /// It cannot be read, written, or is no secret.
    pub fn secret(&self) -> Result<[u8; 32]> {
        let path = self.0.join("secret");
        match fs::read_to_string(&path) {
            Ok(text) => parse_secret(&text, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secret = random()?;
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

    /// What a duty gave, if it was done. A file that is damaged counts as none, and is removed.
    ///
    /// # Errors
    /// A result that cannot be read.
    pub fn result(&self, duty: &Hash) -> Result<Option<DutyOutput>> {
        let path = self.result_path(duty);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let output = match bytes.split_first() {
            Some((&SEALED, sealed)) => whole(sealed),
            // of an earlier version
            _ if bytes.iter().any(|byte| *byte != 0) => DutyOutput::decode_all(&mut &bytes[..]).ok(),
            _ => None,
        };
        if output.is_none() {
            tracing::warn!("{} is damaged; removed, the duty is done again", path.display());
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(output)
    }

    /// Keeps what a duty gave. The first result stays. One that nobody could compute again, an update's, is on the disk before this
    /// returns, and the update with it: the first vote for it binds.
    ///
    /// # Errors
    /// The update is not among the blobs; what the file system says.
    pub fn put_result(&self, duty: &Hash, output: &DutyOutput, blobs: &Blobs) -> Result<()> {
        if self.result(duty)?.is_some() {
            return Ok(());
        }
        let path = self.result_path(duty);
        let loosely = || write_loosely(&path, &sealed(output), OWN);
        let written = match output {
            DutyOutput::Update { root, .. } => self.on_the_disk(root, blobs).and_then(|carried| {
                self.2.append(&self.0, duty, output, &carried, || {
                    loosely()?;
                    self.1.add(path.clone());
                    Ok(())
                })
            }),
            _ => loosely(),
        };
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// What of an update the journal has to carry: all of one that is not on the disk yet; nothing of one that is, or that is brought
    /// there now because the journal carries no more.
    fn on_the_disk(&self, root: &Hash, blobs: &Blobs) -> io::Result<Vec<u8>> {
        match blobs.awaited(root)? {
            Some(bytes) if self.2.carries() && bytes.len() as u64 <= CARRIED => Ok(bytes),
            Some(_) => blobs.force(root).map(|()| Vec::new()),
            None => Ok(Vec::new()),
        }
    }

    /// Forgets what a duty gave: what it stands for is not here any more.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_result(&self, duty: &Hash) -> Result<()> {
        let path = self.result_path(duty);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    /// A file that a study names, by its hash; none where there is none, or one with other bytes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn named(&self, blob: &BlobRef) -> Result<Option<Vec<u8>>> {
        let bytes = read(&self.0.join("named").join(hex::encode(blob.root)))?;
        Ok(bytes.filter(|bytes| bytes.len() as u64 == blob.len && blob_hash(bytes) == blob.root))
    }

    /// Keeps it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_named(&self, blob: &BlobRef, bytes: &[u8]) -> Result<()> {
        let folder = self.0.join("named");
        make_folder(&folder, 0o700).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(hex::encode(blob.root));
        write_whole(&path, bytes, OWN).with_context(|| format!("cannot write {}", path.display()))
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
        if self.spec(&hash).is_some() {
            return Ok(hash);
        }
        write_loosely(&path, bytes, OWN).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(hash)
    }
}

/// The file of a result.
fn sealed(output: &DutyOutput) -> Vec<u8> {
    [vec![SEALED], with_hash(output)].concat()
}
