//! Files, means and statistics against numbers made by `golden/make.py` (numpy, Python floats, the blake3 package).
#![allow(clippy::unwrap_used)]

use consilium_aggregation::{
    blob_hash, merge, FileError, Layout, MergeError, ModelFile, Statistics, StatisticsError, TensorShape, MIN_ROWS,
};
use consilium_primitives::{Hash, Merge, MergeRule, Weighting};
use proptest::prelude::*;
use serde_json::Value;

const DUTY: Hash = Hash::repeat_byte(0x11);

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/golden.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn layout() -> Layout {
    let tensor = |name: &str, shape: &[usize]| TensorShape::new(name, shape);
    Layout::new(vec![tensor("layer00.weight", &[2, 3]), tensor("layer00.bias", &[2]), tensor("Z", &[1])]).unwrap()
}

fn file(duty: Option<Hash>) -> ModelFile {
    ModelFile { layout: layout(), duty, data: vec![1.5, -0.25, 3e-41, 2., -1e15, 0., 7., 1e-3, -4.] }
}

/// The generator of `make.py`.
fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut x = seed;
    (0..n)
        .map(|_| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((x >> 40) as f64 / f64::from(1u32 << 24) - 0.5) as f32
        })
        .collect()
}

fn in_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// The mean, of updates of a model of zeros.
fn mean(inputs: &[(&[f32], u32)]) -> Result<Vec<f32>, MergeError> {
    let base = vec![0.0; inputs.first().map_or(0, |(data, _)| data.len())];
    Ok(merge(&Merge::by(MergeRule::Mean(Weighting::Samples)), inputs, &base, &[])?.model)
}

#[test]
fn model_files_are_the_bytes_that_python_writes() {
    for (name, duty) in [("update", Some(DUTY)), ("merged", None)] {
        let encoded = file(duty).encode().unwrap();
        assert_eq!(encoded, bytes(&golden()[name]["bytes"]), "{name}");
        assert_eq!(hex::encode(blob_hash(&encoded)), golden()[name]["blake3"].as_str().unwrap());
        assert_eq!(encoded.len() as u64, layout().file_len(duty.is_some()));
        assert_eq!(ModelFile::decode(&encoded, &layout()).unwrap(), file(duty));
    }
    assert_eq!(Layout::declared(&file(None).encode().unwrap()).unwrap(), layout());
}

#[test]
fn every_changed_byte_of_a_header_is_refused() {
    let good = file(Some(DUTY)).encode().unwrap();
    let start = good.len() - 9 * 4;
    for at in 0..start {
        for change in [1u8, 0x20, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= change;
            // a changed digit of the duty is another duty
            assert!(ModelFile::decode_update(&bad, &layout(), &DUTY).is_err(), "byte {at} ^ {change:#x}");
        }
    }
}

#[test]
fn files_of_another_length_duty_or_layout_are_refused() {
    let update = file(Some(DUTY)).encode().unwrap();
    let merged = file(None).encode().unwrap();
    let wrong = |bytes: &[u8]| ModelFile::decode(bytes, &layout()).unwrap_err();
    assert!(matches!(wrong(&update[..update.len() - 1]), FileError::Length { .. }));
    assert!(matches!(wrong(&[&update[..], &[0]].concat()), FileError::Length { .. }));
    assert!(matches!(wrong(&[]), FileError::Length { .. } | FileError::Syntax(_) | FileError::Header { .. }));
    assert!(matches!(
        ModelFile::decode_update(&update, &layout(), &Hash::repeat_byte(0x12)),
        Err(FileError::Duty { .. })
    ));
    assert!(matches!(ModelFile::decode_update(&merged, &layout(), &DUTY), Err(FileError::Duty { .. })));
    assert!(matches!(ModelFile::decode_merged(&update, &layout()), Err(FileError::Duty { .. })));
    let other = Layout::new(vec![TensorShape::new("Z", [9])]).unwrap();
    assert!(ModelFile::decode(&update, &other).is_err());
}

#[test]
fn numbers_that_are_not_finite_are_named_by_tensor_and_place() {
    let mut bad = file(None);
    bad.data[8] = f32::NAN;
    match bad.encode().unwrap_err() {
        FileError::NotFinite { tensor, index, .. } => assert_eq!((tensor.as_str(), index), ("layer00.weight", 5)),
        other => panic!("{other}"),
    }
    let mut bytes = file(None).encode().unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert!(matches!(ModelFile::decode(&bytes, &layout()), Err(FileError::NotFinite { index: 5, .. })));
}

