//! What the pallet stores and tells, and its view of the machine's surroundings.

use crate::{pallet::Error, Config, History, Losses};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use consilium_primitives::{
    duty::HELD_BASE,
    round::{AbortReason, DropReason, Effect, Kind, PauseReason, PerMember, Refusal, Study, Surroundings},
    rules::{RulesError, MAX_SPEC_LEN},
    FailureCode, Hash, InstitutionId, StudyId, StudyRules, Text, VoteBody,
};
use core::marker::PhantomData;
use scale_info::TypeInfo;
use sp_core::crypto::AccountId32;
use sp_runtime::transaction_validity::InvalidTransaction;

/// A spec in the bytes that people signed: UTF-8.
pub type Spec = Text<MAX_SPEC_LEN>;

/// Who belongs to the consortium; given by the runtime.
pub trait Membership {
    /// The institution that this account signs for, if any.
    fn signs_for(signer: &AccountId32) -> Option<AccountId32>;
    /// Whether this account may propose studies and enrol.
    fn is_participant(who: &AccountId32) -> bool;
    /// How many validators there are now.
    fn validators() -> u32;
    /// Makes this account a participant whose `swarm` key is this one, for benchmarks.
    #[cfg(any(feature = "runtime-benchmarks", test))]
    fn make_participant(who: &AccountId32, key: crate::sr25519::AuthorityId);
}

/// A study as the chain keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct StudyInfo {
    /// Hash of the agreement: genesis, proposer, rules and spec.
    pub agreement: Hash,
    /// BLAKE2b-256 of the spec's bytes.
    pub spec_hash: Hash,
    /// Block of its registration.
    pub registered_at: u32,
    /// Where it stands.
    pub state: Study,
}

/// What a round or its end brought; the part of [`Effect`] that is told in events.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Progress {
    /// Statistics or updates are asked for.
    Opened {
        /// Which.
        kind: Kind,
        /// Round.
        round: u32,
    },
    /// The initial model is asked for.
    InitOpened,
    /// An update was committed.
    Committed {
        /// By whom.
        who: InstitutionId,
        /// BLAKE3 hash of the file.
        root: Hash,
    },
    /// No update will come from this participant in this round.
    Failed {
        /// From whom.
        who: InstitutionId,
        /// Why.
        code: FailureCode,
    },
    /// A participant's loss of this round's merge, micro-units.
    Loss {
        /// Whose.
        who: InstitutionId,
        /// Micro-units.
        value: u32,
    },
    /// A window was extended once; these have not answered.
    Extended {
        /// The silent.
        silent: PerMember<InstitutionId>,
    },
    /// Inputs, order and weights are fixed.
    Frozen {
        /// Attempt.
        attempt: u32,
        /// Hash over all of it.
        inputs_root: Hash,
    },
    /// A participant has attested.
    Attested {
        /// Who.
        who: InstitutionId,
        /// What.
        root: Hash,
    },
    /// A participant cannot merge yet; bits by position in the frozen list.
    InputsMissing {
        /// Who.
        who: InstitutionId,
        /// Holds.
        have: u64,
        /// Found invalid.
        invalid: u64,
        /// The freeze is not final there.
        not_final: bool,
    },
    /// The merge waits: its freeze is not final for too many.
    Stood,
    /// It goes on, and its window begins anew.
    WentOn,
    /// An input was dropped.
    Dropped {
        /// Its author.
        who: InstitutionId,
        /// Why.
        reason: DropReason,
    },
    /// A participant is left out for some rounds.
    Benched {
        /// Who.
        who: InstitutionId,
        /// Last such round.
        until_round: u32,
    },
    /// The last merge is to be evaluated.
    EvaluationOpened,
    /// This round's merge is canonical, if enough hold it.
    Canonical {
        /// Round.
        round: u32,
        /// Root.
        root: Hash,
    },
    /// A participant holds the canonical model.
    Acknowledged {
        /// Who.
        who: InstitutionId,
    },
    /// The certificate stands.
    Completed {
        /// Round.
        round: u32,
        /// Root.
        root: Hash,
    },
    /// Too few sites answer, and it waits for them; or people must decide.
    Paused {
        /// Why.
        reason: PauseReason,
    },
    /// It goes on.
    Resumed,
    /// It ended without a certificate.
    Aborted {
        /// Why.
        reason: AbortReason,
    },
    /// While it pauses: a participant's node and worker are there.
    Present {
        /// Whose.
        who: InstitutionId,
        /// Merged models that it holds, as in its vote.
        held: u16,
    },
    /// As many are there as the round needs: the pause ends by itself.
    EnoughPresent,
    /// Too few of those that are there hold the model that the study stood on, or was to be certified: it goes on from another
    /// one. Rounds after that stay in the history, and count for nothing.
    FellBack {
        /// The round whose model it was.
        from: u32,
        /// The round whose model it is now.
        to: u32,
    },
    /// A participant has attested a merge that had closed without it.
    AttestedLate {
        /// Of which round; 0 for statistics.
        round: u32,
        /// Whose.
        who: InstitutionId,
        /// What.
        root: Hash,
        /// Whether that, and what the rule did, is what the others have attested.
        agrees: bool,
    },
}

