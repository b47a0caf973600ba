//! The ledger's whole numbers: what a round costs in billionths of Rényi divergence at sixteen orders, and the ε that sums of
//! them stand for, in millionths. Sums of whole numbers are the same everywhere, and everything is rounded up.

use crate::{
    accountant::{conversion, Mechanism, MAX_STEPS},
    double::Double,
};
use std::sync::LazyLock;

/// Orders that a ledger keeps.
pub const LEDGER_ORDERS: [u32; 16] = [2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 64, 128, 256];

/// What was spent, or is: billionths of Rényi divergence at [`LEDGER_ORDERS`].
pub type Spend = [u64; 16];

/// What so many steps cost, rounded up.
pub fn spend(mechanism: &Mechanism, steps: u64) -> Spend {
    let steps = Double::of(steps.min(MAX_STEPS) as f64);
    LEDGER_ORDERS.map(|order| billionths(mechanism.exactly(order).times(steps)))
}

/// A cost in billionths, rounded up. One beyond all numbers, as without noise, is the largest that a ledger can hold.
fn billionths(cost: Double) -> u64 {
    if !cost.value().is_finite() {
        return u64::MAX;
    }
    let up = cost.times(Double::of(1e9)).up();
    u64::try_from(up.max(0)).unwrap_or(u64::MAX)
}

/// What is added at each order to have ε at `δ = 10^-delta_exp`, in billionths, rounded up.
pub fn constants(delta_exp: u8) -> [i64; 16] {
    CONSTANTS.get(usize::from(delta_exp)).copied().unwrap_or_else(|| computed(delta_exp))
}

fn computed(delta_exp: u8) -> [i64; 16] {
    LEDGER_ORDERS.map(|order| {
        let up = conversion(order, delta_exp).times(Double::of(1e9)).up();
        i64::try_from(up).unwrap_or(i64::MAX)
    })
}

/// Those that studies use, computed once.
static CONSTANTS: LazyLock<[[i64; 16]; 13]> =
    LazyLock::new(|| std::array::from_fn(|delta_exp| computed(u8::try_from(delta_exp).unwrap_or(u8::MAX))));

/// The sum of two; what is more than the largest number stays there.
#[must_use]
pub fn sum(one: &Spend, other: &Spend) -> Spend {
    std::array::from_fn(|place| one[place].saturating_add(other[place]))
}

