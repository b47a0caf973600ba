//! Whom to ask: which peers are at work, which rest, and which are not asked again.

use super::{
    gate::Bucket,
    wire::{Entry, GROUP, SPAN},
};
use sc_network_types::PeerId;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

/// First rest of a peer that failed; each further failure doubles it.
pub const FIRST_REST: Duration = Duration::from_secs(2);
/// Longest rest of a peer: half of the shortest fetch window there is, so that one that was away and is back is asked again
/// while there is time.
pub const LONGEST_REST: Duration = Duration::from_secs(6);
/// Longest rest of a peer that refused a blob.
const LONGEST_REFUSAL: Duration = Duration::from_secs(8);
/// First rest of a peer that may give a blob in a moment: its finality is a few blocks or milliseconds behind.
pub const FIRST_NOT_YET: Duration = Duration::from_millis(50);
/// Longest rest of such a one.
pub const LONGEST_NOT_YET: Duration = Duration::from_secs(2);
/// First rest of a peer that has too much to do.
const BUSY_REST: Duration = Duration::from_secs(1);
/// Longest rest of a peer that is busy again and again.
const LONGEST_BUSY: Duration = Duration::from_secs(8);
/// Bytes a second below which a peer counts as failing: half a megabit.
pub const FLOOR: u64 = 64 * 1024;
/// Rest of an entry after this node's own disk failed.
const LOCAL_REST: Duration = Duration::from_secs(10);
/// Bytes asked for at once from the slowest peers.
const LEAST_SPAN: u32 = 4 * GROUP as u32;
/// Requests made to one peer at once before the rate counts: below what the peer allows.
pub const BURST: u32 = 16;
/// Requests made to one peer in a second, in the long run: what the peer allows, less a margin.
pub const RATE: u32 = 30;

/// How fetching a blob from a peer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The blob is in the blob store, and may be passed on for that entry.
    Complete,
    /// No answer: not connected, connection lost, or the answer makes no sense.
    Failed,
    /// No answer in time.
    TimedOut,
    /// The peer does not have it.
    NotHeld,
    /// The peer may not give it.
    Refused,
    /// The peer may give it in a moment. No fault of it.
    NotYet,
    /// The peer has too much to do.
    Busy,
    /// The peer gave so many bytes a second, and something better could be done than to wait for it.
    Slow(u64),
    /// The peer sent other bytes.
    WrongBytes,
    /// This node's own disk failed.
    Local,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    next: Duration,
}

impl Rest {
    fn new(now: Instant) -> Self {
        Self { until: now, next: FIRST_REST }
    }

    fn longer(&mut self, now: Instant, longest: Duration) {
        self.until = now + self.next.min(longest);
        self.next = self.next.saturating_mul(2).min(longest);
    }
}

#[derive(Debug)]
struct Peer {
    at_work: bool,
    failures: u32,
    /// Was below the floor: single parts do not mend that.
    slow: bool,
    /// Was busy, and has given nothing since.
    busy: bool,
    rest: Rest,
    span: u32,
    bucket: Bucket,
}

#[derive(Debug)]
enum About {
    Resting(Rest),
    Banned,
}

/// What is known of the peers that can be asked.
#[derive(Debug, Default)]
pub struct Peers {
    peers: HashMap<PeerId, Peer>,
    about: BTreeMap<(PeerId, Entry), About>,
    /// Which peers are asked, beside their other work, for what they may give once it is final.
    early: BTreeMap<PeerId, Entry>,
    /// Which peers are asked, beside their other work, for what a specification names.
    attached: BTreeMap<PeerId, Entry>,
    /// Bytes a second that a peer gave of a blob in its turn, where it was not the end of the blob that ended the turn.
    tried: BTreeMap<(PeerId, Entry), u64>,
    entries: BTreeMap<Entry, Instant>,
}

/// How good a source is for a blob: the least is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Known to hold it.
    Holder { failures: u32 },
    /// May hold it.
    Member,
    /// Gave some of it, so fast.
    Tried(Reverse<u64>),
    /// May hold it, and failed lately.
    Failing { failures: u32 },
    /// Gave some of it, below the floor.
    Slow(Reverse<u64>),
}

impl Standing {
    fn tried(rate: u64) -> Self {
        if rate < FLOOR {
            Self::Slow(Reverse(rate))
        } else {
            Self::Tried(Reverse(rate))
        }
    }

    /// Whether it is worth leaving a peer that gives at this rate for this one: because it is twice as fast, or was not
    /// tried yet. One that failed lately is better than one below the floor, and than no other.
    fn beats(self, rate: u64) -> bool {
        match self {
            Self::Holder { failures } => failures == 0 || rate < FLOOR,
            Self::Member => true,
            Self::Failing { .. } => rate < FLOOR,
            Self::Tried(Reverse(own)) | Self::Slow(Reverse(own)) => own >= rate.saturating_mul(2).max(1),
        }
    }
}