impl Progress {
    /// The event of an effect; `None` for those that have events of their own.
    pub(crate) fn of(effect: Effect) -> Option<Self> {
        Some(match effect {
            Effect::Closed(_) | Effect::AttestedLate { .. } => return None,
            Effect::Loss { who, value, .. } => Self::Loss { who, value },
            Effect::Opened { kind, round } => Self::Opened { kind, round },
            Effect::InitOpened => Self::InitOpened,
            Effect::Committed { who, root } => Self::Committed { who, root },
            Effect::FailureReported { who, code } => Self::Failed { who, code },
            Effect::Extended { silent } => Self::Extended { silent },
            Effect::Frozen { attempt, inputs_root, .. } => Self::Frozen { attempt, inputs_root },
            Effect::Attested { who, root } => Self::Attested { who, root },
            Effect::PartialReported { who, have, invalid, not_final } => {
                Self::InputsMissing { who, have, invalid, not_final }
            }
            Effect::Stood => Self::Stood,
            Effect::WentOn => Self::WentOn,
            Effect::Dropped { who, reason } => Self::Dropped { who, reason },
            Effect::Benched { who, until_round } => Self::Benched { who, until_round },
            Effect::EvaluationOpened => Self::EvaluationOpened,
            Effect::Canonical { round, root } => Self::Canonical { round, root },
            Effect::Acknowledged { who } => Self::Acknowledged { who },
            Effect::Completed { round, root } => Self::Completed { round, root },
            Effect::Paused { reason } => Self::Paused { reason },
            Effect::Present { who, held } => Self::Present { who, held },
            Effect::EnoughPresent => Self::EnoughPresent,
            Effect::FellBack { from, to } => Self::FellBack { from, to },
            Effect::Resumed => Self::Resumed,
            Effect::Aborted { reason } => Self::Aborted { reason },
        })
    }
}

/// What everybody signs at enrolment: `blake2_256(SCALE(genesis, proposer, rules) ‖ spec)`.
pub fn agreement_hash(genesis: Hash, proposer: &InstitutionId, rules: &StudyRules, spec: &[u8]) -> Hash {
    let mut bytes = (genesis, proposer, rules).encode();
    bytes.extend_from_slice(spec);
    Hash::from(sp_io::hashing::blake2_256(&bytes))
}

/// The institution of an account.
pub fn institution(who: &AccountId32) -> InstitutionId {
    InstitutionId(*who.as_ref())
}

/// Genesis hash of this chain.
pub(crate) fn genesis<T: Config>() -> Hash {
    let hash = frame_system::Pallet::<T>::block_hash(frame_system::pallet_prelude::BlockNumberFor::<T>::default());
    let mut bytes = [0u8; 32];
    for (to, from) in bytes.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    Hash::from(bytes)
}

/// The machine's view of this chain.
pub(crate) struct Around<T> {
    pub study: StudyId,
    pub agreement: Hash,
    pub genesis: Hash,
    pub now: u32,
    chain: PhantomData<T>,
}

impl<T: Config> Around<T> {
    pub fn new(study: StudyId, agreement: Hash) -> Self {
        let now = crate::pallet::block_number::<T>(frame_system::Pallet::<T>::block_number());
        Self { study, agreement, genesis: genesis::<T>(), now, chain: PhantomData }
    }
}

