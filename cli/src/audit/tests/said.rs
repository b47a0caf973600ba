//! Rounds, members, rules or a certificate of which the chain says something that does not fit the rest.

use super::{only, report, verdict};
use crate::{
    audit::{
        report::{Report, Subject, Verdict},
        testing::{id, World},
    },
    chain::agreement_hash,
};
use consilium_primitives::{round::Phase, Hash, Merge, MergeRule, Weighting};

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
fn marks_that_the_rule_did_not_make_differ() {
    let mut world = World::new();
    world.round(2).marks.left_out = 0b010;
    let report = report(&world);
    only(&report, Subject::Round(2), Verdict::Differs);
    assert!(report.to_string().contains("has left out nobody"), "{report}");
    assert!(report.to_string().contains("attested was: left out"), "{report}");
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
