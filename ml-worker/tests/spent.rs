//! A worker that is asked to train a private study.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use consilium_primitives::{DutyKind, DutyOrder, DutyOutput, FailureCode, Hash};
use consilium_study::StudySpec;
use std::fs;
use support::{entry, root, start, unscaled, Door, Lab, AGREEMENT};

/// The example's study with a promise: ε 4 for ten rounds.
fn private() -> StudySpec {
    let mut spec = unscaled(2);
    (spec.training.batch_size, spec.training.epochs) = (0, 0);
    let promise = "epsilon = 4.0\ndelta = 1e-5\nclip = 0.5\nrate = 0.25\nsteps = 8\nrounds = 10";
    spec.privacy = Some(toml::from_str(promise).unwrap());
    spec.check().unwrap();
    spec
}

/// What this site says of its rows, in `sites.toml`.
fn says(lab: &Lab, more: &str) {
    fs::write(lab.dir.path().join("sites.toml"), format!("{}{more}", entry(&AGREEMENT))).unwrap();
}

fn train(lab: &Lab, round: u32, base: Hash) -> DutyOrder {
    lab.order(DutyKind::Train, round, Some(base), None)
}

/// Files in the blob store: what the node could give to others.
fn files(lab: &Lab) -> usize {
    fs::read_dir(lab.dir.path().join("blobs")).unwrap().count()
}

fn lines(lab: &Lab) -> usize {
    lab.home().ledger("demo").unwrap().entries().len()
}

#[test]
fn a_round_is_in_the_ledger_before_it_is_trained_and_one_beyond_the_limit_gets_no_file_out() {
    let lab = Lab::new(0, private());
    let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    let before = files(&lab);
    // nobody has said what these rows may cost
    assert_eq!(lab.failed(&train(&lab, 1, base)), FailureCode::Refused);
    assert_eq!((files(&lab), lines(&lab)), (before, 0));

    says(&lab, "dataset = \"demo\"\nepsilon = 2.0\n");
    let order = train(&lab, 2, base);
    let DutyOutput::Update { root: update, metric } = lab.done(&order) else { panic!("no update") };
    assert_eq!((lines(&lab), metric), (1, None), "no figure of the rows leaves");
    // asked again, also by another process: the same file, and nothing more is spent
    assert_eq!(root(lab.done(&order)), update);
    let again = start(lab.dir.path());
    assert_eq!(root(again.done(&lab.spec, &order)), update);
    assert_eq!(lines(&lab), 1);

    let mut round = 3;
    let code = loop {
        let (there, spent) = (files(&lab), lines(&lab));
        let order = train(&lab, round, base);
        let state = lab.worker.until(&lab.spec, &order, |state| match state {
            consilium_primitives::DutyState::Done(_) => Some(None),
            consilium_primitives::DutyState::Failed(code) => Some(Some(code)),
            _ => None,
        });
        match state {
            None => assert_eq!((files(&lab), lines(&lab)), (there + 1, spent + 1)),
            Some(code) => {
                assert_eq!((files(&lab), lines(&lab)), (there, spent), "no file, and no line");
                break code;
            }
        }
        round += 1;
    };
    assert_eq!(code, FailureCode::Refused);
    assert!(lab.home().ledger("demo").unwrap().epsilon_micro() <= 2_000_000);
    // a round that ε was not agreed for is not trained, whatever the limit
    says(&lab, "dataset = \"demo\"\nepsilon = 100.0\n");
    let spent = lines(&lab);
    assert_eq!(lab.failed(&train(&lab, 11, base)), FailureCode::Refused);
    assert_eq!(lines(&lab), spent);
}

#[test]
fn the_last_model_is_measured_for_this_site_and_for_nobody_else() {
    let lab = Lab::new(0, private());
    let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    assert_eq!(lab.done(&lab.order(DutyKind::Evaluate, 1, Some(base), None)), DutyOutput::Metric(None));
    assert!(lab.home().datasets().unwrap().is_empty(), "looking costs nothing");
}

#[test]
fn the_rows_of_one_study_are_not_counted_anew_under_another_name() {
    let lab = Lab::new(0, private());
    let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    says(&lab, "dataset = \"demo\"\nepsilon = 8.0\n");
    lab.done(&train(&lab, 1, base));
    says(&lab, "dataset = \"other\"\nepsilon = 8.0\n");
    assert_eq!(lab.failed(&train(&lab, 2, base)), FailureCode::Refused);
    assert_eq!(lab.home().datasets().unwrap(), ["demo"]);
    says(&lab, "dataset = \"demo\"\nepsilon = 8.0\ngpu = 0\n");
    assert_eq!(lab.failed(&train(&lab, 3, base)), FailureCode::Refused);
    says(&lab, "dataset = \"demo\"\nepsilon = 8.0\n");
    lab.done(&train(&lab, 4, base));
    assert_eq!(lines(&lab), 2);
}

/// The node names a specification without a promise for a study whose cost this site's people count.
#[test]
fn a_study_that_this_site_counts_is_not_trained_without_its_promise() {
    let lab = Lab::new(0, unscaled(1));
    let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    let before = files(&lab);
    says(&lab, "dataset = \"demo\"\nepsilon = 8.0\n");
    assert_eq!(lab.failed(&train(&lab, 1, base)), FailureCode::Refused);
    assert_eq!(lab.failed(&lab.order(DutyKind::Evaluate, 1, Some(base), None)), FailureCode::Refused);
    assert_eq!(files(&lab), before);
    // of a study that nobody counts, nothing is asked
    says(&lab, "");
    root(lab.done(&train(&lab, 2, base)));
}
