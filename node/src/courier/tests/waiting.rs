//! Requests that come a moment too early: they wait, within bounds, and are answered when they may be.

use super::{fetching::*, network::Node, *};
use crate::courier::{
    fetch::{Fetcher, Patience, PATIENCE},
    load::UNSENT_PER_PEER,
    parking::{WAITING, WAITING_PER_PEER},
    peers::{Outcome, Peers, FIRST_NOT_YET, FIRST_REST, LONGEST_NOT_YET},
    serve as serve_requests,
    wire::{Asked, LONGEST_PATIENCE},
};
use futures::stream::{FuturesUnordered, StreamExt};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// What a request that waits so long says.
fn patient(entry: Entry, patience_ms: u16) -> Vec<u8> {
    Asked { request: first(entry), patience_ms: Some(patience_ms) }.bytes()
}

/// A node of institution 1 that holds an update whose freeze is not final there, and what the chain says once it is.
fn early_holder(members: &[u8], nodes: &[(u8, PeerId)]) -> (House, Entry, Arc<Snapshot>) {
    let house = House::new();
    let (bytes, blob) = blob(1024, 1);
    house.put(&blob, &bytes);
    let listed = [notice(Kind::Update, blob, &[1], members)];
    house.server.update(chain_of(&peer(1), nodes, &listed, &[]));
    (house, update(blob), chain_of(&peer(1), nodes, &listed, &listed))
}

fn five() -> Vec<(u8, PeerId)> {
    (1..=5).map(|n| (n, peer(n))).collect()
}

/// What a peer gets, once it gets anything; and how long that took.
async fn decided(house: &House, from: u8, request: Vec<u8>) -> (Option<Response>, Duration) {
    let began = Instant::now();
    let said = house.server.decide(&request, peer(from)).await.err().map(|answer| answer.response);
    (said, began.elapsed())
}

