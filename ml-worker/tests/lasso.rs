//! The LASSO: that its steps and its end are the right ones, that it finds what matters, and that it stands what the
//! paper's tables are like: far more columns than rows, most of them alike.
#![allow(clippy::unwrap_used)]

use consilium_aggregation::merge;
use consilium_ml_worker::{
    data::{columns, read_table, Rows},
    learn::{curvature, initial_parameters, objective, Net, OptimizerState, Seeds, Session, Stepper, TrainError},
    random::{key, Stream},
    simulate::{run, site_group_key, Site},
};
use consilium_primitives::{
    rules::{Merge, MergeRule, Weighting},
    InstitutionId,
};
use consilium_study::{StudyFile, StudySpec};
use std::{fmt::Write, fs};

const FILE: &str = include_str!("../../examples/nature2021/lasso.toml");
/// Made by `golden/lasso.py`: numpy and scikit-learn.
const GOLDEN: &str = include_str!("golden/lasso.json");

fn spec(columns: usize, l1: f64, changes: &[(&str, &str)]) -> StudySpec {
    let mut text = FILE.replace("count = 12708", &format!("count = {columns}"));
    let mut change = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    };
    change("l1 = 0.01 ", &format!("l1 = {l1:?} "));
    changes.iter().for_each(|(from, to)| change(from, to));
    StudyFile::parse(&text).unwrap().spec()
}

/// The rows of `golden/lasso.py`.
fn rows() -> Rows {
    let mut state = 1u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % 201) as f64 / 100.0 - 1.0
    };
    let x: Vec<f64> = (0..300 * 50).map(|_| (draw() * 100.0).round() / 100.0).collect();
    let labels = x
        .chunks(50)
        .map(|x| {
            u32::from(2.0 * x[3] - 2.0 * x[17] + 1.5 * x[29] - 1.5 * x[41] + (draw() * 100.0).round() / 100.0 > 1e-9)
        })
        .collect();
    Rows::kept(50, 1, x.iter().map(|x| *x as f32).collect(), labels)
}

struct Golden(serde_json::Value);

impl Golden {
    fn read() -> Self {
        Self(serde_json::from_str(GOLDEN).unwrap())
    }

    fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap()
    }

    /// Weights, then the bias.
    fn model(&self, name: &str) -> Vec<f64> {
        self.0[name].as_array().unwrap().iter().map(|w| w.as_f64().unwrap()).collect()
    }
}

/// Weights, then the bias, which comes first in the model file.
fn weights_first<T: Copy + Into<f64>>(parameters: &[T]) -> Vec<f64> {
    parameters[1..].iter().chain(&parameters[..1]).map(|w| (*w).into()).collect()
}

fn furthest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

fn train(spec: &StudySpec, base: &[f32], rows: &Rows, round: u32) -> (Vec<f32>, f64) {
    let (state, seeds) = (OptimizerState::default(), Seeds::new(&[1; 32], &[2; 32], round));
    let trained = Session::new(spec, base, rows, None, &state, &seeds).train(&|_| false).unwrap();
    (trained.parameters, trained.loss)
}

#[test]
fn steps_and_their_end_are_those_of_numpy_and_scikit_learn() {
    let (golden, rows) = (Golden::read(), rows());
    assert_eq!(rows.positive().iter().filter(|y| **y).count() as f64, golden.number("positives"));
    let spec = spec(50, golden.number("l1"), &[]);
    let (net, objective) = (Net::new(spec.architecture().unwrap()).unwrap(), objective(&spec, None));
    // in f64, with numpy's curvature: step for step
    let base: Vec<f64> = initial_parameters(&spec).unwrap().iter().map(|w| f64::from(*w)).collect();
    assert_eq!(base, vec![0.0; 51]);
    let features: Vec<f64> = rows.features().unwrap().iter().map(|x| (f64::from(*x) * 100.0).round() / 100.0).collect();
    let mut stepper = Stepper::new(&spec.training, &net, &base).with_curvature(golden.number("curvature"));
    let (mut w, mut gradient, mut work) = (base.clone(), base.clone(), net.workspace(300));
    for step in 1..=20_000u32 {
        work.input().copy_from_slice(&features);
        net.loss_and_gradient(&mut work, &w, &objective, rows.labels(), None, &mut gradient);
        stepper.step(&mut w, &mut gradient, 0.0, 1.0);
        if f64::from(step) == golden.number("steps") {
            assert!(furthest(&weights_first(&w), &golden.model("ista")) < 1e-12);
        }
    }
    assert!(furthest(&weights_first(&w), &golden.model("lasso")) < 1e-9);
    assert_eq!(w.iter().filter(|w| **w != 0.0).count(), 5, "what is not chosen is exactly 0");
    // in f32, as studies train, with the curvature that the worker finds
    let found = curvature::of(&rows, &objective, 64, &|| false).unwrap().unwrap() / golden.number("curvature");
    assert!((0.95..1.000_001).contains(&found), "{found}");
    let mut model = initial_parameters(&spec).unwrap();
    let mut loss = f64::INFINITY;
    for round in 1..=20 {
        (model, loss) = train(&spec, &model, &rows, round);
    }
    let stopped =
        Session::new(&spec, &model, &rows, None, &OptimizerState::default(), &Seeds::new(&[1; 32], &[2; 32], 1))
            .train(&|done| done == 0.0);
    assert!(matches!(stopped, Err(TrainError::Halted)), "it can be stopped before the first step, too");
    let far = furthest(&weights_first(&model), &golden.model("lasso"));
    assert!(far < 1e-6, "{far}");
    assert!((loss - golden.number("loss")).abs() < 1e-6, "{loss}");
}

