//! A node that, where it lies, gives away other bytes than those it holds.

use anyhow::Result;
use consilium_e2e::lies::{become_real, Lie};
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if Lie::of(&arguments)?.map(|(lie, _)| lie) != Some(Lie::CorruptChunks) {
        become_real("consilium-node", &arguments)?;
    }
    Ok(consilium_node::run(consilium_program::version!(), |mut slice| {
        // the last byte belongs to the content: hashes come before what they are of
        if let Some(last) = slice.last_mut() {
            *last ^= 1;
        }
        slice
    }))
}
