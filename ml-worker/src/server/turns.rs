//! Whose turn it is. Trainings, and what each site says of its rows before the first one, are done one at a time, those of
//! different studies in turns: first come, first served, and a training that has had its time while another study's duty
//! waits is put aside at a checkpoint and goes to the end of the line. What the node no longer asks for is stopped.

use super::{leave::Permit, Worker};
use crate::site::StudyKey;
use consilium_primitives::{DutyOrder, Hash};
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// A training keeps its turn for so long, also where another study's duty waits.
const TURN: Duration = Duration::from_secs(10);
/// Or for so many times as long as it took to get its rows and to look at them: of a turn, most is training.
const WORTH: u32 = 10;
/// A duty that was missing from the node's list for so long, and from so many lists one after the other, is wanted no more:
/// the round went on without it, the study has ended or was paused, or this site has withdrawn. Where the node says nothing,
/// nothing is missing: it may be starting anew.
const ABSENT: Duration = Duration::from_secs(10);
const MISSED: u32 = 3;
/// How often a training that nobody asks after looks at `sites.toml` itself.
const SITES: Duration = Duration::from_secs(1);

/// When the node last asked for a duty.
pub(super) struct Asked {
    at: Instant,
    /// Lists since then that did not name it.
    missed: u32,
}

impl Asked {
    pub fn now() -> Self {
        Self { at: Instant::now(), missed: 0 }
    }

    /// After a list that named it, or did not.
    pub fn note(&mut self, named: bool) {
        if named {
            *self = Self::now();
        } else {
            self.missed = self.missed.saturating_add(1);
        }
    }

    pub fn wanted(&self) -> bool {
        self.missed < MISSED || self.at.elapsed() < ABSENT
    }
}

/// Why a training is stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// People have put this site's work on hold.
    Held,
    /// People have taken the agreement out of `sites.toml`.
    Refused,
    /// The node asks for it no longer.
    Unwanted,
    /// It is another study's turn.
    Turn,
}

/// The line.
#[derive(Default)]
pub(super) struct Turns {
    waiting: Mutex<VecDeque<DutyOrder>>,
    more: Condvar,
}

impl Turns {
    /// To the end of the line.
    pub fn push(&self, order: DutyOrder) {
        self.waiting.lock().push_back(order);
        self.more.notify_one();
    }

    /// The next one, once there is one.
    fn next(&self) -> DutyOrder {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(order) = waiting.pop_front() {
                return order;
            }
            self.more.wait(&mut waiting);
        }
    }

    /// Keys of what waits for another study than this one.
    fn others(&self, study: &StudyKey) -> Vec<Hash> {
        let waiting = self.waiting.lock();
        waiting.iter().filter(|order| StudyKey::of(&order.duty) != *study).map(super::key).collect()
    }
}

/// A training's present turn.
pub(super) struct Turn {
    began: Instant,
    /// What it took to get to the first step.
    prepared: Option<Duration>,
}

impl Turn {
    pub fn begin() -> Self {
        Self { began: Instant::now(), prepared: None }
    }

    fn over(&mut self) -> bool {
        let passed = self.began.elapsed();
        let prepared = *self.prepared.get_or_insert(passed);
        passed >= TURN.max(prepared.saturating_mul(WORTH))
    }
}

impl Worker {
    /// Does what is in the line, for ever.
    pub(super) fn take_turns(&self) {
        loop {
            let order = self.turns.next();
            let key = super::key(&order);
            if self.wanted(&key) {
                self.count(&order);
            } else {
                self.change(&key, |job| job.working = false);
            }
        }
    }

    fn wanted(&self, key: &Hash) -> bool {
        self.jobs.lock().get(key).is_some_and(|job| job.asked.wanted())
    }

    /// Whether a training must stop now, and why.
    pub(super) fn stop(&self, order: &DutyOrder, turn: &mut Turn) -> Option<Stop> {
        if self.home.held() {
            return Some(Stop::Held);
        }
        let mut leave = self.leave.lock();
        leave.look_after(SITES);
        if let Permit::Refused = leave.of(&order.duty.agreement, order.duty.round) {
            return Some(Stop::Refused);
        }
        drop(leave);
        if !self.wanted(&super::key(order)) {
            return Some(Stop::Unwanted);
        }
        let others = if turn.over() { self.turns.others(&StudyKey::of(&order.duty)) } else { Default::default() };
        others.iter().any(|key| self.wanted(key)).then_some(Stop::Turn)
    }
}
