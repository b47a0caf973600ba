//! Two models on the same rows.

use super::{
    clusters::Clusters,
    roc::{variance, Ranked, Z},
};
use serde::Serialize;

/// DeLong's test for the difference of the AUCs of two models on the same rows (DeLong, DeLong and Clarke-Pearson,
/// 1988), or of rows that belong together Obuchowski's (1997). It holds for many rows, for models that were not fitted on these rows, and for models of which neither is the
/// other with more features.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairedAuc {
    /// AUC of the first model; 0 to 1.
    pub first: f64,
    /// AUC of the second model; 0 to 1.
    pub second: f64,
    /// First less second; -1 to 1.
    pub difference: f64,
    /// Standard error of the difference. `None`, like all that follows, where it is 0 (two models that order the rows
    /// alike) and where a class has less than two rows, or groups.
    pub standard_error: Option<f64>,
    /// 95 % interval of the difference, `difference ± 1.96 · standard error`; not cut off at -1 and 1.
    pub interval: Option<(f64, f64)>,
    /// Difference in standard errors.
    pub z: Option<f64>,
    /// Two-sided p of no difference; 0 to 1.
    pub p: Option<f64>,
}

impl PairedAuc {
    /// Compares logits (or probabilities) of two models. `None` with one class, where lengths differ and where a score
    /// is not a number.
    pub fn of<S: Copy + Into<f64>>(first: &[S], second: &[S], labels: &[bool]) -> Option<Self> {
        Self::build(first, second, labels, None)
    }

    /// The same of rows of which several are of one group, as a patient's are. `None` also where there are not as many
    /// groups as rows.
    pub fn by_group<S: Copy + Into<f64>>(
        first: &[S],
        second: &[S],
        labels: &[bool],
        groups: &[[u8; 32]],
    ) -> Option<Self> {
        if groups.len() != labels.len() {
            return None;
        }
        Self::build(first, second, labels, Clusters::of(groups).as_ref())
    }

    fn build<S: Copy + Into<f64>>(
        first: &[S],
        second: &[S],
        labels: &[bool],
        clusters: Option<&Clusters>,
    ) -> Option<Self> {
        let scores = |of: &[S]| -> Vec<f64> { of.iter().map(|s| (*s).into()).collect() };
        let (first, second) = (scores(first), scores(second));
        let (first, second) = (Ranked::of(&first, labels)?, Ranked::of(&second, labels)?);
        let (first, second) = (first.placements(), second.placements());
        // the variance of the difference is that of the rows' differences: no covariances are needed
        let twice: Vec<i64> = first.twice.iter().zip(&second.twice).map(|(a, b)| a - b).collect();
        let difference = first.auc() - second.auc();
        let standard_error = variance(&twice, labels, clusters).filter(|v| *v > 0.0).map(f64::sqrt);
        let z = standard_error.map(|se| difference / se);
        Some(Self {
            first: first.auc(),
            second: second.auc(),
            difference,
            standard_error,
            interval: standard_error.map(|se| (difference - Z * se, difference + Z * se)),
            z,
            p: z.map(|z| libm::erfc(z.abs() * std::f64::consts::FRAC_1_SQRT_2)),
        })
    }
}
