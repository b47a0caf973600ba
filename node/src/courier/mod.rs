//! The courier: makes the blobs that this institution should hold present in its blob store, and gives members of a
//! study those they may have.
//!
//! What is wanted and who may have what comes from the chain ([`gate`]). Blobs travel in ranges, each with the hashes
//! that prove it ([`wire`]); nothing unverified is written ([`download`]). Every range given is noted in the egress
//! log first ([`egress`]).

mod chain;
mod download;
mod egress;
mod fetch;
mod figures;
mod files;
mod gate;
mod hashes;
mod listed;
mod load;
mod marker;
mod notes;
mod parked;
mod parking;
mod peers;
mod proofs;
mod quota;
mod serve;
mod session;
mod store;
mod target;
#[cfg(test)]
mod tests;
mod wire;

use crate::{clock::Clock, pulse::Nudge, types::FullBackend};
pub use chain::age;
use chain::{Chain, Reader, Told, OLD};
use consilium_runtime::opaque::Block;
use egress::EgressLog;
use fetch::{Fetcher, Transport};
pub use figures::Figures;
use futures::{
    channel::oneshot,
    future::BoxFuture,
    stream::{FuturesUnordered, Stream, StreamExt},
};
pub use gate::Bucket;
use gate::Snapshot;
use pallet_swarm_learning_runtime_api::SwarmApi;
use sc_client_api::{BlockchainEvents, StorageProvider};
use sc_network::{
    config::{IncomingRequest, OutgoingResponse},
    IfDisconnected, NetworkBackend, NetworkPeers, NetworkRequest, NetworkStateInfo, ProtocolName, ReputationChange,
};
use sc_network_types::PeerId;
use serve::{Answer, Server};
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_consensus_aura::{sr25519::AuthorityId, AuraApi};
use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use store::Store;
use target::LOG;
use tokio::sync::watch;
use wire::{Asked, Kind};

/// Requests that wait to be looked at; more are turned away by the network.
const QUEUE: usize = 64;
/// The chain is read at least so often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Lines of the egress log reach the disk after so long at most.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// What belongs to blobs that are gone is removed so often.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// What the courier is told at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The blob store, shared with the worker.
    pub blobs: PathBuf,
    /// The courier's own folder: outboards, partial downloads, the egress log.
    pub own: PathBuf,
    /// Bytes in the blob store and in partial downloads above which nothing is fetched.
    pub quota: u64,
    /// The chain: its genesis block's hash.
    pub genesis: sp_core::H256,
    /// What becomes of bytes before they leave.
    pub served: fn(Vec<u8>) -> Vec<u8>,
    /// What time it is.
    pub clock: Clock,
    /// Has the offchain worker look again: a blob may be what a duty waits for.
    pub nudge: Nudge,
    /// What is counted.
    pub figures: Figures,
}

/// The courier's place in the network, before the network is built.
pub struct Port {
    names: Names,
    requests: async_channel::Receiver<IncomingRequest>,
}

/// Names of the protocol. While a network is renewed, nodes of an earlier build are asked, and ask, by its second version:
/// there no request waits, and what may be had in a moment is refused. What specifications name is asked for by the fourth
/// version alone, and updates under masks by the fifth: who does not speak it would take such a request for one that makes no
/// sense.
#[derive(Clone)]
struct Names {
    masked: ProtocolName,
    attached: ProtocolName,
    own: ProtocolName,
    older: ProtocolName,
}

/// The protocols of the couriers of a chain, for the network's configuration, and the other end of all of them.
#[must_use]
pub fn protocols<N: NetworkBackend<Block, sp_core::H256>>(
    genesis: &sp_core::H256,
    fork_id: Option<&str>,
) -> ([N::RequestResponseProtocolConfig; 4], Port) {
    let fork = fork_id.map(|id| format!("/{id}")).unwrap_or_default();
    let name = |version: u8| ProtocolName::from(format!("/{}{fork}/courier/{version}", hex::encode(genesis)));
    let names = Names { masked: name(5), attached: name(4), own: name(3), older: name(2) };
    let (sender, requests) = async_channel::bounded(QUEUE);
    let config = |name: &ProtocolName| {
        N::request_response_config(
            name.clone(),
            Vec::new(),
            wire::MAX_REQUEST,
            wire::MAX_RESPONSE,
            // the fetcher's own limit comes first
            fetch::PATIENCE.response + Duration::from_secs(2),
            Some(sender.clone()),
        )
    };
    let configs = [&names.masked, &names.attached, &names.own, &names.older].map(config);
    (configs, Port { names, requests })
}

/// A courier that is ready to run.
pub struct Courier<C, N> {
    client: Arc<C>,
    network: N,
    store: Arc<Store>,
    server: Arc<Server>,
    port: Port,
    clock: Clock,
    nudge: Nudge,
    figures: Figures,
}

/// The network as a fetcher sees it.
struct Wire<N> {
    network: N,
    names: Names,
    /// Has the offchain worker look again.
    nudge: Nudge,
}

