//! The network, assembled from the SDK's public parts so that a filter stands in front of every request that it answers.
//!
//! `sc_service::build_network` hides the protocols' configurations. What is here follows what it does in sc-service
//! 0.62.0, sc-network 0.60.0 and sc-network-sync 0.59.0, less IPFS; every part is named by its type, so that the build fails
//! where a later version has others. The tasks that tell the network of blocks ([`tell_imported`], [`tell_final`]) stand in
//! for one private function of sc-service 0.62.0.

use crate::{
    allowed::Allowed,
    patient::Patient,
    talk,
    types::{FullClient, FullPool},
};
use consilium_runtime::opaque::Block;
use futures::StreamExt;
use sc_client_api::{BlockchainEvents, HeaderBackend};
use sc_consensus::{DefaultImportQueue, ImportQueue};
use sc_network::{
    config::{FullNetworkConfiguration, IncomingRequest, NonReservedPeerMode, Params, SyncMode},
    service::traits::{NetworkService, PeerStore, RequestResponseConfig},
    Litep2pNetworkBackend, NetworkBackend, NetworkBlock, NotificationMetrics, ProtocolName, Roles,
};
use sc_network_light::light_client_requests::handler::LightClientRequestHandler;
use sc_network_sync::{
    block_relay_protocol::BlockRelayParams,
    block_request_handler::BlockRequestHandler,
    engine::SyncingEngine,
    service::network::NetworkServiceProvider,
    state_request_handler::StateRequestHandler,
    strategy::{
        polkadot::{PolkadotSyncingStrategy, PolkadotSyncingStrategyConfig},
        warp::WarpSyncProvider,
    },
    warp_request_handler::RequestHandler as WarpRequestHandler,
    SyncingService, WarpSyncConfig, WarpSyncPhase,
};
use sc_network_transactions::{TransactionsHandlerController, TransactionsHandlerPrototype};
use sc_service::{error::Error, Configuration, SpawnEssentialTaskHandle, SpawnTaskHandle, TransactionPoolAdapter};
use sc_utils::mpsc::{tracing_unbounded, TracingUnboundedSender};
use sp_consensus::block_validation::DefaultBlockAnnounceValidator;
use sp_core::H256;
use std::{sync::Arc, time::Duration};

/// The network's inner workings.
pub type Network = Litep2pNetworkBackend;
/// All that it is told.
pub type Protocols = FullNetworkConfiguration<Block, H256, Network>;
/// One of its request protocols.
type Requests = <Network as NetworkBackend<Block, H256>>::RequestResponseProtocolConfig;

/// Requests that wait for the filter; it never waits for anything itself.
const QUEUE: usize = 64;
/// A warp sync that has not begun is spoken of so often.
const WARP_WATCH: Duration = Duration::from_secs(20);
/// Name of the tasks' group.
const GROUP: Option<&str> = Some("networking");

/// Lets nobody in whom the chain does not name, from the first moment on. What is not shut at start cannot well be shut
/// later: the SDK then marks members' connections as closing, too.
pub fn close(config: &mut Configuration, allowed: &Allowed) {
    config.network.default_peers_set.reserved_nodes.retain(|node| allowed.contains(&node.peer_id));
    config.network.default_peers_set.non_reserved_mode = NonReservedPeerMode::Deny;
}

/// Puts the filter in front of a protocol: of others than members nothing reaches the one who answers, and the network tells
/// them that they are refused. To be run by whoever calls.
#[must_use = "nothing is answered unless it runs"]
pub fn members_only(
    requests: &mut Requests,
    allowed: Allowed,
) -> impl std::future::Future<Output = ()> + Send + 'static {
    let (outer, incoming) = async_channel::bounded(QUEUE);
    let inner = requests.inbound_queue.take();
    if inner.is_some() {
        requests.inbound_queue = Some(outer);
    }
    let name = requests.protocol_name().clone();
    async move {
        if let Some(inner) = inner {
            filter(&name, &incoming, &inner, &allowed).await;
        }
    }
}

