//! Files that are damaged, gone or deleted by agreement.

use super::{only, report, verdict};
use crate::audit::{
    blobs::Sources,
    check::audit,
    report::{Subject, Verdict},
    testing::World,
};
use consilium_primitives::{round::Phase, Hash, Merge, MergeRule, Weighting};
use std::fs;

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
fn statistics_are_merged_again() {
    let world = World::new();
    world.flip(world.history.records[0].inputs[0].root);
    only(&report(&world), Subject::Statistics, Verdict::Differs);
    let mut world = World::new();
    world.history.info.state.statistics = Some(Hash::repeat_byte(9));
    only(&report(&world), Subject::Statistics, Verdict::Differs);
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
