//! Couriers over real connections of this machine.

use super::{fetching::fetch_over, *};
use crate::courier::{protocol, serve, Port, Wire};
use consilium_runtime::opaque::Block;
use sc_network::{
    config::{
        FullNetworkConfiguration, NetworkConfiguration, NonReservedPeerMode, Params, ProtocolId, Role, SetConfig,
    },
    service::traits::NetworkService,
    IfDisconnected, Litep2pNetworkBackend, Multiaddr, NetworkBackend, NetworkPeers, NetworkRequest, NetworkStateInfo,
    ProtocolName,
};
use sp_core::H256;
use std::time::Duration;

type Backend = Litep2pNetworkBackend;

/// A node of the network that speaks the couriers' protocol and nothing else.
struct Node {
    network: Arc<dyn NetworkService>,
    port: Port,
    address: Multiaddr,
}

impl Node {
    async fn start() -> Self {
        let genesis = H256::repeat_byte(9);
        let config = NetworkConfiguration::new_local();
        let mut full = FullNetworkConfiguration::<Block, H256, Backend>::new(&config, None);
        let (courier, port) = protocol::<Backend>(&genesis, None);
        full.add_request_response_protocol(courier);
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

    fn peer(&self) -> PeerId {
        self.network.local_peer_id()
    }

    /// A transport that knows another node.
    fn towards(&self, other: &Node) -> Wire<Arc<dyn NetworkService>> {
        self.network.add_known_address(other.peer(), other.address.clone());
        Wire { network: self.network.clone(), name: self.port.name.clone() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_travel_over_real_connections_to_members_only() {
    let (author, member, outsider) = (Node::start().await, Node::start().await, Node::start().await);
    let nodes = [(1, author.peer()), (2, member.peer())];
    let source = House::new();
    let made: Vec<_> = SIZES.iter().enumerate().map(|(n, size)| blob(*size, n as u8)).collect();
    let listed: Vec<_> = made.iter().map(|(_, blob)| notice(BlobKind::Update, *blob, &[1], &[1, 2])).collect();
    let blobs: Vec<_> = made.iter().map(|(_, blob)| *blob).collect();
    made.iter().for_each(|(bytes, blob)| source.put(blob, bytes));
    source.server.update(chain_of(&author.peer(), &nodes, &listed, &listed));
    tokio::spawn(serve(source.server.clone(), author.port.requests.clone()));

    let there = House::new();
    let snapshot = chain_of(&member.peer(), &nodes, &listed, &listed);
    assert!(fetch_over(&there, member.towards(&author), snapshot, &blobs, (10_000, 60_000)).await);
    made.iter().for_each(|(bytes, blob)| assert_eq!(&fs::read(there.file(blob)).unwrap(), bytes));
    let given: u64 = source.egress().iter().map(|line| line.bytes).sum();
    assert_eq!(given, SIZES.iter().sum::<usize>() as u64);

    // a node that takes the member's place in its own eyes still has its own peer id on the wire
    let thief = House::new();
    let posing = [(1, author.peer()), (2, outsider.peer())];
    let snapshot = chain_of(&outsider.peer(), &posing, &listed, &listed);
    assert!(!fetch_over(&thief, outsider.towards(&author), snapshot, &blobs[..1], (1_000, 2_000)).await);
    assert!(source.egress().iter().all(|line| line.peer == member.peer().to_base58()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_longer_than_allowed_does_not_get_through() {
    let (hostile, victim) = (Node::start().await, Node::start().await);
    let requests = hostile.port.requests.clone();
    tokio::spawn(async move {
        while let Ok(incoming) = requests.recv().await {
            let response = sc_network::config::OutgoingResponse {
                result: Ok(vec![0; 4 * 1024 * 1024]),
                reputation_changes: Vec::new(),
                sent_feedback: None,
            };
            let _ = incoming.pending_response.send(response);
        }
    });
    let wire = victim.towards(&hostile);
    let asked = wire.network.request(hostile.peer(), wire.name.clone(), vec![1], None, IfDisconnected::TryConnect);
    let outcome = tokio::time::timeout(Duration::from_secs(20), asked).await;
    assert!(!matches!(outcome, Ok(Ok(_))), "4 MiB came through");
}
