//! Files that are not worth a wait: they are brought to the disk a little later, when nobody waits for it.

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// They are brought there so often.
pub const EVERY: Duration = Duration::from_secs(5);

/// Files that are to be brought to the disk, each with how often it was named: it stays until it has been there since it was named
/// last.
#[derive(Clone, Debug, Default)]
pub struct Later(Arc<Mutex<BTreeMap<PathBuf, u64>>>);

impl Later {
    /// One more.
    pub(super) fn add(&self, path: PathBuf) {
        *self.0.lock().entry(path).or_default() += 1;
    }

    /// Whether a file is still to be brought there.
    pub(super) fn awaits(&self, path: &Path) -> bool {
        self.0.lock().contains_key(path)
    }

    /// Brings those that are still there to the disk, with the entries of their folders; gives how many these were.
    ///
    /// # Errors
    /// The first that could not be brought there; the others are all the same.
    pub fn settle(&self) -> io::Result<usize> {
        let files = self.0.lock().clone();
        let (mut done, mut problem, mut folders, mut failed) = (0, Ok(()), BTreeSet::new(), BTreeSet::new());
        for path in files.keys() {
            match force(path) {
                Ok(()) => {
                    done += 1;
                    folders.extend(path.parent().map(Path::to_path_buf));
                }
                // needed no more
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    problem = problem.and(Err(error));
                    failed.insert(path);
                }
            }
        }
        for folder in folders {
            problem = problem.and(force(&folder));
        }
        self.0
            .lock()
            .retain(|path, named| failed.contains(path) || files.get(path).is_none_or(|before| before != named));
        problem.map(|()| done)
    }
}

/// Brings a file, or a folder's entries, to the disk.
///
/// # Errors
/// What the file system says.
pub(super) fn force(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}
