//! What the chain knows of its institutions, and of what they decide.

use super::{Block, Chain};
use anyhow::{Context, Result};
use codec::{Decode, Encode};
use consilium_primitives::Hash;
use pallet_consortium::{Founding, Institution, Motion as AnyMotion, Open as AnyOpen, Thresholds};
use sp_core::crypto::AccountId32;
use sp_crypto_hashing::{blake2_128, twox_128, twox_64};
use std::collections::{BTreeMap, BTreeSet};
use subxt::rpcs::client::rpc_params;

/// The pallet of the institutions, as the runtime names it.
pub const CONSORTIUM: &str = "Consortium";
/// Most entries of a map that are read; the chain has at most 64 institutions, each with three motions.
const MOST: u32 = 1_000;

/// What can be decided.
pub type Motion = AnyMotion<AccountId32, Hash>;
/// A motion that is voted on.
pub type Open = AnyOpen<AccountId32, Hash>;

/// The consortium at a block.
#[derive(Clone, Debug)]
pub struct Consortium {
    /// The block.
    pub at: Block,
    /// Milliseconds from one block to the next.
    pub block_ms: u32,
    /// Institutions by account.
    pub institutions: BTreeMap<AccountId32, Institution>,
    /// Whose nodes make and finalise blocks now.
    pub validators: Vec<AccountId32>,
    /// How many voices decide what.
    pub thresholds: Thresholds,
    /// What was agreed at founding.
    pub founding: Founding,
    /// Motions that are voted on, by number.
    pub motions: BTreeMap<u32, Open>,
    /// Number of the next motion.
    pub next_motion: u32,
    /// The runtime that was decided, and the block from which on it can be applied.
    pub pending: Option<(Hash, u32)>,
    /// The runtime that can be applied now.
    pub authorised: Option<Hash>,
    /// Who was removed lately, and in which block.
    pub removed: Vec<(AccountId32, u32)>,
    /// Names of some that are institutions no more, as [`Chain::recall`] found them.
    pub departed: BTreeMap<AccountId32, String>,
}

