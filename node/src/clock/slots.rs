//! The slots in which this node makes blocks: the SDK's worker makes them, and this loop tells it when.
//!
//! The SDK's own loop (sc-consensus-slots 0.59.0) goes on with a slot only if it is later than the last. A clock that was an hour ahead and
//! is put right leaves it silent for that hour, or until the node is started anew. This one goes by the clock as it is, makes
//! no second block in a slot in which it has made one, and none while the clock is known to be wrong.

use super::{system, Clock};
use crate::service::FullClient;
use consilium_runtime::opaque::Block;
use sc_consensus_aura::standalone::{find_pre_digest, slot_duration_at};
use sc_consensus_slots::{time_until_next_slot, SlotInfo, SlotWorker};
use sp_consensus::{SelectChain, SyncOracle};
use sp_consensus_aura::{inherents, sr25519::AuthoritySignature, Slot, SlotDuration};
use std::{collections::BTreeSet, sync::Arc};

/// Target of the log lines.
const LOG: &str = "slots";
/// So many slots are remembered in which blocks were made, the latest.
const REMEMBERED: usize = 1_024;

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

/// Lets `worker` make blocks in this node's slots until the node ends. Slots last as long as the chain says at its best block;
/// `duration` is that at the start.
pub async fn author(
    mut worker: impl SlotWorker<Block>,
    client: Arc<FullClient>,
    select: impl SelectChain<Block>,
    sync: impl SyncOracle,
    clock: Clock,
    mut duration: SlotDuration,
) {
    let mut used = Used::default();
    let mut next = tokio::time::sleep(time_until_next_slot(duration.as_duration()));
    loop {
        next.await;
        // a slot that takes too long does not move the next one
        next = tokio::time::sleep(time_until_next_slot(duration.as_duration()));
        if sync.is_major_syncing() || !clock.may_author(duration.as_duration()) {
            continue;
        }
        let head = match select.best_chain().await {
            Ok(head) => head,
            Err(error) => {
                log::warn!(target: LOG, "no block can be made in this slot, for the best block is not known: {error}");
                continue;
            }
        };
        match slot_duration_at(&*client, head.hash()) {
            Ok(now) if now == duration => {}
            Ok(now) => {
                duration = now;
                next = tokio::time::sleep(time_until_next_slot(duration.as_duration()));
                continue;
            }
            Err(error) => {
                log::warn!(target: LOG, "no block can be made in this slot, for its length is not known: {error}");
                continue;
            }
        }
        let timestamp = sp_timestamp::InherentDataProvider::new(system().into());
        let slot = inherents::InherentDataProvider::from_timestamp_and_slot_duration(*timestamp, duration);
        let (number, parent) = (*slot, find_pre_digest::<Block, AuthoritySignature>(&head).ok());
        if !used.may(number, parent) {
            continue;
        }
        let info = SlotInfo::new(number, Box::new((slot, timestamp)), duration.as_duration(), head, None);
        if worker.on_slot(info).await.is_some() {
            used.made(number);
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
