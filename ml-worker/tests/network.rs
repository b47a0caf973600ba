//! Gradients, dropout and the extremes of the AUC, against computations of their own.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::{
    data::Rows,
    learn::{initial_parameters, logits, metrics::Metrics, train, Net, OptimizerState, Seeds},
    random::{key, Stream},
};
use consilium_study::{Activation, Features, Model, StudyFile, StudySpec};

/// Five features and these hidden layers, on the example's terms.
fn spec(hidden: &[u32], activation: Activation, dropout: f64) -> StudySpec {
    let mut spec = StudyFile::parse(include_str!("../../examples/breast-cancer/study.toml")).unwrap().spec();
    spec.data.features = Features { columns: ["a", "b", "c", "d", "e"].map(String::from).to_vec() };
    spec.model = Model::Dense { hidden: hidden.to_vec(), activation, dropout };
    spec
}

fn rows(n: usize) -> Rows {
    let mut stream = Stream::new(key("rows", &[]));
    let features: Vec<f32> = (0..n * 5).map(|_| stream.normal() as f32).collect();
    let labels = (0..n).map(|r| features[5 * r] + features[5 * r + 1] * features[5 * r + 2] > 0.0).collect();
    Rows { features, labels }
}

/// The network of the spec, written out in f64: the mean log-loss of these rows, layer by layer, unit by unit. With a
/// stream, units are dropped as `Model::Dense::dropout` says: layer after layer, row after row, unit after unit.
fn reference_loss(spec: &StudySpec, parameters: &[f64], rows: &Rows, mut drop: Option<Stream>) -> f64 {
    let Model::Dense { activation, dropout, .. } = &spec.model else { panic!() };
    let mut x: Vec<Vec<f64>> = rows.features.chunks(5).map(|r| r.iter().map(|v| f64::from(*v)).collect()).collect();
    let layers = spec.layers();
    let mut at = 0;
    for (n, (inputs, outputs)) in layers.iter().enumerate() {
        let bias = &parameters[at..at + outputs];
        let weight = &parameters[at + outputs..at + outputs + inputs * outputs];
        at += outputs + inputs * outputs;
        for row in &mut x {
            *row = (0..*outputs)
                .map(|o| bias[o] + (0..*inputs).map(|i| weight[o * inputs + i] * row[i]).sum::<f64>())
                .collect();
            if n + 1 == layers.len() {
                continue;
            }
            for unit in row.iter_mut() {
                *unit = match activation {
                    Activation::Relu => unit.max(0.0),
                    Activation::Tanh => unit.tanh(),
                };
                if let Some(stream) = &mut drop {
                    *unit *= if stream.uniform() < *dropout { 0.0 } else { 1.0 / (1.0 - dropout) };
                }
            }
        }
    }
    let loss = |z: f64, label: bool| (1.0 + (if label { -z } else { z }).exp()).ln();
    x.iter().zip(&rows.labels).map(|(z, label)| loss(z[0], *label)).sum::<f64>() / x.len() as f64
}

