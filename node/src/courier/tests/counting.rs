//! What is counted, while requests are answered and blobs fetched.

use super::{
    fetching::{fetch_until, honest, saying, Behaviour, Net},
    *,
};
use crate::courier::{
    fetch::{Fetcher, PATIENCE},
    figures::Why,
    peers::Outcome,
    serve,
};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use tokio::sync::watch;

#[test]
fn bytes_are_counted_where_they_leave_and_where_they_come() {
    let (source, bytes, blob) = holder(100_000, 3);
    let listed = [notice(Kind::Update, blob, &[1], &[1, 2, 3])];
    let there = House::new();
    // one that gives something else is asked first or not at all
    let peers = BTreeMap::from([(peer(1), honest(&source, 2)), (peer(3), saying(vec![9; 10]))]);
    let net = Arc::new(Net { peers, ..Net::default() });
    let complete = || there.figures.count_ends(Outcome::Complete) == 1;
    assert!(fetch_until(&there, &net, chain(2, &listed, &listed), 20, complete));
    let (incoming, outgoing) = (there.figures.moved(), source.figures.moved());
    assert_eq!((incoming.1, outgoing.0), (0, 0));
    assert_eq!(incoming.0, outgoing.1, "what left has come");
    assert!(incoming.0 as usize >= bytes.len());
    assert_eq!(there.figures.updates().0, 1, "how long it was waited for");
}

#[test]
fn an_update_that_is_asked_for_early_and_comes_late_was_waited_for_since_it_was_final() {
    const LATE: Duration = Duration::from_secs(1);
    let (source, _, blob) = holder(1_000, 3);
    let listed = [notice(Kind::Update, blob, &[1], &[1, 2, 3])];
    let there = House::new();
    let (asked, answer) = (Arc::new(AtomicBool::new(false)), Arc::new(honest(&source, 2)));
    let seen = asked.clone();
    // a long line: the answer is a while under way
    let slow: Behaviour = Box::new(move |request| {
        seen.store(true, Ordering::Relaxed);
        let answer = answer.clone();
        Box::pin(async move {
            tokio::time::sleep(LATE).await;
            answer(request).await
        })
    });
    let net = Arc::new(Net { peers: BTreeMap::from([(peer(1), slow)]), ..Net::default() });
    let fetcher = Fetcher::new(there.store.clone(), net, PATIENCE, there.figures.clone());
    // listed, and not yet final here
    let (sender, snapshots) = watch::channel(chain(2, &listed, &[]));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let until = async |so: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !so() {
            assert!(began.elapsed() < Duration::from_secs(20), "it never came to be so");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    runtime.block_on(async {
        let story = async {
            until(&|| asked.load(Ordering::Relaxed)).await;
            let began = Instant::now();
            sender.send_replace(chain(2, &listed, &listed));
            until(&|| there.figures.updates().0 == 1).await;
            began.elapsed()
        };
        let took = tokio::select! {
            () = fetcher.run(snapshots, || false, futures::stream::pending()) => panic!("the fetcher ended"),
            took = story => took,
        };
        let counted = there.figures.updates().1;
        assert!(counted > took.as_secs_f64() / 2.0 && counted <= took.as_secs_f64(), "{counted} s of {took:?}");
    });
}

#[test]
fn each_request_that_is_not_answered_is_counted_with_why() {
    let (house, _, blob) = holder(100_000, 3);
    let count = |why| house.figures.count(why);
    let ask = |from| house.ask(from, &first(update(blob)));
    let _ = (ask(9), ask(4));
    assert_eq!((count(Why::Outsider), count(Why::NotMember)), (1, 1));
    let _ = house.server.answer(b"no request", peer(2));
    assert_eq!(count(Why::Malformed), 1);
    // the freeze is not final here
    let listed = [notice(Kind::Update, blob, &[1], &[1, 2, 3])];
    house.server.update(chain(1, &listed, &[]));
    let _ = ask(2);
    assert_eq!(count(Why::NotYet), 1);
    house.server.update(chain(1, &listed, &listed));
    house.server.set_behind(true);
    let _ = ask(2);
    assert_eq!(count(Why::Behind), 1);
    house.server.set_behind(false);
    assert_eq!(house.figures.moved(), (0, 0), "nothing was given yet");
    slice(ask(2));
    fs::remove_file(house.file(&blob)).unwrap();
    let _ = ask(3);
    assert_eq!(count(Why::NotHeld), 1);
    for _ in 0..serve::BURST {
        let _ = ask(3);
    }
    assert!(count(Why::Rate) >= 1);
    assert_eq!((count(Why::Outsider), count(Why::Crowded), count(Why::EgressLog)), (1, 0, 0));
}
