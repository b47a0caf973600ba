//! Weights of this pallet.
//!
//! The figures of `()` are upper estimates from the number of storage items touched, with the reference machine's
//! database costs; they stand until measured ones replace them.

use frame_support::weights::{constants::RocksDbWeight as Database, Weight};

/// Weights of this pallet's calls, hook and authorisation.
pub trait WeightInfo {
    /// `register` with a spec of `s` bytes.
    fn register(s: u32) -> Weight;
    /// `enrol`.
    fn enrol() -> Weight;
    /// `withdraw`.
    fn withdraw() -> Weight;
    /// `start`.
    fn start() -> Weight;
    /// `resume`.
    fn resume() -> Weight;
    /// `abort`.
    fn abort() -> Weight;
    /// `vote`, without a look back: at the dearest the last one on a merge of as many inputs as there can be.
    fn vote() -> Weight;
    /// What comes on top where the best of `r` rounds is looked for.
    fn look_back(r: u32) -> Weight;
    /// Checking a vote.
    fn authorize_vote() -> Weight;
    /// Deadlines of `n` studies.
    fn on_initialize(n: u32) -> Weight;
}

/// A study's encoded state, 64 members and all: bytes that a proof of its value holds at most.
const STUDY_PROOF: u64 = 32 * 1024;

fn estimate(micros: u64, reads: u64, writes: u64) -> Weight {
    Weight::from_parts(micros.saturating_mul(1_000_000), STUDY_PROOF)
        .saturating_add(Database::get().reads_writes(reads, writes))
}

impl WeightInfo for () {
    fn register(s: u32) -> Weight {
        estimate(120, 5, 7).saturating_add(Weight::from_parts(20_000, 0).saturating_mul(u64::from(s)))
    }
    fn enrol() -> Weight {
        estimate(80, 4, 3)
    }
    fn withdraw() -> Weight {
        estimate(200, 8, 8)
    }
    fn start() -> Weight {
        estimate(120, 4, 5)
    }
    fn resume() -> Weight {
        estimate(200, 4, 5)
    }
    fn abort() -> Weight {
        estimate(80, 6, 6)
    }
    fn vote() -> Weight {
        estimate(400, 10, 10)
    }
    fn look_back(r: u32) -> Weight {
        estimate(30, 1, 0).saturating_mul(u64::from(r))
    }
    fn authorize_vote() -> Weight {
        estimate(150, 3, 0)
    }
    fn on_initialize(n: u32) -> Weight {
        estimate(5, 1, 1).saturating_add(estimate(300, 8, 8).saturating_mul(u64::from(n)))
    }
}
