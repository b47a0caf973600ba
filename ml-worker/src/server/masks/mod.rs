//! Masked sums: what this site has of the other sites' agreement on masks, what it answers for it, and what it makes of their files.
//!
//! Keys, deals and reveals are answered in the call that asks for them: they take some milliseconds, and a block each if they waited.
//! Masking, gathering and summing are work like others.

mod mask;
mod pairing;
mod sum;

use super::{result_key, Worker};
use crate::{
    data::DataError,
    server::job::{other, JobError},
    site::{random, Home, StudyKey},
};
use anyhow::{ensure, Context, Result};
use codec::Encode;
use consilium_aggregation::masked::ExactStatistics;
use consilium_masks::{KeyList, Partner, Partners, PublicKeys};
use consilium_primitives::{
    duty::MAX_ORDERS, round::Kind, rules::masked_inputs_root, BlobRef, Duty, DutyKind, DutyOrder, DutyOutput,
    DutyRequest, DutyState, FailureCode, Hash, MaskKeys, MaskOrder,
};
use pairing::{Pair, Unanswered};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Most duties of which it is remembered what was said of them.
const MOST_TOLD: usize = 4096;
/// So many orders are kept in mind before those are forgotten that nobody works on.
const MOST_ORDERS: usize = 4 * MAX_ORDERS;

/// What a worker remembers of masked sums.
#[derive(Default)]
pub(super) struct Masking {
    /// What orders need beyond themselves, by what their work is known by.
    orders: Mutex<HashMap<Hash, Arc<MaskOrder>>>,
    /// Bytes that go with answers of this moment, by duty.
    posts: Mutex<HashMap<Hash, Vec<u8>>>,
    /// Sums of columns that are still to be masked, and the work that gave them. They follow from the data, and are made anew after a
    /// restart.
    exact: Mutex<HashMap<StudyKey, (Hash, Arc<ExactStatistics>)>>,
    /// Duties of which people were told.
    told: Mutex<HashSet<Hash>>,
    /// Held while something is answered for a pairing: what is looked at there must still be so when the answer is noted.
    one: Mutex<()>,
}

impl Masking {
    /// Whether people are to be told of a duty: once.
    pub(super) fn tells(&self, duty: &Hash) -> bool {
        let mut told = self.told.lock();
        if told.len() >= MOST_TOLD {
            told.clear();
        }
        told.insert(*duty)
    }
}

/// A kind of sum as the masks know it.
fn kind(kind: Kind) -> consilium_masks::Kind {
    match kind {
        Kind::Statistics => consilium_masks::Kind::Statistics,
        Kind::Model => consilium_masks::Kind::Model,
        Kind::Evaluation => consilium_masks::Kind::Evaluation,
    }
}

/// What is masked in a sum of this kind.
fn work_kind(kind: Kind) -> DutyKind {
    match kind {
        Kind::Statistics => DutyKind::Statistics,
        Kind::Model => DutyKind::Train,
        Kind::Evaluation => DutyKind::Evaluate,
    }
}

/// Whether a duty is one of a pairing, which is answered at once.
pub(super) fn at_once(kind: DutyKind) -> bool {
    matches!(kind, DutyKind::Keys | DutyKind::Deal | DutyKind::Reveal)
}

/// Whether a duty is of masked sums alone.
fn of_masks(kind: DutyKind) -> bool {
    at_once(kind) || matches!(kind, DutyKind::Mask | DutyKind::Gather)
}

/// Overwrites what is secret of studies that ask for nothing any more.
pub(super) fn tidy(home: &Home) {
    match home.forget_unasked() {
        Ok(0) => {}
        Ok(studies) => {
            tracing::info!("masks: the secrets of {studies} studies that ask for nothing any more were overwritten")
        }
        Err(error) => tracing::error!("{error:#}"),
    }
}

impl Unanswered {
    /// As what is said of work that could not be done.
    fn job(self) -> JobError {
        match self {
            Self::Refused(why) => DataError::new(FailureCode::Refused, why).into(),
            Self::Silent(why) => {
                tracing::warn!("{why}");
                JobError::Missing("what this site had of the pairing")
            }
            Self::Fault(error) => JobError::Other(error),
        }
    }
}

