//! How good predictions are: two classes, several classes, several labels at once, a number, the time until an event.
//!
//! Positive is `p ≥ cut`, with a cut of 0.5 unless another is named. What is not defined (one class only, nothing
//! divided by nothing, a logit that is not a number) is `None`, in JSON `null`, and never 0. Figures that must not be
//! missing by their type (`log_loss`, `accuracy`, `brier`, `ece`) are NaN then, which JSON writes as `null` too.

mod bootstrap;
mod calibration;
mod clusters;
mod curves;
mod mean;
mod multi_class;
mod multi_label;
mod paired;
mod paired_mean;
mod recalibration;
mod regression;
mod roc;
mod survival;
#[cfg(test)]
mod tests;
mod threshold;

pub use bootstrap::{Drawn, Resampling};
pub use calibration::BINS;
pub use curves::curves;
pub use mean::Mean;
pub use multi_class::{Averages, ClassFigures, MultiClass, MAX_CLASSES};
pub use multi_label::MultiLabel;
pub use paired::PairedAuc;
pub use paired_mean::{PairedMean, MIN_GROUPS};
pub use recalibration::{Calibration, Recalibration};
pub use regression::Regression;
pub use roc::{AucBound, MIN_FOR_BOUND};
pub use survival::{Fifth, Horizon, Survival};
pub use threshold::{cut_of_sensitivity, validated_cut, validated_cut_of_probabilities, AtCut, Confusion};

use super::loss::sigmoid;
use clusters::Clusters;
use roc::Ranked;
use serde::Serialize;

/// The cut between the classes where no other is named.
pub const CUT: f64 = 0.5;

/// Figures of one model on one set of rows, two classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Rows.
    pub rows: usize,
    /// Rows of the positive class.
    pub positives: usize,
    /// Area under the ROC curve, ties counted half; 0 to 1. `None` with one class.
    pub auc: Option<f64>,
    /// Two-sided 95 % interval of the AUC, on the logit scale with DeLong's variance (DeLong, DeLong and
    /// Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic curves",
    /// 1988; the scale: Pepe, "The Statistical Evaluation of Medical Tests for Classification and Prediction", 2003).
    /// Where several rows are of one group the variance is Obuchowski's (1997), which takes a group's rows together.
    /// `None` where the AUC is 0 or 1 or its variance is 0 or not known: `auc_bound` says then which it is.
    pub auc_interval: Option<(f64, f64)>,
    /// What stands where an AUC has no interval. `None` with an interval and without an AUC.
    pub auc_bound: Option<AucBound>,
    /// Average precision: over the distinct scores from the highest, the sum of precision times the step in recall,
    /// with no interpolation (`average_precision_score` of scikit-learn); 0 to 1. `None` with one class: without
    /// positives there is no recall, and without negatives it is 1 whatever the scores are.
    pub average_precision: Option<f64>,
    /// Mean log-loss, in nats; 0 and more, not clipped. Infinite (`null` in JSON) where a row was given the wrong class
    /// for certain.
    pub log_loss: f64,
    /// Mean squared distance of the probability from 0 or 1 (Brier, "Verification of forecasts expressed in terms of
    /// probability", 1950, counted once as is usual for two classes); 0 to 1.
    pub brier: f64,
    /// Expected calibration error of the positive class's probability; 0 to 1. [`BINS`] has the bins. Over them, the
    /// mean (weighted by rows) of the distance between the mean probability and the share of positives (Naeini, Cooper
    /// and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", 2015).
    pub ece: f64,
    /// Mean of sensitivity and specificity; 0 to 1.
    pub balanced_accuracy: Option<f64>,
    /// Share of right answers; 0 to 1.
    pub accuracy: f64,
    /// Share of positives found; 0 to 1.
    pub sensitivity: Option<f64>,
    /// Share of negatives found; 0 to 1.
    pub specificity: Option<f64>,
    /// Positive predictive value, or precision: share of positives among the rows called positive; 0 to 1.
    pub ppv: Option<f64>,
    /// Negative predictive value: share of negatives among the rows called negative; 0 to 1.
    pub npv: Option<f64>,
    /// `2·TP ÷ (2·TP + FP + FN)`; 0 to 1.
    pub f1: Option<f64>,
    /// Matthews' correlation; -1 to 1. `None` where a class or an answer does not occur.
    pub mcc: Option<f64>,
    /// Rows by class and answer. `None` where a logit is not a number.
    pub confusion: Option<Confusion>,
    /// The same figures at a cut that was chosen on other rows (see [`validated_cut`]). `None` where none was named.
    pub at_cut: Option<AtCut>,
}

impl Metrics {
    /// Figures of these logits at the cut of 0.5. `None` without rows or where the lengths differ.
    pub fn of(logits: &[f32], labels: &[bool]) -> Option<Self> {
        Self::with_cut(logits, labels, None)
    }

