//! What a data set of an institution may cost, and has cost, in whole numbers that everybody has signed. Nothing is computed here but
//! sums, and which of them is the least.

use crate::{
    ids::{Hash, InstitutionId},
    rules::{Privacy, PrivacyUnit},
    time::blocks,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// How long a higher limit waits before it holds, in blocks: seven days, in which people can object.
pub const RAISE_BLOCKS: u32 = blocks(7 * 24 * 3_600_000);

/// The largest δ that there are constants of is ten to the power of minus this.
const LEAST_EXP: u8 = 3;
/// What is added to the sum at each of the orders 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 64, 128 and 256 to have ε, in billionths,
/// rounded up; a line for each δ from 1e-3 to 1e-12.
#[rustfmt::skip]
const CONSTANTS: [[i64; 16]; 10] = [
    [
        5_521_460_918, 2_499_106_388, 1_552_804_901, 1_101_435_791, 840_877_606, 672_823_509, 556_227_713, 406_325_061,
        315_065_772, 211_139_250, 154_602_654, 119_601_319, 79_284_185, 27_884_536, 8_343_634, 1_429_544,
    ],
    [
        7_824_046_011, 3_650_398_934, 2_320_333_265, 1_677_082_064, 1_301_394_624, 1_056_587_691, 885_168_441, 662_167_849,
        524_391_689, 364_644_923, 275_791_343, 219_713_714, 153_561_124, 64_433_505, 26_474_225, 10_459_289,
    ],
    [
        10_126_631_104, 4_801_691_481, 3_087_861_629, 2_252_728_337, 1_761_911_643, 1_440_351_873, 1_214_109_168, 918_010_637,
        733_717_607, 518_150_596, 396_980_032, 319_826_109, 227_838_062, 100_982_475, 44_604_817, 19_489_035,
    ],
    [
        12_429_216_197, 5_952_984_027, 3_855_389_994, 2_828_374_611, 2_222_428_661, 1_824_116_055, 1_543_049_896, 1_173_853_425,
        943_043_524, 671_656_268, 518_168_721, 419_938_505, 302_115_001, 137_531_445, 62_735_408, 28_518_780,
    ],
    [
        14_731_801_290, 7_104_276_574, 4_622_918_358, 3_404_020_884, 2_682_945_680, 2_207_880_238, 1_871_990_623, 1_429_696_214,
        1_152_369_442, 825_161_941, 639_357_410, 520_050_900, 376_391_939, 174_080_414, 80_865_999, 37_548_526,
    ],
    [
        17_034_386_383, 8_255_569_120, 5_390_446_722, 3_979_667_157, 3_143_462_699, 2_591_644_420, 2_200_931_351, 1_685_539_002,
        1_361_695_359, 978_667_614, 760_546_099, 620_163_295, 450_668_878, 210_629_384, 98_996_591, 46_578_271,
    ],
    [
        19_336_971_476, 9_406_861_667, 6_157_975_087, 4_555_313_430, 3_603_979_717, 2_975_408_602, 2_529_872_079, 1_941_381_790,
        1_571_021_277, 1_132_173_287, 881_734_788, 720_275_691, 524_945_816, 247_178_354, 117_127_182, 55_608_016,
    ],
    [
        21_639_556_569, 10_558_154_213, 6_925_503_451, 5_130_959_704, 4_064_496_736, 3_359_172_784, 2_858_812_806, 2_197_224_578,
        1_780_347_194, 1_285_678_960, 1_002_923_478, 820_388_086, 599_222_755, 283_727_324, 135_257_773, 64_637_762,
    ],
    [
        23_942_141_662, 11_709_446_760, 7_693_031_815, 5_706_605_977, 4_525_013_754, 3_742_936_966, 3_187_753_534, 2_453_067_366,
        1_989_673_112, 1_439_184_633, 1_124_112_167, 920_500_481, 673_499_693, 320_276_293, 153_388_364, 73_667_507,
    ],
    [
        26_244_726_755, 12_860_739_306, 8_460_560_180, 6_282_252_250, 4_985_530_773, 4_126_701_148, 3_516_694_261, 2_708_910_154,
        2_198_999_030, 1_592_690_306, 1_245_300_856, 1_020_612_877, 747_776_632, 356_825_263, 171_518_956, 82_697_253,
    ],
];

/// What turns sums into ε at `δ = 10^-delta_exp`; none of a δ that nobody may agree on.
pub fn constants(delta_exp: u8) -> Option<&'static [i64; 16]> {
    delta_exp.checked_sub(LEAST_EXP).and_then(|place| CONSTANTS.get(usize::from(place)))
}

