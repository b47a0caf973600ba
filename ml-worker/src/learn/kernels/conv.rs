//! Convolution of `[batch, channels, height, width]`.
//!
//! `out[f, y, x] = b[f] + Σ w[f, c, i, j]·in[c, y·stride + i − padding, x·stride + j − padding]` over channels `c` and places
//! `i`, `j` of the square kernel; outside the picture stand zeros.
//!
//! Pictures are shared out among threads; the gradient of the weights is made for each picture alone, and summed over
//! pictures in their order.

use super::{
    direct,
    elementwise::value,
    fast,
    matrix::{multiply, Into, Matrix},
    sum, winograd,
};
use crate::learn::real::Real;
use consilium_study::Activation;
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
    way: Way,
}

/// How it is computed: there, and back again.
enum Way {
    /// By a product of matrices, one of which holds what each window sees.
    Columns,
    Direct(Box<(direct::Shape, direct::Shape)>),
    Winograd(Box<(winograd::Shape, winograd::Shape)>),
}

impl Way {
    /// Numbers of the packed weights there, and back.
    fn packed(&self) -> (usize, usize) {
        match self {
            Self::Columns => (0, 0),
            Self::Direct(shapes) => (shapes.0.packed(), shapes.1.packed()),
            Self::Winograd(shapes) => (shapes.0.packed(), shapes.1.packed()),
        }
    }
}

impl Conv {
    /// From `[channels, height, width]` to `[filters, height, width]`; of `n` numbers along a side remain
    /// `⌊(n + 2·padding − kernel) ÷ stride⌋ + 1`.
    pub fn new(input: &[usize], output: &[usize], kernel: usize, stride: usize, padding: usize) -> Self {
        let (input, output) = ([input[0], input[1], input[2]], [output[0], output[1], output[2]]);
        let few =
            (stride == 1 && kernel == 3 && padding < kernel).then(|| winograd::Shape::new(input, output[0], padding));
        let way = if let Some(there) = few.flatten() {
            let back = there.back();
            Way::Winograd(Box::new((there, back)))
        } else if stride == 1 && kernel > 1 && padding < kernel {
            let there = direct::Shape::new(input, output[0], kernel, padding);
            let back = there.back();
            Way::Direct(Box::new((there, back)))
        } else {
            Way::Columns
        };
        Self { input, output, kernel, stride, padding, way }
    }

    fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    /// Numbers of the gradient that one picture gives: of all weights, and behind them of all biases.
    pub fn part(&self) -> usize {
        self.output[0] * (self.window() + 1)
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

    /// Numbers that the backward pass of one picture writes on.
    fn scratch(&self) -> usize {
        match &self.way {
            Way::Columns => self.columns(),
            Way::Direct(shapes) => shapes.0.scratch_of_weights().max(shapes.1.scratch()),
            Way::Winograd(shapes) => shapes.0.scratch_back(),
        }
    }

    /// Gradients of weight and input of a picture, by its columns.
    #[allow(clippy::too_many_arguments)]
    fn by_columns<R: Real>(
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

/// `out` from `x`, with ReLU where `rectified`. `kept` is memory to write on.
pub fn forward<R: Real>(
    conv: &Conv,
    out: &mut [R],
    x: &[R],
    weight: &[R],
    bias: &[R],
    rectified: bool,
    kept: &mut Vec<R>,
) {
    let pictures = x.par_chunks_exact(conv.inputs()).zip(out.par_chunks_exact_mut(conv.outputs()));
    let packed = room(kept, conv.way.packed().0);
    let (window, places) = (conv.window(), conv.kernel * conv.kernel);
    let weight_of = |f: usize, c: usize, place: usize| weight[f * window + c * places + place];
    let finish = |out: &mut [R], filter: usize, start: usize, sums: &[R]| {
        let (out, bias) = (&mut out[start..start + sums.len()], bias[filter]);
        fast(
            #[inline(always)]
            || {
                if rectified {
                    out.iter_mut().zip(sums).for_each(|(y, sum)| *y = value(Activation::Relu, *sum + bias));
                } else {
                    out.iter_mut().zip(sums).for_each(|(y, sum)| *y = *sum + bias);
                }
            },
        );
    };
    match &conv.way {
        Way::Columns => {}
        Way::Direct(shapes) => {
            let shape = &shapes.0;
            direct::pack(shape, packed, weight_of);
            let packed = &*packed;
            pictures.for_each(|(x, out)| {
                R::scratch(shape.scratch(), |scratch| {
                    direct::forward(shape, packed, x, scratch, |f, start, sums| finish(out, f, start, sums));
                });
            });
            return;
        }
        Way::Winograd(shapes) => {
            let shape = &shapes.0;
            winograd::pack(shape, packed, weight_of);
            let packed = &*packed;
            pictures.for_each(|(x, out)| {
                R::scratch(shape.scratch(), |scratch| {
                    winograd::forward(shape, packed, x, scratch, |f, start, sums| finish(out, f, start, sums));
                });
            });
            return;
        }
    }
    pictures.for_each(|(x, out)| {
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
            fast(
                #[inline(always)]
                || out.iter_mut().for_each(|y| *y = value(Activation::Relu, *y)),
            );
        }
    });
}

/// The first so many numbers of a buffer, which grows where it is too small.
fn room<R: Real>(kept: &mut Vec<R>, numbers: usize) -> &mut [R] {
    kept.resize(kept.len().max(numbers), R::ZERO);
    &mut kept[..numbers]
}

/// Gradients of input (where it is wanted), weight and bias from `dy`, that of the output. `y` is the output, if it was
/// rectified: where it is 0, nothing comes through. `kept` is memory to write on.
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
    slopes(conv, dx, dy, y, x, weight, kept, wanted, into);
    dw.fill(R::ZERO);
    db.fill(R::ZERO);
    for part in parts(conv, kept, x.len() / conv.inputs(), wanted).chunks_exact(conv.part()) {
        let (of_weights, of_biases) = part.split_at(dw.len());
        super::elementwise::add(dw, of_weights);
        super::elementwise::add(db, of_biases);
    }
}

/// Gradients of weight and bias that each picture gives, [one after the other](Conv::part), as [`slopes`] has left them.
pub fn parts<'k, R: Real>(conv: &Conv, kept: &'k [R], pictures: usize, wanted: bool) -> &'k [R] {
    let packed = if wanted { conv.way.packed().1 } else { 0 };
    &kept[packed..packed + pictures * conv.part()]
}

