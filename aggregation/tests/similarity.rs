//! What people are told about a round's updates, against sums written out plainly.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use consilium_aggregation::{
    blob::blob_ref, compare_files, merge_files, Gram, InputFile, Layout, ModelFile, Plan, TensorShape,
};
use consilium_primitives::{rules::NormBound, Hash, Marks, Merge, MergeRule, Weighting};
use std::fs::{self, File};

/// Longer than what is read at a time, and no multiple of anything.
const LEN: usize = 70_001;

fn made(seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..LEN).map(|_| next()).collect()
}

fn product(a: &[f32], b: &[f32], base: &[f32]) -> f64 {
    let step = |x: &f32, w: &f32| f64::from(*x) - f64::from(*w);
    a.iter().zip(b).zip(base).map(|((x, y), w)| step(x, w) * step(y, w)).sum()
}

fn near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 1e-11 * wanted.abs().max(1.0), "{found}, expected {wanted}");
}

#[test]
fn lengths_cosines_and_copies_are_those_of_plain_sums_whether_or_not_the_merge_has_products_already() {
    let base = made(1);
    let mut updates: Vec<Vec<f32>> = (2..6).map(made).collect();
    // a copy but for a little, and one that has not moved
    updates.push(updates[1].iter().map(|x| x * 1.0001).collect());
    updates.push(base.clone());
    let layout = Layout::new(vec![TensorShape::new("w", vec![LEN])]).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let write = |name: &str, duty: Option<Hash>, data: &[f32]| {
        let bytes = ModelFile { layout: layout.clone(), duty, data: data.to_vec() }.encode().unwrap();
        let path = scratch.path().join(name);
        fs::write(&path, &bytes).unwrap();
        (path, blob_ref(&bytes))
    };
    let inputs: Vec<InputFile> = updates
        .iter()
        .zip(1u8..)
        .map(|(data, number)| {
            let duty = Hash::repeat_byte(number);
            let (path, blob) = write(&format!("u{number}"), Some(duty), data);
            InputFile { path, blob, duty, weight: 3 }
        })
        .collect();
    let (base_file, _) = write("base", None, &base);
    for rule in [MergeRule::Mean(Weighting::Samples), MergeRule::GeometricMedian(Weighting::Samples)] {
        let path = scratch.path().join("merged");
        let out = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let merged = merge_files(&Merge::by(rule), &inputs, &base_file, &layout, (&out, &path)).unwrap();
        let model = ModelFile::decode(&fs::read(&path).unwrap(), &layout).unwrap().data;
        let seen = compare_files(&inputs, &base_file, &path, &layout, &layout, merged.gram.as_ref()).unwrap();
        let length = |x: &[f32]| product(x, x, &base).sqrt();
        near(seen.merged_norm, length(&model));
        for (place, update) in updates.iter().enumerate() {
            near(seen.norms[place], length(update));
            match seen.cosines[place] {
                Some(cosine) => near(cosine, product(update, &model, &base) / length(update) / length(&model)),
                None => assert_eq!(place, 5, "only what has not moved has no direction"),
            }
        }
        assert_eq!(seen.cosines[5], None);
        assert_eq!(seen.alike, [(1, 4)]);
    }
}

#[test]
fn a_matrix_that_grows_by_a_row_is_that_of_all_rows() {
    let base = made(9);
    let updates: Vec<Vec<f32>> = (10..14).map(made).collect();
    let data: Vec<&[f32]> = updates.iter().map(Vec::as_slice).collect();
    let mut whole = Gram::new(4);
    whole.add(&data, &base);
    let mut some = Gram::new(3);
    some.add(&data[..3], &base);
    let mut grown = some.grown();
    grown.add(&data, &base);
    for i in 0..4 {
        for j in 0..4 {
            assert_eq!(grown.at(i, j).to_bits(), whole.at(i, j).to_bits());
        }
    }
}

#[test]
fn marks_say_who_was_left_out_and_who_was_shortened() {
    let base = vec![0f32; 4];
    let updates = [[1f32; 4], [1.1; 4], [0.9; 4], [1.05; 4], [40.0; 4]];
    let data: Vec<&[f32]> = updates.iter().map(|update| update.as_slice()).collect();
    let mut gram = Gram::new(5);
    gram.add(&data, &base);
    let marks = |merge: &Merge| Plan::new(merge, &[1; 5], Some(&gram)).marks();
    let krum = |keep| Merge { liars: 1, ..Merge::by(MergeRule::Krum { keep }) };
    assert_eq!(marks(&krum(4)), Marks { left_out: 0b10000, shortened: 0 });
    assert_eq!(marks(&krum(1)).left_out.count_ones(), 4);
    let mean = Merge::by(MergeRule::Mean(Weighting::Equal));
    assert_eq!(marks(&mean), Marks::default());
    // the middle length is that of 1.05
    let bound = Merge { bound: Some(NormBound::Median), ..mean };
    assert_eq!(marks(&bound), Marks { left_out: 0, shortened: 0b10010 });
    // a rule that decides by coordinate leaves nobody out as a whole
    let median = Merge { liars: 2, ..Merge::by(MergeRule::Median(Weighting::Equal)) };
    assert_eq!(marks(&median), Marks::default());
}
