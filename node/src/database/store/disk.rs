//! What the library leaves out on its way to the disk: whether there is room, and that its index files are there with their length.

use parity_db::{Error, Result};
use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::Path,
};

/// What is left free on the disk.
const SPARE: u64 = 64 * 1024 * 1024;

/// Whether so many bytes have room, and some are left. The library writes its tables through memory, where a full disk is no error but
/// the end of the process, without a word.
///
/// # Errors
/// They have none, or nobody can tell.
pub fn room(path: &Path, bytes: u64) -> Result<()> {
    // the database's folder may have to be made yet
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let found = nix::sys::statvfs::statvfs(there).map_err(|error| Error::Io(error.into()))?;
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    let needed = SPARE.saturating_add(bytes);
    if free < needed {
        let text = format!("{} MiB are free on its disk, and it needs {}", free >> 20, needed >> 20);
        return Err(Error::Io(io::Error::new(ErrorKind::StorageFull, text)));
    }
    Ok(())
}

/// Bytes in the log of a database that is closed.
///
/// # Errors
/// Its folder cannot be read.
pub fn logged(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    each(path, "log", |file| {
        bytes += fs::metadata(file)?.len();
        Ok(())
    })?;
    Ok(bytes)
}

/// Brings the index files to the disk. The library does so with their contents alone, not with the length of one that is new.
///
/// # Errors
/// The disk's.
pub fn sync_indexes(path: &Path) -> Result<()> {
    each(path, "index_", |file| File::open(file)?.sync_data())
}

/// Does something with each file of a folder whose name begins so; what is not there (any more) is passed over.
fn each(path: &Path, begins: &str, mut work: impl FnMut(&Path) -> io::Result<()>) -> Result<()> {
    let there = |done: io::Result<()>| match done {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::Io(error)),
        _ => Ok(()),
    };
    let files = match fs::read_dir(path) {
        Ok(files) => files,
        Err(error) => return there(Err(error)),
    };
    for file in files {
        let file = file.map_err(Error::Io)?;
        if file.file_name().to_string_lossy().starts_with(begins) {
            there(work(&file.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_told_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        room(&dir.path().join("not/made/yet"), 0).unwrap();
        let Err(Error::Io(error)) = room(dir.path(), u64::MAX) else { panic!("there is room for all") };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().contains("are free on its disk"), "{error}");
    }

    #[test]
    fn the_log_is_counted_and_the_index_brought_to_the_disk_where_there_is_any() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(logged(&dir.path().join("not made yet")).unwrap(), 0);
        for (name, bytes) in [("log0", 3), ("log1", 4), ("index_01_16", 5)] {
            fs::write(dir.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(logged(dir.path()).unwrap(), 7);
        sync_indexes(dir.path()).unwrap();
    }
}
