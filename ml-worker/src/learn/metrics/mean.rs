//! Means over figures of which some are not defined.

use serde::Serialize;

/// The mean over those of several figures that are defined, and how many they were. Over the AUCs of several sites it
/// is the *mean of site AUCs*, each site counted once; it is never a pooled AUC, which would rank the rows of one site
/// against those of another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The plain mean; in the range of the figures. `None` where none is defined.
    pub mean: Option<f64>,
    /// Figures that are defined.
    pub defined: usize,
    /// Figures in all.
    pub of: usize,
}

impl Mean {
    /// The mean over these figures. A NaN counts as not defined.
    pub fn over(figures: impl IntoIterator<Item = Option<f64>>) -> Self {
        let (mut sum, mut defined, mut of) = (0.0, 0usize, 0usize);
        for figure in figures {
            of += 1;
            if let Some(value) = figure.filter(|v| !v.is_nan()) {
                sum += value;
                defined += 1;
            }
        }
        Self { mean: (defined > 0).then(|| sum / defined as f64), defined, of }
    }
}

/// The mean over those figures that are defined, each counted as often as its weight says. `None` where these weights
/// add up to nothing.
pub(super) fn weighted(figures: impl IntoIterator<Item = (Option<f64>, u64)>) -> Option<f64> {
    let (mut sum, mut total) = (0.0, 0u64);
    for (figure, weight) in figures {
        if let Some(value) = figure {
            sum += value * weight as f64;
            total += weight;
        }
    }
    (total > 0).then(|| sum / total as f64)
}
