//! What those do to the chain who talk too much: strangers who boast, and a member who floods. What takes minutes is run as `cargo test --release -p consilium-node --test strangers -- --ignored --nocapture --test-threads=1`.

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

/// Most transactions and most requests of a flood.
const MOST: u32 = 10_000;
/// Most requests of it that are not answered yet.
const OPEN: usize = 128;

/// What a flood was, and what came of it.
struct Flooded {
    /// Transactions told, requests asked, requests answered, transactions that were not taken.
    counts: [usize; 4],
    before: Seen,
    after: Seen,
    /// The log of the node that was flooded.
    log: String,
}

/// How a chain went for a while.
struct Seen {
    /// Times between blocks, at the node that is flooded.
    intervals: Vec<Duration>,
    /// In how many blocks calls of another member's were, sent to another node.
    inclusions: Vec<u32>,
    /// Memory of the node that is flooded at the end, in KiB.
    memory: u64,
}

impl Seen {
    fn watch(network: &Network, long: Duration) -> Self {
        let (a, b) = (&network.houses[0], &network.houses[1]);
        let (intervals, inclusions) = std::thread::scope(|scope| {
            let sent = scope.spawn(|| network.founders[1].inclusions(b, long));
            (a.intervals(long), sent.join().unwrap())
        });
        Self { intervals, inclusions, memory: a.memory() }
    }
}

/// Founds a chain of these, admits a member whose node is this program, watches for so long, and lets it flood the first node for as
/// long again: up to ten thousand transactions, a third of them valid and all of them useless, and as many requests for blobs, half
/// of which make no sense, as fast as they can be sent; 128 requests wait for answers at most.
async fn flood(names: &[&str], long: Duration) -> Flooded {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(dir.path(), names);
    let a = &network.houses[0];
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
    let before = tokio::task::block_in_place(|| Seen::watch(&network, long));
    let counts: Arc<[AtomicUsize; 4]> = Arc::default();
    let seen = counts.clone();
    let flood = tokio::spawn(async move {
        let call = |size: usize| RuntimeCall::System(frame_system::Call::remark { remark: vec![7; size] });
        let until = Instant::now() + long;
        let (mut nonce, mut asked, mut unanswered) = (0, 0, 0);
        while Instant::now() < until && (nonce < MOST || asked < MOST) {
            if nonce < MOST {
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
                nonce += 1;
            }
            // the library ends a connection with more open streams than it takes
            if asked < MOST && unanswered < OPEN {
                let question = if asked % 2 == 0 { vec![255; 200] } else { client.question("courier/2") };
                client.shout("courier/2", question).await;
                (asked, unanswered) = (asked + 1, unanswered + 1);
                seen[1].fetch_add(1, Ordering::Relaxed);
            } else {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (answered, failed) = client.hear("courier/2");
            unanswered -= answered + failed;
            seen[2].fetch_add(answered, Ordering::Relaxed);
        }
    });
    let after = tokio::task::block_in_place(|| Seen::watch(&network, long));
    flood.await.unwrap();
    let counts = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    let [told, asked, answered, lost] = counts;
    println!("{told} transactions told, {lost} not taken; {asked} requests, {answered} answered");
    println!("memory of one node: {} KiB, then {} KiB", before.memory, after.memory);
    println!("another's calls were in the block after so many: {:?}, then {:?}", before.inclusions, after.inclusions);
    let log = a.log();
    log.lines().filter(|line| line.contains("\"e\"'s node")).for_each(|line| println!("{line}"));
    Flooded { counts, before, after, log }
}

impl Flooded {
    /// What must be so however much else the machine does.
    fn is_borne(&self) {
        assert!(self.after.memory * 2 <= self.before.memory * 3);
        for what in ["sends more transactions than a member's may", "turned away since this was said last"] {
            let named = self.log.lines().any(|line| line.contains("\"e\"'s node") && line.contains(what));
            assert!(named, "{what} is not said of it:\n{}", self.log);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes four minutes: cargo test --release -p consilium-node --test strangers -- --ignored --nocapture --test-threads=1"]
async fn a_member_that_floods_slows_nobody_and_fills_no_memory() {
    let flooded = flood(&["a", "b", "c", "d"], MINUTE).await;
    as_before(&flooded.before.intervals, &flooded.after.intervals);
    flooded.is_borne();
    // in the next block but one
    assert!(flooded.after.inclusions.iter().all(|took| *took <= 2));
    assert!(flooded.counts[0] >= 500 && flooded.counts[1] >= 500);
}

/// The same for a quarter of a minute and two validators: that it is borne and named, and that the chain goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_floods_is_named_and_the_chain_goes_on() {
    let flooded = flood(&["a", "b"], MINUTE / 4).await;
    assert!(flooded.after.intervals.len() * 2 >= flooded.before.intervals.len());
    assert!(!flooded.after.inclusions.is_empty());
    flooded.is_borne();
}
