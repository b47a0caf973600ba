//! Numbers of some 31 decimal digits: unevaluated sums of two `f64` (Dekker, "A floating-point technique for extending the
//! available precision", Numerische Mathematik 18, 1971). Nothing but sums, products and quotients of `f64` in a fixed order, so
//! that every machine finds the same bits.
//!
//! The ledger's whole numbers reach 10¹⁴, which a logarithm of 16 digits would miss by dozens.

/// `high + low`, where `low` is at most half an ulp of `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Double {
    pub(crate) high: f64,
    pub(crate) low: f64,
}

/// ln 2.
const LN_2: Double = Double { high: std::f64::consts::LN_2, low: 2.319_046_813_846_299_6e-17 };
/// ln 10.
const LN_10: Double = Double { high: std::f64::consts::LN_10, low: -2.170_756_223_382_249_4e-16 };
/// 2²⁷ + 1, which cuts the 53 bits of a mantissa in two.
const CUT: f64 = 134_217_729.0;
/// Terms of the series of e^x − 1 for |x| below 2⁻¹¹.
const EXP_TERMS: i32 = 12;
/// Halvings before it, and squarings after it.
const HALVINGS: i32 = 10;
/// Terms of the series of the area tangent for |z| below .18.
const LN_TERMS: i32 = 28;

/// Sum and its rounding error.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// The same where `a` is the larger one.
fn quick(a: f64, b: f64) -> Double {
    let sum = a + b;
    Double { high: sum, low: b - (sum - a) }
}

/// A number's upper and lower 26 bits.
fn cut(a: f64) -> (f64, f64) {
    let t = CUT * a;
    let high = t - (t - a);
    (high, a - high)
}

/// Product and its rounding error.
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let ((ah, al), (bh, bl)) = (cut(a), cut(b));
    (product, ((ah * bh - product) + ah * bl + al * bh) + al * bl)
}

impl Double {
    pub(crate) const ONE: Self = Self { high: 1.0, low: 0.0 };

    /// Exactly this `f64`.
    pub(crate) fn of(value: f64) -> Self {
        Self { high: value, low: 0.0 }
    }

    /// `above ÷ below`.
    pub(crate) fn ratio(above: f64, below: f64) -> Self {
        Self::of(above).over(Self::of(below))
    }

    /// ln of 10 to this power.
    pub(crate) fn ln_power_of_ten(power: i32) -> Self {
        LN_10.times(Self::of(f64::from(power)))
    }

    pub(crate) fn value(self) -> f64 {
        self.high + self.low
    }

    pub(crate) fn negative(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        let (sum, error) = two_sum(self.high, other.high);
        let (small, smaller) = two_sum(self.low, other.low);
        let first = quick(sum, error + small);
        quick(first.high, first.low + smaller)
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        self.plus(other.negative())
    }

    pub(crate) fn times(self, other: Self) -> Self {
        let (product, error) = two_product(self.high, other.high);
        quick(product, error + (self.high * other.low + self.low * other.high))
    }

    pub(crate) fn over(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self.minus(other.times(Self::of(first)));
        let second = rest.high / other.high;
        let rest = rest.minus(other.times(Self::of(second)));
        quick(first, second).plus(Self::of(rest.high / other.high))
    }

    /// Times 2 to this power.
    pub(crate) fn scaled(self, power: i32) -> Self {
        Self { high: libm::ldexp(self.high, power), low: libm::ldexp(self.low, power) }
    }

    /// e to this power, as a number and the power of two that it is to be multiplied by: it can be beyond what an `f64` holds.
    pub(crate) fn exp(self) -> Large {
        let twos = (self.high / LN_2.high + 0.5).floor();
        let rest = self.minus(LN_2.times(Self::of(twos))).scaled(-HALVINGS);
        let (mut term, mut sum) = (Self::ONE, Self::of(0.0));
        for n in 1..=EXP_TERMS {
            term = term.times(rest).over(Self::of(f64::from(n)));
            sum = sum.plus(term);
        }
        // with s = e^x − 1 it is e^2x − 1 = 2s + s²
        for _ in 0..HALVINGS {
            sum = sum.scaled(1).plus(sum.times(sum));
        }
        Large::of(sum.plus(Self::ONE), twos as i64)
    }

