//! A site's figures in the form in which they are signed and reported.

use super::{
    arm::{Arm, Said},
    joining::{by_row, Joining},
};
use crate::learn::{figures::Figures, metrics, objective};
use consilium_study::{CutFigures, Difference, Fit, Loss, MeasuredOn, ModelFigures, SiteFigures, StudySpec, Task};

/// An arm, and what its model says of one site's own rows.
pub(super) struct Measured<'a> {
    pub arm: &'a Arm,
    /// The place of the site among those that the arm was measured at.
    pub site: usize,
    pub said: Option<&'a Said>,
}

impl<'a> Measured<'a> {
    /// At this one of the sites, of whose rows the arm's model has said something each.
    pub fn at(arm: &'a Arm, said: &'a [Said], site: usize) -> Self {
        Self { arm, site, said: said.get(site) }
    }
}

/// The swarm's model (first) beside the site's own (second), and beside the central one where there is one; `cut` is the swarm's.
/// `None` without rows.
pub(super) fn figures(
    spec: &StudySpec,
    tested: bool,
    (swarm, alone): (Measured<'_>, Measured<'_>),
    central: Option<Measured<'_>>,
    cut: Option<f64>,
) -> Option<SiteFigures> {
    let joining = Joining::of(spec, &swarm.arm.name, alone.said?, swarm.said?)?;
    let measured = swarm.arm.chosen.sites.get(swarm.site)?.1.as_ref()?;
    let (positives, at_cut) = match measured {
        Figures::Binary(m) => (u32::try_from(m.positives).ok(), m.at_cut.as_ref()),
        Figures::Classes(_) | Figures::Labels(_) | Figures::Value(_) | Figures::Events(_) => (None, None),
    };
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Some(SiteFigures {
        metric: joining.metric,
        on: if tested { MeasuredOn::TestFile } else { MeasuredOn::Validation },
        rows: count(joining.rows),
        groups: count(joining.difference.groups),
        positives,
        difference: difference(joining.difference.difference, joining.difference.interval),
        auc_difference: joining.auc.as_ref().and_then(|auc| difference(auc.difference, auc.interval)),
        cut,
        at_cut: at_cut.map(|at| CutFigures {
            sensitivity: at.sensitivity,
            specificity: at.specificity,
            ppv: at.ppv,
            npv: at.npv,
        }),
        swarm: model(spec, &swarm)?,
        alone: model(spec, &alone)?,
        central: central.as_ref().and_then(|central| model(spec, central)),
    })
}

/// A difference, where it is a number; with its interval where that is of numbers and holds it.
fn difference(value: f64, interval: Option<(f64, f64)>) -> Option<Difference> {
    let interval = interval.filter(|(low, high)| low.is_finite() && high.is_finite());
    value.is_finite().then_some(Difference { value, interval })
}

fn model(spec: &StudySpec, measured: &Measured<'_>) -> Option<ModelFigures> {
    let (arm, said) = (measured.arm, measured.said?);
    let figures = arm.chosen.sites.get(measured.site)?.1.as_ref()?;
    let (auc, auc_interval) = match figures {
        Figures::Binary(m) => (m.auc, m.auc_interval),
        Figures::Classes(m) => (m.auc_macro.mean, None),
        Figures::Labels(m) => (m.auc_macro.mean, None),
        Figures::Value(_) | Figures::Events(_) => (None, None),
    };
    let fit = match figures {
        Figures::Value(m) => m.r2.map(Fit::R2),
        Figures::Events(m) => m.concordance.map(Fit::Concordance),
        Figures::Binary(_) | Figures::Classes(_) | Figures::Labels(_) => None,
    };
    let rows = by_row(spec, said);
    let metric = rows.iter().sum::<f64>() / rows.len() as f64;
    let count = |n: usize| u32::try_from(n).ok();
    Some(ModelFigures {
        training_rows: count(arm.training_rows),
        round: arm.choice.round,
        rounds: arm.choice.rounds,
        last_taken: arm.choice.too_few,
        metric: metric.is_finite().then_some(metric),
        auc,
        auc_interval,
        fit,
        by_round: arm.by_round.clone(),
        curves: curves(spec, said),
    })
}

fn curves(spec: &StudySpec, said: &Said) -> Option<consilium_study::Curves> {
    let goal = objective(spec, None);
    if goal.task != Task::Binary {
        return None;
    }
    let scores: Vec<f64> = said.logits.iter().map(|z| f64::from(*z)).collect();
    let truths: Vec<bool> = said.labels.iter().map(|label| *label == 1).collect();
    metrics::curves(&scores, &goal.probabilities(&said.logits), &truths, goal.loss == Loss::CrossEntropy)
}
