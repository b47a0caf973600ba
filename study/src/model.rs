//! Networks as data.

use crate::spec::{wrong, SpecError};
use serde::{Deserialize, Serialize};

/// Most hidden layers.
pub const MAX_LAYERS: usize = 16;
/// Most units of one layer.
pub const MAX_UNITS: u32 = 65_536;
/// Most parameters of a model.
pub const MAX_PARAMETERS: u64 = 200_000_000;

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

impl Model {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
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
