//! Matrix products on the `gemm` crate, the one candle stands on. Together with `vectors.rs` and `memory.rs` the only unsafe code of
//! the worker.
#![allow(unsafe_code)]

use super::{inner::inner, product::ROWS, vectors};
use crate::learn::real::Real;
use rayon::prelude::*;
use std::ops::Range;

/// A matrix that is read: numbers, rows, columns, and the distance in the slice from one row, and from one column, to the
/// next. A transposed matrix is the same numbers with both pairs swapped: nothing is copied.
#[derive(Clone, Copy)]
pub struct Matrix<'a, R> {
    numbers: &'a [R],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a, R: Real> Matrix<'a, R> {
    /// Row by row.
    ///
    /// # Panics
    /// Another count of numbers.
    pub fn new(numbers: &'a [R], rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns, "a matrix of {rows} x {columns}");
        Self { numbers, rows, columns, row_step: columns, column_step: 1 }
    }

    /// Transposed.
    pub fn t(self) -> Self {
        Self { rows: self.columns, columns: self.rows, row_step: self.column_step, column_step: self.row_step, ..self }
    }

    /// Some of its rows.
    ///
    /// # Panics
    /// Rows that it has not.
    pub fn some_rows(self, rows: Range<usize>) -> Self {
        assert!(rows.start < rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        Self { numbers: &self.numbers[rows.start * self.row_step..], rows: rows.len(), ..self }
    }

    /// Some of its columns.
    ///
    /// # Panics
    /// Columns that it has not.
    pub fn some_columns(self, columns: Range<usize>) -> Self {
        self.t().some_rows(columns).t()
    }

    /// How many rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }
}

/// What becomes of the numbers that stand in the result's place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// They are overwritten, whatever they are.
    Set,
    /// The product is added to them.
    Add,
}

/// Fewest rows or columns of a thread's part of a product, and fewest of its other side. The `gemm` crate has other ways for
/// vectors, for results of at most 256 numbers, and where both sides are at most 64: a part must not come to be one of
/// these.
const LEAST: (usize, usize) = (96, 3);
/// Products of fewer multiplications are one thread's work.
const WORTH: usize = 1 << 22;
/// Sums of so many terms are long.
const LONG: usize = 256;

/// `out = a·b` or `out = out + a·b`, with `out` row by row.
///
/// Each number of the result is summed over `a`'s columns in an order that depends on the machine's caches but not on the
/// number of threads: threads share out the result's rows or columns, never the sum. They are shared out here and not by
/// `gemm`, whose own way joins all threads after each 512 or so terms of the sum: of the long sums of a wide first layer
/// two threads made no more than one.
///
/// # Panics
/// Shapes that do not fit.
pub fn multiply<R: Real>(out: &mut [R], a: Matrix<'_, R>, b: Matrix<'_, R>, into: Into, threads: bool) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "a product of {m} x {k} and {} x {n}", b.rows);
    assert_eq!(out.len(), m * n, "a product of {m} x {n}");
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if into == Into::Set {
            out.fill(R::ZERO);
        }
        return;
    }
    // `gemm` brings both matrices into another order, in every step, for each thread anew
    let rows = a.column_step == 1 && a.row_step == k && b.row_step == 1 && b.column_step == k;
    if threads && k >= LONG && m >= LEAST.1 && n >= ROWS && rows {
        inner(out, &a.numbers[..m * k], &b.numbers[..n * k], k, into == Into::Add);
    } else {
        product(out, a, b, into, threads);
    }
}

