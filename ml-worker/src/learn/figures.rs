//! How good predictions are, whatever the kind of label.

use super::{
    loss::Objective,
    metrics::{validated_cut, validated_cut_of_probabilities, Metrics, MultiClass, MultiLabel},
};
use consilium_study::{Loss, Task};
use serde::Serialize;

/// Figures of one model on one set of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Figures {
    /// Two classes.
    Binary(Box<Metrics>),
    /// Several classes.
    Classes(Box<MultiClass>),
    /// Several labels.
    Labels(Box<MultiLabel>),
}

impl Figures {
    /// Figures of these logits; labels as [`Objective`] says. `cuts` are [validated](validated_cuts) ones, whose figures
    /// then stand beside those of the cut at one half. `None` without rows.
    pub fn of(objective: &Objective, logits: &[f32], labels: &[u32], cuts: &[Option<f64>]) -> Option<Self> {
        let truths = || labels.iter().map(|label| *label == 1).collect::<Vec<_>>();
        match objective.task {
            Task::Binary => {
                let cut = cuts.first().copied().flatten();
                match objective.loss {
                    Loss::CrossEntropy => Metrics::with_cut(logits, &truths(), cut),
                    Loss::SquaredError => Metrics::of_probabilities(&objective.probabilities(logits), &truths(), cut),
                }
                .map(|m| Self::Binary(Box::new(m)))
            }
            Task::Classes(classes) => {
                let labels: Vec<usize> = labels.iter().map(|label| *label as usize).collect();
                MultiClass::of(logits, classes, &labels).map(|m| Self::Classes(Box::new(m)))
            }
            Task::Labels(count) => {
                let none = vec![None; count];
                let cuts = if cuts.len() == count { cuts } else { &none };
                MultiLabel::with_cuts(logits, &truths(), cuts).map(|m| Self::Labels(Box::new(m)))
            }
        }
    }

    /// Those of two classes.
    pub fn binary(&self) -> Option<&Metrics> {
        match self {
            Self::Binary(figures) => Some(figures),
            Self::Classes(_) | Self::Labels(_) => None,
        }
    }

    /// Mean log-loss; not a number where it is not defined.
    pub fn log_loss(&self) -> f64 {
        match self {
            Self::Binary(m) => m.log_loss,
            Self::Classes(m) => m.log_loss.unwrap_or(f64::NAN),
            Self::Labels(m) => m.log_loss,
        }
    }
}

/// The cut of each output that validation rows ask for; none for several classes, of which the likeliest is taken.
pub fn validated_cuts(objective: &Objective, logits: &[f32], labels: &[u32]) -> Vec<Option<f64>> {
    let truths: Vec<bool> = labels.iter().map(|label| *label == 1).collect();
    match (objective.task, objective.loss) {
        (Task::Binary, Loss::CrossEntropy) => vec![validated_cut(logits, &truths)],
        (Task::Binary, Loss::SquaredError) => {
            vec![validated_cut_of_probabilities(&objective.probabilities(logits), &truths)]
        }
        (Task::Classes(_), _) => Vec::new(),
        (Task::Labels(count), _) => (0..count)
            .map(|n| {
                let z: Vec<f32> = logits.iter().skip(n).step_by(count).copied().collect();
                let y: Vec<bool> = truths.iter().skip(n).step_by(count).copied().collect();
                validated_cut(&z, &y)
            })
            .collect(),
    }
}
