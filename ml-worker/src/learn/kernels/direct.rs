//! Convolution with stride 1 without a matrix of columns: a strip of the picture is copied with its padding, and then each
//! place of the kernel is one shift of the whole strip.
//!
//! In a strip of padded rows of `wide` numbers each, one after the other, the number at place `i`, `j` of the window that
//! begins at number `p` is number `p + i·wide + j`. So windows of many neighbours are computed at once by vector
//! instructions; windows that would reach over the end of a row are computed too, and not used.

use super::vectors::arch;
use crate::learn::real::Real;
use pulp::{Simd, WithSimd};

/// Filters, and vectors of windows, that are computed together: as many sums as registers of AVX2 hold, beside what is
/// multiplied.
const FILTERS: usize = 4;
const VECTORS: usize = 3;
/// Places of the kernel whose gradients are computed together for [`FILTERS`] filters.
const PLACES: usize = 3;
/// A multiple of the windows that are computed together, however long vectors are (up to 16 numbers).
const WINDOWS: usize = 16 * VECTORS;
/// Numbers of a strip, so that it stays in a core's second cache.
const STRIP: usize = 1 << 15;
/// Least windows of a strip in the forward pass.
const LEAST: usize = 2 * WINDOWS;
/// Windows of a strip where gradients of weights are summed.
const SUMMED: usize = 1024;

/// Planes, height and width of what is taken and given, side of the kernel, padding.
#[derive(Clone)]
pub struct Shape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub filters: usize,
    pub kernel: usize,
    pub padding: usize,
    /// How far into a strip each place of each channel's kernel reaches: in strips of the forward pass, and in those where
    /// gradients of weights are summed.
    reach: [Vec<usize>; 2],
}

impl Shape {
    /// A convolution from `[channels, height, width]` to so many filters.
    pub fn new([channels, height, width]: [usize; 3], filters: usize, kernel: usize, padding: usize) -> Self {
        let mut this = Self { channels, height, width, filters, kernel, padding, reach: [Vec::new(), Vec::new()] };
        let wide = this.wide();
        this.reach = [this.rows(), this.summed()].map(|rows| {
            let places = (0..channels).flat_map(|channel| (0..kernel * kernel).map(move |n| (channel, n)));
            places.map(|(channel, n)| channel * this.plane(rows) + n / kernel * wide + n % kernel).collect()
        });
        this
    }

    /// Numbers of a strip of one channel, for so many rows of windows.
    fn plane(&self, rows: usize) -> usize {
        (rows + self.kernel - 1) * self.wide()
    }

    /// Length of a padded row.
    fn wide(&self) -> usize {
        self.width + 2 * self.padding
    }

    /// Height and width of what is given.
    fn output(&self) -> (usize, usize) {
        (self.height + 2 * self.padding + 1 - self.kernel, self.wide() + 1 - self.kernel)
    }

    /// Numbers of a strip of all channels, for so many rows of windows. Beyond its end are numbers that the last windows,
    /// which are not used, read.
    fn strip(&self, rows: usize) -> usize {
        self.channels * self.plane(rows) + WINDOWS + self.kernel
    }

    /// Rows of windows that one strip computes.
    fn rows(&self) -> usize {
        let fit = (STRIP / (self.channels * self.wide())).saturating_sub(self.kernel - 1);
        fit.max(LEAST.div_ceil(self.wide())).min(self.output().0)
    }

    /// Rows of windows that one strip sums.
    fn summed(&self) -> usize {
        SUMMED.div_ceil(self.wide()).min(self.output().0)
    }

    /// Numbers that [`pack`] writes.
    pub fn packed(&self) -> usize {
        self.filters.div_ceil(FILTERS) * FILTERS * self.channels * self.kernel * self.kernel
    }

    /// Numbers that [`forward`] writes on.
    pub fn scratch(&self) -> usize {
        self.strip(self.rows()) + FILTERS * (self.rows() * self.wide()).next_multiple_of(WINDOWS)
    }

