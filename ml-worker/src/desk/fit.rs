//! What a site's validation rows say of how to use a model: where to cut, and how to read its probabilities.

use crate::learn::{
    figures::validated_cuts,
    loss::Objective,
    metrics::{cut_of_sensitivity, Recalibration},
};
use consilium_study::Task;
use serde::{Deserialize, Serialize};

/// Cuts and recalibration, one per output, from rows that did not train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitted {
    /// Validation rows.
    pub rows: usize,
    /// How many of them each output holds for.
    pub positives: Vec<usize>,
    /// The cut with the highest Youden's J.
    pub cuts: Vec<Option<f64>>,
    /// The highest cut that has a wanted sensitivity.
    pub sensitivity: Option<Wanted>,
    /// From an output (a logit, or what a linear unit gives) to a probability.
    pub recalibration: Vec<Option<Recalibration>>,
}

/// Cuts for a wanted sensitivity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// What was wanted; above 0, at most 1.
    pub sensitivity: f64,
    /// One per output.
    pub cuts: Vec<Option<f64>>,
}

impl Fitted {
    /// From a model's outputs on validation rows. Of several classes, of which the likeliest is taken, of numbers and of times
    /// there is nothing to fit.
    pub fn of(objective: &Objective, logits: &[f32], labels: &[u32], sensitivity: Option<f64>) -> Self {
        let outputs = match objective.task {
            Task::Classes(_) | Task::Value | Task::Events(_) => 0,
            Task::Binary | Task::Labels(_) => objective.task.outputs(),
        };
        let probabilities = objective.probabilities(logits);
        let each = || 0..outputs;
        let wanted = |wanted: f64| Wanted {
            sensitivity: wanted,
            cuts: each()
                .map(|n| {
                    let (p, truths) = objective.of_output(n, &probabilities, labels);
                    cut_of_sensitivity(&p, &truths, wanted)
                })
                .collect(),
        };
        Self {
            rows: labels.len() / objective.labels_per_row(),
            positives: each()
                .map(|n| objective.of_output(n, logits, labels).1.into_iter().filter(|l| *l).count())
                .collect(),
            cuts: validated_cuts(objective, logits, labels),
            sensitivity: sensitivity.map(wanted),
            recalibration: each()
                .map(|n| {
                    let (z, truths) = objective.of_output(n, logits, labels);
                    let z: Vec<f64> = z.into_iter().map(f64::from).collect();
                    Recalibration::of(&z, &truths)
                })
                .collect(),
        }
    }
}
