//! Local training, and what is measured after it.

use crate::{
    data::Task,
    error::{wrong, SpecError},
    optimizer::Optimizer,
};
use serde::{Deserialize, Serialize};

/// Local training in one round: so many `epochs`, or so many `batches`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// How parameters follow gradients.
    pub optimizer: Optimizer,
    /// What is made small.
    #[serde(default, skip_serializing_if = "Loss::is_cross_entropy")]
    pub loss: Loss,
    /// Rows in one step; the last of an epoch may have fewer. 0 in a private study, whose steps are drawn.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub batch_size: u32,
    /// Passes over the training rows in one round.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epochs: u32,
    /// Steps in one round, in place of `epochs`; where the rows run out, they are shuffled and begun again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub batches: u32,
    /// Whether the optimiser's own state (momentum, moments) is carried into the next round.
    #[serde(default)]
    pub keep_optimizer_state: bool,
    /// `λ` of the penalty `λ·Σ|w|` over the weights (not biases) of layers that name none of their own.
    #[serde(default, skip_serializing_if = "is_none")]
    pub l1: f64,
    /// `λ` of the penalty `λ·Σw²` over the weights (not biases) of layers that name none of their own.
    #[serde(default)]
    pub l2: f64,
    /// `μ` of the term `μ/2·Σ(w − w₀)²` that holds parameters near the round's base `w₀` (FedProx: Li et al., "Federated
    /// Optimization in Heterogeneous Networks", MLSys 2020).
    #[serde(default, skip_serializing_if = "is_none")]
    pub proximal: f64,
    /// How the learning rate changes from round to round.
    #[serde(default, skip_serializing_if = "Schedule::is_constant")]
    pub schedule: Schedule,
    /// Rounds over which the learning rate rises linearly from 0, before the schedule begins; it counts steps, so that the
    /// first step is not lost.
    #[serde(default, skip_serializing_if = "is_none")]
    pub warmup_rounds: f64,
    /// Bounds the gradient before the optimiser sees it, penalties included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
    /// Factors on the loss of each class's rows; the sum is still divided by the number of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// Ends a round's local training when the site's own validation loss stops falling; the best epoch's parameters are
    /// the update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
}

/// Losses; means over the rows of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// Cross-entropy, computed from the logits: of one class against another, of one among several (softmax), or the mean
    /// over several labels. Of the time until an event the sum over those intervals of a row that were seen: whole ones without
    /// the event, and the one with it.
    #[default]
    CrossEntropy,
    /// `(z − y)²`. For two classes of the output itself against 0 or 1; predictions are the output held between 0 and 1.
    /// For an outcome that is a number against it, in units of its deviation.
    SquaredError,
    /// For an outcome that is a number: with `e = z − y` in units of its deviation, `e² ÷ 2` up to `delta` and
    /// `delta · (|e| − delta ÷ 2)` beyond (Huber, "Robust estimation of a location parameter", Annals of Mathematical
    /// Statistics 35, 1964).
    Huber {
        /// From which distance on an error counts linearly, in deviations; above 0.
        #[serde(default = "one")]
        delta: f64,
    },
}

impl Loss {
    fn is_cross_entropy(&self) -> bool {
        matches!(self, Self::CrossEntropy)
    }
}

/// How the learning rate changes. `r` is the share of rounds begun: 2.5 in the middle of the third round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// Multiplied by `factor` after every `rounds` whole rounds.
    Step {
        /// Rounds between two steps.
        rounds: u32,
        /// Above 0, at most 1.
        factor: f64,
    },
    /// `floor + (1 − floor)·(1 + cos(π·min(r ÷ rounds, 1))) ÷ 2` (Loshchilov and Hutter, "SGDR", ICLR 2017).
    Cosine {
        /// Rounds until the floor.
        rounds: u32,
        /// Share of the learning rate that is left.
        #[serde(default)]
        floor: f64,
    },
}

impl Schedule {
    fn is_constant(&self) -> bool {
        matches!(self, Self::Constant)
    }
}

/// Bounds on a step's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Clip {
    /// All of it is multiplied by `norm ÷ ‖g‖` where its Euclidean norm is larger.
    Norm(f64),
    /// Each number is held between `−value` and `value`.
    Value(f64),
}

/// Factors on the loss of each class's rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClassWeights {
    /// `rows ÷ (classes · rows of the class)`, from the site's own training rows.
    Balanced,
    /// These: negative and positive, or one per class.
    Fixed(Vec<f64>),
}

/// When local training ends early.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without a better validation loss.
    pub patience: u32,
    /// By how much a loss must be lower to be better.
    #[serde(default)]
    pub min_delta: f64,
}

fn one() -> f64 {
    1.0
}
fn is_zero(n: &u32) -> bool {
    *n == 0
}
fn is_none(x: &f64) -> bool {
    *x == 0.0
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
    /// Mean log-loss (cross-entropy, natural logarithm) of the validation rows; of several labels, their mean.
    #[default]
    LogLoss,
    /// Mean squared error of the predicted probabilities (Brier score); of several outputs, their sum.
    Brier,
    /// Mean squared error of an outcome that is a number, in units of its variance over all sites' training rows: 1 is what
    /// their mean would have.
    SquaredError,
    /// Mean distance from such an outcome, in units of its deviation over all sites' training rows.
    AbsoluteError,
}

