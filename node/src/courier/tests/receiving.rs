//! A download against wrong bytes, and across restarts.

use super::*;
use crate::courier::{
    download::{Download, NotTaken, Progress},
    store::NotAdopted,
    wire::{GROUP, MAX_RESPONSE},
};

/// Fetches all that is left of a blob from a house, `len` bytes at once.
fn fetch_rest(download: &mut Download, from: &House, blob: BlobRef, len: u32) {
    while !download.progress().complete {
        let request = Request { entry: update(blob), start: download.progress().have, len };
        let bytes = from.store.slice(&blob, &request.range().unwrap()).unwrap();
        download.accept(&request, &bytes).unwrap();
    }
}

#[test]
fn blobs_of_every_shape_arrive_whole() {
    for (seed, size) in SIZES.into_iter().enumerate() {
        for len in [SPAN, GROUP as u32, 3 * GROUP as u32] {
            let (house, bytes, blob) = holder(size, seed as u8);
            let there = House::new();
            let mut download = Download::resume(&there.store, blob).unwrap();
            assert!(!there.store.holds(&blob));
            fetch_rest(&mut download, &house, blob, len);
            download.finish(&there.store, &update(blob)).unwrap();
            assert!(there.store.holds(&blob));
            assert_eq!(fs::read(there.file(&blob)).unwrap(), bytes, "{size} bytes by {len}");
            // nothing is left behind, and the hashes are there for the next who asks
            assert_eq!(fs::read_dir(there.dir.path().join("blobs")).unwrap().count(), 1);
            assert_eq!(fs::read_dir(there.dir.path().join("courier/partial")).unwrap().count(), 0);
            let outboards = fs::read_dir(there.dir.path().join("courier/outboards")).unwrap().count();
            assert_eq!(outboards, usize::from(size > SPAN as usize));
            // for that entry and no other, also after a restart
            let of = update(blob);
            for store in [&*there.store, &there.reopened()] {
                assert!(store.granted(&of));
                for other in [Entry { study: 8, ..of }, Entry { round: 4, ..of }, entry(Kind::Merged, blob)] {
                    assert!(!store.granted(&other), "{other}");
                }
            }
        }
    }
}

#[test]
fn a_whole_response_fits_into_a_message() {
    let (house, _, blob) = holder(3 * 1024 * 1024 + 5, 1);
    let response = house.ask(2, &Request { entry: update(blob), start: SPAN.into(), len: SPAN });
    assert!((response.encode().len() as u64) < MAX_RESPONSE);
    assert_eq!(Response::read(&response.encode()), Some(response));
    // the largest blob there can be has this many pairs above a response's own
    assert!(MAX_RESPONSE - u64::from(SPAN) > 64 * (64 + 2 * 64));
}

#[test]
fn wrong_bytes_are_noticed_before_any_is_written() {
    let (house, _, blob) = holder(40_000, 1);
    let (other, _, other_blob) = holder(40_000, 2);
    let request = Request { entry: update(blob), start: GROUP, len: GROUP as u32 };
    let there = House::new();
    let mut download = Download::resume(&there.store, blob).unwrap();
    let zero = Request { start: 0, ..request };
    download.accept(&zero, &house.store.slice(&blob, &zero.range().unwrap()).unwrap()).unwrap();

    let right = house.store.slice(&blob, &request.range().unwrap()).unwrap();
    let mut wrong = vec![
        Vec::new(),
        right[..right.len() - 1].to_vec(),
        right[..64].to_vec(),
        [&right[..], &[0]].concat(),
        [&right[..], &right[..]].concat(),
        other.store.slice(&other_blob, &request.range().unwrap()).unwrap(),
        house.store.slice(&blob, &zero.range().unwrap()).unwrap(),
        house.store.slice(&blob, &(GROUP..40_000)).unwrap(),
        vec![0; MAX_RESPONSE as usize],
    ];
    for place in [0, 31, 32, 63, 64, 127, 128, 128 + 5000, right.len() - 1] {
        for bit in [0, 7] {
            let mut flipped = right.clone();
            flipped[place] ^= 1 << bit;
            wrong.push(flipped);
        }
    }
    let (data, note) = there.store.partial(&blob);
    let before = (fs::read(&data).unwrap(), fs::read(&note).unwrap());
    for slice in wrong {
        let error = download.accept(&request, &slice).unwrap_err();
        assert!(matches!(error, NotTaken::WrongBytes(_)), "{error}");
        assert_eq!(download.progress(), Progress { have: GROUP, complete: false });
        assert_eq!((fs::read(&data).unwrap(), fs::read(&note).unwrap()), before);
    }
    assert_eq!(download.accept(&request, &right).unwrap().have, 2 * GROUP);
    assert!(matches!(download.accept(&request, &right), Err(NotTaken::OutOfOrder(_))));
}