/// The ε that a sum stands for, in millionths, rounded up; 0 where nothing was spent. None of a δ that nobody may agree on.
pub fn epsilon_micro(spent: &[u64; 16], delta_exp: u8) -> Option<u64> {
    let constants = constants(delta_exp)?;
    if spent.iter().all(|one| *one == 0) {
        return Some(0);
    }
    let all = spent.iter().zip(constants).map(|(spent, more)| i128::from(*spent).saturating_add(i128::from(*more)));
    let least = all.min().unwrap_or(i128::MAX).max(0);
    Some(u64::try_from(least).unwrap_or(u64::MAX).div_ceil(1_000))
}

/// What a data set is called on the chain, which does not learn its name: the same for an institution's every study.
pub fn dataset_id(institution: &InstitutionId, name: &str) -> Hash {
    let bytes = [b"consilium/dataset/1".as_slice(), institution.0.as_slice(), name.as_bytes()].concat();
    Hash::from(sp_crypto_hashing::blake2_256(&bytes))
}

/// A limit that is higher, and does not hold yet.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub struct Raise {
    /// The limit, in millionths of ε.
    pub limit_micro: u32,
    /// The block from which on it holds.
    pub from: u32,
}

/// What one data set may cost, and has cost.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub struct Budget {
    /// The limit, in millionths of ε.
    limit_micro: u32,
    /// At which δ: ten to the power of minus this.
    delta_exp: u8,
    /// Of whom.
    unit: PrivacyUnit,
    /// The sum of all that was charged. Nothing is given back.
    spent: [u64; 16],
    /// A higher limit that waits.
    raise: Option<Raise>,
}

/// Why a budget does not take something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetError {
    /// The limit is 0.
    Limit,
    /// δ is none of the powers of ten from 1e-3 to 1e-12.
    Delta,
    /// The study counts records and the budget patients, or the other way.
    Unit,
    /// The study counts at another δ than the budget.
    OtherDelta,
    /// With it the limit would be passed.
    OverBudget,
    /// A limit is raised to one that is no higher, or lowered to one that is no lower.
    NoChange,
}

impl Budget {
    /// One of which nothing was spent.
    ///
    /// # Errors
    /// A limit or a δ that cannot be.
    pub fn declare(limit_micro: u32, delta_exp: u8, unit: PrivacyUnit) -> Result<Self, BudgetError> {
        if limit_micro == 0 {
            return Err(BudgetError::Limit);
        }
        constants(delta_exp).ok_or(BudgetError::Delta)?;
        Ok(Self { limit_micro, delta_exp, unit, spent: [0; 16], raise: None })
    }

    /// The limit at a block, in millionths of ε.
    pub fn limit_micro(&self, block: u32) -> u32 {
        match self.raise {
            Some(raise) if raise.from <= block => raise.limit_micro,
            _ => self.limit_micro,
        }
    }

    /// What was spent, in millionths of ε.
    pub fn epsilon_micro(&self) -> u64 {
        epsilon_micro(&self.spent, self.delta_exp).unwrap_or(u64::MAX)
    }

    /// What was spent, order by order.
    pub fn spent(&self) -> &[u64; 16] {
        &self.spent
    }

    /// Of whom it counts.
    pub fn unit(&self) -> PrivacyUnit {
        self.unit
    }

    /// At which δ it counts: ten to the power of minus this.
    pub fn delta_exp(&self) -> u8 {
        self.delta_exp
    }

    /// A higher limit that waits.
    pub fn raise_to(&self) -> Option<Raise> {
        self.raise
    }

