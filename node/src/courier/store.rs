//! Blobs on disk: the blob store shared with the worker, and the courier's own files beside it.

use super::{
    files::{self, named},
    hashes::{hashes_of, SMALL},
    notes::{Noted, Notes, Reason},
    quota::Usage,
    target::LOG,
    wire::Entry,
};
use consilium_primitives::{BlobRef, Hash, StudyId};
use consilium_study::attachment_note;
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Partial downloads of blobs that no study lists any more are kept this long after the last byte.
const KEEP_PARTIAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Start of the names of files in the blob store that are not complete yet and were begun by a courier.
const TEMPORARY: &str = ".tmp-courier-";

/// Blobs on disk.
pub struct Store {
    blobs: PathBuf,
    outboards: PathBuf,
    partial: PathBuf,
    notes: Notes,
    quota: u64,
    /// Outboards that are being computed.
    pub(super) building: Mutex<HashSet<[u8; 32]>>,
    /// Files that have not the hash that their name says, by length and time of change.
    pub(super) wrong: Mutex<HashMap<[u8; 32], (u64, SystemTime)>>,
}

/// Why a part of a blob cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// Not there, or not with the right length and hash.
    #[error("not held, or not with these bytes")]
    NotHeld,
    /// Its outboard is being computed for another request.
    #[error("its outboard is being computed")]
    Building,
    /// The disk failed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Why a complete download was not taken into the blob store.
#[derive(Debug, thiserror::Error)]
pub enum NotAdopted {
    /// The file on disk is not what was verified: the disk changed it, or someone did.
    #[error("the partial download has not the hash it should have; it is dropped and fetched again")]
    OtherHash,
    /// The disk failed.
    #[error("the blob store cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Reads, and writes what was read elsewhere too.
struct Tee<R, W>(R, W);

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buf)?;
        if let Some(part) = buf.get(..read) {
            self.1.write_all(part)?;
        }
        Ok(read)
    }
}

