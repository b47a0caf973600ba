//! Which slots an idle chain leaves out: while nothing waits for a time that is counted in blocks, two of three. All validators go by the
//! same rule on the same state, and where they do not, there is a block more or less. What comes into the pool is in the next slot's block.

use crate::types::{FullClient, FullPool};
use consilium_primitives::time::has_idle_block;
use consilium_runtime::{opaque::Block, AccountId};
use pallet_consortium_runtime_api::ConsortiumApi;
use sc_transaction_pool_api::TransactionPool;
use sp_api::{ApiError, ApiExt, ProvideRuntimeApi};
use sp_blockchain::HeaderBackend;
use sp_consensus_aura::{sr25519::AuthorityId, AuraApi, Slot};
use sp_core::H256;

/// A chain of which more blocks than this are not final is not idle: what becomes of it is counted in blocks, too.
const BEHIND: u32 = 20;
/// Version of the runtime's interface from which on it says whether it is idle. One of before never is.
const API_VERSION: u32 = 3;

/// Whether a slot has no block on this one.
pub fn leaves_out(client: &FullClient, pool: &FullPool, head: H256, slot: Slot) -> bool {
    let info = client.info();
    let behind = info.best_number.saturating_sub(info.finalized_number);
    rests(pool.status().ready, behind, || leaves_out_at(client, head, slot).unwrap_or(false))
}

/// Whether nothing that is known without the state stands against it, and the state says so.
fn rests(ready: usize, behind: u32, state: impl FnOnce() -> bool) -> bool {
    ready == 0 && behind <= BEHIND && state()
}

fn leaves_out_at(client: &FullClient, head: H256, slot: Slot) -> Result<bool, ApiError> {
    let api = client.runtime_api();
    let version = api.api_version::<dyn ConsortiumApi<Block, AccountId>>(head)?;
    if version.is_none_or(|version| version < API_VERSION) {
        return Ok(false);
    }
    let validators: Vec<AuthorityId> = api.authorities(head)?;
    Ok(!has_idle_block(*slot, validators.len() as u64) && api.idle(head)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_or_blocks_that_are_not_final_want_every_slot() {
        assert!(rests(0, 3, || true) && rests(0, BEHIND, || true));
        assert!(!rests(0, 3, || false), "the state knows of something");
        assert!(!rests(1, 3, || unreachable!("the state need not be asked")));
        assert!(!rests(0, BEHIND + 1, || unreachable!("the state need not be asked")));
    }
}
