//! What left this building, by the node's own log: read on where it was read to, and anew where the node has folded it.

use super::state::{Egress, Left, Sum};
use crate::plain::seen;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    fs::File,
    io::{ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// How many of the last that left are told.
const RECENT: usize = 100;

/// A line of the log, as the node writes it.
#[derive(Deserialize)]
struct Line {
    time: u64,
    study: u32,
    round: u32,
    kind: String,
    hash: String,
    bytes: u64,
    name: String,
    #[serde(default)]
    parts: Option<u64>,
    #[serde(default)]
    until: Option<u64>,
}

impl Line {
    /// What left. The log calls whatever a site gives to a merge an update; what it gives before the first round are sums of its
    /// columns, and no update of a model.
    fn what(&self) -> String {
        match (self.kind.as_str(), self.round) {
            ("update", 0) => "statistics".into(),
            (kind, _) => seen(kind),
        }
    }
}

/// What is kept of one receiver, study and kind.
struct Account {
    files: HashSet<String>,
    bytes: u64,
    first: u64,
    last: u64,
}

/// The log, and how far it was read.
pub struct Log {
    file: PathBuf,
    /// Device, inode and bytes that were read; none before it was read.
    place: Option<(u64, u64, u64)>,
    /// What was read of a line without its end.
    torn: Vec<u8>,
    sums: BTreeMap<(String, u32, String), Account>,
    recent: VecDeque<Left>,
    parts: u64,
    unreadable: u64,
}

impl Log {
    /// Of an institution's folder.
    pub fn of(dir: &Path) -> Self {
        let file = dir.join("node/courier/egress.log");
        Self {
            file,
            place: None,
            torn: Vec::new(),
            sums: BTreeMap::new(),
            recent: VecDeque::new(),
            parts: 0,
            unreadable: 0,
        }
    }

    /// What has left until now.
    pub fn told(&mut self) -> Egress {
        let missing = match self.read() {
            Ok(()) if self.unreadable > 0 => {
                Some(format!("{} lines of it cannot be read: see {}", self.unreadable, self.file.display()))
            }
            Ok(()) => None,
            Err(error) => Some(format!("{error:#}")),
        };
        let sums: Vec<Sum> = self.sums.iter().map(|((to, study, kind), sum)| sum.told(to, *study, kind)).collect();
        Egress {
            missing,
            file: self.file.display().to_string(),
            bytes: sums.iter().map(|sum| sum.bytes).sum(),
            parts: self.parts,
            last_at_ms: sums.iter().map(|sum| sum.last_at_ms).max(),
            sums,
            recent: self.recent.iter().cloned().collect(),
        }
    }

    fn read(&mut self) -> Result<()> {
        let context = || format!("cannot read {}", self.file.display());
        let mut file = match File::open(&self.file) {
            // the node begins it with the first part that it gives away
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            opened => opened.with_context(context)?,
        };
        let found = file.metadata().with_context(context)?;
        let (device, inode, len) = (found.dev(), found.ino(), found.len());
        let from = match self.place {
            Some((d, i, read)) if (d, i) == (device, inode) && read <= len => read,
            _ => {
                *self = Self { file: std::mem::take(&mut self.file), ..Self::of(Path::new("")) };
                0
            }
        };
        if from == len {
            self.place = Some((device, inode, len));
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.torn);
        file.seek(SeekFrom::Start(from))?;
        let read = file.take(len - from).read_to_end(&mut bytes).with_context(|| self.file.display().to_string())?;
        self.place = Some((device, inode, from + read as u64));
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.torn = bytes.split_off(end);
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<Line>(line) {
                Ok(line) => self.take(line),
                // a power cut may have torn it
                Err(_) => self.unreadable += 1,
            }
        }
        Ok(())
    }

    fn take(&mut self, line: Line) {
        let (to, kind, last) = (seen(&line.name), line.what(), line.until.unwrap_or(line.time));
        self.parts = self.parts.saturating_add(line.parts.unwrap_or(1));
        let sum = self.sums.entry((to.clone(), line.study, kind.clone())).or_insert_with(|| Account {
            files: HashSet::new(),
            bytes: 0,
            first: line.time,
            last,
        });
        sum.bytes = sum.bytes.saturating_add(line.bytes);
        (sum.first, sum.last) = (sum.first.min(line.time), sum.last.max(last));
        sum.files.insert(line.hash.chars().take(16).collect());
        self.recent.push_front(Left {
            at_ms: last.saturating_mul(1_000),
            to,
            study: line.study,
            round: line.round,
            kind,
            bytes: line.bytes,
            hash: seen(&line.hash),
        });
        self.recent.truncate(RECENT);
    }
}

