//! One update of finite but enormous numbers: what it can do to a merge.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use consilium_aggregation::{
    blob_hash, merge, model::LARGEST, verify_update, FileError, FilesError, Layout, MergeError, ModelFile, TensorShape,
};
use consilium_primitives::{
    rules::{Adaptive, NormBound, ServerOptimizer, MAX_ROUNDS},
    Hash, Merge, MergeRule, Weighting,
};
use std::fs;

fn merged(way: &Merge, huge: f32) -> Result<f32, MergeError> {
    let honest: Vec<[f32; 2]> = (0..6).map(|i| [0.1 * i as f32, 1.0]).collect();
    let lie = [huge, -huge];
    let inputs: Vec<(&[f32], u32)> = honest.iter().map(|x| (&x[..], 1)).chain([(&lie[..], 1)]).collect();
    Ok(merge(way, &inputs, &[0.25, 1.0], &[])?.model[0])
}

fn optimisers() -> [ServerOptimizer; 4] {
    let adaptive = Adaptive { rate: 10_000, beta1: 900_000, beta2: 990_000, tau: 1_000 };
    [
        ServerOptimizer::Momentum { rate: 2_000_000, beta: 900_000 },
        ServerOptimizer::Adam(adaptive),
        ServerOptimizer::Yogi(adaptive),
        ServerOptimizer::Adagrad(adaptive),
    ]
}

#[test]
fn finite_updates_can_be_merged_however_large_one_is() {
    for huge in [1e30, f32::MAX] {
        for bound in [None, Some(NormBound::Median), Some(NormBound::Fixed(1_000_000))] {
            let mean = Merge { bound, ..Merge::by(MergeRule::Mean(Weighting::Equal)) };
            merged(&mean, huge).unwrap();
        }
    }
}

/// One update of such numbers moves nothing out of where the others are, with any mixing and optimiser.
fn stays_with_the_others(rule: &MergeRule, bounds: &[Option<NormBound>], huge: &[f32]) {
    for bound in bounds {
        for (mixing, server) in [false, true].into_iter().flat_map(|mixing| {
            let servers = [None].into_iter().chain(optimisers().map(Some));
            servers.map(move |server| (mixing, server))
        }) {
            let way = Merge { liars: 2, mixing, bound: *bound, server, ..Merge::by(rule.clone()) };
            for huge in huge {
                let found = merged(&way, *huge).unwrap_or_else(|error| panic!("{way:?}, {huge}: {error}"));
                assert!((-1.0..2.0).contains(&found), "{way:?}, {huge}: {found}");
            }
        }
    }
}

const BOUNDS: [Option<NormBound>; 3] = [None, Some(NormBound::Median), Some(NormBound::Fixed(1_000_000))];

#[test]
fn rules_that_tolerate_a_liar_stay_with_the_others_however_large_its_numbers_are() {
    let huge = [1e3, 1e19, 1e30, f32::MAX];
    for rule in [
        MergeRule::Median(Weighting::Equal),
        MergeRule::TrimmedMean,
        MergeRule::Krum { keep: 1 },
        MergeRule::Krum { keep: 4 },
    ] {
        stays_with_the_others(&rule, &BOUNDS, &huge);
    }
    let geometric = MergeRule::GeometricMedian(Weighting::Equal);
    stays_with_the_others(&geometric, &BOUNDS[1..], &huge);
    stays_with_the_others(&geometric, &BOUNDS[..1], &[1e3, 1e19]);
}

#[test]
fn a_geometric_median_stays_with_the_others_however_large_one_update_is() {
    stays_with_the_others(&MergeRule::GeometricMedian(Weighting::Equal), &BOUNDS[..1], &[1e30, f32::MAX]);
}

/// Were such an update taken, nobody could merge, and nobody could say whose it is.
#[test]
fn an_update_of_numbers_that_an_optimiser_could_not_remember_is_invalid_by_name() {
    let layout = Layout::new(vec![TensorShape::new("a", vec![1]), TensorShape::new("b", vec![2])]).unwrap();
    let duty = Hash::repeat_byte(3);
    let above = f32::from_bits(LARGEST.to_bits() + 1);
    for huge in [above, -above, 1e30, f32::MAX] {
        let update = ModelFile { layout: layout.clone(), duty: Some(duty), data: vec![1.0, 2.0, huge] };
        let wrong = FileError::TooLarge { tensor: "b".into(), index: 1, value: f64::from(huge) };
        assert_eq!(update.encode(), Err(wrong.clone()));
        // as a liar writes it
        let mut bytes = ModelFile { data: vec![1.0, 2.0, 3.0], ..update }.encode().unwrap();
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&huge.to_le_bytes());
        assert_eq!(ModelFile::decode_update(&bytes, &layout, &duty), Err(wrong.clone()));
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("update");
        fs::write(&path, &bytes).unwrap();
        let looked = verify_update(&path, &layout, &duty, &blob_hash(&bytes));
        assert!(matches!(looked, Err(FilesError::Input { error, .. }) if error == wrong), "{huge}");
    }
    // a merged model may hold what came of them
    ModelFile { layout, duty: None, data: vec![1.0, 2.0, above] }.encode().unwrap();
}

/// The largest numbers there can be, over all rounds of the longest study.
#[test]
fn an_optimiser_on_a_mean_can_be_merged_with_the_largest_numbers_over_a_thousand_rounds() {
    for server in optimisers() {
        let way = Merge { server: Some(server), ..Merge::by(MergeRule::Mean(Weighting::Equal)) };
        let (mut base, mut state) = (vec![0f32], Vec::new());
        for round in 0..MAX_ROUNDS {
            let lie = [if round % 2 == 0 { LARGEST } else { -LARGEST }];
            let merged = merge(&way, &[(&lie, 1)], &base, &state).unwrap_or_else(|error| panic!("{server:?}: {error}"));
            (base, state) = (merged.model, merged.state);
        }
    }
}
