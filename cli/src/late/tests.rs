//! Made-up blocks; those of a real chain are read in the workspace's `e2e`.
#![allow(clippy::unwrap_used)]

use super::{
    read::{At, Seen, Told},
    tell::{tell, By, Note, Round, Said, What, Which},
    words::Frame,
};
use crate::show::Names;
use consilium_primitives::{
    round::{Kind, PauseReason},
    DutyKind, FailureCode, Hash, InstitutionId, PostStep, VoidReason, Vote, VoteBody,
};
use pallet_swarm_learning::Progress;

const SLOT: u32 = 500;

fn site(n: u8) -> InstitutionId {
    InstitutionId([n; 32])
}

fn at(block: u32) -> At {
    At { block, millis: u64::from(block) * u64::from(SLOT) }
}

fn vote(n: u8, kind: DutyKind) -> Vote {
    let (institution, duty) = (site(n), Hash::zero());
    Vote { study: 0, round: 1, attempt: 1, resumed: 0, kind, institution, duty, body: VoteBody::Root(duty) }
}

fn opened(round: u32) -> Told {
    Told::Progress(Progress::Opened { kind: Kind::Model, round })
}

fn committed(n: u8) -> Told {
    Told::Progress(Progress::Committed { who: site(n), root: Hash::zero() })
}

fn attested(n: u8) -> Told {
    Told::Progress(Progress::Attested { who: site(n), root: Hash::zero() })
}

fn late(n: u8, round: u32) -> Told {
    Told::Progress(Progress::AttestedLate { round, who: site(n), root: Hash::zero(), agrees: true })
}

fn frozen(attempt: u32) -> Told {
    Told::Progress(Progress::Frozen { attempt, inputs_root: Hash::zero() })
}

fn closed(round: u32) -> Told {
    Told::Closed { kind: Kind::Model, round }
}

fn seen(block: u32, votes: &[(u8, DutyKind)], told: Vec<Told>) -> Seen {
    Seen { at: at(block), votes: votes.iter().map(|(n, kind)| vote(*n, *kind)).collect(), told }
}

fn names() -> Names {
    (1..=4u8).map(|n| (site(n), format!("site-{n}"))).collect()
}

fn lines(rounds: &[Round]) -> Vec<String> {
    let names = names();
    Frame { study: 0, phase: "training".into(), best: 99, slot: SLOT, names: &names }.lines(rounds)
}

const TRAIN: DutyKind = DutyKind::Train;
const MERGE: DutyKind = DutyKind::Merge;

