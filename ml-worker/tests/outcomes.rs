//! Figures of outcomes that are no classes, against those of golden/outcomes.py.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::{
    data::Rows,
    learn::{
        figures::Figures,
        logits_of,
        loss::Objective,
        metrics::{Regression, Survival},
        Net,
    },
};
use consilium_study::{Architecture, Loss, Model, Penalty, Task};
use serde_json::Value;

fn golden(part: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("golden/outcomes.json")).unwrap();
    all[part].as_array().unwrap().clone()
}

fn floats(of: &Value) -> Vec<f64> {
    of.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Every figure of either is in both, and they agree to 1e-10.
fn same(ours: &Value, wanted: &Value, place: &str) {
    match (ours, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.len() == b.len() && a.keys().all(|key| b.contains_key(key)), "{place}: {ours} {wanted}");
            a.iter().for_each(|(key, value)| same(value, &b[key], &format!("{place}.{key}")));
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{place}");
            a.iter().zip(b).enumerate().for_each(|(i, (a, b))| same(a, b, &format!("{place}[{i}]")));
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() < 1e-10 * b.abs().max(1.0), "{place}: {a} instead of {b}");
        }
        _ => assert_eq!(ours, wanted, "{place}"),
    }
}

#[test]
fn numbers() {
    let cases = golden("regression");
    assert_eq!(cases.len(), 6);
    for case in cases {
        let ours = Regression::of(&floats(&case["predicted"]), &floats(&case["found"])).unwrap();
        same(&serde_json::to_value(ours).unwrap(), &case["figures"], case["name"].as_str().unwrap());
    }
}

#[test]
fn times_until_an_event() {
    let cases = golden("survival");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let cuts = floats(&case["cuts"]);
        let goal = Objective::new(Task::Events(cuts.len()), Loss::CrossEntropy, Vec::new()).with_cuts(&cuts);
        let logits: Vec<f32> = case["logits"].as_array().unwrap().iter().flat_map(floats).map(|z| z as f32).collect();
        let ours = Figures::of(&goal, &logits, &labels(&case), &[]).unwrap();
        same(&serde_json::to_value(ours).unwrap(), &case["figures"], case["name"].as_str().unwrap());
    }
}

/// Labels of times and of whether the event ended them, as a network's rows have them.
fn labels(case: &Value) -> Vec<u32> {
    let each = floats(&case["times"]).into_iter().zip(floats(&case["events"]));
    each.flat_map(|(time, event)| [(time as f32).to_bits(), event as u32]).collect()
}

/// Followed to its end, training of one linear hazard for each interval is a logistic regression of each, of the rows that were seen
/// in it.
#[test]
fn hazards_end_where_scikit_learns_logistic_regressions_do() {
    let cases = golden("hazards");
    assert_eq!(cases.len(), 2);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let cuts = floats(&case["cuts"]);
        let goal = Objective::new(Task::Events(cuts.len()), Loss::CrossEntropy, Vec::new()).with_cuts(&cuts);
        let model: Model = serde_json::from_str(r#"{"layers": ["flatten"]}"#).unwrap();
        let net = Net::new(Architecture::new(&model, &[2], cuts.len(), Penalty::default()).unwrap()).unwrap();
        let x: Vec<f64> = case["x"].as_array().unwrap().iter().flat_map(floats).collect();
        let labels = labels(&case);
        let mut work = net.workspace(labels.len() / 2);
        let (mut parameters, mut gradient) = (vec![0.0; net.parameters()], vec![0.0; net.parameters()]);
        let mut loss = f64::NAN;
        for _ in 0..3_000 {
            work.input().copy_from_slice(&x);
            loss = net.loss_and_gradient(&mut work, &parameters, &goal, &labels, None, &mut gradient);
            parameters.iter_mut().zip(&gradient).for_each(|(parameter, slope)| *parameter -= 1.5 * slope);
        }
        assert!(gradient.iter().all(|slope| slope.abs() < 1e-9), "{name}: {gradient:?}");
        let wanted = case["log_loss"].as_f64().unwrap();
        assert!((loss - wanted).abs() < 1e-9, "{name}: {loss} instead of {wanted}");
        let rows = Rows::kept(2, 2, x.iter().map(|x| *x as f32).collect(), labels);
        let parameters: Vec<f32> = parameters.iter().map(|p| *p as f32).collect();
        let ours = logits_of(&net, &parameters, &rows).unwrap();
        let wanted: Vec<f64> = case["logits"].as_array().unwrap().iter().flat_map(floats).collect();
        assert_eq!(ours.len(), wanted.len());
        let worst = ours.iter().zip(&wanted).fold(0.0, |worst: f64, (z, w)| worst.max((f64::from(*z) - w).abs()));
        assert!(worst < 1e-5, "{name}: {worst}");
    }
}

