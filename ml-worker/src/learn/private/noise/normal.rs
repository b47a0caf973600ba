//! Normal numbers, many at a time, by G. Box and M. Muller ("A Note on the Generation of Random Normal Deviates", 1958): of two
//! uniform numbers `u` and `v`, `√(−2·ln u)·cos 2πv` and `√(−2·ln u)·sin 2πv`.
//!
//! By hand, because half of a private step was waiting for a library's numbers, which are made one after the other: here eight are
//! made by one instruction where the processor has vectors so wide. Nothing but sums, products, roots and fused products is used,
//! which give the same bits on every processor.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, LN_2};

/// Pairs that are made at a time.
pub const PAIRS: usize = 64;

/// Bits of a number below its exponent.
const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;
const BELOW: u64 = (1 << FRACTION) - 1;
const ONE: u64 = 1f64.to_bits();
const ROOT: u64 = FRAC_1_SQRT_2.to_bits();
/// `2⁵²`: a whole number below it stands in its fraction as it is.
const WHOLE: f64 = (1u64 << FRACTION) as f64;

/// `2⁻⁶⁴`.
const STEP: f64 = 0.25 / (1u64 << 62) as f64;

/// A number for each of so many words: those of the first half go with those of the second.
#[inline(always)]
pub fn normal(words: &[u64; 2 * PAIRS]) -> [[f64; PAIRS]; 2] {
    let mut numbers = [[0.0; PAIRS]; 2];
    for n in 0..PAIRS {
        [numbers[0][n], numbers[1][n]] = pair(words[n], words[n + PAIRS]);
    }
    numbers
}

/// `a` is `u`, in the middle between two steps of 2⁻⁶⁴, rounded to f64: never 0, so that no number is beyond 9.5. Of `b` the upper 52 bits are where in a
/// quarter of the circle around 0 the angle lies; its last two bits choose the quarter.
#[inline(always)]
fn pair(a: u64, b: u64) -> [f64; 2] {
    let u = (a as f64 + 0.5) * STEP;
    let radius = (-2.0 * ln(u)).sqrt();
    let [cosine, sine] = cosine_and_sine((f64::from_bits(ONE | b >> 12) - 1.5) * FRAC_PI_2).map(f64::to_bits);
    let cosine = cosine ^ b << 63;
    let turned = (cosine ^ sine) & 0u64.wrapping_sub(b >> 1 & 1);
    [cosine ^ turned, sine ^ turned].map(|part| radius * f64::from_bits(part))
}

/// `ln u` of a positive number: with `u = 2ᵏ·m` and `m` from `√½` to `√2` it is `k·ln 2 + 2·artanh s` with `s = (m − 1) ÷ (m + 1)`,
/// of whose series nine terms leave a share of 10⁻¹⁵.
#[inline(always)]
fn ln(u: f64) -> f64 {
    let bits = u.to_bits() + (ONE - ROOT);
    let k = f64::from_bits(WHOLE.to_bits() | bits >> FRACTION) - (WHOLE + 1023.0);
    let m = f64::from_bits((bits & BELOW) + ROOT);
    let s = (m - 1.0) / (m + 1.0);
    let artanh = s * series(
        s * s,
        [1.0, 1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0, 1.0 / 17.0],
    );
    k.mul_add(LN_2, 2.0 * artanh)
}

/// Both of an angle of at most `π/4`, by eight terms of their series.
#[inline(always)]
fn cosine_and_sine(x: f64) -> [f64; 2] {
    let square = x * x;
    let cosine = [
        1.0,
        -1.0 / 2.0,
        1.0 / 24.0,
        -1.0 / 720.0,
        1.0 / 40_320.0,
        -1.0 / 3_628_800.0,
        1.0 / 479_001_600.0,
        -1.0 / 87_178_291_200.0,
    ];
    let sine = [
        1.0,
        -1.0 / 6.0,
        1.0 / 120.0,
        -1.0 / 5_040.0,
        1.0 / 362_880.0,
        -1.0 / 39_916_800.0,
        1.0 / 6_227_020_800.0,
        -1.0 / 1_307_674_368_000.0,
    ];
    [series(square, cosine), x * series(square, sine)]
}

/// `Σ terms[n]·xⁿ`.
#[inline(always)]
fn series<const N: usize>(x: f64, terms: [f64; N]) -> f64 {
    terms.into_iter().rev().reduce(|sum, term| sum.mul_add(x, term)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
