//! Weights of the calls, hooks and checks of `pallet_swarm_learning`. Made by `scripts/weights.sh`; changes by hand are lost.
//!
//! Measured on 2026-11-25, on AMD EPYC, with 10 steps and 10 repeats, by version 64.0.0 of the
//! benchmarking command line. Those of `post`, `authorize_post`, `abandon`, `forget`, `enrol_private` and of budgets are by hand altogether, as is what masked
//! sums add to the others (`Kept`, `Over`, `Sweeps`; a study of 64 is longer by up to 14 kB with them, for which no proof size was
//! raised). What was added by hand since, until it is measured again, is said at its place. What each stands for is said at the
//! benchmark of its name in `benchmarking.rs`.
#![allow(clippy::unnecessary_cast)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Weights of this pallet.
pub trait WeightInfo {
    /// `register`. `s` from 1 to 16384.
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
    /// `vote`.
    fn vote() -> Weight;
    /// `authorize_vote`.
    fn authorize_vote() -> Weight;
    /// `post`.
    fn post() -> Weight;
    /// `authorize_post`.
    fn authorize_post() -> Weight;
    /// `abandon`.
    fn abandon() -> Weight;
    /// `forget`.
    fn forget() -> Weight;
    /// `declare_budget`.
    fn declare_budget() -> Weight;
    /// `raise_budget`.
    fn raise_budget() -> Weight;
    /// `lower_budget`.
    fn lower_budget() -> Weight;
    /// `enrol_private`.
    fn enrol_private() -> Weight;
    /// `on_initialize`. `n` from 0 to 32.
    fn on_initialize(n: u32) -> Weight;
}

