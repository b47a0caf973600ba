//! What the courier reads from the chain.

use super::{gate::Snapshot, listed::Listed, target::LOG};
use crate::{clock::Clock, types::FullBackend};
use codec::Decode;
use consilium_primitives::{blocks, Change, InstitutionNotice, MaskedBlobs, StudyBlobs, StudyId};
use consilium_runtime::{opaque::Block, Runtime, SLOT_MILLIS};
use consilium_study::Attachments;
use pallet_swarm_learning::Specs;
use pallet_swarm_learning_runtime_api::SwarmApi;
use sc_client_api::StorageProvider;
use sc_consensus_aura::standalone::{find_pre_digest, slot_duration_at};
use sc_network_types::PeerId;
use sp_api::{ApiError, ApiExt, ProvideRuntimeApi};
use sp_blockchain::{HeaderBackend, Info};
use sp_consensus_aura::{
    sr25519::{AuthorityId, AuthoritySignature},
    AuraApi,
};
use sp_core::{storage::StorageKey, H256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// A chain whose newest block is older is one that this node has not heard of for a while.
pub const OLD: Duration = Duration::from_secs(300);

/// What the chain says is taken for new every so many finalised blocks: ten minutes.
const RENEW_AFTER: u32 = blocks(600_000);

/// Version of the runtime's interface since which it says what has changed.
const CHANGE_SINCE: u32 = 2;
/// Since which it tells of masked files.
const MASKED_SINCE: u32 = 3;

/// So many blocks are looked back to find out whether the chain has taken another way. Where it may have, everything is read
/// anew.
const LOOK_BACK: u32 = 64;

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
                target: LOG,
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
                target: LOG,
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

/// What is asked of a chain at one of its blocks.
pub trait Ask {
    /// Why there is no answer.
    type Error;
    /// What tells whether the next three answers have changed; none where the block's runtime is an earlier one.
    fn change(&self, at: H256) -> Result<Option<Change>, Self::Error>;
    /// All institutions.
    fn institutions(&self, at: H256) -> Result<Vec<InstitutionNotice>, Self::Error>;
    /// Blobs of the studies that run or ended lately.
    fn blobs(&self, at: H256) -> Result<Vec<StudyBlobs>, Self::Error>;
    /// Blobs of one study.
    fn blobs_of(&self, at: H256, study: StudyId) -> Result<Option<StudyBlobs>, Self::Error>;
    /// Masked files of the studies that run or ended lately; none where the block's runtime knows of none.
    fn masked(&self, at: H256) -> Result<Vec<MaskedBlobs>, Self::Error>;
    /// A study's specification, in the bytes that were signed; none where there is no such study, or it never started and has ended.
    fn spec(&self, at: H256, study: StudyId) -> Result<Option<Vec<u8>>, Self::Error>;
    /// Block in which a study ended.
    fn ended(&self, at: H256, study: StudyId) -> Result<Option<u32>, Self::Error>;
    /// The block before a block.
    fn parent(&self, of: H256) -> Option<H256>;
}

/// A client's chain.
pub struct Chain<'a, C>(pub &'a C);

impl<C> Ask for Chain<'_, C>
where
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + StorageProvider<Block, FullBackend>,
    C::Api: SwarmApi<Block>,
{
    type Error = ApiError;

    fn change(&self, at: H256) -> Result<Option<Change>, ApiError> {
        let api = self.0.runtime_api();
        match api.api_version::<dyn SwarmApi<Block>>(at)? {
            Some(version) if version >= CHANGE_SINCE => api.change(at).map(Some),
            _ => Ok(None),
        }
    }

    fn masked(&self, at: H256) -> Result<Vec<MaskedBlobs>, ApiError> {
        let api = self.0.runtime_api();
        match api.api_version::<dyn SwarmApi<Block>>(at)? {
            Some(version) if version >= MASKED_SINCE => api.masked_blobs(at),
            _ => Ok(Vec::new()),
        }
    }

    fn institutions(&self, at: H256) -> Result<Vec<InstitutionNotice>, ApiError> {
        self.0.runtime_api().institutions(at)
    }

    fn blobs(&self, at: H256) -> Result<Vec<StudyBlobs>, ApiError> {
        self.0.runtime_api().blobs(at)
    }

    fn blobs_of(&self, at: H256, study: StudyId) -> Result<Option<StudyBlobs>, ApiError> {
        self.0.runtime_api().blobs_of(at, study)
    }

    fn spec(&self, at: H256, study: StudyId) -> Result<Option<Vec<u8>>, ApiError> {
        // as the offchain worker and every client of the chain find it: no runtime's interface tells it
        let value = self.0.storage(at, &StorageKey(Specs::<Runtime>::hashed_key_for(study)))?;
        Ok(value.and_then(|value| Vec::decode(&mut &value.0[..]).ok()))
    }

    fn ended(&self, at: H256, study: StudyId) -> Result<Option<u32>, ApiError> {
        self.0.runtime_api().ended(at, study)
    }

    fn parent(&self, of: H256) -> Option<H256> {
        self.0.header(of).ok().flatten().map(|header| header.parent_hash)
    }
}