    /// Figures of these logits at the cut of 0.5 and, beside them, at `cut`, which is a probability. `None` without
    /// rows, where the lengths differ, and for a cut outside 0 to 1.
    pub fn with_cut(logits: &[f32], labels: &[bool], cut: Option<f64>) -> Option<Self> {
        Self::by_group(logits, labels, cut, None)
    }

    /// The same of rows of which several are of one group, as a patient's are: they are not independent, and the interval
    /// of the AUC takes them together. `None` also where there are not as many groups as rows.
    pub fn by_group(logits: &[f32], labels: &[bool], cut: Option<f64>, groups: Option<&[[u8; 32]]>) -> Option<Self> {
        let z: Vec<f64> = logits.iter().map(|z| f64::from(*z)).collect();
        let p: Vec<f64> = z.iter().map(|z| sigmoid(*z)).collect();
        // the loss from the logit keeps what the probability rounds away
        let loss = |row: usize, positive: bool| {
            let against = if positive { -z[row] } else { z[row] };
            against.max(0.0) + (-z[row].abs()).exp().ln_1p()
        };
        Self::build((&z, &p), labels, cut, groups, loss)
    }

    /// Figures of a linear unit's outputs that were trained towards 0 and 1: rows are ranked by the outputs themselves, and
    /// all that is said of probabilities is said of the outputs held between 0 and 1. Otherwise as
    /// [`by_group`](Self::by_group).
    pub fn of_outputs(outputs: &[f32], labels: &[bool], cut: Option<f64>, groups: Option<&[[u8; 32]]>) -> Option<Self> {
        let z: Vec<f64> = outputs.iter().map(|z| f64::from(*z)).collect();
        let p: Vec<f64> = z.iter().map(|z| z.clamp(0.0, 1.0)).collect();
        Self::build((&z, &p), labels, cut, groups, |row, positive| flat_loss(p[row], positive))
    }

    /// Figures of these probabilities of the positive class, at the cut of 0.5 and at `cut`. `None` without rows, where
    /// the lengths differ, and for a probability or a cut outside 0 to 1.
    pub fn of_probabilities(probabilities: &[f64], labels: &[bool], cut: Option<f64>) -> Option<Self> {
        if !probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
            return None;
        }
        let loss = |row: usize, positive: bool| flat_loss(probabilities[row], positive);
        Self::build((probabilities, probabilities), labels, cut, None, loss)
    }

    /// Ranks are those of the first numbers; the rest comes from their probabilities, the second ones.
    fn build(
        (scores, p): (&[f64], &[f64]),
        labels: &[bool],
        cut: Option<f64>,
        groups: Option<&[[u8; 32]]>,
        loss: impl Fn(usize, bool) -> f64,
    ) -> Option<Self> {
        let fits = p.len() == labels.len() && groups.is_none_or(|groups| groups.len() == labels.len());
        if labels.is_empty() || !fits || cut.is_some_and(|c| !(0.0..=1.0).contains(&c)) {
            return None;
        }
        let clusters = groups.and_then(Clusters::of);
        let n = labels.len() as f64;
        let half = AtCut::of(p, labels, CUT);
        let ranked = Ranked::of(scores, labels);
        let placed = ranked.as_ref().map(Ranked::placements);
        let squared = p.iter().zip(labels).map(|(p, l)| (p - f64::from(u8::from(*l))).powi(2));
        Some(Self {
            rows: labels.len(),
            positives: labels.iter().filter(|l| **l).count(),
            auc: placed.as_ref().map(|p| p.auc()),
            auc_interval: placed.as_ref().and_then(|p| p.interval(clusters.as_ref())),
            auc_bound: placed.as_ref().and_then(|p| p.bound(clusters.as_ref())),
            average_precision: ranked.as_ref().map(Ranked::average_precision),
            log_loss: labels.iter().enumerate().map(|(i, l)| loss(i, *l)).sum::<f64>() / n,
            brier: squared.sum::<f64>() / n,
            ece: calibration::error(p.iter().copied().zip(labels.iter().copied())).unwrap_or(f64::NAN),
            balanced_accuracy: half.as_ref().and_then(|a| a.balanced_accuracy),
            accuracy: half.as_ref().map_or(f64::NAN, |a| a.accuracy),
            sensitivity: half.as_ref().and_then(|a| a.sensitivity),
            specificity: half.as_ref().and_then(|a| a.specificity),
            ppv: half.as_ref().and_then(|a| a.ppv),
            npv: half.as_ref().and_then(|a| a.npv),
            f1: half.as_ref().and_then(|a| a.f1),
            mcc: half.as_ref().and_then(|a| a.mcc),
            confusion: half.map(|a| a.confusion),
            at_cut: cut.and_then(|c| AtCut::of(p, labels, c)),
        })
    }
}

/// Log-loss of a probability; 0, and not -0, where it is right for certain.
fn flat_loss(p: f64, positive: bool) -> f64 {
    (if positive { -p.ln() } else { -(-p).ln_1p() }) + 0.0
}
