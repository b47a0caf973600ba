//! What the machine remembers of one study.

pub use super::{phase::*, record::*};
pub use crate::kinds::Kind;

use crate::{
    ids::{Hash, InstitutionId},
    kinds::{Marks, MaskKeys, Next},
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
    /// Of whom nothing came although a round had waited for it, and who has committed nothing since.
    pub missed: PerMember<Missed>,
    /// While a round is open for updates: members that its freeze does not wait for. They are asked all the same.
    pub unawaited: Mask,
    /// What a study with masked sums remembers beyond that.
    pub masking: Masking,
}

/// What a study with masked sums remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Masking {
    /// How many pairings were opened: one for each masked sum that is tried. No key or secret of one serves another.
    pub pairing: u32,
    /// The pairing that is open, or whose sum is.
    pub pair: Option<Pairing>,
    /// How many sums in a row could not be used.
    pub voids: u32,
    /// The pooled loss of the best round so far.
    pub best_loss: Option<u32>,
    /// The pooled loss that was attested with the last merge.
    pub pooled: Option<u32>,
    /// While it is paused over a sum: members that want to give it up.
    pub abandon: Mask,
}

/// What partners agree on for one masked sum.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Pairing {
    /// What is to be summed.
    pub kind: Kind,
    /// Its number.
    pub number: u32,
    /// How far it is.
    pub step: PairingStep,
    /// Deadline of keys or deals: a block.
    pub until: u32,
    /// Whether one of these had too few once already: there is no second time.
    pub again: bool,
    /// Who is in, and the keys: once the list is closed in canonical order (by institution id).
    pub keys: PerMember<(u8, MaskKeys)>,
    /// Hash over the key list; zero before it is closed.
    pub keys_root: Hash,
    /// Who has dealt, and the hash of the deal: once these are closed the partners, in canonical order.
    pub deals: PerMember<(u8, Hash)>,
    /// Weights of the partners, in that order, capped among them.
    pub weights: PerMember<u32>,
    /// Hash over the partners; zero before they are fixed.
    pub partners_root: Hash,
}

/// How far a pairing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub enum PairingStep {
    /// Keys are asked for.
    Keys,
    /// The key list is closed, and deals are asked for.
    Deal,
    /// The partners are fixed.
    Paired,
}

/// A member of which nothing came although a round waited for it until its grace was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Missed {
    /// Its position.
    pub member: u8,
    /// The round that it missed last.
    pub last: u32,
    /// Where the rounds after that one do not wait for it, or did not.
    pub unawaited: Option<Unawaited>,
}

/// Since when, and until when, rounds do not wait for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[scale_info(capture_docs = "always")]
pub struct Unawaited {
    /// The round that it had missed before [`Missed::last`].
    pub before: u32,
    /// The last round that does not wait for it.
    pub until: u32,
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
