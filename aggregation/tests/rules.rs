//! Every rule against numbers made elsewhere, at several numbers of threads, from memory and from files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use consilium_aggregation::{
    blob::blob_ref, blob_hash, merge, merge_files, verify_update, FileError, FilesError, Gram, InputFile, Layout,
    MergeError, ModelFile, Plan, Server, TensorShape,
};
use consilium_primitives::{
    rules::{Adaptive, NormBound, ServerOptimizer},
    Hash, Merge, MergeRule, Weighting,
};
use serde_json::Value;
use std::fs::{self, File};

/// Numbers that came with the project's facts: plain numpy, held against Flower's and ByzFL's code.
const SHARED: &str = include_str!("golden/aggregation.json");

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

const ELEMENTS: usize = 70_003;

fn layout() -> Layout {
    Layout::new(vec![TensorShape::new("a", [ELEMENTS - 3]), TensorShape::new("b", [3])]).unwrap()
}

struct Case {
    updates: Vec<Vec<f32>>,
    weights: Vec<u32>,
    base: Vec<f32>,
    state: Vec<f32>,
}

fn case(merge: &Merge) -> Case {
    let updates = (1..=7).map(|seed| made(seed, ELEMENTS)).collect();
    let state = made(90, ELEMENTS * merge.moments() as usize).iter().map(|x| x.abs()).collect();
    let counted = merge.weighting() == Some(&Weighting::Samples);
    let weights = if counted { vec![30, 11, 7, 150, 90, 41, 3] } else { vec![1; 7] };
    Case { updates, weights, base: made(99, ELEMENTS), state }
}

fn in_memory(way: &Merge, case: &Case) -> Vec<f32> {
    let inputs: Vec<(&[f32], u32)> = case.updates.iter().map(Vec::as_slice).zip(case.weights.iter().copied()).collect();
    let merged = merge(way, &inputs, &case.base, &case.state).unwrap();
    [merged.model, merged.state].concat()
}

fn in_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// The case's files in a folder.
fn files(way: &Merge, layout: &Layout, case: &Case, dir: &std::path::Path) -> (Vec<InputFile>, std::path::PathBuf) {
    let inputs = case.updates.iter().zip(&case.weights).enumerate().map(|(i, (data, weight))| {
        let duty = Hash::repeat_byte(i as u8 + 1);
        let bytes = ModelFile { layout: layout.clone(), duty: Some(duty), data: data.clone() }.encode().unwrap();
        let path = dir.join(i.to_string());
        fs::write(&path, &bytes).unwrap();
        InputFile { path, blob: blob_ref(&bytes), duty, weight: *weight }
    });
    let whole = layout.with_state(way.moments()).unwrap();
    let data = [case.base.as_slice(), &case.state].concat();
    let base = dir.join("base");
    fs::write(&base, ModelFile { layout: whole, duty: None, data }.encode().unwrap()).unwrap();
    (inputs.collect(), base)
}

fn from_files(
    way: &Merge,
    layout: &Layout,
    inputs: &[InputFile],
    base: &std::path::Path,
) -> Result<(Hash, Vec<u8>), FilesError> {
    let path = base.with_file_name("merged");
    let out = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    let merged = merge_files(way, inputs, base, layout, (&out, &path))?;
    let bytes = fs::read(&path).unwrap();
    assert_eq!(blob_ref(&bytes), merged.blob);
    Ok((merged.blob.root, bytes))
}

/// Hashes of the merged files. They must never change: a new number here is another merge than the one people agreed on.
#[test]
fn every_way_to_merge_has_the_same_bits_from_memory_from_files_and_at_any_number_of_threads() {
    let golden: Value = serde_json::from_str(include_str!("golden/merges.json")).unwrap();
    let mut found = serde_json::Map::new();
    for (name, way) in ways() {
        let case = case(&way);
        let whole = layout().with_state(way.moments()).unwrap();
        let data = in_memory(&way, &case);
        let bytes = ModelFile { layout: whole, duty: None, data }.encode().unwrap();
        found.insert(name.into(), hex::encode(blob_hash(&bytes)).into());
        let dir = tempfile::tempdir().unwrap();
        let (inputs, base) = files(&way, &layout(), &case, dir.path());
        for threads in [1, 2, 4] {
            let (_, again) = in_threads(threads, || from_files(&way, &layout(), &inputs, &base).unwrap());
            assert!(again == bytes, "{name}: {threads} threads");
        }
        assert!(in_threads(3, || in_memory(&way, &case)) == in_threads(1, || in_memory(&way, &case)), "{name}");
    }
    assert_eq!(Value::Object(found), golden);
}

