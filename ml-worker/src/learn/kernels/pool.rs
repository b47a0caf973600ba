//! Pooling of `[batch, channels, height, width]`: every channel of every picture is a plane of its own.

use super::{matrix::Into, pieces, worth_threads};
use crate::learn::real::Real;
use rayon::prelude::*;
use std::ops::Range;

/// Shapes of a pooling layer.
pub struct Pool {
    /// Height and width of a plane before and after.
    input: [usize; 2],
    output: [usize; 2],
    /// Height and width of the window.
    window: [usize; 2],
    stride: usize,
    padding: usize,
}

/// Windows of four that are looked at together.
const ABREAST: usize = 16;
/// No place yet.
const NONE: u32 = u32::MAX;

impl Pool {
    /// Square windows. `input` and `output` are `[channels, height, width]`; of `n` numbers along a side remain
    /// `⌊(n + 2·padding − size) ÷ stride⌋ + 1`.
    pub fn new(input: &[usize], output: &[usize], size: usize, stride: usize, padding: usize) -> Self {
        Self { input: [input[1], input[2]], output: [output[1], output[2]], window: [size; 2], stride, padding }
    }

    /// One window that is the whole picture: `[channels, height, width]` to `[channels]`.
    pub fn whole(input: &[usize]) -> Self {
        let sides = [input[1], input[2]];
        Self { input: sides, output: [1, 1], window: sides, stride: 1, padding: 0 }
    }

