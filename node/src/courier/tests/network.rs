//! Couriers over real connections of this machine.

use super::{fetching::fetch_over, *};
use crate::courier::{
    fetch::PATIENCE,
    protocols, serve,
    wire::{MAX_REQUEST, MAX_RESPONSE},
    Nudge, Port, Wire,
};
use consilium_runtime::opaque::Block;
use sc_network::{
    config::{
        FullNetworkConfiguration, NetworkConfiguration, NonReservedPeerMode, Params, ProtocolId, Role, SetConfig,
    },
    service::traits::NetworkService,
    Litep2pNetworkBackend, Multiaddr, NetworkBackend, NetworkPeers, NetworkStateInfo, ProtocolName,
};
use sp_core::H256;
use std::time::Duration;

type Backend = Litep2pNetworkBackend;

/// A way of asking and answering.
type Protocol = <Backend as NetworkBackend<Block, H256>>::RequestResponseProtocolConfig;

/// A node of the network that speaks the couriers' protocol and nothing else.
pub struct Node {
    pub network: Arc<dyn NetworkService>,
    pub port: Port,
    address: Multiaddr,
}

impl Node {
    pub async fn start() -> Self {
        let (couriers, port) = protocols::<Backend>(&GENESIS, None);
        Self::with(couriers.into(), port).await
    }

    /// One of an earlier build: it knows the second version of the protocol only.
    pub async fn start_older() -> Self {
        let ([_, _, _, older], port) = protocols::<Backend>(&GENESIS, None);
        Self::with(vec![older], port).await
    }

    /// One of an earlier build: it knows nothing of what specifications name, nor of updates under masks.
    pub async fn start_unattached() -> Self {
        let ([_, _, own, older], port) = protocols::<Backend>(&GENESIS, None);
        Self::with(vec![own, older], port).await
    }

    /// One that may send longer responses than couriers do.
    async fn start_boundless() -> Self {
        let (_, port) = protocols::<Backend>(&GENESIS, None);
        let (sender, requests) = async_channel::bounded(8);
        let courier = <Backend as NetworkBackend<Block, H256>>::request_response_config(
            port.names.own.clone(),
            Vec::new(),
            MAX_REQUEST,
            16 * 1024 * 1024,
            PATIENCE.response,
            Some(sender),
        );
        Self::with(vec![courier], Port { requests, ..port }).await
    }