impl Worker {
    /// Keeps what the orders of a request need beyond themselves: these may be worked on after it was answered.
    pub(super) fn note_masked(&self, request: &DutyRequest) {
        let working: HashSet<Hash> =
            self.jobs.lock().iter().filter(|(_, job)| job.working).map(|(key, _)| *key).collect();
        for study in request.orders.iter().map(|order| StudyKey::of(&order.duty)) {
            if let Err(error) = self.home.note_asked(&study) {
                tracing::error!("{error:#}");
            }
        }
        let mut orders = self.masking.orders.lock();
        if orders.len() >= MOST_ORDERS {
            orders.retain(|key, _| working.contains(key));
        }
        for (place, order) in request.orders.iter().enumerate() {
            match request.masked.get(place) {
                Some(Some(masked)) => orders.insert(super::key(order), Arc::new(masked.clone())),
                _ => orders.remove(&super::key(order)),
            };
        }
    }

    /// What an order needs beyond itself, where it is of a masked sum.
    pub(super) fn mask_order(&self, order: &DutyOrder) -> Option<Arc<MaskOrder>> {
        self.masking.orders.lock().get(&super::key(order)).cloned()
    }

    /// That of a duty whose result is to be masked, and stays here: to count, to train or to evaluate.
    pub(super) fn masked_work(&self, order: &DutyOrder) -> Option<Arc<MaskOrder>> {
        self.mask_order(order).filter(|masked| masked.work == order.duty.hash())
    }

    /// Whether what a work gives stays here. Where this site knows that a study's sums are masked, it does so whatever is asked for.
    pub(super) fn stays_here(&self, order: &DutyOrder) -> bool {
        self.mask_order(order).is_some() || self.known_masked(order)
    }

    /// Whether this site knows by itself that a study's sums are masked: its people have said so in `sites.toml` when they enrolled, it
    /// has masked something in it, or by the specification sites share the noise, which only a masked sum has in full.
    fn known_masked(&self, order: &DutyOrder) -> bool {
        let agreed = self.leave.lock().settings(&order.duty.agreement).is_some_and(|study| study.masked);
        let shared = || self.spec(&order.spec).is_some_and(|spec| spec.shares_noise());
        agreed || self.home.has_pairings(&StudyKey::of(&order.duty)) || shared()
    }

    /// What people agreed on, which the node must name: why it cannot be so, if it cannot.
    pub(super) fn unmasked(&self, order: &DutyOrder) -> Option<String> {
        let kind = order.duty.kind;
        let reads_rows = matches!(kind, DutyKind::Statistics | DutyKind::Train | DutyKind::Evaluate);
        let Some(masked) = self.mask_order(order) else {
            let plain = reads_rows && self.known_masked(order);
            return (of_masks(kind) || plain).then(|| {
                format!(
                    "this study's sums are masked (so say sites.toml, an earlier pairing here, or noise that sites share), and the node \
                     asks for {kind:?} as if they were not: update the node; where people agreed on no masks, take `masked` out of the study's entry"
                )
            });
        };
        if let Some(why) = self.unsigned(order, &masked) {
            return Some(why.into());
        }
        // else its result would be given as if nothing were masked
        (reads_rows && masked.work != order.duty.hash())
            .then(|| format!("the node asks for {kind:?}, and names another work as the one that is to be masked"))
    }

