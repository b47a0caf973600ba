//! What the programs say, in files that do not grow without bound.

use anyhow::{Context, Result};
use std::{
    fs::{self, File, OpenOptions},
    io::{PipeReader, PipeWriter, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread::JoinHandle,
};

/// Folder of the logs in an institution's folder.
const LOGS: &str = "logs";
/// Bytes of a log, above which it becomes the one of before, `….log.1`, and a new one is begun.
pub const MOST_BYTES: u64 = 16 << 20;

/// Where a program's log lies; makes the folder.
///
/// # Errors
/// The folder cannot be made.
pub fn place(dir: &Path, name: &str) -> Result<PathBuf> {
    let folder = dir.join(LOGS);
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder.join(format!("{name}.log")))
}

/// A log that is written by a thread of its own, which ends when all writers are closed and everything is in the file.
///
/// # Errors
/// There is no pipe or no thread to be had.
pub fn open(path: PathBuf, most: u64) -> Result<(PipeWriter, JoinHandle<()>)> {
    let (reader, writer) = std::io::pipe().context("no pipe for a log")?;
    let thread = std::thread::Builder::new().name("log".into());
    let thread = thread.spawn(move || keep(reader, &path, most)).context("no thread for a log")?;
    Ok((writer, thread))
}

/// Writes until there is nothing more to come. A disk that takes nothing costs the log, and does not stop the program.
fn keep(mut reader: PipeReader, path: &Path, most: u64) {
    let append = || OpenOptions::new().append(true).create(true).mode(0o600).open(path).ok();
    let mut log: Option<File> = append();
    let mut len = log.as_ref().and_then(|log| log.metadata().ok()).map_or(0, |found| found.len());
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        if len > 0 && len.saturating_add(read as u64) > most {
            let mut before = path.as_os_str().to_owned();
            before.push(".1");
            let _ = fs::rename(path, before);
            (log, len) = (append(), 0);
        }
        if log.is_none() {
            log = append();
        }
        if log.as_mut().is_some_and(|log| log.write_all(bytes).is_ok()) {
            len = len.saturating_add(read as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_log_holds_the_last_bytes_in_two_files_and_no_more() {
        let scratch = tempfile::tempdir().unwrap();
        let path = place(scratch.path(), "node").unwrap();
        assert_eq!(path, scratch.path().join("logs/node.log"));
        let read = |name: &str| fs::read_to_string(scratch.path().join("logs").join(name)).unwrap_or_default();
        let wait = |until: &str| {
            let patience = Instant::now() + Duration::from_secs(10);
            while !read("node.log").contains(until) {
                assert!(Instant::now() < patience, "{until} is not in {:?}", read("node.log"));
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        // what an earlier run left counts
        fs::write(&path, "zero\n").unwrap();
        let (mut writer, thread) = open(path, 30).unwrap();
        for line in ["first line\n", "second line\n", "third line\n", "fourth line\n", "fifth line\n", "sixth line\n"] {
            writer.write_all(line.as_bytes()).unwrap();
            wait(line);
        }
        drop(writer);
        thread.join().unwrap();
        assert_eq!(read("node.log"), "fifth line\nsixth line\n");
        assert_eq!(read("node.log.1"), "third line\nfourth line\n");
        assert!(fs::read_dir(scratch.path().join("logs")).unwrap().count() == 2);
    }
}
