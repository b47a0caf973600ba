//! What two studies of one agreement, duties under other statistics, and other rows have to do with each other: nothing.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_aggregation::{blob_hash, Statistics};
use consilium_ml_worker::{
    learn::{Checkpoint, OptimizerState},
    site::{Blobs, Dissent, Home, StudyKey, What},
};
use consilium_primitives::{
    duty::PROTOCOL_VERSION, BlobRef, DutyKind, DutyOrder, DutyOutput, DutyRequest, DutyState, FailureCode, Hash,
};
use consilium_study::StudySpec;
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};
use support::{
    below, demo_csv, endless, entry, entry_with, file, order, prepare, root, start, unscaled, Door, Lab, Process,
    AGREEMENT,
};

const FIRST: StudyKey = StudyKey { agreement: AGREEMENT, study: 0 };
const SECOND: StudyKey = StudyKey { agreement: AGREEMENT, study: 1 };

fn dissent(study: u32) -> Dissent {
    Dissent {
        study,
        round: 3,
        what: "the merge of round 3".into(),
        attested: hex::encode([study as u8; 32]),
        own: String::new(),
        again: None,
        inputs_root: String::new(),
        inputs: Vec::new(),
        files: vec![PathBuf::from(format!("copy-{study}"))],
        note: String::new(),
    }
}

fn state(steps: u64) -> OptimizerState {
    OptimizerState { steps, first: vec![1], second: vec![2] }
}

#[test]
fn two_studies_of_one_agreement_keep_their_notes_and_states_apart() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    let (duty, rows) = (Hash::repeat_byte(1), Hash::repeat_byte(2));
    for study in [FIRST, SECOND] {
        home.put_dissent(&study, What::Model(3), &dissent(study.study)).unwrap();
        home.put_optimizer(&study, 1, &duty, &state(10 + u64::from(study.study))).unwrap();
        home.put_checkpoint(&study, &duty, &rows, &Checkpoint::default()).unwrap();
    }
    for study in [FIRST, SECOND] {
        let noted = home.dissents(&study).unwrap();
        assert_eq!(noted, [(What::Model(3), dissent(study.study))]);
        assert_eq!(home.optimizer(&study, 2).unwrap().unwrap().steps, 10 + u64::from(study.study));
    }
    // what one is done with, the other one needs
    home.put_merged(&FIRST, 1, &Hash::repeat_byte(9)).unwrap();
    assert_eq!(home.optimizer(&FIRST, 2).unwrap(), None);
    assert!(home.optimizer(&SECOND, 2).unwrap().is_some());
    home.drop_checkpoints(&FIRST).unwrap();
    assert_eq!(home.checkpoint(&FIRST, &duty, &rows).unwrap(), None);
    assert!(home.checkpoint(&SECOND, &duty, &rows).unwrap().is_some());
    home.end_dissent(&FIRST, What::Model(3), "00").unwrap();
    assert!(home.dissents(&FIRST).unwrap().is_empty() && !home.dissents(&SECOND).unwrap().is_empty());
}

#[test]
fn the_folder_of_an_earlier_version_is_taken_over_by_the_study_it_is_of() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    // as it was: all in the agreement's folder
    let old = dir.path().join("studies").join(hex::encode(AGREEMENT));
    home.put_optimizer(&FIRST, 4, &Hash::repeat_byte(1), &state(40)).unwrap();
    home.put_dissent(&FIRST, What::Model(3), &dissent(0)).unwrap();
    fs::create_dir_all(old.join("study-0/dissent-0003")).unwrap();
    fs::write(old.join("study-0/dissent-0003/own-00"), "copy").unwrap();
    fs::write(old.join("study-0/training-0004.json"), "{}").unwrap();
    fs::write(old.join("study-0/merge-0004.json"), "{\"study\": 1}").unwrap();
    for entry in fs::read_dir(old.join("study-0")).unwrap() {
        let entry = entry.unwrap();
        fs::rename(entry.path(), old.join(entry.file_name())).unwrap();
    }
    fs::remove_dir(old.join("study-0")).unwrap();
    fs::write(old.join("split.json"), "{}").unwrap();

    home.adopt(&FIRST).unwrap();
    assert_eq!(home.dissents(&FIRST).unwrap().len(), 1);
    assert_eq!(home.optimizer(&FIRST, 5).unwrap(), Some(state(40)));
    for moved in ["training-0004.json", "dissent-0003/own-00"] {
        assert!(old.join("study-0").join(moved).is_file(), "{moved}");
    }
    assert!(old.join("split.json").is_file(), "the split is the agreement's");
    assert!(old.join("merge-0004.json").is_file(), "another study's stays");
    home.adopt(&SECOND).unwrap();
    assert!(old.join("study-1/merge-0004.json").is_file());
    assert!(home.dissents(&SECOND).unwrap().is_empty());
    home.adopt(&FIRST).unwrap();
    assert_eq!(below(&old.join("study-1")).len(), 1);
}

