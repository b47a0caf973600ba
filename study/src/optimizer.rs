//! How parameters follow gradients.

use crate::error::{small, wrong, SpecError};
use serde::{Deserialize, Serialize};

/// Optimisers. `g` is the gradient of loss and penalties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Stochastic gradient descent: `v = momentum·v + g; w = w − learning_rate·v`, with Nesterov's momentum
    /// `w = w − learning_rate·(g + momentum·v)`.
    Sgd {
        /// Step size.
        learning_rate: f64,
        /// 0: none.
        #[serde(default)]
        momentum: f64,
        /// Nesterov's form (as in Sutskever et al., "On the importance of initialization and momentum", ICML 2013).
        #[serde(default, skip_serializing_if = "is_false")]
        nesterov: bool,
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
        /// Added to the root of the second moment.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// Where it is added.
        #[serde(default, skip_serializing_if = "EpsilonForm::is_corrected")]
        epsilon_form: EpsilonForm,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019):
    /// `w = w − learning_rate·weight_decay·w` before Adam's step, for weights and not for biases and norms.
    AdamW {
        /// Step size.
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
        /// Share of a weight that is taken off at a learning rate of 1.
        weight_decay: f64,
    },
    /// RMSprop (Tieleman and Hinton, Coursera lecture 6.5, 2012): `v = decay·v + (1 − decay)·g²;
    /// w = w − learning_rate·g ÷ (√v + epsilon)`.
    #[serde(rename = "rmsprop")]
    RmsProp {
        /// Step size.
        learning_rate: f64,
        /// Decay of the second moment.
        #[serde(default = "beta1")]
        decay: f64,
        /// Added to the root.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// Proximal gradient descent (ISTA: Beck and Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm for Linear
    /// Inverse Problems", SIAM J. Imaging Sciences 2, 2009, equation 1.4), for one layer alone, which begins at zeros:
    /// `w = S(w − s·∇f(w), s·λ₁)` with `S(x, t) = sign(x)·max(|x| − t, 0)`, so that weights become exactly 0. `f` is the
    /// loss with all terms but L1's; biases have no `λ₁`.
    ///
    /// The step size `s` is nobody's choice but `1 ÷ L`: `L` bounds the curvature of `f`, by the largest eigenvalue of the
    /// site's own rows' second moments. A step is over all training rows, so that an epoch is one step; `batch_size` only
    /// says how many rows are computed at a time.
    ProximalGradient {},
}

/// Where Adam's `ε` is added: two conventions, which differ by the factor `√(1 − β₂ᵗ)` on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpsilonForm {
    /// `α·m̂ ÷ (√v̂ + ε)`, as in algorithm 1 (and in PyTorch).
    #[default]
    Corrected,
    /// `α·√(1 − β₂ᵗ) ÷ (1 − β₁ᵗ) · m ÷ (√v + ε)`, the form after algorithm 1 (and in Keras).
    Keras,
}

impl EpsilonForm {
    fn is_corrected(&self) -> bool {
        matches!(self, Self::Corrected)
    }
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
fn is_false(b: &bool) -> bool {
    !*b
}

impl Optimizer {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        let rate = |rate: f64| {
            if rate > 0.0 && rate <= 1e3 {
                Ok(())
            } else {
                Err(wrong("training.optimizer.learning_rate", format!("{rate} must be above 0, and at most 1000")))
            }
        };
        let decay = |field: &str, value: f64| {
            if (0.0..1.0).contains(&value) {
                Ok(())
            } else {
                Err(wrong(format!("training.optimizer.{field}"), format!("{value} must be at least 0 and below 1")))
            }
        };
        match self {
            Self::Sgd { learning_rate, momentum, nesterov } => {
                if *nesterov && *momentum == 0.0 {
                    return Err(wrong("training.optimizer.nesterov", "needs a momentum"));
                }
                rate(*learning_rate)?;
                decay("momentum", *momentum)
            }
            Self::Adam { learning_rate, beta1, beta2, epsilon, .. }
            | Self::AdamW { learning_rate, beta1, beta2, epsilon, .. } => {
                rate(*learning_rate)?;
                decay("beta1", *beta1)?;
                decay("beta2", *beta2)?;
                if let Self::AdamW { weight_decay, .. } = self {
                    if !(0.0..=1e3).contains(weight_decay) {
                        return Err(wrong("training.optimizer.weight_decay", "must lie between 0 and 1000"));
                    }
                }
                small("training.optimizer.epsilon", *epsilon)
            }
            Self::RmsProp { learning_rate, decay: share, epsilon } => {
                rate(*learning_rate)?;
                decay("decay", *share)?;
                small("training.optimizer.epsilon", *epsilon)
            }
            Self::ProximalGradient {} => Ok(()),
        }
    }
}
