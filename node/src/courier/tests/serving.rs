//! The serving side against peers that ask for more than they may have.

use super::*;
use crate::courier::{
    gate::{may_serve, Grant, Refusal},
    load::{READING, UNSENT, UNSENT_PER_PEER},
    serve as serve_requests,
    serve::{BURST, EXTRA, LENGTHS, RATE, REFILL},
    wire::{Asked, Malformed, GROUP, MAX_RESPONSE},
};
use futures::channel::oneshot;
use sc_network::config::{IncomingRequest, OutgoingResponse};
use std::time::{Duration, Instant};

fn decide(snapshot: &Snapshot, from: u8, entry: &Entry) -> Result<Grant, Refusal> {
    may_serve(snapshot, &peer(from), entry, false)
}

#[test]
fn an_update_is_given_only_once_its_freeze_is_final() {
    let house = House::new();
    let (bytes, blob) = blob(1024, 1);
    house.put(&blob, &bytes);
    let listed = [notice(Kind::Update, blob, &[1], &[1, 2])];
    let early = chain(1, &listed, &[]);
    assert_eq!(decide(&early, 2, &update(blob)), Err(Refusal::NotFinal));
    house.server.update(early);
    assert_eq!(house.ask(2, &first(update(blob))), Response::Refused);
    assert!(house.egress().is_empty());

    // final in another round is not this freeze
    let mut other = listed[0].clone();
    other.round += 1;
    assert_eq!(decide(&chain(1, &listed, &[other]), 2, &update(blob)), Err(Refusal::NotFinal));

    house.server.update(chain(1, &listed, &listed));
    slice(house.ask(2, &first(update(blob))));
}

#[test]
fn masked_files_are_served_before_the_freeze_and_plain_updates_are_not() {
    let house = House::new();
    let ((words, masked), (numbers, plain)) = (blob(1024, 1), blob(1024, 2));
    house.put(&masked, &words);
    house.put(&plain, &numbers);
    // the final block has the study with its base model; both commitments came after it
    let base = notice(Kind::Merged, blob(1024, 3).1, &[3], &[1, 2]);
    let best = [base.clone(), notice(Kind::Masked, masked, &[1], &[1, 2]), notice(Kind::Update, plain, &[1], &[1, 2])];
    house.server.update(chain(1, &best, &[base]));
    slice(house.ask(2, &first(entry(Kind::Masked, masked))));
    assert_eq!(house.ask(2, &first(update(plain))), Response::Refused);
    // what left is named as what it is
    let left: Vec<_> = house.egress().into_iter().map(|line| (line.kind, line.hash, line.bytes)).collect();
    assert_eq!(left, [("masked".to_owned(), hex::encode(masked.root.0), 1024)]);
    // a plain update does not become a masked file by being asked for as one, nor the other way round
    assert_eq!(house.ask(2, &first(entry(Kind::Masked, plain))), Response::Refused);
    assert_eq!(house.ask(2, &first(update(masked))), Response::Refused);
    // partners get it, and nobody else
    assert_eq!(house.ask(3, &first(entry(Kind::Masked, masked))), Response::Refused);
    assert_eq!(house.ask(77, &first(entry(Kind::Masked, masked))), Response::Refused);
    // nor from a node that has it from elsewhere
    let other = House::new();
    other.put(&masked, &words);
    other.server.update(chain(2, &best, &best));
    assert_eq!(other.ask(1, &first(entry(Kind::Masked, masked))), Response::Refused);
}

#[test]
fn a_merged_model_is_given_from_the_best_block() {
    let (_, merged) = blob(1024, 1);
    let (_, input) = blob(1024, 2);
    let listed = [notice(Kind::Merged, merged, &[1], &[1, 2])];
    // at the finalised block the merge is not known yet, only what goes into it
    let before = [notice(Kind::Update, input, &[1], &[1, 2])];
    let asked = entry(Kind::Merged, merged);
    let grant = decide(&chain(1, &listed, &before), 2, &asked).unwrap();
    assert_eq!((grant.entry, grant.institution), (asked, site(2)));
    assert_eq!(grant.name, "hospital 2");
}

