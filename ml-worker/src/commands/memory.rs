//! How much memory a table may take at a desk, and where it goes if it is larger.

use clap::Args;
use consilium_ml_worker::data::Reading;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Memory {
    /// Where a working copy of a table may lie that is too large for memory; left out, such a table is refused (`check`
    /// makes one among temporary files, and removes it)
    #[arg(long, value_name = "DIR")]
    working_copies: Option<PathBuf>,
    /// Mebibytes of values to keep in memory; left out, half of what is available
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,
}

impl Memory {
    /// Where no folder is named, working copies lie in this one.
    pub fn reading_in(&self, folder: &Path) -> Reading {
        let how = self.reading();
        Reading { folder: how.folder.or_else(|| Some(folder.to_owned())), ..how }
    }

    pub fn reading(&self) -> Reading {
        let mut how = Reading { folder: self.working_copies.clone(), ..Reading::default() };
        if let Some(mebibytes) = self.memory {
            how.allowance = mebibytes.saturating_mul(1 << 20);
        }
        how
    }
}
