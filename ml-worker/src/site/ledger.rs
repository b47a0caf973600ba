//! What this site's rows have cost so far: `ledger/DATASET`, a line for each private training, on the disk before its first step.
//! Beside it, `ledger/DATASET.rows`: keyed hashes of the rows that have that name, so that the same rows are not counted anew under
//! another one. Seeds of private trainings lie with their studies.

use super::{
    later::force,
    records::{read, OWN},
    store::{make_folder, random, write_whole},
    Home, StudyKey,
};
use anyhow::{bail, Context, Result};
use consilium_primitives::Hash;
use consilium_privacy::{Ask, Ledger, Refused};
use std::{
    collections::{BTreeSet, HashSet},
    fs,
    io::{Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Ending of the files of rows.
const ROWS: &str = "rows";
/// Digits of a row's hash that are kept: of so many bits none are equal by chance.
const DIGITS: usize = 32;
/// What stands before the name of a file whose rows were noted.
const FILE: &str = "# ";

/// Rows of one file, and what it is known by.
pub struct OwnRows {
    /// Tells this file, read by this specification, from all others.
    pub file: Hash,
    /// Keyed hashes of what its rows hold.
    pub contents: Vec<[u8; 32]>,
}

impl OwnRows {
    /// Hashes of the rows that no other row of the file is equal to. Fewer than half of them say nothing: where few values are
    /// possible, rows of different people are equal.
    fn telling(&self) -> BTreeSet<String> {
        let (mut once, mut twice) = (BTreeSet::new(), HashSet::new());
        for content in &self.contents {
            let mut text = hex::encode(content);
            text.truncate(DIGITS);
            if twice.contains(&text) {
                continue;
            }
            if once.remove(&text) {
                twice.insert(text);
            } else {
                once.insert(text);
            }
        }
        if once.len() * 2 < self.contents.len() {
            once.clear();
        }
        once
    }
}

impl Home {
    fn ledgers(&self) -> PathBuf {
        self.0.join("ledger")
    }

    fn ledger_path(&self, dataset: &str) -> PathBuf {
        self.ledgers().join(dataset)
    }

    /// Names of the data sets that something was spent on.
    ///
    /// # Errors
    /// What the file system says.
    pub fn datasets(&self) -> Result<Vec<String>> {
        let folder = self.ledgers();
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| consilium_privacy::dataset_name(name).is_ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// What was spent on a data set; nothing, where it has no ledger.
    ///
    /// # Errors
    /// It cannot be read, or was changed.
    pub fn ledger(&self, dataset: &str) -> Result<Ledger> {
        Ok(self.ledger_with_length(dataset)?.0)
    }

    /// The same, with the length of its whole lines.
    fn ledger_with_length(&self, dataset: &str) -> Result<(Ledger, u64)> {
        let path = self.ledger_path(dataset);
        let bytes = read(&path)?.unwrap_or_default();
        let (ledger, whole) = Ledger::read(&bytes).with_context(|| path.display().to_string())?;
        Ok((ledger, whole as u64))
    }

    /// Reserves what a training costs, within a limit in millionths of ε: the line is on the disk when this returns. Nothing is
    /// written where it is there already.
    ///
    /// # Errors
    /// The ledger cannot be read or written, or was changed. In the answer: why the training may not begin.
    pub fn reserve(&self, dataset: &str, ask: &Ask, limit_micro: u32) -> Result<Result<Ledger, Refused>> {
        let (mut ledger, whole) = self.ledger_with_length(dataset)?;
        let line = match ledger.reserve(ask, limit_micro) {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(Ok(ledger)),
            Err(refused) => return Ok(Err(refused)),
        };
        let (folder, path) = (self.ledgers(), self.ledger_path(dataset));
        make_folder(&folder, 0o700).with_context(|| format!("cannot make {}", folder.display()))?;
        let append = || -> std::io::Result<()> {
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(false).mode(OWN).open(&path)?;
            // a line that was being written when power went is no line
            file.set_len(whole)?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(line.as_bytes())?;
            file.sync_all()?;
            force(&folder)
        };
        append().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Ok(ledger))
    }

    /// Notes a file's rows under a data set's name. Where some of them are known under another name, nothing is noted: which name,
    /// and how many.
    ///
    /// # Errors
    /// What the file system says.
    pub fn name_rows(&self, dataset: &str, own: &OwnRows) -> Result<Option<(String, usize)>> {
        let telling = own.telling();
        for other in self.named_sets()? {
            if other == dataset {
                continue;
            }
            let (_, rows) = self.rows_of(&other)?;
            let shared = telling.intersection(&rows).count();
            if shared > 0 {
                return Ok(Some((other, shared)));
            }
        }
        let (mut files, mut rows) = self.rows_of(dataset)?;
        files.insert(hex::encode(own.file));
        rows.extend(telling);
        let files = files.iter().map(|file| format!("{FILE}{file}\n"));
        let text: String = files.chain(rows.iter().map(|row| format!("{row}\n"))).collect();
        let folder = self.ledgers();
        make_folder(&folder, 0o700).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = self.rows_path(dataset);
        write_whole(&path, text.as_bytes(), OWN).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(None)
    }

    /// Whether a file's rows were noted under this name.
    ///
    /// # Errors
    /// What the file system says.
    pub fn rows_are_named(&self, dataset: &str, file: &Hash) -> Result<bool> {
        Ok(self.rows_of(dataset)?.0.contains(&hex::encode(file)))
    }

    fn rows_path(&self, dataset: &str) -> PathBuf {
        self.ledgers().join(format!("{dataset}.{ROWS}"))
    }

    /// Names that rows were noted under.
    fn named_sets(&self) -> Result<Vec<String>> {
        let folder = self.ledgers();
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let name = |path: PathBuf| {
            let ending = path.extension().is_some_and(|ending| ending == ROWS);
            path.file_stem().filter(|_| ending).map(|stem| stem.to_string_lossy().into_owned())
        };
        let mut names: Vec<String> = entries.flatten().filter_map(|entry| name(entry.path())).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Files and rows that were noted under a name.
    fn rows_of(&self, dataset: &str) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
        let bytes = read(&self.rows_path(dataset))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let (files, rows): (BTreeSet<String>, BTreeSet<String>) =
            text.lines().map(str::to_owned).partition(|line| line.starts_with(FILE));
        Ok((files.iter().filter_map(|file| file.strip_prefix(FILE)).map(str::to_owned).collect(), rows))
    }

    /// The seed of a private training: 32 of the system's random bytes, made once for each duty, on the disk before they are used.
    ///
    /// # Errors
    /// What the file system says; a file that holds something else.
    pub fn seed(&self, study: &StudyKey, round: u32, duty: &Hash) -> Result<[u8; 32]> {
        let path = self.study(study)?.join(seed_name(round, duty));
        if let Some(bytes) = read(&path)? {
            return match bytes.try_into() {
                Ok(seed) => Ok(seed),
                Err(_) => bail!("{} is damaged: a seed has 32 bytes", path.display()),
            };
        }
        let seed = random()?;
        write_whole(&path, &seed, OWN).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(seed)
    }

    /// Overwrites and removes a study's seeds of rounds before this one.
    ///
    /// # Errors
    /// What the file system says.
    pub fn wipe_seeds(&self, study: &StudyKey, before: u32) -> Result<()> {
        let folder = self.study(study)?;
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?.flatten() {
            let name = entry.file_name();
            let round = name
                .to_string_lossy()
                .strip_prefix("seed-")
                .and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
            if round.is_some_and(|round| round < before) {
                wipe(&entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
            }
        }
        Ok(())
    }

    /// Records or patients that this site's noise is measured by in an agreement: as many as it had at its first private training.
    ///
    /// # Errors
    /// What the file system says; a file that holds something else.
    pub fn units(&self, agreement: &Hash, found: u64) -> Result<u64> {
        let path = self.agreement(agreement)?.join("units");
        if let Some(bytes) = read(&path)? {
            return String::from_utf8_lossy(&bytes)
                .trim()
                .parse()
                .with_context(|| format!("{} is damaged: it must hold a number", path.display()));
        }
        write_whole(&path, format!("{found}\n").as_bytes(), OWN)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(found)
    }
}

fn seed_name(round: u32, duty: &Hash) -> String {
    format!("seed-{round}-{}", hex::encode(duty))
}

/// Overwrites a file with zeros before it is removed.
fn wipe(path: &Path) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(&[0; 32])?;
    file.sync_all()?;
    fs::remove_file(path)
}
