//! Training of which no record, or no patient, shows in the model beyond an agreed bound: DP-SGD (M. Abadi and others, "Deep
//! Learning with Differential Privacy", CCS 2016).
//!
//! In each step every unit, a record or a patient, is drawn by a coin of its own; the gradient of each unit that is drawn is
//! shortened to the clip `C`, and of the sum and Gaussian noise of deviation `σ·C` is made
//!
//! `g = (Σ clip(∇, C) + σ·C·z) ÷ (q·N)`
//!
//! with the rate `q` of the coins and the *signed* count `N` of units, so that nothing but the sum depends on the records. No
//! draw is cut short, and one without any unit is noise alone. What the optimiser makes of `g`, penalties and schedules
//! included, costs nothing more. Where the sites of a masked sum share the noise, a site makes no `g`:
//! [`Session::add_to_sum`](super::Session::add_to_sum) gives its sum and its part of the noise on the agreed grid.
//!
//! Coins and noise are AES-256 in counter mode, keyed by a seed that is drawn for each duty and never used for another: a
//! worker that is killed repeats the same bits. The bound is that of exact arithmetic; the numbers are rounded.

mod noise;
mod units;

pub use noise::Noise;
pub use units::{Piece, Units};

use crate::random::key;
use consilium_primitives::rules::PPM;
use consilium_study::{ClassWeights, Optimizer, StudySpec};
use noise::Bytes;

/// What everybody signed: it follows from nobody's records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mechanism {
    /// `q`: of a million units, how many a step draws on average; with a million each step takes all of them.
    pub rate_ppm: u32,
    /// Steps of a round.
    pub steps: u32,
    /// `C`: the most that the gradient of one unit may measure.
    pub clip: f64,
    /// `σ`: deviation of the noise, in clips. That of this site alone, where sites share the noise.
    pub sigma: f64,
    /// `N`: units that the site signed for.
    pub units: u64,
}

impl Mechanism {
    /// Whether the coin that fell on this word draws its unit: `word < ⌊q·2⁶⁴⌋`.
    fn draws(&self, word: u64) -> bool {
        u128::from(word) < (u128::from(self.rate_ppm) << 64) / u128::from(PPM)
    }

    /// `q`.
    pub fn rate(&self) -> f64 {
        f64::from(self.rate_ppm) / f64::from(PPM)
    }

    /// `q·N`.
    pub fn expected(&self) -> f64 {
        self.rate() * self.units as f64
    }
}

/// One round's private training: give it to [`Session::private`](super::Session::private).
pub struct Private {
    /// What was agreed.
    pub mechanism: Mechanism,
    /// Random bytes of this duty alone.
    pub seed: [u8; 32],
    /// Which training rows are one unit.
    pub units: Units,
}

impl Private {
    fn key(&self, purpose: &str, step: u64, piece: u64) -> [u8; 32] {
        key(purpose, &[&self.seed, &step.to_le_bytes(), &piece.to_le_bytes()])
    }

    /// Units that a step draws, in their order. Of each one word of the stream decides, whatever the others do.
    pub fn draw(&self, step: u64) -> Vec<usize> {
        let mut coins = Bytes::new(&self.key("consilium/coins/1", step, 0)).at(0);
        (0..self.units.len()).filter(|_| self.mechanism.draws(coins.word())).collect()
    }

    /// Noise of a step.
    pub fn noise(&self, step: u64) -> Noise {
        let Mechanism { clip, sigma, .. } = self.mechanism;
        Noise::new(&self.key("consilium/noise/1", step, 0), sigma * clip, 1.0 / self.mechanism.expected())
    }

    /// Where dropout of a step's `piece`-th part comes from.
    pub fn chance(&self, step: u64, piece: usize) -> [u8; 32] {
        self.key("consilium/private-dropout/1", step, piece as u64)
    }
}

/// Why a study's training cannot be private, in words; none: it can. Of its layers the [network](super::Net) itself says it.
pub fn refusal(spec: &StudySpec) -> Option<&'static str> {
    let t = &spec.training;
    if matches!(t.optimizer, Optimizer::ProximalGradient {}) {
        return Some("training.optimizer = proximal_gradient takes its step from all records: choose another");
    }
    if t.clip.is_some() {
        return Some("training.clip would clip what is clipped for each record already: leave it out");
    }
    if t.early_stopping.is_some() {
        return Some("training.early_stopping looks at records without noise: leave it out");
    }
    if matches!(t.class_weights, Some(ClassWeights::Balanced)) {
        return Some("training.class_weights = \"balanced\" counts records without noise: write the weights out, or leave them out");
    }
    if spec.model.external().is_some() {
        return Some("a trainer of one's own cannot be held to the noise: choose a model that this program trains");
    }
    None
}

#[cfg(test)]
mod tests;
