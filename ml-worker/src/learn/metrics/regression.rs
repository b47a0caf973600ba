//! How good predictions of a number are.

use serde::Serialize;

/// Figures of one model on one set of rows whose outcome is a number, in that number's own unit. What is not a number is
/// `null` in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Regression {
    /// Rows.
    pub rows: usize,
    /// Mean distance between prediction and outcome; 0 and more.
    pub mae: f64,
    /// Root of the mean squared distance; 0 and more.
    pub rmse: f64,
    /// `1 − Σ(y − ŷ)² ÷ Σ(y − ȳ)²` with the mean `ȳ` of these very rows; at most 1, and below 0 where that mean would be nearer.
    /// `None` with fewer than two rows, or one outcome in all.
    pub r2: Option<f64>,
    /// Mean of prediction less outcome: above 0 where predictions are too high.
    pub bias: f64,
    /// Slope of the least-squares line of the outcome on the prediction; 1 is right, below 1 predictions lie too far apart.
    /// `None` where all predictions are the same.
    pub slope: Option<f64>,
}

impl Regression {
    /// Figures of these predictions. `None` without rows, or where the lengths differ.
    pub fn of(predicted: &[f64], found: &[f64]) -> Option<Self> {
        if found.is_empty() || predicted.len() != found.len() {
            return None;
        }
        let n = found.len() as f64;
        let mean = |of: &mut dyn Iterator<Item = f64>| of.sum::<f64>() / n;
        let pairs = || predicted.iter().zip(found);
        let squared = mean(&mut pairs().map(|(p, y)| (p - y) * (p - y)));
        let (centre, said) = (mean(&mut found.iter().copied()), mean(&mut predicted.iter().copied()));
        let spread = mean(&mut found.iter().map(|y| (y - centre) * (y - centre)));
        let of_said = mean(&mut predicted.iter().map(|p| (p - said) * (p - said)));
        let together = mean(&mut pairs().map(|(p, y)| (p - said) * (y - centre)));
        let differ = |values: &[f64]| values.iter().any(|value| *value != values[0]);
        Some(Self {
            rows: found.len(),
            mae: mean(&mut pairs().map(|(p, y)| (p - y).abs())),
            rmse: squared.sqrt(),
            r2: differ(found).then(|| 1.0 - squared / spread).filter(|r2| r2.is_finite()),
            bias: mean(&mut pairs().map(|(p, y)| p - y)),
            slope: differ(predicted).then(|| together / of_said).filter(|slope| slope.is_finite()),
        })
    }
}
