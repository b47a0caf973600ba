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

    /// The carrying of blobs between institutions.
    #[clap(flatten)]
    pub courier: CourierParams,
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

/// The carrying of blobs between institutions.
#[derive(Clone, Debug, clap::Args)]
pub struct CourierParams {
    /// Folder of the blob store, shared with this institution's ml-worker. Without it the node neither fetches nor
    /// serves model updates.
    #[arg(long, value_name = "DIR")]
    pub blobs: Option<PathBuf>,

    /// MiB in the blob store above which the node fetches nothing more.
    #[arg(long, value_name = "MIB", default_value_t = 16384)]
    pub courier_quota_mib: u64,
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