impl<N: NetworkRequest + Clone + Send + Sync + 'static> Wire<N> {
    /// Sends bytes by a protocol, or, to a peer that does not speak it, other ones by another.
    fn send(
        &self,
        peer: PeerId,
        (name, bytes): (&ProtocolName, Vec<u8>),
        older: Option<(&ProtocolName, Vec<u8>)>,
    ) -> BoxFuture<'static, Option<Vec<u8>>> {
        let (network, name) = (self.network.clone(), name.clone());
        let older = older.map(|(name, bytes)| (bytes, name.clone()));
        Box::pin(async move {
            match network.request(peer, name, bytes, older, IfDisconnected::TryConnect).await {
                Ok((response, _)) => Some(response),
                Err(error) => {
                    log::debug!(target: LOG, "{peer}: {error}");
                    None
                }
            }
        })
    }
}

impl<N> Transport for Wire<N>
where
    N: NetworkRequest + NetworkPeers + Clone + Send + Sync + 'static,
{
    fn ask(&self, peer: PeerId, asked: Asked) -> BoxFuture<'static, Option<Vec<u8>>> {
        let Names { masked, attached, own, older } = &self.names;
        match asked.request.entry.kind {
            Kind::Masked => self.send(peer, (masked, asked.bytes()), None),
            Kind::Initial | Kind::Code => self.send(peer, (attached, asked.bytes()), None),
            Kind::Update | Kind::Merged => self.send(peer, (own, asked.bytes()), Some((older, asked.older_bytes()))),
        }
    }

    fn report(&self, peer: PeerId, change: ReputationChange) {
        self.network.report_peer(peer, change);
    }

    fn fetched(&self) {
        self.nudge.now();
    }
}

impl<C, N> Courier<C, N>
where
    C: ProvideRuntimeApi<Block>
        + HeaderBackend<Block>
        + BlockchainEvents<Block>
        + StorageProvider<Block, FullBackend>
        + Send
        + Sync
        + 'static,
    C::Api: SwarmApi<Block> + AuraApi<Block, AuthorityId>,
    N: NetworkRequest + NetworkPeers + NetworkStateInfo + Clone + Send + Sync + 'static,
{
    /// Opens the folders.
    ///
    /// # Errors
    /// Which of them cannot be used, for people.
    pub fn open(settings: &Settings, client: Arc<C>, network: N, port: Port) -> Result<Self, String> {
        marker::bind(&settings.own, &settings.genesis).map_err(|error| error.to_string())?;
        let store = Store::open(&settings.blobs, &settings.own, settings.quota)
            .map_err(|error| format!("--blobs {}: {error}", settings.blobs.display()))?;
        let log = settings.own.join("egress.log");
        let egress = EgressLog::open(&log, &settings.genesis)
            .map_err(|error| format!("egress log {}: {error}", log.display()))?;
        let store = Arc::new(store);
        let server = Arc::new(Server::new(store.clone(), egress, settings.served, settings.figures.clone()));
        let (clock, nudge, figures) = (settings.clock.clone(), settings.nudge.clone(), settings.figures.clone());
        Ok(Self { client, network, store, server, port, clock, nudge, figures })
    }

    /// Serves and fetches until the node stops; that it ended before is said in the log. While `syncing` says that the
    /// node catches up with the chain, nothing new is fetched, and nothing served. `connected` brings peers that have just
    /// connected.
    pub async fn run(self, syncing: impl Fn() -> bool + Send + Sync, connected: impl Stream<Item = PeerId> + Send) {
        let (sender, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let transport =
            Wire { network: self.network.clone(), names: self.port.names.clone(), nudge: self.nudge.clone() };
        let fetcher = Fetcher::new(self.store.clone(), transport, fetch::PATIENCE, self.figures.clone());
        let ended = tokio::select! {
            () = self.look(sender, &syncing) => "the chain tells of no more blocks",
            () = serve(self.server.clone(), self.port.requests.clone()) => "the network brings no more requests",
            () = fetcher.run(snapshots, &syncing, connected) => "the fetching side ended",
            () = sync(self.server.clone()) => "nobody looks after the egress log",
        };
        log::error!(target: LOG, "the courier ended, nothing is fetched or served any more: {ended}");
    }

    /// Reads the chain when a block is imported or finalised, and now and then.
    async fn look(&self, sender: watch::Sender<Arc<Snapshot>>, syncing: &(impl Fn() -> bool + Sync)) {
        let mut imported = self.client.import_notification_stream();
        let mut finalised = self.client.finality_notification_stream();
        let mut clock = tokio::time::interval(LOOK_EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut at, mut tidied, mut told) = (None, None, Told::default());
        let mut reader = Reader::default();
        loop {
            tokio::select! {
                block = imported.next() => if block.is_none() { return },
                block = finalised.next() => if block.is_none() { return },
                _ = clock.tick() => {}
            }
            let info = self.client.info();
            let heads = Some((info.best_hash, info.finalized_hash));
            if at != heads {
                let (client, local) = (self.client.clone(), self.network.local_peer_id());
                let (mut before, held, now) = (std::mem::take(&mut reader), self.store.studies(), info.clone());
                let read = move || {
                    let read = before.read(&Chain(&*client), &local, &now, &held);
                    (read, before)
                };
                let read = tokio::task::spawn_blocking(read).await.map(|(read, before)| {
                    reader = before;
                    read
                });
                match read {
                    Ok(Ok(changed)) => {
                        at = heads;
                        if let Some(snapshot) = changed {
                            told.unregistered(&snapshot, &self.network.local_peer_id());
                            let snapshot = Arc::new(snapshot);
                            // first those who wait, then what can be done behind their backs
                            self.server.update(snapshot.clone());
                            sender.send_replace(snapshot.clone());
                            self.prepare(snapshot.clone());
                            self.note_own(snapshot).await;
                        }
                    }
                    Ok(Err(error)) => log::warn!(target: LOG, "the chain cannot be read, trying again: {error}"),
                    Err(error) => log::error!(target: LOG, "reading the chain failed, trying again: {error}"),
                }
            }
            let age = age(&*self.client, info.best_hash, &self.clock);
            let behind = at != heads || syncing() || age > OLD;
            told.behind(age > OLD && at == heads && info.best_number > 0, age);
            self.server.set_behind(behind);
            if !behind && tidied.is_none_or(|at: Instant| at.elapsed() >= TIDY_EVERY) {
                tidied = Some(Instant::now());
                let snapshot = sender.borrow().clone();
                // what has come since the chain last changed
                self.note_own(snapshot.clone()).await;
                self.tidy(snapshot).await;
            }
        }
    }

    /// Computes what others need for checking what this institution is about to be asked for, before it is asked.
    fn prepare(&self, snapshot: Arc<Snapshot>) {
        let store = self.store.clone();
        let prepare = move || {
            for blob in snapshot.offered() {
                if let Err(error) = store.prepare(&blob) {
                    log::warn!(target: LOG, "blob {}: {error}", hex::encode(blob.root.0));
                }
            }
        };
        // nobody waits for it
        drop(tokio::task::spawn_blocking(prepare));
    }

    async fn note_own(&self, snapshot: Arc<Snapshot>) {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || store.note_own(snapshot.own())).await;
        if let Err(error) = done.unwrap_or_else(|error| Err(io::Error::other(error))) {
            log::warn!(target: LOG, "it cannot be noted which blobs of this institution are held: {error}");
        }
    }

    async fn tidy(&self, snapshot: Arc<Snapshot>) {
        let store = self.store.clone();
        let tidy = move || {
            let expired = store.expire(|entry| snapshot.over(entry));
            store.tidy(|root| snapshot.lists(root)).and(expired)
        };
        let done = tokio::task::spawn_blocking(tidy).await;
        if let Err(error) = done.unwrap_or_else(|error| Err(io::Error::other(error))) {
            log::warn!(target: LOG, "the courier's folder cannot be tidied: {error}");
        }
    }
}

