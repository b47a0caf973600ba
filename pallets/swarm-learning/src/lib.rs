//! Studies, their members and their merge rounds, on a chain that the participating institutions run themselves.
//!
//! # Overview
//!
//! Institutions agree on one study: which model is trained, on which columns, by which rules. Those that enrol sign
//! exactly that agreement. From then on the chain asks each of them for one thing at a time, a *duty*: train from this
//! model, merge these updates, say that you hold this file. It records what they commit to and what they attest. No
//! parameter of a model and no record of a patient is ever on the chain, only hashes, integers and one agreed figure
//! per site and round.
//!
//! # Terminology
//!
//! *study*, *participant*, *round*, *update*, *merge*, *attestation*, *duty*, *blob*: as in the project's book. A
//! *vote* is a participant's signed answer to a duty.
//!
//! # State machine
//!
//! This pallet is a shell around [`consilium_primitives::round`], which decides everything. The pallet checks origins
//! and signatures, keeps deadlines in an agenda, stores what rounds leave behind, and tells it in events.
//!
//! # Extrinsics
//!
//! Signed by the account that signs for an institution: [`Call::register`], [`Call::enrol`], [`Call::enrol_private`], [`Call::withdraw`],
//! [`Call::start`], [`Call::resume`], [`Call::abort`]; and of budgets of data sets [`Call::declare_budget`], [`Call::raise_budget`],
//! [`Call::lower_budget`]. Signed by an institution's `swarm` session key, as an authorized general
//! transaction without nonce or fee: [`Call::vote`], and [`Call::post`] where bytes come with it. [`Call::abandon`] gives up a masked
//! sum that waits for people.
//!
//! # Bounds
//!
//! [`MAX_RUNNING`] studies at once, [`consilium_primitives::rules::MAX_PARTICIPANTS`] members and
//! [`consilium_primitives::rules::MAX_ROUNDS`] rounds each. What stays in the state for good, as the certificate's chain
//! of evidence (what is posted for masked sums goes with the files that it is for): a study's last state, its agreement, the records of its closed rounds and the losses reported on them. Of a
//! study that never started, its spec is forgotten.
//!
//! # Implementation notes
//!
//! A study has one deadline at a time, and at most [`MAX_RUNNING`] run: no agenda entry is ever full. Deadlines come before transactions.
//!
//! The offchain worker (the `conductor` module) runs on every node. It asks this institution's own worker process about
//! all its open duties in one call and signs what comes back.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::float_arithmetic
    )
)]

extern crate alloc;

#[cfg(any(feature = "runtime-benchmarks", test))]
mod benchmarking;
mod budgets;
mod conductor;
mod effects;
mod errors;
mod events;
mod mask_orders;
mod migration;
#[cfg(test)]
mod mock;
mod orders;
mod postings;
mod shell;
mod storage;
#[cfg(test)]
mod tests;
mod told;
mod types;
pub mod weights;

pub use pallet::*;
pub use told::Progress;
pub use types::*;
pub use weights::WeightInfo;

use consilium_primitives::rules::MAX_KEPT_ROUNDS;
use frame_support::pallet_macros::import_section;

/// Session keys of institutions that take part in studies.
pub const KEY_TYPE: sp_core::crypto::KeyTypeId = sp_core::crypto::KeyTypeId(*b"swrm");

/// Most studies that may run at once.
pub const MAX_RUNNING: u32 = 32;

/// Most studies of one proposer that may run at once.
pub const MAX_PROPOSED: u32 = 8;

/// Most pairings of one study whose postings are kept: its rounds in the window, the statistics, the figures and the one that is open.
pub const MAX_KEPT: u32 = MAX_KEPT_ROUNDS + 5;

/// Most data sets that one institution can declare a budget of.
pub const MAX_DATASETS: u32 = 64;

