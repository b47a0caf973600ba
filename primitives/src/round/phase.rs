//! Where a study stands, and what the machine remembers of it there.

use super::state::{Kind, Mask, PerMember};
use crate::{
    ids::Hash,
    kinds::{Marks, VoidReason},
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

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
    /// Masked files of a frozen list are fetched, and looked at: what is missing is dropped, as in a merge.
    Gathering(Merging),
    /// The set is fixed for good: what stands between its files and their sum is opened.
    Revealing(Revealing),
    /// The sum is computed and attested.
    Summing(Summing),
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

/// A set of masked files that is fixed for good, and what its authors have opened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct FixedSet {
    /// What is summed.
    pub kind: Kind,
    /// The masked files, in canonical order (by institution id), with their weights among all partners.
    pub inputs: PerMember<Input>,
    /// Hash over these, the rules, the base and the partners.
    pub inputs_root: Hash,
    /// Block in which their list froze.
    pub frozen_at: u32,
    /// Block that fixed them. Nothing is opened where this block is not final.
    pub fixed_at: u32,
    /// Attempts that it took.
    pub attempts: u32,
    /// Inputs dropped in earlier attempts.
    pub dropped: PerMember<(u8, DropReason)>,
    /// Who has posted shares, and of which partners: bits by place among the partners.
    pub reveals: PerMember<(u8, u64)>,
}

/// What a masked sum needs is opened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Revealing {
    /// Of which files.
    pub set: FixedSet,
    /// Deadline: a block.
    pub until: u32,
    /// Whether it was extended already.
    pub extended: bool,
}

/// What has been said of a masked sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub enum SumBallot {
    /// Summed to this file, with this pooled loss.
    Summed(Hash, Option<u32>),
    /// It cannot be used.
    Void(VoidReason),
    /// Could not yet: what it holds, and what it found invalid, by position in the inputs. For information.
    Partial {
        /// Holds.
        have: u64,
        /// Found invalid.
        invalid: u64,
    },
}

/// A masked sum is computed and attested.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Summing {
    /// Of which files.
    pub set: FixedSet,
    /// From 1; always with the same files.
    pub attempt: u32,
    /// One entry per input: what its author has said.
    pub ballots: PerMember<Option<SumBallot>>,
    /// Window of this attempt, in blocks.
    pub window: u32,
    /// Block in which it began.
    pub began: u32,
    /// Deadline: a block.
    pub until: u32,
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
    /// Revealing again: the same files, and what was opened stays.
    Revealing(FixedSet),
    /// Summing the same files again.
    Summing(FixedSet),
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
    /// Too few have opened what a masked sum needs.
    NotRevealed,
    /// Two masked sums in a row could not be used.
    SumsUnusable,
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
    /// The masked sum of the sites' statistics could not be used. They cannot be masked anew: two sums of the same numbers would tell
    /// of one site.
    StatisticsUnusable,
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
