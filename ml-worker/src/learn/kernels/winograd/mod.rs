//! Convolution of 3 by 3 with stride 1 by Winograd's minimal filtering F(2×2, 3×3), as A. Lavin and S. Gray give it ("Fast
//! Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.1): of four neighbouring outputs 16 multiplications
//! for each channel instead of 36.
//!
//! `Y = Aᵀ·[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]·A` for 2×2 outputs `Y`, a kernel `g` and the 4×4 numbers `d` under them, summed over
//! channels within the brackets: at each of the 16 points a product of matrices, tiles by channels with channels by filters.
//! The gradient of the weights is `Gᵀ·[Σ (A·dY·Aᵀ) ∘ (Bᵀ·d·B)]·G`, summed over tiles. The coefficients are 1 and ½: rounding
//! is no worse than that of the sum itself (see the tests).
//!
//! A picture is turned first so that the channels of one place stand side by side: transforms and products are then of
//! vectors of channels, or of filters, whatever the picture's size.

mod points;
#[cfg(test)]
mod tests;

use super::{product::Product, turn::turn, vectors::arch};
use crate::learn::real::Real;
use points::{Gather, Join, Spread, LANES, TILES};

/// Points at which products are made.
const POINTS: usize = 16;
/// With fewer channels, or filters, transforms cost more than they save.
const LEAST: usize = 8;

/// Planes, height and width of what is taken, planes of what is given, padding.
#[derive(Clone, Debug)]
pub struct Shape {
    channels: usize,
    height: usize,
    width: usize,
    filters: usize,
    padding: usize,
}

impl Shape {
    /// A convolution from `[channels, height, width]` to so many filters; none where it would not pay. `padding` is at most 2.
    pub fn new([channels, height, width]: [usize; 3], filters: usize, padding: usize) -> Option<Self> {
        (channels.min(filters) >= LEAST).then_some(Self { channels, height, width, filters, padding })
    }

    /// The convolution that takes gradients of the output to gradients of the input.
    pub fn back(&self) -> Self {
        let (height, width) = self.output();
        Self { channels: self.filters, height, width, filters: self.channels, padding: 2 - self.padding }
    }

    /// Height and width of what is given.
    fn output(&self) -> (usize, usize) {
        (self.height + 2 * self.padding - 2, self.width + 2 * self.padding - 2)
    }

    /// Rows and columns of tiles.
    fn tiles(&self) -> (usize, usize) {
        let (height, width) = self.output();
        (height.div_ceil(2), width.div_ceil(2))
    }

    /// Numbers of one place of a turned picture.
    fn deep(&self) -> usize {
        self.channels.next_multiple_of(LANES)
    }

    /// The same of what is given.
    fn broad(&self) -> usize {
        self.filters.next_multiple_of(LANES)
    }

    /// Places of a row of a turned picture.
    fn wide(&self) -> usize {
        2 * self.tiles().1 + 2
    }

    /// Numbers of a turned picture.
    fn turned(&self) -> usize {
        (2 * self.tiles().0 + 2) * self.wide() * self.deep()
    }

    /// Numbers that [`pack`] writes.
    pub fn packed(&self) -> usize {
        POINTS * self.channels * self.broad()
    }

    /// Numbers that [`convolve`] writes on.
    fn scratch_of_tiles(&self) -> usize {
        TILES * (POINTS * self.deep() + (POINTS + 4 + 2) * self.broad())
    }

    /// Numbers that [`forward`] writes on.
    pub fn scratch(&self) -> usize {
        self.turned() + self.scratch_of_tiles()
    }

    /// Numbers that [`backward`] writes on.
    pub fn scratch_back(&self) -> usize {
        let (back, sums) = (self.back(), POINTS * self.filters * self.deep());
        let weights = self.turned() + sums + POINTS * TILES * (self.deep() + self.broad());
        back.turned() + weights.max(back.scratch_of_tiles())
    }

    /// Turns a picture, with zeros around: the channels of one place side by side. What stands beyond the last channel is of
    /// no use.
    fn turn<R: Real>(&self, turned: &mut [R], picture: &[R]) {
        let (wide, deep, p) = (self.wide(), self.deep(), self.padding);
        for (y, row) in turned.chunks_exact_mut(wide * deep).enumerate() {
            let y = y.wrapping_sub(p);
            if y >= self.height {
                row.fill(R::ZERO);
                continue;
            }
            let (left, rest) = row.split_at_mut(p * deep);
            let (middle, right) = rest.split_at_mut(self.width * deep);
            left.fill(R::ZERO);
            right.fill(R::ZERO);
            let from = &picture[y * self.width..];
            turn(middle, deep, from, self.height * self.width, (self.channels, self.width));
        }
    }
}

/// Writes `G·g·Gᵀ` of all kernels, point by point. `weight(filter, channel, place)` names them.
pub fn pack<R: Real>(shape: &Shape, packed: &mut [R], weight: impl Fn(usize, usize, usize) -> R) {
    let (channels, broad, half) = (shape.channels, shape.broad(), R::of(0.5));
    let spread = |a: R, b: R, c: R| [a, half * (a + c + b), half * (a + c - b), c];
    packed.fill(R::ZERO);
    for channel in 0..channels {
        for filter in 0..shape.filters {
            let g = |place| weight(filter, channel, place);
            let columns = [0, 1, 2].map(|j| spread(g(j), g(3 + j), g(6 + j)));
            for i in 0..4 {
                for (j, u) in spread(columns[0][i], columns[1][i], columns[2][i]).into_iter().enumerate() {
                    packed[((4 * i + j) * channels + channel) * broad + filter] = u;
                }
            }
        }
    }
}

