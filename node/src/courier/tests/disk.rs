//! The blob store and the courier's folder: what counts, what is removed, what is not followed.

use super::*;
use crate::courier::download::Download;
use std::{
    cell::Cell,
    fs::File,
    os::unix::fs::{symlink, PermissionsExt},
    path::Path,
    time::{Duration, SystemTime},
};

/// Downloads the first part of a blob.
fn begin(there: &House, from: &House, blob: BlobRef) -> Download {
    let mut download = Download::resume(&there.store, blob).unwrap();
    let request = first(update(blob));
    download.accept(&request, &slice(from.ask(2, &request))).unwrap();
    download
}

/// Makes a file two days old.
fn age(path: &Path) {
    let days = SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
    File::options().write(true).open(path).unwrap().set_modified(days).unwrap();
}

#[test]
fn partial_downloads_count_and_what_is_there_of_them_is_not_wanted_again() {
    let (house, _, idle) = holder(3 * 1024 * 1024, 1);
    let there = House::with_quota(6_000_000);
    drop(begin(&there, &house, idle));
    let other = blob(5_000_000, 2).1;
    // idle: its first MiB is in the way
    let usage = there.store.usage(|_, _| false).unwrap();
    let over = usage.room_for(&[other]).unwrap_err();
    assert_eq!((over.wanted, over.quota), (5_000_000, 6_000_000));
    // the data, and a note of a few bytes
    assert!(over.used >= 1024 * 1024 && over.used < 1024 * 1024 + 100, "{}", over.used);
    // going on with it needs only the rest
    assert_eq!(usage.room_for(&[idle]), Ok(()));
    let more = usage.room_for(&[idle, blob(2_900_000, 3).1]).unwrap_err();
    assert_eq!(more.wanted, 2 * 1024 * 1024 + 2_900_000);
    assert_eq!(usage.room_for(&[idle, blob(2_800_000, 3).1]), Ok(()));
}

#[test]
fn a_wrong_length_in_another_study_does_not_touch_a_partial_download() {
    let (house, _, right) = holder(3 * 1024 * 1024, 1);
    let there = House::new();
    let have = begin(&there, &house, right).progress().have;
    for len in [1000, 1024 * 1024, 4 * 1024 * 1024] {
        let wrong = BlobRef { len, ..right };
        let mut download = Download::resume(&there.store, wrong).unwrap();
        assert_eq!(download.progress().have, 0);
        // the first part of a longer blob may even look right
        let _ = download.accept(&first(update(wrong)), &slice(house.ask(2, &first(update(right)))));
        // as at the end of a download that the disk spoilt
        assert!(there.store.adopt(&Entry { study: 8, ..update(wrong) }).is_err());
    }
    assert_eq!(Download::resume(&there.store, right).unwrap().progress().have, have);
}

#[test]
fn a_link_that_another_planted_in_the_blob_store_is_not_followed() {
    let (house, bytes, blob) = holder(40_000, 1);
    let there = House::new();
    let victim = there.dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let planted = there.dir.path().join("blobs").join(format!(".tmp-courier-{}", hex::encode(blob.root.0)));
    symlink(&victim, &planted).unwrap();
    begin(&there, &house, blob).finish(&there.store, &update(blob)).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    let found = fs::symlink_metadata(there.file(&blob)).unwrap();
    assert!(found.is_file() && found.permissions().mode() & 0o137 == 0);
    assert_eq!(fs::read(there.file(&blob)).unwrap(), bytes);
    assert!(!planted.exists());
}

#[test]
fn old_leftovers_are_removed_and_new_ones_may_be_in_use() {
    let there = House::new();
    let own = there.dir.path().join("courier");
    let (_, listed) = blob(10, 1);
    let (_, unlisted) = blob(10, 2);
    let name = |blob: &BlobRef| format!("{}-{}", hex::encode(blob.root.0), blob.len);
    let kept = [format!("partial/{}", name(&listed)), format!("partial/{}.have", name(&listed))];
    let gone = [
        format!("partial/{}", name(&unlisted)),
        format!("partial/{}.have", name(&unlisted)),
        format!("partial/{}.next", name(&listed)),
        // as an earlier version named them
        format!("partial/{}", hex::encode(listed.root.0)),
        format!("outboards/{}.tmp", hex::encode(listed.root.0)),
        format!("notes/{}.tmp", hex::encode(listed.root.0)),
    ];
    for file in kept.iter().chain(&gone) {
        fs::write(own.join(file), "1").unwrap();
    }
    let tidy = || there.store.tidy(|root| *root == listed.root.0).unwrap();
    tidy();
    assert!(kept.iter().chain(&gone).all(|file| own.join(file).exists()));
    kept.iter().chain(&gone).for_each(|file| age(&own.join(file)));
    tidy();
    assert!(kept.iter().all(|file| own.join(file).exists()));
    let left: Vec<_> = gone.iter().filter(|file| own.join(file).exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_file_that_vanishes_during_a_pass_does_not_end_it() {
    let there = House::new();
    let folder = there.dir.path().join("courier/outboards");
    let made: Vec<_> = (0..5).map(|seed| folder.join(hex::encode(blob(10, seed).1.root.0))).collect();
    made.iter().for_each(|path| fs::write(path, "x").unwrap());
    let asked = Cell::new(0);
    // the first that is looked at takes the others' place away
    let listed = |root: &[u8; 32]| {
        asked.set(asked.get() + 1);
        let own = folder.join(hex::encode(root));
        if asked.get() == 1 {
            made.iter().filter(|path| **path != own).take(2).for_each(|path| fs::remove_file(path).unwrap());
        }
        false
    };
    there.store.tidy(listed).unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert!(asked.get() >= 5);
}

#[test]
fn a_file_that_cannot_be_removed_is_named_and_the_others_are_removed() {
    let there = House::new();
    let folder = there.dir.path().join("courier/outboards");
    // a folder with something in it: removing it as a file fails
    let stuck = folder.join(hex::encode(blob(10, 0).1.root.0));
    fs::create_dir_all(stuck.join("deep")).unwrap();
    (1..5).for_each(|seed| fs::write(folder.join(hex::encode(blob(10, seed).1.root.0)), "x").unwrap());
    let error = there.store.tidy(|_| false).unwrap_err();
    assert!(error.to_string().contains(&stuck.display().to_string()), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}