#[test]
fn a_blob_whose_length_the_chain_has_wrong_never_arrives() {
    let (house, _, blob) = holder(40_000, 1);
    for len in [39_999, 40_001, 40_960, 80_000] {
        let claimed = BlobRef { len, ..blob };
        let there = House::new();
        let mut download = Download::resume(&there.store, claimed).unwrap();
        let request = first(update(claimed));
        let bytes = house.store.slice(&blob, &(0..40_000)).unwrap();
        assert!(download.accept(&request, &bytes).is_err(), "{len}");
        assert_eq!(house.ask(2, &request), Response::Refused);
    }
}

#[test]
fn a_download_goes_on_after_a_restart() {
    let (house, bytes, blob) = holder(3 * 1024 * 1024 + 5, 1);
    let there = House::new();
    let mut download = Download::resume(&there.store, blob).unwrap();
    let request = first(update(blob));
    download.accept(&request, &slice(house.ask(2, &request))).unwrap();
    drop(download);
    let store = there.reopened();
    let mut again = Download::resume(&store, blob).unwrap();
    assert_eq!(again.progress(), Progress { have: SPAN.into(), complete: false });
    fetch_rest(&mut again, &house, blob, SPAN);
    again.finish(&store, &update(blob)).unwrap();
    assert_eq!(fs::read(there.file(&blob)).unwrap(), bytes);
}

#[test]
fn a_note_that_promises_more_than_there_is_begins_anew() {
    let (_, _, blob) = holder(3 * 1024 * 1024, 1);
    let there = House::new();
    let (data, note) = there.store.partial(&blob);
    fs::write(&data, vec![0; 5000]).unwrap();
    for text in ["16384", "3145728", "5000", "99999999999999", "-1", "", "no number"] {
        fs::write(&note, text).unwrap();
        assert_eq!(Download::resume(&there.store, blob).unwrap().progress().have, 0, "{text}");
    }
}

#[test]
fn a_partial_download_that_the_disk_changed_is_dropped_and_fetched_again() {
    let (house, bytes, blob) = holder(40_000, 1);
    let there = House::new();
    let mut download = Download::resume(&there.store, blob).unwrap();
    fetch_rest(&mut download, &house, blob, SPAN);
    let (data, note) = there.store.partial(&blob);
    let mut spoilt = bytes.clone();
    spoilt[0] ^= 1;
    fs::write(&data, &spoilt).unwrap();
    assert!(matches!(download.finish(&there.store, &update(blob)), Err(NotAdopted::OtherHash)));
    assert!(!there.store.holds(&blob) && !data.exists() && !note.exists());
    assert_eq!(fs::read_dir(there.dir.path().join("blobs")).unwrap().count(), 0);
    let mut again = Download::resume(&there.store, blob).unwrap();
    fetch_rest(&mut again, &house, blob, SPAN);
    again.finish(&there.store, &update(blob)).unwrap();
    assert_eq!(fs::read(there.file(&blob)).unwrap(), bytes);
}

#[test]
fn what_belongs_to_blobs_that_are_gone_is_removed() {
    let (house, _, blob) = holder(2 * 1024 * 1024, 1);
    let there = House::new();
    let mut download = Download::resume(&there.store, blob).unwrap();
    fetch_rest(&mut download, &house, blob, SPAN);
    download.finish(&there.store, &update(blob)).unwrap();
    let left = || {
        let count = |folder: &str| fs::read_dir(there.dir.path().join("courier").join(folder)).unwrap().count();
        (count("outboards"), count("notes"))
    };
    there.store.tidy(|_| false).unwrap();
    assert_eq!(left(), (1, 1));
    fs::remove_file(there.file(&blob)).unwrap();
    there.store.tidy(|_| true).unwrap();
    assert_eq!(left(), (1, 1));
    there.store.tidy(|_| false).unwrap();
    assert_eq!(left(), (0, 0));
    assert!(!there.store.granted(&update(blob)));
}

#[test]
fn what_a_crash_left_in_the_blob_store_is_removed_at_the_next_start() {
    let there = House::new();
    let folder = there.dir.path().join("blobs");
    fs::write(folder.join(".tmp-courier-abc"), "half").unwrap();
    fs::write(folder.join(".tmp-worker"), "another's").unwrap();
    let _ = there.reopened();
    assert!(!folder.join(".tmp-courier-abc").exists() && folder.join(".tmp-worker").exists());
}
