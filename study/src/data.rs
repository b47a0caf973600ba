//! Columns of a site's table, and how they are read.

use crate::spec::{wrong, SpecError};
use serde::{Deserialize, Serialize};

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

/// Which columns are features. They are always named: two sites that only counted theirs could train on different ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Their names; the model takes them in this order, whatever the order in a table.
    pub columns: Vec<String>,
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

/// Whether two texts stand for the same value: the same text but for blanks around it, or the same number.
pub fn same_value(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}

impl DataSpec {
    /// Names of columns and values of labels are compared as tables are read: without the blanks around them.
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        let mut names: Vec<&str> = self.features.columns.iter().map(|name| name.trim()).collect();
        names.sort_unstable();
        if names.first().is_none_or(|first| first.is_empty()) {
            return Err(wrong("data.features.columns", "must name at least one column, and no column without a name"));
        }
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(wrong("data.features.columns", format!("names the column {:?} twice", twice[0])));
        }
        let taken = |name: &str| names.binary_search(&name.trim()).is_ok();
        if taken(&self.label) || self.group.as_deref().is_some_and(taken) {
            return Err(wrong("data.features.columns", "names the label or the group column too"));
        }
        if self.label.trim().is_empty() {
            return Err(wrong("data.label", "must name a column"));
        }
        if let Some(group) = &self.group {
            if group.trim().is_empty() {
                return Err(wrong("data.group", "must name a column, or be left out"));
            }
            if group.trim() == self.label.trim() {
                return Err(wrong("data.group", "names the label column"));
            }
        }
        if self.positive.trim().is_empty() || same_value(&self.positive, &self.negative) {
            return Err(wrong("data.positive", "must be another text or number than data.negative, and not empty"));
        }
        if self.negative.trim().is_empty() {
            return Err(wrong("data.negative", "must not be empty"));
        }
        Ok(())
    }
}
