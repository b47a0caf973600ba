//! Matrix products on the `gemm` crate, the one candle stands on. The only unsafe code of the worker.
#![allow(unsafe_code)]

use crate::learn::real::Real;
use gemm::Parallelism;

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
}

/// What becomes of the numbers that stand in the result's place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// They are overwritten, whatever they are.
    Set,
    /// The product is added to them.
    Add,
}

/// `out = a·b` or `out = out + a·b`, with `out` row by row.
///
/// Each number of the result is summed over `a`'s columns in an order that depends on the machine's caches but not on the
/// number of threads: threads share out the result's rows and columns, never the sum.
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
    let parallelism = if threads { Parallelism::Rayon(0) } else { Parallelism::None };
    // SAFETY: the slices hold rows x columns numbers each (asserted here and when a matrix was made), the steps stay
    // within them for all rows and columns, and `out` is borrowed mutably, so that nothing else reads or writes it. With
    // `read_dst` false the numbers of `out` are not read.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            into == Into::Add,
            a.numbers.as_ptr(),
            a.column_step as isize,
            a.row_step as isize,
            b.numbers.as_ptr(),
            b.column_step as isize,
            b.row_step as isize,
            R::ONE,
            R::ONE,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_definition_transposed_or_not() {
        let number = |i: usize| ((i * 37 + 11) % 23) as f64 - 11.0;
        for (m, n, k) in [(1, 1, 1), (3, 5, 2), (17, 4, 70), (70, 65, 33)] {
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
}