impl Account {
    fn told(&self, to: &str, study: u32, kind: &str) -> Sum {
        Sum {
            to: to.into(),
            study,
            kind: kind.into(),
            files: u32::try_from(self.files.len()).unwrap_or(u32::MAX),
            bytes: self.bytes,
            first_at_ms: self.first.saturating_mul(1_000),
            last_at_ms: self.last.saturating_mul(1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::{fs, io::Write};

    fn line(time: u64, name: &str, hash: &str, bytes: u64) -> String {
        let (genesis, peer, institution) = ("00", "12D3", "0x01");
        let line = serde_json::json!({
            "time": time, "genesis": genesis, "study": 4, "round": 2, "kind": "update", "hash": hash, "bytes": bytes, "first": 0,
            "last": bytes - 1, "peer": peer, "institution": institution, "name": name,
        });
        format!("{line}\n")
    }

    #[test]
    fn statistics_are_not_counted_as_updates() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("node/courier");
        fs::create_dir_all(&folder).unwrap();
        let of_round = |round: u32, kind: &str, hash: &str, bytes: u64| {
            let mut one: serde_json::Value = serde_json::from_str(&line(10, "Birch", hash, bytes)).unwrap();
            (one["round"], one["kind"]) = (round.into(), kind.into());
            format!("{one}\n")
        };
        let parts =
            [(0, "update", "aa", 344), (1, "update", "bb", 256), (2, "update", "cc", 256), (0, "merged", "dd", 160)];
        let text: String =
            parts.iter().map(|(round, kind, hash, bytes)| of_round(*round, kind, hash, *bytes)).collect();
        fs::write(folder.join("egress.log"), text).unwrap();
        let told = Log::of(dir.path()).told();
        let sums: Vec<(&str, u32, u64)> =
            told.sums.iter().map(|sum| (sum.kind.as_str(), sum.files, sum.bytes)).collect();
        assert_eq!(sums, [("merged", 1, 160), ("statistics", 1, 344), ("update", 2, 512)]);
        assert_eq!(told.recent.iter().filter(|left| left.kind == "statistics").count(), 1);
    }

    #[test]
    fn what_left_is_counted_on_from_where_it_was_read_and_anew_where_the_log_was_folded() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::of(dir.path());
        let told = log.told();
        assert_eq!((told.missing, told.bytes, told.last_at_ms), (None, 0, None), "nothing has left yet");
        let folder = dir.path().join("node/courier");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("egress.log");
        let second = line(20, "Birch", "bb", 40);
        let (begin, end) = second.split_at(30);
        fs::write(&path, line(10, "Birch", "aa", 100) + begin).unwrap();
        assert_eq!(log.told().bytes, 100, "a line without its end waits");
        let more = end.to_owned() + &line(30, "Birch", "bb", 60) + &line(31, "Ce\u{1b}dar<b>", "bb", 7);
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(more.as_bytes()).unwrap();
        let told = log.told();
        assert_eq!((told.bytes, told.parts, told.last_at_ms), (207, 4, Some(31_000)));
        let birch = &told.sums[0];
        assert_eq!((birch.to.as_str(), birch.files, birch.bytes, birch.first_at_ms), ("Birch", 2, 200, 10_000));
        assert_eq!(told.recent[0].to, "Ce\\u{1b}dar<b>", "what is not seen is spelt out");
        assert_eq!(log.told(), told, "read again, nothing is counted twice");
        // the node puts another file in its place
        let folded = folder.join("egress.new");
        let mut one: serde_json::Value = serde_json::from_str(&line(10, "Birch", "aa", 200)).unwrap();
        (one["parts"], one["until"]) = (3.into(), 30.into());
        fs::write(&folded, format!("{one}\nno line\n")).unwrap();
        fs::rename(&folded, &path).unwrap();
        let told = log.told();
        assert_eq!((told.bytes, told.parts, told.last_at_ms), (200, 3, Some(30_000)));
        assert!(told.missing.unwrap().contains("1 lines"));
    }
}
