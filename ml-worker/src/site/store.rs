//! The blob store, and how files are written so that a kill at any moment leaves whole files or none.

use super::later::{force, Later};
use consilium_aggregation::blob_hash;
use consilium_primitives::{BlobRef, Hash};
use consilium_study::attachment_note;
use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

const UNFINISHED: &str = ".tmp-worker-";
static COUNT: AtomicU64 = AtomicU64::new(0);
/// Longest update, in bytes, that the journal of results carries to the disk.
pub(super) const CARRIED: u64 = 1024 * 1024;
/// Mode of blobs, which the node reads too.
const BLOB: u32 = 0o640;

/// 32 of the system's random bytes.
pub(crate) fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

/// Makes a folder with this mode, and those above it; one that is there stays as it is.
pub(super) fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Whether a file that was written is on the disk, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// It is, and so is its name: a power cut takes nothing of it.
    Durably,
    /// Once the system finds the time. A power cut may take it, or leave anything in its place: whoever reads it must find that out.
    Loosely,
}

/// Writes a file by a temporary one beside it: written, synced, renamed, the folder synced. At no moment has it another
/// mode than `mode`, or one that lets more people in.
///
/// # Errors
/// What the file system says.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write(path, bytes, mode, Kept::Durably)
}

/// [`write_whole`] without a wait for the disk: whole or not there at all while this machine runs. For what can be made anew, and
/// whose bytes are checked when they are read.
///
/// # Errors
/// What the file system says.
pub(super) fn write_loosely(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write(path, bytes, mode, Kept::Loosely)
}

fn write(path: &Path, bytes: &[u8], mode: u32, kept: Kept) -> io::Result<()> {
    make_whole(parent(path), mode, kept, |mut file, _| file.write_all(bytes).map(|()| path.to_path_buf()))
}

