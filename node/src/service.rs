//! The node's services, assembled from the SDK's parts.

use crate::{
    allowed::Allowed,
    authoring::Authoring,
    changes,
    cli::{gossip_for, CourierParams, WorkerParams},
    clock::{self, Clock},
    concluded,
    courier::{self, Courier},
    database,
    members::Members,
    metrics::Metrics,
    network::{self, Network, Protocols},
    pulse::{Nudge, Pulse},
    recovery::Recoveries,
    rpc,
    types::{FullBackend, FullClient, FullPool, FullSelectChain, GrandpaImport},
    wasm_cache, worker,
};
use consilium_runtime::{opaque::Block, RuntimeApi};
use futures::{FutureExt, StreamExt};
use sc_client_api::{Backend, BlockBackend};
use sc_consensus_aura::ImportQueueParams;
use sc_consensus_grandpa::{FinalityProofProvider, SharedVoterState};
use sc_network_sync::{SyncEvent, SyncEventStream};
use sc_service::{error::Error as ServiceError, Configuration, TaskManager};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_consensus::SyncOracle;
use sp_consensus_aura::sr25519::AuthorityPair as AuraPair;
use sp_core::traits::SpawnNamed;
use std::{path::PathBuf, sync::Arc, time::Duration};
type GrandpaLink = sc_consensus_grandpa::LinkHalf<Block, FullClient, FullSelectChain>;

/// A justification is kept every so many blocks, for nodes that join later.
const JUSTIFICATION_PERIOD: u32 = 2048;

type Parts = sc_service::PartialComponents<
    FullClient,
    FullBackend,
    FullSelectChain,
    sc_consensus::DefaultImportQueue<Block>,
    FullPool,
    (GrandpaImport, GrandpaLink, Option<Telemetry>),
>;

fn parts(
    config: &Configuration,
    cache: Option<PathBuf>,
    recoveries: &Recoveries,
    clock: Clock,
) -> Result<Parts, ServiceError> {
    let telemetry = config
        .telemetry_endpoints
        .clone()
        .filter(|endpoints| !endpoints.is_empty())
        .map(|endpoints| -> Result<_, sc_telemetry::Error> {
            let worker = TelemetryWorker::new(16)?;
            let telemetry = worker.handle().new_telemetry(endpoints);
            Ok((worker, telemetry))
        })
        .transpose()?;
    let executor = wasm_cache::executor(&config.executor, cache);
    let (client, backend, keystore_container, task_manager) = sc_service::new_full_parts::<Block, RuntimeApi, _>(
        config,
        telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
        executor,
        vec![Arc::new(sc_consensus_grandpa::GrandpaPruningFilter)],
    )?;
    let client = Arc::new(client);
    let telemetry = telemetry.map(|(worker, telemetry)| {
        task_manager.spawn_handle().spawn("telemetry", None, worker.run());
        telemetry
    });
    let select_chain = sc_consensus::LongestChain::new(backend.clone());
    let transaction_pool = Arc::from(
        sc_transaction_pool::Builder::new(
            task_manager.spawn_essential_handle(),
            client.clone(),
            config.role.is_authority().into(),
        )
        .with_options(config.transaction_pool.clone())
        .with_prometheus(config.prometheus_registry())
        .build(),
    );
    let import = |forks| {
        sc_consensus_grandpa::block_import_with_authority_set_hard_forks(
            client.clone(),
            JUSTIFICATION_PERIOD,
            &client,
            select_chain.clone(),
            forks,
            telemetry.as_ref().map(|t| t.handle()),
        )
    };
    let (mut grandpa_import, mut grandpa_link) = import(Vec::new())?;
    if !recoveries.is_empty() {
        // only now the number of the set in force is known
        let set = grandpa_link.shared_authority_set().set_id();
        let forks = recoveries.at_start(&client, set, config.network.sync_mode);
        (grandpa_import, grandpa_link) = import(forks.map_err(|text| ServiceError::Application(text.into()))?)?;
    }
    let slots = client.clone();
    let import_queue = sc_consensus_aura::import_queue::<AuraPair, _, _, _, _, _>(ImportQueueParams {
        block_import: grandpa_import.clone(),
        justification_import: Some(Box::new(grandpa_import.clone())),
        client: client.clone(),
        create_inherent_data_providers: move |parent, _| {
            let (slots, clock) = (slots.clone(), clock.clone());
            async move {
                // a clock that is behind would find fault with everybody else's blocks, and their senders be shut out
                clock.settled().await;
                let duration = sc_consensus_aura::standalone::slot_duration_at(&*slots, parent)?;
                let timestamp = sp_timestamp::InherentDataProvider::new(clock.latest().into());
                let slot = sp_consensus_aura::inherents::InherentDataProvider::from_timestamp_and_slot_duration(
                    *timestamp, duration,
                );
                Ok((slot, timestamp))
            }
        },
        spawner: &task_manager.spawn_essential_handle(),
        registry: config.prometheus_registry(),
        // of a second block in one slot it only writes a line, and sc-consensus-slots 0.59.0 can stand still over it for good
        check_for_equivocation: sc_consensus_aura::CheckForEquivocation::No,
        telemetry: telemetry.as_ref().map(|t| t.handle()),
        compatibility_mode: Default::default(),
    })?;
    Ok(sc_service::PartialComponents {
        client,
        backend,
        task_manager,
        import_queue,
        keystore_container,
        select_chain,
        transaction_pool,
        other: (grandpa_import, grandpa_link, telemetry),
    })
}

