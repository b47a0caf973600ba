//! From steps to whole numbers that can be summed under masks, and back.

use super::{noised::Noised, norm::Squares};
use crate::{
    model::fits,
    rules::{Server, BLOCK},
};
use pulp::{Simd, WithSimd};

/// What all sites' numbers together stay below, as a power of two: half of what a word with a sign holds.
const HEAD: i32 = 30;
/// 1.5·2⁵². Added to a number of smaller magnitude than 2⁵¹ it leaves the nearest whole number, of two equally near ones the
/// even one, in the low bits, in two's complement.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// Coordinates that are opened at a time.
const TILE: usize = BLOCK / 4;

/// 2 to the power of `exponent`, which is that of a normal number.
pub(super) fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + i64::from(exponent)) as u64) << 52)
}

/// How finely steps are counted: in units of 2^−(30 − `range_log2`), so that no site's weighted step needs more than 2³⁰ of them
/// where no number moves further than ±2^`range_log2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    range_log2: i8,
}

impl Scale {
    /// For steps of at most ±2^`range_log2`, as agreed.
    pub fn new(range_log2: i8) -> Self {
        Self { range_log2 }
    }

    /// Units in one.
    fn up(self) -> f64 {
        power_of_two(HEAD - i32::from(self.range_log2))
    }

    /// One unit.
    fn down(self) -> f64 {
        power_of_two(i32::from(self.range_log2) - HEAD)
    }

    /// The furthest that a number may move.
    pub fn range(self) -> f64 {
        power_of_two(i32::from(self.range_log2))
    }
}

/// The part of one site in the sum of all partners' weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub weight: u32,
    pub total: u64,
}

impl Share {
    fn part(self) -> f64 {
        f64::from(self.weight) / self.total as f64
    }

    /// The largest magnitude of this site's numbers.
    pub fn bound(self) -> u32 {
        // toward zero
        (self.part() * power_of_two(HEAD)) as u32
    }
}

/// How one site's step becomes whole numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoding {
    part: f64,
    /// By what the step is shortened.
    shortened: f64,
    up: f64,
    bound: f64,
}

/// What came of encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Encoded {
    /// Numbers that would have been larger than they may be, and were held at the bound.
    pub clamped: u64,
    /// Whether some number of the update is none, or too large for any update.
    pub unfit: bool,
}

impl Encoding {
    pub fn new(scale: Scale, share: Share, shortened: f64) -> Self {
        Self { part: share.part(), shortened, up: scale.up(), bound: f64::from(share.bound()) }
    }

    /// Encodes some coordinates.
    pub fn block(&self, update: &[f32], base: &[f32], words: &mut [u32]) -> Encoded {
        pulp::Arch::new().dispatch(Block { encoding: self, update, base, words })
    }

    #[inline(always)]
    fn whole(&self, update: &[f32], base: &[f32], words: &mut [u32]) -> Encoded {
        let (mut clamped, mut fit) = (0u64, true);
        for ((word, x), w) in words.iter_mut().zip(update).zip(base) {
            fit &= fits(*x);
            let step = self.shortened * (f64::from(*x) - f64::from(*w));
            // beyond 2^51 this is not the nearest whole number, but far beyond the bound all the same
            let wanted = (self.part * step * self.up + ROUND) - ROUND;
            let held = wanted.max(-self.bound).min(self.bound);
            clamped += u64::from(wanted != held);
            *word = (held + ROUND).to_bits() as u32;
        }
        Encoded { clamped, unfit: !fit }
    }
}

struct Block<'a> {
    encoding: &'a Encoding,
    update: &'a [f32],
    base: &'a [f32],
    words: &'a mut [u32],
}

impl WithSimd for Block<'_> {
    type Output = Encoded;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Encoded {
        self.encoding.whole(self.update, self.base, self.words)
    }
}

/// Adds words to a sum, modulo 2³².
pub(super) fn add_words(sum: &mut [u32], words: &[u32]) {
    pulp::Arch::new().dispatch(Sum { sum, words });
}

struct Sum<'a> {
    sum: &'a mut [u32],
    words: &'a [u32],
}

impl WithSimd for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (sum, word) in self.sum.iter_mut().zip(self.words) {
            *sum = sum.wrapping_add(*word);
        }
    }
}

