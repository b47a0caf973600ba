//! What a power cut may leave of files that are not forced to the disk: cut off, filled with zeros, with anything. Each counts as
//! absent, and is made anew.

use super::{fetching::*, *};
use crate::courier::{download::Download, store::Store};
use std::{collections::BTreeMap, path::Path};

/// A file as a power cut may leave it: cut off at several places, with zeros in it, with one bit turned.
fn spoilt(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [0, 1, bytes.len() / 2, bytes.len() - 1].map(|len| bytes[..len].to_vec()).into();
    all.push(vec![0; bytes.len()]);
    all.push([&bytes[..bytes.len() / 2], &vec![0; bytes.len() - bytes.len() / 2][..]].concat());
    for place in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut turned = bytes.to_vec();
        turned[place] ^= 1;
        all.push(turned);
    }
    all
}

/// Fetches a blob into a house from another one's store.
fn fetched(there: &House, from: &House, blob: BlobRef) {
    let mut download = Download::resume(&there.store, blob).unwrap();
    while !download.progress().complete {
        let request = Request { entry: update(blob), start: download.progress().have, len: SPAN };
        download.accept(&request, &from.store.slice(&blob, &request.range().unwrap()).unwrap()).unwrap();
    }
    download.finish(&there.store, &update(blob)).unwrap();
}

fn own(there: &House, folder: &str, blob: &BlobRef) -> PathBuf {
    there.dir.path().join("courier").join(folder).join(hex::encode(blob.root.0))
}

#[test]
fn a_spoilt_note_is_none_and_is_written_anew() {
    let (source, _, made) = holder(40_000, 1);
    let there = House::new();
    fetched(&there, &source, made);
    let path = own(&there, "notes", &made);
    let whole = fs::read(&path).unwrap();
    assert!(there.reopened().granted(&update(made)));
    for bytes in spoilt(&whole) {
        fs::write(&path, &bytes).unwrap();
        let store = there.reopened();
        assert!(!store.granted(&update(made)) && store.studies().is_empty(), "{}", String::from_utf8_lossy(&bytes));
        // what it was about is still here, and others may have it once it was shown again
        assert!(store.holds(&made));
        store.shown(&update(made)).unwrap();
        assert!(store.granted(&update(made)) && there.reopened().granted(&update(made)));
    }
    // as an earlier version wrote it, which brought it to the disk first
    fs::write(&path, "fetched 7 3 update 40000\n").unwrap();
    assert!(there.reopened().granted(&update(made)));
}

#[test]
fn spoilt_hashes_are_computed_anew_for_the_request_that_finds_them_so() {
    let (source, _, made) = holder(3 * 1024 * 1024, 1);
    let there = House::new();
    fetched(&there, &source, made);
    let listed = [notice(Kind::Update, made, &[1], &[1, 2, 3])];
    there.server.update(chain(2, &listed, &listed));
    let path = own(&there, "outboards", &made);
    let whole = fs::read(&path).unwrap();
    for bytes in spoilt(&whole) {
        fs::write(&path, &bytes).unwrap();
        // of the middle, so that every kind of damage is in the way of some request
        for start in [0, 1024 * 1024, 2 * 1024 * 1024] {
            slice(there.ask(3, &Request { entry: update(made), start, len: SPAN }));
        }
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn a_spoilt_blob_is_not_given_and_is_fetched_again() {
    for size in [40_000, 3 * 1024 * 1024] {
        let (source, bytes, made) = holder(size, 1);
        let there = House::new();
        let listed = [notice(Kind::Update, made, &[1], &[1, 2, 3])];
        there.server.update(chain(2, &listed, &listed));
        for damaged in spoilt(&bytes) {
            fetched(&there, &source, made);
            fs::write(there.file(&made), &damaged).unwrap();
            let ends = [0, made.len - 1].map(|byte| byte / u64::from(SPAN) * u64::from(SPAN));
            let said = ends.map(|start| there.ask(3, &Request { entry: update(made), start, len: SPAN }));
            let wrong = |response: &Response| matches!(response, Response::NotHeld);
            let middle =
                Request { entry: update(made), start: u64::from(SPAN) * (ends[1] / u64::from(SPAN) / 2), len: SPAN };
            assert!(said.iter().any(wrong) || wrong(&there.ask(3, &middle)), "{size}");
            assert!(!there.store.holds(&made), "{size}");
            let net = Arc::new(Net { peers: BTreeMap::from([(peer(1), honest(&source, 2))]), ..Net::default() });
            assert!(fetch(&there, &net, chain(2, &listed, &listed), &[made], 20));
            assert_eq!(fs::read(there.file(&made)).unwrap(), bytes);
        }
    }
}

#[test]
fn hashes_are_there_before_anybody_asks() {
    let (house, _, made) = holder(3 * 1024 * 1024, 1);
    let (bytes, small) = blob(1000, 2);
    house.put(&small, &bytes);
    let listed = [&made, &small].map(|blob| notice(Kind::Update, *blob, &[1], &[1, 2]));
    // by the newest block: the freeze is not final yet
    for blob in chain(1, &listed, &[]).offered() {
        house.store.prepare(&blob).unwrap();
    }
    let there = |store: &Store, path: &Path| store.holds(&made) && path.exists();
    assert!(there(&house.store, &own(&house, "outboards", &made)));
    assert!(!own(&house, "outboards", &small).exists(), "computed when it is asked for");
    // nobody else's are
    assert_eq!(chain(2, &listed, &[]).offered().count(), 0);
}
