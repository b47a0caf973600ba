//! Keeps the network's doors in step with the chain: nodes of the consortium's members, and no others, are let in and dialled.

use crate::{
    allowed::Allowed,
    anew::{Anew, APART},
    clock::Clock,
    courier::age,
};
use consilium_primitives::Member;
use consilium_runtime::{opaque::Block, AccountId};
use futures::StreamExt;
use pallet_consortium_runtime_api::ConsortiumApi;
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
use sp_blockchain::{BlockStatus, HeaderBackend};
use sp_consensus::{BlockOrigin, SyncOracle};
use sp_consensus_aura::{sr25519::AuthorityId, AuraApi};
use sp_core::H256;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// Target of the log lines.
const LOG: &str = "members";
/// The chain is looked at so often at least; who left while this node was catching up goes then.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A best block that is so old says little of who is a member now: all may have changed their nodes' keys since, of which the older
/// counts for an hour.
const OLD: Duration = Duration::from_secs(3_600);

/// What a node is called that only the command line names.
const NAMELESS: &str = "a reserved node";

/// Peers that are let in, with the addresses at which they are dialled; without any, they dial.
type Table = BTreeMap<PeerId, Vec<Multiaddr>>;

/// Who is let in.
pub struct Members<C> {
    client: Arc<C>,
    allowed: Allowed,
    clock: Clock,
    /// Addresses from the command line and the chain's specification: of members, hints; of others, nothing.
    hints: Table,
    /// Peers of `--reserved-nodes`.
    reserved: HashSet<PeerId>,
    now: Table,
    /// Best and finalised block of the last look, whether nobody was shut out then, and whether the best block was old.
    seen: Option<(H256, H256, bool, bool)>,
}

/// The chain's word on who its members are.
struct Word {
    /// The institutions at the best block.
    listed: Vec<Member<AccountId>>,
    /// Those that must stay connected, at the best block or the finalised one: whoever is leaving goes only when it is in no set of
    /// validators, and nothing of it is in a merge that runs.
    kept: BTreeSet<AccountId>,
    /// Those to be cut at once at the finalised block.
    cut: BTreeSet<AccountId>,
    /// Whether the best block is the first, or [`OLD`].
    old: bool,
}

impl Word {
    /// Institutions whose nodes are let in.
    fn members(&self) -> impl Iterator<Item = &Member<AccountId>> {
        let stays = |it: &&Member<AccountId>| !it.leaving || self.kept.contains(&it.account);
        self.listed.iter().filter(stays).filter(|it| !self.cut.contains(&it.account))
    }

    /// Institutions by their nodes.
    fn names(&self) -> HashMap<PeerId, String> {
        let of = |it: &Member<AccountId>| {
            let name = String::from_utf8_lossy(&it.name).into_owned();
            let peers: Vec<PeerId> = it.peer_ids.iter().filter_map(|bytes| PeerId::from_bytes(bytes).ok()).collect();
            peers.into_iter().map(move |peer| (peer, name.clone()))
        };
        self.members().flat_map(of).collect()
    }

    /// What it and the command line make together. Nodes that only the command line names count while this node knows no
    /// block that is new, or the chain names no node at all: then somebody must be asked for the chain.
    fn decide(&self, hints: &Table, reserved: &HashSet<PeerId>) -> Table {
        let mut table = Table::new();
        for member in self.members() {
            let addresses: Vec<Multiaddr> = member.addresses.iter().filter_map(|text| dialable(text)).collect();
            for peer in member.peer_ids.iter().filter_map(|bytes| PeerId::from_bytes(bytes).ok()) {
                table.entry(peer).or_default().extend(addresses.iter().cloned());
            }
        }
        if self.old || table.is_empty() {
            for peer in reserved {
                table.entry(*peer).or_default();
            }
        }
        for (peer, addresses) in &mut table {
            for hint in hints.get(peer).into_iter().flatten() {
                if !addresses.contains(hint) {
                    addresses.push(hint.clone());
                }
            }
        }
        table
    }
}

/// An address of the chain at which a node can be dialled: a host and a TCP port, and nothing behind them.
fn dialable(text: &[u8]) -> Option<Multiaddr> {
    let address: Multiaddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    let [host, Protocol::Tcp(1..)] = parts.as_slice() else { return None };
    use Protocol::{Dns, Dns4, Dns6, Ip4, Ip6};
    matches!(host, Dns(_) | Dns4(_) | Dns6(_) | Ip4(_) | Ip6(_)).then_some(address)
}

