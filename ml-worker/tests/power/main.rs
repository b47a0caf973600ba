//! What a worker keeps through a power cut, and what it makes anew.
#![allow(clippy::unwrap_used)]

mod cut;
mod disk;
#[path = "../support/mod.rs"]
mod support;

use codec::Encode;
use consilium_aggregation::blob_hash;
use consilium_ml_worker::{
    learn::OptimizerState,
    site::{Blobs, Home, OwnMerge, StudyKey, What},
};
use consilium_primitives::{
    BlobRef, DutyKind, DutyOrder, DutyOutput, DutyReply, DutyRequest, DutyState, Hash, InstitutionId, Marks, MergeInput,
};
use consilium_study::StudySpec;
use disk::Disk;
use std::{
    fs,
    panic::AssertUnwindSafe,
    path::Path,
    time::{Duration, Instant},
};
use support::{answer, demo_csv, order, prepare, root, sealed, start, unscaled, Door, Lab, Process, AGREEMENT};

/// A file as a power cut may leave it.
fn spoilt(bytes: &[u8]) -> Vec<Vec<u8>> {
    let half = bytes.len() / 2;
    let mut all = vec![Vec::new(), bytes[..half].to_vec(), bytes[..bytes.len() - 1].to_vec(), vec![0; bytes.len()]];
    all.push([&bytes[..half], &vec![0; bytes.len() - half][..]].concat());
    for place in [1, half, bytes.len() - 1] {
        let mut turned = bytes.to_vec();
        turned[place] ^= 1;
        all.push(turned);
    }
    all
}

fn home() -> (tempfile::TempDir, Home, Blobs) {
    let dir = tempfile::tempdir().unwrap();
    let (home, blobs) = (Home::open(dir.path()).unwrap(), Blobs::open(&dir.path().join("blobs")).unwrap());
    (dir, home, blobs)
}