/// Most pairings that wait for their postings to be forgotten: those of all studies that may run, and as many again.
pub const MAX_OVER: u32 = 2 * MAX_RUNNING * MAX_KEPT;

#[path = "keys.rs"]
pub mod sr25519;

#[import_section(events::events)]
#[import_section(errors::errors)]
#[import_section(storage::storage)]
#[frame_support::pallet]
#[allow(missing_docs, clippy::expect_used, clippy::large_enum_variant)] // items the macros generate
pub mod pallet {
    use super::*;
    use alloc::boxed::Box;
    use consilium_primitives::{
        budget::Budget,
        round::{AbortReason, DropReason, Event as RoundEvent, Kind, PauseReason, PerMember, RoundRecord},
        rules::{MAX_PARTICIPANTS, MAX_ROUNDS, MAX_SPEC_LEN, PPM},
        FailureCode, Hash, InstitutionId, PostStep, PrivacyUnit, StudyId, StudyRules, VoidReason, Vote,
    };
    use frame_support::pallet_prelude::*;
    use frame_system::{
        offchain::CreateAuthorizedTransaction,
        pallet_prelude::{BlockNumberFor, OriginFor, *},
    };
    use sp_core::crypto::AccountId32;
    use sp_runtime::traits::UniqueSaturatedInto;

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// Version of the storage.
    /// 2: studies say how long a slot was when they were registered, which round's model they stand on, and who is there.
    /// 3: they say what was answered ahead, and what the last merge came to.
    /// 4: they say who has missed which rounds, and for whom the present one does not wait.
    /// 5: they say what masked sums need, and postings for these are kept.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(5);

    /// What the runtime gives to this pallet.
    #[pallet::config]
    pub trait Config:
        frame_system::Config<AccountId = AccountId32>
        + pallet_session::Config<ValidatorId = AccountId32>
        + CreateAuthorizedTransaction<Call<Self>>
    {
        /// Who belongs to the consortium.
        type Membership: Membership;
        /// Measured weights.
        type WeightInfo: WeightInfo;
    }

    /// Limits of the pallet itself, which no runtime sets.
    #[pallet::extra_constants]
    impl<T: Config> Pallet<T> {
        /// Most studies that may run at once.
        #[pallet::constant_name(MaxRunning)]
        fn max_running() -> u32 {
            MAX_RUNNING
        }

        /// Most studies of one proposer that may run at once.
        #[pallet::constant_name(MaxProposed)]
        fn max_proposed() -> u32 {
            MAX_PROPOSED
        }

        /// Most participants that one study can have.
        #[pallet::constant_name(MaxParticipants)]
        fn max_participants() -> u32 {
            MAX_PARTICIPANTS
        }

        /// Most rounds that one study can have.
        #[pallet::constant_name(MaxRounds)]
        fn max_rounds() -> u32 {
            MAX_ROUNDS
        }

        /// Longest spec, in bytes of UTF-8.
        #[pallet::constant_name(MaxSpecBytes)]
        fn max_spec_bytes() -> u32 {
            MAX_SPEC_LEN
        }

        /// What a loss of 1 is counted as.
        #[pallet::constant_name(MicroUnits)]
        fn micro_units() -> u32 {
            PPM
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            let due = Agenda::<T>::take(block_number::<T>(now));
            let mut weight = <T as Config>::WeightInfo::on_initialize(due.len() as u32);
            for study in due {
                Scheduled::<T>::remove(study);
                // a tick is never refused; a study in the agenda exists
                let ticked = Self::apply(study, RoundEvent::Tick);
                debug_assert!(ticked.is_ok());
            }
            Self::sweep(block_number::<T>(now));
            if Self::forget_one() {
                weight = weight.saturating_add(<T as Config>::WeightInfo::forget());
            }
            // what is over is looked for in each block
            weight.saturating_add(T::DbWeight::get().reads_writes(2, 1))
        }

