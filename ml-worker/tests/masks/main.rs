//! A masked round as four workers do it: what leaves is masked, the sum is the mean of those that are in it, whoever is lost on the way.
#![allow(clippy::unwrap_used)]

mod net;
mod shared;
#[path = "../support/mod.rs"]
mod support;

use consilium_aggregation::{blob_hash, ModelFile, Statistics};
use consilium_ml_worker::{data::read_table, simulate::site_group_key};
use consilium_primitives::{
    round::Kind, BlobRef, DutyKind, DutyOrder, DutyOutput, DutyState, FailureCode, Hash, MaskOrder, VoidReason,
};
use net::{Net, Sum, There, ALL, FOUR, WEIGHTS, WITHOUT_D};
use std::{collections::BTreeSet, fs};
use support::{below, entry, file, start, unscaled, Lab};

fn summed(sum: &Sum) -> (Hash, Option<u32>) {
    let first = sum.outputs[0];
    assert!(sum.outputs.iter().all(|output| *output == first), "{:?}", sum.outputs);
    match first {
        DutyOutput::Summed { root, pooled } => (root, pooled),
        other => panic!("{other:?}"),
    }
}

/// The merge of a round is the mean of what those in it have trained.
fn is_the_mean(net: &Net, sum: &Sum, who: &[usize]) {
    let (root, pooled) = summed(sum);
    let merged = net.numbers(&fs::read(net.labs[who[0]].blob(&root)).unwrap());
    let total: f64 = who.iter().map(|n| f64::from(WEIGHTS[*n])).sum();
    let all: Vec<Vec<f64>> = who.iter().map(|n| net.numbers(&net.trained(*n))).collect();
    for (place, x) in merged.iter().enumerate() {
        let mean = who.iter().zip(&all).map(|(n, own)| f64::from(WEIGHTS[*n]) * own[place]).sum::<f64>() / total;
        assert!((x - mean).abs() <= 4e-8 + 7e-8 * mean.abs(), "number {place}: {x} instead of {mean}");
    }
    assert!(pooled.is_some(), "all of them have validation rows");
    assert_eq!(sum.inputs.len(), who.len());
}

#[test]
fn a_sum_is_the_mean_of_those_in_it_whoever_is_lost_before_or_after() {
    let mut net = Net::new(unscaled(1), 2);
    let cases = [
        FOUR,
        There { keys: WITHOUT_D, deals: WITHOUT_D, files: WITHOUT_D, reveals: WITHOUT_D },
        There { deals: WITHOUT_D, files: WITHOUT_D, reveals: WITHOUT_D, ..FOUR },
        There { files: WITHOUT_D, reveals: WITHOUT_D, ..FOUR },
        There { reveals: WITHOUT_D, ..FOUR },
    ];
    for there in cases {
        let sum = net.play(Kind::Model, there);
        is_the_mean(&net, &sum, there.files);
        // what was trained is nowhere but in the workers' folders
        for n in 0..4 {
            let trained = blob_hash(&net.trained(n));
            assert!(net.labs.iter().all(|lab| !lab.blob(&trained).exists()));
        }
        net.base = summed(&sum).0;
        let bytes = fs::read(net.labs[0].blob(&net.base)).unwrap();
        net.labs.iter().for_each(|lab| fs::write(lab.blob(&net.base), &bytes).unwrap());
        net.round += 1;
    }
}

#[test]
fn the_same_duty_has_the_same_masked_file_also_when_it_is_lost_and_after_a_restart() {
    let mut net = Net::new(unscaled(1), 2);
    for n in 0..4 {
        net.until(n, &net.work(n, Kind::Model), Some(&net.mask(n, Kind::Model)));
    }
    let (masked, deals) = net.pair(Kind::Model, FOUR);
    let inputs = net.commit(Kind::Model, FOUR, &masked);
    let duty = net.mask_duty(0, Kind::Model, &masked[0]);
    let path = net.labs[0].blob(&inputs[0].blob.root);
    let first = fs::read(&path).unwrap();
    net.labs[0].worker = start(net.labs[0].dir.path());
    fs::remove_file(&path).unwrap();
    let (again, _) = net.until(0, &duty, Some(&masked[0]));
    assert_eq!(again, DutyOutput::Update { root: inputs[0].blob.root, metric: None });
    assert!(fs::read(&path).unwrap() == first);
    // also where nobody asks for it any more: the others could not gather it
    fs::remove_file(&path).unwrap();
    let sum = net.sum(Kind::Model, FOUR, &masked, &deals, inputs);
    is_the_mean(&net, &sum, ALL);

    // given up before anything was opened, the same update goes under other masks; once it is in an opened sum, it goes under none
    let (other, _) = net.pair(Kind::Model, FOUR);
    let duty = net.mask_duty(0, Kind::Model, &other[0]);
    assert_eq!(net.failed(0, &duty, &other[0]), FailureCode::Refused);
}

