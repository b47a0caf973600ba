//! Makes blocks, in slots that are as long as the chain says: a new runtime may make them shorter while the node runs.
//!
//! The SDK's worker makes them, and the loop here tells it when. The SDK's own loop (sc-consensus-slots 0.59.0) has slots of one length,
//! and goes on with a slot only if it is later than the last: a clock that was an hour ahead and is put right leaves it silent
//! for that hour, or until the node is started anew. This one goes by the clock as it is, makes no second block in a slot in
//! which it has made one, and none while the clock is known to be wrong. While nothing on the chain waits for blocks it leaves slots out
//! (`idle`).

use crate::{
    clock::{system, Clock},
    idle,
    types::{FullClient, FullPool, FullSelectChain, GrandpaImport},
};
use consilium_runtime::opaque::Block;
use sc_basic_authorship::ProposerFactory;
use sc_consensus_aura::{
    standalone::{find_pre_digest, slot_duration_at},
    BuildAuraWorkerParams, SlotProportion,
};
use sc_consensus_slots::{time_until_next_slot, SimpleSlotWorkerToSlotWorker, SlotInfo, SlotWorker};
use sc_network_sync::SyncingService;
use sc_telemetry::TelemetryHandle;
use sp_consensus::{SelectChain, SyncOracle};
use sp_consensus_aura::{
    inherents,
    sr25519::{AuthorityPair, AuthoritySignature},
    Slot, SlotDuration,
};
use sp_keystore::KeystorePtr;
use std::{collections::BTreeSet, sync::Arc};

/// Target of the log lines.
const LOG: &str = "slots";
/// So many slots are remembered in which blocks were made, the latest.
const REMEMBERED: usize = 1_024;

/// All that making blocks needs.
pub struct Authoring {
    /// The chain.
    pub client: Arc<FullClient>,
    /// On which block the next one is made.
    pub select_chain: FullSelectChain,
    /// Where a block made here goes.
    pub import: GrandpaImport,
    /// What waits to go into it.
    pub pool: Arc<FullPool>,
    /// What goes into it.
    pub proposer: ProposerFactory<FullPool, FullClient>,
    /// Keys that sign it.
    pub keystore: KeystorePtr,
    /// Whether this node is far behind: it makes none then.
    pub sync: Arc<SyncingService<Block>>,
    /// Also where it has no peers.
    pub force: bool,
    /// What time it is, and whether that is sure enough.
    pub clock: Clock,
    /// Telemetry.
    pub telemetry: Option<TelemetryHandle>,
}

impl Authoring {
    /// Makes blocks for as long as the node runs. It ends only where it cannot begin, having said why.
    pub async fn run(self) {
        let Self { client, select_chain, import, pool, proposer, keystore, sync, force, clock, telemetry } = self;
        let mut slots = match sc_consensus_aura::slot_duration(&*client) {
            Ok(slots) => slots,
            Err(error) => return log::error!("no blocks can be made here: {error}"),
        };
        let worker =
            sc_consensus_aura::build_aura_worker::<AuthorityPair, Block, _, _, _, _, _, _, _>(BuildAuraWorkerParams {
                client: client.clone(),
                block_import: import,
                proposer_factory: proposer,
                force_authoring: force,
                backoff_authoring_blocks: None::<()>,
                keystore,
                sync_oracle: sync.clone(),
                justification_sync_link: sync.clone(),
                block_proposal_slot_portion: SlotProportion::new(2f32 / 3f32),
                // else a block takes longer and longer after slots that nobody used
                max_block_proposal_slot_portion: Some(SlotProportion::new(1f32)),
                telemetry,
                compatibility_mode: Default::default(),
            });
        let (mut worker, mut used) = (SimpleSlotWorkerToSlotWorker(worker), Used::default());
        let until = |slots: SlotDuration| tokio::time::sleep(time_until_next_slot(slots.as_duration()));
        let mut next = until(slots);
        loop {
            next.await;
            // a slot that takes too long does not move the next one
            next = until(slots);
            if sync.is_major_syncing() || !clock.may_author(slots.as_duration()) {
                continue;
            }
            let head = match select_chain.best_chain().await {
                Ok(head) => head,
                Err(error) => {
                    log::warn!(target: LOG, "no block can be made in this slot, for the best block is not known: {error}");
                    continue;
                }
            };
            match slot_duration_at(&*client, head.hash()) {
                Ok(now) if now == slots => {}
                Ok(now) => {
                    log::info!("slots have {} ms from here on; they had {}", now.as_millis(), slots.as_millis());
                    slots = now;
                    next = until(slots);
                    continue;
                }
                Err(error) => {
                    log::warn!(target: LOG, "no block can be made in this slot, for its length is not known: {error}");
                    continue;
                }
            }
            let timestamp = sp_timestamp::InherentDataProvider::new(system().into());
            let slot = inherents::InherentDataProvider::from_timestamp_and_slot_duration(*timestamp, slots);
            let (number, parent) = (*slot, find_pre_digest::<Block, AuthoritySignature>(&head).ok());
            if !used.may(number, parent) || idle::leaves_out(&client, &pool, head.hash(), number) {
                continue;
            }
            let info = SlotInfo::new(number, Box::new((slot, timestamp)), slots.as_duration(), head, None);
            if worker.on_slot(info).await.is_some() {
                used.made(number);
            }
        }
    }
}

/// Slots that were seen and used.
#[derive(Default)]
struct Used {
    last: Option<Slot>,
    made: BTreeSet<Slot>,
}

impl Used {
    /// Whether a block may be made in a slot on one of another slot. A slot comes once in a row.
    fn may(&mut self, slot: Slot, parent: Option<Slot>) -> bool {
        let again = self.last.replace(slot) == Some(slot);
        !again && !self.made.contains(&slot) && parent.is_none_or(|parent| slot > parent)
    }

    fn made(&mut self, slot: Slot) {
        self.made.insert(slot);
        if self.made.len() > REMEMBERED {
            self.made.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_stops_no_slot_but_those_that_were_used() {
        let (mut used, hour) = (Used::default(), 7_200u64);
        let at = |slot: u64| Slot::from(slot);
        assert!(used.may(at(9), None) && used.may(at(10), Some(at(0))), "on the first block");
        used.made(at(10));
        assert!(!used.may(at(10), Some(at(9))), "twice in one slot");
        assert!(used.may(at(11), Some(at(10))));
        assert!(!used.may(at(11), Some(at(10))), "the timer rings twice in a slot");
        // an hour ahead, and back
        assert!(used.may(at(11 + hour), Some(at(11))));
        used.made(at(11 + hour));
        assert!(!used.may(at(13), Some(at(11 + hour))), "on its own block of the future");
        assert!(used.may(at(14), Some(at(13))), "on the others' chain");
        // a second back, into a slot that is used, with another branch as the best
        used.made(at(14));
        assert!(used.may(at(15), Some(at(13))));
        assert!(!used.may(at(14), Some(at(13))));
        // and when that hour has come
        assert!(!used.may(at(11 + hour), Some(at(10 + hour))));
        assert!(used.may(at(12 + hour), Some(at(10 + hour))));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut used = Used::default();
        (0..3 * REMEMBERED as u64).for_each(|slot| used.made(Slot::from(slot)));
        assert_eq!(used.made.len(), REMEMBERED);
        assert!(used.made.contains(&Slot::from(3 * REMEMBERED as u64 - 1)));
    }
}
