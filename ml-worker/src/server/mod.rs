//! Takes duties from the node, does them, remembers what came out.
//!
//! The node names all open duties of its institution in each request, and the answer says at once where each stands;
//! no longer than a moment is waited for work that ends in that moment. Two threads work: one trains, by [`turns`], the other
//! merges, initialises and evaluates, so that a long training does not hold up other studies' merges. A third one computes
//! again what the chain attests differently.

mod ahead;
mod answer;
mod connections;
mod dissent;
mod done;
mod external;
mod failures;
mod http;
mod job;
mod kept;
mod leave;
mod lost;
mod masks;
mod merge;
mod metrics;
mod misconfigured;
mod order;
mod present;
mod private;
mod remake;
mod shelf;
mod train;
mod turns;

pub use http::{serve, Settings};
pub use misconfigured::Misconfigured;

use crate::{
    data::too_many_files,
    external::Trainer,
    learn::OptimizerState,
    random,
    site::{Blobs, Home, StudyKey, SETTLE_EVERY},
};
use ahead::Following;
use anyhow::Result;
use consilium_primitives::{
    duty::MAX_ORDERS, BlobRef, Duty, DutyKind, DutyOrder, DutyState, FailureCode, Hash, MaskOrder,
};
use consilium_study::StudySpec;
use dissent::{Again, Doubt, Ground, Look};
use failures::Failures;
use kept::Kept;
use leave::{Leave, Permit};
use masks::Masking;
use metrics::Metrics;
use parking_lot::{Condvar, Mutex};
use present::is_initial;
use shelf::Shelf;
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{mpsc, Arc},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use turns::{Asked, Turns};

/// After so long, a duty that could not be done is tried again, if it is still asked for. For so long, too, a `sites.toml`
/// or a data file that was there and is not counts as one that someone is just replacing.
const RETRY: Duration = Duration::from_secs(10);
/// So often it is looked whether secrets of studies are here that have ended without a word.
const TIDY: Duration = Duration::from_secs(3_600);
/// Most duties whose state is remembered in memory; results are on disk.
const MAX_JOBS: usize = 4 * MAX_ORDERS;
/// Stack of a working thread: the tensor library walks graphs by recursion.
const STACK: usize = 64 << 20;

/// One duty's way.
struct Job {
    duty: Duty,
    state: DutyState,
    /// Inputs of a merge that are there and verified, and that are not what they must be: bits by position.
    have: u64,
    invalid: u64,
    /// Whether a merge's inputs have been looked at: before that, nothing can be said of them.
    scanned: bool,
    /// Since when the data file cannot be read.
    unreadable: Option<Instant>,
    /// Inputs that were there when it was last looked at.
    seen: u32,
    working: bool,
    changed: Instant,
    asked: Asked,
}

type Jobs = HashMap<Hash, Job>;
/// A merge's order, and what it needs beyond that where it is of masked files.
type AskedMerge = (DutyOrder, Option<Arc<MaskOrder>>);

/// What a duty's work is known by here: its hash, and the statistics that its rows are scaled by. What was made under other
/// statistics answers nothing.
fn key(order: &DutyOrder) -> Hash {
    result_key(order.duty.kind, order.duty.hash(), order.statistics.as_ref())
}

/// The same of a duty of this kind and hash.
fn result_key(kind: DutyKind, hash: Hash, statistics: Option<&BlobRef>) -> Hash {
    match (kind, statistics) {
        (DutyKind::Train | DutyKind::Evaluate, Some(statistics)) => {
            random::key("consilium/result/1", &[&hash.0, &statistics.root.0]).into()
        }
        _ => hash,
    }
}

/// Has whoever waits for a change ask anew.
fn tell(changes: &watch::Sender<u64>) {
    changes.send_modify(|count| *count = count.wrapping_add(1));
}

