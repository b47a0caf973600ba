//! What is predicted, where it is no class: a number.

use crate::error::{wrong, SpecError};
use serde::{Deserialize, Serialize};

/// What is predicted, in place of classes or labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// A number. It is learned in units of its deviation over all sites' training rows, around their mean, and told in its
    /// own.
    Value {
        /// Its column.
        column: String,
    },
}

impl Outcome {
    /// Its columns, in the order in which a row's labels have them.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::Value { column } => vec![column.trim()],
        }
    }

    /// Whether it can be read.
    pub(super) fn check(&self) -> Result<(), SpecError> {
        if self.columns().contains(&"") {
            return Err(wrong("data.outcome", "must name its column"));
        }
        Ok(())
    }
}
