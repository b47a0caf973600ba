//! What private studies of the membership game promise, and how much nobody can find in them, whatever the attack.

use consilium_ml_worker::{
    learn::private::{Mechanism, Private, Units},
    random::key,
};
use consilium_primitives::rules::PPM;

/// Rounds of such a study, of one step over all rows each.
pub const ROUNDS: u32 = 30;
/// Longest gradient of a row.
const CLIP: f64 = 1.0;
/// The value that a normal number stays below once in a hundred times.
const HUNDREDTH: f64 = -2.326_347_874_040_841;

/// ε of all rounds together at δ 10⁻⁵, and the least noise that keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promise {
    /// ε.
    pub epsilon: f64,
    /// 1,024 times the deviation of each step's noise, in clips.
    pub sigma_1024: u32,
}

impl Promise {
    fn sigma(&self) -> f64 {
        f64::from(self.sigma_1024) / 1_024.0
    }

    /// A site's round. Noise is drawn anew in each round of each study.
    pub fn private(&self, rows: usize, secret: &[u8; 32], round: u32) -> Private {
        let units = Units::records(rows);
        let mechanism =
            Mechanism { rate_ppm: PPM, steps: 1, clip: CLIP, sigma: self.sigma(), units: units.len() as u64 };
        Private { mechanism, seed: key("consilium/leaks/noise/1", &[secret, &round.to_le_bytes()]), units }
    }

    /// The largest share of those who were in that anybody can find at one false alarm in a hundred, from all that left a site.
    ///
    /// Steps over all rows tell together what one normal number tells whose mean is `√rounds ÷ σ` deviations higher with the row
    /// than without: for these, privacy loss distribution gives just this.
    pub fn found_at_most(&self) -> f64 {
        let apart = f64::from(ROUNDS).sqrt() / self.sigma();
        0.5 * libm::erfc(-(HUNDREDTH + apart) / std::f64::consts::SQRT_2)
    }
}
