//! The fetching side: makes the wanted blobs present.

use super::{
    download::{Download, NotTaken},
    gate::Snapshot,
    peers::{Outcome, Peers, FLOOR},
    store::{NotAdopted, Store, Usage},
    wire::{Request, Response},
};
use codec::Encode;
use consilium_primitives::{BlobNotice, BlobRef};
use futures::{
    future::{BoxFuture, Fuse, FusedFuture, FutureExt},
    stream::{FuturesOrdered, FuturesUnordered, StreamExt},
};
use parking_lot::Mutex;
use sc_network::ReputationChange;
use sc_network_types::PeerId;
use std::{
    collections::BTreeSet,
    io,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Blobs that are fetched at once, each from a peer of its own.
const SESSIONS: usize = 4;
/// Requests under way at once for one blob. No session waits for another's: a peer that drips holds up its own only.
const WINDOW: usize = 2;
/// How long a node waits.
pub const PATIENCE: Patience = Patience { response: Duration::from_secs(10), turn: Duration::from_secs(15) };
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

/// How long a fetcher waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one response.
    pub response: Duration,
    /// Before it asks itself whether another peer should give the rest of a blob.
    pub turn: Duration,
}

/// The fetching side of a courier.
pub struct Fetcher<T> {
    store: Arc<Store>,
    transport: T,
    peers: Mutex<Peers>,
    patience: Patience,
    /// Wanted blobs that somebody could give wait for a session to end.
    crowded: AtomicBool,
}

/// What the loop of a fetcher keeps between two looks at what is wanted.
#[derive(Default)]
struct Desk {
    active: BTreeSet<BlobRef>,
    settled: BTreeSet<BlobRef>,
    warned: Option<Instant>,
}

/// What a look at the disk finds.
struct Look {
    snapshot: Arc<Snapshot>,
    /// Wanted, not being fetched when the look began, and not there.
    missing: Vec<BlobNotice>,
    /// What was being fetched then.
    under_way: Vec<BlobRef>,
    usage: io::Result<Usage>,
}

/// A blob that is fetched from a peer from now on, and who else could be asked.
struct Begun {
    notice: BlobNotice,
    peer: PeerId,
    sources: Vec<(PeerId, bool)>,
}

/// A stretch of a session, at whose end the peer's rate is judged.
struct Turn {
    began: Instant,
    from: u64,
}

enum Reply {
    Slice(Vec<u8>),
    End(Outcome),
}

impl<T: Transport> Fetcher<T> {
    /// A fetcher that has not begun. A response that takes longer than its patience does not count.
    #[must_use]
    pub fn new(store: Arc<Store>, transport: T, patience: Patience) -> Self {
        Self { store, transport, peers: Mutex::default(), patience, crowded: AtomicBool::new(false) }
    }

