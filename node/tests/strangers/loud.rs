//! What those do to the chain who talk too much: strangers who boast, and a member who floods. Each takes minutes, and is
//! run as `cargo test --release -p consilium-node --test strangers -- --ignored --nocapture --test-threads=1`.

use crate::{
    client::{Client, STREAMS},
    consortium::Founder,
    house::{median, House},
    Network, MINUTE,
};
use codec::Encode;
use consilium_runtime::{RuntimeCall, UncheckedExtrinsic};
use sc_network_types::ed25519::Keypair;
use sp_core::H256;
use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

/// Whether blocks come as they did. A chain that stands has no intervals, so they are counted, too.
fn as_before(before: &[Duration], after: &[Duration]) {
    let (quiet, loud) = (median(before.to_vec()), median(after.to_vec()));
    println!("{} blocks, median {quiet:?}; then {}, median {loud:?}", before.len(), after.len());
    assert!(loud <= quiet.mul_f64(1.2));
    assert!(after.len() * 6 >= before.len() * 5);
}

/// Three strangers at each of four validators say that they are a million blocks ahead: a node that believed them would take
/// itself to be behind, and make no blocks.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes three minutes: cargo test --release -p consilium-node --test strangers -- --ignored --nocapture --test-threads=1"]
async fn strangers_that_say_what_they_like_of_themselves_do_not_slow_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(dir.path(), &["a", "b", "c", "d"]);
    let a = &network.houses[0];
    let before = a.intervals(MINUTE);
    let all: Vec<&House> = network.houses.iter().collect();
    let (tries, opened) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..3 {
        let mut stranger = Client::start(&Keypair::generate(), &all, 1_000_000);
        let (count, tries, opened) = (all.len(), tries.clone(), opened.clone());
        tokio::spawn(async move {
            loop {
                for node in 0..count {
                    let answer = stranger.open(STREAMS[0], node).await;
                    tries.fetch_add(1, Ordering::Relaxed);
                    opened.fetch_add(usize::from(answer.is_ok()), Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = a.intervals(MINUTE);
    let (tries, opened) = (tries.load(Ordering::Relaxed), opened.load(Ordering::Relaxed));
    println!("three strangers tried {tries} times, and were let in {opened} times");
    as_before(&before, &after);
    assert!(tries >= 100 && opened == 0);
}

/// Up to ten thousand transactions, a third of them valid and all of them useless, and as many requests for blobs, as fast as
/// a node takes them in a minute.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes four minutes: cargo test --release -p consilium-node --test strangers -- --ignored --nocapture --test-threads=1"]
async fn a_member_that_floods_slows_nobody_and_fills_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(dir.path(), &["a", "b", "c", "d"]);
    let a = &network.houses[0];
    // it is a member, and its node is this program
    let flooder = Founder::new(dir.path(), "e");
    network.admit(&flooder);
    let genesis = a.genesis();
    let mut client = Client::start(&flooder.node, &[a], 0);
    for name in [STREAMS[0], STREAMS[2]] {
        let began = Instant::now();
        while let Err(error) = client.open(name, 0).await {
            assert!(began.elapsed() < 2 * MINUTE, "{name}: {error}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let (before, memory) = (a.intervals(MINUTE), a.memory());

    let counts: Arc<[AtomicUsize; 4]> = Arc::default();
    let seen = counts.clone();
    let flood = tokio::spawn(async move {
        let call = |size: usize| RuntimeCall::System(frame_system::Call::remark { remark: vec![7; size] });
        let until = Instant::now() + MINUTE;
        for nonce in 0..10_000u32 {
            let transaction = match nonce % 3 {
                0 => flooder.signed(&genesis, nonce / 3, call(1_000)),
                // for another chain, so that the signature is none; far in the future
                1 => flooder.signed(&H256::zero(), nonce, call(1_000)),
                _ => flooder.signed(&genesis, 1_000_000 + nonce, call(1_000)),
            };
            let all: Vec<UncheckedExtrinsic> = vec![transaction];
            let sent = client.tell(STREAMS[2], all.encode()).await;
            let before = seen[if sent.is_ok() { 0 } else { 3 }].fetch_add(1, Ordering::Relaxed);
            if let (Err(error), 0) = (sent, before) {
                println!("transaction {nonce} is the first that is not taken: {error}");
            }
            let question = if nonce % 2 == 0 { vec![255; 200] } else { client.question("courier/2") };
            let answered = client.shout("courier/2", question).await;
            seen[1].fetch_add(1, Ordering::Relaxed);
            seen[2].fetch_add(answered, Ordering::Relaxed);
            if Instant::now() > until {
                break;
            }
        }
    });
    let after = a.intervals(MINUTE);
    let full = a.memory();
    flood.await.unwrap();
    let [told, asked, answered, lost] = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    println!("{told} transactions told, {lost} not taken; {asked} requests, {answered} answered");
    println!("memory of one node: {memory} KiB, then {full} KiB");
    as_before(&before, &after);
    assert!(full * 2 <= memory * 3);
    assert!(told >= 500 && asked >= 500);
}
