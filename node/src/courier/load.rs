//! How much is served at once: requests for which the disk is read, and responses that peers have not taken yet.

use super::wire::{MAX_RESPONSE, SPAN};
use parking_lot::Mutex;
use sc_network_types::PeerId;
use std::{collections::HashMap, ops::Range, sync::Arc};
use tokio::sync::watch;

/// Requests for which the disk is read at once.
pub const READING: usize = 8;
/// Responses to one peer that are in work or not sent yet, at most.
pub const UNSENT_PER_PEER: usize = 4;
/// Bytes of responses that are in work or not sent yet, over all peers, at most.
pub const UNSENT: u64 = 64 * 1024 * 1024;

/// What admitted requests occupy now.
pub struct Load {
    reading: usize,
    unsent: u64,
    of: HashMap<PeerId, usize>,
    /// Told whenever something of it is given back.
    freed: watch::Sender<()>,
}

impl Default for Load {
    fn default() -> Self {
        Self { reading: 0, unsent: 0, of: HashMap::new(), freed: watch::channel(()).0 }
    }
}

/// One place among the requests for which the disk is read, given back when dropped.
pub struct Reading(Arc<Mutex<Load>>);

/// One place among a peer's responses and the bytes of it among all, given back when dropped. A peer that does not read
/// what it asked for fills its own places and no memory beyond them.
pub struct Place {
    load: Arc<Mutex<Load>>,
    peer: PeerId,
    bytes: u64,
}

impl Load {
    /// A place and a reading, if the limits allow one more request of this peer.
    pub fn take(load: &Arc<Mutex<Self>>, peer: PeerId, range: &Range<u64>) -> Option<(Place, Reading)> {
        // the hashes and the frame of a response count like those of the longest one
        let bytes = range.end.saturating_sub(range.start).saturating_add(MAX_RESPONSE - SPAN as u64);
        let mut held = load.lock();
        let own = held.of.get(&peer).copied().unwrap_or_default();
        let unsent = held.unsent.saturating_add(bytes);
        if held.reading >= READING || own >= UNSENT_PER_PEER || unsent > UNSENT {
            return None;
        }
        held.reading += 1;
        held.unsent = unsent;
        held.of.insert(peer, own + 1);
        drop(held);
        Some((Place { load: load.clone(), peer, bytes }, Reading(load.clone())))
    }

    /// Tells, from now on, that something was given back.
    pub fn freed(&self) -> watch::Receiver<()> {
        self.freed.subscribe()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut held = self.0.lock();
        held.reading = held.reading.saturating_sub(1);
        held.freed.send_replace(());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.load.lock();
        held.unsent = held.unsent.saturating_sub(self.bytes);
        let left = held.of.get(&self.peer).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            held.of.remove(&self.peer);
        } else {
            held.of.insert(self.peer, left);
        }
        held.freed.send_replace(());
    }
}