impl Peers {
    fn peer(&mut self, peer: PeerId, now: Instant) -> &mut Peer {
        self.peers.entry(peer).or_insert_with(|| Peer {
            at_work: false,
            failures: 0,
            slow: false,
            busy: false,
            rest: Rest::new(now),
            span: SPAN,
            bucket: Bucket::new(BURST.into(), RATE.into(), now),
        })
    }

    /// Whom to ask for a blob now. Those known to hold it come first, then those that may, those that failed less before
    /// others; different blobs begin with different peers. While a holder is only at work, nobody else is asked. Who had
    /// a turn already comes later, the fastest first.
    #[must_use]
    pub fn choose(&self, sources: &[(PeerId, bool)], entry: &Entry, now: Instant) -> Option<PeerId> {
        self.pick(sources, entry, now, |peer| self.at_work(peer))
    }

    /// Whom to ask now for what is not final yet: a holder, for nobody else can have it. What else it is at work with is no
    /// hindrance, for the request waits there.
    #[must_use]
    pub fn choose_early(&self, sources: &[(PeerId, bool)], entry: &Entry, now: Instant) -> Option<PeerId> {
        let holders: Vec<_> = sources.iter().copied().filter(|(_, holds)| *holds).collect();
        self.pick(&holders, entry, now, |peer| self.early.contains_key(peer))
    }

    /// Whom to ask now for what a specification names. What else it is at work with is no hindrance, and this is none for that:
    /// such a file may be large, and a merge does not wait.
    #[must_use]
    pub fn choose_attached(&self, sources: &[(PeerId, bool)], entry: &Entry, now: Instant) -> Option<PeerId> {
        self.pick(sources, entry, now, |peer| self.attached.contains_key(peer))
    }

