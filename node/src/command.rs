//! From the command line to what it asks for.

use crate::{
    chain_spec,
    cli::{Cli, Key, Subcommand},
    database,
    recovery::Recoveries,
    secrets, service, wasm_cache, Faults,
};
use clap::{CommandFactory, FromArgMatches};
use consilium_founding::EXIT_CONFIGURATION;
use consilium_program::Version;
use nix::sys::stat::{umask, Mode};
use sc_cli::SubstrateCli;
use sc_service::{ChainType, Error as ServiceError};
use std::{process::ExitCode, sync::OnceLock, time::Duration};

/// Which build this is, for [`SubstrateCli`], which asks without an object. Set once, by [`run`].
static VERSION: OnceLock<Version> = OnceLock::new();

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Consilium Node".into()
    }

    fn impl_version() -> String {
        VERSION.get().map_or_else(|| env!("CARGO_PKG_VERSION").into(), Version::word)
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

/// Bytes of the state's trie that a node keeps in memory. What no block holds any more stays in it until it is full, and the database's
/// files lie in the system's memory anyway.
const TRIE_CACHE: usize = 1024 * 1024;
/// For so long a transaction that was refused is not looked at again, unless `--tx-ban-seconds` says otherwise.
const TX_BAN_SECONDS: u64 = 10;

/// The whole command line, as this build describes itself.
fn command_line(version: Version) -> clap::Command {
    crate::examples::with(Cli::command()).version(version.to_string())
}

/// Does what the command line says, and gives the program's exit code: 78 for what starting again does not mend. `faults` are none
/// but in tests.
pub fn run(version: Version, faults: Faults) -> ExitCode {
    VERSION.get_or_init(|| version);
    let parsed = command_line(version).try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let failed = error.use_stderr();
            // nothing can be done for who cannot be told
            let _ = error.print();
            return if failed { ExitCode::from(EXIT_CONFIGURATION) } else { ExitCode::SUCCESS };
        }
    };
    if cli.subcommand.is_some() {
        end_when_nobody_reads();
    }
    match act(cli, version, faults) {
        Ok(code) => code,
        Err(sc_cli::Error::Input(text)) => {
            eprintln!("error: {text}");
            ExitCode::from(EXIT_CONFIGURATION)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Exit code of a command whose reader has gone away: what a shell says of one that SIGPIPE has ended.
const NOBODY_READS: i32 = 141;

/// A command whose reader has gone away (`… | head -1`) ends without a word, the SDK's own among them, which print by `println!`:
/// that panics then, with this text of the standard library's.
fn end_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let said = info.payload_as_str().unwrap_or_default();
        if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
            std::process::exit(NOBODY_READS);
        }
        usual(info);
    }));
}

/// For commands that make something: `found --check` has an exit code for a difference, and 1 says that nothing was compared.
fn failed(text: &str) -> ExitCode {
    eprintln!("error: {text}");
    ExitCode::FAILURE
}

fn act(mut cli: Cli, version: Version, faults: Faults) -> sc_cli::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match &cli.subcommand {
        Some(Subcommand::MakeKeys(cmd)) => {
            umask(Mode::S_IRWXG | Mode::S_IRWXO);
            Ok(cmd.run().map_or_else(|error| failed(&error), done))
        }
        Some(Subcommand::Found(cmd)) => Ok(cmd.run().unwrap_or_else(|error| failed(&error))),
        Some(Subcommand::InspectRuntime(cmd)) => Ok(cmd.run().map_or_else(|error| failed(&error), done)),
        Some(Subcommand::InspectChain(cmd)) => Ok(cmd.run().map_or_else(|error| failed(&error), done)),
        Some(Subcommand::Key(cmd)) => {
            umask(Mode::S_IRWXG | Mode::S_IRWXO);
            match cmd {
                Key::GenerateNodeKey(cmd) => cmd.run().map_err(sc_cli::Error::Input),
                Key::Generate(cmd) => cmd.run(),
                Key::Inspect(cmd) => cmd.run(),
                Key::InspectNodeKey(cmd) => cmd.run(),
                Key::Insert(cmd) => cmd.run(&cli),
            }
            .map(done)
        }
        Some(Subcommand::Manuals(cmd)) => {
            let made = cmd.write(command_line(version)).map_err(|error| format!("cannot write manuals: {error}"));
            Ok(made.map_or_else(|error| failed(&error), done))
        }
        Some(Subcommand::ExportChainSpec(cmd)) => {
            let spec = cli.load_spec(&cmd.chain)?;
            cmd.run(spec).map(done)
        }
        Some(Subcommand::PurgeChain(cmd)) => {
            let runner = cli.create_runner(cmd)?;
            runner.sync_run(|config| cmd.run(config.database)).map(done)
        }
        None => {
            // the database holds the worker's token: its files are the owner's and its group's, as that is
            umask(Mode::S_IWGRP | Mode::S_IRWXO);
            cli.check().and_then(|()| cli.close_rpc()).map_err(sc_cli::Error::Input)?;
            // an institution that only takes part conducts its studies too
            if !std::env::args().any(|arg| arg.starts_with("--offchain-worker")) {
                cli.run.offchain_worker_params.enabled = sc_cli::OffchainWorkerEnabled::Always;
            }
            // nodes of the state's trie that no block holds any more stay in this cache until it is full
            if !std::env::args().any(|arg| arg.starts_with("--trie-cache-size")) {
                cli.run.import_params.trie_cache_size = TRIE_CACHE;
            }
            // a vote may be refused in one block and be right in a later one
            cli.run.pool_config.tx_ban_seconds.get_or_insert(TX_BAN_SECONDS);
            let runner = cli.create_runner(&cli.run)?;
            let (worker, courier) = (cli.worker.clone(), cli.courier.clone());
            let password = cli.run.keystore_params.password_filename.clone();
            let words =
                cli.run.network_params.node_key_params.node_key.is_some() || cli.run.keystore_params.password.is_some();
            let methods = if cli.unsafe_rpc() { "unsafe methods too, as asked for" } else { "safe methods only" };
            runner
                .run_node_until_exit(|config| async move {
                    log::info!("RPC: {methods}");
                    if words && config.chain_spec.chain_type() == ChainType::Live {
                        let text =
                        "--node-key, --password: whoever is on this machine sees them in the list of processes; use \
                                --node-key-file and --password-filename";
                        return Err(sc_cli::Error::Input(text.into()));
                    }
                    let base = config.base_path.path().to_owned();
                    let closed = secrets::check(&config, worker.worker_token_file.as_deref(), password.as_deref());
                    closed.and_then(|()| secrets::shut(&base)).map_err(sc_cli::Error::Input)?;
                    let cache = cli.wasm_cache(&base).map(|dir| wasm_cache::open(&dir)).transpose();
                    let cache = cache.map_err(sc_cli::Error::Input)?;
                    let recoveries = Recoveries::read(&cli.recovery).map_err(sc_cli::Error::Input)?;
                    let gossip = cli.finality_gossip_ms.map(|ms| Duration::from_millis(ms.into()));
                    let own = service::Own { cache, recoveries, faults, gossip };
                    let started = service::new_full(config, &worker, &courier, own);
                    started.map_err(|error| match error {
                        // what starting again does not mend
                        ServiceError::Application(error) => sc_cli::Error::Input(error.to_string()),
                        error => database::explained(error, &base),
                    })
                })
                .map(done)
        }
    }
}
