//! What the pallet stores and tells, and its view of the machine's surroundings.

use crate::{budgets::affords, pallet::Error, postings::commitment, Config, History, Losses};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use consilium_primitives::{
    duty::HELD_BASE,
    masks::MAX_POSTING,
    round::{Kind, Refusal, ShareId, Study, Surroundings},
    rules::{RulesError, MAX_SPEC_LEN},
    Hash, InstitutionId, Privacy, StudyId, StudyRules, Text, VoteBody,
};
use core::marker::PhantomData;
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use sp_core::crypto::AccountId32;
use sp_runtime::transaction_validity::InvalidTransaction;

/// A spec in the bytes that people signed: UTF-8.
pub type Spec = Text<MAX_SPEC_LEN>;

/// What an institution posts for a masked sum.
pub type Posting = BoundedVec<u8, ConstU32<MAX_POSTING>>;

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

/// What a participant of a private study is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Counted {
    /// Hash of the name of its data set.
    pub dataset: Hash,
    /// How many trainings were charged to it in this study.
    pub rounds: u32,
    /// The last of them: its round, and the model that it stands on.
    pub last: Option<(u32, Hash)>,
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
    block_hash::<T>(0)
}

/// Hash of a block of this chain; zero where it is too old, or not yet.
pub(crate) fn block_hash<T: Config>(number: u32) -> Hash {
    let hash = frame_system::Pallet::<T>::block_hash(frame_system::pallet_prelude::BlockNumberFor::<T>::from(number));
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
        // of a round whose sum could not be used there is none
        let root = History::<T>::get(self.study, (Kind::Model, round)).map(|record| record.root);
        root.filter(|root| *root != Hash::zero())
    }
    fn commitment(&self, share: &ShareId) -> Option<Hash> {
        commitment::<T>(self.study, share)
    }
    fn affords(&self, who: &InstitutionId, privacy: &Privacy, training: (u32, Hash)) -> bool {
        affords::<T>(self.study, self.now, who, privacy, training)
    }
    fn blake2(&self, bytes: &[u8]) -> Hash {
        Hash::from(sp_io::hashing::blake2_256(bytes))
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
        Refusal::WrongPosting => InvalidTransaction::Custom(17),
        Refusal::WrongShare => InvalidTransaction::Custom(18),
        Refusal::OverBudget => InvalidTransaction::Custom(19),
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
            Refusal::WrongPosting => Error::WrongPosting,
            Refusal::WrongShare => Error::WrongShare,
            Refusal::OverBudget => Error::OverBudget,
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
            RulesError::MaskedRule => Error::MaskedRule,
            RulesError::MaskedLiars => Error::MaskedLiars,
            RulesError::MaskedBound => Error::MaskedBound,
            RulesError::MaskedMixing => Error::MaskedMixing,
            RulesError::MaskedParticipants => Error::MaskedParticipants,
            RulesError::MaskedShare => Error::MaskedShare,
            RulesError::MaskedRange => Error::MaskedRange,
            RulesError::MaskedLength => Error::MaskedLength,
            RulesError::PrivacyRate => Error::PrivacyRate,
            RulesError::PrivacySteps => Error::PrivacySteps,
            RulesError::PrivacyNoise => Error::PrivacyNoise,
            RulesError::PrivacyDelta => Error::PrivacyDelta,
            RulesError::PrivacySpend => Error::PrivacySpend,
            RulesError::PrivacyShared => Error::PrivacyShared,
            RulesError::PrivacyFigures => Error::PrivacyFigures,
            RulesError::PrivacyColluders => Error::PrivacyColluders,
        }
    }
}
