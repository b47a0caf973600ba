//! What left this institution, line by line.

use super::{
    files::{self, FILE_MODE},
    gate::Grant,
};
use consilium_primitives::{BlobKind, BlobRef};
use parking_lot::Mutex;
use sc_network_types::PeerId;
use sp_core::H256;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// An append-only log of JSON lines: every part of a blob that this node gave to another. A line is written before its
/// part is sent, and reaches the disk with the next [`EgressLog::sync`].
pub struct EgressLog {
    path: PathBuf,
    genesis: String,
    open: Mutex<Open>,
}

struct Open {
    file: File,
    /// Device and inode: tell whether the path leads elsewhere by now.
    place: (u64, u64),
    /// Lines were added since the last time that the file was brought to the disk.
    fresh: bool,
    /// The last line may lack its end.
    torn: bool,
}

/// One line of the log.
#[derive(Debug, serde::Serialize, serde::Deserialize, PartialEq, Eq)]
pub struct Line {
    /// Seconds since 1970, this machine's clock.
    pub time: u64,
    /// Genesis hash of the chain, hex.
    pub genesis: String,
    /// Study.
    pub study: u32,
    /// Round.
    pub round: u32,
    /// `update` or `merged`.
    pub kind: String,
    /// BLAKE3 hash of the whole blob, hex.
    pub hash: String,
    /// Bytes of the blob that were given.
    pub bytes: u64,
    /// Offset of the first byte given.
    pub first: u64,
    /// Offset of the last byte given.
    pub last: u64,
    /// Peer id that asked.
    pub peer: String,
    /// The institution it belongs to, hex.
    pub institution: String,
    /// That institution's name.
    pub name: String,
}

impl Open {
    /// Opens the file, or begins it. A line that a power cut tore gets its end, so that the next one stands by itself.
    fn at(path: &Path) -> io::Result<Self> {
        let begun = !path.exists();
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(FILE_MODE).open(path)?;
        let found = file.metadata()?;
        if let Some(last) = found.len().checked_sub(1) {
            let mut end = [0];
            file.read_exact_at(&mut end, last)?;
            if end != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        if begun {
            if let Some(folder) = path.parent() {
                files::sync_folder(folder)?;
            }
        }
        Ok(Self { file, place: (found.dev(), found.ino()), fresh: false, torn: false })
    }
}

impl EgressLog {
    /// Opens the log of a chain, or begins it.
    ///
    /// # Errors
    /// The file cannot be appended to.
    pub fn open(path: &Path, genesis: &H256) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), genesis: hex::encode(genesis), open: Mutex::new(Open::at(path)?) })
    }

    /// Brings lines that were added since the last time to the disk; says whether there were any.
    ///
    /// # Errors
    /// The disk failed; the next call tries again.
    pub fn sync(&self) -> io::Result<bool> {
        let file = {
            let mut open = self.open.lock();
            if !std::mem::take(&mut open.fresh) {
                return Ok(false);
            }
            open.file.try_clone()
        };
        // outside the lock: nobody who notes a line waits for it
        match file.and_then(|file| file.sync_data()) {
            Ok(()) => Ok(true),
            Err(error) => {
                self.open.lock().fresh = true;
                Err(error)
            }
        }
    }

    /// Notes that a range of a blob goes to a peer. To be called before it is sent.
    ///
    /// # Errors
    /// The line could not be written; then nothing may be sent.
    pub fn note(&self, grant: &Grant, peer: &PeerId, blob: &BlobRef, range: &Range<u64>) -> io::Result<()> {
        let line = Line {
            time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs()),
            genesis: self.genesis.clone(),
            study: grant.study,
            round: grant.round,
            kind: match grant.kind {
                BlobKind::Update => "update".into(),
                BlobKind::Merged => "merged".into(),
            },
            hash: hex::encode(blob.root.0),
            bytes: range.end.saturating_sub(range.start),
            first: range.start,
            last: range.end.saturating_sub(1),
            peer: peer.to_base58(),
            institution: grant.institution.to_string(),
            name: grant.name.clone(),
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let mut open = self.open.lock();
        // moved away by a log rotation: go on in the new file, so that no line goes into one that nobody reads
        if !fs::metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == open.place) {
            open.file.sync_data()?;
            *open = Open::at(&self.path)?;
        }
        if open.torn {
            text.insert(0, b'\n');
        }
        open.torn = true;
        open.file.write_all(&text)?;
        open.torn = false;
        open.fresh = true;
        Ok(())
    }
}
