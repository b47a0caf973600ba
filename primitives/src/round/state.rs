//! What the machine remembers of one study.

pub use crate::kinds::Kind;

use crate::{
    ids::{Hash, InstitutionId},
    kinds::{Marks, Next},
    rules::{StudyRules, MAX_PARTICIPANTS},
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::{bounded::BoundedVec, ConstU32};

/// A list with at most one entry per participant.
pub type PerMember<T> = BoundedVec<T, ConstU32<MAX_PARTICIPANTS>>;

/// A set of members, one bit each, by position in [`Study::members`].
pub type Mask = u64;

/// The bit of one position; 0 for positions that cannot be.
pub fn bit(index: u8) -> Mask {
    1u64.checked_shl(u32::from(index)).unwrap_or(0)
}

/// One institution in one study. Members are never removed, so that their positions stay.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Member {
    /// Who.
    pub id: InstitutionId,
    /// Sample count, in training rows, signed at enrolment.
    pub samples: u32,
    /// Weight before the cap.
    pub weight: u32,
    /// False once it has withdrawn or was suspended.
    pub active: bool,
    /// The first round that its enrolment counts for: 0 for those that were there at the start.
    pub since: u32,
    /// Round of its last strike.
    pub struck: Option<u32>,
    /// Left out up to and including this round.
    pub benched_until: Option<u32>,
}

/// A study on its way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Study {
    /// Who proposed it.
    pub proposer: InstitutionId,
    /// The agreed numbers.
    pub rules: StudyRules,
    /// `V`: validators when it was registered.
    pub validators: u32,
    /// Who has enrolled, in order of enrolment.
    pub members: PerMember<Member>,
    /// The round it is in; 0 before training.
    pub round: u32,
    /// Root of the last attested model; zero before there is one.
    pub base: Hash,
    /// Root of the merged statistics.
    pub statistics: Option<Hash>,
    /// The best round so far: of those that enough have judged, each compared with the best one before it.
    pub best: Option<u32>,
    /// Block in which it ended.
    pub ended_at: Option<u32>,
    /// Block in which the present round was opened; a pause in it changes nothing.
    pub opened_at: u32,
    /// How often it was taken up again after a pause, or a merge's clock went on after it had stood. Votes name it: what was
    /// cast before and was not taken says nothing after it.
    pub resumed: u32,
    /// Where it stands.
    pub phase: Phase,
    /// How long a slot was when it was registered, in milliseconds: the rules count in these.
    pub slot_millis: u32,
    /// The round whose model `base` is: the last closed one, but where the study fell back to an older one.
    pub base_round: u32,
    /// Block in which a pause last ended by itself.
    pub taken_up: Option<u32>,
    /// How many pauses have ended by themselves since a round last closed, or people last let it go on.
    pub tries: u32,
    /// While it is paused: who has said to be there.
    pub presence: Presence,
    /// While it merges: by position, what members that have attested have answered to the duty that follows.
    pub ahead: PerMember<(u8, Next)>,
    /// The last merge that has closed: those of its authors who have said nothing of it yet may still attest.
    pub last: Option<Closed>,
}

/// What a merge came to, as long as its authors may still attest it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Closed {
    /// Statistics or models.
    pub kind: Kind,
    /// Round.
    pub round: u32,
    /// The attempt that closed it.
    pub attempt: u32,
    /// [`Study::resumed`] then.
    pub resumed: u32,
    /// Hash over inputs, order, weights, rule and base.
    pub inputs_root: Hash,
    /// The attested root.
    pub root: Hash,
    /// What the rule did to the inputs.
    pub marks: Marks,
    /// Authors of its inputs.
    pub authors: Mask,
    /// Those that have attested it, or another one.
    pub said: Mask,
}

