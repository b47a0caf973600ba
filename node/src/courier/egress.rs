//! What left this institution, line by line.

use super::gate::Grant;
use consilium_primitives::{BlobKind, BlobRef};
use parking_lot::Mutex;
use sc_network_types::PeerId;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Lines reach the disk at least so often while there are any.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// An append-only log of JSON lines: every part of a blob that this node gave to another.
pub struct EgressLog {
    path: PathBuf,
    open: Mutex<Open>,
}

struct Open {
    file: File,
    synced: Instant,
    /// The last line may lack its end.
    torn: bool,
}

/// One line of the log.
#[derive(Debug, serde::Serialize, serde::Deserialize, PartialEq, Eq)]
pub struct Line {
    /// Seconds since 1970, this machine's clock.
    pub time: u64,
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

impl EgressLog {
    /// Opens the log, or begins it.
    ///
    /// # Errors
    /// The file cannot be appended to.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { path: path.to_owned(), open: Mutex::new(Open { file, synced: Instant::now(), torn: false }) })
    }

    /// Notes that a range of a blob goes to a peer. To be called before it is sent.
    ///
    /// # Errors
    /// The line could not be written; then nothing may be sent.
    pub fn note(&self, grant: &Grant, peer: &PeerId, blob: &BlobRef, range: &Range<u64>) -> io::Result<()> {
        let line = Line {
            time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs()),
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
        // moved away by a log rotation: begin anew, so that no line goes into a file that nobody reads
        if !self.path.exists() {
            open.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        }
        if open.torn {
            text.insert(0, b'\n');
        }
        open.torn = true;
        open.file.write_all(&text)?;
        open.torn = false;
        if open.synced.elapsed() >= SYNC_EVERY {
            open.file.sync_data()?;
            open.synced = Instant::now();
        }
        Ok(())
    }
}
