//! Keeps the network's doors in step with the chain: nodes of the consortium's members, and no others, are let in and dialled.

use crate::network::Allowed;
use consilium_primitives::InstitutionNotice;
use consilium_runtime::opaque::Block;
use futures::StreamExt;
use pallet_swarm_learning_runtime_api::SwarmApi;
use sc_client_api::BlockchainEvents;
use sc_network::{
    config::{MultiaddrWithPeerId, NetworkConfiguration},
    multiaddr::{Multiaddr, Protocol},
    service::traits::NetworkService,
    ProtocolName,
};
use sc_network_sync::SyncingService;
use sc_network_types::PeerId;
use sp_api::{ApiError, ProvideRuntimeApi};
use sp_blockchain::HeaderBackend;
use sp_consensus::SyncOracle;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// Target of the log lines.
const LOG: &str = "members";
/// The chain is looked at so often at least; who left while this node was catching up goes then.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Peers that are let in, with the addresses at which they are dialled; without any, they dial.
type Table = BTreeMap<PeerId, Vec<Multiaddr>>;

/// Who is let in.
pub struct Members<C> {
    client: Arc<C>,
    allowed: Allowed,
    /// Addresses from the command line and the chain's specification: of members, hints; of others, nothing.
    hints: Table,
    /// Peers of `--reserved-nodes`.
    reserved: HashSet<PeerId>,
    now: Table,
}

/// What the chain's word and the command line make together. Nodes that only the command line names count while this node
/// knows no block but the first, or the chain names no node at all: then somebody must be asked for the chain.
fn decide(listed: &[InstitutionNotice], hints: &Table, reserved: &HashSet<PeerId>, first: bool) -> Table {
    let ids = listed.iter().filter_map(|institution| institution.peer_id.as_deref());
    let mut peers: HashSet<PeerId> = ids.filter_map(|bytes| PeerId::from_bytes(bytes).ok()).collect();
    if first || peers.is_empty() {
        peers.extend(reserved);
    }
    peers.into_iter().map(|peer| (peer, hints.get(&peer).cloned().unwrap_or_default())).collect()
}

impl<C> Members<C>
where
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + BlockchainEvents<Block> + Send + Sync + 'static,
    C::Api: SwarmApi<Block>,
{
    /// As the chain has it now.
    ///
    /// # Errors
    /// The runtime does not answer.
    pub fn open(client: Arc<C>, allowed: Allowed, network: &NetworkConfiguration) -> Result<Self, ApiError> {
        let named = &network.default_peers_set.reserved_nodes;
        let mut hints = Table::new();
        for MultiaddrWithPeerId { multiaddr, peer_id } in named.iter().chain(&network.boot_nodes) {
            hints.entry(*peer_id).or_default().push(multiaddr.clone());
        }
        let reserved = named.iter().map(|node| node.peer_id).collect();
        let mut this = Self { client, allowed, hints, reserved, now: Table::new() };
        this.look(false)?;
        Ok(this)
    }

    /// Reads the chain; says whether anything has changed. Nobody is shut out `while_syncing`: this node then walks through
    /// the past, in which those that can give it the present may be missing.
    fn look(&mut self, while_syncing: bool) -> Result<bool, ApiError> {
        let info = self.client.info();
        let listed = self.client.runtime_api().institutions(info.best_hash)?;
        let mut next = decide(&listed, &self.hints, &self.reserved, info.best_number == 0);
        if while_syncing {
            for (peer, addresses) in &self.now {
                next.entry(*peer).or_insert_with(|| addresses.clone());
            }
        }
        let changed = next != self.now;
        if changed {
            let before = self.now.keys().filter(|peer| !next.contains_key(*peer)).count();
            let new = next.keys().filter(|peer| !self.now.contains_key(*peer)).count();
            log::info!(target: LOG, "the network is open to {} nodes: {new} came, {before} went", next.len());
            self.allowed.replace(next.keys().copied().collect());
            self.now = next;
        }
        Ok(changed)
    }

    /// Tells the network whom to let in and to dial; who is not among them is cut.
    fn tell(&self, network: &dyn NetworkService, sync: &SyncingService<Block>, announces: &ProtocolName) {
        let own = network.local_peer_id();
        let others = self.now.iter().filter(|(peer, _)| **peer != own);
        let at = |(peer, addresses): (&PeerId, &Vec<Multiaddr>)| {
            let named = |address: Multiaddr| address.with(Protocol::P2p((*peer).into()));
            let addresses: Vec<_> = addresses.iter().cloned().map(named).collect();
            if addresses.is_empty() {
                vec![named(Multiaddr::empty())]
            } else {
                addresses
            }
        };
        let dial = others.clone().flat_map(at).collect();
        // this one call shuts out whoever is not in it; the SDK's others do not
        if let Err(error) = network.set_reserved_peers(announces.clone(), dial) {
            log::error!(target: LOG, "the network does not take the list of members: {error}");
        }
        sync.set_no_slot_peers(others.map(|(peer, _)| *peer).collect());
    }

    /// Follows the chain until it ends.
    pub async fn run(
        mut self,
        network: Arc<dyn NetworkService>,
        sync: Arc<SyncingService<Block>>,
        announces: ProtocolName,
    ) {
        let mut imported = self.client.import_notification_stream();
        let mut finalised = self.client.finality_notification_stream();
        let mut clock = tokio::time::interval(LOOK_EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.tell(&*network, &sync, &announces);
        loop {
            tokio::select! {
                block = imported.next() => if block.is_none() { return },
                block = finalised.next() => if block.is_none() { return },
                _ = clock.tick() => {}
            }
            match self.look(sync.is_major_syncing()) {
                Ok(true) => self.tell(&*network, &sync, &announces),
                Ok(false) => {}
                Err(error) => log::warn!(target: LOG, "the chain cannot be read, trying again: {error}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn institution(peer: Option<PeerId>) -> InstitutionNotice {
        InstitutionNotice {
            id: consilium_primitives::InstitutionId([1; 32]),
            name: Vec::new(),
            peer_id: peer.map(|peer| peer.to_bytes()),
            validator: true,
            participant: true,
        }
    }

    #[test]
    fn the_command_line_counts_at_the_first_block_and_gives_addresses_of_members_later() {
        let (member, friend) = (PeerId::random(), PeerId::random());
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        let hints: Table = [(member, vec![address.clone()]), (friend, vec![address.clone()])].into();
        let reserved: HashSet<PeerId> = [friend].into();
        let listed = [institution(Some(member)), institution(None)];
        let with = |first| decide(&listed, &hints, &reserved, first);
        assert_eq!(with(true), hints);
        assert_eq!(with(false), [(member, vec![address])].into());
        // a chain that names no node, and one whose members are known by nothing else
        assert_eq!(decide(&[institution(None)], &hints, &reserved, false).len(), 1);
        assert_eq!(decide(&listed, &Table::new(), &HashSet::new(), false), [(member, Vec::new())].into());
    }
}
