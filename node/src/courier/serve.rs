//! The serving side: who asks, may they, and within which bounds.

use super::{
    egress::EgressLog,
    gate::{may_serve, Bucket, Grant, Refusal, Snapshot},
    store::{Store, Unavailable},
    wire::{Malformed, Request, Response},
};
use parking_lot::{Mutex, RwLock};
use sc_network::ReputationChange;
use sc_network_types::PeerId;
use std::{collections::HashMap, ops::Range, sync::Arc, time::Instant};

/// Requests that one peer may make at once, before the rate counts.
pub const BURST: u32 = 64;
/// Requests that one peer may make in a second, in the long run.
pub const RATE: u32 = 32;
/// Requests in work at once.
pub const IN_WORK: usize = 8;
/// Requests of one peer in work at once.
pub const IN_WORK_PER_PEER: usize = 4;

/// An outsider asked. A node that registered its peer id a moment ago looks the same, hence the small cost.
const COST_OUTSIDER: ReputationChange = ReputationChange::new(-(1 << 20), "courier: not a member");
/// A request that makes no sense.
const COST_MALFORMED: ReputationChange = ReputationChange::new(-(1 << 24), "courier: malformed request");
/// More requests than the rate allows.
const COST_FLOOD: ReputationChange = ReputationChange::new(-(1 << 20), "courier: too many requests");

/// What a peer gets.
#[derive(Debug)]
pub struct Answer {
    /// The response.
    pub response: Response,
    /// What it costs the peer.
    pub cost: Option<ReputationChange>,
}

impl Answer {
    fn plain(response: Response) -> Self {
        Self { response, cost: None }
    }

    fn costly(response: Response, cost: ReputationChange) -> Self {
        Self { response, cost: Some(cost) }
    }
}

/// An admitted request: what is left is to read the disk.
pub struct Job {
    peer: PeerId,
    request: Request,
    range: Range<u64>,
    grant: Grant,
    _slot: Slot,
}

#[derive(Default)]
struct InWork {
    all: usize,
    of: HashMap<PeerId, usize>,
}

/// One place among the requests in work, given back when dropped.
struct Slot {
    in_work: Arc<Mutex<InWork>>,
    peer: PeerId,
}

impl Slot {
    fn take(in_work: &Arc<Mutex<InWork>>, peer: PeerId) -> Option<Self> {
        let mut held = in_work.lock();
        let own = held.of.get(&peer).copied().unwrap_or_default();
        if held.all >= IN_WORK || own >= IN_WORK_PER_PEER {
            return None;
        }
        held.all += 1;
        held.of.insert(peer, own + 1);
        drop(held);
        Some(Self { in_work: in_work.clone(), peer })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.in_work.lock();
        held.all = held.all.saturating_sub(1);
        let left = held.of.get(&self.peer).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            held.of.remove(&self.peer);
        } else {
            held.of.insert(self.peer, left);
        }
    }
}

/// The serving side of a courier.
pub struct Server {
    store: Arc<Store>,
    egress: EgressLog,
    snapshot: RwLock<Arc<Snapshot>>,
    rates: Mutex<HashMap<PeerId, Bucket>>,
    in_work: Arc<Mutex<InWork>>,
}

impl Server {
    /// A server that knows nothing of the chain yet, and so puts everyone off.
    #[must_use]
    pub fn new(store: Arc<Store>, egress: EgressLog) -> Self {
        Self { store, egress, snapshot: RwLock::default(), rates: Mutex::default(), in_work: Arc::default() }
    }

    /// What the chain says from now on.
    pub fn update(&self, snapshot: Arc<Snapshot>) {
        self.rates.lock().retain(|peer, _| snapshot.institution_of(peer).is_some());
        *self.snapshot.write() = snapshot;
    }

    /// Admission and work in one: everything that a request goes through.
    #[cfg(test)]
    pub fn answer(&self, request: &[u8], peer: PeerId) -> Answer {
        match self.admit(request, peer, Instant::now()) {
            Ok(job) => self.work(&job),
            Err(answer) => answer,
        }
    }

    /// Decides on a request without touching the disk.
    ///
    /// # Errors
    /// What the peer gets instead.
    pub fn admit(&self, request: &[u8], peer: PeerId, now: Instant) -> Result<Job, Answer> {
        let snapshot = self.snapshot.read().clone();
        if snapshot.is_empty() {
            return Err(Answer::plain(Response::Busy));
        }
        if snapshot.institution_of(&peer).is_none() {
            log::debug!(target: super::LOG, "refused {peer}: {}", Refusal::Outsider);
            return Err(Answer::costly(Response::Refused, COST_OUTSIDER));
        }
        let rate = self.rates.lock().entry(peer).or_insert_with(|| Bucket::new(BURST, RATE, now)).take(now);
        if rate.is_err() {
            log::debug!(target: super::LOG, "turned away {peer}: more than {RATE} requests a second");
            return Err(Answer::costly(Response::Busy, COST_FLOOD));
        }
        let malformed = |error: Malformed| {
            log::debug!(target: super::LOG, "refused {peer}: {error}");
            Answer::costly(Response::Refused, COST_MALFORMED)
        };
        let request = Request::read(request).map_err(malformed)?;
        let range = request.range().map_err(malformed)?;
        let fetched_for = |study| self.store.fetched_for(&request.blob, study);
        let grant = may_serve(&snapshot, &peer, &request.blob, fetched_for).map_err(|refusal| {
            log::debug!(target: super::LOG, "refused {peer} blob {}: {refusal}", hex::encode(request.blob.root.0));
            Answer::plain(Response::Refused)
        })?;
        let slot = Slot::take(&self.in_work, peer).ok_or_else(|| Answer::plain(Response::Busy))?;
        Ok(Job { peer, request, range, grant, _slot: slot })
    }

    /// Reads the range, notes it in the egress log, and gives it. Blocks on the disk.
    #[must_use]
    pub fn work(&self, job: &Job) -> Answer {
        let name = || hex::encode(job.request.blob.root.0);
        let slice = match self.store.slice(&job.request.blob, &job.range) {
            Ok(slice) => slice,
            Err(Unavailable::NotHeld) => return Answer::plain(Response::NotHeld),
            Err(Unavailable::Building) => return Answer::plain(Response::Busy),
            Err(error) => {
                log::warn!(target: super::LOG, "blob {}: {error}", name());
                return Answer::plain(Response::NotHeld);
            }
        };
        if let Err(error) = self.egress.note(&job.grant, &job.peer, &job.request.blob, &job.range) {
            log::error!(
                target: super::LOG,
                "egress log cannot be written, so nothing is served; make room or mend its permissions: {error}"
            );
            return Answer::plain(Response::Busy);
        }
        log::trace!(target: super::LOG, "blob {}: {:?} to {} ({})", name(), job.range, job.grant.name, job.peer);
        Answer::plain(Response::Data(slice))
    }
}
