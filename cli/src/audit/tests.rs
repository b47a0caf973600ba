#![allow(clippy::unwrap_used)]
use super::{
    blobs::{Folder, Sources},
    check::audit,
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

/// Everything else than `subject` has the verdict that it had before anything was changed.
fn only(report: &Report, subject: Subject, expected: Verdict) {
    for finding in &report.findings {
        let wanted = if finding.subject == subject { expected } else { Verdict::Verified };
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
fn inputs_are_deleted_by_agreement_once_they_are_old_enough() {
    let mut world = World::new();
    world.delete_inputs(1);
    let report = report(&world);
    only(&report, Subject::Round(1), Verdict::Deleted);
    assert_eq!(report.code(), 0);
    assert!(report.to_string().contains("round 1: inputs deleted by agreement"), "{report}");
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
    assert_eq!(document["findings"][3]["verdict"], "inputs deleted by agreement");
}
