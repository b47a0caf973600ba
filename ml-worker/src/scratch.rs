//! A folder among temporary files for what a process needs of patients' data for a while.

use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// A folder that this process has made, under a name that nobody can know beforehand, and that only its user can look into. It
/// goes with all that is in it when this is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> Result<Self> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
        let path = std::env::temp_dir().join(format!("consilium-{}", hex::encode(name)));
        // not `recursive`: what somebody else has put there is an error
        fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!("{}: patients' data were left here: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_its_users_alone_has_a_name_of_its_own_and_goes_with_what_is_in_it() {
        let (one, two) = (Scratch::new().unwrap(), Scratch::new().unwrap());
        assert_ne!(one.path(), two.path());
        assert_eq!(fs::metadata(one.path()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(one.path().join("in")).unwrap();
        fs::write(one.path().join("in/rows.csv"), "1").unwrap();
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && two.path().exists());
    }
}
