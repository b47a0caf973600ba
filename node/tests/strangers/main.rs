//! What nodes of others than members get from a real node of a member, and how members come and go without a restart. The
//! consortium is founded as people do it; the stranger is a plain peer of the network's library. `docs/network.md` has the
//! table that these tests stand for.
#![allow(clippy::unwrap_used)]

mod client;
mod consortium;
mod house;
mod loud;

use client::{Client, STREAMS};
use consortium::{decide, found, Founder};
use house::{wait, House};
use pallet_consortium::Motion;
use sc_network_types::ed25519::Keypair;
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Institutions that have founded a chain, and their nodes, which make its blocks.
struct Network {
    founders: Vec<Founder>,
    houses: Vec<House>,
    spec: PathBuf,
}

impl Network {
    fn start(dir: &Path, names: &[&str]) -> Self {
        let founders: Vec<Founder> = names.iter().map(|name| Founder::new(dir, name)).collect();
        let spec = found(dir, &founders.iter().collect::<Vec<_>>());
        let houses: Vec<House> = founders.iter().map(|of| House::start(&spec, of, &["--validator"])).collect();
        let others = houses.len() as u64 - 1;
        wait("members make blocks", 2 * MINUTE, || {
            houses.iter().all(|house| house.best() > 2 && house.peers() == others)
        });
        Self { founders, houses, spec }
    }

    fn decide(&self, motion: Motion<consilium_runtime::AccountId, consilium_runtime::Hash>) {
        decide(&self.houses[0], &self.founders.iter().collect::<Vec<_>>(), motion);
    }

