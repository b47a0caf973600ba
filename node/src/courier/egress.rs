//! What left this institution, line by line.
//!
//! When 16 MiB of new lines have come, the log is folded: what went to one peer of one blob, for one study and round, becomes
//! one line, with the first time and the last, all bytes, and the number of parts. So it holds that much and one
//! line for each blob and peer, and who got how much of what stays for good.

use super::{
    files::{self, FILE_MODE},
    gate::Grant,
    target::LOG,
    wire::kind_name,
};
use parking_lot::{Condvar, Mutex, MutexGuard};
use sc_network_types::PeerId;
use sp_core::H256;
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// After a pause of this length it is first seen whether more lines come, for so long: what partners have waited for together, they ask
/// for together.
const PAUSE: Duration = Duration::from_millis(20);
const GATHER: Duration = Duration::from_millis(3);
/// Bytes of new lines after which the log is folded.
const FOLD_AFTER: u64 = 16 * 1024 * 1024;

/// A log of JSON lines: every part of a blob that this node gave to another. A line is written, and brought to the disk,
/// before its part is sent; lines of parts that are asked for at once go there together.
pub struct EgressLog {
    path: PathBuf,
    genesis: String,
    fold_after: u64,
    state: Mutex<State>,
    /// Told whenever the file was brought to the disk, or could not be.
    synced: Condvar,
}

/// The file, and how many of the lines that were written since the log was opened are on the disk.
struct State {
    open: Open,
    written: u64,
    synced: u64,
    /// Those after the first of these numbers, up to the second, were not brought there when it was tried last.
    lost: (u64, u64),
    /// Somebody brings the file to the disk just now.
    syncing: bool,
    /// When it was last there.
    last: Option<Instant>,
    #[cfg(test)]
    syncs: u64,
}

struct Open {
    file: File,
    /// Device and inode: tell whether the path leads elsewhere by now.
    place: (u64, u64),
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
    /// `update`, `merged`, `initial`, `code` or `masked`.
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
        Ok(Self { file, place: (found.dev(), found.ino()), torn: false, added: found.len() })
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
        let state = State {
            open: Open::at(path)?,
            written: 0,
            synced: 0,
            lost: (0, 0),
            syncing: false,
            last: None,
            #[cfg(test)]
            syncs: 0,
        };
        let (genesis, state) = (hex::encode(genesis), Mutex::new(state));
        Ok(Self { path: path.to_owned(), genesis, fold_after, state, synced: Condvar::new() })
    }

    /// Folds the log when it is time, and brings lines that nobody has brought to the disk there; says whether there were any.
    ///
    /// # Errors
    /// The disk failed; the next call tries again.
    pub fn sync(&self) -> io::Result<bool> {
        let mut state = self.state.lock();
        while state.syncing {
            self.synced.wait(&mut state);
        }
        if state.open.added >= self.fold_after {
            self.fold(&mut state)?;
            return Ok(true);
        }
        if state.synced >= state.written {
            return Ok(false);
        }
        self.bring(&mut state).map(|()| true)
    }

    /// Waits until a line, by the number that [`EgressLog::note`] gave, is on the disk. Whoever comes first brings all lines
    /// there that are written by then; the others wait for it.
    ///
    /// # Errors
    /// It is not there; then nothing may be sent.
    pub fn commit(&self, line: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        loop {
            if (state.lost.0 + 1..=state.lost.1).contains(&line) {
                return Err(io::Error::other("the line did not reach the disk"));
            }
            if state.synced >= line {
                return Ok(());
            }
            if state.syncing {
                self.synced.wait(&mut state);
            } else {
                self.bring(&mut state)?;
            }
        }
    }

    /// Brings all lines to the disk that are written now, or in a moment. Outside the lock: nobody who notes a line waits for it.
    fn bring(&self, state: &mut MutexGuard<'_, State>) -> io::Result<()> {
        state.syncing = true;
        if state.last.is_none_or(|last| last.elapsed() > PAUSE) {
            MutexGuard::unlocked(state, || std::thread::sleep(GATHER));
        }
        let (upto, file) = (state.written, state.open.file.try_clone());
        let done = MutexGuard::unlocked(state, || file.and_then(|file| file.sync_data()));
        (state.syncing, state.last) = (false, Some(Instant::now()));
        match done {
            Ok(()) => state.synced = state.synced.max(upto),
            Err(_) => state.lost = (state.synced, upto),
        }
        #[cfg(test)]
        {
            state.syncs += 1;
        }
        self.synced.notify_all();
        done
    }

    /// How often the file was brought to the disk.
    #[cfg(test)]
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Writes a folded log in the place of this one. Lines that cannot be read, as a power cut leaves them, stay as they are.
    fn fold(&self, state: &mut State) -> io::Result<()> {
        if !self.in_place(&state.open) {
            self.reopen(state)?;
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
        state.open = Open { added: 0, ..Open::at(&self.path)? };
        state.synced = state.written;
        log::info!(target: LOG, "egress log {}: folded", self.path.display());
        Ok(())
    }

    /// Goes on in the file that the path leads to now; what was written to the other one is on the disk then.
    fn reopen(&self, state: &mut State) -> io::Result<()> {
        state.open.file.sync_data()?;
        state.synced = state.written;
        state.open = Open::at(&self.path)?;
        Ok(())
    }

    /// Whether the file that is open is still the one that the path leads to.
    fn in_place(&self, open: &Open) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == open.place)
    }

    /// Notes that a range of a blob goes to a peer, and gives the line's number. To be called before the range is sent, and
    /// [`EgressLog::commit`] after it.
    ///
    /// # Errors
    /// The line could not be written; then nothing may be sent.
    pub fn note(&self, grant: &Grant, peer: &PeerId, range: &Range<u64>) -> io::Result<u64> {
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
        let mut state = self.state.lock();
        // moved away by a log rotation: go on in the new file, so that no line goes into one that nobody reads
        if !self.in_place(&state.open) {
            self.reopen(&mut state)?;
        }
        let open = &mut state.open;
        if open.torn {
            text.insert(0, b'\n');
        }
        open.torn = true;
        open.file.write_all(&text)?;
        open.torn = false;
        open.added = open.added.saturating_add(text.len() as u64);
        state.written += 1;
        Ok(state.written)
    }
}
