#![allow(clippy::unwrap_used)]
use super::{
    blobs::{Folder, Sources},
    check::{audit, Expected},
    report::{Report, Subject, Verdict},
    testing::{id, World},
};
use crate::chain::agreement_hash;
use consilium_primitives::{round::Phase, Hash, Merge, MergeRule, Weighting};
use std::fs;

fn report(world: &World) -> Report {
    audit(&world.history, &Folder::open(world.folder().to_path_buf()).unwrap())
}

fn verdict(report: &Report, subject: Subject) -> Verdict {
    report.findings.iter().find(|finding| finding.subject == subject).unwrap().verdict
}

/// Everything else than `subject` has the verdict that it had before anything was changed; what is found for the last round
/// holds for the certificate.
fn only(report: &Report, subject: Subject, expected: Verdict) {
    for finding in &report.findings {
        let certified = finding.subject == Subject::Certificate && subject == Subject::Round(3);
        let wanted = if finding.subject == subject || certified { expected } else { Verdict::Verified };
        assert_eq!(finding.verdict, wanted, "{}: {:?}", finding.subject, finding.notes);
    }
}

#[test]
fn a_study_whose_files_are_all_there_is_verified() {
    let report = report(&World::new());
    assert!(report.findings.iter().all(|f| f.verdict == Verdict::Verified), "{report}");
    let subjects: Vec<Subject> = report.findings.iter().map(|finding| finding.subject).collect();
    let rounds = [Subject::Round(0), Subject::Round(1), Subject::Round(2), Subject::Round(3)];
    assert_eq!(subjects[..2], [Subject::Agreement, Subject::Statistics]);
    assert_eq!(subjects[2..6], rounds);
    assert_eq!(subjects[6..], [Subject::Certificate]);
    assert_eq!(report.code(), 0);
    assert!(report.to_string().contains("5 of 5 merges were computed again"), "{report}");
}

#[test]
fn a_turned_bit_in_a_kept_input_differs() {
    let mut world = World::new();
    let root = world.round(3).inputs[1].root;
    world.flip(root);
    let report = report(&world);
    only(&report, Subject::Round(3), Verdict::Differs);
    assert_eq!(report.code(), 2);
    assert!(report.to_string().contains("site 2"), "{report}");
}

#[test]
fn a_turned_bit_in_a_merged_file_differs() {
    let mut world = World::new();
    let root = world.round(2).root;
    world.flip(root);
    let report = report(&world);
    only(&report, Subject::Round(2), Verdict::Differs);
    assert_eq!(report.code(), 2);
}

#[test]
fn another_folder_with_a_sound_file_makes_up_for_a_damaged_one() {
    let (mut world, other) = (World::new(), World::new());
    let root = world.round(2).root;
    world.flip(root);
    let both = Sources::folders(vec![world.folder().to_path_buf(), other.folder().to_path_buf()]).unwrap();
    assert_eq!(audit(&world.history, &both).code(), 0);
}

#[test]
fn a_changed_weight_differs_also_under_a_hash_of_its_own() {
    let mut world = World::new();
    world.round(3).inputs[0].weight += 1;
    only(&report(&world), Subject::Round(3), Verdict::Differs);
    world.agree(3);
    let report = report(&world);
    only(&report, Subject::Round(3), Verdict::Differs);
    assert_eq!(report.code(), 2);
    assert!(report.to_string().contains("enrolment and rules give"), "{report}");
    assert!(report.to_string().contains("its inputs give"), "{report}");
}

#[test]
fn a_changed_order_differs_also_under_a_hash_of_its_own() {
    let mut world = World::new();
    let mut inputs = world.round(2).inputs.clone().into_inner();
    inputs.swap(0, 2);
    world.round(2).inputs = inputs.try_into().unwrap();
    only(&report(&world), Subject::Round(2), Verdict::Differs);
    world.agree(2);
    let report = report(&world);
    only(&report, Subject::Round(2), Verdict::Differs);
    assert!(report.to_string().contains("not in order"), "{report}");
}

