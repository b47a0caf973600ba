//! Merging and its resolution, by the thresholds of the table.

use super::*;
use crate::Marks;

const TABLE: [(u8, u8, u8); 6] = [(2, 2, 2), (3, 3, 2), (4, 3, 3), (5, 4, 3), (6, 5, 4), (7, 5, 4)];

fn strict() -> StudyRules {
    StudyRules { strict: true, ..plain() }
}

fn closed(shell: &Shell) -> bool {
    shell.study.round == 2
}

#[test]
fn q_equal_roots_close_at_once() {
    for (members, q, _) in TABLE {
        let mut shell = Shell::merging(plain(), members);
        for member in 0..q {
            assert!(!closed(&shell), "{members}: after {member}");
            shell.root(member, "merge").expect("asked for");
        }
        assert!(closed(&shell), "{members}");
        let record = shell.last_record();
        assert_eq!((record.root, record.attempts), (hash("merge"), 1));
        assert_eq!((record.attesters.len(), record.silent.len()), (usize::from(q), usize::from(members - q)));
        assert_eq!((shell.study.base, record.base), (hash("merge"), hash("init")));
    }
}

#[test]
fn j_equal_roots_close_at_the_deadline() {
    for (members, q, j) in TABLE {
        for (rules, needed) in [(plain(), j), (strict(), q)] {
            for votes in [needed, needed - 1] {
                let mut shell = Shell::merging(rules.clone(), members);
                for member in 0..votes {
                    shell.root(member, "merge").expect("asked for");
                }
                if !closed(&shell) {
                    let frozen_at = shell.merge().frozen_at;
                    shell.deadline();
                    assert_eq!(shell.world.now, frozen_at + shell.windows().attest);
                }
                assert_eq!(closed(&shell), votes == needed, "{votes} of {members}");
                if !closed(&shell) {
                    assert_eq!(shell.merge().attempt, 2);
                }
            }
        }
    }
}

#[test]
fn when_all_have_voted_nobody_waits() {
    let mut shell = Shell::merging(plain(), 5);
    for member in 0..3 {
        shell.root(member, "merge").expect("asked for");
    }
    shell.root(3, "another").expect("asked for");
    assert!(!closed(&shell));
    shell.root(4, "a third").expect("asked for");
    assert!(closed(&shell));
    assert_eq!(shell.last_record().dissenters.to_vec(), [(id(4), hash("another")), (id(5), hash("a third"))]);
}

#[test]
fn who_has_withdrawn_is_not_waited_for() {
    let mut shell = Shell::merging(plain(), 5);
    for member in 0..3 {
        shell.root(member, "merge").expect("asked for");
    }
    shell.step(Event::Withdraw { who: id(4) }).expect("may leave");
    assert!(!closed(&shell));
    shell.step(Event::Withdraw { who: id(5) }).expect("may leave");
    assert!(closed(&shell));
}

#[test]
fn missing_inputs_are_reported_after_the_fetch_window_once_and_soundly() {
    let mut shell = Shell::merging(plain(), 4);
    assert_eq!(shell.partial(0, 0b0111, 0), Err(Refusal::TooEarly));
    shell.pass(shell.windows().fetch - 1);
    assert_eq!(shell.partial(0, 0b0111, 0), Err(Refusal::TooEarly));
    shell.pass(1);
    for (have, invalid) in [(0b1111, 0), (0b10111, 0), (0b0111, 0b10000), (0b0111, 0b0100)] {
        assert_eq!(shell.partial(0, have, invalid), Err(Refusal::BadMask));
    }
    shell.partial(0, 0b0111, 0).expect("asked for");
    assert_eq!(shell.partial(0, 0b0011, 0), Err(Refusal::AlreadyAnswered));
    shell.root(0, "merge").expect("it may come after all");
    assert_eq!(shell.root(0, "merge"), Err(Refusal::NoSuchDuty));
    assert_eq!(shell.vote(1, VoteBody::Metric(None)), Err(Refusal::WrongAnswer));
}

