//! What stays of a closed round.

use super::{
    phase::DropReason,
    state::{Kind, Mask, PerMember},
};
use crate::{
    ids::{Hash, InstitutionId},
    kinds::{Marks, VoidReason},
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// What stays of a closed round. How it is written says `round/written.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Where masked files were summed: of whose masks, and what is known of the sum.
    pub masked: Option<MaskedRecord>,
}

impl RoundRecord {
    /// Why nothing came of it, where its sum could not be used: then it has no root, and the study stands on what it stood on.
    pub fn void(&self) -> Option<VoidReason> {
        self.masked.as_ref().and_then(|masked| masked.void)
    }
}

/// What stays of a masked sum.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct MaskedRecord {
    /// Number of its pairing.
    pub pairing: u32,
    /// Whose keys were in, by position among the study's members.
    pub listed: Mask,
    /// Who dealt in time, by position among the study's members: the partners. Those of them whose file is in the sum are the
    /// record's inputs.
    pub partners: Mask,
    /// The partners' weights together.
    pub weight: u64,
    /// Block that fixed whose files are in.
    pub fixed_at: u32,
    /// The round whose merge the loss is of.
    pub evaluated: u32,
    /// Its loss over all sites' validation rows, micro-units; none where too few have reported one.
    pub pooled: Option<u32>,
    /// Why the sum could not be used, if it could not.
    pub void: Option<VoidReason>,
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
