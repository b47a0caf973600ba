//! Calls, signed and sent, and what came of them.

use super::{Block, Chain, SWARM};
use anyhow::{anyhow, bail, Context, Result};
use codec::Decode;
use consilium_primitives::{Hash, Vote};
use std::{future::Future, time::Duration};
use subxt::{
    client::{OnlineClientAtBlock, OnlineClientAtBlockT},
    config::{substrate::SubstrateConfig, DefaultExtrinsicParamsBuilder, Header},
    error::{DispatchError, TransactionEventsError},
    events::Events,
    ext::scale_encode::{EncodeAsFields, Error as EncodeError, FieldIter, TypeResolver},
    metadata::ArcMetadata,
    tx::{DynamicPayload, TransactionInBlock, TransactionProgress, TransactionStatus},
    utils::AccountId32,
};
use subxt_signer::sr25519::Keypair;
use tokio::time::Instant;

/// Blocks after which an unused transaction of this client is void.
const MORTALITY: u64 = 256;
/// Blocks after which a block of the best chain is taken for one that stays.
const SETTLED: u32 = 4;
/// How long a call may take to get into a block.
const PATIENCE: Duration = Duration::from_secs(120);
/// A call that another one with its number stands in the way of is made anew after so long.
const AGAIN: Duration = Duration::from_millis(500);
/// After so long, people are told what is waited for.
const SILENCE: Duration = Duration::from_secs(3);

/// An event of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// The pallet, as the runtime names it.
    pub pallet: String,
    /// Its name.
    pub name: String,
    /// Its fields in SCALE.
    pub fields: Vec<u8>,
    /// Why a motion that was decided could not be done, where it is that.
    pub why: Option<String>,
}

/// Where a call was included, and what it did.
#[derive(Clone, Debug)]
pub struct Included {
    /// The block.
    pub block: Block,
    /// What happened by the call.
    pub events: Vec<Happened>,
}

impl Chain {
    /// Sends a signed call, and waits until it is in the best chain and has succeeded.
    ///
    /// # Errors
    /// The chain refused it, by the name of its error; or it was lost.
    pub async fn submit(&self, signer: &Keypair, pallet: &str, call: &str, arguments: Vec<u8>) -> Result<()> {
        self.send(signer, pallet, call, arguments).await.map(|_| ())
    }

