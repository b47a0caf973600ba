//! What the pallet keeps.

use frame_support::pallet_macros::pallet_section;

/// The storage of the pallet.
#[pallet_section]
mod storage {
    /// Number of the next study.
    #[pallet::storage]
    pub type NextStudy<T> = StorageValue<_, StudyId, ValueQuery>;

    /// All studies there ever were.
    #[pallet::storage]
    pub type Studies<T> = StorageMap<_, Twox64Concat, StudyId, StudyInfo>;

    /// Their specs, in the bytes that were signed.
    #[pallet::storage]
    pub type Specs<T> = StorageMap<_, Twox64Concat, StudyId, Spec>;

    /// Studies that have not ended, with their proposers.
    #[pallet::storage]
    pub type Running<T> = StorageValue<_, BoundedVec<(StudyId, InstitutionId), ConstU32<MAX_RUNNING>>, ValueQuery>;

    /// Running studies by the hash of their agreement: no two have the same.
    #[pallet::storage]
    pub type Agreements<T> = StorageMap<_, Identity, Hash, StudyId>;

    /// Studies that ended lately, oldest first: late acknowledgements are still asked for, and blobs served.
    #[pallet::storage]
    pub type Ended<T> = StorageValue<_, BoundedVec<StudyId, ConstU32<MAX_RUNNING>>, ValueQuery>;

    /// Studies whose deadline is this block.
    #[pallet::storage]
    pub type Agenda<T> = StorageMap<_, Twox64Concat, u32, BoundedVec<StudyId, ConstU32<MAX_RUNNING>>, ValueQuery>;

    /// Where in the agenda a running study stands.
    #[pallet::storage]
    pub type Scheduled<T> = StorageMap<_, Twox64Concat, StudyId, u32>;

    /// Closed rounds: study, then (kind, round).
    #[pallet::storage]
    pub type History<T> = StorageDoubleMap<_, Twox64Concat, StudyId, Twox64Concat, (Kind, u32), RoundRecord>;

    /// Losses that participants reported for the merge of a round, in micro-units; by study and round.
    #[pallet::storage]
    pub type Losses<T> =
        StorageDoubleMap<_, Twox64Concat, StudyId, Twox64Concat, u32, PerMember<(InstitutionId, u32)>, ValueQuery>;

    /// What institutions have posted for masked sums: study, then (round, pairing, step, institution).
    ///
    /// Keys, deals and shares; they stay as long as the round's masked files.
    #[pallet::storage]
    pub type Postings<T> =
        StorageDoubleMap<_, Twox64Concat, StudyId, Twox64Concat, (u32, u32, PostStep, InstitutionId), Posting>;

    /// Pairings of a study of which there are postings: (round, pairing).
    #[pallet::storage]
    pub type Kept<T> = StorageMap<_, Twox64Concat, StudyId, BoundedVec<(u32, u32), ConstU32<MAX_KEPT>>, ValueQuery>;

    /// Pairings whose postings are over, oldest first: (study, round, pairing). Each block forgets one.
    #[pallet::storage]
    pub type Over<T> = StorageValue<_, BoundedVec<(StudyId, u32, u32), ConstU32<MAX_OVER>>, ValueQuery>;

    /// Studies with postings whose updates are over in this block.
    #[pallet::storage]
    pub type Sweeps<T> = StorageMap<_, Twox64Concat, u32, BoundedVec<StudyId, ConstU32<MAX_RUNNING>>, ValueQuery>;

    /// What institutions' data sets may cost and have cost, by institution and by a hash of the data set's name.
    #[pallet::storage]
    pub type Budgets<T> = StorageDoubleMap<_, Twox64Concat, InstitutionId, Identity, Hash, Budget>;

    /// How many budgets an institution has declared.
    #[pallet::storage]
    pub type Datasets<T> = StorageMap<_, Twox64Concat, InstitutionId, u32, ValueQuery>;

    /// Which data set each participant of a private study counts for, and what was charged to it: by study and institution.
    ///
    /// It stays, as what an audit adds up.
    #[pallet::storage]
    pub type Counts<T> = StorageDoubleMap<_, Twox64Concat, StudyId, Twox64Concat, InstitutionId, Counted>;

    /// How many steps a study has made: what the chain says of its blobs changes with no other cause than one, or time.
    #[pallet::storage]
    pub type Steps<T> = StorageMap<_, Twox64Concat, StudyId, u64, ValueQuery>;
}
