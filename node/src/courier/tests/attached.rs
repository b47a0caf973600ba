//! What a study's specification names: who may have it and from whom, and that nothing else comes out by naming it.

use super::{fetching::*, *};
use crate::courier::{
    download::Download,
    figures::Why,
    gate::{may_serve, Refusal},
    listed::Listed,
    peers::{Outcome, Peers},
    wire::{Asked, GROUP},
};
use codec::DecodeAll;
use consilium_primitives::{BlobKind, MaskedBlobs, RoundUpdates, StudyBlobs};
use consilium_study::{attachment_note, Attachments};
use std::{collections::BTreeMap, time::Instant};

const KINDS: [Kind; 2] = [Kind::Initial, Kind::Code];

/// What study 7 names, as couriers list it.
fn named(kind: Kind, blob: BlobRef, members: &[u8]) -> Notice {
    Notice { round: 0, ..notice(kind, blob, &[], members) }
}

fn asked(kind: Kind, blob: BlobRef) -> Entry {
    Entry { round: 0, ..entry(kind, blob) }
}

/// Puts bytes there as `ml-worker trainer put` does.
fn put(house: &House, blob: &BlobRef, bytes: &[u8]) {
    house.put(blob, bytes);
    fs::write(house.file(blob).with_file_name(attachment_note(&blob.root)), "").unwrap();
}

/// Puts a blob into a house as one that it fetched for an entry.
fn fetched(house: &House, bytes: &[u8], entry: &Entry) {
    let (data, note) = house.store.partial(&entry.blob);
    fs::write(&data, bytes).unwrap();
    fs::write(&note, bytes.len().to_string()).unwrap();
    Download::resume(&house.store, entry.blob).unwrap().finish(&house.store, entry).unwrap();
}

fn net(peers: impl IntoIterator<Item = (u8, Behaviour)>) -> Arc<Net> {
    let peers = peers.into_iter().map(|(n, behaviour)| (peer(n), behaviour)).collect();
    Arc::new(Net { peers, ..Net::default() })
}

#[test]
fn members_get_it_from_members_and_nobody_else_gets_it() {
    let (_, blob) = blob(1024, 1);
    for kind in KINDS {
        let entry = asked(kind, blob);
        let with = |members: &[u8]| [named(kind, blob, members)];
        let all = chain(1, &with(&[1, 2, 3]), &with(&[1, 2, 3]));
        let grant = may_serve(&all, &peer(2), &entry, true).unwrap();
        assert_eq!((grant.entry, grant.institution, grant.name.as_str()), (entry, site(2), "hospital 2"));
        assert_eq!(may_serve(&all, &peer(2), &entry, false), Err(Refusal::HeldForOther));
        assert_eq!(may_serve(&all, &peer(77), &entry, true), Err(Refusal::Outsider));
        assert_eq!(may_serve(&all, &peer(4), &entry, true), Err(Refusal::NotMember));
        // enrolled in a block that is not final; in a study that no final block has; withdrawn in one that is not final
        let enrolled = chain(1, &with(&[1, 2, 3]), &with(&[1, 2]));
        assert_eq!(may_serve(&enrolled, &peer(3), &entry, true), Err(Refusal::MemberNotFinal));
        let begun = chain(1, &with(&[1, 2]), &[]);
        assert_eq!(may_serve(&begun, &peer(2), &entry, true), Err(Refusal::MemberNotFinal));
        let withdrew = chain(1, &with(&[1, 2]), &with(&[1, 2, 3]));
        assert_eq!(may_serve(&withdrew, &peer(3), &entry, true), Err(Refusal::NotMember));
        // a member of another study that names the same file
        let other = Notice { study: 8, ..named(kind, blob, &[1, 3]) };
        let both = [with(&[1, 2])[0].clone(), other];
        assert_eq!(may_serve(&chain(1, &both, &both), &peer(3), &entry, true), Err(Refusal::NotMember));
        // who was asked is no member, or none any more
        let left = chain(1, &with(&[2, 3]), &with(&[1, 2, 3]));
        assert_eq!(may_serve(&left, &peer(2), &entry, true), Err(Refusal::Left));
        // another study, round, kind or length is not what the specification names
        let swapped = if kind == Kind::Code { Kind::Initial } else { Kind::Code };
        let others = [
            Entry { study: 8, ..entry },
            Entry { round: 1, ..entry },
            Entry { kind: swapped, ..entry },
            Entry { kind: Kind::Update, ..entry },
            Entry { kind: Kind::Merged, ..entry },
            asked(kind, BlobRef { len: 1023, ..blob }),
        ];
        for other in others {
            assert_eq!(may_serve(&all, &peer(2), &other, true), Err(Refusal::Unlisted), "{other}");
        }
    }
}

