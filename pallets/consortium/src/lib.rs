//! The institutions of a consortium: who is admitted, what each may do, and who makes blocks.
//!
//! # Overview
//!
//! A consortium is a closed group of hospitals, laboratories or companies that train models together. This pallet keeps
//! the list of them. Each institution has an account that its people hold, a name, a profile that it writes itself, and
//! two independent flags: a *validator* makes and finalises blocks, a *participant* takes part in studies. The
//! institutions decide by motions whom they admit, suspend and remove, by how many voices, and which runtime comes next;
//! an institution may leave whenever it wishes, unless the chain could not go on without it.
//!
//! # Terminology
//!
//! * **Institution**: an account admitted to the consortium. It keeps this name of its own for good, also where another
//!   account signs for it ([`Motion::RotateAccount`]).
//! * **Member**: an institution that is not suspended.
//! * **Active validator**: a member with the validator flag. It **stands** once it has session keys and its node has said
//!   that it is in step ([`ready`](Pallet::ready)): a validator without either makes no blocks.
//! * **Peer id**: the name of an institution's node in the network, derived from the node's ed25519 key.
//! * **Departure**: an institution may no longer take part in studies; see [`OnDeparture`].
//! * **Leaving**: removed or gone of its own will, and still in a set of validators, or with something of its own in a merge
//!   that runs.
//!
//! # States of an institution
//!
//! ```text
//!             admit                 suspend
//! (unknown) ─────────► member ◄──────────────► suspended
//!     ▲                  │        reinstate        │
//!     │ needed no more   │                         │
//!     └───────────── leaving ◄─────────────────────┘
//!                          leave, remove
//! ```
//!
//! The flags may change in either state; while suspended they have no effect. A change of the set of validators ends the
//! session ten seconds after the last end at the earliest, and is effective once a second one has ended.
//!
//! # Extrinsics
//!
//! * [`propose`](Pallet::propose), [`vote`](Pallet::vote), [`close`](Pallet::close): what all decide, by a member.
//! * the others, by the institution itself, also while it is suspended, so that it can put right what it was suspended for.
//! * [`ready`](Pallet::ready): by the institution's node, an authorised call without nonce.
//!
//! # Origins
//!
//! Motions alone speak for the consortium. One account at a time signs for an institution ([`Pallet::signs_for`]);
//! [`CheckQuota`] turns away whoever signs for none, and limits those who do.
//!
//! # Implementation notes
//!
//! * There are never fewer than [`Config::MinValidators`] standing validators by a call of this pallet: what would lead
//!   there is refused. A validator that purges its session keys is beyond this pallet's reach: a runtime closes
//!   `session.set_keys` and `session.purge_keys`.
//! * As [`SessionManager`](pallet_session::SessionManager), the pallet hands over a set only if it differs from the last
//!   one, for each set handed over makes GRANDPA change its voters.
//! * Admission provides for the account's existence, departure takes that and the session keys back. An account that ceases
//!   to exist begins again at nonce 0 if it is admitted again: sign mortal transactions.
//! * The genesis of this pallet has to be built before that of `pallet_session`, which asks it for the first validators.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
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

mod addresses;
#[cfg(any(feature = "runtime-benchmarks", test))]
mod benchmarking;
#[cfg(any(feature = "try-runtime", test))]
mod checks;
mod departure;
mod errors;
mod events;
mod execute;
mod genesis;
mod idle;
mod institutions;
mod members;
mod migration;
#[cfg(test)]
mod mock;
mod motion;
mod motions;
mod peers;
mod quota;
mod ready;
mod recovery;
mod session;
mod signers;
mod storage;
mod terms;
#[cfg(test)]
mod tests;
mod types;
pub mod weights;

