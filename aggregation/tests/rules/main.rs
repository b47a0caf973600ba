//! Every rule against numbers made elsewhere, at several numbers of threads, from memory and from files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod files;

use consilium_aggregation::{merge, Gram, MergeError, Plan, Server};
use consilium_primitives::{
    rules::{Adaptive, NormBound, ServerOptimizer},
    Merge, MergeRule, Weighting,
};
use serde_json::Value;

/// Numbers that came with the project's facts: plain numpy, held against Flower's and ByzFL's code.
const SHARED: &str = include_str!("../golden/aggregation.json");

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn rows(value: &Value) -> Vec<Vec<f32>> {
    value.as_array().unwrap().iter().map(|row| numbers(row).iter().map(|x| *x as f32).collect()).collect()
}

fn near(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{what}: {found:?}, expected {expected:?}");
    }
}

fn rule(rule: MergeRule, liars: u32) -> Merge {
    Merge { liars, ..Merge::by(rule) }
}

/// The merge in `f64`, before it is rounded.
fn exact(merge: &Merge, weights: &[u32], updates: &[Vec<f32>], base: &[f32]) -> (Vec<f64>, Plan) {
    let data: Vec<&[f32]> = updates.iter().map(Vec::as_slice).collect();
    let mut gram = Gram::new(data.len());
    gram.add(&data, base);
    let plan = Plan::new(merge, weights, Some(&gram));
    (plan.exact(&data, base), plan)
}

#[test]
fn rules_give_the_numbers_of_the_shared_vectors() {
    let cases: Value = serde_json::from_str(SHARED).unwrap();
    for case in cases.as_array().unwrap() {
        let updates = rows(&case["X"]);
        let liars = case["f"].as_u64().unwrap() as u32;
        let weights: Vec<u32> = numbers(&case["weights"]).iter().map(|w| *w as u32).collect();
        let n = updates.len() as u32;
        // where the model they stand on lies must not matter
        for base in [vec![0f32; updates[0].len()], vec![1.5; updates[0].len()]] {
            let of = |merge: &Merge| exact(merge, &weights, &updates, &base);
            let holds = |merge: &Merge, name: &str| near(&of(merge).0, &numbers(&case[name]), name);
            holds(&rule(MergeRule::Mean(Weighting::Samples), 0), "mean");
            holds(&rule(MergeRule::TrimmedMean, liars), "trmean");
            holds(&rule(MergeRule::Krum { keep: n - liars }, liars), "multikrum_m=n-f_blanchard");
            holds(&rule(MergeRule::GeometricMedian(Weighting::Samples), liars), "geomed_converged");
            let equal = exact(&rule(MergeRule::Median(Weighting::Equal), liars), &vec![1; n as usize], &updates, &base);
            near(&equal.0, &numbers(&case["median"]), "median");
            let (one, plan) = of(&rule(MergeRule::Krum { keep: 1 }, liars));
            let fates = plan.fates();
            let scores: Vec<f64> = fates.iter().map(|fate| fate.score.unwrap()).collect();
            for (score, expected) in scores.iter().zip(numbers(&case["krum_scores_n-f-2"])) {
                assert!((score / expected - 1.0).abs() <= 1e-12, "{scores:?}");
            }
            let chosen = case["krum_idx_blanchard"].as_u64().unwrap() as usize;
            assert_eq!(fates.iter().position(|fate| fate.part == Some(1.0)), Some(chosen));
            near(&one, &updates[chosen].iter().map(|x| f64::from(*x)).collect::<Vec<_>>(), "krum");
        }
    }
}

/// Numbers of both signs and of very different sizes, a plain function of seed and position.
fn made(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / (1u32 << 23) as f32 - 1.0) * if state & 7 == 0 { 10.0 } else { 0.1 }
        })
        .collect()
}

