//! Clocks compared over a network of clocks that go wrong as a test wants it. That real nodes answer members, and nobody else, is
//! tested in `tests/strangers`, and that real nodes with wrong clocks do no harm in the workspace's `e2e`.

use super::{
    exchange::time_in,
    known::{millis, GRACE, LENIENCE},
    *,
};
use futures::{
    channel::{mpsc, oneshot},
    stream,
};
use sc_network::{Multiaddr, RequestFailure, Roles};
use sc_network_types::PeerId;
use serde_json::Value;
use std::{collections::HashMap, sync::Arc, time::Instant};

/// What a node of the test's network does when it is asked.
#[derive(Clone, Copy)]
enum Node {
    /// It answers after so many milliseconds with a clock that is so many ahead.
    Ahead(i64, u64),
    /// It answers with the time, and another number.
    Mixed,
    /// It is not there.
    Silent,
}

#[derive(Clone)]
struct Net(PeerId, Arc<HashMap<PeerId, Node>>);

#[async_trait::async_trait]
impl NetworkRequest for Net {
    async fn request(
        &self,
        target: PeerId,
        protocol: ProtocolName,
        request: Vec<u8>,
        _: Option<(Vec<u8>, ProtocolName)>,
        _: sc_network::IfDisconnected,
    ) -> Result<(Vec<u8>, ProtocolName), RequestFailure> {
        let answer = match self.1[&target] {
            Node::Ahead(millis, after) => {
                tokio::time::sleep(Duration::from_millis(after)).await;
                let now = i64::try_from(system().as_millis()).unwrap() + millis;
                answer_to(&request, Duration::from_millis(u64::try_from(now).unwrap()))
            }
            Node::Mixed => answer_to(&[7; REQUEST], system()),
            Node::Silent => return Err(RequestFailure::NotConnected),
        };
        Ok((answer.unwrap(), protocol))
    }

    fn start_request(
        &self,
        _: PeerId,
        _: ProtocolName,
        _: Vec<u8>,
        _: Option<(Vec<u8>, ProtocolName)>,
        _: oneshot::Sender<Result<(Vec<u8>, ProtocolName), RequestFailure>>,
        _: sc_network::IfDisconnected,
    ) {
        unreachable!("clocks are not asked in this way")
    }
}

impl NetworkStateInfo for Net {
    fn external_addresses(&self) -> Vec<Multiaddr> {
        Vec::new()
    }

    fn listen_addresses(&self) -> Vec<Multiaddr> {
        Vec::new()
    }

    fn local_peer_id(&self) -> PeerId {
        self.0
    }
}

/// A clock that runs among these nodes, each of an institution of its own or of the one that is named, and what it shows.
struct Among {
    clock: Clock,
    gauge: Gauge<F64>,
    peers: Vec<PeerId>,
    events: mpsc::UnboundedSender<SyncEvent>,
}

impl Among {
    fn new(nodes: &[(Node, &str)]) -> Self {
        let own = PeerId::random();
        let peers: Vec<PeerId> = nodes.iter().map(|_| PeerId::random()).collect();
        let of = |(peer, (_, name)): (&PeerId, &(Node, &str))| (*peer, (*name).to_owned());
        let names = peers.iter().zip(nodes).map(of).chain([(own, "this one".to_owned())]);
        let allowed = Allowed::default();
        allowed.replace(names.collect());
        let net = Net(own, Arc::new(peers.iter().copied().zip(nodes.iter().map(|(node, _)| *node)).collect()));
        let (clock, gauge) = (Clock::default(), figure(&Registry::new()).unwrap());
        let (events, heard) = mpsc::unbounded();
        let asking = Asking::new(clock.clone(), net, "/test/clock/1".into(), allowed, Some(gauge.clone()));
        tokio::spawn(asking.run(heard));
        let this = Self { clock, gauge, peers, events };
        this.peers.iter().for_each(|peer| this.connect(*peer));
        this
    }

    fn connect(&self, peer_id: PeerId) {
        self.events.unbounded_send(SyncEvent::PeerConnected { peer_id, roles: Roles::AUTHORITY }).unwrap();
    }

    fn figure(&self) -> f64 {
        self.gauge.get()
    }

