//! What the node reads from the swarm-learning chain.
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(missing_docs)] // the macro's own items

extern crate alloc;

use alloc::vec::Vec;
use consilium_primitives::{Change, DutyOrder, InstitutionId, InstitutionNotice, MaskedBlobs, StudyBlobs, StudyId};

sp_api::decl_runtime_apis! {
    /// Institutions, duties and blobs.
    pub trait SwarmApi {
        /// All institutions, sorted by id.
        fn institutions() -> Vec<InstitutionNotice>;
        /// What is asked of one institution now.
        fn orders(institution: InstitutionId) -> Vec<DutyOrder>;
        /// Blobs of the studies that run or ended lately. Asked at a finalised block, the updates in it may be served, and
        /// merged files of its studies that are not in it may be removed.
        fn blobs() -> Vec<StudyBlobs>;
        /// Blobs of one study, be it among those or not; `None` where there is no such study.
        fn blobs_of(study: StudyId) -> Option<StudyBlobs>;
        /// Block in which a study ended, be it among those or not; `None` while it runs and where there is none. Asked at a
        /// finalised block, it is over for good, and its updates are once
        /// [`UPDATES_AFTER_END`](consilium_primitives::rules::UPDATES_AFTER_END) more blocks have passed.
        fn ended(study: StudyId) -> Option<u32>;
        /// What tells whether the answers on institutions and blobs have changed. They may be long, and this is not.
        #[api_version(2)]
        fn change() -> Change;
        /// Masked files of those studies among them that have any; [`blobs`](SwarmApi::blobs) has none of these. They may be served as
        /// soon as they are named here, at the best block: without what is opened later each is random words.
        #[api_version(3)]
        fn masked_blobs() -> Vec<MaskedBlobs>;
    }
}
