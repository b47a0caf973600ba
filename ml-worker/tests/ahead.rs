//! What follows a merge, done before the merge is attested.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use consilium_aggregation::blob_hash;
use consilium_primitives::{
    duty::{OLDER_PROTOCOL, PROTOCOL_VERSION},
    Ahead, Duty, DutyKind, DutyOrder, DutyOutput, DutyRequest, DutyState, Hash, Marks, Next,
};
use consilium_study::StudySpec;
use std::{
    fs,
    time::{Duration, Instant},
};
use support::{endless, input, root, sealed, unscaled, Door, Lab};

/// A site, and the merge of its update of round 1 with another one, which is all here.
fn merging(spec: &StudySpec, own: bool) -> (Lab, DutyOrder) {
    let lab = Lab::new(0, spec.clone());
    let base = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    let train = lab.order(DutyKind::Train, 1, Some(base), None);
    let own = if own {
        let update = root(lab.done(&train));
        let len = fs::metadata(lab.blob(&update)).unwrap().len();
        let blob = consilium_primitives::BlobRef { root: update, len };
        consilium_primitives::MergeInput { institution: lab.id, duty: train.duty.hash(), blob, weight: 1 }
    } else {
        let (own, bytes) = input(spec, train.duty.hash(), 0.5);
        lab.blobs().put(&bytes).unwrap();
        consilium_primitives::MergeInput { institution: lab.id, ..own }
    };
    let (other, bytes) = input(spec, blob_hash(b"another duty"), 0.25);
    assert_eq!(lab.blobs().put(&bytes).unwrap(), other.blob.root);
    let mut merge = lab.order(DutyKind::Merge, 1, Some(base), None);
    merge.inputs = vec![own, other];
    merge.inputs.sort_by_key(|input| input.institution);
    let merge = sealed(merge);
    (lab, merge)
}

fn ask(lab: &Lab, order: &DutyOrder, version: u8, follows: Ahead) -> DutyState {
    let (specs, ahead) = (vec![lab.spec.canonical().unwrap()], vec![Some(follows)]);
    let ahead = if version < PROTOCOL_VERSION { vec![] } else { ahead };
    let request = DutyRequest { version, specs, orders: vec![order.clone()], ahead, masked: vec![] };
    lab.worker.answer(&request).answers[0].state
}

