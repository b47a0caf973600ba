//! What is known of a study at a block, and what has happened since the last look.
#![allow(clippy::unwrap_used)]
use super::facts::*;
use crate::audit::testing::{id, World};
use consilium_primitives::{
    round::{AbortReason, Back, Collecting, Commitment, Kind, Pause, PauseReason, Phase, RoundRecord},
    Hash,
};
use serde_json::json;
use std::collections::BTreeMap;

/// A study of ten rounds of three sites, in its third round since block 100; two rounds have taken 20 and 40 blocks of 500 ms.
struct Made {
    world: World,
    records: BTreeMap<u32, RoundRecord>,
}

impl Made {
    fn new() -> Self {
        let mut world = World::new();
        let records = [(1, 40, 60), (2, 60, 100)].map(|(round, opened_at, closed_at)| {
            (round, RoundRecord { opened_at, closed_at, ..world.round(round).clone() })
        });
        let state = &mut world.history.info.state;
        (state.rules.max_rounds, state.round, state.opened_at) = (10, 3, 100);
        state.phase = Phase::Collecting(Collecting {
            kind: Kind::Model,
            roster: 0b111,
            awaited: 0b110,
            commitments: vec![Commitment { member: 0, duty: Hash::zero(), root: Hash::zero(), at: 101 }]
                .try_into()
                .unwrap(),
            start: 100,
            freeze_at: None,
            limit: 900,
            extended: false,
        });
        Self { world, records: records.into() }
    }

    fn at(&self, block: u32, fresh: &[u32], stands: Option<&str>) -> Facts {
        let losses = [(id(1), 200_000), (id(2), 400_000)];
        facts(&Look {
            study: 4,
            genesis: Hash::zero(),
            title: Some("Sepsis"),
            info: &self.world.history.info,
            ended: self.world.history.info.state.ended(),
            block,
            slot: 500,
            names: &self.world.history.names,
            records: &self.records,
            fresh,
            losses: Some((2, &losses)),
            stands,
        })
    }
}

#[test]
fn time_left_follows_from_the_median_of_the_last_rounds_and_whom_it_waits_for_is_named() {
    let made = Made::new();
    let now = made.at(110, &[2], None);
    // of 10 s and 20 s the smaller one; eight rounds of it, less the 5 s that the present one has taken
    assert_eq!(now.left_ms, Some(8 * 10_000 - 5_000));
    assert_eq!(now.awaited, ["site 2", "site 3"]);
    assert_eq!((now.stage, now.last), (Stage::Running, Some(2)));
    let line = now.now();
    assert_eq!(line, "round 3 of 10 · training · awaited: site 2, site 3 · about 75 s left");
    let names = &made.world.history.names;
    assert_eq!(
        now.in_a_line(&now.closed[0], names),
        "round 2 of 10: merged of 3 updates in 20 s; loss of round 2: 0.27500 over 2 of 3 sites; none reported by site 3"
    );
    // nothing is foretold before a round has closed
    let first = Made { records: BTreeMap::new(), ..Made::new() };
    assert_eq!(first.at(110, &[], None).left_ms, None);
}

#[test]
fn each_thing_that_happens_is_told_once() {
    let mut made = Made::new();
    let first = made.at(105, &[], None);
    assert!(events(None, &first).is_empty());
    let closed = made.at(106, &[1, 2], None);
    assert_eq!(events(Some(&first), &closed), [Event::Round]);
    // twice the median, and more than ten seconds
    let late = made.at(141, &[], None);
    assert_eq!(events(Some(&first), &late), [Event::Late]);
    assert!(
        late.late.as_ref().unwrap().contains("round 3 has taken 20 s, and those before it 10 s"),
        "{:?}",
        late.late
    );
    assert!(events(Some(&late), &made.at(150, &[], None)).is_empty());
    assert!(made.at(139, &[], None).late.is_none());
    // a chain that makes no blocks is late whatever its blocks say
    let stands = made.at(105, &[], Some("no block for 37 s"));
    assert_eq!(events(Some(&first), &stands), [Event::Late]);
    let back = Back::Collecting { kind: Kind::Model, commitments: Default::default(), dropped: 0 };
    let reason = PauseReason::TooFewUpdates;
    made.world.history.info.state.phase =
        Phase::Paused(Pause { reason, until: 900, roster: 7, resume: 0, abort: 0, back });
    let paused = made.at(160, &[], None);
    assert_eq!(events(Some(&late), &paused), [Event::Paused]);
    assert_eq!(events(None, &paused), [Event::Paused], "whoever begins to watch then is told, too");
    assert!(events(Some(&paused), &made.at(170, &[], None)).is_empty());
    assert_eq!(paused.left_ms, None);
    made.world.history.info.state.phase = Phase::Aborted { reason: AbortReason::PausedTooLong };
    let ended = made.at(180, &[], None);
    assert_eq!(events(Some(&paused), &ended), [Event::Aborted]);
    assert!(ended.reason.unwrap().contains("nobody let it go on"));
    made.world.history.info.state.phase = World::new().history.info.state.phase;
    assert_eq!(events(Some(&paused), &made.at(180, &[2], None)), [Event::Round, Event::Finished]);
}

#[test]
fn commands_and_programs_get_the_same_facts() {
    let made = Made::new();
    let now = made.at(110, &[2], None);
    let environment: BTreeMap<&str, String> = now.environment(Event::Round).into_iter().collect();
    for (key, value) in [
        ("CONSILIUM_EVENT", "round"),
        ("CONSILIUM_STUDY", "4"),
        ("CONSILIUM_TITLE", "Sepsis"),
        ("CONSILIUM_ROUND", "3"),
        ("CONSILIUM_MAX_ROUNDS", "10"),
        ("CONSILIUM_LAST_CLOSED_ROUND", "2"),
        ("CONSILIUM_AWAITED", "site 2, site 3"),
        ("CONSILIUM_LEFT_MS", "75000"),
        ("CONSILIUM_LOSS", "0.275000"),
        ("CONSILIUM_LOSS_SITES", "2"),
        ("CONSILIUM_REASON", ""),
    ] {
        assert_eq!(environment[key], value, "{key}");
    }
    let document = now.json("round", &made.world.history.names);
    assert_eq!(document["closed"][0], json!({ "round": 2, "updates": 3, "without": [], "took_ms": 20_000 }));
    assert_eq!((&document["loss"]["round"], &document["loss"]["sites"]), (&json!(2), &json!(2)));
    assert_eq!(document["awaited"], json!(["site 2", "site 3"]));
}

#[test]
fn who_is_not_waited_for_is_told_apart_from_the_awaited() {
    use consilium_primitives::round::{Missed, Unawaited};
    let mut made = Made::new();
    let study = &mut made.world.history.info.state;
    let unawaited = Some(Unawaited { before: 1, until: 7 });
    study.missed.try_push(Missed { member: 2, last: 2, unawaited }).unwrap();
    study.unawaited = 0b100;
    let now = made.at(110, &[], None);
    let said = "awaited: site 2 · not waited for: site 3 (until round 8)";
    assert!(now.now().contains(said), "{}", now.now());
    let document = now.json("round", &made.world.history.names);
    assert_eq!(document["awaited"], json!(["site 2"]));
    assert_eq!(document["not_waited_for"], json!(["site 3 (until round 8)"]));
}
