//! The leak bench in short: its parts against numbers worked out by hand, then 96 studies with masks and without, and the control
//! that shows that it finds what there is to be found. The long form is `bench/leaks.sh`.
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../examples/leaks/attack.rs"]
mod attack;
#[path = "../examples/leaks/exact.rs"]
mod exact;
#[path = "../examples/leaks/linear.rs"]
mod linear;
#[path = "../examples/leaks/matching.rs"]
mod matching;
#[path = "../examples/leaks/network.rs"]
mod network;
#[path = "../examples/leaks/play.rs"]
mod play;
#[path = "../examples/leaks/promise.rs"]
mod promise;
#[path = "../examples/leaks/readoff.rs"]
mod readoff;
#[path = "../examples/shared/records.rs"]
mod records;
#[path = "../examples/leaks/report.rs"]
mod report;
#[path = "../examples/shared/seeds.rs"]
mod seeds;
#[path = "../examples/leaks/sums.rs"]
mod sums;
#[path = "../examples/leaks/world.rs"]
mod world;

use attack::{worth, Seen, Worth};
use consilium_ml_worker::learn::{initial_parameters, OptimizerState, Seeds, Session};
use exact::Setting;
use linear::Cholesky;
use matching::{pairs, Problem, Search};
use network::{wide, Network};
use play::{Measured, View};
use promise::ROUNDS;
use report::{bars, Matched, Membership, Read, Record, Tried};
use std::fs;
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
        attack::attack(network, &candidates, &seen, true)
    };
    let (speaks, silent) = (worth(&of(true)), worth(&of(false)));
    // without whitening, and with it
    assert_eq!((speaks.len(), silent.len()), (2, 2));
    assert!(speaks[0].auc > 0.55 && speaks[1].auc > 0.53, "{speaks:?}");
    assert!(silent.iter().all(|worth| worth.auc == 0.5), "steps that are all the same tell nothing: {silent:?}");
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
    let promises: Vec<_> = Arm::PRIVATE.into_iter().filter_map(Arm::promise).collect();
    assert_eq!(promises.iter().map(|promise| promise.epsilon).collect::<Vec<_>>(), [8.0, 4.0, 2.0, 1.0]);
    for (promise, bound) in promises.into_iter().zip([0.2239, 0.0718, 0.0314, 0.0188]) {
        let least = consilium_privacy::calibrate(1_000_000, ROUNDS.into(), 5, promise.epsilon);
        assert_eq!(least, Some(promise.sigma_1024), "{promise:?}");
        assert!((promise.found_at_most() - bound).abs() < 2e-4, "{promise:?}: {}", promise.found_at_most());
    }
    assert!(Arm::PLAIN.iter().all(|arm| arm.promise().is_none()));
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
fn a_bar_of_private_studies_that_does_not_hold_is_missed() {
    let missed = |arm: Arm, auc: f64, found: f64| {
        let (arm, view) = (arm.name().to_owned(), View::Update);
        let record = Membership { arm, seed: 1, studies: 600, view, whitened: false, auc, found };
        let all = bars(&[Record::Membership(record)]);
        assert!(!all.is_empty());
        all.into_iter().filter(|bar| !bar.holds()).count()
    };
    assert_eq!(missed(Arm::Epsilon1, 0.53, 0.028), 0);
    assert_eq!(missed(Arm::Epsilon1, 0.55, 0.030), 2);
    assert_eq!(missed(Arm::Epsilon2, 0.55, 0.040), 0);
    assert_eq!(missed(Arm::Epsilon2, 0.57, 0.043), 2);
    assert_eq!(missed(Arm::Epsilon4, 0.60, 0.083), 1);
    // an attack that finds nothing in exact steps says nothing of noise
    assert_eq!(missed(Arm::Steps, 0.60, 0.5), 1);
}

#[test]
fn rows_that_stand_in_one_exact_step_do_not_stand_in_the_masked_sum_of_three() {
    let of = |width, rows, sites| Setting { width, rows, sites };
    let own = readoff::read_off(of(256, 4, 1), 10).unwrap();
    assert!(own >= 0.90, "the control reads {own}");
    let alone = readoff::read_off(of(16, 1, 1), 10).unwrap();
    assert!(alone >= 0.99, "one row stands in its own step: {alone}");
    let summed = readoff::read_off(of(256, 4, 3), 10).unwrap();
    assert!(summed <= 0.15, "{summed}");
}

/// What is matched is the mean gradient of all rows behind the step: of one site's own step, and of the masked sum of three.
#[test]
fn what_is_seen_of_an_exact_step_is_the_mean_gradient_of_the_rows_behind_it() {
    let world = World::new(1);
    for sites in [1, 3] {
        let setting = Setting { width: 16, rows: 4, sites };
        let seen = setting.play(&world, 3).unwrap();
        assert_eq!(seen.rows.len(), 4 * sites);
        let positive: Vec<bool> = seen.rows.iter().map(|row| world.is_positive(*row)).collect();
        let rows: Vec<f64> = seen.rows.iter().flat_map(|row| wide(world.features(*row))).collect();
        let (model, gradient) = (wide(&seen.base), seen.gradient());
        let network = setting.network();
        let problem = Problem { network, model: &model, positive: &positive, seen: &gradient };
        let mut slope = vec![0.0; rows.len()];
        let there = problem.distance(&rows, &mut slope);
        assert!(there < 1e-8, "{sites} sites: {there}");
        let elsewhere = problem.distance(&vec![0.0; rows.len()], &mut slope);
        assert!(elsewhere > 0.1, "{sites} sites: {elsewhere}");
    }
}

