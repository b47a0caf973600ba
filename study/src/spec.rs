//! What is agreed.

use consilium_aggregation::{Layout, LayoutError, Statistics, TensorShape};
use serde::{Deserialize, Serialize};

/// The version of the specification's form.
pub const VERSION: u32 = 1;
/// Most feature columns.
pub const MAX_FEATURES: u32 = 100_000;
/// Most hidden layers.
pub const MAX_LAYERS: usize = 16;
/// Most units of one layer.
pub const MAX_UNITS: u32 = 65_536;
/// Most parameters of a model.
pub const MAX_PARAMETERS: u64 = 200_000_000;
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

/// Columns of a site's table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Feature columns; all are numbers.
    pub features: Features,
    /// Column of the label, which has two values.
    pub label: String,
    /// The label's value of the positive class, as it stands in the table.
    pub positive: String,
    /// The label's value of the negative class.
    pub negative: String,
    /// Column that says which rows belong together (a patient): such rows are never parted between training and
    /// validation. Left out: every row stands alone, and equal rows stay together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What an empty cell means.
    #[serde(default)]
    pub missing: Missing,
    /// How features are scaled.
    #[serde(default)]
    pub scaling: Scaling,
}

/// Which columns are features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Features {
    /// These, in this order.
    Columns(Vec<String>),
    /// All columns but label and group, ordered by the bytes of their names; so many there are.
    Count(u32),
}

/// What an empty cell (or `NA`, or `NaN`) in a feature column means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// An error, by line and column.
    #[default]
    Refuse,
    /// The mean of the column's known values stands in: that of all sites together under [`Scaling::Swarm`].
    Mean,
}

/// How features are scaled before training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Not at all.
    #[default]
    None,
    /// To mean 0 and (population) standard deviation 1 over the training rows of all sites together.
    Swarm,
}

/// A network with one logit as its output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
// not internally tagged: such enums cannot hold floats once any crate of a build switches `arbitrary_precision` on
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Model {
    /// Logistic regression.
    Logistic {},
    /// Dense layers with an activation between them.
    Dense {
        /// Units of each hidden layer.
        hidden: Vec<u32>,
        /// After each hidden layer.
        activation: Activation,
        /// Share of hidden units left out in training, after each hidden layer; 0: none.
        #[serde(default)]
        dropout: f64,
    },
}

/// Activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
}

/// Local training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// How parameters follow gradients.
    pub optimizer: Optimizer,
    /// Rows in one step; the last of an epoch may have fewer.
    pub batch_size: u32,
    /// Passes over the training rows in one round.
    pub epochs: u32,
    /// Whether the optimiser's own state (momentum, moments) is carried into the next round.
    #[serde(default)]
    pub keep_optimizer_state: bool,
    /// `λ` of the penalty `λ·Σw²` over all weights (not biases).
    #[serde(default)]
    pub l2: f64,
}

/// Optimisers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Stochastic gradient descent: `v = momentum·v + g; w = w − learning_rate·v`.
    Sgd {
        /// Step size.
        learning_rate: f64,
        /// 0: none.
        #[serde(default)]
        momentum: f64,
    },
    /// Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1).
    Adam {
        /// Step size `α`.
        learning_rate: f64,
        /// Decay of the first moment.
        #[serde(default = "beta1")]
        beta1: f64,
        /// Decay of the second moment.
        #[serde(default = "beta2")]
        beta2: f64,
        /// Added to the root of the corrected second moment.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
}

fn beta1() -> f64 {
    0.9
}
fn beta2() -> f64 {
    0.999
}
fn epsilon() -> f64 {
    1e-8
}

/// What is measured at each site, and on which rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Share of each class's groups that a site keeps out of training to measure on.
    pub validation_share: f64,
    /// With fewer validation rows a site reports no metric.
    #[serde(default = "min_rows")]
    pub min_rows: u32,
    /// The agreed metric: the one number per site and round that goes on the chain.
    #[serde(default)]
    pub metric: Metric,
}

fn min_rows() -> u32 {
    20
}

/// Metrics that can be agreed on; lower is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean log-loss (binary cross-entropy, natural logarithm) of the validation rows.
    #[default]
    LogLoss,
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

