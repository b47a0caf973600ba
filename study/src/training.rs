//! Local training, and what is measured after it.

use crate::spec::{wrong, SpecError};
use serde::{Deserialize, Serialize};

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

impl Training {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
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