#[test]
fn words_that_are_not_what_they_should_be_make_the_sum_void() {
    let mut net = Net::new(unscaled(1), 2);
    for n in 0..4 {
        net.until(n, &net.work(n, Kind::Model), Some(&net.mask(n, Kind::Model)));
    }
    let (masked, deals) = net.pair(Kind::Model, FOUR);
    let mut inputs = net.commit(Kind::Model, FOUR, &masked);
    let mut bytes = fs::read(net.labs[0].blob(&inputs[3].blob.root)).unwrap();
    let at = bytes.len() - 24 - 4 - 1;
    bytes[at] ^= 0x80;
    inputs[3].blob.root = blob_hash(&bytes);
    net.labs.iter().for_each(|lab| fs::write(lab.blob(&inputs[3].blob.root), &bytes).unwrap());
    // the liar's own worker is honest, and opens nothing for a file that it has not made
    let sum = net.sum(Kind::Model, There { reveals: WITHOUT_D, ..FOUR }, &masked, &deals, inputs);
    assert!(sum.outputs.iter().all(|output| *output == DutyOutput::Void(VoidReason::OutOfRange)), "{:?}", sum.outputs);
}

#[test]
fn a_step_beyond_the_agreed_range_fails_by_name_and_rules_that_nobody_signed_are_refused() {
    let mut net = Net::new(unscaled(1), -16);
    for n in 0..4 {
        net.until(n, &net.work(n, Kind::Model), Some(&net.mask(n, Kind::Model)));
    }
    let (masked, _) = net.pair(Kind::Model, FOUR);
    let duty = net.mask_duty(0, Kind::Model, &masked[0]);
    assert_eq!(net.failed(0, &duty, &masked[0]), FailureCode::StepTooLarge);
    // fewer sites than people agreed on
    let mut other = masked[1].clone();
    other.rules.min_participants = 2;
    assert_eq!(net.failed(1, &net.mask_duty(1, Kind::Model, &other), &other), FailureCode::Refused);
    // nor is an update masked as that of another model
    let duty = net.mask_duty(3, Kind::Model, &masked[3]);
    let base = BlobRef { root: Hash::repeat_byte(9), len: net.rules.merged_len };
    fs::copy(net.labs[3].blob(&net.base), net.labs[3].blob(&base.root)).unwrap();
    assert_eq!(net.failed(3, &DutyOrder { base: Some(base), ..duty }, &masked[3]), FailureCode::Refused);
    // and what was asked for under masks is not given without
    let plain = net.work(2, Kind::Model);
    assert_eq!(net.ask(2, &plain, None).0, DutyState::Failed(FailureCode::Refused));
}

#[test]
fn statistics_and_the_last_evaluation_are_summed_under_masks() {
    let mut net = Net::new(file().spec(), 2);
    let sum = net.play(Kind::Statistics, FOUR);
    let (root, pooled) = summed(&sum);
    assert_eq!(pooled, None);
    let bytes = fs::read(net.labs[0].blob(&root)).unwrap();
    let columns = net.spec.data.statistics_columns();
    let merged = Statistics::decode(&bytes, columns, None).unwrap();
    let counts: BTreeSet<u64> = merged.count.iter().map(|count| *count as u64).collect();
    assert_eq!(counts.len(), 1, "{counts:?}");
    assert!(merged.m2.iter().all(|m2| *m2 > 0.0));
    // all sites' training rows are in it, as many as they would say by themselves
    let rows: usize = (0..4)
        .map(|n| {
            let home = net.labs[n].home();
            let split = home.split(&net.agreement).unwrap().unwrap();
            let secret = home.secret().unwrap();
            let key = site_group_key(&net.spec, &secret).unwrap();
            let path = net.labs[n].dir.path().join("data.csv");
            let table = read_table(&path, &net.spec.data, &key).unwrap();
            split.rows(&table).0.len()
        })
        .sum();
    assert_eq!(counts, BTreeSet::from([rows as u64]));

    // figures of a model: no file comes of them
    let mut net = Net::new(unscaled(1), 2);
    let sum = net.play(Kind::Evaluation, FOUR);
    let (root, pooled) = summed(&sum);
    assert_eq!(root, Hash::zero());
    let of_each = (0..4).map(|n| {
        let plain = Lab::new(n, net.spec.clone());
        fs::copy(net.labs[n].blob(&net.base), plain.blob(&net.base)).unwrap();
        match plain.done(&plain.order(DutyKind::Evaluate, 1, Some(net.base), None)) {
            DutyOutput::Metric(Some(loss)) => loss,
            other => panic!("{other:?}"),
        }
    });
    let losses: Vec<u32> = of_each.collect();
    let (least, most) = (losses.iter().min().unwrap(), losses.iter().max().unwrap());
    assert!(pooled.is_some_and(|pooled| (*least..=*most).contains(&pooled)), "{pooled:?} of {losses:?}");
    // nobody has said its own
    for input in &sum.inputs {
        assert_eq!(input.blob.len, net.rules.part_len(Kind::Evaluation));
    }
}