#[test]
fn a_swapped_base_differs() {
    let mut world = World::new();
    world.round(2).base = Hash::repeat_byte(1);
    world.agree(2);
    let report = report(&world);
    only(&report, Subject::Round(2), Verdict::Differs);
    assert!(report.to_string().contains("the round before ended with"), "{report}");
    assert!(report.to_string().contains("answers another duty"), "{report}");
}

#[test]
fn a_study_that_has_fallen_back_stands_on_an_earlier_round() {
    let mut world = World::new();
    // round 3 is undone, and nothing has closed since
    let (two, three) = (world.round(2).root, world.round(3).root);
    let state = &mut world.history.info.state;
    (state.base, state.base_round, state.round) = (two, 2, 4);
    state.phase = Phase::Init { roster: 7, votes: Default::default(), until: 9 };
    let stands = report(&world).to_string();
    assert!(!stands.contains("the study stands on"), "{stands}");
    // a base that its round did not come to is none
    world.history.info.state.base_round = 1;
    assert!(report(&world).to_string().contains("the study stands on"));
    // a round that started from an earlier one says so
    let mut world = World::new();
    let one = world.round(1).root;
    world.round(3).base = one;
    world.agree(3);
    let back = report(&world).to_string();
    assert!(back.contains("had fallen back to the model of round 1"), "{back}");
    assert!(!back.contains("the round before ended with"), "{back}");
    assert!(three != one && two != one);
}

#[test]
fn a_merge_that_its_inputs_do_not_give_differs() {
    let mut world = World::new();
    // the models of two rounds change places: each file is sound, and neither is the merge of its inputs
    let (two, three) = (world.round(2).root, world.round(3).root);
    world.round(2).root = three;
    world.round(3).root = two;
    let report = report(&world);
    assert_eq!(verdict(&report, Subject::Round(1)), Verdict::Verified);
    assert_eq!(verdict(&report, Subject::Round(2)), Verdict::Differs);
    assert_eq!(verdict(&report, Subject::Certificate), Verdict::Differs);
    assert_eq!(report.code(), 2);
}

#[test]
fn a_merged_file_that_is_gone_is_missing() {
    let mut world = World::new();
    let root = world.round(1).root;
    fs::remove_file(world.path(root)).unwrap();
    let report = report(&world);
    only(&report, Subject::Round(1), Verdict::Missing);
    assert_eq!(report.code(), 3);
}

#[test]
fn merged_files_of_old_rounds_are_gone_by_agreement() {
    let mut world = World::new();
    // round 3 is the last, and the updates of rounds 2 and 3 are kept, so that round 1, on which round 2 stands, must stay
    world.delete_inputs(1);
    let root = world.round(0).root;
    fs::remove_file(world.path(root)).unwrap();
    let found = report(&world);
    for round in [0, 1] {
        assert_eq!(verdict(&found, Subject::Round(round)), Verdict::Deleted, "{found}");
    }
    assert_eq!(found.code(), 0);
    // also with a rule that asks for the base, where the updates are still here
    let mut world = World::with(Merge::by(MergeRule::GeometricMedian(Weighting::Samples)));
    let root = world.round(0).root;
    fs::remove_file(world.path(root)).unwrap();
    let found = report(&world);
    assert_eq!(verdict(&found, Subject::Round(1)), Verdict::Deleted, "{found}");
    assert_eq!(found.code(), 0);
    // an ended study that the chain lists no more keeps none at all
    for round in 1..=3 {
        let root = world.round(round).root;
        fs::remove_file(world.path(root)).unwrap();
    }
    assert_eq!(report(&world).code(), 3);
    world.history.listed = false;
    assert_eq!(report(&world).code(), 0);
}

#[test]
fn updates_are_kept_for_a_day_after_the_end() {
    let mut world = World::new();
    world.delete_inputs(3);
    world.history.info.state.ended_at = Some(100);
    world.history.now = 100 + consilium_primitives::rules::UPDATES_AFTER_END - 1;
    assert_eq!(verdict(&report(&world), Subject::Round(3)), Verdict::Missing);
    world.history.now += 1;
    assert_eq!(verdict(&report(&world), Subject::Round(3)), Verdict::Deleted);
    assert_eq!(report(&world).code(), 0);
}

