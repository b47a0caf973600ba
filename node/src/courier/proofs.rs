//! Parts of blobs with the hashes that prove them, and where these hashes come from.

use super::{
    files,
    hashes::{hashes_of, SMALL},
    store::{Store, Unavailable},
    target::LOG,
    wire,
};
use bao_tree::io::{
    outboard::PreOrderOutboard,
    sync::{encode_ranges_validated, ReadAt},
    EncodeError,
};
use consilium_primitives::BlobRef;
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    ops::Range,
    os::unix::fs::FileExt,
    time::SystemTime,
};

/// A file that is read at offsets.
struct At(File);

impl ReadAt for At {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(&self.0, buf, pos)
    }
}

/// Removes an entry from a set when the work on it ends, however it ends.
struct Working<'a>(&'a Mutex<HashSet<[u8; 32]>>, [u8; 32]);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Store {
    /// A range of a blob with its proof, checked against the blob's hash as it is read.
    ///
    /// # Errors
    /// The blob cannot be given.
    pub fn slice(&self, blob: &BlobRef, range: &Range<u64>) -> Result<Vec<u8>, Unavailable> {
        if !self.holds(blob) {
            return Err(Unavailable::NotHeld);
        }
        if blob.len <= SMALL {
            let file = File::open(self.path(blob))?;
            let stamp = stamp(&file)?;
            let mut bytes = Vec::new();
            file.take(blob.len).read_to_end(&mut bytes)?;
            let Some(hashes) = hashes_of(&bytes[..], blob)? else { return Err(self.spoilt(blob, stamp)) };
            return encode(blob, &bytes[..], &hashes[..], range)?.ok_or(Unavailable::NotHeld);
        }
        // an outboard that a power cut or somebody spoilt is made anew, which tells whether it was that or the blob
        for _ in 0..2 {
            let file = File::open(self.path(blob))?;
            let hashes = At(self.outboard(blob, &file)?);
            if let Some(slice) = encode(blob, At(file), hashes, range)? {
                return Ok(slice);
            }
            log::error!(target: LOG, "blob {}: it or its hashes changed on disk", hex::encode(blob.root.0));
            files::remove(&self.outboard_path(blob))?;
        }
        Err(Unavailable::NotHeld)
    }

    /// Computes the hashes of a blob that others will soon ask for, if it is here and they are not.
    ///
    /// # Errors
    /// The blob is not what its name says, or the disk failed.
    pub fn prepare(&self, blob: &BlobRef) -> Result<(), Unavailable> {
        if blob.len <= SMALL || !self.holds(blob) {
            return Ok(());
        }
        match self.outboard(blob, &File::open(self.path(blob))?) {
            Ok(_) | Err(Unavailable::Building) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The blob's hash pairs in a file: kept from before, or computed now from the whole blob.
    fn outboard(&self, blob: &BlobRef, file: &File) -> Result<File, Unavailable> {
        let path = self.outboard_path(blob);
        let size = wire::tree(blob).outboard_size();
        if fs::metadata(&path).is_ok_and(|found| found.len() == size) {
            return Ok(File::open(path)?);
        }
        let stamp = stamp(file)?;
        if !self.building.lock().insert(blob.root.0) {
            return Err(Unavailable::Building);
        }
        let _working = Working(&self.building, blob.root.0);
        let Some(hashes) = hashes_of(io::BufReader::new(file), blob)? else { return Err(self.spoilt(blob, stamp)) };
        files::note(&path, &hashes)?;
        Ok(File::open(path)?)
    }

    /// Remembers that a file has not the hash that is its name.
    fn spoilt(&self, blob: &BlobRef, stamp: (u64, SystemTime)) -> Unavailable {
        log::error!(
            target: LOG,
            "blob store: file {} has not the hash that is its name: it is not served, and fetched again if it is wanted",
            self.path(blob).display()
        );
        self.wrong.lock().insert(blob.root.0, stamp);
        Unavailable::NotHeld
    }
}

/// What tells a file from what it was before.
fn stamp(file: &File) -> io::Result<(u64, SystemTime)> {
    let found = file.metadata()?;
    Ok((found.len(), found.modified()?))
}

/// A range of a blob with its proof; none if the bytes or the hashes are not those of that blob.
fn encode(
    blob: &BlobRef,
    bytes: impl ReadAt,
    hashes: impl ReadAt,
    range: &Range<u64>,
) -> Result<Option<Vec<u8>>, Unavailable> {
    let outboard = PreOrderOutboard { root: wire::root(blob), tree: wire::tree(blob), data: hashes };
    let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| Unavailable::NotHeld)?;
    let mut slice = Vec::with_capacity(len.saturating_add(8192));
    match encode_ranges_validated(bytes, outboard, &wire::chunks(blob, range), &mut slice) {
        Ok(()) => Ok(Some(slice)),
        Err(EncodeError::Io(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}