    /// Whether the rules that come with an order are those that people signed, with masks: why not, if not. What is worked by later than
    /// it was asked for is looked at again, since another request may have brought others.
    pub(super) fn unsigned(&self, order: &DutyOrder, masked: &MaskOrder) -> Option<&'static str> {
        let Some(spec) = self.home.spec(&order.spec) else {
            return Some("the specification is not here");
        };
        let mut signed = (order.duty.genesis, masked.proposer, &masked.rules).encode();
        signed.extend_from_slice(&spec);
        if Hash::from(sp_crypto_hashing::blake2_256(&signed)) != order.duty.agreement {
            return Some("the rules that the node names are not those of the agreement");
        }
        masked.rules.masked.is_none().then_some("by the signed rules of this study nothing is masked")
    }

    /// The pairing that an order is of, as this site is asked about it.
    fn pair(&self, order: &DutyOrder, masked: &MaskOrder) -> Pair<'_> {
        let duty = &order.duty;
        let named = consilium_masks::Pairing {
            genesis: &duty.genesis.0,
            study: duty.study,
            agreement: &duty.agreement.0,
            kind: kind(masked.kind),
            round: duty.round,
            pairing: masked.pairing,
        };
        Pair {
            home: &self.home,
            study: StudyKey::of(duty),
            number: masked.pairing,
            context: named.context(),
            own: duty.institution.0,
            // as many as noise that sites share is reckoned with
            minimum: masked.rules.least_summed() as usize,
        }
    }

    /// Answers what is answered at once.
    pub(super) fn pairing_duty(&self, order: &DutyOrder) -> DutyState {
        let duty = order.duty.hash();
        let name = format!("study {}, round {}, {:?}", order.duty.study, order.duty.round, order.duty.kind);
        match self.answer_pairing(order, &duty) {
            Ok(output) => {
                if self.masking.tells(&duty) {
                    tracing::info!("{name}: done");
                }
                DutyState::Done(output)
            }
            Err(Unanswered::Refused(why)) => {
                let state = DutyState::Failed(FailureCode::Refused);
                if self.masking.tells(&duty) {
                    tracing::error!("{name}: refused: {why}");
                    self.failures.note(&order.duty, &state, &why);
                }
                state
            }
            Err(Unanswered::Silent(why)) => {
                if self.masking.tells(&duty) {
                    tracing::warn!("{name}: not answered: {why}");
                }
                DutyState::Queued
            }
            Err(Unanswered::Fault(error)) => {
                tracing::error!("{name}: {error:#}");
                DutyState::Queued
            }
        }
    }

    fn answer_pairing(&self, order: &DutyOrder, duty: &Hash) -> Result<DutyOutput, Unanswered> {
        let masked = self.mask_order(order).context("what the order needs is not here")?;
        if let Some(why) = self.unsigned(order, &masked) {
            return Err(Unanswered::Refused(why.into()));
        }
        let pair = self.pair(order, &masked);
        let _one = self.masking.one.lock();
        let bytes = match order.duty.kind {
            DutyKind::Keys => {
                same("context", order.duty.base, pair.context.into())?;
                let PublicKeys { seal, pair, seed } = pair.keys(random)?;
                let keys = MaskKeys { seal: seal.into(), pair: pair.into(), seed: seed.into() };
                return Ok(DutyOutput::Keys(keys));
            }
            DutyKind::Deal => {
                let list = key_list(&pair, &masked)?;
                same("list of keys", order.duty.base, (*list.root()).into())?;
                pair.deal(&list)?
            }
            _ => {
                let partners = partners(&pair, &masked)?;
                named_inputs(order, &masked)?;
                let used = used(order, &partners)?;
                let own = order.inputs.iter().find(|input| input.institution == order.duty.institution);
                // without it the set is refused for not having this site
                let own = own.map(|input| input.blob.root).unwrap_or_default();
                pair.reveal(&partners, (used, &own), &masked.dealt)?
            }
        };
        let mut posts = self.masking.posts.lock();
        if posts.len() >= 2 * MAX_ORDERS {
            posts.clear();
        }
        posts.insert(*duty, bytes);
        Ok(DutyOutput::Posted)
    }

    /// The bytes that go with the answers to a request, by their place.
    pub(super) fn posts(&self, request: &DutyRequest, states: &[DutyState]) -> Vec<Vec<u8>> {
        let posts = self.masking.posts.lock();
        let posted = |state: &DutyState| *state == DutyState::Done(DutyOutput::Posted);
        let bytes = request.orders.iter().zip(states).map(|(order, state)| match posted(state) {
            true => posts.get(&order.duty.hash()).cloned().unwrap_or_default(),
            false => Vec::new(),
        });
        bytes.collect()
    }

    /// Whether a duty whose result stays here was done, and the result is here.
    pub(super) fn work_done(&self, order: &DutyOrder, key: &Hash) -> Result<bool> {
        let study = StudyKey::of(&order.duty);
        if order.duty.kind == DutyKind::Statistics {
            return Ok(self.masking.exact.lock().get(&study).is_some_and(|(work, _)| work == key));
        }
        Ok(self.home.worked(&study, key)?.is_some())
    }

    /// Keeps sums of columns until they are masked.
    pub(super) fn put_exact(&self, order: &DutyOrder, key: Hash, sums: ExactStatistics) {
        self.masking.exact.lock().insert(StudyKey::of(&order.duty), (key, Arc::new(sums)));
    }

    /// Whether what an order is to mask is here.
    pub(super) fn may_be_masked(&self, order: &DutyOrder) -> Result<bool> {
        let Some(masked) = self.mask_order(order) else { return Ok(false) };
        let work = work_key(order, &masked);
        if masked.kind == Kind::Statistics {
            return Ok(self.exact(order, &work).is_some());
        }
        Ok(self.home.worked(&StudyKey::of(&order.duty), &work)?.is_some())
    }

    fn exact(&self, order: &DutyOrder, work: &Hash) -> Option<Arc<ExactStatistics>> {
        let exact = self.masking.exact.lock();
        exact.get(&StudyKey::of(&order.duty)).filter(|(of, _)| of == work).map(|(_, sums)| sums.clone())
    }
}