/// Files are cut where their hashes' trees have whole parts, which is elsewhere in the merged file than in the updates.
#[test]
fn files_of_every_length_around_a_cut_are_merged_as_numbers_in_memory() {
    let way = Merge::by(MergeRule::Mean(Weighting::Samples));
    let lead = |layout: &Layout| layout.file_len(true) - layout.file_len(false);
    let of = |numbers| Layout::new(vec![TensorShape::new("w", [numbers])]).unwrap();
    let near = |cut: u64| {
        let at = (cut - (of(40_000).file_len(true) - 160_000)) / 4;
        let lead = lead(&of(at as usize)) / 4;
        [at - 1, at, at + 1, at + lead - 1, at + lead, at + lead + 1].map(|numbers| numbers as usize)
    };
    // parts are of 64 KiB, and of 128 beyond 4 MiB
    for numbers in [near(1 << 16), near(1 << 17), near(1 << 22), near((1 << 22) + (1 << 17))].concat() {
        same_from_files(&way, &of(numbers), 2);
    }
    same_from_files(&way, &of(1), 2);
}

/// Merges so many updates of this layout from files, on two threads, and in memory.
fn same_from_files(way: &Merge, layout: &Layout, inputs: u64) {
    let elements = layout.elements();
    let case = Case {
        updates: (1..=inputs).map(|seed| made(seed, elements)).collect(),
        weights: (1..=inputs as u32).collect(),
        base: made(99, elements),
        state: made(90, elements * way.moments() as usize).iter().map(|x| x.abs()).collect(),
    };
    let dir = tempfile::tempdir().unwrap();
    let (files, base) = files(way, layout, &case, dir.path());
    let (_, bytes) = in_threads(2, || from_files(way, layout, &files, &base).unwrap());
    let whole = layout.with_state(way.moments()).unwrap();
    let expected = ModelFile { layout: whole, duty: None, data: in_memory(way, &case) }.encode().unwrap();
    assert!(bytes == expected, "{inputs} files of {elements} numbers: {way:?}");
}

/// Parts of such files are longer than what is written at a time; the steps' products come in several windows.
#[test]
fn large_models_are_merged_as_numbers_in_memory() {
    let layout = Layout::new(vec![TensorShape::new("w", [9_500_003])]).unwrap();
    same_from_files(&Merge::by(MergeRule::Mean(Weighting::Samples)), &layout, 2);
    same_from_files(&rule(MergeRule::GeometricMedian(Weighting::Equal), 1), &layout, 3);
}

/// So many that a part is read in several pieces.
#[test]
fn updates_of_many_sites_are_merged_as_numbers_in_memory() {
    for (name, way) in ways() {
        same_from_files(&way, &layout(), 40);
        if name == "weighted median" {
            same_from_files(&way, &layout(), 64);
        }
    }
}

/// A header longer than a part of the file.
#[test]
fn models_of_very_many_tensors_are_merged_as_numbers_in_memory() {
    let tensors =
        (0..1_300).map(|i| TensorShape::new(format!("a.layer.with.a.long.name.{i:05}"), [1 + i % 30])).collect();
    let layout = Layout::new(tensors).unwrap();
    assert!(layout.file_len(true) - layout.elements() as u64 * 4 > 1 << 16);
    for (_, way) in ways() {
        same_from_files(&way, &layout, 7);
    }
}

