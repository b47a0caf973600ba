//! Pauses that end by themselves: who is asked, how many it takes, how often.

use super::{ends::evaluate, *};
use crate::rules::OnStall;

/// Nobody sends anything until it pauses.
pub(super) fn silent(shell: &mut Shell) -> PauseReason {
    while !matches!(shell.study.phase, Phase::Paused(_)) {
        shell.deadline();
    }
    shell.paused()
}

/// Four members, none of whom has sent an update.
fn too_few_updates(rules: StudyRules) -> Shell {
    let mut shell = Shell::training(rules, &[100; 4]);
    assert_eq!(silent(&mut shell), PauseReason::TooFewUpdates);
    shell
}

/// Whether a study goes on where it should.
type GoesOn = fn(&Phase) -> bool;

#[test]
fn the_last_voice_that_a_round_needs_takes_it_up() {
    let no_start = || {
        let mut shell = Shell::enrolled(plain(), &[100; 4]);
        shell.step(Event::Start { who: id(1) }).expect("may start");
        shell
    };
    let no_agreement = || Shell::merging(plain(), 4);
    let no_inputs = || {
        let mut shell = Shell::merging(plain(), 4);
        shell.fetched();
        shell.partial(0, 0b0001, 0b1110).expect("asked for");
        shell.partial(1, 0b0010, 0b1101).expect("asked for");
        shell
    };
    let not_held = || {
        let mut shell = Shell::training(StudyRules { max_rounds: 1, ..plain() }, &[100; 4]);
        shell.whole_round(&[None; 4]);
        evaluate(&mut shell, &[None; 4]);
        shell
    };
    let cases: [(PauseReason, Shell, GoesOn); 5] = [
        (PauseReason::NoCommonStart, no_start(), |phase| matches!(phase, Phase::Init { .. })),
        (PauseReason::TooFewUpdates, Shell::training(plain(), &[100; 4]), |phase| {
            matches!(phase, Phase::Collecting(_))
        }),
        (PauseReason::NoAgreement, no_agreement(), |phase| matches!(phase, Phase::Merging(_))),
        (PauseReason::TooFewInputs, no_inputs(), |phase| matches!(phase, Phase::Merging(_) | Phase::Collecting(_))),
        (PauseReason::NotHeld, not_held(), |phase| matches!(phase, Phase::Certifying(_))),
    ];
    for (reason, mut shell, back) in cases {
        assert_eq!(silent(&mut shell), reason);
        shell.pass(10);
        assert!((0..4).all(|member| shell.asks(member) == Some(DutyKind::Present)), "{reason:?}");
        for member in [3, 0] {
            let effects = shell.there(member).expect("asked for");
            let who = id(member + 1);
            assert_eq!(effects, [Effect::Present { who, held: HELD_BASE }], "{reason:?}");
            assert_eq!(shell.asks(member), None, "it has said so");
        }
        let effects = shell.there(1).expect("asked for");
        assert_eq!(effects[1..3], [Effect::EnoughPresent, Effect::Resumed], "{reason:?}");
        assert!(back(&shell.study.phase), "{reason:?}: {:?}", shell.study.phase);
        assert_eq!((shell.study.taken_up, shell.study.tries), (Some(shell.world.now), 1));
    }
}

#[test]
fn strict_studies_and_those_that_shrink_wait_for_as_many_as_their_rounds_need() {
    // five members: three are enough, who in a strict study must all agree; two where it may shrink to two
    let strict = StudyRules { strict: true, ..plain() };
    let shrinks = StudyRules { on_stall: OnStall::Shrink, ..plain() };
    for (rules, needed) in [(plain(), 3), (strict, 3), (shrinks, 2)] {
        let mut shell = Shell::training(rules, &[100; 5]);
        assert_eq!(silent(&mut shell), PauseReason::TooFewUpdates);
        for member in 0..needed {
            assert!(matches!(shell.study.phase, Phase::Paused(_)), "{member} of {needed}");
            shell.there(member).expect("asked for");
        }
        assert!(matches!(shell.study.phase, Phase::Collecting(_)), "{needed}");
    }
    // with three commitments and as many sites as these needed beside them, five must agree by four
    let mut shell = Shell::training(StudyRules { strict: true, ..plain() }, &[100; 5]);
    shell.commit(0).expect("asked for");
    shell.commit(1).expect("asked for");
    assert_eq!(silent(&mut shell), PauseReason::TooFewUpdates);
    for member in 2..5 {
        shell.there(member).expect("asked for");
    }
    assert!(matches!(shell.study.phase, Phase::Paused(_)));
    shell.there(0).expect("asked for");
    assert_eq!(shell.collecting().commitments.len(), 2, "what was committed stays");
}

