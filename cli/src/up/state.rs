//! `up.json`: what the supervisor of an institution's folder does, for people and programs; and the lock that keeps a second
//! one off the folder.

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// What the supervisor says of itself.
pub const FILE: &str = "up.json";
/// Who holds it supervises the folder.
const LOCK: &str = "up.lock";
/// Whoever only looks holds it for a moment, too.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// What a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is not started yet; `why` says what it waits for.
    Waiting,
    /// It runs.
    Running,
    /// It has ended, and is started again soon.
    Resting,
    /// It has ended for a reason that starting again does not mend.
    Refused,
    /// It was stopped.
    Stopped,
}

/// One of the two programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What it does.
    pub state: State,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// How often it was started again.
    pub restarts: u32,
    /// How it ended last.
    pub last_exit: Option<String>,
    /// What it waits for, or why it is not started again.
    pub why: Option<String>,
}

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Up {
    /// The supervisor's process.
    pub pid: u32,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Genesis hash of the chain.
    pub genesis: String,
    /// The node.
    pub node: Note,
    /// The worker.
    pub worker: Note,
    /// Milliseconds from the node's last start to its first answer; none before that.
    pub answered_after_ms: Option<u64>,
    /// What the chain says of this institution, its node and its keys, as far as it is known.
    pub institution: String,
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl Up {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let (path, new) = (dir.join(FILE), dir.join(".up.json.new"));
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&new)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            fs::rename(&new, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads the file; none where no supervisor ever ran.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => {
                Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

fn lock_file(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    options.with_context(|| format!("cannot open {}", path.display()))
}

/// Keeps other supervisors off a folder for as long as what is returned lives, however this process ends.
///
/// # Errors
/// Another one has it, named with its process.
pub fn lock(dir: &Path) -> Result<File> {
    let mut file = lock_file(dir)?;
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                write!(file, "{}", std::process::id())?;
                return Ok(file);
            }
            Err(fs::TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(fs::TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(dir.join(LOCK)).unwrap_or_default();
                bail!(
                    "{} is up already, by process {}; `consilium up --dir {0} --status` says how it is",
                    dir.display(),
                    pid.trim()
                )
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", dir.display()))
            }
        }
    }
}

/// Whether a supervisor runs on a folder.
///
/// # Errors
/// The lock cannot be looked at.
pub fn is_up(dir: &Path) -> Result<bool> {
    if !dir.join(LOCK).exists() {
        return Ok(false);
    }
    Ok(matches!(lock_file(dir)?.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::{thread, time::Duration};

    #[test]
    fn a_second_supervisor_is_refused_by_the_first_one_s_process() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        assert!(!is_up(dir).unwrap());
        let held = lock(dir).unwrap();
        assert!(is_up(dir).unwrap());
        let error = lock(dir).unwrap_err().to_string();
        assert!(error.contains(&format!("by process {};", std::process::id())), "{error}");
        drop(held);
        // what another test of this program is just starting has its open files until it has become another program
        let soon = |done: &dyn Fn() -> bool| {
            (0..500).any(|_| {
                thread::sleep(Duration::from_millis(10));
                done()
            })
        };
        assert!(soon(&|| !is_up(dir).unwrap()));
        assert!(soon(&|| lock(dir).is_ok()));
    }

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        assert_eq!(Up::read(dir).unwrap(), None);
        let note = |state, why: Option<&str>| Note {
            state,
            pid: Some(7),
            since: 1,
            restarts: 2,
            last_exit: None,
            why: why.map(str::to_owned),
        };
        let up = Up {
            pid: 3,
            since: 1,
            genesis: "0x01".into(),
            node: note(State::Running, None),
            worker: note(State::Refused, Some("why")),
            answered_after_ms: Some(12),
            institution: "as the chain has it".into(),
        };
        up.write(dir).unwrap();
        assert_eq!(Up::read(dir).unwrap(), Some(up));
        fs::write(dir.join(FILE), "{").unwrap();
        assert!(Up::read(dir).unwrap_err().to_string().contains("damaged"));
    }
}