/// As [`backward`], but the [gradients of the pictures](parts) are not summed.
#[allow(clippy::too_many_arguments)]
pub fn slopes<R: Real>(
    conv: &Conv,
    dx: &mut [R],
    dy: &[R],
    y: Option<&[R]>,
    x: &[R],
    weight: &[R],
    kept: &mut Vec<R>,
    wanted: bool,
    into: Into,
) {
    let (inputs, outputs, part) = (conv.inputs(), conv.outputs(), conv.part());
    let pictures = x.len() / inputs;
    let packed = if wanted { conv.way.packed().1 } else { 0 };
    let (packed, parts) = room(kept, packed + pictures * part).split_at_mut(packed);
    if wanted {
        let (window, places) = (conv.window(), conv.kernel * conv.kernel);
        let weight_of = |c: usize, f: usize, place: usize| weight[f * window + c * places + places - 1 - place];
        match &conv.way {
            Way::Columns => {}
            Way::Direct(shapes) => direct::pack(&shapes.1, packed, weight_of),
            Way::Winograd(shapes) => winograd::pack(&shapes.1, packed, weight_of),
        }
    }
    let packed = &*packed;
    let one = |n: usize, part: &mut [R], dx: Option<&mut [R]>| {
        let (x, dy) = (&x[n * inputs..(n + 1) * inputs], &dy[n * outputs..(n + 1) * outputs]);
        let (dw, db) = part.split_at_mut(weight.len());
        R::scratch(outputs + conv.scratch(), |scratch| {
            let (slopes, scratch) = scratch.split_at_mut(outputs);
            let dy = match y {
                Some(y) => {
                    let y = &y[n * outputs..(n + 1) * outputs];
                    fast(
                        #[inline(always)]
                        || {
                            for ((slope, dy), y) in slopes.iter_mut().zip(dy).zip(y) {
                                *slope = if *y > R::ZERO { *dy } else { R::ZERO };
                            }
                        },
                    );
                    &*slopes
                }
                None => dy,
            };
            db.iter_mut().zip(dy.chunks_exact(conv.plane())).for_each(|(db, dy)| *db = sum(dy));
            let finish = |dx: &mut [R], start: usize, sums: &[R]| {
                let dx = &mut dx[start..start + sums.len()];
                match into {
                    Into::Set => dx.copy_from_slice(sums),
                    Into::Add => dx.iter_mut().zip(sums).for_each(|(dx, sum)| *dx += *sum),
                }
            };
            match &conv.way {
                Way::Columns => conv.by_columns(dx, dy, x, weight, dw, &mut scratch[..conv.columns()], into),
                Way::Direct(shapes) => {
                    dw.fill(R::ZERO);
                    direct::weights(&shapes.0, dw, x, dy, scratch);
                    if let Some(dx) = dx {
                        direct::forward(&shapes.1, packed, dy, scratch, |_, start, sums| finish(dx, start, sums));
                    }
                }
                Way::Winograd(shapes) => match dx {
                    Some(dx) => {
                        let finish = |_: usize, start: usize, sums: &[R]| finish(dx, start, sums);
                        winograd::backward(&shapes.0, Some(packed), dw, (x, dy), scratch, finish);
                    }
                    None => winograd::backward(&shapes.0, None, dw, (x, dy), scratch, |_, _, _| {}),
                },
            }
        });
    };
    if wanted {
        let parts = parts.par_chunks_exact_mut(part).zip(dx.par_chunks_exact_mut(inputs));
        parts.enumerate().for_each(|(n, (part, dx))| one(n, part, Some(dx)));
    } else {
        parts.par_chunks_exact_mut(part).enumerate().for_each(|(n, part)| one(n, part, None));
    }
}
