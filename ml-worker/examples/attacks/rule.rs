//! The rules, with parameters that were fixed before anything was run.

use super::robust::{bulyan, centred_clipping};
use anyhow::Result;
use consilium_aggregation::merge;
use consilium_primitives::{
    rules::{capped_against, NormBound},
    Merge, MergeRule, Weighting,
};

/// Iterations of centred clipping in a round.
const CLIPPINGS: usize = 3;
/// Cap on any one site's weight, as a study has it that names none: a half, in parts per million.
const MAX_SHARE: u32 = 500_000;

/// A rule of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Weighted by signed samples, as most studies merge.
    Mean,
    /// Of each coordinate, every site counting once.
    Median,
    /// The same, weighted by signed samples.
    MedianBySamples,
    /// Without f at either end.
    Trimmed,
    /// Every site counting once.
    Geometric,
    /// One update.
    Krum,
    /// The mean of n − f updates.
    MultiKrum,
    /// The weighted mean after steps were shortened to their median length.
    Bounded,
    /// Trimmed mean after nearest-neighbour mixing.
    MixedTrimmed,
    /// Median after nearest-neighbour mixing.
    MixedMedian,
    /// Not in the project.
    Bulyan,
    /// Not in the project; from the step of the round before, three times.
    Centred,
}

impl Rule {
    /// All of the bench.
    pub const ALL: [Self; 12] = [
        Self::Mean,
        Self::Median,
        Self::MedianBySamples,
        Self::Trimmed,
        Self::Geometric,
        Self::Krum,
        Self::MultiKrum,
        Self::Bounded,
        Self::MixedTrimmed,
        Self::MixedMedian,
        Self::Bulyan,
        Self::Centred,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::MedianBySamples => "median by samples",
            Self::Trimmed => "trimmed mean",
            Self::Geometric => "geometric median",
            Self::Krum => "krum",
            Self::MultiKrum => "multi-krum",
            Self::Bounded => "bound, mean",
            Self::MixedTrimmed => "mixing, trimmed",
            Self::MixedMedian => "mixing, median",
            Self::Bulyan => "bulyan *",
            Self::Centred => "centred clipping *",
        }
    }

    /// How the project's own code is told it; `None` for the two that are in the bench only.
    fn merge(self, sites: usize, liars: usize) -> Option<Merge> {
        let (f, keep) = (liars as u32, sites.saturating_sub(liars) as u32);
        let tolerant = |rule| Merge { liars: f, ..Merge::by(rule) };
        Some(match self {
            Self::Mean => Merge::by(MergeRule::Mean(Weighting::Samples)),
            Self::Median => tolerant(MergeRule::Median(Weighting::Equal)),
            Self::MedianBySamples => tolerant(MergeRule::Median(Weighting::Samples)),
            Self::Trimmed => tolerant(MergeRule::TrimmedMean),
            Self::Geometric => tolerant(MergeRule::GeometricMedian(Weighting::Equal)),
            Self::Krum => tolerant(MergeRule::Krum { keep: 1 }),
            Self::MultiKrum => tolerant(MergeRule::Krum { keep }),
            Self::Bounded => Merge { bound: Some(NormBound::Median), ..Merge::by(MergeRule::Mean(Weighting::Samples)) },
            Self::MixedTrimmed => Merge { mixing: true, ..tolerant(MergeRule::TrimmedMean) },
            Self::MixedMedian => Merge { mixing: true, ..tolerant(MergeRule::Median(Weighting::Equal)) },
            Self::Bulyan | Self::Centred => return None,
        })
    }

    /// Why it cannot be used with so many sites and liars.
    pub fn refuses(self, sites: usize, liars: usize) -> Option<String> {
        let needed = match (self, self.merge(sites, liars)) {
            (_, Some(merge)) => merge.needs()? as usize,
            (Self::Bulyan, None) => 4 * liars + 3,
            _ => 1,
        };
        let why = if self == Self::Bulyan { "4f+3" } else { "2f+3" };
        (sites < needed).then(|| format!("needs {why} = {needed} sites"))
    }

    /// Whether what a site signs as its samples matters.
    pub fn weighs(self) -> bool {
        matches!(self, Self::Mean | Self::MedianBySamples | Self::Bounded)
    }

    /// One round's model. `samples` is what every site signed, `before` the step that the round before made (empty at first).
    ///
    /// # Errors
    /// What the merge says.
    pub fn merged(
        self,
        updates: &[&[f32]],
        samples: &[u32],
        liars: usize,
        base: &[f32],
        before: &[f32],
    ) -> Result<Vec<f32>> {
        if let Some(rule) = self.merge(updates.len(), liars) {
            let weights = match rule.weighting() {
                Some(Weighting::Samples) => capped_against(samples, MAX_SHARE, rule.liars),
                _ => vec![1; updates.len()],
            };
            let inputs: Vec<(&[f32], u32)> = updates.iter().copied().zip(weights).collect();
            return Ok(merge(&rule, &inputs, base, &[])?.model);
        }
        let steps: Vec<Vec<f64>> =
            updates.iter().map(|x| x.iter().zip(base).map(|(x, w)| f64::from(*x) - f64::from(*w)).collect()).collect();
        let step = if self == Self::Bulyan {
            bulyan(&steps, liars)
        } else {
            let mut start: Vec<f64> = before.iter().map(|x| f64::from(*x)).collect();
            start.resize(base.len(), 0.0);
            centred_clipping(&steps, start, CLIPPINGS)
        };
        Ok(base.iter().zip(step).map(|(w, d)| (f64::from(*w) + d) as f32).collect())
    }
}
