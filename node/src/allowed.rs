//! Whom this node answers.

use parking_lot::RwLock;
use sc_network_types::PeerId;
use std::{collections::HashMap, sync::Arc};

/// Peers that get an answer: those of the consortium's members, as the chain last had them, with their names.
#[derive(Clone, Default)]
pub struct Allowed(Arc<RwLock<HashMap<PeerId, String>>>);

impl Allowed {
    /// Whether it is one of them.
    #[must_use]
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.0.read().contains_key(peer)
    }

    /// Whose node it is, quoted, for people; nobody's where it is no member's.
    #[must_use]
    pub fn name(&self, peer: &PeerId) -> String {
        self.0.read().get(peer).map_or_else(|| "nobody".into(), |name| format!("{name:?}"))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.read().len()
    }

    /// These, and no others, from now on.
    pub fn replace(&self, peers: HashMap<PeerId, String>) {
        *self.0.write() = peers;
    }
}
