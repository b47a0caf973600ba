//! Couriers of this build and of the one before, which speak the second version of the protocol, while a network is renewed.

use super::{fetching::fetch_over, network::Node, *};
use crate::courier::{fetch::PATIENCE, peers::Outcome, serve as serve_requests, wire::Asked};
use codec::DecodeAll;
use sc_network::{config::IncomingRequest, IfDisconnected, NetworkRequest};
use std::time::Duration;

#[test]
fn requests_of_both_versions_are_read_and_each_is_answered_in_its_own_words() {
    let request = first(update(blob(10, 1).1));
    let newer = Asked { request, patience_ms: Some(700) };
    let older = Asked { request, patience_ms: None };
    assert_eq!(newer.older_bytes(), request.encode());
    assert_eq!(Asked::read(&newer.bytes()), Ok(newer));
    assert_eq!(Asked::read(&newer.older_bytes()), Ok(older));
    assert_eq!((newer.patience(), older.patience()), (Duration::from_millis(700), Duration::ZERO));
    assert_eq!(newer.understood(Response::NotYet), Response::NotYet);
    assert_eq!(older.understood(Response::NotYet), Response::Refused);
    for both in [Response::NotHeld, Response::Refused, Response::Busy, Response::Data(vec![1])] {
        assert_eq!((newer.understood(both.clone()), older.understood(both.clone())), (both.clone(), both));
    }
    // half a patience, and more than one
    let bytes = newer.bytes();
    for spoilt in [bytes[..bytes.len() - 1].to_vec(), [&bytes[..], &[0]].concat()] {
        assert!(Asked::read(&spoilt).is_err());
    }
    // what the build before does not know is never said to it: its last word is the fourth
    assert_eq!([Response::Busy, Response::NotYet].map(|word| word.encode()), [vec![3], vec![4]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_the_build_before_is_asked_in_its_own_words() {
    let (older, member) = (Node::start_older().await, Node::start().await);
    let nodes = [(1, older.peer()), (2, member.peer())];
    let source = House::new();
    let (bytes, made) = blob(3 * 1024 * 1024 + 5, 1);
    source.put(&made, &bytes);
    let listed = [notice(Kind::Update, made, &[1], &[1, 2])];
    source.server.update(chain_of(&older.peer(), &nodes, &listed, &listed));
    let (sender, requests) = async_channel::bounded::<IncomingRequest>(64);
    tokio::spawn(serve_requests(source.server.clone(), requests));
    let incoming = older.port.requests.clone();
    tokio::spawn(async move {
        while let Ok(request) = incoming.recv().await {
            // it takes a request as it knows it, to the last byte, and nothing else
            assert!(Request::decode_all(&mut &request.payload[..]).is_ok());
            sender.send(request).await.unwrap();
        }
    });
    let there = House::new();
    let snapshot = chain_of(&member.peer(), &nodes, &listed, &listed);
    let wire = member.towards(&older);
    assert!(fetch_over(&there, wire, snapshot, &[made], PATIENCE, Duration::from_secs(30)).await);
    assert_eq!(fs::read(there.file(&made)).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_the_build_before_gets_answers_that_it_knows() {
    let (author, older) = (Node::start().await, Node::start_older().await);
    let nodes = [(1, author.peer()), (2, older.peer())];
    let source = House::new();
    let (bytes, made) = blob(1000, 1);
    source.put(&made, &bytes);
    let listed = [notice(Kind::Update, made, &[1], &[1, 2])];
    source.server.update(chain_of(&author.peer(), &nodes, &listed, &[]));
    tokio::spawn(serve_requests(source.server.clone(), author.port.requests.clone()));
    let _ = older.towards(&author);
    let ask = || async {
        for _ in 0..100 {
            let name = older.port.names.older.clone();
            let asked = first(update(made)).encode();
            let answer = older.network.request(author.peer(), name, asked, None, IfDisconnected::TryConnect).await;
            if let Ok((bytes, _)) = answer {
                return Response::read(&bytes).unwrap();
            }
            // before the network has taken in the address, there is none to reach
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no connection");
    };
    assert_eq!(ask().await, Response::Refused);
    source.server.update(chain_of(&author.peer(), &nodes, &listed, &listed));
    slice(ask().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_the_build_before_is_not_asked_for_what_it_would_not_understand() {
    let (author, member) = (Node::start_unattached().await, Node::start().await);
    let nodes = [(1, author.peer()), (2, member.peer())];
    let source = House::new();
    let (bytes, made) = blob(1000, 1);
    source.put(&made, &bytes);
    let code = Notice { round: 0, ..notice(Kind::Code, blob(1000, 2).1, &[], &[1, 2]) };
    let masked = notice(Kind::Masked, blob(1000, 3).1, &[1], &[1, 2]);
    let listed = [notice(Kind::Update, made, &[1], &[1, 2]), code.clone(), masked.clone()];
    source.server.update(chain_of(&author.peer(), &nodes, &listed, &listed));
    let (sender, requests) = async_channel::bounded::<IncomingRequest>(64);
    tokio::spawn(serve_requests(source.server.clone(), requests));
    let incoming = author.port.requests.clone();
    tokio::spawn(async move {
        while let Ok(request) = incoming.recv().await {
            let asked = Asked::read(&request.payload).unwrap();
            assert!(!asked.request.entry.kind.newer());
            sender.send(request).await.unwrap();
        }
    });
    let there = House::new();
    // both are wanted all the time, and the one that the node knows comes
    let snapshot = chain_of(&member.peer(), &nodes, &listed, &listed);
    let wire = || member.towards(&author);
    let time = Duration::from_secs(30);
    assert!(fetch_over(&there, wire(), snapshot.clone(), &[made], PATIENCE, time).await);
    let unknown = [code.blob, masked.blob];
    assert!(!fetch_over(&there, wire(), snapshot, &unknown, PATIENCE, Duration::from_secs(3)).await);
    assert!(unknown.iter().all(|blob| !there.store.holds(blob)));
    assert!(there.figures.count_ends(Outcome::NotHeld) > 0);
    // a node of this build gives it
    let newer = Node::start().await;
    let house = House::new();
    let (bytes, blob) = blob(1000, 2);
    house.put(&blob, &bytes);
    house.store.note_put(&Entry::of(&code)).unwrap();
    let words = super::blob(1000, 3).0;
    house.put(&masked.blob, &words);
    let nodes = [(1, newer.peer()), (2, member.peer())];
    house.server.update(chain_of(&newer.peer(), &nodes, &listed, &listed));
    tokio::spawn(serve_requests(house.server.clone(), newer.port.requests.clone()));
    let snapshot = chain_of(&member.peer(), &nodes, &listed, &listed);
    assert!(fetch_over(&there, member.towards(&newer), snapshot, &[blob, masked.blob], PATIENCE, time).await);
    assert_eq!(fs::read(there.file(&blob)).unwrap(), bytes);
    assert_eq!(fs::read(there.file(&masked.blob)).unwrap(), words);
}
