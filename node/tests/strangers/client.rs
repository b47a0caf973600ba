//! A peer that is no node: it asks what it likes, and says what it likes of itself.

use crate::house::House;
use codec::Encode;
use consilium_primitives::{BlobKind, BlobRef};
use futures::{FutureExt, Stream, StreamExt};
use litep2p::{
    config::ConfigBuilder,
    protocol::{
        libp2p::{
            identify::{self, IdentifyEvent},
            kademlia::{self, KademliaEvent, KademliaHandle},
            ping::{self, PingEvent},
        },
        notification::{self, NotificationEvent, NotificationHandle, ValidationResult},
        request_response::{self, DialOptions, RequestResponseEvent, RequestResponseHandle},
    },
    transport::tcp,
    types::multiaddr::Multiaddr,
    Litep2p, PeerId, ProtocolName,
};
use sc_network_types::ed25519::Keypair;
use sp_core::H256;
use std::{collections::BTreeMap, future::Future, time::Duration};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Largest message, in bytes.
const LIMIT: usize = 16 * 1024 * 1024;

/// The protocols on which blocks, votes of finality and transactions are told.
pub const STREAMS: [&str; 3] = ["block-announces/1", "grandpa/1", "transactions/1"];

type Events<T> = Box<dyn Stream<Item = T> + Send + Unpin>;

/// The peer.
pub struct Client {
    nodes: Vec<PeerId>,
    requests: BTreeMap<&'static str, (RequestResponseHandle, Vec<u8>)>,
    streams: BTreeMap<&'static str, NotificationHandle>,
    pings: Events<PingEvent>,
    identified: Events<IdentifyEvent>,
    kademlia: KademliaHandle,
}

