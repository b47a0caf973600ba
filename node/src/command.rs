//! From the command line to what it asks for.

use crate::{
    chain_spec,
    cli::{Cli, Subcommand},
    service, Served,
};
use clap::Parser;
use sc_cli::SubstrateCli;

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Consilium Node".into()
    }

    fn impl_version() -> String {
        env!("SUBSTRATE_CLI_IMPL_VERSION").into()
    }

    fn description() -> String {
        env!("CARGO_PKG_DESCRIPTION").into()
    }

    fn author() -> String {
        "the Consilium authors".into()
    }

    fn support_url() -> String {
        "the README of the project".into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
        Ok(Box::new(chain_spec::load(id)?))
    }
}

/// Does what the command line says. `served` is the identity, but in tests of liars.
///
/// # Errors
/// What went wrong, for people.
pub fn run(served: Served) -> sc_cli::Result<()> {
    let mut cli = Cli::parse();
    match &cli.subcommand {
        Some(Subcommand::Key(cmd)) => cmd.run(&cli),
        Some(Subcommand::ExportChainSpec(cmd)) => {
            let spec = cli.load_spec(&cmd.chain)?;
            cmd.run(spec)
        }
        Some(Subcommand::PurgeChain(cmd)) => {
            let runner = cli.create_runner(cmd)?;
            runner.sync_run(|config| cmd.run(config.database))
        }
        None => {
            cli.check().map_err(sc_cli::Error::Input)?;
            // an institution that only takes part conducts its studies too
            if !std::env::args().any(|arg| arg.starts_with("--offchain-worker")) {
                cli.run.offchain_worker_params.enabled = sc_cli::OffchainWorkerEnabled::Always;
            }
            let runner = cli.create_runner(&cli.run)?;
            let (worker, courier) = (cli.worker.clone(), cli.courier.clone());
            runner.run_node_until_exit(|config| async move {
                service::new_full(config, &worker, &courier, served).map_err(sc_cli::Error::Service)
            })
        }
    }
}