    /// Waits until so many others are known; gives how far this clock is off.
    async fn knows(&self, others: usize) -> i64 {
        for _ in 0..400 {
            if self.clock.report()["others"] == others {
                return self.clock.error().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within four seconds: {}", self.clock.report());
    }
}

const SLOT: Duration = Duration::from_millis(500);
const HOUR: i64 = 3_600_000;

fn near(found: i64, wanted: i64) {
    assert!(found.abs_diff(wanted) <= 30, "{found} instead of {wanted}");
}

#[tokio::test]
async fn a_node_whose_clock_is_behind_judges_others_by_theirs_and_makes_no_block() {
    let ahead = Node::Ahead(HOUR, 3);
    let among = Among::new(&[(ahead, "a"), (ahead, "b"), (Node::Ahead(HOUR + 40, 3), "c")]);
    near(among.knows(3).await, -HOUR);
    let others = system() + Duration::from_millis(HOUR as u64);
    near(millis(among.clock.latest()) - millis(others), millis(LENIENCE));
    near(millis(among.clock.now()), millis(others));
    assert!(!among.clock.may_author(SLOT));
    assert!(among.clock.may_author(Duration::from_secs(2 * 3_600)), "it is a matter of the slots' length");
    let report = among.clock.report();
    let said = report["warning"].as_str().unwrap();
    assert!(said.contains("behind 3 other institutions'") && said.contains("makes no block"), "{said}");
    assert!((among.figure() + 3_600.0).abs() < 0.1, "{}", among.figure());
}

#[tokio::test]
async fn a_node_whose_clock_is_ahead_judges_others_by_its_own_and_makes_no_block() {
    let behind = Node::Ahead(-10_000, 3);
    let among = Among::new(&[(behind, "a"), (behind, "b")]);
    near(among.knows(2).await, 10_000);
    near(millis(among.clock.latest()) - millis(system()), millis(LENIENCE));
    near(millis(system()) - millis(among.clock.now()), 10_000);
    assert!(!among.clock.may_author(SLOT));
    assert!((among.figure() - 10.0).abs() < 0.1, "{}", among.figure());
}

#[tokio::test]
async fn a_right_clock_is_not_doubted_for_one_that_is_wrong_and_an_institution_is_one() {
    let (right, wrong) = (Node::Ahead(0, 3), Node::Ahead(HOUR, 3));
    // two nodes of one institution, and one of this one's own, are no majority
    let among = Among::new(&[(right, "a"), (right, "b"), (wrong, "c"), (wrong, "c"), (wrong, "this one")]);
    near(among.knows(3).await, 0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(among.knows(3).await, 0);
    assert!(among.clock.may_author(SLOT));
    assert_eq!(among.clock.report()["warning"], Value::Null);
    assert!(among.figure().abs() < 0.03);
}

#[tokio::test]
async fn nothing_is_concluded_of_one_answer_nor_of_slow_or_wrong_ones_and_blocks_wait_only_so_long() {
    let slow = Node::Ahead(HOUR, SLOW.as_millis() as u64 + 200);
    let began = Instant::now();
    let among = Among::new(&[(Node::Ahead(HOUR, 3), "a"), (slow, "b"), (Node::Mixed, "c"), (Node::Silent, "d")]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!among.clock.may_author(SLOT), "a comparison may come yet");
    among.clock.settled().await;
    assert!(began.elapsed() >= GRACE && began.elapsed() < GRACE + Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((among.clock.error(), among.clock.report()["others"].as_u64()), (None, Some(0)));
    assert!(among.clock.may_author(SLOT) && among.figure().is_nan());
    near(millis(among.clock.latest()) - millis(system()), millis(LENIENCE));
}

#[tokio::test]
async fn of_two_institutions_each_is_told_that_the_clocks_differ_and_blocks_go_on() {
    let among = Among::new(&[(Node::Ahead(120_000, 3), "Birch Hospital")]);
    for _ in 0..400 {
        if among.clock.report()["warning"].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let report = among.clock.report();
    let said = report["warning"].as_str().unwrap();
    assert!(said.contains("Birch Hospital") && said.contains("(this one is behind)"), "{said}");
    assert!(
        ["differ by 12", "differ by 119.9", "differ by 2 min 0 s"].iter().any(|size| said.contains(size)),
        "{said}"
    );
    assert_eq!((&report["others"], &report["offset_seconds"]), (&0.into(), &Value::Null));
    assert!(among.clock.may_author(SLOT) && among.figure().is_nan());
    let among = Among::new(&[(Node::Ahead(0, 3), "Birch Hospital")]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(among.clock.report()["warning"], Value::Null);
}

#[tokio::test]
async fn where_fewer_than_two_others_could_answer_nothing_waits() {
    let among = Among::new(&[(Node::Silent, "a")]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(among.clock.may_author(SLOT));
    // nor before anybody is connected
    assert!(Clock::default().may_author(SLOT));
}

#[tokio::test]
async fn requests_are_answered_with_their_number_and_the_time_and_what_is_none_is_not() {
    let (sender, requests) = async_channel::bounded(8);
    let ask = |payload: Vec<u8>| {
        let (pending_response, response) = oneshot::channel();
        sender.try_send(IncomingRequest { peer: PeerId::random(), payload, pending_response }).unwrap();
        response
    };
    let (good, short, long) = (ask(vec![5; 8]), ask(vec![5; 7]), ask(vec![5; 9]));
    sender.close();
    answer(&requests).await;
    let bytes = good.await.unwrap().result.unwrap();
    assert!(short.await.is_err() && long.await.is_err());
    let time = time_in(&bytes, u64::from_le_bytes([5; 8])).unwrap();
    near(i64::try_from(time).unwrap(), millis(system()));
    assert_eq!(time_in(&bytes, 5), None, "of another request");
    for wrong in [&bytes[..15], &[bytes.clone(), vec![0]].concat(), &[]] {
        assert_eq!(time_in(wrong, u64::from_le_bytes([5; 8])), None);
    }
}

#[tokio::test]
async fn a_clock_ends_with_the_network_and_its_figure_has_one_name() {
    let (clock, registry) = (Clock::default(), Registry::new());
    let net = Net(PeerId::random(), Arc::default());
    let run = |clock: Clock| {
        let (_, requests) = async_channel::bounded(1);
        let port = Port { name: "/test/clock/1".into(), requests };
        clock.run(net.clone(), port, Allowed::default(), stream::pending(), Some(&registry))
    };
    // nobody brings requests any more
    run(clock.clone()).unwrap().await;
    assert!(run(clock).is_err());
}
