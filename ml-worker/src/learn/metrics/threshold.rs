//! Figures at a cut, and where to cut.

use super::{roc::Ranked, CUT};
use crate::learn::loss::sigmoid;
use serde::Serialize;

/// Rows by class and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// Positives called positive.
    pub tp: u64,
    /// Negatives called positive.
    pub fp: u64,
    /// Negatives called negative.
    pub tn: u64,
    /// Positives called negative; `fn` in JSON.
    #[serde(rename = "fn")]
    pub f_n: u64,
}

impl Confusion {
    /// Counts rows, positive being `p ≥ cut`. `None` where the lengths differ and where a probability or the cut is not
    /// a number.
    pub fn of(probabilities: &[f64], labels: &[bool], cut: f64) -> Option<Self> {
        if probabilities.len() != labels.len() || cut.is_nan() || probabilities.iter().any(|p| p.is_nan()) {
            return None;
        }
        let mut counts = Self { tp: 0, fp: 0, tn: 0, f_n: 0 };
        for (p, label) in probabilities.iter().zip(labels) {
            match (*p >= cut, label) {
                (true, true) => counts.tp += 1,
                (true, false) => counts.fp += 1,
                (false, true) => counts.f_n += 1,
                (false, false) => counts.tn += 1,
            }
        }
        Some(counts)
    }

    /// Matthews' correlation of class and answer; -1 to 1 (Matthews, "Comparison of the predicted and observed
    /// secondary structure of T4 phage lysozyme", 1975). `None` where a row or a column of the table is empty.
    pub fn mcc(&self) -> Option<f64> {
        let [tp, fp, tn, f_n] = [self.tp, self.fp, self.tn, self.f_n].map(|c| c as f64);
        let margins = [tp + fp, tp + f_n, tn + fp, tn + f_n];
        // roots first: the product of four counts need not fit
        let scale: f64 = margins.iter().map(|m| m.sqrt()).product();
        (scale > 0.0).then(|| ((tp * tn - fp * f_n) / scale).clamp(-1.0, 1.0))
    }
}

/// Figures at one cut.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtCut {
    /// The cut, a probability.
    pub cut: f64,
    /// Share of right answers; 0 to 1.
    pub accuracy: f64,
    /// Mean of sensitivity and specificity; 0 to 1.
    pub balanced_accuracy: Option<f64>,
    /// Share of positives found; 0 to 1.
    pub sensitivity: Option<f64>,
    /// Share of negatives found; 0 to 1.
    pub specificity: Option<f64>,
    /// Share of positives among the rows called positive; 0 to 1.
    pub ppv: Option<f64>,
    /// Share of negatives among the rows called negative; 0 to 1.
    pub npv: Option<f64>,
    /// `2·TP ÷ (2·TP + FP + FN)`; 0 to 1.
    pub f1: Option<f64>,
    /// Matthews' correlation, see [`Confusion::mcc`]; -1 to 1.
    pub mcc: Option<f64>,
    /// Rows by class and answer.
    pub confusion: Confusion,
}

impl AtCut {
    /// Figures of these probabilities at this cut. `None` without rows and where [`Confusion::of`] has none.
    pub fn of(probabilities: &[f64], labels: &[bool], cut: f64) -> Option<Self> {
        let confusion = Confusion::of(probabilities, labels, cut)?;
        let Confusion { tp, fp, tn, f_n } = confusion;
        let (sensitivity, specificity) = (share(tp, tp + f_n), share(tn, tn + fp));
        Some(Self {
            cut,
            accuracy: share(tp + tn, tp + fp + tn + f_n)?,
            balanced_accuracy: sensitivity.zip(specificity).map(|(a, b)| (a + b) / 2.0),
            sensitivity,
            specificity,
            ppv: share(tp, tp + fp),
            npv: share(tn, tn + f_n),
            f1: share(2 * tp, 2 * tp + fp + f_n),
            mcc: confusion.mcc(),
            confusion,
        })
    }
}

/// `a ÷ b`, not defined where `b` is 0.
pub(super) fn share(a: u64, b: u64) -> Option<f64> {
    (b > 0).then(|| a as f64 / b as f64)
}

/// The cut that tells the classes of these rows apart best: the one with the highest Youden's J, sensitivity +
/// specificity - 1 (Youden, "Index for rating diagnostic tests", 1950). It lies half-way between two neighbouring
/// probabilities, strictly above the lower and not above the higher. Of cuts with the same J it is the nearest to 0.5,
/// and of two that are as near the lower. `None` where there is no such cut: one class, no rows, lengths that differ, a
/// logit that is not a number, or no J above 0, which is that of one answer for all rows.
///
/// The rows must be validation rows: figures at a cut that was chosen on the same rows are too good.
pub fn validated_cut(logits: &[f32], labels: &[bool]) -> Option<f64> {
    let p: Vec<f64> = logits.iter().map(|z| sigmoid(f64::from(*z))).collect();
    best_cut(&p, labels)
}

/// [`validated_cut`] from probabilities of the positive class. `None` also where one is outside 0 to 1.
pub fn validated_cut_of_probabilities(probabilities: &[f64], labels: &[bool]) -> Option<f64> {
    probabilities.iter().all(|p| (0.0..=1.0).contains(p)).then(|| best_cut(probabilities, labels)).flatten()
}

/// The highest cut at which these rows' sensitivity is at least so much (above 0, at most 1): half-way between the last
/// probability that must be above it and the next lower one, or 0 where there is none. `None` without positives, where
/// lengths differ, and for a probability that is not a number.
///
/// As of [`validated_cut`], the rows must be validation rows; on others the sensitivity will be another.
pub fn cut_of_sensitivity(probabilities: &[f64], labels: &[bool], sensitivity: f64) -> Option<f64> {
    if probabilities.len() != labels.len() || probabilities.iter().any(|p| p.is_nan()) {
        return None;
    }
    let mut positives: Vec<f64> = probabilities.iter().zip(labels).filter(|(_, l)| **l).map(|(p, _)| *p).collect();
    positives.sort_unstable_by(|a, b| b.total_cmp(a));
    let reached = |n: &usize| *n as f64 / positives.len() as f64 >= sensitivity;
    let last = positives[(1..=positives.len()).find(reached)? - 1];
    let lower = probabilities.iter().copied().filter(|p| *p < last).fold(f64::NEG_INFINITY, f64::max);
    if lower.is_infinite() {
        return Some(0.0);
    }
    let middle = lower + (last - lower) / 2.0;
    Some(if middle > lower { middle } else { last })
}

fn best_cut(p: &[f64], labels: &[bool]) -> Option<f64> {
    let ranked = Ranked::of(p, labels)?;
    let (m, n) = (i128::from(ranked.positives), i128::from(ranked.negatives));
    let (mut positives_below, mut negatives_below) = (0, 0);
    let mut best: Option<(i128, f64)> = None;
    for pair in ranked.ties.windows(2) {
        positives_below += i128::from(pair[0].positives);
        negatives_below += i128::from(pair[0].negatives);
        // J × m × n in whole numbers, so that equal is equal
        let j = (m - positives_below) * n - (n - negatives_below) * m;
        let (low, high) = (pair[0].score, pair[1].score);
        let middle = low + (high - low) / 2.0;
        // between neighbouring floats there is no middle
        let cut = if middle > low { middle } else { high };
        let better = best.is_none_or(|(top, of)| j > top || (j == top && (cut - CUT).abs() < (of - CUT).abs()));
        if j > 0 && better {
            best = Some((j, cut));
        }
    }
    best.map(|(_, cut)| cut)
}