    fn admit(&self, who: &Founder) {
        self.decide(who.admission(&self.houses[0].genesis()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_that_connects_is_identified_pinged_and_told_of_peers() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(dir.path(), &["a", "b"]);
    let [a, b] = &network.houses[..] else { panic!("two") };
    let mut stranger = Client::start(&Keypair::generate(), &[a], 0);
    let (agent, protocols, addresses) = stranger.identify().await;
    assert!(agent.starts_with("Consilium Node/") && agent.contains("(a)"), "{agent}");
    let genesis = hex::encode(a.genesis());
    assert!(protocols.iter().any(|name| name.contains(&genesis)), "{protocols:?}");
    assert!(addresses.iter().any(|at| at.contains(&a.port().to_string())), "{addresses:?}");
    assert!(stranger.ping().await < Duration::from_secs(5));
    let found = stranger.find(b).await;
    let at = found.get(&b.peer().to_string()).unwrap_or_else(|| panic!("{found:?}"));
    assert!(at.iter().any(|at| at.contains(&b.port().to_string())), "{at:?}");
    // and it is a peer of nobody's
    assert_eq!((a.peers(), b.peers()), (1, 1));
}

#[test]
fn whoever_reaches_the_port_gets_connections_and_each_costs_memory() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(dir.path(), &["a", "b"]);
    let (a, many) = (&network.houses[0], 400);
    let before = a.memory();
    let open = |_| {
        let mut stream = TcpStream::connect(("127.0.0.1", a.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // the library's first words: the node itself answers, not only its kernel
        let words = b"\x13/multistream/1.0.0\n";
        stream.write_all(words).unwrap();
        let mut answer = [0; 20];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, words);
        stream
    };
    let open: Vec<TcpStream> = (0..many).map(open).collect();
    println!("{many} connections took {} KiB", a.memory().saturating_sub(before));
    let best = a.best();
    wait("members go on", MINUTE, || a.best() >= best + 3);
    assert_eq!(a.peers(), 1);
    drop(open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_streams_are_rejected_and_a_members_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(dir.path(), &["a", "b"]);
    let newcomer = Founder::new(dir.path(), "c");
    let mut client = Client::start(&newcomer.node, &[&network.houses[0]], 0);
    for name in STREAMS {
        let answer = client.open(name, 0).await;
        assert!(answer.as_ref().is_err_and(|error| error.contains("Rejected")), "{name}: {answer:?}");
    }
    assert_eq!(network.houses[0].peers(), 1);
    network.admit(&newcomer);
    // finality and transactions are for whom blocks are announced to
    for name in STREAMS {
        let mut answer = client.open(name, 0).await;
        for _ in 0..60 {
            if answer.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            answer = client.open(name, 0).await;
        }
        assert!(answer.is_ok(), "{name}: {answer:?}");
    }
    assert_eq!(network.houses[0].peers(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_requests_are_refused_and_a_members_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(dir.path(), &["a", "b"]);
    let newcomer = Founder::new(dir.path(), "c");
    let mut client = Client::start(&newcomer.node, &[&network.houses[0]], 0);
    for name in client.protocols() {
        let answer = client.ask(name).await;
        assert!(answer.as_ref().is_err_and(|error| error.contains("Rejected")), "{name}: {answer:?}");
    }
    network.admit(&newcomer);
    for name in client.protocols() {
        let mut answer = client.ask(name).await;
        for _ in 0..60 {
            if answer.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            answer = client.ask(name).await;
        }
        assert!(answer.as_ref().is_ok_and(|bytes| !bytes.is_empty()), "{name}: {answer:?}");
        if name == "consilium/clock/1" {
            let bytes = answer.unwrap();
            assert_eq!((bytes.len(), &bytes[..8]), (16, &client.question(name)[..]));
            let time = Duration::from_millis(u64::from_le_bytes(bytes[8..].try_into().unwrap()));
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            assert!(now >= time && now - time < Duration::from_secs(5), "{time:?} at {now:?}");
        }
    }
}

#[test]
fn an_institution_is_admitted_and_removed_while_the_others_run() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(dir.path(), &["a", "b"]);
    let [a, b] = &network.houses[..] else { panic!("two") };

    // a node that knows where members are, and wants all it can get
    let newcomer = Founder::new(dir.path(), "c");
    let other = House::start(&network.spec, &newcomer, &[]);
    let before = a.best();
    wait("members go on", MINUTE, || a.best() >= before + 8);
    assert_eq!((other.best(), other.peers()), (0, 0), "{}", other.log());
    assert_eq!((a.peers(), b.peers()), (1, 1));

    network.admit(&newcomer);
    let took = wait("a newcomer is in step", 2 * MINUTE, || other.best() + 3 >= a.best() && other.peers() == 2);
    println!("a newcomer's node was in step {took:?} after the last vote");
    wait("both members know it", MINUTE, || a.peers() == 2 && b.peers() == 2);

    network.decide(Motion::Remove { who: newcomer.account(), at_once: false });
    let took = wait("it is cut", 2 * MINUTE, || a.peers() == 1 && b.peers() == 1);
    println!("a node that is a member's no more was cut {took:?} after the last vote");
    let last = other.best();
    let before = a.best();
    wait("members go on", MINUTE, || a.best() >= before + 8);
    assert!(other.best() <= last + 1, "{} after {last}", other.best());
    assert_eq!((a.peers(), b.peers()), (1, 1));
}

/// A node that starts when no institution's node has the key any more that the chain was founded with, as one that was away for long
/// while they changed: it is told of one, and finds the others by the chain.
#[test]
fn a_node_whom_the_chain_tells_of_nobody_finds_a_reserved_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut network = Network::start(dir.path(), &["a", "b"]);
    let newcomer = Founder::new(dir.path(), "c");
    network.admit(&newcomer);
    let genesis = network.houses[0].genesis();
    for founder in &mut network.founders {
        let call = founder.rekey(&genesis);
        founder.send(&network.houses[0], call);
    }
    let at = network.houses[0].best();
    wait("the new keys are final", MINUTE, || network.houses.iter().all(|house| house.best() >= at + 6));
    network.houses.clear();
    let start = |of: &Founder| House::start(&network.spec, of, &["--validator"]);
    let houses: Vec<House> = network.founders.iter().map(start).collect();
    let [a, b] = &houses[..] else { panic!("two") };
    wait("they find each other by their new keys", 2 * MINUTE, || a.peers() == 1 && b.peers() == 1);

    let other = House::start(&network.spec, &newcomer, &[]);
    let before = a.best();
    wait("members go on", MINUTE, || a.best() >= before + 8);
    assert_eq!((other.best(), other.peers()), (0, 0), "{}", other.log());
    drop(other);
    let reserved = format!("{}/p2p/{}", network.founders[0].address(), a.peer());
    let other = House::start(&network.spec, &newcomer, &["--reserved-nodes", &reserved]);
    let took = wait("it is in step", 2 * MINUTE, || other.best() + 3 >= a.best() && other.peers() == 2);
    println!("a node that was told of one was in step after {took:?}");
}