/// How the sum of some partners' numbers, without masks, becomes a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    /// The part of these partners in the sum of all partners' weights; of noised sums, their weights.
    share: f64,
    down: f64,
    /// The largest magnitude of the sum.
    pub bound: u32,
}

impl Opening {
    /// Of partners of these weights, when those of all partners sum to `total`.
    pub fn new(scale: Scale, weights: &[u32], total: u64) -> Self {
        let bound = weights.iter().map(|weight| Share { weight: *weight, total }.bound()).fold(0, u32::saturating_add);
        let there = weights.iter().map(|weight| u64::from(*weight)).sum::<u64>();
        Self { share: there as f64 / total as f64, down: scale.down(), bound }
    }

    /// Of gradients with shared noise, of sites of these weights: half of what a word holds is room for what the noise may add.
    pub fn noised(noised: Noised, weights: &[u32]) -> Self {
        let there = weights.iter().map(|weight| u64::from(*weight)).sum::<u64>();
        Self { share: there as f64, down: noised.moves(), bound: 1 << HEAD }
    }
}

/// Some coordinates of a sum that are to become those of a model.
pub(super) struct Open<'a> {
    pub opening: &'a Opening,
    pub server: Option<&'a Server>,
    /// Position of the first of them.
    pub at: usize,
    pub sum: &'a [u32],
    pub base: &'a [f32],
    /// What the optimiser remembers; not touched without one.
    pub m: &'a mut [f32],
    pub v: &'a mut [f32],
    /// Where the step's length is asked for.
    pub squares: Option<&'a mut Squares>,
    pub out: &'a mut [f32],
}

/// What came of opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether all of the sum is what honest sites can give.
    pub in_range: bool,
    /// Whether the model's numbers, and those that the optimiser remembers, are finite.
    pub finite: bool,
}

impl Open<'_> {
    pub fn run(self) -> Verdict {
        pulp::Arch::new().dispatch(self)
    }

    #[inline(always)]
    fn whole(self) -> Verdict {
        let Self { opening, server, at, sum, base, m, v, mut squares, out } = self;
        let mut verdict = Verdict { in_range: true, finite: true };
        let mut steps = [0f64; TILE];
        for start in (0..out.len()).step_by(TILE) {
            let end = (start + TILE).min(out.len());
            let steps = &mut steps[..end - start];
            let mut in_range = true;
            for (step, word) in steps.iter_mut().zip(&sum[start..end]) {
                let whole = *word as i32;
                in_range &= whole.unsigned_abs() <= opening.bound;
                *step = f64::from(whole) * opening.down / opening.share;
            }
            verdict.in_range &= in_range;
            if let Some(squares) = squares.as_deref_mut() {
                squares.add(at + start, steps);
            }
            let (base, out) = (&base[start..end], &mut out[start..end]);
            match server {
                None => {
                    for ((number, step), w) in out.iter_mut().zip(&*steps).zip(base) {
                        *number = (f64::from(*w) + step + 0.0) as f32;
                    }
                }
                Some(server) => {
                    for (lane, (number, step)) in out.iter_mut().zip(&*steps).enumerate() {
                        let k = start + lane;
                        let mut first = f64::from(m[k]);
                        let mut second = v.get(k).map_or(0.0, |v| f64::from(*v));
                        *number = server.step(f64::from(base[lane]), *step, &mut first, &mut second) as f32 + 0.0;
                        m[k] = first as f32 + 0.0;
                        verdict.finite &= m[k].is_finite();
                        if let Some(v) = v.get_mut(k) {
                            *v = second as f32 + 0.0;
                            verdict.finite &= v.is_finite();
                        }
                    }
                }
            }
            verdict.finite &= out.iter().fold(true, |finite, x| finite & (x.abs() <= f32::MAX));
        }
        verdict
    }
}

