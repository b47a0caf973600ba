//! What each loss and each lie costs a masked round.

use super::*;

/// Members 0 to 3 of four; whoever is not in the list is lost.
fn four() -> Shell {
    Shell::masking(StudyRules { max_rounds: 9, ..masked() }, 4)
}

#[test]
fn who_gives_no_keys_or_deals_nothing_has_no_part_and_the_others_go_on() {
    let mut shell = four();
    let began = shell.world.now;
    (0..3).for_each(|member| drop(shell.give_keys(member).expect("asked for")));
    assert_eq!(shell.pair().step, PairingStep::Keys, "the fourth one is waited for");
    shell.deadline();
    assert_eq!((shell.world.now - began, shell.pair().listed()), (shell.windows().pairing, 0b0111));
    assert_eq!((shell.asks(3), shell.work(3)), (None, None), "it has no part in the round");
    shell.reach_paired(&[0, 1, 2]);
    assert_eq!(shell.pair().dealt(), 0b0111);
    shell.reach_revealing(&[0, 1, 2]);
    assert_eq!(shell.fixed().authors(), 0b0111);

    // its keys are in, and then it is gone
    let mut shell = Shell::masking(masked(), 5);
    (0..5).for_each(|member| drop(shell.give_keys(member).expect("asked for")));
    (0..4).for_each(|member| drop(shell.deal_all(member).expect("asked for")));
    shell.deadline();
    assert_eq!((shell.pair().listed(), shell.pair().dealt(), shell.pair().threshold()), (0b11111, 0b01111, 4));
    assert_eq!((shell.asks(4), shell.study.missed.len()), (None, 1));
}

#[test]
fn too_few_keys_get_more_time_once_and_too_few_deals_a_new_pairing_once() {
    let mut shell = four();
    (0..2).for_each(|member| drop(shell.give_keys(member).expect("asked for")));
    shell.deadline();
    assert!(matches!(shell.log.last(), Some(Effect::Extended { silent }) if silent.to_vec() == [id(3), id(4)]));
    shell.give_keys(2).expect("still asked for");
    shell.deadline();
    assert_eq!((shell.pair().step, shell.pair().number), (PairingStep::Deal, 1));
    shell.deal_all(0).expect("asked for");
    shell.deadline();
    // there was more time once already
    assert_eq!(shell.paused(), PauseReason::TooFewUpdates);
    assert!(shell.study.masking.pair.is_none() && shell.world.postings.is_empty(), "nothing of it stays");

    let mut shell = four();
    (0..4).for_each(|member| drop(shell.give_keys(member).expect("asked for")));
    shell.deal_all(0).expect("asked for");
    shell.deadline();
    assert_eq!((shell.pair().step, shell.pair().number), (PairingStep::Keys, 2));
    assert_eq!(shell.asks(3), Some(DutyKind::Keys), "all are asked anew");
    (0..4).for_each(|member| drop(shell.give_keys(member).expect("asked for")));
    shell.deal_all(1).expect("asked for");
    shell.deadline();
    assert_eq!(shell.paused(), PauseReason::TooFewUpdates);
    // those that are there take it up, with keys that serve no other sum
    (0..3).for_each(|member| drop(shell.there(member).expect("asked for")));
    assert_eq!((shell.asks(0), shell.pair().number), (Some(DutyKind::Keys), 3));
}

