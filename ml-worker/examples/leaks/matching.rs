//! Rows that are searched for: those whose gradient is the one that was seen.
//!
//! One starts from rows drawn at random and walks downhill until the gradient that they would give is as near as it gets to
//! the gradient behind an exact step (Zhu, Liu and Han, "Deep Leakage from Gradients", NeurIPS 2019). The attacker is given
//! more than it would have: how many rows there are, and the class of each.
//!
//! **What is walked down.** For one hidden layer with ReLU, `z = W·x + b`, `a = max(z, 0)`, logit `l = v·a + c`, `p` its
//! sigmoid, `d = p − y` and `s` 1 where `z > 0`, else 0, the mean gradient over n rows is
//!
//! ```text
//! G_c = Σ d / n     G_v = Σ d·a / n     G_b = Σ d·(v∘s) / n     G_W = Σ d·(v∘s)·xᵀ / n
//! ```
//!
//! With `G'` what was seen, `E = G − G'` and the distance `L = ‖E‖² / ‖G'‖²`, a row's share of `⟨E, G⟩` is `d·f / n` with
//! `f = E_c + E_v·a + (v∘s)·(E_b + E_W·x)`. The slope of `s` is 0 almost everywhere, that of `d` is `p·(1 − p)·Wᵀ(v∘s)`, so that
//!
//! ```text
//! ∂L/∂x = 2 / (n·‖G'‖²) · ( Wᵀ( f·p·(1 − p)·(v∘s) + d·(s∘E_v) ) + d·E_Wᵀ(v∘s) )
//! ```
//!
//! A test holds this against quotients of differences.
//!
//! **What counts.** Of the walks from several starts that of the least distance. Its rows are paired with the true ones, the nearest
//! pair first, then the nearest of those left (greedily, not by the least sum). A cell is right within [`RIGHT`] deviations.
//!
//! **Guessing.** Rows that no gradient was looked at for, paired and counted in the same way: each cell the value of any patient in that
//! column; or each the column's median. The better of the two stands beside what matching finds.

use super::{
    exact::{Exact, Setting},
    network::{dot, sigmoid, wide, Network},
    world::World,
};
use anyhow::Result;
use consilium_ml_worker::random::{key, Stream};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A cell is right where it is off by no more, in deviations of its column: a quarter of a normal column is as near as that to its mean.
pub const RIGHT: f64 = 0.319;
/// How far a cell is moved by the first steps; it falls to 0 along half a cosine.
const RATE: f64 = 0.1;
/// Decay of the means of slopes and of their squares (Adam, as published).
const DECAY: (f64, f64) = (0.9, 0.999);

/// How hard is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// Starts, of which the best end counts.
    pub starts: u32,
    /// Steps from each.
    pub steps: u32,
}

/// Share of cells that are right, mean over runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cells {
    /// Of the rows that matching finds.
    pub found: f64,
    /// Of rows that are guessed.
    pub guessed: f64,
}

/// Which gradient rows are to have.
pub struct Problem<'a> {
    /// The network.
    pub network: Network,
    /// Its parameters.
    pub model: &'a [f64],
    /// The rows' classes.
    pub positive: &'a [bool],
    /// The mean gradient that was seen.
    pub seen: &'a [f64],
}

impl Problem<'_> {
    /// How far the mean gradient of these rows, one behind the other, is from what was seen: squared, as a share of what was seen. `slope` is
    /// overwritten with how that changes with each cell.
    pub fn distance(&self, rows: &[f64], slope: &mut [f64]) -> f64 {
        let inputs = self.network.inputs;
        let count = self.positive.len() as f64;
        let mut apart: Vec<f64> = self.seen.iter().map(|g| -g).collect();
        for (row, positive) in rows.chunks_exact(inputs).zip(self.positive) {
            let gradient = self.network.gradient(self.model, row, *positive);
            apart.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g / count);
        }
        let length = dot(self.seen, self.seen).max(f64::MIN_POSITIVE);
        let (model, apart_of) = (self.network.parts(self.model), self.network.parts(&apart));
        let each = rows.chunks_exact(inputs).zip(slope.chunks_exact_mut(inputs)).zip(self.positive);
        for ((row, slope), positive) in each {
            let units = self.network.units(&model, row);
            let active = || units.iter().enumerate().filter(|(_, z)| **z > 0.0);
            let logit = active().map(|(k, z)| model.second[k] * z).sum::<f64>() + model.second_bias[0];
            let p = sigmoid(logit);
            let d = p - f64::from(u8::from(*positive));
            let mut f = apart_of.second_bias[0];
            for (k, z) in active() {
                let of = k * inputs..(k + 1) * inputs;
                f +=
                    apart_of.second[k] * z + model.second[k] * (apart_of.first_bias[k] + dot(&apart_of.first[of], row));
            }
            slope.fill(0.0);
            let scale = 2.0 / (count * length);
            for (k, _) in active() {
                let of = k * inputs..(k + 1) * inputs;
                let through = scale * (f * p * (1.0 - p) * model.second[k] + d * apart_of.second[k]);
                let direct = scale * d * model.second[k];
                let weights = model.first[of.clone()].iter().zip(&apart_of.first[of]);
                slope.iter_mut().zip(weights).for_each(|(slope, (w, e))| *slope += through * w + direct * e);
            }
        }
        dot(&apart, &apart) / length
    }

    /// Walks down from these rows. Returns the distance at the end, and the rows there.
    fn descend(&self, mut rows: Vec<f64>, steps: u32) -> (f64, Vec<f64>) {
        let mut slope = vec![0.0; rows.len()];
        let (mut first, mut second) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        // what the means lack, since they begin at 0
        let mut lack = (1.0, 1.0);
        for step in 0..steps {
            self.distance(&rows, &mut slope);
            lack = (lack.0 * DECAY.0, lack.1 * DECAY.1);
            let rate = RATE * 0.5 * (1.0 + (PI * f64::from(step) / f64::from(steps)).cos());
            let means = first.iter_mut().zip(&mut second);
            for ((cell, slope), (mean, square)) in rows.iter_mut().zip(&slope).zip(means) {
                *mean = DECAY.0 * *mean + (1.0 - DECAY.0) * slope;
                *square = DECAY.1 * *square + (1.0 - DECAY.1) * slope * slope;
                *cell -= rate * (*mean / (1.0 - lack.0)) / ((*square / (1.0 - lack.1)).sqrt() + 1e-12);
            }
        }
        (self.distance(&rows, &mut slope), rows)
    }

    /// The rows that the search ends at.
    pub fn search(&self, search: Search, run: u32) -> Vec<f64> {
        let cells = self.positive.len() * self.network.inputs;
        let mut best = (f64::INFINITY, vec![0.0; cells]);
        for start in 0..search.starts {
            let parts: [&[u8]; 2] = [&run.to_le_bytes(), &start.to_le_bytes()];
            let mut chance = Stream::new(key("consilium/leaks/start/1", &parts));
            let end = self.descend((0..cells).map(|_| chance.normal()).collect(), search.steps);
            if end.0 < best.0 {
                best = end;
            }
        }
        best.1
    }
}

