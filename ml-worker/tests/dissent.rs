//! What a site does where the chain attests another merge than the one it has computed.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_aggregation::{ModelFile, ALIKE};
use consilium_ml_worker::site::{OwnMerge, StudyKey, What};
use consilium_primitives::{
    round::Kind, Attested, BlobRef, DutyKind, DutyOrder, DutyOutput, DutyState, FailureCode, Hash, InstitutionId,
    Marks, Merge, MergeInput, MergeRule,
};
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};
use support::{file, input, root, sealed, start, unscaled, Door, Lab, AGREEMENT};

const STUDY: StudyKey = StudyKey { agreement: AGREEMENT, study: 0 };

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

/// The order of one whose chain attests that this came out of a merge, or of an initial model.
fn attesting(order: DutyOrder, of: &DutyOrder, root: Hash) -> DutyOrder {
    let kind = if of.duty.kind == DutyKind::MergeStatistics { Kind::Statistics } else { Kind::Model };
    let attested = vec![Attested { kind, round: of.duty.round, inputs_root: of.duty.base, root }];
    DutyOrder { attested, ..order }
}

/// Training on the model that came out of a merge.
fn train_on(lab: &Lab, of: &DutyOrder, root: Hash) -> DutyOrder {
    attesting(lab.order(DutyKind::Train, of.duty.round + 1, Some(root), None), of, root)
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

/// Waits until a note on a dissent about round 1 names so many files: they are copied when the site has stopped already.
fn settled(lab: &Lab, files: usize) {
    let until = Instant::now() + Duration::from_secs(20);
    while read(&note(lab, "dissent-0001.json"))["files"].as_array().unwrap().len() < files {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn note(lab: &Lab, name: &str) -> PathBuf {
    lab.home().study_folder(&STUDY).join(name)
}

fn read(path: &PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

#[test]
fn a_merge_that_is_attested_as_computed_is_trained_on() {
    let (lab, order, output) = merged(mean(), &[0.5, 1.5]);
    lab.done(&train_on(&lab, &order, root(output)));
    assert!(!note(&lab, "dissent-0001.json").exists() && !note(&lab, "transient-0001.json").exists());
}

#[test]
fn a_site_that_computes_the_same_other_merge_twice_stops_keeps_the_proof_and_says_what_to_do() {
    let (lab, merge, output) = merged(mean(), &[0.5, 1.5]);
    let (own, attested) = (root(output), another(&lab));
    let train = train_on(&lab, &merge, attested);
    assert_eq!(lab.failed(&train), FailureCode::Refused);
    settled(&lab, 4);
    let told = read(&note(&lab, "dissent-0001.json"));
    assert_eq!((&told["own"], &told["again"]), (&hex::encode(own).into(), &hex::encode(own).into()));
    assert_eq!((&told["attested"], &told["round"]), (&hex::encode(attested).into(), &1.into()));
    assert_eq!(told["inputs_root"], hex::encode(merge.duty.base));
    assert_eq!(told["inputs"].as_array().unwrap().len(), 2);
    let text = told["note"].as_str().unwrap();
    for part in ["twice the same other result", "data managers", "consilium audit 0", "study accept 0 --round 1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // both files, and what was merged, are kept beside the note, whatever becomes of the store
    let inputs: Vec<Hash> = merge.inputs.iter().map(|input| input.blob.root).collect();
    for root in [attested, own] {
        fs::remove_file(lab.blob(&root)).unwrap();
    }
    let files: Vec<PathBuf> = serde_json::from_value(told["files"].clone()).unwrap();
    let kept: Vec<_> =
        files.iter().map(|file| Hash::from(*blake3::hash(&fs::read(file).unwrap()).as_bytes())).collect();
    assert_eq!(kept, [&[attested, own][..], &inputs].concat());

    // it takes no part in anything that stands on that model, also when it starts anew
    lab.blobs().put(&fs::read(&files[0]).unwrap()).unwrap();
    let again = start(lab.dir.path());
    let says = |order: &DutyOrder| again.failed(&lab.spec, order);
    let knowing = |order: DutyOrder, root| attesting(order, &merge, root);
    let on = |kind, round, base| lab.order(kind, round, Some(base), None);
    for kind in [DutyKind::Evaluate, DutyKind::Acknowledge] {
        assert_eq!(says(&knowing(on(kind, 1, attested), attested)), FailureCode::Refused);
    }
    let later = lab.zeros();
    let merging = |round, base| sealed(DutyOrder { inputs: merge.inputs.clone(), ..on(DutyKind::Merge, round, base) });
    assert_eq!(says(&train), FailureCode::Refused);
    assert_eq!(says(&knowing(merging(2, attested), attested)), FailureCode::Refused);
    // nor in what comes of it later, of which it has computed nothing; also when the chain names that round no longer
    let others =
        |round| [on(DutyKind::Train, round, later), merging(round, later), on(DutyKind::Evaluate, round, later)];
    for duty in others(3).into_iter().chain(others(19)) {
        assert_eq!(says(&duty), FailureCode::Refused, "{:?} of round {}", duty.duty.kind, duty.duty.round);
        assert_eq!(says(&knowing(duty, attested)), FailureCode::Refused);
    }
    // but in the round itself it does, should the chain ask for it once more, and in what came before
    assert_eq!(again.done(&lab.spec, &merge), output);
    again.done(&lab.spec, &on(DutyKind::Acknowledge, 0, later));

    // while the chain attests this site's own there, it counts for nothing
    lab.blobs().put(&fs::read(&files[1]).unwrap()).unwrap();
    again.done(&lab.spec, &train_on(&lab, &merge, own));
    again.done(&lab.spec, &knowing(others(3)[0].clone(), own));
    assert!(note(&lab, "dissent-0001.json").exists());
    // what was done then is not given away where it attests the other
    assert_eq!(says(&knowing(others(3)[0].clone(), attested)), FailureCode::Refused);
    // the decision of its people ends it, about exactly this model
    let accept = |root| {
        fs::write(note(&lab, "accepted-0001.json"), format!("{{\"attested\":\"{}\"}}", hex::encode(root))).unwrap();
    };
    accept(own);
    assert_eq!(says(&train), FailureCode::Refused);
    accept(attested);
    again.done(&lab.spec, &train);
    again.done(&lab.spec, &knowing(others(4)[0].clone(), attested));
    fs::remove_file(note(&lab, "accepted-0001.json")).unwrap();
    assert_eq!(says(&others(12)[0]), FailureCode::Refused);
    // attested otherwise for some rounds, it is laid aside for good
    again.done(&lab.spec, &knowing(others(6)[0].clone(), own));
    assert!(!note(&lab, "dissent-0001.json").exists());
    again.done(&lab.spec, &others(13)[0]);
}

#[test]
fn a_merge_of_other_inputs_than_the_attested_one_says_nothing_about_it() {
    // a first attempt, of two inputs, and the second one, without the one that was dropped
    let (lab, first, output) = merged(mean(), &[0.5, 1.5]);
    let second = sealed(DutyOrder { inputs: first.inputs[..1].to_vec(), ..first.clone() });
    let other = another(&lab);
    // by a site that was dropped, and not asked again
    lab.done(&train_on(&lab, &second, other));
    // by one that was asked for both, whichever closes the round
    let again = root(lab.done(&second));
    assert_ne!(again, root(output));
    lab.done(&train_on(&lab, &first, root(output)));
    lab.done(&train_on(&lab, &second, again));
    assert!(!note(&lab, "dissent-0001.json").exists());
    assert_eq!(lab.failed(&train_on(&lab, &first, again)), FailureCode::Refused);
    assert_eq!(read(&note(&lab, "dissent-0001.json"))["own"], hex::encode(root(output)));
}

#[test]
fn a_site_that_was_away_or_started_anew_finds_out_later_and_the_attested_file_need_not_be_here() {
    let (lab, merge, output) = merged(mean(), &[0.5, 1.5]);
    let train = lab.order(DutyKind::Train, 5, Some(lab.zeros()), None);
    // done already when it finds out
    lab.done(&train);
    let again = start(lab.dir.path());
    let attested = another(&lab);
    let bytes = fs::read(lab.blob(&attested)).unwrap();
    fs::remove_file(lab.blob(&attested)).unwrap();
    let order = attesting(train, &merge, attested);
    assert_eq!(again.failed(&lab.spec, &order), FailureCode::Refused);
    settled(&lab, 3);
    let told = read(&note(&lab, "dissent-0001.json"));
    assert_eq!((&told["attested"], &told["own"]), (&hex::encode(attested).into(), &hex::encode(root(output)).into()));
    // when it comes it is kept too
    lab.blobs().put(&bytes).unwrap();
    assert_eq!(again.failed(&lab.spec, &order), FailureCode::Refused);
    settled(&lab, 4);
    // another study of the same agreement has nothing to do with it
    let mut other = attesting(lab.order(DutyKind::Train, 5, Some(lab.zeros()), None), &merge, root(output));
    (other.duty.study, other.attested) = (1, Vec::new());
    assert_ne!(again.ask(&lab.spec, &other), DutyState::Failed(FailureCode::Refused));
}

#[test]
fn a_fault_that_is_gone_when_the_merge_is_computed_again_is_noted_and_the_site_goes_on() {
    let (lab, order, output) = merged(mean(), &[0.5, 1.5]);
    // as a bit that fell over in memory would have left it
    let wrong = Hash::repeat_byte(9);
    lab.home().put_own_merge(&OwnMerge { order: order.clone(), root: wrong, masked: None }).unwrap();
    let attested = root(output);
    lab.done(&train_on(&lab, &order, attested));
    let told = read(&note(&lab, "transient-0001.json"));
    assert_eq!((&told["own"], &told["attested"]), (&hex::encode(wrong).into(), &hex::encode(attested).into()));
    assert!(!note(&lab, "dissent-0001.json").exists());
    let kept = lab.home().own_merge(&STUDY, What::Model(1), &order.duty.base).unwrap();
    assert_eq!(kept.unwrap().root, attested);
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
        assert_eq!(lab.failed(&train_on(&lab, &order, another(&lab))), FailureCode::Refused);
        let told = read(&note(&lab, "dissent-0001.json"));
        assert_eq!(told["again"], Value::Null);
        assert!(told["note"].as_str().unwrap().contains("not all of the inputs are here any more"), "{told:#}");
    }
}

#[test]
fn the_initial_model_and_the_statistics_are_looked_at_too() {
    let lab = Lab::new(0, unscaled(1));
    let init = lab.order(DutyKind::Init, 0, None, None);
    lab.done(&init);
    assert_eq!(lab.failed(&train_on(&lab, &init, another(&lab))), FailureCode::Refused);
    assert_eq!(read(&note(&lab, "dissent-0000.json"))["what"], "the initial model");

    let lab = Lab::new(0, file().spec());
    let part = lab.order(DutyKind::Statistics, 0, None, None);
    let DutyOutput::Update { root, .. } = lab.done(&part) else { panic!() };
    let blob = BlobRef { root, len: lab.spec.statistics_len().unwrap() };
    let input = MergeInput { institution: lab.id, duty: part.duty.hash(), blob, weight: 1 };
    let merge = sealed(DutyOrder { inputs: vec![input], ..lab.order(DutyKind::MergeStatistics, 0, None, None) });
    let own = self::root(lab.done(&merge));
    let evaluate = lab.order(DutyKind::Evaluate, 3, Some(lab.zeros()), None);
    // an order that does not name the statistics stands on them all the same
    assert_eq!(lab.failed(&attesting(evaluate.clone(), &merge, Hash::repeat_byte(5))), FailureCode::Refused);
    let told = read(&note(&lab, "dissent-statistics.json"));
    assert!(told["note"].as_str().unwrap().contains("study accept 0 --statistics"), "{told:#}");
    assert_ne!(lab.ask(&attesting(evaluate, &merge, own)), DutyState::Failed(FailureCode::Refused));
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

#[test]
fn a_merge_that_closed_without_this_site_is_computed_all_the_same_once_its_files_are_here() {
    for honest in [true, false] {
        let lab = Lab::new(0, unscaled(1));
        let base = lab.zeros();
        let mut order = lab.order(DutyKind::Merge, 1, Some(base), None);
        let files = [input(&lab.spec, Hash::repeat_byte(1), 0.5), input(&lab.spec, Hash::repeat_byte(2), 1.5)];
        order.inputs = files.iter().map(|(input, _)| *input).collect();
        let order = sealed(order);
        lab.blobs().put(&files[0].1).unwrap();
        lab.settles(&order, DutyState::Inputs { have: 0b01, invalid: 0 });
        // the others have closed it
        let layout = lab.spec.layout().unwrap();
        let model = ModelFile { data: vec![1.0; layout.elements()], layout, duty: None }.encode().unwrap();
        let attested = if honest { lab.blobs().put(&model).unwrap() } else { another(&lab) };
        let train = train_on(&lab, &order, attested);
        lab.done(&train);
        assert!(!note(&lab, "merge-0001.json").exists(), "one file is not here");
        lab.blobs().put(&files[1].1).unwrap();
        if honest {
            let until = Instant::now() + Duration::from_secs(20);
            while !note(&lab, "merge-0001.json").exists() {
                assert!(Instant::now() < until);
                lab.done(&train);
            }
            assert_eq!(read(&note(&lab, "merge-0001.json"))["root"], hex::encode(attested));
            lab.done(&train);
        } else {
            lab.settles(&train, DutyState::Failed(FailureCode::Refused));
        }
        assert_eq!(note(&lab, "dissent-0001.json").exists(), !honest);
    }
}

#[test]
fn a_merge_that_cannot_be_computed_again_is_put_before_people_at_the_third_failure() {
    let (lab, order, _) = merged(mean(), &[0.5, 1.5]);
    // a rule that needs eleven inputs: as where this site's own state is not what it was
    let impossible = Merge { liars: 5, ..Merge::by(MergeRule::Median(consilium_primitives::Weighting::Equal)) };
    let order = sealed(DutyOrder { merge: Some(impossible), ..order });
    lab.home().put_own_merge(&OwnMerge { order: order.clone(), root: Hash::repeat_byte(9), masked: None }).unwrap();
    let began = Instant::now();
    assert_eq!(lab.failed(&train_on(&lab, &order, another(&lab))), FailureCode::Refused);
    assert!(began.elapsed() > Duration::from_secs(15), "twice it is tried again, ten seconds later");
    let told = read(&note(&lab, "dissent-0001.json"));
    assert_eq!(told["again"], Value::Null);
    assert!(told["note"].as_str().unwrap().contains("its log says why"), "{told:#}");
}
