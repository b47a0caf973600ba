//! `consilium localnet up`: the four institutions of the local testnet, as real processes on this machine.

mod keys;
mod network;
mod process;

use crate::{show, Format};
use anyhow::{bail, Context, Result};
use clap::Args;
use network::Network;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tokio::signal::unix::{signal, SignalKind};

/// What `consilium localnet up` takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Folder for chains and logs; it must not exist yet or be empty
    #[arg(long, value_name = "DIR", default_value = "localnet")]
    pub out: PathBuf,
    /// JSON-RPC port of the first node. Left out: any free one
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub rpc_port: Option<u16>,
    /// Folder of `consilium-node`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
    /// How addresses are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Runs a network until it is told to stop.
///
/// # Errors
/// Anything that stood in the way, or a node that has ended. Nothing is left running then.
pub async fn up(options: Options) -> Result<()> {
    // listening from the start: a signal in the middle of a start must leave time to clean up
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let node = network::find_node(options.bin_dir.as_deref())?;
    if let Some(port) = options.rpc_port {
        keys::check_free(port)?;
    }
    let dir = prepare_folder(&options.out)?;
    let network = Network::prepare(&dir, node, keys::accounts().into(), options.rpc_port)?;
    let outcome = tokio::select! {
        outcome = bring_up(&network, &dir, options.format) => outcome,
        died = network.watch() => died,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    network.stop();
    outcome.with_context(|| format!("the network is stopped; its logs are in {}", dir.display()))
}

/// Starts everything, says where it is, and waits for ever.
async fn bring_up(network: &Network, dir: &Path, format: Format) -> Result<()> {
    network.start_nodes()?;
    eprintln!("four nodes run; they are looking for each other");
    let chains = network.connect().await?;
    network.meet(&chains).await?;
    let chain = chains.first().context("a network without nodes")?;
    network.register_peers(chain).await?;
    if format == Format::Json {
        let nodes: Vec<_> = network
            .houses
            .iter()
            .map(|h| json!({ "name": h.account.name, "url": h.url(), "peer_id": h.peer_id(), "log": h.log() }))
            .collect();
        show::print_json(&json!({ "genesis": hex::encode(chain.genesis()), "dir": dir, "nodes": nodes }))?;
    } else {
        for house in &network.houses {
            println!("{} · {} · {}", house.account.name, house.url(), house.log().display());
        }
        if let Some(first) = network.houses.first() {
            println!("look around: https://polkadot.js.org/apps/?rpc={}", first.url());
        }
    }
    eprintln!("the network is up; Ctrl-C stops it");
    std::future::pending().await
}

/// Makes the folder of a network, and gives its absolute path.
fn prepare_folder(dir: &Path) -> Result<PathBuf> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty: name a new folder with --out, or empty this one", dir.display());
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    dir.canonicalize().with_context(|| format!("cannot read {}", dir.display()))
}
