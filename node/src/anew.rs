//! A member whose blocks this node hears of and never gets is parted from for a moment, so that it is asked anew.
//!
//! sc-network-sync 0.59.0 notes whom it has asked for blocks as busy until the answer, or the end of the connection. Where the answer
//! is lost, as happens on a machine that has no time for its node, that member is asked for nothing any more; once all are busy, a node
//! makes blocks of its own beside the chain for as long as it runs. Whoever is disconnected is forgotten, and asked again at once when
//! it is back; but the SDK disconnects no reserved peer, and members are all reserved. So it is done here.

use sc_network_types::PeerId;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// So long no block of another node may come while others tell of such: twenty slots.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest pause between two partings; each is twice the one before, for where it does not help something else is wrong.
const LONGEST: Duration = Duration::from_secs(160);
/// For so long this node is without the one it parts from.
pub const APART: Duration = Duration::from_secs(1);

/// When a block of another node came last, and what was done since.
pub struct Anew {
    /// When patience ends.
    due: Instant,
    /// After the next parting it ends so much later.
    pause: Duration,
    /// From whom this node has parted last.
    last: Option<PeerId>,
}

impl Anew {
    /// As if a block had come just now.
    pub fn new(now: Instant) -> Self {
        Self { due: now + PATIENCE, pause: PATIENCE, last: None }
    }

    /// A block of another node has come.
    pub fn came(&mut self, now: Instant) {
        (self.due, self.pause) = (now + PATIENCE, PATIENCE);
    }

    /// Whether it is worth asking of which blocks others tell.
    pub fn waits_too_long(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// From whom to part now, if from anybody: one after the other of those that tell of a block that this node has not. Those that
    /// tell of none have nothing to give.
    pub fn part(&mut self, now: Instant, ahead: &BTreeSet<PeerId>) -> Option<PeerId> {
        if !self.waits_too_long(now) {
            return None;
        }
        let next = ahead.iter().find(|peer| self.last.is_none_or(|last| **peer > last)).or(ahead.first()).copied()?;
        self.due = now + self.pause;
        self.pause = LONGEST.min(self.pause * 2);
        self.last = Some(next);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_the_other_is_parted_from_ever_more_seldom_until_a_block_comes() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let ahead: BTreeSet<PeerId> = (0..3).map(|_| PeerId::random()).collect();
        let [first, second, third]: [PeerId; 3] = ahead.iter().copied().collect::<Vec<_>>().try_into().unwrap();
        let mut anew = Anew::new(began);
        assert_eq!(anew.part(after(9), &ahead), None);
        // nobody tells of anything: the network is quiet, or this node cut off
        assert_eq!(anew.part(after(10), &BTreeSet::new()), None);
        let mut parted = Vec::new();
        for second in 10..=400 {
            parted.extend(anew.part(after(second), &ahead).map(|peer| (second, peer)));
        }
        assert_eq!(parted, [(10, first), (20, second), (40, third), (80, first), (160, second), (320, third)]);
        anew.came(after(401));
        assert!(!anew.waits_too_long(after(410)));
        assert_eq!(anew.part(after(411), &ahead), Some(first));
        assert_eq!(anew.part(after(421), &[third].into()), Some(third));
        // one that is gone since
        assert_eq!(anew.part(after(441), &[second].into()), Some(second));
    }
}
