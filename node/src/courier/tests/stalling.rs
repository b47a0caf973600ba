//! Fetching from peers that give little, late, or nothing but words.

use super::{fetching::*, *};
use crate::courier::{
    fetch::Patience,
    peers::{Outcome, Peers, FLOOR},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const MIB: usize = 1024 * 1024;

/// What every test here allows: a second for a response, half a one for a turn.
const PATIENCE: Patience = Patience { response: Duration::from_secs(1), turn: Duration::from_millis(500) };

/// The right answers, each after so many milliseconds.
fn dripping(house: &House, from: u8, millis: u64) -> Behaviour {
    let server = house.server.clone();
    Box::new(move |request| {
        let server = server.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Some(server.answer(&request, peer(from)).response.encode())
        })
    })
}

/// "Busy", each time after so many milliseconds.
fn busy(millis: u64) -> Behaviour {
    Box::new(move |_| {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Some(Response::Busy.encode())
        })
    })
}

/// A house of institution `n` that holds a blob and may give it to all.
fn giving(n: u8, blob: &BlobRef, bytes: &[u8]) -> House {
    let house = House::new();
    house.put(blob, bytes);
    let listed = [notice(Kind::Update, *blob, &[n], &[1, 2, 3, 4, 5])];
    house.server.update(chain(n, &listed, &listed));
    house
}

#[test]
fn a_holder_that_drips_loses_its_turn_and_the_rest_comes_from_another() {
    // one at a time is 48 times 300 ms divided by two requests at once: 7 s
    let (bytes, blob) = blob(48 * MIB, 1);
    let (author, member) = (giving(1, &blob, &bytes), giving(3, &blob, &bytes));
    let there = House::new();
    let peers = BTreeMap::from([(peer(1), dripping(&author, 2, 300)), (peer(3), honest(&member, 2))]);
    let net = Arc::new(Net { peers, ..Net::default() });
    // the chain knows of the author only
    let seen = [notice(Kind::Update, blob, &[1], &[1, 2, 3])];
    assert!(fetch_with(&there, &net, chain(2, &seen, &seen), &[blob], PATIENCE, 5));
    assert_eq!(net.asked.lock().first(), Some(&peer(1)));
    // what the first gave is not fetched again
    let begin = member.egress().first().unwrap().first;
    assert!(begin > 0 && begin < 8 * MIB as u64, "{begin}");
    assert!(author.egress().iter().all(|line| line.first < begin + 2 * MIB as u64));
    assert_eq!(fs::read(there.file(&blob)).unwrap(), bytes);
}

#[test]
fn a_holder_that_drips_is_better_than_none() {
    let (bytes, blob) = blob(6 * MIB, 1);
    let author = giving(1, &blob, &bytes);
    let there = House::new();
    let net = Arc::new(Net { peers: BTreeMap::from([(peer(1), dripping(&author, 2, 300))]), ..Net::default() });
    let seen = [notice(Kind::Update, blob, &[1], &[1, 2])];
    assert!(fetch_with(&there, &net, chain(2, &seen, &seen), &[blob], PATIENCE, 5));
    // in one go: six parts, each asked for once
    assert_eq!(net.asked.lock().len(), 6);
}

#[test]
fn a_holder_that_is_busy_for_ever_does_not_keep_others_from_giving() {
    // eight times 500 and 250 ms for one request: 6 s
    let (bytes, blob) = blob(MIB, 1);
    let member = giving(3, &blob, &bytes);
    let there = House::new();
    let peers = BTreeMap::from([(peer(1), busy(500)), (peer(3), honest(&member, 2))]);
    let net = Arc::new(Net { peers, ..Net::default() });
    let seen = [notice(Kind::Update, blob, &[1], &[1, 2, 3])];
    assert!(fetch_with(&there, &net, chain(2, &seen, &seen), &[blob], PATIENCE, 3));
    assert_eq!(net.asked.lock().first(), Some(&peer(1)));
}

#[test]
fn holders_that_drip_do_not_keep_another_blob_waiting() {
    // as many as there are sessions, each the only source of its blob
    let drippers = [1, 3, 4, 5];
    let made: Vec<_> = drippers.iter().map(|n| (*n, blob(16 * MIB, *n))).collect();
    let (bytes, wanted) = blob(MIB, 6);
    let house = giving(1, &wanted, &bytes);
    let there = House::new();
    let mut peers = BTreeMap::from([(peer(6), honest(&house, 2))]);
    let houses: Vec<_> = made.iter().map(|(n, (bytes, blob))| (n, giving(*n, blob, bytes))).collect();
    // slower than the floor: nothing at all within a turn
    peers.extend(houses.iter().map(|(n, house)| (peer(**n), dripping(house, 2, 900))));
    let net = Arc::new(Net { peers, ..Net::default() });
    let mut listed: Vec<_> = made.iter().map(|(n, (_, blob))| notice(Kind::Update, *blob, &[*n], &[2, *n])).collect();
    listed.push(notice(Kind::Update, wanted, &[6], &[2, 6]));
    let nodes: Vec<_> = (1..=6).map(|n| (n, peer(n))).collect();
    let snapshot = chain_of(&peer(2), &nodes, &listed, &listed);
    assert!(fetch_with(&there, &net, snapshot, &[wanted], PATIENCE, 4));
    assert!(drippers.iter().all(|n| net.asked.lock().contains(&peer(*n))));
}

