//! One exact step of sites with few rows, and what others see of it. It is where most can be found: the control of the bench.

use super::{
    network::{wide, Network},
    sums::{Partner, Sum},
    world::World,
};
use anyhow::{Context, Result};
use consilium_ml_worker::learn::{initial_parameters, OptimizerState, Seeds, Session};
use consilium_study::{Activation, Model, Optimizer, StudyFile, StudySpec};
use serde::{Deserialize, Serialize};

/// Who takes the step, and what of it is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Hidden units.
    pub width: u32,
    /// Rows of each site.
    pub rows: usize,
    /// Sites whose steps are seen as a sum under masks; 1: the site's own step is seen.
    pub sites: usize,
}

/// What is seen of one exact step, and what is looked for.
pub struct Exact {
    /// The model that it begins with.
    pub base: Vec<f32>,
    /// The step: the mean gradient over all rows behind it, downwards.
    pub step: Vec<f32>,
    /// These rows.
    pub rows: Vec<usize>,
}

impl Setting {
    /// Its network.
    pub fn network(self) -> Network {
        Network { inputs: 30, hidden: self.width as usize }
    }

    /// Takes the step, on rows drawn for this run.
    ///
    /// # Errors
    /// What training or merging say.
    pub fn play(self, world: &World, run: u32) -> Result<Exact> {
        let spec = self.study(u64::from(run))?;
        let hash = spec.hash()?.0;
        let base = initial_parameters(&spec)?;
        let all = world.drawn(run, self.rows * self.sites);
        let mut updates = Vec::new();
        for (site, rows) in all.chunks(self.rows.max(1)).enumerate() {
            // one step over all rows: no chance is in it
            let seeds = Seeds::new(&[site as u8; 32], &hash, 1);
            let state = OptimizerState::default();
            let trained = Session::new(&spec, &base, &world.rows(rows), None, &state, &seeds)
                .train(&|_| false)
                .with_context(|| format!("{} hidden units, run {run}", self.width))?;
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
        Ok(Exact { base, step, rows: all })
    }

    /// The demo's study with one step of plain descent over all rows, at a rate of 1.
    fn study(self, seed: u64) -> Result<StudySpec> {
        let mut spec = StudyFile::parse(include_str!("../../../examples/breast-cancer/study.toml"))?.spec();
        spec.seed = seed;
        spec.model = Model::Dense { hidden: vec![self.width], activation: Activation::Relu, dropout: 0.0 };
        spec.training.optimizer = Optimizer::Sgd { learning_rate: 1.0, momentum: 0.0, nesterov: false };
        (spec.training.batch_size, spec.training.epochs) = (1_000, 1);
        Ok(spec)
    }
}

impl Exact {
    /// The mean gradient over the rows behind the step, as whoever sees the step knows it.
    pub fn gradient(&self) -> Vec<f64> {
        wide(&self.step).iter().map(|x| -x).collect()
    }
}
