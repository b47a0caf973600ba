//! Normalisation over groups of channels of a picture, or over a row of features.
//!
//! With mean `m` and variance `v` (divided by the count) of a group: `x̂ = (x − m) ÷ √(v + ε)`, `y = w·x̂ + b`, with `w` and
//! `b` per channel, or per feature of a row.

use super::{fast, matrix::Into, pieces, worth_threads};
use crate::learn::real::Real;
use rayon::prelude::*;

/// Shapes of a normalising layer.
pub struct Norm {
    /// Channels, or features of a row.
    channels: usize,
    /// Numbers per channel; 1 for a row of features.
    plane: usize,
    groups: usize,
    epsilon: f64,
}

impl Norm {
    /// Over `groups` groups of a picture `[channels, height, width]`, or over a row `[features]`.
    pub fn new(input: &[usize], groups: usize, epsilon: f64) -> Self {
        Self { channels: input[0], plane: input[1..].iter().product(), groups, epsilon }
    }

    /// Numbers per group.
    fn size(&self) -> usize {
        self.channels / self.groups * self.plane
    }

    /// Whether each row is one group of features, which has sums of its own kind.
    fn is_flat(&self) -> bool {
        self.plane == 1 && self.groups == 1
    }

    /// The channels of a batch's `n`-th group.
    fn of_group<'w, R>(&self, n: usize, per_channel: &'w [R]) -> &'w [R] {
        let count = self.channels / self.groups;
        let first = n % self.groups * count;
        &per_channel[first..first + count]
    }
}

/// `Σ (x − mean)²`, as [`sum`](super::sum) sums.
fn squares<R: Real>(x: &[R], mean: R) -> R {
    super::sum_of(x, |x| (x - mean) * (x - mean))
}