/// A field of a message whose type is "bytes" or another message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// The protocols of requests, each with a question that a node can answer.
fn questions(genesis: &H256) -> [(&'static str, Vec<u8>); 6] {
    // the header of the first block by number; its state from the beginning; one value of it with a proof
    let block = [&[0x08, 0x80, 0x80, 0x80, 0x08][..], &field(3, &[0; 4]), &[0x30, 1]].concat();
    let state = [field(1, genesis.as_bytes()), vec![0x18, 1]].concat();
    let light = field(2, &[field(2, genesis.as_bytes()), field(3, b":heappages")].concat());
    // a blob that no study lists: a member hears that it is refused
    let blob = (0u32, 0u32, BlobKind::Update, BlobRef { root: [7; 32].into(), len: 1 });
    [
        ("sync/2", block),
        ("state/2", state),
        ("sync/warp", genesis.as_bytes().to_vec()),
        ("light/2", light),
        ("courier/2", (blob, 0u64, 16_384u32).encode()),
        ("consilium/clock/1", vec![7; 8]),
    ]
}

/// Waits for an event that is looked for; says what was waited for in vain.
async fn within<T>(what: &str, found: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

impl Client {
    /// Starts one that knows where nodes are, dials them, and says that this is its best block.
    pub fn start(key: &Keypair, nodes: &[&House], best: u32) -> Self {
        let genesis = nodes[0].genesis();
        let named = |name: &str| ProtocolName::from(format!("/{}/{name}", hex::encode(genesis)));
        let known: Vec<(PeerId, Multiaddr)> = nodes
            .iter()
            .map(|node| {
                let at = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", node.port(), node.peer());
                (node.peer().into(), at.parse().unwrap())
            })
            .collect();
        let listen = tcp::config::Config {
            listen_addresses: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            ..Default::default()
        };
        let (ping, pings) = ping::Config::default();
        let (identify, identified) = identify::Config::new("/test/1".into(), Some("a stranger".into()));
        let (kad, kademlia) = kademlia::ConfigBuilder::new()
            .with_known_peers(known.iter().map(|(peer, at)| (*peer, vec![at.clone()])).collect())
            .with_protocol_names(vec![named("kad")])
            .build();
        let mut config = ConfigBuilder::new()
            .with_keypair(key.clone().into())
            .with_tcp(listen)
            .with_libp2p_ping(ping)
            .with_libp2p_identify(identify)
            .with_libp2p_kademlia(kad);
        let mut requests = BTreeMap::new();
        for (name, question) in questions(&genesis) {
            let (protocol, handle) =
                request_response::ConfigBuilder::new(named(name)).with_max_size(LIMIT).with_timeout(PATIENCE).build();
            config = config.with_request_response_protocol(protocol);
            requests.insert(name, (handle, question));
        }
        let mut streams = BTreeMap::new();
        for name in STREAMS {
            // it says that it makes blocks, and how far it has come; whoever has another first block is shut out
            let hash = if best == 0 { genesis } else { H256::repeat_byte(9) };
            let full = (4u8, best, hash, genesis).encode();
            let handshake = if name == "block-announces/1" { full } else { vec![4] };
            let (protocol, handle) =
                notification::ConfigBuilder::new(named(name)).with_max_size(LIMIT).with_handshake(handshake).build();
            config = config.with_notification_protocol(protocol);
            streams.insert(name, handle);
        }
        let mut network = Litep2p::new(config.build()).unwrap();
        for (peer, at) in &known {
            network.add_known_address(*peer, [at.clone()].into_iter());
        }
        let nodes: Vec<PeerId> = known.into_iter().map(|(peer, _)| peer).collect();
        let dialled = nodes.clone();
        tokio::spawn(async move {
            for peer in dialled {
                network.dial(&peer).await.unwrap();
            }
            while network.next_event().await.is_some() {}
        });
        Self { nodes, requests, streams, pings, identified, kademlia }
    }

    /// The protocols of requests.
    pub fn protocols(&self) -> Vec<&'static str> {
        self.requests.keys().copied().collect()
    }

    /// A protocol's question.
    pub fn question(&self, protocol: &str) -> Vec<u8> {
        self.requests[protocol].1.clone()
    }

    /// Asks the first node a protocol's question.
    pub async fn ask(&mut self, protocol: &str) -> Result<Vec<u8>, String> {
        let (handle, question) = self.requests.get_mut(protocol).unwrap();
        let question = question.clone();
        let asked = handle.send_request(self.nodes[0], question, DialOptions::Dial).await.unwrap();
        let answer = async {
            loop {
                match handle.next().await.expect("the network runs") {
                    RequestResponseEvent::ResponseReceived { request_id, response, .. } if request_id == asked => {
                        return Ok(response)
                    }
                    RequestResponseEvent::RequestFailed { request_id, error, .. } if request_id == asked => {
                        return Err(format!("{error:?}"))
                    }
                    _ => {}
                }
            }
        };
        within(protocol, answer).await
    }

    /// Asks the first node something and does not wait.
    pub async fn shout(&mut self, protocol: &str, question: Vec<u8>) {
        let (handle, _) = self.requests.get_mut(protocol).unwrap();
        handle.send_request(self.nodes[0], question, DialOptions::Dial).await.unwrap();
    }

    /// How many of what was asked were answered just now, and how many have come to nothing.
    pub fn hear(&mut self, protocol: &str) -> (usize, usize) {
        let (handle, _) = self.requests.get_mut(protocol).unwrap();
        let events = std::iter::from_fn(|| handle.next().now_or_never().flatten());
        events.fold((0, 0), |(answered, failed), event| match event {
            RequestResponseEvent::ResponseReceived { .. } => (answered + 1, failed),
            RequestResponseEvent::RequestFailed { .. } => (answered, failed + 1),
            _ => (answered, failed),
        })
    }

    /// Opens a stream to a node: the node's own handshake, or why there is none, as where one is open.
    pub async fn open(&mut self, protocol: &str, node: usize) -> Result<Vec<u8>, String> {
        let (node, handle) = (self.nodes[node], self.streams.get_mut(protocol).unwrap());
        // an error says that it is open, or about to be
        let _ = handle.open_substream(node).await;
        let opened = async {
            loop {
                match handle.next().await.expect("the network runs") {
                    // what the other side opens is welcome
                    NotificationEvent::ValidateSubstream { peer, .. } => {
                        handle.send_validation_result(peer, ValidationResult::Accept);
                    }
                    NotificationEvent::NotificationStreamOpened { peer, handshake, .. } if peer == node => {
                        return Ok(handshake)
                    }
                    NotificationEvent::NotificationStreamOpenFailure { peer, error } if peer == node => {
                        return Err(format!("{error:?}"))
                    }
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, opened).await.unwrap_or_else(|_| Err("no word of it".into()))
    }

    /// Tells the first node something on an open stream, and hears what has come on all of them: a node gives up who does not.
    pub async fn tell(&mut self, protocol: &str, what: Vec<u8>) -> Result<(), String> {
        for handle in self.streams.values_mut() {
            while let Some(event) = handle.next().now_or_never() {
                if let NotificationEvent::ValidateSubstream { peer, .. } = event.expect("the network runs") {
                    handle.send_validation_result(peer, ValidationResult::Accept);
                }
            }
        }
        let sent = self.streams.get_mut(protocol).unwrap().send_async_notification(self.nodes[0], what);
        match tokio::time::timeout(Duration::from_secs(1), sent).await {
            Ok(sent) => sent.map_err(|error| format!("{error:?}")),
            Err(_) => Err("the node does not take it within a second".into()),
        }
    }

    /// What a node says when it is pinged.
    pub async fn ping(&mut self) -> Duration {
        let PingEvent::Ping { peer, ping } = within("ping", self.pings.next()).await.expect("the network runs");
        assert_eq!(peer, self.nodes[0]);
        ping
    }

    /// What a node says of itself: its program, its protocols, where it listens.
    pub async fn identify(&mut self) -> (String, Vec<String>, Vec<String>) {
        let IdentifyEvent::PeerIdentified { peer, user_agent, supported_protocols, listen_addresses, .. } =
            within("identify", self.identified.next()).await.expect("the network runs");
        assert_eq!(peer, self.nodes[0]);
        let protocols = supported_protocols.iter().map(ToString::to_string).collect();
        (user_agent.unwrap_or_default(), protocols, listen_addresses.iter().map(ToString::to_string).collect())
    }

    /// The peers that nodes name when they are asked for one: each with its addresses.
    pub async fn find(&mut self, wanted: &House) -> BTreeMap<String, Vec<String>> {
        let asked = self.kademlia.find_node(wanted.peer().into()).await;
        let found = async {
            loop {
                match self.kademlia.next().await.expect("the network runs") {
                    KademliaEvent::FindNodeSuccess { query_id, peers, .. } if query_id == asked => return peers,
                    _ => {}
                }
            }
        };
        let texts = |all: Vec<Multiaddr>| all.iter().map(ToString::to_string).collect();
        let found = within("peers", found).await;
        found.into_iter().map(|(peer, addresses)| (peer.to_string(), texts(addresses))).collect()
    }
}