#[test]
fn what_a_rule_did_to_its_inputs_is_attested_with_the_root_and_stays_in_the_record() {
    let mut shell = Shell::merging(plain(), 4);
    let marked = |left_out, shortened| VoteBody::Marked { root: hash("merge"), marks: Marks { left_out, shortened } };
    // nothing done to anyone, someone who is not in the list, nobody left
    for (left_out, shortened) in [(0, 0), (0b1_0000, 0), (0, 0b1_0000), (0b1111, 0)] {
        assert_eq!(shell.vote(0, marked(left_out, shortened)), Err(Refusal::BadMask));
    }
    shell.vote(0, marked(0b1000, 0b0001)).expect("asked for");
    assert_eq!(shell.vote(0, marked(0b1000, 0)), Err(Refusal::NoSuchDuty));
    shell.vote(1, marked(0b1000, 0b0001)).expect("asked for");
    // the same root with other words of what was done is another statement
    shell.vote(2, marked(0b0100, 0b0001)).expect("asked for");
    shell.vote(3, marked(0b1000, 0b0001)).expect("asked for");
    let record = shell.last_record();
    assert_eq!((record.root, record.marks), (hash("merge"), Marks { left_out: 0b1000, shortened: 0b0001 }));
    assert_eq!(record.attesters.to_vec(), [id(1), id(2), id(4)]);
    assert_eq!(record.dissenters.to_vec(), [(id(3), hash("merge"))]);
}

#[test]
fn statistics_and_initial_models_have_no_marks() {
    let marked = VoteBody::Marked { root: hash("init"), marks: Marks { left_out: 1, shortened: 0 } };
    let mut shell = Shell::enrolled(plain(), &[100, 100]);
    shell.step(Event::Start { who: id(1) }).expect("may start");
    assert_eq!(shell.vote(0, marked), Err(Refusal::WrongAnswer));
}

#[test]
fn an_input_that_too_few_hold_is_dropped_when_enough_hold_the_rest() {
    // member 3 serves nobody; h = 2 others keep an input, j = 3 witnesses
    let mut shell = Shell::merging(plain(), 4);
    shell.fetched();
    for member in 0..3 {
        shell.partial(member, 0b0111, 0).expect("asked for");
    }
    assert_eq!(shell.merge().attempt, 1, "one may still vote");
    shell.deadline();
    let m = shell.merge();
    assert_eq!((m.attempt, m.window, m.inputs.len(), m.frozen_at), (2, shell.windows().attest, 3, shell.world.now));
    assert_eq!(shell.dropped(), [(id(4), DropReason::Withheld)]);
    assert_eq!(shell.asks(3), None);
    for member in 0..3 {
        shell.root(member, "merge").expect("asked for");
    }
    let record = shell.last_record();
    assert_eq!(record.dropped.to_vec(), [(id(4), DropReason::Withheld)]);
    assert_eq!((record.attempts, record.inputs.len()), (2, 3));
}

#[test]
fn an_input_that_h_others_hold_is_kept() {
    // one other has the last input: not kept, the author's own voice does not count
    let mut shell = Shell::merging(plain(), 4);
    shell.fetched();
    shell.root(0, "merge").expect("asked for");
    shell.partial(1, 0b0111, 0).expect("asked for");
    shell.partial(2, 0b0111, 0).expect("asked for");
    shell.root(3, "merge").expect("asked for");
    assert_eq!(shell.dropped(), [(id(4), DropReason::Withheld)]);

    // two others have it: whoever lacks it can fetch it from these, and has the whole window for it
    let mut shell = Shell::merging(plain(), 4);
    shell.fetched();
    shell.root(0, "merge").expect("asked for");
    shell.partial(1, 0b1110, 0).expect("asked for");
    shell.partial(2, 0b0111, 0).expect("asked for");
    shell.root(3, "merge").expect("asked for");
    assert_eq!((shell.dropped(), shell.merge().attempt), (vec![], 1));
    shell.deadline();
    assert_eq!((shell.dropped(), shell.merge().attempt, shell.merge().window), (vec![], 2, 2 * shell.windows().attest));

    // as many say that they lack it as say that they have it
    let mut shell = Shell::merging(plain(), 7);
    shell.fetched();
    shell.partial(0, 0b1111101, 0).expect("asked for");
    for member in 3..6 {
        shell.partial(member, 0b0111111, 0).expect("asked for");
    }
    for member in [1, 2, 6] {
        shell.root(member, "merge").expect("asked for");
    }
    shell.deadline();
    assert_eq!((shell.dropped(), shell.merge().attempt, shell.merge().window), (vec![], 2, 2 * shell.windows().attest));
}

