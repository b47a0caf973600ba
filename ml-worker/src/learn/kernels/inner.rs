//! What a dense layer makes of a batch: the products of its rows with the rows of the weights, sums of many terms.
//!
//! Of the two only the batch is brought into another order, some terms at a time, so that these stay in a core's second cache;
//! the weights, which are more, are read where they lie.

use super::{
    product::{Product, ROWS},
    turn::turn,
    vectors::arch,
};
use crate::learn::{memory::soon, real::Real};
use rayon::prelude::*;

/// Rows of the batch that are multiplied at a time.
const PANEL: usize = 64;
/// A multiple of any machine's vectors.
const VECTOR: usize = 16;
/// Terms that are summed at a time.
const DEPTH: usize = 512;
/// Most rows of weights whose sums a thread keeps.
const OUTPUTS: usize = 256;

/// `out = x·wᵀ`, or added to it, with `x` and `w` of rows of `terms` numbers, and `out` of one row per row of `x`.
///
/// Each number is one sum over each [`DEPTH`] terms in their order, and these sums in theirs, whatever the number of threads.
///
/// # Panics
/// No terms, or numbers that are no whole rows.
pub fn inner<R: Real>(out: &mut [R], x: &[R], w: &[R], terms: usize, add: bool) {
    let (rows, outputs) = (x.len() / terms, w.len() / terms);
    assert!(x.len() == rows * terms && w.len() == outputs * terms, "rows of {terms} numbers");
    assert_eq!(out.len(), rows * outputs, "a product of {rows} x {outputs}");
    if out.is_empty() {
        return;
    }
    let panels = rows.div_ceil(PANEL);
    let shares = rayon::current_num_threads().div_ceil(panels).max(outputs.div_ceil(OUTPUTS));
    let share = outputs.div_ceil(shares).next_multiple_of(ROWS);
    let shares = outputs.div_ceil(share);
    let mut tasks: Vec<Vec<&mut [R]>> = Vec::new();
    tasks.resize_with(panels * shares, || Vec::with_capacity(PANEL));
    for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
        for (n, piece) in out.chunks_mut(share).enumerate() {
            tasks[row / PANEL * shares + n].push(piece);
        }
    }
    let act = |(n, mut pieces): (usize, Vec<&mut [R]>)| {
        let (top, left) = (n / shares * PANEL, n % shares * share);
        let (x, w) = (&x[top * terms..][..pieces.len() * terms], &w[left * terms..]);
        some(&mut pieces, x, &w[..share.min(outputs - left) * terms], terms, add);
    };
    tasks.into_par_iter().with_max_len(1).enumerate().for_each(act);
}

/// The same of at most [`PANEL`] rows, on this thread.
fn some<R: Real>(out: &mut [&mut [R]], x: &[R], w: &[R], terms: usize, add: bool) {
    let (rows, outputs) = (out.len(), w.len() / terms);
    let width = rows.next_multiple_of(VECTOR);
    R::scratch((DEPTH + outputs) * width, |scratch| {
        let (turned, sums) = scratch.split_at_mut(DEPTH * width);
        if rows < width {
            // what stands beyond the rows comes into no number of the result
            turned.fill(R::ZERO);
        }
        for first in (0..terms).step_by(DEPTH) {
            let depth = DEPTH.min(terms - first);
            turn(turned, width, &x[first..], terms, (rows, depth));
            for row in (0..outputs).step_by(ROWS) {
                for next in w[first..].chunks(terms).skip(row + ROWS).take(ROWS) {
                    soon(&next[..depth.min(next.len())]);
                }
                arch().dispatch(Product::<R, false> {
                    out: &mut sums[row * width..],
                    out_step: width,
                    a: &w[row * terms + first..],
                    step: terms,
                    b: &turned[..depth * width],
                    width,
                    rows: ROWS.min(outputs - row),
                    add: first > 0,
                });
            }
        }
        for (row, out) in out.iter_mut().enumerate() {
            for (out, sums) in out.iter_mut().zip(sums.chunks_exact(width)) {
                *out = if add { *out + sums[row] } else { sums[row] };
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<R: Real>(rows: usize, outputs: usize, terms: usize) {
        let number = |n: usize| R::of(((n * 37 + 11) % 23) as f64 - 11.0);
        let x: Vec<R> = (0..rows * terms).map(number).collect();
        let w: Vec<R> = (0..outputs * terms).map(|n| number(n + 5)).collect();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
            let mut out = vec![R::of(f64::NAN); rows * outputs];
            pool.install(|| {
                inner(&mut out, &x, &w, terms, false);
                inner(&mut out, &x, &w, terms, true);
            });
            for (n, found) in out.iter().enumerate() {
                let (row, output) = (n / outputs, n % outputs);
                let pairs = x[row * terms..][..terms].iter().zip(&w[output * terms..]);
                let sum = pairs.fold(0.0, |sum, (x, w)| sum + x.f64() * w.f64());
                assert_eq!(found.f64(), 2.0 * sum, "{rows} x {outputs} of {terms}: {row}, {output}");
            }
        }
    }

    #[test]
    fn sums_are_those_of_the_definition() {
        for (rows, outputs, terms) in
            [(1, 1, 1), (3, 7, 600), (16, 6, 512), (17, 300, 40), (64, 13, 1025), (65, 64, 256), (130, 5, 700)]
        {
            check::<f32>(rows, outputs, terms);
            check::<f64>(rows, outputs, terms);
        }
    }
}
