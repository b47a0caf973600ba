//! Weights of the calls and of planning a session.
//!
//! The implementation for `()` is an upper estimate by hand, from the storage that each call touches; a runtime should use
//! weights measured by the benchmarks of this pallet.

use frame_support::weights::{constants::RocksDbWeight, Weight};

/// Weights of the calls and of planning a session. `n` is the number of institutions.
pub trait WeightInfo {
    /// Of `admit`.
    fn admit() -> Weight;
    /// Of `set_flags`.
    fn set_flags(n: u32) -> Weight;
    /// Of `suspend`.
    fn suspend(n: u32) -> Weight;
    /// Of `reinstate`.
    fn reinstate() -> Weight;
    /// Of `remove`.
    fn remove(n: u32) -> Weight;
    /// Of `set_profile`.
    fn set_profile() -> Weight;
    /// Of `set_peer_id`.
    fn set_peer_id() -> Weight;
    /// Of `leave`.
    fn leave(n: u32) -> Weight;
    /// Of planning a session, `SessionManager::new_session`.
    fn new_session(n: u32) -> Weight;
}

/// Computation of a call, in picoseconds; storage comes on top. Well above what comparable calls of stock pallets take.
const COMPUTATION: u64 = 50_000_000;
/// Verification of one ed25519 signature and what leads to it, in picoseconds.
const SIGNATURE: u64 = 100_000_000;
/// Most that one institution takes in a proof: its entry with account, name, profile and peer id, and trie nodes, in bytes.
const PROOF_OF_INSTITUTION: u64 = 4_096;

/// `reads` counts single entries, `institutions` those gone through, each with a look whether it has session keys.
fn estimate(computation: u64, reads: u64, writes: u64, institutions: u32) -> Weight {
    let institutions = u64::from(institutions);
    let reads = reads.saturating_add(institutions.saturating_mul(2));
    Weight::from_parts(computation, reads.saturating_mul(PROOF_OF_INSTITUTION))
        .saturating_add(Weight::from_parts(COMPUTATION / 10, 0).saturating_mul(institutions))
        .saturating_add(RocksDbWeight::get().reads_writes(reads, writes))
}

impl WeightInfo for () {
    // Reads: institution, count, session keys, account. Writes: institution, count, account.
    fn admit() -> Weight {
        estimate(COMPUTATION, 4, 3, 0)
    }
    // Reads: institution, session keys. Writes: institution.
    fn set_flags(n: u32) -> Weight {
        estimate(COMPUTATION, 2, 1, n)
    }
    // Reads: institution. Writes: institution.
    fn suspend(n: u32) -> Weight {
        estimate(COMPUTATION, 1, 1, n)
    }
    // Reads: institution, session keys. Writes: institution.
    fn reinstate() -> Weight {
        estimate(COMPUTATION, 2, 1, 0)
    }
    // Reads: institution, count, account. Writes: institution, count, peer id, account.
    fn remove(n: u32) -> Weight {
        estimate(COMPUTATION, 3, 4, n)
    }
    // Reads: institution. Writes: institution.
    fn set_profile() -> Weight {
        estimate(COMPUTATION, 1, 1, 0)
    }
    // Reads: institution, owner of the peer id, genesis hash. Writes: institution, old and new peer id.
    fn set_peer_id() -> Weight {
        estimate(SIGNATURE, 3, 3, 0)
    }
    // As `remove`.
    fn leave(n: u32) -> Weight {
        estimate(COMPUTATION, 3, 4, n)
    }
    // Reads: count, planned validators with the session keys of each. Writes: planned validators.
    fn new_session(n: u32) -> Weight {
        estimate(COMPUTATION, u64::from(n).saturating_add(2), 1, n)
    }
}
