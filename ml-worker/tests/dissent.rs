//! What a site does where the chain attests another merge than the one it has computed.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_aggregation::{ModelFile, ALIKE};
use consilium_ml_worker::site::{OwnMerge, What};
use consilium_primitives::{
    DutyKind, DutyOrder, DutyOutput, DutyState, FailureCode, Hash, InstitutionId, Marks, Merge, MergeRule,
};
use serde_json::Value;
use std::{fs, path::PathBuf};
use support::{input, root, sealed, start, unscaled, Door, Lab, AGREEMENT};

/// A site that has merged round 1: its order, and what came out.
fn merged(rule: Merge, values: &[f32]) -> (Lab, DutyOrder, DutyOutput) {
    let lab = Lab::new(0, unscaled(1));
    let base = lab.zeros();
    let mut order = lab.order(DutyKind::Merge, 1, Some(base), None);
    for (value, duty) in values.iter().zip(1u8..) {
        let (input, bytes) = input(&lab.spec, Hash::repeat_byte(duty), *value);
        lab.blobs().put(&bytes).unwrap();
        order.inputs.push(input);
    }
    order.merge = Some(rule);
    let order = sealed(order);
    let output = lab.done(&order);
    (lab, order, output)
}

fn mean() -> Merge {
    Merge::by(MergeRule::Mean(consilium_primitives::Weighting::Samples))
}

/// Another model, in the site's blob store, as the others have attested it.
fn another(lab: &Lab) -> Hash {
    let layout = lab.spec.layout().unwrap();
    let data = vec![0.25; layout.elements()];
    lab.blobs().put(&ModelFile { layout, duty: None, data }.encode().unwrap()).unwrap()
}

fn note(lab: &Lab, name: &str) -> PathBuf {
    lab.dir.path().join("home/studies").join(hex::encode(AGREEMENT)).join(name)
}

