//! What is asked of a block's state.
//!
//! A node throws the state of a block away as soon as another one of its number is final. Whoever reads at the newest block may meet
//! that between two questions; then the block that stands in its place is asked.

use super::{Block, Chain};
use anyhow::{anyhow, Context, Result};
use codec::Decode;
use consilium_primitives::Hash;
use std::future::Future;
use subxt::{rpcs::Error, utils::H256};

/// How the SDK says that it has a state no more.
const GONE: &str = "State already discarded";

/// Most keys that a node gives at once.
const PAGE: u32 = 1_000;

/// What `ask` gives at a block; where its state is gone, and `instead` names another block, what it gives there.
async fn asked<T, F: Future<Output = Result<T, Error>>>(
    at: Hash,
    ask: impl Fn(H256) -> F,
    instead: impl Future<Output = Result<Hash>>,
) -> Result<T> {
    match ask(at.0.into()).await {
        Err(error) if error.to_string().contains(GONE) => match instead.await {
            Ok(other) if other != at => Ok(ask(other.0.into()).await?),
            _ => Err(error.into()),
        },
        answer => Ok(answer?),
    }
}

impl Chain {
    async fn at<T, F: Future<Output = Result<T, Error>>>(&self, at: Block, ask: impl Fn(H256) -> F) -> Result<T> {
        asked(at.hash, ask, async { Ok(self.block_at(at.number).await?.hash) }).await
    }

    /// What the runtime answers to a call with these arguments.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn state_call(&self, call: &str, arguments: &[u8], at: Block) -> Result<Vec<u8>> {
        self.at(at, |hash| self.legacy.state_call(call, Some(arguments), Some(hash))).await
    }

    /// A value, where there is one.
    ///
    /// # Errors
    /// The node does not answer, keeps the state of that block no longer, or stores something else.
    pub(super) async fn value<T: Decode>(&self, key: Vec<u8>, at: Block) -> Result<Option<T>> {
        let bytes = self.at(at, |hash| self.legacy.state_get_storage(&key, Some(hash))).await?;
        let decoded = bytes.map(|b| T::decode(&mut &b[..])).transpose();
        // the decoder's own account of nested types says nothing to people
        decoded
            .map_err(|_| anyhow!("the chain stores what this program cannot read: are it and the node of one version?"))
    }

    /// The first `most` keys with this beginning.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub(super) async fn keys(&self, prefix: &[u8], most: u32, at: Block) -> Result<Vec<Vec<u8>>> {
        self.at(at, |hash| self.legacy.state_get_keys_paged(prefix, most, None, Some(hash))).await
    }

    /// All keys with this beginning.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub(super) async fn all_keys(&self, prefix: &[u8], at: Block) -> Result<Vec<Vec<u8>>> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        loop {
            let last = all.last().cloned();
            let after = last.as_deref();
            let page = self.at(at, |hash| self.legacy.state_get_keys_paged(prefix, PAGE, after, Some(hash))).await?;
            let more = page.len() == PAGE as usize;
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }

    /// The nodes of the state's trie at a block that prove the values, or the absence, of these keys.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn read_proof(&self, keys: &[Vec<u8>], at: Block) -> Result<Vec<Vec<u8>>> {
        let keys = keys.iter().map(Vec::as_slice);
        // of this very block: a proof of another one proves nothing
        let proof = self
            .legacy
            .state_get_read_proof(keys, Some(at.hash.0.into()))
            .await
            .with_context(|| format!("the node gives no proof of the state of block {}", at.number))?;
        Ok(proof.proof.into_iter().map(|node| node.0).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A node that has thrown away the state of block 1.
    async fn node(hash: H256) -> Result<u8, Error> {
        match hash.0[0] {
            1 => Err(Error::DisconnectedWillReconnect(format!("Client error: UnknownBlock: {GONE} for {hash:?}"))),
            2 => Err(Error::DisconnectedWillReconnect("gone".into())),
            n => Ok(n),
        }
    }

    fn told(at: u8, instead: Result<u8>) -> Result<u8, String> {
        let hash = |n| Hash::from([n; 32]);
        let answer = asked(hash(at), node, async { instead.map(hash) });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(answer).map_err(|error| error.to_string())
    }

    #[test]
    fn where_a_state_is_gone_the_block_in_its_place_is_asked() {
        assert_eq!(told(7, Err(anyhow!("is not asked"))), Ok(7));
        assert_eq!(told(1, Ok(8)), Ok(8));
        // a pruned node's old block has no other in its place
        assert!(told(1, Ok(1)).unwrap_err().contains(GONE));
        assert!(told(1, Err(anyhow!("no block"))).unwrap_err().contains(GONE));
        // other errors stay
        assert!(told(2, Ok(8)).unwrap_err().contains("gone"));
    }
}
