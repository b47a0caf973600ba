//! Figures of this node for Prometheus, beside those of the SDK: how rounds go ([`rounds`]), what became of votes ([`votes`]), and how
//! far finality is behind. The courier counts for itself ([`crate::courier::Figures`]); the clock's offset is
//! [`crate::clock`]'s. `docs/metrics.md` says what each means.
//!
//! Labels are kinds, phases and reasons, of which there are a few, and numbers of studies, which the chain bounds. Nothing that a
//! peer chooses is ever one. A runtime that this node was not built with may tell what it does not understand: that counts
//! for nothing.

pub mod figure;
mod rounds;
mod said;
mod votes;

use crate::{
    clock::Clock,
    courier::{age, Figures},
    types::FullClient,
};
use consilium_runtime::{opaque::Block, Header, Runtime, SLOT_MILLIS};
use figure::told;
use futures::StreamExt;
use pallet_consortium::{pallet::Institutions, Institution};
use pallet_swarm_learning::{Progress, Running, Studies, StudyInfo};
use rounds::{Rounds, Told};
use sc_client_api::{BlockBackend, BlockImportNotification, BlockchainEvents, FinalityNotification, StorageProvider};
use sc_consensus_aura::standalone::find_pre_digest;
use sc_transaction_pool_api::LocalTransactionPool;
use sp_blockchain::HeaderBackend;
use sp_consensus_aura::sr25519::AuthoritySignature;
use sp_core::{storage::StorageKey, H256};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use substrate_prometheus_endpoint::{Gauge, GaugeVec, Opts, PrometheusError, Registry, F64, U64};
pub use votes::Votes;

/// How often what changes without any block is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Blocks whose import is remembered until they are final.
const REMEMBERED: usize = 1024;
/// Blocks older than this, when they become final here, are of a time in which this node was away: they say nothing of how long
/// anything took here.
const PAST: Duration = Duration::from_secs(300);

/// All figures of this node that the SDK does not have.
#[derive(Clone)]
pub struct Metrics {
    /// The courier's.
    pub courier: Figures,
    votes: Votes,
    rounds: Rounds,
    studies: GaugeVec<U64>,
    lag_blocks: Gauge<U64>,
    lag_seconds: Gauge<F64>,
    age: Gauge<F64>,
}

impl Metrics {
    /// Figures, told where there is a registry, and counted for nobody else.
    ///
    /// # Errors
    /// One of this name exists already.
    pub fn new(registry: Option<&Registry>) -> Result<Self, PrometheusError> {
        let rounds = Rounds::new(registry)?;
        let gauge = |name: &str, help: &str| told(Gauge::<F64>::new(name, help)?, registry);
        let whole = |name: &str, help: &str| told(Gauge::<U64>::new(name, help)?, registry);
        Ok(Self {
            courier: Figures::new(registry, rounds.fetching())?,
            votes: Votes::new(registry)?,
            rounds,
            studies: told(
                GaugeVec::new(Opts::new("consilium_studies", "Studies that run, by where they stand"), &["phase"])?,
                registry,
            )?,
            lag_blocks: whole("consilium_finality_lag_blocks", "Blocks from the newest final one to the best one")?,
            lag_seconds: gauge(
                "consilium_finality_lag_seconds",
                "Seconds from the newest final block to the best one",
            )?,
            age: gauge("consilium_best_block_age_seconds", "Seconds since the slot of the best block")?,
        })
    }

    /// This pool, for the offchain worker: what votes it gives to it is counted.
    pub fn counted<P: LocalTransactionPool<Block = Block>>(&self, pool: P) -> votes::Counted<P> {
        self.votes.counted(pool)
    }

