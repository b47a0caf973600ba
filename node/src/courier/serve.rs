//! The serving side: who asks, may they, and within which bounds.

use super::{
    egress::EgressLog,
    figures::{Figures, Why},
    gate::{may_serve, Bucket, Grant, Refusal, Snapshot},
    load::{Load, Place, Reading},
    parking::Parking,
    store::{Store, Unavailable},
    target::LOG,
    wire::{Asked, Entry, Malformed, Request, Response, GROUP},
};
use parking_lot::Mutex;
use sc_network::ReputationChange;
use sc_network_types::PeerId;
use std::{
    collections::{BTreeMap, HashMap},
    io,
    ops::Range,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Requests that one peer may make at once, before the rate counts.
pub const BURST: u32 = 64;
/// Requests that one peer may make in a second, in the long run.
pub const RATE: u32 = 32;
/// Bytes that a peer may take of one entry at once: so many times the blob,
pub const LENGTHS: u64 = 4;
/// and so many more, for small ones over bad links. The same again comes back within [`REFILL`].
pub const EXTRA: u64 = 64 * 1024 * 1024;
/// Seconds in which a peer that took all it may of an entry may take as much again.
pub const REFILL: u64 = 3600;

/// So many requests too many, or without sense, of one peer are a nuisance,
const NUISANCE: u64 = 100;
/// of which is said whose it is, so often at most.
const NAME_EVERY: Duration = Duration::from_secs(60);

/// An outsider asked. A node that registered its peer id a moment ago looks the same, hence the small cost.
const COST_OUTSIDER: ReputationChange = ReputationChange::new(-(1 << 20), "courier: not a member");
/// A request that makes no sense.
const COST_MALFORMED: ReputationChange = ReputationChange::new(-(1 << 24), "courier: malformed request");
/// More requests than the rate allows.
const COST_FLOOD: ReputationChange = ReputationChange::new(-(1 << 20), "courier: too many requests");

/// What a peer gets.
pub struct Answer {
    /// The response.
    pub response: Response,
    /// What it costs the peer.
    pub cost: Option<ReputationChange>,
    /// To be kept until the response was sent, or never will be.
    pub place: Option<Place>,
}

impl Server {
    /// What a peer is told, in words that it knows, if nothing comes of its request.
    pub(super) fn put_off(&self, heard: &Heard, off: Off) -> Answer {
        match off {
            Off::For(answer, why) => {
                self.figures.refused(why);
                answer
            }
            Off::NotYet { .. } => {
                self.figures.refused(Why::NotYet);
                Answer::plain(heard.asked.understood(Response::NotYet))
            }
            Off::Crowded => {
                self.figures.refused(Why::Crowded);
                Answer::plain(Response::Busy)
            }
        }
    }
}

impl Answer {
    pub(super) fn plain(response: Response) -> Self {
        Self { response, cost: None, place: None }
    }

    fn costly(response: Response, cost: ReputationChange) -> Self {
        Self { response, cost: Some(cost), place: None }
    }
}

/// An admitted request: what is left is to read the disk.
pub struct Job {
    peer: PeerId,
    request: Request,
    range: Range<u64>,
    grant: Grant,
    place: Place,
    reading: Reading,
}

/// A request that makes sense, of a peer that may ask so often.
pub struct Heard {
    /// Who asks.
    pub peer: PeerId,
    /// For what.
    pub asked: Asked,
    range: Range<u64>,
}

/// Why a request that was heard is not admitted now.
pub enum Off {
    /// This is all that the peer gets, and why.
    For(Answer, Why),
    /// What it asks for is not final here, or not known; whether it may be answered by this node once that is so.
    NotYet {
        /// Whether to wait for it.
        here: bool,
    },
    /// It may have it, and too many others are being served.
    Crowded,
}

/// The serving side of a courier.
pub struct Server {
    store: Arc<Store>,
    egress: EgressLog,
    snapshot: watch::Sender<Arc<Snapshot>>,
    rates: Mutex<HashMap<PeerId, Rate>>,
    budgets: Mutex<BTreeMap<(PeerId, Entry), Budget>>,
    load: Arc<Mutex<Load>>,
    pub(super) parking: Parking,
    served: fn(Vec<u8>) -> Vec<u8>,
    /// What this node knows of the chain may be old.
    behind: AtomicBool,
    figures: Figures,
}

/// How often one peer may still ask, and how often it should not have asked.
struct Rate {
    asks: Bucket,
    nuisance: u64,
    named: Option<Instant>,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Self { asks: Bucket::new(BURST.into(), RATE.into(), now), nuisance: 0, named: None }
    }

    /// Notes that a request was one too many, or made no sense; gives how many there were if it is time to say whose.
    fn note(&mut self, now: Instant) -> Option<u64> {
        self.nuisance = self.nuisance.saturating_add(1);
        let said = self.named.is_some_and(|at| now.saturating_duration_since(at) < NAME_EVERY);
        if said || self.nuisance < NUISANCE {
            return None;
        }
        self.named = Some(now);
        Some(std::mem::take(&mut self.nuisance))
    }
}