#[test]
fn the_columns_that_matter_are_found_and_no_others() {
    let (golden, rows) = (Golden::read(), rows());
    let chosen = |model: &[f32]| (0..50).filter(|n| model[n + 1] != 0.0).collect::<Vec<usize>>();
    let support: Vec<usize> = serde_json::from_value(golden.0["support"].clone()).unwrap();
    for (loss, l1) in [("squared_error", 0.05), ("cross_entropy", 0.03)] {
        let spec = spec(
            50,
            l1,
            &[("loss = \"squared_error\"", &format!("loss = {loss:?}")), ("batch_size = 128", "batch_size = 77")],
        );
        let mut model = initial_parameters(&spec).unwrap();
        for round in 1..=20 {
            model = train(&spec, &model, &rows, round).0;
        }
        assert_eq!(chosen(&model), support, "{loss}");
    }
}

/// What docs/merging.md says: a weight of the mean is 0 only where it is 0 at every site.
#[test]
fn a_mean_of_sparse_models_has_the_columns_that_any_of_them_has() {
    let merged = merge(
        &Merge::by(MergeRule::Mean(Weighting::Samples)),
        &[(&[0.0, 0.5, 0.0, -1.0][..], 30), (&[0.0, 0.0, 0.25, 1.0][..], 10)],
        &[0.0; 4],
        &[],
    );
    assert_eq!(merged.unwrap().model, [0.0, 0.375, 0.0625, -0.5]);
}