#[test]
fn what_a_merged_model_stands_on_is_a_model_file() {
    let mut net = Net::new(unscaled(1), 2);
    let sum = net.play(Kind::Model, FOUR);
    let bytes = fs::read(net.labs[0].blob(&summed(&sum).0)).unwrap();
    let model = ModelFile::decode_merged(&bytes, &net.spec.layout().unwrap()).unwrap();
    assert!(model.data.iter().all(|x| x.is_finite()));
    // the note for this site's own people has weights, and nothing of any one update
    let home = net.labs[0].dir.path().join("home");
    let files = below(&home);
    let note = files.iter().find(|path| path.ends_with("merge-0001.json")).unwrap();
    let note: serde_json::Value = serde_json::from_slice(&fs::read(note).unwrap()).unwrap();
    assert_eq!(note["masked"], true);
    let updates = note["updates"].as_array().unwrap();
    assert_eq!(updates.len(), 4);
    assert!(updates.iter().all(|update| update.get("norm").is_none() && update["weight"].is_number()));
}

#[test]
fn what_was_agreed_under_masks_is_given_without_to_no_node_also_before_anything_was_masked() {
    let net = Net::new(unscaled(1), 2);
    let sites = net.labs[0].dir.path().join("sites.toml");
    fs::write(sites, format!("{}masked = true\n", entry(&net.agreement))).unwrap();
    for kind in [Kind::Statistics, Kind::Model, Kind::Evaluation] {
        let plain = net.work(0, kind);
        assert_eq!(net.ask(0, &plain, None).0, DutyState::Failed(FailureCode::Refused), "{kind:?}");
    }
    // nor where the node says of another work that it is to be masked
    let work = net.work(1, Kind::Model);
    let other = MaskOrder { work: Hash::repeat_byte(1), ..net.mask(1, Kind::Model) };
    assert_eq!(net.ask(1, &work, Some(&other)).0, DutyState::Failed(FailureCode::Refused));
    // as it was agreed it is done
    assert_eq!(net.until(0, &net.work(0, Kind::Model), Some(&net.mask(0, Kind::Model))).0, DutyOutput::Held);
}

#[test]
fn on_the_same_model_an_update_that_comes_out_the_same_is_in_no_sum_of_other_sites() {
    let less = There { keys: WITHOUT_D, deals: WITHOUT_D, files: WITHOUT_D, reveals: WITHOUT_D };
    for (batch_size, again) in [(4_096, true), (8, false)] {
        let mut spec = unscaled(1);
        spec.training.batch_size = batch_size;
        let mut net = Net::new(spec, 2);
        net.play(Kind::Model, FOUR);
        // the sum could not be used, say: the next round stands on the same model, and one site is away
        net.round = 2;
        for n in 0..4 {
            net.until(n, &net.work(n, Kind::Model), Some(&net.mask(n, Kind::Model)));
        }
        let (masked, _) = net.pair(Kind::Model, less);
        if again {
            let duty = net.mask_duty(0, Kind::Model, &masked[0]);
            assert_eq!(net.failed(0, &duty, &masked[0]), FailureCode::Refused);
            // with the same sites it is the same sum
            let (masked, _) = net.pair(Kind::Model, FOUR);
            net.commit(Kind::Model, FOUR, &masked);
        } else {
            net.commit(Kind::Model, less, &masked);
        }
    }
}

#[test]
fn two_studies_of_one_agreement_have_no_update_in_common() {
    let mut spec = unscaled(1);
    spec.training.batch_size = 8;
    let net = Net::new(spec, 2);
    let trained = |study: u32| {
        let mut order = net.work(0, Kind::Model);
        order.duty.study = study;
        let masked = MaskOrder { work: order.duty.hash(), ..net.mask(0, Kind::Model) };
        net.until(0, &order, Some(&masked));
        let folder = format!("study-{study}/masks/trained-");
        let files = below(&net.labs[0].dir.path().join("home"));
        let file = files.iter().find(|path| path.to_string_lossy().contains(&folder)).unwrap();
        net.numbers(&fs::read(file).unwrap())
    };
    assert_ne!(trained(0), trained(1));
}