    /// Sends a signed call, waits until it is in the best chain and has succeeded, and tells what happened by it.
    ///
    /// # Errors
    /// The chain refused it, by the name of its error; it was lost, or no block has it after two minutes.
    pub async fn send(&self, signer: &Keypair, pallet: &str, call: &str, arguments: Vec<u8>) -> Result<Included> {
        let what = format!("{pallet}.{call}");
        let account = AccountId32(signer.public_key().0);
        let payload = DynamicPayload::new(pallet, call, Arguments(arguments));
        let until = Instant::now() + PATIENCE;
        let (at, mut progress) = loop {
            let nonce = self.legacy.system_account_next_index(&account).await.with_context(|| what.clone())?;
            let params = DefaultExtrinsicParamsBuilder::new().nonce(nonce).mortal(MORTALITY).build();
            let at = self.of_one_runtime().await.with_context(|| what.clone())?;
            let sent = at.transactions().sign_and_submit_then_watch(&payload, signer, params).await;
            match sent.map_err(anyhow::Error::from) {
                Ok(progress) => break (at, progress),
                // a call of before whose block was taken back waits in the pool with this number
                Err(error) if is_numbered_twice(&error) && Instant::now() < until => {
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(not_taken(error, &what)),
            }
        };
        let (held, events) = loop {
            let held = self.patiently(included(&mut progress, &what), &what, until).await?;
            match held.wait_for_success().await {
                Ok(events) => break (held, events),
                Err(TransactionEventsError::ExtrinsicFailed(error)) => {
                    bail!("the chain refused {what}: {}", told(&error))
                }
                // the state of a block that was overtaken may be gone, and the call comes into another one
                Err(_) if self.overtaken(held.block_hash()).await? => {}
                Err(error) => return Err(error).with_context(|| format!("{what}: what came of it cannot be read")),
            }
        };
        let metadata = at.metadata();
        let mut happened = Vec::new();
        for event in events.iter() {
            let event = event.with_context(|| format!("{what}: an event cannot be read"))?;
            let (pallet, name) = (event.pallet_name(), event.event_name());
            happened.push(an_event(pallet, name, event.field_bytes(), &metadata));
        }
        Ok(Included { block: self.block(held.block_hash()).await?, events: happened })
    }

    /// A block that is some blocks old, once its runtime is that of the best block: what is signed names the runtime's version,
    /// and a new one would refuse the old one's. Not the newest final block: people must be able to decide what is to be done
    /// while nothing becomes final, and what is signed at an old block is not valid for long.
    async fn of_one_runtime(&self) -> Result<OnlineClientAtBlock<SubstrateConfig>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let best = self.best().await?;
            let settled = best.number.saturating_sub(SETTLED).max(self.finalised().await?.number.min(best.number));
            let hash = self.legacy.chain_get_block_hash(Some(settled.into())).await?;
            let at = self.api.at_block(hash.context("the node does not know a block of its own best chain")?).await?;
            let (_, version) = self.runtime(best).await?;
            if at.spec_version() == version {
                return Ok(at);
            }
            if Instant::now() > until {
                bail!(
                    "the chain has a new runtime, version {version}, whose first blocks are not followed by more after {} s: calls can be \
                     signed once it is",
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Sends a call that nobody signs, and waits until it is in the best chain. What it did is not read: it may have replaced
    /// the runtime.
    ///
    /// # Errors
    /// The node does not take it, it was lost, or no block has it after two minutes.
    pub async fn send_unsigned(&self, pallet: &str, call: &str, arguments: Vec<u8>) -> Result<Block> {
        let what = format!("{pallet}.{call}");
        let payload = DynamicPayload::new(pallet, call, Arguments(arguments));
        let at = self.api.at_current_block().await.with_context(|| what.clone())?;
        let made = at.transactions().create_unsigned(&payload).with_context(|| what.clone())?;
        let mut sent = made.submit_and_watch().await.with_context(|| what.clone())?;
        let until = Instant::now() + PATIENCE;
        let held = self.patiently(included(&mut sent, &what), &what, until).await?;
        self.block(held.block_hash()).await
    }

    /// Whether a block is no longer on the node's best chain.
    async fn overtaken(&self, hash: subxt::utils::H256) -> Result<bool> {
        let Some(header) = self.legacy.chain_get_header(Some(hash)).await? else { return Ok(true) };
        let number = u32::try_from(header.number())?;
        Ok(self.legacy.chain_get_block_hash(Some(number.into())).await? != Some(hash))
    }

    /// Waits for a block, and says on standard error for what and for whom where that takes long.
    async fn patiently<T>(&self, held: impl Future<Output = Result<T>>, what: &str, until: Instant) -> Result<T> {
        tokio::pin!(held);
        tokio::select! {
            held = &mut held => return held,
            () = tokio::time::sleep(SILENCE) => {}
        }
        if let Some(words) = self.waits().await {
            eprintln!("waiting for a block that has it: {words}");
        }
        match tokio::time::timeout_at(until, held).await {
            Ok(held) => held,
            Err(_) => bail!(
                "{what}: no block has it after {} s{}. It may still be included: look before you send it again",
                PATIENCE.as_secs(),
                self.waits().await.map_or_else(
                    || ": the chain makes no blocks, or its blocks are full".into(),
                    |words| format!(": {words}")
                )
            ),
        }
    }

    async fn waits(&self) -> Option<String> {
        let asked = tokio::time::timeout(SILENCE, self.pulse()).await;
        Some(asked.ok()?.ok()?.waits(&self.look))
    }

    /// Whether the chain's runtime has this call.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn has_call(&self, pallet: &str, call: &str) -> Result<bool> {
        let at = self.api.at_current_block().await?;
        let found = at.metadata_ref().pallet_by_name(pallet).and_then(|pallet| pallet.call_variant_by_name(call));
        Ok(found.is_some())
    }

    /// What happened in a block.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn events(&self, block: Block) -> Result<Vec<Happened>> {
        let at = self.api.at_block(subxt::utils::H256::from(block.hash.0)).await?;
        let events = at.events().fetch().await?;
        let error = match all_of(&events, &at.metadata()) {
            Ok(all) => return Ok(all),
            Err(error) => error,
        };
        // what happened in the block that brings a new runtime is told in the words of the one before
        let before = self.block_at(block.number.saturating_sub(1)).await?;
        let before = self.api.at_block(subxt::utils::H256::from(before.hash.0)).await?;
        all_of(&before.events().from_bytes(events.bytes().to_vec()), &before.metadata()).map_err(|_| error)
    }

    /// The votes on studies in a block, in their order, also those that bytes came with.
    ///
    /// # Errors
    /// The node does not answer, or a vote is of another version than this program.
    pub async fn votes(&self, block: Block) -> Result<Vec<Vote>> {
        let at = self.api.at_block(subxt::utils::H256::from(block.hash.0)).await?;
        let mut votes = Vec::new();
        for extrinsic in at.extrinsics().fetch().await?.iter() {
            let extrinsic = extrinsic?;
            let (pallet, call) = (extrinsic.pallet_name(), extrinsic.call_name());
            if let Some(vote) = vote_of((pallet, call), extrinsic.call_data_field_bytes()) {
                votes.push(vote.map_err(|_| {
                    anyhow!(
                        "block {} has a vote that this program cannot read: are it and the chain of one version?",
                        block.number
                    )
                })?);
            }
        }
        Ok(votes)
    }

    /// BLAKE2b-256 of the chain's runtime in the state of a block.
    ///
    /// # Errors
    /// The node does not answer, or keeps the state of that block no longer.
    pub async fn code_hash(&self, at: Block) -> Result<Hash> {
        let params = subxt::rpcs::client::rpc_params!["0x3a636f6465", subxt::utils::H256::from(at.hash.0)];
        let hash: Option<subxt::utils::H256> = self.rpc.request("state_getStorageHash", params).await?;
        hash.map(|hash| Hash::from(hash.0)).context("the chain has no runtime")
    }

    /// Name and version of the runtime that makes the block after this one.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn runtime(&self, at: Block) -> Result<(String, u32)> {
        let version = self.legacy.state_get_runtime_version(Some(at.hash.0.into())).await?;
        let name = version.other.get("specName").and_then(|name| name.as_str()).unwrap_or_default();
        Ok((name.to_owned(), version.spec_version))
    }
}