/// Measured weights, with the database of the chain `T`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for Measured<T> {
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Running` (r:1 w:1)
    // Proof: `SwarmLearning::Running` (`max_values`: Some(1), `max_size`: Some(1153), added: 1648, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::NextStudy` (r:1 w:1)
    // Proof: `SwarmLearning::NextStudy` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    // Storage: `Session::Validators` (r:1 w:0)
    // Proof: `Session::Validators` (`max_values`: Some(1), `max_size`: None, mode: `Measured`)
    // Storage: `SwarmLearning::Scheduled` (r:1 w:1)
    // Proof: `SwarmLearning::Scheduled` (`max_values`: None, `max_size`: Some(16), added: 2491, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Agenda` (r:1 w:1)
    // Proof: `SwarmLearning::Agenda` (`max_values`: None, `max_size`: Some(141), added: 2616, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Studies` (r:0 w:1)
    // Proof: `SwarmLearning::Studies` (`max_values`: None, `max_size`: Some(15177), added: 17652, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Specs` (r:0 w:1)
    // Proof: `SwarmLearning::Specs` (`max_values`: None, `max_size`: Some(16400), added: 18875, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Agreements` (r:1 w:1)
    // Proof: `SwarmLearning::Agreements` (`max_values`: None, `max_size`: Some(36), added: 2511, mode: `MaxEncodedLen`)
    fn register(s: u32) -> Weight {
        // At least 89_247 ns, measured; one read and one write more for the agreement.
        Weight::from_parts(104_604_758, 4163)
            .saturating_add(Weight::from_parts(3_537, 0).saturating_mul(s.into()))
            .saturating_add(T::DbWeight::get().reads(8))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Studies` (r:1 w:1)
    // Proof: `SwarmLearning::Studies` (`max_values`: None, `max_size`: Some(15177), added: 17652, mode: `MaxEncodedLen`)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Scheduled` (r:1 w:0)
    // Proof: `SwarmLearning::Scheduled` (`max_values`: None, `max_size`: Some(16), added: 2491, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Steps` (r:1 w:1)
    // Proof: `SwarmLearning::Steps` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    fn enrol() -> Weight {
        // At least 59_721 ns.
        // By hand: one read and one write for the count of steps.
        Weight::from_parts(69_369_000, 18642)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Storage: `SwarmLearning::Studies` (r:1 w:1)
    // Proof: `SwarmLearning::Studies` (`max_values`: None, `max_size`: Some(15177), added: 17652, mode: `MaxEncodedLen`)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Scheduled` (r:1 w:1)
    // Proof: `SwarmLearning::Scheduled` (`max_values`: None, `max_size`: Some(16), added: 2491, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Agenda` (r:2 w:2)
    // Proof: `SwarmLearning::Agenda` (`max_values`: None, `max_size`: Some(141), added: 2616, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Losses` (r:2 w:0)
    // Proof: `SwarmLearning::Losses` (`max_values`: None, `max_size`: Some(2330), added: 4805, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::History` (r:0 w:1)
    // Proof: `SwarmLearning::History` (`max_values`: None, `max_size`: Some(17112), added: 19587, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Steps` (r:1 w:1)
    // Proof: `SwarmLearning::Steps` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Kept` (r:1 w:1)
    // Storage: `SwarmLearning::Over` (r:1 w:1)
    fn withdraw() -> Weight {
        // At least 194_483 ns, measured; 40_000 ns more for the comparison of two rounds where it closes a merge.
        // By hand: one read and one write for the count of steps, and 800_000 ns for what was said ahead.
        Weight::from_parts(1_053_148_000, 18642)
            .saturating_add(T::DbWeight::get().reads(10))
            .saturating_add(T::DbWeight::get().writes(8))
    }
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Studies` (r:1 w:1)
    // Proof: `SwarmLearning::Studies` (`max_values`: None, `max_size`: Some(15177), added: 17652, mode: `MaxEncodedLen`)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Scheduled` (r:1 w:1)
    // Proof: `SwarmLearning::Scheduled` (`max_values`: None, `max_size`: Some(16), added: 2491, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Agenda` (r:2 w:2)
    // Proof: `SwarmLearning::Agenda` (`max_values`: None, `max_size`: Some(141), added: 2616, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Steps` (r:1 w:1)
    // Proof: `SwarmLearning::Steps` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Kept` (r:1 w:1)
    fn start() -> Weight {
        // At least 74_469 ns.
        // By hand: one read and one write for the count of steps.
        Weight::from_parts(84_218_000, 18642)
            .saturating_add(T::DbWeight::get().reads(8))
            .saturating_add(T::DbWeight::get().writes(6))
    }
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Studies` (r:1 w:1)
    // Proof: `SwarmLearning::Studies` (`max_values`: None, `max_size`: Some(15177), added: 17652, mode: `MaxEncodedLen`)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Scheduled` (r:1 w:1)
    // Proof: `SwarmLearning::Scheduled` (`max_values`: None, `max_size`: Some(16), added: 2491, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Agenda` (r:2 w:2)
    // Proof: `SwarmLearning::Agenda` (`max_values`: None, `max_size`: Some(141), added: 2616, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Steps` (r:1 w:1)
    // Proof: `SwarmLearning::Steps` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Kept` (r:1 w:1)
    // Storage: `SwarmLearning::Over` (r:1 w:1)
    fn resume() -> Weight {
        // At least 185_407 ns.
        // By hand: one read and one write for the count of steps.
        Weight::from_parts(199_773_000, 18642)
            .saturating_add(T::DbWeight::get().reads(9))
            .saturating_add(T::DbWeight::get().writes(7))
    }
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Studies` (r:1 w:1)
    // Proof: `SwarmLearning::Studies` (`max_values`: None, `max_size`: Some(15177), added: 17652, mode: `MaxEncodedLen`)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Scheduled` (r:1 w:1)
    // Proof: `SwarmLearning::Scheduled` (`max_values`: None, `max_size`: Some(16), added: 2491, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Agenda` (r:1 w:1)
    // Proof: `SwarmLearning::Agenda` (`max_values`: None, `max_size`: Some(141), added: 2616, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Running` (r:1 w:1)
    // Proof: `SwarmLearning::Running` (`max_values`: Some(1), `max_size`: Some(1153), added: 1648, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Ended` (r:1 w:1)
    // Proof: `SwarmLearning::Ended` (`max_values`: Some(1), `max_size`: Some(129), added: 624, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Agreements` (r:1 w:1)
    // Proof: `SwarmLearning::Agreements` (`max_values`: None, `max_size`: Some(36), added: 2511, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Steps` (r:1 w:1)
    // Proof: `SwarmLearning::Steps` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Kept` (r:1 w:0)
    // Storage: `SwarmLearning::Sweeps` (r:1 w:1)
    fn abort() -> Weight {
        // At least 83_666 ns, measured; one read and one write more for the agreement.
        // By hand: one read and one write for the count of steps.
        Weight::from_parts(98_003_000, 18642)
            .saturating_add(T::DbWeight::get().reads(11))
            .saturating_add(T::DbWeight::get().writes(8))
    }
    // Storage: `SwarmLearning::Studies` (r:1 w:1)
    // Proof: `SwarmLearning::Studies` (`max_values`: None, `max_size`: Some(15177), added: 17652, mode: `MaxEncodedLen`)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Scheduled` (r:1 w:1)
    // Proof: `SwarmLearning::Scheduled` (`max_values`: None, `max_size`: Some(16), added: 2491, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Agenda` (r:2 w:2)
    // Proof: `SwarmLearning::Agenda` (`max_values`: None, `max_size`: Some(141), added: 2616, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::History` (r:0 w:1)
    // Proof: `SwarmLearning::History` (`max_values`: None, `max_size`: Some(17112), added: 19587, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Losses` (r:3 w:1)
    // Proof: `SwarmLearning::Losses` (`max_values`: None, `max_size`: Some(2330), added: 4805, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Steps` (r:1 w:1)
    // Proof: `SwarmLearning::Steps` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Kept` (r:1 w:1)
    // Storage: `SwarmLearning::Over` (r:1 w:1)
    // Storage: `SwarmLearning::Counts` (r:1 w:1)
    // Storage: `SwarmLearning::Budgets` (r:1 w:1)
    fn vote() -> Weight {
        // At least 229_810 ns, measured; 40_000 ns more for the comparison of two rounds where it closes a merge, or for the
        // list of losses where it adds to one.
        // By hand: one read and one write for the count of steps; 800_000 ns for the updates of the next round that 43 sites have
        // said ahead, with a loss each. With masks nothing is said ahead, and no loss is reported: what they add, hashes over 64 keys
        // and deals, one posting of 96 bytes and what a round that closes puts aside, is less. 20_000 ns for what a private study is charged.
        Weight::from_parts(1_133_571_000, 24_000)
            .saturating_add(T::DbWeight::get().reads(13))
            .saturating_add(T::DbWeight::get().writes(11))
    }
    // Storage: `SwarmLearning::Studies` (r:1 w:0)
    // Proof: `SwarmLearning::Studies` (`max_values`: None, `max_size`: Some(15177), added: 17652, mode: `MaxEncodedLen`)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Proof: `Consortium::Institutions` (`max_values`: None, `max_size`: Some(698), added: 3173, mode: `MaxEncodedLen`)
    // Storage: `Session::NextKeys` (r:1 w:0)
    // Proof: `Session::NextKeys` (`max_values`: None, `max_size`: None, mode: `Measured`)
    // Storage: `SwarmLearning::Counts` (r:1 w:0)
    // Storage: `SwarmLearning::Budgets` (r:1 w:0)
    fn authorize_vote() -> Weight {
        // At least 109_795 ns.
        // By hand: 10_000 ns and two reads for whether a private study's update has room.
        Weight::from_parts(133_891_000, 24_000).saturating_add(T::DbWeight::get().reads(6))
    }
    // Storage: `SwarmLearning::Studies` (r:1 w:1)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Storage: `SwarmLearning::Scheduled` (r:1 w:1)
    // Storage: `SwarmLearning::Agenda` (r:2 w:2)
    // Storage: `SwarmLearning::Steps` (r:1 w:1)
    // Storage: `SwarmLearning::Postings` (r:64 w:1)
    // Storage: `SwarmLearning::History` (r:0 w:1)
    // Storage: `SwarmLearning::Kept` (r:1 w:1)
    // Storage: `SwarmLearning::Over` (r:1 w:1)
    fn post() -> Weight {
        // By hand, not measured yet: reading and writing a study of 64 as in `vote`; 64 shares, each with a read of 32 bytes and a hash of
        // 150, for 10_000 ns; a hash of 16 KiB, and copying them, for 10 ns a byte. The last one may close the round as unusable, open
        // the next one, and put what leaves the window aside.
        Weight::from_parts(1_917_411_000, 75_000)
            .saturating_add(T::DbWeight::get().reads(72))
            .saturating_add(T::DbWeight::get().writes(9))
    }
    // Storage: `SwarmLearning::Studies` (r:1 w:0)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Storage: `Session::NextKeys` (r:1 w:0)
    // Storage: `SwarmLearning::Postings` (r:64 w:0)
    fn authorize_post() -> Weight {
        // By hand, not measured yet: as `authorize_vote`; 64 shares, each with a read of 32 bytes and a hash of 150, for 10_000 ns; a hash
        // of 16 KiB, and copying them, for 10 ns a byte.
        Weight::from_parts(927_731_000, 42_000).saturating_add(T::DbWeight::get().reads(68))
    }
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Storage: `SwarmLearning::Studies` (r:1 w:1)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Storage: `SwarmLearning::Scheduled` (r:1 w:1)
    // Storage: `SwarmLearning::Agenda` (r:2 w:2)
    // Storage: `SwarmLearning::Steps` (r:1 w:1)
    // Storage: `SwarmLearning::History` (r:0 w:1)
    // Storage: `SwarmLearning::Kept` (r:1 w:1)
    // Storage: `SwarmLearning::Over` (r:1 w:1)
    // Storage: `SwarmLearning::Running` (r:1 w:1)
    // Storage: `SwarmLearning::Ended` (r:1 w:1)
    // Storage: `SwarmLearning::Agreements` (r:1 w:1)
    // Storage: `SwarmLearning::Sweeps` (r:1 w:1)
    fn abandon() -> Weight {
        // By hand, not measured yet: as `resume`, and what is put aside as in `post`; of a study that ends with it, as in `abort`.
        Weight::from_parts(399_773_000, 42_000)
            .saturating_add(T::DbWeight::get().reads(13))
            .saturating_add(T::DbWeight::get().writes(12))
    }
    // Storage: `SwarmLearning::Over` (r:1 w:1)
    // Storage: `SwarmLearning::Studies` (r:1 w:0)
    // Storage: `SwarmLearning::Postings` (r:0 w:192)
    fn forget() -> Weight {
        // By hand, not measured yet: 2_000 ns for each of 192 postings, and reading a study of 64.
        Weight::from_parts(484_000_000, 42_000)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(193))
    }
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Storage: `SwarmLearning::Budgets` (r:1 w:1)
    // Storage: `SwarmLearning::Datasets` (r:1 w:1)
    fn declare_budget() -> Weight {
        // By hand, not measured yet: a few comparisons and one small value, far below this.
        Weight::from_parts(100_000_000, 4_000)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(2))
    }
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Storage: `SwarmLearning::Budgets` (r:1 w:1)
    fn raise_budget() -> Weight {
        // By hand, not measured yet: a few comparisons and one small value, far below this.
        Weight::from_parts(100_000_000, 4_000)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Storage: `SwarmLearning::Budgets` (r:1 w:1)
    fn lower_budget() -> Weight {
        // By hand, not measured yet: a few comparisons and one small value, far below this.
        Weight::from_parts(100_000_000, 4_000)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(1))
    }
    // Storage: `Consortium::Institutions` (r:1 w:0)
    // Storage: `SwarmLearning::Studies` (r:1 w:1)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Storage: `SwarmLearning::Scheduled` (r:1 w:0)
    // Storage: `SwarmLearning::Steps` (r:1 w:1)
    // Storage: `SwarmLearning::Budgets` (r:1 w:0)
    // Storage: `SwarmLearning::Counts` (r:1 w:1)
    fn enrol_private() -> Weight {
        // By hand, not measured yet: as `enrol`, and 20_000 ns for the budget.
        Weight::from_parts(89_369_000, 24_000)
            .saturating_add(T::DbWeight::get().reads(7))
            .saturating_add(T::DbWeight::get().writes(3))
    }
    // Storage: `SwarmLearning::Agenda` (r:2 w:2)
    // Proof: `SwarmLearning::Agenda` (`max_values`: None, `max_size`: Some(141), added: 2616, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Studies` (r:32 w:32)
    // Proof: `SwarmLearning::Studies` (`max_values`: None, `max_size`: Some(15177), added: 17652, mode: `MaxEncodedLen`)
    // Storage: `System::BlockHash` (r:1 w:0)
    // Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::History` (r:32 w:32)
    // Proof: `SwarmLearning::History` (`max_values`: None, `max_size`: Some(17112), added: 19587, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Scheduled` (r:0 w:32)
    // Proof: `SwarmLearning::Scheduled` (`max_values`: None, `max_size`: Some(16), added: 2491, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Losses` (r:64 w:0)
    // Proof: `SwarmLearning::Losses` (`max_values`: None, `max_size`: Some(2330), added: 4805, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Agreements` (r:32 w:32)
    // Proof: `SwarmLearning::Agreements` (`max_values`: None, `max_size`: Some(36), added: 2511, mode: `MaxEncodedLen`)
    // Storage: `SwarmLearning::Steps` (r:32 w:32)
    // Proof: `SwarmLearning::Steps` (`max_values`: None, `max_size`: Some(20), added: 2495, mode: `MaxEncodedLen`)
    fn on_initialize(n: u32) -> Weight {
        // At least 4_549 ns, measured; for each study 40_000 ns more for the comparison of two rounds,
        // and one read and one write for the agreement of one that ends.
        // By hand: for each study one read and one write for the count of its steps, and 800_000 ns for what was said ahead; two reads
        // and two writes for the postings of its pairings.
        Weight::from_parts(102_646_414, 5345)
            .saturating_add(Weight::from_parts(1_023_287_778, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().reads((8_u64).saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(1))
            .saturating_add(T::DbWeight::get().writes((7_u64).saturating_mul(n.into())))
            .saturating_add(Weight::from_parts(0, 17652).saturating_mul(n.into()))
    }
}