#[test]
fn two_studies_in_one_worker_give_what_each_gives_alone() {
    let other = Hash::repeat_byte(8);
    let (one, two) = (unscaled(2), unscaled(3));
    // a training of each study, whose worker also has the other one's agreement or not
    let train = |lab: &Lab, spec: &StudySpec, agreement: Hash| -> Hash {
        let with = |kind, round, base| {
            let mut order = order(spec, kind, round, base);
            order.duty.agreement = agreement;
            order
        };
        let base = root(lab.worker.done(spec, &with(DutyKind::Init, 0, None)));
        root(lab.worker.done(spec, &with(DutyKind::Train, 1, Some(base))))
    };
    let alone = |site: usize, spec: &StudySpec, agreement: Hash| {
        let lab = Lab::with(&demo_csv(site), spec.clone());
        fs::write(lab.dir.path().join("sites.toml"), entry(&agreement)).unwrap();
        train(&lab, spec, agreement)
    };
    let both = Lab::with(&demo_csv(0), one.clone());
    fs::write(both.dir.path().join("other.csv"), demo_csv(1)).unwrap();
    let sites = entry(&AGREEMENT) + &entry_with(&other, "other.csv");
    fs::write(both.dir.path().join("sites.toml"), sites).unwrap();
    // both at once, in one request
    let orders = [(AGREEMENT, &one), (other, &two)].map(|(agreement, spec)| {
        let mut order = order(spec, DutyKind::Init, 0, None);
        order.duty.agreement = agreement;
        order
    });
    let specs = vec![one.canonical().unwrap(), two.canonical().unwrap()];
    let request =
        DutyRequest { version: PROTOCOL_VERSION, specs, orders: orders.to_vec(), ahead: vec![], masked: vec![] };
    assert_eq!(both.worker.answer(&request).answers.len(), 2);
    let (first, second) = (train(&both, &one, AGREEMENT), train(&both, &two, other));
    assert_ne!(first, second);
    assert_eq!(first, alone(0, &one, AGREEMENT));
    assert_eq!(second, alone(1, &two, other));
    assert_ne!(both.home().split(&AGREEMENT).unwrap(), both.home().split(&other).unwrap());
}

/// A training, and an evaluation, under these statistics.
fn under(lab: &Lab, kind: DutyKind, base: Hash, mean: f64) -> DutyOrder {
    let n = lab.spec.inputs();
    let statistics = Statistics { count: vec![90.0; n], mean: vec![mean; n], m2: vec![4.0; n] };
    let root = lab.blobs().put(&statistics.encode(None).unwrap()).unwrap();
    lab.order(kind, 1, Some(base), Some(root))
}

#[test]
fn what_was_made_under_other_statistics_answers_nothing() {
    let lab = Lab::new(0, file().spec());
    let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    for kind in [DutyKind::Train, DutyKind::Evaluate] {
        let (first, second) = (under(&lab, kind, base, 1.0), under(&lab, kind, base, 2.0));
        let one = lab.done(&first);
        assert!(!matches!(lab.ask(&second), DutyState::Done(output) if output == one), "{kind:?}");
        let two = lab.done(&second);
        assert_ne!(one, two, "{kind:?}");
        // as a site that knew only the second ones
        let other = Lab::new(0, file().spec());
        other.done(&other.order(DutyKind::Init, 0, None, None));
        assert_eq!(other.done(&under(&other, kind, base, 2.0)), two, "{kind:?}");
        // each stays what it is
        assert_eq!((lab.done(&first), lab.done(&second)), (one, two), "{kind:?}");
    }
}

#[test]
fn an_order_that_hands_over_something_else_than_its_duty_names_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &demo_csv(0));
    let (process, spec) = (Process::serve(dir.path()), file().spec());
    let n = spec.inputs();
    let blobs = Blobs::open(&dir.path().join("blobs")).unwrap();
    let statistics = Statistics { count: vec![90.0; n], mean: vec![1.0; n], m2: vec![4.0; n] };
    let statistics = blobs.put(&statistics.encode(None).unwrap()).unwrap();
    let base = root(process.done(&spec, &order(&spec, DutyKind::Init, 0, None)));
    let right = |kind| {
        let mut order = order(&spec, kind, 1, Some(base));
        order.duty.statistics = statistics;
        order.statistics = Some(BlobRef { root: statistics, len: spec.statistics_len().unwrap() });
        order
    };
    let other = Hash::repeat_byte(9);
    let refused = |order: &DutyOrder| assert_eq!(process.ask(&spec, order), DutyState::Failed(FailureCode::Refused));
    let of_another_root = |blob: Option<BlobRef>| blob.map(|blob| BlobRef { root: other, ..blob });
    for kind in [DutyKind::Train, DutyKind::Evaluate] {
        let right = right(kind);
        let wrong = [
            DutyOrder { statistics: of_another_root(right.statistics), ..right.clone() },
            DutyOrder { statistics: None, ..right.clone() },
            DutyOrder { base: of_another_root(right.base), ..right.clone() },
        ];
        wrong.iter().for_each(refused);
        let done = process.done(&spec, &right);
        // also of a duty that is done
        wrong.iter().for_each(refused);
        assert_eq!(process.ask(&spec, &right), DutyState::Done(done));
    }
    let held = order(&spec, DutyKind::Acknowledge, 1, Some(base));
    refused(&DutyOrder { base: of_another_root(held.base), ..held.clone() });
    assert_eq!(process.done(&spec, &held), DutyOutput::Held);
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    for (what, named) in [("statistics", statistics), ("model", base)] {
        let words = format!(
            "the duty names the {what} {}, and its order hands over {}",
            hex::encode(named),
            hex::encode(other)
        );
        assert!(log.contains(&words), "{words}: {log}");
    }
}