    /// Adds what a round costs.
    ///
    /// # Errors
    /// It counts another unit or at another δ, or the limit would be passed; then nothing is added.
    pub fn charge(&mut self, privacy: &Privacy, block: u32) -> Result<(), BudgetError> {
        if privacy.unit != self.unit {
            return Err(BudgetError::Unit);
        }
        if privacy.delta_exp != self.delta_exp {
            return Err(BudgetError::OtherDelta);
        }
        let mut with = self.spent;
        with.iter_mut().zip(&privacy.spend).for_each(|(sum, spend)| *sum = sum.saturating_add(*spend));
        let epsilon = epsilon_micro(&with, self.delta_exp).unwrap_or(u64::MAX);
        if epsilon > u64::from(self.limit_micro(block)) {
            return Err(BudgetError::OverBudget);
        }
        self.spent = with;
        Ok(())
    }

    /// Whether what a round costs can be added.
    ///
    /// # Errors
    /// As [`Budget::charge`].
    pub fn affords(&self, privacy: &Privacy, block: u32) -> Result<(), BudgetError> {
        let mut with = *self;
        with.charge(privacy, block)
    }

    /// A lower limit holds at once, and a higher one that waits is off.
    ///
    /// # Errors
    /// It is 0, or no lower.
    pub fn lower(&mut self, limit_micro: u32, block: u32) -> Result<(), BudgetError> {
        if limit_micro == 0 {
            return Err(BudgetError::Limit);
        }
        if limit_micro >= self.limit_micro(block) {
            return Err(BudgetError::NoChange);
        }
        (self.limit_micro, self.raise) = (limit_micro, None);
        Ok(())
    }

