//! Studies in the layout of storage version 1, and how they become those of now.

use crate::{Config, History, Studies, StudyInfo};
use codec::{Decode, Encode};
use consilium_primitives::{
    round::{old, Kind},
    Hash,
};

/// [`StudyInfo`] of then.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs)] // as there
pub struct OldStudyInfo {
    pub agreement: Hash,
    pub spec_hash: Hash,
    pub registered_at: u32,
    pub state: old::Study,
}

/// Rewrites all studies that stand in the old layout; how many they were. To be called once, where the storage is of version 1.
pub fn rewrite_studies<T: Config>() -> u32 {
    let mut count = 0u32;
    Studies::<T>::translate::<OldStudyInfo, _>(|study, before| {
        count = count.saturating_add(1);
        let root = |round| History::<T>::get(study, (Kind::Model, round)).map(|record| record.root);
        Some(StudyInfo {
            agreement: before.agreement,
            spec_hash: before.spec_hash,
            registered_at: before.registered_at,
            state: before.state.now(root),
        })
    });
    count
}