#[test]
fn membership_counts_at_the_best_block_and_at_the_finalised_one() {
    let (_, blob) = blob(1024, 1);
    for kind in [Kind::Update, Kind::Merged, Kind::Masked] {
        let asked = entry(kind, blob);
        let with = |members: &[u8]| [notice(kind, blob, &[1], members)];
        // institution 3 enrolled in a block that is not final
        let enrolled = chain(1, &with(&[1, 2, 3]), &with(&[1, 2]));
        assert_eq!(decide(&enrolled, 3, &asked), Err(Refusal::MemberNotFinal));
        assert!(decide(&enrolled, 2, &asked).is_ok());
        // it withdrew in a block that is not final
        let withdrew = chain(1, &with(&[1, 2]), &with(&[1, 2, 3]));
        assert_eq!(decide(&withdrew, 3, &asked), Err(Refusal::NotMember));
        // a study that lists nothing at the finalised block has no final members
        let late = decide(&chain(1, &with(&[1, 2]), &[]), 2, &asked);
        assert_eq!(late, Err(if kind == Kind::Update { Refusal::NotFinal } else { Refusal::MemberNotFinal }));
        // being a final member of another study is not enough
        let other = Notice { study: 8, ..notice(kind, blob, &[1], &[1, 2, 3]) };
        let both = [with(&[1, 2])[0].clone(), other];
        assert!(decide(&chain(1, &with(&[1, 2, 3]), &both), 3, &asked).is_err());
    }
}

#[test]
fn a_node_whose_institution_left_a_study_serves_it_no_more() {
    let (_, blob) = blob(1024, 1);
    for kind in [Kind::Update, Kind::Merged, Kind::Masked] {
        let before = [notice(kind, blob, &[1], &[1, 2])];
        let left = [Notice { wanted: false, ..notice(kind, blob, &[1], &[2]) }];
        assert!(may_serve(&chain(1, &before, &before), &peer(2), &entry(kind, blob), true).is_ok());
        assert_eq!(may_serve(&chain(1, &left, &before), &peer(2), &entry(kind, blob), true), Err(Refusal::Left));
        assert_eq!(may_serve(&chain(1, &left, &left), &peer(2), &entry(kind, blob), true), Err(Refusal::Left));
    }
    // nor a merged model that is needed: others have it
    let needed = [notice(Kind::Merged, blob, &[1], &[2])];
    let model = entry(Kind::Merged, blob);
    assert_eq!(may_serve(&chain(1, &needed, &needed), &peer(2), &model, true), Err(Refusal::Left));
}

#[test]
fn who_has_left_gives_what_it_made_to_the_merge_that_runs_and_gets_nothing() {
    let (_, own) = blob(1024, 1);
    let (_, theirs) = blob(1024, 2);
    let inputs = [notice(Kind::Update, own, &[1], &[2, 3]), notice(Kind::Update, theirs, &[2], &[2, 3])];
    let here = chain(1, &inputs, &inputs);
    assert!(decide(&here, 2, &update(own)).is_ok());
    assert_eq!(
        may_serve(&here, &peer(2), &update(theirs), true),
        Err(Refusal::Left),
        "what others made is theirs to give"
    );
    assert_eq!(decide(&here, 4, &update(own)), Err(Refusal::NotMember));
    assert_eq!(decide(&chain(1, &inputs, &[]), 2, &update(own)), Err(Refusal::NotFinal));
    let there = chain(2, &inputs, &inputs);
    assert_eq!(decide(&there, 1, &update(theirs)), Err(Refusal::NotMember));
    assert!(there.sources(&inputs[0]).iter().any(|(node, holds)| *node == peer(1) && *holds));
    assert!(here.wanted().is_empty(), "it asks for nothing itself");
    // an update under masks needs no final freeze, and the study's final members are known by anything that it lists
    let masked = [notice(Kind::Masked, own, &[1], &[2, 3])];
    let model = [notice(Kind::Merged, theirs, &[2], &[1, 2, 3])];
    let of = entry(Kind::Masked, own);
    assert!(decide(&chain(1, &masked, &model), 2, &of).is_ok());
    let idle = [Notice { wanted: false, ..masked[0].clone() }];
    assert_eq!(decide(&chain(1, &idle, &model), 2, &of), Err(Refusal::Left));
}