/// Where a study stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub enum Phase {
    /// Institutions read the agreement and enrol.
    Enrolling {
        /// Deadline: a block.
        until: u32,
    },
    /// Statistics or updates are collected.
    Collecting(Collecting),
    /// Everyone computes the initial model.
    Init {
        /// Members that were active at its start.
        roster: Mask,
        /// Votes so far: member and root.
        votes: PerMember<(u8, Hash)>,
        /// Deadline: a block.
        until: u32,
    },
    /// A frozen list of inputs is merged.
    Merging(Merging),
    /// The last merge is evaluated.
    FinalEvaluation {
        /// Members of the last round that were active at its end.
        roster: Mask,
        /// Members that have reported.
        reported: Mask,
        /// Deadline: a block.
        until: u32,
    },
    /// Participants say that they hold the canonical model.
    Certifying(Certifying),
    /// Too few sites answer, and it waits for them; or people must decide.
    Paused(Pause),
    /// The certificate stands. Later acknowledgements are added.
    Completed(Certificate),
    /// It ended without one.
    Aborted {
        /// Why.
        reason: AbortReason,
    },
}

/// A committed update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Commitment {
    /// Position of its author.
    pub member: u8,
    /// Duty it answers.
    pub duty: Hash,
    /// BLAKE3 hash of the file.
    pub root: Hash,
    /// Block of the vote.
    pub at: u32,
}

/// Statistics, or Training of a round.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Collecting {
    /// Statistics or models.
    pub kind: Kind,
    /// Members awaited at its start, fixed.
    pub roster: Mask,
    /// Members still awaited.
    pub awaited: Mask,
    /// Commitments so far.
    pub commitments: PerMember<Commitment>,
    /// Block in which it began.
    pub start: u32,
    /// Block in which the list freezes even if not all are in; set by the k-th commitment, once.
    pub freeze_at: Option<u32>,
    /// Block in which it stalls, without enough commitments.
    pub limit: u32,
    /// Whether the limit was extended already.
    pub extended: bool,
}

/// A frozen input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Input {
    /// The commitment.
    pub commitment: Commitment,
    /// Its capped weight.
    pub weight: u32,
}

/// What an attester has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub enum Ballot {
    /// Merged all inputs to this root; what the rule did to them.
    Root(Hash, Marks),
    /// Could not: what it holds, and what it found invalid, by position in the inputs.
    Partial {
        /// Holds.
        have: u64,
        /// Found invalid.
        invalid: u64,
        /// The freeze is not final there: it cannot have got them.
        not_final: bool,
    },
}

/// A merge in its n-th attempt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Merging {
    /// Statistics or models.
    pub kind: Kind,
    /// From 1.
    pub attempt: u32,
    /// How many inputs make the round: as many as a freeze needs or, where it was shrunk, the agreed minimum.
    pub needs: u32,
    /// Frozen inputs, in canonical order (by institution id).
    pub inputs: PerMember<Input>,
    /// Hash over inputs, order, weights, rule and base.
    pub inputs_root: Hash,
    /// One entry per input: what its author has said.
    pub ballots: PerMember<Option<Ballot>>,
    /// Block of the freeze.
    pub frozen_at: u32,
    /// Window of this attempt, in blocks.
    pub window: u32,
    /// Block in which the window began: that of the freeze, or in which its clock went on after it had stood.
    pub began: u32,
    /// Whether the clock stands, because the freeze is not final for so many that an input would be invalid by as many.
    pub stands: bool,
    /// Block in which it first stood in this attempt.
    pub stood: Option<u32>,
    /// Deadline, a block: the end of the window; while the clock stands, that of the longest pause since it first stood.
    pub until: u32,
    /// Inputs dropped in earlier attempts.
    pub dropped: PerMember<(u8, DropReason)>,
}

/// Participants say that they hold the canonical model.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Certifying {
    /// Members of the last round that were active at its start.
    pub roster: Mask,
    /// Round whose merge is canonical.
    pub round: u32,
    /// Its root.
    pub root: Hash,
    /// Members that hold it.
    pub held: Mask,
    /// Deadline: a block.
    pub until: u32,
    /// Whether the deadline was extended already.
    pub extended: bool,
}

