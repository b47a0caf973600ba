//! Figures against those of scikit-learn, scipy and definitions over all pairs: tests/golden/metrics.py.

use super::super::{bootstrap::quantile, paired_mean::student, *};
use serde_json::{json, Value};

fn golden(part: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../../../tests/golden/metrics.json")).unwrap();
    all[part].as_array().unwrap().clone()
}

fn floats(of: &Value) -> Vec<f64> {
    of.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The script makes only logits that `f32` holds.
fn logits(of: &Value) -> Vec<f32> {
    let narrow = |v: f64| {
        assert_eq!(f64::from(v as f32), v);
        v as f32
    };
    floats(of).into_iter().map(narrow).collect()
}

fn bools(of: &Value) -> Vec<bool> {
    of.as_array().unwrap().iter().map(|v| v == 1).collect()
}

/// Every figure of either is in both, and they agree to 1e-10.
fn same(ours: &Value, wanted: &Value, place: &str) {
    match (ours, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            let keys =
                |of: &serde_json::Map<String, Value>| of.keys().cloned().collect::<std::collections::BTreeSet<_>>();
            assert_eq!(keys(a), keys(b), "{place}");
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

fn value(of: impl Serialize) -> Value {
    serde_json::to_value(of).unwrap()
}

#[test]
fn two_classes_from_logits() {
    for case in golden("binary") {
        let (z, labels, name) = (logits(&case["logits"]), bools(&case["labels"]), case["name"].as_str().unwrap());
        same(&json!(validated_cut(&z, &labels)), &case["validated_cut"], name);
        let ours = Metrics::with_cut(&z, &labels, case["cut"].as_f64()).unwrap();
        same(&value(&ours), &case["metrics"], name);
        assert_eq!(Metrics { at_cut: None, ..ours }, Metrics::of(&z, &labels).unwrap());
    }
}

#[test]
fn two_classes_from_probabilities() {
    for case in golden("probabilities") {
        let (p, labels, name) =
            (floats(&case["probabilities"]), bools(&case["labels"]), case["name"].as_str().unwrap());
        same(&json!(validated_cut_of_probabilities(&p, &labels)), &case["validated_cut"], name);
        same(&value(Metrics::of_probabilities(&p, &labels, case["cut"].as_f64())), &case["metrics"], name);
    }
}

#[test]
fn two_models_on_the_same_rows() {
    for case in golden("paired") {
        let labels = bools(&case["labels"]);
        let ours = PairedAuc::of(&logits(&case["first"]), &logits(&case["second"]), &labels);
        same(&value(ours), &case["paired"], case["name"].as_str().unwrap());
    }
}

#[test]
fn several_classes() {
    for case in golden("multi_class") {
        let labels: Vec<usize> = floats(&case["labels"]).into_iter().map(|l| l as usize).collect();
        let classes = case["classes"].as_u64().unwrap() as usize;
        let ours = MultiClass::of(&logits(&case["logits"]), classes, &labels);
        same(&value(ours), &case["metrics"], case["name"].as_str().unwrap());
    }
}

#[test]
fn several_labels() {
    for case in golden("multi_label") {
        let width = case["width"].as_u64().unwrap() as usize;
        let ours = MultiLabel::of(&logits(&case["logits"]), width, &bools(&case["labels"]));
        same(&value(ours), &case["metrics"], case["name"].as_str().unwrap());
    }
}

/// Groups by their numbers.
fn groups(of: &Value) -> Vec<[u8; 32]> {
    let group = |number: f64| *blake3::hash(&number.to_le_bytes()).as_bytes();
    floats(of).into_iter().map(group).collect()
}

#[test]
fn the_means_of_two_models_on_the_same_rows() {
    for case in golden("paired_mean") {
        let ours = PairedMean::of(&floats(&case["first"]), &floats(&case["second"]), &groups(&case["groups"]));
        same(&value(ours), &case["paired"], case["name"].as_str().unwrap());
    }
    assert_eq!(PairedMean::of(&[], &[], &[]), None);
    assert_eq!(PairedMean::of(&[1.0], &[1.0, 2.0], &[[0; 32]]), None);
    let endless: Vec<f64> = (0..20).map(|n| if n == 3 { f64::INFINITY } else { 1.0 }).collect();
    let all: Vec<[u8; 32]> = (0..20).map(|n| [n; 32]).collect();
    let odd = PairedMean::of(&endless, &[0.5; 20], &all).unwrap();
    assert_eq!((odd.difference, odd.interval), (f64::INFINITY, None));
    for pair in golden("student") {
        let (degrees, wanted) = (pair[0].as_u64().unwrap() as usize, pair[1].as_f64().unwrap());
        assert!((student(degrees) / wanted - 1.0).abs() < 1e-9, "{degrees}: {}", student(degrees));
    }
}

#[test]
fn rows_of_one_patient_are_taken_together() {
    for case in golden("clustered") {
        let (labels, groups, name) = (bools(&case["labels"]), groups(&case["groups"]), case["name"].as_str().unwrap());
        let (first, second) = (logits(&case["first"]), logits(&case["second"]));
        let ours = Metrics::by_group(&first, &labels, None, Some(&groups)).unwrap();
        same(&json!([ours.auc, ours.auc_interval]), &json!([case["auc"], case["interval"]]), name);
        let plain = Metrics::of(&first, &labels).unwrap();
        // with one row to a patient nothing changes, to the last bit
        assert_eq!(plain == ours, name == "alone", "{name}");
        let paired = PairedAuc::by_group(&first, &second, &labels, &groups).unwrap();
        let found = json!([paired.difference, paired.standard_error, paired.interval]);
        same(&found, &json!([case["difference"], case["standard_error"], case["paired"]]), name);
    }
}

#[test]
fn logits_are_recalibrated_by_the_highest_likelihood() {
    for case in golden("recalibrated") {
        let (z, labels, name) = (floats(&case["logits"]), bools(&case["labels"]), case["name"].as_str().unwrap());
        let ours = value(Calibration::of(&z, &labels));
        let wanted = &case["calibration"];
        for key in ["slope", "intercept"] {
            let (a, b) = (ours[key].as_f64().unwrap(), wanted[key].as_f64().unwrap());
            assert!((a - b).abs() < 1e-8 * b.abs().max(1.0), "{name}: {key} {a} instead of {b}");
        }
        if let Some(b) = wanted["in_the_large"].as_f64() {
            let a = ours["in_the_large"].as_f64().unwrap();
            assert!((a - b).abs() < 1e-8, "{name}: {a} instead of {b}");
        }
    }
}

#[test]
fn the_highest_cut_with_a_wanted_sensitivity() {
    for case in golden("sensitivity") {
        let (p, labels) = (floats(&case["probabilities"]), bools(&case["labels"]));
        for pair in case["cuts"].as_array().unwrap() {
            let (wanted, cut) = (pair[0].as_f64().unwrap(), pair[1].as_f64().unwrap());
            let found = cut_of_sensitivity(&p, &labels, wanted).unwrap();
            assert!((found - cut).abs() < 1e-12, "{wanted}: {found} instead of {cut}");
        }
    }
}

#[test]
fn quantiles_are_those_of_numpy() {
    for case in golden("quantiles") {
        for pair in case["quantiles"].as_array().unwrap() {
            let found = quantile(&floats(&case["values"]), pair[0].as_f64().unwrap());
            assert!((found - pair[1].as_f64().unwrap()).abs() < 1e-12, "{pair}: {found}");
        }
    }
}

#[test]
fn the_complementary_error_function_is_right_far_out_too() {
    for pair in golden("erfc") {
        let (x, wanted) = (pair[0].as_f64().unwrap(), pair[1].as_f64().unwrap());
        assert!((libm::erfc(x) / wanted - 1.0).abs() < 1e-12, "{x}: {} instead of {wanted}", libm::erfc(x));
    }
}

#[test]
fn the_file_says_what_made_it() {
    let all: Value = serde_json::from_str(include_str!("../../../../tests/golden/metrics.json")).unwrap();
    for program in ["python", "numpy", "scikit_learn", "scipy", "statsmodels"] {
        assert!(all["made_by"][program].is_string(), "{program}");
    }
}

#[test]
fn curves_of_two_classes() {
    let all: Value = serde_json::from_str(include_str!("../../../../tests/golden/curves.json")).unwrap();
    for case in all["cases"].as_array().unwrap() {
        let (z, labels, name) = (floats(&case["logits"]), bools(&case["labels"]), case["name"].as_str().unwrap());
        let p: Vec<f64> = z.iter().map(|z| crate::learn::loss::sigmoid(*z)).collect();
        let ours = curves(&z, &p, &labels, true).unwrap();
        same(&value(&ours), &case["curves"], name);
        let flat = curves(&z, &p, &labels, false).unwrap();
        assert_eq!((flat.slope, flat.in_the_large, flat.roc), (None, None, ours.roc), "outputs that are no logits");
    }
}

#[test]
fn of_fewer_than_fifty_rows_of_a_class_there_are_no_curves() {
    let labels = |positives: usize| (0..150).map(|n| n < positives).collect::<Vec<bool>>();
    let z: Vec<f64> = (0..150).map(|n| f64::from(n % 17) - 8.0).collect();
    let p: Vec<f64> = z.iter().map(|z| crate::learn::loss::sigmoid(*z)).collect();
    for (positives, some) in [(49, false), (50, true), (100, true), (101, false), (0, false)] {
        assert_eq!(curves(&z, &p, &labels(positives), true).is_some(), some, "{positives}");
    }
    assert_eq!(curves(&[f64::NAN], &[0.5], &[true], true), None);
}