    /// Numbers that [`weights`] writes on.
    pub fn scratch_of_weights(&self) -> usize {
        let length = (self.summed() * self.wide()).next_multiple_of(WINDOWS);
        self.strip(self.summed()) + self.filters * length
    }

    /// The convolution that takes gradients of the output to gradients of the input: with filters and channels changed
    /// about, and places of the kernel in reverse.
    pub fn back(&self) -> Self {
        let (height, width) = self.output();
        Self::new([self.filters, height, width], self.channels, self.kernel, self.kernel - 1 - self.padding)
    }

    /// Copies a picture from padded row `top` on, with zeros around, into a strip for `rows` rows of windows.
    fn copy<R: Real>(&self, strip: &mut [R], picture: &[R], top: usize, rows: usize) {
        let (wide, p) = (self.wide(), self.padding);
        let (strip, beyond) = strip.split_at_mut(self.channels * self.plane(rows));
        beyond.fill(R::ZERO);
        let planes = strip.chunks_exact_mut(self.plane(rows));
        for (strip, plane) in planes.zip(picture.chunks_exact(self.height * self.width)) {
            for (y, row) in strip.chunks_exact_mut(wide).enumerate() {
                let y = (top + y).wrapping_sub(p);
                if y < self.height {
                    row[..p].fill(R::ZERO);
                    row[p..p + self.width].copy_from_slice(&plane[y * self.width..(y + 1) * self.width]);
                    row[p + self.width..].fill(R::ZERO);
                } else {
                    row.fill(R::ZERO);
                }
            }
        }
    }
}

/// Writes weights in the order in which they are used: for each few filters, each place of each channel, the weights of
/// these filters. `weight(filter, channel, place)` names them.
pub fn pack<R: Real>(shape: &Shape, packed: &mut [R], weight: impl Fn(usize, usize, usize) -> R) {
    let (places, channels) = (shape.kernel * shape.kernel, shape.channels);
    for (n, packed) in packed.chunks_exact_mut(FILTERS).enumerate() {
        let (group, channel, place) = (n / (places * channels), n / places % channels, n % places);
        for (f, packed) in packed.iter_mut().enumerate() {
            let filter = group * FILTERS + f;
            *packed = if filter < shape.filters { weight(filter, channel, place) } else { R::ZERO };
        }
    }
}

/// Convolves a picture; each row of the result is handed to `finish` with its filter and its first place in the output.
pub fn forward<R: Real>(
    shape: &Shape,
    packed: &[R],
    picture: &[R],
    scratch: &mut [R],
    mut finish: impl FnMut(usize, usize, &[R]),
) {
    let (height, width) = shape.output();
    let (wide, full, window) = (shape.wide(), shape.rows(), shape.reach[0].len());
    for top in (0..height).step_by(full) {
        let (strip, sums) = scratch.split_at_mut(shape.strip(full));
        shape.copy(strip, picture, top, full);
        let rows = full.min(height - top);
        let length = (rows * wide).next_multiple_of(WINDOWS);
        let sums = &mut sums[..FILTERS * length];
        for (group, weights) in packed.chunks_exact(FILTERS * window).enumerate() {
            let weights = weights.as_chunks().0;
            arch().dispatch(Convolve { strip, reach: &shape.reach[0], weights, sums });
            for (f, sums) in sums.chunks_exact(length).enumerate().take(shape.filters - group * FILTERS) {
                let filter = group * FILTERS + f;
                for y in 0..rows {
                    finish(filter, (filter * height + top + y) * width, &sums[y * wide..y * wide + width]);
                }
            }
        }
    }
}

/// Sums of a few filters over all windows of a strip.
struct Convolve<'a, R> {
    strip: &'a [R],
    reach: &'a [usize],
    weights: &'a [[R; FILTERS]],
    sums: &'a mut [R],
}

