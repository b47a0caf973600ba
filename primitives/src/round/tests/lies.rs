//! What each lie gains, row by row of the design's table: what becomes of it, and the tests that say so, here and in
//! `voices`, `declared` and `replays`. Where another part decides, its tests are named too. `properties` plays random mixtures.
//!
//! * **commits junk at once to close the door**: it stays open until start+T+G unless all are in that are waited for.
//!   `junk_at_once_does_not_close_the_door`.
//! * **leaves another's commitment out of its block**: the grace is longer than twice around all authors.
//!   `a_commitment_left_out_of_blocks_is_taken_by_the_next_author`.
//! * **commits and serves nobody**: dropped by name, at F where all vote, else at A; benched the second time.
//!   `who_serves_nobody_is_dropped_by_name_within_the_fetch_window_if_all_vote`,
//!   `who_serves_nobody_and_is_silent_is_dropped_at_the_attestation_limit`,
//!   `friends_do_not_hold_an_input_for_the_others`, `who_serves_nobody_twice_is_benched`.
//! * **serves only some**: the others have it from these. `serving_only_some_delays_nobody`,
//!   `liars_that_serve_late_one_after_the_other_do_not_use_up_the_attempts`. Node:
//!   `what_is_wanted_arrives_and_can_be_passed_on`.
//! * **says "missing" or "invalid" falsely**: fewer than h voices do nothing; A at most.
//!   `false_missing_and_invalid_need_h_voices`, `taking_an_accusation_back_counts_for_nothing`,
//!   `nobody_accuses_itself_out_of_a_round_or_others_beyond_the_list`.
//! * **attests a wrong hash, or stays silent**: named; closes by q at once, or by j at A; silent twice: benched.
//!   `a_wrong_root_is_named_and_costs_nothing_where_the_honest_are_q`,
//!   `a_wrong_root_beside_late_sites_costs_at_most_the_attestation_limit`, `no_root_closes_without_an_honest_voice`,
//!   `the_first_root_binds`, `silence_is_named_and_costs_at_most_the_attestation_limit`, `silence_twice_is_benched`.
//! * **sends no update**: the grace in two rounds, then in one of six; in every second one, if it sends in the others. In `silence`:
//!   `two_rounds_missed_and_the_next_five_do_not_wait`, `who_sends_in_every_second_round_is_waited_for_in_each`,
//!   `never_fewer_than_make_the_round_and_no_pause_comes_of_it`.
//! * **copies a commitment**: the file names another's duty: invalid at F. `a_copied_commitment_answers_another_duty`.
//!   Aggregation: `files_that_are_not_what_was_committed_are_named_and_what_is_wrong_in_those_that_are`.
//! * **declares many samples**: fixed at enrolment, shown before the start, capped; below half for any f where the rule
//!   tolerates f. `sample_counts_are_fixed_and_capped`, `what_is_declared_is_known_before_the_start_and_stays`,
//!   `the_largest_weights_of_f_sites_stay_below_half_where_the_rule_tolerates_f`.
//! * **reports false metrics**: moves the choice between honest values, and reaches no target.
//!   `false_losses_reach_no_target_and_certify_no_other_round`. In `ends`: `one_site_cannot_choose_the_round`,
//!   `a_target_needs_half_of_the_weight_and_of_the_roster`; in `properties`:
//!   `false_losses_choose_between_honest_values`. Not with half of the reporters' weight or more.
//! * **commits a huge or malformed file**: refused by its length, or invalid at F.
//!   `files_of_another_length_are_refused`, `a_malformed_file_is_dropped_by_name_at_the_fetch_window`. Node:
//!   `a_blob_whose_length_the_chain_has_wrong_never_arrives`.
//! * **replays a vote: other study, round, attempt, chain**: the payload does not fit.
//!   `a_replayed_vote_fits_nowhere_else`, `votes_cast_before_a_pause_say_nothing_after_it`. Pallet:
//!   `a_vote_is_good_for_one_chain_study_round_attempt_and_institution`,
//!   `the_same_merge_vote_is_refused_in_the_next_attempt`.
//! * **says that it is there while a study waits, and does nothing**: once an hour, and so often. In `pauses`:
//!   `pauses_end_by_themselves_once_an_hour_at_most`, `it_is_tried_so_often_and_then_it_waits_for_people`.
//! * **says falsely that it holds the model of a paused study, or not**: needs h voices. In `fallback`:
//!   `as_many_liars_as_a_merge_survives_neither_keep_a_study_on_a_model_nor_take_it_off_one`.
//! * **asks in every pause for the end**: needs h voices. In `pauses`:
//!   `who_wants_the_study_to_end_keeps_it_from_going_on_where_they_are_more_than_a_merge_survives`.
//! * **says the rule left out somebody it did not**: attested with the root. In `steps`:
//!   `what_a_rule_did_to_its_inputs_is_attested_with_the_root_and_stays_in_the_record`.
//! * **more than f liars**: they drop an honest input or close a wrong hash, and each honest site stands against it.
//!   `more_liars_than_can_be_survived_leave_a_trace`. Audit, in the cli: `a_merge_that_its_inputs_do_not_give_differs`.
//! * **n = 2**: either can stop the study, nobody can forge it. `of_two_either_can_stop_and_none_can_forge`.