    /// Follows the chain for as long as the node runs.
    pub async fn follow(self, client: Arc<FullClient>, clock: Clock) {
        let mut imported = client.import_notification_stream();
        let mut finalised = client.finality_notification_stream();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut follower = Follower { metrics: self, client, clock, seen: Seen::default() };
        follower.look();
        loop {
            tokio::select! {
                block = imported.next() => match block {
                    Some(block) => follower.imported(&block),
                    None => return,
                },
                block = finalised.next() => match block {
                    Some(block) => follower.finalised(&block),
                    None => return,
                },
                _ = look.tick() => follower.look(),
            }
        }
    }
}

/// When blocks came, the newest ones.
#[derive(Default)]
struct Seen {
    at: BTreeMap<H256, Instant>,
    order: VecDeque<H256>,
}

impl Seen {
    fn note(&mut self, block: H256, now: Instant) {
        if self.at.insert(block, now).is_none() {
            self.order.push_back(block);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.at.remove(&oldest);
            }
        }
    }

    /// How long ago a block came, if that was while this node followed the chain.
    fn ago(&self, block: &H256, now: Instant) -> Option<Duration> {
        self.at.get(block).map(|at| now.saturating_duration_since(*at))
    }
}

struct Follower {
    metrics: Metrics,
    client: Arc<FullClient>,
    clock: Clock,
    seen: Seen,
}

impl Follower {
    fn imported(&mut self, block: &BlockImportNotification<Block>) {
        let now = Instant::now();
        if !block.is_new_best {
            return;
        }
        let (enacted, retracted) = match &block.tree_route {
            Some(route) => (route.enacted(), route.retracted()),
            None => (&[][..], &[][..]),
        };
        for gone in retracted {
            self.votes(gone.hash).for_each(|vote| self.metrics.votes.retracted(&vote, now));
        }
        for hash in enacted.iter().map(|one| one.hash).chain([block.hash]) {
            self.seen.note(hash, now);
            self.votes(hash).for_each(|vote| self.metrics.votes.in_block(&vote, now));
        }
        self.look();
    }

    fn finalised(&mut self, block: &FinalityNotification<Block>) {
        let now = Instant::now();
        for hash in block.tree_route.iter().copied().chain([block.hash]) {
            // whichever of both notices comes first
            self.votes(hash).for_each(|vote| self.metrics.votes.in_block(&vote, now));
            let Some(at) = self.header(hash).and_then(|header| slot_millis(&header)) else { continue };
            let past = self.clock.now().saturating_sub(Duration::from_millis(at)) > PAST;
            let said = self.said(hash);
            if !past {
                said.iter().filter_map(|said| self.left_out(hash, said)).for_each(|words| log::info!("{words}"));
            }
            for told in self.metrics.rounds.block(at, &said) {
                if told == Told::Froze && !past {
                    if let Some(ago) = self.seen.ago(&hash, now) {
                        self.metrics.rounds.finality(ago);
                    }
                }
                if let Told::Over(over) = told {
                    self.metrics.votes.over(&over);
                }
            }
        }
        self.metrics.votes.expire(now);
        self.studies(block.hash);
        self.look();
    }

    /// How far finality and this node are behind.
    fn look(&self) {
        let info = self.client.info();
        let lag = info.best_number.saturating_sub(info.finalized_number);
        self.metrics.lag_blocks.set(lag.into());
        let at = |hash| self.header(hash).and_then(|header| slot_millis(&header));
        if let Some((best, last)) = at(info.best_hash).zip(at(info.finalized_hash)) {
            self.metrics.lag_seconds.set(best.saturating_sub(last) as f64 / 1_000.0);
        } else if lag == 0 {
            self.metrics.lag_seconds.set(0.0);
        }
        self.metrics.age.set(age(&*self.client, info.best_hash, &self.clock).as_secs_f64());
    }

    fn header(&self, hash: H256) -> Option<Header> {
        self.client.header(hash).ok().flatten()
    }

    fn votes(&self, hash: H256) -> impl Iterator<Item = consilium_primitives::Vote> + use<> {
        let body = self.client.block_body(hash).ok().flatten().unwrap_or_default();
        body.into_iter().filter_map(|extrinsic| votes::vote_in(&extrinsic))
    }

