//! The chain as an outside client sees it: storage read as raw bytes and decoded into the shared types, calls sent as
//! signed transactions.
//!
//! Storage keys are computed here rather than from the node's metadata, so that one connection can read any block with
//! one request per value. They follow the pallets' hashers (`Twox64Concat` for every map read here).
//!
//! * [`budgets`]: what data sets may cost, and what studies have charged to them;
//! * [`calls`]: what a runtime can be asked to do;
//! * [`consortium`]: what the chain knows of its institutions and of what they decide;
//! * [`pulse`]: whether the chain moves; [`finality`]: its next final block;
//! * [`send`]: calls, and what came of them;
//! * [`state`]: what is asked of a block's state.

pub mod budgets;
pub mod calls;
pub mod consortium;
mod finality;
mod made;
pub mod pulse;
pub mod send;
mod state;

use crate::audit::history::Postings;
use anyhow::{bail, Context, Result};
use codec::{Decode, Encode};
use consilium_primitives::{
    round::{Kind, RoundRecord, Study},
    Hash, InstitutionId, InstitutionNotice, Member, PostStep, StudyId, StudyRules,
};
use sp_crypto_hashing::{blake2_256, twox_128, twox_64};
use std::{path::Path, sync::Arc};
use subxt::{
    backend::LegacyBackend,
    config::{substrate::SubstrateConfig, Header, RpcConfigFor},
    rpcs::{client::rpc_params, LegacyRpcMethods, RpcClient},
    OnlineClient,
};

/// Pallet of the studies, as the runtime names it.
pub const SWARM: &str = "SwarmLearning";

/// A study as the chain keeps it; the layout of `pallet_swarm_learning::StudyInfo`.
#[derive(Clone, Debug, Encode, Decode)]
pub struct StudyInfo {
    /// Hash of the agreement: genesis, proposer, rules and spec.
    pub agreement: Hash,
    /// BLAKE2b-256 of the spec's bytes.
    pub spec_hash: Hash,
    /// Block of its registration.
    pub registered_at: u32,
    /// Where it stands.
    pub state: Study,
}

/// A block, by hash and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Hash of its header.
    pub hash: Hash,
    /// Number.
    pub number: u32,
}

/// The header of a block of this chain.
pub type BlockHeader = sp_runtime::generic::Header<u32, sp_runtime::traits::BlakeTwo256>;

/// A connection to one node.
pub struct Chain {
    rpc: RpcClient,
    legacy: LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>,
    api: OnlineClient<SubstrateConfig>,
    genesis: Hash,
    /// What a command that is shown to people needs at its end to look at the same node.
    look: String,
}

impl Chain {
    /// Connects to a node's JSON-RPC server, `ws://host:port`.
    ///
    /// # Errors
    /// Nobody answers there, or what answers is no Substrate node.
    pub async fn connect(url: &str) -> Result<Self> {
        if !["ws://", "wss://"].iter().any(|begins| url.starts_with(begins)) {
            bail!("--url {url}: begins with ws://, as in ws://127.0.0.1:9944");
        }
        let context = || {
            format!(
                "no node answers at {url}: start it (`consilium up --dir FOLDER`), or name another one's folder with --dir, or its \
                 address with --url"
            )
        };
        let rpc = RpcClient::from_insecure_url(url).await.with_context(context)?;
        let backend = LegacyBackend::builder().build(rpc.clone());
        let api: OnlineClient<SubstrateConfig> =
            OnlineClient::from_backend(Arc::new(backend)).await.with_context(context)?;
        let genesis = Hash::from(api.genesis_hash().0);
        let look = " --dir FOLDER".into();
        Ok(Self { legacy: LegacyRpcMethods::new(rpc.clone()), rpc, api, genesis, look })
    }

    /// The same connection, as that to the node of an institution's folder, which messages then name.
    #[must_use]
    pub fn of_folder(self, dir: Option<&Path>) -> Self {
        match dir {
            Some(dir) => Self { look: format!(" --dir {}", dir.display()), ..self },
            None => self,
        }
    }

    /// What people must know before they read on, where the chain stands; nothing where it moves, or the node does not tell.
    pub async fn stands(&self) -> Option<String> {
        self.pulse().await.ok()?.stands(&self.look)
    }

    /// Hash of block 0.
    pub fn genesis(&self) -> Hash {
        self.genesis
    }