/// The vote that a call carries, from the bytes of its arguments; none where the call is no vote. Behind the vote comes its signature
/// and, where the call is `post`, bytes before it.
fn vote_of(call: (&str, &str), mut arguments: &[u8]) -> Option<Result<Vote, codec::Error>> {
    (call.0 == SWARM && matches!(call.1, "vote" | "post")).then(|| Vote::decode(&mut arguments))
}

/// Waits until a block of the best chain has it; after one that was overtaken, another one.
async fn included<C: OnlineClientAtBlockT<SubstrateConfig>>(
    progress: &mut TransactionProgress<SubstrateConfig, C>,
    what: &str,
) -> Result<TransactionInBlock<SubstrateConfig, C>> {
    while let Some(status) = progress.next().await {
        match status.with_context(|| what.to_owned())? {
            TransactionStatus::InBestBlock(held) | TransactionStatus::InFinalizedBlock(held) => return Ok(held),
            TransactionStatus::Error { message }
            | TransactionStatus::Invalid { message }
            | TransactionStatus::Dropped { message } => bail!("{what}: {message}"),
            _ => {}
        }
    }
    Err(anyhow!("{what}: the node stopped reporting on it"))
}

/// Events in the words of a runtime with this metadata.
fn all_of(events: &Events<SubstrateConfig>, metadata: &ArcMetadata) -> Result<Vec<Happened>> {
    let mut happened = Vec::new();
    for event in events.iter() {
        let event = event?;
        happened.push(an_event(event.pallet_name(), event.event_name(), event.field_bytes(), metadata));
    }
    Ok(happened)
}

