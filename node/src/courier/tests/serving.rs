//! The serving side against peers that ask for more than they may have.

use super::*;
use crate::courier::{
    gate::{may_serve, Grant, Refusal},
    serve::{BURST, IN_WORK, IN_WORK_PER_PEER, RATE},
    wire::{Malformed, GROUP},
};
use std::time::{Duration, Instant};

fn decide(snapshot: &Snapshot, from: u8, blob: &BlobRef) -> Result<Grant, Refusal> {
    may_serve(snapshot, &peer(from), blob, |_| false)
}

#[test]
fn an_update_is_given_only_once_its_freeze_is_final() {
    let house = House::new();
    let (bytes, blob) = blob(1024, 1);
    house.put(&blob, &bytes);
    let listed = [notice(BlobKind::Update, blob, &[1], &[1, 2])];
    let early = chain(1, &listed, &[]);
    assert_eq!(decide(&early, 2, &blob), Err(Refusal::NotFinal));
    house.server.update(early);
    assert_eq!(house.ask(2, &first(blob)), Response::Refused);
    assert!(house.egress().is_empty());

    // final in another round is not this freeze
    let mut other = listed[0].clone();
    other.round += 1;
    assert_eq!(decide(&chain(1, &listed, &[other]), 2, &blob), Err(Refusal::NotFinal));

    house.server.update(chain(1, &listed, &listed));
    slice(house.ask(2, &first(blob)));
}

#[test]
fn a_merged_model_is_given_from_the_best_block() {
    let (_, blob) = blob(1024, 1);
    let listed = [notice(BlobKind::Merged, blob, &[1], &[1, 2])];
    let grant = decide(&chain(1, &listed, &[]), 2, &blob).unwrap();
    assert_eq!((grant.study, grant.round, grant.institution), (7, 3, site(2)));
    assert_eq!(grant.name, "hospital 2");
}

#[test]
fn outsiders_and_institutions_outside_the_study_get_nothing() {
    let (house, _, blob) = holder(1024, 1);
    let answer = house.server.answer(&first(blob).encode(), peer(77));
    assert_eq!(answer.response, Response::Refused);
    assert!(answer.cost.is_some_and(|cost| cost.value < 0));
    assert_eq!(house.ask(4, &first(blob)), Response::Refused);
    let listed = [notice(BlobKind::Update, blob, &[1], &[1, 2])];
    let snapshot = chain(1, &listed, &listed);
    assert_eq!(decide(&snapshot, 77, &blob), Err(Refusal::Outsider));
    assert_eq!(decide(&snapshot, 3, &blob), Err(Refusal::NotMember));
    assert_eq!(decide(&chain(1, &[], &listed), 2, &blob), Err(Refusal::Unlisted));
    // the same bytes under another length are another blob
    assert_eq!(decide(&snapshot, 2, &BlobRef { len: 1023, ..blob }), Err(Refusal::Unlisted));
    assert!(house.egress().is_empty());
}

#[test]
fn before_the_chain_was_read_nobody_gets_anything() {
    let house = House::new();
    let (bytes, blob) = blob(10, 1);
    house.put(&blob, &bytes);
    let answer = house.server.answer(&first(blob).encode(), peer(2));
    assert!(answer.response == Response::Busy && answer.cost.is_none());
}

#[test]
fn a_study_of_others_that_lists_a_copied_hash_does_not_bring_the_bytes_out() {
    let (_, blob) = blob(1024, 1);
    // institutions 4 and 5 committed, or attested, the hash of an update that institution 1 made for another study
    for kind in [BlobKind::Update, BlobKind::Merged] {
        let copied = [notice(kind, blob, &[4, 5], &[1, 4, 5])];
        let snapshot = chain(1, &copied, &copied);
        assert_eq!(decide(&snapshot, 4, &blob), Err(Refusal::OtherStudy));
        // what was fetched for that very study goes on to its members, for any other it does not
        assert!(may_serve(&snapshot, &peer(4), &blob, |study| study == 7).is_ok());
        assert_eq!(may_serve(&snapshot, &peer(4), &blob, |study| study == 8), Err(Refusal::OtherStudy));
    }
    let own = notice(BlobKind::Update, blob, &[1], &[1, 2]);
    let copied = BlobNotice { study: 8, ..notice(BlobKind::Update, blob, &[4], &[1, 4]) };
    let both = [own, copied];
    let snapshot = chain(1, &both, &both);
    assert_eq!(decide(&snapshot, 2, &blob).map(|grant| grant.study), Ok(7));
    assert_eq!(decide(&snapshot, 4, &blob), Err(Refusal::OtherStudy));
}

