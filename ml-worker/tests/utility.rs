//! What private training costs in AUC, in short: four seeds, with bars that leave as much more room as fewer seeds need. The long form is
//! `bench/private.sh`.
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../examples/private/main.rs"]
mod private;

use private::{less, of_all, Arm, DENSE, LOCAL, LOGISTIC, ONE_STEP};
use std::ops::RangeInclusive;

const SEEDS: RangeInclusive<u64> = 1..=4;

/// 1024·σ of an ε among those that the bench measures.
fn sigma(epsilon: f64) -> f64 {
    let (_, sigma_1024) = LOCAL.into_iter().find(|(of, _)| *of == epsilon).unwrap();
    f64::from(sigma_1024) / 1024.0
}

#[test]
fn noise_is_the_least_that_keeps_epsilon() {
    for (epsilon, sigma_1024) in LOCAL {
        assert_eq!(consilium_privacy::calibrate(250_000, 80, 5, epsilon), Some(sigma_1024), "{epsilon}");
    }
}

#[test]
fn what_noise_costs_in_auc_stays_within_its_bars() {
    // ε, least mean AUC, most mean AUC lost
    let bars = [
        ("logistic", LOGISTIC, [(4.0, 0.975, 0.008), (1.0, 0.965, 0.020)]),
        ("30-16-1", DENSE, [(4.0, 0.970, 0.012), (1.0, 0.935, 0.045)]),
    ];
    for (name, model, bars) in bars {
        let arm = Arm::local(model);
        let without = arm.aucs(&SEEDS, 0.0).unwrap();
        for (epsilon, least, most) in bars {
            let with = arm.aucs(&SEEDS, sigma(epsilon)).unwrap();
            let (auc, lost) = (of_all(&with).0, of_all(&less(&without, &with)).0);
            println!("{name} epsilon {epsilon}: AUC {auc:.4}, lost {lost:.4}");
            assert!(auc >= least, "{name}, epsilon {epsilon}: AUC {auc:.4}, at least {least}");
            assert!(lost <= most, "{name}, epsilon {epsilon}: {lost:.4} lost, at most {most}");
        }
    }
}

/// Each site's own noise against noise that any three sites of a sum of four have together, with one step in each of 30 rounds.
#[test]
fn sharing_the_noise_gains() {
    assert_eq!(consilium_privacy::calibrate(1_000_000, 30, 5, 1.0), Some(ONE_STEP));
    let sigma = f64::from(ONE_STEP) / 1024.0;
    let aucs = |shared| Arm::one_step(shared).aucs(&SEEDS, sigma).unwrap();
    let (alone, together) = (aucs(false), aucs(true));
    let gained = of_all(&less(&together, &alone)).0;
    assert!(gained >= 0.003, "{gained:.4}: {alone:?}, {together:?}");
}

/// The control: that noise is there at all shows where there is five times as much as ε 1 asks for.
#[test]
fn much_more_noise_is_seen_to_cost_much_more() {
    let arm = Arm::local(DENSE);
    let (without, with) = (arm.aucs(&SEEDS, 0.0).unwrap(), arm.aucs(&SEEDS, 5.0 * sigma(1.0)).unwrap());
    let lost = of_all(&less(&without, &with)).0;
    assert!(lost >= 0.05, "{lost:.4} lost of {:.4}", of_all(&without).0);
}