impl WithSimd for Open<'_> {
    type Output = Verdict;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Verdict {
        self.whole()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(seed: u32, count: usize) -> Vec<f32> {
        let mixed = (0..count as u32).map(|k| (k ^ seed).wrapping_mul(2_654_435_761).wrapping_add(seed * 977));
        mixed.map(|x| ((x >> 8) as f32 / (1 << 23) as f32 - 1.0) / ((x & 31) as f32 + 0.3)).collect()
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_ties_to_even_and_held_at_the_bound() {
        // one part in four of 2^30 units, so that a step of 2^-26 is one unit
        let share = Share { weight: 1, total: 4 };
        let encoding = Encoding::new(Scale::new(2), share, 1.0);
        let one = power_of_two(-26) as f32;
        let cases = [
            (0.0, 0),
            (-0.0, 0),
            (0.5 * one, 0),
            (1.5 * one, 2),
            (2.5 * one, 2),
            (-0.5 * one, 0),
            (-1.5 * one, -2),
            (0.75 * one, 1),
            (-3.0 * one, -3),
            (4.0, 1 << 28),
            (-4.0, -(1 << 28)),
        ];
        for (step, expected) in cases {
            let mut word = [7];
            assert_eq!(encoding.block(&[step], &[0.0], &mut word), Encoded::default(), "{step}");
            assert_eq!(word[0] as i32, expected, "{step}");
        }
        for (step, expected) in [(4.001, 1 << 28), (-1e15, -(1 << 28)), (9e14, 1 << 28)] {
            let mut word = [7];
            assert_eq!(encoding.block(&[step], &[0.0], &mut word), Encoded { clamped: 1, unfit: false });
            assert_eq!(word[0] as i32, expected, "{step}");
        }
        for step in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2e15] {
            assert!(encoding.block(&[1.0, step], &[0.0; 2], &mut [0; 2]).unfit, "{step}");
        }
    }

    #[test]
    fn rounding_by_adding_is_rounding() {
        let share = Share { weight: 3, total: 7 };
        let (update, base) = (made(3, 9999), made(4, 9999));
        let encoding = Encoding::new(Scale::new(2), share, 0.75);
        let mut words = vec![0; update.len()];
        encoding.block(&update, &base, &mut words);
        for ((word, x), w) in words.iter().zip(&update).zip(&base) {
            let exact = 3.0 / 7.0 * (0.75 * (f64::from(*x) - f64::from(*w))) * f64::from(1 << 28);
            let bound = f64::from(share.bound());
            assert_eq!(f64::from(*word as i32), exact.round_ties_even().clamp(-bound, bound));
        }
    }

    #[test]
    fn sums_that_wrap_around_are_out_of_range() {
        let opening = Opening::new(Scale::new(2), &[100, 100, 100], 400);
        assert_eq!(opening.bound, 3 << 28);
        let of = |word: u32| {
            let (sum, base, mut out) = ([0, word, 0], [0.5; 3], [0.0; 3]);
            let open = Open {
                opening: &opening,
                server: None,
                at: 0,
                sum: &sum,
                base: &base,
                m: &mut [],
                v: &mut [],
                squares: None,
                out: &mut out,
            };
            open.run().in_range
        };
        assert!(of(3 << 28) && of((3u32 << 28).wrapping_neg()) && of(0) && of(u32::MAX));
        assert!(!of((3 << 28) + 1) && !of(1 << 31) && !of(((3u32 << 28) + 1).wrapping_neg()) && !of(i32::MAX as u32));
    }

    /// What machines with narrow vectors run is held against what this one runs.
    #[test]
    fn the_width_of_vectors_changes_no_bit() {
        let (update, base) = (made(1, BLOCK + 77), made(2, BLOCK + 77));
        let encoding = Encoding::new(Scale::new(1), Share { weight: 11, total: 50 }, 0.9);
        let (mut wide, mut narrow) = (vec![0; update.len()], vec![0; update.len()]);
        assert_eq!(encoding.block(&update, &base, &mut wide), encoding.whole(&update, &base, &mut narrow));
        assert_eq!(wide, narrow);
        let opening = Opening::new(Scale::new(1), &[11, 20], 50);
        let of = |wide: bool| {
            let (mut out, mut squares) = (vec![0f32; base.len()], Squares::default());
            let open = Open {
                opening: &opening,
                server: None,
                at: 0,
                sum: &narrow,
                base: &base,
                m: &mut [],
                v: &mut [],
                squares: Some(&mut squares),
                out: &mut out,
            };
            let verdict = if wide { open.run() } else { open.whole() };
            assert_eq!(verdict, Verdict { in_range: true, finite: true });
            let bits: Vec<u32> = out.iter().map(|x| x.to_bits()).collect();
            (bits, Squares::length([&squares]).to_bits())
        };
        assert!(of(true) == of(false));
    }
}