/// The slope that is walked down, as it is derived in the head of `matching.rs`, against quotients of differences.
#[test]
fn the_slope_of_the_distance_is_its_quotient_of_differences() {
    let network = Network { inputs: 3, hidden: 12 };
    let mut chance = consilium_study::random::Stream::new([4; 32]);
    let mut drawn = |count: usize| (0..count).map(|_| chance.normal()).collect::<Vec<f64>>();
    let (seen, mut rows) = (drawn(network.parameters()), drawn(6));
    // smaller than usual, so that no probability is next to 0 or 1
    let model: Vec<f64> = drawn(network.parameters()).iter().map(|x| x / 2.0).collect();
    let problem = Problem { network, model: &model, positive: &[true, false], seen: &seen };
    let mut slope = vec![0.0; rows.len()];
    problem.distance(&rows, &mut slope);
    assert!(slope.iter().all(|x| x.abs() > 1e-9), "{slope:?}");
    let mut other = vec![0.0; rows.len()];
    for (place, slope) in slope.iter().enumerate() {
        let at = rows[place];
        rows[place] = at + 1e-6;
        let above = problem.distance(&rows, &mut other);
        rows[place] = at - 1e-6;
        let below = problem.distance(&rows, &mut other);
        rows[place] = at;
        let quotient = (above - below) / 2e-6;
        assert!((slope - quotient).abs() < 1e-6 * quotient.abs().max(1e-2), "cell {place}: {slope}, {quotient}");
    }
}

#[test]
fn the_nearest_rows_are_paired_first() {
    // .4 is the nearest to 1, so that 2 is left with −5, although the other two pairs would be nearer taken together
    let found: [&[f64]; 2] = [&[0.4], &[2.0]];
    let truth: [&[f64]; 2] = [&[-5.0], &[1.0]];
    assert_eq!(pairs(&found, &truth), [(0, 1), (1, 0)]);
}

/// The short form of gradient matching: it finds one row by its gradient, and of the rows behind a masked sum little more than guessing.
#[test]
fn a_row_is_found_by_its_gradient_and_rows_behind_a_masked_sum_are_not() {
    let search = Search { starts: 4, steps: 600 };
    let alone = matching::cells(Setting { width: 16, rows: 1, sites: 1 }, 6, search).unwrap();
    assert!(alone.found >= 0.8 && alone.guessed < 0.6, "the control finds {alone:?}");
    let summed = matching::cells(Setting { width: 16, rows: 8, sites: 3 }, 2, search).unwrap();
    assert!(summed.found <= 0.5, "{summed:?}");
}

/// The bars of the bench: each is told, and one that does not hold is missed; what was not measured has none.
#[test]
fn a_bar_that_does_not_hold_is_missed() {
    let membership = |view, auc, found| {
        let arm = Arm::Net.name().to_owned();
        Record::Membership(Membership { arm, seed: 1, studies: 600, view, whitened: false, auc, found })
    };
    let read = |sites, share| Record::Read(Read { setting: Setting { width: 256, rows: 4, sites }, runs: 40, share });
    let search = Search { starts: 6, steps: 1_500 };
    let setting = Setting { width: 16, rows: 1, sites: 1 };
    let matched = |found| Record::Matched(Matched { setting, runs: 10, search, found, guessed: 0.3 });
    let good = [
        membership(View::Update, 0.70, 0.10),
        membership(View::Sum, 0.65, 0.08),
        read(1, 0.90),
        read(3, 0.15),
        matched(0.90),
    ];
    assert!(bars(&[]).is_empty());
    assert_eq!(bars(&good).len(), 7);
    assert!(bars(&good).iter().all(|bar| bar.holds()), "{:?}", bars(&good));
    let bad = [
        membership(View::Update, 0.69, 0.09),
        membership(View::Sum, 0.66, 0.09),
        read(1, 0.89),
        read(3, 0.16),
        matched(0.89),
    ];
    assert!(bars(&bad).iter().all(|bar| !bar.holds()), "{:?}", bars(&bad));
    let tried = Tried { widths: &[16, 256], rows: &[1, 4], summed: &[4] };
    assert_eq!(tried.settings().len(), 6);
    let tables = report::tables(&bad, &tried, &tried);
    for part in ["0.690", "MISSED", "guessing", "3 x 4", "0.16"] {
        assert!(tables.contains(part), "{part} in {tables}");
    }
    // a record is found again after it was read, and none of another run
    let text = serde_json::to_string(&good[4]).unwrap();
    let again: Record = serde_json::from_str(&text).unwrap();
    assert!(again.is_matched(setting, 10, search) && !again.is_matched(setting, 20, search));
}

/// A run that was interrupted while it wrote goes on behind what was written whole.
#[test]
fn a_record_that_was_cut_off_is_measured_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.json");
    assert!(records::read::<u32>(&path).unwrap().is_empty());
    records::add(&path, &[1u32, 2]).unwrap();
    fs::write(&path, fs::read_to_string(&path).unwrap() + "34").unwrap();
    assert_eq!(records::read::<u32>(&path).unwrap(), [1, 2]);
    records::add(&path, &[5u32]).unwrap();
    assert_eq!(records::read::<u32>(&path).unwrap(), [1, 2, 5]);
    fs::write(&path, "1\nx\n").unwrap();
    let said = format!("{:#}", records::read::<u32>(&path).unwrap_err());
    assert!(said.contains("line 2") && said.contains("move the file away"), "{said}");
}

#[test]
fn seeds_are_a_range_or_one_and_anything_else_is_named() {
    assert_eq!(seeds::range("3..5").unwrap(), 3..=5);
    assert_eq!(seeds::range("4").unwrap(), 4..=4);
    for wrong in ["5..3", "a..4", "1..", ""] {
        assert!(format!("{:#}", seeds::range(wrong).unwrap_err()).contains("seeds"), "{wrong}");
    }
}