impl<R: Real> WithSimd for Convolve<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let length = self.sums.len() / FILTERS;
        let together = VECTORS * (size_of::<R::Vector<S>>() / size_of::<R>());
        for at in (0..length).step_by(together) {
            let mut sums = [[R::splat(simd, R::ZERO); VECTORS]; FILTERS];
            let strip = &self.strip[at..];
            for (weights, reach) in self.weights.iter().zip(self.reach) {
                let x = R::vectors::<S>(&strip[*reach..*reach + together]);
                let x: [R::Vector<S>; VECTORS] = [x[0], x[1], x[2]];
                for (sums, w) in sums.iter_mut().zip(weights) {
                    let w = R::splat(simd, *w);
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum = R::mul_add(simd, w, x, *sum);
                    }
                }
            }
            for (to, sums) in self.sums.chunks_exact_mut(length).zip(&sums) {
                R::vectors_mut::<S>(&mut to[at..at + together]).copy_from_slice(sums);
            }
        }
    }
}

/// Adds the gradient of the weights that a picture gives, `Σ dy·x`, to `dw`.
pub fn weights<R: Real>(shape: &Shape, dw: &mut [R], picture: &[R], dy: &[R], scratch: &mut [R]) {
    let (height, width) = shape.output();
    let (wide, full) = (shape.wide(), shape.summed());
    for top in (0..height).step_by(full) {
        let (strip, slopes) = scratch.split_at_mut(shape.strip(full));
        shape.copy(strip, picture, top, full);
        let rows = full.min(height - top);
        let length = (rows * wide).next_multiple_of(WINDOWS);
        let slopes = &mut slopes[..shape.filters * length];
        for (slopes, dy) in slopes.chunks_exact_mut(length).zip(dy.chunks_exact(height * width)) {
            for (to, dy) in slopes.chunks_exact_mut(wide).zip(dy[top * width..].chunks_exact(width)).take(rows) {
                to[..width].copy_from_slice(dy);
                to[width..].fill(R::ZERO);
            }
            slopes[rows * wide..].fill(R::ZERO);
        }
        arch().dispatch(Weigh { reach: &shape.reach[1], strip, slopes, dw, length });
    }
}

/// Gradients of all weights from one strip.
struct Weigh<'a, R> {
    reach: &'a [usize],
    strip: &'a [R],
    slopes: &'a [R],
    dw: &'a mut [R],
    length: usize,
}

impl<R: Real> WithSimd for Weigh<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (window, filters) = (self.reach.len(), self.slopes.len() / self.length);
        let length = self.length;
        for first in (0..filters).step_by(FILTERS) {
            // where there are fewer, the last one is computed again
            let dy = [0, 1, 2, 3].map(
                #[inline(always)]
                |n| R::vectors::<S>(&self.slopes[(first + n).min(filters - 1) * length..][..length]),
            );
            for start in (0..window).step_by(PLACES) {
                let x = [0, 1, 2].map(
                    #[inline(always)]
                    |n| R::vectors::<S>(&self.strip[self.reach[(start + n).min(window - 1)]..][..length]),
                );
                let sums = tile::<R, S>(simd, dy, x);
                for (sums, dw) in sums.iter().zip(self.dw[first * window..].chunks_mut(window)) {
                    for (sum, dw) in sums.iter().zip(&mut dw[start..]) {
                        *dw += R::total(simd, *sum);
                    }
                }
            }
        }
    }
}

/// `Σ dy·x` of each filter and place.
#[inline(always)]
fn tile<R: Real, S: Simd>(
    simd: S,
    dy: [&[R::Vector<S>]; FILTERS],
    x: [&[R::Vector<S>]; PLACES],
) -> [[R::Vector<S>; PLACES]; FILTERS] {
    let mut sums = [[R::splat(simd, R::ZERO); PLACES]; FILTERS];
    let count = dy[0].len();
    let (dy, x) = (dy.map(|dy| &dy[..count]), x.map(|x| &x[..count]));
    for n in 0..count {
        let x = x.map(|x| x[n]);
        for (sums, dy) in sums.iter_mut().zip(&dy) {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = R::mul_add(simd, dy[n], x, *sum);
            }
        }
    }
    sums
}
