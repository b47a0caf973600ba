//! The means of a figure of two models on the same rows.

use serde::Serialize;
use std::collections::BTreeMap;

/// Groups that a difference must rest on before an interval of it is given: of fewer, the means of losses, which have a
/// long tail, are not near enough to a normal distribution for any quantile to hold.
pub const MIN_GROUPS: usize = 10;

/// The difference between two models' means of a figure that each row has (its log-loss, its squared error), with an
/// interval that takes rows of one group (a patient) together.
///
/// With `D` the sum of a group's differences, `n` its rows, `d` the mean over all `N` rows and `G` groups, the variance is
/// `G ÷ (G − 1) · Σ (D − d·n)² ÷ N²`: the linearised variance of a ratio of two sums over groups that are drawn
/// independently (Cochran, "Sampling Techniques", 1977, sections 6.3 and 9A.4). Where each group has one row, it is the
/// usual one of a mean. The quantile is Student's with `G − 1` degrees of freedom.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairedMean {
    /// Mean of the first model.
    pub first: f64,
    /// Mean of the second model.
    pub second: f64,
    /// First less second.
    pub difference: f64,
    /// Groups.
    pub groups: usize,
    /// Standard error of the difference. `None`, like the interval, with fewer than [`MIN_GROUPS`] groups, where it is 0,
    /// and where a row's figure is not finite.
    pub standard_error: Option<f64>,
    /// 95 % interval of the difference.
    pub interval: Option<(f64, f64)>,
}

impl PairedMean {
    /// Compares figures row by row; `groups` says which rows belong together. `None` without rows and where lengths differ.
    pub fn of(first: &[f64], second: &[f64], groups: &[[u8; 32]]) -> Option<Self> {
        if first.is_empty() || first.len() != second.len() || first.len() != groups.len() {
            return None;
        }
        let n = first.len() as f64;
        let mut sums: BTreeMap<&[u8; 32], (f64, f64)> = BTreeMap::new();
        for ((a, b), group) in first.iter().zip(second).zip(groups) {
            let (sum, rows) = sums.entry(group).or_default();
            *sum += a - b;
            *rows += 1.0;
        }
        let count = sums.len();
        let difference = sums.values().map(|(sum, _)| sum).sum::<f64>() / n;
        let squares = sums.values().map(|(sum, rows)| (sum - difference * rows).powi(2)).sum::<f64>();
        let g = count as f64;
        let standard_error = (count >= MIN_GROUPS)
            .then(|| (g / (g - 1.0) * squares).sqrt() / n)
            .filter(|error| error.is_finite() && *error > 0.0);
        let interval = standard_error.map(|error| {
            let half = error * student(count - 1);
            (difference - half, difference + half)
        });
        let mean = |of: &[f64]| of.iter().sum::<f64>() / n;
        Some(Self { first: mean(first), second: mean(second), difference, groups: count, standard_error, interval })
    }
}

/// The quantile of Student's distribution that leaves 2.5 % above it, by halving on the finite sums 26.7.3 and 26.7.4 of
/// Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964). Beyond a million degrees of freedom, that of a
/// million.
pub(super) fn student(degrees: usize) -> f64 {
    let degrees = degrees.clamp(1, 1_000_000);
    // the share of the distribution within ±√degrees·tan θ
    let within = |theta: f64| {
        let (sine, cosine) = theta.sin_cos();
        let odd = degrees % 2 == 1;
        let (mut term, mut sum) = (if odd { cosine } else { 1.0 }, 0.0);
        let mut k = if odd { 1 } else { 0 };
        while k + 2 <= degrees {
            sum += term;
            term *= (k + 1) as f64 / (k + 2) as f64 * cosine * cosine;
            k += 2;
        }
        match odd {
            true => std::f64::consts::FRAC_2_PI * (theta + sine * sum),
            false => sine * sum,
        }
    };
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if within(middle) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (degrees as f64).sqrt() * low.tan()
}
