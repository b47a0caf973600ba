//! What the chain says about blobs: who may have them, which must stay, for how long, and what it costs to say it.

use crate::{mock::*, *};
use codec::Encode;
use consilium_primitives::{
    round::{Kind, PerMember, Phase, RecordedInput},
    rules::UPDATES_AFTER_END,
    *,
};
use frame_support::assert_ok;

fn notices() -> Vec<BlobNotice> {
    Swarm::blobs().iter().flat_map(StudyBlobs::notices).collect()
}

/// Rounds of the merged files that must stay; those that members need now with a mark.
fn kept(study: StudyId) -> Vec<(u32, bool)> {
    Swarm::blobs_of(study).unwrap().merged.iter().map(|m| (m.round, m.wanted)).collect()
}

/// A round of two in which the round before had this loss.
fn whole_round(study: StudyId, loss: u32) {
    let round = info(study).state.round as u8;
    (0..2).for_each(|n| answer(n, study, update(10 * round + n, Some(loss))));
    (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(100 + round))));
}

#[test]
fn blobs_name_members_holders_and_what_is_wanted() {
    run(|| {
        let study = started(rules(), &[0, 1, 2]);
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        (0..2).for_each(|n| answer(n, study, update(10 + n, None)));
        assert!(notices().iter().all(|b| b.kind == BlobKind::Merged), "no update is listed before the freeze");
        answer(2, study, update(12, None));
        enrol(3, study, 10).unwrap();
        let blobs = notices();
        let updates = blobs.iter().filter(|b| b.kind == BlobKind::Update);
        assert!(
            updates.clone().all(|b| b.members == [id(0), id(1), id(2)]),
            "who came later gets no update of this round"
        );
        assert_eq!(updates.map(|b| b.holders.clone()).collect::<Vec<_>>(), [[id(0)], [id(1)], [id(2)]]);
        assert_eq!(blobs.iter().filter(|b| b.kind == BlobKind::Update && b.wanted).count(), 3);
        let model = blobs.iter().find(|b| b.kind == BlobKind::Merged).unwrap();
        assert_eq!((model.blob.root, model.blob.len, model.members.len()), (hash(1), 900, 4));
        shut_out(account(2));
        assert!(notices().iter().all(|b| !b.members.contains(&id(2))), "a suspended institution gets nothing");
        assert!(blobs.iter().all(|b| !b.members.contains(&id(4))));
    });
}

#[test]
fn an_author_that_left_and_came_back_can_give_what_it_made() {
    run(|| {
        let study = started(rules(), &[0, 1, 2]);
        (0..3).for_each(|n| answer(n, study, VoteBody::Root(hash(1))));
        (0..3).for_each(|n| answer(n, study, update(10 + n, None)));
        let members = || notices().into_iter().find(|b| b.kind == BlobKind::Update).unwrap().members;
        assert_ok!(Swarm::withdraw(signed(2), study));
        assert_eq!(members(), [id(0), id(1)]);
        enrol(2, study, 102).unwrap();
        assert_eq!(members(), [id(0), id(1), id(2)]);
    });
}

#[test]
fn the_last_the_best_and_what_updates_stand_under_stay_and_other_models_go() {
    run(|| {
        let study = started(StudyRules { max_rounds: 9, keep_updates: 1, ..rules() }, &[0, 1]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(100))));
        // losses of the models 0, 1, 2 ...: the second is the best
        for loss in [90, 80, 50, 70, 60, 65] {
            whole_round(study, loss);
        }
        assert_eq!((info(study).state.round, info(study).state.best), (7, Some(2)));
        // the model of round 5 is what the kept updates of round 6 were trained from
        assert_eq!(kept(study), [(6, true), (2, true), (5, false)]);
        let updates: Vec<u32> = Swarm::blobs_of(study).unwrap().rounds.iter().map(|r| r.round).collect();
        assert_eq!(updates, [6]);
        for loss in [66, 67, 68] {
            whole_round(study, loss);
        }
        (0..2).for_each(|n| answer(n, study, VoteBody::Metric(Some(69))));
        to_block(System::block_number() + 1);
        assert!(matches!(info(study).state.phase, Phase::Certifying(_)));
        assert_eq!(kept(study), [(9, true), (2, true), (8, false), (7, false)]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Held(hash(102))));
        assert_eq!(kept(study), [(9, true), (2, true), (8, false), (7, false)]);
    });
}

/// What stays of a study a given time after its end: round and whether it is wanted, and the rounds whose updates are listed.
fn after_its_end(study: StudyId, blocks: u32) -> (Vec<(u32, bool)>, Vec<u32>) {
    System::set_block_number(Swarm::ended(study).unwrap() + blocks);
    let blobs = Swarm::blobs_of(study).unwrap();
    assert_eq!(blobs.ended, Swarm::ended(study));
    (kept(study), blobs.rounds.iter().map(|r| r.round).collect())
}