    fn pick(
        &self,
        sources: &[(PeerId, bool)],
        entry: &Entry,
        now: Instant,
        occupied: impl Fn(&PeerId) -> bool,
    ) -> Option<PeerId> {
        if self.entries.get(entry).is_some_and(|until| *until > now) {
            return None;
        }
        let able: Vec<_> = sources.iter().filter(|(peer, _)| self.able(peer, entry, now)).collect();
        let standing = |(peer, holds): &(PeerId, bool)| self.standing(peer, *holds, entry);
        let order = |source: &&&(PeerId, bool)| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&entry.blob.root.0).update(&source.0.to_bytes());
            (standing(source), *hasher.finalize().as_bytes())
        };
        let best = able.iter().filter(|(peer, _)| !occupied(peer)).min_by_key(order)?;
        let holder = |standing| matches!(standing, Standing::Holder { .. });
        let wait = !holder(standing(best)) && able.iter().any(|source| holder(standing(source)));
        (!wait).then_some(best.0)
    }

    /// Whether somebody else should be asked for the rest of a blob of which a peer gives so many bytes a second.
    #[must_use]
    pub fn better(&self, than: PeerId, rate: u64, sources: &[(PeerId, bool)], entry: &Entry, now: Instant) -> bool {
        let free = |peer: &PeerId| *peer != than && !self.at_work(peer) && self.able(peer, entry, now);
        sources.iter().any(|(peer, holds)| free(peer) && self.standing(peer, *holds, entry).beats(rate))
    }

    fn able(&self, peer: &PeerId, entry: &Entry, now: Instant) -> bool {
        let rests = self.peers.get(peer).is_some_and(|state| state.rest.until > now);
        let about = self.about.get(&(*peer, *entry));
        !rests && about.is_none_or(|about| matches!(about, About::Resting(rest) if rest.until <= now))
    }

    fn at_work(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|state| state.at_work)
    }

    fn standing(&self, peer: &PeerId, holds: bool, entry: &Entry) -> Standing {
        let failures = self.peers.get(peer).map_or(0, |state| state.failures);
        match self.tried.get(&(*peer, *entry)) {
            Some(rate) => Standing::tried(*rate),
            None if holds => Standing::Holder { failures },
            None if failures == 0 => Standing::Member,
            None => Standing::Failing { failures },
        }
    }

    /// A peer is asked for a blob from now on.
    pub fn begun(&mut self, peer: PeerId, now: Instant) {
        self.peer(peer, now).at_work = true;
    }

    /// A peer is asked from now on for what is not final yet.
    pub fn begun_early(&mut self, peer: PeerId, entry: &Entry) {
        self.early.insert(peer, *entry);
    }

    /// A peer is asked from now on for what a specification names.
    pub fn begun_attached(&mut self, peer: PeerId, entry: &Entry) {
        self.attached.insert(peer, *entry);
    }

    /// Bytes to ask of a peer at once.
    pub fn span(&mut self, peer: PeerId, now: Instant) -> u32 {
        self.peer(peer, now).span
    }

    /// How long to wait before the next request to a peer; zero counts it as made.
    pub fn pace(&mut self, peer: PeerId, now: Instant) -> Duration {
        self.peer(peer, now).bucket.take(1.0, now).err().unwrap_or_default()
    }

    /// A peer gave right bytes.
    pub fn gave(&mut self, peer: PeerId, now: Instant) {
        let state = self.peer(peer, now);
        state.busy = false;
        if !state.slow {
            state.failures = 0;
            state.rest = Rest::new(now);
        }
        state.span = state.span.saturating_mul(2).min(SPAN);
    }

    /// Fetching a blob from a peer ended.
    pub fn ended(&mut self, peer: PeerId, entry: &Entry, outcome: Outcome, now: Instant) {
        let mut beside = false;
        for asked in [&mut self.early, &mut self.attached] {
            if asked.get(&peer) == Some(entry) {
                asked.remove(&peer);
                beside = true;
            }
        }
        let state = self.peer(peer, now);
        if !beside {
            state.at_work = false;
        }
        match outcome {
            Outcome::Complete => {
                state.slow = false;
                state.failures = 0;
            }
            Outcome::Slow(rate) => {
                state.slow = rate < FLOOR;
                if state.slow {
                    state.failures = state.failures.saturating_add(1);
                    state.rest.longer(now, LONGEST_REST);
                }
                self.tried.insert((peer, *entry), rate);
            }
            Outcome::Failed | Outcome::TimedOut => {
                state.failures = state.failures.saturating_add(1);
                state.rest.longer(now, LONGEST_REST);
                if outcome == Outcome::TimedOut {
                    state.span = (state.span / 2).max(LEAST_SPAN);
                }
            }
            Outcome::Busy if state.busy => {
                state.failures = state.failures.saturating_add(1);
                state.rest.longer(now, LONGEST_BUSY);
            }
            Outcome::Busy => {
                state.busy = true;
                state.rest.until = now + BUSY_REST;
            }
            Outcome::NotHeld => self.rest(peer, entry, FIRST_REST, LONGEST_REST, now),
            Outcome::Refused => self.rest(peer, entry, FIRST_REST, LONGEST_REFUSAL, now),
            Outcome::NotYet => self.rest(peer, entry, FIRST_NOT_YET, LONGEST_NOT_YET, now),
            Outcome::WrongBytes => {
                state.failures = state.failures.saturating_add(1);
                self.about.insert((peer, *entry), About::Banned);
            }
            Outcome::Local => {
                self.entries.insert(*entry, now + LOCAL_REST);
            }
        }
    }

    fn rest(&mut self, peer: PeerId, entry: &Entry, first: Duration, longest: Duration, now: Instant) {
        let new = || About::Resting(Rest { until: now, next: first });
        if let About::Resting(rest) = self.about.entry((peer, *entry)).or_insert_with(new) {
            rest.next = rest.next.max(first);
            rest.longer(now, longest);
        }
    }

    /// In how long the first of those that rest for one blob may be asked for it again.
    #[must_use]
    pub fn soonest(&self, now: Instant) -> Option<Duration> {
        let until = self.about.values().filter_map(|about| match about {
            About::Resting(rest) => Some(rest.until),
            About::Banned => None,
        });
        until.filter(|until| *until > now).min().map(|until| until.saturating_duration_since(now))
    }

    /// Something about an entry changed on the chain: whoever refused it may be asked at once. Bans stay.
    pub fn forgive(&mut self, entry: &Entry) {
        self.about.retain(|(_, of), about| of != entry || matches!(about, About::Banned));
    }

    /// A peer shows that it is there: it need not rest any more, for nothing that it did not have or did not answer to. Of what
    /// is known of it otherwise, that it is slow or sent other bytes, nothing is forgotten.
    pub fn returned(&mut self, peer: PeerId, now: Instant) {
        if let Some(state) = self.peers.get_mut(&peer) {
            if !state.slow {
                state.rest = Rest::new(now);
            }
        }
        self.about.retain(|(who, _), about| *who != peer || matches!(about, About::Banned));
    }

    /// Forgets what is known about entries that the chain does not list any more.
    pub fn forget(&mut self, listed: impl Fn(&Entry) -> bool) {
        self.about.retain(|(_, entry), _| listed(entry));
        self.tried.retain(|(_, entry), _| listed(entry));
        self.entries.retain(|entry, _| listed(entry));
    }
}
