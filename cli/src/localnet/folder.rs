//! The folder of a run.

use anyhow::{bail, Context, Result};
use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// First part of the name of a run's folder, where none is given.
const FOLDER: &str = "consilium-run";

/// The folder of a run: others on this machine cannot look into it, unless it was there before.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    made: bool,
}

impl Folder {
    /// Makes the folder that was asked for, or takes it if it is there and empty. Left out: the first of
    /// `consilium-run-1`, `consilium-run-2` and so on that is not there yet.
    pub fn make(wanted: Option<&Path>) -> Result<Self> {
        let cannot = |path: &Path| format!("cannot make {}", path.display());
        let (path, made) = match wanted {
            Some(path) => {
                if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                    fs::create_dir_all(parent).with_context(|| cannot(parent))?;
                }
                match DirBuilder::new().mode(0o700).create(path) {
                    Ok(()) => (path.to_path_buf(), true),
                    Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {
                        Self::check_empty(path)?;
                        (path.to_path_buf(), false)
                    }
                    Err(error) => return Err(error).with_context(|| cannot(path)),
                }
            }
            None => (Self::next(Path::new(""))?, true),
        };
        let path = path.canonicalize().with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, made })
    }

    /// One that an earlier run has made.
    pub fn there(path: PathBuf) -> Self {
        Self { path, made: false }
    }

    /// Whether a folder that is there already can be taken.
    ///
    /// # Errors
    /// It holds something, or cannot be read.
    pub fn check_empty(path: &Path) -> Result<()> {
        let mut entries = fs::read_dir(path).with_context(|| format!("cannot use the folder {}", path.display()))?;
        if entries.next().is_some() {
            bail!("{} is not empty: name a new folder with --out, or empty this one", path.display());
        }
        Ok(())
    }

    /// Makes the first of `consilium-run-1`, `consilium-run-2` and so on that is not there yet.
    fn next(parent: &Path) -> Result<PathBuf> {
        let mut number = 1u32;
        loop {
            let path = parent.join(format!("{FOLDER}-{number}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(path),
                // another run may take a number between a look and a try: only the try tells
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => {
                    let shown = path.display();
                    return Err(error).with_context(|| format!("cannot make {shown}; name another folder with --out"));
                }
            }
        }
    }

    /// Takes these parts away, and the folder itself if it was made for them.
    pub fn remove(&self, parts: &[&str]) {
        // best effort: what stood in the way is what people must hear of
        for part in parts.iter().map(|part| self.path.join(part)) {
            let _ = if part.is_dir() { fs::remove_dir_all(&part) } else { fs::remove_file(&part) };
        }
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_was_made_is_ones_own_and_goes_when_the_plan_fails() {
        let scratch = tempfile::tempdir().unwrap();
        let wanted = scratch.path().join("deep/out");
        let folder = Folder::make(Some(&wanted)).unwrap();
        assert_eq!(fs::metadata(&wanted).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(wanted.join("data")).unwrap();
        fs::write(wanted.join("data/north.secret"), "s").unwrap();
        folder.remove(&["data"]);
        assert!(!wanted.exists());
    }

    #[test]
    fn without_a_name_a_folder_gets_the_first_number_that_is_free() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("consilium-run-1"), "a file counts too").unwrap();
        for number in [2, 3] {
            let folder = Folder::next(scratch.path()).unwrap();
            assert_eq!(folder, scratch.path().join(format!("consilium-run-{number}")));
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
        assert!(Folder::next(Path::new("/nonexistent")).unwrap_err().to_string().contains("--out"));
    }

    #[test]
    fn an_empty_folder_is_taken_as_it_is_and_stays() {
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let folder = Folder::make(Some(scratch.path())).unwrap();
        assert_eq!(fs::metadata(scratch.path()).unwrap().permissions().mode() & 0o777, 0o750);
        folder.remove(&["data"]);
        assert!(scratch.path().exists());
    }

    #[test]
    fn a_folder_with_something_in_it_and_a_file_are_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("precious");
        fs::write(&file, "data").unwrap();
        assert!(Folder::make(Some(scratch.path())).unwrap_err().to_string().contains("is not empty"));
        assert!(format!("{:#}", Folder::make(Some(&file)).unwrap_err()).contains("precious"));
    }
}