#[test]
fn nobody_is_dropped_because_others_are_slow() {
    // three voters, but only two hold everything but the last input
    let mut shell = Shell::merging(plain(), 4);
    shell.fetched();
    shell.partial(0, 0b0111, 0).expect("asked for");
    shell.partial(1, 0b0111, 0).expect("asked for");
    shell.partial(2, 0b0101, 0).expect("asked for");
    shell.deadline();
    assert_eq!((shell.dropped(), shell.merge().attempt, shell.merge().window), (vec![], 2, 2 * shell.windows().attest));

    // one false voice beside one that comes too late is no proof against member 2
    let mut shell = Shell::merging(plain(), 4);
    shell.fetched();
    shell.root(0, "merge").expect("asked for");
    shell.root(2, "merge").expect("asked for");
    shell.partial(3, 0b1011, 0).expect("asked for");
    shell.deadline();
    assert_eq!((shell.dropped(), shell.merge().attempt), (vec![], 2));
}

#[test]
fn nobody_is_dropped_because_all_are_slow() {
    // nobody holds anything but its own input: no voice says that it could have got the others
    for members in 2..=7 {
        let mut shell = Shell::merging(plain(), members);
        shell.fetched();
        for member in 0..members {
            shell.partial(member, bit(member), 0).expect("asked for");
        }
        assert_eq!((shell.dropped(), shell.merge().inputs.len()), (vec![], usize::from(members)));
        assert!(shell.study.members.iter().all(|member| member.struck.is_none()));
    }
}

#[test]
fn an_early_resolution_drops_only_what_is_invalid() {
    // member 3 commits junk and says that it lacks member 2's input; member 2 has not voted yet
    let mut shell = Shell::merging(plain(), 4);
    shell.fetched();
    shell.partial(3, 0b1011, 0).expect("asked for");
    shell.partial(0, 0b0111, 0b1000).expect("asked for");
    shell.partial(1, 0b0111, 0b1000).expect("asked for");
    assert_eq!(shell.dropped(), [(id(4), DropReason::Invalid)]);
    let m = shell.merge();
    assert_eq!((m.attempt, m.inputs.len(), m.frozen_at), (2, 3, shell.world.now));
}

#[test]
fn without_a_culprit_the_window_doubles_until_people_decide() {
    let mut shell = Shell::merging(plain(), 3);
    let (frozen_at, attest) = (shell.world.now, shell.windows().attest);
    for (attempt, window) in [(1, attest), (2, 2 * attest), (3, 4 * attest)] {
        let m = shell.merge();
        assert_eq!((m.attempt, m.window, m.inputs.len()), (attempt, window, 3));
        shell.root(0, "one").expect("asked in every attempt");
        shell.deadline();
    }
    assert_eq!(shell.world.now - frozen_at, 7 * attest);
    assert_eq!(shell.paused(), PauseReason::NoAgreement);
    // all updates are still there: going on means merging again
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    assert_eq!((shell.study.round, shell.merge().attempt, shell.merge().window), (1, 1, attest));
}

/// Members 0 to 4 call the input at this position invalid, in a merge with 13 inputs or a few less.
fn call_invalid(shell: &mut Shell, position: u8) {
    shell.fetched();
    let attempt = shell.merge().attempt;
    let all = (1u64 << shell.merge().inputs.len()) - 1;
    for member in 0..5 {
        if matches!(&shell.study.phase, Phase::Merging(m) if m.attempt == attempt) {
            shell.partial(member, all & !bit(position), bit(position)).expect("asked for");
        }
    }
}

