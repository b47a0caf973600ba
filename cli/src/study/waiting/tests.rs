//! Each phase, and what it waits for.
#![allow(clippy::unwrap_used)]
use super::*;
use consilium_primitives::round::{
    Back, Certifying, Collecting, Commitment, Input, Pause, PauseReason, PerMember, Presence,
};

const NOW: u32 = 1_000;

fn list<T: std::fmt::Debug>(all: Vec<T>) -> PerMember<T> {
    all.try_into().unwrap()
}

fn commitment(member: u8, at: u32) -> Commitment {
    Commitment { member, duty: Hash::zero(), root: Hash::zero(), at }
}

/// What a study of three sites waits for in a phase, and the sites' words.
fn at(phase: Phase) -> (Waiting, Vec<String>) {
    let world = crate::audit::testing::World::new();
    let mut info = world.history.info.clone();
    info.registered_at = 5;
    info.state.phase = phase;
    info.state.round = 2;
    let waiting = waiting(Hash::zero(), 4, &info, NOW).unwrap();
    let states = waiting.sites.iter().map(|site| site.state.clone()).collect();
    (waiting, states)
}

fn duties(waiting: &Waiting) -> Vec<Option<DutyKind>> {
    waiting.sites.iter().map(|site| site.duty).collect()
}

fn collecting(freeze_at: Option<u32>) -> Phase {
    Phase::Collecting(Collecting {
        kind: Kind::Model,
        roster: 0b111,
        awaited: 0b100,
        commitments: list(vec![commitment(0, 990)]),
        start: 980,
        freeze_at,
        limit: 1_200,
        extended: false,
    })
}

#[test]
fn updates_are_waited_for_by_name_until_the_limit_or_the_grace() {
    let (waiting, states) = at(collecting(None));
    assert_eq!((waiting.since, waiting.until), (980, 1_200));
    assert!(waiting.what.contains("updates of round 2") && waiting.then.contains("as long once more"));
    assert_eq!(states, ["has sent its update, in block 990", "no update of it will come", "is awaited: its update"]);
    assert_eq!(duties(&waiting), [None, None, Some(DutyKind::Train)]);
    assert_eq!(waiting.sites.iter().map(|site| site.spoken).collect::<Vec<_>>(), [true, true, false]);
    // before enough are in, what the grace will be is said
    let (block, words) = waiting.sooner.clone().unwrap();
    assert!(NOW < block && block < 1_200, "{block}");
    assert!(words.contains("updates of 2 of 3 sites are in (1 so far)") && words.contains("the grace"), "{words}");
    let (waiting, _) = at(collecting(Some(1_050)));
    assert_eq!(waiting.sooner, None, "it runs already");
    assert!(waiting.then.contains("the grace is over"), "{waiting:?}");
    assert!(waiting.until == 1_050 && waiting.then.contains("without who is late"), "{waiting:?}");
}

#[test]
fn a_merge_says_who_lacks_what() {
    let input = |member| Input { commitment: commitment(member, 990), weight: 1 };
    let partial = |not_final| Some(Ballot::Partial { have: 0b01, invalid: 0, not_final });
    let merging = |began, ballots: Vec<Option<Ballot>>, stands| {
        Phase::Merging(Merging {
            kind: Kind::Model,
            attempt: 2,
            needs: 2,
            inputs: list((0..ballots.len() as u8).map(input).collect()),
            inputs_root: Hash::zero(),
            ballots: list(ballots),
            frozen_at: began,
            window: 100,
            began,
            stands,
            stood: None,
            until: began + 100,
            dropped: list(vec![]),
        })
    };
    let root = Some(Ballot::Root(Hash::zero(), Default::default()));
    let (waiting, states) = at(merging(NOW - 1, vec![root, None], false));
    assert!(waiting.what.ends_with("merge of round 2, attempt 2"), "{}", waiting.what);
    assert_eq!(states[0], "has merged");
    assert!(states[1].starts_with("is awaited: to fetch the others' (until block "), "{states:?}");
    assert_eq!(states[2], "has no update in it, and is not asked");
    assert_eq!(duties(&waiting), [None, Some(DutyKind::Merge), None]);
    let (waiting, states) = at(merging(1, vec![partial(false), partial(true), None], true));
    assert!(waiting.what.contains("its clock stands"), "{}", waiting.what);
    assert_eq!(states[0], "is awaited; it has 1 of 3 updates");
    assert!(states[1].contains("not final there") && states[2].contains("or what it lacks"), "{states:?}");
    assert_eq!(duties(&waiting), [Some(DutyKind::Merge); 3]);
}