#[test]
fn it_is_listed_until_the_study_ends() {
    let (initial, code) = (blob(10, 1).1, blob(20, 2).1);
    let attachments = Attachments { initial: Some(initial), code: Some(code) };
    let members = vec![site(1), site(2)];
    let blobs =
        |ended| StudyBlobs { study: 7, ended, members: members.clone(), merged: Vec::new(), rounds: Vec::new() };
    let masked = |files: &[BlobRef]| {
        let updates = files.iter().map(|blob| (site(1), blob.root)).collect();
        let round = RoundUpdates { round: 3, members: members.clone(), wanted: true, len: 30, updates };
        MaskedBlobs { study: 7, rounds: vec![round] }
    };
    let notices =
        |ended| Listed { blobs: blobs(ended), masked: masked(&[]), attachments }.notices().collect::<Vec<_>>();
    assert_eq!(notices(None), [named(Kind::Initial, initial, &[1, 2]), named(Kind::Code, code, &[1, 2])]);
    assert!(notices(Some(9)).is_empty());
    let none = Listed { blobs: blobs(None), masked: masked(&[]), attachments: Attachments::default() };
    assert_eq!(none.notices().count(), 0);
    // masked files are told of apart, and stand among them
    let own = blob(30, 3).1;
    let all = Listed { blobs: blobs(Some(9)), masked: masked(&[own]), attachments };
    assert_eq!(all.notices().collect::<Vec<_>>(), [notice(Kind::Masked, own, &[1], &[1, 2])]);
}

#[test]
fn one_who_put_it_there_gives_it_to_all_and_they_pass_it_on() {
    let made = [(Kind::Initial, blob(3 * 1024 * 1024 + 5, 1)), (Kind::Code, blob(20_480, 2))];
    let listed: Vec<_> = made.iter().map(|(kind, (_, blob))| named(*kind, *blob, &[1, 2, 3, 4])).collect();
    let entries: Vec<_> = made.iter().map(|(kind, (_, blob))| asked(*kind, *blob)).collect();
    let blobs: Vec<_> = made.iter().map(|(_, (_, blob))| *blob).collect();
    let granted = |house: &House| entries.iter().all(|entry| house.store.granted(entry));
    let proposer = House::new();
    made.iter().for_each(|(_, (bytes, blob))| put(&proposer, blob, bytes));
    let snapshot = chain(1, &listed, &listed);
    assert!(fetch_until(&proposer, &net([]), snapshot.clone(), 10, || granted(&proposer)));
    proposer.server.update(snapshot);

    // institutions 3 and 4 have nothing yet, and say so
    let second = House::new();
    let empty = House::new();
    empty.server.update(chain(3, &listed, &listed));
    let around = net([(1, honest(&proposer, 2)), (3, honest(&empty, 2)), (4, honest(&empty, 2))]);
    assert!(fetch(&second, &around, chain(2, &listed, &listed), &blobs, 20));
    made.iter().for_each(|(_, (bytes, blob))| assert_eq!(&fs::read(second.file(blob)).unwrap(), bytes));
    assert!(granted(&second) && around.reported.lock().is_empty());
    let left: BTreeMap<String, u64> = proposer.egress().into_iter().fold(BTreeMap::new(), |mut left, line| {
        assert_eq!((line.study, line.round, line.institution), (7, 0, site(2).to_string()));
        *left.entry(line.kind).or_default() += line.bytes;
        left
    });
    assert_eq!(left, BTreeMap::from([("code".into(), blobs[1].len), ("initial".into(), blobs[0].len)]));

    // the proposer is away, and the second gives it, also after a restart
    second.server.update(chain(2, &listed, &listed));
    let third = House::new();
    assert!(fetch(&third, &net([(2, honest(&second, 3))]), chain(3, &listed, &listed), &blobs, 20));
    assert!(entries.iter().all(|entry| second.reopened().granted(entry) && proposer.reopened().granted(entry)));
}