#[test]
fn there_are_at_most_four_attempts() {
    let mut shell = Shell::merging(plain(), 13);
    for attempt in 1..=4 {
        assert_eq!((shell.merge().attempt, shell.merge().inputs.len()), (attempt, 14 - attempt as usize));
        call_invalid(&mut shell, 13 - attempt as u8);
    }
    assert_eq!(shell.paused(), PauseReason::NoAgreement);
    assert_eq!(shell.dropped().len(), 4);
}

#[test]
fn the_longest_merge_takes_eleven_attestation_limits() {
    let mut shell = Shell::merging(plain(), 13);
    let (frozen_at, attest) = (shell.world.now, shell.windows().attest);
    shell.deadline();
    shell.deadline();
    assert_eq!((shell.merge().attempt, shell.merge().window), (3, 4 * attest));
    // the third attempt runs to its deadline, and shows that one input is withheld
    shell.fetched();
    for member in 0..12 {
        shell.partial(member, 0xfff, 0).expect("asked for");
    }
    shell.deadline();
    assert_eq!((shell.merge().attempt, shell.merge().window, shell.merge().inputs.len()), (4, 4 * attest, 12));
    shell.deadline();
    assert_eq!((shell.paused(), shell.world.now - frozen_at), (PauseReason::NoAgreement, 11 * attest));
}

#[test]
fn without_enough_inputs_people_decide() {
    let mut shell = Shell::merging(plain(), 4);
    shell.fetched();
    for member in 0..3 {
        shell.partial(member, 0b0111, 0).expect("asked for");
    }
    shell.deadline();
    // now f = 0, so that one voice is enough; two inputs are fewer than k = 3 of the round's roster
    shell.fetched();
    shell.partial(0, 0b011, 0b100).expect("asked for");
    assert_eq!(shell.paused(), PauseReason::TooFewInputs);
    let Phase::Paused(Pause { back: Back::Collecting { commitments, .. }, .. }) = &shell.study.phase else {
        panic!("it goes back to training")
    };
    assert_eq!(commitments.iter().map(|c| c.member).collect::<Vec<_>>(), [0, 1]);
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    assert_eq!((shell.study.round, shell.collecting().awaited), (1, 0b1100));
}

#[test]
fn a_root_that_enough_attest_closes_whatever_others_say() {
    let mut shell = Shell::merging(plain(), 7);
    shell.fetched();
    for member in 0..4 {
        shell.root(member, "merge").expect("asked for");
    }
    for member in 4..6 {
        shell.partial(member, 0b0111111, 0b1000000).expect("asked for");
    }
    assert!(!closed(&shell));
    // the third voice against input 6 resolves, and step 1 comes first
    shell.partial(6, 0b0111111, 0).expect("asked for");
    assert!(closed(&shell));
    assert_eq!(shell.last_record().silent.len(), 3, "who cannot merge in time is no dissenter");
    assert!(shell.dropped().is_empty());
}

#[test]
fn what_is_listed_reads_each_record_once() {
    let mut shell = Shell::training(StudyRules { max_rounds: 30, keep_updates: 3, ..plain() }, &[100; 7]);
    for loss in 0..9 {
        shell.whole_round(&[Some(loss); 7]);
    }
    let mut read = std::cell::RefCell::new(Vec::new());
    let record = |kind, round| {
        read.borrow_mut().push((kind, round));
        shell.world.records.iter().find(|r| (r.kind, r.round) == (kind, round)).cloned()
    };
    let mut claims = 0;
    let blobs = shell.study.blobs(3, 1, record, |_| {
        claims += 1;
        true
    });
    let read = read.get_mut();
    let count = read.len();
    read.sort_by_key(|(kind, round)| (*kind == Kind::Model, *round));
    read.dedup();
    assert_eq!((read.len(), count), (7, 7), "{read:?}");
    // all members, and those of each of three rounds
    assert_eq!((claims, blobs.rounds.len()), (28, 3));
}
