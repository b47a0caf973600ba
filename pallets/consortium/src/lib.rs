//! The institutions of a consortium: who is admitted, what each may do, and who makes blocks.
//!
//! # Overview
//!
//! A consortium is a closed group of hospitals, laboratories or companies that train models together. This pallet keeps
//! the list of them. Each institution has an account that its people hold, a name, a profile that it writes itself, and
//! two independent flags: a *validator* makes and finalises blocks, a *participant* takes part in studies. The
//! consortium admits, suspends, reinstates and removes institutions; an institution may leave whenever it wishes, unless
//! the chain could not go on without it.
//!
//! # Terminology
//!
//! * **Institution**: an account admitted to the consortium.
//! * **Member**: an institution that is not suspended.
//! * **Active validator**: a member with the validator flag. It **stands** once it has registered session keys: a
//!   validator without keys makes no blocks.
//! * **Peer id**: the name of an institution's node in the network, derived from the node's ed25519 key.
//! * **Departure**: an institution may no longer take part in studies; see [`OnDeparture`].
//!
//! # States of an institution
//!
//! ```text
//!             admit                 suspend
//! (unknown) ─────────► member ◄──────────────► suspended
//!     ▲                  │        reinstate        │
//!     └──────────────────┴─────────────────────────┘
//!                   leave, remove
//! ```
//!
//! The flags may change in either state; while suspended they have no effect. Changes to the set of validators become
//! effective after one to two sessions.
//!
//! # Extrinsics
//!
//! * [`admit`](Pallet::admit), [`set_flags`](Pallet::set_flags), [`suspend`](Pallet::suspend),
//!   [`reinstate`](Pallet::reinstate), [`remove`](Pallet::remove): by the consortium.
//! * [`set_profile`](Pallet::set_profile), [`set_peer_id`](Pallet::set_peer_id), [`leave`](Pallet::leave): by the
//!   institution itself, also while it is suspended, so that it can put right what it was suspended for.
//!
//! # Origins
//!
//! [`Config::AdminOrigin`] speaks for the consortium; a vote is meant. An institution signs for itself.
//!
//! # Implementation notes
//!
//! * There are never fewer than [`Config::MinValidators`] standing validators by a call of this pallet: what would lead
//!   there is refused. A validator that purges its session keys is beyond this pallet's reach; a runtime should refuse
//!   `session.purge_keys` to whoever [`is_active_validator`](Pallet::is_active_validator).
//! * As [`SessionManager`](pallet_session::SessionManager), the pallet hands over a set only if it differs from the last
//!   one, for each set handed over makes GRANDPA change its voters.
//! * Admission provides for the account's existence, so that an institution can sign where there are no fees and no
//!   balances. Removal takes that back unless something still needs the account (registered session keys do). An account
//!   that ceases to exist begins again at nonce 0 if it is admitted again: sign mortal transactions.
//! * The genesis configuration of this pallet has to be built before that of `pallet_session`, which asks it for the
//!   first validators.
//! * Everything is bounded by [`Config::MaxInstitutions`], so iterating over all institutions is, too.
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
mod institutions;
mod members;
#[cfg(test)]
mod mock;
mod motions;
mod session;
mod terms;
#[cfg(test)]
mod tests;
mod types;
pub mod weights;

pub use addresses::{is_valid_address, Address, AddressList, MAX_ADDRESSES, MAX_ADDRESS_LEN};
pub use motions::{Admission, Motion, Open, MAX_PROPOSED, MAX_VOICES, VOICE_MILLIS};
pub use terms::{Founding, Share, Thresholds};
#[cfg(any(feature = "runtime-benchmarks", test))]
pub use types::BenchmarkHelper;
pub use types::{
    node_key_of, peer_id_claim, peer_id_of, Institution, Institutions, Name, NoteStalled, OnDeparture, PeerId, Profile,
    MAX_NAME_LEN, MAX_PEER_ID_LEN, MAX_PROFILE_LEN, PEER_ID_CONTEXT, PEER_ID_LEN,
};
pub use weights::WeightInfo;

