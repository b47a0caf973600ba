//! Convolution of `[batch, channels, height, width]`.
//!
//! `out[f, y, x] = b[f] + Σ w[f, c, i, j]·in[c, y·stride + i − padding, x·stride + j − padding]` over channels `c` and places
//! `i`, `j` of the square kernel; outside the picture stand zeros.
//!
//! Pictures are shared out among threads; the gradient of the weights is made for each picture alone, and summed over
//! pictures in their order.

use super::{
    fast,
    matrix::{multiply, Into, Matrix},
    sum,
};
use crate::learn::real::Real;
use rayon::prelude::*;

/// Shapes of a convolution.
pub struct Conv {
    /// Channels, height, width.
    input: [usize; 3],
    /// Filters, height, width.
    output: [usize; 3],
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Conv {
    /// From `[channels, height, width]` to `[filters, height, width]`; of `n` numbers along a side remain
    /// `⌊(n + 2·padding − kernel) ÷ stride⌋ + 1`.
    pub fn new(input: &[usize], output: &[usize], kernel: usize, stride: usize, padding: usize) -> Self {
        let (input, output) = ([input[0], input[1], input[2]], [output[0], output[1], output[2]]);
        Self { input, output, kernel, stride, padding }
    }

    fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    fn outputs(&self) -> usize {
        self.output.iter().product()
    }

    /// Numbers of one plane of the output.
    fn plane(&self) -> usize {
        self.output[1] * self.output[2]
    }

    /// Numbers under one place of the kernel's window, in all channels.
    fn window(&self) -> usize {
        self.input[0] * self.kernel * self.kernel
    }

    /// Whether a picture is its own columns.
    fn is_plain(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }

    /// Columns of a picture, which a picture that is its own does not need.
    fn columns(&self) -> usize {
        if self.is_plain() {
            0
        } else {
            self.window() * self.plane()
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
    fn spread<R: Real>(&self, columns: &mut [R], picture: &[R]) {
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
                fast(|| picture[to..to + count].iter_mut().zip(from).for_each(|(to, from)| *to += *from));
            } else {
                picture[to..].iter_mut().step_by(self.stride).zip(from).for_each(|(to, from)| *to += *from);
            }
        });
    }
}

/// `out` from `x`, with ReLU where `rectified`.
pub fn forward<R: Real>(
    conv: &Conv,
    out: &mut [R],
    x: &[R],
    weight: &[R],
    bias: &[R],
    rectified: bool,
    _kept: &mut Vec<R>,
) {
    let picture = |(x, out): (&[R], &mut [R])| {
        for (plane, bias) in out.chunks_exact_mut(conv.plane()).zip(bias) {
            plane.fill(*bias);
        }
        R::scratch(conv.columns(), |columns| {
            let columns = if conv.is_plain() {
                x
            } else {
                conv.spread(columns, x);
                columns
            };
            let weight = Matrix::new(weight, conv.output[0], conv.window());
            multiply(out, weight, Matrix::new(columns, conv.window(), conv.plane()), Into::Add, false);
        });
        if rectified {
            super::elementwise::rectify(out, None);
        }
    };
    x.par_chunks_exact(conv.inputs()).zip(out.par_chunks_exact_mut(conv.outputs())).for_each(picture);
}

/// Gradients of input (where it is wanted), weight and bias, of the output before ReLU: `y` is the output where it was
/// rectified. `kept` is memory to write on.
#[allow(clippy::too_many_arguments)]
pub fn backward<R: Real>(
    conv: &Conv,
    dx: &mut [R],
    dy: &[R],
    y: Option<&[R]>,
    x: &[R],
    weight: &[R],
    dw: &mut [R],
    db: &mut [R],
    kept: &mut Vec<R>,
    wanted: bool,
    into: Into,
) {
    let mut dy = dy.to_vec();
    if let Some(y) = y {
        super::elementwise::rectify_back(&mut dy, y, None);
    }
    let pictures = x.len() / conv.inputs();
    let (filters, window, plane) = (conv.output[0], conv.window(), conv.plane());
    let part = filters * (window + 1);
    kept.resize(kept.len().max(pictures * part), R::ZERO);
    let kept = &mut kept[..pictures * part];
    let one = |x: &[R], dy: &[R], part: &mut [R], dx: Option<&mut [R]>| {
        let (dw, db) = part.split_at_mut(filters * window);
        db.iter_mut().zip(dy.chunks_exact(plane)).for_each(|(db, dy)| *db = sum(dy));
        R::scratch(conv.columns(), |columns| {
            let dy = Matrix::new(dy, filters, plane);
            let weight = Matrix::new(weight, filters, window);
            if conv.is_plain() {
                multiply(dw, dy, Matrix::new(x, window, plane).t(), Into::Set, false);
                if let Some(dx) = dx {
                    multiply(dx, weight.t(), dy, into, false);
                }
                return;
            }
            conv.spread(columns, x);
            multiply(dw, dy, Matrix::new(columns, window, plane).t(), Into::Set, false);
            if let Some(dx) = dx {
                multiply(columns, weight.t(), dy, Into::Set, false);
                if into == Into::Set {
                    dx.fill(R::ZERO);
                }
                conv.gather(dx, columns);
            }
        });
    };
    let parts =
        x.par_chunks_exact(conv.inputs()).zip(dy.par_chunks_exact(conv.outputs())).zip(kept.par_chunks_exact_mut(part));
    if wanted {
        parts.zip(dx.par_chunks_exact_mut(conv.inputs())).for_each(|(((x, dy), part), dx)| one(x, dy, part, Some(dx)));
    } else {
        parts.for_each(|((x, dy), part)| one(x, dy, part, None));
    }
    dw.fill(R::ZERO);
    db.fill(R::ZERO);
    for part in kept.chunks_exact(part) {
        dw.iter_mut().chain(&mut *db).zip(part).for_each(|(sum, part)| *sum += *part);
    }
}
