//! The processes of a local network: a node and a worker for every institution, on this machine's loopback interface.

use super::{
    chain_spec,
    keys::{free_ports, Account, NodeKey},
    options::Options,
    plan::Plan,
};
use crate::{
    chain::Chain,
    process::{tail, Processes},
    programs::{random, write_private, Programs},
};
use anyhow::{bail, Context, Result};
use serde_json::Value;
use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long a process may take to answer for the first time.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long the nodes may take to meet and to finalise their first block.
const MEET_PATIENCE: Duration = Duration::from_secs(120);
/// The page that a browser lets ask a node by HTTP. WebSockets, which that page uses, are not bound by it.
pub const PAGE: &str = "https://polkadot.js.org";
/// How long a worker may take to say how it is.
const STATUS_PATIENCE: Duration = Duration::from_millis(700);

/// One institution's two processes.
pub struct House {
    /// Its account.
    pub account: Account,
    /// Its folder.
    pub dir: PathBuf,
    node_key: NodeKey,
    rpc_port: u16,
    p2p_port: u16,
    worker_port: u16,
    token: String,
}

impl House {
    /// JSON-RPC address of its node.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.rpc_port)
    }

    /// Its blob store.
    pub fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    /// Its worker's folder.
    pub fn worker_dir(&self) -> PathBuf {
        self.dir.join("worker")
    }

    /// What its worker may do, and with which data.
    pub fn sites_file(&self) -> PathBuf {
        self.dir.join("sites.toml")
    }

    /// The secret from which its worker's split and randomness follow.
    pub fn secret_file(&self) -> PathBuf {
        self.worker_dir().join("secret")
    }

    /// Its node's log.
    pub fn node_log(&self) -> PathBuf {
        self.dir.join("node.log")
    }

    /// Its worker's log.
    pub fn worker_log(&self) -> PathBuf {
        self.dir.join("worker.log")
    }

    /// Where its node listens for JSON-RPC: one socket of this machine, this port or none. `--rpc-port` would open a
    /// second one for IPv6, and take another port in silence where this one is busy. Calls that give away the worker's
    /// token, which lies in the offchain database, or change keys are not answered to whoever is on this machine.
    fn rpc_endpoint(&self) -> String {
        format!("listen-addr=127.0.0.1:{},retry-random-port=false,methods=safe,cors={PAGE}", self.rpc_port)
    }

    fn token_file(&self) -> PathBuf {
        self.dir.join("token")
    }

    /// Its worker's account of itself; `None` where it does not answer in time.
    pub async fn status(&self) -> Option<Value> {
        let body = timeout(STATUS_PATIENCE, get(self.worker_port, "/v1/status", &self.token)).await.ok()?.ok()?;
        serde_json::from_slice(&body).ok()
    }
}

/// A network on this machine. Dropping it stops it.
pub struct Network {
    /// Its institutions; the first has the address that people are told.
    pub houses: Vec<House>,
    processes: RefCell<Processes>,
    programs: Programs,
    chain_spec: PathBuf,
}

