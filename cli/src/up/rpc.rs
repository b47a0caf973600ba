//! A node on this machine, asked for what it tells everybody: light enough to be asked every few seconds, and with a bound on
//! every answer.

use anyhow::{Context, Result};
use codec::Decode;
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use serde_json::Value;
use sp_crypto_hashing::twox_128;
use std::{collections::HashMap, time::Duration};
use subxt::rpcs::{
    client::{rpc_params, RpcParams},
    RpcClient,
};

/// Finality stands where the newest final block is further behind than this, in blocks and in milliseconds.
const BEHIND: u32 = 10;
const BEHIND_MS: u64 = 10_000;
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
    /// How many milliseconds lie between the newest final block and the best one, by the chain's own time: no clock of this
    /// machine's is in it.
    pub unsettled_ms: u64,
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
    /// Whether what its state says is what the chain says, also where nothing becomes final.
    pub fn follows(&self) -> bool {
        !self.syncing && self.peers > 0 && self.finalised > 0
    }

    /// Whether it follows the chain, and blocks become final.
    pub fn in_step(&self) -> bool {
        self.amiss().is_none()
    }

    /// For how many seconds nothing has become final, where that is too long.
    pub fn stands(&self) -> Option<u64> {
        let behind = self.best.saturating_sub(self.finalised) > BEHIND && self.unsettled_ms >= BEHIND_MS;
        behind.then_some(self.unsettled_ms / 1_000)
    }

    /// Why it is not in step, where it is not.
    pub fn amiss(&self) -> Option<String> {
        Some(match self {
            Self { syncing: true, .. } => "catching up".into(),
            Self { peers: 0, .. } => "no other institution's node is connected: theirs are down, or a firewall is between".into(),
            Self { finalised: 0, .. } => "nothing is final yet: more than two thirds of the validators must run".into(),
            _ => format!(
                "nothing has become final for {} s: a validator is away, or a clock is wrong (compare clocks, timedatectl)",
                self.stands()?
            ),
        })
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

    async fn number(&self, hash: &str) -> Result<u32> {
        let header: Value = self.ask("chain_getHeader", rpc_params![hash]).await?;
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
        let (last, best) = (self.finalised().await?, self.best().await?);
        let numbers = (self.number(&last).await?, self.number(&best).await?);
        // block 0 has no time
        let unsettled_ms = match (self.time(&best).await?, self.time(&last).await?) {
            (Some(best), Some(last)) => best.saturating_sub(last),
            _ => 0,
        };
        Ok(Health {
            best: numbers.1,
            finalised: numbers.0,
            peers: health["peers"].as_u64().unwrap_or_default(),
            syncing: health["isSyncing"] == true,
            unsettled_ms,
        })
    }

    /// The chain's time at a block, in milliseconds since 1970; none at block 0.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn time(&self, at: &str) -> Result<Option<u64>> {
        let key = [twox_128(b"Timestamp"), twox_128(b"Now")].concat();
        let values = self.values(std::slice::from_ref(&key), at).await?;
        let time = values.get(&key).map(|time| u64::decode(&mut &time[..]).context("the chain's time cannot be read"));
        time.transpose()
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

    /// Version of the node's program.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn version(&self) -> Result<String> {
        self.ask("system_version", rpc_params![]).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_on_which_nothing_becomes_final_is_not_in_step() {
        let health = Health { best: 824, finalised: 811, peers: 1, syncing: false, unsettled_ms: 40_400 };
        let said = health.amiss().unwrap_or_default();
        assert!(!health.in_step() && said.contains("final for 40 s") && said.contains("timedatectl"), "{said}");
        // a few blocks, or some more of them within seconds, are no reason
        for (finalised, unsettled_ms) in [(814, 40_400), (811, 9_900), (822, 1_000)] {
            assert!(Health { finalised, unsettled_ms, ..health }.in_step(), "{finalised} {unsettled_ms}");
        }
        for (wrong, words) in [
            (Health { peers: 0, ..health }, "no other institution's node"),
            (Health { finalised: 0, ..health }, "nothing is final yet"),
            (Health { syncing: true, ..health }, "catching up"),
        ] {
            assert!(wrong.amiss().unwrap_or_default().contains(words), "{wrong:?}");
        }
    }
}