#[test]
fn outsiders_and_institutions_outside_the_study_get_nothing() {
    let (house, _, blob) = holder(1024, 1);
    let answer = house.server.answer(&first(update(blob)).encode(), peer(77));
    assert_eq!(answer.response, Response::Refused);
    assert!(answer.cost.is_some_and(|cost| cost.value < 0));
    assert_eq!(house.ask(4, &first(update(blob))), Response::Refused);
    let listed = [notice(Kind::Update, blob, &[1], &[1, 2])];
    let snapshot = chain(1, &listed, &listed);
    assert_eq!(decide(&snapshot, 77, &update(blob)), Err(Refusal::Outsider));
    assert_eq!(decide(&snapshot, 3, &update(blob)), Err(Refusal::NotMember));
    assert_eq!(decide(&chain(1, &[], &listed), 2, &update(blob)), Err(Refusal::Unlisted));
    // another study, another round, something else: not listed there
    for other in [Entry { study: 8, ..update(blob) }, Entry { round: 4, ..update(blob) }, entry(Kind::Merged, blob)] {
        assert_eq!(decide(&snapshot, 2, &other), Err(Refusal::Unlisted));
        assert_eq!(house.ask(2, &first(other)), Response::Refused);
    }
    // the same bytes under another length are another blob
    assert_eq!(decide(&snapshot, 2, &update(BlobRef { len: 1023, ..blob })), Err(Refusal::Unlisted));
    assert!(house.egress().is_empty());
}

#[test]
fn before_the_chain_was_read_nobody_gets_anything() {
    let house = House::new();
    let (bytes, blob) = blob(10, 1);
    house.put(&blob, &bytes);
    let answer = house.server.answer(&first(update(blob)).encode(), peer(2));
    assert!(answer.response == Response::Busy && answer.cost.is_none());
}

#[test]
fn a_node_that_lags_behind_the_chain_serves_nobody() {
    let (house, _, blob) = holder(1024, 1);
    let ask = |house: &House| house.ask(2, &first(update(blob)));
    // right after a start, before it is known
    let started = Server::new(
        house.store.clone(),
        EgressLog::open(&house.file(&blob).with_extension("log"), &GENESIS).unwrap(),
        std::convert::identity,
        Figures::quiet(),
    );
    let listed = [notice(Kind::Update, blob, &[1], &[1, 2, 3])];
    started.update(chain(1, &listed, &listed));
    let answer = started.answer(&first(update(blob)).encode(), peer(2));
    assert!(answer.response == Response::Busy && answer.cost.is_none());
    started.set_behind(false);
    slice(started.answer(&first(update(blob)).encode(), peer(2)).response);
    // and later
    slice(ask(&house));
    house.server.set_behind(true);
    assert_eq!(ask(&house), Response::Busy);
    house.server.set_behind(false);
    slice(ask(&house));
}

#[test]
fn one_blob_cannot_be_taken_for_ever() {
    let (house, _, blob) = holder(3 * 1024 * 1024, 1);
    let start = Instant::now();
    let asked = update(blob);
    // the rate allows it: so often that only the bytes count
    let take = |from: u8, request: &Request, at: Instant| {
        let admitted = house.server.admit(&request.encode(), peer(from), at);
        admitted.map(drop).map_err(|answer| answer.response)
    };
    let second = |n: u64| start + Duration::from_secs(n);
    let all = LENGTHS * blob.len + EXTRA;
    let whole = (all / u64::from(SPAN)) as usize;
    let mut given = 0;
    // sixteen in a second, so that a second later there are as many again
    let mut now = 0;
    while take(2, &first(asked), second(now / 16)).is_ok() {
        (given, now) = (given + 1, now + 1);
        assert!(given < 2 * whole, "{given} of {whole}");
    }
    // what came back meanwhile is little
    assert!((whole..whole + 3).contains(&given), "{given} of {whole}");
    assert_eq!(take(2, &first(asked), second(now / 16)), Err(Response::Refused));
    // others are not touched
    assert!(take(3, &first(asked), second(now / 16)).is_ok());
    // an hour later, as much again and no more
    let later = now / 16 + REFILL;
    let again = (0..2 * whole).filter(|n| take(2, &first(asked), second(later + *n as u64 / 16)).is_ok()).count();
    assert!((whole..whole + 3).contains(&again), "{again} of {whole}");
    // a range counts as a chunk group at least
    let (small, _, tiny) = holder(100, 2);
    let asked = first(update(tiny)).encode();
    let groups = ((LENGTHS * tiny.len + EXTRA) / GROUP) as usize;
    let count = (0..2 * groups)
        .filter(|n| small.server.admit(&asked, peer(2), start + Duration::from_millis(*n as u64 * 32)).is_ok())
        .count();
    assert!(count < groups + groups / 10, "{count} of {groups}");
}

#[test]
fn a_range_that_makes_no_sense_is_refused() {
    let (house, _, blob) = holder(3 * 1024 * 1024, 1);
    let with = |start, len| Request { entry: update(blob), start, len };
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
    let mut longer = first(update(blob)).encode();
    longer.push(0);
    for garbage in [vec![], vec![255; 20], longer] {
        assert_eq!(Asked::read(&garbage), Err(Malformed::Undecodable));
        assert_eq!(house.server.answer(&garbage, peer(2)).response, Response::Refused);
    }
    assert!(house.egress().is_empty());
}

