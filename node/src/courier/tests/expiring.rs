//! What goes when its time is over, and what stays.

use super::{fetching::*, *};
use crate::courier::download::Download;
use consilium_primitives::rules::UPDATES_AFTER_END;
use std::{collections::BTreeMap, time::Duration};

/// Long after the end of a study.
const LATER: u32 = 1_000_000;

/// Puts a blob into a house as one that it fetched for an entry.
fn fetched(there: &House, bytes: &[u8], entry: Entry) {
    let (data, note) = there.store.partial(&entry.blob);
    fs::write(&data, bytes).unwrap();
    fs::write(&note, bytes.len().to_string()).unwrap();
    Download::resume(&there.store, entry.blob).unwrap().finish(&there.store, &entry).unwrap();
}

/// A blob of ten bytes that a house fetched for an entry of study 7.
fn have(there: &House, seed: u8, kind: Kind, round: u32) -> Entry {
    let (bytes, blob) = blob(10, seed);
    let entry = Entry { round, ..entry(kind, blob) };
    fetched(there, &bytes, entry);
    entry
}

/// The notice that lists an entry, made or attested by institution 1.
fn lists(entry: &Entry) -> Notice {
    let Entry { study, round, kind, blob } = *entry;
    Notice { study, round, ..notice(kind, blob, &[1], &[1, 2, 3]) }
}

/// A model of a round of study 7, so that it is known how far it is.
fn model(round: u32) -> Notice {
    Notice { round, ..notice(Kind::Merged, blob(10, 200).1, &[1], &[1, 2, 3]) }
}

fn expire(store: &Store, chain: &Snapshot) {
    store.expire(|entry| chain.over(entry)).unwrap();
}

#[test]
fn updates_go_when_their_time_is_over_and_nothing_else_does() {
    let there = House::new();
    let (one, two) = (have(&there, 0, Kind::Update, 1), have(&there, 1, Kind::Masked, 2));
    let put = |seed| {
        let (bytes, blob) = blob(10, seed);
        there.put(&blob, &bytes);
        Entry { round: 1, ..update(blob) }
    };
    // this house's own, and one that is here for another reason, which a study lists as somebody's
    let (own, other) = (put(2), put(3));
    let listed = [lists(&one), lists(&two), Notice { holders: vec![site(2)], ..lists(&own) }, lists(&other), model(0)];
    let held = |store: &Store| [one, two, own, other].map(|entry| store.holds(&entry.blob));
    there.store.note_own(chain(2, &listed, &listed).own()).unwrap();
    let expire = |store: &Store, best: &[Notice], finalised: &[Notice]| expire(store, &chain(2, best, finalised));
    // listed at either block; by a chain that was not read, or begins anew; while a study pauses in the round
    expire(&there.store, &listed, &[model(9)]);
    expire(&there.store, &[model(9)], &listed[..].iter().cloned().chain([model(9)]).collect::<Vec<_>>());
    for closed in [&[][..], &[model(0)], &[model(1)]] {
        expire(&there.store, closed, closed);
    }
    assert_eq!(held(&there.store), [true; 4]);
    // a later round has closed, as the newest block alone says, and then for good
    expire(&there.store, &[model(2)], &[model(1)]);
    assert_eq!(held(&there.store), [true; 4]);
    expire(&there.store, &[], &[model(2)]);
    assert_eq!(held(&there.store), [false, true, false, true]);
    // also by a node that was started anew
    let again = there.reopened();
    expire(&again, &[], &[model(3)]);
    assert_eq!(held(&again), [false, false, false, true]);
    assert_eq!(fs::read_dir(there.dir.path().join("courier/notes")).unwrap().count(), 0);
}

#[test]
fn merged_models_go_when_they_are_listed_no_longer_and_a_later_one_is_final() {
    let there = House::new();
    let models: Vec<_> = (1..=5).map(|n| have(&there, n, Kind::Merged, n.into())).collect();
    // this house's own worker computed one too late to be named as attester
    let (bytes, late) = blob(10, 6);
    there.put(&late, &bytes);
    let late = Entry { round: 2, ..entry(Kind::Merged, late) };
    there.store.note_own(chain(2, &[lists(&late)], &[lists(&late)]).own()).unwrap();
    // the best so far and the last stay
    let listed = [lists(&models[1]), lists(&models[4])];
    let held = |store: &Store| models.iter().chain([&late]).map(|entry| store.holds(&entry.blob)).collect::<Vec<_>>();
    expire(&there.store, &chain(2, &listed, &listed[..1]));
    assert_eq!(held(&there.store), [false, true, true, true, true, true], "final is round 2 alone");
    expire(&there.store, &chain(2, &listed, &listed));
    assert_eq!(held(&there.store), [false, true, false, false, true, false]);
    // nothing is listed any more: not known to be over, and then ended for good
    expire(&there.store, &chain(2, &[], &[]));
    assert_eq!(held(&there.store), [false, true, false, false, true, false]);
    let ended = Snapshot::default().with_ends(LATER, BTreeMap::from([(8, 1)]));
    expire(&there.store, &ended);
    assert_eq!(held(&there.store), [false, true, false, false, true, false], "another study");
    let ended = Snapshot::default().with_ends(11, BTreeMap::from([(7, 11)]));
    expire(&there.reopened(), &ended);
    assert_eq!(held(&there.store), [false; 6]);
}

