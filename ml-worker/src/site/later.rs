//! Files that are not worth a wait: they are brought to the disk a little later, when nobody waits for it.

use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// They are brought there so often.
pub const EVERY: Duration = Duration::from_secs(5);

/// Files that are to be brought to the disk.
#[derive(Clone, Debug, Default)]
pub struct Later(Arc<Mutex<BTreeSet<PathBuf>>>);

impl Later {
    /// One more.
    pub(super) fn add(&self, path: PathBuf) {
        self.0.lock().insert(path);
    }

    /// Brings those that are still there to the disk, with the entries of their folders; gives how many these were.
    ///
    /// # Errors
    /// The first that could not be brought there; the others are all the same.
    pub fn settle(&self) -> io::Result<usize> {
        let files = std::mem::take(&mut *self.0.lock());
        let (mut done, mut problem, mut folders) = (0, Ok(()), BTreeSet::new());
        for path in files {
            match force(&path) {
                Ok(()) => {
                    done += 1;
                    folders.extend(path.parent().map(Path::to_path_buf));
                }
                // needed no more
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => problem = problem.and(Err(error)),
            }
        }
        for folder in folders {
            problem = problem.and(force(&folder));
        }
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
