//! The programs of an institution, and files that only its user reads.

use anyhow::{anyhow, bail, Context, Result};
use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The programs of an institution.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `consilium-node`.
    pub node: PathBuf,
    /// `ml-worker`.
    pub worker: PathBuf,
}

impl Programs {
    /// Finds them in a folder, by default that of this program.
    ///
    /// # Errors
    /// One is not there.
    pub fn find(folder: Option<&Path>) -> Result<Self> {
        let folder = match folder {
            Some(folder) => folder.to_path_buf(),
            None => std::env::current_exe()?.parent().context("this program lies in no folder")?.to_path_buf(),
        };
        let find = |name: &str| {
            let path = folder.join(name);
            if !path.is_file() {
                bail!(
                    "{} is missing: build it with `cargo build --release --workspace --bins`, or say with --bin-dir \
                     where it is",
                    path.display()
                );
            }
            Ok(path)
        };
        Ok(Self { node: find("consilium-node")?, worker: find("ml-worker")? })
    }
}

/// Random bytes from the system.
///
/// # Errors
/// There are none to be had.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

/// Writes a file that is not there yet, with this mode.
///
/// # Errors
/// It is there, or what the file system says.
pub fn write_new(file: &Path, text: &[u8], mode: u32) -> Result<()> {
    let write = || {
        let mut f = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
        f.write_all(text).and_then(|()| f.sync_all())
    };
    write().map_err(|error| {
        let there = error.kind() == std::io::ErrorKind::AlreadyExists;
        let shown = file.display();
        anyhow::Error::from(error).context(if there {
            format!("{shown} is there already, and is not overwritten: remove it first, or name another place")
        } else {
            format!("cannot write {shown}")
        })
    })
}

/// Writes a file that nobody else on this machine can read.
///
/// # Errors
/// What the file system says.
pub fn write_private(file: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut f = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
        f.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// Writes a file that nobody else on this machine can read, in the place of one that is there.
///
/// # Errors
/// What the file system says.
pub fn replace_private(file: &Path, bytes: &[u8]) -> Result<()> {
    let cannot = || format!("cannot write {}", file.display());
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(cannot),
        _ => {}
    }
    write_new(file, bytes, 0o600)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_there_is_not_overwritten_and_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("consilium-node.service");
        write_new(&file, b"one", 0o600).unwrap();
        let said = write_new(&file, b"two", 0o600).unwrap_err().to_string();
        assert!(said.contains("consilium-node.service is there already") && said.contains("remove it"), "{said}");
        assert_eq!(fs::read(&file).unwrap(), b"one");
        let said = write_new(&dir.path().join("no/x"), b"", 0o600).unwrap_err().to_string();
        assert!(said.contains("cannot write"), "{said}");
    }
}
