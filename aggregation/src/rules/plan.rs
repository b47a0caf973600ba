//! What a rule makes of one round's updates, before any coordinate is merged.

use super::{sorting, Gram};
use consilium_primitives::{
    rules::{NormBound, PPM},
    Marks, Merge, MergeRule,
};

/// ν of the smoothed Weiszfeld iteration: no update counts as nearer than this.
pub const WEISZFELD_SMOOTHING: f64 = 1e-6;
/// It stops when no coefficient changes by more than 2⁻⁴⁸ of itself, so that a far update's has become as small as it will,
pub const WEISZFELD_TOLERANCE: f64 = 1.0 / (1u64 << 48) as f64;
/// or after so many steps.
pub const WEISZFELD_STEPS: usize = 1000;

/// How updates are put together.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// `Σ q[i]·x[i] ÷ Σ q[i]` over those with `q[i] > 0`; around the base where `around_base`.
    Sum { parts: Vec<(usize, f64)>, total: f64, around_base: bool },
    /// From the sorted values of each coordinate.
    Sorted { network: Vec<(usize, usize)>, pick: Pick },
}

/// What is taken of a coordinate's values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pick {
    /// The mean without so many at either end.
    Trimmed(usize),
    /// The middle one, or the mean of the two middle ones.
    Median,
    /// The middle by weight.
    Weighted { weights: Vec<u32>, total: u64 },
}

/// What became of one update.
#[derive(Clone, Debug, PartialEq)]
pub struct Fate {
    /// The factor by which its step was shortened; 1: it was not.
    pub shortened: f64,
    /// The updates that it was mixed with, itself among them; empty: it was not mixed.
    pub neighbours: Vec<usize>,
    /// Its part in the merge, of parts that sum to one; `None` where that differs from coordinate to coordinate.
    pub part: Option<f64>,
    /// Krum's score.
    pub score: Option<f64>,
}

/// How one round's updates become one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(super) kind: Kind,
    pub(super) shortened: Vec<f64>,
    /// Neighbours of each update, in order; empty: nothing is mixed.
    pub(super) mixed: Vec<Vec<usize>>,
    scores: Vec<f64>,
    /// Steps that the Weiszfeld iteration took.
    steps: usize,
}

impl Plan {
    /// Whether the plan needs the Gram matrix of the updates.
    pub fn asks_distances(merge: &Merge) -> bool {
        merge.bound.is_some()
            || merge.mixing
            || matches!(merge.rule, MergeRule::GeometricMedian(_) | MergeRule::Krum { .. })
    }

