//! What follows a merge, done before the merge is attested: the next round's training on this site's own merge or, after the last
//! round, its evaluation. If that is done in a moment, the node is answered both together, and the round takes a block less. If it
//! takes longer, the merge is answered at once, and the rest when it is asked for: attesting waits for no training.
//!
//! What was made on another merge than the attested one is asked for by nobody: duties are known by what they stand on. Its file goes
//! when that round's training is asked for on another merge; what was answered stays noted, and would be the same again.

use super::{key, tell, Worker};
use crate::site::StudyKey;
use consilium_primitives::{
    round::Kind, Ahead, Attested, BlobRef, Duty, DutyKind, DutyOrder, DutyOutput, DutyState, Hash, Marks, Next,
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io::ErrorKind,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// A merge is answered together with what follows only where the study's last training took no longer than this, and that is
/// done so long after the merge.
const SHORT: Duration = Duration::from_millis(150);
const WAIT: Duration = Duration::from_millis(200);
/// Most merges of which it is remembered what follows them.
const MOST: usize = 256;

/// What follows a merge.
struct Follows {
    /// What its work is known by.
    key: Hash,
    /// Until when the answer waits for it; none, once that was given without it.
    until: Option<Instant>,
}

/// What follows merges, by what these are known by; and how long trainings take.
#[derive(Default)]
pub(super) struct Following {
    /// Nothing is done ahead.
    off: AtomicBool,
    merges: Mutex<HashMap<Hash, Follows>>,
    took: Mutex<HashMap<StudyKey, Duration>>,
    /// The newest update that was made ahead in each study, and what it stands on.
    made: Mutex<HashMap<StudyKey, Made>>,
}

struct Made {
    round: u32,
    base: Hash,
    update: Hash,
}

impl Following {
    /// The duty that follows a merge.
    pub fn of(&self, merge: &Hash) -> Option<Hash> {
        self.merges.lock().get(merge).map(|follows| follows.key)
    }

    /// Notes how long a training took.
    pub fn took(&self, study: StudyKey, time: Duration) {
        let mut took = self.took.lock();
        if took.len() >= MOST {
            took.clear();
        }
        took.insert(study, time);
    }

    /// Notes an update that was made ahead.
    fn made(&self, duty: &Duty, update: Hash) {
        let mut made = self.made.lock();
        if made.len() >= MOST {
            made.clear();
        }
        made.insert(StudyKey::of(duty), Made { round: duty.round, base: duty.base, update });
    }

    /// The update that was made ahead for this duty's round on another merge than the duty's.
    fn void(&self, duty: &Duty) -> Option<Hash> {
        let mut made = self.made.lock();
        let study = StudyKey::of(duty);
        let void = made.get(&study).is_some_and(|made| made.round == duty.round && made.base != duty.base);
        if duty.kind != DutyKind::Train || !void {
            return None;
        }
        made.remove(&study).map(|made| made.update)
    }
}

/// The order that the chain gives once it has attested this merge.
fn following(order: &DutyOrder, follows: Ahead, merged: Hash) -> DutyOrder {
    let (kind, round, output_len) = match follows {
        Ahead::Train { len } => (DutyKind::Train, order.duty.round.saturating_add(1), len),
        Ahead::Evaluate => (DutyKind::Evaluate, order.duty.round, 0),
    };
    let statistics = order.statistics.map(|blob| blob.root).unwrap_or_default();
    let mut attested = order.attested.clone();
    attested.push(Attested { kind: Kind::Model, round: order.duty.round, inputs_root: order.duty.base, root: merged });
    DutyOrder {
        duty: Duty { kind, round, base: merged, statistics, ..order.duty },
        base: Some(BlobRef { root: merged, len: order.output_len }),
        inputs: Vec::new(),
        merge: None,
        output_len,
        attested,
        // its input is in this merge
        committed_before: true,
        ..order.clone()
    }
}

impl Worker {
    /// Switches off that anything is done before it is asked for.
    pub fn do_nothing_ahead(&self) {
        self.following.off.store(true, Ordering::Relaxed);
    }

    /// Removes the file of an update that was made ahead, where this duty says that it stands on a merge that is not attested.
    pub(super) fn drop_void(&self, duty: &Duty) {
        let Some(update) = self.following.void(duty) else { return };
        match std::fs::remove_file(self.blobs.path(&update)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!("{} stays, though nobody will ask for it: {error}", self.blobs.path(&update).display());
            }
            _ => tracing::info!("study {}, round {}: what was trained ahead is void", duty.study, duty.round),
        }
    }

    /// What is said of a merge that is done: with what follows it, if that comes soon.
    pub(super) fn with_next(&self, order: &DutyOrder, follows: Ahead, output: DutyOutput) -> DutyState {
        let (root, marks) = match output {
            DutyOutput::Root(root) => (root, Marks::default()),
            DutyOutput::Marked { root, marks } => (root, marks),
            other => return DutyState::Done(other),
        };
        if self.following.off.load(Ordering::Relaxed) || order.duty.kind != DutyKind::Merge {
            return DutyState::Done(output);
        }
        // what a private study trains costs something, also where nobody asks for it afterwards
        if self.spec(&order.spec).is_some_and(|spec| spec.privacy.is_some()) {
            return DutyState::Done(output);
        }
        let (merge, next) = (key(order), following(order, follows, root));
        let said = |next| DutyState::Done(DutyOutput::Ahead { root, marks, next });
        // an answer without it was sent, and binds
        let Some(until) = self.wait_for(merge, key(&next), StudyKey::of(&order.duty)) else {
            return DutyState::Done(output);
        };
        match (self.state_of(&next), follows) {
            (DutyState::Done(DutyOutput::Update { root, metric }), Ahead::Train { len }) => {
                self.following.made(&next.duty, root);
                said(Next::Update { duty: next.duty.hash(), root, len, metric })
            }
            (DutyState::Done(DutyOutput::Metric(metric)), Ahead::Evaluate) => said(Next::Last { metric }),
            (DutyState::Queued | DutyState::Running { .. }, _) if Instant::now() < until => {
                DutyState::Running { done: 0 }
            }
            _ => {
                if let Some(follows) = self.following.merges.lock().get_mut(&merge) {
                    follows.until = None;
                }
                DutyState::Done(output)
            }
        }
    }

    /// Until when what follows a merge is waited for; none, where that is over.
    fn wait_for(&self, merge: Hash, next: Hash, study: StudyKey) -> Option<Instant> {
        let mut merges = self.following.merges.lock();
        if let Some(follows) = merges.get(&merge).filter(|follows| follows.key == next) {
            return follows.until;
        }
        if merges.len() >= MOST {
            merges.clear();
        }
        let short = self.following.took.lock().get(&study).is_none_or(|took| *took < SHORT);
        let until = Some(Instant::now() + if short { WAIT } else { Duration::ZERO });
        merges.insert(merge, Follows { key: next, until });
        if short {
            // the node asks again when something ends; if nothing does, it is to ask then
            let changes = self.changes.clone();
            let later = move || {
                std::thread::sleep(WAIT);
                tell(&changes);
            };
            if let Err(error) = std::thread::Builder::new().name("waiting".into()).spawn(later) {
                tracing::warn!("no thread: {error}");
            }
        }
        until
    }
}
