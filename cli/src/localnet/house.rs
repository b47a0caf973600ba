//! One institution of a local network.

use crate::{
    institution::folder::{SiteSettings, CARD, INSTITUTION_KEY, SITES, TOKEN},
    key,
};
use anyhow::{bail, Context, Result};
use consilium_founding::Card;
use consilium_primitives::InstitutionId;
use serde_json::Value;
use std::{fs, path::PathBuf, time::Duration};
use subxt_signer::sr25519::Keypair;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The page that a browser lets ask a node by HTTP. WebSockets, which that page uses, are not bound by it.
pub const PAGE: &str = "https://polkadot.js.org";
/// How long a worker may take to say how it is.
const STATUS_PATIENCE: Duration = Duration::from_millis(700);

/// One institution's two processes.
pub struct House {
    /// Its name on the chain.
    pub name: &'static str,
    /// The key that signs for its people.
    pub signer: Keypair,
    /// Its folder.
    pub dir: PathBuf,
    /// Its node's peer id.
    pub peer: String,
    /// What it is started with.
    pub settings: SiteSettings,
}

impl House {
    /// One that an earlier run has made, by its folder.
    ///
    /// # Errors
    /// A file of it that is missing or damaged.
    pub fn read(name: &'static str, dir: PathBuf) -> Result<Self> {
        let card = dir.join(CARD);
        let bytes = fs::read(&card).with_context(|| format!("cannot read {}", card.display()))?;
        let (said, _) = Card::read(&bytes).with_context(|| card.display().to_string())?;
        let signer = key::read(&dir.join(INSTITUTION_KEY))?;
        Ok(Self { name, signer, peer: said.peer, settings: SiteSettings::read(&dir)?, dir })
    }

    /// Its id on the chain.
    pub fn id(&self) -> InstitutionId {
        InstitutionId(self.signer.public_key().0)
    }

    /// JSON-RPC address of its node.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.settings.rpc_port)
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
        self.dir.join(SITES)
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
    pub fn rpc_endpoint(&self) -> String {
        format!("listen-addr=127.0.0.1:{},retry-random-port=false,methods=safe,cors={PAGE}", self.settings.rpc_port)
    }

    /// What its node and worker know each other by.
    pub fn token_file(&self) -> PathBuf {
        self.dir.join(TOKEN)
    }

    /// Its worker's account of itself; `None` where it does not answer in time.
    pub async fn status(&self) -> Option<Value> {
        let token = fs::read_to_string(self.token_file()).ok()?;
        let body = timeout(STATUS_PATIENCE, get(self.settings.worker_port, "/v1/status", &token)).await.ok()?.ok()?;
        serde_json::from_slice(&body).ok()
    }
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