/// Hands on what members ask. A request that is dropped is refused by the network; so is one too many, as it would be
/// without the filter.
async fn filter(
    name: &ProtocolName,
    incoming: &async_channel::Receiver<IncomingRequest>,
    inner: &async_channel::Sender<IncomingRequest>,
    allowed: &Allowed,
) {
    while let Ok(request) = incoming.recv().await {
        if !allowed.contains(&request.peer) {
            log::debug!(target: "members", "{name}: {} is no member's node, and gets no answer", request.peer);
        } else if inner.try_send(request).is_err_and(|error| error.is_closed()) {
            return;
        }
    }
}

/// What a network is made of.
pub struct Parts<'a> {
    /// The node's settings.
    pub config: &'a Configuration,
    /// Protocols that others have added.
    pub protocols: Protocols,
    /// The chain.
    pub client: Arc<FullClient>,
    /// Transactions.
    pub pool: Arc<FullPool>,
    /// Where blocks go.
    pub import_queue: DefaultImportQueue<Block>,
    /// Proofs for nodes that join late.
    pub warp: Arc<dyn WarpSyncProvider<Block>>,
    /// Counts.
    pub metrics: NotificationMetrics,
    /// Who gets answers.
    pub allowed: Allowed,
    /// See [`crate::Faults`].
    pub lost: fn() -> bool,
    /// Runs tasks.
    pub spawn: SpawnTaskHandle,
    /// Runs tasks without which the node ends.
    pub essential: SpawnEssentialTaskHandle,
}

/// A network that runs.
pub struct Started {
    /// To speak to others.
    pub network: Arc<dyn NetworkService>,
    /// What the `system` methods ask.
    pub system_rpc: TracingUnboundedSender<sc_rpc::system::Request<Block>>,
    /// Spreads transactions.
    pub transactions: TransactionsHandlerController<H256>,
    /// Keeps in step with others.
    pub sync: Arc<SyncingService<Block>>,
    /// Name of the protocol by whose peers all the gossip goes.
    pub announces: ProtocolName,
}