/// Brings the egress log to the disk now and then.
async fn sync(server: Arc<Server>) {
    let mut clock = tokio::time::interval(SYNC_EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let server = server.clone();
        let done = tokio::task::spawn_blocking(move || server.sync_egress()).await;
        if let Err(error) = done.unwrap_or_else(|error| Err(io::Error::other(error))) {
            log::error!(target: LOG, "egress log cannot be brought to the disk, trying again: {error}");
        }
    }
}

/// Answers what comes in: decisions here, the disk elsewhere.
async fn serve(server: Arc<Server>, requests: async_channel::Receiver<IncomingRequest>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Ok(request) => under_way.push(respond(server.clone(), request)),
                Err(_) => return,
            },
            Some(()) = under_way.next() => {}
        }
    }
}

/// Answers one request, and keeps its place until the network has sent the response or given up on it: what a peer does
/// not read stays in this node's memory.
async fn respond(server: Arc<Server>, request: IncomingRequest) {
    let IncomingRequest { peer, payload, pending_response } = request;
    let answer = match server.decide(&payload, peer).await {
        Err(answer) => answer,
        Ok(job) => match tokio::task::spawn_blocking(move || server.work(job)).await {
            Ok(answer) => answer,
            Err(error) => return log::error!(target: LOG, "a request of {peer} was not answered: {error}"),
        },
    };
    let Answer { response, cost, place } = answer;
    let (feedback, sent) = oneshot::channel();
    let response = OutgoingResponse {
        result: Ok(codec::Encode::encode(&response)),
        reputation_changes: cost.into_iter().collect(),
        sent_feedback: place.is_some().then_some(feedback),
    };
    // the peer may have gone; then the feedback is gone too
    let _ = pending_response.send(response);
    if place.is_some() {
        let _ = sent.await;
    }
    drop(place);
}