fn read(path: &PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

#[test]
fn a_merge_that_is_attested_as_computed_is_trained_on() {
    let (lab, _, output) = merged(mean(), &[0.5, 1.5]);
    lab.done(&lab.order(DutyKind::Train, 2, Some(root(output)), None));
    assert!(!note(&lab, "dissent-0001.json").exists() && !note(&lab, "transient-0001.json").exists());
}

#[test]
fn a_site_that_computes_the_same_other_merge_twice_stops_keeps_the_proof_and_says_what_to_do() {
    let (lab, order, output) = merged(mean(), &[0.5, 1.5]);
    let (own, attested) = (root(output), another(&lab));
    let train = lab.order(DutyKind::Train, 2, Some(attested), None);
    assert_eq!(lab.failed(&train), FailureCode::Refused);
    let told = read(&note(&lab, "dissent-0001.json"));
    assert_eq!((&told["own"], &told["again"]), (&hex::encode(own).into(), &hex::encode(own).into()));
    assert_eq!((&told["attested"], &told["round"]), (&hex::encode(attested).into(), &1.into()));
    assert_eq!(told["inputs_root"], hex::encode(order.duty.base));
    assert_eq!(told["inputs"].as_array().unwrap().len(), 2);
    let text = told["note"].as_str().unwrap();
    for part in ["twice the same other result", "data managers", "consilium audit 0", "study accept 0 --round 1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // both files are kept beside the note, whatever becomes of the store
    for root in [attested, own] {
        fs::remove_file(lab.blob(&root)).unwrap();
    }
    let files: Vec<PathBuf> = serde_json::from_value(told["files"].clone()).unwrap();
    let kept: Vec<_> =
        files.iter().map(|file| Hash::from(*blake3::hash(&fs::read(file).unwrap()).as_bytes())).collect();
    assert_eq!(kept, [attested, own]);

    // it takes no part in anything that stands on that model, also when it starts anew
    lab.blobs().put(&fs::read(&files[0]).unwrap()).unwrap();
    let again = start(lab.dir.path());
    let says = |order: &DutyOrder| again.failed(&lab.spec, order);
    assert_eq!(says(&lab.order(DutyKind::Train, 2, Some(attested), None)), FailureCode::Refused);
    assert_eq!(says(&lab.order(DutyKind::Evaluate, 1, Some(attested), None)), FailureCode::Refused);
    assert_eq!(says(&lab.order(DutyKind::Acknowledge, 1, Some(attested), None)), FailureCode::Refused);
    let mut next = lab.order(DutyKind::Merge, 2, Some(attested), None);
    next.inputs = order.inputs.clone();
    assert_eq!(says(&sealed(next)), FailureCode::Refused);
    // nor in what comes of it later, of which it has computed nothing
    let later = lab.zeros();
    let others = |round| {
        let train = lab.order(DutyKind::Train, round, Some(later), None);
        let merge = DutyOrder { inputs: order.inputs.clone(), ..lab.order(DutyKind::Merge, round, Some(later), None) };
        [train, sealed(merge), lab.order(DutyKind::Evaluate, round, Some(later), None)]
    };
    for duty in others(3).iter().chain(&others(9)) {
        assert_eq!(says(duty), FailureCode::Refused, "{:?} of round {}", duty.duty.kind, duty.duty.round);
    }
    // but in the round itself it does, should the chain ask for it once more
    assert_eq!(again.done(&lab.spec, &order), output);

    // a chain that takes the round back and attests this site's own ends it
    lab.blobs().put(&fs::read(&files[1]).unwrap()).unwrap();
    again.done(&lab.spec, &lab.order(DutyKind::Train, 2, Some(own), None));
    again.done(&lab.spec, &others(3)[0]);
    assert!(note(&lab, &format!("past-dissent-0001-{}.json", hex::encode(attested))).exists());
    // and so does the decision of its people, about exactly this model
    assert_eq!(says(&train), FailureCode::Refused);
    fs::write(note(&lab, "accepted-0001.json"), format!("{{\"attested\":\"{}\"}}", hex::encode(own))).unwrap();
    assert_eq!(says(&train), FailureCode::Refused);
    fs::write(note(&lab, "accepted-0001.json"), format!("{{\"attested\":\"{}\"}}", hex::encode(attested))).unwrap();
    again.done(&lab.spec, &train);
    again.done(&lab.spec, &others(4)[0]);
}

#[test]
fn a_fault_that_is_gone_when_the_merge_is_computed_again_is_noted_and_the_site_goes_on() {
    let (lab, order, output) = merged(mean(), &[0.5, 1.5]);
    // as a bit that fell over in memory would have left it
    let wrong = Hash::repeat_byte(9);
    lab.home().put_own_merge(&OwnMerge { order, root: wrong }).unwrap();
    let attested = root(output);
    lab.done(&lab.order(DutyKind::Train, 2, Some(attested), None));
    let told = read(&note(&lab, "transient-0001.json"));
    assert_eq!((&told["own"], &told["attested"]), (&hex::encode(wrong).into(), &hex::encode(attested).into()));
    assert!(!note(&lab, "dissent-0001.json").exists());
    assert_eq!(lab.home().own_merge(&AGREEMENT, What::Model(1)).unwrap().unwrap().root, attested);
}

#[test]
fn inputs_are_hashed_anew_and_what_is_damaged_or_gone_is_said() {
    type Spoil = fn(PathBuf);
    let spoils: [Spoil; 2] = [
        |path| fs::remove_file(path).unwrap(),
        |path| {
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        },
    ];
    for spoil in spoils {
        let (lab, order, _) = merged(mean(), &[0.5, 1.5]);
        spoil(lab.blob(&order.inputs[1].blob.root));
        let train = lab.order(DutyKind::Train, 2, Some(another(&lab)), None);
        assert_eq!(lab.failed(&train), FailureCode::Refused);
        let told = read(&note(&lab, "dissent-0001.json"));
        assert_eq!(told["again"], Value::Null);
        assert!(told["note"].as_str().unwrap().contains("not all of the inputs are here any more"), "{told:#}");
    }
}

#[test]
fn the_initial_model_and_the_statistics_are_looked_at_too() {
    let lab = Lab::new(0, unscaled(1));
    lab.done(&lab.order(DutyKind::Init, 0, None, None));
    let train = lab.order(DutyKind::Train, 1, Some(another(&lab)), None);
    assert_eq!(lab.failed(&train), FailureCode::Refused);
    assert_eq!(read(&note(&lab, "dissent-0000.json"))["what"], "the initial model");
}

#[test]
fn while_the_attested_model_is_not_here_nothing_is_decided() {
    let (lab, ..) = merged(mean(), &[0.5, 1.5]);
    let train = lab.order(DutyKind::Train, 2, Some(Hash::repeat_byte(3)), None);
    let later = lab.order(DutyKind::Train, 3, Some(lab.zeros()), None);
    for _ in 0..20 {
        assert_eq!(lab.ask(&train), DutyState::Queued);
        assert_eq!(lab.ask(&later), DutyState::Queued);
    }
    assert!(!note(&lab, "dissent-0001.json").exists());
}

#[test]
fn what_a_rule_did_is_answered_and_noted_with_reasons() {
    // three alike, one far away; Krum takes one of the three
    let krum = Merge { liars: 0, ..Merge::by(MergeRule::Krum { keep: 1 }) };
    let (lab, order, output) = merged(krum, &[1.0, 1.0, 1.01, -50.0]);
    let DutyOutput::Marked { root, marks } = output else { panic!("{output:?}") };
    assert_eq!(marks, Marks { left_out: 0b1110, shortened: 0 });
    let told = read(&note(&lab, "merge-0001.json"));
    assert_eq!(
        (&told["root"], &told["inputs_root"]),
        (&hex::encode(root).into(), &hex::encode(order.duty.base).into())
    );
    let updates = told["updates"].as_array().unwrap();
    assert_eq!(updates.len(), 4);
    let elements = lab.spec.layout().unwrap().elements() as f64;
    let near = |value: &Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() <= 1e-6 * wanted.abs();
    for (update, (place, value)) in updates.iter().zip([(1u8, 1.0f64), (2, 1.0), (3, 1.01), (4, -50.0)]) {
        assert_eq!(update["institution"], InstitutionId([place; 32]).to_string());
        assert_eq!(update["part"], if place == 1 { 1.0 } else { 0.0 });
        assert!(near(&update["norm"], value.abs() * elements.sqrt()), "{update:#}");
        // all numbers of an update are equal here, so that every cosine is 1 or -1
        assert!(near(&update["cosine"], value.signum()), "{update:#}");
        assert_eq!(update["alike"].as_array().unwrap().len(), if place == 4 { 0 } else { 2 }, "above {ALIKE}");
    }
    assert!(updates[3]["score"].as_f64().unwrap() > updates[0]["score"].as_f64().unwrap());
}

#[test]
fn an_update_that_was_shortened_is_marked_and_the_factor_noted() {
    let bound = Some(consilium_primitives::rules::NormBound::Median);
    let (lab, _, output) = merged(Merge { bound, ..mean() }, &[1.0, 2.0, 8.0]);
    let DutyOutput::Marked { marks, .. } = output else { panic!("{output:?}") };
    assert_eq!(marks, Marks { left_out: 0, shortened: 0b100 });
    let told = read(&note(&lab, "merge-0001.json"));
    let factor = told["updates"][2]["shortened_to"].as_f64().unwrap();
    assert!((factor - 0.25).abs() < 1e-12, "{factor}");
}
