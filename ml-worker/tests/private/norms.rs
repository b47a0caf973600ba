//! How long a unit's gradient is, against the gradient itself.

use super::{difference, length, net, Case};
use consilium_ml_worker::learn::real::Real;
use consilium_study::{Loss, Task};

/// Rows of the patients that are tried.
const PATIENTS: [usize; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const ROWS: usize = 36;

fn conv(filters: usize, kernel: usize, stride: usize, padding: usize) -> String {
    format!(r#"{{"conv2d": {{"filters": {filters}, "kernel": {kernel}, "stride": {stride}, "padding": {padding}}}}}"#)
}

/// What they are called, their layers, what goes in, and what is learned.
fn networks() -> Vec<(String, String, Vec<usize>, Task, Loss)> {
    let (relu, tanh) = (r#"{"activation": "relu"}"#, r#"{"activation": "tanh"}"#);
    let dense = |units: usize| format!(r#"{{"dense": {{"units": {units}}}}}"#);
    let pool = |kind: &str, size: usize| format!(r#"{{"{kind}": {{"size": {size}}}}}"#);
    let mut all = Vec::new();
    let mut add = |name: &str, layers: &[&str], input: &[usize], task: Task, loss: Loss| {
        all.push((name.to_string(), layers.join(","), input.to_vec(), task, loss));
    };
    let (binary, entropy) = (Task::Binary, Loss::CrossEntropy);
    add("logistic", &[], &[6], binary, entropy);
    add("dense", &[&dense(40), relu, &dense(300), tanh, &dense(9), relu], &[70], binary, entropy);
    add("wide", &[&dense(5), relu], &[1300], binary, entropy);
    add(
        "layer norm",
        &[&dense(12), r#"{"layer_norm": {}}"#, tanh, &dense(7), r#"{"layer_norm": {}}"#],
        &[9],
        binary,
        entropy,
    );
    // by columns, by shifts, by Winograd's filters, and plain
    for (name, k, s, p) in [("columns", 3, 2, 1), ("shifts", 5, 1, 2), ("filters", 3, 1, 1), ("plain", 1, 1, 0)] {
        let (first, second) = (conv(9, k, s, p), conv(10, k, 1, p));
        let layers = [&first[..], relu, &second, tanh, r#""flatten""#];
        add(&format!("convolution by {name}"), &layers, &[8, 9, 8], binary, entropy);
    }
    for groups in [1, 2, 6] {
        let norm = format!(r#"{{"group_norm": {{"groups": {groups}}}}}"#);
        let (first, second) = (conv(6, 3, 1, 1), conv(3, 3, 1, 0));
        let layers = [&first[..], &norm, tanh, &second, r#""flatten""#];
        add(&format!("group norm of {groups}"), &layers, &[2, 5, 4], binary, entropy);
    }
    for kind in ["max_pool", "average_pool"] {
        let (first, pooled, second) = (conv(4, 3, 1, 1), pool(kind, 2), conv(3, 3, 1, 1));
        let layers = [&first[..], relu, &pooled, &second, r#""global_average_pool""#];
        add(kind, &layers, &[2, 6, 6], binary, entropy);
    }
    let branch = format!(r#"{{"residual": {{"branch": [{}], "shortcut": [{}]}}}}"#, conv(4, 3, 2, 1), conv(4, 1, 2, 0));
    add("residual", &[&conv(3, 3, 1, 1), &branch, relu, r#""flatten""#], &[2, 6, 5], binary, entropy);
    let same = format!(r#"{{"residual": {{"branch": [{}, {relu}], "shortcut": []}}}}"#, dense(6));
    add("residual of the input", &[&same, &dense(5), tanh], &[6], binary, entropy);
    for activation in ["leaky_relu", "elu", "sigmoid", "silu", "gelu_tanh"] {
        let act = format!(r#"{{"activation": "{activation}"}}"#);
        add(activation, &[&dense(9), &act, &dense(5), &act], &[6], binary, entropy);
    }
    for (name, task, loss) in [
        ("classes", Task::Classes(4), entropy),
        ("several labels", Task::Labels(3), entropy),
        ("times until an event", Task::Events(3), entropy),
        ("a number", Task::Value, Loss::SquaredError),
        ("a number, Huber", Task::Value, Loss::Huber { delta: 0.5 }),
        ("squared error", binary, Loss::SquaredError),
    ] {
        add(name, &[&dense(8), tanh], &[5], task, loss);
    }
    all
}

/// Records and patients of every network: the largest error of a length, relative to it.
fn worst<R: Real>(tolerance: f64) {
    let mut worst = 0.0f64;
    for (n, (name, layers, input, task, loss)) in networks().into_iter().enumerate() {
        let case = Case::<R>::new(net(&layers, &input, task), task, loss, ROWS, n as u32);
        for units in [&PATIENTS[..], &[1; ROWS]] {
            let mut first = 0;
            for (square, rows) in case.squares(units, None).into_iter().zip(units) {
                let expected = length(&case.gradient(first, *rows, None));
                // a gradient that rows cancel in is rounded where they are
                let scale = (first..first + rows).map(|row| length(&case.gradient(row, 1, None))).sum::<f64>();
                // a time that tells nothing has no gradient at all
                let off = (square.sqrt() - expected).abs();
                let error = if off == 0.0 { 0.0 } else { off / expected.max(scale / 100.0) };
                assert!(error <= tolerance, "{name}, {rows} rows from {first} on: {} of {expected}", square.sqrt());
                worst = worst.max(error);
                first += rows;
            }
        }
    }
    println!("lengths of gradients are at most {worst:.1e} apart");
}

#[test]
fn lengths_are_those_of_the_gradients_in_f64() {
    worst::<f64>(1e-10);
}

#[test]
fn lengths_are_those_of_the_gradients_in_f32() {
    worst::<f32>(1e-5);
}

/// Masks go by the place in the batch: a batch that is one patient has the same in both.
#[test]
fn a_patients_length_is_that_of_its_gradient_under_dropout() {
    let layers = r#"{"dense": {"units": 30}}, {"activation": "relu"}, {"dropout": 0.4}, {"dense": {"units": 8}},
        {"activation": "tanh"}, {"dropout": 0.3}"#;
    let case = Case::<f64>::new(net(layers, &[7], Task::Binary), Task::Binary, Loss::CrossEntropy, 8, 50);
    let chance = Some([4; 32]);
    let (with, without) = (case.squares(&[8], chance)[0].sqrt(), case.squares(&[8], None)[0].sqrt());
    let expected = length(&case.gradient(0, 8, chance));
    assert!((with / expected - 1.0).abs() < 1e-10, "{with} of {expected}");
    assert!((without / expected - 1.0).abs() > 1e-3, "nothing was left out");
}

/// The sum is that of the gradients one by one, each shortened by itself.
#[test]
fn the_clipped_sum_is_that_of_gradients_shortened_one_by_one() {
    for (n, (name, layers, input, task, loss)) in networks().into_iter().enumerate() {
        let case = Case::<f64>::new(net(&layers, &input, task), task, loss, ROWS, n as u32);
        let mut first = 0;
        let gradients: Vec<Vec<f64>> = PATIENTS
            .iter()
            .map(|rows| {
                first += rows;
                case.gradient(first - rows, *rows, None)
            })
            .collect();
        let mut lengths: Vec<f64> = gradients.iter().map(|gradient| length(gradient)).collect();
        lengths.sort_by(f64::total_cmp);
        // some are shortened, and some are not
        let clip = (lengths[3] + lengths[4]) / 2.0;
        let mut expected = vec![0.0; case.net.parameters()];
        for gradient in &gradients {
            let factor = (clip * (1.0 - 1.0 / 65536.0) / length(gradient)).min(1.0);
            expected.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += factor * g);
        }
        let apart = length(&difference(&case.clipped(&PATIENTS, clip), &expected));
        assert!(apart < 1e-10 * clip * 8.0, "{name}: {apart:e}");
    }
}
