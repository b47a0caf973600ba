//! What is given: bytes that are what their name says, each range noted before.

use super::*;

#[test]
fn a_file_that_is_not_what_its_name_says_is_not_given() {
    let (house, mut bytes, blob) = holder(40_000, 1);
    bytes[20_000] ^= 1;
    house.put(&blob, &bytes);
    assert!(house.store.holds(&blob));
    assert_eq!(house.ask(2, &first(update(blob))), Response::NotHeld);
    // known to be spoilt: it would be fetched if it were wanted
    assert!(!house.store.holds(&blob));
    assert_eq!(house.ask(2, &first(update(blob))), Response::NotHeld);
    house.put(&blob, &bytes[..39_999]);
    assert_eq!(house.ask(2, &first(update(blob))), Response::NotHeld);
    fs::remove_file(house.file(&blob)).unwrap();
    assert_eq!(house.ask(2, &first(update(blob))), Response::NotHeld);
    bytes[20_000] ^= 1;
    house.put(&blob, &bytes);
    slice(house.ask(2, &first(update(blob))));
    // changed after its hashes were computed
    bytes[0] ^= 1;
    house.put(&blob, &bytes);
    assert_eq!(house.ask(2, &first(update(blob))), Response::NotHeld);
    assert_eq!(house.egress().len(), 1);
}

#[test]
fn hashes_are_computed_once_and_kept() {
    let (house, _, blob) = holder(3 * 1024 * 1024, 1);
    slice(house.ask(2, &first(update(blob))));
    let outboard = house.dir.path().join("courier/outboards").join(hex::encode(blob.root.0));
    let made = fs::metadata(&outboard).unwrap();
    // one pair of 64 bytes for each of 192 groups but one
    assert_eq!(made.len(), 191 * 64);
    slice(house.ask(3, &first(update(blob))));
    assert_eq!(fs::metadata(&outboard).unwrap().modified().unwrap(), made.modified().unwrap());
    // those of a blob that fits into one response are computed each time
    let (small, _, tiny) = holder(1024 * 1024, 2);
    slice(small.ask(2, &first(update(tiny))));
    assert_eq!(fs::read_dir(small.dir.path().join("courier/outboards")).unwrap().count(), 0);
}

#[test]
fn every_range_given_is_a_line_in_the_egress_log() {
    let (house, _, blob) = holder(1024 * 1024 + 10, 1);
    slice(house.ask(2, &first(update(blob))));
    slice(house.ask(3, &Request { entry: update(blob), start: SPAN.into(), len: SPAN }));
    let lines = house.egress();
    assert_eq!(lines.len(), 2);
    let line = &lines[1];
    assert_eq!(line.genesis, "09".repeat(32));
    assert_eq!((line.study, line.round, line.kind.as_str()), (7, 3, "update"));
    assert_eq!((line.bytes, line.first, line.last), (10, 1024 * 1024, 1024 * 1024 + 9));
    assert_eq!(line.hash, hex::encode(blob.root.0));
    assert_eq!((line.peer.clone(), line.name.as_str()), (peer(3).to_base58(), "hospital 3"));
    assert_eq!(line.institution, format!("0x{}", "03".repeat(32)));
    assert!(line.time > 1_700_000_000);
}

#[test]
fn nothing_is_given_while_the_egress_log_cannot_be_written() {
    let house = House::new();
    let (bytes, blob) = blob(1024, 1);
    house.put(&blob, &bytes);
    let full = EgressLog::open(std::path::Path::new("/dev/full"), &GENESIS).unwrap();
    let server = Server::new(house.store.clone(), full, std::convert::identity, Figures::quiet());
    let listed = [notice(Kind::Merged, blob, &[1], &[1, 2])];
    server.update(chain(1, &listed, &listed));
    server.set_behind(false);
    assert_eq!(server.answer(&first(entry(Kind::Merged, blob)).encode(), peer(2)).response, Response::Busy);
}

#[test]
fn an_update_over_its_budget_gets_no_file_out() {
    let house = House::new();
    // both were trained, and lie where the node gives from; the chain has refused the vote of one, so no block lists it
    let ((numbers, refused), (others, taken)) = (blob(1024, 1), blob(1024, 2));
    house.put(&refused, &numbers);
    house.put(&taken, &others);
    let listed = [notice(Kind::Update, taken, &[1], &[1, 2])];
    house.server.update(chain(1, &listed, &listed));
    for kind in [Kind::Update, Kind::Masked, Kind::Merged] {
        assert_eq!(house.ask(2, &first(entry(kind, refused))), Response::Refused, "{kind:?}");
    }
    assert!(house.egress().is_empty());
    slice(house.ask(2, &first(update(taken))));
    assert_eq!(house.egress().len(), 1);
}
