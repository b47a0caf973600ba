//! Rows that can be read off one exact step, without any search: the quotient of a unit's gradients.
//!
//! Of a first layer with ReLU the gradient of a unit's weights is the sum over rows of `d·x`, that of its bias the sum of `d`. A unit
//! that one row alone makes active gives that row's numbers (Phong et al., IEEE TIFS 2018; Boenisch et al., EuroS&P 2023).

use super::{
    sums::{Partner, Sum},
    world::World,
};
use anyhow::{Context, Result};
use consilium_ml_worker::learn::{initial_parameters, OptimizerState, Seeds, Session};
use consilium_study::{Activation, Model, Optimizer, StudyFile, StudySpec};
use rayon::prelude::*;

/// Number of features.
const INPUTS: usize = 30;
/// A row counts as read where no cell of it is off by more, in deviations of its column.
const EXACT: f32 = 0.02;

/// The share of rows read off one exact step of a network with so many hidden units, over so many runs: where each of `sites` sites has
/// so many rows, and others see the sum of their updates. One site: its own update.
///
/// # Errors
/// What training or merging say.
pub fn read_off(width: u32, rows: usize, sites: usize, runs: u32) -> Result<f64> {
    let world = World::new(1);
    let shares: Vec<f64> =
        (0..runs).into_par_iter().map(|run| one(&world, (width, rows, sites), run)).collect::<Result<_>>()?;
    Ok(shares.iter().sum::<f64>() / shares.len().max(1) as f64)
}

fn study(width: u32, seed: u64) -> Result<StudySpec> {
    let mut spec = StudyFile::parse(include_str!("../../../examples/breast-cancer/study.toml"))?.spec();
    spec.seed = seed;
    spec.model = Model::Dense { hidden: vec![width], activation: Activation::Relu, dropout: 0.0 };
    spec.training.optimizer = Optimizer::Sgd { learning_rate: 1.0, momentum: 0.0, nesterov: false };
    (spec.training.batch_size, spec.training.epochs) = (1_000, 1);
    Ok(spec)
}

fn one(world: &World, (width, rows, sites): (u32, usize, usize), run: u32) -> Result<f64> {
    let spec = study(width, u64::from(run))?;
    let hash = spec.hash()?.0;
    let base = initial_parameters(&spec)?;
    let all = world.drawn(run, rows * sites);
    let mut updates = Vec::new();
    for (site, rows) in all.chunks(rows.max(1)).enumerate() {
        // one step over all rows: no chance is in it
        let seeds = Seeds::new(&[site as u8; 32], &hash, 1);
        let state = OptimizerState::default();
        let trained = Session::new(&spec, &base, &world.rows(rows), None, &state, &seeds)
            .train(&|_| false)
            .with_context(|| format!("run {run}"))?;
        updates.push(trained.parameters);
    }
    let step: Vec<f32> = match updates.as_slice() {
        [alone] => alone.iter().zip(&base).map(|(x, w)| x - w).collect(),
        many => {
            let partners: Vec<Partner<'_>> =
                many.iter().map(|update| Partner { weight: 1, update: Some(update) }).collect();
            Sum::of(&base, &partners)?.step
        }
    };
    let guesses = quotients(&step, width as usize);
    let read = |row: &&usize| guesses.iter().any(|guess| near(guess, world.features(**row)));
    Ok(all.iter().filter(read).count() as f64 / all.len().max(1) as f64)
}

/// What each unit of the first layer gives: biases first, then weights, unit by unit.
pub fn quotients(step: &[f32], units: usize) -> Vec<Vec<f32>> {
    let (biases, rest) = step.split_at(units);
    let weights = rest.chunks_exact(INPUTS);
    let moved = biases.iter().zip(weights).filter(|(bias, _)| **bias != 0.0);
    moved.map(|(bias, weights)| weights.iter().map(|x| x / bias).collect()).collect()
}

fn near(guess: &[f32], row: &[f32]) -> bool {
    guess.iter().zip(row).all(|(a, b)| (a - b).abs() <= EXACT)
}
