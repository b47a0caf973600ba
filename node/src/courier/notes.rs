//! Why a blob is held: the entries of the chain's list under which it was fetched, shown, or made here. They say what this
//! node may pass on, and what is to be removed when its time is over.

use super::{
    files::{self, named},
    target::LOG,
    wire::{kind_name, Entry, Kind},
};
use consilium_primitives::BlobRef;
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

/// Why a blob is held for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A member of that study gave all of it, asked for that very entry.
    Fetched,
    /// It was here, and a member of that study proved that it may be had there, too.
    Shown,
    /// This institution's worker made it.
    Own,
    /// This institution's people put it into the blob store as a study's attachment, and the specification names it.
    Put,
}

impl Reason {
    const ALL: [Self; 4] = [Self::Fetched, Self::Shown, Self::Own, Self::Put];
    /// Those for which a blob may be passed on.
    const GRANTS: [Self; 3] = [Self::Fetched, Self::Shown, Self::Put];

    fn word(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Shown => "shown",
            Self::Own => "own",
            Self::Put => "put",
        }
    }
}

/// What is noted of one blob.
pub type Noted = BTreeSet<(Entry, Reason)>;

/// The notes of a courier, one file for each blob.
pub struct Notes {
    folder: PathBuf,
    /// Never held while the disk works: requests are decided with it.
    known: Mutex<HashMap<[u8; 32], Noted>>,
    /// Held while the same is written to the disk.
    writing: Mutex<()>,
}

impl Notes {
    /// Reads the notes of a folder that is there. A file that is damaged counts as absent.
    ///
    /// # Errors
    /// The folder or a file cannot be read; the text names it.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        let mut known = HashMap::new();
        for (root, path) in files::hashed(&folder)? {
            let bytes = fs::read(&path).map_err(|error| named(&path, &error))?;
            match whole(&root, &bytes) {
                Some(noted) => drop(known.insert(root, noted)),
                None => log::warn!(
                    target: LOG,
                    "{}: damaged, as by a power cut, and taken for none; what it was about is shown again before it is passed on",
                    path.display()
                ),
            }
        }
        Ok(Self { folder, known: Mutex::new(known), writing: Mutex::default() })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether this node may pass a blob on as one that it has from members of that study for that round, or that its own people
    /// meant for them.
    #[must_use]
    pub fn granted(&self, entry: &Entry) -> bool {
        let known = self.known.lock();
        let noted = known.get(&entry.blob.root.0);
        noted.is_some_and(|all| Reason::GRANTS.iter().any(|reason| all.contains(&(*entry, *reason))))
    }

    /// Whether anything is noted of an entry.
    #[must_use]
    pub fn has(&self, entry: &Entry) -> bool {
        self.known.lock().get(&entry.blob.root.0).is_some_and(|all| all.iter().any(|(of, _)| of == entry))
    }

    /// What is noted of a blob.
    #[must_use]
    pub fn of(&self, root: &[u8; 32]) -> Noted {
        self.known.lock().get(root).cloned().unwrap_or_default()
    }

    /// What is noted.
    #[must_use]
    pub fn all(&self) -> Vec<([u8; 32], Noted)> {
        self.known.lock().iter().map(|(root, noted)| (*root, noted.clone())).collect()
    }

    /// Notes one more reason: first in the file, so that it is never known only until a restart. What a power cut takes of it is
    /// noted again when the blob is shown again, or listed as this institution's own.
    ///
    /// # Errors
    /// The note cannot be written; the text names it.
    pub fn add(&self, entry: &Entry, reason: Reason) -> io::Result<()> {
        let _writing = self.writing.lock();
        let root = entry.blob.root.0;
        let mut noted = self.of(&root);
        if !noted.insert((*entry, reason)) {
            return Ok(());
        }
        let text: String = noted.iter().map(|(entry, reason)| line(entry, *reason)).collect();
        files::note(&self.folder.join(hex::encode(root)), format!("{}{text}", seal(&text)).as_bytes())?;
        self.known.lock().insert(root, noted);
        Ok(())
    }

    /// Forgets all about a blob.
    ///
    /// # Errors
    /// The note is there and cannot be removed; the text names it.
    pub fn forget(&self, root: &[u8; 32]) -> io::Result<()> {
        let _writing = self.writing.lock();
        let path = self.folder.join(hex::encode(root));
        files::remove(&path).map_err(|error| named(&path, &error))?;
        self.known.lock().remove(root);
        Ok(())
    }
}

/// How a note's first line begins; notes of earlier versions have no such line.
const SEAL: &str = "blake3 ";

/// The first line of a note: the hash of the others.
fn seal(text: &str) -> String {
    format!("{SEAL}{}\n", blake3::hash(text.as_bytes()).to_hex())
}

/// What a note's file says, if that is what was written.
fn whole(root: &[u8; 32], bytes: &[u8]) -> Option<Noted> {
    let text = std::str::from_utf8(bytes).ok()?;
    if !text.starts_with(SEAL) {
        // of an earlier version, which brought it to the disk before it went on
        let noted: Option<Noted> = text.lines().map(|line| read(root, line)).collect();
        return noted.filter(|noted| !noted.is_empty());
    }
    let (first, rest) = text.split_at_checked(text.find('\n')?.checked_add(1)?)?;
    (seal(rest) == first).then(|| rest.lines().filter_map(|line| read(root, line)).collect())
}

fn line(entry: &Entry, reason: Reason) -> String {
    let Entry { study, round, kind, blob } = entry;
    format!("{} {study} {round} {} {}\n", reason.word(), kind_name(*kind), blob.len)
}

fn read(root: &[u8; 32], line: &str) -> Option<(Entry, Reason)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [word, study, round, kind, len] = words[..] else { return None };
    let reason = Reason::ALL.into_iter().find(|reason| reason.word() == word)?;
    let kind = Kind::ALL.into_iter().find(|known| kind_name(*known) == kind)?;
    let blob = BlobRef { root: (*root).into(), len: len.parse().ok()? };
    Some((Entry { study: study.parse().ok()?, round: round.parse().ok()?, kind, blob }, reason))
}