/// `out` from `x`, with weight and bias per channel. Kept for the backward pass: mean and `1 ÷ √(v + ε)` of each group of
/// each picture.
pub fn forward<R: Real>(norm: &Norm, out: &mut [R], x: &[R], weight: &[R], bias: &[R], kept: &mut Vec<R>) {
    let (size, plane) = (norm.size(), norm.plane);
    let groups = x.len() / size;
    kept.resize(kept.len().max(2 * groups), R::ZERO);
    let epsilon = R::of(norm.epsilon);
    let group = |(n, (out, kept)): (usize, (&mut [R], &mut [R]))| {
        let x = &x[n * size..(n + 1) * size];
        let mean = super::sum(x) * R::of(1.0 / size as f64);
        let variance = squares(x, mean) * R::of(1.0 / size as f64);
        let scale = R::ONE / (variance + epsilon).sqrt();
        kept.copy_from_slice(&[mean, scale]);
        let (weight, bias) = (norm.of_group(n, weight), norm.of_group(n, bias));
        fast(
            #[inline(always)]
            || {
                if plane == 1 {
                    for (((out, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                        *out = (*x - mean) * scale * *w + *b;
                    }
                } else {
                    let planes = out.chunks_exact_mut(plane).zip(x.chunks_exact(plane));
                    for (((out, x), w), b) in planes.zip(weight).zip(bias) {
                        out.iter_mut().zip(x).for_each(|(out, x)| *out = (*x - mean) * scale * *w + *b);
                    }
                }
            },
        );
    };
    let kept = &mut kept[..2 * groups];
    if worth_threads(out.len()) {
        let parts = out.par_chunks_mut(size).zip(kept.par_chunks_mut(2));
        parts.with_min_len((super::CHUNK / size).max(1)).enumerate().for_each(group);
    } else {
        out.chunks_mut(size).zip(kept.chunks_mut(2)).enumerate().for_each(group);
    }
}

/// Gradients of input (where it is wanted), weight and bias. With `g = w·dy` and means over a group:
///
/// `dx = (g − mean(g) − x̂·mean(g·x̂)) ÷ √(v + ε)`, `dw = Σ dy·x̂`, `db = Σ dy`.
#[allow(clippy::too_many_arguments)]
pub fn backward<R: Real>(
    norm: &Norm,
    dx: &mut [R],
    dy: &[R],
    x: &[R],
    weight: &[R],
    dw: &mut [R],
    db: &mut [R],
    kept: &mut Vec<R>,
    wanted: bool,
    into: Into,
) {
    back(norm, dx, dy, x, weight, Some((dw, db)), kept, wanted, into);
}

/// As [`backward`], but of weight and bias only what [each row's](of_row) gradient is made of is kept.
#[allow(clippy::too_many_arguments)]
pub fn slopes<R: Real>(
    norm: &Norm,
    dx: &mut [R],
    dy: &[R],
    x: &[R],
    weight: &[R],
    kept: &mut Vec<R>,
    wanted: bool,
    into: Into,
) {
    back(norm, dx, dy, x, weight, None, kept, wanted, into);
}

/// Adds `factor` times the gradient that the batch's `n`-th row or picture gives to `out`: of all weights, and behind them of all
/// biases. `kept` is as [`slopes`] has left it.
pub fn of_row<R: Real>(norm: &Norm, n: usize, (dy, x): (&[R], &[R]), kept: &[R], factor: f64, out: &mut [f64]) {
    let channels = norm.channels;
    let (dw, db) = out.split_at_mut(channels);
    if norm.is_flat() {
        let range = n * channels..(n + 1) * channels;
        let (mean, scale) = (kept[2 * n].f64(), kept[2 * n + 1].f64());
        for (((dw, db), dy), x) in dw.iter_mut().zip(db).zip(&dy[range.clone()]).zip(&x[range]) {
            *db += factor * dy.f64();
            *dw += factor * dy.f64() * ((x.f64() - mean) * scale);
        }
    } else {
        let moments = 2 * (x.len() / norm.size());
        let sums = &kept[moments + 2 * n * channels..][..2 * channels];
        for ((dw, db), sums) in dw.iter_mut().zip(db).zip(sums.chunks_exact(2)) {
            *db += factor * sums[0].f64();
            *dw += factor * sums[1].f64();
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn back<R: Real>(
    norm: &Norm,
    dx: &mut [R],
    dy: &[R],
    x: &[R],
    weight: &[R],
    gradients: Option<(&mut [R], &mut [R])>,
    kept: &mut Vec<R>,
    wanted: bool,
    into: Into,
) {
    let (size, plane, channels) = (norm.size(), norm.plane, norm.channels);
    let groups = x.len() / size;
    let sums = if norm.is_flat() { groups } else { x.len() / plane };
    kept.resize(kept.len().max(2 * (groups + sums)), R::ZERO);
    let (moments, sums) = kept[..2 * (groups + sums)].split_at_mut(2 * groups);
    let moments = &*moments;
    if norm.is_flat() {
        of_rows(norm, dy, x, weight, gradients, moments, sums);
    } else {
        // Σ dy and Σ dy·x̂ of every channel of every picture, from which everything else follows
        let per_group = channels / norm.groups;
        let channel = |(n, sums): (usize, &mut [R])| {
            let moments = &moments[2 * (n / per_group)..][..2];
            let range = n * plane..(n + 1) * plane;
            let (dy, x) = (&dy[range.clone()], &x[range]);
            sums[0] = super::sum(dy);
            sums[1] = super::sum_of_both(dy, x, |dy, x| dy * ((x - moments[0]) * moments[1]));
        };
        if worth_threads(x.len()) {
            sums.par_chunks_mut(2).enumerate().for_each(channel);
        } else {
            sums.chunks_mut(2).enumerate().for_each(channel);
        }
        if let Some((dw, db)) = gradients {
            dw.fill(R::ZERO);
            db.fill(R::ZERO);
            for picture in sums.chunks_exact(2 * channels) {
                for ((dw, db), sums) in dw.iter_mut().zip(&mut *db).zip(picture.chunks_exact(2)) {
                    *db += sums[0];
                    *dw += sums[1];
                }
            }
        }
    }
    if !wanted {
        return;
    }
    let sums = &*sums;
    let share = R::of(1.0 / size as f64);
    pieces(dx, size, |n, dx| {
        let range = n * size..(n + 1) * size;
        let (dy, x, weight) = (&dy[range.clone()], &x[range], norm.of_group(n, weight));
        let (mean, scale) = (moments[2 * n], moments[2 * n + 1]);
        let (mut first, mut second) = (R::ZERO, R::ZERO);
        if norm.is_flat() {
            (first, second) = (sums[2 * n], sums[2 * n + 1]);
        } else {
            for (w, sums) in weight.iter().zip(sums[2 * n * weight.len()..].chunks_exact(2)) {
                first += *w * sums[0];
                second += *w * sums[1];
            }
        }
        let (first, second) = (first * share, second * share);
        let slope = |w: R, dy: R, x: R| (w * dy - first - (x - mean) * scale * second) * scale;
        let add = into == Into::Add;
        fast(
            #[inline(always)]
            || {
                if plane == 1 {
                    for (((dx, dy), x), w) in dx.iter_mut().zip(dy).zip(x).zip(weight) {
                        let slope = slope(*w, *dy, *x);
                        *dx = if add { *dx + slope } else { slope };
                    }
                } else {
                    let planes = dx.chunks_exact_mut(plane).zip(dy.chunks_exact(plane)).zip(x.chunks_exact(plane));
                    for (((dx, dy), x), w) in planes.zip(weight) {
                        for ((dx, dy), x) in dx.iter_mut().zip(dy).zip(x) {
                            let slope = slope(*w, *dy, *x);
                            *dx = if add { *dx + slope } else { slope };
                        }
                    }
                }
            },
        );
    });
}

/// Of rows of features: `Σ g` and `Σ g·x̂` of each row, and the gradients of weight and bias, rows in order, where they are wanted.
fn of_rows<R: Real>(
    norm: &Norm,
    dy: &[R],
    x: &[R],
    weight: &[R],
    mut gradients: Option<(&mut [R], &mut [R])>,
    moments: &[R],
    sums: &mut [R],
) {
    if let Some((dw, db)) = &mut gradients {
        dw.fill(R::ZERO);
        db.fill(R::ZERO);
    }
    let rows = dy.chunks_exact(norm.channels).zip(x.chunks_exact(norm.channels));
    for (((dy, x), moments), sums) in rows.zip(moments.chunks_exact(2)).zip(sums.chunks_exact_mut(2)) {
        let (mean, scale) = (moments[0], moments[1]);
        if let Some((dw, db)) = &mut gradients {
            fast(
                #[inline(always)]
                || {
                    for (((dw, db), dy), x) in dw.iter_mut().zip(&mut **db).zip(dy).zip(x) {
                        *db += *dy;
                        *dw += *dy * ((*x - mean) * scale);
                    }
                },
            );
        }
        sums[0] = super::sum_of_both(dy, weight, |dy, w| dy * w);
        sums[1] = super::sum_of_three(dy, weight, x, |dy, w, x| dy * w * ((x - mean) * scale));
    }
}
