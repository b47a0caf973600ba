//! The same bits from memory, from files, and at any number of threads.

use super::{made, rule, ways};
use consilium_aggregation::{
    blob::blob_ref, blob_hash, merge, merge_files, verify_update, FileError, FilesError, InputFile, Layout, MergeError,
    ModelFile, TensorShape,
};
use consilium_primitives::{
    rules::{Adaptive, ServerOptimizer},
    Hash, Merge, MergeRule, Weighting,
};
use serde_json::Value;
use std::fs::{self, File};

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
    let golden: Value = serde_json::from_str(include_str!("../golden/merges.json")).unwrap();
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
