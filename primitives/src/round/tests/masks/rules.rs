//! Which rules go with masks, and that rules, agreements and records without them keep their bytes.

use super::{super::private::privacy, *};
use crate::{
    rules::{Merge, MergeRule, NormBound, OnStall, RulesError, Weighting},
    time::SLOT_MILLIS,
};
use codec::{DecodeAll, Encode};

#[test]
fn what_does_not_go_with_masks_is_refused_by_name() {
    let fine = masked();
    assert_eq!(fine.check(), Ok(()));
    let merge = |change: &dyn Fn(&mut Merge)| {
        let mut rules = fine.clone();
        change(&mut rules.merge);
        rules
    };
    let sizes = |change: &dyn Fn(&mut Masked)| {
        let mut rules = fine.clone();
        rules.masked.iter_mut().for_each(change);
        rules
    };
    let median = |merge: &mut Merge| merge.rule = MergeRule::Median(Weighting::Samples);
    assert_eq!(merge(&median).check(), Err(RulesError::MaskedRule));
    assert_eq!(merge(&|merge| merge.bound = Some(NormBound::Median)).check(), Err(RulesError::MaskedBound));
    assert_eq!(merge(&|merge| merge.bound = Some(NormBound::Fixed(1))).check(), Ok(()));
    assert_eq!(merge(&|merge| merge.liars = 1).check(), Err(RulesError::MaskedLiars));
    assert_eq!(merge(&|merge| merge.mixing = true).check(), Err(RulesError::MaskedMixing));
    assert_eq!(StudyRules { min_participants: 2, ..fine.clone() }.check(), Err(RulesError::MaskedParticipants));
    assert_eq!(StudyRules { max_share: 500_001, ..fine.clone() }.check(), Err(RulesError::MaskedShare));
    assert_eq!(sizes(&|masked| masked.range_log2 = 17).check(), Err(RulesError::MaskedRange));
    assert_eq!(sizes(&|masked| masked.range_log2 = -17).check(), Err(RulesError::MaskedRange));
    assert_eq!(sizes(&|masked| masked.figures_len = 0).check(), Err(RulesError::MaskedLength));
    assert_eq!(sizes(&|masked| masked.statistics_len = 1).check(), Err(RulesError::MaskedLength));
    assert_eq!(StudyRules { statistics_len: 800, ..fine.clone() }.check(), Err(RulesError::MaskedLength));
    // noise of each site's own goes with them
    let privacy = Some(privacy());
    assert_eq!(StudyRules { privacy, ..fine }.check(), Ok(()));
}

#[test]
fn rules_without_masks_have_the_bytes_that_they_always_had() {
    let rules = StudyRules { on_stall: OnStall::Shrink, target: Some(7), ..testing::rules() };
    // as runtime 8 had them derived, field by field
    let then = (
        (rules.training_blocks, rules.transfer_blocks, rules.enrolment_blocks, rules.auto_start),
        (rules.min_participants, rules.rule_min, rules.max_rounds, rules.max_share, rules.strict, rules.on_stall),
        (rules.keep_updates, &rules.invited, &rules.merge, rules.update_len, rules.merged_len, rules.statistics_len),
        (rules.target, rules.patience),
    )
        .encode();
    assert_eq!(rules.encode(), then);
    assert_eq!(StudyRules::decode_all(&mut &then[..]).as_ref(), Ok(&rules));
    for rules in [
        masked(),
        StudyRules { on_stall: OnStall::Abort, ..masked() },
        StudyRules { privacy: Some(privacy()), ..plain() },
        StudyRules { privacy: Some(privacy()), ..masked() },
    ] {
        let bytes = rules.encode();
        assert_eq!(StudyRules::decode_all(&mut &bytes[..]), Ok(rules));
        assert!(bytes.len() <= <StudyRules as codec::MaxEncodedLen>::max_encoded_len());
    }
    // one set of rules has one form: what asks for neither says so in the old one alone
    let place = masked().encode().iter().zip(plain().encode()).position(|(new, old)| *new == 3 && old == 0);
    let mut odd = plain().encode();
    let place = place.expect("where it differs");
    drop(odd.splice(place..=place, [3, 0, 0, 0]));
    assert!(StudyRules::decode_all(&mut &odd[..]).is_err());
}

#[test]
fn records_without_masks_have_the_bytes_that_they_always_had() {
    let mut shell = Shell::training(plain(), &[100; 4]);
    shell.whole_round(&[None; 4]);
    let record = shell.last_record().clone();
    let then = (
        (record.kind, record.round, record.base, &record.inputs, record.inputs_root, record.root, record.marks),
        (&record.attesters, &record.dissenters, &record.silent, &record.dropped),
        (record.attempts, record.opened_at, record.frozen_at, record.closed_at),
    )
        .encode();
    assert_eq!(record.encode(), then);
    assert_eq!(RoundRecord::decode_all(&mut &then[..]), Ok(record));
    let mut shell = Shell::masking(masked(), 4);
    shell.masked_round(Some(3));
    let record = shell.last_record().clone();
    assert_eq!(RoundRecord::decode_all(&mut &record.encode()[..]), Ok(record));
}