        fn on_runtime_upgrade() -> Weight {
            let studies = match StorageVersion::get::<Self>() {
                before if before >= STORAGE_VERSION => return T::DbWeight::get().reads(1),
                before if before >= 2 => Self::write_studies_anew(),
                _ => Self::shorten_slots(),
            };
            STORAGE_VERSION.put::<Self>();
            // each is read and written, with up to two records read, and a running one has its place in the agenda
            T::DbWeight::get()
                .reads_writes(1, 1)
                .saturating_add(T::DbWeight::get().reads_writes(6, 5).saturating_mul(studies))
        }

        fn offchain_worker(now: BlockNumberFor<T>) {
            conductor::conduct::<T>(block_number::<T>(now));
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call(weight = <T as Config>::WeightInfo)]
    impl<T: Config> Pallet<T> {
        /// Proposes a study.
        ///
        /// The caller becomes its proposer, and must still enrol to take part. The spec is text in UTF-8.
        #[pallet::call_index(0)]
        #[pallet::weight(<T as Config>::WeightInfo::register(spec.len() as u32))]
        pub fn register(origin: OriginFor<T>, rules: Box<StudyRules>, spec: Spec) -> DispatchResult {
            Self::do_register(Self::ensure_participant(origin)?, *rules, spec)
        }

        /// Enrols in exactly this agreement.
        ///
        /// `samples` counts this site's training rows and binds for the whole study.
        #[pallet::call_index(1)]
        pub fn enrol(origin: OriginFor<T>, study: StudyId, agreement: Hash, samples: u32) -> DispatchResult {
            Self::do_enrol(Self::ensure_participant(origin)?, study, agreement, samples, None)
        }

        /// Takes no further part in a study.
        ///
        /// What is frozen already stays.
        #[pallet::call_index(2)]
        pub fn withdraw(origin: OriginFor<T>, study: StudyId) -> DispatchResult {
            let who = institution(&Self::ensure_institution(origin)?);
            Self::apply(study, RoundEvent::Withdraw { who })?;
            Self::deposit_event(Event::Withdrawn { study, institution: who });
            Ok(())
        }

        /// Starts a study before its enrolment ends.
        ///
        /// Only its proposer may.
        #[pallet::call_index(3)]
        pub fn start(origin: OriginFor<T>, study: StudyId) -> DispatchResult {
            let who = Self::ensure_participant(origin)?;
            Self::apply(study, RoundEvent::Start { who })
        }

        /// Lets a paused study go on.
        ///
        /// At once by its proposer, else when more than half of its members ask (more than two thirds in a strict study). One that
        /// waits for sites goes on by itself once enough of them are there.
        #[pallet::call_index(4)]
        pub fn resume(origin: OriginFor<T>, study: StudyId) -> DispatchResult {
            let who = Self::ensure_participant(origin)?;
            Self::apply(study, RoundEvent::Resume { who })
        }

        /// Ends a study that enrols or is paused.
        ///
        /// In enrolment its proposer may; a paused one its proposer, or as many members as let it go on.
        #[pallet::call_index(5)]
        pub fn abort(origin: OriginFor<T>, study: StudyId) -> DispatchResult {
            let who = Self::ensure_participant(origin)?;
            Self::apply(study, RoundEvent::Abort { who })
        }

        /// Answers a duty.
        ///
        /// Nodes send it, signed by the institution's `swarm` key over [`Vote::payload`], without an account, nonce or fee.
        /// Operational: calls that fill a block leave a quarter of it to votes.
        #[pallet::call_index(6)]
        #[pallet::weight((<T as Config>::WeightInfo::vote(), DispatchClass::Operational))]
        #[pallet::authorize(Self::authorize_vote)]
        pub fn vote(origin: OriginFor<T>, vote: Vote, _signature: sr25519::AuthoritySignature) -> DispatchResult {
            ensure_authorized(origin)?;
            Self::apply(vote.study, RoundEvent::Vote(vote))
        }

