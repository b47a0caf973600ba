//! What trains a study's model and is asked for logits at a desk: this program, or the study's own trainer.

use super::{RoundRows, Trainer};
use crate::{
    data::Rows,
    learn::{logits_of, Halt, Net, OptimizerState, Seeds, Session, TrainError, Trained},
};
use anyhow::Result;
use consilium_study::{starting_parameters, StudySpec};
use std::sync::Arc;

/// The means that a study needs beside its specification: none for most.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    /// The file that the study begins with.
    pub initial: Option<Arc<Vec<u8>>>,
    /// The trainer that the study brings.
    pub trainer: Option<Arc<Trainer>>,
    /// Tensors that stay at each of the sites that are compared, in their order, as their workers keep them, where these are known.
    pub at_sites: Option<Vec<Option<Vec<u8>>>>,
}

/// One round's training at a desk.
pub struct Step<'a> {
    /// The model that it begins with.
    pub base: &'a [f32],
    /// Rows to learn from, and rows to stop early by.
    pub rows: (&'a Rows, &'a Rows),
    /// What the optimiser remembers; a study's own trainer keeps its own state.
    pub state: &'a OptimizerState,
    /// Where chance comes from, and which round it is.
    pub chance: (&'a [u8; 32], u32),
}

impl Engine {
    /// For a study that needs nothing.
    pub const NONE: Self = Self { initial: None, trainer: None, at_sites: None };

    /// Parameters that the study begins with.
    ///
    /// # Errors
    /// The file that it begins with is missing or another one.
    pub fn start(&self, spec: &StudySpec) -> Result<Vec<f32>> {
        Ok(starting_parameters(spec, self.initial.as_ref().map(|bytes| &bytes[..]))?)
    }

    /// Forgets what a trainer keeps: what follows is another site's training.
    ///
    /// # Errors
    /// What the file system says.
    pub fn fresh(&self) -> Result<()> {
        Ok(self.trainer.as_ref().map_or(Ok(()), |trainer| trainer.fresh())?)
    }

    /// What stays at the site of the model that was trained last; `None` where nothing does.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn kept(&self) -> Result<Option<Vec<u8>>> {
        self.trainer.as_ref().map_or(Ok(None), |trainer| trainer.kept())
    }

    /// What stays at one of the sites that are compared, where that is known.
    pub fn at_site(&self, number: usize) -> Option<&[u8]> {
        self.at_sites.as_ref()?.get(number)?.as_deref()
    }

    /// Has the next logits computed with these tensors that stay at a site; with those of the initial file, where there are none.
    ///
    /// # Errors
    /// Tensors of another model; what the file system says.
    pub fn keep(&self, kept: Option<&[u8]>) -> Result<()> {
        match (self.trainer.as_ref().filter(|trainer| trainer.keeps()), kept) {
            (None, _) => Ok(()),
            (Some(trainer), Some(bytes)) => trainer.keep(bytes),
            (Some(trainer), None) => Ok(trainer.keep_initial()?),
        }
    }

    /// Trains for one round.
    ///
    /// # Errors
    /// What training says.
    pub fn train(&self, spec: &StudySpec, step: &Step<'_>, halt: Halt<'_>) -> Result<Trained> {
        let ((training, validation), (secret, round)) = (step.rows, step.chance);
        match &self.trainer {
            None => {
                let seeds = Seeds::new(secret, &spec.hash()?.0, round);
                Ok(Session::new(spec, step.base, training, Some(validation), step.state, &seeds).train(halt)?)
            }
            Some(trainer) => {
                let rows = RoundRows { name: "desk", training, validation };
                let update = match trainer.train(&rows, step.base, (secret, round), halt) {
                    Err(super::ExternalError::Halted) => return Err(TrainError::Halted.into()),
                    other => other?,
                };
                let state = OptimizerState::default();
                Ok(Trained { parameters: update.parameters, loss: update.loss, state, epochs: spec.training.epochs })
            }
        }
    }

    /// Logits of rows.
    ///
    /// # Errors
    /// Rows that cannot be read; what the trainer says.
    pub fn logits(&self, spec: &StudySpec, parameters: &[f32], rows: &Rows) -> Result<Vec<f32>> {
        match &self.trainer {
            None => Ok(logits_of(&Net::new(spec.architecture()?)?, parameters, rows)?),
            Some(trainer) => Ok(trainer.logits(parameters, rows, None)?),
        }
    }
}