/// Bytes that one peer may still take of one entry.
struct Budget {
    bytes: Bucket,
    /// That it is spent was said.
    told: bool,
}

impl Server {
    /// A server that knows nothing of the chain yet, and so puts everyone off.
    #[must_use]
    pub fn new(store: Arc<Store>, egress: EgressLog, served: fn(Vec<u8>) -> Vec<u8>, figures: Figures) -> Self {
        Self {
            store,
            egress,
            snapshot: watch::channel(Arc::default()).0,
            rates: Mutex::default(),
            budgets: Mutex::default(),
            load: Arc::default(),
            parking: Parking::default(),
            served,
            behind: AtomicBool::new(true),
            figures,
        }
    }

    /// What the chain says from now on.
    pub fn update(&self, snapshot: Arc<Snapshot>) {
        self.rates.lock().retain(|peer, _| snapshot.institution_of(peer).is_some());
        self.budgets.lock().retain(|(_, entry), _| snapshot.has(entry));
        self.snapshot.send_replace(snapshot);
    }

    /// Tells of every new word of the chain from now on.
    pub(super) fn news(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// Tells, from now on, that a place was given back.
    pub(super) fn freed(&self) -> watch::Receiver<()> {
        self.load.lock().freed()
    }

    /// Says whether this node lags behind the chain. Then everyone is put off: who has left a study meanwhile must not
    /// get anything because nobody has told this node yet. So it is until the first word that it does not.
    pub fn set_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Release);
    }

    /// Admission and work in one: everything that a request goes through. The place is the caller's to keep.
    #[cfg(test)]
    pub fn answer(&self, request: &[u8], peer: PeerId) -> Answer {
        match self.admit(request, peer, Instant::now()) {
            Ok(job) => self.work(job),
            Err(answer) => answer,
        }
    }

    /// Decides on a request at once, without touching the disk.
    ///
    /// # Errors
    /// What the peer gets instead.
    #[cfg(test)]
    pub fn admit(&self, request: &[u8], peer: PeerId, now: Instant) -> Result<Job, Answer> {
        let heard = self.hear(request, peer, now)?;
        self.judge(&heard, now).map_err(|off| self.put_off(&heard, off))
    }

    fn deaf(&self, snapshot: &Snapshot) -> bool {
        snapshot.is_empty() || self.behind.load(Ordering::Acquire)
    }

    /// Reads a request, and counts it: once, however long it waits then.
    ///
    /// # Errors
    /// What the peer gets instead.
    pub(super) fn hear(&self, request: &[u8], peer: PeerId, now: Instant) -> Result<Heard, Answer> {
        let snapshot = self.snapshot.borrow().clone();
        if self.deaf(&snapshot) {
            self.figures.refused(Why::Behind);
            return Err(Answer::plain(Response::Busy));
        }
        if snapshot.institution_of(&peer).is_none() {
            log::debug!(target: LOG, "refused {peer}: {}", Refusal::Outsider);
            self.figures.refused(Why::Outsider);
            return Err(Answer::costly(Response::Refused, COST_OUTSIDER));
        }
        let rate = self.rates.lock().entry(peer).or_insert_with(|| Rate::new(now)).asks.take(1.0, now);
        if rate.is_err() {
            log::debug!(target: LOG, "turned away {peer}: more than {RATE} requests a second");
            self.note_nuisance(&snapshot, &peer, now);
            self.figures.refused(Why::Rate);
            return Err(Answer::costly(Response::Busy, COST_FLOOD));
        }
        let malformed = |error: Malformed| {
            log::debug!(target: LOG, "refused {peer}: {error}");
            self.note_nuisance(&snapshot, &peer, now);
            self.figures.refused(Why::Malformed);
            Answer::costly(Response::Refused, COST_MALFORMED)
        };
        let asked = Asked::read(request).map_err(malformed)?;
        let range = asked.request.range().map_err(malformed)?;
        Ok(Heard { peer, asked, range })
    }

    /// Decides on a request by what the chain says now. The one judge of all requests: of those that wait, too, again and again.
    ///
    /// # Errors
    /// Why it is not admitted now.
    pub(super) fn judge(&self, heard: &Heard, now: Instant) -> Result<Job, Off> {
        let snapshot = self.snapshot.borrow().clone();
        let ended = |response, why| Off::For(Answer::plain(response), why);
        if self.deaf(&snapshot) {
            return Err(ended(Response::Busy, Why::Behind));
        }
        let Heard { peer, asked: Asked { request, .. }, range } = heard;
        let (peer, entry) = (*peer, request.entry);
        let granted = self.store.granted(&entry);
        let grant = may_serve(&snapshot, &peer, &entry, granted).map_err(|refusal| {
            log::debug!(target: LOG, "not given to {peer}, {entry}: {refusal}");
            match refusal {
                // the block that lists it may come in a moment; nobody else than members asks here
                Refusal::Unlisted => Off::NotYet { here: true },
                Refusal::NotFinal | Refusal::MemberNotFinal => Off::NotYet { here: granted || snapshot.holder(&entry) },
                Refusal::Outsider => ended(Response::Refused, Why::Outsider),
                Refusal::NotMember => ended(Response::Refused, Why::NotMember),
                Refusal::Left => ended(Response::Refused, Why::Left),
                Refusal::HeldForOther => ended(Response::Refused, Why::HeldForOther),
            }
        })?;
        let (place, reading) = Load::take(&self.load, peer, range).ok_or(Off::Crowded)?;
        if !self.affords(peer, &entry, range, now) {
            return Err(ended(Response::Refused, Why::Budget));
        }
        Ok(Job { peer, request: *request, range: range.clone(), grant, place, reading })
    }

    /// Says, now and then, whose node asks too much or makes no sense.
    fn note_nuisance(&self, snapshot: &Snapshot, peer: &PeerId, now: Instant) {
        let Some(count) = self.rates.lock().get_mut(peer).and_then(|rate| rate.note(now)) else { return };
        let name = snapshot.institution_of(peer).map(|it| String::from_utf8_lossy(&it.name)).unwrap_or_default();
        log::warn!(
            target: LOG,
            "{name:?}'s node, {peer}, asks more than {RATE} times a second, or what makes no sense: {count} requests of it were turned \
             away since this was said last. Ask its people; if it goes on, suspend it"
        );
    }

    /// Whether a peer may take one more range of an entry. A range counts as a chunk group at least, so that many small
    /// ones, each a line in the egress log, end as well.
    fn affords(&self, peer: PeerId, entry: &Entry, range: &Range<u64>, now: Instant) -> bool {
        let all = entry.blob.len.saturating_mul(LENGTHS).saturating_add(EXTRA) as f64;
        let bytes = range.end.saturating_sub(range.start).max(GROUP) as f64;
        let mut budgets = self.budgets.lock();
        let full = || Budget { bytes: Bucket::new(all, all / REFILL as f64, now), told: false };
        let budget = budgets.entry((peer, *entry)).or_insert_with(full);
        let affords = budget.bytes.take(bytes, now).is_ok();
        if !affords && !std::mem::replace(&mut budget.told, true) {
            log::warn!(
                target: LOG,
                "{peer} took {entry} {LENGTHS} times and {EXTRA} bytes more: it gets it by and by from now on"
            );
        }
        affords
    }

    /// Reads the range, notes it in the egress log, and gives it. Blocks on the disk.
    #[must_use]
    pub fn work(&self, job: Job) -> Answer {
        let Job { peer, request, range, grant, place, reading } = job;
        let response = self.read(&peer, &request, &range, &grant);
        drop(reading);
        Answer { place: Some(place), ..Answer::plain(response) }
    }

    fn read(&self, peer: &PeerId, request: &Request, range: &Range<u64>, grant: &Grant) -> Response {
        let entry = &request.entry;
        let slice = match self.store.slice(&entry.blob, range) {
            Ok(slice) => slice,
            Err(Unavailable::NotHeld) => return self.without(Response::NotHeld, Why::NotHeld),
            Err(Unavailable::Building) => return self.without(Response::Busy, Why::Building),
            Err(error) => {
                log::warn!(target: LOG, "{entry}: {error}");
                return self.without(Response::NotHeld, Why::NotHeld);
            }
        };
        let noted = self.egress.note(grant, peer, range).and_then(|line| self.egress.commit(line));
        if let Err(error) = noted {
            log::error!(
                target: LOG,
                "egress log cannot be written, so nothing is served; make room or mend its permissions: {error}"
            );
            return self.without(Response::Busy, Why::EgressLog);
        }
        log::trace!(target: LOG, "{entry}: {range:?} to {} ({peer})", grant.name);
        let slice = (self.served)(slice);
        self.figures.gave(slice.len());
        Response::Data(slice)
    }

    fn without(&self, response: Response, why: Why) -> Response {
        self.figures.refused(why);
        response
    }

    /// Brings the egress log to the disk; says whether lines were added since the last time. Blocks on the disk.
    ///
    /// # Errors
    /// The disk failed.
    pub fn sync_egress(&self) -> io::Result<bool> {
        self.egress.sync()
    }
}
