//! What became of this institution's votes: given to the pool, given to it again, in a block, or lost.
//!
//! A vote is lost where what it answers is asked for no more and no block has it, or where no block has it a while after it was last
//! sent. That of the last merge of a round is often closed over by the others: enough agree without it.

use super::{
    figure::{seconds, told},
    rounds::{Ended, Over},
};
use codec::{Decode, Encode};
use consilium_primitives::{DutyKind, InstitutionId, Vote};
use consilium_runtime::{opaque::Block, RuntimeCall, UncheckedExtrinsic};
use parking_lot::Mutex;
use sc_transaction_pool_api::{error::Error, error::IntoPoolError, LocalTransactionPool};
use sp_core::H256;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use substrate_prometheus_endpoint::{CounterVec, Histogram, Opts, PrometheusError, Registry, U64};

/// A pool keeps a vote for 64 s; one that no block has for so long after it was last sent does not come any more.
const LOST_AFTER: Duration = Duration::from_secs(75);
/// Votes that are waited for; more are of no node that is well.
const MOST: usize = 4096;

/// The vote in a transaction, if there is one.
pub fn vote_in(extrinsic: &sp_runtime::OpaqueExtrinsic) -> Option<Vote> {
    match UncheckedExtrinsic::decode(&mut &extrinsic.encode()[..]).ok()?.function {
        RuntimeCall::SwarmLearning(pallet_swarm_learning::Call::vote { vote, .. }) => Some(vote),
        _ => None,
    }
}

/// A kind of duty as a label.
fn name(kind: DutyKind) -> String {
    serde_json::json!(kind).as_str().unwrap_or_default().to_owned()
}

/// Why a vote is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// What it answers is asked for no more.
    Closed,
    /// No block has it, long after it was last sent.
    Expired,
}

#[derive(Default)]
struct Waiting {
    /// By the vote's bytes: when it was first and last sent.
    votes: BTreeMap<Vec<u8>, (Vote, Instant, Instant)>,
    /// For whom this node votes.
    own: BTreeSet<InstitutionId>,
}

/// Figures of votes. Copies are of one and the same.
#[derive(Clone)]
pub struct Votes {
    sent: CounterVec<U64>,
    again: CounterVec<U64>,
    refused: CounterVec<U64>,
    included: CounterVec<U64>,
    lost: CounterVec<U64>,
    wait: Histogram,
    waiting: Arc<Mutex<Waiting>>,
}

impl Votes {
    /// Nothing sent yet.
    ///
    /// # Errors
    /// One of these names exists already.
    pub fn new(registry: Option<&Registry>) -> Result<Self, PrometheusError> {
        let counter =
            |name: &str, help: &str, labels: &[&str]| told(CounterVec::new(Opts::new(name, help), labels)?, registry);
        let votes = Self {
            sent: counter("consilium_votes_sent_total", "Votes given to the pool, each once", &["kind"])?,
            again: counter("consilium_votes_sent_again_total", "Votes given to the pool once more", &["kind"])?,
            refused: counter("consilium_votes_refused_total", "Votes that the pool did not take", &["kind"])?,
            included: counter("consilium_votes_included_total", "Votes that a block of the best chain has", &["kind"])?,
            lost: counter(
                "consilium_votes_lost_total",
                "Votes that no block has: closed, what they answer was closed without them; expired, they waited too long",
                &["kind", "why"],
            )?,
            wait: told(
                Histogram::with_opts(seconds(
                    "consilium_vote_wait_seconds",
                    "Seconds from sending a vote to the import of the block that has it",
                )?)?,
                registry,
            )?,
            waiting: Arc::default(),
        };
        // what is looked at for a rise must begin at nought
        for kind in [DutyKind::Train, DutyKind::Merge] {
            let kind = name(kind);
            for counter in [&votes.sent, &votes.again, &votes.refused, &votes.included] {
                counter.with_label_values(&[&kind]);
            }
            for why in ["closed", "expired"] {
                votes.lost.with_label_values(&[&kind, why]);
            }
        }
        Ok(votes)
    }