/// Every way to merge seven updates, by name.
fn ways() -> Vec<(&'static str, Merge)> {
    let equal = Weighting::Equal;
    let adaptive = Adaptive { rate: 10_000, beta1: 900_000, beta2: 990_000, tau: 1_000 };
    let mean = || Merge::by(MergeRule::Mean(Weighting::Samples));
    vec![
        ("mean", mean()),
        ("median", rule(MergeRule::Median(equal.clone()), 2)),
        ("weighted median", rule(MergeRule::Median(Weighting::Samples), 1)),
        ("trimmed mean", rule(MergeRule::TrimmedMean, 2)),
        ("geometric median", rule(MergeRule::GeometricMedian(Weighting::Samples), 2)),
        ("krum", rule(MergeRule::Krum { keep: 1 }, 2)),
        ("multi-krum", rule(MergeRule::Krum { keep: 5 }, 2)),
        ("bound, mean", Merge { bound: Some(NormBound::Median), ..mean() }),
        (
            "fixed bound, median",
            Merge { bound: Some(NormBound::Fixed(3_000_000)), ..rule(MergeRule::Median(equal), 2) },
        ),
        ("mixing, trimmed mean", Merge { mixing: true, ..rule(MergeRule::TrimmedMean, 2) }),
        (
            "bound, mixing, geometric median",
            Merge {
                mixing: true,
                bound: Some(NormBound::Median),
                ..rule(MergeRule::GeometricMedian(Weighting::Equal), 2)
            },
        ),
        ("momentum", Merge { server: Some(ServerOptimizer::Momentum { rate: 1_000_000, beta: 900_000 }), ..mean() }),
        ("adam", Merge { server: Some(ServerOptimizer::Adam(adaptive)), ..mean() }),
        ("yogi", Merge { server: Some(ServerOptimizer::Yogi(adaptive)), ..mean() }),
        ("adagrad", Merge { server: Some(ServerOptimizer::Adagrad(adaptive)), ..mean() }),
    ]
}

#[test]
fn merges_that_cannot_be_are_refused_by_what_is_wrong() {
    let a = [1f32, 2.0];
    let few = |way: &Merge, count: usize| merge(way, &vec![(&a[..], 1); count], &[0.0; 2], &[]).unwrap_err();
    assert_eq!(few(&rule(MergeRule::Median(Weighting::Equal), 1), 2), MergeError::Inputs { needed: 3, found: 2 });
    assert_eq!(few(&rule(MergeRule::TrimmedMean, 2), 4), MergeError::Inputs { needed: 5, found: 4 });
    assert_eq!(few(&rule(MergeRule::Krum { keep: 1 }, 1), 4), MergeError::Inputs { needed: 5, found: 4 });
    assert_eq!(few(&rule(MergeRule::Krum { keep: 6 }, 1), 6), MergeError::Inputs { needed: 7, found: 6 });
    assert_eq!(few(&rule(MergeRule::Mean(Weighting::Equal), 1), 9), MergeError::Liars);
    assert_eq!(few(&Merge { mixing: true, ..Merge::by(MergeRule::TrimmedMean) }, 9), MergeError::Liars);
    assert_eq!(
        few(&Merge::by(MergeRule::TrimmedMean), 65),
        MergeError::Inputs { needed: 1, found: 65 },
        "masks over participants have 64 bits"
    );
    let median = rule(MergeRule::Median(Weighting::Equal), 1);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (name, way) in ways() {
            let good = vec![0.5f32; 9];
            let mut wrong = good.clone();
            wrong[8] = bad;
            let mut inputs = vec![(good.as_slice(), 1); 7];
            inputs[5] = (&wrong, 1);
            let error = merge(&way, &inputs, &[0.25; 9], &[]).unwrap_err();
            assert!(matches!(error, MergeError::NotFinite { input: 5, index: 8, .. }), "{name}: {error}");
        }
    }
    let error = merge(&median, &[(&a, 1), (&a, 1), (&a, 1)], &[0.0; 3], &[]).unwrap_err();
    assert_eq!(error, MergeError::Base { expected: 2, found: 3 });
}

#[test]
fn a_median_with_equal_weights_does_not_depend_on_how_it_is_found() {
    let updates: Vec<Vec<f32>> = (1..=6).map(|seed| made(seed, 1000)).collect();
    let zeros = vec![0.0; 1000];
    let with = |weights: &[u32]| {
        let inputs: Vec<(&[f32], u32)> = updates.iter().map(Vec::as_slice).zip(weights.iter().copied()).collect();
        merge(&rule(MergeRule::Median(Weighting::Samples), 1), &inputs, &zeros, &[]).unwrap().model
    };
    // by sorting; and by counting, as the weights of the first two differ, and of one value everywhere
    let mut twice = updates.clone();
    twice[1] = twice[0].clone();
    let by = |weights: [u32; 6]| {
        let inputs: Vec<(&[f32], u32)> = twice.iter().map(Vec::as_slice).zip(weights).collect();
        merge(&rule(MergeRule::Median(Weighting::Samples), 1), &inputs, &zeros, &[]).unwrap().model
    };
    assert_eq!(with(&[7; 6]), with(&[1; 6]));
    assert_eq!(by([2, 2, 2, 2, 2, 2]), by([3, 1, 2, 2, 2, 2]));
}