    /// The plan for updates of these weights. They must be as many as the rule needs ([`Merge::needs`]).
    ///
    /// # Panics
    /// No Gram matrix where [`Plan::asks_distances`], or one of another number of updates.
    pub fn new(merge: &Merge, agreed: &[u32], gram: Option<&Gram>) -> Self {
        let n = agreed.len();
        let liars = merge.liars as usize;
        let weights: Vec<f64> = agreed.iter().map(|weight| f64::from(*weight)).collect();
        let mut plan = Self {
            kind: Kind::Sum { parts: Vec::new(), total: 0.0, around_base: false },
            shortened: vec![1.0; n],
            mixed: Vec::new(),
            scores: Vec::new(),
            steps: 0,
        };
        assert!(gram.is_some() || !Self::asks_distances(merge), "this merge asks for distances");
        let mut seen = gram.filter(|_| Self::asks_distances(merge)).cloned();
        if let Some(gram) = &mut seen {
            assert_eq!(gram.inputs(), n, "one row for each update");
            if let Some(bound) = &merge.bound {
                plan.shortened = shortened(gram, bound);
                let rows = (0..n).map(|i| (0..n).map(|j| if i == j { plan.shortened[i] } else { 0.0 }).collect());
                *gram = gram.of_sums(&rows.collect::<Vec<_>>());
            }
            if merge.mixing {
                plan.mixed = (0..n).map(|i| nearest(gram, i, n - liars)).collect();
                let share = |near: &[usize], j| if near.contains(&j) { 1.0 / near.len() as f64 } else { 0.0 };
                let rows = plan.mixed.iter().map(|near| (0..n).map(|j| share(near, j)).collect());
                *gram = gram.of_sums(&rows.collect::<Vec<_>>());
            }
        }
        let distances = seen.unwrap_or_else(|| Gram::new(n));
        let equal = weights.iter().all(|weight| *weight == weights[0]);
        let sorted = |pick| Kind::Sorted { network: sorting::network(n), pick };
        plan.kind = match &merge.rule {
            MergeRule::Mean(_) => plan.sum(&weights),
            MergeRule::Median(_) if equal => sorted(Pick::Median),
            MergeRule::Median(_) => {
                let total = agreed.iter().map(|weight| u64::from(*weight)).sum();
                sorted(Pick::Weighted { weights: agreed.to_vec(), total })
            }
            MergeRule::TrimmedMean => sorted(Pick::Trimmed(liars)),
            MergeRule::GeometricMedian(_) => {
                let (parts, steps) = weiszfeld(&distances, &weights, WEISZFELD_STEPS);
                plan.steps = steps;
                plan.sum(&parts)
            }
            MergeRule::Krum { keep } => {
                plan.scores = scores(&distances, n - liars - 2);
                let chosen = lowest(&plan.scores, *keep as usize);
                plan.sum(&(0..n).map(|i| if chosen.contains(&i) { 1.0 } else { 0.0 }).collect::<Vec<_>>())
            }
        };
        plan
    }

    /// `Σ λ[j]·y[j] ÷ Σ λ[j]`, where `y` are the updates after shortening and mixing, as a sum over the updates themselves.
    fn sum(&self, lambda: &[f64]) -> Kind {
        let n = lambda.len();
        let mut q = lambda.to_vec();
        if !self.mixed.is_empty() {
            q = vec![0.0; n];
            for (near, part) in self.mixed.iter().zip(lambda) {
                for i in near {
                    q[*i] += part / near.len() as f64;
                }
            }
        }
        let total = q.iter().fold(0.0, |sum, part| sum + part);
        let around_base = self.shortened.iter().any(|factor| *factor != 1.0);
        let parts = q.iter().enumerate().filter(|(_, part)| **part > 0.0);
        let parts = parts.map(|(i, part)| (i, part * self.shortened[i])).collect();
        Kind::Sum { parts, total, around_base }
    }

    /// What becomes of each update, in canonical order.
    pub fn fates(&self) -> Vec<Fate> {
        let n = self.shortened.len();
        let mut parts = vec![None; n];
        if let Kind::Sum { parts: sum, total, .. } = &self.kind {
            parts = vec![Some(0.0); n];
            for (i, part) in sum {
                parts[*i] = Some(part / total);
            }
        }
        (0..n)
            .map(|i| Fate {
                shortened: self.shortened[i],
                neighbours: self.mixed.get(i).cloned().unwrap_or_default(),
                part: parts[i],
                score: self.scores.get(i).copied(),
            })
            .collect()
    }

    /// What is said on chain of what was done to the inputs, by position.
    pub fn marks(&self) -> Marks {
        let bits = |is: &dyn Fn(&Fate) -> bool| {
            let marked = self.fates().into_iter().zip(0u32..).filter(|(fate, _)| is(fate));
            marked.fold(0, |mask, (_, place)| mask | 1u64.checked_shl(place).unwrap_or(0))
        };
        Marks { left_out: bits(&|fate| fate.part == Some(0.0)), shortened: bits(&|fate| fate.shortened < 1.0) }
    }

    /// Whether the merge, not counting an optimiser, looks at the model that the updates stand on.
    pub(crate) fn asks_base(&self) -> bool {
        self.shortened.iter().any(|factor| *factor != 1.0)
    }

    /// Steps that the Weiszfeld iteration took; 0 with other rules.
    pub fn steps(&self) -> usize {
        self.steps
    }
}

