//! Lies in what is served, and in what is said of others.

use super::*;
use crate::rules::liars_survived;

#[test]
fn friends_do_not_hold_an_input_for_the_others() {
    // 6 gives its file to 5 alone, which says that it has it and passes nothing on: f voices keep no input
    for silent in [true, false] {
        let mut shell = seven();
        shell.fetched();
        shell.root(5, "merge").expect("it may say so");
        if !silent {
            shell.root(6, "merge").expect("it may say so");
        }
        for member in 0..5 {
            shell.partial(member, 0b0111111, 0).expect("asked for");
        }
        if silent {
            shell.deadline();
        }
        assert_eq!(shell.dropped(), [(id(7), DropReason::Withheld)]);
        all_attest(&mut shell, 0..6);
    }
}

#[test]
fn taking_an_accusation_back_counts_for_nothing() {
    // two liars and one honest site that errs would be h; whoever attests after all accuses nobody any more
    let mut shell = seven();
    shell.fetched();
    shell.partial(5, 0b1111110, 1).expect("it may say so");
    shell.root(5, "wrong").expect("it may say so");
    assert_eq!(shell.partial(5, 0b1111110, 1), Err(Refusal::NoSuchDuty));
    for accuser in [4, 6] {
        shell.partial(accuser, 0b1111110, 1).expect("it may say so");
    }
    assert_eq!((shell.dropped(), shell.merge().attempt), (vec![], 1));
    all_attest(&mut shell, 0..5);
    assert_eq!(shell.last_record().dissenters.to_vec(), [(id(6), hash("wrong"))]);
}

#[test]
fn nobody_accuses_itself_out_of_a_round_or_others_beyond_the_list() {
    let mut shell = Shell::merging(plain(), 4);
    shell.fetched();
    // its own voice against its own input is none
    shell.partial(3, 0b0111, 0b1000).expect("it may say so");
    shell.partial(2, 0b0111, 0b1000).expect("it may say so");
    assert!(shell.dropped().is_empty());
    assert_eq!(shell.partial(1, 0, u64::MAX), Err(Refusal::BadMask));
}

#[test]
fn a_wrong_root_beside_late_sites_costs_at_most_the_attestation_limit() {
    let mut shell = seven();
    for liar in 5..7 {
        shell.root(liar, "wrong").expect("it may say so");
    }
    for member in 0..4 {
        shell.root(member, "merge").expect("asked for");
    }
    // one honest site comes too late: four are j, not q
    assert_eq!(shell.study.round, 1);
    shell.deadline();
    let record = shell.last_record();
    assert_eq!((record.root, record.closed_at - record.frozen_at), (hash("merge"), shell.windows().attest));
    assert_eq!(record.dissenters.to_vec(), [(id(6), hash("wrong")), (id(7), hash("wrong"))]);
    assert_eq!(record.silent.to_vec(), [id(5)]);
}

#[test]
fn no_root_closes_without_an_honest_voice() {
    // as many liars as can be survived agree on one wrong root, and no honest site says anything, to the end
    for members in 2..=64u8 {
        let liars = liars_survived(u32::from(members)) as u8;
        for rules in [plain(), StudyRules { strict: true, ..plain() }] {
            let mut shell = Shell::merging(rules, members);
            while matches!(shell.study.phase, Phase::Merging(_)) {
                for liar in 0..liars {
                    shell.root(liar, "wrong").expect("it may say so");
                }
                shell.deadline();
            }
            assert_eq!((shell.paused(), shell.study.base), (PauseReason::NoAgreement, hash("init")), "{members}");
            assert!(shell.dropped().is_empty());
        }
    }
}

#[test]
fn the_first_root_binds() {
    let mut shell = seven();
    let first = shell.answer(6, VoteBody::Failure(FailureCode::Internal)).expect("asked for");
    shell.root(6, "wrong").expect("it may say so");
    let duty = shell.merge().inputs_root;
    assert_eq!(shell.root(6, "merge"), Err(Refusal::NoSuchDuty), "nothing is asked of it any more");
    assert_eq!(shell.step(Event::Vote(first)), Err(Refusal::AlreadyAnswered));
    all_attest(&mut shell, 0..5);
    assert_eq!(shell.last_record().inputs_root, duty);
    assert_eq!(shell.last_record().dissenters.to_vec(), [(id(7), hash("wrong"))]);
}

#[test]
fn silence_twice_is_benched() {
    let mut shell = Shell::training(StudyRules { max_rounds: 30, ..plain() }, &[100; 7]);
    for _ in 0..2 {
        shell.commit_all();
        // one honest site is late each time, another one, and says at least what it lacks
        let late = shell.study.round as u8;
        shell.fetched();
        for member in (0..5).filter(|member| *member != late) {
            shell.root(member, "merge").expect("asked for");
        }
        shell.partial(late, 0b0111111, 0).expect("asked for");
        shell.deadline();
        assert_eq!(shell.last_record().root, hash("merge"));
    }
    assert_eq!((shell.collecting().roster, shell.asks(5), shell.asks(6)), (0b0011111, None, None));
}

#[test]
fn a_malformed_file_is_dropped_by_name_at_the_fetch_window() {
    let mut shell = seven();
    shell.fetched();
    // who has looked at it cannot merge; the h-th voice is enough, while the others are still fetching
    for member in 0..3 {
        assert!(shell.dropped().is_empty());
        shell.partial(member, 0b0111111, 0b1000000).expect("asked for");
    }
    assert_eq!(shell.dropped(), [(id(7), DropReason::Invalid)]);
    assert_eq!(shell.world.now, 1 + shell.windows().fetch);
    assert_eq!((shell.merge().attempt, shell.merge().inputs.len(), shell.asks(6)), (2, 6, None));
    all_attest(&mut shell, 0..6);
    assert_eq!(shell.last_record().dropped.to_vec(), [(id(7), DropReason::Invalid)]);
}

#[test]
fn liars_that_serve_late_one_after_the_other_do_not_use_up_the_attempts() {
    // each of three liars of ten means to give its file, in an attempt of its own, to 0 and 1 alone, just before the
    // fetch window ends. All the others have it from these two in the next one
    let mut shell = Shell::merging(plain(), 10);
    shell.fetched();
    for liar in 7..10 {
        shell.root(liar, "wrong").expect("it may say so");
    }
    for member in 0..2 {
        shell.partial(member, 0b0011111111, 0).expect("asked for");
    }
    for member in 2..7 {
        shell.partial(member, 0b0001111111, 0).expect("asked for");
    }
    // who has served nobody yet is not waited for
    assert_eq!(shell.dropped(), [(id(9), DropReason::Withheld), (id(10), DropReason::Withheld)]);
    assert_eq!((shell.merge().attempt, shell.merge().inputs.len()), (2, 8));
    all_attest(&mut shell, 0..7);
}