#[test]
fn inputs_are_deleted_by_agreement_once_they_are_old_enough() {
    let mut world = World::new();
    world.delete_inputs(1);
    let report = report(&world);
    only(&report, Subject::Round(1), Verdict::Deleted);
    assert_eq!(report.code(), 0);
    assert!(report.to_string().contains("round 1: files deleted by agreement"), "{report}");
    assert!(report.to_string().contains("4 of 5 merges"), "{report}");
}

#[test]
fn inputs_that_the_agreement_keeps_are_missing() {
    let mut world = World::new();
    world.delete_inputs(2);
    let gone = report(&world);
    only(&gone, Subject::Round(2), Verdict::Missing);
    assert_eq!(gone.code(), 3);
    // an archive that says so may come without them
    world.history.left_out = true;
    let left_out = report(&world);
    only(&left_out, Subject::Round(2), Verdict::LeftOut);
    assert_eq!(left_out.code(), 0);
}

#[test]
fn a_study_that_the_chain_lists_no_more_keeps_no_inputs() {
    let mut world = World::new();
    world.delete_inputs(3);
    only(&report(&world), Subject::Round(3), Verdict::Missing);
    world.history.listed = false;
    let report = report(&world);
    only(&report, Subject::Round(3), Verdict::Deleted);
    assert_eq!(report.code(), 0);
}

#[test]
fn the_parts_of_the_statistics_are_kept_as_long_as_the_study_is_listed() {
    let mut world = World::new();
    for input in world.history.records[0].inputs.clone() {
        fs::remove_file(world.path(input.root)).unwrap();
    }
    only(&report(&world), Subject::Statistics, Verdict::Missing);
    world.history.listed = false;
    only(&report(&world), Subject::Statistics, Verdict::Deleted);
}

#[test]
fn marks_that_the_rule_did_not_make_differ() {
    let mut world = World::new();
    world.round(2).marks.left_out = 0b010;
    let report = report(&world);
    only(&report, Subject::Round(2), Verdict::Differs);
    assert!(report.to_string().contains("has left out nobody"), "{report}");
    assert!(report.to_string().contains("attested was: left out"), "{report}");
}

#[test]
fn a_rule_that_asks_for_the_base_cannot_be_computed_again_without_it() {
    let mut world = World::with(Merge::by(MergeRule::GeometricMedian(Weighting::Samples)));
    assert_eq!(report(&world).code(), 0);
    let base = world.round(1).root;
    fs::remove_file(world.path(base)).unwrap();
    let report = report(&world);
    assert_eq!(verdict(&report, Subject::Round(1)), Verdict::Missing);
    assert_eq!(verdict(&report, Subject::Round(2)), Verdict::Missing);
    assert!(report.to_string().contains("without the model that the round started from"), "{report}");
    assert_eq!((verdict(&report, Subject::Round(3)), report.code()), (Verdict::Verified, 3));
}

#[test]
fn a_damaged_input_differs_although_the_others_are_deleted() {
    let mut world = World::new();
    let inputs = world.round(1).inputs.clone();
    fs::remove_file(world.path(inputs[0].root)).unwrap();
    world.flip(inputs[1].root);
    let report = report(&world);
    only(&report, Subject::Round(1), Verdict::Differs);
    assert_eq!(report.code(), 2);
}

#[test]
fn another_seed_rules_or_spec_differ() {
    let mut world = World::new();
    let spec = String::from_utf8(world.history.spec.clone().unwrap()).unwrap();
    world.history.spec = Some(spec.replace("\"seed\":1,", "\"seed\":2,").into_bytes());
    let other = report(&world);
    assert_eq!(verdict(&other, Subject::Agreement), Verdict::Differs);
    assert_eq!(verdict(&other, Subject::Round(0)), Verdict::Differs);
    let mut world = World::new();
    world.history.info.state.rules.max_rounds += 1;
    only(&report(&world), Subject::Agreement, Verdict::Differs);
}