fn an_event(pallet: &str, name: &str, fields: &[u8], metadata: &ArcMetadata) -> Happened {
    // number of the motion, then why
    let why = match (pallet, name, fields.get(4..)) {
        ("Consortium", "Failed", Some(error)) => {
            Some(DispatchError::decode_from(error, metadata.clone()).map_or_else(|e| e.to_string(), |e| told(&e)))
        }
        _ => None,
    };
    Happened { pallet: pallet.into(), name: name.into(), fields: fields.to_vec(), why }
}

/// Whether the pool has another call of this account with the same number.
fn is_numbered_twice(error: &anyhow::Error) -> bool {
    // the number of JSON-RPC for it
    format!("{error:#}").contains("(1014)")
}

/// What a node says of a call that it does not even pass on, in words.
fn not_taken(error: anyhow::Error, what: &str) -> anyhow::Error {
    // the number of JSON-RPC for a call that is not valid now
    const INVALID: &str = "(1010)";
    if format!("{error:#}").contains(INVALID) {
        return error.context(format!(
            "{what}: the chain does not take this call: its key signs for no institution (which has left, was removed, or lets \
             another account sign), or the institution has sent more than it may for now (try again in a minute)"
        ));
    }
    error.context(what.to_owned())
}

/// An error of the chain in the sentence that its metadata has for it, with its name.
fn told(error: &DispatchError) -> String {
    let DispatchError::Module(module) = error else { return error.to_string() };
    match module.details() {
        Ok(details) => sentence(&module.to_string(), &details.variant.docs),
        // of another runtime than the one whose metadata were read
        Err(_) => module.to_string(),
    }
}

/// A name with the lines of its documentation, as one sentence or more; the name alone where there are none.
fn sentence(name: &str, docs: &[String]) -> String {
    let words = docs.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        name.to_owned()
    } else {
        format!("{words} ({name})")
    }
}

/// Arguments of a call, in SCALE already.
struct Arguments(Vec<u8>);

impl EncodeAsFields for Arguments {
    fn encode_as_fields_to<R: TypeResolver>(
        &self,
        _: &mut dyn FieldIter<'_, R::TypeId>,
        _: &R,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Encode;
    use consilium_primitives::{DutyKind, InstitutionId, VoteBody};

    #[test]
    fn deals_and_shares_are_votes_too() {
        let vote = Vote {
            study: 1,
            round: 2,
            attempt: 0,
            resumed: 0,
            kind: DutyKind::Reveal,
            institution: InstitutionId([3; 32]),
            duty: Hash::repeat_byte(4),
            body: VoteBody::Posted { hash: Hash::repeat_byte(5), len: 40 },
        };
        let posted = (vote, vec![6u8; 40], [7u8; 64]).encode();
        let read = |pallet, call, bytes: &[u8]| vote_of((pallet, call), bytes).map(|vote| vote.ok());
        assert_eq!(read(SWARM, "post", &posted), Some(Some(vote)));
        assert_eq!(read(SWARM, "vote", &(vote, [7u8; 64]).encode()), Some(Some(vote)));
        assert_eq!(read(SWARM, "post", &posted[..20]), Some(None), "cut off");
        assert_eq!((read(SWARM, "enrol", &posted), read("Consortium", "vote", &posted)), (None, None));
    }

    #[test]
    fn a_refusal_is_told_once_in_the_chain_s_own_sentence() {
        let docs =
            [" The rules name who is invited,".to_owned(), " and the caller is not among them.".into(), String::new()];
        assert_eq!(
            sentence("SwarmLearning::NotInvited", &docs),
            "The rules name who is invited, and the caller is not among them. (SwarmLearning::NotInvited)"
        );
        assert_eq!(sentence("SwarmLearning::NotInvited", &[]), "SwarmLearning::NotInvited");
    }
}
