//! How the record of a closed round is written in bytes: one without masks as before there were any, so that what an older runtime
//! has stored, and archives hold, keeps its bytes. One of a masked sum says so in the place of its kind.

use super::{
    phase::DropReason,
    record::{MaskedRecord, RecordedInput},
    state::{Kind, PerMember},
};
use crate::{
    ids::{Hash, InstitutionId},
    kinds::Marks,
};
use codec::{Decode, DecodeWithMemTracking, Encode, EncodeLike, Error, Input, MaxEncodedLen, Output};
use scale_info::TypeInfo;

/// What a record is of.
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
enum RecordKind {
    /// Column statistics.
    Statistics,
    /// A model.
    Model,
    /// What was summed without anybody seeing the parts.
    #[codec(index = 3)]
    Masked {
        /// Statistics, models or figures.
        kind: Kind,
        /// Of whose masks, and what is known of the sum.
        masked: MaskedRecord,
    },
}

/// What stays of a closed round.
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
struct RoundRecord {
    /// Statistics or models; for Init a model without inputs. Of a masked sum, what is known of it.
    kind: RecordKind,
    /// Round.
    round: u32,
    /// Root it started from.
    base: Hash,
    /// Inputs in canonical order.
    inputs: PerMember<RecordedInput>,
    /// Hash over inputs, order, weights, rule and base.
    inputs_root: Hash,
    /// The attested root; zero where a sum could not be used, or is of figures.
    root: Hash,
    /// What the rule did to the inputs, as attested with the root.
    marks: Marks,
    /// Who attested both.
    attesters: PerMember<InstitutionId>,
    /// Who attested another root, or this one with other marks.
    dissenters: PerMember<(InstitutionId, Hash)>,
    /// Who attested nothing.
    silent: PerMember<InstitutionId>,
    /// Whose input was dropped.
    dropped: PerMember<(InstitutionId, DropReason)>,
    /// Attempts it took.
    attempts: u32,
    /// Block that opened it.
    opened_at: u32,
    /// Block that froze the last attempt's inputs.
    frozen_at: u32,
    /// Block that closed it.
    closed_at: u32,
}

impl Encode for super::RoundRecord {
    fn encode_to<T: Output + ?Sized>(&self, to: &mut T) {
        let record = self.clone();
        let kind = match (record.kind, record.masked) {
            (Kind::Statistics, None) => RecordKind::Statistics,
            // figures are summed, or not recorded at all
            (Kind::Model | Kind::Evaluation, None) => RecordKind::Model,
            (kind, Some(masked)) => RecordKind::Masked { kind, masked },
        };
        let written = RoundRecord {
            kind,
            round: record.round,
            base: record.base,
            inputs: record.inputs,
            inputs_root: record.inputs_root,
            root: record.root,
            marks: record.marks,
            attesters: record.attesters,
            dissenters: record.dissenters,
            silent: record.silent,
            dropped: record.dropped,
            attempts: record.attempts,
            opened_at: record.opened_at,
            frozen_at: record.frozen_at,
            closed_at: record.closed_at,
        };
        written.encode_to(to);
    }
}

impl EncodeLike for super::RoundRecord {}

impl Decode for super::RoundRecord {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let read = RoundRecord::decode(input)?;
        let (kind, masked) = match read.kind {
            RecordKind::Statistics => (Kind::Statistics, None),
            RecordKind::Model => (Kind::Model, None),
            RecordKind::Masked { kind, masked } => (kind, Some(masked)),
        };
        Ok(Self {
            kind,
            round: read.round,
            base: read.base,
            inputs: read.inputs,
            inputs_root: read.inputs_root,
            root: read.root,
            marks: read.marks,
            attesters: read.attesters,
            dissenters: read.dissenters,
            silent: read.silent,
            dropped: read.dropped,
            attempts: read.attempts,
            opened_at: read.opened_at,
            frozen_at: read.frozen_at,
            closed_at: read.closed_at,
            masked,
        })
    }
}

impl DecodeWithMemTracking for super::RoundRecord {}

impl MaxEncodedLen for super::RoundRecord {
    fn max_encoded_len() -> usize {
        RoundRecord::max_encoded_len()
    }
}

impl TypeInfo for super::RoundRecord {
    type Identity = Self;

    fn type_info() -> scale_info::Type {
        RoundRecord::type_info()
    }
}
