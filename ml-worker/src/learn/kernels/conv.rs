//! Convolution of `[batch, channels, height, width]`.
//!
//! `out[f, y, x] = b[f] + Σ w[f, c, i, j]·in[c, y·stride + i − padding, x·stride + j − padding]` over channels `c` and places
//! `i`, `j` of the square kernel; outside the picture stand zeros.
//!
//! Pictures are shared out among threads; the gradient of the weights is made for each picture alone, and summed over
//! pictures in their order.

mod columns;

use super::{
    direct,
    elementwise::value,
    fast,
    matrix::{multiply, Into, Matrix},
    pool::{self, Pool},
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
    /// What follows at once, picture by picture.
    pool: Option<Pool>,
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
        Self { input, output, kernel, stride, padding, way, pool: None }
    }

    /// The same, and the maxima of its output by windows of [two by two](Pool::is_of_four): what is made of a picture is pooled while
    /// it is in a core's cache, and never written for the whole batch.
    pub fn pooled(mut self, pool: Pool) -> Self {
        self.pool = Some(pool);
        self
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

    /// Numbers that a picture gives, after pooling.
    fn given(&self) -> usize {
        self.pool.as_ref().map_or(self.outputs(), |pool| self.output[0] * pool.after())
    }

    /// Numbers of one plane of the output.
    fn plane(&self) -> usize {
        self.output[1] * self.output[2]
    }

    /// Numbers under one place of the kernel's window, in all channels.
    fn window(&self) -> usize {
        self.input[0] * self.kernel * self.kernel
    }

    /// Numbers that one picture's way there writes on.
    fn scratch_there(&self) -> usize {
        match &self.way {
            Way::Columns => self.columns(),
            Way::Direct(shapes) => shapes.0.scratch(),
            Way::Winograd(shapes) => shapes.0.scratch(),
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
}

/// `out` from `x`, with ReLU where `rectified`, and pooled where the convolution [is](Conv::pooled), `places` as in [`pool::max`].
/// `kept` is memory to write on.
#[allow(clippy::too_many_arguments)]
pub fn forward<R: Real>(
    conv: &Conv,
    out: &mut [R],
    x: &[R],
    weight: &[R],
    bias: &[R],
    rectified: bool,
    kept: &mut Vec<R>,
    places: &mut Vec<u32>,
) {
    let pictures = x.par_chunks_exact(conv.inputs()).zip(out.par_chunks_exact_mut(conv.given()));
    let packed = room(kept, conv.way.packed().0);
    let (window, kernel) = (conv.window(), conv.kernel * conv.kernel);
    let weight_of = |f: usize, c: usize, place: usize| weight[f * window + c * kernel + place];
    match &conv.way {
        Way::Columns => {}
        Way::Direct(shapes) => direct::pack(&shapes.0, packed, weight_of),
        Way::Winograd(shapes) => winograd::pack(&shapes.0, packed, weight_of),
    }
    let packed = &*packed;
    let own = conv.scratch_there();
    let Some(pool) = &conv.pool else {
        pictures.for_each(|(x, out)| {
            R::scratch(own, |scratch| picture(conv, out, x, (weight, packed), bias, rectified, scratch));
        });
        return;
    };
    let given = conv.given();
    places.resize(places.len().max(x.len() / conv.inputs() * given), 0);
    pictures.zip(places.par_chunks_exact_mut(given)).for_each(|((x, out), places)| {
        R::scratch(conv.outputs() + own, |scratch| {
            let (whole, scratch) = scratch.split_at_mut(conv.outputs());
            picture(conv, whole, x, (weight, packed), bias, rectified, scratch);
            pool::max_of_picture(pool, out, whole, places);
        });
    });
}

/// What one picture gives before pooling.
fn picture<R: Real>(
    conv: &Conv,
    out: &mut [R],
    x: &[R],
    (weight, packed): (&[R], &[R]),
    bias: &[R],
    rectified: bool,
    scratch: &mut [R],
) {
    let finish = |filter: usize, start: usize, sums: &[R]| {
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
        Way::Direct(shapes) => return direct::forward(&shapes.0, packed, x, scratch, finish),
        Way::Winograd(shapes) => return winograd::forward(&shapes.0, packed, x, scratch, finish),
    }
    for (plane, bias) in out.chunks_exact_mut(conv.plane()).zip(bias) {
        plane.fill(*bias);
    }
    let columns = if conv.is_plain() {
        x
    } else {
        conv.spread(scratch, x);
        scratch
    };
    let weight = Matrix::new(weight, conv.output[0], conv.window());
    multiply(out, weight, Matrix::new(columns, conv.window(), conv.plane()), Into::Add, false);
    if rectified {
        fast(
            #[inline(always)]
            || out.iter_mut().for_each(|y| *y = value(Activation::Relu, *y)),
        );
    }
}

/// The first so many numbers of a buffer, which grows where it is too small.
fn room<R: Real>(kept: &mut Vec<R>, numbers: usize) -> &mut [R] {
    kept.resize(kept.len().max(numbers), R::ZERO);
    &mut kept[..numbers]
}

/// Gradients of input (where it is wanted), weight and bias from `dy`, that of what it gave. `y` is what it gave, if it was
/// rectified: where it is 0, nothing comes through. `kept` is memory to write on, `places` what [`forward`] left.
#[allow(clippy::too_many_arguments)]
pub fn backward<R: Real>(
    conv: &Conv,
    dx: &mut [R],
    (dy, places): (&[R], &[u32]),
    y: Option<&[R]>,
    x: &[R],
    weight: &[R],
    dw: &mut [R],
    db: &mut [R],
    kept: &mut Vec<R>,
    wanted: bool,
    into: Into,
) {
    slopes(conv, dx, (dy, places), y, x, weight, kept, wanted, into);
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
    (dy, places): (&[R], &[u32]),
    y: Option<&[R]>,
    x: &[R],
    weight: &[R],
    kept: &mut Vec<R>,
    wanted: bool,
    into: Into,
) {
    let (inputs, outputs, given, part) = (conv.inputs(), conv.outputs(), conv.given(), conv.part());
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
        let range = n * given..(n + 1) * given;
        let (x, dy) = (&x[n * inputs..(n + 1) * inputs], &dy[range.clone()]);
        let (dw, db) = part.split_at_mut(weight.len());
        R::scratch(outputs + conv.scratch(), |scratch| {
            let (slopes, scratch) = scratch.split_at_mut(outputs);
            let y = y.map(|y| &y[range.clone()]);
            let dy = match (&conv.pool, y) {
                (Some(pool), y) => {
                    pool::max_back_of_picture(pool, slopes, dy, y, &places[range]);
                    &*slopes
                }
                (None, Some(y)) => {
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
                (None, None) => dy,
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
