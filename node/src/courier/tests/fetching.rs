//! Whole couriers over a network of closures.

use super::*;
use crate::courier::{
    fetch::{Fetcher, Patience, Transport},
    gate::Bucket,
    peers::{self, Outcome, Peers, FIRST_REST, LONGEST_REST},
    serve,
    wire::{Asked, MAX_RESPONSE},
};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use sc_network::ReputationChange;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// What a peer does with a request.
pub type Behaviour = Box<dyn Fn(Vec<u8>) -> BoxFuture<'static, Option<Vec<u8>>> + Send + Sync>;

/// A network as one node sees it.
#[derive(Default)]
pub struct Net {
    pub peers: BTreeMap<PeerId, Behaviour>,
    pub asked: Mutex<Vec<PeerId>>,
    pub reported: Mutex<Vec<PeerId>>,
}

impl Transport for Arc<Net> {
    fn ask(&self, peer: PeerId, asked: Asked) -> BoxFuture<'static, Option<Vec<u8>>> {
        self.asked.lock().push(peer);
        match self.peers.get(&peer) {
            Some(behaviour) => behaviour(asked.bytes()),
            None => Box::pin(async { None }),
        }
    }

    fn report(&self, peer: PeerId, _: ReputationChange) {
        self.reported.lock().push(peer);
    }
}

/// An honest node, asked by institution `from`.
pub fn honest(house: &House, from: u8) -> Behaviour {
    let server = house.server.clone();
    Box::new(move |request| {
        let response = server.answer(&request, peer(from)).response.encode();
        Box::pin(async move { Some(response) })
    })
}

pub fn saying(bytes: Vec<u8>) -> Behaviour {
    Box::new(move |_| {
        let bytes = bytes.clone();
        Box::pin(async move { Some(bytes) })
    })
}

fn silent() -> Behaviour {
    Box::new(|_| Box::pin(futures::future::pending()))
}

pub fn fetch(there: &House, net: &Arc<Net>, snapshot: Arc<Snapshot>, blobs: &[BlobRef], seconds: u64) -> bool {
    let patience = Patience { response: Duration::from_millis(300), turn: Duration::from_secs(60) };
    fetch_with(there, net, snapshot, blobs, patience, seconds)
}

/// Runs a fetcher until all of the blobs are there, or the time is over; says whether they are.
pub fn fetch_with(
    there: &House,
    net: &Arc<Net>,
    snapshot: Arc<Snapshot>,
    blobs: &[BlobRef],
    patience: Patience,
    seconds: u64,
) -> bool {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let time = Duration::from_secs(seconds);
    runtime.block_on(fetch_over(there, net.clone(), snapshot, blobs, patience, time))
}

