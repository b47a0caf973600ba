//! The fetching side: makes the wanted blobs present.

use super::{
    download::{Download, NotTaken},
    gate::Snapshot,
    peers::{Outcome, Peers},
    store::{NotAdopted, Store},
    wire::{Request, Response},
};
use codec::Encode;
use consilium_primitives::{BlobNotice, BlobRef};
use futures::{
    future::BoxFuture,
    stream::{FuturesOrdered, FuturesUnordered, StreamExt},
};
use parking_lot::Mutex;
use sc_network::ReputationChange;
use sc_network_types::PeerId;
use std::{
    collections::BTreeSet,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{watch, Semaphore};

/// Requests under way at once, over all peers.
pub const REQUESTS: usize = 4;
/// Requests under way at once for one blob.
const WINDOW: usize = 2;
/// A node waits so long for a response.
pub const TIME_OUT: Duration = Duration::from_secs(10);
/// A peer that is busy is asked again after this long,
const BUSY_WAIT: Duration = Duration::from_millis(250);
/// so many times.
const BUSY_TRIES: usize = 8;
/// How often to look for work when nothing happens.
const TICK: Duration = Duration::from_millis(500);
/// A warning that stays true is repeated so often.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// A peer sent bytes that are not the blob's: no honest node can, it checks what it sends.
const COST_WRONG_BYTES: ReputationChange = ReputationChange::new(-(1 << 28), "courier: wrong bytes");

/// How requests reach peers: the network, or a test's stand-in.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and waits for the response's bytes; none if the peer cannot be reached or does not answer.
    fn ask(&self, peer: PeerId, request: Vec<u8>) -> BoxFuture<'static, Option<Vec<u8>>>;

    /// Changes what this node thinks of a peer.
    fn report(&self, peer: PeerId, change: ReputationChange);
}

/// The fetching side of a courier.
pub struct Fetcher<T> {
    store: Arc<Store>,
    transport: T,
    peers: Mutex<Peers>,
    requests: Semaphore,
    time_out: Duration,
}

/// What the loop of a fetcher keeps between two looks at what is wanted.
#[derive(Default)]
struct Desk {
    active: BTreeSet<BlobRef>,
    settled: BTreeSet<BlobRef>,
    warned: Option<Instant>,
}

enum Reply {
    Slice(Vec<u8>),
    End(Outcome),
}

impl<T: Transport> Fetcher<T> {
    /// A fetcher that has not begun. A response that takes longer than `time_out` does not count.
    #[must_use]
    pub fn new(store: Arc<Store>, transport: T, time_out: Duration) -> Self {
        Self { store, transport, peers: Mutex::default(), requests: Semaphore::new(REQUESTS), time_out }
    }

