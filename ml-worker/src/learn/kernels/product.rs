//! Products of small matrices that lie in a core's cache, of rows that are multiples of vectors: for those who bring their numbers
//! into that order themselves.

use crate::learn::real::Real;
use pulp::{Simd, WithSimd};

/// Rows of a result, and vectors of its columns, that are summed together: as many sums as registers of AVX2 hold.
pub const ROWS: usize = 6;
const VECTORS: usize = 2;

/// `out = a·b`, or added to it. `b` has rows of `width` numbers, `a` of `step`, and `out` of `out_step`; where `TURNED`, it is
/// `aᵀ·b`. Each number of the result is one sum over all terms, in their order.
pub struct Product<'a, R, const TURNED: bool> {
    pub out: &'a mut [R],
    pub out_step: usize,
    pub a: &'a [R],
    pub step: usize,
    pub b: &'a [R],
    pub width: usize,
    /// Of the result.
    pub rows: usize,
    pub add: bool,
}

impl<R: Real, const TURNED: bool> WithSimd for Product<'_, R, TURNED> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = size_of::<R::Vector<S>>() / size_of::<R>();
        for column in (0..self.width).step_by(VECTORS * lanes) {
            let two = column + lanes < self.width;
            let mut row = 0;
            while row < self.rows {
                row += match (self.rows - row, two) {
                    (ROWS.., true) => self.tile::<S, ROWS, VECTORS>(simd, row, column),
                    (4.., true) => self.tile::<S, 4, VECTORS>(simd, row, column),
                    (2.., true) => self.tile::<S, 2, VECTORS>(simd, row, column),
                    (_, true) => self.tile::<S, 1, VECTORS>(simd, row, column),
                    (ROWS.., false) => self.tile::<S, ROWS, 1>(simd, row, column),
                    (_, false) => self.tile::<S, 1, 1>(simd, row, column),
                };
            }
        }
    }
}

impl<R: Real, const TURNED: bool> Product<'_, R, TURNED> {
    /// `M` rows and `N` vectors of the result; gives `M`.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const N: usize>(&mut self, simd: S, row: usize, column: usize) -> usize {
        let columns = column..column + N * (size_of::<R::Vector<S>>() / size_of::<R>());
        let mut sums = [[R::splat(simd, R::ZERO); N]; M];
        let b = self.b.chunks_exact(self.width);
        if TURNED {
            for (a, b) in self.a.chunks_exact(self.step).zip(b) {
                let mut some = [R::ZERO; M];
                some.copy_from_slice(&a[row..row + M]);
                add::<R, S, M, N>(simd, &mut sums, some, &b[columns.clone()]);
            }
        } else {
            let depth = b.len();
            let mut a = [&self.a[..0]; M];
            for (m, a) in a.iter_mut().enumerate() {
                *a = &self.a[(row + m) * self.step..][..depth];
            }
            for (k, b) in b.enumerate() {
                let mut some = [R::ZERO; M];
                for (to, a) in some.iter_mut().zip(a) {
                    *to = a[k];
                }
                add::<R, S, M, N>(simd, &mut sums, some, &b[columns.clone()]);
            }
        }
        for (n, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(row + n) * self.out_step..][columns.clone()];
            let out = &mut R::vectors_mut::<S>(out)[..N];
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = if self.add { R::plus(simd, *out, *sum) } else { *sum };
            }
        }
        M
    }
}

/// Adds `a·b` of one term of the sums.
#[inline(always)]
fn add<R: Real, S: Simd, const M: usize, const N: usize>(
    simd: S,
    sums: &mut [[R::Vector<S>; N]; M],
    a: [R; M],
    b: &[R],
) {
    let b = &R::vectors::<S>(b)[..N];
    for (sums, a) in sums.iter_mut().zip(a) {
        let a = R::splat(simd, a);
        for (sum, b) in sums.iter_mut().zip(b) {
            *sum = R::mul_add(simd, a, *b, *sum);
        }
    }
}
