//! What is agreed.

use crate::{
    data::{DataSpec, Scaling},
    model::{Model, MAX_PARAMETERS},
    training::{Evaluation, Training},
};
use consilium_aggregation::{Layout, LayoutError, Statistics, TensorShape};
use serde::{Deserialize, Serialize};

/// The version of the specification's form.
pub const VERSION: u32 = 1;
/// Seeds are below this, so that every JSON reader gets them right.
pub const MAX_SEED: u64 = 1 << 53;

/// One agreement's data schema, model and training. Its meaning is complete: from it and the same rows every
/// institution builds the same network from the same initial numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudySpec {
    /// Version of this form: 1.
    pub version: u32,
    /// One line for people.
    pub title: String,
    /// More for people; may be empty.
    #[serde(default)]
    pub description: String,
    /// Columns, label and how they are read.
    pub data: DataSpec,
    /// The network.
    pub model: Model,
    /// Local training between two merges.
    pub training: Training,
    /// What is measured, and on which rows.
    pub evaluation: Evaluation,
    /// Seed of the initial parameters.
    pub seed: u64,
}

/// Why a specification cannot be used: the field, what stands there, what may stand there.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SpecError {
    /// Path of the field.
    pub field: &'static str,
    /// What is wrong with it, and what may stand there.
    pub problem: String,
}

pub(crate) fn wrong(field: &'static str, problem: impl Into<String>) -> SpecError {
    SpecError { field, problem: problem.into() }
}

impl StudySpec {
    /// Whether every number lies where it makes sense.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.version != VERSION {
            return Err(wrong("version", format!("{} is unknown; this program knows {VERSION}", self.version)));
        }
        if self.title.trim().is_empty() || self.title.len() > 200 || self.title.contains('\n') {
            return Err(wrong("title", "must be one line of 1 to 200 bytes"));
        }
        if self.seed >= MAX_SEED {
            return Err(wrong("seed", "must be below 2^53"));
        }
        self.data.check()?;
        self.model.check()?;
        self.training.check()?;
        self.evaluation.check()?;
        let parameters = self.parameters();
        if parameters > MAX_PARAMETERS {
            return Err(wrong("model", format!("has {parameters} parameters; at most {MAX_PARAMETERS} are allowed")));
        }
        Ok(())
    }

    /// How many features there are.
    pub fn inputs(&self) -> usize {
        self.data.features.columns.len()
    }

    /// Inputs and outputs of each dense layer, from the first to the one that gives the logit.
    pub fn layers(&self) -> Vec<(usize, usize)> {
        let hidden = match &self.model {
            Model::Logistic {} => &[][..],
            Model::Dense { hidden, .. } => hidden,
        };
        let mut layers = Vec::with_capacity(hidden.len() + 1);
        let mut inputs = self.inputs();
        for units in hidden.iter().map(|u| *u as usize).chain([1]) {
            layers.push((inputs, units));
            inputs = units;
        }
        layers
    }

    /// Number of trainable parameters.
    pub fn parameters(&self) -> u64 {
        self.layers().iter().map(|(i, o)| (*i as u64).saturating_add(1).saturating_mul(*o as u64)).sum()
    }

    /// Tensors of a model file: `layerNN.weight` of shape `[outputs, inputs]` and `layerNN.bias` of shape `[outputs]`.
    ///
    /// # Errors
    /// A specification that [`check`](Self::check) refuses.
    pub fn layout(&self) -> Result<Layout, LayoutError> {
        let tensors = self.layers().into_iter().enumerate().flat_map(|(n, (inputs, outputs))| {
            [
                TensorShape::new(format!("layer{n:02}.weight"), [outputs, inputs]),
                TensorShape::new(format!("layer{n:02}.bias"), [outputs]),
            ]
        });
        Layout::new(tensors.collect())
    }

    /// Length in bytes of an update's file.
    ///
    /// # Errors
    /// A specification that [`check`](Self::check) refuses.
    pub fn update_len(&self) -> Result<u64, LayoutError> {
        Ok(self.layout()?.file_len(true))
    }

    /// Length in bytes of a merged or initial model's file.
    ///
    /// # Errors
    /// A specification that [`check`](Self::check) refuses.
    pub fn merged_len(&self) -> Result<u64, LayoutError> {
        Ok(self.layout()?.file_len(false))
    }

    /// Length in bytes of a statistics file; 0 where none are asked for.
    ///
    /// # Errors
    /// A specification that [`check`](Self::check) refuses.
    pub fn statistics_len(&self) -> Result<u64, LayoutError> {
        match self.data.scaling {
            Scaling::None => Ok(0),
            Scaling::Swarm => Statistics::file_len(self.inputs()),
        }
    }
}
