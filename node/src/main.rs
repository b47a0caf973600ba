//! The node of one institution: it makes and checks blocks, and conducts this institution's part in its studies.
#![forbid(unsafe_code)]
#![allow(clippy::result_large_err)] // the SDK's own error types

mod chain_spec;
mod cli;
mod command;
mod courier;
mod rpc;
mod service;
mod worker;

fn main() -> sc_cli::Result<()> {
    command::run()
}