pub use addresses::{is_valid_address, AddressList, MAX_ADDRESSES};
pub use consilium_primitives::text::{Address, Name, MAX_ADDRESS_LEN, MAX_NAME_LEN};
pub use departure::Departed;
pub use execute::{RESCUE_LEAST, RESCUE_MOST};
pub use motion::{Admission, Motion, Open, MAX_PROPOSED, MAX_VOICES, VOICE_MILLIS};
pub use peers::PREVIOUS_MILLIS;
pub use quota::{cost, CheckQuota, BURST, BYTES_PER_TOKEN, MOST_AHEAD, MOST_BYTES_A_DAY, REFILL_MILLIS};
pub use ready::{ready_payload, READY_CONTEXT};
pub use recovery::RECOVERY_MILLIS;
pub use session::{SESSION_MILLIS, SETTLE_MILLIS};
pub use terms::{Founding, Share, Thresholds};
#[cfg(any(feature = "runtime-benchmarks", test))]
pub use types::BenchmarkHelper;
pub use types::{
    node_key_of, peer_id_claim, peer_id_of, Institution, Institutions, NoteStalled, OnDeparture, PeerId, Profile,
    Witness, MAX_PEER_ID_LEN, MAX_PROFILE_LEN, PEER_ID_CONTEXT, PEER_ID_LEN,
};
pub use weights::WeightInfo;

pub use pallet::*;

use frame_support::pallet_macros::import_section;

/// Where the log lines of this pallet go.
pub(crate) const LOG_TARGET: &str = "runtime::consortium";

#[allow(clippy::expect_used)] // in what the macro writes
#[import_section(events::events)]
#[import_section(errors::errors)]
#[import_section(storage::storage)]
#[frame_support::pallet]
pub mod pallet {
    use crate::{
        motion::{Keys, Proof},
        terms, AddressList, Departed, Institution, Motion, Name, NoteStalled, OnDeparture, Open, PeerId, Profile,
        WeightInfo, Witness,
    };
    use alloc::{boxed::Box, vec::Vec};
    use consilium_primitives::{Consent, Recovery};
    use frame_support::{pallet_prelude::*, traits::Contains, DefaultNoBound, Parameter};
    use frame_system::{offchain::CreateAuthorizedTransaction, pallet_prelude::*};
    use sp_application_crypto::RuntimeAppPublic;
    use sp_runtime::traits::UniqueSaturatedInto;
    use sp_staking::SessionIndex;

    /// 2: blocks are of half a second.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(2);

    /// The pallet.
    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// What a runtime decides.
    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>>
        + pallet_session::Config<ValidatorId = <Self as frame_system::Config>::AccountId>
        + CreateAuthorizedTransaction<Call<Self>>
    {
        /// Who is told that an institution may no longer take part in studies.
        type OnDeparture: OnDeparture<Self::AccountId>;
        /// Who lets finality go on without validators that are gone.
        type Stalled: NoteStalled;
        /// Who makes blocks, and what accounts have signed.
        type Witness: Witness<Self::AccountId>;
        /// The session key with which a node says that it is in step.
        type ReadyKey: RuntimeAppPublic<Signature: Parameter> + Decode;
        /// Calls that [`CheckQuota`](crate::CheckQuota) does not count.
        type Unmetered: Contains<<Self as frame_system::Config>::RuntimeCall>;
        /// Weights of the calls and of planning a session.
        type WeightInfo: WeightInfo;
        /// Most institutions at a time, suspended ones included. Bounds every iteration of this pallet.
        #[pallet::constant]
        type MaxInstitutions: Get<u32>;
        /// Fewest validators that the chain may be left with.
        #[pallet::constant]
        type MinValidators: Get<u32>;
        /// Gives accounts session keys in benchmarks.
        #[cfg(any(feature = "runtime-benchmarks", test))]
        type BenchmarkHelper: crate::BenchmarkHelper<Self::AccountId, Self::ReadyKey>;
    }

    /// Limits of the pallet itself, which no runtime sets.
    #[pallet::extra_constants]
    impl<T: Config> Pallet<T> {
        /// Most motions that one institution may have open.
        #[pallet::constant_name(MaxOpenMotions)]
        fn max_open_motions() -> u32 {
            crate::MAX_PROPOSED
        }

        /// A slot, in milliseconds: one block, where nobody is away.
        #[pallet::constant_name(SlotMillis)]
        fn slot_millis() -> u64 {
            consilium_primitives::SLOT_MILLIS
        }
    }