/// The same over any network.
pub async fn fetch_over(
    there: &House,
    transport: impl Transport,
    snapshot: Arc<Snapshot>,
    blobs: &[BlobRef],
    patience: Patience,
    time: Duration,
) -> bool {
    let (_sender, snapshots) = watch::channel(snapshot);
    let fetcher = Fetcher::new(there.store.clone(), transport, patience, there.figures.clone());
    let arrived = async {
        while !blobs.iter().all(|blob| there.store.holds(blob)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = fetcher.run(snapshots, || false, futures::stream::pending()) => false,
        () = arrived => true,
        () = tokio::time::sleep(time) => false,
    }
}

/// Runs a fetcher until something is so, or the time is over; says whether it is.
pub fn fetch_until(
    there: &House,
    net: &Arc<Net>,
    snapshot: Arc<Snapshot>,
    seconds: u64,
    so: impl Fn() -> bool,
) -> bool {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let patience = Patience { response: Duration::from_millis(300), turn: Duration::from_secs(60) };
    let (_sender, snapshots) = watch::channel(snapshot);
    let fetcher = Fetcher::new(there.store.clone(), net.clone(), patience, there.figures.clone());
    runtime.block_on(async {
        let wait = async {
            while !so() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = fetcher.run(snapshots, || false, futures::stream::pending()) => false,
            () = wait => true,
            () = tokio::time::sleep(Duration::from_secs(seconds)) => false,
        }
    })
}

#[test]
fn what_is_wanted_arrives_and_can_be_passed_on() {
    let source = House::new();
    let made: Vec<_> = SIZES.iter().enumerate().map(|(n, size)| blob(*size, n as u8)).collect();
    let listed: Vec<_> = made.iter().map(|(_, blob)| notice(Kind::Update, *blob, &[1], &[1, 2, 3])).collect();
    made.iter().for_each(|(bytes, blob)| source.put(blob, bytes));
    source.server.update(chain(1, &listed, &listed));
    let blobs: Vec<_> = made.iter().map(|(_, blob)| *blob).collect();

    let second = House::new();
    let net = Arc::new(Net { peers: BTreeMap::from([(peer(1), honest(&source, 2))]), ..Net::default() });
    assert!(fetch(&second, &net, chain(2, &listed, &listed), &blobs, 20));
    made.iter().for_each(|(bytes, blob)| assert_eq!(&fs::read(second.file(blob)).unwrap(), bytes));

    // the author is gone, and a member that fetched passes on
    second.server.update(chain(2, &listed, &listed));
    let third = House::new();
    let net = Arc::new(Net { peers: BTreeMap::from([(peer(2), honest(&second, 3))]), ..Net::default() });
    assert!(fetch(&third, &net, chain(3, &listed, &listed), &blobs, 20));
    assert!(net.reported.lock().is_empty());
}

#[test]
fn what_is_there_or_not_wanted_or_not_ours_is_not_fetched() {
    let (bytes, held) = blob(100, 1);
    let (_, idle) = blob(100, 2);
    let (_, foreign) = blob(100, 3);
    let listed = [
        // made here, and named as held here; what is only there is shown once by a holder, before others may have it
        notice(Kind::Merged, held, &[1, 2], &[1, 2]),
        Notice { wanted: false, ..notice(Kind::Merged, idle, &[1], &[1, 2]) },
        notice(Kind::Merged, foreign, &[1], &[1, 3]),
    ];
    let there = House::new();
    there.put(&held, &bytes);
    let net = Arc::new(Net::default());
    assert!(!fetch(&there, &net, chain(2, &listed, &listed), &[idle], 1));
    assert!(net.asked.lock().is_empty());
}

#[test]
fn a_peer_with_wrong_bytes_is_asked_once_and_others_instead() {
    let (source, bytes, blob) = holder(100_000, 1);
    source.server.update({
        let listed = [notice(Kind::Merged, blob, &[1], &[1, 2, 3, 4, 5])];
        chain(1, &listed, &listed)
    });
    // all that the chain names as holders lie, so that each of them is asked before the honest member
    let seen = [notice(Kind::Merged, blob, &[3, 4, 5], &[1, 2, 3, 4, 5])];
    let there = House::new();
    let peers = BTreeMap::from([
        (peer(1), honest(&source, 2)),
        (peer(3), saying(Response::Data(vec![0; 100_000]).encode())),
        (peer(4), saying(Response::Data(Vec::new()).encode())),
        (peer(5), saying(vec![0; MAX_RESPONSE as usize + 1])),
    ]);
    let net = Arc::new(Net { peers, ..Net::default() });
    assert!(fetch(&there, &net, chain(2, &seen, &seen), &[blob], 10));
    assert_eq!(fs::read(there.file(&blob)).unwrap(), bytes);
    let mut asked = net.asked.lock().clone();
    assert_eq!(asked.pop(), Some(peer(1)));
    asked.sort();
    let mut reported = net.reported.lock().clone();
    reported.sort();
    let liars = BTreeSet::from([3, 4, 5].map(peer)).into_iter().collect::<Vec<_>>();
    assert_eq!((asked, reported), (liars.clone(), liars));
}

#[test]
fn peers_that_lie_for_ever_get_nothing_into_the_store() {
    let (_, blob) = blob(100_000, 1);
    let listed = [notice(Kind::Merged, blob, &[3], &[2, 3, 4])];
    let there = House::new();
    let peers = BTreeMap::from([
        (peer(3), saying(Response::Data(vec![1; 1000]).encode())),
        (peer(4), saying(b"no response".to_vec())),
    ]);
    let net = Arc::new(Net { peers, ..Net::default() });
    assert!(!fetch(&there, &net, chain(2, &listed, &listed), &[blob], 2));
    assert_eq!(net.asked.lock().len(), 2);
    assert_eq!(net.reported.lock().len(), 2);
}

#[test]
fn a_silent_holder_does_not_keep_others_from_giving() {
    let (source, _, blob) = holder(3 * 1024 * 1024, 1);
    // node 1 fetched it for this study; the chain names only node 3 as holder, and that one never answers
    let listed = [notice(Kind::Merged, blob, &[1, 3], &[1, 2, 3])];
    source.server.update(chain(1, &listed, &listed));
    let there = House::new();
    let peers = BTreeMap::from([(peer(3), silent()), (peer(1), honest(&source, 2))]);
    let net = Arc::new(Net { peers, ..Net::default() });
    let seen = [notice(Kind::Merged, blob, &[3], &[1, 2, 3])];
    assert!(fetch(&there, &net, chain(2, &seen, &seen), &[blob], 10));
    assert_eq!(net.asked.lock().first(), Some(&peer(3)));
}

#[test]
fn nothing_is_fetched_beyond_the_quota() {
    let (source, _, blob) = holder(100_000, 1);
    let (bytes, other) = super::blob(60_000, 2);
    // one that is here and that a study needs
    let listed = [notice(Kind::Update, blob, &[1], &[1, 2]), notice(Kind::Update, other, &[2], &[1, 2])];
    let there = House::with_quota(150_000);
    there.put(&other, &bytes);
    let net = Arc::new(Net { peers: BTreeMap::from([(peer(1), honest(&source, 2))]), ..Net::default() });
    let snapshot = chain(2, &listed, &listed);
    assert!(!fetch(&there, &net, snapshot.clone(), &[blob], 1));
    assert!(net.asked.lock().is_empty());
    let usage = there.store.usage(|root, noted| snapshot.needs(root, noted)).unwrap();
    let over = usage.room_for(&[blob]).unwrap_err();
    assert_eq!((over.used, over.wanted, over.quota), (60_000, 100_000, 150_000));
    assert_eq!(over.needed_mib(), 1);
    // what no study needs is no obligation
    assert!(fetch(&there, &net, chain(2, &listed[..1], &listed[..1]), &[blob], 5));
}

#[test]
fn of_two_blobs_that_fit_alone_and_not_together_one_is_fetched() {
    let source = House::new();
    let made = [blob(100_000, 1), blob(100_000, 2)];
    made.iter().for_each(|(bytes, blob)| source.put(blob, bytes));
    let listed = [0, 1].map(|n: usize| notice(Kind::Update, made[n].1, &[1], &[1, 2]));
    source.server.update(chain(1, &listed, &listed));
    let there = House::with_quota(150_000);
    // two peers, so that both could begin in one look
    let seen = [notice(Kind::Update, made[0].1, &[1], &[1, 2]), notice(Kind::Update, made[1].1, &[3], &[2, 3])];
    let peers = BTreeMap::from([(peer(1), honest(&source, 2)), (peer(3), honest(&source, 2))]);
    let net = Arc::new(Net { peers, ..Net::default() });
    let snapshot = chain(2, &seen, &seen);
    assert!(fetch(&there, &net, snapshot.clone(), &[made[0].1], 5));
    assert!(!fetch(&there, &net, snapshot, &[made[1].1], 1));
    assert_eq!(net.asked.lock().len(), 1);
}

#[test]
fn an_honest_fetcher_uses_the_rate_it_is_allowed_and_stays_within_it() {
    let start = Instant::now();
    let mut fetcher = Peers::default();
    let mut server = Bucket::new(serve::BURST.into(), serve::RATE.into(), start);
    let (seconds, mut made) = (20, 0);
    for step in 0..seconds * 1000 {
        let now = start + Duration::from_millis(step);
        while fetcher.pace(peer(1), now).is_zero() {
            made += 1;
            assert_eq!(server.take(1.0, now), Ok(()), "request {made} after {step} ms");
        }
    }
    let allowed = u64::from(peers::BURST) + seconds * u64::from(peers::RATE);
    assert!((allowed - 2..=allowed).contains(&made), "{made} of {allowed}");
    // and not far below what the server allows
    const { assert!(10 * peers::RATE >= 9 * serve::RATE) };
}

#[test]
fn holders_come_first_and_failing_peers_rest_longer_each_time() {
    let blob = update(blob(10, 1).1);
    let sources = [(peer(1), true), (peer(2), false)];
    let mut peers = Peers::default();
    let mut now = Instant::now();
    assert_eq!(peers.choose(&sources, &blob, now), Some(peer(1)));
    peers.begun(peer(1), now);
    // only at work: it is waited for
    assert_eq!(peers.choose(&sources, &blob, now), None);
    let mut rest = FIRST_REST;
    for _ in 0..8 {
        peers.ended(peer(1), &blob, Outcome::TimedOut, now);
        assert_eq!(peers.choose(&sources, &blob, now + rest / 2), Some(peer(2)));
        now += rest;
        assert_eq!(peers.choose(&sources, &blob, now), Some(peer(1)));
        rest = (rest * 2).min(LONGEST_REST);
    }
    assert_eq!(rest, LONGEST_REST);
    peers.gave(peer(1), now);
    assert_eq!(peers.choose(&sources, &blob, now), Some(peer(1)));
}

#[test]
fn a_refusal_is_forgiven_when_the_chain_moves_and_a_lie_is_not() {
    let [asked, other] = [1, 2].map(|seed| update(blob(10, seed).1));
    let sources = [(peer(1), true), (peer(2), true)];
    let now = Instant::now();
    let mut peers = Peers::default();
    peers.ended(peer(1), &asked, Outcome::Refused, now);
    peers.ended(peer(2), &asked, Outcome::WrongBytes, now);
    assert_eq!(peers.choose(&sources, &asked, now), None);
    assert!(peers.choose(&sources, &other, now).is_some());
    peers.forgive(&asked);
    assert_eq!(peers.choose(&sources, &asked, now), Some(peer(1)));
    let days = now + Duration::from_secs(1_000_000);
    assert_eq!(peers.choose(&sources[1..], &asked, days), None);
    // a node's own full disk is no peer's fault
    peers.ended(peer(1), &other, Outcome::Local, now);
    assert_eq!(peers.choose(&sources, &other, now), None);
    assert!(peers.choose(&sources, &other, days).is_some());
}
