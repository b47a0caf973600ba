//! What stays of a closed round.

use super::{
    phase::DropReason,
    state::{Kind, PerMember},
};
use crate::{
    ids::{Hash, InstitutionId},
    kinds::Marks,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

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