/// As [`multiply`], of matrices that fit and are not empty.
fn product<R: Real>(out: &mut [R], a: Matrix<'_, R>, b: Matrix<'_, R>, into: Into, threads: bool) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let longest = m.max(n);
    let shared = threads && m.min(n) >= LEAST.1 && m * n * k >= WORTH;
    let parts = if shared { rayon::current_num_threads().min(longest / LEAST.0).max(1) } else { 1 };
    let out = Out(out.as_mut_ptr());
    let part = |rows: Range<usize>, columns: Range<usize>| {
        // SAFETY: the slices hold rows x columns numbers each (asserted here and when a matrix was made or cut), the steps stay
        // within them for all rows and columns of a part, and `out` is borrowed mutably by the caller: nothing else reads or
        // writes it, and parts of it do not overlap. With `read_dst` false the numbers of `out` are not read.
        unsafe {
            let place = |m: &Matrix<'_, R>, first: usize| (m.numbers.as_ptr().add(first), m.column_step, m.row_step);
            let (first, second) = (rows.start * a.row_step, columns.start * b.column_step);
            let to = (out.at(rows.start * n + columns.start), 1, n);
            vectors::multiply(
                (rows.len(), columns.len(), k),
                to,
                place(&a, first),
                place(&b, second),
                into == Into::Add,
            );
        }
    };
    let range = |n: usize| longest * n / parts..longest * (n + 1) / parts;
    if parts == 1 {
        part(0..m, 0..n);
    } else if n >= m {
        (0..parts).into_par_iter().for_each(|p| part(0..m, range(p)));
    } else {
        (0..parts).into_par_iter().for_each(|p| part(range(p), 0..n));
    }
}

/// Where a product is written, by several threads at once, each its own numbers.
#[derive(Clone, Copy)]
struct Out<R>(*mut R);

impl<R> Out<R> {
    /// # Safety
    /// A place within the slice that the pointer was made from.
    unsafe fn at(&self, place: usize) -> *mut R {
        self.0.add(place)
    }
}

// SAFETY: threads are given parts of the result that do not overlap; see `multiply`.
unsafe impl<R: Send> Sync for Out<R> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_definition_transposed_or_not() {
        let number = |i: usize| ((i * 37 + 11) % 23) as f64 - 11.0;
        for (m, n, k) in [(1, 1, 1), (3, 5, 2), (17, 4, 70), (70, 65, 33), (150, 413, 90), (520, 130, 70)] {
            let a: Vec<f64> = (0..m * k).map(number).collect();
            let b: Vec<f64> = (0..k * n).map(|i| number(i + 5)).collect();
            let mut at = vec![0.0; m * k];
            let mut bt = vec![0.0; k * n];
            let mut wanted = vec![0.0; m * n];
            for i in 0..m {
                for l in 0..k {
                    at[l * m + i] = a[i * k + l];
                    for j in 0..n {
                        bt[j * k + l] = b[l * n + j];
                        wanted[i * n + j] += a[i * k + l] * b[l * n + j];
                    }
                }
            }
            let plain = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
            let turned = (Matrix::new(&at, k, m).t(), Matrix::new(&bt, n, k).t());
            for threads in [false, true] {
                let mut out = vec![f64::NAN; m * n];
                multiply(&mut out, plain.0, turned.1, Into::Set, threads);
                assert_eq!(out, wanted);
                multiply(&mut out, turned.0, plain.1, Into::Add, threads);
                assert!(out.iter().zip(&wanted).all(|(o, w)| *o == 2.0 * w));
            }
        }
    }

    #[test]
    fn threads_change_no_bit_of_a_product() {
        let numbers = |count: usize, by: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * by + 11) % 1009) as f32 / 313.0 - 1.6).collect()
        };
        for (m, n, k) in [
            (128, 256, 3000),
            (97, 200, 700),
            (500, 97, 200),
            (300, 1, 20_000),
            (1, 600, 9_000),
            (64, 193, 900),
            (2, 700, 4_000),
            (700, 3, 4_000),
            (5, 1_000, 2_000),
            (1_000, 8, 2_000),
        ] {
            let (a, b) = (numbers(m * k, 37), numbers(n * k, 53));
            for turned in [false, true] {
                let product = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
                    let mut out = numbers(m * n, 7);
                    let a = if turned { Matrix::new(&a, k, m).t() } else { Matrix::new(&a, m, k) };
                    pool.install(|| multiply(&mut out, a, Matrix::new(&b, n, k).t(), Into::Add, true));
                    out.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
                };
                let one = product(1);
                for threads in [2, 3, 4, 5, 16] {
                    assert!(product(threads) == one, "{m} x {k} by {k} x {n}, turned {turned}, {threads} threads");
                }
            }
        }
    }
}
