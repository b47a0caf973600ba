//! What left this institution, line by line.
//!
//! When 16 MiB of new lines have come, the log is folded: what went to one peer of one blob, for one study and round, becomes
//! one line, with the first time and the last, all bytes, and the number of parts. So it holds that much and one
//! line for each blob and peer, and who got how much of what stays for good.

use super::{
    files::{self, FILE_MODE},
    gate::Grant,
    wire::kind_name,
};
use parking_lot::Mutex;
use sc_network_types::PeerId;
use sp_core::H256;
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Bytes of new lines after which the log is folded.
const FOLD_AFTER: u64 = 16 * 1024 * 1024;

/// A log of JSON lines: every part of a blob that this node gave to another. A line is written before its
/// part is sent, and reaches the disk with the next [`EgressLog::sync`].
pub struct EgressLog {
    path: PathBuf,
    genesis: String,
    fold_after: u64,
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
    /// Bytes of lines that were added since the log was folded, or opened.
    added: u64,
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
    /// Of a line that stands for several parts: how many. Then `bytes` are those of all, `first` and `last` the outermost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u64>,
    /// Of a line that stands for several parts: `time` of the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl Line {
    /// What lines must share to become one.
    fn key(&self) -> (u32, u32, [String; 6]) {
        let texts = [&self.genesis, &self.kind, &self.hash, &self.peer, &self.institution, &self.name];
        (self.study, self.round, texts.map(String::clone))
    }

    /// Takes a later line in.
    fn take(&mut self, later: &Self) {
        let (own, more) = (self.parts.unwrap_or(1), later.parts.unwrap_or(1));
        let until = self.until.unwrap_or(self.time).max(later.until.unwrap_or(later.time));
        self.parts = Some(own.saturating_add(more));
        self.until = Some(until);
        self.time = self.time.min(later.time);
        self.bytes = self.bytes.saturating_add(later.bytes);
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
    }
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
        Ok(Self { file, place: (found.dev(), found.ino()), fresh: false, torn: false, added: found.len() })
    }
}

impl EgressLog {
    /// Opens the log of a chain, or begins it.
    ///
    /// # Errors
    /// The file cannot be appended to.
    pub fn open(path: &Path, genesis: &H256) -> io::Result<Self> {
        Self::open_with(path, genesis, FOLD_AFTER)
    }

    /// The same, folded after so many bytes.
    ///
    /// # Errors
    /// The file cannot be appended to.
    pub fn open_with(path: &Path, genesis: &H256, fold_after: u64) -> io::Result<Self> {
        let open = Mutex::new(Open::at(path)?);
        Ok(Self { path: path.to_owned(), genesis: hex::encode(genesis), fold_after, open })
    }

    /// Brings lines that were added since the last time to the disk, and folds the log when it is time; says whether there
    /// were any.
    ///
    /// # Errors
    /// The disk failed; the next call tries again.
    pub fn sync(&self) -> io::Result<bool> {
        let file = {
            let mut open = self.open.lock();
            if open.added >= self.fold_after {
                self.fold(&mut open)?;
                return Ok(true);
            }
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

    /// Writes a folded log in the place of this one. Lines that cannot be read, as a power cut leaves them, stay as they are.
    fn fold(&self, open: &mut Open) -> io::Result<()> {
        if !self.in_place(open) {
            open.file.sync_data()?;
            *open = Open::at(&self.path)?;
        }
        let mut lines: Vec<Result<Line, Vec<u8>>> = Vec::new();
        let mut places = HashMap::new();
        for text in BufReader::new(File::open(&self.path)?).split(b'\n') {
            let text = text?;
            let Ok(line) = serde_json::from_slice::<Line>(&text) else {
                if !text.is_empty() {
                    lines.push(Err(text));
                }
                continue;
            };
            let known = places.get(&line.key()).and_then(|place: &usize| lines.get_mut(*place));
            if let Some(Ok(first)) = known {
                first.take(&line);
            } else {
                places.insert(line.key(), lines.len());
                lines.push(Ok(line));
            }
        }
        let temporary = self.path.with_extension("folding");
        let mut file = BufWriter::new(files::create_new(&temporary)?);
        for line in lines {
            let mut text = line.map_or_else(Ok, |line| serde_json::to_vec(&line))?;
            text.push(b'\n');
            file.write_all(&text)?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        if let Some(folder) = self.path.parent() {
            files::sync_folder(folder)?;
        }
        *open = Open { added: 0, ..Open::at(&self.path)? };
        log::info!(target: super::LOG, "egress log {}: folded", self.path.display());
        Ok(())
    }

    /// Whether the file that is open is still the one that the path leads to.
    fn in_place(&self, open: &Open) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == open.place)
    }

    /// Notes that a range of a blob goes to a peer. To be called before it is sent.
    ///
    /// # Errors
    /// The line could not be written; then nothing may be sent.
    pub fn note(&self, grant: &Grant, peer: &PeerId, range: &Range<u64>) -> io::Result<()> {
        let line = Line {
            time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs()),
            genesis: self.genesis.clone(),
            study: grant.entry.study,
            round: grant.entry.round,
            kind: kind_name(grant.entry.kind).into(),
            hash: hex::encode(grant.entry.blob.root.0),
            bytes: range.end.saturating_sub(range.start),
            first: range.start,
            last: range.end.saturating_sub(1),
            peer: peer.to_base58(),
            institution: grant.institution.to_string(),
            name: grant.name.clone(),
            parts: None,
            until: None,
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let mut open = self.open.lock();
        // moved away by a log rotation: go on in the new file, so that no line goes into one that nobody reads
        if !self.in_place(&open) {
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
        open.added = open.added.saturating_add(text.len() as u64);
        Ok(())
    }
}