    /// The best block.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn best(&self) -> Result<Block> {
        let hash = self.legacy.chain_get_block_hash(None).await?.context("the node knows no best block")?;
        self.block(hash).await
    }

    /// The newest finalised block.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn finalised(&self) -> Result<Block> {
        let hash = self.legacy.chain_get_finalized_head().await?;
        self.block(hash).await
    }

    async fn block(&self, hash: subxt::utils::H256) -> Result<Block> {
        let header =
            self.legacy.chain_get_header(Some(hash)).await?.context("the node knows a hash without its block")?;
        Ok(Block { hash: Hash::from(hash.0), number: u32::try_from(header.number())? })
    }

    /// The block of this number on the node's best chain.
    ///
    /// # Errors
    /// There is none yet, or the node does not answer.
    pub async fn block_at(&self, number: u32) -> Result<Block> {
        let hash = self
            .legacy
            .chain_get_block_hash(Some(number.into()))
            .await?
            .with_context(|| format!("there is no block {number}"))?;
        Ok(Block { hash: Hash::from(hash.0), number })
    }

    /// How many peers the node is connected to.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn peers(&self) -> Result<usize> {
        Ok(self.legacy.system_health().await?.peers)
    }

    /// The node's own peer id, in base 58.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn local_peer_id(&self) -> Result<String> {
        Ok(self.rpc.request("system_localPeerId", rpc_params![]).await?)
    }

    /// The header of a block.
    ///
    /// # Errors
    /// The node does not answer, or gives the header of another block.
    pub async fn header(&self, at: Block) -> Result<BlockHeader> {
        let params = rpc_params![subxt::utils::H256::from(at.hash.0)];
        let header: Option<BlockHeader> = self.rpc.request("chain_getHeader", params).await?;
        let header = header.with_context(|| format!("the node has no header of block {}", at.number))?;
        if header.hash() != at.hash {
            bail!("the node gives a header for block {} that has another hash than the block", at.number);
        }
        Ok(header)
    }

    /// All institutions, sorted by id.
    ///
    /// # Errors
    /// The node does not answer, or its runtime has no such call.
    pub async fn institutions(&self, at: Block) -> Result<Vec<InstitutionNotice>> {
        let bytes = self
            .state_call("SwarmApi_institutions", &[], at)
            .await
            .context("this chain has no list of institutions: is it a Consilium chain?")?;
        Ok(Decode::decode(&mut &bytes[..])?)
    }

    /// The members, with their nodes' addresses.
    ///
    /// # Errors
    /// The node does not answer, or its runtime has no such call.
    pub async fn members(&self, at: Block) -> Result<Vec<Member<[u8; 32]>>> {
        let call = self.state_call("ConsortiumApi_members", &[], at).await;
        let bytes = call
            .context("this chain keeps no addresses of its members' nodes: is its runtime older than this program?")?;
        Ok(Decode::decode(&mut &bytes[..])?)
    }

    /// How many studies were ever registered.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn study_count(&self, at: Block) -> Result<StudyId> {
        Ok(self.value(entry("NextStudy"), at).await?.unwrap_or_default())
    }

    /// One study, if there is one of this number.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn study(&self, study: StudyId, at: Block) -> Result<Option<StudyInfo>> {
        self.value(map("Studies", &[study.encode()]), at).await
    }

    /// Whether the chain still lists a study for its files.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn listed(&self, study: StudyId, info: &StudyInfo, at: Block) -> Result<bool> {
        let ended: Vec<StudyId> = self.value(entry("Ended"), at).await?.unwrap_or_default();
        Ok(listed(study, info, &ended))
    }

    /// The bytes of a study's spec.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn spec(&self, study: StudyId, at: Block) -> Result<Option<Vec<u8>>> {
        self.value(map("Specs", &[study.encode()]), at).await
    }

    /// The record of one closed round.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn record(&self, study: StudyId, kind: Kind, round: u32, at: Block) -> Result<Option<RoundRecord>> {
        self.value(map("History", &[study.encode(), (kind, round).encode()]), at).await
    }

    /// Losses that sites reported for the merge of a round, micro-units.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn losses(&self, study: StudyId, round: u32, at: Block) -> Result<Vec<(InstitutionId, u32)>> {
        Ok(self.value(map("Losses", &[study.encode(), round.encode()]), at).await?.unwrap_or_default())
    }

    /// What institutions posted for the masked sums of a study, as far as it is still kept.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn postings(&self, study: StudyId, state: &Study, at: Block) -> Result<Postings> {
        let mut postings = Postings::new();
        for (round, pairing) in self.kept_pairings(study, state, at).await? {
            for (step, who) in posted(state) {
                if let Some(bytes) = self.value(posting(study, (round, pairing, step, who)), at).await? {
                    postings.insert((round, pairing, step, who), bytes);
                }
            }
        }
        Ok(postings)
    }

    /// Pairings of a study, by round and number, of which there are postings; none without masks.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn kept_pairings(&self, study: StudyId, state: &Study, at: Block) -> Result<Vec<(u32, u32)>> {
        if state.rules.masked.is_none() {
            return Ok(Vec::new());
        }
        Ok(self.value(map("Kept", &[study.encode()]), at).await?.unwrap_or_default())
    }

    /// How many steps a study has made.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn steps(&self, study: StudyId, at: Block) -> Result<u64> {
        Ok(self.value(map("Steps", &[study.encode()]), at).await?.unwrap_or_default())
    }

    /// The time of a block, in milliseconds since 1970.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn time(&self, number: u32) -> Result<u64> {
        let at = self.block_at(number).await?;
        Ok(self.value([twox_128(b"Timestamp"), twox_128(b"Now")].concat(), at).await?.unwrap_or_default())
    }

    /// Milliseconds from one block to the next.
    ///
    /// # Errors
    /// The node does not answer, or its chain does not use Aura.
    pub async fn block_ms(&self) -> Result<u32> {
        let bytes = self
            .legacy
            .state_call("AuraApi_slot_duration", None, None)
            .await
            .context("this chain does not say how long its slots are: is it a Consilium chain?")?;
        Ok(u32::try_from(u64::decode(&mut &bytes[..])?)?)
    }

    /// The Aura slot of a block.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn slot(&self, at: Block) -> Result<Option<u64>> {
        self.value([twox_128(b"Aura"), twox_128(b"CurrentSlot")].concat(), at).await
    }
}