/// Asks until it is done.
fn done(lab: &Lab, order: &DutyOrder, follows: Ahead) -> DutyOutput {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match ask(lab, order, PROTOCOL_VERSION, follows) {
            DutyState::Done(output) => return output,
            DutyState::Failed(code) => panic!("{code:?}"),
            state => assert!(Instant::now() < end, "still {state:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn train(lab: &Lab) -> Ahead {
    Ahead::Train { len: lab.spec.update_len().unwrap() }
}

/// A merge that was answered together with what follows: on a busy machine a training may take too long for that, and the merge is
/// answered alone.
fn with_next(follows: impl Fn(&Lab) -> Ahead) -> (Lab, DutyOrder, Hash, Next) {
    for _ in 0..20 {
        let (lab, merge) = merging(&unscaled(1), true);
        match done(&lab, &merge, follows(&lab)) {
            DutyOutput::Ahead { root, marks, next } => {
                assert_eq!(marks, Marks::default());
                return (lab, merge, root, next);
            }
            other => assert!(matches!(other, DutyOutput::Root(_)), "{other:?}"),
        }
    }
    panic!("of twenty merges none was answered with what follows")
}

#[test]
fn a_short_training_is_answered_together_with_the_merge_and_is_the_one_that_is_asked_for_later() {
    let (lab, _, root, next) = with_next(train);
    let Next::Update { duty, root: update, len, metric } = next else { panic!("{next:?}") };
    assert_eq!(len, fs::metadata(lab.blob(&update)).unwrap().len());
    let asked = lab.order(DutyKind::Train, 2, Some(root), None);
    assert_eq!(duty, asked.duty.hash());
    // once the chain asks for it, it is there, and is the same
    assert_eq!(lab.ask(&asked), DutyState::Done(DutyOutput::Update { root: update, metric }));
    // it is what a site trains that is asked only then
    let (plain, order) = merging(&unscaled(1), true);
    plain.worker.do_nothing_ahead();
    assert_eq!(done(&plain, &order, train(&plain)), DutyOutput::Root(root));
    assert_eq!(plain.done(&asked), DutyOutput::Update { root: update, metric });
}

#[test]
fn an_update_on_a_merge_that_is_not_attested_goes_when_another_one_is_asked_for() {
    let (lab, merge, root, next) = with_next(train);
    let Next::Update { root: void, .. } = next else { panic!("{next:?}") };
    assert!(lab.blob(&void).exists());
    // other attempts of the same merge, of which other models come
    let attempts = (1..20).map(|more| {
        let mut second = merge.clone();
        second.inputs[0].weight += more;
        done(&lab, &sealed(second), train(&lab))
    });
    let next = |output| match output {
        DutyOutput::Ahead { root, next: Next::Update { root: update, .. }, .. } => Some((root, update)),
        _ => None,
    };
    let (other, update) = attempts.filter_map(next).next().expect("one that is answered with what follows");
    assert!(other != root && update != void);
    assert!(lab.blob(&update).exists() && !lab.blob(&void).exists());
    // where the chain goes back to the first merge after all, it is made again, and is the same
    let asked = lab.order(DutyKind::Train, 2, Some(root), None);
    assert_eq!(support::root(lab.done(&asked)), void);
    assert!(lab.blob(&void).exists() && !lab.blob(&update).exists());
}

#[test]
fn attesting_waits_for_no_long_training_and_the_first_answer_stays() {
    let (lab, merge) = merging(&endless(), false);
    let began = Instant::now();
    let output = done(&lab, &merge, train(&lab));
    let DutyOutput::Root(root) = output else { panic!("{output:?}") };
    assert!(began.elapsed() < Duration::from_secs(10), "it waited for a training without end");
    // it trains on meanwhile
    let asked = lab.order(DutyKind::Train, 2, Some(root), None);
    assert!(matches!(lab.ask(&asked), DutyState::Running { .. } | DutyState::Queued));
    assert_eq!(done(&lab, &merge, train(&lab)), output);
}

#[test]
fn after_the_last_round_the_loss_comes_with_the_merge() {
    let (lab, _, root, next) = with_next(|_| Ahead::Evaluate);
    let Next::Last { metric } = next else { panic!("{next:?}") };
    assert!(metric.is_some());
    let mut evaluate = lab.order(DutyKind::Evaluate, 1, Some(root), None);
    evaluate.output_len = 0;
    assert_eq!(lab.done(&evaluate), DutyOutput::Metric(metric));
}

#[test]
fn a_node_of_an_earlier_version_is_told_of_the_merge_alone() {
    let (lab, merge) = merging(&unscaled(1), true);
    let merged = lab.done(&merge);
    assert!(matches!(merged, DutyOutput::Root(_)));
    assert_eq!(ask(&lab, &merge, OLDER_PROTOCOL, train(&lab)), DutyState::Done(merged));
}

#[test]
fn what_a_site_may_not_do_it_does_not_do_ahead() {
    let (lab, merge) = merging(&unscaled(1), true);
    let sites = fs::read_to_string(lab.dir.path().join("sites.toml")).unwrap();
    fs::write(lab.dir.path().join("sites.toml"), sites.replace("max_rounds = 50", "max_rounds = 1")).unwrap();
    let output = done(&lab, &merge, train(&lab));
    let DutyOutput::Root(root) = output else { panic!("{output:?}") };
    let next = Duty { kind: DutyKind::Train, round: 2, base: root, ..merge.duty };
    assert!(lab.home().result(&next.hash()).unwrap().is_none());
}