/// A worker.
pub struct Worker {
    home: Home,
    blobs: Blobs,
    secret: [u8; 32],
    leave: Mutex<Leave>,
    specs: Mutex<HashMap<Hash, Arc<StudySpec>>>,
    jobs: Mutex<Jobs>,
    finished: Condvar,
    /// Rows that are kept.
    kept: Mutex<Shelf<Kept>>,
    /// What the optimiser remembers after the last training: of which study, in which file it is, too.
    state: Mutex<Option<(StudyKey, String, OptimizerState)>>,
    /// Trainers that studies bring.
    trainers: Mutex<HashMap<StudyKey, Arc<Trainer>>>,
    /// Files that studies name and that are not here, of which people were told.
    told: Mutex<HashSet<Hash>>,
    /// Held while pictures are read.
    pictures: Mutex<()>,
    /// Agreements whose split is lost, of which people were told.
    lost: Mutex<HashSet<Hash>>,
    /// Studies whose folder of an earlier version was looked for.
    adopted: Mutex<HashSet<StudyKey>>,
    /// Updates, with the duties that they answer, that were looked through and found sound.
    sound: Mutex<HashSet<(Hash, Hash)>>,
    /// What is to be computed once more.
    doubts: Mutex<HashMap<Doubt, Look>>,
    /// The last merge that was asked for in each study.
    asked: Mutex<HashMap<StudyKey, AskedMerge>>,
    again: mpsc::Sender<Again>,
    quick: mpsc::Sender<DutyOrder>,
    turns: Turns,
    /// What could not be done, for people.
    failures: Failures,
    /// How often something was finished.
    changes: watch::Sender<u64>,
    metrics: Metrics,
    /// What follows merges that are not attested yet.
    following: Following,
    /// What is known of masked sums.
    masking: Masking,
}

impl Worker {
    /// A worker on these folders, with its threads.
    ///
    /// # Errors
    /// A folder or `sites.toml` that cannot be used.
    pub fn start(home: Home, blobs: Blobs, sites_file: PathBuf) -> Result<Arc<Self>> {
        let leave = Mutex::new(Leave::read(sites_file)?);
        home.clean(&blobs)?;
        let secret = home.secret()?;
        let (quick, quick_jobs) = mpsc::channel::<DutyOrder>();
        let (again, doubted) = mpsc::channel::<Again>();
        let worker = Arc::new(Self {
            home,
            blobs,
            secret,
            leave,
            specs: Mutex::default(),
            jobs: Mutex::default(),
            finished: Condvar::new(),
            kept: Mutex::new(Shelf::new(kept::most())),
            state: Mutex::default(),
            trainers: Mutex::default(),
            told: Mutex::default(),
            pictures: Mutex::default(),
            lost: Mutex::default(),
            adopted: Mutex::default(),
            sound: Mutex::default(),
            doubts: Mutex::default(),
            asked: Mutex::default(),
            again,
            quick,
            turns: Turns::default(),
            failures: Failures::default(),
            changes: watch::Sender::default(),
            metrics: Metrics::new()?,
            following: Following::default(),
            masking: Masking::default(),
        });
        let thread = |name: &str| std::thread::Builder::new().name(name.into()).stack_size(STACK);
        let (looking, merging, training) = (worker.clone(), worker.clone(), worker.clone());
        thread("looking again").spawn(move || doubted.into_iter().for_each(|again| looking.look_again(again)))?;
        thread("merging").spawn(move || quick_jobs.into_iter().for_each(|order| merging.count(&order)))?;
        thread("training").spawn(move || training.take_turns())?;
        let (home, blobs, alive) = (worker.home.clone(), worker.blobs.clone(), Arc::downgrade(&worker));
        thread("settling").spawn(move || {
            // not at the start: a machine that was off for long is asked first
            let mut tidied = Instant::now();
            while alive.strong_count() > 0 {
                std::thread::sleep(SETTLE_EVERY);
                if let Err(error) = home.settle(&blobs) {
                    tracing::error!("a file cannot be brought to the disk: {error}");
                }
                if tidied.elapsed() >= TIDY {
                    tidied = Instant::now();
                    masks::tidy(&home);
                }
            }
        })?;
        Ok(worker)
    }

