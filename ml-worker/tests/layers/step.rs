//! A training step at once is its two halves one after the other.

use super::draw;
use consilium_ml_worker::learn::{loss::Objective, Net, Stepper};
use consilium_study::{Architecture, Loss, Model, Penalty, Task, Training};

const STEPS: usize = 3;
const BATCH: usize = 70;
const LAYERS: &str = r#"{"layers": [{"dense": {"units": 100}}, {"activation": "relu"}, {"dropout": 0.2},
    {"dense": {"units": 50}}, {"layer_norm": {}}, {"dense": {"units": 1}}]}"#;

struct Case {
    net: Net,
    training: Training,
    objective: Objective,
    labels: Vec<u32>,
    start: Vec<f32>,
    base: Vec<f32>,
    x: Vec<f32>,
}

impl Case {
    fn new(training: &str) -> Self {
        let training: Training = serde_json::from_str(training).unwrap();
        let model: Model = serde_json::from_str(LAYERS).unwrap();
        let penalty = Penalty { l1: training.l1, l2: training.l2 };
        let net = Net::new(Architecture::new(&model, &[1300], 3, penalty).unwrap()).unwrap();
        let f32s = |seed, count| draw(seed, count).iter().map(|n| (n * 0.1) as f32).collect::<Vec<_>>();
        let outputs = net.architecture().outputs;
        Self {
            training,
            objective: Objective::new(Task::Classes(outputs), Loss::CrossEntropy, Vec::new()),
            labels: (0..BATCH as u32).map(|n| n * 7 % outputs as u32).collect(),
            start: f32s(3, net.parameters()),
            base: f32s(4, net.parameters()),
            x: f32s(5, BATCH * net.inputs()),
            net,
        }
    }

    /// Losses, and bits of the parameters and of what is remembered, after some steps.
    fn run(&self, at_once: bool, threads: usize) -> (Vec<f64>, Vec<u32>, Vec<u32>) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut stepper = Stepper::new(&self.training, &self.net, &self.base);
        let (mut parameters, mut gradient) = (self.start.clone(), vec![0.0; self.start.len()]);
        let mut work = self.net.workspace(BATCH);
        let mut losses = Vec::new();
        for step in 0..STEPS {
            work.input().copy_from_slice(&self.x);
            let (chance, when) = (Some([step as u8; 32]), (step as f64 * 0.5, 0.5));
            losses.push(pool.install(|| {
                let batch = (&self.objective, &self.labels[..]);
                if at_once {
                    return stepper.train(&self.net, &mut work, &mut parameters, batch, chance, &mut gradient, when);
                }
                let (objective, labels) = batch;
                let loss = self.net.loss_and_gradient(&mut work, &parameters, objective, labels, chance, &mut gradient);
                stepper.step(&mut parameters, &mut gradient, when.0, when.1);
                loss
            }));
        }
        let bits = |numbers: &[f32]| numbers.iter().map(|n| n.to_bits()).collect::<Vec<_>>();
        let (_, first, second) = stepper.memory();
        (losses, bits(&parameters), bits(&[first, second].concat()))
    }
}

#[test]
fn a_step_at_once_is_its_halves_one_after_the_other_at_any_number_of_threads() {
    let adam = r#"{"adam": {"learning_rate": 0.01}}"#;
    for (name, training) in [
        (
            "adam, penalties and a pull to the base",
            format!(r#"{{"optimizer": {adam}, "l1": 0.01, "l2": 0.1, "proximal": 0.2"#),
        ),
        ("adamw", r#"{"optimizer": {"adam_w": {"learning_rate": 0.01, "weight_decay": 0.1}}"#.into()),
        ("momentum", r#"{"optimizer": {"sgd": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": true}}"#.into()),
        ("plain", r#"{"optimizer": {"sgd": {"learning_rate": 0.05}}"#.into()),
        ("rms", r#"{"optimizer": {"rmsprop": {"learning_rate": 0.001}}"#.into()),
        ("clipped by value", format!(r#"{{"optimizer": {adam}, "clip": {{"value": 0.0001}}"#)),
        ("clipped by norm", format!(r#"{{"optimizer": {adam}, "clip": {{"norm": 0.001}}"#)),
    ] {
        let case = Case::new(&format!(r#"{training}, "batch_size": 1, "epochs": 1}}"#));
        let halves = case.run(false, 1);
        assert!(halves.0.iter().all(|loss| loss.is_finite()) && halves.0[0] != halves.0[2], "{name}: {:?}", halves.0);
        for threads in [1, 2, 4] {
            assert!(case.run(true, threads) == halves, "{name}, {threads} threads");
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_moves_nothing() {
    let training = r#"{"optimizer": {"adam": {"learning_rate": 0.01}}, "batch_size": 1, "epochs": 1}"#;
    let mut case = Case::new(training);
    case.x[5] = f32::NAN;
    let (losses, parameters, memory) = case.run(true, 2);
    assert!(losses.iter().all(|loss| loss.is_nan()));
    assert!(parameters.iter().zip(&case.start).all(|(a, b)| *a == b.to_bits()));
    assert!(memory.iter().all(|bits| *bits == 0));
}