fn wrong(field: &'static str, problem: impl Into<String>) -> SpecError {
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
        match &self.data.features {
            Features::Columns(names) => names.len(),
            Features::Count(count) => *count as usize,
        }
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

impl DataSpec {
    fn check(&self) -> Result<(), SpecError> {
        match &self.features {
            Features::Columns(names) => {
                if names.is_empty() || names.len() > MAX_FEATURES as usize {
                    return Err(wrong("data.features.columns", format!("must name 1 to {MAX_FEATURES} columns")));
                }
                let mut sorted: Vec<&String> = names.iter().collect();
                sorted.sort();
                if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err(wrong("data.features.columns", format!("names the column {:?} twice", twice[0])));
                }
                let taken = |name: &str| names.iter().any(|n| n == name);
                if taken(&self.label) || self.group.as_deref().is_some_and(taken) {
                    return Err(wrong("data.features.columns", "names the label or the group column too"));
                }
            }
            Features::Count(count) => {
                if *count == 0 || *count > MAX_FEATURES {
                    return Err(wrong("data.features.count", format!("must lie between 1 and {MAX_FEATURES}")));
                }
            }
        }
        if self.label.trim().is_empty() {
            return Err(wrong("data.label", "must name a column"));
        }
        if self.group.as_ref() == Some(&self.label) {
            return Err(wrong("data.group", "names the label column"));
        }
        if self.positive.trim() == self.negative.trim() || self.positive.trim().is_empty() {
            return Err(wrong("data.positive", "must be a text other than data.negative, and not empty"));
        }
        if self.negative.trim().is_empty() {
            return Err(wrong("data.negative", "must not be empty"));
        }
        Ok(())
    }
}

impl Model {
    fn check(&self) -> Result<(), SpecError> {
        let Self::Dense { hidden, dropout, .. } = self else { return Ok(()) };
        if hidden.is_empty() || hidden.len() > MAX_LAYERS {
            return Err(wrong("model.hidden", format!("must name 1 to {MAX_LAYERS} layers")));
        }
        if let Some(units) = hidden.iter().find(|u| **u == 0 || **u > MAX_UNITS) {
            return Err(wrong("model.hidden", format!("{units} units are impossible; use 1 to {MAX_UNITS}")));
        }
        if !(0.0..1.0).contains(dropout) {
            return Err(wrong("model.dropout", format!("{dropout} must be at least 0 and below 1")));
        }
        Ok(())
    }
}

impl Training {
    fn check(&self) -> Result<(), SpecError> {
        if self.batch_size == 0 || self.batch_size > 1 << 20 {
            return Err(wrong("training.batch_size", "must lie between 1 and 1048576"));
        }
        if self.epochs == 0 || self.epochs > 10_000 {
            return Err(wrong("training.epochs", "must lie between 1 and 10000"));
        }
        if !(0.0..=1e3).contains(&self.l2) {
            return Err(wrong("training.l2", format!("{} must lie between 0 and 1000", self.l2)));
        }
        let rate = |rate: f64| {
            if rate > 0.0 && rate <= 1e3 {
                Ok(())
            } else {
                Err(wrong("training.optimizer.learning_rate", format!("{rate} must be above 0, and at most 1000")))
            }
        };
        let decay = |field, value: f64| {
            if (0.0..1.0).contains(&value) {
                Ok(())
            } else {
                Err(wrong(field, format!("{value} must be at least 0 and below 1")))
            }
        };
        match &self.optimizer {
            Optimizer::Sgd { learning_rate, momentum } => {
                rate(*learning_rate)?;
                decay("training.optimizer.momentum", *momentum)
            }
            Optimizer::Adam { learning_rate, beta1, beta2, epsilon } => {
                rate(*learning_rate)?;
                decay("training.optimizer.beta1", *beta1)?;
                decay("training.optimizer.beta2", *beta2)?;
                if *epsilon > 0.0 && *epsilon <= 1.0 {
                    Ok(())
                } else {
                    Err(wrong("training.optimizer.epsilon", format!("{epsilon} must be above 0, and at most 1")))
                }
            }
        }
    }
}

impl Evaluation {
    fn check(&self) -> Result<(), SpecError> {
        if self.validation_share.is_nan() || self.validation_share <= 0.0 || self.validation_share > 0.5 {
            return Err(wrong(
                "evaluation.validation_share",
                format!("{} must be above 0, and at most 0.5", self.validation_share),
            ));
        }
        if self.min_rows == 0 {
            return Err(wrong("evaluation.min_rows", "must be at least 1"));
        }
        Ok(())
    }
}
