//! Weights of the calls, hooks and checks of `pallet_consortium`. Made by `scripts/weights.sh`; changes by hand are lost.
//!
//! Measured on 2026-11-25, on AMD EPYC, with 10 steps and 10 repeats, by version 64.0.0 of the
//! benchmarking command line; what was written or added by hand since, until it is measured again, is said at its place.
//! What each stands for is said at the benchmark of its name in `benchmarking.rs`.
#![allow(clippy::unnecessary_cast)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of this pallet.
pub trait WeightInfo {
    /// `admit`.
    fn admit() -> Weight;
    /// `set_flags`. `n` from 2 to 64.
    fn set_flags(n: u32) -> Weight;
    /// `suspend`. `n` from 2 to 64.
    fn suspend(n: u32) -> Weight;
    /// `reinstate`.
    fn reinstate() -> Weight;
    /// `remove`. `n` from 2 to 64.
    fn remove(n: u32) -> Weight;
    /// `set_profile`.
    fn set_profile() -> Weight;
    /// `set_peer_id`.
    fn set_peer_id() -> Weight;
    /// `set_addresses`.
    fn set_addresses() -> Weight;
    /// `rotate_keys`.
    fn rotate_keys() -> Weight;
    /// `ready`.
    fn ready() -> Weight;
    /// `authorize_ready`.
    fn authorize_ready() -> Weight;
    /// `vote`, without what the motion does. `n` from 2 to 64.
    fn vote(n: u32) -> Weight;
    /// `close`.
    fn close() -> Weight;
    /// `leave`. `n` from 2 to 64.
    fn leave(n: u32) -> Weight;
    /// `new_session`. `n` from 2 to 64.
    fn new_session(n: u32) -> Weight;
}

