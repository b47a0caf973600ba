//! Who was among the rows? The attack on what was seen of many studies, of which two thirds were made by the attacker itself.
//!
//! For each candidate there are some figures a round. From the shadow studies, in which the attacker knows who was in, it learns
//! a linear discriminant for each candidate by itself (Carlini et al., "Membership Inference Attacks From First Principles", IEEE
//! S&P 2022, with several figures in place of one); its values on the other studies make one ROC curve.

use super::{
    linear::{shrunk, Cholesky},
    network::{dot, wide, Network},
};
use rayon::prelude::*;

/// How much of the covariance of figures is replaced by its diagonal.
const SHRINK: f64 = 0.3;
/// How much of the covariance of steps is replaced by the mean variance.
const RIDGE: f64 = 0.1;
/// Share of false alarms at which hits are counted.
const ALARMS: f64 = 0.01;

/// A row of which it is asked whether it was in.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its features, scaled.
    pub row: Vec<f64>,
    /// Its class.
    pub positive: bool,
}

/// What an attacker has of one study: of each round the model it began with, and a step that it saw.
#[derive(Clone, Debug)]
pub struct Seen<'s> {
    /// Models that rounds began with.
    pub bases: &'s [Vec<f32>],
    /// Steps of the same rounds.
    pub steps: &'s [Vec<f32>],
    /// Which candidates were in.
    pub members: &'s [bool],
}

/// How well the attack does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worth {
    /// Area under the ROC curve.
    pub auc: f64,
    /// Share of those who were in that are found at one false alarm in a hundred who were not.
    pub found: f64,
}

