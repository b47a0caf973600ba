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
    /// Address of this institution's ml-worker, for instance http://127.0.0.1:8601; needs --blobs too. Without it this
    /// node does no duty of its institution: it follows the chain, makes blocks if it is a validator's, and carries
    /// what --blobs holds.
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

    /// MiB in the blob store and in partial downloads above which the node fetches nothing more.
    #[arg(long, value_name = "MIB", default_value_t = 16384)]
    pub courier_quota_mib: u64,
}

impl Cli {
    /// Whether what is asked for makes sense together.
    ///
    /// # Errors
    /// What does not, for people.
    pub fn check(&self) -> Result<(), String> {
        if self.worker.worker_url.is_some() && self.courier.blobs.is_none() {
            return Err(
                "--worker-url without --blobs: this institution would train and commit, and serve its updates to \
                        nobody; name the blob store that it shares with its ml-worker with --blobs DIR"
                    .into(),
            );
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn a_worker_without_a_blob_store_is_refused_with_the_reason() {
        let check =
            |more: &[&str]| Cli::try_parse_from([&["consilium-node"][..], more].concat()).map(|cli| cli.check());
        let worker = ["--worker-url", "http://127.0.0.1:8601", "--worker-token-file", "token"];
        let refused = check(&worker).expect("it parses");
        assert!(refused.is_err_and(|text| text.contains("--blobs DIR") && text.contains("serve its updates to nobody")));
        assert_eq!(check(&[&worker[..], &["--blobs", "blobs"]].concat()).expect("it parses"), Ok(()));
        assert_eq!(check(&["--blobs", "blobs"]).expect("it parses"), Ok(()));
        assert_eq!(check(&[]).expect("it parses"), Ok(()));
    }
}