impl Parts<'_> {
    fn shut(&self, mut requests: Requests) -> Requests {
        self.spawn.spawn("members-only", GROUP, members_only(&mut requests, self.allowed.clone()));
        requests
    }

    /// Everything that answers requests, behind the filter; gives how this node asks others in turn.
    fn answerers(
        &mut self,
        provider: &NetworkServiceProvider,
    ) -> Result<PolkadotSyncingStrategy<Block, FullClient>, Error> {
        let (id, fork) = (self.config.protocol_id(), self.config.chain_spec.fork_id());
        let genesis = self.client.info().genesis_hash;
        let network = &self.config.network;
        let peers = network.default_peers_set.in_peers as usize + network.default_peers_set.out_peers as usize;

        let BlockRelayParams { mut server, downloader, request_response_config: blocks } =
            BlockRequestHandler::new::<Network>(provider.handle(), &id, fork, self.client.clone(), peers);
        self.spawn.spawn("block-request-handler", GROUP, async move { server.run().await });
        let (handler, states) = StateRequestHandler::new::<Network>(&id, fork, self.client.clone(), peers);
        self.spawn.spawn("state-request-handler", GROUP, handler.run());
        let (handler, warps) = WarpRequestHandler::new::<_, Network>(id.clone(), genesis, fork, self.warp.clone());
        self.spawn.spawn("warp-sync-request-handler", GROUP, handler.run());
        let (handler, lights) = LightClientRequestHandler::new::<Network>(&id, fork, self.client.clone());
        self.spawn.spawn("light-client-request-handler", GROUP, handler.run());

        let (state_name, warp_name) = (states.protocol_name().clone(), warps.protocol_name().clone());
        for requests in [blocks, states, warps, lights] {
            let requests = self.shut(requests);
            self.protocols.add_request_response_protocol(requests);
        }
        let settings = PolkadotSyncingStrategyConfig {
            mode: network.sync_mode,
            max_parallel_downloads: network.max_parallel_downloads,
            max_blocks_per_request: network.max_blocks_per_request,
            min_peers_to_start_warp_sync: network.min_peers_to_start_warp_sync,
            metrics_registry: self.config.prometheus_registry().cloned(),
            state_request_protocol_name: state_name,
            block_downloader: Arc::new(Patient::new(downloader, self.lost)),
            gap_sync_body_policy: sc_service::default_gap_sync_body_policy(self.config.blocks_pruning),
        };
        let warp = Some(WarpSyncConfig::WithProvider(self.warp.clone()));
        Ok(PolkadotSyncingStrategy::new(settings, self.client.clone(), warp, Some(warp_name))?)
    }

    /// Starts the network. The database's own word on which way of syncing it can take comes first.
    ///
    /// # Errors
    /// What could not be started.
    pub fn start(mut self) -> Result<Started, Error> {
        use sc_client_api::BlockBackend;
        if self.client.requires_full_sync() && !matches!(self.config.network.sync_mode, SyncMode::Full) {
            return Err(Error::Other(
                "a node that keeps all states can only sync in full: leave out --sync, or --state-pruning archive"
                    .into(),
            ));
        }
        let provider = NetworkServiceProvider::new();
        let strategy = self.answerers(&provider)?;
        let registry = self.config.prometheus_registry().cloned();
        let (id, fork) = (self.config.protocol_id(), self.config.chain_spec.fork_id());
        let genesis = self.client.info().genesis_hash;
        let (engine, sync, announces) = SyncingEngine::new::<Network>(
            Roles::from(&self.config.role),
            self.client.clone(),
            registry.as_ref(),
            self.metrics.clone(),
            &self.protocols,
            id.clone(),
            fork,
            Box::new(DefaultBlockAnnounceValidator),
            Box::new(strategy),
            provider.handle(),
            self.import_queue.service(),
            self.protocols.peer_store_handle(),
        )?;
        self.essential.spawn_blocking("syncing", None, engine.run());
        let sync = Arc::new(sync);
        let announces_name = announces.protocol_name().clone();

        let (transactions, gossip) = TransactionsHandlerPrototype::new::<_, Block, Network>(
            id.clone(),
            genesis,
            fork,
            self.metrics.clone(),
            self.protocols.peer_store_handle(),
        );
        self.protocols.add_notification_protocol(gossip);
        self.spawn.spawn("peer-store", GROUP, self.protocols.take_peer_store().run());

        let tasks = self.spawn.clone();
        let should_have_peers = !self.config.network.boot_nodes.is_empty();
        let backend = Network::new(Params::<Block, H256, Network> {
            role: self.config.role,
            executor: Box::new(move |task| tasks.spawn("libp2p-node", GROUP, task)),
            network_config: self.protocols,
            genesis_hash: genesis,
            protocol_id: id,
            fork_id: fork.map(str::to_owned),
            metrics_registry: registry.clone(),
            block_announce_config: announces,
            ipfs_config: None,
            notification_metrics: self.metrics,
        })?;
        let network = <Network as NetworkBackend<Block, H256>>::network_service(&backend);

        let pool = TransactionPoolAdapter::new(self.pool, self.client.clone());
        let (watched, heard) = talk::limited(network.clone(), pool, self.allowed);
        let (handler, controller) = transactions.build(watched, sync.clone(), Arc::new(heard), registry.as_ref())?;
        self.spawn.spawn_blocking("network-transactions-handler", GROUP, handler.run());
        self.spawn.spawn_blocking(
            "chain-sync-network-service-provider",
            GROUP,
            provider.run(Arc::new(network.clone())),
        );
        let (queue, link) = (self.import_queue, sync.clone());
        self.spawn.spawn("import-queue", None, async move { queue.run(&*link).await });

        let (system_rpc, asked) = tracing_unbounded("mpsc_system_rpc", 10_000);
        let answer = sc_service::build_system_rpc_future::<Block, _, H256>(
            self.config.role,
            network.clone(),
            sync.clone(),
            self.client.clone(),
            asked,
            should_have_peers,
        );
        self.spawn.spawn("system-rpc-handler", GROUP, answer);

        let (client, to) = (self.client.clone(), sync.clone());
        let imported = tell_imported(client.clone(), to.clone(), self.config.announce_block);
        let run = <Network as NetworkBackend<Block, H256>>::run(backend);
        self.essential.spawn_blocking("network-worker", GROUP, run);
        self.essential.spawn("network-imported", GROUP, imported);
        self.essential.spawn("network-final", GROUP, tell_final(client, to));
        Ok(Started { network, system_rpc, transactions: controller, sync, announces: announces_name })
    }
}

