//! That programs read of every event what the pallet tells in it, and what it told in the one event before version 7.

use crate::{mock::*, *};
use codec::Encode;
use consilium_primitives::{
    round::{AbortReason, DropReason, Effect, Kind, MaskedRecord, PauseReason, PerMember, RoundRecord},
    FailureCode, InstitutionId, PostStep, VoidReason,
};
use scale_info::{TypeDef, TypeInfo};

/// Names of the events by their index, as the metadata has them.
fn names() -> Vec<(u8, &'static str)> {
    let TypeDef::Variant(all) = Event::<Test>::type_info().type_def else { panic!("events are an enum") };
    all.variants.iter().map(|it| (it.index, it.name)).collect()
}

/// The record of a round whose sum could not be used.
fn voided(round: u32, why: VoidReason) -> RoundRecord {
    let (pairing, listed, partners, weight, fixed_at, evaluated, pooled) = (1, 7, 7, 300, 5, 0, None);
    let masked = MaskedRecord { pairing, listed, partners, weight, fixed_at, evaluated, pooled, void: Some(why) };
    RoundRecord {
        kind: Kind::Model,
        round,
        base: hash(1),
        inputs: PerMember::new(),
        inputs_root: hash(2),
        root: hash(0),
        marks: Default::default(),
        attesters: PerMember::new(),
        dissenters: PerMember::new(),
        silent: PerMember::new(),
        dropped: PerMember::new(),
        attempts: 1,
        opened_at: 1,
        frozen_at: 4,
        closed_at: 6,
        masked: Some(masked),
    }
}

/// Each thing that a step in round 7 can bring about, and what is read of it: in which round, and what.
fn all() -> Vec<(Effect, u32, Progress)> {
    let (who, root) = (id(3), hash(9));
    let silent: PerMember<InstitutionId> = vec![id(1), id(2)].try_into().unwrap();
    let (partners, why) = (silent.clone(), VoidReason::OutOfRange);
    let voided = voided(6, why);
    vec![
        (Effect::Opened { kind: Kind::Model, round: 8 }, 8, Progress::Opened { kind: Kind::Model, round: 8 }),
        (Effect::InitOpened, 7, Progress::InitOpened),
        (Effect::Committed { who, root }, 7, Progress::Committed { who, root }),
        (
            Effect::FailureReported { who, code: FailureCode::OneClass },
            7,
            Progress::Failed { who, code: FailureCode::OneClass },
        ),
        (Effect::Loss { round: 6, who, value: 690_000 }, 6, Progress::Loss { who, value: 690_000 }),
        (Effect::Extended { silent: silent.clone() }, 7, Progress::Extended { silent }),
        (
            Effect::Frozen { round: 7, attempt: 2, inputs_root: root },
            7,
            Progress::Frozen { attempt: 2, inputs_root: root },
        ),
        (Effect::Attested { who, root }, 7, Progress::Attested { who, root }),
        (
            Effect::PartialReported { who, have: 5, invalid: 2, not_final: true },
            7,
            Progress::InputsMissing { who, have: 5, invalid: 2, not_final: true },
        ),
        (Effect::Stood, 7, Progress::Stood),
        (Effect::WentOn, 7, Progress::WentOn),
        (
            Effect::Dropped { who, reason: DropReason::Invalid },
            7,
            Progress::Dropped { who, reason: DropReason::Invalid },
        ),
        (Effect::Benched { who, until_round: 12 }, 7, Progress::Benched { who, until_round: 12 }),
        (
            Effect::NotAwaited { who, before: 4, until_round: 12 },
            7,
            Progress::NotAwaited { who, before: 4, until_round: 12 },
        ),
        (Effect::EvaluationOpened, 7, Progress::EvaluationOpened),
        (Effect::Canonical { round: 5, root }, 5, Progress::Canonical { round: 5, root }),
        (Effect::Acknowledged { who }, 7, Progress::Acknowledged { who }),
        (Effect::Completed { round: 5, root }, 5, Progress::Completed { round: 5, root }),
        (Effect::Paused { reason: PauseReason::NotHeld }, 7, Progress::Paused { reason: PauseReason::NotHeld }),
        (Effect::Resumed, 7, Progress::Resumed),
        (Effect::Aborted { reason: AbortReason::Stalled }, 7, Progress::Aborted { reason: AbortReason::Stalled }),
        (Effect::Present { who, held: 3 }, 7, Progress::Present { who, held: 3 }),
        (Effect::EnoughPresent, 7, Progress::EnoughPresent),
        (Effect::FellBack { from: 6, to: 4 }, 7, Progress::FellBack { from: 6, to: 4 }),
        (
            Effect::Posted { who, round: 7, pairing: 9, step: PostStep::Deal, bytes: vec![1] },
            7,
            Progress::Posted { who, pairing: 9, step: PostStep::Deal },
        ),
        (
            Effect::Paired { round: 7, pairing: 9, partners: partners.clone() },
            7,
            Progress::Paired { pairing: 9, partners },
        ),
        (Effect::Gathered { who }, 7, Progress::Gathered { who }),
        (Effect::SetFixed { round: 7, inputs_root: root }, 7, Progress::SetFixed { inputs_root: root }),
        (Effect::CalledVoid { who, why }, 7, Progress::CalledVoid { who, why }),
        (Effect::Voided(Box::new(voided)), 6, Progress::Voided { why }),
    ]
}

