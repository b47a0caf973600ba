//! What `consilium localnet resume` takes, and the run that it takes up again.

use super::{network::Network, plan::Plan, record::Record};
use crate::{options::Format, programs::Programs};
use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;

/// What `consilium localnet resume` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The folder of a run that has ended before its study, or was kept and stopped
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Keep the network running after the certificate, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The run of a folder, with nothing started.
///
/// # Errors
/// It holds none that can be taken up again, or its network is running still.
pub fn open(options: &Options) -> Result<(Plan, Network)> {
    let dir = options.dir.canonicalize().with_context(|| format!("cannot open {}", options.dir.display()))?;
    let record = Record::read(&dir)?;
    let ahead = record.ahead;
    let plan = record.plan(Programs::find(options.bin_dir.as_deref())?)?;
    let network = Network::of_folder(&plan, ahead)?;
    Ok((plan, network))
}