    /// A higher limit holds after [`RAISE_BLOCKS`]. Gives the block from which on it does.
    ///
    /// # Errors
    /// It is no higher.
    pub fn raise(&mut self, limit_micro: u32, block: u32) -> Result<u32, BudgetError> {
        let now = self.limit_micro(block);
        if limit_micro <= now {
            return Err(BudgetError::NoChange);
        }
        let from = block.saturating_add(RAISE_BLOCKS);
        (self.limit_micro, self.raise) = (now, Some(Raise { limit_micro, from }));
        Ok(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(unit: PrivacyUnit) -> Privacy {
        Privacy {
            unit,
            rate_ppm: 250_000,
            steps: 8,
            clip_micro: 500_000,
            sigma_1024: 3_072,
            delta_exp: 5,
            shared: false,
            colluders: 0,
            // in thousandths
            spend: [70, 105, 140, 180, 215, 260, 300, 400, 500, 760, 1200, 2000, 4500, 17000, 45000, 100000]
                .map(|thousandths: u64| thousandths * 1_000_000),
        }
    }

    #[test]
    fn nothing_is_charged_beyond_the_limit_and_nothing_is_given_back() {
        let mut budget = Budget::declare(2_000_000, 5, PrivacyUnit::Patient).unwrap();
        assert_eq!(budget.epsilon_micro(), 0);
        let mut rounds = 0;
        while budget.charge(&round(PrivacyUnit::Patient), 1).is_ok() {
            rounds += 1;
            assert!(budget.epsilon_micro() <= 2_000_000);
        }
        assert!(rounds > 1, "{rounds}");
        let full = budget;
        assert_eq!(budget.charge(&round(PrivacyUnit::Patient), 1), Err(BudgetError::OverBudget));
        assert_eq!(budget.affords(&round(PrivacyUnit::Patient), 1), Err(BudgetError::OverBudget));
        assert_eq!(budget.charge(&round(PrivacyUnit::Record), 1), Err(BudgetError::Unit));
        let finer = Privacy { delta_exp: 6, ..round(PrivacyUnit::Patient) };
        assert_eq!(budget.charge(&finer, 1), Err(BudgetError::OtherDelta));
        assert_eq!(budget, full);
    }

    /// What no number holds any more stays at the largest one, which is beyond every limit.
    #[test]
    fn a_sum_beyond_the_largest_number_is_beyond_every_limit() {
        let mut budget = Budget::declare(u32::MAX, 5, PrivacyUnit::Record).unwrap();
        let (cheap, dear) =
            (round(PrivacyUnit::Record), Privacy { spend: [u64::MAX; 16], ..round(PrivacyUnit::Record) });
        budget.charge(&cheap, 1).unwrap();
        assert_eq!(budget.charge(&dear, 1), Err(BudgetError::OverBudget));
        // at all orders but one: that one counts, and the others stay where they are
        let mut once = dear;
        once.spend[3] = 1_000_000_000;
        budget.charge(&once, 1).unwrap();
        let spent = budget.epsilon_micro();
        assert_eq!(budget.spent()[0], u64::MAX);
        budget.charge(&once, 1).unwrap();
        assert_eq!((budget.spent()[0], budget.epsilon_micro()), (u64::MAX, spent + 1_000_000));
        // the limit itself may be spent, and no millionth more
        let mut exact = Budget::declare(u32::MAX, 5, PrivacyUnit::Record).unwrap();
        let room = u64::from(u32::MAX) * 1_000 - u64::try_from(constants(5).unwrap()[3]).unwrap();
        once.spend[3] = room;
        exact.charge(&once, 1).unwrap();
        assert_eq!(exact.epsilon_micro(), u64::from(u32::MAX));
        once.spend[3] = 1;
        assert_eq!(exact.charge(&once, 1), Err(BudgetError::OverBudget));
        assert_eq!(epsilon_micro(&[u64::MAX; 16], 5), Some(u64::MAX.div_ceil(1_000)));
    }

    #[test]
    fn what_is_beyond_all_numbers_is_charged_by_no_limit() {
        let costing = |spend| Privacy { spend, ..round(PrivacyUnit::Record) };
        for delta_exp in 3..=12 {
            let constants = constants(delta_exp).unwrap();
            let beyond = [u64::MAX; 16];
            assert!(epsilon_micro(&beyond, delta_exp).unwrap() > u64::from(u32::MAX));
            let mut budget = Budget::declare(u32::MAX, delta_exp, PrivacyUnit::Record).unwrap();
            let at = |spend| Privacy { delta_exp, ..costing(spend) };
            assert_eq!(budget.charge(&at(beyond), 1), Err(BudgetError::OverBudget));
            assert_eq!(budget.spent(), &[0; 16]);
            for (place, constant) in constants.iter().enumerate() {
                let mut budget = budget;
                // all orders but one are full: that one fills the limit to its last millionth
                let mut most = beyond;
                most[place] = u64::from(u32::MAX) * 1_000 - u64::try_from(*constant).unwrap();
                budget.charge(&at(most), 1).unwrap();
                assert_eq!(budget.epsilon_micro(), u64::from(u32::MAX));
                let full = budget;
                for more in [[1; 16], most, beyond] {
                    assert_eq!(budget.charge(&at(more), 1), Err(BudgetError::OverBudget), "order {place}");
                }
                assert_eq!(budget, full);
            }
        }
    }

    #[test]
    fn a_higher_limit_waits_for_seven_days_and_a_lower_one_holds_at_once() {
        let mut budget = Budget::declare(2_000_000, 5, PrivacyUnit::Record).unwrap();
        assert_eq!(budget.raise(2_000_000, 10), Err(BudgetError::NoChange));
        let from = budget.raise(4_000_000, 10).unwrap();
        assert_eq!(from, 10 + RAISE_BLOCKS);
        assert_eq!((budget.limit_micro(from - 1), budget.limit_micro(from)), (2_000_000, 4_000_000));
        // another one begins to wait anew, from what holds then
        let later = budget.raise(8_000_000, from).unwrap();
        assert_eq!((budget.limit_micro(later - 1), budget.limit_micro(later)), (4_000_000, 8_000_000));
        budget.lower(1_000_000, later).unwrap();
        assert_eq!((budget.limit_micro(later), budget.raise_to()), (1_000_000, None));
        assert_eq!(budget.lower(1_000_000, later), Err(BudgetError::NoChange));
        assert_eq!(budget.lower(0, later), Err(BudgetError::Limit));
    }

    #[test]
    fn a_budget_needs_a_limit_and_a_delta_that_there_are_constants_of() {
        assert_eq!(Budget::declare(0, 5, PrivacyUnit::Record), Err(BudgetError::Limit));
        for delta_exp in [0, 2, 13, 255] {
            assert_eq!(Budget::declare(1, delta_exp, PrivacyUnit::Record), Err(BudgetError::Delta));
        }
        let ids = [dataset_id(&InstitutionId([1; 32]), "a"), dataset_id(&InstitutionId([2; 32]), "a")];
        assert_ne!(ids[0], ids[1]);
        assert_eq!(ids[0], dataset_id(&InstitutionId([1; 32]), "a"));
    }
}
