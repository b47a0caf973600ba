//! The leak bench in short: its parts against numbers worked out by hand, then 96 studies with masks and without, and the control
//! that shows that it finds what there is to be found. The long form is `bench/leaks.sh`.
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../examples/leaks/attack.rs"]
mod attack;
#[path = "../examples/leaks/linear.rs"]
mod linear;
#[path = "../examples/leaks/network.rs"]
mod network;
#[path = "../examples/leaks/play.rs"]
mod play;
#[path = "../examples/leaks/promise.rs"]
mod promise;
#[path = "../examples/leaks/readoff.rs"]
mod readoff;
#[path = "../examples/leaks/report.rs"]
mod report;
#[path = "../examples/leaks/sums.rs"]
mod sums;
#[path = "../examples/leaks/world.rs"]
mod world;

use attack::{worth, Seen, Worth};
use consilium_ml_worker::learn::{initial_parameters, OptimizerState, Seeds, Session};
use linear::Cholesky;
use network::Network;
use play::{Measured, View};
use promise::ROUNDS;
use report::{Membership, Record};
use sums::{Partner, Sum};
use world::{Arm, World};

#[test]
fn a_matrix_is_taken_apart_and_one_that_is_not_positive_is_none() {
    // 4 2 · 2 3 = (2 0 · 1 √2)(2 1 · 0 √2); with x = (1, 2) on the right stands (8, 8)
    let matrix = Cholesky::of(vec![4.0, 2.0, 2.0, 3.0], 2).unwrap();
    let mut x = [8.0, 8.0];
    matrix.solve(&mut x);
    assert!((x[0] - 1.0).abs() < 1e-12 && (x[1] - 2.0).abs() < 1e-12, "{x:?}");
    assert!(Cholesky::of(vec![1.0, 2.0, 2.0, 1.0], 2).is_none());
}

#[test]
fn scores_make_a_curve_and_equal_ones_count_a_half() {
    // of 3 · 2 pairs four are in order, and one is tied
    let scores = vec![(3.0, true), (2.0, false), (2.0, true), (1.0, true), (0.0, false)];
    assert_eq!(worth(scores), Worth { auc: 4.5 / 6.0, found: 1.0 / 3.0 });
    let apart = (0..200).map(|n| (f64::from(n), n >= 100)).collect();
    assert_eq!(worth(apart), Worth { auc: 1.0, found: 1.0 });
    // one false alarm in a hundred is allowed, and no second one
    let mut one = vec![(9.0, false), (8.0, true), (7.0, false), (6.0, true)];
    one.extend((0..98).map(|_| (0.0, false)));
    assert_eq!(worth(one).found, 0.5);
}

/// What the attacker takes for a row's gradient is what the engine trains by: one step over that row, with a rate of 1.
#[test]
fn a_rows_gradient_is_the_engines() {
    let world = World::new(1);
    for arm in [Arm::Steps, Arm::Logistic] {
        let (mut spec, _) = Arm::Steps.study(3).unwrap();
        spec.model = arm.study(3).unwrap().0.model;
        spec.training.clip = None;
        let base = initial_parameters(&spec).unwrap();
        let row = world.drawn(5, 1);
        let rows = world.rows(&row);
        let seeds = Seeds::new(&[1; 32], &[2; 32], 2);
        let state = OptimizerState::default();
        let trained = Session::new(&spec, &base, &rows, None, &state, &seeds).train(&|_| false).unwrap();
        let wide = |numbers: &[f32]| numbers.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
        let gradient = arm.network().gradient(&wide(&base), &wide(world.features(row[0])), rows.labels() == [1]);
        assert_eq!(gradient.len(), base.len());
        assert!(gradient.iter().any(|g| g.abs() > 0.01), "{arm:?}");
        for ((after, before), g) in trained.parameters.iter().zip(&base).zip(gradient) {
            assert!((f64::from(*before) - g - f64::from(*after)).abs() < 1e-5, "{arm:?}: {before} {after} {g}");
        }
    }
}

/// What the curious site sees is the sum of the others alone, as it is, to what the grid and 32 bits round; and of what it does not see
/// nothing is in it.
#[test]
fn a_masked_sum_is_the_mean_of_those_who_are_in_it() {
    let base = [0.5f32, -0.25, 0.0];
    let updates = [[0.75f32, -0.5, 1.0], [9.0, 9.0, 9.0], [0.25, -0.125, -1.0], [0.5, 0.75, 2.0]];
    let partners = |out: usize| -> Vec<Partner<'_>> {
        let all = updates.iter().zip([100, 200, 300, 400]).enumerate();
        all.map(|(site, (update, weight))| Partner { weight, update: Some(&update[..]).filter(|_| site != out) })
            .collect()
    };
    let sum = Sum::of(&base, &partners(1)).unwrap();
    // (100 · (.25, −.25, 1) + 300 · (−.25, .125, −1) + 400 · (0, 1, 2)) ÷ 800
    for (found, expected) in sum.step.iter().zip([-0.0625, 0.515625, 0.75]) {
        assert!((found - expected).abs() < 1e-6, "{:?}", sum.step);
    }
    for ((model, base), step) in sum.model.iter().zip(base).zip(&sum.step) {
        assert!((model - base - step).abs() < 1e-6);
    }
    // a sum over two is never opened
    assert!(Sum::of(&base, &partners(1)[..3]).is_err());
}

