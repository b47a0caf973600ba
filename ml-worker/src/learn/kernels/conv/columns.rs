//! A convolution as a product of matrices, one of which holds what each window sees.

use super::{
    super::{
        fast,
        matrix::{multiply, Into, Matrix},
    },
    Conv,
};
use crate::learn::real::Real;

impl Conv {
    /// Whether a picture is its own columns.
    pub(super) fn is_plain(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }

    /// Columns of a picture, which a picture that is its own does not need.
    pub(super) fn columns(&self) -> usize {
        if self.is_plain() {
            0
        } else {
            self.window() * self.plane()
        }
    }

    /// Gradients of weight and input of a picture, by its columns.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn by_columns<R: Real>(
        &self,
        dx: Option<&mut [R]>,
        dy: &[R],
        x: &[R],
        weight: &[R],
        dw: &mut [R],
        columns: &mut [R],
        into: Into,
    ) {
        let (filters, window, plane) = (self.output[0], self.window(), self.plane());
        let (dy, weight) = (Matrix::new(dy, filters, plane), Matrix::new(weight, filters, window));
        if self.is_plain() {
            multiply(dw, dy, Matrix::new(x, window, plane).t(), Into::Set, false);
            if let Some(dx) = dx {
                multiply(dx, weight.t(), dy, into, false);
            }
            return;
        }
        self.spread(columns, x);
        multiply(dw, dy, Matrix::new(columns, window, plane).t(), Into::Set, false);
        if let Some(dx) = dx {
            multiply(columns, weight.t(), dy, Into::Set, false);
            if into == Into::Set {
                dx.fill(R::ZERO);
            }
            self.gather(dx, columns);
        }
    }

    /// Calls `function(first column, count, first number of the picture)` for each run of columns in each row of the matrix
    /// of columns that stands on the picture; columns that stand on the padding are left out.
    fn runs(&self, mut function: impl FnMut(usize, usize, usize)) {
        let ([channels, height, width], [_, rows, columns]) = (self.input, self.output);
        let (k, s, p) = (self.kernel, self.stride, self.padding);
        let inside = |place: usize, length: usize, count: usize| {
            let first = p.saturating_sub(place).div_ceil(s);
            (first, (length + p).saturating_sub(place).div_ceil(s).min(count))
        };
        for row in 0..channels * k * k {
            let (c, i, j) = (row / (k * k), row / k % k, row % k);
            let ((top, bottom), (left, right)) = (inside(i, height, rows), inside(j, width, columns));
            if left < right {
                for y in top..bottom {
                    let from = (c * height + y * s + i - p) * width + left * s + j - p;
                    function((row * rows + y) * columns + left, right - left, from);
                }
            }
        }
    }

    /// Writes the columns `[channels·kernel·kernel, height·width of the output]` of a picture.
    pub(super) fn spread<R: Real>(&self, columns: &mut [R], picture: &[R]) {
        if self.padding > 0 {
            columns.fill(R::ZERO);
        }
        self.runs(|to, count, from| {
            let to = &mut columns[to..to + count];
            if self.stride == 1 {
                to.copy_from_slice(&picture[from..from + count]);
            } else {
                to.iter_mut().zip(picture[from..].iter().step_by(self.stride)).for_each(|(to, from)| *to = *from);
            }
        });
    }

    /// Adds columns to where [`Self::spread`] took them from.
    fn gather<R: Real>(&self, picture: &mut [R], columns: &[R]) {
        self.runs(|from, count, to| {
            let from = &columns[from..from + count];
            if self.stride == 1 {
                fast(
                    #[inline(always)]
                    || picture[to..to + count].iter_mut().zip(from).for_each(|(to, from)| *to += *from),
                );
            } else {
                picture[to..].iter_mut().step_by(self.stride).zip(from).for_each(|(to, from)| *to += *from);
            }
        });
    }
}