#[test]
fn people_alone_decide_on_too_few_members() {
    let mut shell = Shell::training(StudyRules { min_participants: 3, ..plain() }, &[100; 3]);
    shell.step(Event::Withdraw { who: id(3) }).expect("may leave");
    silent(&mut shell);
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    assert_eq!(shell.paused(), PauseReason::TooFewMembers);
    assert_eq!((shell.asks(0), shell.asks(1)), (None, None));
    assert_eq!(shell.there(0), Err(Refusal::NoSuchDuty));
    shell.deadline();
    assert_eq!(shell.study.phase, Phase::Aborted { reason: AbortReason::PausedTooLong });
    // nor is a pause taken up that would only become one for people
    let mut shell = Shell::training(StudyRules { min_participants: 3, ..plain() }, &[100; 3]);
    shell.step(Event::Withdraw { who: id(3) }).expect("may leave");
    silent(&mut shell);
    shell.there(0).expect("asked for");
    shell.there(1).expect("asked for");
    assert_eq!(shell.paused(), PauseReason::TooFewUpdates);
}

#[test]
fn pauses_end_by_themselves_once_an_hour_at_most() {
    let mut shell = too_few_updates(plain());
    for member in 0..3 {
        shell.there(member).expect("asked for");
    }
    let first = shell.world.now;
    assert_eq!(silent(&mut shell), PauseReason::TooFewUpdates);
    assert!(shell.world.now < first + TAKE_UP_BLOCKS);
    for _ in 0..3 {
        shell.until(shell.study.taken_up.expect("taken up") + TAKE_UP_BLOCKS - 1);
        assert!((0..4).all(|member| shell.asks(member).is_none()), "nobody is asked before");
        shell.pass(1);
        for member in 1..4 {
            shell.there(member).expect("asked for");
        }
        assert_eq!(shell.study.taken_up, Some(shell.world.now));
        silent(&mut shell);
    }
    // people may at any time, and it is theirs
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    assert_eq!((shell.study.tries, shell.collecting().commitments.len()), (0, 0));
}

#[test]
fn it_is_tried_so_often_and_then_it_waits_for_people() {
    let mut shell = too_few_updates(plain());
    shell.study.tries = MAX_TRIES - 1;
    for member in 0..3 {
        shell.there(member).expect("asked for");
    }
    silent(&mut shell);
    let until = shell.study.deadline().expect("a pause ends");
    shell.until(shell.world.now + TAKE_UP_BLOCKS + 1);
    assert!((0..4).all(|member| shell.asks(member).is_none()));
    assert_eq!(shell.study.deadline(), Some(until));
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    silent(&mut shell);
    assert_eq!(shell.asks(0), Some(DutyKind::Present), "people gave it new tries");
    // so does a round that closes
    for member in 0..3 {
        shell.there(member).expect("asked for");
    }
    assert_eq!(shell.study.tries, 1);
    shell.commit_all();
    for member in 0..3 {
        shell.root(member, "merge").expect("asked for");
    }
    assert_eq!((shell.study.round, shell.study.tries), (2, 0));
}