#[test]
fn updates_of_ended_studies_and_of_aborted_rounds_go_after_a_day_wherever_the_node_was() {
    let there = House::new();
    // never seen at a finalised block by this node: it was off
    let (closed, open) = (have(&there, 1, Kind::Update, 3), have(&there, 2, Kind::Update, 4));
    let held = |store: &Store| [closed, open].map(|entry| store.holds(&entry.blob));
    // a later study is listed, this one is not
    let other = Notice { study: 9, ..model(5) };
    let listed = [other];
    let at = |now, ended: &[(u32, u32)]| {
        let nodes: Vec<_> = (1..=3).map(|n| (n, peer(n))).collect();
        let read = chain_of(&peer(2), &nodes, &listed, &listed);
        Arc::into_inner(read).unwrap().with_ends(now, ended.iter().copied().collect())
    };
    for (now, ended) in [(LATER, &[][..]), (LATER, &[(9, 5)]), (1000 + UPDATES_AFTER_END - 1, &[(7, 1000)])] {
        expire(&there.store, &at(now, ended));
        assert_eq!(held(&there.store), [true; 2], "{now} {ended:?}");
    }
    let again = there.reopened();
    expire(&again, &at(1000 + UPDATES_AFTER_END, &[(7, 1000)]));
    assert_eq!(held(&again), [false; 2]);
    assert_eq!(fs::read_dir(there.dir.path().join("courier/notes")).unwrap().count(), 0);
}

#[test]
fn a_file_that_two_studies_need_stays_while_one_does() {
    let there = House::new();
    let (bytes, blob) = blob(10, 1);
    let one = entry(Kind::Merged, blob);
    let two = Entry { study: 8, round: 1, ..one };
    fetched(&there, &bytes, one);
    there.store.shown(&two).unwrap();
    // study 7 is far beyond it; study 8 pauses, and lists nothing
    let beyond = [model(9)];
    expire(&there.store, &chain(2, &beyond, &beyond));
    assert!(there.store.holds(&blob));
    let beyond = [model(9), Notice { study: 8, ..model(2) }];
    // listed by a third
    let third = [lists(&Entry { study: 9, ..one })];
    expire(&there.store, &chain(2, &third, &beyond));
    assert!(there.store.holds(&blob));
    expire(&there.store, &chain(2, &beyond, &beyond));
    assert!(!there.store.holds(&blob));
    // what was only shown was here for another reason
    there.put(&blob, &bytes);
    there.store.shown(&two).unwrap();
    expire(&there.store, &chain(2, &beyond, &beyond));
    assert!(there.store.holds(&blob));
}

#[test]
fn old_models_do_not_keep_the_next_update_from_being_fetched() {
    let (bytes, wanted) = blob(1000, 100);
    let source = House::new();
    source.put(&wanted, &bytes);
    let there = House::with_quota(10 * 1000);
    let mut models = Vec::new();
    for round in 0..30 {
        let (bytes, blob) = blob(1000, round);
        let entry = Entry { round: round.into(), ..entry(Kind::Merged, blob) };
        fetched(&there, &bytes, entry);
        models.push(entry);
    }
    let listed: Vec<_> = [&models[3], &models[29]]
        .map(lists)
        .into_iter()
        .chain([Notice { round: 30, ..notice(Kind::Update, wanted, &[1], &[1, 2, 3]) }])
        .collect();
    source.server.update(chain(1, &listed, &listed));
    let snapshot = chain(2, &listed, &listed);
    let used = |chain: &Snapshot| there.store.usage(|root, noted| chain.needs(root, noted)).unwrap().used;
    assert_eq!(used(&snapshot), 2000);
    // where nothing is known to be over, all count
    assert_eq!(used(&chain(2, &[], &[])), 30_000);
    let net = Arc::new(Net { peers: BTreeMap::from([(peer(1), honest(&source, 2))]), ..Net::default() });
    let patience = crate::courier::fetch::Patience { response: Duration::from_secs(1), turn: Duration::from_secs(60) };
    assert!(fetch_with(&there, &net, snapshot.clone(), &[wanted], patience, 10));
    // and they go
    expire(&there.store, &snapshot);
    let left = models.iter().filter(|entry| there.store.holds(&entry.blob)).count();
    assert_eq!(left, 2);
    assert_eq!(fs::read_dir(there.dir.path().join("blobs")).unwrap().count(), 3);
}