/// Convolves a picture; each run of neighbours of the result is handed to `finish` with its filter and its first place in the
/// output.
pub fn forward<R: Real>(
    shape: &Shape,
    packed: &[R],
    picture: &[R],
    scratch: &mut [R],
    finish: impl FnMut(usize, usize, &[R]),
) {
    let (turned, scratch) = scratch.split_at_mut(shape.turned());
    shape.turn(turned, picture);
    convolve(shape, packed, turned, scratch, finish);
}

/// The gradient of the weights that a picture gives is written to `dw`; that of the picture, where `packed` has the weights
/// [on the way back](Shape::back), handed to `finish`.
pub fn backward<R: Real>(
    shape: &Shape,
    packed: Option<&[R]>,
    dw: &mut [R],
    (picture, dy): (&[R], &[R]),
    scratch: &mut [R],
    finish: impl FnMut(usize, usize, &[R]),
) {
    let back = shape.back();
    let (slopes, scratch) = scratch.split_at_mut(back.turned());
    back.turn(slopes, dy);
    if let Some(packed) = packed {
        convolve(&back, packed, slopes, scratch, finish);
    }
    let (turned, scratch) = scratch.split_at_mut(shape.turned());
    shape.turn(turned, picture);
    weigh(shape, &back, dw, (turned, slopes), scratch);
}

fn convolve<R: Real>(
    shape: &Shape,
    packed: &[R],
    turned: &[R],
    scratch: &mut [R],
    mut finish: impl FnMut(usize, usize, &[R]),
) {
    let ((height, width), (rows, columns)) = (shape.output(), shape.tiles());
    let (deep, broad, wide) = (shape.deep(), shape.broad(), shape.wide());
    let (data, scratch) = scratch.split_at_mut(POINTS * TILES * deep);
    let (sums, scratch) = scratch.split_at_mut(POINTS * TILES * broad);
    let (outputs, scratch) = scratch.split_at_mut(4 * TILES * broad);
    let planes = &mut scratch[..2 * TILES * broad];
    for first in (0..rows * columns).step_by(TILES) {
        let tiles = first..(first + TILES).min(rows * columns);
        let count = tiles.len();
        let arch = arch();
        arch.dispatch(Spread::<R, 4> { from: turned, to: data, tiles: tiles.clone(), columns, wide, deep, skip: 0 });
        for (sums, (data, kernels)) in sums
            .chunks_exact_mut(TILES * broad)
            .zip(data.chunks_exact(TILES * deep).zip(packed.chunks_exact(shape.channels * broad)))
        {
            let a = &data[..count * deep];
            arch.dispatch(Product::<R, false> {
                out: sums,
                out_step: broad,
                a,
                step: deep,
                b: kernels,
                width: broad,
                rows: count,
                add: false,
            });
        }
        arch.dispatch(Gather { from: sums, to: outputs, count, broad });
        // tiles side by side in the picture
        let mut start = tiles.start;
        while start < tiles.end {
            let (ty, tx) = (start / columns, start % columns);
            let end = tiles.end.min((ty + 1) * columns);
            let run = (2 * (end - start)).min(width - 2 * tx);
            for y in 2 * ty..height.min(2 * ty + 2) {
                let from = &outputs[((y - 2 * ty) * TILES + start - tiles.start) * 2 * broad..];
                turn(planes, 2 * TILES, from, broad, (run, shape.filters));
                for (filter, plane) in planes.chunks_exact(2 * TILES).enumerate().take(shape.filters) {
                    finish(filter, (filter * height + y) * width + 2 * tx, &plane[..run]);
                }
            }
            start = end;
        }
    }
}

fn weigh<R: Real>(shape: &Shape, back: &Shape, dw: &mut [R], (turned, slopes): (&[R], &[R]), scratch: &mut [R]) {
    let (rows, columns) = shape.tiles();
    let (deep, broad, filters) = (shape.deep(), shape.broad(), shape.filters);
    let (sums, scratch) = scratch.split_at_mut(POINTS * filters * deep);
    let (data, scratch) = scratch.split_at_mut(POINTS * TILES * deep);
    let changes = &mut scratch[..POINTS * TILES * broad];
    let arch = arch();
    for first in (0..rows * columns).step_by(TILES) {
        let tiles = first..(first + TILES).min(rows * columns);
        let count = tiles.len();
        let wide = shape.wide();
        arch.dispatch(Spread::<R, 4> { from: turned, to: data, tiles: tiles.clone(), columns, wide, deep, skip: 0 });
        let (wide, skip) = (back.wide(), back.padding);
        arch.dispatch(Spread::<R, 2> { from: slopes, to: changes, tiles, columns, wide, deep: broad, skip });
        let both = changes.chunks_exact(TILES * broad).zip(data.chunks_exact(TILES * deep));
        for (sums, (changes, data)) in sums.chunks_exact_mut(filters * deep).zip(both) {
            let (a, b) = (&changes[..count * broad], &data[..count * deep]);
            arch.dispatch(Product::<R, true> {
                out: sums,
                out_step: deep,
                a,
                step: broad,
                b,
                width: deep,
                rows: filters,
                add: first > 0,
            });
        }
    }
    arch.dispatch(Join { from: sums, to: dw, channels: shape.channels, filters, deep });
}
