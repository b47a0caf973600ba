//! Sources that were away and are back.

use super::{fetching::*, *};
use crate::courier::{
    fetch::{Fetcher, Patience},
    peers::{Outcome, Peers, FIRST_REST, LONGEST_REST},
};
use consilium_primitives::{rules::FETCH_SLACK, SLOT_MILLIS};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::watch;

#[test]
fn one_that_was_away_is_asked_again_within_the_fetch_window() {
    // the shortest window is that of a transfer of one block
    let shortest = u64::from(FETCH_SLACK + 1) * SLOT_MILLIS;
    assert!(2 * LONGEST_REST <= Duration::from_millis(shortest));
    let [old, new] = [1, 2].map(|seed| update(blob(10, seed).1));
    let source = [(peer(1), true)];
    let mut peers = Peers::default();
    let mut now = Instant::now();
    for _ in 0..10 {
        peers.ended(peer(1), &old, Outcome::TimedOut, now);
        peers.ended(peer(1), &new, Outcome::NotHeld, now);
        assert_eq!(peers.choose(&source, &new, now), None);
        assert_eq!(peers.choose(&source, &new, now + LONGEST_REST), Some(peer(1)));
        now += LONGEST_REST;
    }
    peers.ended(peer(1), &old, Outcome::TimedOut, now);
    peers.returned(peer(1), now);
    assert_eq!(peers.choose(&source, &new, now), Some(peer(1)));
    // the next rest is a short one again; a lie is not forgotten, nor a slow line
    peers.ended(peer(1), &old, Outcome::TimedOut, now);
    assert_eq!(peers.choose(&source, &new, now + FIRST_REST), Some(peer(1)));
    peers.ended(peer(1), &new, Outcome::WrongBytes, now + FIRST_REST);
    peers.returned(peer(1), now + FIRST_REST);
    assert_eq!(peers.choose(&source, &new, now + FIRST_REST), None);
    peers.ended(peer(1), &old, Outcome::Slow(0), now + FIRST_REST);
    peers.returned(peer(1), now + FIRST_REST);
    assert_eq!(peers.choose(&source, &old, now + FIRST_REST), None);
}

#[test]
fn a_holder_that_comes_back_is_asked_at_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (source, _, away) = holder(1000, 1);
    let (bytes, new) = blob(1000, 2);
    source.put(&new, &bytes);
    let old = notice(Kind::Update, away, &[1], &[1, 2]);
    let fresh = notice(Kind::Update, new, &[1], &[1, 2]);
    let both = [old.clone(), fresh];
    source.server.update(chain(1, &both, &both));
    // it answers nothing until it is back
    let (gate, is_back) = (Arc::new(std::sync::atomic::AtomicBool::new(false)), std::sync::atomic::Ordering::SeqCst);
    let (back, answers) = (gate.clone(), honest(&source, 2));
    let behaviour: Behaviour =
        Box::new(move |request| if back.load(is_back) { answers(request) } else { Box::pin(async { None }) });
    let net = Arc::new(Net { peers: BTreeMap::from([(peer(1), behaviour)]), ..Net::default() });
    let patience = Patience { response: Duration::from_millis(300), turn: Duration::from_secs(60) };
    for by_notice in [true, false] {
        let there = House::new();
        gate.store(false, is_back);
        let asked = || net.asked.lock().len();
        let before = asked();
        let took = runtime.block_on(async {
            let (sender, snapshots) = watch::channel(chain(2, std::slice::from_ref(&old), std::slice::from_ref(&old)));
            let (connect, connected) = futures::channel::mpsc::unbounded();
            let fetcher = Fetcher::new(there.store.clone(), net.clone(), patience, there.figures.clone());
            let story = async {
                // after two failures it rests for four seconds
                while asked() < before + 2 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
                gate.store(true, is_back);
                let since = Instant::now();
                if by_notice {
                    sender.send_replace(chain(2, &both, &both));
                } else {
                    connect.unbounded_send(peer(1)).unwrap();
                }
                while !there.store.holds(&away) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                since.elapsed()
            };
            tokio::select! {
                () = fetcher.run(snapshots, || false, connected) => panic!("ended"),
                took = story => took,
            }
        });
        assert!(took < Duration::from_millis(1500), "{took:?}");
    }
}
