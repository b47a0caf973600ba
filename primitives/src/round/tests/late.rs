//! Who comes while a round is paused is asked for it, and gives and gets its updates; who leaves while one is merged gives, and
//! gets none. Sites here fetch only what the chain's listing allows: an author gives its update to those who stand there.

use super::*;
use crate::rules::OnStall;

/// What a member holds of the open merge: its own, and what somebody may give it.
fn held(shell: &Shell, member: u8) -> u64 {
    let blobs = shell.blobs();
    let round = blobs.rounds.iter().find(|round| round.wanted).expect("a merge is open");
    let may = |id: &InstitutionId| round.members.contains(id);
    let me = shell.study.member(member).expect("a member").id;
    let inputs = (0u8..).zip(&round.updates);
    inputs.fold(0, |mask, (position, (author, _))| {
        let has = *author == me || may(&me);
        if has {
            mask | bit(position)
        } else {
            mask
        }
    })
}

/// Everyone attests where it has all inputs, and says what it lacks otherwise, until the merge is over.
fn merge_what_can_be_had(shell: &mut Shell) {
    while let Phase::Merging(m) = &shell.study.phase {
        let (attempt, all) = (m.attempt, ballots::all_bits(m.inputs.len()));
        let open = |shell: &Shell| matches!(&shell.study.phase, Phase::Merging(m) if m.attempt == attempt);
        shell.fetched();
        for member in 0..shell.study.members.len() as u8 {
            if open(shell) && shell.asks(member).is_some() {
                match held(shell, member) {
                    have if have == all => shell.root(member, "merge").expect("asked for"),
                    have => shell.partial(member, have, 0).expect("asked for"),
                };
            }
        }
        if open(shell) {
            shell.deadline();
        }
    }
}

/// A study of so many old members; one of them is lost in round 2, before or after it has committed, and so many late ones
/// come while the round is paused.
fn paused(old: u8, late: u8, minimum: u32) -> Shell {
    let rules = StudyRules { min_participants: minimum, max_rounds: 9, on_stall: OnStall::Pause, ..plain() };
    let mut shell = Shell::merging(rules, old + 1);
    for member in 0..=old {
        if matches!(shell.study.phase, Phase::Merging(_)) {
            shell.root(member, "merge 1").expect("asked for");
        }
    }
    assert_eq!(shell.study.round, 2);
    // one reports a failure, the others are silent until it pauses
    shell.step(Event::Withdraw { who: id(old + 1) }).expect("may leave");
    shell.deadline();
    shell.deadline();
    assert_eq!(shell.paused(), PauseReason::TooFewUpdates);
    for n in 0..late {
        shell.step(Event::Enrol { who: id(20 + n), samples: 100 }).expect("may enrol");
    }
    shell
}

#[test]
fn late_members_give_and_get_the_updates_of_the_round_they_are_asked_for() {
    // the table of dead ends, and of honest late sites that were dropped by name: old members that are left, late ones, minimum
    for (old, late, minimum) in [(1, 1, 2), (2, 1, 3), (3, 1, 4), (2, 2, 3), (3, 2, 4), (2, 1, 2), (3, 1, 3), (4, 1, 2)]
    {
        let name = format!("{old} + {late}, at least {minimum}");
        let mut shell = paused(old, late, minimum);
        shell.step(Event::Resume { who: id(1) }).expect("the proposer");
        let all = usize::from(old + late);
        assert_eq!(shell.collecting().roster.count_ones() as usize, all, "{name}");
        shell.commit_all();
        assert_eq!(shell.merge().inputs.len(), all, "{name}");
        let round = shell.blobs().rounds.into_iter().find(|r| r.wanted).expect("a merge is open");
        for (author, _) in &round.updates {
            assert!(round.members.contains(author), "{name}: {author} made an input and may give it to nobody");
        }
        merge_what_can_be_had(&mut shell);
        assert_eq!(shell.study.round, 3, "{name}: {:?}", shell.study.phase);
        assert!(shell.dropped().is_empty(), "{name}: {:?}", shell.dropped());
        assert_eq!(shell.last_record().attempts, 1, "{name}");
    }
}

