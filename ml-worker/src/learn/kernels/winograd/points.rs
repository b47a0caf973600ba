//! To the points at which Winograd's products are made, and back again.

use crate::learn::real::Real;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Tiles that are transformed together: what belongs to one point stays in a core's first cache.
pub const TILES: usize = 24;
/// Channels stand in multiples of this, of any machine's vectors.
pub const LANES: usize = 16;

/// Brings tiles of a turned picture to the points: `Bᵀ·d·B` of 4×4 numbers, or `A·dY·Aᵀ` of 2×2.
pub struct Spread<'a, R, const SIDE: usize> {
    pub from: &'a [R],
    pub to: &'a mut [R],
    pub tiles: Range<usize>,
    /// Tiles in a row.
    pub columns: usize,
    pub wide: usize,
    pub deep: usize,
    /// Places above and left of the first tile.
    pub skip: usize,
}

impl<R: Real, const SIDE: usize> WithSimd for Spread<'_, R, SIDE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = size_of::<R::Vector<S>>() / size_of::<R>();
        let (from, to, deep) = (R::vectors::<S>(self.from), R::vectors_mut::<S>(self.to), self.deep / lanes);
        let zero = R::splat(simd, R::ZERO);
        for (n, tile) in self.tiles.enumerate() {
            let (y, x) = (2 * (tile / self.columns) + self.skip, 2 * (tile % self.columns) + self.skip);
            let mut rows = [&from[..0]; SIDE];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = &from[((y + i) * self.wide + x) * deep..][..SIDE * deep];
            }
            for v in 0..deep {
                let mut turned = [[zero; SIDE]; 4];
                for j in 0..SIDE {
                    let mut column = [zero; SIDE];
                    for (value, row) in column.iter_mut().zip(rows) {
                        *value = row[j * deep + v];
                    }
                    let column = spread::<R, S, SIDE>(simd, column);
                    for (row, value) in turned.iter_mut().zip(column) {
                        row[j] = value;
                    }
                }
                for (i, row) in turned.into_iter().enumerate() {
                    let row = spread::<R, S, SIDE>(simd, row);
                    for j in 0..4 {
                        to[((4 * i + j) * TILES + n) * deep + v] = row[j];
                    }
                }
            }
        }
    }
}

/// `Bᵀ·d`, or `A·d` of two.
#[inline(always)]
fn spread<R: Real, S: Simd, const SIDE: usize>(simd: S, d: [R::Vector<S>; SIDE]) -> [R::Vector<S>; 4] {
    if SIDE == 2 {
        let (sum, difference) = (R::plus(simd, d[0], d[1]), R::minus(simd, d[0], d[1]));
        [d[0], sum, difference, R::minus(simd, R::splat(simd, R::ZERO), d[1])]
    } else {
        // of four
        let (c, d) = ([d[0], d[1]], [d[2 % SIDE], d[3 % SIDE]]);
        [R::minus(simd, c[0], d[0]), R::plus(simd, c[1], d[0]), R::minus(simd, d[0], c[1]), R::minus(simd, c[1], d[1])]
    }
}

/// `Aᵀ·m`.
#[inline(always)]
fn join<R: Real, S: Simd>(simd: S, m: [R::Vector<S>; 4]) -> [R::Vector<S>; 2] {
    let (sum, difference) = (R::plus(simd, m[1], m[2]), R::minus(simd, m[1], m[2]));
    [R::plus(simd, m[0], sum), R::minus(simd, difference, m[3])]
}

/// `Aᵀ·m·A`: from the points to 2×2 outputs of each tile, the upper ones of all tiles first.
pub struct Gather<'a, R> {
    pub from: &'a [R],
    pub to: &'a mut [R],
    pub count: usize,
    pub broad: usize,
}

impl<R: Real> WithSimd for Gather<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = size_of::<R::Vector<S>>() / size_of::<R>();
        let (from, to, broad) = (R::vectors::<S>(self.from), R::vectors_mut::<S>(self.to), self.broad / lanes);
        let zero = R::splat(simd, R::ZERO);
        for tile in 0..self.count {
            for v in 0..broad {
                let mut turned = [[zero; 4]; 2];
                for j in 0..4 {
                    let mut column = [zero; 4];
                    for (i, value) in column.iter_mut().enumerate() {
                        *value = from[((4 * i + j) * TILES + tile) * broad + v];
                    }
                    let column = join::<R, S>(simd, column);
                    for (row, value) in turned.iter_mut().zip(column) {
                        row[j] = value;
                    }
                }
                for (i, row) in turned.into_iter().enumerate() {
                    let row = join::<R, S>(simd, row);
                    for j in 0..2 {
                        to[((i * TILES + tile) * 2 + j) * broad + v] = row[j];
                    }
                }
            }
        }
    }
}

/// `Gᵀ·p·G` of each filter and channel.
pub struct Join<'a, R> {
    pub from: &'a [R],
    pub to: &'a mut [R],
    pub channels: usize,
    pub filters: usize,
    pub deep: usize,
}

impl<R: Real> WithSimd for Join<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = size_of::<R::Vector<S>>() / size_of::<R>();
        let (from, plane, deep) = (R::vectors::<S>(self.from), self.filters * self.deep / lanes, self.deep / lanes);
        let (zero, half) = (R::splat(simd, R::ZERO), R::splat(simd, R::of(0.5)));
        for (filter, dw) in self.to.chunks_exact_mut(self.channels * 9).enumerate() {
            for (v, dw) in dw.chunks_mut(lanes * 9).enumerate() {
                let mut turned = [[zero; 4]; 3];
                for j in 0..4 {
                    let mut column = [zero; 4];
                    for (i, value) in column.iter_mut().enumerate() {
                        *value = from[(4 * i + j) * plane + filter * deep + v];
                    }
                    let column = narrow::<R, S>(simd, half, column);
                    for (row, value) in turned.iter_mut().zip(column) {
                        row[j] = value;
                    }
                }
                let mut places = [[R::ZERO; LANES]; 9];
                for (i, row) in turned.into_iter().enumerate() {
                    let row = narrow::<R, S>(simd, half, row);
                    for j in 0..3 {
                        R::vectors_mut::<S>(&mut places[3 * i + j])[0] = row[j];
                    }
                }
                for (n, dw) in dw.chunks_exact_mut(9).enumerate() {
                    for (dw, place) in dw.iter_mut().zip(&places) {
                        *dw = place[n];
                    }
                }
            }
        }
    }
}

/// `Gᵀ·p`.
#[inline(always)]
fn narrow<R: Real, S: Simd>(simd: S, half: R::Vector<S>, p: [R::Vector<S>; 4]) -> [R::Vector<S>; 3] {
    let (sum, difference) = (R::plus(simd, p[1], p[2]), R::minus(simd, p[1], p[2]));
    let zero = R::splat(simd, R::ZERO);
    [R::mul_add(simd, half, sum, p[0]), R::mul_add(simd, half, difference, zero), R::mul_add(simd, half, sum, p[3])]
}