#[test]
fn who_wants_the_study_to_end_keeps_it_from_going_on_where_they_are_more_than_a_merge_survives() {
    for (members, voices) in [(3, 1), (4, 2), (7, 3)] {
        let mut shell = Shell::training(plain(), &vec![100; members]);
        silent(&mut shell);
        for voice in 0..voices {
            assert_eq!(shell.asks(0), Some(DutyKind::Present), "{voice} of {members}");
            shell.step(Event::Abort { who: id(members as u8 - voice) }).expect("may want so");
        }
        assert_eq!(shell.asks(0), None, "{members}");
        assert_eq!(shell.there(0), Err(Refusal::NoSuchDuty));
        // one of them has left: of three that are left one is enough, of six two
        shell.step(Event::Withdraw { who: id(members as u8) }).expect("may leave");
        assert_eq!(shell.asks(0).is_some(), members == 3, "{members}");
    }
}

#[test]
fn voices_on_a_pause_are_checked_and_say_nothing_on_another() {
    let mut shell = too_few_updates(plain());
    // the initial model is all that there is to hold
    for held in [0b100, 0b1000_0000_0000_0000] {
        assert_eq!(shell.vote(0, VoteBody::Present { held }), Err(Refusal::BadMask));
    }
    for body in [VoteBody::Metric(None), VoteBody::Failure(FailureCode::Internal), VoteBody::Held(Hash::zero())] {
        assert_eq!(shell.vote(0, body), Err(Refusal::WrongAnswer));
    }
    let vote = shell.answer(0, VoteBody::Present { held: 0 }).expect("asked for");
    shell.step(Event::Vote(vote)).expect("asked for");
    assert_eq!(shell.step(Event::Vote(vote)), Err(Refusal::AlreadyAnswered));
    let stranger = Vote { institution: id(40), ..vote };
    assert_eq!(shell.step(Event::Vote(stranger)), Err(Refusal::NotAMember));
    shell.step(Event::Withdraw { who: id(2) }).expect("may leave");
    assert_eq!((shell.asks(1), shell.study.presence.voices.len()), (None, 1));
    shell.there(2).expect("asked for");
    assert!(matches!(shell.study.phase, Phase::Collecting(_)), "two of three are enough");
    silent(&mut shell);
    shell.pass(TAKE_UP_BLOCKS);
    assert_eq!(shell.study.presence.voices.len(), 0);
    assert_eq!(shell.step(Event::Vote(vote)), Err(Refusal::NoSuchDuty));
}

#[test]
fn who_has_said_so_and_leaves_is_not_counted() {
    let mut shell = too_few_updates(StudyRules { min_participants: 3, ..plain() });
    shell.there(0).expect("asked for");
    shell.there(1).expect("asked for");
    shell.step(Event::Withdraw { who: id(1) }).expect("may leave");
    assert_eq!(shell.study.presence.there(), 0b0010);
    shell.there(2).expect("asked for");
    assert!(matches!(shell.study.phase, Phase::Paused(_)));
    // three are left, and all are needed
    shell.there(3).expect("asked for");
    assert_eq!(shell.collecting().roster, 0b1110);
}

#[test]
fn those_whose_inputs_were_dropped_are_not_counted_where_the_others_are_enough() {
    // of seven, four inputs of five are dropped
    let mut shell = Shell::training(plain(), &[100; 7]);
    for member in 0..4 {
        shell.commit(member).expect("asked for");
    }
    shell.until(shell.collecting().freeze_at.expect("enough are in"));
    shell.fetched();
    for member in 0..3 {
        shell.partial(member, bit(member), 0b1000).expect("asked for");
        if matches!(shell.study.phase, Phase::Paused(_)) {
            break;
        }
    }
    assert_eq!(shell.paused(), PauseReason::TooFewInputs);
    assert_eq!(shell.dropped(), [(id(4), DropReason::Invalid)]);
    for member in [3, 4, 5] {
        shell.there(member).expect("asked for");
    }
    shell.there(0).expect("asked for");
    assert!(matches!(shell.study.phase, Phase::Paused(_)), "three of those that will be asked are there");
    shell.there(1).expect("asked for");
    assert_eq!(shell.collecting().awaited, 0b1110000);
}