mod declared;
mod replays;
mod voices;

use super::*;
use crate::rules::{close_at_once, MAX_WEIGHT};

/// Seven members' first merge; members 5 and 6 may lie.
fn seven() -> Shell {
    Shell::merging(plain(), 7)
}

/// All that are asked attest the same.
fn all_attest(shell: &mut Shell, members: std::ops::Range<u8>) {
    let attempt = shell.merge().attempt;
    for member in members {
        if matches!(&shell.study.phase, Phase::Merging(m) if m.attempt == attempt) {
            shell.root(member, "merge").expect("asked for");
        }
    }
    assert_eq!(shell.last_record().root, hash("merge"));
}

#[test]
fn junk_at_once_does_not_close_the_door() {
    let mut shell = Shell::training(plain(), &[100; 7]);
    let start = shell.collecting().start;
    // more than can be survived, and enough for a freeze
    for liar in 3..7 {
        shell.commit(liar).expect("asked for");
    }
    shell.until(start + 10 + shell.windows().grace - 1);
    for honest in 0..2 {
        shell.commit(honest).expect("the door is open");
    }
    shell.pass(1);
    assert_eq!(shell.merge().inputs.len(), 6);
}

#[test]
fn a_commitment_left_out_of_blocks_is_taken_by_the_next_author() {
    for (validators, training_blocks) in [(1, 1), (7, 1), (64, 10), (5, 500)] {
        let mut shell = Shell::enrolled(StudyRules { training_blocks, ..plain() }, &[100; 3]);
        shell.study.validators = validators;
        let grace = shell.windows().grace;
        assert!(grace >= 2 * validators + 2);
        shell.deadline();
        for member in 0..3 {
            shell.root(member, "init").expect("asked for");
        }
        shell.commit(0).expect("asked for");
        shell.commit(1).expect("asked for");
        // every validator but one ignores it, twice around
        shell.pass(training_blocks + 2 * validators + 1);
        shell.commit(2).expect("there is still time");
        assert_eq!(shell.merge().inputs.len(), 3);
    }
}

#[test]
fn who_serves_nobody_is_dropped_by_name_within_the_fetch_window_if_all_vote() {
    let mut shell = seven();
    shell.fetched();
    for member in 0..7 {
        shell.partial(member, 0b0111111, 0).expect("asked for");
    }
    assert_eq!(shell.dropped(), [(id(7), DropReason::Withheld)]);
    assert_eq!((shell.merge().attempt, shell.merge().inputs.len()), (2, 6));
    assert_eq!(shell.merge().frozen_at, 1 + shell.windows().fetch);
    all_attest(&mut shell, 0..6);
}

#[test]
fn who_serves_nobody_twice_is_benched() {
    let mut shell = Shell::training(StudyRules { max_rounds: 30, ..plain() }, &[100; 4]);
    for round in 1..=2 {
        shell.commit_all();
        shell.fetched();
        for member in 0..3 {
            shell.partial(member, 0b0111, 0).expect("asked for");
        }
        // who withholds says that all is well
        shell.root(3, "merge").expect("it may say so");
        assert_eq!(shell.dropped().len(), round);
        all_attest(&mut shell, 0..3);
    }
    assert_eq!(shell.dropped(), [(id(4), DropReason::Withheld); 2]);
    assert_eq!((shell.collecting().roster, shell.asks(3)), (0b0111, None));
}

