//! What the node answers beside the SDK's own methods.

use crate::clock::Clock;
use consilium_runtime::{opaque::Block, AccountId, BlockNumber, Nonce};
use jsonrpsee::RpcModule;
use sc_client_api::Backend;
use sc_consensus_grandpa::{FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState};
use sc_transaction_pool_api::TransactionPool;
use sp_api::ProvideRuntimeApi;
use sp_block_builder::BlockBuilder;
use sp_blockchain::{Error as BlockChainError, HeaderBackend, HeaderMetadata};
use sp_core::{traits::SpawnNamed, H256};
use std::sync::Arc;

/// What the `grandpa` methods need.
pub struct Grandpa<B> {
    /// Runs subscriptions.
    pub executor: Arc<dyn SpawnNamed>,
    /// Who finalises, and since when.
    pub authorities: SharedAuthoritySet<H256, BlockNumber>,
    /// Where the running rounds stand; empty in a node that does not vote.
    pub voter: SharedVoterState,
    /// Justifications as they are made.
    pub justifications: GrandpaJustificationStream<Block>,
    /// Justifications of blocks that are final.
    pub proofs: Arc<FinalityProofProvider<B, Block>>,
}

/// The `system` methods (nonces and dry runs), the `grandpa` methods (proofs that a block is final) and `consilium_clock` (what
/// the others' clocks say of this machine's, see [`Clock::report`]).
///
/// # Errors
/// A method of this name exists already.
pub fn create<C, P, B>(
    client: Arc<C>,
    pool: Arc<P>,
    grandpa: Grandpa<B>,
    clock: Clock,
) -> Result<RpcModule<()>, Box<dyn std::error::Error + Send + Sync>>
where
    C: ProvideRuntimeApi<Block>
        + HeaderBackend<Block>
        + HeaderMetadata<Block, Error = BlockChainError>
        + Send
        + Sync
        + 'static,
    C::Api: substrate_frame_rpc_system::AccountNonceApi<Block, AccountId, Nonce> + BlockBuilder<Block>,
    P: TransactionPool + 'static,
    B: Backend<Block> + Send + Sync + 'static,
{
    use sc_consensus_grandpa_rpc::GrandpaApiServer;
    use substrate_frame_rpc_system::{System, SystemApiServer};
    let mut module = RpcModule::new(());
    module.merge(System::new(client, pool).into_rpc())?;
    let Grandpa { executor, authorities, voter, justifications, proofs } = grandpa;
    let methods = sc_consensus_grandpa_rpc::Grandpa::new(executor, authorities, voter, justifications, proofs);
    module.merge(methods.into_rpc())?;
    module.register_method("consilium_clock", move |_, _, _| clock.report())?;
    Ok(module)
}
