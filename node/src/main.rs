//! The node of one institution.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    consilium_node::run(consilium_program::version!(), consilium_node::Faults::default())
}
