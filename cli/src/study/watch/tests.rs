//! What is known of a study at a block, and what has happened since the last look.
#![allow(clippy::unwrap_used)]
use super::{facts::*, first_asked, free, next_untold, unheard};
use crate::{
    audit::testing::{id, World},
    study::losses::Mean,
};
use consilium_primitives::{
    round::{AbortReason, Back, Collecting, Commitment, Kind, Pause, PauseReason, Phase, RoundRecord},
    Hash, InstitutionId,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// A site, and its loss in micro-units.
type Loss = (InstitutionId, u32);

/// A study of ten rounds of three sites, in its third round since block 100; two rounds have taken 20 and 40 blocks of 500 ms.
struct Made {
    world: World,
    records: BTreeMap<u32, RoundRecord>,
    early: Vec<RoundRecord>,
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
        Self { world, records: records.into(), early: Vec::new() }
    }

    fn at(&self, block: u32, fresh: &[u32], stands: Option<&str>) -> Facts {
        self.told(block, fresh, stands, &[])
    }

    fn told(&self, block: u32, fresh: &[u32], stands: Option<&str>, losses: &[(u32, Vec<Loss>)]) -> Facts {
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
            early: &self.early,
            losses,
            loss: Some(&(1, Mean { value: 0.5, told: 3, silent: Vec::new() })),
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
    assert_eq!(now.in_a_line(&now.closed[0]), "round 2 of 10: merged of 3 updates in 20 s");
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
        late.late
            .as_ref()
            .unwrap()
            .contains("round 3 has taken 20 s; a round of this study takes 10 s while nobody is missing"),
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
    assert!(ended.reason.as_ref().unwrap().contains("nobody let it go on"));
    made.world.history.info.state.phase = World::new().history.info.state.phase;
    let finished = made.at(180, &[2], None);
    assert_eq!(events(Some(&paused), &finished), [Event::Round, Event::Finished]);
    let Phase::Completed(certificate) = &made.world.history.info.state.phase else { panic!("another phase") };
    assert_eq!((finished.certified, ended.certified), (Some(certificate.round), None));
}

#[test]
fn each_round_s_loss_is_told_once_it_is_known() {
    let mut made = Made::new();
    let some = || vec![(id(1), 200_000), (id(2), 400_000)];
    let numbers = |facts: &Facts| facts.losses.iter().map(|(round, _)| *round).collect::<Vec<_>>();
    // more may come while the next round is open: the one before it is known
    let now = made.told(110, &[], None, &[(1, some()), (2, some())]);
    assert_eq!((numbers(&now), now.loss.as_ref().unwrap().0), (vec![1], 1));
    assert_eq!(events(None, &now), [Event::Loss]);
    assert!(events(None, &made.told(110, &[], None, &[(2, some())])).is_empty());
    // all that there are
    let all = vec![(id(1), 200_000), (id(2), 400_000), (id(3), 300_000)];
    let now = made.told(110, &[], None, &[(1, some()), (2, all)]);
    assert_eq!((numbers(&now), now.loss.as_ref().unwrap().0), (vec![1, 2], 2));
    // or none will come any more, since the next round has closed
    made.records.insert(3, RoundRecord { round: 3, ..made.records[&2].clone() });
    assert_eq!(numbers(&made.told(110, &[], None, &[(2, some())])), [2]);
    // of which rounds they are asked for: none is left out, and none told of twice
    assert_eq!([first_asked(None, 9), first_asked(Some(7), 9), first_asked(Some(10), 9)], [8, 7, 10]);
    assert_eq!(first_asked(Some(7), 1_000), 800);
    // that of round 13 is told while round 14 waits: the looks after that have nothing to tell, and do not tell it again
    assert_eq!([next_untold(None, 13, false), next_untold(Some(13), 13, true)], [13, 14]);
    assert_eq!([next_untold(Some(14), 13, false), next_untold(Some(14), 14, false)], [14, 14]);
}

#[test]
fn a_round_is_late_also_where_those_before_it_were_slow() {
    let mut made = Made::new();
    // for 100 of 140 blocks each waited for a site that did not come
    for record in made.records.values_mut() {
        record.closed_at = record.opened_at + 140;
        record.frozen_at = record.opened_at + 130;
        record.inputs.iter_mut().for_each(|input| input.committed_at = record.opened_at + 30);
    }
    assert!(made.at(179, &[], None).late.is_none());
    let late = made.at(181, &[], None).late.unwrap();
    assert_eq!(late, "round 3 has taken 40 s; a round of this study takes 20 s while nobody is missing");
    // all are there, but slow since some round: the first rounds were not
    for record in made.records.values_mut() {
        record.frozen_at = record.opened_at + 30;
    }
    assert!(made.at(300, &[], None).late.is_none());
    made.early = vec![RoundRecord { opened_at: 1, closed_at: 41, ..made.records[&1].clone() }; 9];
    made.early.iter_mut().for_each(|record| record.frozen_at = 1);
    assert!(made.at(300, &[], None).late.unwrap().contains("takes 20 s while"));
}

#[test]
fn the_folder_that_is_named_for_the_model_is_free() {
    assert_eq!(free(4, |_| false), "model-4");
    assert_eq!(free(4, |name| name == "model-4" || name == "model-4-2"), "model-4-3");
}

#[test]
fn commands_and_programs_get_the_same_facts() {
    let made = Made::new();
    let now = made.told(110, &[2], None, &[(1, vec![(id(1), 200_000), (id(2), 400_000)])]);
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
        ("CONSILIUM_LOSS_ROUND", "1"),
        ("CONSILIUM_LOSS_SITES", "2"),
        ("CONSILIUM_REASON", ""),
    ] {
        assert_eq!(environment[key], value, "{key}");
    }
    let document = now.json("round", &made.world.history.names);
    consilium_e2e::schema::documented("consilium study watch").unwrap().check(&document).unwrap();
    assert_eq!(
        document["closed"][0],
        json!({ "round": 2, "updates": 3, "without": [], "void": false, "took_ms": 20_000 })
    );
    assert_eq!((&document["loss"]["round"], &document["loss"]["sites"]), (&json!(1), &json!(2)));
    assert_eq!(document["losses"], json!([document["loss"]]));
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
    // a line says so once, and again where it is for other rounds
    let mut said = BTreeSet::new();
    assert_eq!(unheard(&mut said, &now.unawaited), ["site 3 (until round 8)"]);
    assert!(unheard(&mut said, &now.unawaited).is_empty());
    assert_eq!(unheard(&mut said, &["site 3 (until round 14)".to_owned()]), ["site 3 (until round 14)"]);
}
