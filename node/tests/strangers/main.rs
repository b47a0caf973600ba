//! What nodes of others than members get from a real node of a member, and how members come and go without a restart.
#![allow(clippy::unwrap_used)]

mod client;
mod house;

use client::Client;
use house::{chain, wait, House};
use sc_network_types::ed25519::Keypair;
use sp_keyring::Sr25519Keyring::{Alice, Bob, Charlie};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Alice's and Bob's nodes, which make blocks together.
fn two(dir: &std::path::Path, spec: &std::path::Path, keys: &[Keypair; 2]) -> [House; 2] {
    let alice = House::start(dir, "alice", spec, &keys[0], &["--alice".into()]);
    let reserved = ["--bob".into(), "--reserved-nodes".into(), alice.address()];
    let bob = House::start(dir, "bob", spec, &keys[1], &reserved);
    wait("two members make blocks", MINUTE, || alice.best() > 2 && bob.best() > 2);
    [alice, bob]
}

#[test]
fn a_strangers_node_gets_no_block_until_it_is_a_members_and_is_cut_when_it_is_one_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let keys = [Keypair::generate(), Keypair::generate()];
    let spec = chain(dir.path(), &[(Alice, &keys[0]), (Bob, &keys[1])]);
    let [alice, bob] = two(dir.path(), &spec, &keys);

    // a node that knows where a member is, and wants all it can get
    let key = Keypair::generate();
    let more = ["--reserved-nodes".into(), alice.address(), "--reserved-nodes".into(), bob.address()];
    let other = House::start(dir.path(), "other", &spec, &key, &more);
    let before = alice.best();
    wait("members go on", MINUTE, || alice.best() >= before + 8);
    assert_eq!((other.best(), other.peers()), (0, 0), "{}", other.log());
    assert_eq!((alice.peers(), bob.peers()), (1, 1));

    // it becomes a member's, and nobody restarts anything
    alice.claim(Charlie, &key);
    let took = wait("a newcomer is in step", 2 * MINUTE, || other.best() + 3 >= alice.best() && other.peers() > 0);
    println!("a newcomer's node was in step {took:?} after its institution had claimed it");
    assert!(alice.peers() == 2 && bob.peers() == 2);

    // its institution has another node now
    alice.claim(Charlie, &Keypair::generate());
    let took = wait("it is cut", 2 * MINUTE, || alice.peers() == 1 && bob.peers() == 1);
    println!("a node that is a member's no more was cut after {took:?}");
    let last = other.best();
    let before = alice.best();
    wait("members go on", MINUTE, || alice.best() >= before + 8);
    assert!(other.best() <= last + 1, "{} after {last}", other.best());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_requests_are_refused_on_every_protocol_and_a_members_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let keys = [Keypair::generate(), Keypair::generate()];
    let spec = chain(dir.path(), &[(Alice, &keys[0]), (Bob, &keys[1])]);
    let [alice, _bob] = two(dir.path(), &spec, &keys);

    let key = Keypair::generate();
    let client = Client::start(&key, &alice);
    for (protocol, request) in Client::questions(&alice.genesis()) {
        let answer = client.ask(&alice.peer(), &protocol, &request).await;
        assert!(answer.is_err(), "{protocol}: {answer:?}");
    }
    alice.claim(Charlie, &key);
    wait("the claim counts", MINUTE, || alice.log().contains("1 came"));
    for (protocol, request) in Client::questions(&alice.genesis()) {
        let mut answer = client.ask(&alice.peer(), &protocol, &request).await;
        for _ in 0..20 {
            if answer.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            answer = client.ask(&alice.peer(), &protocol, &request).await;
        }
        assert!(answer.is_ok_and(|bytes| !bytes.is_empty()), "{protocol}");
    }
}