pub use pallet::*;

/// Where the log lines of this pallet go.
pub(crate) const LOG_TARGET: &str = "runtime::consortium";

#[allow(clippy::expect_used)] // in what the macro writes
#[frame_support::pallet]
pub mod pallet {
    use crate::{
        terms, AddressList, Institution, Motion, Name, NoteStalled, OnDeparture, Open, PeerId, Profile, WeightInfo,
    };
    use alloc::vec::Vec;
    use frame_support::{pallet_prelude::*, DefaultNoBound};
    use frame_system::pallet_prelude::*;
    use sp_staking::SessionIndex;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    /// The pallet.
    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// What a runtime decides.
    #[pallet::config]
    pub trait Config:
        frame_system::Config<RuntimeEvent: From<Event<Self>>>
        + pallet_session::Config<ValidatorId = <Self as frame_system::Config>::AccountId>
    {
        /// Who speaks for the consortium.
        type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// Who is told that an institution may no longer take part in studies.
        type OnDeparture: OnDeparture<Self::AccountId>;
        /// Who lets finality go on without validators that are gone.
        type Stalled: NoteStalled;
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
        type BenchmarkHelper: crate::BenchmarkHelper<Self::AccountId>;
    }

    /// The institutions, by account. At most [`Config::MaxInstitutions`], which is what bounds its iteration.
    #[pallet::storage]
    pub type Institutions<T: Config> = CountedStorageMap<_, Blake2_128Concat, T::AccountId, Institution>;

    /// Whose node has a peer id. Keeps peer ids unique; at most one entry for each institution.
    #[pallet::storage]
    pub type PeerIds<T: Config> = StorageMap<_, Blake2_128Concat, PeerId, T::AccountId>;

    /// The validators last handed to the session pallet, ascending, less those that it has since skipped for want of keys.
    #[pallet::storage]
    pub type PlannedValidators<T: Config> = StorageValue<_, BoundedVec<T::AccountId, T::MaxInstitutions>, ValueQuery>;

    /// Where the institutions' nodes can be reached; none stands here for who only dials.
    #[pallet::storage]
    pub type Addresses<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, AddressList, ValueQuery>;

    /// What was agreed at founding.
    #[pallet::storage]
    pub type Founding<T: Config> = StorageValue<_, terms::Founding, ValueQuery>;

    /// How many voices decide what.
    #[pallet::storage]
    pub type Thresholds<T: Config> = StorageValue<_, terms::Thresholds, ValueQuery>;

    /// Motions that are voted on; at most [`MAX_PROPOSED`](crate::MAX_PROPOSED) of each institution.
    #[pallet::storage]
    pub type Motions<T: Config> = CountedStorageMap<_, Twox64Concat, u32, Open<T::AccountId, T::Hash>>;

