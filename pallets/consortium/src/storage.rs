//! What the pallet keeps.

use frame_support::pallet_macros::pallet_section;

/// The storage of the pallet.
#[pallet_section]
mod storage {
    /// The institutions, by account. At most [`Config::MaxInstitutions`], which is what bounds its iteration.
    #[pallet::storage]
    pub type Institutions<T: Config> = CountedStorageMap<_, Blake2_128Concat, T::AccountId, Institution>;

    /// Institutions that were removed or have left, while they are in the active or the queued set of validators, or in a merge.
    ///
    /// As many as these sets have members, at most, and as many again as there may be institutions for what they have made for
    /// a merge that runs.
    #[pallet::storage]
    pub type Leaving<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Departed>;

    /// Who was removed within fourteen days, with the block from which on they are counted.
    ///
    /// See [`VOICE_MILLIS`](crate::VOICE_MILLIS).
    #[pallet::storage]
    pub type Removed<T: Config> = StorageValue<_, BoundedVec<(T::AccountId, u32), T::MaxInstitutions>, ValueQuery>;

    /// Accounts that sign for an institution other than themselves.
    #[pallet::storage]
    pub type Signers<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId>;

    /// The inverse of [`Signers`]: for these institutions another account signs.
    #[pallet::storage]
    pub type SignerOf<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId>;

    /// Tokens that an institution had left for its calls, and the block in which that was so. None: all of them.
    #[pallet::storage]
    pub type Quota<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, (u32, u32)>;

    /// Whose node has a peer id. Keeps peer ids unique; at most two entries for each institution.
    #[pallet::storage]
    pub type PeerIds<T: Config> = StorageMap<_, Blake2_128Concat, PeerId, T::AccountId>;

    /// The peer id that an institution's node had before, and the last block in which it still counts.
    #[pallet::storage]
    pub type PreviousPeer<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, (PeerId, u32)>;

    /// The validators last handed to the session pallet, ascending, less those that it has since skipped for want of keys.
    #[pallet::storage]
    pub type PlannedValidators<T: Config> = StorageValue<_, BoundedVec<T::AccountId, T::MaxInstitutions>, ValueQuery>;

    /// Block in which a session ended last.
    #[pallet::storage]
    pub type LastEnd<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// Block of the last change of the set of validators or its keys, and how many sessions must end for it.
    #[pallet::storage]
    pub type Changed<T: Config> = StorageValue<_, (u32, u8)>;

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

    /// Slot of the last block, and for how many slots the chain has been awake since it has counted them.
    ///
    /// Counted are the slots between two blocks, but no more than two turns of all validators, for then it stood.
    #[pallet::storage]
    pub type Awake<T: Config> = StorageValue<_, (u64, u64), ValueQuery>;

    /// The active validators, in their order, with how long the chain had been awake at each one's last block, in slots.
    ///
    /// Of who has made none yet, at the block since which it is one.
    #[pallet::storage]
    pub type Heard<T: Config> = StorageValue<_, BoundedVec<(T::AccountId, u64), T::MaxInstitutions>, ValueQuery>;

    /// Last final block of the last recovery.
    #[pallet::storage]
    pub type Recovered<T: Config> = StorageValue<_, u32>;
}
