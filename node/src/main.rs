//! The node of one institution: it makes and checks blocks, and conducts this institution's part in its studies.
#![forbid(unsafe_code)]

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