impl<C> Members<C>
where
    C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + BlockchainEvents<Block> + Send + Sync + 'static,
    C::Api: ConsortiumApi<Block, AccountId> + AuraApi<Block, AuthorityId>,
{
    /// As the chain has it now.
    ///
    /// # Errors
    /// The runtime does not answer.
    pub fn open(
        client: Arc<C>,
        allowed: Allowed,
        clock: Clock,
        network: &NetworkConfiguration,
    ) -> Result<Self, ApiError> {
        let named = &network.default_peers_set.reserved_nodes;
        let mut hints = Table::new();
        for MultiaddrWithPeerId { multiaddr, peer_id } in named.iter().chain(&network.boot_nodes) {
            hints.entry(*peer_id).or_default().push(multiaddr.clone());
        }
        let reserved = named.iter().map(|node| node.peer_id).collect();
        let mut this = Self { client, allowed, clock, hints, reserved, now: Table::new(), seen: None };
        this.look(false)?;
        Ok(this)
    }

    /// Asks the runtime at the best and at the finalised block. Whoever is to be cut at once is cut when that is final: a
    /// block that is taken back cuts nobody off. Who leaves stays until the block is final in which the others go on without
    /// it, for its vote may be needed to make that block final.
    fn ask(&self, best: H256, last: H256, old: bool) -> Result<Word, ApiError> {
        // one instance of the runtime's interface is for one block
        let mut listed = self.client.runtime_api().members(best)?;
        let mut kept: BTreeSet<AccountId> = self.client.runtime_api().keep_connected(best)?.into_iter().collect();
        kept.extend(self.client.runtime_api().keep_connected(last)?);
        let at_last = self.client.runtime_api().members(last)?;
        let cut = at_last.iter().filter(|it| it.at_once).map(|it| it.account.clone()).collect();
        for it in at_last {
            if kept.contains(&it.account) && !listed.iter().any(|other| other.account == it.account) {
                listed.push(Member { leaving: true, ..it });
            }
        }
        Ok(Word { listed, kept, cut, old })
    }

    /// Reads the chain; says whether anything has changed. Nobody is shut out `while_syncing`: this node then walks through
    /// the past, in which those that can give it the present may be missing.
    fn look(&mut self, while_syncing: bool) -> Result<bool, ApiError> {
        let info = self.client.info();
        let old = age(&*self.client, info.best_hash, &self.clock) > OLD;
        let at = (info.best_hash, info.finalized_hash, while_syncing, old);
        if self.seen == Some(at) {
            return Ok(false);
        }
        let word = self.ask(info.best_hash, info.finalized_hash, old)?;
        self.seen = Some(at);
        let mut next = word.decide(&self.hints, &self.reserved);
        let mut names = word.names();
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
            self.now = next;
        }
        self.allowed.replace(
            self.now.keys().map(|peer| (*peer, names.remove(peer).unwrap_or_else(|| NAMELESS.into()))).collect(),
        );
        Ok(changed)
    }

    /// Tells the network whom to let in and to dial; who is not among them, or is `apart`, is cut.
    fn tell(
        &self,
        network: &dyn NetworkService,
        sync: &SyncingService<Block>,
        announces: &ProtocolName,
        apart: Option<PeerId>,
    ) {
        let own = network.local_peer_id();
        let others = self.now.iter().filter(|(peer, _)| **peer != own && Some(**peer) != apart);
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

    /// Peers that tell of a block that this node has not; none while it fetches a state in place of blocks.
    async fn ahead(&self, sync: &SyncingService<Block>) -> BTreeSet<PeerId> {
        match sync.status().await {
            Ok(status) if status.warp_sync.is_none() && status.state_sync.is_none() => {}
            _ => return BTreeSet::new(),
        }
        let lacks = |hash| matches!(self.client.status(hash), Ok(BlockStatus::Unknown));
        let peers = sync.peers_info().await.unwrap_or_default();
        peers.into_iter().filter(|(_, info)| lacks(info.best_hash)).map(|(peer, _)| peer).collect()
    }

    /// Follows the chain until it ends.
    pub async fn run(
        mut self,
        network: Arc<dyn NetworkService>,
        sync: Arc<SyncingService<Block>>,
        announces: ProtocolName,
    ) {
        // all of them: those that a node catches up with are otherwise passed over
        let mut imported = self.client.every_import_notification_stream();
        let mut finalised = self.client.finality_notification_stream();
        let mut clock = tokio::time::interval(LOOK_EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut anew = Anew::new(Instant::now());
        self.tell(&*network, &sync, &announces, None);
        loop {
            tokio::select! {
                block = imported.next() => match block {
                    Some(block) if block.origin == BlockOrigin::Own => {}
                    Some(_) => anew.came(Instant::now()),
                    None => return,
                },
                block = finalised.next() => if block.is_none() { return },
                _ = clock.tick() => {}
            }
            match self.look(sync.is_major_syncing()) {
                Ok(true) => self.tell(&*network, &sync, &announces, None),
                Ok(false) => {}
                Err(error) => log::warn!(target: LOG, "the chain cannot be read, trying again: {error}"),
            }
            if anew.waits_too_long(Instant::now()) {
                if let Some(peer) = anew.part(Instant::now(), &self.ahead(&sync).await) {
                    let name = self.allowed.name(&peer);
                    log::warn!(
                        target: LOG,
                        "{name} tells of blocks that never came here; this node parts from its node for {APART:?}, to ask it anew"
                    );
                    self.tell(&*network, &sync, &announces, Some(peer));
                    tokio::time::sleep(APART).await;
                    self.tell(&*network, &sync, &announces, None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_primitives::Address;

    fn member(account: u8, peers: &[PeerId], addresses: &[&str]) -> Member<AccountId> {
        Member {
            account: [account; 32].into(),
            name: Default::default(),
            peer_ids: peers.iter().map(|peer| peer.to_bytes()).collect(),
            addresses: addresses.iter().map(|text| Address::truncate_from(text.as_bytes().to_vec())).collect(),
            validator: true,
            participant: true,
            suspended: false,
            leaving: false,
            at_once: false,
        }
    }

    fn word(listed: Vec<Member<AccountId>>, old: bool) -> Word {
        Word { listed, kept: BTreeSet::new(), cut: BTreeSet::new(), old }
    }

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_command_line_counts_while_no_new_block_is_known_and_gives_addresses_of_members_later() {
        let (known, friend) = (PeerId::random(), PeerId::random());
        let hint = address("/ip4/127.0.0.1/tcp/1");
        let hints: Table = [(known, vec![hint.clone()]), (friend, vec![hint.clone()])].into();
        let reserved: HashSet<PeerId> = [friend].into();
        let listed = [member(1, &[known], &[]), member(2, &[], &[])];
        let with = |old| word(listed.to_vec(), old).decide(&hints, &reserved);
        assert_eq!(with(true), hints);
        assert_eq!(with(false), [(known, vec![hint])].into());
        // a chain that names no node, and one whose members are known by nothing else
        assert_eq!(word(vec![member(2, &[], &[])], false).decide(&hints, &reserved).len(), 1);
        let alone = word(listed.to_vec(), false).decide(&Table::new(), &HashSet::new());
        assert_eq!(alone, [(known, Vec::new())].into());
    }

    #[test]
    fn nodes_are_dialled_at_the_chains_addresses_before_those_of_the_command_line() {
        let (now, before) = (PeerId::random(), PeerId::random());
        let (here, there) = ("/dns/node.example/tcp/30333", "/ip4/192.0.2.7/tcp/1");
        let hints: Table = [(now, vec![address(there), address(here)])].into();
        let listed = vec![member(1, &[now, before], &[here, "/ip4/192.0.2.7/udp/1"])];
        let table = word(listed, false).decide(&hints, &HashSet::new());
        assert_eq!(table, [(now, vec![address(here), address(there)]), (before, vec![address(here)])].into());
    }

    #[test]
    fn of_the_chains_addresses_those_with_a_host_and_a_tcp_port_are_dialled() {
        for good in ["/dns/a.example/tcp/1", "/dns4/a/tcp/2", "/dns6/a/tcp/3", "/ip4/192.0.2.7/tcp/4", "/ip6/::1/tcp/5"]
        {
            assert_eq!(dialable(good.as_bytes()), Some(address(good)));
        }
        let of = format!("/ip4/192.0.2.7/tcp/1/p2p/{}", PeerId::random());
        for bad in ["", "a.example:1", "/ip4/192.0.2.7/tcp/0", "/ip4/192.0.2.7/udp/1", "/dns/a/tcp/1/ws", "/tcp/1", &of]
        {
            assert_eq!(dialable(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(dialable(b"/dns/\xff/tcp/1"), None);
    }

    #[test]
    fn whoever_leaves_stays_while_it_makes_blocks_and_whoever_is_cut_at_once_does_not() {
        let peers = [PeerId::random(), PeerId::random(), PeerId::random()];
        let mut listed: Vec<_> = (1..=3).zip(peers).map(|(n, peer)| member(n, &[peer], &[])).collect();
        let of = |word: &Word| word.decide(&Table::new(), &HashSet::new()).into_keys().collect::<HashSet<_>>();
        listed[1].leaving = true;
        let mut word = word(listed, false);
        assert_eq!(of(&word), [peers[0], peers[2]].into(), "nobody needs it");
        word.kept = [[1; 32].into(), [2; 32].into()].into();
        assert_eq!(of(&word), peers.into());
        // the best block says so, and might be taken back
        word.listed[1].at_once = true;
        assert_eq!(of(&word), peers.into());
        word.cut = [[2; 32].into()].into();
        assert_eq!(of(&word), [peers[0], peers[2]].into());
        // a node that another institution has by now is that one's
        word.listed[2].peer_ids.push(peers[1].to_bytes());
        assert_eq!(of(&word), peers.into());
    }
}