#[test]
fn gradients_are_those_of_central_differences() {
    for (hidden, activation, dropout) in [
        (&[4][..], Activation::Relu, 0.0),
        (&[4, 3], Activation::Tanh, 0.0),
        (&[6, 4, 3], Activation::Tanh, 0.0),
        (&[8], Activation::Tanh, 0.4),
        (&[8, 6], Activation::Tanh, 0.25),
    ] {
        let spec = spec(hidden, activation, dropout);
        let rows = rows(40);
        let mut parameters = initial_parameters(&spec);
        // biases too
        let mut stream = Stream::new(key("parameters", &[]));
        parameters.iter_mut().for_each(|p| *p += 0.1 * stream.normal() as f32);
        let mask = || (dropout > 0.0).then(|| Stream::new(key("mask", &[])));
        let (loss, gradient) = Net::new(&spec)
            .unwrap()
            .loss_and_gradient(&parameters, &rows.features, &rows.labels, mask().as_mut())
            .unwrap();
        let exact: Vec<f64> = parameters.iter().map(|p| f64::from(*p)).collect();
        // sums of some ten products in f32 (24 bits) against f64
        assert!((loss - reference_loss(&spec, &exact, &rows, mask())).abs() < 1e-5, "{hidden:?} {activation:?}");
        assert_eq!(gradient.len(), exact.len());
        for (n, computed) in gradient.iter().enumerate() {
            let at = |step: f64| {
                let mut moved = exact.clone();
                moved[n] += step;
                reference_loss(&spec, &moved, &rows, mask())
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            let error = (f64::from(*computed) - difference).abs();
            assert!(error < 1e-5, "{hidden:?} {activation:?} parameter {n}: {computed} {difference}");
        }
    }
}

#[test]
fn dropout_is_for_training_alone_and_keyed_by_the_sites_secret() {
    let (whole, dropped) = (spec(&[8], Activation::Relu, 0.0), spec(&[8], Activation::Relu, 0.5));
    let rows = rows(64);
    let parameters = initial_parameters(&whole);
    let z = |spec: &StudySpec| logits(&Net::new(spec).unwrap(), &parameters, &rows.features).unwrap();
    assert_eq!(z(&whole), z(&dropped), "evaluation drops nothing");

    let trained = |spec: &StudySpec, secret: u8, round: u32| {
        // one batch of all rows: their order changes nothing but roundings
        let mut spec = spec.clone();
        spec.training.batch_size = 64;
        let seeds = Seeds::new(&[secret; 32], &[0; 32], round);
        train(&spec, &parameters, &rows, &OptimizerState::default(), &seeds, &|_| false).unwrap().parameters
    };
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart(&trained(&whole, 1, 1), &trained(&whole, 2, 1)) < 1e-3, "the order of one batch");
    let first = trained(&dropped, 1, 1);
    assert_eq!(trained(&dropped, 1, 1), first, "the same masks again");
    for (other, why) in [
        (trained(&whole, 1, 1), "no dropout"),
        (trained(&dropped, 2, 1), "another site"),
        (trained(&dropped, 1, 2), "another round"),
    ] {
        assert!(apart(&first, &other) > 5e-3, "{why}: {}", apart(&first, &other));
    }
}

#[test]
fn what_dropout_leaves_is_scaled_up_so_that_its_mean_stays() {
    // one hidden unit that gives 1 for every row, passed on with weight 1
    let spec = spec(&[1], Activation::Relu, 0.25);
    let parameters = [vec![1.0f32], vec![0.0; 5], vec![0.0], vec![1.0]].concat();
    let rows = Rows { features: vec![0.0; 5 * 4_000], labels: vec![true; 4_000] };
    let net = Net::new(&spec).unwrap();
    let mut stream = Stream::new(key("mask", &[]));
    let (loss, _) = net.loss_and_gradient(&parameters, &rows.features, &rows.labels, Some(&mut stream)).unwrap();
    // logits are 0 with probability 1/4, else 4/3
    let of = |z: f64| (1.0 + (-z).exp()).ln();
    let wanted = 0.25 * of(0.0) + 0.75 * of(4.0 / 3.0);
    // three standard deviations of the share that was dropped
    let tolerance = 3.0 * (0.25f64 * 0.75 / 4_000.0).sqrt() * (of(0.0) - of(4.0 / 3.0));
    assert!((loss - wanted).abs() < tolerance, "{loss} instead of {wanted} by {tolerance}");
}

#[test]
fn a_perfect_order_has_auc_one_its_reverse_zero_and_no_interval() {
    let labels = [true, false, true, false, false];
    let metrics = |logits: &[f32]| Metrics::of(logits, &labels).unwrap();
    let perfect = metrics(&[2.0, -1.0, 0.5, 0.4, -3.0]);
    assert_eq!((perfect.auc, perfect.auc_interval), (Some(1.0), None));
    let reversed = metrics(&[-2.0, 1.0, -0.5, -0.4, 3.0]);
    assert_eq!((reversed.auc, reversed.auc_interval), (Some(0.0), None));
    let blind = metrics(&[0.25; 5]);
    assert_eq!(blind.auc, Some(0.5), "ties count half");
}
