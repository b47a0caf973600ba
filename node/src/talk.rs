//! How many transactions each member's node may pass on. The SDK's handler has every one validated that anybody sends, and takes a
//! little of the sender's reputation for it, which a member's node does not feel. Here each peer has a bucket: what does not fit is
//! not even looked at, and the institution is named in the log.
//!
//! The handler says of a transaction first to the network whose it is ([`Watched`]), and then hands it to the pool ([`Heard`]), in
//! one task; later it says of each whether it was good. By that order each is charged to who sent it.

use crate::{allowed::Allowed, courier::Bucket};
use consilium_runtime::opaque::{Block, UncheckedExtrinsic};
use futures::future::ready;
use parking_lot::Mutex;
use sc_network::{
    config::MultiaddrWithPeerId,
    event::Event,
    multiaddr::Multiaddr,
    service::traits::{NetworkEventStream, NetworkPeers, NetworkService},
    ObservedRole, ProtocolName, ReputationChange,
};
use sc_network_transactions::config::{TransactionImport, TransactionImportFuture, TransactionPool};
use sc_network_types::PeerId;
use sp_core::H256;
use std::{
    collections::{HashMap, HashSet},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

/// Transactions that a peer may send at once, before the rate counts.
const BURST: f64 = 1_000.0;
/// Transactions that a peer may send in a second, in the long run: those of all members come by each of them.
const RATE: f64 = 50.0;
/// What one more costs that turns out to be invalid: an honest node sends those that have just been included, now and then.
const INVALID: f64 = 4.0;
/// A peer that sends too much is named so often at most.
const NAME_EVERY: Duration = Duration::from_secs(60);
/// Why the SDK's handler takes reputation of a peer: for any transaction, before it is handed on, and for one that was not valid.
const ANY: &str = "Any transaction";
const BAD: &str = "Bad transaction";

/// What a peer has sent.
struct Talker {
    bucket: Bucket,
    invalid: u64,
    unheard: u64,
    named: Option<Instant>,
}

/// Who may send how much more.
#[derive(Default)]
struct Book {
    talkers: HashMap<PeerId, Talker>,
    /// Whose the transaction is that the handler has in hand.
    in_hand: Option<PeerId>,
}

impl Book {
    fn talker(&mut self, peer: PeerId, now: Instant) -> &mut Talker {
        let new = || Talker { bucket: Bucket::new(BURST, RATE, now), invalid: 0, unheard: 0, named: None };
        self.talkers.entry(peer).or_insert_with(new)
    }

    /// Notes what the handler says of a peer.
    fn note(&mut self, peer: PeerId, why: &str, now: Instant) {
        match why {
            ANY => self.in_hand = Some(peer),
            BAD => {
                let talker = self.talker(peer, now);
                talker.invalid = talker.invalid.saturating_add(1);
                talker.bucket.charge(INVALID, now);
            }
            _ => {}
        }
    }

    /// Whether the transaction in hand is looked at; if not, and it is time to, who is to be named, with how many were invalid and
    /// how many not looked at since the last time.
    fn admit(&mut self, now: Instant) -> Result<(), Option<(PeerId, u64, u64)>> {
        let Some(peer) = self.in_hand.take() else { return Ok(()) };
        let talker = self.talker(peer, now);
        if talker.bucket.take(1.0, now).is_ok() {
            return Ok(());
        }
        talker.unheard = talker.unheard.saturating_add(1);
        if talker.named.is_some_and(|at| now.saturating_duration_since(at) < NAME_EVERY) {
            return Err(None);
        }
        talker.named = Some(now);
        Err(Some((peer, std::mem::take(&mut talker.invalid), std::mem::take(&mut talker.unheard))))
    }
}

/// Both sides of the limit, for one handler.
pub fn limited<P>(network: Arc<dyn NetworkService>, pool: P, allowed: Allowed) -> (Watched, Heard<P>) {
    let book = Arc::new(Mutex::new(Book::default()));
    (Watched { network, book: book.clone(), allowed: allowed.clone() }, Heard { pool, book, allowed })
}

/// The pool, of which only what fits is asked.
pub struct Heard<P> {
    pool: P,
    book: Arc<Mutex<Book>>,
    allowed: Allowed,
}

impl<P: TransactionPool<H256, Block>> TransactionPool<H256, Block> for Heard<P> {
    fn transactions(&self) -> Vec<(H256, Arc<UncheckedExtrinsic>)> {
        self.pool.transactions()
    }

    fn hash_of(&self, transaction: &UncheckedExtrinsic) -> H256 {
        self.pool.hash_of(transaction)
    }

    fn import(&self, transaction: UncheckedExtrinsic) -> TransactionImportFuture {
        let admitted = self.book.lock().admit(Instant::now());
        let Err(named) = admitted else { return self.pool.import(transaction) };
        if let Some((peer, invalid, unheard)) = named {
            log::warn!(
                target: "members",
                "{}'s node, {peer}, sends more transactions than a member's may: {unheard} were not looked at and {invalid} \
                 invalid since this was said last; it is heard {RATE} times a second. Ask its people; if it goes on, suspend it",
                self.allowed.name(&peer)
            );
        }
        Box::pin(ready(TransactionImport::None))
    }

    fn on_broadcasted(&self, propagations: HashMap<H256, Vec<String>>) {
        self.pool.on_broadcasted(propagations);
    }

    fn transaction(&self, hash: &H256) -> Option<Arc<UncheckedExtrinsic>> {
        self.pool.transaction(hash)
    }
}

/// The network, which hears of whom the handler speaks.
#[derive(Clone)]
pub struct Watched {
    network: Arc<dyn NetworkService>,
    book: Arc<Mutex<Book>>,
    allowed: Allowed,
}

impl NetworkEventStream for Watched {
    fn event_stream(&self, name: &'static str) -> Pin<Box<dyn futures::Stream<Item = Event> + Send>> {
        self.network.event_stream(name)
    }
}

impl NetworkPeers for Watched {
    fn report_peer(&self, peer: PeerId, change: ReputationChange) {
        let mut book = self.book.lock();
        book.note(peer, change.reason, Instant::now());
        // whoever is no member any more is forgotten
        if book.talkers.len() > 2 * self.allowed.count() {
            book.talkers.retain(|peer, _| self.allowed.contains(peer));
        }
        drop(book);
        self.network.report_peer(peer, change);
    }

    fn set_authorized_peers(&self, peers: HashSet<PeerId>) {
        self.network.set_authorized_peers(peers);
    }

    fn set_authorized_only(&self, reserved_only: bool) {
        self.network.set_authorized_only(reserved_only);
    }

    fn add_known_address(&self, peer: PeerId, address: Multiaddr) {
        self.network.add_known_address(peer, address);
    }

    fn peer_reputation(&self, peer: &PeerId) -> i32 {
        self.network.peer_reputation(peer)
    }

    fn disconnect_peer(&self, peer: PeerId, protocol: ProtocolName) {
        self.network.disconnect_peer(peer, protocol);
    }

    fn accept_unreserved_peers(&self) {
        self.network.accept_unreserved_peers();
    }

    fn deny_unreserved_peers(&self) {
        self.network.deny_unreserved_peers();
    }

    fn add_reserved_peer(&self, peer: MultiaddrWithPeerId) -> Result<(), String> {
        self.network.add_reserved_peer(peer)
    }

    fn remove_reserved_peer(&self, peer: PeerId) {
        self.network.remove_reserved_peer(peer);
    }

    fn set_reserved_peers(&self, protocol: ProtocolName, peers: HashSet<Multiaddr>) -> Result<(), String> {
        self.network.set_reserved_peers(protocol, peers)
    }

    fn add_peers_to_reserved_set(&self, protocol: ProtocolName, peers: HashSet<Multiaddr>) -> Result<(), String> {
        self.network.add_peers_to_reserved_set(protocol, peers)
    }

    fn remove_peers_from_reserved_set(&self, protocol: ProtocolName, peers: Vec<PeerId>) -> Result<(), String> {
        self.network.remove_peers_from_reserved_set(protocol, peers)
    }

    fn sync_num_connected(&self) -> usize {
        self.network.sync_num_connected()
    }

    fn peer_role(&self, peer: PeerId, handshake: Vec<u8>) -> Option<ObservedRole> {
        self.network.peer_role(peer, handshake)
    }

    fn reserved_peers<'a, 'b>(&'a self) -> Pin<Box<dyn Future<Output = Result<Vec<PeerId>, ()>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        self.network.reserved_peers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_too_much_is_not_heard_for_the_rest_and_named_once_a_minute() {
        let (loud, other) = (PeerId::random(), PeerId::random());
        let (mut book, began) = (Book::default(), Instant::now());
        let send = |book: &mut Book, peer, at| {
            book.note(peer, ANY, at);
            book.admit(at)
        };
        let heard = (0..2_000).filter(|_| send(&mut book, loud, began).is_ok()).count();
        assert_eq!(heard, BURST as usize);
        // it was named with the first, and is again a minute later, with all since
        let later = began + NAME_EVERY + Duration::from_secs(1);
        let heard = (0..2_000).map(|_| send(&mut book, loud, later)).collect::<Vec<_>>();
        let named: Vec<_> = heard.iter().filter_map(|it| it.as_ref().err().copied().flatten()).collect();
        assert_eq!(named, [(loud, 0, 1_000)]);
        assert_eq!(send(&mut book, other, later), Ok(()), "another is heard");
        assert_eq!(book.admit(later), Ok(()), "what this node makes itself is nobody's");
    }

    #[test]
    fn what_is_invalid_costs_more() {
        let peer = PeerId::random();
        let (mut book, now) = (Book::default(), Instant::now());
        let mut heard = 0;
        for _ in 0..BURST as u32 {
            book.note(peer, ANY, now);
            if book.admit(now).is_ok() {
                heard += 1;
                book.note(peer, BAD, now);
            }
        }
        assert_eq!(heard, (BURST / (1.0 + INVALID)) as u32);
        assert_eq!(book.talkers[&peer].invalid, 0, "it was named with how many there were");
        let second = now + Duration::from_secs(1);
        book.note(peer, "Good transaction", second);
        assert!(book.in_hand.is_none());
        book.note(peer, ANY, second);
        assert_eq!(book.admit(second), Ok(()));
    }
}