#[test]
fn each_vote_has_its_block_and_a_late_round_is_marked_with_whom_it_waited_for() {
    let blocks = [
        seen(10, &[], vec![opened(1)]),
        seen(11, &[(1, TRAIN), (2, TRAIN), (3, TRAIN)], vec![committed(1), committed(2), committed(3), frozen(1)]),
        seen(12, &[(1, MERGE), (2, MERGE)], vec![attested(1), attested(2), closed(1), opened(2)]),
        // the third of round 1 comes after enough had agreed; one update is late
        seen(13, &[(3, MERGE), (1, TRAIN), (2, TRAIN)], vec![late(3, 1), committed(1), committed(2)]),
        seen(16, &[(3, TRAIN)], vec![committed(3), frozen(1)]),
        seen(17, &[(1, MERGE), (3, MERGE)], vec![attested(1), attested(3), closed(2), opened(3)]),
    ];
    let rounds = tell(&blocks);
    assert_eq!(rounds.iter().map(|round| round.which).collect::<Vec<_>>(), [1, 2, 3].map(Which::Round));
    assert_eq!(rounds[0].took(), Some((2, 1_000)));
    assert_eq!((rounds[0].least(), rounds[0].more()), (2, Some(0)));
    let merge = &rounds[0].stages[1];
    assert_eq!((merge.what, merge.ended), (What::Merge(1), Some((at(12), By::Vote(site(2))))));
    assert_eq!(merge.late.iter().map(|word| (word.who, word.at.block)).collect::<Vec<_>>(), [(site(3), 13)]);
    let updates = &rounds[1].stages[0];
    assert_eq!(
        (updates.what, updates.asked, updates.ended),
        (What::Updates, at(12), Some((at(16), By::Vote(site(3)))))
    );
    assert_eq!(rounds[1].more(), Some(3));
    assert_eq!((rounds[2].closed, rounds[2].more()), (None, None));
    let text = lines(&rounds).join("\n");
    for part in [
        "round 1: 2 blocks, 1.0 s (blocks 10 to 12)\n",
        "round 2: 5 blocks, 2.5 s (blocks 12 to 17) · LATE, 3 blocks more than the least\n",
        "updates, asked for in block 12: block 13 (+1, 0.5 s): site-1, site-2 · block 16 (+4, 2.0 s): site-3 · waited for site-3",
        "after it was over: block 13 (+2, 1.0 s): site-3",
        "round 3, not closed, since block 17\n",
        "2 rounds: 1 with the fewest blocks that they can have, 1 late; seconds a round: median 1.0",
        "late: round 2 (+3)",
        "waited for: site-3 1",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn a_commitment_that_came_with_another_vote_is_told_so_and_makes_the_least_smaller() {
    let blocks = [
        seen(10, &[], vec![opened(1)]),
        seen(11, &[(1, TRAIN), (2, TRAIN)], vec![committed(1), committed(2), frozen(1)]),
        // both merge, and have said what they have made of it; all are in, and the next round freezes at once
        seen(
            12,
            &[(1, MERGE), (2, MERGE)],
            vec![attested(1), attested(2), closed(1), opened(2), committed(1), committed(2), frozen(1)],
        ),
        seen(13, &[(1, MERGE), (2, MERGE)], vec![attested(1), attested(2), closed(2), opened(3), committed(1)]),
        seen(14, &[(2, TRAIN)], vec![committed(2), frozen(1)]),
        seen(15, &[(1, MERGE), (2, MERGE)], vec![attested(1), attested(2), closed(3)]),
    ];
    let rounds = tell(&blocks);
    let updates = &rounds[1].stages[0];
    assert_eq!(updates.ended, Some((at(12), By::Vote(site(2)))));
    assert!(updates.words.iter().all(|word| word.ahead));
    let took: Vec<_> = rounds.iter().map(|round| (round.took().unwrap().0, round.least())).collect();
    assert_eq!(took, [(2, 2), (1, 1), (2, 1)]);
    let text = lines(&rounds).join("\n");
    assert!(text.contains("updates, asked for in block 12: with the vote before: site-1, site-2"), "{text}");
    assert!(text.contains("round 3: 2 blocks, 1.0 s (blocks 13 to 15) · LATE, 1 block more"), "{text}");
    assert!(text.contains("with the vote before: site-1 · block 14 (+1, 0.5 s): site-2 · waited for site-2"), "{text}");
}

#[test]
fn deadlines_pauses_and_what_went_wrong_are_told() {
    let failed = Progress::Failed { who: site(4), code: FailureCode::SchemaMismatch };
    let missing = Progress::InputsMissing { who: site(2), have: 1, invalid: 0, not_final: true };
    let paused = Progress::Paused { reason: PauseReason::NoAgreement };
    let blocks = [
        seen(10, &[], vec![opened(1)]),
        seen(11, &[(1, TRAIN), (2, TRAIN), (4, TRAIN)], vec![committed(1), committed(2), Told::Progress(failed)]),
        // the grace has passed, at the beginning of a block
        seen(51, &[], vec![frozen(1)]),
        seen(80, &[(2, MERGE)], vec![Told::Progress(missing), Told::Progress(Progress::Stood)]),
        seen(90, &[], vec![Told::Progress(Progress::WentOn)]),
        seen(140, &[], vec![frozen(2)]),
        seen(240, &[], vec![Told::Progress(paused)]),
        seen(
            241,
            &[],
            vec![
                Told::Progress(Progress::Present { who: site(1), held: 1 }),
                Told::Progress(Progress::EnoughPresent),
                Told::Progress(Progress::Resumed),
                opened(1),
                frozen(1),
            ],
        ),
    ];
    let rounds = tell(&blocks);
    assert_eq!(rounds.len(), 1, "it is one round all the while");
    let stages = &rounds[0].stages;
    let ended: Vec<_> = stages.iter().map(|stage| (stage.what, stage.ended.map(|(at, by)| (at.block, by)))).collect();
    let reason = PauseReason::NoAgreement;
    assert_eq!(
        ended,
        [
            (What::Updates, Some((51, By::Deadline))),
            (What::Merge(1), Some((140, By::Deadline))),
            (What::Merge(2), Some((240, By::Pause(reason)))),
            (What::Pause(reason), Some((241, By::There))),
            (What::Updates, Some((241, By::Deadline))),
            (What::Merge(1), None),
        ]
    );
    assert_eq!(stages[0].words[2].said, Said::Fails(FailureCode::SchemaMismatch));
    assert_eq!(stages[1].notes, [(at(80), Note::Stood), (at(90), Note::WentOn)]);
    let text = lines(&rounds).join("\n");
    for part in [
        "site-4 (its part will not come: SchemaMismatch: its data do not fit the study",
        "waited for the end of its grace, without who was late: 41 blocks, 20.5 s",
        "site-2 (not final there)",
        "its clock stood",
        "merge (attempt 2)",
        "enough sites were there",
        "no round of training has closed",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

fn loss(n: u8) -> Told {
    Told::Progress(Progress::Loss { who: site(n), value: 1 })
}

#[test]
fn the_end_of_a_study_is_told_and_slots_without_a_block_are_counted() {
    let canonical = Progress::Canonical { round: 1, root: Hash::zero() };
    let completed = Progress::Completed { round: 1, root: Hash::zero() };
    let holds = |n| Told::Progress(Progress::Acknowledged { who: site(n) });
    let mut blocks = vec![
        seen(10, &[], vec![opened(1)]),
        seen(11, &[(1, TRAIN), (2, TRAIN)], vec![committed(1), committed(2), frozen(1)]),
        seen(
            12,
            &[],
            vec![attested(1), attested(2), closed(1), Told::Progress(Progress::EvaluationOpened), loss(1), loss(3)],
        ),
        seen(13, &[(2, DutyKind::Evaluate), (4, DutyKind::Evaluate)], vec![loss(4)]),
        seen(14, &[], vec![Told::Progress(canonical)]),
        seen(15, &[], vec![holds(1), holds(2), Told::Progress(completed)]),
        seen(16, &[], vec![holds(3)]),
    ];
    // one slot was empty between 11 and 12
    for block in &mut blocks[2..] {
        block.at.millis += u64::from(SLOT);
    }
    let rounds = tell(&blocks);
    assert_eq!((rounds[0].empty_slots(SLOT), rounds[0].took()), (1, Some((2, 1_500))));
    let end = &rounds[1];
    assert_eq!((end.which, end.stages.len(), end.took()), (Which::End, 2, None));
    let said: Vec<_> = end.stages[0].words.iter().map(|word| (word.who, word.ahead)).collect();
    let wanted = [(1, true), (3, true), (2, false), (4, false)].map(|(n, ahead)| (site(n), ahead));
    assert_eq!(said, wanted, "some with the vote before, and those without a figure by their votes");
    assert_eq!(end.stages[1].late.len(), 1);
    let text = lines(&rounds).join("\n");
    assert!(text.contains("1 slot without a block"), "{text}");
    assert!(text.contains("end, since block 12\n"), "{text}");
    let names = names();
    let frame = Frame { study: 7, phase: "completed".into(), best: 20, slot: SLOT, names: &names };
    let document = frame.json(&rounds);
    assert_eq!(document["rounds"][0]["phases"][0]["votes"][1]["site"], "site-2");
    assert_eq!(document["rounds"][0]["more_blocks"], 0);
    assert_eq!(document["rounds"][1]["phases"][1]["ended"]["site"], "site-2");
}

#[test]
fn who_is_not_waited_for_is_told_in_the_second_round_that_it_missed() {
    let silent = Progress::NotAwaited { who: site(4), before: 1, until_round: 7 };
    let blocks = [
        seen(10, &[], vec![opened(2)]),
        seen(11, &[(1, TRAIN), (2, TRAIN)], vec![committed(1), committed(2)]),
        seen(51, &[], vec![Told::Progress(silent), frozen(1)]),
    ];
    let rounds = tell(&blocks);
    assert_eq!(rounds[0].stages[0].notes, [(at(51), Note::NotAwaited(site(4), 1, 8))]);
    let text = lines(&rounds).join("\n");
    let said = "block 51: site-4 is not waited for until round 8: nothing came from it in round 1 and in this one";
    assert!(text.contains(said), "{text}");
}

/// A round of a study with masks: files that are held, then shares and the sum, or nothing.
#[test]
fn a_masked_sum_is_told_with_what_opens_it_and_a_void_one_with_why() {
    let told = |progress| Told::Progress(progress);
    let gathered = |n| told(Progress::Gathered { who: site(n) });
    let given = |n| told(Progress::Posted { who: site(n), pairing: 1, step: PostStep::Reveal });
    let fixed = || told(Progress::SetFixed { inputs_root: Hash::zero() });
    let why = VoidReason::OutOfRange;
    let blocks = [
        seen(10, &[], vec![opened(1)]),
        seen(12, &[(1, DutyKind::Mask), (2, DutyKind::Mask)], vec![committed(1), committed(2), frozen(1)]),
        seen(13, &[], vec![gathered(1), gathered(2), fixed()]),
        seen(15, &[], vec![given(1), given(2)]),
        seen(16, &[], vec![attested(1), attested(2), closed(1), opened(2)]),
        seen(18, &[(1, DutyKind::Mask)], vec![committed(1), frozen(1)]),
        seen(19, &[], vec![gathered(1), fixed()]),
        seen(21, &[], vec![told(Progress::CalledVoid { who: site(1), why }), told(Progress::Voided { why })]),
    ];
    let rounds = tell(&blocks);
    let what = |round: &Round| round.stages.iter().map(|stage| stage.what).collect::<Vec<_>>();
    assert_eq!(what(&rounds[0]), [What::Updates, What::Gather, What::Sum]);
    // one block for the updates, one each for what is held, what is opened and the sum
    assert_eq!((rounds[0].least(), rounds[0].took().unwrap().0), (4, 6));
    assert_eq!(rounds[0].stages[0].words.iter().filter(|word| word.ahead).count(), 0, "they were asked for themselves");
    assert_eq!(rounds[0].stages[2].words.len(), 4, "shares and sums");
    assert_eq!(what(&rounds[1]), [What::Updates, What::Gather, What::Sum]);
    assert_eq!(rounds[1].closed, Some(at(21)));
    assert_eq!(rounds[1].stages[2].notes, [(at(21), Note::Void(why))]);
    let names = names();
    let frame = Frame { study: 0, phase: "training".into(), best: 30, slot: SLOT, names: &names };
    let said = frame.lines(&rounds).join("\n");
    assert!(
        said.contains("masked files held") && said.contains("shares, and the sum") && said.contains("void, nothing"),
        "{said}"
    );
}