    fn state_of(&self, order: &DutyOrder) -> DutyState {
        // on hold, a site gives nothing away: not even what it has already done
        if self.home.held() {
            return DutyState::Held;
        }
        if let Some(problem) = order::contradiction(order) {
            tracing::error!("study {}, round {}: {problem}; refused", order.duty.study, order.duty.round);
            return DutyState::Failed(FailureCode::Refused);
        }
        let key = key(order);
        let internal = |error: anyhow::Error| {
            tracing::error!("{error:#}");
            let io = error.chain().filter_map(|e| e.downcast_ref::<std::io::Error>());
            if io.into_iter().any(too_many_files) {
                // says nothing of the duty, and would bind
                DutyState::Queued
            } else {
                DutyState::Failed(FailureCode::Internal)
            }
        };
        match self.ground(order) {
            Ok(Ground::Firm) => {}
            Ok(Ground::Doubted) => return DutyState::Queued,
            // also what it has done before it knew
            Ok(Ground::Rejected) => return DutyState::Failed(FailureCode::Refused),
            Err(error) => {
                tracing::error!("{error:#}");
                return DutyState::Queued;
            }
        }
        self.drop_void(&order.duty);
        match self.done(order, &key) {
            Ok(Some(output)) => return DutyState::Done(output),
            Ok(None) => {}
            Err(error) => return internal(error),
        }
        let agreement = &order.duty.agreement;
        match self.leave.lock().of(agreement, order.duty.round) {
            Permit::Given(_) => {}
            Permit::Wait => return DutyState::Queued,
            Permit::Refused => return DutyState::Failed(FailureCode::Refused),
        }
        if self.spec(&order.spec).is_none() {
            return DutyState::NeedSpec;
        }
        match self.home.same_spec(agreement, &order.spec) {
            Ok(true) => {}
            Ok(false) => {
                tracing::error!(
                    "agreement {}: this duty names another spec than the one this study began with; refused",
                    hex::encode(agreement)
                );
                return DutyState::Failed(FailureCode::Refused);
            }
            Err(error) => return internal(error),
        }
        if let Some(why) = self.unmasked(order).or_else(|| self.unpromised(order)) {
            if self.masking.tells(&order.duty.hash()) {
                tracing::error!("study {}, round {}: {why}; refused", order.duty.study, order.duty.round);
            }
            return DutyState::Failed(FailureCode::Refused);
        }
        match self.split_known(order) {
            Ok(true) => {}
            Ok(false) => return DutyState::Failed(FailureCode::Refused),
            Err(error) => return internal(error),
        }
        if order.duty.kind == DutyKind::Present {
            return DutyState::Done(self.present(order));
        }
        if masks::at_once(order.duty.kind) {
            return self.pairing_duty(order);
        }
        self.remember(order);
        if let Some(lost) = self.lost_update(order) {
            self.state_of(&lost);
        }
        let there = |blob: &Option<BlobRef>| blob.as_ref().is_none_or(|b| self.blobs.has(b));
        let merge = matches!(order.duty.kind, DutyKind::Merge | DutyKind::MergeStatistics | DutyKind::Gather);
        let base = there(&order.base) || is_initial(order);
        let ready = base
            && match order.duty.kind {
                DutyKind::Train => there(&order.statistics),
                DutyKind::Mask => match self.may_be_masked(order) {
                    Ok(there) => there,
                    Err(error) => return internal(error),
                },
                _ => true,
            };
        let seen = order.inputs.iter().filter(|input| self.blobs.has(&input.blob)).count() as u32;
        let mut jobs = self.jobs.lock();
        if jobs.len() >= MAX_JOBS {
            jobs.retain(|_, job| job.working || job.changed.elapsed() < RETRY);
        }
        let job = jobs.entry(key).or_insert_with(|| Job {
            duty: order.duty,
            state: DutyState::Queued,
            have: 0,
            invalid: 0,
            scanned: false,
            unreadable: None,
            seen: 0,
            working: false,
            changed: Instant::now(),
            asked: Asked::now(),
        });
        let inputs = |job: &Job| DutyState::Inputs { have: job.have, invalid: job.invalid };
        if job.working {
            return if merge && job.scanned { inputs(job) } else { job.state };
        }
        if matches!(job.state, DutyState::Failed(_)) {
            if job.changed.elapsed() < RETRY {
                return job.state;
            }
            job.state = DutyState::Queued;
            job.seen = 0;
        }
        let start = ready && (!merge || seen > job.seen && !order.inputs.is_empty());
        if start {
            job.working = true;
            job.seen = seen;
            job.state = DutyState::Queued;
            if matches!(order.duty.kind, DutyKind::Train | DutyKind::Statistics) {
                self.turns.push(order.clone());
            } else if self.quick.send(order.clone()).is_err() {
                job.working = false;
                job.state = DutyState::Failed(FailureCode::Internal);
                tracing::error!("a working thread has died; restart this worker");
            }
        }
        // where no input is there, there is nothing to look at
        if merge && (job.scanned || !start) {
            inputs(job)
        } else {
            job.state
        }
    }

    fn spec(&self, hash: &Hash) -> Option<Arc<StudySpec>> {
        if let Some(spec) = self.specs.lock().get(hash) {
            return Some(spec.clone());
        }
        let spec = Arc::new(StudySpec::from_canonical(&self.home.spec(hash)?).ok()?);
        self.specs.lock().insert(*hash, spec.clone());
        Some(spec)
    }

    fn change(&self, key: &Hash, change: impl FnOnce(&mut Job)) {
        let mut ended = false;
        if let Some(job) = self.jobs.lock().get_mut(key) {
            let worked = job.working;
            change(job);
            job.changed = Instant::now();
            ended = worked && !job.working;
        }
        self.finished.notify_all();
        if ended {
            tell(&self.changes);
        }
    }

    /// How often something was finished here, for whoever waits for more.
    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