/// What this node is told besides what all nodes of the SDK are.
pub struct Own {
    /// Where compiled runtimes are kept.
    pub cache: Option<PathBuf>,
    /// How finality goes on where most validators were lost.
    pub recoveries: Recoveries,
    /// What goes wrong, in tests.
    pub faults: crate::Faults,
    /// How long votes on finality may take to reach everybody, where that does not follow from how many vote.
    pub gossip: Option<Duration>,
}

/// Starts everything a node does.
///
/// # Errors
/// What could not be started.
pub fn new_full(
    mut config: Configuration,
    worker_params: &WorkerParams,
    courier_params: &CourierParams,
    own: Own,
) -> Result<TaskManager, ServiceError> {
    let Own { cache, recoveries, faults, gossip } = own;
    let broken = database::open(&mut config)?;
    let clock = Clock::default();
    let sc_service::PartialComponents {
        client,
        backend,
        mut task_manager,
        import_queue,
        keystore_container,
        select_chain,
        transaction_pool,
        other: (block_import, grandpa_link, mut telemetry),
    } = parts(&config, cache, &recoveries, clock.clone())?;

    // a node whose database cannot be written ends, to go on from what is on the disk
    task_manager.spawn_essential_handle().spawn("database", None, broken);
    let mut storage = backend.offchain_storage().ok_or("the database has no room for offchain settings")?;
    worker::settle(worker_params, &mut storage).map_err(ServiceError::Other)?;

    let registry = config.prometheus_registry().cloned();
    let figures = Metrics::new(registry.as_ref())?;
    let allowed = Allowed::default();
    let members = Members::open(client.clone(), allowed.clone(), clock.clone(), &config.network)
        .map_err(|error| format!("the chain does not say who its members are: {error}"))?;
    network::close(&mut config, &allowed);
    let mut net_config = Protocols::new(&config.network, registry.clone());
    let metrics =
        <Network as sc_network::NetworkBackend<Block, sp_core::H256>>::register_notification_metrics(registry.as_ref());
    let peer_store = net_config.peer_store_handle();
    let genesis = client.block_hash(0).ok().flatten().ok_or("the chain has no genesis block")?;
    let grandpa_protocol = sc_consensus_grandpa::protocol_standard_name(&genesis, &config.chain_spec);
    let (grandpa_config, grandpa_notifications) = sc_consensus_grandpa::grandpa_peers_set_config::<Block, Network>(
        grandpa_protocol.clone(),
        metrics.clone(),
        peer_store,
    );
    net_config.add_notification_protocol(grandpa_config);
    let nudge = Nudge::default();
    let mut add = |mut protocol| {
        let shut = network::members_only(&mut protocol, allowed.clone());
        task_manager.spawn_handle().spawn("members-only", Some("networking"), shut);
        net_config.add_request_response_protocol(protocol);
    };
    let (protocol, clock_port) = clock::protocol::<Network>(&genesis, config.chain_spec.fork_id());
    add(protocol);
    let courier = courier_params.blobs.clone().map(|blobs| {
        let (protocols, port) = courier::protocols::<Network>(&genesis, config.chain_spec.fork_id());
        protocols.into_iter().for_each(&mut add);
        let own = config.base_path.path().join("courier");
        let quota = courier_params.courier_quota_mib.saturating_mul(1024 * 1024);
        let (clock, nudge, figures) = (clock.clone(), nudge.clone(), figures.courier.clone());
        (courier::Settings { blobs, own, quota, genesis, served: faults.served, clock, nudge, figures }, port)
    });
    let warp_sync = Arc::new(sc_consensus_grandpa::warp_proof::NetworkProvider::new(
        backend.clone(),
        grandpa_link.shared_authority_set().clone(),
        recoveries.for_warp(),
    ));
    let started = network::Parts {
        config: &config,
        protocols: net_config,
        client: client.clone(),
        pool: transaction_pool.clone(),
        import_queue,
        warp: warp_sync,
        metrics,
        allowed: allowed.clone(),
        lost: faults.lost,
        spawn: task_manager.spawn_handle(),
        essential: task_manager.spawn_essential_handle(),
    }
    .start()?;
    let network::Started { network, system_rpc, transactions, sync: sync_service, announces } = started;
    // a node that does not follow who is a member lets in who is none any more
    let follow = members.run(network.clone(), sync_service.clone(), announces);
    task_manager.spawn_essential_handle().spawn("members", Some("networking"), follow);

    let events = sync_service.event_stream("clock");
    let compare = clock.clone().run(network.clone(), clock_port, allowed, events, registry.as_ref())?;
    task_manager.spawn_essential_handle().spawn("clock", Some("networking"), compare);

    if let Some((settings, port)) = courier {
        let courier = Courier::open(&settings, client.clone(), network.clone(), port).map_err(ServiceError::Other)?;
        let connected = sync_service.event_stream("courier").filter_map(|event| async move {
            match event {
                SyncEvent::PeerConnected { peer_id, .. } => Some(peer_id),
                SyncEvent::PeerDisconnected(_) => None,
            }
        });
        let sync = sync_service.clone();
        let run = async move { courier.run(move || sync.is_major_syncing(), connected).await };
        // an institution whose courier is gone commits updates that nobody can fetch
        task_manager.spawn_essential_handle().spawn("courier", None, run);
    }

    if let Some(storage) = backend.offchain_storage() {
        let finality = worker::follow_finality(client.clone(), storage);
        task_manager.spawn_handle().spawn("conductor-finality", None, finality);
    }
    if !recoveries.is_empty() {
        let wait = recoveries.wait(client.clone(), grandpa_link.shared_authority_set().clone());
        task_manager.spawn_essential_handle().spawn("recovery", None, wait);
    }
    task_manager.spawn_handle().spawn("warp-sync-watch", None, network::watch_warp_sync(sync_service.clone()));

    if let Some((url, token)) = worker::door(worker_params) {
        task_manager.spawn_handle().spawn("worker-changes", None, changes::follow(url, token, nudge.clone()));
    }
    if config.offchain_worker.enabled {
        let (pulse, beat) = Pulse::new(client.clone(), nudge);
        let workers = sc_offchain::OffchainWorkers::new(sc_offchain::OffchainWorkerOptions {
            runtime_api_provider: client.clone(),
            is_validator: config.role.is_authority(),
            keystore: Some(keystore_container.keystore()),
            offchain_db: backend.offchain_storage(),
            transaction_pool: Some(OffchainTransactionPoolFactory::new(figures.counted(transaction_pool.clone()))),
            network_provider: Arc::new(network.clone()),
            enable_http_requests: true,
            custom_extensions: beat.extensions(),
        });
        match workers {
            Ok(workers) => {
                let group = "offchain-worker";
                task_manager.spawn_handle().spawn("offchain-pulse", group, beat.run(sync_service.clone()));
                let run = workers.run(Arc::new(pulse), task_manager.spawn_handle()).boxed();
                task_manager.spawn_handle().spawn("offchain-workers-runner", group, run);
            }
            // its HTTP client wants certificates, which a node that only follows the chain does not need
            Err(error) if worker_params.worker_url.is_none() => {
                log::warn!("this node has no worker and runs no offchain worker: {error}");
            }
            Err(error) => return Err(error.into()),
        }
    }

    task_manager.spawn_handle().spawn("figures", None, figures.follow(client.clone(), clock.clone()));

    let role = config.role;
    let force_authoring = config.force_authoring;
    let name = config.network.node_name.clone();
    let enable_grandpa = !config.disable_grandpa;
    let voter_state = SharedVoterState::empty();
    let rpc_builder = {
        let (client, pool) = (client.clone(), transaction_pool.clone());
        let authorities = grandpa_link.shared_authority_set().clone();
        let justifications = grandpa_link.justification_stream();
        let proofs = FinalityProofProvider::new_for_service(backend.clone(), Some(authorities.clone()));
        let (voter, clock) = (voter_state.clone(), clock.clone());
        Box::new(move |executor: Arc<dyn SpawnNamed>| {
            let grandpa = rpc::Grandpa {
                executor,
                authorities: authorities.clone(),
                voter: voter.clone(),
                justifications: justifications.clone(),
                proofs: proofs.clone(),
            };
            rpc::create(client.clone(), pool.clone(), grandpa, clock.clone()).map_err(Into::into)
        })
    };
    sc_service::spawn_tasks(sc_service::SpawnTasksParams {
        network: network.clone(),
        client: client.clone(),
        keystore: keystore_container.keystore(),
        task_manager: &mut task_manager,
        transaction_pool: transaction_pool.clone(),
        rpc_builder,
        backend,
        system_rpc_tx: system_rpc,
        tx_handler_controller: transactions,
        sync_service: sync_service.clone(),
        config,
        telemetry: telemetry.as_mut(),
        tracing_execute_block: None,
    })?;
    // only now the keys of --alice and the like are there
    for doubt in worker::doubts(worker_params, &*keystore_container.keystore()) {
        log::warn!("{doubt}");
    }

    if role.is_authority() {
        let proposer = sc_basic_authorship::ProposerFactory::new(
            task_manager.spawn_handle(),
            client.clone(),
            transaction_pool.clone(),
            registry.as_ref(),
            telemetry.as_ref().map(|t| t.handle()),
        );
        let authoring = Authoring {
            client: client.clone(),
            select_chain,
            import: block_import,
            pool: transaction_pool.clone(),
            proposer,
            keystore: keystore_container.keystore(),
            sync: sync_service.clone(),
            force: force_authoring,
            clock,
            telemetry: telemetry.as_ref().map(|t| t.handle()),
        };
        task_manager.spawn_essential_handle().spawn_blocking("aura", Some("block-authoring"), authoring.run());
    }

    if enable_grandpa {
        task_manager.spawn_handle().spawn("rounds", None, concluded::run(client, voter_state.clone()));
        let voters = grandpa_link.shared_authority_set().current_authorities().len().get();
        let gossip = gossip.unwrap_or_else(|| gossip_for(voters));
        let grandpa = sc_consensus_grandpa::run_grandpa_voter(sc_consensus_grandpa::GrandpaParams {
            config: sc_consensus_grandpa::Config {
                gossip_duration: gossip,
                justification_generation_period: JUSTIFICATION_PERIOD,
                name: Some(name),
                observer_enabled: false,
                keystore: role.is_authority().then(|| keystore_container.keystore()),
                local_role: role,
                telemetry: telemetry.as_ref().map(|t| t.handle()),
                protocol_name: grandpa_protocol,
            },
            link: grandpa_link,
            network,
            sync: Arc::new(sync_service),
            notification_service: grandpa_notifications,
            // the best block: it is final once two thirds have seen it, be it two blocks old or none
            voting_rule: sc_consensus_grandpa::VotingRulesBuilder::new().build(),
            prometheus_registry: registry,
            shared_voter_state: voter_state,
            telemetry: telemetry.as_ref().map(|t| t.handle()),
            offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(transaction_pool),
        })?;
        task_manager.spawn_essential_handle().spawn_blocking("grandpa-voter", None, grandpa);
    }
    Ok(task_manager)
}