    /// Fetches what is wanted until the sender of snapshots is gone. While `paused` says so, nothing new is begun.
    pub async fn run(&self, mut snapshots: watch::Receiver<Arc<Snapshot>>, paused: impl Fn() -> bool) {
        let mut desk = Desk::default();
        let mut sessions = FuturesUnordered::new();
        let mut look = Fuse::terminated();
        let mut due = true;
        loop {
            if due && look.is_terminated() && !paused() {
                look = self.look(snapshots.borrow_and_update().clone(), &desk).fuse();
                due = false;
            }
            tokio::select! {
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    due = true;
                }
                found = &mut look, if !look.is_terminated() => match found {
                    Ok(found) => for begun in self.begin(found, &mut desk, sessions.len()) {
                        sessions.push(async move { (begun.notice.blob, begun.peer, self.session(&begun).await) });
                    },
                    Err(error) => log::error!(target: super::LOG, "looking at the blob store failed: {error}"),
                },
                Some((blob, peer, outcome)) = sessions.next() => {
                    desk.active.remove(&blob);
                    self.peers.lock().ended(peer, &blob, outcome, Instant::now());
                    self.tell(&blob, peer, outcome);
                    due = true;
                }
                () = tokio::time::sleep(TICK) => due = true,
            }
        }
    }

    /// Looks for what is wanted and not there, away from the threads that serve the network.
    fn look(&self, snapshot: Arc<Snapshot>, desk: &Desk) -> BoxFuture<'static, io::Result<Look>> {
        let (store, active) = (self.store.clone(), desk.active.clone());
        let work = move || {
            let wanted = snapshot.wanted().into_iter().filter(|notice| !active.contains(&notice.blob));
            let missing: Vec<_> = wanted.filter(|notice| !store.holds(&notice.blob)).cloned().collect();
            let usage = if missing.is_empty() { Ok(Usage::default()) } else { store.usage() };
            Ok(Look { snapshot, missing, under_way: active.into_iter().collect(), usage })
        };
        blocking(work).boxed()
    }

    /// Pairs what is wanted and not there with peers that can be asked now.
    fn begin(&self, look: Look, desk: &mut Desk, running: usize) -> Vec<Begun> {
        let now = Instant::now();
        let Look { snapshot, missing, mut under_way, usage } = look;
        let mut begun = Vec::new();
        let mut crowded = false;
        self.peers.lock().forget(|blob| snapshot.lists(&blob.root.0));
        desk.settled.retain(|blob| snapshot.lists(&blob.root.0));
        for notice in missing {
            // listed by two studies
            if desk.active.contains(&notice.blob) {
                continue;
            }
            if snapshot.local.is_some_and(|own| snapshot.settled(&notice, &own)) && desk.settled.insert(notice.blob) {
                self.peers.lock().forgive(&notice.blob);
            }
            let sources = snapshot.sources(&notice);
            let choice = self.peers.lock().choose(&sources, &notice.blob, now);
            let Some(peer) = choice else { continue };
            if running + begun.len() >= SESSIONS {
                crowded = true;
                break;
            }
            under_way.push(notice.blob);
            if !fits(&usage, &under_way, desk, now) {
                under_way.pop();
                continue;
            }
            self.peers.lock().begun(peer, now);
            desk.active.insert(notice.blob);
            begun.push(Begun { notice, peer, sources });
        }
        self.crowded.store(crowded, Ordering::Relaxed);
        begun
    }

    /// Fetches one blob from one peer, as far as it goes.
    async fn session(&self, begun: &Begun) -> Outcome {
        let Begun { notice, peer, .. } = begun;
        let (store, blob, peer) = (self.store.clone(), notice.blob, *peer);
        let mut download = match blocking(move || Download::resume(&store, blob)).await {
            Ok(download) => download,
            Err(error) => return self.local(&blob, &error),
        };
        let mut next = download.progress().have;
        let mut window = FuturesOrdered::new();
        let mut turn = Turn { began: Instant::now(), from: next };
        loop {
            while window.len() < WINDOW && next < blob.len {
                let len = self.peers.lock().span(peer, Instant::now());
                let request = Request { blob, start: next, len };
                next = request.range().map_or(blob.len, |range| range.end);
                window.push_back(async move { (request, self.ask(peer, &request).await) });
            }
            if window.is_empty() {
                break;
            }
            let answer = tokio::select! {
                answer = window.next() => answer,
                () = tokio::time::sleep_until((turn.began + self.patience.turn).into()) => {
                    let have = download.progress().have;
                    if let Some(rate) = self.too_slow(begun, &turn, have) {
                        return Outcome::Slow(rate);
                    }
                    turn = Turn { began: Instant::now(), from: have };
                    continue;
                }
            };
            let Some((request, reply)) = answer else { break };
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
                    log::warn!(
                        target: super::LOG,
                        "blob {} from {peer}: what came is thrown away, these are wrong bytes: {error}",
                        hex::encode(blob.root.0)
                    );
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

    /// At the end of a turn: the peer's rate in bytes a second, if something better can be done than to go on with it.
    /// Where nothing else can, a slow peer is better than none.
    fn too_slow(&self, begun: &Begun, turn: &Turn, have: u64) -> Option<u64> {
        let now = Instant::now();
        let millis = u64::try_from(now.saturating_duration_since(turn.began).as_millis()).unwrap_or(u64::MAX);
        let rate = have.saturating_sub(turn.from).saturating_mul(1000) / millis.max(1);
        let hinders = rate < FLOOR && self.crowded.load(Ordering::Relaxed);
        let leave = hinders || self.peers.lock().better(begun.peer, rate, &begun.sources, &begun.notice.blob, now);
        leave.then_some(rate)
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
        let asked = self.transport.ask(peer, request.encode());
        let Ok(answer) = tokio::time::timeout(self.patience.response, asked).await else {
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

/// Whether what is under way fits into the quota; says so now and then if not.
fn fits(usage: &io::Result<Usage>, under_way: &[BlobRef], desk: &mut Desk, now: Instant) -> bool {
    let problem = match usage.as_ref().map(|usage| usage.room_for(under_way)) {
        Ok(Ok(())) => return true,
        Ok(Err(over)) => {
            format!("{over}; remove blobs of ended studies, or start the node with a larger --courier-quota-mib")
        }
        Err(error) => format!("blob store cannot be read: {error}"),
    };
    if desk.warned.is_none_or(|at| now.saturating_duration_since(at) >= WARN_EVERY) {
        desk.warned = Some(now);
        let name = under_way.last().map(|blob| hex::encode(blob.root.0)).unwrap_or_default();
        log::warn!(target: super::LOG, "blob {name} is not fetched: {problem}");
    }
    false
}

/// Work on the disk, away from the threads that serve the network.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> io::Result<R> + Send + 'static) -> io::Result<R> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
