//! The products of all updates with each other, from which every distance, length and angle follows.

use super::BLOCK;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Coordinates whose differences are worked on at a time: those of some inputs fit into the first cache.
const TILE: usize = 256;
/// Sums that are kept apart; lane `l` takes coordinates whose position leaves `l` when divided by this.
pub(crate) const LANES: usize = 8;

/// The Gram matrix of `D[i] = x[i] − w`, the steps of all updates `x` away from the model `w`:
/// `G[i][j] = Σ_k D[i][k]·D[j][k]`, in `f64`.
///
/// The sum has one order everywhere: eight lanes within each block of 4,096 coordinates, joined as
/// `((0+4)+(2+6))+((1+5)+(3+7))`, and blocks one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Gram {
    inputs: usize,
    /// Rows that are complete.
    known: usize,
    /// Rows of the lower triangle, one after the other.
    sums: Vec<f64>,
}

impl Gram {
    /// That of `inputs` updates of no length yet.
    pub fn new(inputs: usize) -> Self {
        Self { inputs, known: 0, sums: vec![0.0; inputs * (inputs + 1) / 2] }
    }

    /// This one, complete, with room for one more step: what is added from now on counts for that one's products only.
    pub fn grown(&self) -> Self {
        let mut grown = Self::new(self.inputs + 1);
        grown.known = self.inputs;
        grown.sums[..self.sums.len()].copy_from_slice(&self.sums);
        grown
    }

    /// Adds coordinates: the same ones of every update and of the model. All but the last call must bring a multiple of
    /// 4,096 of them.
    ///
    /// # Panics
    /// Lists of different lengths, or another number of updates than it was made for.
    pub fn add(&mut self, updates: &[&[f32]], base: &[f32]) {
        assert_eq!(updates.len(), self.inputs, "one list for each update");
        assert!(updates.iter().all(|update| update.len() == base.len()), "lists of one length");
        let blocks: Vec<Vec<f64>> = (0..base.len().div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| Self::of_block(updates, base, block * BLOCK, self.known))
            .collect();
        for block in blocks {
            self.add_block(&block);
        }
    }

    /// Rows that are complete.
    pub(crate) fn known(&self) -> usize {
        self.known
    }

    /// The products of each block in rows from `first` on, which are to be added by [`Gram::add_block`] in their turn.
    pub(crate) fn of_blocks(updates: &[&[f32]], base: &[f32], first: usize) -> Vec<Vec<f64>> {
        (0..base.len()).step_by(BLOCK).map(|at| Self::of_block(updates, base, at, first)).collect()
    }

    fn of_block(updates: &[&[f32]], base: &[f32], at: usize, first: usize) -> Vec<f64> {
        let range = at..(at + BLOCK).min(base.len());
        let updates: Vec<&[f32]> = updates.iter().map(|update| &update[range.clone()]).collect();
        pulp::Arch::new().dispatch(Products { updates: &updates, base: &base[range], first })
    }

    /// As machines with narrow vectors have them.
    #[cfg(test)]
    pub(super) fn of_narrow_block(updates: &[&[f32]], base: &[f32]) -> Vec<f64> {
        products_of(updates, base, 0)
    }

    /// Adds one block's products, in rows from the first that is not complete.
    pub(crate) fn add_block(&mut self, products: &[f64]) {
        let complete = self.known * (self.known + 1) / 2;
        for (sum, part) in self.sums[complete..].iter_mut().zip(products) {
            *sum += part;
        }
    }

    /// `G[i][j]`.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        let (high, low) = (i.max(j), i.min(j));
        self.sums[high * (high + 1) / 2 + low]
    }

    /// How many updates it is of.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Length of a step.
    pub fn norm(&self, i: usize) -> f64 {
        self.at(i, i).sqrt()
    }

    /// The cosine between two steps; `None` where one has no length.
    pub fn cosine(&self, i: usize, j: usize) -> Option<f64> {
        let lengths = self.norm(i) * self.norm(j);
        (lengths > 0.0).then(|| (self.at(i, j) / lengths).clamp(-1.0, 1.0))
    }

    /// The squared distance of two updates; rounding makes none negative.
    pub fn distance(&self, i: usize, j: usize) -> f64 {
        if i == j {
            return 0.0;
        }
        ((self.at(i, i) + self.at(j, j)) - 2.0 * self.at(i, j)).max(0.0)
    }

    /// Whether all products are finite; where an update holds NaN or infinity, they are not.
    pub(crate) fn finite(&self) -> bool {
        self.sums.iter().all(|sum| sum.is_finite())
    }

    /// The Gram matrix of `y[a] = Σ_i rows[a][i]·D[i]`.
    pub(crate) fn of_sums(&self, rows: &[Vec<f64>]) -> Self {
        let n = self.inputs;
        let half: Vec<Vec<f64>> = rows
            .iter()
            .map(|row| (0..n).map(|j| (0..n).fold(0.0, |sum, i| sum + row[i] * self.at(i, j))).collect())
            .collect();
        let mut sums = Vec::with_capacity(rows.len() * (rows.len() + 1) / 2);
        for (a, half) in half.iter().enumerate() {
            for row in &rows[..=a] {
                sums.push(half.iter().zip(row).fold(0.0, |sum, (x, y)| sum + x * y));
            }
        }
        Self { inputs: rows.len(), known: 0, sums }
    }
}

/// The products of one block's differences.
struct Products<'a> {
    updates: &'a [&'a [f32]],
    base: &'a [f32],
    /// The first row that is asked for.
    first: usize,
}

impl WithSimd for Products<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<f64> {
        products_of(self.updates, self.base, self.first)
    }
}

#[inline(always)]
fn products_of(updates: &[&[f32]], base: &[f32], first: usize) -> Vec<f64> {
    let n = updates.len();
    let mut lanes = vec![[0f64; LANES]; n * (n + 1) / 2 - first * (first + 1) / 2];
    let mut steps = vec![[0f64; TILE]; n];
    for start in (0..base.len()).step_by(TILE) {
        let len = TILE.min(base.len() - start);
        let base = &base[start..start + len];
        for (step, update) in steps.iter_mut().zip(updates) {
            for ((d, x), w) in step.iter_mut().zip(&update[start..start + len]).zip(base) {
                *d = f64::from(*x) - f64::from(*w);
            }
            // what is beyond the end adds nothing
            step[len..].fill(0.0);
        }
        let mut pair = 0;
        for high in first..n {
            for low in 0..=high {
                products(&steps[high], &steps[low], &mut lanes[pair]);
                pair += 1;
            }
        }
    }
    lanes.iter().map(joined).collect()
}

#[inline(always)]
fn products(a: &[f64; TILE], b: &[f64; TILE], lanes: &mut [f64; LANES]) {
    let mut sums = *lanes;
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    *lanes = sums;
}

#[inline(always)]
pub(crate) fn joined(l: &[f64; LANES]) -> f64 {
    ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}
