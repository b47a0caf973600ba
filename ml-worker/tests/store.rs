//! What lies on disk: blobs by their hash, and what the optimiser remembers.
#![allow(clippy::unwrap_used)]

use consilium_aggregation::blob_hash;
use consilium_ml_worker::{
    learn::OptimizerState,
    site::{Blobs, Home, StudyKey},
};
use consilium_primitives::{BlobRef, Hash};
use std::fs;

const STUDY: StudyKey = StudyKey { agreement: Hash::repeat_byte(7), study: 3 };

#[test]
fn a_blob_is_removed_only_where_its_bytes_are_not_those_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).unwrap();
    let root = blobs.put(b"the model of another study").unwrap();
    let right = BlobRef { root, len: 26 };
    // whoever commits to this hash with another length must not take the file away from those who need it
    for len in [0, 25, 27] {
        assert_eq!(blobs.read(&BlobRef { root, len }).unwrap(), None);
    }
    assert_eq!(blobs.read(&right).unwrap().unwrap(), b"the model of another study");
    for damaged in ["the model of another studY", "short"] {
        fs::write(blobs.path(&root), damaged).unwrap();
        assert_eq!(blobs.read(&right).unwrap(), None);
        assert!(!blobs.path(&root).exists(), "{damaged:?} was left there");
    }
    assert_eq!(blobs.read(&right).unwrap(), None);
}

#[test]
fn a_damaged_file_of_the_right_name_and_length_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).unwrap();
    let root = blob_hash(b"an update");
    fs::write(blobs.path(&root), "an uqdate").unwrap();
    assert_eq!(blobs.put(b"an update").unwrap(), root);
    assert_eq!(blobs.read(&BlobRef { root, len: 9 }).unwrap().unwrap(), b"an update");
}

#[test]
fn an_optimiser_goes_on_from_the_round_before_and_from_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    let state = |steps| OptimizerState { steps, first: vec![1, 2], second: vec![3, 4] };
    let steps = |round| home.optimizer(&STUDY, round).unwrap().map(|s| s.steps);
    let put = |round, duty: u8, n| home.put_optimizer(&STUDY, round, &Hash::repeat_byte(duty), &state(n)).unwrap();
    assert_eq!((steps(0), steps(1)), (None, None));
    put(1, 9, 10);
    assert_eq!((steps(1), steps(2)), (None, Some(10)));
    assert_eq!(steps(3), None, "round 2 was missed: a state of round 1 is too old");

    // round 2 was taken back, and asked for again on another base: two duties, two states
    put(2, 8, 28);
    put(2, 3, 23);
    put(2, 5, 25);
    assert_eq!(steps(3), Some(23), "the first by its duty's hash");
    home.put_merged(&STUDY, 2, &Hash::repeat_byte(5)).unwrap();
    assert_eq!(steps(3), Some(25), "that which went into the merge");
    home.put_merged(&STUDY, 2, &Hash::repeat_byte(4)).unwrap();
    assert_eq!(steps(3), None, "what went into the merge was trained elsewhere");

    // round 20 is not round 2
    put(19, 1, 190);
    assert_eq!((steps(2), steps(20)), (None, Some(190)));
    let file = home.study_folder(&STUDY).join("optimizer");
    assert_eq!(fs::read_dir(&file).unwrap().count(), 1, "old ones are removed");
    let file = file.join(format!("19-{}", "01".repeat(32)));
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(steps(20), None, "a damaged state is none");
}