#[test]
fn a_flood_is_turned_away_and_hurts_nobody_else() {
    let (house, _, blob) = holder(1024, 1);
    let request = first(update(blob)).encode();
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
fn the_disk_is_read_for_only_so_many_requests_at_once() {
    let (house, _, blob) = holder(1024, 1);
    let listed = [notice(Kind::Update, blob, &[1], &[1, 2, 3, 4])];
    house.server.update(chain(1, &listed, &listed));
    let request = first(update(blob)).encode();
    let admit = |from| house.server.admit(&request, peer(from), Instant::now());
    let mut jobs: Vec<_> = (0..UNSENT_PER_PEER).map(|_| admit(2).ok().unwrap()).collect();
    jobs.extend((0..READING - UNSENT_PER_PEER).map(|_| admit(3).ok().unwrap()));
    assert_eq!(admit(4).err().unwrap().response, Response::Busy);
    jobs.pop();
    assert!(admit(4).is_ok());
    drop(jobs);
    assert!(admit(2).is_ok());
}

#[test]
fn responses_that_a_peer_does_not_take_fill_its_own_places_and_nobody_elses() {
    let (house, _, blob) = holder(1024, 1);
    let listed = [notice(Kind::Update, blob, &[1], &[1, 2, 3, 4])];
    house.server.update(chain(1, &listed, &listed));
    let request = first(update(blob)).encode();
    let answer = |from| house.server.answer(&request, peer(from));
    // as many as the disk may be read for: reading is over, and still each peer has only its own places
    let mut kept: Vec<_> = (0..UNSENT_PER_PEER).flat_map(|_| [answer(2), answer(3)]).collect();
    assert!(kept.len() >= READING);
    assert!(kept.iter().all(|answer| matches!(answer.response, Response::Data(_))));
    assert_eq!(answer(2).response, Response::Busy);
    assert_eq!(answer(3).response, Response::Busy);
    slice(answer(4).response);
    drop(kept.remove(0));
    slice(answer(2).response);
}

#[test]
fn the_bytes_of_all_unsent_responses_are_bounded() {
    let (house, _, blob) = holder(3 * 1024 * 1024, 1);
    let nodes: Vec<_> = (1..=100).map(|n| (n, peer(n))).collect();
    let members: Vec<u8> = (1..=100).collect();
    let listed = [notice(Kind::Update, blob, &[1], &members)];
    house.server.update(chain_of(&peer(1), &nodes, &listed, &listed));
    let ask = |from, request: &Request| house.server.answer(&request.encode(), peer(from));
    let kept: Vec<_> = (2..=100).map(|from| ask(from, &first(update(blob)))).collect();
    let given = kept.iter().filter(|answer| matches!(answer.response, Response::Data(_))).count() as u64;
    assert_eq!(given, UNSENT / MAX_RESPONSE);
    assert!(kept.last().is_some_and(|answer| answer.response == Response::Busy));
    drop(kept);
    slice(ask(100, &first(update(blob))).response);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_kept_until_the_network_has_sent_the_response_or_given_up() {
    let (house, _, blob) = holder(1024, 1);
    let (sender, requests) = async_channel::bounded(64);
    tokio::spawn(serve_requests(house.server.clone(), requests));
    let ask = || async {
        let (pending_response, response) = oneshot::channel();
        let incoming = IncomingRequest { peer: peer(2), payload: first(update(blob)).encode(), pending_response };
        sender.send(incoming).await.unwrap();
        response.await.unwrap()
    };
    let said = |response: &OutgoingResponse| Response::read(response.result.as_ref().unwrap()).unwrap();
    let mut kept = Vec::new();
    for _ in 0..UNSENT_PER_PEER {
        kept.push(ask().await);
    }
    assert!(kept.iter().all(|response| matches!(said(response), Response::Data(_))));
    assert_eq!(said(&ask().await), Response::Busy);
    // sent, and given up: both free a place
    let sent = kept.remove(0).sent_feedback.unwrap();
    sent.send(()).unwrap();
    drop(kept.remove(0));
    let mut again = Vec::new();
    while again.len() < 2 {
        let response = ask().await;
        if said(&response) == Response::Busy {
            tokio::time::sleep(Duration::from_millis(50)).await;
        } else {
            again.push(response);
        }
    }
    assert_eq!(said(&ask().await), Response::Busy);
}
