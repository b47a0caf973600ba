//! Where a command's working copies lie.

use consilium_ml_worker::data::purge;
use std::{fs, path::PathBuf};

/// A folder for working copies of tables that are too large for memory, of this process alone; they go when it ends.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("consilium-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.is_dir() {
            let gone = purge(&self.0).map(drop).and_then(|()| fs::remove_dir(&self.0));
            if let Err(error) = gone {
                tracing::warn!("{}: working copies of patients' data were left here: {error}", self.0.display());
            }
        }
    }
}