#[test]
fn the_first_model_the_last_evaluation_and_the_certificate_are_waited_for() {
    let (waiting, states) = at(Phase::Init { roster: 0b011, votes: list(vec![(0, Hash::zero())]), until: NOW + 10 });
    assert_eq!(states, ["has computed it", "is awaited", "is not asked"]);
    assert!(waiting.since < NOW && waiting.until == NOW + 10);
    assert_eq!(duties(&waiting), [None, Some(DutyKind::Init), None]);
    let (waiting, states) = at(Phase::FinalEvaluation { roster: 0b011, reported: 0b001, until: NOW + 10 });
    assert_eq!(states, ["has reported", "is awaited: its loss of the last merge", "is not asked"]);
    assert_eq!(duties(&waiting), [None, Some(DutyKind::Evaluate), None]);
    let certifying = |extended| {
        let (round, root) = (2, Hash::zero());
        Phase::Certifying(Certifying { roster: 0b011, round, root, held: 0b001, until: NOW + 10, extended })
    };
    let ((first, states), (second, _)) = (at(certifying(false)), at(certifying(true)));
    assert_eq!(states, ["holds it", "is awaited: to say that it holds it", "is not asked"]);
    assert_eq!(duties(&first), [None, Some(DutyKind::Acknowledge), None]);
    assert!(second.since < first.since, "it has waited once already");
    assert!(first.then.contains("once more") && second.then.contains("pauses"));
}

#[test]
fn enrolment_and_pauses_wait_for_people_or_sites() {
    let (waiting, states) = at(Phase::Enrolling { until: NOW + 100 });
    assert_eq!((waiting.since, states[0].as_str()), (5, "has enrolled"));
    let mut world = crate::audit::testing::World::new();
    let info = &mut world.history.info;
    info.state.phase = Phase::Enrolling { until: NOW + 100 };
    info.state.rules.invited.try_push(InstitutionId([77; 32])).unwrap();
    let sites = super::waiting(Hash::zero(), 4, info, NOW).unwrap().sites;
    assert_eq!(sites.last().unwrap().state, "is invited, and has not enrolled");

    let pause = |reason, resume| {
        let back = Back::Collecting { kind: Kind::Model, commitments: list(vec![]), dropped: 0 };
        let until = NOW - 10 + PAUSE_BLOCKS;
        Phase::Paused(Pause { reason, until, roster: 0b111, resume, abort: 0b010, back })
    };
    let (waiting, states) = at(pause(PauseReason::TooFewMembers, 0b001));
    assert_eq!((waiting.what.as_str(), waiting.since), ("people", NOW - 10));
    assert_eq!(states, ["wants it to go on", "wants it to end", "has said nothing"]);
    let mut world = crate::audit::testing::World::new();
    let info = &mut world.history.info;
    info.state.phase = pause(PauseReason::TooFewUpdates, 0);
    info.state.presence = Presence { voices: list(vec![(1, 0)]), settles: Some(NOW + 5) };
    let waiting = super::waiting(Hash::zero(), 4, info, NOW).unwrap();
    assert!(waiting.what.contains(&format!("until block {}", NOW + 5)), "{}", waiting.what);
    let states: Vec<_> = waiting.sites.iter().map(|site| (site.spoken, site.state.as_str())).collect();
    assert_eq!(states[0], (false, "has not said that it is there"));
    assert_eq!(states[1], (true, "is there"));
    // one that has ended waits for nothing
    let done = crate::audit::testing::World::new().history.info;
    assert_eq!(super::waiting(Hash::zero(), 4, &done, NOW), None);
}

#[test]
fn blocks_to_come_have_times_by_the_slots() {
    let (waiting, _) = at(collecting(None));
    let known = Times { now: (NOW, 1_700_000_000_000), since: Some(1_699_999_000_000), slot: 500 };
    let unknown = Times { since: None, ..known };
    let lines = waiting.lines(&known, &Names::new());
    assert_eq!(
        lines[1],
        "  since block 980, 2023-11-14 21:56:40 UTC; until block 1200, 2023-11-14 22:15:00 UTC, at the latest"
    );
    assert_eq!(unknown.since(980), 1_700_000_000_000 - 20 * 500);
    let document = waiting.json(&known, &Names::new());
    consilium_e2e::schema::documented("consilium study N").unwrap().part("waiting").check(&document).unwrap();
    assert!(lines[3].starts_with("  sooner, from block ") && lines[3].contains("without who is late"), "{lines:?}");
    assert_eq!(document["sooner"]["words"], waiting.sooner.as_ref().unwrap().1.as_str());
    assert_eq!(document["until"], json!({ "block": 1_200, "time_ms": 1_700_000_100_000u64 }));
    assert_eq!((&document["sites"][2]["duty"], &document["sites"][2]["spoken"]), (&json!("train"), &json!(false)));
}
