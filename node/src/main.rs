//! The node of one institution.
#![forbid(unsafe_code)]
#![allow(clippy::result_large_err)] // the SDK's own error types

fn main() -> sc_cli::Result<()> {
    consilium_node::run(std::convert::identity)
}
