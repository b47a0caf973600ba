//! Noise that the sites of a masked sum add together.
//!
//! In a round of one step each site gives the sum `G` of its clipped gradients and noise `n` of its own, rounded to whole numbers in units
//! of `2^−s`, under masks. Only the sum over at least `u` sites is ever opened, so that it holds the noise of all of them. Toward
//! everybody but `c` sites that act together, each of which knows its own noise or has added none, the noise of `u − c` hides a record:
//! deviations of `σ·C_eff ÷ √(u − c)` make `σ·C_eff`.
//!
//! * Nothing weighs a site's words, so that a record counts for the same in each of them: what the sum is divided by, and multiplied
//!   with, comes after it, and costs nothing more.
//! * Rounding depends on the records, by less than a unit in each of the `P` numbers, with and without one of them. That a record moves
//!   the rounded sum by at most `C_eff = C + √P·2^−s` is what the noise is made for.
//! * Rounded normal numbers add up as normal ones do: where each has a deviation of [`LEAST_UNITS`] units or more, their sum is a normal
//!   number, with uniform ones added and rounded once, but for a chance below 10^−500. (The characteristic functions of the two differ by
//!   at most `2·exp(−(π·deviation)² ÷ 2)` for each site; the rest comes after the noise.)
//! * Words are added modulo 2³²: what does not fit shows in the sum, and at no single site.

/// What all numbers of a sum stay below in units of the grid, as a power of two.
const HEAD: i32 = 30;
/// The least deviation of one site's noise, in units of the grid.
pub const LEAST_UNITS: f64 = 16.0;

/// What is agreed of noise that sites share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedNoise {
    /// `C`: the longest gradient of one record or patient, in millionths.
    pub clip_micro: u32,
    /// `σ`: deviation of the noise of a sum in clips, times 1,024.
    pub sigma_1024: u32,
    /// How far a number of the sum of gradients may go: ±2 to this power.
    pub range_log2: i8,
    /// `P`: numbers of the model.
    pub parameters: u64,
    /// `u`: the fewest sites whose sum is ever opened.
    pub least: u32,
    /// `c`: sites that may act together against another.
    pub colluders: u32,
}

impl SharedNoise {
    /// `s`: a unit of the grid is `2^−s`.
    pub fn exponent(&self) -> i32 {
        HEAD - i32::from(self.range_log2)
    }

    /// `C`.
    pub fn clip(&self) -> f64 {
        f64::from(self.clip_micro) / 1e6
    }

    /// What rounding to the grid adds to what one record can move: `√P·2^−s`.
    pub fn rounding(&self) -> f64 {
        libm::ldexp((self.parameters as f64).sqrt(), -self.exponent())
    }

    /// `C_eff`: the most that one record, or patient, moves the rounded sum by.
    pub fn sensitivity(&self) -> f64 {
        self.clip() + self.rounding()
    }

    /// Deviation of the noise that each site adds to its sum of clipped gradients: `σ·C_eff ÷ √(u − c)`.
    pub fn deviation(&self) -> f64 {
        // where all but one act together, that one adds all of it
        let honest = self.least.saturating_sub(self.colluders).max(1);
        f64::from(self.sigma_1024) / 1024.0 * self.sensitivity() / f64::from(honest).sqrt()
    }

    /// The same in units of the grid, in which it is rounded.
    pub fn units(&self) -> f64 {
        libm::ldexp(self.deviation(), self.exponent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn cases() -> Vec<Value> {
        let golden: Value = serde_json::from_str(include_str!("../tests/golden/shared_golden.json")).unwrap();
        golden["cases"].as_array().unwrap().clone()
    }

    fn whole<T: TryFrom<i64>>(value: &Value) -> T {
        T::try_from(value.as_i64().unwrap()).ok().unwrap()
    }

    fn noise(case: &Value) -> SharedNoise {
        SharedNoise {
            clip_micro: whole(&case["clip_micro"]),
            sigma_1024: whole(&case["sigma_1024"]),
            range_log2: whole(&case["range_log2"]),
            parameters: whole(&case["parameters"]),
            least: whole(&case["least"]),
            colluders: whole(&case["colluders"]),
        }
    }

    /// Made by `tests/golden/shared_golden.py` with 50 digits.
    #[test]
    fn grid_sensitivity_and_deviation_are_those_of_fifty_digits() {
        let cases = cases();
        assert_eq!(cases.len(), 7);
        for case in &cases {
            let noise = noise(case);
            assert_eq!(i64::from(noise.exponent()), case["exponent"].as_i64().unwrap(), "{case}");
            let found = [
                ("rounding", noise.rounding()),
                ("sensitivity", noise.sensitivity()),
                ("deviation", noise.deviation()),
                ("units", noise.units()),
            ];
            for (name, found) in found {
                let wanted: f64 = case[name].as_str().unwrap().parse().unwrap();
                assert!((found / wanted - 1.0).abs() < 1e-14, "{name} {found} for {case}");
            }
        }
    }

    /// Whoever acts together knows their own noise: the others', in the smallest sum there is, is all that was promised.
    #[test]
    fn the_noise_of_those_who_do_not_act_together_is_all_of_it() {
        for case in cases() {
            let noise = noise(&case);
            let others = f64::from(noise.least - noise.colluders);
            let together = (others * noise.deviation() * noise.deviation()).sqrt();
            let wanted = f64::from(noise.sigma_1024) / 1024.0 * noise.sensitivity();
            assert!((together / wanted - 1.0).abs() < 1e-14, "{case}");
        }
        // were all others to act together, the one that is left adds all of it
        let alone = SharedNoise { least: 3, colluders: 3, ..noise(&cases()[0]) };
        assert_eq!(alone.deviation(), SharedNoise { colluders: 2, ..alone }.deviation());
    }

    /// A sum that is rounded to the grid moves by less than `C_eff` where a gradient as long as the clip is added to it, whichever way
    /// that points: in each number by less than a unit more than the gradient does.
    #[test]
    fn rounding_adds_no_more_than_a_unit_in_each_number() {
        let noise = SharedNoise {
            clip_micro: 1_000_000,
            sigma_1024: 1_024,
            range_log2: 16,
            parameters: 9,
            least: 3,
            colluders: 1,
        };
        let units = libm::ldexp(1.0, noise.exponent());
        let round = |x: f64| (x * units).round_ties_even() / units;
        let mut worst = 0f64;
        for seed in 0..1_000u32 {
            let made = |k: u32| f64::from((seed * 9 + k).wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 23) - 1.0;
            let gradient: Vec<f64> = (0..9).map(made).collect();
            let length = gradient.iter().map(|x| x * x).sum::<f64>().sqrt();
            let moved = gradient.iter().enumerate().map(|(k, x)| {
                let before = 31.0 * made(k as u32 + 100_000);
                round(before + x / length * noise.clip()) - round(before)
            });
            worst = worst.max(moved.map(|x| x * x).sum::<f64>().sqrt());
        }
        assert!(worst > noise.clip() && worst <= noise.sensitivity(), "{worst} {}", noise.sensitivity());
    }
}