/// Attacks the last third of these studies with what the others teach. `whiten`: once more with a third figure a round, the alignment
/// after the step was divided by the covariance of the shadows' steps. Returns how well each did.
///
/// # Panics
/// Studies of different rounds or candidates.
pub fn attack(network: Network, candidates: &[Candidate], studies: &[Seen<'_>], whiten: bool) -> Vec<Worth> {
    let shadows = studies.len() * 2 / 3;
    let rounds = studies.first().map_or(0, |study| study.steps.len());
    let mut figures: Vec<Vec<Vec<f64>>> =
        studies.par_iter().map(|study| of_study(network, candidates, study)).collect();
    let mut found = vec![scored(studies, shadows, candidates.len(), &figures)];
    if whiten {
        let all: Vec<Option<Vec<Vec<f64>>>> =
            (0..rounds).into_par_iter().map(|round| whitened(network, candidates, studies, (round, shadows))).collect();
        for round in all.into_iter().flatten() {
            for (study, column) in figures.iter_mut().zip(round) {
                study.iter_mut().zip(column).for_each(|(figures, figure)| figures.push(figure));
            }
        }
        found.push(scored(studies, shadows, candidates.len(), &figures));
    }
    found
}

/// What is found in the studies behind the shadows by these figures, of each study and candidate.
fn scored(studies: &[Seen<'_>], shadows: usize, candidates: usize, figures: &[Vec<Vec<f64>>]) -> Worth {
    let scores: Vec<(f64, bool)> = (0..candidates)
        .into_par_iter()
        .flat_map_iter(|candidate| {
            let of = |study: usize| (figures[study][candidate].as_slice(), studies[study].members[candidate]);
            let score = discriminant(&(0..shadows).map(of).collect::<Vec<_>>());
            (shadows..studies.len()).map(of).map(|(figures, inside)| (score(figures), inside)).collect::<Vec<_>>()
        })
        .collect();
    worth(scores)
}

/// Figures of each candidate: alignment of each round's step with what the candidate alone would ask for, and what the step adds to
/// its margin.
fn of_study(network: Network, candidates: &[Candidate], study: &Seen<'_>) -> Vec<Vec<f64>> {
    let mut figures = vec![Vec::new(); candidates.len()];
    for (base, step) in study.bases.iter().zip(study.steps) {
        let (base, step) = (wide(base), wide(step));
        let after: Vec<f64> = base.iter().zip(&step).map(|(w, d)| w + d).collect();
        for (candidate, figures) in candidates.iter().zip(&mut figures) {
            let Candidate { row, positive } = candidate;
            figures.push(alignment(&network.gradient(&base, row, *positive), &step));
            figures.push(network.margin(&after, row, *positive) - network.margin(&base, row, *positive));
        }
    }
    figures
}

/// How far a step goes where the gradient's descent leads.
fn alignment(gradient: &[f64], step: &[f64]) -> f64 {
    -dot(gradient, step) / (dot(gradient, gradient).sqrt() + 1e-12)
}

/// The third figure of one round, of each study and candidate. `None`: steps that have no covariance to divide by.
fn whitened(
    network: Network,
    candidates: &[Candidate],
    studies: &[Seen<'_>],
    (round, shadows): (usize, usize),
) -> Option<Vec<Vec<f64>>> {
    let n = network.parameters();
    let steps: Vec<Vec<f64>> = studies.iter().map(|study| wide(&study.steps[round])).collect();
    let mean = mean(&steps[..shadows]);
    let apart: Vec<Vec<f64>> =
        steps.iter().map(|step| step.iter().zip(&mean).map(|(x, mean)| x - mean).collect()).collect();
    let ridge = |variances: &[f64]| {
        // variances sum over all parameters: what is added is as large as the mean one, and never 0
        let level = variances.iter().sum::<f64>() / n.max(1) as f64;
        vec![level.max(f64::MIN_POSITIVE); n]
    };
    let covariance = Cholesky::of(shrunk(&apart[..shadows], n, RIDGE, ridge), n)?;
    let of_study = |(mut white, study): (Vec<f64>, &Seen<'_>)| -> Vec<f64> {
        covariance.solve(&mut white);
        let base = wide(&study.bases[round]);
        let gradient = |candidate: &Candidate| network.gradient(&base, &candidate.row, candidate.positive);
        candidates.iter().map(|candidate| alignment(&gradient(candidate), &white)).collect()
    };
    Some(apart.into_par_iter().zip(studies).map(of_study).collect())
}

fn mean(rows: &[Vec<f64>]) -> Vec<f64> {
    let mut mean = vec![0.0; rows.first().map_or(0, Vec::len)];
    for row in rows {
        mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x / rows.len() as f64);
    }
    mean
}

/// What tells figures of studies with a candidate from those without: Fisher's linear discriminant, with a covariance that is the
/// same for both.
fn discriminant(shadows: &[(&[f64], bool)]) -> impl Fn(&[f64]) -> f64 {
    let of = |wanted: bool| -> Vec<Vec<f64>> {
        shadows.iter().filter(|(_, inside)| *inside == wanted).map(|(figures, _)| figures.to_vec()).collect()
    };
    let (inside, outside) = (mean(&of(true)), mean(&of(false)));
    let n = inside.len().max(outside.len());
    let usable = inside.len() == outside.len() && n > 0;
    let mut spread = vec![0.0; n];
    let mut apart = Vec::new();
    for (figures, is_in) in shadows.iter().filter(|_| usable) {
        let centre = if *is_in { &inside } else { &outside };
        let row: Vec<f64> = figures.iter().zip(centre).map(|(x, mean)| x - mean).collect();
        spread.iter_mut().zip(&row).for_each(|(sum, x)| *sum += x * x / shadows.len() as f64);
        apart.push(row);
    }
    let deviation: Vec<f64> = spread.iter().map(|variance| variance.sqrt().max(1e-30)).collect();
    for row in &mut apart {
        row.iter_mut().zip(&deviation).for_each(|(x, deviation)| *x /= deviation);
    }
    let mut direction: Vec<f64> =
        inside.iter().zip(&outside).zip(&deviation).map(|((a, b), deviation)| (a - b) / deviation).collect();
    match Cholesky::of(shrunk(&apart, n, SHRINK, <[f64]>::to_vec), n) {
        Some(covariance) => covariance.solve(&mut direction),
        // figures without any spread tell nothing
        None => direction.fill(0.0),
    }
    let middle: Vec<f64> = inside.iter().zip(&outside).map(|(a, b)| (a + b) / 2.0).collect();
    move |figures: &[f64]| {
        let parts = figures.iter().zip(&middle).zip(&deviation).zip(&direction);
        parts.map(|(((x, middle), deviation), weight)| (x - middle) / deviation * weight).sum()
    }
}

/// AUC, and the share found at [`ALARMS`], of values and whether each was in.
pub fn worth(mut scores: Vec<(f64, bool)>) -> Worth {
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    let inside = scores.iter().filter(|(_, is_in)| *is_in).count();
    let outside = scores.len() - inside;
    let allowed = (outside as f64 * ALARMS).floor() as usize;
    let (mut hits, mut alarms, mut found, mut pairs) = (0usize, 0usize, 0usize, 0.0);
    let mut place = 0;
    while place < scores.len() {
        // equal values are told apart by nobody: each pair of them counts a half
        let tied = scores[place..].iter().take_while(|(score, _)| *score == scores[place].0).count().max(1);
        let tied_in = scores[place..place + tied].iter().filter(|(_, is_in)| *is_in).count();
        let tied_out = tied - tied_in;
        pairs += tied_out as f64 * (hits as f64 + tied_in as f64 / 2.0);
        hits += tied_in;
        alarms += tied_out;
        if alarms <= allowed {
            found = hits;
        }
        place += tied;
    }
    Worth { auc: pairs / (inside * outside).max(1) as f64, found: found as f64 / inside.max(1) as f64 }
}