#[test]
fn lengths_and_the_present_model_must_fit_the_records() {
    let mut world = World::new();
    let info = &mut world.history.info;
    info.state.rules.statistics_len += 8;
    // the hash that everybody signed fits these rules
    let spec = world.history.spec.clone().unwrap();
    info.agreement = agreement_hash(world.history.genesis, &info.state.proposer, &info.state.rules, &spec);
    let other = report(&world);
    assert_eq!(verdict(&other, Subject::Agreement), Verdict::Differs);
    assert!(other.to_string().contains("have other lengths"), "{other}");
    let mut world = World::new();
    world.history.info.state.base = Hash::repeat_byte(5);
    let report = report(&world);
    only(&report, Subject::Round(3), Verdict::Differs);
    assert!(report.to_string().contains("the study stands on"), "{report}");
}

#[test]
fn statistics_are_merged_again() {
    let world = World::new();
    world.flip(world.history.records[0].inputs[0].root);
    only(&report(&world), Subject::Statistics, Verdict::Differs);
    let mut world = World::new();
    world.history.info.state.statistics = Some(Hash::repeat_byte(9));
    only(&report(&world), Subject::Statistics, Verdict::Differs);
}

#[test]
fn a_record_that_is_gone_is_missing_and_a_certificate_needs_its_round() {
    let mut world = World::new();
    world.history.records.retain(|record| record.round != 2);
    let gap = report(&world);
    only(&gap, Subject::Round(2), Verdict::Missing);
    assert_eq!(gap.code(), 3);
    let mut world = World::new();
    let Phase::Completed(certificate) = &mut world.history.info.state.phase else { panic!("it is completed") };
    certificate.root = Hash::repeat_byte(3);
    only(&report(&world), Subject::Certificate, Verdict::Differs);
}

#[test]
fn a_stranger_among_the_inputs_differs() {
    let mut world = World::new();
    world.round(3).inputs[2].institution = id(9);
    world.agree(3);
    let report = report(&world);
    assert!(report.to_string().contains("never enrolled"), "{report}");
    assert_eq!(report.code(), 2);
}

#[test]
fn a_report_for_programs_says_the_same() {
    let mut world = World::new();
    world.delete_inputs(1);
    let document = report(&world).json(serde_json::json!({ "trust": "node" }));
    assert_eq!(document["exit_code"], 0);
    assert_eq!(document["merges"], 5);
    assert_eq!(document["merges_recomputed"], 4);
    assert_eq!(document["findings"][3]["what"], "round");
    assert_eq!(document["findings"][3]["round"], 1);
    assert_eq!(document["findings"][3]["verdict"], "files deleted by agreement");
}

/// The agreement of a world whose rules or members were changed, as if all had signed that.
fn agreed(mut world: World) -> (World, Report) {
    let state = &world.history.info.state;
    let spec = world.history.spec.as_deref().unwrap();
    world.history.info.agreement = agreement_hash(world.history.genesis, &state.proposer, &state.rules, spec);
    let report = report(&world);
    (world, report)
}

#[test]
fn members_are_those_that_the_rules_let_in_each_with_the_weight_that_they_give() {
    type Change = fn(&mut World);
    let changes: [(Change, &str); 3] = [
        (|world| world.history.info.state.members[1].weight = 10_000, "weight 10000"),
        (
            |world| {
                let again = world.history.info.state.members[1].clone();
                world.history.info.state.members.try_push(again).unwrap();
            },
            "a member twice",
        ),
        (|world| world.history.info.state.rules.invited.try_push(id(1)).unwrap(), "not invited"),
    ];
    for (change, what) in changes {
        let mut world = World::new();
        change(&mut world);
        let (_, report) = agreed(world);
        assert_eq!(verdict(&report, Subject::Agreement), Verdict::Differs);
        assert!(report.to_string().contains(what), "{report}");
    }
}

