//! Whose page it is, and where it is served.

use crate::{
    institution::folder::SiteSettings,
    plain::seen,
    up::{identity::Own, whole},
};
use anyhow::{Context, Result};
use clap::Args;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What `dashboard` takes.
#[derive(Args)]
pub struct Options {
    /// The institution's folder: its node and its worker are asked
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where the page is served: an address of this machine alone; port 0 is any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// A report's JSON with models to compare with, of `localnet run` or of `consilium report --figures`. Left out: the reports that
    /// this institution's people have written, and report.json beside the folder; of a study those alone that are of it
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

impl Options {
    /// Whose page is asked for.
    ///
    /// # Errors
    /// As [`Site::open`].
    pub fn site(&self) -> Result<Site> {
        Site::open(&self.dir, self.report.as_deref(), self.bin_dir.as_deref())
    }
}

/// Whose page it is, and where everything is.
pub struct Site {
    /// Its folder, from the root.
    pub dir: PathBuf,
    /// The folder as it was given: so it stands in commands.
    pub shown: String,
    /// Its settings.
    pub settings: SiteSettings,
    /// Its account.
    pub id: [u8; 32],
    /// Its name, with what is not seen spelt out.
    pub name: String,
    /// Where a report may be.
    pub report: PathBuf,
    /// Folder of the programs, where it was given.
    pub bin_dir: Option<PathBuf>,
}

impl Site {
    /// An institution's folder. `report`: a report with models to compare with, which otherwise is looked for beside the folder.
    ///
    /// # Errors
    /// It is none of an institution's, or the report is not there.
    pub fn open(dir: &Path, report: Option<&Path>, bin_dir: Option<&Path>) -> Result<Self> {
        let shown = quoted(&dir.display().to_string());
        let dir = whole(dir)?;
        let settings = SiteSettings::read(&dir)?;
        let own = Own::read(&dir)?;
        let beside = dir.parent().unwrap_or_else(|| Path::new(".")).join("report.json");
        if let Some(report) = report {
            std::fs::metadata(report).with_context(|| format!("--report {}", report.display()))?;
        }
        Ok(Self {
            shown,
            settings,
            id: own.account,
            name: seen(&own.name),
            report: report.map_or(beside, Path::to_owned),
            bin_dir: bin_dir.map(Path::to_owned),
            dir,
        })
    }
}

/// A text as a shell takes it for one word.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@%".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
