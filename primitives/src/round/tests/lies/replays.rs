//! Votes that are sent once more, or elsewhere.

use super::*;

#[test]
fn a_replayed_vote_fits_nowhere_else() {
    let mut shell = Shell::merging(plain(), 4);
    let vote = shell.answer(0, VoteBody::Root(hash("merge"))).expect("asked for");
    let train = Vote { kind: DutyKind::Train, ..vote };
    let others = [
        Vote { study: vote.study + 1, ..vote },
        Vote { round: vote.round + 1, ..vote },
        Vote { attempt: vote.attempt + 1, ..vote },
        Vote { duty: hash("another"), ..vote },
        // another's, with the same bytes otherwise
        Vote { institution: id(2), ..vote },
        train,
    ];
    for other in others {
        assert_eq!(shell.step(Event::Vote(other)), Err(Refusal::NoSuchDuty), "{other:?}");
        let (genesis, agreement) = (shell.world.genesis, hash("agreement"));
        assert_ne!(other.payload(&genesis, &agreement), vote.payload(&genesis, &agreement));
    }
    assert_eq!(shell.step(Event::Vote(Vote { institution: id(9), ..vote })), Err(Refusal::NotAMember));
    // the same study on another chain, and as another study on this one
    for (genesis, study) in [(hash("another chain"), vote.study), (shell.world.genesis, vote.study + 1)] {
        let mut other = shell.clone();
        (other.world.genesis, other.world.study) = (genesis, study);
        assert_eq!(other.step(Event::Vote(Vote { study, ..vote })), Err(Refusal::NoSuchDuty));
    }
    assert_ne!(vote.payload(&hash("a chain"), &hash("a")), vote.payload(&hash("another chain"), &hash("a")));
    assert_ne!(vote.payload(&hash("a chain"), &hash("a")), vote.payload(&hash("a chain"), &hash("another")));

    shell.step(Event::Vote(vote)).expect("fits here");
    assert_eq!(shell.step(Event::Vote(vote)), Err(Refusal::AlreadyAnswered));
    let changed = Vote { body: VoteBody::Root(hash("another")), ..vote };
    assert_eq!(shell.step(Event::Vote(changed)), Err(Refusal::AlreadyAnswered));
    // neither in the next attempt, which merges the same inputs, nor in the next round
    shell.deadline();
    assert_eq!(shell.merge().attempt, 2);
    assert_eq!(shell.step(Event::Vote(vote)), Err(Refusal::NoSuchDuty));
    all_attest(&mut shell, 0..4);
    shell.commit_all();
    assert_eq!(shell.step(Event::Vote(vote)), Err(Refusal::NoSuchDuty));
}

#[test]
fn votes_cast_before_a_pause_say_nothing_after_it() {
    // two failures pause the round; the two are mended, and somebody sends their old words again
    let mut shell = Shell::training(plain(), &[100; 3]);
    let failure = VoteBody::Failure(FailureCode::OutOfDisk);
    let old: Vec<Vote> = (1..3).filter_map(|member| shell.answer(member, failure)).collect();
    shell.commit(0).expect("asked for");
    for vote in &old {
        shell.step(Event::Vote(*vote)).expect("fits here");
    }
    assert_eq!(shell.paused(), PauseReason::TooFewUpdates);
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    for vote in &old {
        assert_eq!(shell.step(Event::Vote(*vote)), Err(Refusal::NoSuchDuty));
        let now = shell.answer(2, failure).expect("asked for");
        let (genesis, agreement) = (shell.world.genesis, hash("agreement"));
        assert_ne!(vote.payload(&genesis, &agreement), now.payload(&genesis, &agreement));
    }
    shell.commit(1).expect("asked again");
    shell.commit(2).expect("asked again");
    assert_eq!(shell.merge().inputs.len(), 3);

    // nor do words on a merge whose inputs are the same after the pause
    let mut shell = Shell::merging(plain(), 2);
    let first = shell.answer(0, VoteBody::Root(hash("wrong"))).expect("asked for");
    for _ in 1..=3 {
        shell.root(0, "wrong").expect("it may say so");
        shell.root(1, "merge").expect("asked for");
    }
    assert_eq!(shell.paused(), PauseReason::NoAgreement);
    let inputs = first.duty;
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    let again = shell.answer(0, VoteBody::Root(hash("merge"))).expect("asked for");
    assert_eq!((again.duty, again.attempt), (inputs, first.attempt), "the very same merge");
    assert_eq!(shell.step(Event::Vote(first)), Err(Refusal::NoSuchDuty));
    shell.root(0, "merge").expect("asked for");
    shell.root(1, "merge").expect("asked for");
    assert_eq!(shell.last_record().root, hash("merge"));
}