    /// The natural logarithm of a number above 0.
    pub(crate) fn ln(self) -> Self {
        let (mantissa, mut power) = libm::frexp(self.high);
        if mantissa < std::f64::consts::FRAC_1_SQRT_2 {
            power -= 1;
        }
        let near_one = self.scaled(-power);
        let z = near_one.minus(Self::ONE).over(near_one.plus(Self::ONE));
        let square = z.times(z);
        let mut sum = Self::of(0.0);
        for n in (0..LN_TERMS).rev() {
            sum = sum.times(square).plus(Self::ratio(1.0, f64::from(2 * n + 1)));
        }
        sum.times(z).scaled(1).plus(LN_2.times(Self::of(f64::from(power))))
    }

    /// The least whole number that is not below it. A millionth is added first, far more than what arithmetic lost: a whole number
    /// becomes the next one rather than ever the one before.
    pub(crate) fn up(self) -> i128 {
        let floor = self.high.floor();
        let rest = (self.high - floor) + self.low + 1e-6;
        floor as i128 + rest.ceil() as i128
    }
}

/// A number of any size above 0, or 0: `number · 2^power`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Large {
    number: Double,
    power: i64,
}

impl Large {
    /// It, with a number between a half and 1.
    pub(crate) fn of(number: Double, power: i64) -> Self {
        let (_, more) = libm::frexp(number.high);
        Self { number: number.scaled(-more), power: power + i64::from(more) }
    }

    pub(crate) fn times(self, other: Self) -> Self {
        Self::of(self.number.times(other.number), self.power + other.power)
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        let (large, small) = if self.power >= other.power { (self, other) } else { (other, self) };
        match i32::try_from(large.power - small.power) {
            // what is further below is no part of so many digits
            Ok(below) if below < 300 => Self::of(large.number.plus(small.number.scaled(-below)), large.power),
            _ => large,
        }
    }

    pub(crate) fn ln(self) -> Double {
        self.number.ln().plus(LN_2.times(Double::of(self.power as f64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_and_powers_undo_each_other_to_thirty_digits() {
        for value in [1e-9, 0.3, 0.999_999_9, 1.0, 1.5, 42.0, 1e12] {
            let x = Double::of(value);
            let back = x.ln().exp();
            let back = back.number.scaled(i32::try_from(back.power).unwrap());
            let off = back.minus(x).over(x).value().abs();
            assert!(off < 1e-29, "{value}: {off:e}");
        }
        assert_eq!(Double::of(1.0).ln().value(), 0.0);
        let off = Double::of(1000.0).ln().minus(Double::ln_power_of_ten(3)).value().abs();
        assert!(off < 1e-29, "{off:e}");
    }

    #[test]
    fn quotients_are_exact_far_beyond_a_float() {
        let third = Double::ratio(1.0, 3.0);
        let off = third.times(Double::of(3.0)).minus(Double::ONE).value().abs();
        assert!(off < 1e-31, "{off:e}");
        assert!(third.low != 0.0);
    }

    #[test]
    fn whole_numbers_never_come_out_below() {
        assert_eq!(Double::of(7.0).up(), 8);
        assert_eq!(Double { high: 7.0, low: -1e-16 }.up(), 8);
        assert_eq!(Double::of(7.25).up(), 8);
        assert_eq!(Double::of(-7.25).up(), -7);
        assert_eq!(Double { high: 1e14, low: 0.5 }.up(), 100_000_000_000_001);
    }

    #[test]
    fn numbers_beyond_a_float_keep_their_logarithm() {
        let huge = Double::of(5_000.0).exp();
        let off = huge.ln().minus(Double::of(5_000.0)).value().abs();
        assert!(off < 1e-26, "{off:e}");
        let sum = huge.plus(huge);
        let off = sum.ln().minus(huge.ln()).minus(LN_2).value().abs();
        assert!(off < 1e-26, "{off:e}");
    }
}