/// 12,708 columns, of which five factors make a tenth, or three tenths, of the variance; the label follows from three
/// columns. Steps of gradient descent at .01, as the authors have them, leave the finite numbers here.
#[test]
fn more_columns_than_rows_and_most_of_them_alike_do_no_harm() {
    const COLUMNS: usize = 12_708;
    for (common, rows) in [(0.1, 160), (0.3, 160)] {
        let mut stream = Stream::new(key("test/lasso", &[&[(common * 10.0) as u8]]));
        let loads: Vec<f64> = (0..COLUMNS * 5).map(|_| stream.normal()).collect();
        let (mut x, mut labels) = (Vec::with_capacity(rows * COLUMNS), Vec::new());
        for _ in 0..rows {
            let factors: [f64; 5] = std::array::from_fn(|_| stream.normal());
            let own = x.len();
            for load in loads.chunks(5) {
                let shared: f64 = load.iter().zip(&factors).map(|(l, f)| l * f).sum();
                x.push((shared * f64::sqrt(common / 5.0) + stream.normal() * f64::sqrt(1.0 - common)) as f32);
            }
            labels.push(u32::from(x[own + 10] + x[own + 200] - x[own + 5_000] > 0.0));
        }
        let rows = Rows::kept(COLUMNS, 1, x, labels);
        let spec = spec(COLUMNS, 0.1, &[("epochs = 50 ", "epochs = 20 ")]);
        let mut model = initial_parameters(&spec).unwrap();
        let mut losses = Vec::new();
        for round in 1..=10 {
            let loss;
            (model, loss) = train(&spec, &model, &rows, round);
            losses.push(loss);
        }
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{common}: {losses:?}");
        let chosen = model[1..].iter().filter(|w| **w != 0.0).count();
        assert!((3..COLUMNS / 2).contains(&chosen), "{common}: {chosen} columns; {losses:?}");
        // the same with their optimiser, and from the same start
        let mut theirs = spec;
        theirs.training.optimizer = serde_json::from_str(r#"{"sgd":{"learning_rate":0.01}}"#).unwrap();
        let base = initial_parameters(&theirs).unwrap();
        let (state, seeds) = (OptimizerState::default(), Seeds::new(&[1; 32], &[2; 32], 1));
        let diverged = Session::new(&theirs, &base, &rows, None, &state, &seeds).train(&|_| false);
        assert!(diverged.is_err() || diverged.unwrap().loss > 100.0, "{common}");
    }
}

/// The example as it is shipped, but for the hash of the genes' names, which everybody has to put in, and the number of rounds:
/// three sites, 12,708 genes, a tenth of whose variance is common, the label from three of them.
#[test]
fn the_example_is_trained_by_three_sites_and_finds_what_the_label_follows_from() {
    const GENES: usize = 12_708;
    const SITES: [u8; 3] = [1, 2, 3];
    let folder = tempfile::tempdir().unwrap();
    let mut stream = Stream::new(key("test/lasso/example", &[]));
    let loads: Vec<f64> = (0..GENES * 5).map(|_| stream.normal()).collect();
    let path = |site: u8| folder.path().join(format!("{site}.csv"));
    for site in SITES {
        let mut text: String = (0..GENES).map(|gene| format!("gene{gene},")).collect::<String>() + "disease\n";
        for _ in 0..120 {
            let factors: [f64; 5] = std::array::from_fn(|_| stream.normal());
            let shared = |load: &[f64]| load.iter().zip(&factors).map(|(l, f)| l * f).sum::<f64>() * f64::sqrt(0.02);
            let x: Vec<f64> = loads.chunks(5).map(|load| shared(load) + stream.normal() * f64::sqrt(0.9)).collect();
            x.iter().for_each(|x| write!(text, "{x:.3},").unwrap());
            writeln!(text, "{}", u8::from(x[10] + x[200] - x[5_000] > 0.0)).unwrap();
        }
        fs::write(path(site), text).unwrap();
    }
    let genes = columns(&path(1), &["disease"], Vec::new()).unwrap().others;
    assert_eq!(genes.count, 12_708);
    let text = FILE.replace(&"0".repeat(64), &genes.hash).replace("rounds = 100", "rounds = 4");
    let file = StudyFile::parse(&text).unwrap();
    let spec = file.spec();
    let sites = SITES.map(|n| {
        let (name, secret) = (n.to_string(), [n; 32]);
        let table = read_table(&path(n), &spec.data, &site_group_key(&spec, &secret).unwrap()).unwrap();
        Site { name, id: InstitutionId([n; 32]), secret, samples: 96, table }
    });
    let outcome = run(&spec, &file.rules(500, 3).unwrap(), &sites, &|_, _, loss| loss).unwrap();
    assert_eq!(outcome.rounds.len(), 5);
    let losses = |round: usize| outcome.rounds[round].losses.iter().map(|(_, loss)| *loss).collect::<Vec<_>>();
    let (first, last) = (losses(0), losses(4));
    assert!(first.len() == 3 && first.iter().zip(&last).all(|(first, last)| last < first), "{first:?} {last:?}");
    // features are sorted by their names
    let weights: Vec<(f32, &str)> =
        outcome.last[1..].iter().copied().zip(sites[0].table.features.iter().map(String::as_str)).collect();
    let chosen = weights.iter().filter(|(w, _)| *w != 0.0).count();
    // after so few steps not as few as in the end; a gene is exactly 0 here where it is at all three sites
    assert!((3..GENES * 3 / 4).contains(&chosen), "{chosen} genes");
    let mut largest = weights;
    largest.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    let mut found: Vec<&str> = largest[..3].iter().map(|(_, name)| *name).collect();
    found.sort_unstable();
    assert_eq!(found, ["gene10", "gene200", "gene5000"], "{:?}", &largest[..6]);
}

#[test]
fn one_class_as_often_as_the_other_is_no_reason_to_stop() {
    // at zeros, the cross-entropy is flat in the bias then
    let rows = Rows::kept(2, 1, vec![1.0, 0.0, -1.0, 0.5, 0.5, 1.0, -1.0, -1.0], vec![1, 0, 1, 0]);
    let spec = spec(2, 0.001, &[("loss = \"squared_error\"", "loss = \"cross_entropy\"")]);
    let (model, _) = train(&spec, &initial_parameters(&spec).unwrap(), &rows, 1);
    assert!(model.iter().any(|w| *w != 0.0));
}