#[test]
fn a_mean_has_the_bits_of_numpy_at_one_two_and_four_threads() {
    let golden = &golden()["mean"];
    let weights: Vec<u32> = golden["weights"].as_array().unwrap().iter().map(|w| w.as_u64().unwrap() as u32).collect();
    let inputs: Vec<Vec<f32>> = (0..weights.len()).map(|s| numbers(s as u64, 200_003)).collect();
    let inputs: Vec<(&[f32], u32)> = inputs.iter().map(Vec::as_slice).zip(weights).collect();
    for threads in [1, 2, 4] {
        let merged = in_threads(threads, || mean(&inputs).unwrap());
        let bytes: Vec<u8> = merged.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(hex::encode(blob_hash(&bytes)), golden["blake3"].as_str().unwrap(), "{threads} threads");
    }
}

#[test]
fn a_mean_of_huge_tiny_and_negative_zeros_has_the_bits_of_numpy() {
    let golden = &golden()["odd"];
    let bits = |v: &Value| -> Vec<u32> { v.as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u32).collect() };
    let floats = |v: &Value| -> Vec<f32> { bits(v).into_iter().map(f32::from_bits).collect() };
    let inputs: Vec<Vec<f32>> = golden["inputs"].as_array().unwrap().iter().map(floats).collect();
    let inputs: Vec<(&[f32], u32)> = inputs.iter().map(Vec::as_slice).zip(bits(&golden["weights"])).collect();
    let merged: Vec<u32> = mean(&inputs).unwrap().into_iter().map(f32::to_bits).collect();
    assert_eq!(merged, bits(&golden["mean"]));
}

#[test]
fn what_cannot_be_merged_is_named() {
    let (a, b) = ([1f32, 2.], [1f32]);
    assert_eq!(mean(&[]), Err(MergeError::NoInputs));
    assert_eq!(mean(&[(&a, 1), (&b, 1)]), Err(MergeError::Length { input: 1, expected: 2, found: 1 }));
    assert_eq!(mean(&[(&a, 0)]), Err(MergeError::Weight { input: 0, weight: 0 }));
    assert_eq!(mean(&[(&a, 1), (&a, 1 << 29)]), Err(MergeError::Weight { input: 1, weight: 1 << 29 }));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = mean(&[(&a, 1), (&[0., bad], 1)]).unwrap_err();
        assert!(error.to_string().contains("input 1") && error.to_string().contains("index 1"), "{error}");
    }
}