    /// This pool; what votes are given to it is counted.
    pub fn counted<P: LocalTransactionPool<Block = Block>>(&self, pool: P) -> Counted<P> {
        Counted { pool, votes: self.clone() }
    }

    /// A vote was given to the pool, which took it or has it already.
    fn sent(&self, vote: &Vote, now: Instant) {
        let kind = name(vote.kind);
        let mut waiting = self.waiting.lock();
        waiting.own.insert(vote.institution);
        if let Some((.., last)) = waiting.votes.get_mut(&vote.encode()) {
            *last = now;
            self.again.with_label_values(&[&kind]).inc();
        } else if waiting.votes.len() < MOST {
            waiting.votes.insert(vote.encode(), (*vote, now, now));
            self.sent.with_label_values(&[&kind]).inc();
        }
    }

    /// A block of the best chain has a vote.
    pub fn in_block(&self, vote: &Vote, now: Instant) {
        let Some((_, first, _)) = self.waiting.lock().votes.remove(&vote.encode()) else { return };
        self.included.with_label_values(&[&name(vote.kind)]).inc();
        self.wait.observe(now.saturating_duration_since(first).as_secs_f64());
    }

    /// The block that had a vote is of the best chain no more: the vote waits again.
    pub fn retracted(&self, vote: &Vote, now: Instant) {
        let mut waiting = self.waiting.lock();
        if waiting.own.contains(&vote.institution) && waiting.votes.len() < MOST {
            waiting.votes.entry(vote.encode()).or_insert((*vote, now, now));
        }
    }

    /// It is final that something is asked for no more.
    pub fn over(&self, over: &Over) {
        self.give_up(Why::Closed, |vote, _| vote.study == over.study && is_over(vote, over.what));
    }

    /// Gives up what no block has long after it was last sent.
    pub fn expire(&self, now: Instant) {
        self.give_up(Why::Expired, |_, last| now.saturating_duration_since(*last) > LOST_AFTER);
    }

    fn give_up(&self, why: Why, lost: impl Fn(&Vote, &Instant) -> bool) {
        let why = match why {
            Why::Closed => "closed",
            Why::Expired => "expired",
        };
        self.waiting.lock().votes.retain(|_, (vote, _, last)| {
            let gone = lost(vote, last);
            if gone {
                self.lost.with_label_values(&[&name(vote.kind), why]).inc();
            }
            !gone
        });
    }
}

/// Whether a vote answers what is over. A merge is one only once another round has closed, too: until then it may be noted as late.
fn is_over(vote: &Vote, what: Ended) -> bool {
    use DutyKind::{
        Acknowledge, Deal, Evaluate, Gather, Init, Keys, Mask, Merge, MergeStatistics, Present, Reveal, Statistics,
        Train,
    };
    match what {
        Ended::Collecting { round, attempt } => match vote.kind {
            Statistics => round == 0,
            Train => round >= 1 && vote.round <= round,
            Keys | Deal | Mask => vote.round <= round,
            Gather => vote.round == round && vote.attempt < attempt,
            MergeStatistics => round == 0 && vote.attempt < attempt,
            Merge => vote.round == round && vote.attempt < attempt,
            _ => false,
        },
        Ended::Init => matches!(vote.kind, Init | MergeStatistics),
        Ended::RoundsBefore(round) => matches!(vote.kind, Merge | Gather | Reveal) && vote.round < round,
        Ended::Evaluation => matches!(vote.kind, Merge | Evaluate),
        Ended::Pause => vote.kind == Present,
        Ended::Work => !matches!(vote.kind, Present | Acknowledge),
        Ended::All => true,
    }
}

/// A pool that counts the votes that are given to it.
pub struct Counted<P> {
    pool: P,
    votes: Votes,
}

impl<P: LocalTransactionPool<Block = Block>> LocalTransactionPool for Counted<P> {
    type Block = Block;
    type Hash = P::Hash;
    type Error = P::Error;

