//! The fetching side: makes the wanted blobs present.
//!
//! What is wanted is an entry: a blob in one study and round. Where the blob is here already for another, only its last chunk
//! group is asked for: whoever gives it may give the blob there, and from then on so may this node.

use super::{
    figures::Figures,
    gate::Snapshot,
    listed::Notice,
    notes::Noted,
    peers::{Outcome, Peers},
    quota::Usage,
    store::Store,
    target::LOG,
    wire::{Asked, Entry, Kind},
};
use consilium_primitives::BlobRef;
use futures::{
    future::{BoxFuture, Fuse, FusedFuture, FutureExt},
    stream::{FuturesUnordered, Stream, StreamExt},
};
use parking_lot::Mutex;
use sc_network::ReputationChange;
use sc_network_types::PeerId;
use std::{
    collections::{BTreeMap, BTreeSet},
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
/// Updates that are asked for at once, beside these, before this node sees their freeze as final: the requests wait with those
/// who hold them.
const EARLY: usize = 16;
/// Files that specifications name, fetched at once, beside all these: they may be large, and no merge waits for them.
const ATTACHED: usize = 2;
/// How long a node waits.
pub const PATIENCE: Patience = Patience { response: Duration::from_secs(10), turn: Duration::from_secs(15) };
/// How often to look for work when nothing happens.
const TICK: Duration = Duration::from_millis(500);
/// A warning that stays true is repeated so often.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// How requests reach peers: the network, or a test's stand-in.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and waits for the response's bytes; none if the peer cannot be reached or does not answer.
    fn ask(&self, peer: PeerId, asked: Asked) -> BoxFuture<'static, Option<Vec<u8>>>;

    /// Changes what this node thinks of a peer.
    fn report(&self, peer: PeerId, change: ReputationChange);

    /// Hears that a blob has come.
    fn fetched(&self) {}
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
    pub(super) store: Arc<Store>,
    pub(super) transport: T,
    pub(super) peers: Mutex<Peers>,
    pub(super) patience: Patience,
    /// Wanted blobs that somebody could give wait for a session to end.
    pub(super) crowded: AtomicBool,
    pub(super) figures: Figures,
}

/// What the loop of a fetcher keeps between two looks at what is wanted.
#[derive(Default)]
struct Desk {
    active: BTreeSet<BlobRef>,
    /// Wanted entries that were seen before.
    seen: BTreeSet<Entry>,
    /// Wanted entries that it is final that this node may have, and since when; also such as are being fetched.
    settled: BTreeMap<Entry, Instant>,
    /// Those of them for which refusals of before that have been forgiven.
    forgiven: BTreeSet<Entry>,
    /// Sessions that have begun before that was so.
    early: usize,
    /// Sessions for what specifications name.
    attached: usize,
    warned: Option<Instant>,
}

/// What a look at the disk finds.
struct Look {
    snapshot: Arc<Snapshot>,
    /// Wanted, not being fetched when the look began, and not there; then what is there, but may not be passed on.
    missing: Vec<Missing>,
    /// What was being fetched then.
    under_way: Vec<BlobRef>,
    usage: io::Result<Usage>,
}

/// What is wanted and not there for the entry that wants it.
struct Missing {
    notice: Notice,
    /// The blob is there all the same: only leave to pass it on is missing.
    held: bool,
}

/// A blob that is fetched from a peer from now on, and who else could be asked.
pub(super) struct Begun {
    pub(super) entry: Entry,
    /// The blob is here: it is to be shown only.
    pub(super) held: bool,
    /// It began before this node saw as final that it may have it.
    pub(super) early: bool,
    pub(super) peer: PeerId,
    pub(super) sources: Vec<(PeerId, bool)>,
}

impl<T: Transport> Fetcher<T> {
    /// A fetcher that has not begun. A response that takes longer than its patience does not count.
    #[must_use]
    pub fn new(store: Arc<Store>, transport: T, patience: Patience, figures: Figures) -> Self {
        Self { store, transport, peers: Mutex::default(), patience, crowded: AtomicBool::new(false), figures }
    }

