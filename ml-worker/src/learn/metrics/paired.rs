//! Two models on the same rows.

use super::roc::{variance, Ranked, Z};
use serde::Serialize;

/// DeLong's test for the difference of the AUCs of two models on the same rows (DeLong, DeLong and Clarke-Pearson,
/// 1988). It holds for many rows, for models that were not fitted on these rows, and for models of which neither is the
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
    /// alike) and where a class has less than two rows.
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
        let scores = |of: &[S]| -> Vec<f64> { of.iter().map(|s| (*s).into()).collect() };
        let (first, second) = (scores(first), scores(second));
        let (first, second) = (Ranked::of(&first, labels)?, Ranked::of(&second, labels)?);
        let (first, second) = (first.placements(), second.placements());
        // the variance of the difference is that of the rows' differences: no covariances are needed
        let twice: Vec<i64> = first.twice.iter().zip(&second.twice).map(|(a, b)| a - b).collect();
        let difference = first.auc() - second.auc();
        let standard_error = variance(&twice, labels).filter(|v| *v > 0.0).map(f64::sqrt);
        let z = standard_error.map(|se| difference / se);
        Some(Self {
            first: first.auc(),
            second: second.auc(),
            difference,
            standard_error,
            interval: standard_error.map(|se| (difference - Z * se, difference + Z * se)),
            z,
            p: z.map(|z| erfc(z.abs() * std::f64::consts::FRAC_1_SQRT_2)),
        })
    }
}

/// The complementary error function of `x ≥ 0`: below 2 from the series 7.1.6, else by the continued fraction 7.1.14 of
/// Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964).
pub(super) fn erfc(x: f64) -> f64 {
    const ROOT_PI: f64 = 1.772_453_850_905_516;
    let bell = (-x * x).exp();
    if x < 2.0 {
        // terms fall off once 2·x² < 2·n + 1; the 60th is below 1e-30 here
        let (mut term, mut sum) = (x, x);
        for n in 1..60 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        return 1.0 - 2.0 / ROOT_PI * bell * sum;
    }
    let fraction = (1..=100).rev().fold(x, |below, k| x + f64::from(k) / 2.0 / below);
    bell / (ROOT_PI * fraction)
}