    /// Fetches what is wanted until the sender of snapshots is gone. While `paused` says so, nothing new is begun.
    pub async fn run(&self, mut snapshots: watch::Receiver<Arc<Snapshot>>, paused: impl Fn() -> bool) {
        let mut desk = Desk::default();
        let mut sessions = FuturesUnordered::new();
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            if !paused() {
                for (notice, peer) in self.begin(&snapshot, &mut desk, sessions.len()) {
                    sessions.push(async move { (notice.blob, peer, self.session(&notice, peer).await) });
                }
            }
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { return },
                Some((blob, peer, outcome)) = sessions.next() => {
                    desk.active.remove(&blob);
                    self.peers.lock().ended(peer, &blob, outcome, Instant::now());
                    self.tell(&blob, peer, outcome);
                }
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Pairs what is wanted and not there with peers that can be asked now.
    fn begin(&self, snapshot: &Snapshot, desk: &mut Desk, running: usize) -> Vec<(BlobNotice, PeerId)> {
        let now = Instant::now();
        let mut begun = Vec::new();
        self.peers.lock().forget(|blob| snapshot.lists(&blob.root.0));
        desk.settled.retain(|blob| snapshot.lists(&blob.root.0));
        for notice in snapshot.wanted() {
            if running + begun.len() >= REQUESTS {
                break;
            }
            if desk.active.contains(&notice.blob) || self.store.holds(&notice.blob) {
                continue;
            }
            if snapshot.settled(notice) && desk.settled.insert(notice.blob) {
                self.peers.lock().forgive(&notice.blob);
            }
            let choice = self.peers.lock().choose(&snapshot.sources(notice), &notice.blob, now);
            let Some(peer) = choice else { continue };
            if !self.fits(&notice.blob, desk, now) {
                continue;
            }
            self.peers.lock().begun(peer, now);
            desk.active.insert(notice.blob);
            begun.push((notice.clone(), peer));
        }
        begun
    }

    fn fits(&self, blob: &BlobRef, desk: &mut Desk, now: Instant) -> bool {
        let under_way: u64 = desk.active.iter().map(|active| active.len).fold(0, u64::saturating_add);
        let problem = match self.store.room_for(under_way.saturating_add(blob.len)) {
            Ok(Ok(())) => return true,
            Ok(Err(over)) => {
                format!("{over}; remove blobs of ended studies, or start the node with a larger --courier-quota-mib")
            }
            Err(error) => format!("blob store cannot be read: {error}"),
        };
        if desk.warned.is_none_or(|at| now.saturating_duration_since(at) >= WARN_EVERY) {
            desk.warned = Some(now);
            log::warn!(target: super::LOG, "blob {} is not fetched: {problem}", hex::encode(blob.root.0));
        }
        false
    }

    /// Fetches one blob from one peer, as far as it goes.
    async fn session(&self, notice: &BlobNotice, peer: PeerId) -> Outcome {
        let (store, blob) = (self.store.clone(), notice.blob);
        let mut download = match blocking(move || Download::resume(&store, blob)).await {
            Ok(download) => download,
            Err(error) => return self.local(&blob, &error),
        };
        let mut next = download.progress().have;
        let mut window = FuturesOrdered::new();
        loop {
            while window.len() < WINDOW && next < blob.len {
                let len = self.peers.lock().span(peer, Instant::now());
                let request = Request { blob, start: next, len };
                next = request.range().map_or(blob.len, |range| range.end);
                window.push_back(async move { (request, self.ask(peer, &request).await) });
            }
            let Some((request, reply)) = window.next().await else { break };
            let slice = match reply {
                Reply::Slice(slice) => slice,
                Reply::End(outcome) => return outcome,
            };
            let step = blocking(move || {
                let taken = download.accept(&request, &slice);
                Ok((download, taken))
            });
            let taken = match step.await {
                Ok((same, taken)) => {
                    download = same;
                    taken
                }
                Err(error) => return self.local(&blob, &error),
            };
            match taken {
                Ok(_) => self.peers.lock().gave(peer, Instant::now()),
                Err(NotTaken::WrongBytes(error)) => {
                    log::warn!(target: super::LOG, "blob {} from {peer}: {error}", hex::encode(blob.root.0));
                    self.transport.report(peer, COST_WRONG_BYTES);
                    return Outcome::WrongBytes;
                }
                Err(NotTaken::OutOfOrder(_)) => return Outcome::Failed,
                Err(NotTaken::Io(error)) => return self.local(&blob, &error),
            }
        }
        let (store, study) = (self.store.clone(), notice.study);
        match blocking(move || Ok(download.finish(&store, study))).await {
            Ok(Ok(())) => Outcome::Complete,
            Ok(Err(NotAdopted::Io(error))) | Err(error) => self.local(&blob, &error),
            Ok(Err(error @ NotAdopted::OtherHash)) => {
                log::error!(target: super::LOG, "blob {}: {error}", hex::encode(blob.root.0));
                Outcome::Local
            }
        }
    }

    /// A request, again while the peer is busy.
    async fn ask(&self, peer: PeerId, request: &Request) -> Reply {
        for _ in 0..BUSY_TRIES {
            match self.ask_once(peer, request).await {
                Reply::End(Outcome::Busy) => tokio::time::sleep(BUSY_WAIT).await,
                reply => return reply,
            }
        }
        Reply::End(Outcome::Busy)
    }

    /// One request, within its bounds, and what its answer means.
    async fn ask_once(&self, peer: PeerId, request: &Request) -> Reply {
        loop {
            let wait = self.peers.lock().pace(peer, Instant::now());
            if wait.is_zero() {
                break;
            }
            tokio::time::sleep(wait).await;
        }
        let Ok(_permit) = self.requests.acquire().await else { return Reply::End(Outcome::Failed) };
        let Ok(answer) = tokio::time::timeout(self.time_out, self.transport.ask(peer, request.encode())).await else {
            return Reply::End(Outcome::TimedOut);
        };
        let Some(bytes) = answer else { return Reply::End(Outcome::Failed) };
        match Response::read(&bytes) {
            Some(Response::Data(slice)) => Reply::Slice(slice),
            Some(Response::NotHeld) => Reply::End(Outcome::NotHeld),
            Some(Response::Refused) => Reply::End(Outcome::Refused),
            Some(Response::Busy) => Reply::End(Outcome::Busy),
            None => {
                log::warn!(target: super::LOG, "{peer}: {} bytes that are no response", bytes.len());
                self.transport.report(peer, COST_WRONG_BYTES);
                Reply::End(Outcome::WrongBytes)
            }
        }
    }

    fn local(&self, blob: &BlobRef, error: &io::Error) -> Outcome {
        log::error!(target: super::LOG, "blob {}: this node's disk: {error}", hex::encode(blob.root.0));
        Outcome::Local
    }

    fn tell(&self, blob: &BlobRef, peer: PeerId, outcome: Outcome) {
        let name = hex::encode(blob.root.0);
        if outcome == Outcome::Complete {
            log::info!(target: super::LOG, "blob {name}: {} bytes fetched from {peer}", blob.len);
        } else {
            log::debug!(target: super::LOG, "blob {name} from {peer}: {outcome:?}");
        }
    }
}

/// Work on the disk, away from the threads that serve the network.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> io::Result<R> + Send + 'static) -> io::Result<R> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
