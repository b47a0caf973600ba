//! What the node reads from the swarm-learning chain.
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(missing_docs)] // the macro's own items

extern crate alloc;

use alloc::vec::Vec;
use consilium_primitives::{BlobNotice, DutyOrder, InstitutionId, InstitutionNotice};

sp_api::decl_runtime_apis! {
    /// Institutions, duties and blobs.
    pub trait SwarmApi {
        /// All institutions, sorted by id.
        fn institutions() -> Vec<InstitutionNotice>;
        /// What is asked of one institution now.
        fn orders(institution: InstitutionId) -> Vec<DutyOrder>;
        /// Blobs of the studies that run or ended lately. Asked at a finalised block, the updates in it may be served.
        fn blobs() -> Vec<BlobNotice>;
    }
}
