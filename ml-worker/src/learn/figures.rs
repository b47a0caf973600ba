//! How good predictions are, whatever the kind of label.

use super::{
    loss::Objective,
    metrics::{validated_cut, validated_cut_of_probabilities, Metrics, MultiClass, MultiLabel, Regression, Survival},
};
use crate::data::{Table, UNKNOWN};
use consilium_study::{DataSpec, Loss, Task};
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
    /// A number.
    Value(Regression),
    /// The time until an event.
    Events(Box<Survival>),
}

impl Figures {
    /// Figures of these logits; labels as [`Objective`] says. `cuts` are [validated](validated_cuts) ones, whose figures
    /// then stand beside those of the cut at one half. `None` without rows.
    pub fn of(objective: &Objective, logits: &[f32], labels: &[u32], cuts: &[Option<f64>]) -> Option<Self> {
        Self::by_group(objective, logits, labels, cuts, None)
    }

    /// The same of rows of which several are of one group, as a patient's are: intervals take them together. `None` also
    /// where there are not as many groups as rows.
    pub fn by_group(
        objective: &Objective,
        logits: &[f32],
        labels: &[u32],
        cuts: &[Option<f64>],
        groups: Option<&[[u8; 32]]>,
    ) -> Option<Self> {
        let truths = || labels.iter().map(|label| *label == 1).collect::<Vec<_>>();
        match objective.task {
            Task::Binary => {
                let cut = cuts.first().copied().flatten();
                match objective.loss {
                    Loss::SquaredError => Metrics::of_outputs(logits, &truths(), cut, groups),
                    Loss::CrossEntropy | Loss::Huber { .. } => Metrics::by_group(logits, &truths(), cut, groups),
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
                let known = |label: &u32| (*label != UNKNOWN).then_some(*label == 1);
                let truths: Vec<Option<bool>> = labels.iter().map(known).collect();
                MultiLabel::by_group(logits, &truths, cuts, groups).map(|m| Self::Labels(Box::new(m)))
            }
            Task::Events(intervals) => {
                let times: Vec<f64> = labels.iter().step_by(2).map(|bits| f64::from(f32::from_bits(*bits))).collect();
                let events: Vec<bool> = labels.iter().skip(1).step_by(2).map(|event| *event == 1).collect();
                let rows = logits.chunks_exact(intervals).zip(labels.chunks_exact(2));
                let losses: Vec<f64> = rows.map(|(z, label)| objective.row(z, label)).collect();
                // as times are
                let cuts: Vec<f64> = objective.cuts.iter().map(|cut| f64::from(*cut as f32)).collect();
                Survival::of(logits, &cuts, &times, &events, &losses).map(|m| Self::Events(Box::new(m)))
            }
            Task::Value => {
                let found: Vec<f64> =
                    labels.iter().map(|bits| objective.told(f64::from(f32::from_bits(*bits)))).collect();
                Regression::of(&objective.probabilities(logits), &found).map(Self::Value)
            }
        }
    }

    /// Without intervals: of rows of which several may be of one group, where it is not known which.
    #[must_use]
    pub fn without_intervals(mut self) -> Self {
        let none = |m: &mut Metrics| (m.auc_interval, m.auc_bound) = (None, None);
        match &mut self {
            Self::Binary(m) => none(m),
            Self::Labels(m) => m.per_label.iter_mut().flatten().for_each(none),
            Self::Classes(_) | Self::Value(_) | Self::Events(_) => {}
        }
        self
    }

    /// Those of two classes.
    pub fn binary(&self) -> Option<&Metrics> {
        match self {
            Self::Binary(figures) => Some(figures),
            Self::Classes(_) | Self::Labels(_) | Self::Value(_) | Self::Events(_) => None,
        }
    }

    /// Mean log-loss; not a number where it is not defined.
    pub fn log_loss(&self) -> f64 {
        match self {
            Self::Binary(m) => m.log_loss,
            Self::Classes(m) => m.log_loss.unwrap_or(f64::NAN),
            Self::Labels(m) => m.log_loss,
            Self::Value(_) => f64::NAN,
            Self::Events(m) => m.log_loss,
        }
    }
}

/// Names of a model's outputs: the positive class of two, the classes, the labels, the outcome's column, or an event by
/// each cut.
pub fn outputs(data: &DataSpec) -> Vec<String> {
    match data.task() {
        Task::Binary => vec![data.positive.clone()],
        Task::Classes(_) => data.classes.clone(),
        Task::Labels(_) | Task::Value => data.label_columns().into_iter().map(str::to_owned).collect(),
        Task::Events(_) => {
            let event = data.label_columns().pop().unwrap_or_default();
            data.cuts().iter().map(|cut| format!("{event} by {cut}")).collect()
        }
    }
}

/// Which of these rows of a table are not independent of each other: those of one group, where the study names a group
/// column. Where it names none each row is one of its own: two that are equal may well be two patients.
pub fn groups(data: &DataSpec, table: &Table, rows: &[usize]) -> Vec<[u8; 32]> {
    if data.group.is_some() {
        return rows.iter().map(|row| table.groups[*row]).collect();
    }
    let alone = |n: usize| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(n as u64).to_be_bytes());
        key
    };
    (0..rows.len()).map(alone).collect()
}

/// The cut of each output that validation rows ask for; none for several classes, of which the likeliest is taken, and for
/// numbers.
pub fn validated_cuts(objective: &Objective, logits: &[f32], labels: &[u32]) -> Vec<Option<f64>> {
    match (objective.task, objective.loss) {
        (Task::Binary, Loss::SquaredError) => {
            let (p, truths) = objective.of_output(0, &objective.probabilities(logits), labels);
            vec![validated_cut_of_probabilities(&p, &truths)]
        }
        (Task::Classes(_) | Task::Value | Task::Events(_), _) => Vec::new(),
        (Task::Binary | Task::Labels(_), _) => (0..objective.task.outputs())
            .map(|n| {
                let (z, truths) = objective.of_output(n, logits, labels);
                validated_cut(&z, &truths)
            })
            .collect(),
    }
}