    /// Number of the next motion.
    #[pallet::storage]
    pub type NextMotion<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// Hash of the runtime that was decided, and the block from which on anybody may apply it.
    #[pallet::storage]
    pub type PendingUpgrade<T: Config> = StorageValue<_, (T::Hash, u32)>;

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
            Pallet::<T>::build_genesis(&self.institutions, &self.peer_ids);
            Pallet::<T>::build_addresses(&self.addresses);
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(crate) fn deposit_event)]
    pub enum Event<T: Config> {
        /// The consortium admitted an institution.
        Admitted {
            /// The institution.
            institution: T::AccountId,
            /// Its name.
            name: Name,
            /// Is to make blocks.
            validator: bool,
            /// May take part in studies.
            participant: bool,
        },
        /// The consortium set an institution's flags.
        FlagsSet {
            /// The institution.
            institution: T::AccountId,
            /// Is to make blocks.
            validator: bool,
            /// May take part in studies.
            participant: bool,
        },
        /// The consortium suspended an institution.
        Suspended {
            /// The institution.
            institution: T::AccountId,
        },
        /// The consortium reinstated an institution.
        Reinstated {
            /// The institution.
            institution: T::AccountId,
        },
        /// The consortium removed an institution.
        Removed {
            /// The institution.
            institution: T::AccountId,
        },
        /// An institution left the consortium.
        Left {
            /// The institution.
            institution: T::AccountId,
        },
        /// An institution changed what it says about itself.
        ProfileSet {
            /// The institution.
            institution: T::AccountId,
        },
        /// An institution claimed the peer id of its node.
        PeerIdSet {
            /// The institution.
            institution: T::AccountId,
            /// The peer id.
            peer_id: PeerId,
        },
        /// An institution said where its node can be reached.
        AddressesSet {
            /// The institution.
            institution: T::AccountId,
        },
        /// A motion was put to the vote.
        Proposed {
            /// Its number.
            motion: u32,
            /// Who proposed it.
            proposer: T::AccountId,
        },
        /// An institution voted.
        Voted {
            /// The motion.
            motion: u32,
            /// The institution.
            institution: T::AccountId,
            /// For it.
            aye: bool,
        },
        /// A motion was decided, and done.
        Passed {
            /// The motion.
            motion: u32,
        },
        /// A motion was decided, and could not be done any more.
        Failed {
            /// The motion.
            motion: u32,
            /// Why.
            error: DispatchError,
        },
        /// A motion can no longer pass.
        Rejected {
            /// The motion.
            motion: u32,
        },
        /// A motion was not decided in time.
        Expired {
            /// The motion.
            motion: u32,
        },
        /// A new set of validators was handed over for a session.
        ValidatorsPlanned {
            /// The session that it is for.
            session: SessionIndex,
            /// Number of validators.
            validators: u32,
        },
    }

    /// Why a call was refused, and what to do.
    #[pallet::error]
    pub enum Error<T> {
        /// The account is no institution of this consortium. Check the account, or have it admitted first.
        NotAnInstitution,
        /// The account is an institution already. Change its flags with `set_flags`, or reinstate it.
        AlreadyAdmitted,
        /// The consortium is full. Remove an institution first.
        TooManyInstitutions,
        /// The name is empty, not UTF-8, or has control or format characters. Give it as 1 to 64 bytes of plain text.
        InvalidName,
        /// The profile is not UTF-8 or has control or format characters. Give it as plain text; line feeds are allowed.
        InvalidProfile,
        /// The institution has no session keys, without which a validator makes no blocks. Admit it without the validator
        /// flag, let it register keys with `session.set_keys`, then set the flag.
        NoSessionKeys,
        /// Fewer validators with session keys would remain than the chain needs. Make another institution a validator
        /// first.
        TooFewValidators,
        /// The institution is suspended already. Reinstate or remove it.
        AlreadySuspended,
        /// The institution is not suspended, so there is nothing to reinstate.
        NotSuspended,
        /// The node key did not sign this peer id for this institution on this chain. Let the node sign it again.
        InvalidPeerIdSignature,
        /// Another institution has claimed this peer id. Give this node a node key of its own.
        PeerIdTaken,
        /// An address is not `/dns`, `/ip4` or `/ip6` with `/tcp` and a port, or is private and the founding forbids that.
        InvalidAddress,
        /// The session keys are not those of this runtime. Let the node's own `make-keys` write them.
        InvalidSessionKeys,
        /// A suspended institution neither proposes nor votes. Have it reinstated first.
        NoVoice,
        /// The institution has three motions open already. Wait for one to be decided.
        TooManyMotions,
        /// There is no open motion of this number.
        NoSuchMotion,
        /// The motion's time is over. Propose it again.
        MotionExpired,
        /// The motion can still be voted on.
        MotionOpen,
        /// More voices than a consortium can have.
        TooManyVoices,
        /// A threshold is half or less, or one of four institutions could hold it up for ever.
        UnsoundThresholds,
        /// The delay of a new runtime is shorter than agreed at founding.
        DelayTooShort,
        /// Another runtime is decided already. Cancel that first.
        UpgradePending,
        /// No runtime is pending, so there is nothing to cancel.
        NothingPending,
        /// The block is in the future: it cannot be final.
        NotFinalYet,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            let now = sp_runtime::traits::UniqueSaturatedInto::<u32>::unique_saturated_into(now);
            Self::authorize_upgrade(now);
            T::DbWeight::get().reads_writes(1, 2)
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

    /// What the consortium and its institutions may do.
    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Admits `institution` to the consortium. Origin: [`Config::AdminOrigin`].
        ///
        /// A newcomer can register session keys only after its admission, so a validator is usually admitted without the
        /// flag and given it by [`set_flags`](Self::set_flags).
        ///
        /// Errors: `InvalidName`, `AlreadyAdmitted`, `TooManyInstitutions`, `NoSessionKeys`.
        #[pallet::call_index(0)]
        #[pallet::weight(<T as Config>::WeightInfo::admit())]
        pub fn admit(
            origin: OriginFor<T>,
            institution: T::AccountId,
            name: Name,
            validator: bool,
            participant: bool,
        ) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_admit(institution, name, validator, participant)
        }

        /// Sets both flags of `institution`. Origin: [`Config::AdminOrigin`].
        ///
        /// Errors: `NotAnInstitution`, `NoSessionKeys`, `TooFewValidators`.
        #[pallet::call_index(1)]
        #[pallet::weight(
            <T as Config>::WeightInfo::set_flags(T::MaxInstitutions::get()).saturating_add(T::OnDeparture::weight())
        )]
        pub fn set_flags(
            origin: OriginFor<T>,
            institution: T::AccountId,
            validator: bool,
            participant: bool,
        ) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_set_flags(institution, validator, participant)
        }

        /// Suspends `institution`: its flags have no effect until it is reinstated. Origin: [`Config::AdminOrigin`].
        ///
        /// Errors: `NotAnInstitution`, `AlreadySuspended`, `TooFewValidators`.
        #[pallet::call_index(2)]
        #[pallet::weight(
            <T as Config>::WeightInfo::suspend(T::MaxInstitutions::get()).saturating_add(T::OnDeparture::weight())
        )]
        pub fn suspend(origin: OriginFor<T>, institution: T::AccountId) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_suspend(institution)
        }

        /// Reinstates `institution` with the flags that it has. Origin: [`Config::AdminOrigin`].
        ///
        /// Errors: `NotAnInstitution`, `NotSuspended`, `NoSessionKeys`.
        #[pallet::call_index(3)]
        #[pallet::weight(<T as Config>::WeightInfo::reinstate())]
        pub fn reinstate(origin: OriginFor<T>, institution: T::AccountId) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_reinstate(institution)
        }

        /// Removes `institution` from the consortium. Origin: [`Config::AdminOrigin`].
        ///
        /// Errors: `NotAnInstitution`, `TooFewValidators`.
        #[pallet::call_index(4)]
        #[pallet::weight(
            <T as Config>::WeightInfo::remove(T::MaxInstitutions::get()).saturating_add(T::OnDeparture::weight())
        )]
        pub fn remove(origin: OriginFor<T>, institution: T::AccountId) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_discharge(&institution)?;
            Self::deposit_event(Event::Removed { institution });
            Ok(())
        }

        /// Sets what the signing institution says about itself.
        ///
        /// Errors: `InvalidProfile`, `NotAnInstitution`.
        #[pallet::call_index(5)]
        #[pallet::weight(<T as Config>::WeightInfo::set_profile())]
        pub fn set_profile(origin: OriginFor<T>, profile: Profile) -> DispatchResult {
            let institution = ensure_signed(origin)?;
            Self::do_set_profile(institution, profile)
        }

        /// Claims, for the signing institution, the peer id of the node with ed25519 public key `node_key`.
        ///
        /// `signature` is that node key's ed25519 signature of [`peer_id_claim`](crate::peer_id_claim). A peer id claimed
        /// before is given up.
        ///
        /// Errors: `NotAnInstitution`, `PeerIdTaken`, `InvalidPeerIdSignature`.
        #[pallet::call_index(6)]
        #[pallet::weight(<T as Config>::WeightInfo::set_peer_id())]
        pub fn set_peer_id(origin: OriginFor<T>, node_key: [u8; 32], signature: [u8; 64]) -> DispatchResult {
            let institution = ensure_signed(origin)?;
            Self::do_set_peer_id(institution, node_key, signature)
        }

        /// Takes the signing institution out of the consortium, with effect at once on its studies and after one to two
        /// sessions on the set of validators.
        ///
        /// Errors: `NotAnInstitution`, `TooFewValidators`.
        #[pallet::call_index(7)]
        #[pallet::weight(<T as Config>::WeightInfo::leave(T::MaxInstitutions::get()).saturating_add(T::OnDeparture::weight()))]
        pub fn leave(origin: OriginFor<T>) -> DispatchResult {
            let institution = ensure_signed(origin)?;
            Self::do_discharge(&institution)?;
            Self::deposit_event(Event::Left { institution });
            Ok(())
        }

        /// Puts a motion to the vote; the signing institution's own vote is aye.
        ///
        /// Errors: `NotAnInstitution`, `NoVoice`, `TooManyMotions`, and those of what it would do.
        #[pallet::call_index(8)]
        #[pallet::weight(Pallet::<T>::vote_weight().saturating_mul(2))]
        pub fn propose(origin: OriginFor<T>, motion: Motion<T::AccountId, T::Hash>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_propose(who, motion)
        }

        /// Votes on motion `id`. May be changed until the motion is decided; the deciding vote executes it.
        ///
        /// Errors: `NotAnInstitution`, `NoVoice`, `NoSuchMotion`, `MotionExpired`.
        #[pallet::call_index(9)]
        #[pallet::weight(Pallet::<T>::vote_weight())]
        pub fn vote(origin: OriginFor<T>, id: u32, aye: bool) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_vote(who, id, aye)
        }

        /// Takes away motion `id`, whose time is over. Anyone may.
        ///
        /// Errors: `NoSuchMotion`, `MotionOpen`.
        #[pallet::call_index(10)]
        #[pallet::weight(T::DbWeight::get().reads_writes(2, 3))]
        pub fn close(origin: OriginFor<T>, id: u32) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_close(id)
        }

        /// Says where the signing institution's node can be reached.
        ///
        /// Errors: `NotAnInstitution`, `InvalidAddress`.
        #[pallet::call_index(11)]
        #[pallet::weight(<T as Config>::WeightInfo::set_profile())]
        pub fn set_addresses(origin: OriginFor<T>, addresses: AddressList) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_set_addresses(who, addresses)
        }
    }
}

impl<T: Config> Pallet<T> {
    /// Most that a vote can cost, not measured: what counting reads, and the dearest motion. Admitting registers keys, whose
    /// proof is three signatures.
    fn vote_weight() -> frame_support::weights::Weight {
        use frame_support::{traits::Get, weights::Weight};
        let most = T::MaxInstitutions::get();
        let motion = <T as Config>::WeightInfo::admit()
            .saturating_add(<T as Config>::WeightInfo::set_peer_id())
            .saturating_add(<T as Config>::WeightInfo::set_profile())
            .saturating_add(Weight::from_parts(300_000_000, 0))
            .saturating_add(<T as Config>::WeightInfo::set_flags(most));
        let discharge = <T as Config>::WeightInfo::remove(most).saturating_add(T::OnDeparture::weight());
        let counting = T::DbWeight::get().reads_writes(u64::from(most).saturating_mul(6), 4);
        motion.max(discharge).saturating_add(counting)
    }
}