#[test]
fn rules_that_no_chain_lets_in_differ_and_nothing_is_computed_by_them() {
    let mut world = World::with(Merge { liars: 1, ..Merge::by(MergeRule::Median(Weighting::Samples)) });
    world.history.info.state.rules.max_share = 0;
    let (_, report) = agreed(world);
    assert_eq!((report.findings.len(), report.code()), (1, 2));
}

#[test]
fn a_round_needs_enough_attesters_who_could_attest_it() {
    for attesters in [vec![], vec![id(1)], vec![id(1), id(1)], vec![id(1), id(9)], vec![id(1), id(2), id(9)]] {
        let mut world = World::new();
        world.round(2).attesters = attesters.clone().try_into().unwrap();
        let report = report(&world);
        only(&report, Subject::Round(2), Verdict::Differs);
        assert!(report.to_string().contains("said to have attested"), "{attesters:?}: {report}");
    }
    let mut world = World::new();
    world.round(2).attesters = vec![id(3), id(1)].try_into().unwrap();
    assert_eq!(report(&world).code(), 0);
    world.round(0).attesters = Default::default();
    only(&report(&world), Subject::Round(0), Verdict::Differs);
}

#[test]
fn a_certificate_is_worth_what_its_round_is_and_somebody_holds_the_model() {
    let mut world = World::new();
    world.delete_inputs(3);
    assert_eq!(verdict(&report(&world), Subject::Certificate), Verdict::Missing);
    world.history.listed = false;
    assert_eq!(verdict(&report(&world), Subject::Certificate), Verdict::Deleted);
    for held in [0, 8] {
        let mut world = World::new();
        let Phase::Completed(certificate) = &mut world.history.info.state.phase else { panic!() };
        certificate.held = held;
        only(&report(&world), Subject::Certificate, Verdict::Differs);
    }
}

#[test]
fn a_merged_file_must_be_one_also_where_its_inputs_are_gone() {
    let mut world = World::new();
    world.delete_inputs(3);
    world.history.listed = false;
    // what three colluders could attest: numbers that are none, or an update
    let mut nan = fs::read(world.path(world.history.info.state.base)).unwrap();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let root = consilium_aggregation::blob_hash(&nan);
    fs::write(world.path(root), &nan).unwrap();
    world.round(3).root = root;
    world.history.info.state.base = root;
    let Phase::Completed(certificate) = &mut world.history.info.state.phase else { panic!() };
    certificate.root = root;
    let report = report(&world);
    only(&report, Subject::Round(3), Verdict::Differs);
    assert!(report.to_string().contains("is no merged file"), "{report}");
}

#[test]
fn what_cannot_be_read_is_missing_and_why_is_said() {
    let mut world = World::new();
    let root = world.round(2).root;
    fs::remove_file(world.path(root)).unwrap();
    fs::create_dir(world.path(root)).unwrap();
    let report = report(&world);
    only(&report, Subject::Round(2), Verdict::Missing);
    assert!(report.to_string().contains("cannot be read: it is no file"), "{report}");
}

#[test]
fn statistics_that_the_study_needs_are_missing_where_no_record_has_them() {
    let mut world = World::new();
    world.history.records.retain(|record| record.kind != consilium_primitives::round::Kind::Statistics);
    world.history.info.state.statistics = None;
    let found = report(&world);
    assert_eq!(verdict(&found, Subject::Statistics), Verdict::Missing);
    // the duties of all rounds named them
    for round in 1..=3 {
        assert_eq!(verdict(&found, Subject::Round(round)), Verdict::Differs);
    }
}

#[test]
fn another_study_or_agreement_than_the_auditor_knows_is_refused() {
    let history = World::new().history;
    let expected = |study, agreement| Expected { study, agreement }.check(&history);
    assert!(expected(None, None).is_ok());
    assert!(expected(Some(history.study), Some(history.info.agreement)).is_ok());
    let error = expected(Some(9), None).unwrap_err().to_string();
    assert!(error.contains("you asked for 9"), "{error}");
    let error = expected(None, Some(Hash::repeat_byte(9))).unwrap_err().to_string();
    assert!(error.contains(&"09".repeat(32)), "{error}");
}
