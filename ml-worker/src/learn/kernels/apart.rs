//! What the rows of one unit, a record or a patient, make of a layer's parameters by themselves: how long their gradient is, in
//! f64, and sums of many units' gradients in which each has a factor of its own. No gradient of a unit is written for a
//! dense layer: of rows `x` and slopes `δ` it is `δᵀ·x`, and its square `Σ (x_r·x_s)·(δ_r·δ_s)` (I. Goodfellow, "Efficient
//! Per-Example Gradient Computations", 2015).

use super::{chunks, fast, worth_threads, LANES};
use crate::learn::real::Real;
use rayon::prelude::*;

/// Numbers of a sum of rows that are made at a time.
const PIECE: usize = 256;

/// `Σ x·y`, in f64.
pub fn dot<R: Real>(x: &[R], y: &[R]) -> f64 {
    fast(
        #[inline(always)]
        || {
            let mut lanes = [0.0f64; LANES];
            let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
            let rest = xs.remainder().iter().zip(ys.remainder());
            for (x, y) in xs.zip(ys) {
                for (n, lane) in lanes.iter_mut().enumerate() {
                    *lane += x[n].f64() * y[n].f64();
                }
            }
            lanes.iter_mut().zip(rest).for_each(|(lane, (x, y))| *lane += x.f64() * y.f64());
            lanes.into_iter().sum::<f64>()
        },
    )
}

/// Squared length of the sum of some rows of `width` numbers.
pub fn square_of_sum<R: Real>(rows: &[R], width: usize) -> f64 {
    if rows.len() == width {
        return dot(rows, rows);
    }
    let mut total = 0.0;
    let mut sums = [0.0f64; PIECE];
    for start in (0..width).step_by(PIECE) {
        let sums = &mut sums[..PIECE.min(width - start)];
        sums.fill(0.0);
        for row in rows.chunks_exact(width) {
            sums.iter_mut().zip(&row[start..]).for_each(|(sum, number)| *sum += number.f64());
        }
        total += sums.iter().fold(0.0, |total, sum| total + sum * sum);
    }
    total
}

/// Squared length of the gradient of a dense layer's weights and biases that some rows give together: of their slopes `dy`, of
/// `outputs` numbers each, and what went in, of `inputs` numbers each.
pub fn square_of_product<R: Real>(dy: &[R], outputs: usize, x: &[R], inputs: usize) -> f64 {
    let row = |n: usize| (&dy[n * outputs..][..outputs], &x[n * inputs..][..inputs]);
    let rows = x.len() / inputs;
    let mut total = 0.0;
    for first in 0..rows {
        let (dy, x) = row(first);
        total += (dot(x, x) + 1.0) * dot(dy, dy);
        for second in 0..first {
            let (other_dy, other_x) = row(second);
            total += 2.0 * (dot(x, other_x) + 1.0) * dot(dy, other_dy);
        }
    }
    // of rows that cancel, rounding may leave less than nothing; NaN stays NaN, which `max` would make 0 of
    if total < 0.0 {
        0.0
    } else {
        total
    }
}

/// Multiplies each row of `width` numbers by its factor.
pub fn scale_rows<R: Real>(rows: &mut [R], width: usize, factors: &[f64]) {
    let scale = |(row, factor): (&mut [R], &f64)| {
        if *factor != 1.0 {
            let factor = R::of(*factor);
            row.iter_mut().for_each(|number| *number *= factor);
        }
    };
    if worth_threads(rows.len()) {
        rows.par_chunks_mut(width).zip(factors).for_each(scale);
    } else {
        rows.chunks_mut(width).zip(factors).for_each(scale);
    }
}

/// `out += factor·other`.
pub fn add_scaled<R: Real>(out: &mut [R], factor: f64, other: &[R]) {
    let factor = R::of(factor);
    chunks(out, |start, part| {
        let other = &other[start..start + part.len()];
        fast(
            #[inline(always)]
            || part.iter_mut().zip(other).for_each(|(a, b)| *a += factor * *b),
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: usize) -> f64 {
        ((n * 37 + 11) % 23) as f64 - 11.0
    }

    #[test]
    fn squares_are_those_of_the_gradients_written_out() {
        for (rows, outputs, inputs) in [(1, 1, 1), (1, 7, 40), (3, 5, 17), (8, 2, 300), (5, 33, 1)] {
            let dy: Vec<f64> = (0..rows * outputs).map(number).collect();
            let x: Vec<f64> = (0..rows * inputs).map(|n| number(n + 5)).collect();
            // weights and, as if one more input were 1, biases
            let mut expected = 0.0;
            for output in 0..outputs {
                for input in 0..=inputs {
                    let of = |row: usize| if input < inputs { x[row * inputs + input] } else { 1.0 };
                    let sum = (0..rows).fold(0.0, |sum, row| sum + dy[row * outputs + output] * of(row));
                    expected += sum * sum;
                }
            }
            let found = square_of_product(&dy, outputs, &x, inputs);
            assert_eq!(found, expected, "{rows} rows, {outputs} x {inputs}");
            let sums = (0..inputs).map(|input| (0..rows).map(|row| x[row * inputs + input]).sum::<f64>());
            assert_eq!(square_of_sum(&x, inputs), sums.map(|sum| sum * sum).sum::<f64>(), "{rows} rows of {inputs}");
        }
    }

    #[test]
    fn the_square_of_what_is_not_finite_is_not_finite() {
        for (dy, x) in
            [([f32::NAN], [1.0]), ([f32::INFINITY], [1.0]), ([1.0], [f32::INFINITY]), ([0.0], [f32::INFINITY])]
        {
            assert!(!square_of_product(&dy, 1, &x, 1).is_finite(), "{dy:?} {x:?}");
        }
        // one row of two
        assert!(!square_of_product(&[1.0, f32::NAN], 1, &[1.0, 1.0], 1).is_finite());
    }

    #[test]
    fn rows_are_multiplied_by_their_own_factors() {
        for (rows, width) in [(3, 5), (700, 100)] {
            let mut numbers: Vec<f32> = (0..rows * width).map(|n| number(n) as f32).collect();
            let factors: Vec<f64> = (0..rows).map(|row| [1.0, 0.5, 0.25][row % 3]).collect();
            let mut sum = vec![1.0f32; width];
            numbers.chunks(width).zip(&factors).for_each(|(row, factor)| add_scaled(&mut sum, *factor, row));
            scale_rows(&mut numbers, width, &factors);
            for (n, found) in numbers.iter().enumerate() {
                assert_eq!(f64::from(*found), number(n) * factors[n / width]);
            }
            for (column, sum) in sum.iter().enumerate() {
                let expected = (0..rows).fold(1.0, |sum, row| sum + number(row * width + column) * factors[row]);
                assert_eq!(f64::from(*sum), expected);
            }
        }
    }
}