/// Factors of the norm bound (Z. Sun et al., "Can You Really Backdoor Federated Learning?", 2019): `min(1, τ ÷ ‖D[i]‖)`.
fn shortened(gram: &Gram, bound: &NormBound) -> Vec<f64> {
    let norms: Vec<f64> = (0..gram.inputs()).map(|i| gram.norm(i)).collect();
    let limit = match bound {
        NormBound::Fixed(millionths) => *millionths as f64 / f64::from(PPM),
        NormBound::Median => {
            let mut sorted = norms.clone();
            sorted.sort_by(f64::total_cmp);
            let middle = sorted.len() / 2;
            if sorted.len() % 2 == 1 {
                sorted[middle]
            } else {
                (sorted[middle - 1] + sorted[middle]) * 0.5
            }
        }
    };
    norms.iter().map(|norm| if *norm > limit { limit / norm } else { 1.0 }).collect()
}

/// The `count` updates nearest to one, itself first; equally near ones by position. In order of position.
fn nearest(gram: &Gram, of: usize, count: usize) -> Vec<usize> {
    let mut others: Vec<(f64, usize)> =
        (0..gram.inputs()).filter(|j| *j != of).map(|j| (gram.distance(of, j), j)).collect();
    others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut near: Vec<usize> = others.iter().take(count - 1).map(|(_, j)| *j).collect();
    near.push(of);
    near.sort_unstable();
    near
}

/// Krum's scores (P. Blanchard et al., "Machine Learning with Adversaries", NeurIPS 2017): sums of squared distances to the
/// `count` nearest others.
fn scores(gram: &Gram, count: usize) -> Vec<f64> {
    (0..gram.inputs())
        .map(|i| {
            let mut others: Vec<f64> = (0..gram.inputs()).filter(|j| *j != i).map(|j| gram.distance(i, j)).collect();
            others.sort_by(f64::total_cmp);
            others.iter().take(count).fold(0.0, |sum, distance| sum + distance)
        })
        .collect()
}

/// Positions of the `count` lowest scores; equal ones by position.
fn lowest(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(a.cmp(b)));
    order.truncate(count);
    order
}

/// The smoothed Weiszfeld iteration (K. Pillutla et al., "Robust Aggregation for Federated Learning", IEEE TSP 2022,
/// algorithm 2), from the weighted mean on. The point stays a sum of updates with coefficients `λ`, so that its distances
/// follow from the Gram matrix: `‖x[i] − z‖² = G[i][i] − 2·Σ_j λ[j]·G[i][j] + Σ_jk λ[j]·λ[k]·G[j][k]`. Gives `λ`, which sum to
/// one, and the number of steps.
pub(super) fn weiszfeld(gram: &Gram, weights: &[f64], most: usize) -> (Vec<f64>, usize) {
    let n = weights.len();
    let normal = |parts: Vec<f64>| {
        let sum = parts.iter().fold(0.0, |sum, part| sum + part);
        parts.into_iter().map(|part| part / sum).collect::<Vec<f64>>()
    };
    let mut lambda = normal(weights.to_vec());
    for step in 1..=most {
        let products: Vec<f64> = (0..n).map(|i| (0..n).fold(0.0, |sum, j| sum + lambda[j] * gram.at(i, j))).collect();
        let own = (0..n).fold(0.0, |sum, i| sum + lambda[i] * products[i]);
        let next = normal(
            (0..n)
                .map(|i| {
                    let distance = ((gram.at(i, i) - 2.0 * products[i]) + own).max(0.0).sqrt();
                    weights[i] / distance.max(WEISZFELD_SMOOTHING)
                })
                .collect(),
        );
        let change = lambda.iter().zip(&next).fold(0.0f64, |most, (a, b)| most.max((a - b).abs() / a.max(*b)));
        lambda = next;
        if change <= WEISZFELD_TOLERANCE {
            return (lambda, step);
        }
    }
    (lambda, most)
}
