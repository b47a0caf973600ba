//! What the courier reads from the chain.

use super::gate::Snapshot;
use crate::clock::Clock;
use codec::Encode;
use consilium_primitives::{blocks, StudyBlobs, StudyId};
use consilium_runtime::{opaque::Block, SLOT_MILLIS};
use pallet_swarm_learning_runtime_api::SwarmApi;
use sc_consensus_aura::standalone::{find_pre_digest, slot_duration_at};
use sc_network_types::PeerId;
use sp_api::{ApiError, ProvideRuntimeApi};
use sp_blockchain::{HeaderBackend, Info};
use sp_consensus_aura::{
    sr25519::{AuthorityId, AuthoritySignature},
    AuraApi,
};
use sp_core::H256;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A chain whose newest block is older is one that this node has not heard of for a while.
pub const OLD: Duration = Duration::from_secs(300);

/// What the chain says is taken for new every so many finalised blocks, which is every ten minutes.
const RENEW_AFTER: u32 = blocks(600_000);

/// What was said already, and is not said again while it stays true.
#[derive(Default)]
pub struct Told {
    unregistered: bool,
    behind: bool,
}

impl Told {
    /// That nobody registered this node, if it is so.
    pub fn unregistered(&mut self, snapshot: &Snapshot, local: &PeerId) {
        let now = snapshot.local.is_none();
        if now && !self.unregistered {
            log::warn!(
                target: super::LOG,
                "no institution has registered this node's peer id {local}: nothing is fetched, and nothing served; \
                 register it with the institution's account"
            );
        }
        self.unregistered = now;
    }

    /// That the newest block is too old to serve by, if it is so.
    pub fn behind(&mut self, now: bool, age: Duration) {
        if now && !self.behind {
            log::info!(
                target: super::LOG,
                "nothing is served yet: the newest block is {} s old by this machine's clock",
                age.as_secs()
            );
        }
        self.behind = now;
    }
}

/// How long ago the slot of a block was, by this machine's clock, put right as far as the others' are known. The first block has
/// none, and is very old. How long its slot was, the chain says at the block before: with the block itself another runtime may have
/// come, with other slots.
pub fn age<C>(client: &C, block: H256, clock: &Clock) -> Duration
where
    C: HeaderBackend<Block> + ProvideRuntimeApi<Block>,
    C::Api: AuraApi<Block, AuthorityId>,
{
    let header = client.header(block).ok().flatten();
    let at = header.and_then(|header| {
        let slot = find_pre_digest::<Block, AuthoritySignature>(&header).ok()?;
        let slots = slot_duration_at(client, header.parent_hash).or_else(|_| slot_duration_at(client, block));
        let millis = slots.map_or(SLOT_MILLIS, |slots| slots.as_millis());
        Some(Duration::from_millis(u64::from(slot).saturating_mul(millis)))
    });
    clock.now().saturating_sub(at.unwrap_or_default())
}

/// What the chain says at a finalised block.
#[derive(Default)]
pub struct Settled {
    at: H256,
    number: u32,
    listed: Vec<StudyBlobs>,
    /// Blocks in which studies ended: of those that are listed, and of those that something is held for.
    ended: BTreeMap<StudyId, u32>,
}

impl Settled {
    fn read<C>(client: &C, at: H256, number: u32, held: &BTreeSet<StudyId>) -> Result<Self, ApiError>
    where
        C: ProvideRuntimeApi<Block>,
        C::Api: SwarmApi<Block>,
    {
        let listed = client.runtime_api().blobs(at)?;
        let ends = listed.iter().map(|blobs| (blobs.study, blobs.ended));
        let mut ended: BTreeMap<StudyId, Option<u32>> = ends.collect();
        for study in held {
            if !ended.contains_key(study) {
                ended.insert(*study, client.runtime_api().ended(at, *study)?);
            }
        }
        let ended = ended.into_iter().filter_map(|(study, at)| at.map(|at| (study, at))).collect();
        Ok(Self { at, number, listed, ended })
    }
}

/// What the chain says at its best block and at the finalised one, and bytes that tell it from what it said before; `settled` is
/// what was read last at a finalised block, and is read again only where that has changed. `held`: studies that something is
/// held for.
///
/// # Errors
/// The runtime does not answer.
pub fn read<C>(
    client: &C,
    local: &PeerId,
    info: &Info<Block>,
    settled: &mut Settled,
    held: &BTreeSet<StudyId>,
) -> Result<(Snapshot, [u8; 32]), ApiError>
where
    C: ProvideRuntimeApi<Block>,
    C::Api: SwarmApi<Block>,
{
    if settled.at != info.finalized_hash {
        *settled = Settled::read(client, info.finalized_hash, info.finalized_number, held)?;
    }
    let institutions = client.runtime_api().institutions(info.best_hash)?;
    let listed = client.runtime_api().blobs(info.best_hash)?;
    let Settled { number, listed: finally, ended, .. } = settled;
    // now and then, since what is over depends on how long ago a study ended
    let age = *number / RENEW_AFTER;
    let print =
        (&institutions, &listed, &*finally, &*ended, age).using_encoded(|bytes| *blake3::hash(bytes).as_bytes());
    let notices = |studies: &[StudyBlobs]| studies.iter().flat_map(StudyBlobs::notices).collect::<Vec<_>>();
    let snapshot = Snapshot::new(local, institutions, notices(&listed), &notices(finally));
    Ok((snapshot.with_ends(*number, ended.clone()), print))
}