/// Harrell's C over all pairs, slowly.
fn pairs(risks: &[f64], times: &[f64], events: &[bool]) -> Option<f64> {
    let (mut right, mut all) = (0.0, 0.0);
    for a in (0..times.len()).filter(|a| events[*a]) {
        for b in (0..times.len()).filter(|b| times[*b] > times[a] || times[*b] == times[a] && !events[*b]) {
            all += 1.0;
            right += if risks[a] > risks[b] { 1.0 } else { f64::from(u8::from(risks[a] == risks[b])) / 2.0 };
        }
    }
    (all > 0.0).then(|| right / all)
}

#[test]
fn harrells_c_is_that_of_all_pairs_whatever_is_equal() {
    let mut state = 1u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for rows in 1..60 {
        let times: Vec<f64> = (0..rows).map(|_| draw(12) as f64).collect();
        let events: Vec<bool> = (0..rows).map(|_| draw(3) > 0).collect();
        let logits: Vec<f32> = (0..rows).map(|_| draw(9) as f32 - 4.0).collect();
        let risks: Vec<f64> = logits.iter().map(|z| f64::from(*z)).collect();
        let ours = Survival::of(&logits, &[5.0], &times, &events, &vec![0.0; rows]).unwrap();
        let wanted = pairs(&risks, &times, &events);
        assert!(
            ours.concordance.zip(wanted).map_or(ours.concordance == wanted, |(a, b)| (a - b).abs() < 1e-12),
            "{ours:?} {wanted:?}"
        );
    }
}

#[test]
fn what_follow_up_does_not_say_is_not_said() {
    let of = |times: &[f64], events: &[bool], cuts: &[f64]| {
        let logits = vec![-1.0; times.len() * cuts.len()];
        Survival::of(&logits, cuts, times, events, &vec![0.5; times.len()]).unwrap()
    };
    // nobody had it: there is no pair, and nothing came true
    let none = of(&[5.0, 6.0, 7.0], &[false; 3], &[4.0, 6.5]);
    assert_eq!((none.concordance, none.events, none.horizons[0].found), (None, 0, Some(0.0)));
    // whoever left before the time counts for nothing, and whoever stayed for as many more
    let said = 1.0 / (1.0 + (1f64).exp());
    let brier = none.horizons[1].brier.unwrap();
    let alive = (1.0 - said) * (1.0 - said);
    assert!((brier - (1.0 - alive).powi(2) / (1.0 / 3.0) / 3.0).abs() < 1e-12, "{brier}");
    // nobody was followed so long
    let short = of(&[1.0, 2.0], &[true, false], &[9.0]);
    assert_eq!((short.horizons[0].brier, short.horizons[0].found, short.horizons[0].beyond), (None, None, 0));
    // an event at the last time of all: the estimate has come to 0
    assert_eq!(of(&[1.0, 2.0], &[true, true], &[9.0]).horizons[0].found, Some(1.0));
    // an event at the time at which another one left is weighted by those who were followed until then
    let tied = of(&[3.0, 3.0, 8.0], &[true, false, false], &[5.0]).horizons.remove(0);
    let alive = 1.0 - said;
    assert!((tied.brier.unwrap() - (alive * alive + said * said / 0.5) / 3.0).abs() < 1e-12, "{tied:?}");
    assert_eq!(Survival::of(&[], &[1.0], &[], &[], &[]), None);
    assert_eq!(Survival::of(&[0.0], &[1.0, 2.0], &[1.0], &[true], &[0.0]), None);
    let broken = Survival::of(&[f32::NAN, 0.0], &[1.0], &[1.0, 2.0], &[true, false], &[f64::NAN, 0.0]).unwrap();
    let broken = serde_json::to_value(broken).unwrap();
    assert!(broken["concordance"].is_null() && broken["log_loss"].is_null(), "{broken}");
}

#[test]
fn nothing_is_said_of_nothing_and_what_is_no_number_is_null() {
    assert_eq!(Regression::of(&[], &[]), None);
    assert_eq!(Regression::of(&[1.0], &[1.0, 2.0]), None);
    let broken = serde_json::to_value(Regression::of(&[f64::NAN, 1.0], &[1.0, 2.0])).unwrap();
    assert!(["mae", "rmse", "r2", "bias", "slope"].iter().all(|figure| broken[figure].is_null()), "{broken}");
}