impl Chain {
    /// The consortium at a block.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn consortium(&self, at: Block) -> Result<Consortium> {
        let own = |name: &str| item(CONSORTIUM, name);
        Ok(Consortium {
            at,
            block_ms: self.block_ms().await?,
            institutions: self.entries(own("Institutions"), 16, at).await?,
            validators: self.value(item("Session", "Validators"), at).await?.unwrap_or_default(),
            thresholds: self.value(own("Thresholds"), at).await?.unwrap_or_default(),
            founding: self.value(own("Founding"), at).await?.unwrap_or_default(),
            motions: self.entries(own("Motions"), 8, at).await?,
            next_motion: self.next_motion(at).await?,
            pending: self.value(own("PendingUpgrade"), at).await?,
            authorised: self.authorised(at).await?,
            removed: self.value(own("Removed"), at).await?.unwrap_or_default(),
            departed: BTreeMap::new(),
        })
    }

    /// Finds the names of those that are institutions no more, in the state of a block in which they were. Where the node keeps
    /// that state no longer, they stay what they are, accounts.
    pub async fn recall(&self, here: &mut Consortium, whom: impl IntoIterator<Item = AccountId32>, number: u32) {
        let unknown = |who: &AccountId32| !here.institutions.contains_key(who) && !here.departed.contains_key(who);
        let whom: BTreeSet<AccountId32> = whom.into_iter().filter(unknown).collect();
        if whom.is_empty() {
            return;
        }
        let Ok(at) = self.block_at(number).await else { return };
        for who in whom {
            let key = who.encode();
            let key = [&item(CONSORTIUM, "Institutions")[..], &blake2_128(&key), &key].concat();
            if let Ok(Some(institution)) = self.value::<Institution>(key, at).await {
                here.departed.insert(who, String::from_utf8_lossy(&institution.name).into_owned());
            }
        }
    }

    /// Number of the next motion.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn next_motion(&self, at: Block) -> Result<u32> {
        Ok(self.value(item(CONSORTIUM, "NextMotion"), at).await?.unwrap_or_default())
    }

    /// A motion, if it is open at a block.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn motion(&self, number: u32, at: Block) -> Result<Option<Open>> {
        let key = number.encode();
        self.value([&item(CONSORTIUM, "Motions")[..], &twox_64(&key), &key].concat(), at).await
    }

    /// Hash of the runtime that can be applied now.
    async fn authorised(&self, at: Block) -> Result<Option<Hash>> {
        // the hash, and whether versions are checked
        let found: Option<(Hash, bool)> = self.value(item("System", "AuthorizedUpgrade"), at).await?;
        Ok(found.map(|(hash, _)| hash))
    }

    /// The institution that another account signs for; the account itself where there is none.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn signs_for(&self, signer: AccountId32, at: Block) -> Result<AccountId32> {
        let key = signer.encode();
        let key = [&item(CONSORTIUM, "Signers")[..], &blake2_128(&key), &key].concat();
        Ok(self.value(key, at).await?.unwrap_or(signer))
    }

    /// The session keys that an institution has registered last: 32 bytes each for blocks, finality and votes.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn registered_keys(&self, who: &AccountId32, at: Block) -> Result<Option<[u8; 96]>> {
        let key = who.encode();
        self.value([&item("Session", "NextKeys")[..], &twox_64(&key), &key].concat(), at).await
    }

    /// Whether blocks are made with this key, and finalised with that one.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn in_sets(&self, aura: &[u8; 32], grandpa: &[u8; 32], at: Block) -> Result<(bool, bool)> {
        let makers: Vec<[u8; 32]> = self.value(item("Aura", "Authorities"), at).await?.unwrap_or_default();
        Ok((makers.contains(aura), self.finalisers(at).await?.contains(grandpa)))
    }

    /// Keys of those who vote on finality, in the order of the validators.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn finalisers(&self, at: Block) -> Result<Vec<[u8; 32]>> {
        let bytes = self.state_call("GrandpaApi_grandpa_authorities", &[], at).await?;
        let all: Vec<([u8; 32], u64)> = Decode::decode(&mut &bytes[..]).context("the list of voters")?;
        Ok(all.into_iter().map(|(key, _)| key).collect())
    }

    /// Number of the set of those who vote on finality, as the chain counts.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn set_id(&self, at: Block) -> Result<u64> {
        let bytes = self.state_call("GrandpaApi_current_set_id", &[], at).await?;
        u64::decode(&mut &bytes[..]).context("the number of the set of voters")
    }

    /// The same, as the node counts, at its last final block.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn voters_set_id(&self) -> Result<u64> {
        let state: serde_json::Value = self.rpc.request("grandpa_roundState", rpc_params![]).await?;
        state["setId"].as_u64().context("the node does not say which set of voters it counts")
    }

    /// For how many slots each active validator has made no block while the chain was awake.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn silences(&self, at: Block) -> Result<BTreeMap<AccountId32, u64>> {
        let (_, awake): (u64, u64) = self.value(item(CONSORTIUM, "Awake"), at).await?.unwrap_or_default();
        let heard: Vec<(AccountId32, u64)> = self.value(item(CONSORTIUM, "Heard"), at).await?.unwrap_or_default();
        Ok(heard.into_iter().map(|(who, at)| (who, awake.saturating_sub(at))).collect())
    }

    /// All entries of a map whose keys follow a hash of so many bytes.
    async fn entries<K: Decode + Ord, V: Decode>(
        &self,
        prefix: Vec<u8>,
        hash: usize,
        at: Block,
    ) -> Result<BTreeMap<K, V>> {
        let keys = self.keys(&prefix, MOST, at).await?;
        let mut entries = BTreeMap::new();
        for key in keys {
            let mut name = key.get(prefix.len() + hash..).context("the chain has a key that is too short")?;
            if let Some(value) = self.value(key.clone(), at).await? {
                entries.insert(K::decode(&mut name).context("the chain has a key that cannot be read")?, value);
            }
        }
        Ok(entries)
    }
}

/// Storage key of a value, or first bytes of a map's.
fn item(pallet: &str, name: &str) -> Vec<u8> {
    [twox_128(pallet.as_bytes()), twox_128(name.as_bytes())].concat()
}