impl<T: Config> Surroundings for Around<T> {
    fn genesis(&self) -> Hash {
        self.genesis
    }
    fn study(&self) -> StudyId {
        self.study
    }
    fn agreement(&self) -> Hash {
        self.agreement
    }
    fn now(&self) -> u32 {
        self.now
    }
    fn losses(&self, round: u32) -> Vec<(InstitutionId, u32)> {
        Losses::<T>::get(self.study, round).into_inner()
    }
    fn root(&self, round: u32) -> Option<Hash> {
        History::<T>::get(self.study, (Kind::Model, round)).map(|record| record.root)
    }
}

/// What may follow each other on one duty: that a merge is not final here, that inputs are missing or the model that a paused
/// study stands on, and every other answer.
pub(crate) fn class(body: &VoteBody) -> u8 {
    match body {
        VoteBody::Partial { not_final: true, .. } => 2,
        VoteBody::Partial { not_final: false, .. } => 1,
        VoteBody::Present { held } if held & HELD_BASE == 0 => 1,
        _ => ANSWER,
    }
}

/// The class of what answers a duty for good.
pub(crate) const ANSWER: u8 = 0;

/// Custom code of a vote that nothing asks for yet, and that may be asked for.
pub(crate) const NOT_YET: u8 = 1;

/// Custom code of a vote on a study that does not exist.
pub(crate) const REFUSED_NO_STUDY: u8 = 1;
/// Custom code of a vote of an institution without session keys.
pub(crate) const REFUSED_NO_KEY: u8 = 2;

/// Custom code of a vote of an institution that is no participant of the consortium any more.
pub(crate) const REFUSED_NOT_A_PARTICIPANT: u8 = 3;

/// The pool's word for a refusal: `Stale` for what was answered already, else a code of its own.
pub(crate) fn refused(refusal: Refusal) -> InvalidTransaction {
    match refusal {
        Refusal::AlreadyAnswered => InvalidTransaction::Stale,
        Refusal::NotAMember => InvalidTransaction::Custom(10),
        Refusal::NoSuchDuty => InvalidTransaction::Custom(11),
        Refusal::WrongAnswer => InvalidTransaction::Custom(12),
        Refusal::WrongLength => InvalidTransaction::Custom(13),
        Refusal::TooEarly => InvalidTransaction::Custom(14),
        Refusal::BadMask => InvalidTransaction::Custom(15),
        Refusal::WrongRoot => InvalidTransaction::Custom(16),
        _ => InvalidTransaction::Call,
    }
}

impl<T> From<Refusal> for Error<T> {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::WrongPhase => Error::WrongPhase,
            Refusal::NotInvited => Error::NotInvited,
            Refusal::AlreadyEnrolled => Error::AlreadyEnrolled,
            Refusal::Full => Error::Full,
            Refusal::BadSampleCount => Error::BadSampleCount,
            Refusal::NoDeclaredWeight => Error::NoDeclaredWeight,
            Refusal::NotAMember => Error::NotAMember,
            Refusal::NotTheProposer => Error::NotTheProposer,
            Refusal::TooFewEnrolled => Error::TooFewEnrolled,
            Refusal::NoSuchDuty => Error::NoSuchDuty,
            Refusal::AlreadyAnswered => Error::AlreadyAnswered,
            Refusal::WrongAnswer => Error::WrongAnswer,
            Refusal::WrongLength => Error::WrongLength,
            Refusal::TooEarly => Error::TooEarly,
            Refusal::BadMask => Error::BadMask,
            Refusal::WrongRoot => Error::WrongRoot,
        }
    }
}

impl<T> From<RulesError> for Error<T> {
    fn from(error: RulesError) -> Self {
        match error {
            RulesError::Window => Error::BadWindow,
            RulesError::Participants => Error::BadParticipants,
            RulesError::Rounds => Error::BadRounds,
            RulesError::Share => Error::BadShare,
            RulesError::Length => Error::BadLength,
            RulesError::Invited => Error::BadInvited,
            RulesError::Weights => Error::BadWeights,
            RulesError::Kept => Error::BadKept,
            RulesError::Merge => Error::BadMerge,
            RulesError::RuleMin => Error::BadRuleMin,
        }
    }
}
