//! The command line.

use std::path::PathBuf;

/// The node of one institution in a swarm-learning consortium.
#[derive(Debug, clap::Parser)]
pub struct Cli {
    /// What to do; without a command, run the node.
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,

    /// Everything a node takes.
    #[clap(flatten)]
    pub run: sc_cli::RunCmd,

    /// This institution's worker.
    #[clap(flatten)]
    pub worker: WorkerParams,
}

/// This institution's worker process.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkerParams {
    /// Address of this institution's ml-worker, for instance http://127.0.0.1:8601. Without it the node only follows
    /// the chain: no duty of this institution is done.
    #[arg(long, value_name = "URL", requires = "worker_token_file")]
    pub worker_url: Option<String>,

    /// File with the token that the ml-worker wants, one line.
    #[arg(long, value_name = "FILE", requires = "worker_url")]
    pub worker_token_file: Option<PathBuf>,
}

/// Commands.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Make, insert and show keys.
    #[command(subcommand)]
    Key(sc_cli::KeySubcommand),

    /// Print a chain's specification.
    ExportChainSpec(sc_cli::ExportChainSpecCmd),

    /// Delete a chain's database.
    PurgeChain(sc_cli::PurgeChainCmd),
}