/// Says now and then what a warp sync waits for that has not begun: the SDK begins none with fewer peers, and is silent.
pub async fn watch_warp_sync(sync: Arc<SyncingService<Block>>) {
    loop {
        tokio::time::sleep(WARP_WATCH).await;
        let Ok(status) = sync.status().await else { return };
        let Some(progress) = status.warp_sync else { return };
        if let WarpSyncPhase::AwaitingPeers { required_peers } = progress.phase {
            log::warn!(
                "warp sync waits for {required_peers} peers and has {}; nothing is fetched until then: start more nodes, name \
                 them with --bootnodes, or start this one with --sync full",
                status.num_peers
            );
        }
    }
}

/// Tells others of blocks that this node has imported, and the sync of new best ones, until the chain ends.
async fn tell_imported(client: Arc<FullClient>, sync: Arc<SyncingService<Block>>, announce: bool) {
    let mut blocks = client.import_notification_stream();
    while let Some(block) = blocks.next().await {
        if announce {
            sync.announce_block(block.hash, None);
        }
        if block.is_new_best {
            sync.new_best_block_imported(block.hash, block.header.number);
        }
    }
}

/// Tells the sync of blocks that are final, until the chain ends.
async fn tell_final(client: Arc<FullClient>, sync: Arc<SyncingService<Block>>) {
    let mut blocks = client.finality_notification_stream();
    while let Some(block) = blocks.next().await {
        sync.on_block_finalized(block.hash, block.header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sc_network_types::PeerId;

    #[tokio::test]
    async fn of_others_than_members_nothing_reaches_the_one_who_answers() {
        let (member, stranger, allowed) = (PeerId::random(), PeerId::random(), Allowed::default());
        let (inner, answered) = async_channel::bounded(1);
        let mut requests = <Network as NetworkBackend<Block, H256>>::request_response_config(
            "/test/1".into(),
            Vec::new(),
            16,
            16,
            std::time::Duration::from_secs(1),
            Some(inner),
        );
        tokio::spawn(members_only(&mut requests, allowed.clone()));
        let queue = requests.inbound_queue.expect("a server");
        let ask = |peer| {
            let (pending_response, response) = futures::channel::oneshot::channel();
            queue.try_send(IncomingRequest { peer, payload: Vec::new(), pending_response }).expect("there is room");
            response
        };
        assert!(ask(member).await.is_err(), "nobody is a member yet");
        allowed.replace([(member, "North\u{202e}".into())].into());
        assert_eq!((allowed.name(&member), allowed.name(&stranger)), ("\"North\\u{202e}\"".into(), "nobody".into()));
        assert!(ask(stranger).await.is_err());
        let kept = ask(member);
        assert_eq!(answered.recv().await.expect("it came").peer, member);
        drop(kept);
        // what is too much for the one who answers is refused, and holds up nothing
        let first = ask(member);
        assert!(ask(member).await.is_err());
        allowed.replace([].into());
        assert!(ask(member).await.is_err(), "a member no more");
        assert_eq!(answered.recv().await.expect("the first").peer, member);
        drop(first);
        assert!(answered.is_empty());
    }
}