#[test]
fn late_members_give_and_get_the_parts_of_the_statistics() {
    let rules = StudyRules { min_participants: 2, ..testing::rules() };
    let mut shell = Shell::enrolled(rules, &[100, 100]);
    shell.step(Event::Start { who: id(1) }).expect("may start");
    shell.step(Event::Withdraw { who: id(2) }).expect("may leave");
    shell.deadline();
    shell.deadline();
    shell.paused();
    shell.step(Event::Enrol { who: id(20), samples: 100 }).expect("may enrol");
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    for member in [0, 2] {
        let root = hash(&format!("statistics of {member}"));
        let len = shell.study.rules.statistics_len;
        shell.vote(member, VoteBody::Update { root, len, metric: None }).expect("asked for");
    }
    merge_what_can_be_had(&mut shell);
    assert!(matches!(shell.study.phase, Phase::Init { .. }), "{:?}", shell.study.phase);
}

#[test]
fn who_comes_while_a_round_runs_gets_none_of_its_updates() {
    let mut shell = Shell::merging(plain(), 3);
    shell.step(Event::Enrol { who: id(20), samples: 100 }).expect("may enrol");
    let members = shell.blobs().rounds[0].members.clone();
    assert_eq!(members, [id(1), id(2), id(3)]);
    // nor those of a round that closed before it came
    for member in 0..3 {
        if matches!(shell.study.phase, Phase::Merging(_)) {
            shell.root(member, "merge 1").expect("asked for");
        }
    }
    shell.commit_all();
    let rounds: Vec<_> = shell.blobs().rounds.iter().map(|r| (r.round, r.members.contains(&id(20)))).collect();
    assert_eq!(rounds, [(2, true), (1, false)]);
}

#[test]
fn who_leaves_while_its_input_is_merged_gives_it_and_gets_none_itself() {
    let mut shell = Shell::merging(plain(), 4);
    shell.step(Event::Withdraw { who: id(4) }).expect("may leave");
    let round = shell.blobs().rounds.into_iter().find(|round| round.wanted).expect("a merge is open");
    assert!(round.updates.iter().any(|(author, _)| *author == id(4)), "the others look for it there");
    assert_eq!(round.members, [id(1), id(2), id(3)]);
    let notices: Vec<_> = shell.blobs().notices().filter(|notice| notice.holders == [id(4)]).collect();
    assert!(notices.iter().all(|notice| notice.wanted && !notice.members.contains(&id(4))) && notices.len() == 1);
    assert_eq!((held(&shell, 0), held(&shell, 3), shell.asks(3)), (0b1111, 0b1000, None));
    merge_what_can_be_had(&mut shell);
    assert_eq!((shell.study.round, shell.last_record().inputs.len(), shell.last_record().attempts), (2, 4, 1));
    assert!(shell.dropped().is_empty());
    // it is over: what it has made is asked of it no more
    assert!(shell.blobs().notices().filter(|notice| notice.holders == [id(4)]).all(|notice| !notice.wanted));
}

#[test]
fn an_author_that_left_and_came_back_gets_the_others_inputs_again() {
    let mut shell = Shell::merging(plain(), 3);
    shell.step(Event::Withdraw { who: id(3) }).expect("may leave");
    assert_eq!((held(&shell, 0), held(&shell, 2)), (0b111, 0b100));
    shell.step(Event::Enrol { who: id(3), samples: 100 }).expect("may come back");
    assert_eq!((held(&shell, 0), held(&shell, 2)), (0b111, 0b111));
}

#[test]
fn a_shrunk_round_goes_on_without_a_bad_input() {
    // six on the roster, three are in when time has run out twice; one of these is bad
    let rules = StudyRules { on_stall: OnStall::Shrink, min_participants: 2, ..plain() };
    let mut shell = Shell::training(rules, &[100; 6]);
    for member in 0..3 {
        shell.commit(member).expect("asked for");
    }
    shell.deadline();
    shell.deadline();
    assert_eq!((shell.merge().inputs.len(), shell.merge().needs), (3, 2));
    shell.fetched();
    shell.partial(0, 0b011, 0b100).expect("asked for");
    assert_eq!(shell.dropped(), [(id(3), DropReason::Invalid)]);
    assert_eq!((shell.merge().attempt, shell.merge().inputs.len()), (2, 2));
    for member in 0..2 {
        shell.root(member, "merge").expect("asked for");
    }
    assert_eq!(shell.study.round, 2);
    // with fewer than the minimum people decide
    let rules = StudyRules { on_stall: OnStall::Shrink, min_participants: 3, ..plain() };
    let mut shell = Shell::training(rules, &[100; 6]);
    for member in 0..3 {
        shell.commit(member).expect("asked for");
    }
    shell.deadline();
    shell.deadline();
    shell.fetched();
    shell.partial(0, 0b011, 0b100).expect("asked for");
    assert_eq!(shell.paused(), PauseReason::TooFewInputs);
}