#[test]
fn naming_a_hash_brings_out_nothing_that_was_not_meant_for_it() {
    // institution 4 proposes study 9, and writes into its specification what institution 1 holds: an update of its own for
    // study 7, and a model that it fetched for study 8
    let (house, _, own) = holder(100_000, 1);
    let (bytes, model) = blob(50_000, 2);
    let had = Entry { study: 8, ..entry(Kind::Merged, model) };
    fetched(&house, &bytes, &had);
    let made = notice(Kind::Update, own, &[1], &[1, 2, 3]);
    let merged = Notice { study: 8, ..notice(Kind::Merged, model, &[2], &[1, 2]) };
    let begins = Notice { study: 9, ..named(Kind::Initial, own, &[1, 4]) };
    let listed = [made, merged, begins, Notice { study: 9, ..named(Kind::Code, model, &[1, 4]) }];
    let snapshot = chain(1, &listed, &listed);
    house.server.update(snapshot.clone());
    house.store.note_own(snapshot.own()).unwrap();
    let there = [(Kind::Initial, own), (Kind::Code, model)].map(|(kind, blob)| Entry { study: 9, ..asked(kind, blob) });
    let refused = || there.iter().all(|entry| house.ask(4, &first(*entry)) == Response::Refused);
    assert!(refused());
    // nor after its own courier has looked for somebody who shows that it may be had: the proposer cannot
    let liar = net([(4, saying(Response::Data(vec![0; GROUP as usize]).encode()))]);
    assert!(!fetch_until(&house, &liar, snapshot, 2, || there.iter().any(|entry| house.store.granted(entry))));
    assert!(refused() && house.egress().is_empty());
    assert!(house.figures.count(Why::HeldForOther) >= 4);
    // what it is held for goes out as ever
    slice(house.ask(2, &first(update(own))));
    slice(house.ask(2, &first(had)));
}

#[test]
fn a_note_beside_a_blob_counts_for_these_bytes_and_must_be_a_file() {
    let (bytes, meant) = blob(1000, 1);
    let (others, other) = blob(1000, 2);
    let house = House::new();
    put(&house, &meant, &bytes);
    house.put(&other, &others);
    let link = house.file(&other).with_file_name(attachment_note(&other.root));
    std::os::unix::fs::symlink(house.file(&meant), link).unwrap();
    assert!(house.store.meant(&meant.root) && !house.store.meant(&other.root));
    // without the file itself there is nothing to give, and nothing is noted
    let (_, absent) = blob(1000, 3);
    fs::write(house.file(&absent).with_file_name(attachment_note(&absent.root)), "").unwrap();
    let listed = [meant, other, absent].map(|blob| named(Kind::Initial, blob, &[1, 2]));
    let snapshot = chain(1, &listed, &listed);
    let granted = |blob| house.store.granted(&asked(Kind::Initial, blob));
    assert!(fetch_until(&house, &net([]), snapshot.clone(), 10, || granted(meant)));
    assert!(!fetch_until(&house, &net([]), snapshot, 1, || granted(other) || granted(absent)));
}

#[test]
fn it_stays_while_its_study_runs_and_goes_when_that_is_over_unless_people_put_it_there() {
    let there = House::new();
    let [(bytes, came), (own_bytes, own), (both_bytes, both)] = [1, 2, 3].map(|seed| blob(10, seed));
    fetched(&there, &bytes, &asked(Kind::Code, came));
    put(&there, &own, &own_bytes);
    there.store.note_put(&asked(Kind::Initial, own)).unwrap();
    // put there by people after it had come
    fetched(&there, &both_bytes, &asked(Kind::Code, both));
    put(&there, &both, &both_bytes);
    let held = || [came, own, both].map(|blob| there.store.holds(&blob));
    let expire = |chain: &Snapshot| there.store.expire(|entry| chain.over(entry)).unwrap();
    let listed = [named(Kind::Code, came, &[1, 2]), named(Kind::Initial, own, &[1, 2])];
    // rounds go by; this institution withdraws; the end is not final
    let late = [notice(Kind::Merged, blob(10, 200).1, &[1], &[1, 2])].map(|model| Notice { round: 9, ..model });
    expire(&chain(2, &[&listed[..], &late].concat(), &[&listed[..], &late].concat()));
    expire(&chain(3, &listed, &listed));
    expire(&chain(2, &late, &late));
    expire(&chain(2, &late, &listed));
    assert_eq!(held(), [true; 3]);
    // what is needed counts as stored
    let used = |chain: &Snapshot| there.store.usage(|root, noted| chain.needs(root, noted)).unwrap().used;
    assert_eq!(used(&chain(2, &listed, &listed)), 30);
    let ended = Snapshot::default().with_ends(11, BTreeMap::from([(7, 11)]));
    assert_eq!(used(&ended), 0);
    expire(&ended);
    assert_eq!(held(), [false, true, true]);
}

