//! What the pallets' benchmarks need of the runtime: session keys for institutions that nobody is.

use crate::{AccountId, Runtime, SessionKeys};
use alloc::vec::Vec;
use codec::Encode;

/// Session keys for a benchmark: unlike all others', and nobody's.
pub(crate) fn unspendable_keys(who: &AccountId) -> SessionKeys {
    use sp_core::crypto::UncheckedFrom;
    let bytes: [u8; 32] = *who.as_ref();
    SessionKeys {
        aura: sp_core::sr25519::Public::unchecked_from(bytes).into(),
        grandpa: sp_core::ed25519::Public::unchecked_from(bytes).into(),
        swarm: sp_core::sr25519::Public::unchecked_from(bytes).into(),
    }
}

/// Gives institutions session keys in benchmarks.
pub struct RegisterKeys;

impl pallet_consortium::BenchmarkHelper<AccountId, pallet_swarm_learning::sr25519::AuthorityId> for RegisterKeys {
    fn register_keys(who: &AccountId) {
        pallet_session::NextKeys::<Runtime>::insert(who, unspendable_keys(who));
    }
    fn register_ready_key(who: &AccountId, key: pallet_swarm_learning::sr25519::AuthorityId) {
        let keys = SessionKeys { swarm: key, ..unspendable_keys(who) };
        pallet_session::NextKeys::<Runtime>::insert(who, keys);
    }
    fn generate_keys(who: &AccountId) -> (Vec<u8>, Vec<u8>) {
        let generated = SessionKeys::generate(&who.encode(), None);
        (generated.keys.encode(), generated.proof.encode())
    }
}