/// What the work is known by here whose result an order masks.
fn work_key(order: &DutyOrder, masked: &MaskOrder) -> Hash {
    result_key(work_kind(masked.kind), masked.work, order.statistics.as_ref())
}

fn same(what: &str, named: Hash, found: Hash) -> Result<()> {
    ensure!(
        named == found,
        "the duty names the {what} {}, and what the node hands over gives {}",
        hex::encode(named),
        hex::encode(found)
    );
    Ok(())
}

/// The list of keys that an order names.
fn key_list(pair: &Pair<'_>, masked: &MaskOrder) -> Result<KeyList> {
    let keys = masked.keys.iter().map(|(institution, keys)| (institution.0, PublicKeys::from_bytes(&keys.bytes())));
    let list = KeyList::new(pair.context, keys.collect())?;
    same("list of keys", masked.keys_root, (*list.root()).into())?;
    Ok(list)
}

/// The partners that an order names.
fn partners(pair: &Pair<'_>, masked: &MaskOrder) -> Result<Partners> {
    let partner =
        |it: &consilium_primitives::Partner| Partner { id: it.institution.0, deal: it.deal.0, weight: it.weight };
    let partners = Partners::new(key_list(pair, masked)?, masked.partners.iter().map(partner).collect())?;
    same("partners", masked.partners_root, (*partners.root()).into())?;
    Ok(partners)
}

/// The model that the work of a sum stands on. Where an order does not hand it over, it is the attested one that the work's name is made
/// of; none of statistics, and where it is attested no longer.
fn base_of(order: &DutyOrder, masked: &MaskOrder) -> Option<BlobRef> {
    let (kind, statistics) = (work_kind(masked.kind), order.statistics.map(|blob| blob.root).unwrap_or_default());
    let stands_on = |base: &Hash| Duty { kind, base: *base, statistics, ..order.duty }.hash() == masked.work;
    let mut models = order.attested.iter().filter(|it| it.kind == Kind::Model).map(|it| it.root);
    order.base.or_else(|| models.find(stands_on).map(|root| BlobRef { root, len: masked.rules.merged_len }))
}

/// Whether the files that an order names are those of its duty.
fn named_inputs(order: &DutyOrder, masked: &MaskOrder) -> Result<()> {
    let listed: Vec<_> = order.inputs.iter().map(|i| (i.institution, i.blob.root, i.weight)).collect();
    let base = base_of(order, masked).map(|base| base.root);
    if base.is_none() && masked.kind != Kind::Statistics {
        // a study that stands on an old model again: what is summed is held by the partners and the set alone
        return Ok(());
    }
    let base = base.unwrap_or_default();
    same("inputs", order.duty.base, masked_inputs_root(&listed, &masked.rules.merge, base, masked.partners_root))
}

/// The set of partners whose files are summed.
fn used(order: &DutyOrder, partners: &Partners) -> Result<u64> {
    Ok(partners.set_of(order.inputs.iter().map(|input| &input.institution.0))?)
}

/// What an order says, looked at for work: where it is not as it must be, the work fails.
fn looked_at<T>(result: Result<T>) -> Result<T, JobError> {
    result.map_err(other)
}
