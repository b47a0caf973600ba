//! Bytes of studies as chains kept them before, and what becomes of them.

use super::*;
use crate::time::SLOT_MILLIS_BEFORE_5;
use codec::{DecodeAll, Encode};

/// Studies in several phases, made by the same steps then and now.
fn made() -> Vec<(&'static str, Shell)> {
    let pauses = |mut shell: Shell| {
        while !matches!(shell.study.phase, Phase::Paused(_)) {
            shell.deadline();
        }
        shell
    };
    let certifying = || {
        let mut shell = Shell::training(StudyRules { max_rounds: 1, ..plain() }, &[100; 4]);
        shell.whole_round(&[None; 4]);
        ends::evaluate(&mut shell, &[None; 4]);
        shell
    };
    let mut training = Shell::training(StudyRules { max_rounds: 9, ..plain() }, &[100, 90, 80, 70]);
    training.whole_round(&[Some(90); 4]);
    training.whole_round(&[Some(80); 4]);
    training.commit(2).expect("asked for");
    let mut asked = pauses(Shell::merging(plain(), 4));
    asked.step(Event::Resume { who: id(2) }).expect("may ask");
    let mut completed = certifying();
    for member in 0..4 {
        completed.vote(member, VoteBody::Held(hash("merge 1"))).expect("asked for");
    }
    let mut aborted = pauses(Shell::training(plain(), &[100; 4]));
    aborted.step(Event::Abort { who: id(1) }).expect("the proposer");
    vec![
        ("enrolling", Shell::enrolled(testing::rules(), &[100, 50])),
        ("training", training),
        ("merging", Shell::merging(plain(), 4)),
        ("asked", asked),
        ("certifying", certifying()),
        ("not held", pauses(certifying())),
        ("completed", completed),
        ("aborted", aborted),
    ]
}

/// One line for each, as the machine of then has encoded it: in slots of two seconds, with windows of then.
const THEN: &str = include_str!("old.hex");

fn then() -> Vec<(&'static str, Vec<u8>)> {
    let byte = |hex: &str, at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    let lines = THEN.lines().filter_map(|line| line.split_once(": "));
    lines.map(|(name, hex)| (name, (0..hex.len()).step_by(2).map(|at| byte(hex, at)).collect())).collect()
}

#[test]
fn studies_of_then_are_read_as_what_they_would_be_now() {
    let (made, then) = (made(), then());
    assert_eq!(made.len(), then.len());
    for ((name, shell), (line, bytes)) in made.into_iter().zip(then) {
        assert_eq!(name, line);
        let mut study = Study::decode_all(&mut &bytes[..]).expect("the layout of then");
        assert_eq!(study.encode()[..bytes.len()], bytes, "{name}: what was stored stays");
        assert_eq!((study.slot_millis, study.taken_up, study.tries), (SLOT_MILLIS_BEFORE_5, None, 0), "{name}");
        assert_eq!(study.presence, Presence::default(), "{name}");
        let now = &shell.study;
        assert_eq!((study.round, study.base, study.base_round), (now.round, now.base, now.base_round), "{name}");
        study.find_base(|round| shell.world.root(round));
        assert_eq!(study.base_round, now.base_round, "{name}");
        assert_eq!(std::mem::discriminant(&study.phase), std::mem::discriminant(&now.phase), "{name}");
        assert_eq!(Study::decode_all(&mut &study.encode()[..]).as_ref(), Ok(&study), "{name}");
    }
}

#[test]
fn an_aborted_study_says_which_round_it_stands_on_once_its_records_are_at_hand() {
    let mut shell = Shell::training(StudyRules { max_rounds: 1, ..plain() }, &[100; 4]);
    shell.whole_round(&[None; 4]);
    ends::evaluate(&mut shell, &[None; 4]);
    pauses::silent(&mut shell);
    shell.step(Event::Abort { who: id(1) }).expect("the proposer");
    let mut study = Study { base_round: 0, ..shell.study.clone() };
    study.find_base(|round| shell.world.root(round));
    assert_eq!(study, shell.study);
    assert_eq!(study.base_round, 1);
}

#[test]
fn a_pause_of_then_asks_who_is_there() {
    let bytes = then().into_iter().find(|(name, _)| *name == "asked").expect("one is paused").1;
    let mut shell = made().into_iter().find(|(name, _)| *name == "asked").expect("one is paused").1;
    shell.study = Study::decode_all(&mut &bytes[..]).expect("the layout of then");
    for member in 0..3 {
        shell.there(member).expect("asked for");
    }
    assert!(matches!(shell.study.phase, Phase::Merging(_)));
}