#[test]
fn an_update_of_several_parts_is_looked_through_to_its_end() {
    let layout = Layout::new(vec![TensorShape::new("a", [60_000]), TensorShape::new("b", [60_000])]).unwrap();
    let duty = Hash::repeat_byte(1);
    let good = ModelFile { layout: layout.clone(), duty: Some(duty), data: made(1, 120_000) }.encode().unwrap();
    let start = good.len() - 480_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("update");
    let look = |places: &[usize]| {
        let mut bytes = good.clone();
        for place in places {
            bytes[start + place * 4..][..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        }
        fs::write(&path, &bytes).unwrap();
        let committed = verify_update(&path, &layout, &duty, &blob_hash(&bytes));
        (committed, verify_update(&path, &layout, &duty, &blob_hash(&good)))
    };
    assert!(matches!(look(&[]), (Ok(()), Ok(()))));
    // the first of several, in whatever part; and nothing is said of bytes that were not committed
    for (places, name, place) in
        [(&[119_999][..], "b", 59_999), (&[0], "a", 0), (&[110_000, 59_999, 60_000], "a", 59_999)]
    {
        let (committed, other) = look(places);
        let error = committed.unwrap_err();
        let FilesError::Input { error: FileError::NotFinite { tensor, index, .. }, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((tensor.as_str(), index), (name, &place));
        assert!(matches!(other, Err(FilesError::Differs { .. })));
    }
}

#[test]
fn a_moment_that_leaves_the_range_is_named_by_its_place() {
    let adaptive = Adaptive { rate: 10_000, beta1: 900_000, beta2: 990_000, tau: 1_000 };
    let way =
        Merge { server: Some(ServerOptimizer::Adagrad(adaptive)), ..Merge::by(MergeRule::Mean(Weighting::Samples)) };
    let mut case = case(&way);
    case.updates.iter_mut().for_each(|update| update[50_000] = 3e19);
    let inputs: Vec<(&[f32], u32)> = case.updates.iter().map(Vec::as_slice).zip(case.weights.iter().copied()).collect();
    let expected = merge(&way, &inputs, &case.base, &case.state).unwrap_err();
    assert_eq!(expected, MergeError::Overflow { index: 2 * ELEMENTS + 50_000 });
    let dir = tempfile::tempdir().unwrap();
    for update in &mut case.updates {
        // what is in a file is within ±2⁵⁰, unless somebody has made it otherwise
        update[50_000] = 0.0;
    }
    let (mut inputs, base) = files(&way, &layout(), &case, dir.path());
    for input in &mut inputs {
        let mut bytes = fs::read(&input.path).unwrap();
        let at = bytes.len() - (ELEMENTS - 50_000) * 4;
        bytes[at..at + 4].copy_from_slice(&3e19f32.to_le_bytes());
        fs::write(&input.path, &bytes).unwrap();
        input.blob = blob_ref(&bytes);
    }
    let error = from_files(&way, &layout(), &inputs, &base).unwrap_err();
    assert!(matches!(error, FilesError::Merge(found) if found == expected), "{error}");
}

#[test]
fn files_that_are_not_what_was_committed_are_named_and_what_is_wrong_in_those_that_are() {
    let mean = Merge::by(MergeRule::Mean(Weighting::Samples));
    // one reads the files once, the other twice
    for way in [mean, rule(MergeRule::Krum { keep: 5 }, 2)] {
        let case = case(&way);
        let dir = tempfile::tempdir().unwrap();
        let (mut inputs, base) = files(&way, &layout(), &case, dir.path());
        let whole = fs::read(&inputs[3].path).unwrap();
        let end = whole.len();
        let mut refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = whole.clone();
            change(&mut bytes);
            fs::write(&inputs[3].path, &bytes).unwrap();
            inputs[3].blob = blob_ref(&whole);
            let error = from_files(&way, &layout(), &inputs, &base).unwrap_err();
            assert!(matches!(error, FilesError::Differs { input: 3, found } if found == blob_hash(&bytes)), "{error}");
            inputs[3].blob = blob_ref(&bytes);
            from_files(&way, &layout(), &inputs, &base)
        };
        // in the header, in each part of the file, and at its end
        for at in [60, 100_000, 200_000, end - 1] {
            let _ = refused(&|bytes| bytes[at] ^= 1);
        }
        let short = refused(&|bytes| bytes.truncate(end - 4)).unwrap_err();
        assert!(matches!(short, FilesError::Input { input: 3, error: FileError::Length { .. } }), "{short}");
        let digit = |bytes: &mut Vec<u8>| bytes[40] = if bytes[40] == b'0' { b'1' } else { b'0' };
        let other = refused(&digit).unwrap_err();
        assert!(matches!(other, FilesError::Input { input: 3, error: FileError::Duty { .. } }), "{other}");
        match refused(&|bytes| bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes())).unwrap_err() {
            FilesError::Input { input: 3, error: FileError::NotFinite { tensor, index: 2, .. } } => {
                assert_eq!(tensor, "b")
            }
            other => panic!("{other}"),
        }
        fs::remove_file(&inputs[3].path).unwrap();
        let gone = from_files(&way, &layout(), &inputs, &base).unwrap_err();
        assert!(matches!(gone, FilesError::Io { .. }), "{gone}");
    }
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
    let golden: Value = serde_json::from_str(include_str!("golden/rules.json")).unwrap();
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
