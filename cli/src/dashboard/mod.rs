//! `consilium dashboard`: one page on this institution's own machine that shows what its node and its worker know.
//!
//! * [`serve`]: the page and its live state over HTTP, on this machine alone; [`assets`]: the page's files, which are built in;
//! * [`state`]: the document that the browser gets; [`document`]: what of it has changed;
//! * [`base`]: what does not depend on the study that is looked at; [`study`], [`rounds`], [`arms`]: one study;
//! * [`egress`]: what left this building; [`advice`]: what to do now.
//!
//! It only reads. Whatever changes something is a command that is shown and typed by people.

mod advice;
mod arms;
mod assets;
pub mod base;
mod document;
pub mod egress;
mod rounds;
mod serve;
pub mod state;
pub mod study;
#[cfg(test)]
mod tests;

use crate::{
    institution::folder::SiteSettings,
    localnet::Signals,
    plain::seen,
    programs::random,
    up::{identity::Own, whole},
};
use anyhow::{ensure, Context, Result};
use clap::Args;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::net::TcpListener;

/// What `dashboard` takes.
#[derive(Args)]
#[command(after_help = "Example:\n  consilium dashboard --dir alder --listen 127.0.0.1:8800")]
pub struct Options {
    /// The institution's folder: its node and its worker are asked
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where the page is served: an address of this machine alone; port 0 is any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A report of `localnet run`, with models to compare with. Left out: report.json beside the folder, where it is of that study
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
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
    /// An institution's folder. `report`: a report of `localnet run`, which otherwise is looked for beside the folder.
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
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@%".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Serves the page until told to stop.
///
/// # Errors
/// The folder is none of an institution's, or the address cannot be listened at.
pub async fn run(options: Options) -> Result<()> {
    let site = Arc::new(Site::open(&options.dir, options.report.as_deref(), options.bin_dir.as_deref())?);
    let at = options.listen;
    ensure!(
        at.ip().is_loopback(),
        "--listen {at}: other machines could reach this address, and the page is not encrypted: give one of this machine alone, such as \
         127.0.0.1:8800, and look at it from another machine by `ssh -L {port}:127.0.0.1:{port}`",
        port = if at.port() == 0 { 8800 } else { at.port() }
    );
    let listener = TcpListener::bind(at).await.with_context(|| {
        format!("--listen {at}: cannot listen there; is another page served there? Give another port, or 0 for any")
    })?;
    let at = listener.local_addr()?;
    let token = hex::encode(random::<16>()?);
    let mut signals = Signals::listen()?;
    out!("{}: http://{at}/{token}/", site.name);
    out!("  for people at this machine alone: whoever has this address reads what {} knows; Ctrl-C ends it", site.name);
    tokio::select! {
        ended = serve::serve(listener, site, token) => ended,
        () = signals.any() => Ok(()),
    }
}