/// What a block tells of masked files, of all studies at once: read when the first study is looked at that may have any.
struct Masks<'a, A> {
    chain: &'a A,
    at: H256,
    all: Option<Vec<MaskedBlobs>>,
}

impl<'a, A: Ask> Masks<'a, A> {
    fn at(chain: &'a A, at: H256) -> Self {
        Self { chain, at, all: None }
    }

    /// That of one study.
    fn of(&mut self, study: StudyId) -> Result<MaskedBlobs, A::Error> {
        if self.all.is_none() {
            self.all = Some(self.chain.masked(self.at)?);
        }
        let told = self.all.iter().flatten().find(|masked| masked.study == study).cloned();
        Ok(told.unwrap_or(MaskedBlobs { study, rounds: Vec::new() }))
    }
}

/// What was read at one block.
#[derive(Clone, Default)]
struct Reading {
    at: H256,
    number: u32,
    change: Option<Change>,
    listed: Vec<Arc<Listed>>,
}

impl Reading {
    /// Reads what has changed since any of these readings, all of the same chain of blocks; everything, where the runtime does not
    /// say what has.
    fn take<A: Ask>(chain: &A, (at, number): (H256, u32), known: &[&Self]) -> Result<Self, A::Error> {
        if let Some(same) = known.iter().find(|reading| reading.at == at) {
            return Ok((*same).clone());
        }
        let change = chain.change(at)?;
        let listed = match &change {
            Some(change) => Self::list(chain, at, change, known)?,
            None => Self::whole(chain, at, known)?,
        };
        Ok(Self { at, number, change, listed })
    }

    fn list<A: Ask>(chain: &A, at: H256, now: &Change, known: &[&Self]) -> Result<Vec<Arc<Listed>>, A::Error> {
        let like = |reading: &&&Self| reading.change.as_ref().is_some_and(|change| change.members == now.members);
        let alike: Vec<_> = known.iter().filter(like).collect();
        if alike.is_empty() {
            return Self::whole(chain, at, known);
        }
        let (mut listed, mut masks) = (Vec::with_capacity(now.studies.len()), Masks::at(chain, at));
        for (study, count) in &now.studies {
            match alike.iter().find_map(|reading| reading.of(*study, *count)) {
                Some(same) => listed.push(same),
                None => {
                    let blobs = chain.blobs_of(at, *study)?;
                    listed.extend(blobs.map(|blobs| Self::with_more(&mut masks, blobs, known)).transpose()?);
                }
            }
        }
        Ok(listed)
    }

    /// All that is listed at a block.
    fn whole<A: Ask>(chain: &A, at: H256, known: &[&Self]) -> Result<Vec<Arc<Listed>>, A::Error> {
        let (blobs, mut masks) = (chain.blobs(at)?.into_iter(), Masks::at(chain, at));
        blobs.map(|blobs| Self::with_more(&mut masks, blobs, known)).collect()
    }

    /// What is told of a study's blobs, with its masked files and those that its specification names. The latter never change: they
    /// are read once.
    fn with_more<A: Ask>(
        masks: &mut Masks<'_, A>,
        blobs: StudyBlobs,
        known: &[&Self],
    ) -> Result<Arc<Listed>, A::Error> {
        let before = known.iter().flat_map(|reading| &reading.listed).find(|listed| listed.blobs.study == blobs.study);
        let attachments = match before {
            Some(same) => same.attachments,
            None => masks.chain.spec(masks.at, blobs.study)?.map(|spec| Attachments::of(&spec)).unwrap_or_default(),
        };
        let masked = masks.of(blobs.study)?;
        Ok(Arc::new(Listed { blobs, masked, attachments }))
    }

