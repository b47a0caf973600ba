//! The node of one institution: it makes and checks blocks, and conducts this institution's part in its studies.
#![forbid(unsafe_code)]
#![allow(clippy::result_large_err)] // the SDK's own error types

mod allowed;
mod anew;
mod authoring;
mod chain_spec;
mod changes;
mod cli;
mod clock;
mod command;
mod concluded;
mod courier;
mod database;
mod examples;
mod found;
mod idle;
mod members;
mod metrics;
mod network;
mod patient;
mod pulse;
mod recovery;
mod rpc;
mod secrets;
mod service;
mod shipped;
mod talk;
mod types;
mod wasm_cache;
mod worker;

pub use command::run;

/// The system's own keeps what is freed in many pools: after an hour a node held ten times what it had in use, and ever more.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What tests of liars and of faults put between a node's parts. In a node it is [`Faults::default`]: nothing.
#[derive(Clone, Copy)]
pub struct Faults {
    /// What becomes of a blob's bytes, and the hashes that prove them, between the check and the network.
    pub served: fn(Vec<u8>) -> Vec<u8>,
    /// Whether the answer to a request for blocks that is about to be made will never come.
    pub lost: fn() -> bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self { served: std::convert::identity, lost: || false }
    }
}
