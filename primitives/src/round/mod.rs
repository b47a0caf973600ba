//! The merge round: one pure, total function from a study and an input to the next study and its effects.
//!
//! The pallet is a thin shell around [`Study::step`]; tests and simulation are others. Everything waits with a deadline
//! in blocks ([`Study::deadline`]); nothing reads a clock. A refused input changes nothing.
//!
//! ```text
//! Enrolling → (Statistics → Merging →) Init → Training r → Merging(r, a) ─ close → Training r+1 …
//!                                                ↑              │ attempts          └→ FinalEvaluation → Certifying → Completed
//!                                                └── Paused ←───┘
//! ```
//!
//! Clarifications of the design:
//! * A benched member is called back early where the round could not reach its minimum without it.
//! * A pause goes back to the state that it interrupted, with the commitments that still fit. Votes name how often the
//!   study was taken up again, so that none cast before a pause counts after it.
//! * A pause for want of voices ends by itself, at most once an hour (`pause`): sites say that they are there, and as many as
//!   the round needs take it up. Where too few of them hold the model that it stands on, it goes on from an older one.
//! * A withdrawal before the freeze takes a commitment back, and the time of the freeze with it where too few are left.
//! * An input is dropped as withheld only where enough others also say that they lack it: who has not voted lacks nothing.
//!   That inputs can be had is shown by `j` voters that hold together as many as make a round or, where no more than `h`
//!   are withheld, all others. Were it always all others, one input served late would cover another one that nobody
//!   has; and where no site had any but its own, all would be dropped.
//! * While as many authors say that the freeze is not final where they are as would make an input invalid, the clock of an
//!   attempt stands: nobody serves an update before its freeze is final, so that nobody can be blamed for what is missing. It
//!   goes by voices, never by how deep a block is. When too few say so any more, the window begins anew, and what was
//!   reported missing is forgotten. It stands at most as long as a pause.
//! * Who is asked for a round that was paused has a part in it from then on.
//! * Who enrols while a round runs has no part in its end: neither in stop rules nor in the last evaluation, nor in the
//!   certificate.
//! * The best round so far is kept, and only the newest one is compared with it: nothing else can become canonical, so that
//!   the files of the others may go. The last comparison waits for the next block, since the report that ends the evaluation
//!   counts, and is stored after its own step.
//! * Who has merged may say at once what it answers to the duty that follows ([`VoteBody::Ahead`](crate::VoteBody::Ahead)): its
//!   update of the next round or, after the last one, its loss. It counts where this merge is attested, as if it had come then;
//!   with that of all that are waited for, the next list freezes in the block in which the merge closes.
//! * A site of which nothing comes is waited for until the grace is over, in two rounds; the five rounds after the second one do
//!   not wait for it (`silence`), where the others are enough. Nothing is taken from it: it is asked, and what it commits before
//!   the list freezes counts.
//! * Where a merge closes without all its authors, they may still attest it until the next one closes.
//! * Where files are masked ([`StudyRules::masked`]), training has a pairing beside it (`pairing`), and merging is three states:
//!   gathering (`gather`), revealing (`reveal`) and summing (`sum`). Pauses before the set is fixed go back to a new pairing, those
//!   after it to the same set; a sum that cannot be used is followed by a new round on the same base. The loss of all sites together
//!   takes the place of each one's (`pooled`).
//! * Where privacy is promised ([`StudyRules::privacy`]), an update is taken only where its author's budget has room for what it costs
//!   (`private`). It is charged when it is committed, once for each round on one model, and never given back. No loss of a site is
//!   taken, and nothing that was trained ahead.

mod ahead;
mod ballots;
mod collect;
mod duties;
mod early;
mod effects;
mod finish;
mod gather;
mod listing;
mod masked;
mod members;
mod merge;
mod pairing;
mod pause;
mod phase;
mod pooled;
mod private;
mod record;
mod restate;
mod reveal;
mod silence;
mod state;
mod sum;
#[cfg(test)]
mod tests;
mod written;

pub use duties::OpenDuty;
pub use early::Early;
pub use effects::Effect;
pub use finish::{best_round, voting_weights};
pub use merge::inputs_root;
pub use pause::{MAX_TRIES, TAKE_UP_BLOCKS};
pub use state::*;