    fn before(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Numbers of a plane after.
    pub fn after(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Whether its windows are two by two and stand side by side, the common case.
    pub fn is_of_four(&self) -> bool {
        self.window == [2, 2] && self.stride == 2 && self.padding == 0
    }

    fn is_whole(&self) -> bool {
        self.window == self.input && self.padding == 0
    }

    /// Along one side (0: height, 1: width), the windows of which place `k` lies on the picture.
    fn inside(&self, side: usize, k: usize) -> Range<usize> {
        let first = self.padding.saturating_sub(k).div_ceil(self.stride);
        let end = (self.input[side] + self.padding).saturating_sub(k).div_ceil(self.stride).min(self.output[side]);
        first..end.max(first)
    }

    /// Calls `function(window's first number in the output, numbers, first place in the plane)` for each row of windows and
    /// each place in the window, in the order of the window's places; the places are [`Self::stride`] apart.
    fn each(&self, mut function: impl FnMut(usize, usize, usize)) {
        for ky in 0..self.window[0] {
            for oy in self.inside(0, ky) {
                let y = oy * self.stride + ky - self.padding;
                for kx in 0..self.window[1] {
                    let xs = self.inside(1, kx);
                    if !xs.is_empty() {
                        let x = xs.start * self.stride + kx - self.padding;
                        function(oy * self.output[1] + xs.start, xs.len(), y * self.input[1] + x);
                    }
                }
            }
        }
    }
}

/// `out = max` over each window, and in `places` where in its plane each maximum stands; of equal ones the first. Nothing is
/// taken from the padding. A NaN in a window is its maximum.
pub fn max<R: Real>(pool: &Pool, out: &mut [R], x: &[R], places: &mut Vec<u32>) {
    places.resize(places.len().max(out.len()), NONE);
    let (before, after) = (pool.before(), pool.after());
    let plane = |(n, (out, places)): (usize, (&mut [R], &mut [u32]))| {
        let x = &x[n * before..(n + 1) * before];
        if pool.is_of_four() {
            super::fast(
                #[inline(always)]
                || max_of_four(pool, out, x, places),
            );
        } else {
            max_plane(pool, out, x, places);
        }
    };
    let places = &mut places[..out.len()];
    if worth_threads(x.len()) {
        let planes = out.par_chunks_mut(after).zip(places.par_chunks_mut(after));
        planes.with_min_len((super::CHUNK / before).max(1)).enumerate().for_each(plane);
    } else {
        out.chunks_mut(after).zip(places.chunks_mut(after)).enumerate().for_each(plane);
    }
}

fn max_plane<R: Real>(pool: &Pool, out: &mut [R], x: &[R], places: &mut [u32]) {
    places.fill(NONE);
    pool.each(|to, count, from| {
        let values = x[from..].iter().step_by(pool.stride);
        let best = out[to..to + count].iter_mut().zip(&mut places[to..to + count]);
        for (n, ((best, place), value)) in best.zip(values).enumerate() {
            if *place == NONE || *value > *best || value.is_nan() {
                *best = *value;
                *place = (from + n * pool.stride) as u32;
            }
        }
    });
}

/// [`max`] of one picture, on this thread, by windows [of four](Pool::is_of_four).
pub fn max_of_picture<R: Real>(pool: &Pool, out: &mut [R], x: &[R], places: &mut [u32]) {
    let (before, after) = (pool.before(), pool.after());
    super::fast(
        #[inline(always)]
        || {
            let planes = out.chunks_exact_mut(after).zip(places.chunks_exact_mut(after));
            for ((out, places), x) in planes.zip(x.chunks_exact(before)) {
                max_of_four(pool, out, x, places);
            }
        },
    );
}

#[inline(always)]
fn max_of_four<R: Real>(pool: &Pool, out: &mut [R], x: &[R], places: &mut [u32]) {
    let (w, ow) = (pool.input[1], pool.output[1]);
    for (oy, (out, places)) in out.chunks_exact_mut(ow).zip(places.chunks_exact_mut(ow)).enumerate() {
        let start = 2 * oy * w;
        let (upper, lower) = (&x[start..start + 2 * ow], &x[start + w..start + w + 2 * ow]);
        let mut n = 0;
        while n + ABREAST <= ow {
            let (upper, lower) = (&upper[2 * n..][..2 * ABREAST], &lower[2 * n..][..2 * ABREAST]);
            windows::<R, ABREAST>(&mut out[n..], &mut places[n..], upper, lower, (start + 2 * n) as u32, w as u32);
            n += ABREAST;
        }
        for n in n..ow {
            let (upper, lower) = (&upper[2 * n..][..2], &lower[2 * n..][..2]);
            windows::<R, 1>(&mut out[n..], &mut places[n..], upper, lower, (start + 2 * n) as u32, w as u32);
        }
    }
}

/// The maxima of `N` windows side by side, the first of which begins at the place `at`; the lower row is `w` further.
#[inline(always)]
fn windows<R: Real, const N: usize>(out: &mut [R], places: &mut [u32], upper: &[R], lower: &[R], at: u32, w: u32) {
    let each = |row: &[R], side: usize| {
        let mut values = [R::ZERO; N];
        for (n, value) in values.iter_mut().enumerate() {
            *value = row[2 * n + side];
        }
        values
    };
    let mut most = each(upper, 0);
    let mut which = [0; N];
    for (values, further) in [(each(upper, 1), 1), (each(lower, 0), w), (each(lower, 1), w + 1)] {
        for n in 0..N {
            // without short circuits, so that no branch is needed
            let better = (values[n] > most[n]) | values[n].is_nan();
            most[n] = if better { values[n] } else { most[n] };
            which[n] = if better { further } else { which[n] };
        }
    }
    out[..N].copy_from_slice(&most);
    for (n, (place, which)) in places[..N].iter_mut().zip(which).enumerate() {
        *place = at + 2 * n as u32 + which;
    }
}

/// `dx`: each window's `dy` goes to where its maximum stood.
pub fn max_back<R: Real>(pool: &Pool, dx: &mut [R], dy: &[R], places: &[u32], into: Into) {
    let after = pool.after();
    pieces(dx, pool.before(), |n, dx| {
        if into == Into::Set {
            dx.fill(R::ZERO);
        }
        let range = n * after..(n + 1) * after;
        for (dy, place) in dy[range.clone()].iter().zip(&places[range]) {
            dx[*place as usize] += *dy;
        }
    });
}

/// `dx` of one picture, on this thread, by windows [of four](Pool::is_of_four). Where `y`, the maxima, is there, nothing comes
/// through one that is not above 0: ReLU's derivative.
pub fn max_back_of_picture<R: Real>(pool: &Pool, dx: &mut [R], dy: &[R], y: Option<&[R]>, places: &[u32]) {
    let (rows, w, ow) = (pool.output[0], pool.input[1], pool.output[1]);
    for (n, dx) in dx.chunks_exact_mut(pool.before()).enumerate() {
        for (oy, dx) in dx.chunks_mut(2 * w).enumerate() {
            // what no window reaches, in a last row or column, stays zero
            dx.fill(R::ZERO);
            if oy == rows {
                continue;
            }
            let range = (n * rows + oy) * ow..(n * rows + oy + 1) * ow;
            let (start, dy, places) = ((2 * oy * w) as u32, &dy[range.clone()], &places[range.clone()]);
            match y.map(|y| &y[range]) {
                Some(y) => {
                    for ((dy, y), place) in dy.iter().zip(y).zip(places) {
                        // written in any case, so that no branch is needed
                        dx[place.wrapping_sub(start) as usize] = R::ZERO + if *y > R::ZERO { *dy } else { R::ZERO };
                    }
                }
                None => {
                    for (dy, place) in dy.iter().zip(places) {
                        dx[place.wrapping_sub(start) as usize] = R::ZERO + *dy;
                    }
                }
            }
        }
    }
}

/// `out = Σ ÷ (height·width of the window)`; zeros of the padding count.
pub fn average<R: Real>(pool: &Pool, out: &mut [R], x: &[R]) {
    let share = R::of(1.0 / (pool.window[0] * pool.window[1]) as f64);
    let before = pool.before();
    // few numbers may come out of many: the work is that of the input
    let plane = |(n, out): (usize, &mut [R])| {
        let x = &x[n * before..(n + 1) * before];
        if pool.is_whole() {
            out[0] = super::sum(x) * share;
            return;
        }
        out.fill(R::ZERO);
        pool.each(|to, count, from| {
            let values = x[from..].iter().step_by(pool.stride);
            out[to..to + count].iter_mut().zip(values).for_each(|(sum, value)| *sum += *value);
        });
        out.iter_mut().for_each(|sum| *sum *= share);
    };
    if worth_threads(x.len()) {
        let planes = out.par_chunks_mut(pool.after());
        planes.with_min_len((super::CHUNK / before).max(1)).enumerate().for_each(plane);
    } else {
        out.chunks_mut(pool.after()).enumerate().for_each(plane);
    }
}

/// `dx`: each window's `dy ÷ (height·width of the window)` goes to all its places.
pub fn average_back<R: Real>(pool: &Pool, dx: &mut [R], dy: &[R], into: Into) {
    let share = R::of(1.0 / (pool.window[0] * pool.window[1]) as f64);
    let after = pool.after();
    pieces(dx, pool.before(), |n, dx| {
        if into == Into::Set {
            dx.fill(R::ZERO);
        }
        let dy = &dy[n * after..(n + 1) * after];
        if pool.is_whole() {
            let gradient = dy[0] * share;
            dx.iter_mut().for_each(|dx| *dx += gradient);
            return;
        }
        pool.each(|to, count, from| {
            let places = dx[from..].iter_mut().step_by(pool.stride);
            places.zip(&dy[to..to + count]).for_each(|(dx, dy)| *dx += *dy * share);
        });
    });
}
