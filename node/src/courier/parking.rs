//! Places for requests that wait.

use parking_lot::Mutex;
use sc_network_types::PeerId;
use std::{collections::HashMap, sync::Arc};

/// Requests of one peer that may wait.
pub const WAITING_PER_PEER: usize = 8;
/// Requests of all peers that may wait.
pub const WAITING: usize = 256;

/// Places for requests that wait.
#[derive(Default)]
pub struct Parking(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    of: HashMap<PeerId, usize>,
}

/// One of the places, given back when dropped.
pub struct Parked {
    taken: Arc<Mutex<Taken>>,
    peer: PeerId,
}

impl Parking {
    /// A place for a request of this peer; none where all are taken.
    pub fn take(&self, peer: PeerId) -> Option<Parked> {
        let mut taken = self.0.lock();
        let own = taken.of.get(&peer).copied().unwrap_or_default();
        if taken.all >= WAITING || own >= WAITING_PER_PEER {
            return None;
        }
        taken.all += 1;
        taken.of.insert(peer, own + 1);
        Some(Parked { taken: self.0.clone(), peer })
    }

    /// How many wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.0.lock().all
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        let left = taken.of.get(&self.peer).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            taken.of.remove(&self.peer);
        } else {
            taken.of.insert(self.peer, left);
        }
    }
}
