//! Whole studies: from registration to certificate, and those that stand still or end before.

use crate::{mock::*, *};
use consilium_primitives::{
    round::{Kind, PauseReason, Phase},
    *,
};
use frame_support::{assert_noop, assert_ok};

#[test]
fn a_study_runs_from_registration_to_certificate() {
    run(|| {
        assert!(Swarm::idle());
        assert_ok!(register(0, rules()));
        assert!(!Swarm::idle(), "one that is proposed has its time, too");
    });
    run(|| {
        let study = started(rules(), &[0, 1, 2, 3]);
        (0..4).for_each(|n| {
            // three equal votes of four close at once; the fourth is too late for round 0
            if n < 3 {
                answer(n, study, VoteBody::Root(hash(1)))
            }
        });
        assert_eq!(record(study, 0).root, hash(1));
        for round in 1..=2u8 {
            (0..4).for_each(|n| answer(n, study, update(10 * round + n, Some(500_000 - u32::from(round)))));
            (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(100 + round))));
            let closed = record(study, u32::from(round));
            assert_eq!(closed.inputs.iter().map(|i| i.weight).collect::<Vec<_>>(), [100, 101, 102, 103]);
            assert_eq!(closed.attesters.len(), 3);
            assert_eq!(closed.silent.to_vec(), [id(3)]);
        }
        // round 2 is worse than round 1 for everyone
        (0..4).for_each(|n| answer(n, study, VoteBody::Metric(Some(600_000))));
        to_block(2);
        (0..4).for_each(|n| answer(n, study, VoteBody::Held(hash(101))));
        let Phase::Completed(certificate) = info(study).state.phase else { panic!("not completed") };
        assert_eq!((certificate.round, certificate.root, certificate.held), (1, hash(101), 0b1111));
        assert!(Running::<Test>::get().is_empty());
        assert_eq!(Ended::<Test>::get().to_vec(), [study]);
        assert!(!Swarm::idle(), "its updates are kept for a day");
        System::set_block_number(System::block_number() + rules::UPDATES_AFTER_END + 1);
        assert!(Swarm::idle());
        assert_noop!(Swarm::withdraw(signed(0), study), Error::<Test>::WrongPhase);
    });
}

#[test]
fn a_stalled_study_pauses_and_more_than_half_let_it_go_on() {
    run(|| {
        let study = started(rules(), &[0, 1, 2, 3]);
        let until = info(study).state.deadline().unwrap();
        to_block(until);
        let Phase::Paused(pause) = info(study).state.phase else { panic!("not paused") };
        assert_eq!(pause.reason, PauseReason::NoCommonStart);
        assert_ok!(Swarm::resume(signed(1), study));
        assert_noop!(Swarm::resume(signed(1), study), Error::<Test>::AlreadyAnswered);
        assert_noop!(Swarm::resume(signed(5), study), Error::<Test>::NotAMember);
        assert_ok!(Swarm::resume(signed(2), study));
        assert_ok!(Swarm::resume(signed(3), study));
        assert!(matches!(info(study).state.phase, Phase::Init { .. }));
    });
}

#[test]
fn nobody_waits_for_an_institution_that_has_departed() {
    run(|| {
        let study = started(rules(), &[0, 1, 2, 3]);
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        (0..3).for_each(|n| answer(n, study, update(n, None)));
        assert!(matches!(info(study).state.phase, Phase::Collecting(_)));
        Swarm::departed(&account(3));
        assert!(matches!(info(study).state.phase, Phase::Merging(_)));
    });
}

#[test]
fn who_is_no_participant_any_more_decides_nothing() {
    run(|| {
        let waiting = NextStudy::<Test>::get();
        register(0, rules()).unwrap();
        (0..2).for_each(|n| enrol(n, waiting, 10).unwrap());
        let study = started(rules(), &[0, 1]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(n))));
        assert!(matches!(info(study).state.phase, Phase::Paused(_)));
        shut_out(account(0));
        assert_noop!(Swarm::start(signed(0), waiting), Error::<Test>::NotAParticipant);
        assert_noop!(Swarm::abort(signed(0), waiting), Error::<Test>::NotAParticipant);
        assert_noop!(Swarm::resume(signed(0), study), Error::<Test>::NotAParticipant);
        assert_noop!(Swarm::abort(signed(0), study), Error::<Test>::NotAParticipant);
        assert_ok!(Swarm::withdraw(signed(0), study));
    });
}

#[test]
fn a_study_that_never_started_leaves_no_spec_and_takes_no_ones_place() {
    run(|| {
        let study = started(rules(), &[0, 1]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(n))));
        assert_ok!(Swarm::abort(signed(0), study));
        for _ in 0..2 * MAX_RUNNING {
            let idle = NextStudy::<Test>::get();
            assert_ok!(register(1, rules()));
            assert_ok!(Swarm::abort(signed(1), idle));
            assert!(!Specs::<Test>::contains_key(idle));
        }
        assert_eq!(Ended::<Test>::get().to_vec(), [study]);
        assert!(Specs::<Test>::contains_key(study));
    });
}

#[test]
fn the_chain_keeps_the_losses_and_the_latest_report_of_a_site() {
    run(|| {
        let study = started(rules(), &[0, 1]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        (0..2).for_each(|n| answer(n, study, update(n, Some(700_000 + u32::from(n)))));
        assert_eq!(Losses::<Test>::get(study, 0).to_vec(), [(id(0), 700_000), (id(1), 700_001)]);
    });
}

#[test]
fn orders_name_what_is_attested_and_of_which_inputs_as_far_back_as_sites_keep_their_own() {
    run(|| {
        let study = started(StudyRules { max_rounds: 20, statistics_len: 300, ..rules() }, &[0, 1]);
        let attested = || Swarm::orders(&id(0))[0].attested.clone();
        assert_eq!(attested(), []);
        (0..2).for_each(|n| answer(n, study, VoteBody::Update { root: hash(n), len: 300, metric: None }));
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(50))));
        let statistics = attested();
        let inputs_root = History::<Test>::get(study, (Kind::Statistics, 0)).unwrap().inputs_root;
        assert_eq!(statistics, [Attested { kind: Kind::Statistics, round: 0, inputs_root, root: hash(50) }]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(100))));
        for round in 1..=12u8 {
            (0..2).for_each(|n| answer(n, study, update(n, None)));
            let duty = Swarm::orders(&id(0))[0].duty;
            (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(100 + round))));
            assert_eq!(attested().last().unwrap().inputs_root, duty.base, "that of the merge's duty");
        }
        let models = (5..=12u32).map(|round| {
            let record = record(study, round);
            Attested { kind: Kind::Model, round, inputs_root: record.inputs_root, root: hash(100 + round as u8) }
        });
        let all: Vec<_> = statistics.into_iter().chain(models).collect();
        assert_eq!(attested(), all);
        // who is to hold an earlier round's model is told of that one too
        let rounds = |asked| Swarm::attested(study, 13, asked).iter().skip(1).map(|a| a.round).collect::<Vec<_>>();
        assert_eq!(rounds(3), [3, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(rounds(7), rounds(13));
    });
}
