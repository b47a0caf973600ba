//! What a vote is wrapped in, on its way into a block.

use crate::*;
use codec::Encode;
use frame_system::offchain::CreateAuthorizedTransaction;

/// So many bytes `pallet-swarm-learning` counts beside each vote, where it tests what a masked round puts into blocks.
const WRAPPED: usize = 7;

#[test]
fn an_extrinsic_that_is_authorised_has_seven_bytes_beside_its_call() {
    // as long as votes and what is posted: a length of two bytes
    for len in [100, 16_000] {
        let call: RuntimeCall = frame_system::Call::remark { remark: alloc::vec![0; len] }.into();
        let inside = call.encode().len();
        let extrinsic = <Runtime as CreateAuthorizedTransaction<RuntimeCall>>::create_authorized_transaction(call);
        assert_eq!(extrinsic.encode().len(), inside + WRAPPED);
    }
}
