//! Several labels at once, each of which a row has or has not.

use super::{mean::Mean, Metrics, CUT};
use crate::learn::loss::sigmoid;
use serde::Serialize;

/// Figures of one model on one set of rows with several labels, each with its own sigmoid. Means over labels leave out
/// those that have no value (a label that all rows have, or none) and say how many had one. An entry is a label of a row; those of
/// which nobody knows whether they hold take no part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MultiLabel {
    /// Rows.
    pub rows: usize,
    /// Labels.
    pub labels: usize,
    /// The figures of each label on its own, over the rows of which it is known; `None` where that is no row.
    pub per_label: Vec<Option<Metrics>>,
    /// Plain mean of the labels' AUCs; 0 to 1.
    pub auc_macro: Mean,
    /// Plain mean of the labels' average precisions; 0 to 1.
    pub average_precision_macro: Mean,
    /// Plain mean of the labels' sensitivities at 0.5; 0 to 1.
    pub sensitivity_macro: Mean,
    /// Plain mean of the labels' specificities at 0.5; 0 to 1.
    pub specificity_macro: Mean,
    /// Plain mean of the labels' balanced accuracies at 0.5; 0 to 1.
    pub balanced_accuracy_macro: Mean,
    /// Plain mean of the labels' F1 at 0.5; 0 to 1.
    pub f1_macro: Mean,
    /// Plain mean of the labels' Matthews' correlations at 0.5; -1 to 1.
    pub mcc_macro: Mean,
    /// AUC of all entries as if they were rows of one label; 0 to 1. It compares scores of different labels.
    pub auc_micro: Option<f64>,
    /// Average precision of all entries; 0 to 1.
    pub average_precision_micro: Option<f64>,
    /// F1 of all entries at 0.5; 0 to 1.
    pub f1_micro: Option<f64>,
    /// Mean log-loss of all entries, in nats; see [`Metrics::log_loss`].
    pub log_loss: f64,
    /// Share of rows of which every label that is known is right at 0.5; 0 to 1. `None` where a logit is not a number.
    pub subset_accuracy: Option<f64>,
    /// Share of entries that are wrong at 0.5; 0 to 1. `None` where a logit is not a number.
    pub hamming_loss: Option<f64>,
}

impl MultiLabel {
    /// Figures of logits and truths that lie row after row, `labels` to a row. `None` without rows or labels and where
    /// the lengths do not fit.
    pub fn of(logits: &[f32], labels: usize, truths: &[bool]) -> Option<Self> {
        Self::build(logits, labels, &all_known(truths), None, |_| None)
    }

    /// The same with a cut for each label beside 0.5, chosen on other rows; a label's figures at it are in `per_label`.
    /// `None` also where there are not as many cuts as labels or one is outside 0 to 1.
    pub fn with_cuts(logits: &[f32], truths: &[bool], cuts: &[Option<f64>]) -> Option<Self> {
        Self::by_group(logits, &all_known(truths), cuts, None)
    }

    /// The same of rows of which several are of one group, see [`Metrics::by_group`], and of truths of which some are not known:
    /// `None`. `None` also where no truth is known.
    pub fn by_group(
        logits: &[f32],
        truths: &[Option<bool>],
        cuts: &[Option<f64>],
        groups: Option<&[[u8; 32]]>,
    ) -> Option<Self> {
        Self::build(logits, cuts.len(), truths, groups, |k| cuts[k])
    }

    fn build(
        logits: &[f32],
        labels: usize,
        truths: &[Option<bool>],
        groups: Option<&[[u8; 32]]>,
        cut: impl Fn(usize) -> Option<f64>,
    ) -> Option<Self> {
        if labels == 0 || !truths.len().is_multiple_of(labels) || logits.len() != truths.len() {
            return None;
        }
        let rows = truths.len() / labels;
        if groups.is_some_and(|groups| groups.len() != rows) {
            return None;
        }
        let known = logits.iter().zip(truths).filter_map(|(z, truth)| Some((*z, (*truth)?)));
        let (z, known): (Vec<f32>, Vec<bool>) = known.unzip();
        // refuses what is empty
        let entries = Metrics::of(&z, &known)?;
        let column = |k: usize| {
            let rows: Vec<usize> = (0..rows).filter(|row| truths[row * labels + k].is_some()).collect();
            let z: Vec<f32> = rows.iter().map(|row| logits[row * labels + k]).collect();
            let truth: Vec<bool> = rows.iter().map(|row| truths[row * labels + k] == Some(true)).collect();
            let groups: Option<Vec<[u8; 32]>> = groups.map(|groups| rows.iter().map(|row| groups[*row]).collect());
            match rows.is_empty() {
                true => Some(None),
                false => Metrics::by_group(&z, &truth, cut(k), groups.as_deref()).map(Some),
            }
        };
        let per_label: Vec<Option<Metrics>> = (0..labels).map(column).collect::<Option<_>>()?;
        let right =
            |(z, truth): (&f32, &Option<bool>)| truth.is_none_or(|truth| (sigmoid(f64::from(*z)) >= CUT) == truth);
        let pairs = logits.chunks_exact(labels).zip(truths.chunks_exact(labels));
        let whole = pairs.filter(|(z, truth)| z.iter().zip(*truth).all(right)).count();
        let mean = |of: fn(&Metrics) -> Option<f64>| Mean::over(per_label.iter().map(|m| m.as_ref().and_then(of)));
        Some(Self {
            rows,
            labels,
            auc_macro: mean(|m| m.auc),
            average_precision_macro: mean(|m| m.average_precision),
            sensitivity_macro: mean(|m| m.sensitivity),
            specificity_macro: mean(|m| m.specificity),
            balanced_accuracy_macro: mean(|m| m.balanced_accuracy),
            f1_macro: mean(|m| m.f1),
            mcc_macro: mean(|m| m.mcc),
            auc_micro: entries.auc,
            average_precision_micro: entries.average_precision,
            f1_micro: entries.f1,
            log_loss: entries.log_loss,
            subset_accuracy: entries.confusion.map(|_| whole as f64 / rows as f64),
            hamming_loss: entries.confusion.map(|c| (c.fp + c.f_n) as f64 / known.len() as f64),
            per_label,
        })
    }
}

fn all_known(truths: &[bool]) -> Vec<Option<bool>> {
    truths.iter().map(|truth| Some(*truth)).collect()
}
