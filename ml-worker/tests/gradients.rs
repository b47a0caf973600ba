//! Gradients against finite differences, in f64: every kind of layer, loss and penalty; and gradients in f32 against those
//! in f64. `cargo test --release --test gradients -- --nocapture` prints the worst error of each.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::{
    learn::{loss::Objective, real::Real, Net, NetError, Penalties},
    random::{key, Stream},
};
use consilium_study::{Architecture, Loss, Model, Penalty, Start, Task};
use std::ops::Range;

/// Largest relative error; numbers below a thousandth count as a thousandth, so that 10⁻⁹ is the largest absolute error.
const TOLERANCE: f64 = 1e-6;
const LEAST: f64 = 1e-3;
/// Numbers of each tensor that are looked at.
const COORDINATES: usize = 50;
/// Draws of data after which a point without a kink nearby should have been found.
const DRAWS: u32 = 40;

/// A network, a loss, and what they are tried on.
struct Case {
    name: String,
    net: Net,
    objective: Objective,
    penalties: Penalties,
    rows: usize,
}

impl Case {
    fn new(name: &str, layers: &str, input: &[usize]) -> Self {
        Self::with(name, layers, input, Task::Binary, Loss::CrossEntropy, &[], Penalty::default(), 0.0)
    }

    #[allow(clippy::too_many_arguments)]
    fn with(
        name: &str,
        layers: &str,
        input: &[usize],
        task: Task,
        loss: Loss,
        weights: &[f64],
        penalty: Penalty,
        proximal: f64,
    ) -> Self {
        let model: Model = serde_json::from_str(&format!(r#"{{"layers": [{layers}]}}"#)).unwrap();
        let net = Net::new(Architecture::new(&model, input, task.outputs(), penalty).unwrap()).unwrap();
        let penalties = Penalties::new(&net, proximal);
        let objective = Objective::new(task, loss, weights.to_vec()).with_cuts(&[1.0, 2.0, 4.0]);
        Self { name: name.into(), net, objective, penalties, rows: 5 }
    }

    fn tensors(&self) -> Vec<(String, Range<usize>)> {
        self.net.tensors().map(|(tensor, range)| (tensor.name.clone(), range)).collect()
    }

    fn point<R: Real>(&self, draw: u32) -> Point<R> {
        let mut stream = Stream::new(key("point", &[self.name.as_bytes(), &draw.to_le_bytes()]));
        // numbers that f32 holds exactly, so that both types compute at the same point
        let mut numbers = |count: usize, deviation: f64, mean: f64| -> Vec<R> {
            (0..count).map(|_| R::of(f64::from((mean + deviation * stream.normal()) as f32))).collect()
        };
        let mut parameters = Vec::new();
        for (tensor, _) in self.net.tensors() {
            parameters.extend(match tensor.start {
                Start::Drawn { inputs, .. } => numbers(tensor.elements(), (1.5 / inputs as f64).sqrt(), 0.0),
                Start::Constant(value) => numbers(tensor.elements(), 0.3, value),
            });
        }
        let base = numbers(parameters.len(), 0.5, 0.0);
        let input = numbers(self.rows * self.net.inputs(), 1.0, 0.0);
        let classes = if let Task::Classes(n) = self.objective.task { n as u32 } else { 2 };
        let mut label = |n: usize| match self.objective.task {
            Task::Value => (1.5 * stream.normal() as f32).to_bits(),
            // a time that is seen to lie in one of the intervals, or ends in one, or comes after all
            Task::Events(_) if n.is_multiple_of(2) => (stream.below(50) as f32 / 10.0).to_bits(),
            _ => stream.below(classes),
        };
        let labels = (0..self.rows * self.objective.labels_per_row()).map(&mut label).collect();
        Point { parameters, base, input, labels }
    }

    /// Loss with penalties; its gradient is left in `gradient`.
    fn loss<R: Real>(&self, point: &Point<R>, parameters: &[R], gradient: &mut [R]) -> f64 {
        let mut work = self.net.workspace(self.rows);
        work.input().copy_from_slice(&point.input);
        let chance = Some(key("held", &[]));
        let loss = self.net.loss_and_gradient(&mut work, parameters, &self.objective, &point.labels, chance, gradient);
        self.penalties.add_to(gradient, parameters, &point.base);
        loss + self.penalties.value(parameters, &point.base)
    }

    /// Compares the gradient, after `change` was done to it, with differences, and gives the worst relative error.
    ///
    /// # Errors
    /// The first tensor whose gradient is wrong, and how.
    fn check(&self, change: impl Fn(&mut [f64])) -> Result<f64, String> {
        let mut worst = 0.0f64;
        for (name, range) in self.tensors() {
            let mut draws = 0..DRAWS;
            'draw: loop {
                let draw = draws.next().ok_or(format!("{name}: a kink near every point"))?;
                let point = self.point::<f64>(draw);
                let mut gradient = vec![f64::NAN; self.net.parameters()];
                self.loss(&point, &point.parameters, &mut gradient);
                change(&mut gradient);
                let mut here = 0.0f64;
                for (what, direction, step) in directions(&name, &range, &point.parameters) {
                    let slope: f64 = direction.iter().map(|(n, d)| gradient[*n] * d).sum();
                    let along = |step: f64| {
                        let mut moved = point.parameters.clone();
                        direction.iter().for_each(|(n, d)| moved[*n] += step * d);
                        self.loss(&point, &moved, &mut vec![0.0; moved.len()])
                    };
                    let difference = (along(step) - along(-step)) / (2.0 * step);
                    let error = (slope - difference).abs() / slope.abs().max(difference.abs()).max(LEAST);
                    if error > TOLERANCE || error.is_nan() {
                        if bends(&along, step) {
                            continue 'draw;
                        }
                        return Err(format!("{name} {what}: gradient {slope}, difference {difference}"));
                    }
                    here = here.max(error);
                }
                worst = worst.max(here);
                break;
            }
        }
        Ok(worst)
    }
}

struct Point<R> {
    parameters: Vec<R>,
    base: Vec<R>,
    input: Vec<R>,
    labels: Vec<u32>,
}

/// What it is called, how far it moves each parameter that it moves, and its step.
type Direction = (String, Vec<(usize, f64)>, f64);

/// What is tried of a tensor: single numbers, and one random direction.
fn directions(name: &str, range: &Range<usize>, parameters: &[f64]) -> Vec<Direction> {
    let mut stream = Stream::new(key("direction", &[name.as_bytes()]));
    let mut places: Vec<usize> = range.clone().collect();
    stream.shuffle(&mut places);
    places.truncate(COORDINATES);
    let step = |n: usize| 1e-5 * parameters[n].abs().max(1.0);
    let mut all: Vec<_> =
        places.iter().map(|n| (format!("number {}", n - range.start), vec![(*n, 1.0)], step(*n))).collect();
    let random: Vec<(usize, f64)> = range.clone().map(|n| (n, stream.normal())).collect();
    let length = random.iter().map(|(_, d)| d * d).sum::<f64>().sqrt();
    all.push(("in a random direction".into(), random.iter().map(|(n, d)| (*n, d / length)).collect(), 1e-5));
    all
}

/// Whether the function has a kink within the step. The slopes of both sides differ by `h·f″` where it is smooth: half as
/// much at half the step, a quarter at a quarter.
fn bends(function: &dyn Fn(f64) -> f64, step: f64) -> bool {
    let middle = function(0.0);
    let apart = |h: f64| (function(h) - middle) / h - (middle - function(-h)) / h;
    let whole = apart(step);
    [2.0, 4.0].iter().any(|part| (whole - part * apart(step / part)).abs() > 0.1 * whole.abs() + 1e-8)
}

fn conv(filters: usize, kernel: usize, stride: usize, padding: usize) -> String {
    format!(r#"{{"conv2d": {{"filters": {filters}, "kernel": {kernel}, "stride": {stride}, "padding": {padding}}}}}"#)
}

fn dense(units: usize) -> String {
    format!(r#"{{"dense": {{"units": {units}}}}}"#)
}

fn act(name: &str) -> String {
    format!(r#"{{"activation": "{name}"}}"#)
}

fn pool(kind: &str, size: usize, stride: usize, padding: usize) -> String {
    format!(r#"{{"{kind}": {{"size": {size}, "stride": {stride}, "padding": {padding}}}}}"#)
}

fn residual(branch: &[String], shortcut: &[String]) -> String {
    format!(r#"{{"residual": {{"branch": [{}], "shortcut": [{}]}}}}"#, branch.join(","), shortcut.join(","))
}

const FLATTEN: &str = r#""flatten""#;

/// All cases; layers stand behind others with weights, so that the gradients of their inputs are tried as well.
fn cases() -> Vec<Case> {
    let (relu, tanh) = (act("relu"), act("tanh"));
    let drop = |rate: f64| format!(r#"{{"dropout": {rate}}}"#);
    let group = |groups: usize| format!(r#"{{"group_norm": {{"groups": {groups}}}}}"#);
    let mut cases = Vec::new();
    let mut add = |name: &str, layers: &[&str], input: &[usize]| {
        cases.push(Case::new(name, &layers.join(","), input));
    };
    add("dense alone", &[], &[6]);
    add("dense, dense", &[&dense(7), &dense(9), &tanh], &[6]);
    add("dense with ReLU", &[&dense(12), &relu, &dense(9), &relu], &[6]);
    add("dense with ReLU and dropout", &[&dense(12), &relu, &drop(0.4), &dense(9), &relu, &drop(0.25)], &[6]);
    add("dropout alone", &[&dense(12), &drop(0.5), &dense(6), &tanh, &drop(0.3)], &[6]);
    add("dropout of pictures", &[&conv(3, 3, 1, 1), &drop(0.5), &conv(2, 3, 1, 0), FLATTEN, &drop(0.2)], &[2, 5, 4]);
    add("flatten", &[FLATTEN, &dense(5), &tanh], &[2, 3, 2]);
    add("flatten behind a convolution", &[&conv(3, 2, 1, 0), FLATTEN, &dense(4), &tanh], &[2, 4, 3]);
    for (k, s, p) in [(3, 1, 1), (3, 1, 0), (3, 1, 2), (3, 2, 1), (5, 1, 2), (2, 1, 1), (2, 3, 0), (1, 1, 0), (1, 2, 1)]
    {
        let name = format!("convolution {k}x{k}, stride {s}, padding {p}");
        add(&name, &[&conv(3, k, s, p), &tanh, &conv(5, k, 1, p), FLATTEN], &[2, 8, 9]);
    }
    add("convolution with stride behind another", &[&conv(3, 3, 1, 1), &conv(4, 3, 2, 1), &tanh, FLATTEN], &[2, 7, 6]);
    add("convolution with ReLU", &[&conv(4, 3, 1, 1), &relu, &conv(3, 3, 2, 1), &relu, FLATTEN], &[2, 6, 5]);
    add("1x1 convolution with ReLU", &[&conv(4, 1, 1, 0), &relu, &conv(3, 1, 1, 0), &relu, FLATTEN], &[2, 4, 3]);
    for (size, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 1, 0), (3, 3, 0), (2, 3, 0)] {
        for kind in ["max_pool", "average_pool"] {
            let name = format!("{kind} {size}x{size}, stride {stride}, padding {padding}");
            add(
                &name,
                &[&conv(3, 3, 1, 1), &pool(kind, size, stride, padding), &conv(2, 2, 1, 1), FLATTEN],
                &[2, 7, 6],
            );
        }
    }
    add("global_average_pool", &[&conv(4, 3, 1, 1), &tanh, r#""global_average_pool""#, &dense(5), &tanh], &[2, 5, 4]);
    for groups in [1, 2, 6] {
        let name = format!("group_norm with {groups} groups");
        add(&name, &[&conv(6, 3, 1, 1), &group(groups), &tanh, &conv(3, 3, 1, 0), FLATTEN], &[2, 5, 4]);
    }
    add("group_norm of 1x1 pictures", &[&conv(6, 3, 1, 0), &group(2), &tanh, FLATTEN], &[2, 3, 3]);
    add(
        "layer_norm",
        &[&dense(8), r#"{"layer_norm": {}}"#, &tanh, &dense(6), r#"{"layer_norm": {"epsilon": 0.01}}"#],
        &[6],
    );
    for name in ["relu", "leaky_relu", "elu", "tanh", "sigmoid", "silu", "gelu_tanh"] {
        // behind a norm, so that ReLU stands alone
        add(
            &format!("activation {name}"),
            &[&dense(9), r#"{"layer_norm": {}}"#, &act(name), &dense(5), &act(name)],
            &[6],
        );
    }
    add("residual", &[&dense(6), &residual(&[dense(6), tanh.clone(), dense(6)], &[]), &tanh], &[4]);
    add("residual of the input", &[&residual(&[dense(6), relu.clone()], &[]), &dense(5), &tanh], &[6]);
    add("residual with ReLU inside", &[&dense(6), &relu, &residual(&[dense(6), relu.clone()], &[]), &relu], &[4]);
    add(
        "residual of an activation",
        &[&dense(6), &residual(std::slice::from_ref(&tanh), &[drop(0.5)]), &dense(5), &tanh],
        &[4],
    );
    let shortcut = residual(&[conv(4, 3, 2, 1), relu.clone(), conv(4, 3, 1, 1)], &[conv(4, 1, 2, 0)]);
    add("residual with a convolution as shortcut", &[&conv(3, 3, 1, 1), &shortcut, &relu, FLATTEN], &[2, 6, 5]);
    let inner = residual(&[conv(3, 3, 1, 1), tanh.clone()], &[group(3)]);
    let nested = residual(&[conv(3, 3, 1, 1), inner, pool("max_pool", 3, 1, 1)], &[pool("average_pool", 3, 1, 1)]);
    add("nested residual", &[&conv(3, 3, 1, 1), &nested, FLATTEN], &[2, 4, 5]);
    for (name, task, loss, weights) in [
        ("binary cross-entropy", Task::Binary, Loss::CrossEntropy, &[][..]),
        ("binary cross-entropy, class weights", Task::Binary, Loss::CrossEntropy, &[0.7, 2.5]),
        ("squared error", Task::Binary, Loss::SquaredError, &[]),
        ("squared error, class weights", Task::Binary, Loss::SquaredError, &[0.7, 2.5]),
        ("cross-entropy of classes", Task::Classes(4), Loss::CrossEntropy, &[]),
        ("cross-entropy of classes, class weights", Task::Classes(4), Loss::CrossEntropy, &[0.5, 2.0, 1.0, 3.0]),
        ("cross-entropy of several labels", Task::Labels(3), Loss::CrossEntropy, &[]),
        ("hazards of intervals", Task::Events(3), Loss::CrossEntropy, &[]),
        ("squared error of a number", Task::Value, Loss::SquaredError, &[]),
        ("Huber, most errors beyond delta", Task::Value, Loss::Huber { delta: 0.4 }, &[]),
        ("Huber, most errors below delta", Task::Value, Loss::Huber { delta: 3.0 }, &[]),
    ] {
        let layers = format!("{}, {tanh}", dense(5));
        cases.push(Case::with(name, &layers, &[4], task, loss, weights, Penalty::default(), 0.0));
    }
    for (name, l1, l2, proximal) in [
        ("penalty L1", 0.3, 0.0, 0.0),
        ("penalty L2", 0.0, 0.2, 0.0),
        ("proximal term", 0.0, 0.0, 0.7),
        ("all penalties", 0.1, 0.2, 0.3),
    ] {
        let layers = format!("{}, {relu}, {FLATTEN}, {}, {tanh}", conv(3, 2, 1, 0), dense(5));
        let loss = Loss::CrossEntropy;
        cases.push(Case::with(name, &layers, &[2, 4, 4], Task::Binary, loss, &[], Penalty { l1, l2 }, proximal));
    }
    cases
}

#[test]
fn gradients_are_those_of_differences() {
    let mut wrong = Vec::new();
    for case in cases() {
        match case.check(|_| {}) {
            Ok(worst) => println!("{:48} {worst:.1e}", case.name),
            Err(error) => wrong.push(format!("{}: {error}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn gradients_in_f32_are_those_in_f64() {
    let mut wrong = Vec::new();
    let mut worst = 0.0f64;
    for case in cases() {
        let (narrow, wide) = (case.point::<f32>(0), case.point::<f64>(0));
        let (mut found, mut exact) = (vec![0.0; case.net.parameters()], vec![0.0; case.net.parameters()]);
        case.loss(&narrow, &narrow.parameters, &mut found);
        case.loss(&wide, &wide.parameters, &mut exact);
        let all = exact.iter().map(|e| e * e).sum::<f64>().sqrt();
        for (name, range) in case.tensors() {
            let (mut apart, mut length) = (0.0, 0.0);
            for (f, e) in found[range.clone()].iter().zip(&exact[range]) {
                apart += (f64::from(*f) - e) * (f64::from(*f) - e);
                length += e * e;
            }
            // a tensor's gradient may be nothing but what is left where rows cancel; what is rounded are the rows
            let error = apart.sqrt() / length.sqrt().max(all / 100.0);
            worst = worst.max(error);
            if error > 1e-5 || error.is_nan() {
                wrong.push(format!("{}: {name} is {error:e} apart", case.name));
            }
        }
    }
    println!("f32 and f64 are at most {worst:.1e} apart");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The check finds a gradient that is wrong in one tensor, and names that tensor.
#[test]
fn a_wrong_gradient_is_found_and_named() {
    for case in
        cases().iter().filter(|case| ["convolution with ReLU", "layer_norm", "all penalties"].contains(&&*case.name))
    {
        for (name, range) in case.tensors() {
            for factor in [0.5, -1.0, 1.0 + 1e-4] {
                let error =
                    case.check(|gradient| gradient[range.clone()].iter_mut().for_each(|g| *g *= factor)).unwrap_err();
                assert!(error.starts_with(&name), "{}, {name} times {factor}: {error}", case.name);
            }
            let middle = range.start + range.len() / 2;
            let error = case.check(|gradient| gradient[middle] = f64::NAN).unwrap_err();
            assert!(error.starts_with(&name), "{}, NaN in {name}: {error}", case.name);
        }
    }
}

/// As if a max-pool shared each window's gradient out, in place of giving it to the maximum: what lies before the pool gets
/// a quarter.
#[test]
fn a_max_pool_that_divides_what_flows_back_is_found() {
    let case = cases().into_iter().find(|case| case.name == "max_pool 2x2, stride 2, padding 0").unwrap();
    let tensors = case.tensors();
    assert!(case.check(|_| {}).is_ok());
    let before: Vec<_> = tensors.iter().filter(|(name, _)| name.starts_with("layer00.")).collect();
    assert_eq!(before.len(), 2);
    let error = case
        .check(|gradient| {
            before.iter().for_each(|(_, range)| gradient[range.clone()].iter_mut().for_each(|g| *g /= 4.0))
        })
        .unwrap_err();
    assert!(error.starts_with("layer00."), "{error}");
}

#[test]
fn penalties_alone_are_the_slopes_of_their_value() {
    for case in cases().iter().filter(|case| case.name.contains("penalt") || case.name.contains("proximal")) {
        let point = case.point::<f64>(0);
        let mut slopes = vec![0.0; point.parameters.len()];
        case.penalties.add_to(&mut slopes, &point.parameters, &point.base);
        for (n, slope) in slopes.iter().enumerate() {
            let value = |step: f64| {
                let mut moved = point.parameters.clone();
                moved[n] += step;
                case.penalties.value(&moved, &point.base)
            };
            let difference = (value(1e-5) - value(-1e-5)) / 2e-5;
            assert!((slope - difference).abs() < 1e-6 * slope.abs().max(LEAST), "{}: {slope}, {difference}", case.name);
        }
    }
}

#[test]
fn a_tensor_that_no_gradient_reaches_is_refused_by_name() {
    let case = Case::new("dead", &format!("{}, {}, {}, {}", dense(5), act("relu"), dense(4), act("tanh")), &[6]);
    let mut point = case.point::<f64>(0);
    let mut gradient = vec![0.0; case.net.parameters()];
    case.loss(&point, &point.parameters, &mut gradient);
    case.net.all_reached(&gradient).unwrap();
    let of = |wanted: &str| case.tensors().into_iter().find(|(name, _)| name == wanted).unwrap().1;
    point.parameters[of("layer00.bias")].fill(-1e3);
    case.loss(&point, &point.parameters, &mut gradient);
    let Err(NetError::NoGradient(name)) = case.net.all_reached(&gradient) else { panic!("a dead layer was taken") };
    assert_eq!(name, "layer00.bias");
    // behind the dead layer stands a constant: its bias learns, its weights do not
    assert!(gradient[of("layer01.weight")].iter().all(|g| *g == 0.0));
    assert!(gradient[of("layer01.bias")].iter().all(|g| *g != 0.0));
}