/// Few different values, so that many are equal and many sums of weights are exactly half.
#[test]
fn a_weighted_median_is_where_half_the_weight_is_on_either_side() {
    for n in 3u64..12 {
        let updates: Vec<Vec<f32>> =
            (0..n).map(|i| made(n * 100 + i, 3000).iter().map(|x| (x * 30.0).round() / 3.0).collect()).collect();
        let weights: Vec<u32> = (0..n as u32).map(|i| [1, 2, 3, 1, 6][i as usize % 5]).collect();
        let total: u32 = weights.iter().sum();
        let upto = |column: &[f32], x: f32| -> u32 {
            column.iter().zip(&weights).filter(|(y, _)| **y <= x).map(|(_, weight)| weight).sum()
        };
        let expected: Vec<f32> = (0..3000)
            .map(|k| {
                let mut column: Vec<f32> = updates.iter().map(|update| update[k] + 0.0).collect();
                let unsorted = column.clone();
                column.sort_by(f32::total_cmp);
                let low = column.iter().find(|x| 2 * upto(&unsorted, **x) >= total).unwrap();
                let high = column.iter().find(|x| 2 * upto(&unsorted, **x) > total).unwrap();
                ((f64::from(*low) + f64::from(*high)) * 0.5) as f32
            })
            .collect();
        let inputs: Vec<(&[f32], u32)> = updates.iter().map(Vec::as_slice).zip(weights.iter().copied()).collect();
        let way = rule(MergeRule::Median(Weighting::Samples), 1);
        assert_eq!(merge(&way, &inputs, &[0.0; 3000], &[]).unwrap().model, expected, "{n} updates");
    }
}