#[test]
fn who_serves_nobody_and_is_silent_is_dropped_at_the_attestation_limit() {
    let mut shell = seven();
    shell.fetched();
    for member in 0..6 {
        shell.partial(member, 0b0111111, 0).expect("asked for");
    }
    assert!(shell.dropped().is_empty());
    shell.deadline();
    assert_eq!(shell.dropped(), [(id(7), DropReason::Withheld)]);
    assert_eq!(shell.merge().frozen_at, 1 + shell.windows().attest);
    all_attest(&mut shell, 0..6);
}

#[test]
fn serving_only_some_delays_nobody() {
    let mut shell = seven();
    shell.fetched();
    // three others were served, two were not, and get it from these
    for member in 0..3 {
        shell.root(member, "merge").expect("asked for");
    }
    for member in 3..5 {
        shell.partial(member, 0b0111111, 0).expect("asked for");
    }
    shell.root(3, "merge").expect("it came after all");
    shell.root(4, "merge").expect("it came after all");
    assert_eq!((shell.study.round, shell.last_record().attempts), (2, 1));
    assert!(shell.dropped().is_empty());
}

#[test]
fn false_missing_and_invalid_need_h_voices() {
    for (have, invalid) in [(0b1111110, 0), (0b1111110, 1), (0b1100000, 0), (0b1100000, 0b11111)] {
        let mut shell = seven();
        shell.fetched();
        for liar in 5..7 {
            shell.partial(liar, have, invalid).expect("it may say so");
        }
        assert_eq!(shell.merge().attempt, 1);
        // the five honest ones are q: nothing was gained, not even time
        all_attest(&mut shell, 0..5);
        assert!(shell.dropped().is_empty());

        // two of them come too late: the same at the limit
        let mut shell = seven();
        shell.fetched();
        for liar in 5..7 {
            shell.partial(liar, have, invalid).expect("it may say so");
        }
        for member in 0..3 {
            shell.root(member, "merge").expect("asked for");
        }
        shell.deadline();
        assert_eq!((shell.dropped(), shell.merge().attempt), (vec![], 2));
    }
}

#[test]
fn a_wrong_root_is_named_and_costs_nothing_where_the_honest_are_q() {
    let mut shell = seven();
    shell.root(5, "wrong").expect("it may say so");
    shell.root(6, "wrong").expect("it may say so");
    all_attest(&mut shell, 0..5);
    let record = shell.last_record();
    assert_eq!(record.dissenters.to_vec(), [(id(6), hash("wrong")), (id(7), hash("wrong"))]);
    assert!(record.silent.is_empty());
}

#[test]
fn silence_is_named_and_costs_at_most_the_attestation_limit() {
    let mut shell = seven();
    for member in 0..4 {
        shell.root(member, "merge").expect("asked for");
    }
    shell.deadline();
    let record = shell.last_record();
    assert_eq!(record.closed_at - record.frozen_at, shell.windows().attest);
    assert_eq!(record.silent.to_vec(), [id(5), id(6), id(7)]);
}

#[test]
fn a_copied_commitment_answers_another_duty() {
    let mut shell = Shell::training(plain(), &[100; 4]);
    for member in 0..3 {
        shell.commit(member).expect("asked for");
    }
    let theirs = shell.collecting().commitments[0];
    // with their duty it is refused; with one's own, the file does not name it, and everyone sees that
    let mut copy = shell.answer(3, VoteBody::Update { root: theirs.root, len: 1000, metric: None }).expect("asked for");
    let own = copy.duty;
    copy.duty = theirs.duty;
    assert_eq!(shell.step(Event::Vote(copy)), Err(Refusal::NoSuchDuty));
    copy.duty = own;
    shell.step(Event::Vote(copy)).expect("the chain cannot see it");
    let m = shell.merge();
    assert_eq!(m.inputs[0].commitment.root, m.inputs[3].commitment.root);
    assert_ne!(m.inputs[0].commitment.duty, m.inputs[3].commitment.duty);
    let frozen_at = m.frozen_at;
    shell.fetched();
    for member in 0..2 {
        shell.partial(member, 0b0111, 0b1000).expect("asked for");
    }
    assert_eq!(shell.dropped(), [(id(4), DropReason::Invalid)]);
    assert_eq!(shell.world.now, frozen_at + shell.windows().fetch);
    all_attest(&mut shell, 0..3);
}

