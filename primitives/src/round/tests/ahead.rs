//! Answers that come before they are asked for, with the vote on a merge, and votes on a merge that has closed.

use super::*;
use crate::vote::{Marks, Vote};

/// The vote of a member on the open merge, which it says to give this, and its update of the next round.
fn ahead(shell: &Shell, member: u8, root: &str) -> Vote {
    let round = shell.study.round + 1;
    let who = shell.study.member(member).expect("a member").id;
    let duty = shell.study.duty_on(&shell.world, DutyKind::Train, round, &who, hash(root)).hash();
    let next = Next::Update {
        duty,
        root: hash(&format!("update of {member} in round {round}")),
        len: shell.study.rules.update_len,
        metric: Some(100 + u32::from(member)),
    };
    shell.answer(member, VoteBody::Ahead { root: hash(root), marks: Marks::default(), next }).expect("a merge is open")
}

/// Four members, all of whose votes on the merge of round 1 with what follows are ready.
fn four() -> (Shell, Vec<Vote>) {
    let shell = Shell::merging(StudyRules { max_rounds: 9, ..plain() }, 4);
    let votes = (0..4).map(|member| ahead(&shell, member, "merge 1")).collect();
    (shell, votes)
}

#[test]
fn with_everybodys_updates_the_next_list_freezes_in_the_block_in_which_the_merge_closes() {
    let (mut shell, votes) = four();
    let block = shell.world.now;
    for vote in &votes[..2] {
        shell.step(Event::Vote(*vote)).expect("a merge is open");
    }
    let effects = shell.step(Event::Vote(votes[2])).expect("a merge is open");
    let place = |wanted: &dyn Fn(&Effect) -> bool| effects.iter().position(wanted).expect("it happens");
    let closed = place(&|effect| matches!(effect, Effect::Closed(_)));
    let opened = place(&|effect| matches!(effect, Effect::Opened { round: 2, .. }));
    let committed = place(&|effect| matches!(effect, Effect::Committed { .. }));
    assert!(closed < opened && opened < committed);
    assert_eq!(shell.collecting().awaited, bit(3));
    assert_eq!(shell.last_record().silent.to_vec(), [id(4)]);

    let effects = shell.step(Event::Vote(votes[3])).expect("it is late, and counts");
    let late = Effect::AttestedLate { kind: Kind::Model, round: 1, who: id(4), root: hash("merge 1"), agrees: true };
    assert_eq!(effects[0], late);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Frozen { round: 2, attempt: 1, .. })));
    assert_eq!((shell.study.round, shell.merge().frozen_at, shell.study.opened_at), (2, block, block));
    assert_eq!(shell.merge().inputs.len(), 4);
    assert_eq!(shell.last_record().attesters.len(), 4);
    assert!(shell.last_record().silent.is_empty());
    assert_eq!(shell.world.losses[&1], (0..4).map(|n| (id(n + 1), 100 + u32::from(n))).collect::<Vec<_>>());
}

#[test]
fn where_all_say_so_before_it_closes_one_step_does_all_of_it() {
    // a strict study closes with more than two thirds, here with the third of three
    let mut shell = Shell::merging(StudyRules { max_rounds: 9, ..plain() }, 3);
    let votes: Vec<_> = (0..3).map(|member| ahead(&shell, member, "merge 1")).collect();
    let last = votes.into_iter().map(|vote| shell.step(Event::Vote(vote)).expect("a merge is open")).last();
    let effects = last.expect("three votes");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Closed(_))));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Frozen { round: 2, .. })));
}

#[test]
fn who_computes_another_merge_has_said_nothing_of_the_next_round() {
    let (mut shell, votes) = four();
    shell.step(Event::Vote(ahead(&shell, 0, "another"))).expect("a merge is open");
    for vote in &votes[1..] {
        shell.step(Event::Vote(*vote)).expect("a merge is open");
    }
    assert_eq!(shell.last_record().dissenters.to_vec(), [(id(1), hash("another"))]);
    assert_eq!(shell.collecting().awaited, bit(0));
    assert_eq!(shell.asks(0), Some(DutyKind::Train), "it is asked like everybody");
    shell.commit(0).expect("an update is asked for");
    assert_eq!(shell.merge().inputs.len(), 4);
}

