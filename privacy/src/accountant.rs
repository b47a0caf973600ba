//! What steps of DP-SGD cost: Rényi differential privacy of the Poisson-sampled Gaussian mechanism (Mironov, Talwar and Zhang,
//! "Rényi Differential Privacy of the Sampled Gaussian Mechanism", 2019, section 3.3), and its conversion to ε at a δ (Balle et
//! al., "Hypothesis Testing Interpretations and Rényi Differential Privacy", AISTATS 2020, theorem 21; Canonne, Kamath and
//! Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS 2020, proposition 12).
//!
//! Two data sets are neighbours when one has one record, or one patient, more than the other.

use crate::double::{Double, Large};

/// The orders that ε is the least over.
pub const ORDERS: [u32; 71] = orders();
/// Steps beyond which nothing is counted.
pub const MAX_STEPS: u64 = 1 << 32;
/// The most noise that a study is given: σ of a million.
const MOST_NOISE: u32 = 1 << 30;

const fn orders() -> [u32; 71] {
    let more = [72, 80, 96, 128, 192, 256, 384, 512];
    let (mut all, mut n) = ([0; 71], 0);
    while n < 63 {
        all[n] = n as u32 + 2;
        n += 1;
    }
    while n < 71 {
        all[n] = more[n - 63];
        n += 1;
    }
    all
}

/// One step: each record, or patient, is drawn with this probability, and the sum gets noise of `σ` clipping norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mechanism {
    /// Probability to be drawn, in millionths; a million: all are in every step.
    pub rate_ppm: u32,
    /// `σ` in units of 1/1024.
    pub sigma_1024: u32,
}

impl Mechanism {
    /// Rényi divergence of one step at a whole order from 2 on.
    pub fn rdp(&self, order: u32) -> f64 {
        self.exactly(order).value()
    }

    pub(crate) fn exactly(&self, order: u32) -> Double {
        let rate = Double::ratio(f64::from(self.rate_ppm), 1e6);
        rdp(rate, Double::of(f64::from(self.sigma_1024) / 1024.0), order)
    }

    /// What so many steps cost: the least ε at `δ = 10^-delta_exp`.
    pub fn epsilon(&self, steps: u64, delta_exp: u8) -> f64 {
        let all = ORDERS.iter().map(|order| {
            let cost = self.exactly(*order).times(Double::of(steps.min(MAX_STEPS) as f64));
            cost.plus(conversion(*order, delta_exp)).value()
        });
        all.fold(f64::INFINITY, f64::min)
    }

    /// Whether so many steps keep an ε. Stops at the first order that says so.
    fn keeps(&self, steps: u64, delta_exp: u8, epsilon: f64) -> bool {
        ORDERS.iter().any(|order| {
            let cost = self.exactly(*order).times(Double::of(steps.min(MAX_STEPS) as f64));
            cost.plus(conversion(*order, delta_exp)).value() <= epsilon
        })
    }
}