#[test]
fn a_spoilt_result_is_none_and_one_of_an_earlier_version_is_read() {
    let (dir, home, blobs) = home();
    let duty = Hash::repeat_byte(3);
    let path = dir.path().join("results").join(hex::encode(duty));
    let one = Hash::repeat_byte(1);
    let outputs = [
        DutyOutput::Update { root: one, metric: Some(7) },
        DutyOutput::Root(one),
        DutyOutput::Marked { root: one, marks: Marks::default() },
        DutyOutput::Metric(None),
        DutyOutput::Held,
    ];
    for output in outputs {
        home.put_result(&duty, &output, &blobs).unwrap();
        assert_eq!(home.result(&duty).unwrap(), Some(output));
        home.put_result(&duty, &DutyOutput::Root(Hash::zero()), &blobs).unwrap();
        assert_eq!(home.result(&duty).unwrap(), Some(output), "the first one stays");
        let whole = fs::read(&path).unwrap();
        for bytes in spoilt(&whole) {
            fs::write(&path, bytes).unwrap();
            assert_eq!(home.result(&duty).unwrap(), None);
            assert!(!path.exists());
            home.put_result(&duty, &output, &blobs).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
        fs::write(&path, output.encode()).unwrap();
        assert_eq!(home.result(&duty).unwrap(), Some(output), "without a hash");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn spoilt_notes_and_states_are_none_and_are_written_anew() {
    let (dir, home, _) = home();
    let study = StudyKey { agreement: AGREEMENT, study: 0 };
    let folder = home.study_folder(&study);
    let spec = unscaled(1);
    // an own merge
    let own = OwnMerge {
        order: order(&spec, DutyKind::Merge, 2, Some(Hash::repeat_byte(5))),
        root: Hash::repeat_byte(6),
        masked: None,
    };
    let read = || home.own_merge(&study, What::Model(2), &own.inputs_root()).unwrap();
    home.put_own_merge(&own).unwrap();
    let path = folder.join(format!("own-0002-{}", hex::encode(own.inputs_root())));
    for bytes in spoilt(&fs::read(&path).unwrap()) {
        fs::write(&path, bytes).unwrap();
        assert_eq!(read(), None);
        home.put_own_merge(&own).unwrap();
        assert_eq!(read(), Some(own.clone()));
    }
    // a state of the optimiser, and which one went into the merge
    let state = |steps| OptimizerState { steps, first: vec![1, 2], second: vec![3, 4] };
    let steps = || home.optimizer(&study, 3).unwrap().map(|state| state.steps);
    let [first, second] = [1, 9].map(Hash::repeat_byte);
    let put = || {
        home.put_optimizer(&study, 2, &first, &state(10)).unwrap();
        home.put_optimizer(&study, 2, &second, &state(90)).unwrap();
        home.put_merged(&study, 2, &second).unwrap();
    };
    put();
    assert_eq!(steps(), Some(90));
    let (merged, kept) =
        (folder.join("optimizer/2-merged"), folder.join(format!("optimizer/2-{}", hex::encode(second))));
    for bytes in spoilt(&fs::read(&kept).unwrap()) {
        fs::write(&kept, bytes).unwrap();
        assert_eq!(steps(), None);
        put();
    }
    for bytes in [vec![], vec![0; 64], b"09090909".to_vec()] {
        fs::write(&merged, bytes).unwrap();
        assert_eq!(steps(), Some(10), "the first by its duty's hash");
        put();
        assert_eq!(steps(), Some(90));
    }
    // a spec
    let bytes = spec.canonical().unwrap();
    let hash = home.put_spec(&bytes).unwrap();
    for damaged in spoilt(&bytes) {
        fs::write(dir.path().join("specs").join(hex::encode(hash)), damaged).unwrap();
        assert_eq!(home.spec(&hash), None);
        home.put_spec(&bytes).unwrap();
        assert_eq!(home.spec(&hash).as_ref(), Some(&bytes));
    }
}

#[test]
fn a_journal_puts_results_back_up_to_the_first_that_is_not_whole() {
    let (dir, home, blobs) = home();
    let update = |n: u8| DutyOutput::Update { root: Hash::repeat_byte(n), metric: Some(n.into()) };
    let duty = |n: u8| Hash::repeat_byte(100 + n);
    let (journal, results) = (dir.path().join("results.journal"), dir.path().join("results"));
    for n in 1..=3 {
        home.put_result(&duty(n), &update(n), &blobs).unwrap();
    }
    let bytes = fs::read(&journal).unwrap();
    let each = bytes.len() / 3;
    let lose = || fs::read_dir(&results).unwrap().for_each(|file| fs::remove_file(file.unwrap().path()).unwrap());
    for length in 0..=bytes.len() {
        lose();
        fs::write(&journal, &bytes[..length]).unwrap();
        let started = Home::open(dir.path()).unwrap();
        started.clean(&blobs).unwrap();
        for n in 1..=3u8 {
            let whole = length >= each * usize::from(n);
            assert_eq!(started.result(&duty(n)).unwrap(), whole.then(|| update(n)), "{n} of {length} bytes");
        }
        assert!(!journal.exists(), "what it had is on the disk");
    }
    // a bit in the second one is another
    lose();
    let mut turned = bytes.clone();
    turned[each + each / 2] ^= 1;
    fs::write(&journal, &turned).unwrap();
    home.clean(&blobs).unwrap();
    assert_eq!((home.result(&duty(1)).unwrap(), home.result(&duty(3)).unwrap()), (Some(update(1)), None));
    // a file that is there stays as it is
    home.put_result(&duty(9), &DutyOutput::Held, &blobs).unwrap();
    let other = Home::open(dir.path()).unwrap();
    other.put_result(&duty(4), &update(4), &blobs).unwrap();
    // and once files are on the disk, the journal has nothing that is to be put anywhere
    assert_eq!(other.settle(&blobs).unwrap(), 1);
    other.put_result(&duty(5), &update(5), &blobs).unwrap();
    lose();
    other.clean(&blobs).unwrap();
    assert_eq!((other.result(&duty(4)).unwrap(), other.result(&duty(5)).unwrap()), (None, Some(update(5))));
}

#[test]
fn a_small_update_goes_to_the_disk_with_its_result_and_a_large_one_by_itself() {
    let (dir, home, blobs) = home();
    let (journal, duty) = (dir.path().join("results.journal"), Hash::repeat_byte);
    let mut promised = Vec::new();
    for (n, length) in [(1, 100), (2, 1 << 20), (3, (1 << 20) + 1)] {
        let bytes = vec![n; length];
        let output = DutyOutput::Update { root: blobs.put_update(&bytes).unwrap(), metric: None };
        let before = fs::metadata(&journal).map_or(0, |file| file.len());
        home.put_result(&duty(n), &output, &blobs).unwrap();
        let grown = (fs::metadata(&journal).unwrap().len() - before) as usize;
        assert_eq!(grown > length, n < 3, "{grown} bytes for {length}");
        promised.push((n, output, bytes));
    }
    // what a power cut leaves: names that lead to nothing
    for (n, output, bytes) in &promised[..2] {
        fs::write(blobs.path(&root(*output)), vec![0; bytes.len()]).unwrap();
        fs::remove_file(dir.path().join("results").join(hex::encode(duty(*n)))).unwrap();
    }
    let started = Home::open(dir.path()).unwrap();
    started.clean(&blobs).unwrap();
    for (n, output, bytes) in &promised {
        assert_eq!(started.result(&duty(*n)).unwrap().as_ref(), Some(output));
        assert_eq!(&fs::read(blobs.path(&root(*output))).unwrap(), bytes, "{n}");
    }
    // one that has reached the disk by itself is not carried
    let output = DutyOutput::Update { root: blobs.put_update(b"late").unwrap(), metric: None };
    started.settle(&blobs).unwrap();
    started.put_result(&duty(4), &output, &blobs).unwrap();
    assert!(fs::metadata(&journal).unwrap().len() < 200);
    // one that is damaged before its result is noted is no promise
    let output = DutyOutput::Update { root: blobs.put_update(b"gone").unwrap(), metric: None };
    fs::write(blobs.path(&root(output)), b"none").unwrap();
    let error = started.put_result(&duty(5), &output, &blobs).unwrap_err();
    assert!(format!("{error:#}").contains("does not hold the bytes it is named after"), "{error:#}");
    assert_eq!(started.result(&duty(5)).unwrap(), None);
}

#[test]
fn what_was_merged_here_and_is_gone_is_merged_again_before_this_site_says_that_it_has_it() {
    let lab = Lab::with(&demo_csv(0), unscaled(1));
    let init = lab.order(DutyKind::Init, 0, None, None);
    let first = lab.done(&init);
    let path = lab.blob(&root(first));
    let whole = fs::read(&path).unwrap();
    for gone in [true, false] {
        if gone {
            fs::remove_file(&path).unwrap();
        } else {
            fs::write(&path, "").unwrap();
        }
        // by the worker that runs, and by one that starts after the cut
        let worker = if gone { lab.worker.clone() } else { start(lab.dir.path()) };
        assert_eq!(worker.done(&lab.spec, &init), first);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn what_can_wait_for_the_disk_reaches_it_later() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).unwrap();
    let later = blobs.later();
    blobs.put(b"an update").unwrap();
    assert_eq!(later.settle().unwrap(), 0);
    let root = blobs.put_loosely(b"a merge").unwrap();
    let gone = blobs.put_loosely(b"an old merge").unwrap();
    fs::remove_file(blobs.path(&gone)).unwrap();
    assert_eq!((later.settle().unwrap(), later.settle().unwrap()), (1, 0));
    blobs.force(&root).unwrap();
    assert!(blobs.force(&gone).is_err());
}