    async fn with(couriers: Vec<Protocol>, port: Port) -> Self {
        let genesis = GENESIS;
        let config = NetworkConfiguration::new_local();
        let mut full = FullNetworkConfiguration::<Block, H256, Backend>::new(&config, None);
        couriers.into_iter().for_each(|courier| full.add_request_response_protocol(courier));
        let metrics = <Backend as NetworkBackend<Block, H256>>::register_notification_metrics(None);
        let nobody = SetConfig {
            in_peers: 0,
            out_peers: 0,
            reserved_nodes: Vec::new(),
            non_reserved_mode: NonReservedPeerMode::Deny,
        };
        let (announces, _service) = <Backend as NetworkBackend<Block, H256>>::notification_config(
            ProtocolName::from("/test/block-announces/1"),
            Vec::new(),
            1024,
            None,
            nobody,
            metrics.clone(),
            full.peer_store_handle(),
        );
        let backend = <Backend as NetworkBackend<Block, H256>>::new(Params {
            role: Role::Full,
            executor: Box::new(|task| drop(tokio::spawn(task))),
            network_config: full,
            protocol_id: ProtocolId::from("test"),
            genesis_hash: genesis,
            fork_id: None,
            metrics_registry: None,
            block_announce_config: announces,
            ipfs_config: None,
            notification_metrics: metrics,
        })
        .unwrap();
        let network = NetworkBackend::<Block, H256>::network_service(&backend);
        tokio::spawn(async move {
            let _service = _service;
            NetworkBackend::<Block, H256>::run(backend).await;
        });
        let address = loop {
            if let Some(address) = network.listen_addresses().first() {
                break address.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Self { network, port, address }
    }

    pub fn peer(&self) -> PeerId {
        self.network.local_peer_id()
    }

    /// A transport that knows another node.
    pub fn towards(&self, other: &Node) -> Wire<Arc<dyn NetworkService>> {
        self.network.add_known_address(other.peer(), other.address.clone());
        Wire { network: self.network.clone(), names: self.port.names.clone(), nudge: Nudge::default() }
    }

    /// What another node answers to the first request that reaches it: before the network has taken in its address,
    /// none does.
    pub async fn first_answer(&self, other: &Node, request: Vec<u8>) -> Vec<u8> {
        let wire = self.towards(other);
        for _ in 0..100 {
            if let Some(answer) = wire.send(other.peer(), (&self.port.names.own, request.clone()), None).await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no connection");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_travel_over_real_connections_to_members_only() {
    let (author, member, outsider) = (Node::start().await, Node::start().await, Node::start().await);
    let nodes = [(1, author.peer()), (2, member.peer())];
    let source = House::new();
    let made: Vec<_> = SIZES.iter().enumerate().map(|(n, size)| blob(*size, n as u8)).collect();
    let listed: Vec<_> = made.iter().map(|(_, blob)| notice(Kind::Update, *blob, &[1], &[1, 2])).collect();
    let blobs: Vec<_> = made.iter().map(|(_, blob)| *blob).collect();
    made.iter().for_each(|(bytes, blob)| source.put(blob, bytes));
    source.server.update(chain_of(&author.peer(), &nodes, &listed, &listed));
    tokio::spawn(serve(source.server.clone(), author.port.requests.clone()));

    let there = House::new();
    let snapshot = chain_of(&member.peer(), &nodes, &listed, &listed);
    assert!(fetch_over(&there, member.towards(&author), snapshot, &blobs, PATIENCE, Duration::from_secs(60)).await);
    made.iter().for_each(|(bytes, blob)| assert_eq!(&fs::read(there.file(blob)).unwrap(), bytes));
    let given: u64 = source.egress().iter().map(|line| line.bytes).sum();
    assert_eq!(given, SIZES.iter().sum::<usize>() as u64);

    // a node that takes the member's place in its own eyes still has its own peer id on the wire
    let answer = outsider.first_answer(&author, first(update(blobs[0])).encode()).await;
    assert_eq!(Response::read(&answer), Some(Response::Refused));
    let thief = House::new();
    let posing = [(1, author.peer()), (2, outsider.peer())];
    let snapshot = chain_of(&outsider.peer(), &posing, &listed, &listed);
    let wire = outsider.towards(&author);
    assert!(!fetch_over(&thief, wire, snapshot, &blobs[..1], PATIENCE, Duration::from_secs(2)).await);
    assert!(source.egress().iter().all(|line| line.peer == member.peer().to_base58()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_response_gets_through_and_a_longer_one_does_not() {
    let (hostile, victim) = (Node::start_boundless().await, Node::start().await);
    let requests = hostile.port.requests.clone();
    tokio::spawn(async move {
        while let Ok(incoming) = requests.recv().await {
            // as many bytes as the request says
            let len = u64::from_le_bytes(incoming.payload.try_into().unwrap()) as usize;
            let response = sc_network::config::OutgoingResponse {
                result: Ok(vec![0; len]),
                reputation_changes: Vec::new(),
                sent_feedback: None,
            };
            let _ = incoming.pending_response.send(response);
        }
    });
    let wire = victim.towards(&hostile);
    let ask = |len: u64| {
        let asked = wire.send(hostile.peer(), (&wire.names.own, len.to_le_bytes().to_vec()), None);
        async move { tokio::time::timeout(Duration::from_secs(20), asked).await.ok().flatten().map(|bytes| bytes.len()) }
    };
    assert_eq!(victim.first_answer(&hostile, 1u64.to_le_bytes().to_vec()).await.len(), 1);
    assert_eq!(ask(MAX_RESPONSE).await, Some(MAX_RESPONSE as usize));
    for longer in [MAX_RESPONSE + 1, 4 * 1024 * 1024] {
        assert_eq!(ask(longer).await, None, "{longer} bytes came through");
        // the connection lives, and so does what is allowed
        assert_eq!(ask(1000).await, Some(1000));
    }
}