/// What a completed study says: these bytes came out of the agreed rounds, and these members hold them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Certificate {
    /// Round whose merge is canonical.
    pub round: u32,
    /// Its root.
    pub root: Hash,
    /// Members that were asked.
    pub roster: Mask,
    /// Members that hold it.
    pub held: Mask,
}

/// A pause, and what it goes back to.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Pause {
    /// Why.
    pub reason: PauseReason,
    /// Block in which it becomes an end.
    pub until: u32,
    /// Members that may vote on it.
    pub roster: Mask,
    /// Members for going on.
    pub resume: Mask,
    /// Members for ending it.
    pub abort: Mask,
    /// Where it goes on.
    pub back: Back,
}

/// Who has said to be there since a study was paused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Presence {
    /// Members that have said that they are there, and which merged models they hold: bits of
    /// [`VoteBody::Present`](crate::VoteBody::Present).
    pub voices: PerMember<(u8, u16)>,
    /// Where enough are there and too few hold the model that it stands on: the block until which these have time to fetch it.
    pub settles: Option<u32>,
}

/// Where a paused study goes on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub enum Back {
    /// Collecting again, with the commitments there are.
    Collecting {
        /// Statistics or models.
        kind: Kind,
        /// Commitments that stay valid.
        commitments: PerMember<Commitment>,
        /// Members whose inputs were dropped in this round. They are not asked again where the others are enough.
        dropped: Mask,
    },
    /// Init again.
    Init,
    /// Certifying again.
    Certifying {
        /// Members that are asked.
        roster: Mask,
        /// Round whose merge is canonical.
        round: u32,
        /// Its root.
        root: Hash,
        /// Members that hold it.
        held: Mask,
    },
}

/// Why a study is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub enum PauseReason {
    /// Fewer commitments than a freeze needs.
    TooFewUpdates,
    /// Fewer active members than a freeze needs.
    TooFewMembers,
    /// Without the dropped inputs, fewer than a freeze needs.
    TooFewInputs,
    /// No root found enough voices.
    NoAgreement,
    /// No initial model found enough voices.
    NoCommonStart,
    /// Too few hold the canonical model.
    NotHeld,
}

/// Why a study has ended without a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub enum AbortReason {
    /// Too few had enrolled at the end of enrolment, or nobody started it.
    TooFewEnrolled,
    /// Nobody resumed it.
    PausedTooLong,
    /// Its rules say so when training stalls.
    Stalled,
    /// The proposer, or enough members, decided so.
    Decided,
}

/// Why an input was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub enum DropReason {
    /// Too few others could get it.
    Withheld,
    /// Enough others found it invalid.
    Invalid,
}

/// What stays of a closed round.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct RoundRecord {
    /// Statistics or models; for Init a model without inputs.
    pub kind: Kind,
    /// Round.
    pub round: u32,
    /// Root it started from.
    pub base: Hash,
    /// Inputs in canonical order.
    pub inputs: PerMember<RecordedInput>,
    /// Hash over inputs, order, weights, rule and base.
    pub inputs_root: Hash,
    /// The attested root.
    pub root: Hash,
    /// What the rule did to the inputs, as attested with the root.
    pub marks: Marks,
    /// Who attested both.
    pub attesters: PerMember<InstitutionId>,
    /// Who attested another root, or this one with other marks.
    pub dissenters: PerMember<(InstitutionId, Hash)>,
    /// Who attested nothing.
    pub silent: PerMember<InstitutionId>,
    /// Whose input was dropped.
    pub dropped: PerMember<(InstitutionId, DropReason)>,
    /// Attempts it took.
    pub attempts: u32,
    /// Block that opened it.
    pub opened_at: u32,
    /// Block that froze the last attempt's inputs.
    pub frozen_at: u32,
    /// Block that closed it.
    pub closed_at: u32,
}

/// One input, as it stays in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct RecordedInput {
    /// Author.
    pub institution: InstitutionId,
    /// Duty it answers.
    pub duty: Hash,
    /// BLAKE3 hash of the file.
    pub root: Hash,
    /// Capped weight.
    pub weight: u32,
    /// Block of the commitment.
    pub committed_at: u32,
}