impl Training {
    /// `private`: what a step is, and how many there are, is said elsewhere.
    pub(crate) fn check(&self, task: Task, private: bool) -> Result<(), SpecError> {
        if !private {
            self.check_steps()?;
        }
        for (field, value) in [("l1", self.l1), ("l2", self.l2), ("proximal", self.proximal)] {
            if !(0.0..=1e3).contains(&value) {
                return Err(wrong(format!("training.{field}"), format!("{value} must lie between 0 and 1000")));
            }
        }
        if !(0.0..=1e3).contains(&self.warmup_rounds) {
            return Err(wrong("training.warmup_rounds", "must lie between 0 and 1000"));
        }
        match self.schedule {
            Schedule::Constant => {}
            Schedule::Step { rounds, factor } => {
                if rounds == 0 || !(factor > 0.0 && factor <= 1.0) {
                    return Err(wrong(
                        "training.schedule.step",
                        "needs rounds of at least 1, and a factor above 0, at most 1",
                    ));
                }
            }
            Schedule::Cosine { rounds, floor } => {
                if rounds == 0 || !(0.0..=1.0).contains(&floor) {
                    return Err(wrong(
                        "training.schedule.cosine",
                        "needs rounds of at least 1, and a floor from 0 to 1",
                    ));
                }
            }
        }
        if let Some(Clip::Norm(bound) | Clip::Value(bound)) = self.clip {
            if !(bound > 0.0 && bound.is_finite()) {
                return Err(wrong("training.clip", format!("{bound} must be above 0")));
            }
        }
        self.check_weights(task)?;
        if let Some(EarlyStopping { patience, min_delta }) = self.early_stopping {
            if patience == 0 || !(0.0..=1e3).contains(&min_delta) {
                return Err(wrong(
                    "training.early_stopping",
                    "needs a patience of at least 1, and a min_delta from 0 on",
                ));
            }
            if self.epochs == 0 {
                return Err(wrong("training.early_stopping", "looks after each epoch: name training.epochs"));
            }
        }
        self.check_loss(task)?;
        if matches!(self.optimizer, Optimizer::ProximalGradient {}) && self.clip.is_some() {
            return Err(wrong("training.clip", "has no place in proximal_gradient, whose steps cannot be too long"));
        }
        self.optimizer.check()
    }

    fn check_steps(&self) -> Result<(), SpecError> {
        if self.batch_size == 0 || self.batch_size > 1 << 20 {
            return Err(wrong("training.batch_size", "must lie between 1 and 1048576"));
        }
        match (self.epochs, self.batches) {
            (0, 0) => return Err(wrong("training.epochs", "must lie between 1 and 10000 (or name training.batches)")),
            (_, 0) if self.epochs > 10_000 => return Err(wrong("training.epochs", "must lie between 1 and 10000")),
            (0, _) if self.batches > 1_000_000 => {
                return Err(wrong("training.batches", "must lie between 1 and 1000000"));
            }
            (0, _) | (_, 0) => {}
            _ => return Err(wrong("training.batches", "stand in place of training.epochs; name one of them")),
        }
        Ok(())
    }

    fn check_loss(&self, task: Task) -> Result<(), SpecError> {
        let problem = match (task, self.loss) {
            (Task::Value, Loss::CrossEntropy) => {
                "cross_entropy is for classes and labels; for an outcome that is a number set \"squared_error\", or { huber = \
                 { delta = 1.0 } }"
            }
            (_, Loss::Huber { delta }) if !(delta > 0.0 && delta <= 1e6) => "huber needs a delta above 0, at most 1000000",
            (Task::Value, _) | (Task::Binary, Loss::SquaredError) | (_, Loss::CrossEntropy) => return Ok(()),
            (_, Loss::SquaredError) => "squared_error is for two classes, or an outcome that is a number",
            (_, Loss::Huber { .. }) => "huber is for an outcome that is a number",
        };
        Err(wrong("training.loss", problem))
    }

    fn check_weights(&self, task: Task) -> Result<(), SpecError> {
        let field = "training.class_weights";
        let classes = match task {
            Task::Binary => 2,
            Task::Classes(classes) => classes,
            Task::Labels(_) | Task::Value | Task::Events(_) => {
                return match self.class_weights {
                    Some(_) => Err(wrong(
                        field,
                        "are for classes, of which each row has one; several labels, and outcomes, have none",
                    )),
                    None => Ok(()),
                };
            }
        };
        match &self.class_weights {
            Some(ClassWeights::Fixed(weights)) => {
                if weights.len() != classes || weights.iter().any(|w| !(*w > 0.0 && *w <= 1e6)) {
                    return Err(wrong(field, format!("must be {classes} numbers above 0, at most 1000000")));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Evaluation {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
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