#[test]
fn what_cannot_follow_the_merge_is_refused() {
    let (mut shell, votes) = four();
    let VoteBody::Ahead { root, marks, next: Next::Update { duty, root: file, len, metric } } = votes[0].body else {
        panic!("it answers ahead")
    };
    let said = |next, marks| Event::Vote(Vote { body: VoteBody::Ahead { root, marks, next }, ..votes[0] });
    let next = |duty, len| Next::Update { duty, root: file, len, metric };
    assert_eq!(shell.step(said(next(hash("any"), len), marks)), Err(Refusal::NoSuchDuty));
    assert_eq!(shell.step(said(next(votes[0].duty, len), marks)), Err(Refusal::NoSuchDuty));
    assert_eq!(shell.step(said(next(duty, len + 1), marks)), Err(Refusal::WrongLength));
    let beyond = Marks { left_out: 0b1_0000, ..Marks::default() };
    assert_eq!(shell.step(said(next(duty, len), beyond)), Err(Refusal::BadMask));
    let nobody = Marks { left_out: 0b1111, ..Marks::default() };
    assert_eq!(shell.step(said(next(duty, len), nobody)), Err(Refusal::BadMask));
    // an answer to another duty
    let train = Vote { kind: DutyKind::Train, ..votes[0] };
    assert_eq!(shell.step(Event::Vote(train)), Err(Refusal::NoSuchDuty));
    shell.step(said(next(duty, len), marks)).expect("as it must be");
    assert_eq!(shell.step(said(next(duty, len), marks)), Err(Refusal::AlreadyAnswered));
}

#[test]
fn statistics_have_nothing_that_could_follow() {
    let mut shell = Shell::enrolled(testing::rules(), &[100; 3]);
    shell.step(Event::Start { who: id(1) }).expect("may start");
    for member in 0..3 {
        let update = VoteBody::Update { root: hash("s"), len: shell.study.rules.statistics_len, metric: None };
        shell.vote(member, update).expect("asked for");
    }
    let who = id(1);
    let duty = shell.study.duty_on(&shell.world, DutyKind::Train, 1, &who, hash("merge")).hash();
    let next = Next::Update { duty, root: hash("file"), len: shell.study.rules.update_len, metric: None };
    let body = VoteBody::Ahead { root: hash("merge"), marks: Marks::default(), next };
    assert_eq!(shell.vote(0, body), Err(Refusal::WrongAnswer));
}

#[test]
fn after_the_last_round_losses_come_with_the_merge() {
    let mut shell = Shell::merging(StudyRules { max_rounds: 1, ..plain() }, 3);
    let open = shell.study.open_duty(&shell.world, &id(1)).expect("a merge is open");
    assert_eq!(open.ahead, Some(crate::duty::Ahead::Evaluate));
    for member in 0..3 {
        let next = Next::Last { metric: Some(u32::from(member)) };
        let body = VoteBody::Ahead { root: hash("merge 1"), marks: Marks::default(), next };
        shell.vote(member, body).expect("asked for");
    }
    let Phase::FinalEvaluation { roster, reported, until } = shell.study.phase else { panic!("it is over") };
    assert_eq!((roster, reported, until), (0b111, 0b111, shell.world.now + 1));
    assert_eq!(shell.world.losses[&1].len(), 3);
    shell.pass(1);
    assert!(matches!(shell.study.phase, Phase::Certifying(_)));
}

#[test]
fn whether_a_round_is_the_last_is_known_while_it_merges() {
    let mut shell = Shell::training(StudyRules { max_rounds: 9, target: Some(50), ..plain() }, &[100; 4]);
    shell.whole_round(&[Some(90); 4]);
    for member in 0..4 {
        shell.commit_with(member, Some(40)).expect("asked for");
    }
    // round 1 has reached the target: round 2 is the last one
    let open = shell.study.open_duty(&shell.world, &id(1)).expect("a merge is open");
    assert_eq!(open.ahead, Some(crate::duty::Ahead::Evaluate));
    // who says that another round follows is heard of the merge only
    for member in 0..3 {
        shell.step(Event::Vote(ahead(&shell, member, "merge 2"))).expect("a merge is open");
    }
    let Phase::FinalEvaluation { reported, .. } = shell.study.phase else { panic!("it is over") };
    assert_eq!(reported, 0);
}

#[test]
fn another_attempt_begins_without_what_was_said_ahead() {
    let (mut shell, votes) = four();
    shell.step(Event::Vote(votes[0])).expect("a merge is open");
    assert_eq!(shell.study.ahead.len(), 1);
    shell.fetched();
    for member in 1..3 {
        shell.partial(member, 0b1110, 0b0001).expect("asked for");
    }
    assert_eq!((shell.merge().attempt, shell.study.ahead.len()), (2, 0));
    for member in 1..4 {
        shell.root(member, "merge of three").expect("a merge is open");
    }
    assert_eq!(shell.collecting().commitments.len(), 0);
    assert_eq!(shell.step(Event::Vote(votes[0])), Err(Refusal::NoSuchDuty), "of an attempt that came to nothing");
}

