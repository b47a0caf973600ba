//! Times merges beside a plain copy and beside hashing: `bench/merge_speed.py` runs it in turn with numpy.
//!
//! `merge_speed FOLDER INPUTS NUMBERS REPEAT` makes so many updates of so many numbers in the folder, and prints one line of
//! JSON: seconds of each part, one list entry a repetition. With REPEAT 0 it makes nothing, merges the files of an earlier call by
//! every rule, and says how much memory that took at most.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use consilium_aggregation::{blob::blob_ref, hash_file, merge, merge_files, InputFile, Layout, ModelFile, TensorShape};
use consilium_primitives::{BlobRef, Hash, Merge, MergeRule, Weighting};
use rayon::prelude::*;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Instant,
};

fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    };
    (0..len).map(|_| step(&mut state) * 0.04).collect()
}

fn rules() -> [(&'static str, Merge); 6] {
    let equal = Weighting::Equal;
    [
        ("mean", Merge::by(MergeRule::Mean(Weighting::Samples))),
        ("median", Merge { liars: 2, ..Merge::by(MergeRule::Median(equal.clone())) }),
        ("weighted_median", Merge { liars: 2, ..Merge::by(MergeRule::Median(Weighting::Samples)) }),
        ("trimmed_mean", Merge { liars: 2, ..Merge::by(MergeRule::TrimmedMean) }),
        ("krum", Merge { liars: 2, ..Merge::by(MergeRule::Krum { keep: 1 }) }),
        ("geometric_median", Merge { liars: 2, ..Merge::by(MergeRule::GeometricMedian(equal)) }),
    ]
}

/// The most memory that this process had, in kB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn merge_only(folder: &Path, inputs: usize, layout: &Layout) {
    let files: Vec<InputFile> = (0..inputs)
        .map(|i| {
            let path = folder.join(format!("{i}.update"));
            let blob = BlobRef { root: hash_file(&path).unwrap(), len: fs::metadata(&path).unwrap().len() };
            InputFile { path, blob, duty: Hash::repeat_byte(i as u8), weight: i as u32 + 1 }
        })
        .collect();
    for (_, way) in rules() {
        let path = folder.join("merged");
        let out = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        merge_files(&way, &files, &folder.join("base"), layout, (&out, &path)).unwrap();
    }
    println!("{}", serde_json::json!({ "peak_kb": peak() }));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, inputs, numbers, repeat] = &arguments[..] else {
        eprintln!("merge_speed FOLDER INPUTS NUMBERS REPEAT");
        std::process::exit(2);
    };
    let folder = PathBuf::from(folder);
    let [inputs, numbers, repeat] = [inputs, numbers, repeat].map(|n| n.parse::<usize>().expect("a number"));
    let layout = Layout::new(vec![TensorShape::new("w", [numbers])]).unwrap();
    if repeat == 0 {
        return merge_only(&folder, inputs, &layout);
    }
    let updates: Vec<Vec<f32>> = (1..=inputs as u64).map(|seed| noise(seed, numbers)).collect();
    let base = noise(77, numbers);
    let files: Vec<InputFile> = updates
        .iter()
        .enumerate()
        .map(|(i, data)| {
            let duty = Hash::repeat_byte(i as u8);
            let bytes = ModelFile { layout: layout.clone(), duty: Some(duty), data: data.clone() }.encode().unwrap();
            let path = folder.join(format!("{i}.update"));
            fs::write(&path, &bytes).unwrap();
            // for numpy
            let raw: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
            fs::write(folder.join(format!("{i}.f32")), raw).unwrap();
            InputFile { path, blob: blob_ref(&bytes), duty, weight: i as u32 + 1 }
        })
        .collect();
    let base_path = folder.join("base");
    let bytes = ModelFile { layout: layout.clone(), duty: None, data: base.clone() }.encode().unwrap();
    fs::write(&base_path, bytes).unwrap();
    let data: Vec<(&[f32], u32)> = updates.iter().map(Vec::as_slice).zip(1..).collect();
    let once: Vec<(&[f32], u32)> = updates.iter().map(|data| (data.as_slice(), 1)).collect();
    let rules = rules();
    let mean = &rules[0].1;
    let mut times: std::collections::BTreeMap<String, Vec<f64>> = Default::default();
    let mut timed = |name: &str, work: &mut dyn FnMut()| {
        let began = Instant::now();
        work();
        times.entry(name.into()).or_default().push(began.elapsed().as_secs_f64());
    };
    // the copy moves as many bytes as the mean: all inputs and the merge
    let half = (inputs + 1) * numbers / 2;
    let from: Vec<f32> = (0..half).map(|i| i as f32).collect();
    let mut to = vec![0f32; half];
    let chunk = half.div_ceil(rayon::current_num_threads());
    for _ in 0..repeat {
        timed("copy", &mut || {
            to.par_chunks_mut(chunk).zip(from.par_chunks(chunk)).for_each(|(to, from)| to.copy_from_slice(from));
        });
        for (name, way) in &rules {
            timed(name, &mut || {
                let data = if way.weighting() == Some(&Weighting::Samples) { &data } else { &once };
                std::hint::black_box(merge(way, data, &base, &[]).unwrap());
            });
        }
        // hashing alone: every input, and a file as long as the merge
        timed("hash", &mut || {
            files.par_iter().map(|file| &file.path).chain([&base_path]).for_each(|path| {
                std::hint::black_box(hash_file(path).unwrap());
            });
        });
        let path = folder.join("merged");
        let _ = fs::remove_file(&path);
        timed("verified_merge", &mut || {
            let out = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
            std::hint::black_box(merge_files(mean, &files, &base_path, &layout, (&out, &path)).unwrap());
        });
    }
    println!("{}", serde_json::json!({ "seconds": times }));
}
