//! A peer that is no node: it asks what it likes.

use crate::house::House;
use consilium_runtime::opaque::Block;
use sc_network::{
    config::{FullNetworkConfiguration, NetworkConfiguration, NodeKeyConfig, Params, Role, Secret, SetConfig},
    multiaddr::Multiaddr,
    service::traits::{NetworkService, PeerStore},
    IfDisconnected, Litep2pNetworkBackend, NetworkBackend, NetworkPeers, NetworkRequest, ProtocolName, RequestFailure,
};
use sc_network_types::{ed25519::Keypair, PeerId};
use sp_core::H256;
use std::{sync::Arc, time::Duration};

type Network = Litep2pNetworkBackend;

/// The peer.
pub struct Client {
    network: Arc<dyn NetworkService>,
}

/// A field of a message whose type is "bytes" or another message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

impl Client {
    /// The protocols, each with a question that a node can answer.
    pub fn questions(genesis: &H256) -> Vec<(ProtocolName, Vec<u8>)> {
        let named = |name: &str| ProtocolName::from(format!("/{}/{name}", hex::encode(genesis)));
        // the header of the first block by number; its state from the beginning; one value of it with a proof
        let block = [&[0x08, 0x80, 0x80, 0x80, 0x08][..], &field(3, &[0; 4]), &[0x30, 1]].concat();
        let state = [field(1, genesis.as_bytes()), vec![0x18, 1]].concat();
        let light = field(2, &[field(2, genesis.as_bytes()), field(3, b":code")].concat());
        vec![
            (named("sync/2"), block),
            (named("state/2"), state),
            (named("sync/warp"), genesis.as_bytes().to_vec()),
            (named("light/2"), light),
            (named("courier/2"), b"what have you?".to_vec()),
        ]
    }

    /// Starts one that knows where a node is.
    pub fn start(key: &Keypair, node: &House) -> Self {
        let genesis = node.genesis();
        let secret = sc_network::config::ed25519::SecretKey::try_from_bytes(key.secret().to_bytes()).unwrap();
        let key = NodeKeyConfig::Ed25519(Secret::Input(secret));
        let mut config = NetworkConfiguration::new("peer", "0", key, None);
        config.listen_addresses = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        let mut protocols = FullNetworkConfiguration::<Block, H256, Network>::new(&config, None);
        for (name, _) in Self::questions(&genesis) {
            let limit = 16 * 1024 * 1024;
            let patience = Duration::from_secs(20);
            let outgoing = <Network as NetworkBackend<Block, H256>>::request_response_config(
                name,
                Vec::new(),
                limit,
                limit,
                patience,
                None,
            );
            protocols.add_request_response_protocol(outgoing);
        }
        let metrics = <Network as NetworkBackend<Block, H256>>::register_notification_metrics(None);
        let (announces, _service) = <Network as NetworkBackend<Block, H256>>::notification_config(
            format!("/{}/block-announces/1", hex::encode(genesis)).into(),
            Vec::new(),
            1024,
            None,
            SetConfig::default(),
            metrics.clone(),
            protocols.peer_store_handle(),
        );
        tokio::spawn(protocols.take_peer_store().run());
        let backend = Network::new(Params::<Block, H256, Network> {
            role: Role::Full,
            executor: Box::new(|task| {
                tokio::spawn(task);
            }),
            network_config: protocols,
            genesis_hash: genesis,
            protocol_id: "consilium".into(),
            fork_id: None,
            metrics_registry: None,
            block_announce_config: announces,
            ipfs_config: None,
            notification_metrics: metrics,
        })
        .unwrap();
        let network = <Network as NetworkBackend<Block, H256>>::network_service(&backend);
        tokio::spawn(<Network as NetworkBackend<Block, H256>>::run(backend));
        let address: Multiaddr = node.address().parse().unwrap();
        network.add_known_address(node.peer(), address);
        Self { network }
    }

    /// Asks.
    pub async fn ask(&self, node: &PeerId, protocol: &ProtocolName, what: &[u8]) -> Result<Vec<u8>, RequestFailure> {
        let asked = self.network.request(*node, protocol.clone(), what.to_vec(), None, IfDisconnected::TryConnect);
        asked.await.map(|(bytes, _)| bytes)
    }
}
