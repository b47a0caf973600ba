//! What the node and people's tools read from the consortium pallet.
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(missing_docs)] // the macro's own items

extern crate alloc;

use alloc::vec::Vec;
use codec::Codec;
use consilium_primitives::{Consent, Member, Recovery};

sp_api::decl_runtime_apis! {
    /// Members, and who must stay connected.
    pub trait ConsortiumApi<AccountId> where AccountId: Codec {
        /// All institutions by account, in ascending order, with those that were removed or have left and are still in a set
        /// of validators or in a merge that runs.
        fn members() -> Vec<Member<AccountId>>;
        /// The accounts in the active and in the queued set of validators, and those of who has left or was removed and goes on
        /// serving a merge; ascending.
        fn keep_connected() -> Vec<AccountId>;
        /// What speaks, in this state, against going on by a recovery: the name of the pallet's error, in UTF-8.
        #[api_version(2)]
        fn recovery_error(recovery: Recovery<AccountId>, consents: Vec<Consent<AccountId>>) -> Option<Vec<u8>>;
        /// Whether nothing on the chain waits for a time that is counted in blocks, so that slots may be left out.
        #[api_version(3)]
        fn idle() -> bool;
    }
}