#[test]
fn who_comes_is_waited_for_and_who_leaves_is_not() {
    let (mut shell, votes) = four();
    shell.step(Event::Enrol { who: id(9), samples: 100 }).expect("may enrol");
    for vote in &votes {
        shell.step(Event::Vote(*vote)).expect("a merge is open, or was");
    }
    assert_eq!(shell.collecting().awaited, bit(4));
    shell.commit(4).expect("it is asked");
    assert_eq!(shell.merge().inputs.len(), 5);

    let (mut shell, votes) = four();
    shell.step(Event::Vote(votes[0])).expect("a merge is open");
    shell.step(Event::Withdraw { who: id(1) }).expect("may leave");
    for vote in &votes[1..3] {
        shell.step(Event::Vote(*vote)).expect("a merge is open");
    }
    assert_eq!(shell.collecting().commitments.iter().map(|c| c.member).collect::<Vec<_>>(), [1, 2]);
    shell.step(Event::Vote(votes[3])).expect("late");
    assert_eq!(shell.merge().inputs.len(), 3);
}

#[test]
fn a_late_vote_counts_once_and_only_of_an_author() {
    let (mut shell, votes) = four();
    for member in 0..3 {
        shell.root(member, "merge 1").expect("a merge is open");
    }
    let root = |member: usize, root: &str| Event::Vote(Vote { body: VoteBody::Root(hash(root)), ..votes[member] });
    assert_eq!(shell.step(root(0, "merge 1")), Err(Refusal::AlreadyAnswered));
    let partial = VoteBody::Partial { have: 1, invalid: 0, not_final: false };
    assert_eq!(shell.step(Event::Vote(Vote { body: partial, ..votes[3] })), Err(Refusal::NoSuchDuty));
    let other = Vote { attempt: 2, ..votes[3] };
    assert_eq!(shell.step(Event::Vote(other)), Err(Refusal::NoSuchDuty));
    let update = VoteBody::Update { root: hash("u"), len: shell.study.rules.update_len, metric: None };
    assert_eq!(shell.step(Event::Vote(Vote { body: update, ..votes[3] })), Err(Refusal::WrongAnswer));
    shell.step(Event::Enrol { who: id(9), samples: 100 }).expect("may enrol");
    let of_another = Vote { institution: id(9), ..votes[3] };
    assert_eq!(shell.step(Event::Vote(of_another)), Err(Refusal::NoSuchDuty));

    shell.step(root(3, "another")).expect("it may say so");
    assert_eq!(shell.last_record().dissenters.to_vec(), [(id(4), hash("another"))]);
    assert_eq!(shell.step(root(3, "merge 1")), Err(Refusal::AlreadyAnswered));
    assert_eq!(shell.study.base, hash("merge 1"));
}

#[test]
fn a_late_vote_counts_until_the_next_merge_closes_and_no_longer() {
    let (mut shell, votes) = four();
    for member in 0..3 {
        shell.root(member, "merge 1").expect("a merge is open");
    }
    shell.commit_all();
    let mut later = shell.clone();
    later.step(Event::Vote(votes[3])).expect("round 1 is the last that has closed");
    assert_eq!(later.last_record().attesters.len(), 4);
    assert_eq!(later.merge().inputs.len(), 4, "its update was in already");
    for member in 0..3 {
        shell.root(member, "merge 2").expect("a merge is open");
    }
    assert_eq!(shell.step(Event::Vote(votes[3])), Err(Refusal::NoSuchDuty));
}

#[test]
fn among_random_studies_are_those_that_these_tests_are_about() {
    let (mut in_one_block, mut late) = (0, 0);
    for seed in 0..20 {
        let outcome = simulate::run(simulate::Scenario { ahead: 1_000, ..stalls::calm(seed, None) });
        assert!(matches!(outcome.shell.study.phase, Phase::Completed(_)));
        properties::assert_recorded(&outcome.shell);
        let records = &outcome.shell.world.records;
        let models = || records.iter().filter(|r| r.kind == Kind::Model && r.round > 1);
        in_one_block += models().filter(|r| r.frozen_at == r.opened_at).count();
        late += outcome.shell.log.iter().filter(|effect| matches!(effect, Effect::AttestedLate { .. })).count();
    }
    assert!(in_one_block > 0 && late > 0, "{in_one_block} frozen as they opened, {late} attested late");
}
