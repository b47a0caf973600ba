//! Clocks that a test sets: what a program takes for the time since 1970 is the system's, and as much beside it as a file says at the
//! moment. The library faketime does it; the monotonic clock stays as it is, as it does where a machine's clock is set.

use anyhow::{Context, Result};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// Debian's place for the library, in a folder named after the processor.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

/// What a program needs in its environment to go by the clock in this file.
///
/// # Errors
/// The library is not there.
pub fn environment(file: &Path) -> Result<[(&'static str, OsString); 5]> {
    let library = library().context("no libfaketimeMT.so.1 below /usr/lib: scripts/setup.sh tests")?;
    Ok([
        ("LD_PRELOAD", library.into()),
        ("FAKETIME_TIMESTAMP_FILE", file.into()),
        // the file is read again after a second
        ("FAKETIME_CACHE_DURATION", "1".into()),
        // the library's present name of it, and the one before
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("DONT_FAKE_MONOTONIC", "1".into()),
    ])
}
