//! What a site gains or loses by joining.

use super::arm::Said;
use crate::learn::{
    metrics::{PairedAuc, PairedMean},
    objective,
};
use consilium_study::{Metric, StudySpec, Task, Verdict};
use serde::Serialize;

/// The swarm's model beside a site's own on that site's own held-out rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Joining {
    /// The site.
    pub site: String,
    /// Rows measured on.
    pub rows: usize,
    /// The agreed metric; lower is better.
    pub metric: Metric,
    /// It, of the swarm's model (first) and of the site's own (second), row against row.
    pub difference: PairedMean,
    /// What that says.
    pub verdict: Verdict,
    /// AUC of the swarm's model (first) and of the site's own (second), of two classes; higher is better.
    pub auc: Option<PairedAuc>,
}

/// The agreed metric of each row, so that their mean is that of all labels that are known.
pub(super) fn by_row(spec: &StudySpec, said: &Said) -> Vec<f64> {
    let goal = objective(spec, None);
    let rows = said.logits.chunks_exact(goal.task.outputs());
    let factor = rows.len() as f64 / goal.known(&said.labels);
    rows.zip(said.labels.chunks_exact(goal.labels_per_row()))
        .map(|(z, label)| factor * goal.metric(spec.evaluation.metric, z, label))
        .collect()
}

impl Joining {
    /// `None` without rows.
    pub(super) fn of(spec: &StudySpec, site: &str, alone: &Said, joined: &Said) -> Option<Self> {
        let (goal, metric) = (objective(spec, None), spec.evaluation.metric);
        let difference = PairedMean::of(&by_row(spec, joined), &by_row(spec, alone), &joined.groups)?;
        let verdict = Verdict::of(difference.interval);
        let truths: Vec<bool> = joined.labels.iter().map(|label| *label == 1).collect();
        let auc = match goal.task {
            Task::Binary => PairedAuc::by_group(&joined.logits, &alone.logits, &truths, &joined.groups),
            Task::Classes(_) | Task::Labels(_) | Task::Value | Task::Events(_) => None,
        };
        Some(Self { site: site.to_owned(), rows: joined.groups.len(), metric, difference, verdict, auc })
    }
}
