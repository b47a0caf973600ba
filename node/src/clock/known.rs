//! What is known of the time.

use super::verdict::{Others, Reading};
use consilium_runtime::SLOT_MILLIS;
use parking_lot::RwLock;
use serde_json::{json, Value};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Target of the log lines.
pub(super) const LOG: &str = "clock";
/// An answer that took longer tells too little.
pub(super) const SLOW: Duration = Duration::from_secs(2);
/// Blocks wait so long at most for the first comparison, once a node is connected.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// So much is forgiven to the clocks of others.
pub(super) const LENIENCE: Duration = Duration::from_millis(500);

/// This machine's clock: the time since 1970.
pub fn system() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A span in whole milliseconds.
pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// What is known of the time. Copies are of one and the same.
#[derive(Clone)]
pub struct Clock(pub(super) Arc<Shared>);

pub(super) struct Shared {
    /// Where the monotonic clock begins.
    began: Instant,
    pub(super) known: RwLock<Known>,
    /// The one other clock that is known, where it is one alone: its institution's name, and what it said.
    pub(super) alone: RwLock<Option<(String, Reading)>>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    pub(super) others: Option<Others>,
    /// Since when a node is connected while others could be heard, too.
    pub(super) connected: Option<Instant>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.0.known.read().others).finish()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(Shared { began: Instant::now(), known: RwLock::default(), alone: RwLock::default() }))
    }
}

impl Clock {
    pub(super) fn monotonic(&self) -> i64 {
        millis(self.0.began.elapsed())
    }

    /// How far this machine's clock is ahead of the monotonic one.
    pub(super) fn own(&self) -> i64 {
        millis(system()).saturating_sub(self.monotonic())
    }

    /// How many milliseconds this machine's clock is off at least, ahead if positive; none while fewer than two others are known.
    pub(super) fn error(&self) -> Option<i64> {
        let others = self.0.known.read().others;
        others.map(|others| others.error_of(self.own()))
    }

    /// The time since 1970 by this machine's clock, put right by as much as it is known to be off.
    pub fn now(&self) -> Duration {
        let (own, error) = (system(), self.error().unwrap_or_default());
        let by = Duration::from_millis(error.unsigned_abs());
        if error > 0 {
            own.saturating_sub(by)
        } else {
            own.saturating_add(by)
        }
    }

    /// The time by which others' blocks are judged: the later of this machine's clock and the others', and half a second.
    pub fn latest(&self) -> Duration {
        system().max(self.now()).saturating_add(LENIENCE)
    }

    /// Whether blocks may be made: this machine's clock is not known to be off by more than a slot, and it was compared or there
    /// was time for that.
    pub fn may_author(&self, slot: Duration) -> bool {
        self.is_settled() && self.error().is_none_or(|error| error.unsigned_abs() <= slot.as_millis() as u64)
    }

    /// Whether there is nothing to wait for before blocks are judged.
    fn is_settled(&self) -> bool {
        let Known { others, connected } = *self.0.known.read();
        others.is_some() || connected.is_none_or(|since| since.elapsed() >= GRACE)
    }

    /// Waits for the first comparison, five seconds at most from when a node connected.
    pub async fn settled(&self) {
        while !self.is_settled() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Words for people where the one other clock that is known differs from this machine's.
    pub(super) fn differs(&self) -> Option<String> {
        let own = self.own();
        self.0.alone.read().as_ref().and_then(|(name, reading)| reading.words(name, own))
    }

    /// What is known, for programs: `offset_seconds` (how far this clock is off at least; none while fewer than two others are
    /// known), `others` (how many), `apart_seconds` (how far those lie apart) and `warning` (words for people, where it is wrong, or
    /// differs from the one other that is known).
    pub fn report(&self) -> Value {
        let (others, error) = (self.0.known.read().others, self.error());
        let seconds = |millis: i64| millis as f64 / 1_000.0;
        json!({
            "offset_seconds": error.map(seconds),
            "others": others.map_or(0, |others| others.count),
            "apart_seconds": others.map(|others| seconds(others.apart)),
            "warning": match others.zip(error) {
                Some((others, error)) => others.words(error, is_idle(error)),
                None => self.differs(),
            },
        })
    }
}

/// Whether no block is made with a clock that is off so far.
pub(super) fn is_idle(error: i64) -> bool {
    error.unsigned_abs() > SLOT_MILLIS
}