/// A site that says in its step who is in is found out from that step, and not from a step that says nothing.
#[test]
fn the_attack_finds_what_is_there_and_nothing_where_nothing_is() {
    let network = Network { inputs: 30, hidden: 0 };
    let world = World::new(2);
    let candidates = world.candidates();
    let bases = vec![vec![0f32; network.parameters()]];
    let shares: Vec<_> = (0..60).map(|study| world.shares(study)).collect();
    assert!(shares.iter().all(|share| share.members.iter().filter(|inside| **inside).count() == candidates.len() / 2));
    let of = |speaks: bool| -> Vec<Vec<Vec<f32>>> {
        let step = |members: &[bool]| -> Vec<f32> {
            let mut step = vec![0f64; network.parameters()];
            for (candidate, _) in candidates.iter().zip(members).filter(|(_, inside)| **inside && speaks) {
                let gradient = network.gradient(&vec![0.0; network.parameters()], &candidate.row, candidate.positive);
                step.iter_mut().zip(gradient).for_each(|(sum, g)| *sum -= g);
            }
            step.iter().map(|x| *x as f32).collect()
        };
        shares.iter().map(|share| vec![step(&share.members)]).collect()
    };
    let worth = |steps: &[Vec<Vec<f32>>]| {
        let seen: Vec<Seen<'_>> = steps
            .iter()
            .zip(&shares)
            .map(|(steps, share)| Seen { bases: &bases, steps, members: &share.members })
            .collect();
        attack::attack(network, &candidates, &seen, false)
    };
    let (speaks, silent) = (worth(&of(true)), worth(&of(false)));
    assert!(speaks.auc > 0.55, "{speaks:?}");
    assert_eq!(silent.auc, 0.5, "steps that are all the same tell nothing");
}

/// The short form: with 96 studies, of which 64 teach, less is found than with 600; a lower bar shows that something is.
#[test]
fn a_masked_sum_tells_less_of_who_was_among_the_rows_than_an_update() {
    let measured = play::game(Arm::Net, 1, 96, false).unwrap();
    let of = |view: View| measured.iter().find(|m| m.view == view && !m.whitened).unwrap().worth;
    let (update, sum, models) = (of(View::Update), of(View::Sum), of(View::Models));
    let said = format!("update {update:?}, sum {sum:?}, models {models:?}");
    assert!(update.auc >= 0.65 && update.found >= 0.06, "the control finds nothing: {said}");
    assert!(sum.auc <= 0.65 && sum.found <= 0.08, "{said}");
    assert!(update.auc - sum.auc >= 0.05, "{said}");
    // with masks, who takes part sees little more than what the models show anyway
    assert!((sum.auc - models.auc).abs() <= 0.08, "{said}");
}

#[test]
fn what_nobody_can_find_follows_from_the_noise() {
    for (arm, bound) in Arm::PRIVATE.into_iter().zip([0.2239, 0.0717, 0.0314, 0.0188]) {
        let promise = arm.promise().unwrap();
        let least = consilium_privacy::calibrate(1_000_000, ROUNDS.into(), 5, promise.epsilon).unwrap();
        assert_eq!(promise.sigma_1024, least, "{arm:?}");
        assert!((promise.found_at_most() - bound).abs() < 2e-4, "{arm:?}: {}", promise.found_at_most());
    }
    assert!(Arm::PLAIN.iter().all(|arm| arm.promise().is_none()));
}

#[test]
fn a_bar_of_private_studies_that_does_not_hold_is_named() {
    let missed = |arm: Arm, auc: f64, found: f64| {
        let (arm, view) = (arm.name().to_owned(), View::Update);
        let record = Membership { arm, seed: 1, studies: 600, view, whitened: false, auc, found };
        report::missed(&[Record::Membership(record)])
    };
    assert!(missed(Arm::Epsilon1, 0.53, 0.025).is_empty());
    let both = missed(Arm::Epsilon1, 0.55, 0.03);
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both.iter().all(|line| line.contains("epsilon1")), "{both:?}");
    assert!(missed(Arm::Epsilon2, 0.55, 0.04).is_empty());
    assert_eq!(missed(Arm::Epsilon2, 0.57, 0.05).len(), 2);
    assert_eq!(
        missed(Arm::Steps, 0.60, 0.5).len(),
        1,
        "an attack that finds nothing in exact steps says nothing of noise"
    );
}

/// The short form: 96 studies of exact steps tell the attacker who was in, and the same steps with noise do not. A part of those that
/// are found is found by chance: of 1,568 who were in and as many who were not.
#[test]
fn noise_hides_who_was_among_the_rows_where_exact_steps_tell() {
    let update = |arm: Arm| -> Vec<Measured> {
        let measured = play::game(arm, 1, 96, true).unwrap();
        measured.into_iter().filter(|m| m.view == View::Update).collect()
    };
    let exact = update(Arm::Steps);
    let best = exact.iter().map(|m| m.worth.auc).fold(0.0, f64::max);
    assert!(best >= 0.62, "the control finds nothing: {exact:?}");
    let bound = Arm::Epsilon2.promise().unwrap().found_at_most();
    for Measured { whitened, worth, .. } in update(Arm::Epsilon2) {
        assert!(worth.auc <= 0.57, "whitened {whitened}: {worth:?}");
        assert!(worth.found <= bound + 0.02, "whitened {whitened}: {worth:?}, where nobody finds more than {bound}");
    }
}

#[test]
fn rows_that_stand_in_one_exact_step_do_not_stand_in_the_masked_sum_of_three() {
    let own = readoff::read_off(256, 4, 1, 10).unwrap();
    assert!(own >= 0.90, "the control reads {own}");
    let alone = readoff::read_off(16, 1, 1, 10).unwrap();
    assert!(alone >= 0.99, "one row stands in its own step: {alone}");
    let summed = readoff::read_off(256, 4, 3, 10).unwrap();
    assert!(summed <= 0.15, "{summed}");
}