    /// What was said of a study when its count was this.
    fn of(&self, study: StudyId, count: u64) -> Option<Arc<Listed>> {
        let change = self.change.as_ref()?;
        change.studies.contains(&(study, count)).then_some(())?;
        self.listed.iter().find(|listed| listed.blobs.study == study).cloned()
    }
}

/// What the chain said at its best block and at the finalised one when it was read last. Of all that, only what has changed is
/// read again.
#[derive(Default)]
pub struct Reader {
    best: Reading,
    settled: Reading,
    institutions: Arc<Vec<InstitutionNotice>>,
    /// Blocks in which studies ended: of those that are listed, and of those that something is held for.
    ended: BTreeMap<StudyId, u32>,
    /// For which `ended` was asked.
    held: BTreeSet<StudyId>,
    /// Counts the times that everything is told anew; none before the first.
    age: Option<u32>,
}

impl Reader {
    /// What the chain says now, if that is something else than what it said before. `held`: studies that something is held for.
    ///
    /// # Errors
    /// The runtime does not answer; nothing is forgotten then.
    pub fn read<A: Ask>(
        &mut self,
        chain: &A,
        local: &PeerId,
        info: &Info<Block>,
        held: &BTreeSet<StudyId>,
    ) -> Result<Option<Snapshot>, A::Error> {
        let mut known = vec![&self.settled];
        // counts of changes compare on one chain of blocks only
        if self.precedes(chain, info.best_hash, info.best_number) {
            known.push(&self.best);
        }
        let settled = Reading::take(chain, (info.finalized_hash, info.finalized_number), &known)?;
        known.push(&settled);
        let best = Reading::take(chain, (info.best_hash, info.best_number), &known)?;
        let members = |reading: &Reading| reading.change.as_ref().map(|change| change.members);
        let same = members(&best).is_some() && members(&best) == members(&self.best);
        let institutions = if same { self.institutions.clone() } else { Arc::new(chain.institutions(best.at)?) };
        // now and then, since what is over depends on how long ago a study ended
        let age = Some(settled.number / RENEW_AFTER);
        let (listed, renewed) = (settled.listed != self.settled.listed, age != self.age);
        let ended =
            if listed || renewed || *held != self.held { ends(chain, &settled, held)? } else { self.ended.clone() };
        let changed = renewed
            || listed
            || best.listed != self.best.listed
            || institutions != self.institutions
            || ended != self.ended;
        *self = Self { best, settled, institutions, ended, held: held.clone(), age };
        Ok(changed.then(|| self.snapshot(local)))
    }

    /// Whether the best block comes of the one that was read last, or is that one.
    fn precedes<A: Ask>(&self, chain: &A, mut block: H256, number: u32) -> bool {
        let Some(steps) = number.checked_sub(self.best.number).filter(|steps| *steps <= LOOK_BACK) else {
            return false;
        };
        for _ in 0..steps {
            let Some(parent) = chain.parent(block) else { return false };
            block = parent;
        }
        block == self.best.at
    }

    fn snapshot(&self, local: &PeerId) -> Snapshot {
        let notices = |reading: &Reading| reading.listed.iter().flat_map(|listed| listed.notices()).collect::<Vec<_>>();
        let (best, settled) = (notices(&self.best), notices(&self.settled));
        let snapshot = Snapshot::new(local, self.institutions.to_vec(), best, &settled);
        snapshot.with_ends(self.settled.number, self.ended.clone())
    }
}

/// Blocks in which studies ended, as a finalised block has it: of those that it lists, and of those that something is held for.
fn ends<A: Ask>(chain: &A, settled: &Reading, held: &BTreeSet<StudyId>) -> Result<BTreeMap<StudyId, u32>, A::Error> {
    let mut ended: BTreeMap<StudyId, Option<u32>> =
        settled.listed.iter().map(|listed| (listed.blobs.study, listed.blobs.ended)).collect();
    for study in held {
        if !ended.contains_key(study) {
            ended.insert(*study, chain.ended(settled.at, *study)?);
        }
    }
    Ok(ended.into_iter().filter_map(|(study, at)| at.map(|at| (study, at))).collect())
}
