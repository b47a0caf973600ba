//! What is agreed.

use crate::{
    architecture::Architecture,
    data::{DataSpec, Task},
    documents::Documents,
    error::{wrong, SpecError},
    model::Model,
    named::NamedFile,
    nodes::Penalty,
    optimizer::Optimizer,
    privacy::PrivacySpec,
    training::{Evaluation, Loss, Metric, Training},
};
use consilium_aggregation::{masked::MaskedLayout, Layout, LayoutError, Statistics, TensorShape};
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
    /// The file that training begins with, in place of numbers from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<NamedFile>,
    /// Papers that the study stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Documents>,
    /// How much it may tell about one record or patient, where that is promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<PrivacySpec>,
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
        if matches!(self.model, Model::Preset(_)) {
            return Err(wrong("model.preset", "is for study files; a specification spells its layers out"));
        }
        self.check_privacy()?;
        self.training.check(self.data.task(), self.privacy.is_some())?;
        self.evaluation.check()?;
        self.check_metric()?;
        if let Some(initial) = &self.initial {
            initial.check("initial")?;
        }
        if let Some(documents) = &self.documents {
            documents.check()?;
        }
        if let Some(external) = self.model.external() {
            external.layout()?;
            self.model.check()?;
            if self.data.outcome.is_some() {
                return Err(wrong("data.outcome", "is for the built-in networks: a trainer of one's own takes labels"));
            }
            return if self.initial.is_some() {
                Ok(())
            } else {
                let problem =
                    "must be there beside model.external: the safetensors file that says what the tensors are";
                Err(wrong("initial", problem))
            };
        }
        if self.data.files() {
            let problem = "\"files\" are read by a trainer of one's own alone: bring one (model.external)";
            return Err(wrong("data.pictures.kind", problem));
        }
        let architecture = self.architecture()?;
        if self.privacy.is_some() {
            architecture.keeps_rows_apart()?;
        }
        if matches!(self.training.optimizer, Optimizer::ProximalGradient {}) && !architecture.begins_linear() {
            return Err(wrong(
                "training.optimizer.proximal_gradient",
                "takes its step from the data, which is known how for one layer that begins at zeros: set \
                 model.preset = \"lasso\"",
            ));
        }
        // the engine makes pieces of whatever a private step draws
        architecture.check_batch(self.training.batch_size.max(1))
    }

    /// Whether the agreed metric is one of what is predicted.
    fn check_metric(&self) -> Result<(), SpecError> {
        let problem = match (self.data.task(), self.evaluation.metric) {
            (Task::Value, Metric::SquaredError | Metric::AbsoluteError) => return Ok(()),
            (Task::Value, _) => {
                "is of probabilities; of an outcome that is a number set \"squared_error\" or \"absolute_error\""
            }
            (Task::Events(_), Metric::LogLoss) => return Ok(()),
            (Task::Events(_), _) => "of the time until an event is \"log_loss\"",
            (_, Metric::SquaredError | Metric::AbsoluteError) => {
                "is of an outcome that is a number; of classes and labels set \"log_loss\" or \"brier\""
            }
            (_, Metric::LogLoss) if self.training.loss == Loss::SquaredError => {
                "a model of squared_error can predict 0 or 1 flatly, which has no log-loss: set \"brier\""
            }
            _ => return Ok(()),
        };
        Err(wrong("evaluation.metric", problem))
    }

    /// The network with its shapes.
    ///
    /// # Errors
    /// The first layer that does not fit; a model of one's own, whose layers only its trainer knows.
    pub fn architecture(&self) -> Result<Architecture, SpecError> {
        if self.model.external().is_some() {
            return Err(wrong(
                "model.external",
                "is no network of this program: only its own trainer computes with it",
            ));
        }
        let penalty = Penalty { l1: self.training.l1, l2: self.training.l2 };
        Architecture::new(&self.model, &self.data.input_shape(), self.data.task().outputs(), penalty)
    }

    /// Numbers per row that the network takes.
    pub fn inputs(&self) -> usize {
        self.data.inputs()
    }

    /// Tensors of a model file: `layerNN.weight` and `layerNN.bias` of each layer that has them, as
    /// [`Tensor`](crate::Tensor) says; of a model of one's own those that it says are merged.
    ///
    /// # Errors
    /// A specification that [`check`](Self::check) refuses.
    pub fn layout(&self) -> Result<Layout, LayoutError> {
        if let Some(external) = self.model.external() {
            return external.layout().map_err(|_| LayoutError::Count(0));
        }
        let architecture = self.architecture().map_err(|_| LayoutError::Count(0))?;
        Layout::new(architecture.tensors.into_iter().map(|t| TensorShape::new(t.name, t.shape)).collect())
    }

    /// Length in bytes of an update's file.
    ///
    /// # Errors
    /// A specification that [`check`](Self::check) refuses.
    pub fn update_len(&self) -> Result<u64, LayoutError> {
        Ok(self.layout()?.file_len(true))
    }

    /// Length in bytes of a merged or initial model's file, in which a server-side optimiser remembers `moments` numbers for
    /// each parameter.
    ///
    /// # Errors
    /// A specification that [`check`](Self::check) refuses.
    pub fn merged_len(&self, moments: u32) -> Result<u64, LayoutError> {
        Ok(self.layout()?.with_state(moments)?.file_len(false))
    }

    /// Length in bytes of a statistics file; 0 where none are asked for.
    ///
    /// # Errors
    /// A specification that [`check`](Self::check) refuses.
    pub fn statistics_len(&self) -> Result<u64, LayoutError> {
        match self.data.statistics_columns() {
            0 => Ok(0),
            columns => Statistics::file_len(columns),
        }
    }

    /// Lengths in bytes of what each site sends in a study of masked sums.
    ///
    /// # Errors
    /// A specification that [`check`](Self::check) refuses.
    pub fn masked_lens(&self) -> Result<MaskedLens, LayoutError> {
        let statistics = match self.data.statistics_columns() {
            0 => 0,
            columns => MaskedLayout::statistics(columns)?.file_len(),
        };
        Ok(MaskedLens {
            update: MaskedLayout::model(&self.layout()?)?.file_len(),
            statistics,
            figures: MaskedLayout::figures()?.file_len(),
        })
    }
}

/// Lengths in bytes of masked files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedLens {
    /// Of an update.
    pub update: u64,
    /// Of statistics; 0 where none are asked for.
    pub statistics: u64,
    /// Of the figures of the last merge.
    pub figures: u64,
}