impl Store {
    /// Opens the blob store and the courier's own folder; makes them where they are not there.
    ///
    /// # Errors
    /// A folder cannot be made or read; the text names it.
    pub fn open(blobs: &Path, own: &Path, quota: u64) -> io::Result<Self> {
        let [outboards, partial, notes] = ["outboards", "partial", "notes"].map(|name| own.join(name));
        for folder in [blobs, &outboards, &partial, &notes] {
            files::folder(folder)?;
        }
        for entry in fs::read_dir(blobs).map_err(|error| named(blobs, &error))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                files::remove(&entry.path())?;
            }
        }
        Ok(Self {
            blobs: blobs.to_owned(),
            outboards,
            partial,
            notes: Notes::open(notes)?,
            quota,
            building: Mutex::default(),
            wrong: Mutex::default(),
        })
    }

    /// Whether a blob is in the blob store, by name and length, and was not found to have another hash.
    #[must_use]
    pub fn holds(&self, blob: &BlobRef) -> bool {
        let Ok(found) = fs::symlink_metadata(self.path(blob)) else { return false };
        let known = self.wrong.lock().get(&blob.root.0).copied();
        let spoilt = known.is_some_and(|(len, changed)| found.len() == len && found.modified().ok() == Some(changed));
        found.is_file() && found.len() == blob.len && !spoilt
    }

    /// Whether this node has a blob from members of that study, asked for that very entry.
    #[must_use]
    pub fn granted(&self, entry: &Entry) -> bool {
        self.notes.granted(entry)
    }

    /// Studies that something is held for.
    #[must_use]
    pub fn studies(&self) -> BTreeSet<StudyId> {
        self.notes.all().into_iter().flat_map(|(_, noted)| noted).map(|(entry, _)| entry.study).collect()
    }

    /// Notes that a member of a study proved that a blob, which is here already, may be had there too.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn shown(&self, entry: &Entry) -> io::Result<()> {
        self.notes.add(entry, Reason::Shown)
    }

    /// Whether this institution's people put a blob here as a study's attachment, as a note beside it says. Nothing but `ml-worker
    /// trainer put` leaves one: no worker does of what it makes, and no courier of what it fetches.
    #[must_use]
    pub fn meant(&self, root: &Hash) -> bool {
        fs::symlink_metadata(self.blobs.join(attachment_note(root))).is_ok_and(|found| found.is_file())
    }

    /// Notes that a blob which is meant for that is named by a study's specification: its members may have it from here.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn note_put(&self, entry: &Entry) -> io::Result<()> {
        self.notes.add(entry, Reason::Put)
    }

    /// Where the partial download of a blob lies, and the note of how far it is. The length is part of the name: a study
    /// that gives a blob another length must not touch what is there of the right one.
    #[must_use]
    pub fn partial(&self, blob: &BlobRef) -> (PathBuf, PathBuf) {
        let name = format!("{}-{}", hex::encode(blob.root.0), blob.len);
        (self.partial.join(&name), self.partial.join(format!("{name}.have")))
    }

    /// Reads how much is stored: complete blobs that must be held, as `needed` says by name and notes, and partial
    /// downloads, under way or idle. What else lies in the blob store is no obligation, and does not count.
    ///
    /// # Errors
    /// A folder cannot be read; the text names it.
    pub fn usage(&self, needed: impl Fn(&[u8; 32], &Noted) -> bool) -> io::Result<Usage> {
        let mut usage = Usage::new(self.quota);
        // a file that vanished meanwhile needs no room
        let len = |path: &Path| fs::symlink_metadata(path).map_or(0, |found| found.len());
        for (root, path) in files::hashed(&self.blobs)? {
            if needed(&root, &self.notes.of(&root)) {
                usage.used = usage.used.saturating_add(len(&path));
            }
        }
        for entry in fs::read_dir(&self.partial).map_err(|error| named(&self.partial, &error))? {
            let path = entry?.path();
            usage.used = usage.used.saturating_add(len(&path));
            if path.extension().is_none() {
                usage.partial.extend(partly(&path).map(|blob| (blob, len(&path))));
            }
        }
        Ok(usage)
    }

    /// Takes a complete download into the blob store, once more checked as a whole, and notes for which entry. Nothing of it is
    /// forced to the disk: what a power cut spoils is found out by its hash where it is read, and fetched again.
    ///
    /// # Errors
    /// The bytes are others than were verified, or the disk failed.
    pub fn adopt(&self, entry: &Entry) -> Result<(), NotAdopted> {
        let blob = &entry.blob;
        let name = hex::encode(blob.root.0);
        let (data, have) = self.partial(blob);
        let temporary = self.blobs.join(format!("{TEMPORARY}{name}"));
        let mut copy = files::create_new(&temporary)?;
        let copied = hashes_of(Tee(File::open(&data)?.take(blob.len), &mut copy), blob);
        let hashes = match copied {
            Ok(Some(hashes)) => hashes,
            Ok(None) => {
                for path in [&temporary, &data, &have] {
                    let _ = fs::remove_file(path);
                }
                return Err(NotAdopted::OtherHash);
            }
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                return Err(named(&temporary, &error).into());
            }
        };
        if blob.len > SMALL {
            files::note(&self.outboard_path(blob), &hashes)?;
        }
        self.notes.add(entry, Reason::Fetched)?;
        fs::rename(&temporary, self.path(blob))?;
        for path in [&data, &have] {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// Notes which blobs that this house made are held: they are to go when their time is over, as what was fetched is. What is
    /// here for another reason is nobody's to remove.
    ///
    /// # Errors
    /// A note cannot be written.
    pub fn note_own(&self, made: impl Iterator<Item = Entry>) -> io::Result<()> {
        for entry in made {
            if !self.notes.has(&entry) && self.holds(&entry.blob) {
                self.notes.add(&entry, Reason::Own)?;
            }
        }
        Ok(())
    }

    /// Removes what was fetched or made here and is needed for nothing any more: every entry that it was held for is over. What
    /// people put here stays. What cannot be removed does not keep the rest from being removed.
    ///
    /// # Errors
    /// The first file that could not be removed.
    pub fn expire(&self, over: impl Fn(&Entry) -> bool) -> io::Result<()> {
        let mut problem = Ok(());
        for (root, noted) in self.notes.all() {
            let ours = noted.iter().any(|(_, reason)| matches!(reason, Reason::Fetched | Reason::Own));
            if !ours || self.meant(&root.into()) || !noted.iter().all(|(entry, _)| over(entry)) {
                continue;
            }
            let path = self.blobs.join(hex::encode(root));
            let gone = files::remove(&path).map_err(|error| named(&path, &error));
            match gone.and_then(|()| self.notes.forget(&root)) {
                Ok(()) => noted.iter().for_each(|(entry, _)| log::info!(target: LOG, "{entry}: over, removed")),
                Err(error) if problem.is_ok() => problem = Err(error),
                Err(_) => {}
            }
        }
        problem
    }

    /// Removes what belongs to blobs that are gone, and old partial downloads and other leftovers that nobody wants. What
    /// cannot be removed does not keep the rest from being removed.
    ///
    /// # Errors
    /// A folder cannot be read, or the first file that could not be removed.
    pub fn tidy(&self, listed: impl Fn(&[u8; 32]) -> bool) -> io::Result<()> {
        let mut problem = Ok(());
        let mut keep = |done: io::Result<()>, path: &Path| {
            if let Err(error) = files::gone_is_fine(done) {
                if problem.is_ok() {
                    problem = Err(named(path, &error));
                }
            }
        };
        let gone = |root: &[u8; 32]| !listed(root) && !self.blobs.join(hex::encode(root)).exists();
        for (root, path) in files::hashed(&self.outboards)? {
            if gone(&root) {
                keep(fs::remove_file(&path), &path);
            }
        }
        for (root, path) in files::hashed(self.notes.folder())? {
            if gone(&root) {
                keep(self.notes.forget(&root), &path);
            }
        }
        for folder in [self.outboards.as_path(), self.notes.folder(), &self.partial] {
            for entry in fs::read_dir(folder).map_err(|error| named(folder, &error))? {
                let path = entry?.path();
                let unwanted = folder == self.partial && !partly(&path).is_some_and(|blob| listed(&blob.root.0));
                if !unwanted && !files::is_leftover(&path) {
                    continue;
                }
                let changed = fs::symlink_metadata(&path).and_then(|found| found.modified());
                let done = changed.and_then(|at| match at.elapsed() {
                    Ok(age) if age > KEEP_PARTIAL => fs::remove_file(&path),
                    _ => Ok(()),
                });
                keep(done, &path);
            }
        }
        problem
    }

    pub(super) fn path(&self, blob: &BlobRef) -> PathBuf {
        self.blobs.join(hex::encode(blob.root.0))
    }

    pub(super) fn outboard_path(&self, blob: &BlobRef) -> PathBuf {
        self.outboards.join(hex::encode(blob.root.0))
    }
}

/// The blob that a file in the folder of partial downloads is about: the download, or the note of how far it is.
fn partly(path: &Path) -> Option<BlobRef> {
    let (root, len) = path.file_stem()?.to_str()?.split_once('-')?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(root, &mut bytes).ok()?;
    Some(BlobRef { root: bytes.into(), len: len.parse().ok()? })
}
