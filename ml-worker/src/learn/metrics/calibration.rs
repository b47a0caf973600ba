//! Whether probabilities mean what they say.

/// Bins of the expected calibration error. They are equally wide over 0 to 1: bin `k` of `n` holds `k/n ≤ p < (k+1)/n`,
/// and the last one holds 1 as well.
pub const BINS: usize = 15;

/// Expected calibration error of pairs of a probability and whether what it was given to came true. `None` without rows
/// and where a probability is not a number.
pub(super) fn error(rows: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    let (mut stated, mut found, mut n) = ([0.0; BINS], [0u64; BINS], 0u64);
    for (p, came_true) in rows {
        if p.is_nan() {
            return None;
        }
        let bin = ((p * BINS as f64) as usize).min(BINS - 1);
        stated[bin] += p;
        found[bin] += u64::from(came_true);
        n += 1;
    }
    // rows of a bin × its distance = distance of the sums
    let gaps = stated.iter().zip(found).map(|(s, f)| (s - f as f64).abs());
    (n > 0).then(|| gaps.sum::<f64>() / n as f64)
}
