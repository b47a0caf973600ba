//! How rules are written in bytes.
//!
//! Rules are signed, and stand in the middle of what is stored. Those that ask for neither masks nor privacy are written as they were
//! before either was there: an agreement, a study and an archive of that time keep their bytes. Those that do say so in the place of
//! `on_stall`, by a variant that no older one has.

use super::{Masked, Merge, OnStall, Privacy, MAX_PARTICIPANTS};
use crate::ids::InstitutionId;
use codec::{Decode, DecodeWithMemTracking, Encode, EncodeLike, Error, Input, MaxEncodedLen, Output};
use scale_info::TypeInfo;
use sp_core::{bounded::BoundedVec, ConstU32};

/// What happens when a training window has run out twice; and, of a study with masks or privacy, what is agreed of these.
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
enum Stall {
    /// The study pauses, and waits for people.
    Pause,
    /// The round goes on with the updates there are, if these are at least the agreed minimum.
    Shrink,
    /// The study ends.
    Abort,
    /// The study has masks or privacy.
    Confidential {
        /// What happens when a training window has run out twice without enough updates.
        on_stall: OnStall,
        /// Whether updates are masked, and what that needs.
        masked: Option<Masked>,
        /// What is promised of each record or patient.
        privacy: Option<Privacy>,
    },
}

/// The agreement, as far as the chain must understand it.
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
struct StudyRules {
    /// `T`: expected time of local training, in blocks, at least 1.
    training_blocks: u32,
    /// `X`: expected time of the transfer of all inputs over the slowest link, in blocks, at least 1.
    transfer_blocks: u32,
    /// `E`: how long enrolment stays open, in blocks.
    enrolment_blocks: u32,
    /// Whether the end of enrolment starts the study when enough have enrolled.
    auto_start: bool,
    /// `p`: fewest participants that make a round, at least 2; at least 3 with masks.
    min_participants: u32,
    /// Fewest inputs that a merge needs for the liars it is to tolerate.
    rule_min: u32,
    /// Rounds after which the study ends, at least 1.
    max_rounds: u32,
    /// Cap on any one participant's weight, in parts per million of the sum.
    max_share: u32,
    /// Whether a merge closes only with more than two thirds, also at the deadline.
    strict: bool,
    /// What happens when a training window ran out twice without enough updates; with masks or privacy, these too.
    on_stall: Stall,
    /// For how many rounds holders keep and serve individual updates after their round has closed.
    keep_updates: u32,
    /// Who may enrol; empty: every participant of the consortium.
    invited: BoundedVec<InstitutionId, ConstU32<MAX_PARTICIPANTS>>,
    /// How updates become one model. Weights are capped at `max_share` before use.
    merge: Merge,
    /// Length of an update's file in bytes. It follows from the spec.
    update_len: u64,
    /// Length of a merged model's file in bytes. It follows from the spec.
    merged_len: u64,
    /// Length of a merged statistics file in bytes, 0 where the spec asks for none. It follows from the spec.
    statistics_len: u64,
    /// The study ends early when more than half of weight and roster report a loss at or below this (micro-units).
    target: Option<u32>,
    /// The study ends early after this many rounds without a new best round; 0: never.
    patience: u32,
}

impl From<&super::StudyRules> for StudyRules {
    fn from(rules: &super::StudyRules) -> Self {
        let on_stall = match (rules.masked, rules.privacy, rules.on_stall) {
            (None, None, OnStall::Pause) => Stall::Pause,
            (None, None, OnStall::Shrink) => Stall::Shrink,
            (None, None, OnStall::Abort) => Stall::Abort,
            (masked, privacy, on_stall) => Stall::Confidential { on_stall, masked, privacy },
        };
        Self {
            training_blocks: rules.training_blocks,
            transfer_blocks: rules.transfer_blocks,
            enrolment_blocks: rules.enrolment_blocks,
            auto_start: rules.auto_start,
            min_participants: rules.min_participants,
            rule_min: rules.rule_min,
            max_rounds: rules.max_rounds,
            max_share: rules.max_share,
            strict: rules.strict,
            on_stall,
            keep_updates: rules.keep_updates,
            invited: rules.invited.clone(),
            merge: rules.merge.clone(),
            update_len: rules.update_len,
            merged_len: rules.merged_len,
            statistics_len: rules.statistics_len,
            target: rules.target,
            patience: rules.patience,
        }
    }
}

impl Encode for super::StudyRules {
    fn encode_to<T: Output + ?Sized>(&self, to: &mut T) {
        StudyRules::from(self).encode_to(to);
    }
}

impl EncodeLike for super::StudyRules {}

impl Decode for super::StudyRules {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let read = StudyRules::decode(input)?;
        let (on_stall, masked, privacy) = match read.on_stall {
            Stall::Pause => (OnStall::Pause, None, None),
            Stall::Shrink => (OnStall::Shrink, None, None),
            Stall::Abort => (OnStall::Abort, None, None),
            // one set of rules has one form in bytes
            Stall::Confidential { masked: None, privacy: None, .. } => {
                return Err("rules with neither masks nor privacy, in the form of those that have some".into());
            }
            Stall::Confidential { on_stall, masked, privacy } => (on_stall, masked, privacy),
        };
        Ok(Self {
            training_blocks: read.training_blocks,
            transfer_blocks: read.transfer_blocks,
            enrolment_blocks: read.enrolment_blocks,
            auto_start: read.auto_start,
            min_participants: read.min_participants,
            rule_min: read.rule_min,
            max_rounds: read.max_rounds,
            max_share: read.max_share,
            strict: read.strict,
            on_stall,
            keep_updates: read.keep_updates,
            invited: read.invited,
            merge: read.merge,
            update_len: read.update_len,
            merged_len: read.merged_len,
            statistics_len: read.statistics_len,
            target: read.target,
            patience: read.patience,
            masked,
            privacy,
        })
    }
}

impl DecodeWithMemTracking for super::StudyRules {}

impl MaxEncodedLen for super::StudyRules {
    fn max_encoded_len() -> usize {
        StudyRules::max_encoded_len()
    }
}

impl TypeInfo for super::StudyRules {
    type Identity = Self;

    fn type_info() -> scale_info::Type {
        StudyRules::type_info()
    }
}
