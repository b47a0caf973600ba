//! The processes of a local network: a node and a worker for every institution, on this machine's loopback interface.

use super::{
    founding::{self, NAMES},
    house::House,
    options::Options,
    plan::Plan,
};
use crate::{
    chain::Chain,
    institution::folder::{KEYSTORE, NODE_KEY},
    process::{tail, Processes},
    programs::Programs,
    up::{arguments::CHAIN, ports::check_ports},
};
use anyhow::{bail, ensure, Context, Result};
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::sleep};

/// How long a process may take to answer for the first time.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long the nodes may take to meet and to finalise their first block.
const MEET_PATIENCE: Duration = Duration::from_secs(120);

/// A network on this machine. Dropping it stops it.
pub struct Network {
    /// Its institutions; the first has the address that people are told.
    pub houses: Vec<House>,
    processes: RefCell<Processes>,
    programs: Programs,
    chain: PathBuf,
    wasm: PathBuf,
    /// Whether sites train while their merges are being attested.
    ahead: bool,
}

impl Network {
    /// Founds a network. Nothing is started yet.
    ///
    /// # Errors
    /// It cannot be founded.
    pub async fn found(plan: &Plan, options: &Options) -> Result<Self> {
        let (houses, chain) = founding::found(plan.network(), options.rpc_port).await?;
        Ok(Self {
            houses,
            processes: RefCell::default(),
            programs: plan.programs.clone(),
            chain,
            wasm: founding::wasm_cache(&plan.dir),
            ahead: !options.no_ahead,
        })
    }

    /// A network that an earlier run has founded. Nothing is started yet.
    ///
    /// # Errors
    /// A file that is missing or damaged, or ports that are taken: by the same network, perhaps.
    pub fn of_folder(plan: &Plan, ahead: bool) -> Result<Self> {
        let houses: Result<Vec<House>> = NAMES.into_iter().map(|name| House::read(name, plan.dir.join(name))).collect();
        let houses = houses?;
        for house in &houses {
            check_ports(&house.settings)
                .with_context(|| format!("is the network in {} running still? {}", plan.dir.display(), house.name))?;
        }
        let chain = plan.dir.join(CHAIN);
        ensure!(
            chain.exists(),
            "{} is missing: the run has ended before there was a chain; begin it anew",
            chain.display()
        );
        Ok(Self {
            houses,
            processes: RefCell::default(),
            programs: plan.programs.clone(),
            chain,
            wasm: founding::wasm_cache(&plan.dir),
            ahead,
        })
    }

    /// Starts every institution's node.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start_nodes(&self) -> Result<()> {
        for house in &self.houses {
            let settings = &house.settings;
            let mut arguments = vec![
                "--chain".into(),
                path(&self.chain),
                "--base-path".into(),
                path(&house.dir.join("node")),
                "--keystore-path".into(),
                path(&house.dir.join(KEYSTORE)),
                "--node-key-file".into(),
                path(&house.dir.join(NODE_KEY)),
                "--validator".into(),
                "--worker-url".into(),
                format!("http://127.0.0.1:{}", settings.worker_port),
                "--worker-token-file".into(),
                path(&house.token_file()),
                "--blobs".into(),
                path(&house.blobs()),
                "--experimental-rpc-endpoint".into(),
                house.rpc_endpoint(),
                // one compiled runtime for all
                "--wasm-cache".into(),
                path(&self.wasm),
                "--state-pruning".into(),
                settings.pruning.clone(),
                "--no-mdns".into(),
                "--no-telemetry".into(),
                "--prometheus-port".into(),
                settings.prometheus_port.to_string(),
            ];
            for address in &settings.listen {
                arguments.extend(["--listen-addr".into(), address.clone()]);
            }
            let name = format!("the node of {}", house.name);
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
            let mut arguments = vec![
                "serve".into(),
                "--dir".into(),
                path(&house.worker_dir()),
                "--blobs".into(),
                path(&house.blobs()),
                "--listen".into(),
                format!("127.0.0.1:{}", house.settings.worker_port),
                "--token-file".into(),
                path(&house.token_file()),
                "--sites".into(),
                path(&house.sites_file()),
            ];
            if !self.ahead {
                arguments.push("--no-ahead".into());
            }
            let name = format!("the worker of {}", house.name);
            self.processes.borrow_mut().start(name, &self.programs.worker, &arguments, house.worker_log())?;
        }
        let until = Instant::now() + START_PATIENCE;
        for house in self.houses.iter().take(count) {
            while TcpStream::connect(("127.0.0.1", house.settings.worker_port)).await.is_err() {
                if Instant::now() > until {
                    bail!(
                        "the worker of {} does not listen; the last lines of its log:\n{}",
                        house.name,
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
                            house.name,
                            tail(&house.node_log())
                        )))
                    }
                    Err(_) => sleep(Duration::from_millis(250)).await,
                }
            };
            let (is, ought) = (chain.local_peer_id().await?, &house.peer);
            if is != *ought {
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
                        house.name,
                        house.node_log().display()
                    );
                }
                sleep(Duration::from_millis(300)).await;
            }
        }
        Ok(())
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