use crate::{
    ids::{Hash, InstitutionId, StudyId},
    rules::{Privacy, RulesError, StudyRules, Windows},
    time::SLOT_MILLIS,
    vote::Vote,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// What the machine must know of its surroundings, and does not keep itself.
pub trait Surroundings {
    /// Genesis hash of the chain.
    fn genesis(&self) -> Hash;
    /// Number of the study.
    fn study(&self) -> StudyId;
    /// Hash of the agreement.
    fn agreement(&self) -> Hash;
    /// The present block.
    fn now(&self) -> u32;
    /// Losses reported for the merge of `round`, at most one per institution.
    fn losses(&self, round: u32) -> Vec<(InstitutionId, u32)>;
    /// Attested root of `round`.
    fn root(&self, round: u32) -> Option<Hash>;
    /// What a dealer has said, in its deal, of one of the shares that it has made. Only whoever takes postings needs it.
    fn commitment(&self, _share: &ShareId) -> Option<Hash> {
        None
    }
    /// Whether what one more training costs fits what this institution's data set may cost. A training is known by its round and the
    /// model that it stands on. Only whoever keeps budgets needs it, and it is asked of studies with privacy alone.
    fn affords(&self, _who: &InstitutionId, _privacy: &Privacy, _training: (u32, Hash)) -> bool {
        true
    }
    /// BLAKE2b-256 of some bytes.
    fn blake2(&self, bytes: &[u8]) -> Hash {
        Hash::from(sp_crypto_hashing::blake2_256(bytes))
    }
}

/// A share, by where its commitment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareId {
    /// Round of the pairing.
    pub round: u32,
    /// Number of the pairing.
    pub pairing: u32,
    /// Who made it.
    pub dealer: InstitutionId,
    /// Place in the key list of whom it is for.
    pub place: u32,
    /// 0: of the dealer's seed; 1: of its pair secret.
    pub which: u8,
}

/// What can happen to a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A block begins.
    Tick,
    /// An institution enrols with this sample count.
    Enrol {
        /// Who.
        who: InstitutionId,
        /// Sample count, from 1, below 2^29.
        samples: u32,
    },
    /// A member withdraws, or was suspended or removed.
    Withdraw {
        /// Who.
        who: InstitutionId,
    },
    /// The proposer starts it.
    Start {
        /// Who asks.
        who: InstitutionId,
    },
    /// Somebody wants a paused study to go on.
    Resume {
        /// Who asks.
        who: InstitutionId,
    },
    /// Somebody wants it to end.
    Abort {
        /// Who asks.
        who: InstitutionId,
    },
    /// A participant answers a duty.
    Vote(Vote),
    /// A participant answers a duty with bytes of its own.
    Post {
        /// Its vote, which says that they come.
        vote: Vote,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Somebody wants to give a masked sum up, for which the study waits.
    Abandon {
        /// Who asks.
        who: InstitutionId,
    },
}

/// Why an input was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum Refusal {
    /// Not now: the study is in another state.
    WrongPhase,
    /// The rules name who is invited, and this institution is not among them.
    NotInvited,
    /// Enrolled already.
    AlreadyEnrolled,
    /// The study is full.
    Full,
    /// The sample count is 0, not below 2^29, or not the one signed before.
    BadSampleCount,
    /// The declared weights have no entry for this institution.
    NoDeclaredWeight,
    /// Not an active member of this study.
    NotAMember,
    /// Only the proposer may.
    NotTheProposer,
    /// Too few have enrolled.
    TooFewEnrolled,
    /// The vote answers another study, round, attempt or duty than the one that is open.
    NoSuchDuty,
    /// Answered already, and the first answer binds.
    AlreadyAnswered,
    /// The answer does not belong to this kind of duty.
    WrongAnswer,
    /// The file's length is not the agreed one.
    WrongLength,
    /// Before the fetch window has passed, missing inputs are not reported.
    TooEarly,
    /// Bits for inputs that do not exist, or the same input both held and invalid.
    BadMask,
    /// Not the canonical model, or not the inputs that are to be held.
    WrongRoot,
    /// The bytes that come with a vote are not those that it names, or of another length than they must have.
    WrongPosting,
    /// A share is not what its dealer has committed to.
    WrongShare,
    /// What the round costs its author's data set would pass that data set's limit.
    OverBudget,
}

type Step = Result<Vec<Effect>, Refusal>;

impl Study {
    /// A new study, open for enrolment.
    ///
    /// # Errors
    /// What is wrong with the rules.
    pub fn new(proposer: InstitutionId, rules: StudyRules, validators: u32, now: u32) -> Result<Self, RulesError> {
        rules.check()?;
        let until = now.saturating_add(rules.enrolment_blocks);
        let slot_millis = u32::try_from(SLOT_MILLIS).unwrap_or(u32::MAX);
        Ok(Self {
            proposer,
            rules,
            validators,
            members: Default::default(),
            round: 0,
            base: Hash::zero(),
            statistics: None,
            best: None,
            ended_at: None,
            opened_at: now,
            resumed: 0,
            phase: Phase::Enrolling { until },
            slot_millis,
            base_round: 0,
            taken_up: None,
            tries: 0,
            presence: Presence::default(),
            ahead: PerMember::new(),
            last: None,
            missed: PerMember::new(),
            unawaited: 0,
            masking: Masking::default(),
        })
    }