#[test]
fn who_deals_and_then_gives_nothing_is_no_author_and_its_other_secret_is_opened() {
    let mut shell = Shell::masking(masked(), 5);
    shell.pair_up(&[0, 1, 2, 3, 4]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    assert_eq!((shell.fixed().authors(), shell.pair().dealt()), (0b01111, 0b11111));
    assert_eq!(shell.asks(4), None);
    shell.reach_summing(&[0, 1, 2, 3]);
    let weight = shell.pair().weights.iter().sum::<u32>();
    (0..4).for_each(|member| {
        if matches!(shell.study.phase, Phase::Summing(_)) {
            shell.sum(member, "four of five", None).expect("asked for");
        }
    });
    let record = shell.last_record();
    let kept = record.masked.as_ref().expect("masked");
    assert_eq!((record.inputs.len(), kept.partners, kept.weight), (4, 0b11111, u64::from(weight)));
}

#[test]
fn a_file_that_nobody_gets_is_dropped_before_anything_is_opened() {
    let mut shell = Shell::masking(masked(), 5);
    shell.pair_up(&[0, 1, 2, 3, 4]);
    (0..5).for_each(|member| drop(shell.mask(member).expect("asked for")));
    let Phase::Gathering(m) = &shell.study.phase else { panic!("not gathering") };
    let fetched = m.began + shell.windows().fetch;
    assert_eq!(shell.partial(0, 0b01111, 0), Err(Refusal::TooEarly));
    shell.until(fetched);
    let not_final = VoteBody::Partial { have: 0b01111, invalid: 0, not_final: true };
    assert_eq!(shell.vote(0, not_final), Err(Refusal::WrongAnswer), "masked files do not wait for finality");
    (0..4).for_each(|member| drop(shell.partial(member, 0b01111, 0).expect("may be told")));
    shell.deadline();
    assert_eq!(shell.dropped(), [(id(5), DropReason::Withheld)]);
    (0..4).for_each(|member| {
        if matches!(shell.study.phase, Phase::Gathering(_)) {
            shell.gather(member).expect("asked for");
        }
    });
    assert_eq!(shell.fixed().authors(), 0b01111);
    // it dealt: its pair secret is opened, never its seed
    assert_eq!(shell.pair().dealt(), 0b11111);
}

#[test]
fn a_share_that_was_not_committed_to_is_refused_and_so_are_bytes_that_a_vote_does_not_name() {
    let mut shell = four();
    shell.pair_up(&[0, 1, 2, 3]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    let right = shell.shares_of(0, 0);
    for at in [8, 39, 8 + 3 * 32] {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        assert_eq!(shell.post(0, wrong), Err(Refusal::WrongShare), "byte {at}");
    }
    // a share of the other secret is none of this one
    let (root, me) = (shell.pair().keys_root, id(1));
    let mut other = right.clone();
    other[8..40].copy_from_slice(share(&root, &id(1), &me, 1).as_bytes());
    assert_eq!(shell.post(0, other), Err(Refusal::WrongShare));
    assert_eq!(shell.post(0, right[..right.len() - 1].to_vec()), Err(Refusal::WrongPosting));
    let mut beyond = right.clone();
    beyond[0] |= 1 << 4;
    assert_eq!(shell.post(0, beyond), Err(Refusal::WrongPosting), "there is no fifth partner");
    let body = VoteBody::Posted { hash: hash("other bytes"), len: right.len() as u32 };
    let vote = shell.answer(0, body).expect("asked for");
    assert_eq!(shell.step(Event::Post { vote, bytes: right.clone() }), Err(Refusal::WrongPosting));
    // without its bytes it says nothing
    assert_eq!(shell.step(Event::Vote(vote)), Err(Refusal::WrongAnswer));
    shell.post(0, right.clone()).expect("the right ones");
    assert_eq!(shell.post(0, right), Err(Refusal::NoSuchDuty), "it is asked for nothing any more");
}

#[test]
fn a_deal_of_another_length_is_refused() {
    let mut shell = four();
    (0..4).for_each(|member| drop(shell.give_keys(member).expect("asked for")));
    assert_eq!(shell.post(0, vec![0; 144 * 3]), Err(Refusal::WrongPosting));
    shell.post(0, vec![0; 144 * 4]).expect("what it says nobody can see yet");
}

#[test]
fn in_the_set_and_gone_costs_nothing_while_enough_others_reveal() {
    let mut shell = Shell::masking(masked(), 7);
    let all: Vec<u8> = (0..7).collect();
    shell.pair_up(&all);
    shell.reach_revealing(&all);
    let began = shell.world.now;
    (2..7).for_each(|member| drop(shell.reveal(member).expect("asked for")));
    assert!(matches!(shell.study.phase, Phase::Summing(_)) && shell.world.now == began);
}

#[test]
fn too_few_that_reveal_pause_it_and_it_goes_back_to_the_same_set() {
    let mut shell = four();
    shell.pair_up(&[0, 1, 2, 3]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    let set = shell.fixed().clone();
    (0..2).for_each(|member| drop(shell.reveal(member).expect("asked for")));
    shell.deadline();
    assert!(matches!(shell.log.last(), Some(Effect::Extended { silent }) if silent.to_vec() == [id(3), id(4)]));
    shell.deadline();
    assert_eq!(shell.paused(), PauseReason::NotRevealed);
    // two have revealed, and three of four must be there for the sum
    (0..2).for_each(|member| drop(shell.there(member).expect("asked for")));
    assert_eq!(shell.paused(), PauseReason::NotRevealed);
    shell.there(2).expect("asked for");
    let now = shell.fixed();
    assert_eq!((&now.inputs, now.fixed_at, now.posted()), (&set.inputs, set.fixed_at, 0b0011));
    assert_eq!((shell.asks(0), shell.asks(3)), (None, Some(DutyKind::Reveal)), "what was opened stays");
    assert_eq!(shell.study.masking.pairing, 1);
    shell.reveal(2).expect("asked for");
    assert!(matches!(shell.study.phase, Phase::Summing(_)));
}

#[test]
fn people_give_up_a_sum_that_waits_and_its_round_is_trained_anew() {
    let mut shell = four();
    shell.pair_up(&[0, 1, 2, 3]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    assert_eq!(shell.step(Event::Abandon { who: id(1) }), Err(Refusal::WrongPhase));
    shell.deadline();
    shell.deadline();
    assert_eq!(shell.paused(), PauseReason::NotRevealed);
    (2..4).for_each(|voice| drop(shell.step(Event::Abandon { who: id(voice) }).expect("may ask")));
    assert_eq!(shell.step(Event::Abandon { who: id(2) }), Err(Refusal::AlreadyAnswered));
    assert_eq!(shell.step(Event::Abandon { who: id(9) }), Err(Refusal::NotAMember));
    assert_eq!(shell.paused(), PauseReason::NotRevealed, "three of four are needed");
    shell.step(Event::Abandon { who: id(4) }).expect("may ask");
    assert_eq!(shell.last_record().void(), Some(VoidReason::Abandoned));
    assert_eq!((shell.study.round, shell.study.base, shell.asks(0)), (2, hash("init"), Some(DutyKind::Keys)));
}

#[test]
fn a_secret_of_which_shares_are_missing_makes_it_void_and_nobody_is_struck() {
    let mut shell = four();
    shell.pair_up(&[0, 1, 2, 3]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    // what the third one dealt to two of them was rubbish: they leave it out
    let whose = shell.member_id(shell.pair().deals[2].0);
    for member in 0..4 {
        let bytes = shell.shares_of(member, if member < 2 { 0b0100 } else { 0 });
        shell.post(member, bytes).expect("asked for");
    }
    assert_eq!(shell.last_record().void(), Some(VoidReason::Unrecoverable { whose }));
    assert!(shell.study.members.iter().all(|member| member.struck.is_none()));

    // where one more may come, it is waited for, twice
    let mut shell = four();
    shell.pair_up(&[0, 1, 2, 3]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    for member in 0..3 {
        let bytes = shell.shares_of(member, if member < 1 { 0b0001 } else { 0 });
        shell.post(member, bytes).expect("asked for");
    }
    shell.deadline();
    assert!(matches!(shell.study.phase, Phase::Revealing(_)));
    shell.deadline();
    assert!(matches!(shell.last_record().void(), Some(VoidReason::Unrecoverable { .. })));
}

#[test]
fn a_bad_deal_is_named_and_struck_and_a_sum_out_of_range_names_nobody() {
    let mut shell = four();
    shell.pair_up(&[0, 1, 2, 3]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    shell.reach_summing(&[0, 1, 2, 3]);
    // nobody but a partner can have dealt; that shares are missing the chain sees itself; no length is agreed here
    for odd in [
        VoidReason::BadDeal { who: id(9) },
        VoidReason::Unrecoverable { whose: id(2) },
        VoidReason::Abandoned,
        VoidReason::TooLong,
    ] {
        assert_eq!(shell.vote(0, VoteBody::Void(odd)), Err(Refusal::WrongAnswer), "{odd:?}");
    }
    shell.call_void(VoidReason::BadDeal { who: id(2) });
    assert_eq!(shell.last_record().void(), Some(VoidReason::BadDeal { who: id(2) }));
    assert_eq!(shell.study.members[1].struck, Some(1));

    let mut shell = four();
    shell.pair_up(&[0, 1, 2, 3]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    shell.reach_summing(&[0, 1, 2, 3]);
    shell.call_void(VoidReason::OutOfRange);
    assert!(shell.study.members.iter().all(|member| member.struck.is_none()));
}

#[test]
fn a_void_round_leaves_the_base_and_trains_anew() {
    let mut shell = four();
    shell.masked_round(Some(9));
    let (base, before) = (shell.study.base, shell.study.open_work(&shell.world, &id(1)).expect("training").duty);
    shell.pair_up(&[0, 1, 2, 3]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    shell.reach_summing(&[0, 1, 2, 3]);
    shell.call_void(VoidReason::OutOfRange);
    let record = shell.last_record();
    assert_eq!((record.round, record.root, record.attesters.len()), (2, Hash::zero(), 3));
    assert_eq!((shell.study.round, shell.study.base, shell.study.base_round), (3, base, 1));
    let after = shell.study.open_work(&shell.world, &id(1)).expect("training is asked for anew").duty;
    assert_eq!((after.base, after.round), (before.base, 3));
    assert_ne!(after.hash(), before.hash(), "what was trained for the void round is not masked again");
    assert_eq!(shell.pair().number, 3);
    // a merge after it makes the count anew; a second one in a row is for people
    shell.masked_round(Some(8));
    for void in 1..=2 {
        shell.pair_up(&[0, 1, 2, 3]);
        shell.reach_revealing(&[0, 1, 2, 3]);
        shell.reach_summing(&[0, 1, 2, 3]);
        shell.call_void(VoidReason::OutOfRange);
        assert_eq!(matches!(shell.study.phase, Phase::Paused(_)), void == 2);
    }
    assert_eq!(shell.paused(), PauseReason::SumsUnusable);
    assert_eq!(shell.asks(0), None, "nobody's being there mends that");
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    assert_eq!((shell.asks(0), shell.study.round), (Some(DutyKind::Keys), 6));
    // nothing of the void rounds is listed as a model
    assert!(shell.blobs().merged.iter().all(|merged| merged.blob.root != Hash::zero()));
}

#[test]
fn a_sum_that_is_disputed_is_tried_again_with_the_same_files_and_then_waits_for_people() {
    let mut shell = four();
    shell.pair_up(&[0, 1, 2, 3]);
    shell.reach_revealing(&[0, 1, 2, 3]);
    shell.reach_summing(&[0, 1, 2, 3]);
    let set = shell.fixed().clone();
    for attempt in 1..=3 {
        let Phase::Summing(s) = &shell.study.phase else { panic!("not summing") };
        assert_eq!((s.attempt, &s.set), (attempt, &set));
        (0..4).for_each(|member| drop(shell.sum(member, &format!("own {member}"), None).expect("asked for")));
    }
    assert_eq!(shell.paused(), PauseReason::NoAgreement);
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    assert_eq!(shell.fixed(), &set, "the same files, and what was opened");
    (0..3).for_each(|member| drop(shell.sum(member, "merge", None).expect("asked for")));
    assert_eq!(shell.last_record().root, hash("merge"));
}