#[test]
fn a_completed_study_lists_its_updates_for_a_stated_time() {
    run(|| {
        let study = started(StudyRules { statistics_len: 300, ..rules() }, &[0, 1]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Update { root: hash(n), len: 300, metric: None }));
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(50))));
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(100))));
        whole_round(study, 90);
        whole_round(study, 80);
        (0..2).for_each(|n| answer(n, study, VoteBody::Metric(Some(85))));
        to_block(System::block_number() + 1);
        assert_eq!(Swarm::ended(study), None);
        (0..2).for_each(|n| answer(n, study, VoteBody::Held(hash(101))));
        assert_eq!(Swarm::ended(study), Some(System::block_number()));
        // statistics, the last, the certified, and what the updates were trained from
        let all = vec![(0, true), (2, true), (1, true), (0, false)];
        assert_eq!(after_its_end(study, UPDATES_AFTER_END - 1), (all, vec![2, 1, 0]));
        assert_eq!(after_its_end(study, UPDATES_AFTER_END), (vec![(0, true), (2, true), (1, true)], vec![]));
    });
}

#[test]
fn an_aborted_study_lists_its_updates_for_a_stated_time_and_its_end_is_known_for_ever() {
    run(|| {
        let study = started(rules(), &[0, 1]);
        (0..2).for_each(|n| answer(n, study, VoteBody::Root(hash(100))));
        whole_round(study, 90);
        answer(0, study, update(20, None));
        let until = || info(study).state.deadline().unwrap();
        to_block(until());
        to_block(until());
        assert_ok!(Swarm::abort(signed(0), study));
        assert_eq!(after_its_end(study, 0), (vec![(1, true), (0, false)], vec![1]));
        assert_eq!(after_its_end(study, UPDATES_AFTER_END), (vec![(1, true)], vec![]));
        // also when as many others have ended since as are listed
        let end = Swarm::ended(study);
        Ended::<Test>::kill();
        assert!(Swarm::blobs().is_empty());
        assert!(end.is_some() && Swarm::ended(study) == end);
        assert_eq!(Swarm::ended(study + 1), None);
    });
}

/// A study of 64 that has kept updates of as many rounds as it may, with its fifth merge open.
fn as_large_as_can_be(study: StudyId) {
    let mut rules = StudyRules { max_rounds: 1_000, keep_updates: 3, statistics_len: 300, ..rules() };
    rules.invited = Default::default();
    let mut state = round::Study::new(id(0), rules, 1, 1).unwrap();
    let members: Vec<round::Member> = (0..64)
        .map(|n| round::Member {
            id: id(n),
            samples: 10,
            weight: 10,
            active: true,
            since: 0,
            struck: None,
            benched_until: None,
        })
        .collect();
    state.members = members.try_into().unwrap();
    (state.round, state.base_round, state.best) = (20, 19, Some(3));
    state.phase = Phase::Paused(round::Pause {
        reason: round::PauseReason::NoAgreement,
        until: 1_000,
        roster: u64::MAX,
        resume: 0,
        abort: 0,
        back: round::Back::Init,
    });
    let inputs: PerMember<RecordedInput> = (0..64u8)
        .map(|n| RecordedInput { institution: id(n), duty: hash(n), root: hash(n), weight: 10, committed_at: 1 })
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let attesters: PerMember<InstitutionId> = (0..64).map(id).collect::<Vec<_>>().try_into().unwrap();
    let closed = (0..20).map(|round| (Kind::Model, round)).chain([(Kind::Statistics, 0)]);
    for (kind, round) in closed {
        let record = round::RoundRecord {
            kind,
            round,
            base: hash(0),
            inputs: if (kind, round) == (Kind::Model, 0) { PerMember::new() } else { inputs.clone() },
            inputs_root: hash(0),
            root: hash(round as u8 + 1),
            marks: Default::default(),
            attesters: attesters.clone(),
            dissenters: PerMember::new(),
            silent: PerMember::new(),
            dropped: PerMember::new(),
            attempts: 1,
            opened_at: 1,
            frozen_at: 1,
            closed_at: 1,
            masked: None,
        };
        History::<Test>::insert(study, (kind, round), record);
    }
    Studies::<Test>::insert(study, StudyInfo { agreement: hash(1), spec_hash: hash(1), registered_at: 1, state });
}

#[test]
fn what_is_said_of_blobs_stays_small_and_is_read_once() {
    chain().execute_with(|| {
        for study in 0..50 {
            as_large_as_can_be(study);
            if study < MAX_RUNNING {
                Running::<Test>::mutate(|running| running.try_push((study, id(0))).unwrap());
            } else {
                Ended::<Test>::mutate(|ended| ended.try_push(study).unwrap());
            }
        }
        let before = asked_for_membership();
        let blobs = Swarm::blobs();
        assert_eq!(asked_for_membership() - before, 64, "once for each institution, whatever the number of studies");
        let one = &blobs[0];
        assert_eq!((one.members.len(), one.rounds.len(), one.merged.len()), (64, 4, 6));
        assert_eq!(one.notices().filter(|b| b.kind == BlobKind::Update).count(), 256);
        let bytes = blobs.encoded_size();
        assert!(blobs.len() == 50 && bytes < 16 << 20, "{} studies take {bytes} bytes", blobs.len());
        // as one notice for each blob
        let spelt_out: usize = blobs.iter().flat_map(StudyBlobs::notices).map(|b| b.encoded_size()).sum();
        assert!(spelt_out > 16 << 20, "{spelt_out}");
    });
}