    /// The consortium at the first block.
    ///
    /// Building it panics if the list is too long or names an account twice, if a name or a peer id has not the form
    /// that the calls ask for, if a peer id belongs to no institution or to two, if an address is none or belongs to no
    /// institution, if a threshold is half or less or can be held up by one of four, and if there are institutions but
    /// fewer than [`Config::MinValidators`] validators. Session keys are not asked for.
    #[pallet::genesis_config]
    #[derive(DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Account, name (UTF-8), validator flag, participant flag.
        pub institutions: Vec<(T::AccountId, Vec<u8>, bool, bool)>,
        /// Account and peer id (38 bytes, see [`peer_id_of`](crate::peer_id_of)) of nodes known beforehand.
        pub peer_ids: Vec<(T::AccountId, Vec<u8>)>,
        /// Account and addresses of nodes, see [`is_valid_address`](crate::is_valid_address).
        pub addresses: Vec<(T::AccountId, Vec<Vec<u8>>)>,
        /// What is agreed at founding.
        pub founding: terms::Founding,
        /// How many voices decide what.
        pub thresholds: terms::Thresholds,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Pallet::<T>::build_terms(&self.founding, &self.thresholds);
            Pallet::<T>::build_institutions(&self.institutions, &self.peer_ids);
            Pallet::<T>::build_addresses(&self.addresses);
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            Self::authorize_upgrade(now.unique_saturated_into());
            Self::note_author();
            let turn = UniqueSaturatedInto::<u32>::unique_saturated_into(now)
                .checked_rem(consilium_primitives::blocks(crate::SETTLE_MILLIS));
            let released = if turn == Some(0) { Self::release_served() } else { Weight::zero() };
            // of the upgrade, of whether the session ends, and of who has made the block
            T::DbWeight::get().reads_writes(6, 3).saturating_add(released)
        }

        fn on_runtime_upgrade() -> Weight {
            if StorageVersion::get::<Self>() >= STORAGE_VERSION {
                return T::DbWeight::get().reads(1);
            }
            let touched = Self::shorten_slots();
            STORAGE_VERSION.put::<Self>();
            T::DbWeight::get()
                .reads_writes(1, 1)
                .saturating_add(T::DbWeight::get().reads_writes(1, 1).saturating_mul(touched))
        }

        fn offchain_worker(now: BlockNumberFor<T>) {
            Self::say_ready(now.unique_saturated_into());
        }

        fn integrity_test() {
            assert!(T::MaxInstitutions::get() <= crate::MAX_VOICES, "a motion could not hold every voice");
            assert!(T::MinValidators::get() > 0, "MinValidators must not be 0: a chain without validators stops");
            assert!(
                T::MinValidators::get() <= T::MaxInstitutions::get(),
                "MinValidators must not be more than MaxInstitutions"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_n: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    /// Each call but [`ready`](Self::ready) is signed for an institution, and else refused with `NotAnInstitution`.
    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets what the signing institution says about itself.
        ///
        /// Errors: `InvalidProfile`.
        #[pallet::call_index(5)]
        #[pallet::weight(<T as Config>::WeightInfo::set_profile())]
        pub fn set_profile(origin: OriginFor<T>, profile: Profile) -> DispatchResult {
            Self::do_set_profile(Self::institution_of(origin)?, profile)
        }

        /// Claims, for the signing institution, the peer id of the node with ed25519 public key `node_key`.
        ///
        /// `signature` is that node key's ed25519 signature of [`peer_id_claim`](crate::peer_id_claim). The peer id claimed
        /// before counts beside it for another hour.
        ///
        /// Errors: `PeerIdTaken`, `InvalidPeerIdSignature`.
        #[pallet::call_index(6)]
        #[pallet::weight(<T as Config>::WeightInfo::set_peer_id())]
        pub fn set_peer_id(origin: OriginFor<T>, node_key: [u8; 32], signature: [u8; 64]) -> DispatchResult {
            Self::do_set_peer_id(Self::institution_of(origin)?, node_key, signature)
        }

        /// Takes the signing institution out of the consortium.
        ///
        /// With effect at once on its studies, its session keys and its account, and on the set of validators once two
        /// sessions have ended.
        ///
        /// Errors: `TooFewValidators`.
        #[pallet::call_index(7)]
        #[pallet::weight(<T as Config>::WeightInfo::leave(T::MaxInstitutions::get()).saturating_add(T::OnDeparture::weight()))]
        pub fn leave(origin: OriginFor<T>) -> DispatchResult {
            Self::do_leave(Self::institution_of(origin)?)
        }

        /// Puts a motion to the vote; the signing institution's own vote is aye.
        ///
        /// Errors: `NoVoice`, `TooManyMotions`, and those of what it would do.
        #[pallet::call_index(8)]
        #[pallet::weight(Pallet::<T>::vote_weight().saturating_mul(2))]
        pub fn propose(origin: OriginFor<T>, motion: Motion<T::AccountId, T::Hash>) -> DispatchResult {
            Self::do_propose(Self::institution_of(origin)?, motion)
        }

        /// Votes on motion `id`.
        ///
        /// May be changed until the motion is decided; the deciding vote executes it.
        ///
        /// Errors: `NoVoice`, `NoSuchMotion`, `MotionExpired`.
        #[pallet::call_index(9)]
        #[pallet::weight(Pallet::<T>::vote_weight())]
        pub fn vote(origin: OriginFor<T>, id: u32, aye: bool) -> DispatchResult {
            Self::do_vote(Self::institution_of(origin)?, id, aye)
        }

        /// Takes away motion `id`, whose time is over.
        ///
        /// Errors: `NoVoice`, `NoSuchMotion`, `MotionOpen`.
        #[pallet::call_index(10)]
        #[pallet::weight(<T as Config>::WeightInfo::close())]
        pub fn close(origin: OriginFor<T>, id: u32) -> DispatchResult {
            Self::do_close(Self::institution_of(origin)?, id)
        }

        /// Says where the signing institution's node can be reached.
        ///
        /// Errors: `InvalidAddress`.
        #[pallet::call_index(11)]
        #[pallet::weight(<T as Config>::WeightInfo::set_addresses())]
        pub fn set_addresses(origin: OriginFor<T>, addresses: AddressList) -> DispatchResult {
            Self::do_set_addresses(Self::institution_of(origin)?, addresses)
        }

        /// Replaces the signing institution's session keys.
        ///
        /// `keys` and `proof` are as `pallet_session`'s `set_keys` takes them, the proof for the institution's first account.
        /// Votes are signed with the new keys at once; blocks once two sessions have ended, which this hastens once an hour.
        ///
        /// Errors: `InvalidSessionKeys`, and those of `pallet_session`.
        #[pallet::call_index(12)]
        #[pallet::weight(<T as Config>::WeightInfo::rotate_keys())]
        pub fn rotate_keys(origin: OriginFor<T>, keys: Keys, proof: Proof) -> DispatchResult {
            Self::do_rotate_keys(Self::institution_of(origin)?, &keys, proof.into_inner())
        }

        /// Says that the node of `institution`, a validator that was admitted or reinstated in block `since`, is in step.
        ///
        /// Sent by that node, signed by its [`Config::ReadyKey`] over [`ready_payload`](crate::ready_payload). Operational,
        /// as votes are.
        #[pallet::call_index(13)]
        #[pallet::weight((<T as Config>::WeightInfo::ready(), DispatchClass::Operational))]
        #[pallet::authorize(Self::authorize_ready)]
        #[pallet::weight_of_authorize(<T as Config>::WeightInfo::authorize_ready())]
        pub fn ready(
            origin: OriginFor<T>,
            institution: T::AccountId,
            since: u32,
            _signature: <T::ReadyKey as RuntimeAppPublic>::Signature,
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            Self::do_ready(institution, since)
        }

        /// Takes those out of the consortium whose nodes are gone for good, by the word of those who remain.
        ///
        /// Sent by any of them.
        ///
        /// Errors: those of [`check_recovery`](Self::check_recovery), `RecoveryTooOld`, `RecoveredAlready`, `StillHeard`,
        /// `TooFewValidators`, `TooManyRemoved`.
        #[pallet::call_index(14)]
        #[pallet::weight((Pallet::<T>::recover_weight(recovery.lost.len(), consents.len()), DispatchClass::Operational))]
        pub fn recover(
            origin: OriginFor<T>,
            recovery: Box<Recovery<T::AccountId>>,
            consents: Vec<Consent<T::AccountId>>,
        ) -> DispatchResult {
            Self::institution_of(origin)?;
            Self::do_recover(&recovery, &consents)
        }
    }
}