    /// Fetches what is wanted until the sender of snapshots is gone. While `paused` says so, nothing new is begun. Peers that
    /// `connected` brings need not rest any more.
    pub async fn run(
        &self,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        paused: impl Fn() -> bool,
        connected: impl Stream<Item = PeerId>,
    ) {
        let mut connected = std::pin::pin!(connected.fuse());
        let mut desk = Desk::default();
        let mut sessions = FuturesUnordered::new();
        let mut look = Fuse::terminated();
        let mut due = true;
        loop {
            if due && look.is_terminated() && !paused() {
                look = self.look(snapshots.borrow_and_update().clone(), &desk).fuse();
                due = false;
            }
            let pause = self.peers.lock().soonest(Instant::now()).map_or(TICK, |soon| soon.min(TICK));
            tokio::select! {
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    due = true;
                }
                found = &mut look, if !look.is_terminated() => match found {
                    Ok(found) => for begun in self.begin(found, &mut desk, sessions.len()) {
                        sessions.push(async move {
                            let outcome = self.session(&begun).await;
                            (begun, outcome)
                        });
                    },
                    Err(error) => log::error!(target: LOG, "looking at the blob store failed: {error}"),
                },
                Some((begun, outcome)) = sessions.next() => {
                    desk.active.remove(&begun.entry.blob);
                    desk.early -= usize::from(begun.early);
                    desk.attached -= usize::from(begun.entry.kind.attached());
                    self.peers.lock().ended(begun.peer, &begun.entry, outcome, Instant::now());
                    self.tell(&begun, outcome);
                    self.figures.ended(outcome);
                    if outcome == Outcome::Complete {
                        self.transport.fetched();
                        self.note_wait(&begun, &desk);
                    }
                    due = true;
                }
                Some(peer) = connected.next() => {
                    self.peers.lock().returned(peer, Instant::now());
                    due = true;
                }
                () = tokio::time::sleep(pause) => due = true,
            }
        }
    }

    /// Looks for what is wanted and not there, away from the threads that serve the network.
    fn look(&self, snapshot: Arc<Snapshot>, desk: &Desk) -> BoxFuture<'static, io::Result<Look>> {
        let (store, active) = (self.store.clone(), desk.active.clone());
        let work = move || {
            let wanted = snapshot.wanted().into_iter().filter(|notice| !active.contains(&notice.blob));
            let mut missing = Vec::new();
            for notice in wanted {
                let (entry, held) = (Entry::of(notice), store.holds(&notice.blob));
                if held && entry.kind.attached() && !store.granted(&entry) && store.meant(&entry.blob.root) {
                    store.note_put(&entry)?;
                }
                if !held || !(snapshot.holder(&entry) || store.granted(&entry)) {
                    missing.push(Missing { notice: notice.clone(), held });
                }
            }
            missing.sort_by_key(|missing| (missing.notice.kind.attached(), missing.held));
            let idle = missing.iter().all(|missing| missing.held);
            let needed = |root: &[u8; 32], noted: &Noted| snapshot.needs(root, noted);
            let usage = if idle { Ok(Usage::default()) } else { store.usage(needed) };
            Ok(Look { snapshot, missing, under_way: active.into_iter().collect(), usage })
        };
        blocking(work).boxed()
    }

    /// Notes how long an update was waited for; not at all, where it came before this node saw as final that it may have it.
    fn note_wait(&self, begun: &Begun, desk: &Desk) {
        if begun.entry.kind == Kind::Update && !begun.held {
            self.figures.waited(desk.settled.get(&begun.entry).map(Instant::elapsed).unwrap_or_default());
        }
    }

    /// Pairs what is wanted and not there with peers that can be asked now.
    fn begin(&self, look: Look, desk: &mut Desk, running: usize) -> Vec<Begun> {
        let now = Instant::now();
        let Look { snapshot, missing, mut under_way, usage } = look;
        let mut begun = Vec::new();
        let mut crowded = false;
        let mut others = running.saturating_sub(desk.early).saturating_sub(desk.attached);
        self.peers.lock().forget(|entry| snapshot.has(entry));
        desk.settled.retain(|entry, _| snapshot.has(entry));
        desk.seen.retain(|entry| snapshot.has(entry));
        desk.forgiven.retain(|entry| snapshot.has(entry));
        if let Some(own) = &snapshot.local {
            for notice in snapshot.wanted().into_iter().filter(|notice| snapshot.settled(notice, own)) {
                desk.settled.entry(Entry::of(notice)).or_insert(now);
            }
        }
        for Missing { notice, held } in missing {
            let entry = Entry::of(&notice);
            let sources = snapshot.sources(&notice);
            if desk.seen.insert(entry) {
                // whoever the chain names as holder of something new is there
                let holders = sources.iter().filter(|(_, holds)| *holds);
                holders.for_each(|(peer, _)| self.peers.lock().returned(*peer, now));
                if held && entry.kind.attached() {
                    log::info!(
                        target: LOG,
                        "{entry}: is in the blob store, but was not put there for that, and so is given to nobody until a \
                         participant shows that it may be. If your people mean it for the participants: ml-worker trainer put"
                    );
                }
            }
            // listed by two studies
            if desk.active.contains(&entry.blob) {
                continue;
            }
            let settled = desk.settled.contains_key(&entry);
            if settled && desk.forgiven.insert(entry) {
                self.peers.lock().forgive(&entry);
            }
            let (early, attached) = (!settled && notice.kind == Kind::Update, notice.kind.attached());
            let full = match (early, attached) {
                (true, _) => desk.early >= EARLY,
                (_, true) => desk.attached >= ATTACHED,
                _ => others >= SESSIONS,
            };
            if full && (early || attached || crowded) {
                continue;
            }
            let choice = {
                let peers = self.peers.lock();
                if early {
                    peers.choose_early(&sources, &entry, now)
                } else if attached {
                    peers.choose_attached(&sources, &entry, now)
                } else {
                    peers.choose(&sources, &entry, now)
                }
            };
            let Some(peer) = choice else { continue };
            if full {
                crowded |= !held;
                continue;
            }
            if !held {
                under_way.push(entry.blob);
                if !fits(&usage, &under_way, desk, now) {
                    under_way.pop();
                    continue;
                }
            }
            if early {
                self.peers.lock().begun_early(peer, &entry);
                desk.early += 1;
            } else if attached {
                self.peers.lock().begun_attached(peer, &entry);
                desk.attached += 1;
            } else {
                self.peers.lock().begun(peer, now);
                others += 1;
            }
            desk.active.insert(entry.blob);
            begun.push(Begun { entry, held, early, peer, sources });
        }
        self.crowded.store(crowded, Ordering::Relaxed);
        begun
    }

    fn tell(&self, begun: &Begun, outcome: Outcome) {
        let Begun { entry, held, peer, .. } = begun;
        match outcome {
            Outcome::Complete if *held => log::info!(target: LOG, "{entry}: here already, and shown by {peer}"),
            Outcome::Complete => log::info!(target: LOG, "{entry}: {} bytes fetched from {peer}", entry.blob.len),
            _ => log::debug!(target: LOG, "{entry} from {peer}: {outcome:?}"),
        }
        if outcome == Outcome::Complete && entry.kind == Kind::Code {
            let path = self.store.path(&entry.blob);
            let folder = path.parent().unwrap_or(&path).display();
            log::info!(
                target: LOG,
                "the code of study {}'s own trainer is here: {}. Nothing runs it until sites.toml allows it (docs/external.md). To \
                 read it: ml-worker trainer unpack {} --blobs {folder} --out trainer-code",
                entry.study,
                path.display(),
                hex::encode(entry.blob.root.0)
            );
        }
    }
}

/// Whether what is under way fits into the quota; says so now and then if not.
fn fits(usage: &io::Result<Usage>, under_way: &[BlobRef], desk: &mut Desk, now: Instant) -> bool {
    let problem = match usage.as_ref().map(|usage| usage.room_for(under_way)) {
        Ok(Ok(())) => return true,
        Ok(Err(over)) => format!(
            "{over}: start the node with --courier-quota-mib {} or more, or take part in fewer studies: `consilium studies` \
             lists them, `consilium study withdraw STUDY --key FILE` leaves one",
            over.needed_mib()
        ),
        Err(error) => format!("blob store cannot be read: {error}"),
    };
    if desk.warned.is_none_or(|at| now.saturating_duration_since(at) >= WARN_EVERY) {
        desk.warned = Some(now);
        let name = under_way.last().map(|blob| hex::encode(blob.root.0)).unwrap_or_default();
        log::warn!(target: LOG, "blob {name} is not fetched: {problem}");
    }
    false
}

/// Work on the disk, away from the threads that serve the network.
pub(super) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> io::Result<R> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
