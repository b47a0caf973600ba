//! Figures of outcomes that are no classes, against those of golden/outcomes.py.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::learn::metrics::Regression;
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
fn nothing_is_said_of_nothing_and_what_is_no_number_is_null() {
    assert_eq!(Regression::of(&[], &[]), None);
    assert_eq!(Regression::of(&[1.0], &[1.0, 2.0]), None);
    let broken = serde_json::to_value(Regression::of(&[f64::NAN, 1.0], &[1.0, 2.0])).unwrap();
    assert!(["mae", "rmse", "r2", "bias", "slope"].iter().all(|figure| broken[figure].is_null()), "{broken}");
}
