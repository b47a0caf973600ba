//! A node that, where it lies, gives away other bytes than those it holds, or gets no blocks for a while.

use anyhow::Result;
use consilium_e2e::lies::{become_real, Lie};
use consilium_node::Faults;
use std::{process::ExitCode, sync::OnceLock, time::Instant};

/// Seconds after its first request for blocks in which no answer comes.
const LOST: std::ops::Range<u64> = 10..18;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut faults = Faults::default();
    match Lie::of(&arguments)? {
        Some((Lie::CorruptChunks, _)) => {
            faults.served = |mut slice| {
                // the last byte belongs to the content: hashes come before what they are of
                if let Some(last) = slice.last_mut() {
                    *last ^= 1;
                }
                slice
            }
        }
        Some((Lie::LostBlocks, _)) => {
            faults.lost = || {
                static FIRST: OnceLock<Instant> = OnceLock::new();
                LOST.contains(&FIRST.get_or_init(Instant::now).elapsed().as_secs())
            }
        }
        _ => become_real("consilium-node", &arguments)?,
    }
    Ok(consilium_node::run(consilium_program::version!(), faults))
}
