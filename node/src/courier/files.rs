//! Files of this institution alone: for its own account to write, its group to read, and nobody else.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Mode of files.
pub const FILE_MODE: u32 = 0o640;
/// Mode of folders.
const FOLDER_MODE: u32 = 0o750;

/// Makes a folder, with those above it, where it is not there.
///
/// # Errors
/// It cannot be made; the text names it.
pub fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(|error| named(path, &error))
}

/// Makes a new file. Whatever lay there before is removed, not followed: in a shared folder it may be another's link.
///
/// # Errors
/// It cannot be made; the text names it.
pub fn create_new(path: &Path) -> io::Result<File> {
    let create = || {
        remove(path)?;
        OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
    };
    create().map_err(|error| named(path, &error))
}

/// Writes a small file so that it is there whole or not at all, also after a power cut.
///
/// # Errors
/// It cannot be written; the text names it.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = create_new(&temporary)?;
    let mut write = || {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| named(path, &error))?;
    // without it a power cut can take the new name back
    path.parent().map_or(Ok(()), sync_folder)
}

/// Writes a file so that it is there whole or not at all while this machine runs. A power cut may leave it cut off or filled
/// with anything: whoever reads it must find that out, and do without it.
///
/// # Errors
/// It cannot be written; the text names it.
pub fn note(path: &Path, content: &[u8]) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = create_new(&next)?;
    let mut write = || {
        file.write_all(content)?;
        fs::rename(&next, path)
    };
    write().map_err(|error| named(path, &error))
}

/// Whether a file is what [`replace`] or [`note`] leaves when it is cut off.
#[must_use]
pub fn is_leftover(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "tmp" || end == "next")
}

/// Removes a file, if it is there.
///
/// # Errors
/// It is there and cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    gone_is_fine(fs::remove_file(path))
}

/// What a file that is not there, or not any more, means in a scan: nothing.
///
/// # Errors
/// Any other error.
pub fn gone_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Brings a folder's entries to the disk.
///
/// # Errors
/// The disk failed; the text names the folder.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| named(path, &error))
}

/// Files of a folder that are named by a hash.
///
/// # Errors
/// The folder cannot be read; the text names it.
pub fn hashed(folder: &Path) -> io::Result<Vec<([u8; 32], PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| named(folder, &error))? {
        let entry = entry?;
        let mut root = [0; 32];
        if hex::decode_to_slice(entry.file_name().as_encoded_bytes(), &mut root).is_ok() {
            found.push((root, entry.path()));
        }
    }
    Ok(found)
}

/// An error of the disk with the file it is about.
#[must_use]
pub fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