/// The ε at `δ = 10^-delta_exp` that a sum stands for, in millionths, rounded up. Where nothing was spent it is 0.
pub fn epsilon_micro(spent: &Spend, delta_exp: u8) -> u64 {
    if *spent == [0; 16] {
        return 0;
    }
    let all = spent.iter().zip(constants(delta_exp)).map(|(spent, more)| i128::from(*spent) + i128::from(more));
    let least = all.min().unwrap_or(i128::MAX).max(0);
    u64::try_from((least + 999) / 1_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accountant::{
        rdp,
        tests::{decimal, delta_exp, golden},
    };
    use serde_json::Value;

    /// Whole numbers of the golden file, and those found: equal or one above, never below.
    fn fit(found: &Spend, wanted: &Value, most_above: u64) {
        let wanted: Vec<u64> = wanted.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        assert_eq!(wanted.len(), 16);
        for (found, wanted) in found.iter().zip(wanted) {
            let above = found.checked_sub(wanted);
            assert!(above.is_some_and(|above| above <= most_above), "{found} instead of {wanted}");
        }
    }

    fn of(case: &Value) -> Spend {
        let steps = Double::of(case["steps"].as_u64().unwrap() as f64);
        LEDGER_ORDERS.map(|a| billionths(rdp(decimal(&case["q"]), decimal(&case["sigma"]), a).times(steps)))
    }

    #[test]
    fn whole_numbers_are_those_of_fifty_digits_or_one_above() {
        for case in golden()["cases"].as_array().unwrap() {
            fit(&of(case), &case["ledger_nano"], 1);
            let micro = epsilon_micro(&of(case), delta_exp(&case["delta"]));
            let above = micro.checked_sub(case["ledger_eps_micro"].as_u64().unwrap());
            assert!(above.is_some_and(|above| above <= 1), "{micro} for {}", case["what"]);
        }
    }

    #[test]
    fn studies_on_one_data_set_add_up_order_by_order() {
        for case in golden()["composition"].as_array().unwrap() {
            let parts = case["parts"].as_array().unwrap();
            let all = parts.iter().fold([0; 16], |all, part| sum(&all, &of(part)));
            fit(&all, &case["ledger_nano"], parts.len() as u64);
            let micro = epsilon_micro(&all, delta_exp(&case["delta"]));
            let above = micro.checked_sub(case["eps_micro"].as_u64().unwrap());
            assert!(above.is_some_and(|above| above <= 1), "{micro} instead of {}", case["eps_micro"]);
        }
    }

    #[test]
    fn what_turns_sums_into_epsilon_is_that_of_the_golden_file() {
        for (delta, wanted) in golden()["ledger_constants_nano"].as_object().unwrap() {
            let found = constants(delta.strip_prefix("1e-").unwrap().parse().unwrap());
            for (found, order) in found.into_iter().zip(LEDGER_ORDERS) {
                assert_eq!(found, wanted[order.to_string()].as_i64().unwrap(), "{delta} at order {order}");
            }
        }
    }

    #[test]
    fn a_mechanism_in_whole_numbers_costs_what_its_decimals_do() {
        let case = golden()["cases"].as_array().unwrap().iter().find(|c| c["q"] == "0.25").unwrap().clone();
        let mechanism = Mechanism { rate_ppm: 250_000, sigma_1024: 3 * 1_024 };
        assert_eq!(spend(&mechanism, 80), of(&case));
    }

    #[test]
    fn the_sixteen_orders_cost_at_most_one_and_a_half_hundredths_of_epsilon() {
        for (rate_ppm, sigma_1024, steps) in [(250_000, 3_072, 80), (1_000_000, 10_240, 10), (20_000, 4_096, 5_000)] {
            let mechanism = Mechanism { rate_ppm, sigma_1024 };
            let (all, kept) = (mechanism.epsilon(steps, 5), epsilon_micro(&spend(&mechanism, steps), 5) as f64 / 1e6);
            assert!(kept >= all && kept <= all * 1.015, "{kept} {all}");
        }
    }

    #[test]
    fn nothing_spent_is_nothing_and_too_much_stays_at_the_largest_number() {
        assert_eq!(epsilon_micro(&[0; 16], 5), 0);
        assert!(epsilon_micro(&[1; 16], 5) > 0);
        assert_eq!(sum(&[u64::MAX; 16], &[1; 16]), [u64::MAX; 16]);
        assert!(epsilon_micro(&[u64::MAX; 16], 5) > 1 << 50);
    }

    #[test]
    fn without_noise_a_step_costs_more_than_any_limit_and_not_nothing() {
        for rate_ppm in [1, 250_000, 1_000_000] {
            let costs = spend(&Mechanism { rate_ppm, sigma_1024: 0 }, 1);
            assert_eq!(costs, [u64::MAX; 16], "rate {rate_ppm}");
        }
        // the least noise that can be agreed, on every row, as often as steps are counted
        let costs = spend(&Mechanism { rate_ppm: 1_000_000, sigma_1024: 1 }, MAX_STEPS);
        assert_eq!(costs, [u64::MAX; 16]);
        assert!((3..=12).all(|delta_exp| epsilon_micro(&costs, delta_exp) > u64::from(u32::MAX)));
    }

    #[test]
    fn an_order_that_is_full_hides_nothing_of_the_others() {
        let limit = u64::from(u32::MAX);
        for (place, delta_exp) in (0..16).flat_map(|place| (3..=12).map(move |exp| (place, exp))) {
            // all orders but one are full: what was spent is what that one says
            let mut spent: Spend = [u64::MAX; 16];
            spent[place] = 1_000_000_000;
            let more = constants(delta_exp)[place];
            let wanted = (1_000_000_000 + u64::try_from(more).unwrap()).div_ceil(1_000);
            assert_eq!(epsilon_micro(&spent, delta_exp), wanted);
            // and a cost there that fills it is beyond every limit, as is the same once more
            let mut costs: Spend = [1; 16];
            costs[place] = u64::MAX;
            let full = sum(&spent, &costs);
            assert!(epsilon_micro(&full, delta_exp) > limit && epsilon_micro(&sum(&full, &costs), delta_exp) > limit);
        }
    }
}
