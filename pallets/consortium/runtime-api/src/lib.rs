//! What the node and people's tools read from the consortium pallet.
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(missing_docs)] // the macro's own items

extern crate alloc;

use alloc::vec::Vec;
use codec::Codec;
use consilium_primitives::Member;

sp_api::decl_runtime_apis! {
    /// Members, and who must stay connected.
    pub trait ConsortiumApi<AccountId> where AccountId: Codec {
        /// All institutions by account, in ascending order, with those that were removed or have left and are still in a set
        /// of validators.
        fn members() -> Vec<Member<AccountId>>;
        /// The accounts in the active and in the queued set of validators, ascending.
        fn keep_connected() -> Vec<AccountId>;
    }
}
