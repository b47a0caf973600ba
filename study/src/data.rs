//! Columns of a site's table, and how they are read.

use crate::spec::{wrong, SpecError};
use serde::{Deserialize, Serialize};

/// Most feature columns.
pub const MAX_FEATURES: u32 = 100_000;

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

impl DataSpec {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
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