/// Searches for the rows behind one exact step, over so many runs, and guesses them.
///
/// # Errors
/// What training or merging say.
pub fn cells(setting: Setting, runs: u32, search: Search) -> Result<Cells> {
    let world = World::new(1);
    let each: Vec<[f64; 3]> =
        (0..runs).into_par_iter().map(|run| one(&world, setting, run, search)).collect::<Result<_>>()?;
    let mean = |which: usize| each.iter().map(|shares| shares[which]).sum::<f64>() / each.len().max(1) as f64;
    Ok(Cells { found: mean(0), guessed: mean(1).max(mean(2)) })
}

/// Shares of one run: found, drawn from columns, medians of columns.
fn one(world: &World, setting: Setting, run: u32, search: Search) -> Result<[f64; 3]> {
    let seen = setting.play(world, run)?;
    let truth: Vec<f64> = seen.rows.iter().flat_map(|row| wide(world.features(*row))).collect();
    let network = setting.network();
    let found = found(world, network, &seen, search, run);
    let mut chance = Stream::new(key("consilium/leaks/guess/1", &[&run.to_le_bytes()]));
    let drawn: Vec<f64> = (0..truth.len()).map(|cell| world.somebodys(cell % network.inputs, &mut chance)).collect();
    let medians = world.medians();
    let middle: Vec<f64> = (0..truth.len()).map(|cell| medians[cell % network.inputs]).collect();
    Ok([found, drawn, middle].map(|rows| right(&rows, &truth, network.inputs)))
}

fn found(world: &World, network: Network, seen: &Exact, search: Search, run: u32) -> Vec<f64> {
    let positive: Vec<bool> = seen.rows.iter().map(|row| world.is_positive(*row)).collect();
    let (model, gradient) = (wide(&seen.base), seen.gradient());
    Problem { network, model: &model, positive: &positive, seen: &gradient }.search(search, run)
}

/// Share of the cells of true rows, so many cells each, that are right in the rows that they are paired with.
fn right(rows: &[f64], truth: &[f64], inputs: usize) -> f64 {
    let (rows, true_rows): (Vec<&[f64]>, Vec<&[f64]>) =
        (rows.chunks_exact(inputs).collect(), truth.chunks_exact(inputs).collect());
    let of_pair =
        |(a, b): (usize, usize)| rows[a].iter().zip(true_rows[b]).filter(|(x, y)| (*x - *y).abs() <= RIGHT).count();
    let count: usize = pairs(&rows, &true_rows).into_iter().map(of_pair).sum();
    count as f64 / truth.len().max(1) as f64
}

/// Pairs rows with true ones: the nearest pair first, then the nearest of those left.
pub fn pairs(rows: &[&[f64]], truth: &[&[f64]]) -> Vec<(usize, usize)> {
    let mut all: Vec<(f64, usize, usize)> = Vec::new();
    for (a, row) in rows.iter().enumerate() {
        for (b, other) in truth.iter().enumerate() {
            all.push((row.iter().zip(*other).map(|(x, y)| (x - y) * (x - y)).sum(), a, b));
        }
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut given, mut taken) = (vec![false; rows.len()], vec![false; truth.len()]);
    let mut pairs = Vec::new();
    for (_, a, b) in all {
        if !given[a] && !taken[b] {
            (given[a], taken[b]) = (true, true);
            pairs.push((a, b));
        }
    }
    pairs
}
