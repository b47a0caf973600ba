//! A node on this machine, asked for what it tells everybody: light enough to be asked every few seconds, and with a bound on
//! every answer.

use anyhow::{Context, Result};
use codec::Decode;
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use serde_json::Value;
use std::{collections::HashMap, time::Duration};
use subxt::rpcs::{
    client::{rpc_params, RpcParams},
    RpcClient,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Values of a chain's state by key.
pub type Values = HashMap<Vec<u8>, Vec<u8>>;

/// A connection to a node.
pub struct Node(RpcClient);

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Number of its best block.
    pub best: u32,
    /// Number of the newest block that is final.
    pub finalised: u32,
    /// How many members' nodes it is connected to.
    pub peers: u64,
    /// Whether it is catching up.
    pub syncing: bool,
}

/// What the other institutions' clocks say of this machine's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// By how many seconds it is off at least, ahead if positive; none while fewer than two others are known.
    pub offset_seconds: Option<f64>,
    /// How many others are known.
    pub others: u64,
    /// How many seconds those lie apart.
    pub apart_seconds: Option<f64>,
    /// Words for people, where it is wrong.
    pub warning: Option<String>,
}

impl Health {
    /// Whether what its state says is what the chain says.
    pub fn in_step(&self) -> bool {
        !self.syncing && self.peers > 0 && self.finalised > 0
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.trim_start_matches("0x")).ok()
}

fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

impl Node {
    /// Connects, `ws://host:port`.
    ///
    /// # Errors
    /// Nobody answers there.
    pub async fn connect(url: &str) -> Result<Self> {
        let connect = tokio::time::timeout(PATIENCE, RpcClient::from_insecure_url(url));
        let client = connect.await.map_err(|_| anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs()));
        Ok(Self(client.and_then(|client| Ok(client?)).with_context(|| format!("no node answers at {url}"))?))
    }

    async fn ask<T: DeserializeOwned>(&self, method: &str, params: RpcParams) -> Result<T> {
        let answer = tokio::time::timeout(PATIENCE, self.0.request(method, params)).await;
        let answer = answer.with_context(|| format!("{method}: no answer within {} s", PATIENCE.as_secs()))?;
        answer.with_context(|| method.to_owned())
    }

    async fn number(&self, hash: Option<&str>) -> Result<u32> {
        let params = hash.map_or_else(|| rpc_params![], |hash| rpc_params![hash]);
        let header: Value = self.ask("chain_getHeader", params).await?;
        let number =
            header["number"].as_str().and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
        number.context("chain_getHeader: no number")
    }

    /// Hash of the newest block that is final.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn finalised(&self) -> Result<String> {
        self.ask("chain_getFinalizedHead", rpc_params![]).await
    }

    /// How it stands.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn health(&self) -> Result<Health> {
        let health: Value = self.ask("system_health", rpc_params![]).await?;
        Ok(Health {
            best: self.number(None).await?,
            finalised: self.number(Some(&self.finalised().await?)).await?,
            peers: health["peers"].as_u64().unwrap_or_default(),
            syncing: health["isSyncing"] == true,
        })
    }

    /// What it knows of this machine's clock.
    ///
    /// # Errors
    /// The node does not answer, or is of a release that compares no clocks.
    pub async fn clock(&self) -> Result<Clock> {
        self.ask("consilium_clock", rpc_params![]).await
    }

    /// Hash of the best block.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn best(&self) -> Result<String> {
        self.ask("chain_getBlockHash", rpc_params![]).await
    }

    /// Hash of block 0, `0x` and 64 digits.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn genesis(&self) -> Result<String> {
        self.ask("chain_getBlockHash", rpc_params![0]).await
    }

    /// The node's own peer id, in base 58.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn peer(&self) -> Result<String> {
        self.ask("system_localPeerId", rpc_params![]).await
    }

    /// Version of the chain's runtime at the best block.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn spec_version(&self) -> Result<u64> {
        let version: Value = self.ask("state_getRuntimeVersion", rpc_params![]).await?;
        version["specVersion"].as_u64().context("state_getRuntimeVersion: no specVersion")
    }

    /// Addresses at which the node says that it listens.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn listens(&self) -> Result<Vec<String>> {
        self.ask("system_localListenAddresses", rpc_params![]).await
    }

    /// Values of the state at a block; those that are not there are left out.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn values(&self, keys: &[Vec<u8>], at: &str) -> Result<Values> {
        let keys: Vec<String> = keys.iter().map(|key| hex_of(key)).collect();
        let sets: Vec<Value> = self.ask("state_queryStorageAt", rpc_params![keys, at]).await?;
        let pairs = sets.iter().filter_map(|set| set["changes"].as_array()).flatten();
        Ok(pairs.filter_map(|pair| Some((unhex(pair[0].as_str()?)?, unhex(pair[1].as_str()?)?))).collect())
    }

    /// What a call of the runtime gives at a block.
    ///
    /// # Errors
    /// The node does not answer, or its runtime has no such call.
    pub async fn call<T: Decode>(&self, method: &str, at: &str) -> Result<T> {
        let answer: String = self.ask("state_call", rpc_params![method, "0x", at]).await?;
        let bytes = unhex(&answer).with_context(|| format!("{method}: no bytes"))?;
        T::decode(&mut &bytes[..])
            .map_err(|_| anyhow::anyhow!("{method}: cannot be read: are this program and the node of one version?"))
    }
}
