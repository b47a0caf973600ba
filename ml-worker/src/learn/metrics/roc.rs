//! Figures of the order that scores put rows into.

use super::clusters::Clusters;
use crate::learn::loss::sigmoid;
use serde::Serialize;
use std::ops::Range;

/// The quantile of the normal distribution that leaves 2.5 % above it.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// Rows that the smaller class must have before a bound for a perfect AUC is given: with fewer, the bound of
/// [`AucBound::AtLeast`] is below 0.5 (0.05^¼ = 0.47), so that it would not even rule out chance.
pub const MIN_FOR_BOUND: usize = 5;

/// What can be said of an AUC that has no interval. In JSON, `kind` tells which it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AucBound {
    /// The AUC is 1: a one-sided 95 % lower bound, `0.05^(1/m)` with `m` rows in the smaller class; where rows of one group
    /// are not independent, `m` is how many pairs of a positive and a negative row can be made at most of which no two, and
    /// no two rows of one, are of the same group.
    ///
    /// Pair each row of the smaller class with a row of the other one, each used once. With rows that are drawn
    /// independently these are `m` independent trials that succeed with a chance of at most the true AUC, and a sample
    /// AUC of 1 makes all of them succeed. So its chance is at most `AUC^m`, and the exact binomial bound for `m`
    /// successes of `m` (Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    /// binomial", 1934; about `1 - 3/m`, see Hanley and Lippman-Hand, "If nothing goes wrong, is everything all
    /// right?", 1983) holds for the AUC. It assumes independent rows and nothing about how scores are distributed, and
    /// it is cautious, as it leaves the other pairs unused. A narrower bound has been given for binormal scores
    /// (Obuchowski and Lieber, "Confidence bounds when the estimated ROC area is 1.0", 2002).
    AtLeast {
        /// The bound; 0.5 to 1.
        bound: f64,
    },
    /// The AUC is 0: a one-sided 95 % upper bound, 1 less the bound of [`AucBound::AtLeast`].
    AtMost {
        /// The bound; 0 to 0.5.
        bound: f64,
    },
    /// Too few rows to say: less than [`MIN_FOR_BOUND`] in the smaller class where the AUC is 0 or 1, else less than 2,
    /// which have no variance.
    TooFew {
        /// Rows of the smaller class; where several rows are of one group, pairs as in [`AucBound::AtLeast`].
        smaller_class: usize,
        /// How many would be needed.
        needed: usize,
    },
    /// DeLong's variance is 0, as it is where all scores are the same: it says nothing about how sure the AUC is.
    NoVariance,
}

/// Rows with the same score.
pub(super) struct Tie {
    pub score: f64,
    pub positives: u64,
    pub negatives: u64,
    rows: Range<usize>,
}

/// Rows in the order of their scores.
pub(super) struct Ranked<'a> {
    labels: &'a [bool],
    order: Vec<usize>,
    /// From the lowest score.
    pub ties: Vec<Tie>,
    pub positives: u64,
    pub negatives: u64,
}

impl<'a> Ranked<'a> {
    /// `None` with one class, where the lengths differ and where a score is not a number.
    pub fn of(scores: &[f64], labels: &'a [bool]) -> Option<Self> {
        let positives = labels.iter().filter(|l| **l).count();
        let negatives = labels.len() - positives;
        if scores.len() != labels.len() || positives == 0 || negatives == 0 || scores.iter().any(|s| s.is_nan()) {
            return None;
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_unstable_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        let mut ties = Vec::new();
        let mut start = 0;
        while start < order.len() {
            let score = scores[order[start]];
            // not by bits: 0 and -0 are one score
            let length = order[start..].iter().take_while(|row| scores[**row] == score).count();
            let rows = start..start + length;
            let above = order[rows.clone()].iter().filter(|row| labels[**row]).count();
            ties.push(Tie { score, positives: above as u64, negatives: (length - above) as u64, rows });
            start += length;
        }
        Some(Self { labels, order, ties, positives: positives as u64, negatives: negatives as u64 })
    }

    pub fn average_precision(&self) -> f64 {
        let (mut found, mut called, mut sum) = (0, 0, 0.0);
        for tie in self.ties.iter().rev() {
            found += tie.positives;
            called += tie.positives + tie.negatives;
            sum += tie.positives as f64 / self.positives as f64 * (found as f64 / called as f64);
        }
        sum
    }

    pub fn placements(&self) -> Placements<'_> {
        let mut twice = vec![0; self.order.len()];
        let (mut positives_below, mut negatives_below) = (0, 0);
        for tie in &self.ties {
            let of_positive = 2 * negatives_below + tie.negatives;
            let of_negative = 2 * (self.positives - positives_below) - tie.positives;
            for row in &self.order[tie.rows.clone()] {
                twice[*row] = (if self.labels[*row] { of_positive } else { of_negative }) as i64;
            }
            positives_below += tie.positives;
            negatives_below += tie.negatives;
        }
        Placements { labels: self.labels, twice, positives: self.positives, negatives: self.negatives }
    }
}

