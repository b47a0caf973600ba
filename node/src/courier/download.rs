//! A blob on its way in: verified part by part, in order, resumable.

use super::{
    files::{self, FILE_MODE},
    store::{NotAdopted, Store},
    wire::{self, Entry, Request},
};
use consilium_primitives::BlobRef;
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
};

/// A blob of which a first part is verified and on disk.
pub struct Download {
    blob: BlobRef,
    have: u64,
    file: File,
    note: PathBuf,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Verified bytes on disk, from the start.
    pub have: u64,
    /// Whether that is all.
    pub complete: bool,
}

/// Why a part was not taken. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// These bytes are not the part of the blob that was asked for.
    #[error("wrong bytes: {0}")]
    WrongBytes(String),
    /// The part does not begin where the verified bytes end.
    #[error("a part that does not begin at byte {0}")]
    OutOfOrder(u64),
    /// The disk failed.
    #[error("the partial download cannot be written: {0}")]
    Io(#[from] io::Error),
}

impl Download {
    /// Begins a download, or goes on with one from before.
    ///
    /// # Errors
    /// The courier's folder cannot be written.
    pub fn resume(store: &Store, blob: BlobRef) -> io::Result<Self> {
        let (data, note) = store.partial(&blob);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(FILE_MODE)
            .open(&data)
            .map_err(|error| files::named(&data, &error))?;
        let noted = fs::read_to_string(&note).ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
        let sound = noted == blob.len || (noted < blob.len && noted.is_multiple_of(wire::GROUP));
        let have = if sound && file.metadata()?.len() >= noted { noted } else { 0 };
        Ok(Self { blob, have, file, note })
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress { have: self.have, complete: self.have >= self.blob.len }
    }

    /// Takes the slice that answers a request, if every byte of it is right: verified first, then written.
    ///
    /// # Errors
    /// The slice is wrong, too short, too long, or does not come next; or the disk failed.
    pub fn accept(&mut self, request: &Request, slice: &[u8]) -> Result<Progress, NotTaken> {
        if request.start != self.have || request.entry.blob != self.blob {
            return Err(NotTaken::OutOfOrder(self.have));
        }
        let bytes = wire::verified(request, slice).map_err(NotTaken::WrongBytes)?;
        let end = request.start.saturating_add(bytes.len() as u64);
        self.file.write_all_at(&bytes, request.start)?;
        // not forced to the disk: what a power cut leaves is checked as a whole at the end
        files::note(&self.note, end.to_string().as_bytes())?;
        self.have = end;
        Ok(self.progress())
    }

    /// Moves the complete blob into the blob store, as fetched for an entry that lists it.
    ///
    /// # Errors
    /// The bytes on disk changed since they were verified, or the disk failed.
    pub fn finish(self, store: &Store, entry: &Entry) -> Result<(), NotAdopted> {
        drop(self.file);
        store.adopt(entry)
    }
}