/// A file's folder. The parent of a bare name is empty, and that is no folder.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// [`write`] for a file whose name follows from what is in it: `make` writes into the temporary file, whose path it is
/// given for messages, and gives the path that it is to have.
fn make_whole<E: From<io::Error>>(
    folder: &Path,
    mode: u32,
    kept: Kept,
    make: impl FnOnce(&fs::File, &Path) -> Result<PathBuf, E>,
) -> Result<(), E> {
    let own = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!("{UNFINISHED}{}-{own}", std::process::id()));
    let written = (|| {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        let path = make(&file, &temporary)?;
        // whatever the umask says
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        if kept == Kept::Loosely {
            return Ok(fs::rename(&temporary, path)?);
        }
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        Ok(force(folder)?)
    })();
    if written.is_err() {
        // best effort: the error that counts is the first one
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Removes what an earlier process left unfinished in a folder.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A folder of blobs, shared with the node: each file is named by the BLAKE3 hash of its bytes.
#[derive(Clone, Debug)]
pub struct Blobs(PathBuf, Later);

impl Blobs {
    /// Opens the folder; makes it if need be.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(folder: &Path) -> io::Result<Self> {
        make_folder(folder, 0o750)?;
        sweep(folder)?;
        Ok(Self(folder.to_path_buf(), Later::of(folder)))
    }

    /// Where a blob is, or would be.
    pub fn path(&self, root: &Hash) -> PathBuf {
        self.0.join(hex::encode(root))
    }

    /// Whether a file of the right name and length is there. Its bytes are checked when they are read.
    pub fn has(&self, blob: &BlobRef) -> bool {
        fs::metadata(self.path(&blob.root)).is_ok_and(|m| m.is_file() && m.len() == blob.len)
    }

    /// Whether a file of the right name is there, with anything in it.
    pub fn is_there(&self, root: &Hash) -> bool {
        fs::metadata(self.path(root)).is_ok_and(|m| m.is_file() && m.len() > 0)
    }

    /// Puts bytes there, on the disk, and gives their hash: what this site is about to promise to others. A file of this name with
    /// other bytes is written anew.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put(&self, bytes: &[u8]) -> io::Result<Hash> {
        let (root, there) = self.there(bytes)?;
        if there {
            self.force(&root)?;
        } else {
            write_whole(&self.path(&root), bytes, BLOB)?;
        }
        Ok(root)
    }

    /// The same for a file that studies name and that is meant for their members, as a note beside it says: the node's courier gives
    /// it to them, and nothing that lies here without one. The file is there before its note.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_attachment(&self, bytes: &[u8]) -> io::Result<Hash> {
        let root = self.put(bytes)?;
        write_whole(
            &self.0.join(attachment_note(&root)),
            b"put here by people, for members of studies that name it\n",
            BLOB,
        )?;
        Ok(root)
    }

    /// The same for bytes that can be computed anew: they reach the disk a little later.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_loosely(&self, bytes: &[u8]) -> io::Result<Hash> {
        let (root, there) = self.there(bytes)?;
        if !there {
            write_loosely(&self.path(&root), bytes, BLOB)?;
            self.1.add(self.path(&root));
        }
        Ok(root)
    }

    /// The same for an update, of which the first vote binds. A small one goes to the disk with what is noted of it
    /// ([`Home::put_update`](super::Home::put_update)); a larger one is there at once.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_update(&self, bytes: &[u8]) -> io::Result<Hash> {
        if bytes.len() as u64 > CARRIED {
            return self.put(bytes);
        }
        let root = self.put_loosely(bytes)?;
        // what an earlier process has left there may not be on the disk
        self.1.add(self.path(&root));
        Ok(root)
    }

    /// The bytes of a blob that is not on the disk yet; none where it is.
    ///
    /// # Errors
    /// It is not there, or damaged; what the file system says.
    pub(super) fn awaited(&self, root: &Hash) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(root);
        if !self.1.awaits(&path) {
            return Ok(None);
        }
        let bytes = fs::read(&path)?;
        if blob_hash(&bytes) != *root {
            return Err(io::Error::other(format!("{} does not hold the bytes it is named after", path.display())));
        }
        Ok(Some(bytes))
    }

    /// Their hash, and whether they are there.
    fn there(&self, bytes: &[u8]) -> io::Result<(Hash, bool)> {
        let root = blob_hash(bytes);
        let there = self.has(&BlobRef { root, len: bytes.len() as u64 });
        Ok((root, there && fs::read(self.path(&root))? == bytes))
    }

    /// Brings a blob that is there to the disk.
    ///
    /// # Errors
    /// It is not there; what the file system says.
    pub fn force(&self, root: &Hash) -> io::Result<()> {
        force(&self.path(root))?;
        force(&self.0)
    }

    /// What is brought to the disk later.
    pub fn later(&self) -> Later {
        self.1.clone()
    }

    /// Makes a blob in a file of its own: `make` writes it, and gives its hash and length beside what else there is to say. It can
    /// be computed anew, and reaches the disk a little later.
    ///
    /// # Errors
    /// What `make` says, and the file system.
    pub fn make<T, E: From<io::Error>>(
        &self,
        make: impl FnOnce(&fs::File, &Path) -> Result<(BlobRef, T), E>,
    ) -> Result<(BlobRef, T), E> {
        let mut made = None;
        make_whole(&self.0, BLOB, Kept::Loosely, |file, path| {
            let (blob, more) = make(file, path)?;
            made = Some((blob, more));
            Ok::<_, E>(self.path(&blob.root))
        })?;
        if let Some((blob, _)) = &made {
            self.1.add(self.path(&blob.root));
        }
        made.ok_or_else(|| io::Error::other("nothing was made").into())
    }

    /// Removes a file that does not hold the bytes it is named after: it will be fetched again.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove_damaged(&self, root: &Hash) -> io::Result<()> {
        let path = self.path(root);
        tracing::warn!(
            "{} does not hold the bytes it is named after; removed, it will be fetched again",
            path.display()
        );
        fs::remove_file(&path)
    }

    /// The bytes of a blob. A file that does not have its own hash is removed, and counts as missing. One that has it,
    /// but another length than asked for, counts as missing too, and stays: another study may need it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn read(&self, blob: &BlobRef) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(&blob.root);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if blob_hash(&bytes) == blob.root {
            return Ok((bytes.len() as u64 == blob.len).then_some(bytes));
        }
        self.remove_damaged(&blob.root)?;
        Ok(None)
    }
}
