//! Studies that were stored while a slot had two seconds, and go on in slots of half a second.

use super::*;
use crate::time::{blocks, SLOT_MILLIS_BEFORE_5};
use codec::{Decode, Encode, Error};

const FOUR: u32 = 4;

/// As it was stored before runtime 5: without the length of a slot, and what pauses need to end by themselves, at its end.
fn before(study: &Study) -> Vec<u8> {
    let bytes = study.encode();
    let later = (study.slot_millis, study.base_round, study.taken_up, study.tries, &study.presence).encoded_size()
        + (&study.ahead, &study.last, &study.missed, study.unawaited, &study.masking).encoded_size();
    bytes[..bytes.len() - later].to_vec()
}

#[test]
fn a_study_of_before_is_read_as_one_of_two_seconds() {
    let study = Shell::training(plain(), &[100; 3]).study;
    let read = Study::decode(&mut &before(&study)[..]).expect("it is read");
    assert_eq!(read.slot_millis, SLOT_MILLIS_BEFORE_5);
    assert_eq!(Study { slot_millis: 500, ..read }, study);
    assert_eq!(Study::decode(&mut &study.encode()[..]), Ok::<_, Error>(study.clone()));
    // before runtime 6, without what is said ahead and late
    let bytes = study.encode();
    let later = (&study.ahead, &study.last, &study.missed, study.unawaited, &study.masking).encoded_size();
    let of_5 = &bytes[..bytes.len() - later];
    assert_eq!(Study::decode(&mut &of_5[..]), Ok::<_, Error>(study.clone()));
    // nothing is masked here: nineteen bytes say so, and without them it is one of runtime 8. Nobody is noted: a byte for none of
    // them, and eight for the mask; without these nine too it is one of runtime 7
    assert_eq!(study.masking.encoded_size(), 19);
    let of_8 = &bytes[..bytes.len() - 19];
    assert_eq!(Study::decode(&mut &of_8[..]), Ok::<_, Error>(study.clone()));
    for cut in (1..19).chain(20..28).chain([29, 31]) {
        assert!(Study::decode(&mut &bytes[..bytes.len() - cut]).is_err(), "{cut} bytes short");
    }
}

#[test]
fn a_study_of_runtime_7_is_read_as_one_in_which_nobody_has_missed_a_round() {
    let mut shell = Shell::training(StudyRules { max_rounds: 30, ..plain() }, &[100; 4]);
    silence::round(&mut shell, &[3]);
    silence::round(&mut shell, &[3]);
    let study = shell.study;
    assert_eq!((study.missed.len(), study.unawaited), (1, 0b1000));
    let bytes = study.encode();
    let of_7 = &bytes[..bytes.len() - (&study.missed, study.unawaited, &study.masking).encoded_size()];
    let read = Study::decode(&mut &of_7[..]).expect("it is read");
    assert_eq!((read.missed.len(), read.unawaited), (0, 0));
    assert_eq!(Study { missed: study.missed.clone(), unawaited: study.unawaited, ..read }, study);
    assert_eq!(Study::decode(&mut &bytes[..]), Ok::<_, Error>(study));
}

#[test]
fn windows_are_as_long_in_time_as_agreed() {
    let rules = StudyRules { training_blocks: 100, transfer_blocks: 7, ..plain() };
    let (old, new) = (rules.windows(4, 2_000), rules.windows(4, 500));
    assert_eq!((old.expected, new.expected), (400, 100));
    assert_eq!((old.grace, new.grace), (200, 50));
    assert_eq!((old.fetch, new.fetch), (28 + blocks(12_000), 7 + blocks(12_000)));
    // many validators: two slots for each, whatever a slot is
    assert_eq!((rules.windows(200, 2_000).grace, rules.windows(200, 500).grace), (402, 402));
    // the fixed parts
    let short = StudyRules { training_blocks: 1, transfer_blocks: 1, ..plain() }.windows(4, 500);
    assert_eq!((short.grace, short.fetch, short.attest, short.service), (40, 25, 50, 80));
}

#[test]
fn deadlines_are_as_far_away_in_time_as_they_were() {
    let mut shell = Shell::training(plain(), &[100; 4]);
    shell.commit(0).expect("an update is asked for");
    let now = shell.world.now;
    let Phase::Collecting(was) = shell.study.phase.clone() else { panic!("it collects") };
    shell.study.restate(now + 3, SLOT_MILLIS_BEFORE_5);
    let Phase::Collecting(is) = &shell.study.phase else { panic!("it collects") };
    assert_eq!(is.limit, now + 3 + FOUR * (was.limit - now - 3));
    // less than the first block there is none
    assert_eq!(is.start, (now + 3).saturating_sub(FOUR * (now + 3 - was.start)));
    assert_eq!(is.commitments, was.commitments, "what happened stays where it happened");

    let mut shell = Shell::merging(plain(), 4);
    shell.world.now += 2;
    let now = shell.world.now;
    let was = shell.merge().clone();
    shell.study.restate(now, SLOT_MILLIS_BEFORE_5);
    let is = shell.merge();
    assert_eq!(is.until, now + FOUR * (was.until - now));
    assert_eq!(is.window, FOUR * was.window);
    assert_eq!((is.frozen_at, &is.inputs), (was.frozen_at, &was.inputs), "the block of the freeze is a block");
    assert_eq!(shell.study.deadline(), Some(is.until));
}