async fn until(so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(10), "it never came to be so");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_holder_sees_as_final_a_moment_later_arrives_at_once_over_real_connections() {
    let (author, member) = (Node::start().await, Node::start().await);
    let nodes = [(1, author.peer()), (2, member.peer())];
    let source = House::new();
    tokio::spawn(serve_requests(source.server.clone(), author.port.requests.clone()));
    let there = House::new();
    let (sender, snapshots) = watch::channel(Arc::default());
    let fetcher = Fetcher::new(there.store.clone(), member.towards(&author), PATIENCE, there.figures.clone());
    tokio::spawn(async move { fetcher.run(snapshots, || false, futures::stream::pending()).await });
    let (_, unknown) = blob(10, 99);
    source.server.update(chain_of(&author.peer(), &nodes, &[], &[]));
    member.first_answer(&author, first(update(unknown)).encode()).await;

    let mut took = Vec::new();
    let delays = [(10, true), (10, true), (10, true), (10, false), (300, false), (1200, true)];
    for (seed, (behind, ahead)) in delays.into_iter().enumerate() {
        let (bytes, made) = blob(2400, seed as u8);
        source.put(&made, &bytes);
        let listed = [notice(Kind::Update, made, &[1], &[1, 2])];
        // the holder has the block that lists it, and not that it is final; the one who asks may know
        source.server.update(chain_of(&author.peer(), &nodes, &listed, &[]));
        let known = if ahead { &listed[..] } else { &[] };
        sender.send_replace(chain_of(&member.peer(), &nodes, &listed, known));
        tokio::time::sleep(Duration::from_millis(behind)).await;
        assert_eq!(source.egress().len(), seed, "nothing leaves before it is final where it leaves");
        assert!(!there.store.holds(&made));
        let began = Instant::now();
        source.server.update(chain_of(&author.peer(), &nodes, &listed, &listed));
        until(|| there.store.holds(&made)).await;
        took.push(began.elapsed());
        assert_eq!(fs::read(there.file(&made)).unwrap(), bytes);
    }
    println!("after the holder's finality: {took:?}");
    // who asks again rests longer than a second at last; a busy machine may be late once or twice
    took.sort();
    assert!(took[took.len() / 2] < Duration::from_millis(150), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_has_so_many_requests_waiting_and_the_next_is_put_off_at_once() {
    let (house, asked, settled) = early_holder(&[1, 2, 3], &five());
    let wait = |from: u8| {
        let server = house.server.clone();
        tokio::spawn(async move { server.decide(&patient(asked, 2000), peer(from)).await })
    };
    let mut waiting: FuturesUnordered<_> = (0..WAITING_PER_PEER).map(|_| wait(2)).collect();
    until(|| house.server.parking.waiting() == WAITING_PER_PEER).await;
    let (said, took) = decided(&house, 2, patient(asked, 2000)).await;
    assert!(said == Some(Response::NotYet) && took < Duration::from_millis(500), "{said:?} {took:?}");
    // another peer has places of its own
    let other = wait(3);
    until(|| house.server.parking.waiting() == WAITING_PER_PEER + 1).await;
    house.server.update(settled);
    assert!(other.await.unwrap().is_ok());
    // as many are served at once as ever, and the others stand in line for their places
    until(|| waiting.iter().filter(|task| task.is_finished()).count() == UNSENT_PER_PEER).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(waiting.iter().filter(|task| task.is_finished()).count(), UNSENT_PER_PEER);
    let began = Instant::now();
    while let Some(task) = waiting.next().await {
        // dropped at once: its place is free
        assert!(task.unwrap().is_ok());
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(house.server.parking.waiting(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_peers_together_have_so_many_requests_waiting() {
    let last = 2 + (WAITING / WAITING_PER_PEER) as u8;
    let nodes: Vec<_> = (1..=last).map(|n| (n, peer(n))).collect();
    let members: Vec<u8> = (1..=last).collect();
    let (house, asked, settled) = early_holder(&members, &nodes);
    let tasks: Vec<_> = (2..last)
        .flat_map(|from| std::iter::repeat_n(from, WAITING_PER_PEER))
        .map(|from| {
            let server = house.server.clone();
            tokio::spawn(
                async move { server.decide(&patient(asked, 2000), peer(from)).await.err().map(|it| it.response) },
            )
        })
        .collect();
    until(|| house.server.parking.waiting() == WAITING).await;
    assert_eq!(decided(&house, last, patient(asked, 2000)).await.0, Some(Response::NotYet));
    // all of them get it, one after another: none is told to come again for want of a place
    house.server.update(settled);
    for task in tasks {
        assert_eq!(task.await.unwrap(), None);
    }
    assert_eq!(decided(&house, last, patient(asked, 2000)).await.0, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_waits_as_long_as_it_said_and_never_longer_than_may_be() {
    let (house, asked, _) = early_holder(&[1, 2], &five());
    for (said, least) in [(0, 0), (100, 100), (u16::MAX, LONGEST_PATIENCE.as_millis() as u64)] {
        let (response, took) = decided(&house, 2, patient(asked, said)).await;
        assert_eq!(response, Some(Response::NotYet));
        let least = Duration::from_millis(least);
        assert!(took >= least && took < least + Duration::from_millis(500), "{said}: {took:?}");
    }
    assert_eq!(house.server.parking.waiting(), 0);
    assert!(house.egress().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_have_it_never_waits() {
    let (house, asked, settled) = early_holder(&[1, 2, 3], &five());
    let soon = Duration::from_millis(500);
    // a stranger, and an institution that is no member of the study
    for from in [77, 4] {
        let (said, took) = decided(&house, from, patient(asked, 2000)).await;
        assert!(said == Some(Response::Refused) && took < soon, "{from}: {said:?} {took:?}");
    }
    assert_eq!(decided(&house, 77, patient(Entry { round: 9, ..asked }, 2000)).await.0, Some(Response::Refused));
    // one whose courier is of the build before, and knows no such word
    let (said, took) = decided(&house, 2, first(asked).encode()).await;
    assert!(said == Some(Response::Refused) && took < soon);
    // a node that is not named as holder could not give it afterwards either
    let other = House::new();
    let listed = [notice(Kind::Update, asked.blob, &[1], &[1, 2, 3])];
    other.server.update(chain(3, &listed, &[]));
    let (said, took) = decided(&other, 2, patient(asked, 2000)).await;
    assert!(said == Some(Response::NotYet) && took < soon, "{said:?} {took:?}");
    // while it waits it is shut out: the judge is asked again, and says no
    let server = house.server.clone();
    let waits =
        tokio::spawn(async move { server.decide(&patient(asked, 2000), peer(3)).await.err().map(|it| it.response) });
    until(|| house.server.parking.waiting() == 1).await;
    let without = [notice(Kind::Update, asked.blob, &[1], &[1, 2])];
    house.server.update(chain(1, &without, &without));
    assert_eq!(waits.await.unwrap(), Some(Response::Refused));
    // and so is one that falls behind the chain
    house.server.update(settled);
    house.server.set_behind(true);
    assert_eq!(decided(&house, 2, patient(asked, 2000)).await.0, Some(Response::Busy));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_block_lists_here_yet_is_waited_for_by_members_nodes() {
    let (house, asked, settled) = early_holder(&[1, 2], &five());
    house.server.update(chain(1, &[notice(Kind::Merged, blob(5, 9).1, &[1], &[1, 2])], &[]));
    let server = house.server.clone();
    let waits = tokio::spawn(async move { server.decide(&patient(asked, 2000), peer(2)).await.is_ok() });
    until(|| house.server.parking.waiting() == 1).await;
    // first the block that lists it, then its finality
    house.server.update(chain(1, &[notice(Kind::Update, asked.blob, &[1], &[1, 2])], &[]));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waits.is_finished());
    house.server.update(settled);
    assert!(waits.await.unwrap());
}

#[test]
fn one_that_cannot_give_it_yet_rests_shortly_and_has_no_strike() {
    let [asked, other] = [1, 2].map(|seed| update(blob(10, seed).1));
    let source = [(peer(1), true)];
    let mut peers = Peers::default();
    let mut now = Instant::now();
    let mut rest = FIRST_NOT_YET;
    for _ in 0..10 {
        peers.ended(peer(1), &asked, Outcome::NotYet, now);
        assert_eq!(peers.choose(&source, &asked, now + rest / 2), None);
        assert_eq!(peers.soonest(now), Some(rest));
        // for other blobs it is as good as ever
        assert_eq!(peers.choose(&source, &other, now), Some(peer(1)));
        now += rest;
        assert_eq!(peers.choose(&source, &asked, now), Some(peer(1)));
        rest = (2 * rest).min(LONGEST_NOT_YET);
    }
    assert_eq!(rest, LONGEST_NOT_YET);
    assert_eq!(peers.soonest(now), None);
    // a refusal is another thing, and what is final here ends either
    peers.ended(peer(1), &other, Outcome::Refused, now);
    assert_eq!(peers.choose(&source, &other, now + FIRST_REST / 2), None);
    peers.ended(peer(1), &asked, Outcome::NotYet, now);
    peers.forgive(&asked);
    assert_eq!(peers.choose(&source, &asked, now), Some(peer(1)));
}

#[test]
fn what_is_waited_for_holds_up_nothing_else() {
    // five updates that are not final, more than there are sessions, all of one holder that lets them wait
    let waited: Vec<_> = (1..=5).map(|seed| blob(100, seed).1).collect();
    let (bytes, model) = blob(1000, 6);
    let source = House::new();
    source.put(&model, &bytes);
    let nobody = |kind, blob: BlobRef, holders: &[u8]| notice(kind, blob, holders, &[1, 2, 3, 4, 5]);
    let before = [nobody(Kind::Merged, blob(5, 9).1, &[5])];
    let mut listed: Vec<_> = waited.iter().map(|blob| nobody(Kind::Update, *blob, &[1, 3, 4, 5])).collect();
    listed.push(nobody(Kind::Merged, model, &[1]));
    source.server.update(chain(1, &listed, &before));
    let mut peers: BTreeMap<PeerId, Behaviour> = BTreeMap::new();
    for n in [3, 4, 5] {
        peers.insert(peer(n), Box::new(|_| Box::pin(futures::future::pending())));
    }
    let answers = honest(&source, 2);
    peers.insert(
        peer(1),
        Box::new(move |request| match Asked::read(&request) {
            Ok(asked) if asked.request.entry.kind == Kind::Merged => answers(request),
            _ => Box::pin(futures::future::pending()),
        }),
    );
    let net = Arc::new(Net { peers, ..Net::default() });
    let there = House::new();
    let patience = Patience { response: Duration::from_secs(20), turn: Duration::from_secs(60) };
    assert!(fetch_with(&there, &net, chain(2, &listed, &before), &[model], patience, 3));
    // each holder was asked for one of them, beside that
    let mut asked = net.asked.lock().clone();
    asked.sort();
    assert_eq!(asked, [1, 1, 3, 4, 5].map(peer));
}
