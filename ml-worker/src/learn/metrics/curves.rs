//! Curves of two classes: what can be had at each false-positive share, and what probabilities are worth.

use super::{recalibration::Calibration, roc::Ranked};
use consilium_study::{wilson, Bin, Curves, CALIBRATION_BINS, MIN_FOR_CURVES, ROC_STEPS};

/// Curves of a model's logits and probabilities. `None` with fewer than [`MIN_FOR_CURVES`] rows of either class, where lengths
/// differ, and where a number is none.
///
/// `calibrated`: whether the scores are logits, of which a slope and an intercept can be told.
pub fn curves(scores: &[f64], probabilities: &[f64], labels: &[bool], calibrated: bool) -> Option<Curves> {
    let ranked = Ranked::of(scores, labels)?;
    let (by, enough) = (Ranked::of(probabilities, labels)?, u64::from(MIN_FOR_CURVES));
    if ranked.positives < enough || ranked.negatives < enough {
        return None;
    }
    let told = calibrated.then(|| Calibration::of(scores, labels));
    Some(Curves {
        roc: roc(&ranked),
        calibration: bins(&by),
        slope: told.and_then(|told| told.slope),
        in_the_large: told.and_then(|told| told.in_the_large),
    })
}

/// The highest sensitivity at each step's false-positive share or less: on a grid, so that no row is shown by itself.
fn roc(ranked: &Ranked<'_>) -> Vec<f64> {
    let steps = u64::from(ROC_STEPS);
    let mut ties = ranked.ties.iter().rev().peekable();
    let (mut found, mut called) = (0, 0);
    let at = |step: u64| {
        // in whole numbers: called ÷ negatives ≤ step ÷ steps
        while let Some(tie) = ties.next_if(|tie| (called + tie.negatives) * steps <= step * ranked.negatives) {
            found += tie.positives;
            called += tie.negatives;
        }
        found as f64 / ranked.positives as f64
    };
    (0..=steps).map(at).collect()
}

/// Tenths of the rows by their probability. Rows of one probability stay together, in the tenth that their middle lies in.
fn bins(ranked: &Ranked<'_>) -> Vec<Bin> {
    #[derive(Clone, Copy, Default)]
    struct Sum {
        rows: u64,
        positives: u64,
        said: f64,
    }
    let all = ranked.positives + ranked.negatives;
    let mut sums = [Sum::default(); CALIBRATION_BINS];
    let mut before = 0;
    for tie in &ranked.ties {
        let rows = tie.positives + tie.negatives;
        let place = (2 * before + rows) * CALIBRATION_BINS as u64 / (2 * all);
        if let Some(sum) = sums.get_mut(place as usize) {
            sum.rows += rows;
            sum.positives += tie.positives;
            sum.said += tie.score * rows as f64;
        }
        before += rows;
    }
    let told = |sum: &Sum| Bin {
        rows: u32::try_from(sum.rows).unwrap_or(u32::MAX),
        said: (sum.said / sum.rows as f64).clamp(0.0, 1.0),
        found: sum.positives as f64 / sum.rows as f64,
        interval: wilson(sum.positives, sum.rows).unwrap_or((0.0, 1.0)),
    };
    sums.iter().filter(|sum| sum.rows > 0).map(told).collect()
}
