//! The node's parts by their whole types.

use crate::wasm_cache;
use consilium_runtime::{opaque::Block, RuntimeApi};

/// The chain.
pub type FullClient = sc_service::TFullClient<Block, RuntimeApi, wasm_cache::Executor>;
/// Transactions that wait.
pub type FullPool = sc_transaction_pool::TransactionPoolHandle<Block, FullClient>;
/// Where it is kept.
pub type FullBackend = sc_service::TFullBackend<Block>;
/// Which of its blocks is the best.
pub type FullSelectChain = sc_consensus::LongestChain<FullBackend, Block>;
/// How blocks come in, with what finality has to say.
pub type GrandpaImport = sc_consensus_grandpa::GrandpaBlockImport<FullBackend, Block, FullClient, FullSelectChain>;