        /// Answers a duty of a masked sum with bytes: a deal, or shares.
        ///
        /// Sent and signed as [`Call::vote`]; the vote names the bytes by their hash.
        #[pallet::call_index(7)]
        #[pallet::weight((<T as Config>::WeightInfo::post(), DispatchClass::Operational))]
        #[pallet::authorize(Self::authorize_post)]
        pub fn post(
            origin: OriginFor<T>,
            vote: Vote,
            bytes: Posting,
            _signature: sr25519::AuthoritySignature,
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            Self::apply(vote.study, RoundEvent::Post { vote, bytes: bytes.into_inner() })
        }

        /// Gives up a masked sum for which a study is paused.
        ///
        /// At once by its proposer, else when as many members ask as let it go on. What was trained for it is trained anew.
        #[pallet::call_index(8)]
        pub fn abandon(origin: OriginFor<T>, study: StudyId) -> DispatchResult {
            let who = Self::ensure_participant(origin)?;
            Self::apply(study, RoundEvent::Abandon { who })
        }

        /// Declares what all studies together may cost one of the caller's data sets.
        ///
        /// Once for each: what was spent is never forgotten. Private studies are charged to it, and refused beyond it.
        #[pallet::call_index(9)]
        pub fn declare_budget(
            origin: OriginFor<T>,
            dataset: Hash,
            limit_micro: u32,
            delta_exp: u8,
            unit: PrivacyUnit,
        ) -> DispatchResult {
            Self::do_declare(Self::ensure_participant(origin)?, dataset, limit_micro, delta_exp, unit)
        }

        /// Raises the limit of a data set.
        ///
        /// It holds after seven days, in which people can object.
        #[pallet::call_index(10)]
        pub fn raise_budget(origin: OriginFor<T>, dataset: Hash, limit_micro: u32) -> DispatchResult {
            Self::do_raise(Self::ensure_participant(origin)?, dataset, limit_micro)
        }

        /// Lowers the limit of a data set, at once; a higher one that waits is off with it.
        #[pallet::call_index(11)]
        pub fn lower_budget(origin: OriginFor<T>, dataset: Hash, limit_micro: u32) -> DispatchResult {
            Self::do_lower(Self::ensure_participant(origin)?, dataset, limit_micro)
        }

        /// Enrols in exactly this agreement of a private study.
        ///
        /// As [`Call::enrol`]; what the study costs is charged to this data set, of which the caller has declared a budget.
        #[pallet::call_index(12)]
        pub fn enrol_private(
            origin: OriginFor<T>,
            study: StudyId,
            agreement: Hash,
            samples: u32,
            dataset: Hash,
        ) -> DispatchResult {
            Self::do_enrol(Self::ensure_participant(origin)?, study, agreement, samples, Some(dataset))
        }
    }

    pub(crate) fn block_number<T: Config>(n: BlockNumberFor<T>) -> u32 {
        n.unique_saturated_into()
    }
}

/// The session carries the `swarm` keys; votes are checked against what each institution has registered there, so that
/// participants need not be validators and keys can rotate. The pallet itself keeps nothing of it.
impl<T: Config> sp_runtime::BoundToRuntimeAppPublic for Pallet<T> {
    type Public = sr25519::AuthorityId;
}

impl<T: Config> frame_support::traits::OneSessionHandler<sp_core::crypto::AccountId32> for Pallet<T> {
    type Key = sr25519::AuthorityId;

    fn on_genesis_session<'a, I>(_: I)
    where
        I: Iterator<Item = (&'a sp_core::crypto::AccountId32, Self::Key)> + 'a,
    {
    }

    fn on_new_session<'a, I>(_: bool, _: I, _: I)
    where
        I: Iterator<Item = (&'a sp_core::crypto::AccountId32, Self::Key)> + 'a,
    {
    }

    fn on_disabled(_: u32) {}
}