#[test]
fn every_event_of_a_round_is_read_by_its_name() {
    let names = names();
    let read = |event: &Event<Test>| {
        let bytes = event.encode();
        let (_, name) = names.iter().find(|(index, _)| *index == bytes[0]).unwrap();
        (*name, Progress::read(name, &bytes[1..]))
    };
    let mut seen = Vec::new();
    for (effect, round, what) in all() {
        let event = Event::<Test>::of(4, 7, effect).unwrap();
        let (name, said) = read(&event);
        assert_eq!(said, Some((4, round, what)), "{name}");
        seen.push(name);
    }
    let late = Event::<Test>::AttestedLate { study: 4, round: 6, institution: id(3), root: hash(9), agrees: false };
    let what = Progress::AttestedLate { round: 6, who: id(3), root: hash(9), agrees: false };
    assert_eq!(read(&late), ("AttestedLate", Some((4, 6, what))));
    seen.push("AttestedLate");
    // those of no round, and those that are told with a record, are no progress
    let others: Vec<&str> = names.iter().map(|(_, name)| *name).filter(|name| !seen.contains(name)).collect();
    assert_eq!(others, ["Registered", "Enrolled", "Withdrawn", "RoundClosed", "Dissent", "BudgetSet", "Charged"]);
    let enrolled = Event::<Test>::Enrolled { study: 4, institution: id(3), samples: 100 };
    assert_eq!(read(&enrolled), ("Enrolled", None));
}

#[test]
fn the_one_event_of_before_version_7_is_read_too() {
    // by the layout of then: study, round, number of the form, fields
    let committed = [&[4, 0, 0, 0, 7, 0, 0, 0, 2][..], &[3; 32], &[9; 32]].concat();
    let (who, root) = (InstitutionId([3; 32]), [9; 32].into());
    assert_eq!(Progress::read("Progress", &committed), Some((4, 7, Progress::Committed { who, root })));
    let late = [&[4, 0, 0, 0, 7, 0, 0, 0, 23, 6, 0, 0, 0][..], &[3; 32], &[9; 32], &[1]].concat();
    let what = Progress::AttestedLate { round: 6, who, root, agrees: true };
    assert_eq!(Progress::read("Progress", &late), Some((4, 7, what)));
    assert_eq!(Progress::read("Progress", &late[..late.len() - 1]), None, "cut off");
    assert_eq!(Progress::read("Progress", &[late, vec![0]].concat()), None, "too long");
    // its number names no event any more
    assert!(names().iter().all(|(index, _)| *index != 3));
}