fn checkpoints(lab: &Lab) -> usize {
    below(lab.dir.path()).iter().filter(|f| f.to_string_lossy().contains("checkpoint-")).count()
}

#[test]
fn a_training_is_not_taken_up_on_other_rows() {
    // the site's people put it on hold in mid-round, bring another file and accept it
    let mut spec = endless();
    spec.training.batches = 8_000;
    let (begun, calm) = (Lab::new(0, spec.clone()), Lab::new(0, spec));
    let new = demo_csv(1);
    let accept = |lab: &Lab| {
        fs::write(lab.dir.path().join("data.csv"), &new).unwrap();
        lab.home().accept_data(&AGREEMENT, &blob_hash(new.as_bytes())).unwrap();
    };
    for lab in [&begun, &calm] {
        lab.done(&lab.order(DutyKind::Statistics, 0, None, None));
    }
    let train = |lab: &Lab| {
        let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
        lab.order(DutyKind::Train, 1, Some(base), None)
    };
    let order = train(&begun);
    begun.worker.running(&begun.spec, &order);
    begun.home().set_held(true).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while checkpoints(&begun) == 0 {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(200));
    let left: Vec<_> =
        below(begun.dir.path()).into_iter().filter(|f| f.to_string_lossy().contains("checkpoint-")).collect();
    let bytes = fs::read(&left[0]).unwrap();
    accept(&begun);
    assert_eq!(checkpoints(&begun), 0, "what was trained on the other file is of no use");
    // and should one be left there all the same, it says what it was made on
    fs::write(&left[0], bytes).unwrap();
    begun.home().set_held(false).unwrap();
    accept(&calm);
    let expected = calm.done(&train(&calm));
    assert_eq!(begun.done(&order), expected);
}

#[test]
fn rows_are_kept_from_round_to_round_as_long_as_their_file_stays_as_it_is() {
    let lab = Lab::new(0, unscaled(1));
    let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    let round = |lab: &Lab, round: u32| -> (Hash, bool) {
        let update = root(lab.done(&lab.order(DutyKind::Train, round, Some(base), None)));
        let note = lab.home().study_folder(&FIRST).join(format!("training-{round:04}.json"));
        let note: serde_json::Value = serde_json::from_slice(&fs::read(note).unwrap()).unwrap();
        (update, note["kept"].as_bool().unwrap())
    };
    let (first, kept) = round(&lab, 1);
    assert!(!kept);
    let (second, kept) = round(&lab, 2);
    assert!(kept);
    // they are the rows that a worker reads which starts anew for each round
    let other = Lab::new(0, unscaled(1));
    other.done(&other.order(DutyKind::Init, 0, None, None));
    for (n, expected) in [(1, first), (2, second)] {
        let again = start(other.dir.path());
        assert_eq!(
            root(again.done(&lab.spec, &lab.order(DutyKind::Train, n, Some(base), None))),
            expected,
            "round {n}"
        );
    }
    // the same bytes, written anew
    let data = lab.dir.path().join("data.csv");
    let bytes = fs::read(&data).unwrap();
    fs::write(&data, &bytes).unwrap();
    assert!(round(&lab, 3).1);
    // of the same length, at once
    let text = String::from_utf8(bytes.clone()).unwrap();
    let changed = text.replacen("M\n", "B\n", 1);
    fs::write(&data, &changed).unwrap();
    let next = lab.order(DutyKind::Train, 4, Some(base), None);
    assert_eq!(lab.failed(&next), consilium_primitives::FailureCode::DataChanged);
    lab.home().accept_data(&AGREEMENT, &blob_hash(changed.as_bytes())).unwrap();
    assert!(!round(&lab, 5).1);
    assert!(round(&lab, 6).1);
    fs::write(&data, &bytes).unwrap();
    let next = lab.order(DutyKind::Train, 7, Some(base), None);
    assert_eq!(lab.failed(&next), consilium_primitives::FailureCode::DataChanged);
    // a file that is gone is not trained on from memory
    fs::remove_file(&data).unwrap();
    let next = lab.order(DutyKind::Train, 8, Some(base), None);
    assert_eq!(lab.ask(&next), DutyState::Queued);
    std::thread::sleep(Duration::from_millis(500));
    assert!(!matches!(lab.ask(&next), DutyState::Done(_)));
}