    /// What a block tells of studies.
    fn said(&self, hash: H256) -> Vec<said::Said> {
        let key = frame_support::storage::storage_prefix(b"System", b"Events").to_vec();
        let events = self.client.storage(hash, &StorageKey(key)).ok().flatten();
        events.map_or_else(Vec::new, |events| said::of(&events.0))
    }

    /// Who is left out for some rounds, or not waited for, by its name, for people who read this node's log.
    fn left_out(&self, hash: H256, said: &said::Said) -> Option<String> {
        let said::Said::Progress { study, round, what } = said else { return None };
        let (who, until_round, missed) = match what {
            Progress::Benched { who, until_round } => (who, until_round, None),
            Progress::NotAwaited { who, before, until_round } => (who, until_round, Some(before)),
            _ => return None,
        };
        let key = Institutions::<Runtime>::hashed_key_for(sp_core::crypto::AccountId32::from(who.0));
        let known: Option<Institution> = self.read(hash, key);
        let name = known.map_or_else(|| who.to_string(), |it| String::from_utf8_lossy(&it.name).into_owned());
        let back = until_round.saturating_add(1);
        Some(match missed {
            None => format!("study {study}: {name:?} is left out until round {back}, since its part did not come in two rounds that waited for it"),
            Some(before) => format!("study {study}: {name:?} is not waited for until round {back}, since nothing came from it in rounds {before} and {round}; what it sends in time counts"),
        })
    }

    /// Counts the studies that run, by where they stand.
    fn studies(&self, hash: H256) {
        let key = Running::<Runtime>::hashed_key().to_vec();
        let running: Vec<(u32, consilium_primitives::InstitutionId)> = self.read(hash, key).unwrap_or_default();
        let phases = running.iter().filter_map(|(study, _)| {
            let info: StudyInfo = self.read(hash, Studies::<Runtime>::hashed_key_for(study))?;
            rounds::standing(&info.state.phase)
        });
        let mut counts: BTreeMap<&str, u64> = rounds::STANDINGS.into_iter().map(|name| (name, 0)).collect();
        phases.for_each(|name| *counts.entry(name).or_default() += 1);
        for (name, count) in counts {
            self.metrics.studies.with_label_values(&[name]).set(count);
        }
    }

    fn read<T: codec::Decode>(&self, hash: H256, key: Vec<u8>) -> Option<T> {
        let value = self.client.storage(hash, &StorageKey(key)).ok().flatten()?;
        T::decode(&mut &value.0[..]).ok()
    }
}

/// The time of a block's slot, in milliseconds since 1970; the first block has none.
fn slot_millis(header: &Header) -> Option<u64> {
    let slot = find_pre_digest::<Block, AuthoritySignature>(header).ok()?;
    Some(u64::from(slot).saturating_mul(SLOT_MILLIS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_names_of_their_own_and_are_told_before_anything_happened() {
        let registry = Registry::new();
        let metrics = Metrics::new(Some(&registry)).expect("registered");
        assert!(Metrics::new(Some(&registry)).is_err(), "names are taken");
        metrics.lag_blocks.set(3);
        let all = registry.gather();
        let names: Vec<&str> = all.iter().map(|family| family.get_name()).collect();
        for name in ["consilium_finality_lag_blocks", "consilium_courier_bytes_total", "consilium_votes_sent_total"] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        assert!(names.iter().all(|name| name.starts_with("consilium_")), "{names:?}");
    }

    #[test]
    fn the_import_of_so_many_blocks_is_remembered() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let name = |n: u64| H256::from_low_u64_be(n);
        for n in 0..=REMEMBERED as u64 {
            seen.note(name(n), now);
        }
        seen.note(name(1), now);
        assert_eq!((seen.at.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(seen.ago(&name(0), now), None);
        assert_eq!(seen.ago(&name(5), now + Duration::from_secs(2)), Some(Duration::from_secs(2)));
    }
}
