//! `consilium budget`: what studies have cost an institution's data sets, and what they may.

mod audit;
mod change;
mod show;

use anyhow::Result;
use clap::Subcommand;
use std::process::ExitCode;

/// What is done with budgets.
#[derive(Subcommand)]
pub enum Command {
    /// What private studies have cost each data set of this site, by its worker's own ledgers
    Show(show::Show),
    /// Whether each budget on the chain holds exactly what all studies have charged to it; exit code 2 where one does not
    Audit(audit::Audit),
    /// Say on the chain what all studies together may cost a data set
    Declare(change::Declare),
    /// Let it cost more, from seven days on: until then people can object
    Raise(change::Limit),
    /// Let it cost less, at once
    Lower(change::Limit),
}

/// Does it.
///
/// # Errors
/// As each says.
pub async fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Audit(options) => return audit::run(options).await,
        Command::Show(options) => show::run(options).await,
        Command::Declare(options) => change::declare(options).await,
        Command::Raise(options) => change::limit(change::Way::Raise, options).await,
        Command::Lower(options) => change::limit(change::Way::Lower, options).await,
    }?;
    Ok(ExitCode::SUCCESS)
}