#[test]
fn a_study_in_each_state_of_a_masked_round_is_read_as_it_was_written() {
    let mut shell = Shell::masking(masked(), 4);
    let mut seen = Vec::new();
    let mut look = |shell: &Shell| {
        let bytes = shell.study.encode();
        assert_eq!(Study::decode_all(&mut &bytes[..]).as_ref(), Ok(&shell.study));
        assert!(bytes.len() <= <Study as codec::MaxEncodedLen>::max_encoded_len());
        assert!(shell.study.masks_are_sound());
        seen.push(std::mem::discriminant(&shell.study.phase));
    };
    look(&shell);
    shell.pair_up(&[0, 1, 2, 3]);
    look(&shell);
    (0..4).for_each(|member| drop(shell.mask(member).expect("asked for")));
    look(&shell);
    (0..3).for_each(|member| drop(shell.gather(member).expect("asked for")));
    look(&shell);
    shell.reach_summing(&[0, 1, 2, 3]);
    look(&shell);
    seen.dedup();
    assert_eq!(seen.len(), 4);
}

#[test]
fn windows_of_pairing_and_revealing_are_those_that_were_agreed() {
    let of = |training_blocks, validators| {
        StudyRules { training_blocks, ..masked() }.windows(validators, SLOT_MILLIS as u32)
    };
    assert_eq!((of(10, 4).pairing, of(10, 4).reveal), (40, 24));
    assert_eq!((of(1_000, 4).pairing, of(1_000, 4).reveal), (250, 24));
    assert_eq!((of(10, 100).pairing, of(10, 100).reveal), (204, 204));
}

#[test]
fn a_masked_sum_needs_the_threshold_of_its_key_list_and_never_fewer_than_three() {
    let rules = masked();
    let t: Vec<u32> = [3, 4, 5, 6, 7, 8, 16, 32, 64].into_iter().map(masks::threshold).collect();
    assert_eq!(t, [3, 3, 4, 5, 5, 6, 11, 22, 43]);
    assert_eq!(rules.masked_needs(3, 3), 3);
    assert_eq!(rules.masked_needs(4, 0), 3);
    assert_eq!(rules.masked_needs(7, 7), 5);
    assert_eq!(rules.masked_needs(7, 4), 4, "half of the roster, or two thirds of the key list");
    assert_eq!(StudyRules { min_participants: 6, ..masked() }.masked_needs(7, 7), 6);
}

#[test]
fn roots_and_commitments_are_those_of_the_shared_cases() {
    // a round of four, all there, as a Python program of its own has made it
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    };
    let case = |line: &str| bytes(GOLDEN.lines().find_map(|all| all.strip_prefix(line)).expect("in the file").trim());
    let context = Hash::from_slice(&case("context"));
    let mut keys = Vec::new();
    let mut partners = Vec::new();
    for line in GOLDEN.lines().filter_map(|line| line.strip_prefix("site ")) {
        let parts: Vec<&str> = line.split(' ').collect();
        let (id, all, deal, weight) = (parts[0], parts[1], parts[2], parts[3]);
        let id = InstitutionId(bytes(id).try_into().expect("32 bytes"));
        let all = bytes(all);
        let key = |at: usize| Hash::from_slice(&all[32 * at..32 * (at + 1)]);
        keys.push((id, MaskKeys { seal: key(0), pair: key(1), seed: key(2) }));
        let deal = Hash::from_slice(&bytes(deal));
        partners.push(masks::Partner { institution: id, deal, weight: weight.parse().expect("a number") });
    }
    let root = masks::keys_root(&context, &keys);
    assert_eq!(root.as_bytes(), case("keys_root"));
    assert_eq!(masks::partners_root(&root, 0b1111, &partners).as_bytes(), case("partners_root"));
    // one commitment of the first site's deal, and the share that the second one reveals for it
    let said = masks::commitment(&root, &keys[0].0, &keys[1].0, 0, &case("share"));
    assert_eq!(said.as_bytes(), case("commitment"));
    let reveal = case("reveal");
    let shares = masks::shares(&reveal, 4).expect("as it should be");
    assert_eq!((shares.len(), shares[0]), (4, (0, &case("share")[..])));
    let (genesis, agreement) = (Hash::from_slice(&case("genesis")), Hash::from_slice(&case("agreement")));
    assert_eq!(masks::context(&genesis, 7, &agreement, Kind::Model, 3, 5), context);
}

const GOLDEN: &str = include_str!("golden.txt");

#[test]
fn a_masked_file_is_charged_as_an_update_is_and_figures_cost_nothing() {
    let rules = StudyRules { privacy: Some(privacy()), max_rounds: 9, ..masked() };
    let mut shell = Shell::masking(rules, 4);
    for member in 0..4 {
        shell.give_keys(member).unwrap();
    }
    for member in 0..4 {
        shell.deal_all(member).unwrap();
    }
    shell.world.spent_up.insert(id(4));
    let base = shell.study.base;
    for member in 0..3 {
        let spent = Effect::Spent { who: shell.member_id(member), round: 1, base };
        assert!(shell.mask(member).unwrap().contains(&spent), "{member}");
    }
    assert_eq!(shell.mask(3), Err(Refusal::OverBudget));
    shell.vote(3, VoteBody::Failure(FailureCode::Refused)).unwrap();
    assert!(matches!(shell.study.phase, Phase::Gathering(_)));
}
