//! The processes of a local network: a node for every institution, on this machine's loopback interface.

use super::{
    keys::{free_ports, random, Account, NodeKey},
    process::{tail, Processes},
};
use crate::chain::Chain;
use anyhow::{bail, Context, Result};
use serde_json::Value;
use std::{
    cell::RefCell,
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long a node may take to answer for the first time.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long the nodes may take to meet and to finalise their first block.
const MEET_PATIENCE: Duration = Duration::from_secs(120);
/// Finds the node's program in a folder, by default that of this program.
///
/// # Errors
/// It is not there.
pub fn find_node(folder: Option<&Path>) -> Result<PathBuf> {
    let folder = match folder {
        Some(folder) => folder.to_path_buf(),
        None => std::env::current_exe()?.parent().context("this program lies in no folder")?.to_path_buf(),
    };
    let node = folder.join("consilium-node");
    if !node.is_file() {
        bail!(
            "{} is missing: build it with `cargo build --release --workspace --bins`, or say with --bin-dir where it is",
            node.display()
        );
    }
    Ok(node)
}

/// One institution's node.
pub struct House {
    /// Its account.
    pub account: Account,
    /// Its folder.
    pub dir: PathBuf,
    node_key: NodeKey,
    rpc_port: u16,
    p2p_port: u16,
}

impl House {
    /// JSON-RPC address of its node.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.rpc_port)
    }

    /// Peer id of its node, in base 58.
    pub fn peer_id(&self) -> String {
        self.node_key.peer_id()
    }

    /// Its node's log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("node.log")
    }

    fn key_file(&self) -> PathBuf {
        self.dir.join("node.key")
    }

    fn base_path(&self) -> PathBuf {
        self.dir.join("node")
    }
}

/// A network on this machine. Dropping it stops it.
pub struct Network {
    /// Its institutions; the first has the address that people are told.
    pub houses: Vec<House>,
    processes: RefCell<Processes>,
    node: PathBuf,
    chain_spec: PathBuf,
}

impl Network {
    /// Makes the folders, keys and chain specification of a network. Nothing is started yet.
    ///
    /// # Errors
    /// A folder cannot be written, or the node cannot make its chain specification.
    pub fn prepare(dir: &Path, node: PathBuf, accounts: Vec<Account>, rpc_port: Option<u16>) -> Result<Self> {
        let mut ports = free_ports(accounts.len() * 2)?.into_iter();
        let mut port = || ports.next().context("no free port on 127.0.0.1");
        let mut houses = Vec::new();
        for account in accounts {
            let house = House {
                dir: dir.join(account.name),
                node_key: NodeKey::fresh()?,
                rpc_port: port()?,
                p2p_port: port()?,
                account,
            };
            fs::create_dir_all(house.base_path())
                .with_context(|| format!("cannot make {}", house.base_path().display()))?;
            write_private(&house.key_file(), &house.node_key.secret())?;
            houses.push(house);
        }
        if let (Some(port), Some(first)) = (rpc_port, houses.first_mut()) {
            first.rpc_port = port;
        }
        let chain_spec = dir.join("chain-spec.json");
        write_chain_spec(&node, &chain_spec)?;
        Ok(Self { houses, processes: RefCell::default(), node, chain_spec })
    }

    /// Starts every institution's node.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start_nodes(&self) -> Result<()> {
        for house in &self.houses {
            let mut arguments = vec![
                "--chain".into(),
                path(&self.chain_spec),
                "--base-path".into(),
                path(&house.base_path()),
                house.account.flag.into(),
                "--node-key-file".into(),
                path(&house.key_file()),
                "--listen-addr".into(),
                format!("/ip4/127.0.0.1/tcp/{}", house.p2p_port),
                "--rpc-port".into(),
                house.rpc_port.to_string(),
                "--no-mdns".into(),
                "--no-telemetry".into(),
                "--no-prometheus".into(),
            ];
            for other in self.houses.iter().filter(|other| other.p2p_port != house.p2p_port) {
                arguments.push("--reserved-nodes".into());
                arguments.push(format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", other.p2p_port, other.peer_id()));
            }
            let name = format!("the node of {}", house.account.name);
            self.processes.borrow_mut().start(name, &self.node, &arguments, house.log())?;
        }
        Ok(())
    }

    /// Connects to every node, first to the one that people are told of.
    ///
    /// # Errors
    /// One does not answer within a minute.
    pub async fn connect(&self) -> Result<Vec<Chain>> {
        let until = Instant::now() + START_PATIENCE;
        let mut chains = Vec::new();
        for house in &self.houses {
            let chain = loop {
                match Chain::connect(&house.url()).await {
                    Ok(chain) => break chain,
                    Err(error) if Instant::now() > until => {
                        return Err(error.context(format!(
                            "the node of {} does not answer; the last lines of its log:\n{}",
                            house.account.name,
                            tail(&house.log())
                        )))
                    }
                    Err(_) => sleep(Duration::from_millis(250)).await,
                }
            };
            let (is, ought) = (chain.local_peer_id().await?, house.peer_id());
            if is != ought {
                bail!("at {} another node answers ({is}) than the one that was started ({ought})", house.url());
            }
            chains.push(chain);
        }
        Ok(chains)
    }

    /// Waits until every node has met all others and a first block is final.
    ///
    /// # Errors
    /// That has not happened after two minutes.
    pub async fn meet(&self, chains: &[Chain]) -> Result<()> {
        let others = self.houses.len().saturating_sub(1);
        let until = Instant::now() + MEET_PATIENCE;
        for (chain, house) in chains.iter().zip(&self.houses) {
            loop {
                let (peers, finalised) = (chain.peers().await?, chain.finalised().await?.number);
                if peers >= others && finalised > 0 {
                    break;
                }
                if Instant::now() > until {
                    bail!(
                        "the node of {} has {peers} of {others} peers and finalised block {finalised} after two \
                         minutes; see {}",
                        house.account.name,
                        house.log().display()
                    );
                }
                sleep(Duration::from_millis(300)).await;
            }
        }
        Ok(())
    }

    /// Registers every node's peer id with its institution.
    ///
    /// # Errors
    /// The chain refused one.
    pub async fn register_peers(&self, chain: &Chain) -> Result<()> {
        let claims = self.houses.iter().map(|house| house.node_key.register(chain, &house.account));
        futures::future::try_join_all(claims).await.map(|_| ())
    }

    /// Waits until a process ends, and tells which.
    ///
    /// # Errors
    /// Always, in the end.
    pub async fn watch(&self) -> Result<()> {
        loop {
            self.processes.borrow_mut().check()?;
            sleep(Duration::from_millis(300)).await;
        }
    }

    /// Ends all processes.
    pub fn stop(&self) {
        self.processes.borrow_mut().stop();
    }
}

/// Writes the local testnet's raw chain specification under a fork id of its own: two networks on one machine have the
/// same genesis, and must not meet.
fn write_chain_spec(node: &Path, to: &Path) -> Result<()> {
    let output = Command::new(node)
        .args(["export-chain-spec", "--chain", "local", "--raw"])
        .output()
        .with_context(|| format!("cannot start {}", node.display()))?;
    if !output.status.success() {
        bail!(
            "{} export-chain-spec failed ({}): {}",
            node.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let mut spec: Value =
        serde_json::from_slice(&output.stdout).context("the node's chain specification is no JSON")?;
    spec["forkId"] = format!("localnet-{}", hex::encode(random::<8>()?)).into();
    fs::write(to, serde_json::to_vec(&spec)?).with_context(|| format!("cannot write {}", to.display()))
}

fn write_private(file: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut f = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
        f.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