#[test]
fn sample_counts_are_fixed_and_capped() {
    let mut shell = Shell::enrolled(plain(), &[10, 20, 70]);
    for samples in [0, MAX_WEIGHT, u32::MAX] {
        assert_eq!(shell.step(Event::Enrol { who: id(4), samples }), Err(Refusal::BadSampleCount));
    }
    shell.step(Event::Enrol { who: id(4), samples: MAX_WEIGHT - 1 }).expect("it may say so");
    shell.step(Event::Withdraw { who: id(3) }).expect("may leave");
    assert_eq!(shell.step(Event::Enrol { who: id(3), samples: 71 }), Err(Refusal::BadSampleCount));
    shell.step(Event::Enrol { who: id(3), samples: 70 }).expect("may come back");
    shell.deadline();
    for member in 0..3 {
        shell.root(member, "init").expect("asked for");
    }
    shell.commit_all();
    assert_eq!(shell.merge().inputs.iter().map(|i| i.weight).collect::<Vec<_>>(), [10, 20, 70, 100]);
}

#[test]
fn files_of_another_length_are_refused() {
    let mut shell = Shell::training(plain(), &[100; 2]);
    for len in [0, 999, 1001, u64::MAX] {
        let body = VoteBody::Update { root: hash("huge"), len, metric: None };
        assert_eq!(shell.vote(0, body), Err(Refusal::WrongLength));
    }
    assert_eq!(shell.asks(0), Some(DutyKind::Train));
}

#[test]
fn a_pause_does_not_hide_how_long_a_round_took() {
    let mut shell = Shell::training(plain(), &[100; 3]);
    let opened = shell.world.now;
    shell.deadline();
    shell.deadline();
    shell.step(Event::Resume { who: id(1) }).expect("the proposer");
    shell.commit_all();
    all_attest(&mut shell, 0..3);
    assert_eq!(shell.last_record().opened_at, opened);
}

#[test]
fn more_liars_than_can_be_survived_leave_a_trace() {
    // j of seven collude, and honest sites are late: the wrong root closes, and each honest one stands against it
    let mut shell = seven();
    for honest in 0..3 {
        shell.root(honest, "merge").expect("asked for");
    }
    for liar in 3..7 {
        shell.root(liar, "wrong").expect("it may say so");
    }
    let record = shell.last_record();
    assert_eq!(record.root, hash("wrong"));
    assert_eq!(record.dissenters.to_vec(), (1..=3).map(|n| (id(n), hash("merge"))).collect::<Vec<_>>());

    // the strict rule asks for one more
    let mut shell = Shell::merging(StudyRules { strict: true, ..plain() }, 7);
    for honest in 0..3 {
        shell.root(honest, "merge").expect("asked for");
    }
    for liar in 3..7 {
        shell.root(liar, "wrong").expect("it may say so");
    }
    assert_eq!((shell.study.round, shell.merge().attempt), (1, 2));

    // h of them can drop an honest input, in their names
    let mut shell = seven();
    shell.fetched();
    for liar in 4..7 {
        shell.partial(liar, 0b1111110, 1).expect("it may say so");
    }
    assert_eq!(shell.dropped(), [(id(1), DropReason::Invalid)]);
    let accusers = shell.log.iter().filter(|e| matches!(e, Effect::PartialReported { invalid: 1, .. }));
    assert_eq!(accusers.count(), 3);
}

#[test]
fn of_two_either_can_stop_and_none_can_forge() {
    assert_eq!(close_at_once(2), 2);
    let mut shell = Shell::merging(plain(), 2);
    shell.root(0, "merge").expect("asked for");
    shell.root(1, "wrong").expect("it may say so");
    // three attempts, all answered at once
    for _ in 2..=3 {
        shell.root(0, "merge").expect("asked for");
        shell.root(1, "wrong").expect("it may say so");
    }
    assert_eq!((shell.paused(), shell.study.base), (PauseReason::NoAgreement, hash("init")));

    let mut shell = Shell::merging(plain(), 2);
    shell.fetched();
    shell.partial(1, 0b10, 0b01).expect("it may say so");
    assert_eq!((shell.paused(), shell.study.base), (PauseReason::TooFewInputs, hash("init")));

    let mut shell = Shell::training(plain(), &[100; 2]);
    shell.commit(0).expect("asked for");
    shell.deadline();
    shell.deadline();
    assert_eq!((shell.paused(), shell.study.base), (PauseReason::TooFewUpdates, hash("init")));
}