#[test]
fn a_range_that_makes_no_sense_is_refused() {
    let (house, _, blob) = holder(3 * 1024 * 1024, 1);
    let with = |start, len| Request { blob, start, len };
    let cases = [
        (with(1, SPAN), Malformed::Unaligned),
        (with(1024, SPAN), Malformed::Unaligned),
        (with(blob.len, SPAN), Malformed::BeyondEnd),
        (with(u64::MAX - u64::MAX % GROUP, SPAN), Malformed::BeyondEnd),
        (with(0, 0), Malformed::Length),
        (with(0, SPAN + GROUP as u32), Malformed::Length),
        (with(0, u32::MAX), Malformed::Length),
        (with(0, 1000), Malformed::Length),
    ];
    for (request, expected) in cases {
        assert_eq!(request.range(), Err(expected), "{request:?}");
        let answer = house.server.answer(&request.encode(), peer(2));
        assert_eq!(answer.response, Response::Refused);
        assert!(answer.cost.is_some());
    }
    assert_eq!(with(3 * 1024 * 1024 - GROUP, SPAN).range(), Ok(blob.len - GROUP..blob.len));
    let mut longer = first(blob).encode();
    longer.push(0);
    for garbage in [vec![], vec![255; 20], longer] {
        assert_eq!(Request::read(&garbage), Err(Malformed::Undecodable));
        assert_eq!(house.server.answer(&garbage, peer(2)).response, Response::Refused);
    }
    assert!(house.egress().is_empty());
}

#[test]
fn a_flood_is_turned_away_and_hurts_nobody_else() {
    let (house, _, blob) = holder(1024, 1);
    let request = first(blob).encode();
    let start = Instant::now();
    for _ in 0..BURST {
        assert!(house.server.admit(&request, peer(2), start).is_ok());
    }
    let Err(answer) = house.server.admit(&request, peer(2), start) else { panic!("admitted") };
    assert_eq!(answer.response, Response::Busy);
    assert!(answer.cost.is_some_and(|cost| cost.value < 0));
    assert!(house.server.admit(&request, peer(3), start).is_ok());
    let later = start + Duration::from_secs(1);
    let admitted = (0..2 * RATE).filter(|_| house.server.admit(&request, peer(2), later).is_ok()).count();
    assert_eq!(admitted, RATE as usize);
}

#[test]
fn only_so_many_requests_are_in_work_at_once() {
    let (house, _, blob) = holder(1024, 1);
    let listed = [notice(BlobKind::Update, blob, &[1], &[1, 2, 3, 4])];
    house.server.update(chain(1, &listed, &listed));
    let request = first(blob).encode();
    let admit = |from| house.server.admit(&request, peer(from), Instant::now());
    let mut jobs: Vec<_> = (0..IN_WORK_PER_PEER).map(|_| admit(2).ok().unwrap()).collect();
    assert_eq!(admit(2).err().unwrap().response, Response::Busy);
    jobs.extend((0..IN_WORK - IN_WORK_PER_PEER).map(|_| admit(3).ok().unwrap()));
    assert_eq!(admit(4).err().unwrap().response, Response::Busy);
    jobs.pop();
    assert!(admit(4).is_ok());
    drop(jobs);
    assert!(admit(2).is_ok());
}

#[test]
fn a_file_that_is_not_what_its_name_says_is_not_given() {
    let (house, mut bytes, blob) = holder(40_000, 1);
    bytes[20_000] ^= 1;
    house.put(&blob, &bytes);
    assert!(house.store.holds(&blob));
    assert_eq!(house.ask(2, &first(blob)), Response::NotHeld);
    // known to be spoilt: it would be fetched if it were wanted
    assert!(!house.store.holds(&blob));
    assert_eq!(house.ask(2, &first(blob)), Response::NotHeld);
    house.put(&blob, &bytes[..39_999]);
    assert_eq!(house.ask(2, &first(blob)), Response::NotHeld);
    fs::remove_file(house.file(&blob)).unwrap();
    assert_eq!(house.ask(2, &first(blob)), Response::NotHeld);
    bytes[20_000] ^= 1;
    house.put(&blob, &bytes);
    slice(house.ask(2, &first(blob)));
    // changed after its hashes were computed
    bytes[0] ^= 1;
    house.put(&blob, &bytes);
    assert_eq!(house.ask(2, &first(blob)), Response::NotHeld);
    assert_eq!(house.egress().len(), 1);
}

#[test]
fn hashes_are_computed_once_and_kept() {
    let (house, _, blob) = holder(3 * 1024 * 1024, 1);
    slice(house.ask(2, &first(blob)));
    let outboard = house.dir.path().join("courier/outboards").join(hex::encode(blob.root.0));
    let made = fs::metadata(&outboard).unwrap();
    // one pair of 64 bytes for each of 192 groups but one
    assert_eq!(made.len(), 191 * 64);
    slice(house.ask(3, &first(blob)));
    assert_eq!(fs::metadata(&outboard).unwrap().modified().unwrap(), made.modified().unwrap());
    // a kept file that was spoilt is noticed, and made anew
    fs::write(&outboard, vec![0; 191 * 64]).unwrap();
    assert_eq!(house.ask(2, &first(blob)), Response::NotHeld);
    slice(house.ask(2, &first(blob)));
}

#[test]
fn every_range_given_is_a_line_in_the_egress_log() {
    let (house, _, blob) = holder(1024 * 1024 + 10, 1);
    slice(house.ask(2, &first(blob)));
    slice(house.ask(3, &Request { blob, start: SPAN.into(), len: SPAN }));
    let lines = house.egress();
    assert_eq!(lines.len(), 2);
    let line = &lines[1];
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
    let full = EgressLog::open(std::path::Path::new("/dev/full")).unwrap();
    let server = Server::new(house.store.clone(), full);
    let listed = [notice(BlobKind::Merged, blob, &[1], &[1, 2])];
    server.update(chain(1, &listed, &listed));
    assert_eq!(server.answer(&first(blob).encode(), peer(2)).response, Response::Busy);
}
