//! Files that are not worth a wait: they are brought to the disk a little later, when nobody waits for it.

use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// They are brought there so often.
pub const EVERY: Duration = Duration::from_secs(5);

/// Files of a folder that are to be brought to the disk, each with how often it was named: it stays until it has been there since it
/// was named last.
#[derive(Clone, Debug)]
pub struct Later {
    folder: PathBuf,
    files: Arc<Mutex<BTreeMap<PathBuf, u64>>>,
}

impl Later {
    /// Those of this folder and of folders in it.
    pub(super) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), files: Arc::default() }
    }

    /// One more.
    pub(super) fn add(&self, path: PathBuf) {
        *self.files.lock().entry(path).or_default() += 1;
    }

    /// Whether a file is still to be brought there.
    pub(super) fn awaits(&self, path: &Path) -> bool {
        self.files.lock().contains_key(path)
    }

    /// Brings those that are still there to the disk, with their names; gives how many these were. One call does so for the whole
    /// file system: by themselves, small files would take a wait each, and each folder one more.
    ///
    /// # Errors
    /// What the file system says; then all stay.
    pub fn settle(&self) -> io::Result<usize> {
        let files = self.files.lock().clone();
        // those that are gone were needed no more
        let there = files.keys().filter(|path| path.exists()).count();
        if there > 0 {
            nix::unistd::syncfs(fs::File::open(&self.folder)?)?;
        }
        self.files.lock().retain(|path, named| files.get(path).is_none_or(|before| before != named));
        Ok(there)
    }
}

/// Brings a file, or a folder's entries, to the disk.
///
/// # Errors
/// What the file system says.
pub(super) fn force(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}
