//! Updates whose files are gone from a site's disk, or damaged there, before anybody else has them.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_primitives::{BlobRef, Duty, DutyKind, DutyOrder, FailureCode, Hash, MergeInput};
use std::{fs, path::Path};
use support::{input, order, root, sealed, start, unscaled, Door, Lab};

/// What a disk does to a file.
const SPOILS: [fn(&Path); 3] = [
    |path| fs::remove_file(path).unwrap(),
    |path| fs::write(path, &fs::read(path).unwrap()[..100]).unwrap(),
    |path| {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    },
];

/// The initial model: of zeros alone nothing is learnt.
fn initial(lab: &Lab) -> Hash {
    let order = order(&lab.spec, DutyKind::Init, 0, None);
    root(lab.done(&DutyOrder { duty: Duty { institution: lab.id, ..order.duty }, ..order }))
}

#[test]
fn an_update_that_is_gone_is_made_again_where_it_or_its_merge_is_asked_for() {
    let lab = Lab::new(0, unscaled(2));
    let base = initial(&lab);
    let train = lab.order(DutyKind::Train, 1, Some(base), None);
    let first = lab.done(&train);
    let path = lab.blob(&root(first));
    let bytes = fs::read(&path).unwrap();
    // what has its length is found damaged when it is read
    for spoil in &SPOILS[..2] {
        spoil(&path);
        assert_eq!(lab.done(&train), first);
        assert!(fs::read(&path).unwrap() == bytes, "it says that it has made what it has not");
    }

    let (other, other_bytes) = input(&lab.spec, Hash::repeat_byte(2), 0.5);
    lab.blobs().put(&other_bytes).unwrap();
    let blob = BlobRef { root: root(first), len: bytes.len() as u64 };
    let own = MergeInput { institution: lab.id, duty: train.duty.hash(), blob, weight: 1 };
    let merge =
        |other| sealed(DutyOrder { inputs: vec![own, other], ..lab.order(DutyKind::Merge, 1, Some(base), None) });
    for (weight, spoil) in (1..).zip(SPOILS) {
        spoil(&path);
        lab.done(&merge(MergeInput { weight, ..other }));
        assert!(fs::read(&path).unwrap() == bytes);
    }
}

#[test]
fn an_update_that_comes_out_otherwise_another_time_is_not_said_in_place_of_the_first() {
    let lab = Lab::new(0, unscaled(2));
    let base = initial(&lab);
    lab.done(&lab.order(DutyKind::Train, 1, Some(base), None));
    let second = lab.order(DutyKind::Train, 2, Some(base), None);
    let first = lab.done(&second);
    // the journal has let go of it, and with it goes what the optimiser remembers of the round before
    fs::remove_file(lab.dir.path().join("home/results.journal")).unwrap();
    fs::remove_file(lab.blob(&root(first))).unwrap();
    let studies = lab.dir.path().join("home/studies");
    for path in support::below(&studies).iter().filter(|path| path.parent().unwrap().ends_with("optimizer")) {
        fs::remove_file(path).unwrap();
    }
    let again = start(lab.dir.path());
    assert_eq!(again.failed(&lab.spec, &second), FailureCode::Internal);
    assert_eq!(lab.home().result(&second.duty.hash()).unwrap(), Some(first));
}