#[test]
fn one_that_gives_below_the_floor_counts_as_failing_until_it_does_better() {
    let [slow, other] = [1, 2].map(|seed| update(blob(10, seed).1));
    let sources = [(peer(1), true), (peer(2), false)];
    let mut peers = Peers::default();
    let mut now = Instant::now();
    peers.ended(peer(1), &slow, Outcome::Slow(FLOOR - 1), now);
    // it rests, for every blob, and after that others are asked first for this one
    assert_eq!(peers.choose(&sources[..1], &other, now), None);
    now += Duration::from_secs(3);
    assert_eq!(peers.choose(&sources, &slow, now), Some(peer(2)));
    assert_eq!(peers.choose(&sources[..1], &slow, now), Some(peer(1)));
    // a part in between is not enough: the next rest is longer
    peers.gave(peer(1), now);
    peers.ended(peer(1), &slow, Outcome::Slow(FLOOR - 1), now);
    assert_eq!(peers.choose(&sources[..1], &slow, now + Duration::from_secs(3)), None);
    now += Duration::from_secs(5);
    peers.ended(peer(1), &slow, Outcome::Slow(FLOOR), now);
    assert_eq!(peers.choose(&sources[..1], &slow, now), Some(peer(1)));
}

#[test]
fn a_turn_is_ended_for_one_that_is_untried_or_twice_as_fast_and_for_no_other() {
    let asked = update(blob(10, 1).1);
    let sources = [(peer(1), true), (peer(2), false), (peer(3), true)];
    let now = Instant::now();
    let mut peers = Peers::default();
    let rate = 10 * FLOOR;
    peers.begun(peer(1), now);
    let better = |peers: &Peers, n: usize| peers.better(peer(1), rate, &sources[..n], &asked, now);
    assert!(!better(&peers, 1));
    assert!(better(&peers, 2));
    peers.ended(peer(2), &asked, Outcome::Slow(2 * rate - 1), now);
    assert!(!better(&peers, 2));
    peers.ended(peer(2), &asked, Outcome::Slow(2 * rate), now);
    assert!(better(&peers, 2));
    peers.ended(peer(2), &asked, Outcome::NotHeld, now);
    assert!(!better(&peers, 2));
    // one that has something else to do is not waited for
    assert!(better(&peers, 3));
    peers.begun(peer(3), now);
    assert!(!better(&peers, 3));
    // one that failed lately is better than one below the floor only
    peers.ended(peer(3), &asked, Outcome::Failed, now);
    let later = now + Duration::from_secs(60);
    assert!(!peers.better(peer(1), rate, &sources[2..], &asked, later));
    assert!(peers.better(peer(1), FLOOR - 1, &sources[2..], &asked, later));
}

#[test]
fn one_that_is_busy_again_and_again_rests_longer_and_one_that_gave_does_not() {
    let asked = update(blob(10, 1).1);
    let source = [(peer(1), true)];
    let mut peers = Peers::default();
    let now = Instant::now();
    let soon = now + Duration::from_millis(1500);
    peers.ended(peer(1), &asked, Outcome::Busy, now);
    assert_eq!(peers.choose(&source, &asked, now), None);
    assert_eq!(peers.choose(&source, &asked, soon), Some(peer(1)));
    peers.ended(peer(1), &asked, Outcome::Busy, now);
    assert_eq!(peers.choose(&source, &asked, soon), None);
    // a failure: among those that may hold the blob, others come first
    let both = [(peer(1), false), (peer(2), false)];
    let chosen = |entry: &Entry| Peers::default().choose(&both, entry, now);
    let other = (0..).map(|seed| update(blob(10, seed).1)).find(|entry| chosen(entry) == Some(peer(1))).unwrap();
    assert_eq!(peers.choose(&both, &other, now + Duration::from_secs(60)), Some(peer(2)));
    peers.gave(peer(1), now);
    peers.ended(peer(1), &asked, Outcome::Busy, now);
    assert_eq!(peers.choose(&source, &asked, soon), Some(peer(1)));
}