/// Numbers made by `golden/rules.py`: plain formulas in numpy, distances taken between the vectors themselves.
#[test]
fn rules_bounds_mixing_and_optimisers_give_the_numbers_of_independent_python() {
    let golden: Value = serde_json::from_str(include_str!("../golden/rules.json")).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let (updates, base) = (rows(&case["X"]), numbers(&case["base"]));
        let base: Vec<f32> = base.iter().map(|x| *x as f32).collect();
        let liars = case["f"].as_u64().unwrap() as u32;
        let weights: Vec<u32> = numbers(&case["weights"]).iter().map(|w| *w as u32).collect();
        let (n, ones) = (updates.len() as u32, vec![1; updates.len()]);
        let data: Vec<&[f32]> = updates.iter().map(Vec::as_slice).collect();
        let mut gram = Gram::new(data.len());
        gram.add(&data, &base);
        for i in 0..data.len() {
            let row: Vec<f64> = (0..data.len()).map(|j| gram.at(i, j)).collect();
            near(&row, &numbers(&case["gram"][i]), &format!("{name}: products"));
        }
        let norms: Vec<f64> = (0..data.len()).map(|i| gram.norm(i)).collect();
        near(&norms, &numbers(&case["norms"]), name);

        let plain = |r| rule(r, liars);
        let mixed = |r| Merge { mixing: true, ..rule(r, liars) };
        let mean = || Merge::by(MergeRule::Mean(Weighting::Samples));
        let median = MergeRule::Median(Weighting::Samples);
        let fixed = case["bound_fixed"]["tau"].as_f64().unwrap();
        let fixed = NormBound::Fixed((fixed * 1e6) as u64);
        let by = |way: Merge, weights: &[u32], expected: &Value| {
            let (found, plan) = exact(&way, weights, &updates, &base);
            let what = format!("{name}: {way:?}");
            near(&found, &numbers(if expected.is_object() { &expected["result"] } else { expected }), &what);
            plan
        };
        for (of, of_case) in [(&plain as &dyn Fn(_) -> Merge, &case["plain"]), (&mixed, &case["mixed"])] {
            by(of(median.clone()), &weights, &of_case["median"]);
            by(of(median.clone()), &ones, &of_case["median_equal"]);
            by(of(MergeRule::TrimmedMean), &ones, &of_case["trimmed_mean"]);
            let geometric = || of(MergeRule::GeometricMedian(Weighting::Samples));
            for (weights, key) in [(&weights, "geometric_median"), (&ones, "geometric_median_equal")] {
                by(geometric(), weights, &of_case[key]["converged"]);
            }
            // not every reference has multi-Krum; of updates that are equal after mixing, any may be kept
            for (keep, key) in [(1, "krum"), (n - liars, "multi_krum")] {
                let expected = &of_case[key];
                if expected.is_null() {
                    continue;
                }
                let plan = by(of(MergeRule::Krum { keep }), &ones, expected);
                let scores: Vec<f64> = plan.fates().iter().map(|fate| fate.score.unwrap()).collect();
                let size = norms.iter().fold(0.0f64, |most, norm| most.max(norm * norm));
                for (score, expected) in scores.iter().zip(numbers(&expected["scores"])) {
                    assert!((score - expected).abs() <= 1e-12 * size, "{name}: {scores:?}");
                }
                if of_case.get("neighbours").is_none() {
                    let fates = plan.fates().into_iter().enumerate();
                    let kept: Vec<f64> =
                        fates.filter(|(_, fate)| fate.part != Some(0.0)).map(|(i, _)| i as f64).collect();
                    assert_eq!(kept, numbers(&expected["chosen"]), "{name}");
                }
            }
        }
        by(mean(), &weights, &case["plain"]["mean"]);
        for (bound, key) in [(fixed, "bound_fixed"), (NormBound::Median, "bound_median")] {
            let bounded = |merge| Merge { bound: Some(bound), ..merge };
            let plan = by(bounded(mean()), &weights, &case[key]["mean"]);
            by(bounded(plain(median.clone())), &weights, &case[key]["median"]);
            let factors: Vec<f64> = plan.fates().iter().map(|fate| fate.shortened).collect();
            near(&factors, &numbers(&case[key]["coefficients"]), "factors");
        }
        let both = &case["bound_median_mixed"];
        if both.is_null() {
            // rounding decides who is near to an update that has not moved when all others are shortened to one length
            assert_eq!(name, "unmoved");
            continue;
        }
        let plan = by(Merge { bound: Some(NormBound::Median), ..mixed(median.clone()) }, &weights, &both["median"]);
        for (i, fate) in plan.fates().iter().enumerate() {
            let expected = numbers(&both["neighbours"][i]);
            assert_eq!(fate.neighbours.iter().map(|j| *j as f64).collect::<Vec<_>>(), expected, "{name}");
        }
    }
    for case in golden["server"].as_array().unwrap() {
        let ppm = |key: &str| (case[key].as_f64().unwrap() * 1e6).round() as u32;
        let adaptive = || Adaptive { rate: ppm("eta"), beta1: ppm("b1"), beta2: ppm("b2"), tau: ppm("tau") };
        let agreed = match case["rule"].as_str().unwrap() {
            "momentum" => ServerOptimizer::Momentum { rate: ppm("eta"), beta: ppm("beta") },
            "adam" => ServerOptimizer::Adam(adaptive()),
            "yogi" => ServerOptimizer::Yogi(adaptive()),
            "adagrad" => ServerOptimizer::Adagrad(adaptive()),
            other => panic!("{other}"),
        };
        let server = Server::new(&agreed);
        let mut w = numbers(&case["w"]);
        let (mut m, mut v) = (vec![0.0; w.len()], vec![0.0; w.len()]);
        for step in case["steps"].as_array().unwrap() {
            let d = numbers(&step["D"]);
            for k in 0..w.len() {
                w[k] = server.step(w[k], d[k], &mut m[k], &mut v[k]);
            }
            near(&w, &numbers(&step["w"]), "w");
            // the one moment of momentum is called v there
            let momentum = agreed.moments() == 1;
            near(if momentum { &m } else { &v }, &numbers(&step["v"]), "v");
            if !momentum {
                near(&m, &numbers(&step["m"]), "m");
            }
        }
    }
}
