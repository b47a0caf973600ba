//! What a run of a local network is asked for.

use crate::options::Format;
use clap::Args;
use std::path::PathBuf;

/// What `consilium localnet run` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Study file: model, data schema, training and rules
    #[arg(long, value_name = "FILE")]
    pub study: PathBuf,
    /// A site and its data; give it once for every site. Left out, the sites of the study's embedded data set are used
    #[arg(long = "site", value_name = "NAME=TRAIN.csv[,TEST.csv]")]
    pub sites: Vec<String>,
    /// Folder for model, report, logs and chains; it must not exist yet or be empty. Left out: ./consilium-run-1, or
    /// the next number that is free
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Merge rounds, in place of the study file's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// Updates are masked, also where the study file does not say so: others see their sum alone
    #[arg(long)]
    pub masked: bool,
    /// Of a private study: what all studies together may cost each site's data set. Left out: what this one costs
    #[arg(long, value_name = "EPSILON")]
    pub epsilon: Option<f64>,
    /// Keep the network running after the certificate, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// Seed, in place of the study file's: of initial parameters, and of the embedded data set's partition
    // up to 2^53, as in a study file
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    pub seed: Option<u64>,
    /// The chain's runtime: a compiled one, or a raw chain specification that holds it. Left out: the one that
    /// ships with consilium-node
    #[arg(long, value_name = "FILE")]
    pub runtime: Option<PathBuf>,
    /// JSON-RPC port of the first node. Left out: any free one
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub rpc_port: Option<u16>,
    /// No site trains already while its merge is being attested: rounds take longer, and come to the same
    #[arg(long)]
    pub no_ahead: bool,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
    /// The file that the study begins with, where it names one
    #[arg(long, value_name = "FILE")]
    pub initial: Option<PathBuf>,
    /// What each site allows of the study's own trainer: a file with what sites.toml has under [study.trainer]
    #[arg(long, value_name = "TOML", requires_all = ["initial", "code"])]
    pub trainer: Option<PathBuf>,
    /// The archive of the trainer's code
    #[arg(long, value_name = "TAR", requires = "trainer")]
    pub code: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