#[test]
fn it_is_bounded_by_the_quota_and_does_not_hold_up_what_a_merge_needs() {
    let (bytes, large) = blob(200_000, 1);
    let (source, _, needed) = holder(10_000, 2);
    put(&source, &large, &bytes);
    source.store.note_put(&asked(Kind::Initial, large)).unwrap();
    let listed = [named(Kind::Initial, large, &[1, 2]), notice(Kind::Update, needed, &[1], &[1, 2])];
    source.server.update(chain(1, &listed, &listed));
    let there = House::with_quota(100_000);
    let around = net([(1, honest(&source, 2))]);
    let snapshot = chain(2, &listed, &listed);
    assert!(fetch(&there, &around, snapshot.clone(), &[needed], 10));
    assert!(!fetch(&there, &around, snapshot, &[large], 1));
    assert!(source.egress().iter().all(|line| line.kind == "update"));

    // a peer that gives the one is asked for the other, and one that knows neither rests for nothing else
    let (now, sources) = (Instant::now(), [(peer(1), true)]);
    let (attached, other) = (asked(Kind::Initial, large), asked(Kind::Code, needed));
    let mut peers = Peers::default();
    assert_eq!(peers.choose_attached(&sources, &attached, now), Some(peer(1)));
    peers.begun_attached(peer(1), &attached);
    assert_eq!(peers.choose_attached(&sources, &other, now), None, "one after the other");
    assert_eq!(peers.choose(&sources, &update(needed), now), Some(peer(1)));
    peers.begun(peer(1), now);
    peers.ended(peer(1), &attached, Outcome::NotHeld, now);
    assert_eq!(peers.choose(&sources, &update(needed), now), None, "it is at work with the update still");
    assert_eq!(peers.choose_attached(&sources, &other, now), Some(peer(1)));
    assert_eq!(peers.choose_attached(&sources, &attached, now), None);
    peers.ended(peer(1), &update(needed), Outcome::Complete, now);
    assert_eq!(peers.choose(&sources, &update(needed), now), Some(peer(1)));
}

#[test]
fn who_does_not_answer_to_it_is_asked_for_all_else_as_before() {
    // a node of the build before: it answers for what it knows, and not at all for the rest
    let (source, _, needed) = holder(1000, 1);
    let (_, unknown) = blob(1000, 2);
    let answers = honest(&source, 2);
    let before: Behaviour = Box::new(move |request| {
        let known = Asked::read(&request).is_ok_and(|asked| !asked.request.entry.kind.attached());
        if known {
            answers(request)
        } else {
            Box::pin(async { None })
        }
    });
    let around = net([(1, before)]);
    let listed = [named(Kind::Code, unknown, &[1, 2]), notice(Kind::Update, needed, &[1], &[1, 2])];
    let there = House::new();
    let snapshot = chain(2, &listed, &listed);
    assert!(fetch(&there, &around, snapshot.clone(), &[needed], 10));
    // its silence is no failure of the node, which would rest for it
    assert!(fetch_until(&there, &around, snapshot, 10, || there.figures.count_ends(Outcome::NotHeld) > 0));
    assert_eq!(there.figures.count_ends(Outcome::Failed), 0);
    assert!(around.reported.lock().is_empty() && !there.store.holds(&unknown));
}

#[test]
fn the_chains_kinds_have_their_bytes_and_no_bytes_are_more_than_a_request() {
    for (kind, told) in [(Kind::Update, BlobKind::Update), (Kind::Merged, BlobKind::Merged)] {
        assert_eq!((kind, kind.encode()), (Kind::from(told), told.encode()));
    }
    assert_eq!(Kind::ALL.map(|kind| kind.encode()[0]), [0, 1, 2, 3, 4]);
    assert_eq!(Kind::from(BlobKind::Masked), Kind::Masked);
    for other in 5..=255u8 {
        assert!(Kind::decode_all(&mut &[other][..]).is_err());
        let mut bytes = first(update(blob(10, 1).1)).encode();
        // study and round come before it
        bytes[8] = other;
        assert!(Asked::read(&bytes).is_err(), "{other}");
    }
    // whatever comes is refused, or asks for a range that exists and no more than one response may hold
    let house = House::new();
    house.server.update(chain(1, &[], &[]));
    let whole = first(asked(Kind::Code, blob(1000, 1).1)).encode();
    let mut noise = vec![0; 40_000];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut noise);
    for (n, junk) in noise.chunks(64).enumerate() {
        let mut bytes = whole.clone();
        bytes.truncate(junk[0] as usize % (whole.len() + 1));
        bytes.extend_from_slice(&junk[1..1 + junk[1] as usize % 62]);
        let place = n % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= junk[2];
        }
        assert!(!matches!(house.server.answer(&bytes, peer(2)).response, Response::Data(_)));
        let Ok(Asked { request, .. }) = Asked::read(&bytes) else { continue };
        if let Ok(range) = request.range() {
            assert!(range.end <= request.entry.blob.len && range.end - range.start <= u64::from(SPAN));
        }
    }
}
