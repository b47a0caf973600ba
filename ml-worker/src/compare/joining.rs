//! What a site gains or loses by joining.

use super::arm::Said;
use crate::learn::{
    metrics::{PairedAuc, PairedMean},
    objective,
};
use consilium_study::{Metric, StudySpec, Task};
use serde::Serialize;
use std::fmt;

/// One of three words. Each is of one site's interval alone: of twenty sites that neither gain nor lose, one is called so
/// by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// The interval lies below 0: the swarm's figure is lower, which is better.
    #[serde(rename = "better")]
    Better,
    /// The interval lies above 0.
    #[serde(rename = "worse")]
    Worse,
    /// 0 is in the interval, or there is none.
    #[serde(rename = "cannot tell")]
    CannotTell,
}

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

impl Verdict {
    /// The word for an interval of the swarm's figure less the site's own, of which lower is better.
    pub fn of(interval: Option<(f64, f64)>) -> Self {
        match interval {
            Some((_, high)) if high < 0.0 => Self::Better,
            Some((low, _)) if low > 0.0 => Self::Worse,
            _ => Self::CannotTell,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::CannotTell => "cannot tell",
        })
    }
}

impl Joining {
    /// `None` without rows.
    pub(super) fn of(spec: &StudySpec, site: &str, alone: &Said, joined: &Said) -> Option<Self> {
        let goal = objective(spec, None);
        let metric = spec.evaluation.metric;
        let figures = |said: &Said| -> Vec<f64> {
            let rows = said.logits.chunks_exact(goal.task.outputs());
            rows.zip(said.labels.chunks_exact(goal.labels_per_row()))
                .map(|(z, label)| match metric {
                    Metric::LogLoss => goal.row(z, label),
                    Metric::Brier => goal.brier(z, label),
                })
                .collect()
        };
        let difference = PairedMean::of(&figures(joined), &figures(alone), &joined.groups)?;
        let verdict = Verdict::of(difference.interval);
        let truths: Vec<bool> = joined.labels.iter().map(|label| *label == 1).collect();
        let auc = match goal.task {
            Task::Binary => PairedAuc::by_group(&joined.logits, &alone.logits, &truths, &joined.groups),
            Task::Classes(_) | Task::Labels(_) => None,
        };
        Some(Self { site: site.to_owned(), rows: joined.groups.len(), metric, difference, verdict, auc })
    }
}
