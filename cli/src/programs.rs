//! The programs of an institution, and files that only its user reads.

use anyhow::{bail, Context, Result};
use std::{
    fs::{self, File},
    io::{Read, Write},
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
    File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)).context("cannot read /dev/urandom")?;
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
    write().with_context(|| format!("cannot write {}", file.display()))
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