/// The least noise, in units of 1/1024, with which so many steps keep an ε. `None`: none does, since what turns Rényi divergence
/// into ε alone is more.
pub fn calibrate(rate_ppm: u32, steps: u64, delta_exp: u8, epsilon: f64) -> Option<u32> {
    let keeps = |sigma_1024| Mechanism { rate_ppm, sigma_1024 }.keeps(steps, delta_exp, epsilon);
    let mut high = 1 << 10;
    while !keeps(high) {
        if high >= MOST_NOISE {
            return None;
        }
        high *= 2;
    }
    let mut low = 1;
    while low < high {
        let middle = low + (high - low) / 2;
        if keeps(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

/// What is added to the divergence at an order to have ε: `ln((a − 1) ÷ a) − (ln δ + ln a) ÷ (a − 1)`.
pub(crate) fn conversion(order: u32, delta_exp: u8) -> Double {
    let (order, below) = (f64::from(order), f64::from(order) - 1.0);
    let inner = Double::of(order).ln().minus(Double::ln_power_of_ten(i32::from(delta_exp)));
    Double::ratio(below, order).ln().minus(inner.over(Double::of(below)))
}

/// `ln(Σ C(a, k)·(1 − q)^(a − k)·q^k·e^((k² − k) ÷ 2σ²)) ÷ (a − 1)`; for `q = 1` it is `a ÷ 2σ²`. Each term is made of the one
/// before it, in 31 digits, with its power of two apart.
pub(crate) fn rdp(rate: Double, sigma: Double, order: u32) -> Double {
    let variance = sigma.times(sigma);
    if rate.value() >= 1.0 {
        return Double::of(f64::from(order)).over(variance.scaled(1));
    }
    let stays = Double::ONE.minus(rate);
    let odds = Large::of(rate.over(stays), 0);
    let gain = Double::ONE.over(variance).exp();
    let mut term = Large::of(Double::ONE, 0);
    for _ in 0..order {
        term = term.times(Large::of(stays, 0));
    }
    let (mut sum, mut gains) = (term, Large::of(Double::ONE, 0));
    for k in 0..order {
        let choices = Large::of(Double::ratio(f64::from(order - k), f64::from(k + 1)), 0);
        term = term.times(odds).times(choices).times(gains);
        gains = gains.times(gain);
        sum = sum.plus(term);
    }
    sum.ln().over(Double::of(f64::from(order - 1)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::Value;

    /// Made by `tests/golden/dp_golden.py` from mpmath, Opacus and dp-accounting.
    pub(crate) fn golden() -> Value {
        serde_json::from_str(include_str!("../tests/golden/dp_golden.json")).unwrap()
    }

    /// A decimal number of the golden file, without a float on the way.
    pub(crate) fn decimal(text: &Value) -> Double {
        let text = text.as_str().unwrap();
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits: f64 = format!("{whole}{decimals}").parse().unwrap();
        Double::ratio(digits, 10f64.powi(i32::try_from(decimals.len()).unwrap()))
    }

    pub(crate) fn delta_exp(text: &Value) -> u8 {
        text.as_str().unwrap().strip_prefix("1e-").unwrap().parse().unwrap()
    }

    fn number(value: &Value) -> f64 {
        value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
    }

    #[test]
    fn the_divergence_of_a_step_is_that_of_fifty_digits() {
        let mut looked = 0;
        for case in golden()["cases"].as_array().unwrap() {
            for (order, wanted) in case["rdp_one_step"].as_object().unwrap() {
                let found = rdp(decimal(&case["q"]), decimal(&case["sigma"]), order.parse().unwrap()).value();
                let off = (found / number(wanted) - 1.0).abs();
                assert!(off < 1e-14, "{} at order {order}: {found} instead of {wanted}", case["what"]);
                looked += 1;
            }
        }
        assert!(looked >= 100, "{looked}");
    }

    #[test]
    fn epsilon_is_that_of_three_other_accountants() {
        for case in golden()["cases"].as_array().unwrap() {
            let (rate, sigma) = (decimal(&case["q"]), decimal(&case["sigma"]));
            let steps = Double::of(number(&case["steps"]));
            let at = |order: u32| {
                rdp(rate, sigma, order).times(steps).plus(conversion(order, delta_exp(&case["delta"]))).value()
            };
            let (epsilon, order) = ORDERS.iter().map(|o| (at(*o), *o)).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            assert_eq!(u64::from(order), case["order"].as_u64().unwrap(), "{}", case["what"]);
            for source in ["eps_exact_whole_orders", "eps_opacus_same_orders", "eps_dp_accounting_same_orders"] {
                let off = (epsilon - number(&case[source])).abs();
                assert!(off < 1e-9, "{}: {epsilon}, {source} {}", case["what"], case[source]);
            }
        }
    }

    #[test]
    fn the_least_noise_that_keeps_an_epsilon_is_found() {
        for case in golden()["calibration"]["cases"].as_array().unwrap() {
            let rate_ppm = (number(&case["q"]) * 1e6).round() as u32;
            let (steps, delta, epsilon) =
                (case["steps"].as_u64().unwrap(), delta_exp(&case["delta"]), number(&case["epsilon"]));
            let found = calibrate(rate_ppm, steps, delta, epsilon).unwrap();
            assert_eq!(u64::from(found), case["sigma_1024"].as_u64().unwrap(), "{case}");
            let of = |sigma_1024| Mechanism { rate_ppm, sigma_1024 }.epsilon(steps, delta);
            assert!((of(found) - number(&case["epsilon_kept"])).abs() < 1e-9, "{case}");
            assert!((of(found - 1) - number(&case["epsilon_one_less"])).abs() < 1e-9, "{case}");
            assert!(of(found) <= epsilon && epsilon < of(found - 1));
        }
    }

    #[test]
    fn no_noise_keeps_an_epsilon_that_the_conversion_alone_exceeds() {
        assert_eq!(calibrate(250_000, 80, 5, 0.001), None);
        assert!(calibrate(250_000, 80, 5, 0.05).is_some());
    }

    #[test]
    fn more_noise_costs_less_and_more_steps_cost_more() {
        let of = |rate_ppm, sigma_1024, steps| Mechanism { rate_ppm, sigma_1024 }.epsilon(steps, 5);
        assert!(of(250_000, 3_072, 80) < of(250_000, 3_071, 80));
        assert!(of(250_000, 3_072, 80) < of(250_000, 3_072, 81));
        assert!(of(250_000, 3_072, 80) < of(250_001, 3_072, 80));
        // a rate of one is where smaller rates lead to
        let (all, nearly) = (of(1_000_000, 10_240, 10), of(999_999, 10_240, 10));
        assert!(nearly < all && all - nearly < 1e-4, "{nearly} {all}");
    }
}