#[test]
fn merged_statistics_have_the_bytes_of_python() {
    let golden = &golden()["statistics"];
    let rows: Vec<usize> = golden["rows"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    let parts: Vec<Statistics> = rows
        .iter()
        .zip(90u64..)
        .map(|(n, seed)| Statistics::of_columns(&[numbers(seed, *n).into_iter().map(f64::from).collect::<Vec<_>>()]))
        .collect();
    let merged = Statistics::merge(&parts).unwrap();
    let file = merged.encode(None).unwrap();
    assert_eq!(file, bytes(&golden["bytes"]));
    assert_eq!(file.len() as u64, Statistics::file_len(1).unwrap());
    assert_eq!(merged.encode(Some(&DUTY)).unwrap().len(), file.len());
    assert_eq!(Statistics::decode(&file, 1, None).unwrap(), merged);
    assert!(Statistics::decode(&file, 1, Some(&DUTY)).is_err());
    assert!(Statistics::decode(&file, 2, None).is_err());
    assert!(Statistics::decode(&file[1..], 1, None).is_err());
}

#[test]
fn a_column_of_equal_values_has_no_deviation_at_any_site_nor_in_the_merge() {
    // 0.1 has no exact double, and neither has its sum over 140 rows
    for value in [0.1, -1e-3, 1e9 / 3.0, 7.7e120] {
        let parts = [140, 25, 33].map(|n| Statistics::of_columns(&[vec![value; n]]));
        let merged = Statistics::merge(&parts).unwrap();
        for s in parts.iter().chain([&merged]) {
            assert_eq!((s.mean[0], s.m2[0], s.deviation()[0]), (value, 0.0, 1.0));
        }
        assert_eq!(merged.count[0], 198.0);
    }
}

/// Which are constant but for rounding: the first three also to scikit-learn 1.9's StandardScaler (their scale_ is 1); the
/// fourth is a number that one site writes in full and another rounded to 32 bits, numpy.float32(14.62) as a double.
#[test]
fn a_column_that_is_constant_but_for_rounding_has_no_deviation() {
    let n = 100;
    let half = |a: f64, b: f64| (0..n).map(|row| if row % 2 == 0 { a } else { b }).collect::<Vec<_>>();
    for (a, b) in
        [(0.1, 0.1 + 1.4e-17), (1e9, 1e9 + 1.2e-7), (-3.3, -3.300_000_000_000_001), (14.62, 14.619_999_885_559_082)]
    {
        assert!(a != b);
        let own = Statistics::of_columns(&[half(a, b)]);
        assert_eq!(own.deviation()[0], 1.0, "{a} {b}");
        // one spelling at each site
        let parts = [a, b].map(|value| Statistics::of_columns(&[vec![value; n]]));
        assert_eq!(Statistics::merge(&parts).unwrap().deviation()[0], 1.0, "{a} {b}");
    }
    for (a, b) in [(14.62, 14.63), (1e9, 1e9 + 400.0), (0.0, 1e-100), (-1e-9, 1e-9)] {
        let deviation = Statistics::of_columns(&[half(a, b)]).deviation()[0];
        assert!((deviation / ((b - a) / 2.0) - 1.0).abs() < 1e-6, "{a} {b}: {deviation}");
    }
}

#[test]
fn columns_of_too_few_values_are_withheld() {
    let some = |n: usize| vec![3.5; n];
    let part = Statistics::of_columns(&[some(MIN_ROWS - 1), some(MIN_ROWS)]);
    assert_eq!((part.count[0], part.mean[0], part.m2[0]), (0.0, 0.0, 0.0));
    assert_eq!((part.count[1], part.mean[1], part.deviation()[1]), (20.0, 3.5, 1.0));
    let merged = Statistics::merge(&[part.clone(), part]).unwrap();
    assert_eq!(merged.count, [0.0, 40.0]);
    assert_eq!(Statistics::merge(&[]), Err(StatisticsError::NoInputs));
    // at the site itself nothing is
    let own = Statistics::own(&[vec![3.0, 5.0], vec![]]);
    assert_eq!((own.count, own.mean, own.m2), (vec![2.0, 0.0], vec![4.0, 0.0], vec![2.0, 0.0]));
}

#[test]
fn no_site_can_make_the_others_merge_overflow() {
    let with = |count, mean, m2| Statistics { count: vec![count], mean: vec![mean], m2: vec![m2] };
    // one step beyond is refused in a site's file, by whoever reads it
    for liar in
        [with(f64::from(1 << 29), 0., 0.), with(20., 1.1e140, 0.), with(20., -1.1e140, 0.), with(20., 0., 1.1e290)]
    {
        assert!(matches!(liar.encode(Some(&DUTY)), Err(FileError::Statistics { column: 0, .. })), "{liar:?}");
        let mut bytes = with(1., 0., 0.).encode(Some(&DUTY)).unwrap();
        let end = bytes.len();
        for (place, number) in [(24, liar.count[0]), (16, liar.m2[0]), (8, liar.mean[0])] {
            bytes[end - place..end - place + 8].copy_from_slice(&number.to_le_bytes());
        }
        assert!(matches!(Statistics::decode(&bytes, 1, Some(&DUTY)), Err(FileError::Statistics { column: 0, .. })));
    }
    // the largest that are taken, from 64 sites
    let largest: Vec<Statistics> = (0..64)
        .map(|n| with(f64::from((1u32 << 29) - 1), if n % 2 == 0 { 1e140 } else { -1e140 }, 1e290))
        .inspect(|s| assert!(s.encode(Some(&DUTY)).is_ok()))
        .collect();
    let merged = Statistics::merge(&largest).unwrap();
    assert_eq!(Statistics::decode(&merged.encode(None).unwrap(), 1, None).unwrap(), merged);
}

#[test]
fn impossible_statistics_are_refused() {
    let with = |count, mean, m2| Statistics { count: vec![count], mean: vec![mean], m2: vec![m2] };
    for bad in [with(1.5, 0., 0.), with(-1., 0., 0.), with(3., 0., -1.), with(0., 1., 0.), with(3., f64::NAN, 0.)] {
        assert!(bad.encode(None).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn equal_inputs_give_themselves_and_coordinates_do_not_mix(
        data in prop::collection::vec(-1e30f32..1e30, 1..50),
        weights in prop::collection::vec(1u32..(1 << 29), 1..8),
        turn in 0usize..50,
    ) {
        let inputs: Vec<(&[f32], u32)> = weights.iter().map(|w| (data.as_slice(), *w)).collect();
        let positive: Vec<f32> = data.iter().map(|x| x + 0.0).collect();
        prop_assert_eq!(mean(&inputs).unwrap(), positive);
        let other: Vec<f32> = data.iter().rev().copied().collect();
        let mut merged = mean(&[(&data, 3), (&other, 5)]).unwrap();
        let turned = |v: &[f32]| { let mut v = v.to_vec(); v.rotate_left(turn % data.len()); v };
        merged.rotate_left(turn % data.len());
        prop_assert_eq!(mean(&[(&turned(&data), 3), (&turned(&other), 5)]).unwrap(), merged);
    }
}
