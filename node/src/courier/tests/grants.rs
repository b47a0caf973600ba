//! A blob is given for the study and round for which it is held, and for no other.

use super::{fetching::*, *};
use crate::courier::{
    download::Download,
    gate::{may_serve, Grant, Refusal},
    wire::GROUP,
};
use std::collections::BTreeMap;

fn decide(snapshot: &Snapshot, from: u8, entry: &Entry) -> Result<Grant, Refusal> {
    may_serve(snapshot, &peer(from), entry, false)
}

#[test]
fn a_study_of_others_that_lists_a_copied_hash_does_not_bring_the_bytes_out() {
    let (_, blob) = blob(1024, 1);
    // institutions 4 and 5 committed, or attested, the hash of an update that institution 1 made for another study
    for kind in [Kind::Update, Kind::Merged] {
        let copied = [notice(kind, blob, &[4, 5], &[1, 4, 5])];
        let snapshot = chain(1, &copied, &copied);
        let asked = entry(kind, blob);
        assert_eq!(decide(&snapshot, 4, &asked), Err(Refusal::HeldForOther));
        // what was fetched for that very entry goes on to the study's members
        assert!(may_serve(&snapshot, &peer(4), &asked, true).is_ok());
    }
    let own = notice(Kind::Update, blob, &[1], &[1, 2]);
    let copied = Notice { study: 8, ..notice(Kind::Update, blob, &[4], &[1, 4]) };
    let both = [own, copied];
    let snapshot = chain(1, &both, &both);
    let there = Entry { study: 8, ..update(blob) };
    assert_eq!(decide(&snapshot, 2, &update(blob)).map(|grant| grant.entry), Ok(update(blob)));
    assert_eq!(decide(&snapshot, 4, &there), Err(Refusal::HeldForOther));
    assert_eq!(decide(&snapshot, 4, &update(blob)), Err(Refusal::NotMember));
    assert_eq!(decide(&snapshot, 2, &there), Err(Refusal::NotMember));
}

#[test]
fn who_came_later_does_not_get_an_update_of_before_by_committing_its_hash_again() {
    // institution 4 enrolled in round 3, and commits in round 4 what institution 1 had committed in round 3
    let (source, _, blob) = holder(1024, 1);
    let before = notice(Kind::Update, blob, &[1], &[1, 2]);
    let again = Notice { round: 4, ..notice(Kind::Update, blob, &[4], &[1, 2, 4]) };
    let listed = [before, again];
    source.server.update(chain(1, &listed, &listed));
    // institution 2 has it from round 3
    let there = House::new();
    let request = first(update(blob));
    let mut download = Download::resume(&there.store, blob).unwrap();
    download.accept(&request, &slice(source.ask(2, &request))).unwrap();
    download.finish(&there.store, &update(blob)).unwrap();
    there.server.update(chain(2, &listed, &listed));
    for house in [&source, &there] {
        for round in [3, 4] {
            assert_eq!(house.ask(4, &first(Entry { round, ..update(blob) })), Response::Refused, "round {round}");
        }
    }
    slice(there.ask(1, &first(update(blob))));
}

#[test]
fn a_study_that_lists_a_copied_hash_does_not_bring_an_update_of_another_out() {
    // institution 1 made it for study 8; institution 4, no member there, committed the same hash in study 7
    let (bytes, blob) = blob(100_000, 1);
    let author = House::new();
    author.put(&blob, &bytes);
    let copied = notice(Kind::Update, blob, &[4], &[1, 2, 4]);
    let made = Notice { study: 8, ..notice(Kind::Update, blob, &[1], &[1, 2]) };
    let listed = [copied, made];
    author.server.update(chain(1, &listed, &listed));
    let there = House::new();
    let peers = BTreeMap::from([(peer(1), honest(&author, 2)), (peer(4), saying(Response::NotHeld.encode()))]);
    let net = Arc::new(Net { peers, ..Net::default() });
    let snapshot = chain(2, &listed, &listed);
    assert!(fetch(&there, &net, snapshot.clone(), &[blob], 10));
    there.server.update(snapshot.clone());
    let of = |study| Entry { study, ..update(blob) };
    for (house, study) in [(&author, 7), (&author, 8), (&there, 7), (&there, 8)] {
        assert_eq!(house.ask(4, &first(of(study))), Response::Refused, "study {study}");
    }
    // for the study that it was made for it goes on, and the log names that one
    slice(there.ask(1, &first(of(8))));
    assert!(author.egress().iter().chain(&there.egress()).all(|line| line.study == 8));
    // nor does it help to be asked again and again
    assert!(!fetch_until(&there, &net, snapshot, 2, || there.store.granted(&of(7))));
    assert_eq!(there.ask(4, &first(of(7))), Response::Refused);
}

#[test]
fn a_blob_that_two_studies_list_is_fetched_once_and_served_for_each_that_showed_it() {
    let (bytes, blob) = blob(3 * 1024 * 1024, 1);
    let [one, two] = [7, 8].map(|study| Notice { study, ..notice(Kind::Merged, blob, &[1], &[1, 2, 3]) });
    let listed = [one, two];
    let source = House::new();
    source.put(&blob, &bytes);
    source.server.update(chain(1, &listed, &listed));
    let there = House::new();
    let net = Arc::new(Net { peers: BTreeMap::from([(peer(1), honest(&source, 2))]), ..Net::default() });
    let snapshot = chain(2, &listed, &listed);
    let of = |study| Entry { study, ..entry(Kind::Merged, blob) };
    let both = || [7, 8].iter().all(|study| there.store.granted(&of(*study)));
    assert!(fetch_until(&there, &net, snapshot.clone(), 10, both));
    there.server.update(snapshot);
    for study in [7, 8] {
        slice(there.ask(3, &first(of(study))));
    }
    // the second time its last chunk group alone
    let lines = source.egress();
    let bytes_of = |study| lines.iter().filter(|line| line.study == study).map(|line| line.bytes).sum::<u64>();
    let (whole, shown) = (bytes_of(7).max(bytes_of(8)), bytes_of(7).min(bytes_of(8)));
    assert_eq!((whole, shown), (blob.len, GROUP));
    assert!([7, 8].iter().all(|study| there.reopened().granted(&of(*study))));
}

#[test]
fn a_show_with_wrong_bytes_earns_nothing() {
    let (bytes, blob) = blob(100_000, 1);
    let listed = [notice(Kind::Merged, blob, &[1, 3], &[1, 2, 3])];
    let there = House::new();
    there.put(&blob, &bytes);
    let (other, _, wrong) = holder(100_000, 2);
    // the last chunk group of another blob, and the right one cut off
    let last = Request::of_the_end(update(wrong));
    let lies = [slice(other.ask(2, &last)), Vec::new()].map(|bytes| saying(Response::Data(bytes).encode()));
    let peers = [peer(1), peer(3)].into_iter().zip(lies).collect();
    let net = Arc::new(Net { peers, ..Net::default() });
    let asked = entry(Kind::Merged, blob);
    assert!(!fetch_until(&there, &net, chain(2, &listed, &listed), 2, || there.store.granted(&asked)));
    assert_eq!(net.reported.lock().len(), 2);
    // who holds it by the chain's word asks nobody
    let own = [notice(Kind::Merged, blob, &[2], &[1, 2, 3])];
    let net = Arc::new(Net::default());
    assert!(!fetch_until(&there, &net, chain(2, &own, &own), 1, || there.store.granted(&asked)));
    assert!(net.asked.lock().is_empty());
}
