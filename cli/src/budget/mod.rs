//! `consilium budget`: what studies have cost an institution's data sets, and what they may.

mod show;

use anyhow::Result;
use clap::Subcommand;

/// What is done with budgets.
#[derive(Subcommand)]
pub enum Command {
    /// What private studies have cost each data set of this site, by its worker's own ledgers
    Show(show::Show),
}

/// Does it.
///
/// # Errors
/// As each says.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Show(options) => show::run(options),
    }
}
