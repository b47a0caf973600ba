//! From whole numbers of many bits to the nearest number of `f64`, rounded once.

use super::encoding::power_of_two;
use primitive_types::U512;

/// Bits of a number of `f64`.
const BITS: usize = 53;

/// `±numerator ÷ denominator · 2^−down`, rounded to the nearest, of two equally near ones to the even one. The denominator is not
/// 0; the result must be a normal number or 0.
pub(super) fn nearest(negative: bool, numerator: U512, denominator: U512, down: i32) -> f64 {
    if numerator.is_zero() {
        return 0.0;
    }
    // two bits more than are kept: one decides where the half is, and below it something only says that it is not exact
    let more = (BITS + 2 + denominator.bits()).saturating_sub(numerator.bits());
    let (quotient, rest) = (numerator << more).div_mod(denominator);
    let cut = quotient.bits() - BITS;
    let kept = quotient >> cut;
    let left = quotient - (kept << cut);
    let half = U512::one() << (cut - 1);
    let up = left > half || (left == half && (!rest.is_zero() || kept.bit(0)));
    let kept = kept.low_u64() + u64::from(up);
    let size = kept as f64 * power_of_two(cut as i32 - more as i32 - down);
    if negative {
        -size
    } else {
        size
    }
}

/// The nearest whole number, of two equally near ones the even one.
pub(super) fn whole(number: f64) -> f64 {
    // from 2^52 on all are whole
    const ALL: f64 = 4_503_599_627_370_496.0;
    if number.abs() < ALL {
        ((number.abs() + ALL) - ALL).copysign(number)
    } else {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_rounded_once() {
        let of = |n: u128, d: u128| nearest(false, U512::from(n), U512::from(d), 0);
        for (n, d) in [(1u32, 3), (2, 3), (1, 10), (10, 1), (u32::MAX, 7), (7, u32::MAX), (1, 1), (3, 4_000_000_007)] {
            // both are numbers of f64, whose division rounds once
            assert_eq!(of(n.into(), d.into()), f64::from(n) / f64::from(d), "{n} / {d}");
        }
        let one = 1u128 << 53;
        assert_eq!(of(one + 1, 1), one as f64, "a tie, to even");
        assert_eq!(of(one + 3, 1), (one + 4) as f64, "a tie, to even");
        assert_eq!(of(3 * (one + 1) + 1, 3), (one + 2) as f64, "a third above the tie");
        assert_eq!(of(3 * (one + 1) - 1, 3), one as f64, "a third below the tie");
        assert_eq!(of(2 * one - 1, 1), (2 * one - 1) as f64);
        assert_eq!(of(4 * one - 1, 1), (4 * one) as f64, "into the next power");
        assert_eq!(nearest(true, U512::one() << 300u32, U512::from(3), 299), -2.0 / 3.0);
        assert_eq!(nearest(false, U512::one(), U512::from(1u64 << 35), 128), power_of_two(-163));
        assert_eq!(nearest(true, U512::zero(), U512::one(), 64).to_bits(), 0);
    }

    #[test]
    fn whole_numbers_are_those_of_the_standard() {
        for number in [
            0.0,
            0.5,
            1.5,
            2.5,
            0.499_999_999_999_999_94,
            4_503_599_627_370_495.5,
            4_503_599_627_370_494.5,
            1e30,
            1e-320,
        ] {
            for number in [number, -number] {
                assert_eq!(whole(number), number.round_ties_even(), "{number}");
            }
        }
    }
}
