//! How good predictions are. Positive is `p ≥ 0.5`; what is not defined (one class only, nothing divided by nothing) is
//! `None`, never 0.

use super::loss::{log_loss, sigmoid};
use serde::Serialize;

/// The cut between the classes.
pub const CUT: f64 = 0.5;

/// Figures of one model on one set of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Rows.
    pub rows: usize,
    /// Rows of the positive class.
    pub positives: usize,
    /// Area under the ROC curve, ties counted half.
    pub auc: Option<f64>,
    /// 95 % interval of the AUC, on the logit scale with DeLong's variance; `None` where it is 0 or 1 or its variance
    /// is 0.
    pub auc_interval: Option<(f64, f64)>,
    /// Mean log-loss.
    pub log_loss: f64,
    /// Mean of sensitivity and specificity.
    pub balanced_accuracy: Option<f64>,
    /// Share of right answers.
    pub accuracy: f64,
    /// Share of positives found.
    pub sensitivity: Option<f64>,
    /// Share of negatives found.
    pub specificity: Option<f64>,
    /// `2·TP ÷ (2·TP + FP + FN)`.
    pub f1: Option<f64>,
}

impl Metrics {
    /// Figures of these logits. `None` without rows.
    pub fn of(logits: &[f32], labels: &[bool]) -> Option<Self> {
        if labels.is_empty() || logits.len() != labels.len() {
            return None;
        }
        let n = labels.len() as f64;
        let (mut loss, mut tp, mut fp, mut tn, mut f_n) = (0.0, 0u64, 0u64, 0u64, 0u64);
        for (z, label) in logits.iter().zip(labels) {
            let z = f64::from(*z);
            loss += log_loss(z, *label);
            match (sigmoid(z) >= CUT, label) {
                (true, true) => tp += 1,
                (true, false) => fp += 1,
                (false, true) => f_n += 1,
                (false, false) => tn += 1,
            }
        }
        let share = |a: u64, b: u64| (b > 0).then(|| a as f64 / b as f64);
        let (sensitivity, specificity) = (share(tp, tp + f_n), share(tn, tn + fp));
        let roc = Roc::of(logits, labels);
        Some(Self {
            rows: labels.len(),
            positives: (tp + f_n) as usize,
            auc: roc.as_ref().map(|r| r.auc),
            auc_interval: roc.as_ref().and_then(Roc::interval),
            log_loss: loss / n,
            balanced_accuracy: sensitivity.zip(specificity).map(|(a, b)| (a + b) / 2.0),
            accuracy: (tp + tn) as f64 / n,
            sensitivity,
            specificity,
            f1: share(2 * tp, 2 * tp + fp + f_n),
        })
    }
}

/// The AUC and its variance.
struct Roc {
    auc: f64,
    variance: Option<f64>,
}

impl Roc {
    /// By mid-ranks (DeLong, DeLong and Clarke-Pearson, Biometrics 1988; computed as Sun and Xu, IEEE Signal Processing
    /// Letters 2014). Rank sums are exact: twice a mid-rank is a whole number.
    fn of(scores: &[f32], labels: &[bool]) -> Option<Self> {
        let part = |class: bool| -> Vec<f32> {
            scores.iter().zip(labels).filter(|(_, l)| **l == class).map(|(s, _)| *s).collect()
        };
        let (positive, negative) = (part(true), part(false));
        let (m, n) = (positive.len(), negative.len());
        if m == 0 || n == 0 || scores.iter().any(|s| s.is_nan()) {
            return None;
        }
        let all: Vec<f32> = positive.iter().chain(&negative).copied().collect();
        let (ranks, own_positive, own_negative) =
            (twice_midranks(&all), twice_midranks(&positive), twice_midranks(&negative));
        let sum: u64 = ranks[..m].iter().sum();
        let auc = (sum - (m as u64) * (m as u64 + 1)) as f64 / (2.0 * m as f64 * n as f64);
        // structural components: share of the other class on the right side of each row
        let v10: Vec<f64> = (0..m).map(|i| (ranks[i] - own_positive[i]) as f64 / (2.0 * n as f64)).collect();
        let v01: Vec<f64> = (0..n).map(|j| 1.0 - (ranks[m + j] - own_negative[j]) as f64 / (2.0 * m as f64)).collect();
        let variance = sample_variance(&v10).zip(sample_variance(&v01)).map(|(a, b)| a / m as f64 + b / n as f64);
        Some(Self { auc, variance })
    }

    fn interval(&self) -> Option<(f64, f64)> {
        const Z: f64 = 1.959_963_984_540_054;
        let variance = self.variance.filter(|v| *v > 0.0)?;
        if self.auc <= 0.0 || self.auc >= 1.0 {
            return None;
        }
        let logit = (self.auc / (1.0 - self.auc)).ln();
        let half = Z * variance.sqrt() / (self.auc * (1.0 - self.auc));
        Some((sigmoid(logit - half), sigmoid(logit + half)))
    }
}

fn sample_variance(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    Some(values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0))
}

/// Twice the mid-rank of each value, from 2.
fn twice_midranks(values: &[f32]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let mut end = start + 1;
        while end < order.len() && values[order[end]] == values[order[start]] {
            end += 1;
        }
        for place in &order[start..end] {
            ranks[*place] = (start + 1 + end) as u64;
        }
        start = end;
    }
    ranks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn figures_are_those_of_scikit_learn() {
        // tests/golden/metrics.py, by scikit-learn's definitions
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../tests/golden/metrics.json")).unwrap();
        for case in golden.as_array().unwrap() {
            let logits: Vec<f32> =
                case["logits"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
            let labels: Vec<bool> = case["labels"].as_array().unwrap().iter().map(|v| v == 1).collect();
            let ours = serde_json::to_value(Metrics::of(&logits, &labels).unwrap()).unwrap();
            for (name, wanted) in case["metrics"].as_object().unwrap() {
                let close = |a: &serde_json::Value, b: &serde_json::Value| match (a.as_f64(), b.as_f64()) {
                    (Some(a), Some(b)) => (a - b).abs() < 1e-10,
                    _ => a == b,
                };
                let same = match (ours[name].as_array(), wanted.as_array()) {
                    (Some(a), Some(b)) => a.iter().zip(b).all(|(a, b)| close(a, b)),
                    _ => close(&ours[name], wanted),
                };
                assert!(same, "{name}: {} instead of {wanted}", ours[name]);
            }
        }
    }

    #[test]
    fn one_class_has_no_auc() {
        let metrics = Metrics::of(&[0.5, -1.0], &[false, false]).unwrap();
        assert_eq!((metrics.auc, metrics.sensitivity, metrics.balanced_accuracy), (None, None, None));
        assert_eq!(metrics.specificity, Some(0.5));
        assert_eq!(Metrics::of(&[], &[]), None);
    }
}