impl Network {
    /// Makes the folders, keys and chain specification of a network. Nothing is started yet.
    ///
    /// # Errors
    /// A folder or file cannot be written, or there are no free ports.
    pub fn prepare(plan: &Plan, accounts: Vec<Account>, options: &Options) -> Result<Self> {
        let (dir, programs) = (&plan.dir, plan.programs.clone());
        let mut ports = free_ports(accounts.len() * 3, options.rpc_port)?.into_iter();
        let mut port = || ports.next().context("no free port on 127.0.0.1");
        let mut houses = Vec::new();
        for account in accounts {
            let house = House {
                dir: dir.join(account.name),
                node_key: NodeKey::fresh()?,
                rpc_port: port()?,
                p2p_port: port()?,
                worker_port: port()?,
                token: hex::encode(random::<32>()?),
                account,
            };
            for folder in [house.blobs(), house.worker_dir(), house.dir.join("node")] {
                fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            }
            write_private(&house.token_file(), &house.token)?;
            write_private(&house.dir.join("node.key"), &house.node_key.secret())?;
            write_private(&house.dir.join("institution.key"), house.account.secret)?;
            houses.push(house);
        }
        if let (Some(port), Some(first)) = (options.rpc_port, houses.first_mut()) {
            first.rpc_port = port;
        }
        let chain_spec = dir.join("chain-spec.json");
        chain_spec::write(&plan.chain_spec, &chain_spec)?;
        Ok(Self { houses, processes: RefCell::default(), programs, chain_spec })
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
                path(&house.dir.join("node")),
                house.account.flag.into(),
                "--node-key-file".into(),
                path(&house.dir.join("node.key")),
                "--worker-url".into(),
                format!("http://127.0.0.1:{}", house.worker_port),
                "--worker-token-file".into(),
                path(&house.token_file()),
                "--blobs".into(),
                path(&house.blobs()),
                "--listen-addr".into(),
                format!("/ip4/127.0.0.1/tcp/{}", house.p2p_port),
                "--experimental-rpc-endpoint".into(),
                house.rpc_endpoint(),
                // one compiled runtime for all
                "--wasm-cache".into(),
                path(&self.chain_spec.with_file_name("wasm")),
                // the report reads the state of old blocks, and people may want to
                "--state-pruning".into(),
                "archive".into(),
                "--no-mdns".into(),
                "--no-telemetry".into(),
                "--no-prometheus".into(),
            ];
            for other in self.houses.iter().filter(|other| other.p2p_port != house.p2p_port) {
                arguments.push("--reserved-nodes".into());
                arguments.push(format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", other.p2p_port, other.node_key.peer_id()));
            }
            let name = format!("the node of {}", house.account.name);
            self.processes.borrow_mut().start(name, &self.programs.node, &arguments, house.node_log())?;
        }
        Ok(())
    }

    /// Starts the workers of the first `count` institutions, and waits until they listen.
    ///
    /// # Errors
    /// One cannot be started, or does not listen within a minute.
    pub async fn start_workers(&self, count: usize) -> Result<()> {
        for house in self.houses.iter().take(count) {
            let arguments = [
                "serve".into(),
                "--dir".into(),
                path(&house.worker_dir()),
                "--blobs".into(),
                path(&house.blobs()),
                "--listen".into(),
                format!("127.0.0.1:{}", house.worker_port),
                "--token-file".into(),
                path(&house.token_file()),
                "--sites".into(),
                path(&house.sites_file()),
            ];
            let name = format!("the worker of {}", house.account.name);
            self.processes.borrow_mut().start(name, &self.programs.worker, &arguments, house.worker_log())?;
        }
        let until = Instant::now() + START_PATIENCE;
        for house in self.houses.iter().take(count) {
            while TcpStream::connect(("127.0.0.1", house.worker_port)).await.is_err() {
                if Instant::now() > until {
                    bail!(
                        "the worker of {} does not listen; the last lines of its log:\n{}",
                        house.account.name,
                        tail(&house.worker_log())
                    );
                }
                sleep(Duration::from_millis(100)).await;
            }
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
                            tail(&house.node_log())
                        )))
                    }
                    Err(_) => sleep(Duration::from_millis(250)).await,
                }
            };
            let (is, ought) = (chain.local_peer_id().await?, house.node_key.peer_id());
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
                        house.node_log().display()
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

    /// How many processes run.
    pub fn size(&self) -> usize {
        self.processes.borrow().len()
    }

    /// Ends all processes.
    pub fn stop(&self) {
        self.processes.borrow_mut().stop();
    }
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// One HTTP request to a worker on this machine: its answer's body.
///
/// # Errors
/// It does not answer, or refuses.
pub async fn get(port: u16, what: &str, token: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // version 1.0: the answer ends with the connection, and comes in one piece
    let request = format!("GET {what} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").context("no HTTP answer")?;
    let head = String::from_utf8_lossy(&answer[..split]);
    if head.split_whitespace().nth(1) != Some("200") {
        bail!("{}", head.lines().next().unwrap_or_default());
    }
    Ok(answer.split_off(split + 4))
}