    /// Its windows, in blocks as they are now.
    pub fn windows(&self) -> Windows {
        self.rules.windows(self.validators, self.slot_millis)
    }

    /// One step. On refusal the study is as before.
    ///
    /// # Errors
    /// Why the input was refused.
    pub fn step(&mut self, around: &dyn Surroundings, event: Event) -> Step {
        let effects = self.handle(around, event)?;
        if self.ended() && self.ended_at.is_none() {
            self.ended_at = Some(around.now());
        }
        Ok(effects)
    }

    fn handle(&mut self, around: &dyn Surroundings, event: Event) -> Step {
        match event {
            Event::Tick => Ok(self.tick(around)),
            Event::Enrol { who, samples } => self.enrol(who, samples),
            Event::Withdraw { who } => self.withdraw(around, who),
            Event::Start { who } => self.start(around, who),
            Event::Resume { who } => self.resume(around, who),
            Event::Abort { who } => self.abort(around, who),
            Event::Vote(vote) => self.vote(around, vote),
            Event::Post { vote, bytes } => self.post(around, vote, bytes),
            Event::Abandon { who } => self.abandon(around, who),
        }
    }

    /// The block in which this study wants its next [`Event::Tick`]; none once it has ended.
    pub fn deadline(&self) -> Option<u32> {
        match &self.phase {
            Phase::Enrolling { until } | Phase::Init { until, .. } | Phase::FinalEvaluation { until, .. } => {
                Some(*until)
            }
            Phase::Collecting(c) => Some(self.pairing_until().unwrap_or(c.freeze_at.unwrap_or(c.limit))),
            Phase::Merging(m) | Phase::Gathering(m) => Some(m.until),
            Phase::Revealing(r) => Some(r.until),
            Phase::Summing(s) => Some(s.until),
            Phase::Certifying(c) => Some(c.until),
            Phase::Paused(p) => Some(self.presence.settles.map_or(p.until, |at| at.min(p.until))),
            Phase::Completed(_) | Phase::Aborted { .. } => None,
        }
    }

    /// Whether it has ended.
    pub fn ended(&self) -> bool {
        matches!(self.phase, Phase::Completed(_) | Phase::Aborted { .. })
    }

    fn tick(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        if self.deadline().is_none_or(|at| around.now() < at) {
            return Vec::new();
        }
        match &self.phase {
            Phase::Enrolling { .. } => {
                if self.rules.auto_start && self.enough_enrolled() {
                    self.begin(around)
                } else {
                    self.end(AbortReason::TooFewEnrolled)
                }
            }
            Phase::Collecting(_) if self.pairing_until().is_some() => self.pairing_deadline(around),
            Phase::Collecting(_) => self.collecting_deadline(around),
            Phase::Init { .. } => self.settle_init(around),
            Phase::Merging(_) | Phase::Gathering(_) => self.merge_deadline(around),
            Phase::Revealing(_) => self.reveal_deadline(around),
            Phase::Summing(_) => self.sum_deadline(around),
            Phase::FinalEvaluation { .. } => self.choose(around),
            Phase::Certifying(_) => self.certify_deadline(around),
            Phase::Paused(_) => self.pause_deadline(around),
            Phase::Completed(_) | Phase::Aborted { .. } => Vec::new(),
        }
    }

    fn start(&mut self, around: &dyn Surroundings, who: InstitutionId) -> Step {
        if !matches!(self.phase, Phase::Enrolling { .. }) {
            return Err(Refusal::WrongPhase);
        }
        if who != self.proposer {
            return Err(Refusal::NotTheProposer);
        }
        if !self.enough_enrolled() {
            return Err(Refusal::TooFewEnrolled);
        }
        Ok(self.begin(around))
    }

    fn begin(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        if self.rules.statistics_len > 0 {
            self.open_collecting(around, Kind::Statistics, Vec::new(), 0)
        } else {
            self.open_init(around)
        }
    }

    fn end(&mut self, reason: AbortReason) -> Vec<Effect> {
        self.unawaited = 0;
        self.phase = Phase::Aborted { reason };
        alloc::vec![Effect::Aborted { reason }]
    }
}