/// Of each row, how many rows of the other class are on the right side of it, ties counted half: the structural
/// components of DeLong, DeLong and Clarke-Pearson (1988), not yet divided. From one pass over the sorted scores, as
/// with the mid-ranks of Sun and Xu, "Fast implementation of DeLong's algorithm for comparing the areas under
/// correlated receiver operating characteristic curves" (2014). Twice a count is a whole number, so that sums of them
/// are exact.
pub(super) struct Placements<'a> {
    pub labels: &'a [bool],
    /// Twice the count, by row.
    pub twice: Vec<i64>,
    pub positives: u64,
    pub negatives: u64,
}

impl Placements<'_> {
    pub fn auc(&self) -> f64 {
        let of_positives = self.twice.iter().zip(self.labels).filter(|(_, l)| **l).map(|(t, _)| i128::from(*t));
        of_positives.sum::<i128>() as f64 / (2.0 * self.positives as f64 * self.negatives as f64)
    }

    pub fn interval(&self, clusters: Option<&Clusters>) -> Option<(f64, f64)> {
        let (auc, variance) = (self.auc(), variance(&self.twice, self.labels, clusters).filter(|v| *v > 0.0)?);
        if auc <= 0.0 || auc >= 1.0 {
            return None;
        }
        let logit = (auc / (1.0 - auc)).ln();
        let half = Z * variance.sqrt() / (auc * (1.0 - auc));
        Some((sigmoid(logit - half), sigmoid(logit + half)))
    }

    pub fn bound(&self, clusters: Option<&Clusters>) -> Option<AucBound> {
        let auc = self.auc();
        let smaller_class = match clusters {
            Some(clusters) => clusters.pairs(self.labels),
            None => self.positives.min(self.negatives) as usize,
        };
        let perfect = auc <= 0.0 || auc >= 1.0;
        let needed = if perfect { MIN_FOR_BOUND } else { 2 };
        if smaller_class < needed {
            return Some(AucBound::TooFew { smaller_class, needed });
        }
        let bound = 0.05f64.powf(1.0 / smaller_class as f64);
        match variance(&self.twice, self.labels, clusters) {
            _ if auc >= 1.0 => Some(AucBound::AtLeast { bound }),
            _ if auc <= 0.0 => Some(AucBound::AtMost { bound: 1.0 - bound }),
            Some(v) if v > 0.0 => None,
            _ => Some(AucBound::NoVariance),
        }
    }
}

/// The variance of an AUC, or of the difference of two, from twice the placements (or the differences of them) of all rows:
/// DeLong's, or with clusters Obuchowski's. `None` where a class has less than two rows, or is in less than two clusters. 0
/// exactly where it is 0, as the sums are of whole numbers.
pub(super) fn variance(twice: &[i64], labels: &[bool], clusters: Option<&Clusters>) -> Option<f64> {
    if let Some(clusters) = clusters {
        return clusters.variance(twice, labels);
    }
    let of_class = |class: bool| {
        let (mut count, mut sum, mut squares) = (0i128, 0i128, 0i128);
        for (value, _) in twice.iter().zip(labels).filter(|(_, l)| **l == class) {
            count += 1;
            sum += i128::from(*value);
            squares += i128::from(*value) * i128::from(*value);
        }
        (count > 1).then(|| (count as f64, (count * squares - sum * sum) as f64 / (count * (count - 1)) as f64))
    };
    let ((m, positive), (n, negative)) = of_class(true).zip(of_class(false))?;
    Some(positive / (4.0 * n * n * m) + negative / (4.0 * m * m * n))
}
