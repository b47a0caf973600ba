//! Rows that can be read off one exact step, without any search: the quotient of a unit's gradients.
//!
//! Of a first layer with ReLU the gradient of a unit's weights is the sum over rows of `d·x`, that of its bias the sum of `d`. A unit
//! that one row alone makes active gives that row's numbers (Phong et al., IEEE TIFS 2018; Boenisch et al., EuroS&P 2023).

use super::{exact::Setting, world::World};
use anyhow::Result;
use rayon::prelude::*;

/// Number of features.
const INPUTS: usize = 30;
/// A row counts as read where no cell of it is off by more, in deviations of its column.
const EXACT: f32 = 0.02;

/// The share of rows read off one exact step, over so many runs.
///
/// # Errors
/// What training or merging say.
pub fn read_off(setting: Setting, runs: u32) -> Result<f64> {
    let world = World::new(1);
    let shares: Vec<f64> = (0..runs).into_par_iter().map(|run| one(&world, setting, run)).collect::<Result<_>>()?;
    Ok(shares.iter().sum::<f64>() / shares.len().max(1) as f64)
}

fn one(world: &World, setting: Setting, run: u32) -> Result<f64> {
    let seen = setting.play(world, run)?;
    let guesses = quotients(&seen.step, setting.width as usize);
    let read = |row: &&usize| guesses.iter().any(|guess| near(guess, world.features(**row)));
    Ok(seen.rows.iter().filter(read).count() as f64 / seen.rows.len().max(1) as f64)
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
