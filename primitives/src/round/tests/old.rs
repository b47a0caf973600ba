//! Bytes of studies as chains kept them before, and what becomes of them.

use super::{super::old::Study as Old, *};
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

/// One line for each, as the machine of then has encoded it.
const THEN: &str = include_str!("old.hex");

#[test]
fn studies_of_then_are_those_of_now() {
    let lines: Vec<_> = THEN.lines().filter_map(|line| line.split_once(": ")).collect();
    let made = made();
    assert_eq!(lines.len(), made.len());
    for ((name, shell), (then, hex)) in made.into_iter().zip(lines) {
        assert_eq!(name, then);
        let bytes: Vec<u8> =
            (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex")).collect();
        let study = Old::decode_all(&mut &bytes[..]).expect("the layout of then");
        assert_eq!(study.encode(), bytes, "{name}");
        assert!(Study::decode_all(&mut &bytes[..]).is_err(), "{name}: is not taken for one of now");
        assert_eq!(study.clone().now(|round| shell.world.root(round)), shell.study, "{name}");
        // also where no record is at hand
        assert_eq!(study.now(|_| None), shell.study, "{name}");
    }
}