/// Whether the chain lists a study for its files: it runs, or is among those that ended last.
pub fn listed(study: StudyId, info: &StudyInfo, ended: &[StudyId]) -> bool {
    !info.state.ended() || ended.contains(&study)
}

/// Storage key of a value of the studies' pallet.
pub fn entry(name: &str) -> Vec<u8> {
    [twox_128(SWARM.as_bytes()), twox_128(name.as_bytes())].concat()
}

/// Storage key of an entry of one of the pallet's maps; `keys` in SCALE.
pub fn map(name: &str, keys: &[Vec<u8>]) -> Vec<u8> {
    let mut key = entry(name);
    for part in keys {
        key.extend_from_slice(&twox_64(part));
        key.extend_from_slice(part);
    }
    key
}

/// What each member of a study may have posted in one pairing.
pub fn posted(state: &Study) -> impl Iterator<Item = (PostStep, InstitutionId)> + '_ {
    let steps = [PostStep::Keys, PostStep::Deal, PostStep::Reveal];
    steps.into_iter().flat_map(move |step| state.members.iter().map(move |member| (step, member.id)))
}

/// Storage key of what an institution posted for a masked sum: round, pairing, step, institution.
pub fn posting(study: StudyId, which: (u32, u32, PostStep, InstitutionId)) -> Vec<u8> {
    map("Postings", &[study.encode(), which.encode()])
}

/// What everybody signs at enrolment: `blake2_256(SCALE(genesis, proposer, rules) ‖ spec)`.
pub fn agreement_hash(genesis: Hash, proposer: &InstitutionId, rules: &StudyRules, spec: &[u8]) -> Hash {
    let mut bytes = (genesis, proposer, rules).encode();
    bytes.extend_from_slice(spec);
    Hash::from(blake2_256(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_keys_are_those_of_the_pallet() {
        assert_eq!(entry("NextStudy").len(), 32);
        let key = map("Studies", &[7u32.encode()]);
        assert_eq!(key.len(), 32 + 8 + 4);
        assert_eq!(&key[40..], &[7, 0, 0, 0]);
        // a well-known prefix of every Substrate chain
        assert_eq!(hex::encode(twox_128(b"System")), "26aa394eea5630e07c48ae0c9558cef7");
    }
}
