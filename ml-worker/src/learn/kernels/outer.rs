//! The gradient of a dense layer's weights, a few rows and columns at a time.
//!
//! The rows of the batch are brought into the order in which they are multiplied once for many rows of the result, and while
//! numbers are multiplied, what will become of them is already asked for.

use super::{
    fast,
    product::{Product, ROWS},
    vectors::arch,
    WORTH_THREADS,
};
use crate::learn::real::Real;
use rayon::prelude::*;
use std::ops::Range;

/// Columns that are made at a time: what is multiplied for them stays in a core's second cache.
pub const COLUMNS: usize = 512;
/// Rows that are made at a time.
const STRIP: usize = 4 * ROWS;
/// Columns that are multiplied at a time, a multiple of any machine's vectors: they stay in the first cache.
const PANEL: usize = 32;
/// Rows that are left free between panels: without, the same row of all would lie in the same few lines of the first cache.
const APART: usize = 1;

/// `dyᵀ·x`, with `x` of rows of `inputs` numbers. Of each row of the result, and in it of each [`COLUMNS`] columns (fewer at the
/// row's end), there is a piece: `take` is called with it, with its row and its first column, and with its numbers; before,
/// `soon` with those of its columns, counted from the piece's beginning, that come next.
///
/// Each number is one sum over the rows of the batch in their order, whatever the number of threads.
pub fn outer<R: Real, T: Send>(
    dy: &[R],
    x: &[R],
    inputs: usize,
    pieces: Vec<T>,
    soon: impl Fn(&T, Range<usize>) + Sync,
    take: impl Fn(&mut T, (usize, usize), &mut [R]) + Sync,
) {
    let (blocks, rows) = (inputs.div_ceil(COLUMNS), x.len() / inputs);
    let outputs = pieces.len() / blocks;
    let threads = outputs * inputs >= WORTH_THREADS;
    let parts = if threads { (2 * rayon::current_num_threads()).div_ceil(blocks) } else { 1 };
    let height = outputs.div_ceil(parts.max(1)).next_multiple_of(ROWS);
    let mut tasks: Vec<Vec<T>> = Vec::new();
    tasks.resize_with(outputs.div_ceil(height) * blocks, || Vec::with_capacity(height));
    for (n, piece) in pieces.into_iter().enumerate() {
        tasks[n / blocks / height * blocks + n % blocks].push(piece);
    }
    let act = |(n, mut pieces): (usize, Vec<T>)| {
        let (top, left) = (n / blocks * height, n % blocks * COLUMNS);
        let width = COLUMNS.min(inputs - left);
        let apart = (rows + APART) * PANEL;
        R::scratch(apart * (COLUMNS / PANEL) + rows * STRIP + STRIP * COLUMNS, |scratch| {
            let (panels, scratch) = scratch.split_at_mut(apart * (COLUMNS / PANEL));
            let (slopes, gradient) = scratch.split_at_mut(rows * STRIP);
            let panels = &mut panels[..apart * width.div_ceil(PANEL)];
            fast(
                #[inline(always)]
                || {
                    for (row, x) in x.chunks_exact(inputs).enumerate() {
                        let columns = x[left..left + width].chunks(PANEL);
                        for (panel, x) in panels.chunks_exact_mut(apart).zip(columns) {
                            fill::<R, PANEL>(&mut panel[row * PANEL..][..PANEL], x);
                        }
                    }
                },
            );
            for (n, strip) in pieces.chunks_mut(STRIP).enumerate() {
                let first = top + n * STRIP;
                let slopes = &mut slopes[..rows * strip.len().next_multiple_of(ROWS)];
                for (n, slopes) in slopes.chunks_exact_mut(rows * ROWS).enumerate() {
                    pick::<R, ROWS>(slopes, dy, outputs, first + n * ROWS..first + strip.len().min((n + 1) * ROWS));
                }
                for (n, panel) in panels.chunks_exact(apart).enumerate() {
                    let columns = n * PANEL..width.min((n + 1) * PANEL);
                    for (row, slopes) in (0..).step_by(ROWS).zip(slopes.chunks_exact(rows * ROWS)) {
                        strip[row..].iter().take(ROWS).for_each(|piece| soon(piece, columns.clone()));
                        arch().dispatch(Product::<R, true> {
                            out: &mut gradient[row * COLUMNS + n * PANEL..],
                            out_step: COLUMNS,
                            a: slopes,
                            step: ROWS,
                            b: &panel[..rows * PANEL],
                            width: PANEL,
                            rows: ROWS,
                            add: false,
                        });
                    }
                }
                for (row, (piece, gradient)) in strip.iter_mut().zip(gradient.chunks_exact_mut(COLUMNS)).enumerate() {
                    take(piece, (first + row, left), &mut gradient[..width]);
                }
            }
        });
    };
    if threads {
        tasks.into_par_iter().with_max_len(1).enumerate().for_each(act);
    } else {
        tasks.into_iter().enumerate().for_each(act);
    }
}

/// Some columns of a matrix with rows of `step` numbers, filled up with zeros to `N`.
fn pick<R: Real, const N: usize>(to: &mut [R], from: &[R], step: usize, columns: Range<usize>) {
    for (to, from) in to.chunks_exact_mut(N).zip(from.chunks_exact(step)) {
        fill::<R, N>(to, &from[columns.clone()]);
    }
}

/// Some numbers, and zeros after them up to `N`.
#[inline(always)]
fn fill<R: Real, const N: usize>(to: &mut [R], from: &[R]) {
    match (to.as_chunks_mut::<N>(), from.as_chunks::<N>()) {
        (([to], []), ([from], [])) => *to = *from,
        _ => {
            to[..from.len()].copy_from_slice(from);
            to[from.len()..].fill(R::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<R: Real>(rows: usize, outputs: usize, inputs: usize, threads: usize) {
        let number = |n: usize| R::of(((n * 37 + 11) % 23) as f64 - 11.0);
        let dy: Vec<R> = (0..rows * outputs).map(number).collect();
        let x: Vec<R> = (0..rows * inputs).map(|n| number(n + 5)).collect();
        let mut found = vec![R::of(f64::NAN); outputs * inputs];
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let pieces = found.chunks_mut(inputs).flat_map(|row| row.chunks_mut(COLUMNS)).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
        pool.install(|| {
            outer(
                &dy,
                &x,
                inputs,
                pieces,
                |piece: &&mut [R], columns| {
                    asked.fetch_add(piece[columns].len(), std::sync::atomic::Ordering::Relaxed);
                },
                |piece, (row, column), numbers| {
                    assert_eq!(piece.len(), numbers.len(), "row {row}, column {column}");
                    piece.copy_from_slice(numbers);
                },
            );
        });
        assert_eq!(asked.into_inner(), outputs * inputs);
        for (n, number) in found.iter().enumerate() {
            let (output, input) = (n / inputs, n % inputs);
            let sum = (0..rows).fold(0.0, |sum, k| sum + dy[k * outputs + output].f64() * x[k * inputs + input].f64());
            assert_eq!(number.f64(), sum, "{rows} rows, {outputs} x {inputs}: {output}, {input}");
        }
    }

    #[test]
    fn pieces_are_those_of_the_product() {
        for (rows, outputs, inputs) in [
            (1, 1, 1),
            (5, 7, 31),
            (32, 24, 512),
            (3, 50, 33),
            (70, 100, 1300),
            (17, 6, 513),
            (9, 200, 200),
            (2, 3, 20_000),
        ] {
            for threads in [1, 3] {
                check::<f32>(rows, outputs, inputs, threads);
                check::<f64>(rows, outputs, inputs, threads);
            }
        }
    }
}
