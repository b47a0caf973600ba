//! The rule by which updates become one model, as it is agreed on.

use super::{MAX_PARTICIPANTS, PPM};
use crate::ids::InstitutionId;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{bounded::BoundedVec, ConstU32};

/// Where the weights of a mean come from.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo, Serialize, Deserialize,
)]
#[scale_info(capture_docs = "always")]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// Everyone counts once.
    Equal,
    /// Everyone counts by the sample count signed at enrolment.
    Samples,
    /// Everyone counts by the number agreed here.
    Declared(BoundedVec<(InstitutionId, u32), ConstU32<MAX_PARTICIPANTS>>),
}

/// The rule by which updates become one. Formulas and sources stand in `docs/merging.md`.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo, Serialize, Deserialize,
)]
#[scale_info(capture_docs = "always")]
#[serde(rename_all = "snake_case")]
pub enum MergeRule {
    /// The weighted mean of every coordinate (McMahan et al. 2017). Tolerates no liar.
    Mean(Weighting),
    /// The weighted median of every coordinate (Yin et al. 2018).
    Median(Weighting),
    /// The mean of every coordinate without its `liars` largest and smallest values (Yin et al. 2018).
    TrimmedMean,
    /// The point with the least weighted sum of distances to the updates, over the whole model (Pillutla et al. 2022).
    GeometricMedian(Weighting),
    /// The mean of the `keep` updates with the least sum of squared distances to their nearest others; 1: Krum, more:
    /// multi-Krum (Blanchard et al. 2017).
    Krum {
        /// How many updates are kept, from 1 to the fewest inputs less `liars`.
        keep: u32,
    },
}

/// A limit on how far an update may lead away from the model it stands on (Sun et al. 2019). What goes further is
/// shortened to the limit.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[scale_info(capture_docs = "always")]
#[serde(rename_all = "snake_case")]
pub enum NormBound {
    /// This length, in millionths.
    Fixed(u64),
    /// The median length of the updates of the round.
    Median,
}

/// What the merged step is put through (Reddi et al. 2021). Rates and shares are in parts per million.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[scale_info(capture_docs = "always")]
#[serde(rename_all = "snake_case")]
pub enum ServerOptimizer {
    /// `v ← β·v + D; w ← w + η·v`.
    Momentum {
        /// η.
        rate: u32,
        /// β.
        beta: u32,
    },
    /// `m ← β₁·m + (1−β₁)·D; v ← β₂·v + (1−β₂)·D²; w ← w + η·m ÷ (√v + τ)`.
    Adam(Adaptive),
    /// As Adam, with `v ← v − (1−β₂)·D²·sign(v − D²)`.
    Yogi(Adaptive),
    /// As Adam, with `v ← v + D²`.
    Adagrad(Adaptive),
}

/// Numbers of an adaptive optimiser, in parts per million.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[scale_info(capture_docs = "always")]
#[serde(rename_all = "snake_case")]
pub struct Adaptive {
    /// η.
    pub rate: u32,
    /// β₁, below one.
    pub beta1: u32,
    /// β₂, below one; Adagrad has no use for it.
    pub beta2: u32,
    /// τ, above 0.
    pub tau: u32,
}

impl ServerOptimizer {
    /// How many numbers it remembers for each parameter: 1 or 2. They travel in the merged model's file.
    pub fn moments(&self) -> u32 {
        match self {
            Self::Momentum { .. } => 1,
            Self::Adam(_) | Self::Yogi(_) | Self::Adagrad(_) => 2,
        }
    }

    fn sane(&self) -> bool {
        match self {
            Self::Momentum { rate, beta } => *rate > 0 && *beta < PPM,
            Self::Adam(a) | Self::Yogi(a) | Self::Adagrad(a) => {
                a.rate > 0 && a.tau > 0 && a.beta1 < PPM && a.beta2 < PPM
            }
        }
    }
}

/// How updates become one model: first the bound, then the mixing, then the rule, then the optimiser.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo, Serialize, Deserialize,
)]
#[scale_info(capture_docs = "always")]
#[serde(rename_all = "snake_case")]
pub struct Merge {
    /// The rule.
    pub rule: MergeRule,
    /// `f`: how many liars among the inputs the rule is to tolerate. It says how much is trimmed, how many neighbours
    /// count, and how many inputs there must be.
    pub liars: u32,
    /// A limit on the length of each update.
    pub bound: Option<NormBound>,
    /// Whether each update is replaced by the mean of itself and its nearest others, all but `liars` (nearest-neighbour
    /// mixing, Allouah et al. 2023).
    pub mixing: bool,
    /// What the merged step is put through.
    pub server: Option<ServerOptimizer>,
}

impl Merge {
    /// A rule alone.
    pub fn by(rule: MergeRule) -> Self {
        Self { rule, liars: 0, bound: None, mixing: false, server: None }
    }

    /// The fewest inputs for which the rule holds what it promises: 2f+1, with Krum 2f+3; without liars 1, with Krum 3.
    /// `None`: it promises nothing against liars, and `liars` is not 0.
    pub fn needs(&self) -> Option<u32> {
        let twice = self.liars.saturating_mul(2);
        match self.rule {
            // with mixing too: a part of what a liar says stays in every neighbourhood that it finds its way into
            MergeRule::Mean(_) if self.liars > 0 => None,
            MergeRule::Krum { keep } => Some(twice.saturating_add(3).max(keep.saturating_add(self.liars))),
            _ => Some(twice.saturating_add(1)),
        }
    }

    /// How many numbers a merged model's file holds for each parameter beyond the parameter itself.
    pub fn moments(&self) -> u32 {
        self.server.map_or(0, |server| server.moments())
    }

    /// Where weights come from; `None`: everyone counts once.
    pub fn weighting(&self) -> Option<&Weighting> {
        match &self.rule {
            MergeRule::Mean(w) | MergeRule::Median(w) | MergeRule::GeometricMedian(w) => Some(w),
            MergeRule::TrimmedMean | MergeRule::Krum { .. } => None,
        }
    }

    pub(super) fn sane(&self) -> bool {
        self.needs().is_some_and(|needs| needs <= MAX_PARTICIPANTS)
            && self.server.is_none_or(|server| server.sane())
            && self.bound != Some(NormBound::Fixed(0))
            // without a liar to leave out, everyone's neighbours are all
            && (!self.mixing || self.liars > 0)
            && !matches!(self.rule, MergeRule::Krum { keep: 0 })
    }
}
