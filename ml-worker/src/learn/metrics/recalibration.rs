//! Whether probabilities are too sure or too cautious, too high or too low; and how to mend them.

use crate::learn::loss::sigmoid;
use serde::{Deserialize, Serialize};

/// Logistic recalibration: `logit P = intercept + slope · score`, by maximum likelihood (Cox, "Two further applications of a
/// model for binary regression", Biometrika 45, 1958; of scores that are no logits: Platt, "Probabilistic outputs for
/// support vector machines", 1999).
///
/// Of a well calibrated model's logits the intercept is 0 and the slope 1. A slope below 1 says that probabilities are too
/// far from one half, as those of a model that learned its rows by heart are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recalibration {
    /// Intercept.
    pub intercept: f64,
    /// Slope.
    pub slope: f64,
}

/// How logits are calibrated on rows whose labels are known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Slope of the recalibration that these rows ask for. `None`, like the intercept, where there is no highest likelihood:
    /// one class, scores that part the classes, or a score that is not finite.
    pub slope: Option<f64>,
    /// Its intercept.
    pub intercept: Option<f64>,
    /// Calibration in the large: the intercept where the slope is held at 1. Below 0 where probabilities are too high.
    /// `None` with one class and for a logit that is not finite.
    pub in_the_large: Option<f64>,
}

impl Calibration {
    /// Of these logits.
    pub fn of(logits: &[f64], labels: &[bool]) -> Self {
        let joint = Recalibration::of(logits, labels);
        Self {
            slope: joint.map(|j| j.slope),
            intercept: joint.map(|j| j.intercept),
            in_the_large: in_the_large(logits, labels),
        }
    }
}

impl Recalibration {
    /// The recalibration that these rows ask for. `None` where there is no highest likelihood: see [`Calibration::slope`].
    pub fn of(scores: &[f64], labels: &[bool]) -> Option<Self> {
        if !both(scores, labels) {
            return None;
        }
        let range = |class: bool| {
            let of_class = scores.iter().zip(labels).filter(|(_, l)| **l == class).map(|(z, _)| *z);
            of_class.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), z| (low.min(z), high.max(z)))
        };
        let (positive, negative) = (range(true), range(false));
        if negative.1 <= positive.0 || positive.1 <= negative.0 {
            return None;
        }
        // on a scale of their own, so that the two directions are alike
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let deviation = (scores.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / n).sqrt();
        let x: Vec<f64> = scores.iter().map(|z| (z - mean) / deviation).collect();
        let (a, b) = newton(&x, labels, None)?;
        Some(Self { intercept: a - b * mean / deviation, slope: b / deviation })
    }

    /// The probability of a score.
    pub fn probability(&self, score: f64) -> f64 {
        sigmoid(self.intercept + self.slope * score)
    }
}

/// Whether both classes are there, and all scores are finite.
fn both(scores: &[f64], labels: &[bool]) -> bool {
    scores.len() == labels.len()
        && labels.contains(&true)
        && labels.contains(&false)
        && scores.iter().all(|z| z.is_finite())
}

fn in_the_large(logits: &[f64], labels: &[bool]) -> Option<f64> {
    if !both(logits, labels) {
        return None;
    }
    newton(logits, labels, Some(1.0)).map(|(a, _)| a)
}

/// The highest likelihood of `logit P = a + b·x` by Newton's method, a step halved until it does not lead down. `slope`: `b`
/// is held there.
fn newton(x: &[f64], labels: &[bool], slope: Option<f64>) -> Option<(f64, f64)> {
    let likelihood = |a: f64, b: f64| {
        let row = |(x, label): (&f64, &bool)| {
            let z = a + b * x;
            let against = if *label { -z } else { z };
            -(against.max(0.0) + (-z.abs()).exp().ln_1p())
        };
        x.iter().zip(labels).map(row).sum::<f64>()
    };
    let (mut a, mut b) = (0.0, slope.unwrap_or(0.0));
    let mut best = likelihood(a, b);
    for _ in 0..200 {
        let (mut g, mut h) = ([0.0; 2], [0.0; 3]);
        for (x, label) in x.iter().zip(labels) {
            let p = sigmoid(a + b * x);
            let (error, w) = (f64::from(u8::from(*label)) - p, p * (1.0 - p));
            g = [g[0] + error, g[1] + error * x];
            h = [h[0] + w, h[1] + w * x, h[2] + w * x * x];
        }
        let (da, db) = match slope {
            Some(_) => (g[0] / h[0], 0.0),
            None => {
                let determinant = h[0] * h[2] - h[1] * h[1];
                ((h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant)
            }
        };
        if !da.is_finite() || !db.is_finite() {
            return None;
        }
        if da.abs() <= 1e-12 * a.abs().max(1.0) && db.abs() <= 1e-12 * b.abs().max(1.0) {
            return Some((a + da, b + db));
        }
        let mut share = 1.0;
        loop {
            let (to_a, to_b) = (a + share * da, b + share * db);
            let there = likelihood(to_a, to_b);
            // near the top, rounding alone may lead down
            if there >= best - 1e-12 * best.abs() {
                (a, b, best) = (to_a, to_b, there);
                break;
            }
            share /= 2.0;
            if share < 1e-6 {
                return None;
            }
        }
    }
    None
}