/// Measured weights, with the database of the chain `T`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for Measured<T> {
    // Storage: `Consortium::Institutions` (r:1 w:1)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `Consortium::CounterForInstitutions` (r:1 w:1)
    // Proof: `Consortium::CounterForInstitutions` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    // Storage: `Session::NextKeys` (r:1 w:0)
    // Proof: `Session::NextKeys` (`max_values`: None, `max_size`: None, mode: `Measured`)
    // Storage: `System::Account` (r:1 w:1)
    // Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    fn admit() -> Weight {
        // At least 27_021 ns, measured; two reads more for accounts that are taken.
        Weight::from_parts(28_583_000, 4163)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(3))
            .saturating_add(T::DbWeight::get().reads_writes(2, 0))
    }
    // Storage: `Consortium::Institutions` (r:65 w:1)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `Session::NextKeys` (r:64 w:0)
    // Proof: `Session::NextKeys` (`max_values`: None, `max_size`: None, mode: `Measured`)
    // Storage: `SwarmLearning::Running` (r:1 w:0)
    // Proof: `SwarmLearning::Running` (`max_values`: Some(1), `max_size`: Some(1153), added: 1648, mode: `MaxEncodedLen`)
    fn set_flags(n: u32) -> Weight {
        // At least 44_784 ns, measured; one write more where the set changes.
        Weight::from_parts(20_750_669, 4163)
            .saturating_add(Weight::from_parts(10_808_183, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().reads((2_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(1))
            .saturating_add(Weight::from_parts(0, 3173).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Storage: `Consortium::Institutions` (r:65 w:1)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `Session::NextKeys` (r:64 w:0)
    // Proof: `Session::NextKeys` (`max_values`: None, `max_size`: None, mode: `Measured`)
    // Storage: `SwarmLearning::Running` (r:1 w:0)
    // Proof: `SwarmLearning::Running` (`max_values`: Some(1), `max_size`: Some(1153), added: 1648, mode: `MaxEncodedLen`)
    fn suspend(n: u32) -> Weight {
        // At least 44_423 ns, measured; one write more where the set changes.
        Weight::from_parts(20_430_248, 4163)
            .saturating_add(Weight::from_parts(10_961_299, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().reads((2_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(1))
            .saturating_add(Weight::from_parts(0, 3173).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Storage: `Consortium::Institutions` (r:1 w:1)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `Session::NextKeys` (r:1 w:0)
    // Proof: `Session::NextKeys` (`max_values`: None, `max_size`: None, mode: `Measured`)
    fn reinstate() -> Weight {
        // At least 26_510 ns.
        Weight::from_parts(30_387_000, 4281)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Storage: `Consortium::Institutions` (r:65 w:1)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `Session::NextKeys` (r:64 w:0)
    // Proof: `Session::NextKeys` (`max_values`: None, `max_size`: None, mode: `Measured`)
    // Storage: `Consortium::CounterForInstitutions` (r:1 w:1)
    // Proof: `Consortium::CounterForInstitutions` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    // Storage: `System::Account` (r:1 w:1)
    // Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Running` (r:1 w:0)
    // Proof: `SwarmLearning::Running` (`max_values`: Some(1), `max_size`: Some(1153), added: 1648, mode: `MaxEncodedLen`)
    // Storage: `Consortium::PeerIds` (r:0 w:1)
    // Proof: `Consortium::PeerIds` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
    fn remove(n: u32) -> Weight {
        // At least 63_108 ns, measured; ten reads and twelve writes more for keys, signer, peer ids and what is kept.
        Weight::from_parts(55_348_596, 4163)
            .saturating_add(Weight::from_parts(11_295_236, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().reads((2_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(4))
            .saturating_add(Weight::from_parts(0, 3173).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads_writes(10, 12))
    }
    // Storage: `Consortium::Institutions` (r:1 w:1)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    fn set_profile() -> Weight {
        // At least 21_671 ns.
        Weight::from_parts(24_726_000, 4163)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Storage: `Consortium::Institutions` (r:1 w:1)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `Consortium::PeerIds` (r:1 w:2)
    // Proof: `Consortium::PeerIds` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    fn set_peer_id() -> Weight {
        // At least 87_393 ns, measured; two reads and three writes more for the previous peer id.
        Weight::from_parts(121_647_000, 4163)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(3))
            .saturating_add(T::DbWeight::get().reads_writes(2, 3))
    }
    // Storage: `Consortium::Institutions` (r:65 w:1)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `Session::NextKeys` (r:64 w:0)
    // Proof: `Session::NextKeys` (`max_values`: None, `max_size`: None, mode: `Measured`)
    // Storage: `Consortium::CounterForInstitutions` (r:1 w:1)
    // Proof: `Consortium::CounterForInstitutions` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    // Storage: `System::Account` (r:1 w:1)
    // Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Running` (r:1 w:0)
    // Proof: `SwarmLearning::Running` (`max_values`: Some(1), `max_size`: Some(1153), added: 1648, mode: `MaxEncodedLen`)
    // Storage: `Consortium::PeerIds` (r:0 w:1)
    // Proof: `Consortium::PeerIds` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
    fn leave(n: u32) -> Weight {
        // At least 63_539 ns, measured; ten reads and twelve writes more for keys, signer, peer ids and what is kept.
        Weight::from_parts(74_456_808, 4163)
            .saturating_add(Weight::from_parts(11_977_304, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().reads((2_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(4))
            .saturating_add(Weight::from_parts(0, 3173).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads_writes(10, 12))
    }
    // Not measured: as `set_profile`, and the terms of founding.
    fn set_addresses() -> Weight {
        Weight::from_parts(35_000_000, 4163)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Not measured: three signatures of proofs, old and new owners of three keys.
    fn rotate_keys() -> Weight {
        Weight::from_parts(350_000_000, 4163)
            .saturating_add(T::DbWeight::get().reads(8))
            .saturating_add(T::DbWeight::get().writes(10))
    }
    // Not measured: as `reinstate`, and the mark of a change.
    fn ready() -> Weight {
        Weight::from_parts(35_000_000, 4281)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Not measured: as the check of a study's vote, which reads more.
    fn authorize_ready() -> Weight {
        Weight::from_parts(123_891_000, 4163).saturating_add(T::DbWeight::get().reads(4))
    }
    // Not measured: each institution read once, and once for each voice on the motion.
    fn vote(n: u32) -> Weight {
        Weight::from_parts(60_000_000, 6000)
            .saturating_add(Weight::from_parts(15_000_000, 3173).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().reads((2_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Not measured.
    fn close() -> Weight {
        Weight::from_parts(30_000_000, 6000)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Storage: `Consortium::CounterForInstitutions` (r:1 w:0)
    // Proof: `Consortium::CounterForInstitutions` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    // Storage: `Consortium::PlannedValidators` (r:1 w:1)
    // Proof: `Consortium::PlannedValidators` (`max_values`: Some(1), `max_size`: Some(2050), added: 2545, mode: `MaxEncodedLen`)
    // Storage: `Session::NextKeys` (r:64 w:0)
    // Proof: `Session::NextKeys` (`max_values`: None, `max_size`: None, mode: `Measured`)
    // Storage: `Consortium::Institutions` (r:65 w:0)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    fn new_session(n: u32) -> Weight {
        // At least 40_055 ns, measured; two reads and two writes more for each that has left.
        Weight::from_parts(5_081_177, 4163)
            .saturating_add(Weight::from_parts(14_173_680, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().reads((2_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(1))
            .saturating_add(Weight::from_parts(0, 3173).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads_writes(2, 2).saturating_mul(n.into()))
    }
}