    fn submit_local(&self, at: H256, extrinsic: sp_runtime::OpaqueExtrinsic) -> Result<P::Hash, P::Error> {
        let vote = vote_in(&extrinsic);
        let given = self.pool.submit_local(at, extrinsic);
        let Some(vote) = vote else { return given };
        let error = match given {
            Ok(hash) => {
                self.votes.sent(&vote, Instant::now());
                return Ok(hash);
            }
            Err(error) => error,
        };
        match error.into_pool_error() {
            // that of an earlier time waits there
            Ok(error @ (Error::AlreadyImported(_) | Error::TooLowPriority { .. })) => {
                self.votes.sent(&vote, Instant::now());
                Err(error.into())
            }
            other => {
                self.votes.refused.with_label_values(&[&name(vote.kind)]).inc();
                Err(other.map_or_else(|error| error, Into::into))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_primitives::{Hash, StudyId, VoteBody};

    fn vote(study: StudyId, round: u32, attempt: u32, kind: DutyKind) -> Vote {
        let (institution, duty) = (InstitutionId([1; 32]), Hash::repeat_byte(round as u8));
        Vote { study, round, attempt, resumed: 0, kind, institution, duty, body: VoteBody::Root(duty) }
    }

    fn lost(votes: &Votes, kind: &str) -> (u64, u64) {
        let of = |why| votes.lost.with_label_values(&[kind, why]).get();
        (of("closed"), of("expired"))
    }

    #[test]
    fn a_vote_is_counted_once_however_often_it_is_sent_and_seen() {
        let votes = Votes::new(None).expect("figures");
        let (one, now) = (vote(0, 3, 1, DutyKind::Merge), Instant::now());
        votes.sent(&one, now);
        votes.sent(&one, now + Duration::from_secs(1));
        let of = |counter: &CounterVec<U64>| counter.with_label_values(&["merge"]).get();
        assert_eq!((of(&votes.sent), of(&votes.again), of(&votes.included)), (1, 1, 0));
        votes.in_block(&one, now + Duration::from_secs(2));
        votes.in_block(&one, now + Duration::from_secs(3));
        assert_eq!((of(&votes.included), votes.wait.get_sample_count()), (1, 1));
        assert_eq!(votes.wait.get_sample_sum(), 2.0, "from when it was first sent");
        // another institution's says nothing of this node
        votes.in_block(&Vote { institution: InstitutionId([2; 32]), ..one }, now);
        assert_eq!(of(&votes.included), 1);
        // its block is taken back, and it comes again; another's is of no interest
        votes.retracted(&one, now);
        votes.retracted(&Vote { institution: InstitutionId([2; 32]), ..one }, now);
        assert_eq!(votes.waiting.lock().votes.len(), 1);
        votes.in_block(&one, now);
        assert_eq!((of(&votes.sent), of(&votes.included), lost(&votes, "merge")), (1, 2, (0, 0)));
    }

    #[test]
    fn a_vote_is_lost_when_it_is_asked_for_no_more_or_was_sent_long_ago() {
        let votes = Votes::new(None).expect("figures");
        let now = Instant::now();
        for one in [
            vote(0, 1, 0, DutyKind::Train),
            vote(0, 1, 1, DutyKind::Merge),
            vote(0, 2, 0, DutyKind::Train),
            vote(9, 1, 0, DutyKind::Train),
        ] {
            votes.sent(&one, now);
        }
        votes.over(&Over { study: 0, what: Ended::Collecting { round: 1, attempt: 1 } });
        assert_eq!(lost(&votes, "train"), (1, 0), "that of round 1 of study 0");
        votes.over(&Over { study: 0, what: Ended::RoundsBefore(1) });
        assert_eq!(lost(&votes, "merge"), (0, 0), "its round has closed a moment ago");
        votes.over(&Over { study: 0, what: Ended::RoundsBefore(2) });
        assert_eq!(lost(&votes, "merge"), (1, 0));
        votes.expire(now + LOST_AFTER);
        assert_eq!(lost(&votes, "train"), (1, 0));
        votes.expire(now + LOST_AFTER + Duration::from_millis(1));
        assert_eq!(lost(&votes, "train"), (1, 2));
        assert!(votes.waiting.lock().votes.is_empty());
    }

    #[test]
    fn what_is_over_is_so_for_its_votes_alone() {
        use DutyKind::{Acknowledge, Evaluate, Init, Merge, MergeStatistics, Present, Statistics, Train};
        let all = [Statistics, MergeStatistics, Init, Train, Merge, Evaluate, Acknowledge, Present];
        let over = |what: Ended, round: u32| {
            let is = |kind: &DutyKind| {
                // the first phases are of no round
                let of = if matches!(kind, Statistics | MergeStatistics | Init) { 0 } else { round };
                is_over(&vote(0, of, 1, *kind), what)
            };
            all.into_iter().filter(is).collect::<Vec<_>>()
        };
        assert_eq!(over(Ended::Collecting { round: 0, attempt: 1 }, 1), [Statistics]);
        assert_eq!(over(Ended::Collecting { round: 0, attempt: 2 }, 1), [Statistics, MergeStatistics]);
        assert_eq!(over(Ended::Collecting { round: 4, attempt: 1 }, 4), [Train]);
        assert_eq!(over(Ended::Collecting { round: 4, attempt: 2 }, 4), [Train, Merge]);
        assert!(over(Ended::Collecting { round: 4, attempt: 2 }, 5).is_empty());
        assert_eq!(over(Ended::Init, 1), [MergeStatistics, Init]);
        assert_eq!(over(Ended::RoundsBefore(4), 3), [Merge]);
        assert!(over(Ended::RoundsBefore(4), 4).is_empty());
        assert_eq!(over(Ended::Evaluation, 4), [Merge, Evaluate]);
        assert_eq!(over(Ended::Pause, 4), [Present]);
        assert_eq!(over(Ended::Work, 4), [Statistics, MergeStatistics, Init, Train, Merge, Evaluate]);
        assert_eq!(over(Ended::All, 4), all);
        assert_eq!(all.map(name).map(|name| name.len() > 3), [true; 8], "each has a name");
    }

    /// A pool that takes a vote the first time, has it the second time, and is full then.
    struct Moody(Mutex<u32>);

    impl LocalTransactionPool for Moody {
        type Block = Block;
        type Hash = H256;
        type Error = Error;

        fn submit_local(&self, _: H256, _: sp_runtime::OpaqueExtrinsic) -> Result<H256, Error> {
            let mut times = self.0.lock();
            *times += 1;
            match *times {
                1 => Ok(H256::zero()),
                2 => Err(Error::AlreadyImported(Box::new(()))),
                _ => Err(Error::ImmediatelyDropped),
            }
        }
    }

    #[test]
    fn what_the_offchain_worker_gives_to_the_pool_is_counted_and_nothing_else() {
        let votes = Votes::new(None).expect("figures");
        let pool = votes.counted(Moody(Mutex::default()));
        let (vote, signature) = (vote(2, 5, 0, DutyKind::Train), sp_core::sr25519::Signature::from_raw([0; 64]).into());
        let call = RuntimeCall::SwarmLearning(pallet_swarm_learning::Call::vote { vote, signature });
        let extrinsic = sp_runtime::OpaqueExtrinsic::from(UncheckedExtrinsic::new_bare(call));
        assert_eq!(vote_in(&extrinsic), Some(vote));
        let given: Vec<bool> = (0..3).map(|_| pool.submit_local(H256::zero(), extrinsic.clone()).is_ok()).collect();
        assert_eq!(given, [true, false, false], "it says what the pool says");
        let of = |counter: &CounterVec<U64>| counter.with_label_values(&["train"]).get();
        assert_eq!((of(&votes.sent), of(&votes.again), of(&votes.refused)), (1, 1, 1));
        let remark = RuntimeCall::System(frame_system::Call::remark { remark: vec![1] });
        let other = sp_runtime::OpaqueExtrinsic::from(UncheckedExtrinsic::new_bare(remark));
        assert_eq!(vote_in(&other), None);
        assert!(pool.submit_local(H256::zero(), other).is_err());
        assert_eq!(of(&votes.refused), 1);
    }
}
