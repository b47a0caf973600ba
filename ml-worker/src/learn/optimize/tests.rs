#![allow(clippy::unwrap_used)]
use super::*;
use consilium_study::{Architecture, Model, Penalty};

/// A network of one linear unit: its bias is parameter 0, its weights are the others.
fn net(weights: usize, penalty: Penalty) -> Net {
    Net::new(Architecture::new(&Model::Logistic {}, &[weights], 1, penalty).unwrap()).unwrap()
}

fn training(optimizer: &str) -> Training {
    serde_json::from_str(&format!(r#"{{"optimizer":{optimizer},"batch_size":1,"epochs":1}}"#)).unwrap()
}

/// Steps with gradients `2w`, from these parameters and a state.
fn run(training: &Training, steps: usize, state: &OptimizerState, w: &mut [f32]) -> OptimizerState {
    let mut stepper = Stepper::new(training, &net(w.len() - 1, Penalty::default()), w);
    stepper.resume(state);
    for _ in 0..steps {
        let mut gradient: Vec<f32> = w.iter().map(|w| 2.0 * w).collect();
        stepper.step(w, &mut gradient, 0.0, 0.01);
    }
    stepper.state()
}

const ADAM: &str = r#"{"adam":{"learning_rate":0.1}}"#;
const MOMENTUM: &str = r#"{"sgd":{"learning_rate":0.05,"momentum":0.9}}"#;

#[test]
fn steps_are_those_of_the_formulas() {
    // gradients 2w from w = 1 and -3, five steps: numbers by tests/golden/optimizers.py in float64
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/golden/optimizers.json")).unwrap();
    for case in golden.as_array().unwrap() {
        let mut training: Training = serde_json::from_value(case["training"].clone()).unwrap();
        training.batch_size = 1;
        let mut w = [1.0f64, -3.0];
        let net = net(1, Penalty { l1: training.l1, l2: training.l2 });
        let mut stepper = Stepper::new(&training, &net, &[0.5, 0.25]);
        for step in 0..5 {
            let mut gradient = w.map(|w| 2.0 * w);
            stepper.step(&mut w, &mut gradient, step as f64 * 0.5, 0.5);
        }
        let wanted: Vec<f64> = case["w"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let close = w.iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs());
        assert!(close, "{}: {w:?} instead of {wanted:?}", case["name"]);
    }
}

#[test]
fn a_state_of_another_model_is_none_at_all() {
    for training in [training(MOMENTUM), training(ADAM)] {
        let (mut fresh, mut other) = ([1.0f32, -3.0], [1.0f32, -3.0]);
        let foreign = run(&training, 9, &OptimizerState::default(), &mut [4.0, 5.0, 6.0]);
        let wanted = run(&training, 3, &OptimizerState::default(), &mut fresh);
        assert_eq!(run(&training, 3, &foreign, &mut other), wanted, "the count of steps starts anew too");
        assert_eq!(other, fresh);
    }
}

#[test]
fn the_correction_of_many_steps_is_that_of_the_power() {
    // beyond 100,000 steps a decay of .99999 is far from used up: to hold its power there made steps of .795 of their length
    for beta2 in [0.999f64, 0.99999] {
        let training = training(&format!(r#"{{"adam":{{"learning_rate":0.1,"beta2":{beta2}}}}}"#));
        for steps in [0, 1, 700, 5_000, 99_999, 100_000, 150_000, 1_000_000, u64::MAX / 2] {
            let mut w = [0.0f64, 0.0];
            let mut stepper = Stepper::new(&training, &net(1, Penalty::default()), &w);
            assert!(stepper.remember(steps, &[0.5; 2], &[0.25; 2]));
            stepper.step(&mut w, &mut [0.0, 0.0], 0.0, 1.0);
            let t = (steps + 1) as f64;
            let (m, v) = (0.5 * 0.9 / (1.0 - 0.9f64.powf(t)), 0.25 * beta2 / (1.0 - beta2.powf(t)));
            let wanted = -0.1 * m / (v.sqrt() + 1e-8);
            assert!((w[0] - wanted).abs() < 1e-9 * wanted.abs(), "{beta2}, {steps}: {} {wanted}", w[0]);
        }
    }
}

#[test]
fn a_state_beyond_what_is_multiplied_up_goes_on_as_if_never_interrupted() {
    let training = training(r#"{"adam":{"learning_rate":0.1,"beta2":0.99999}}"#);
    let from =
        OptimizerState { steps: LAST_POWER - 2, first: vec![1.0f32.to_bits(); 2], second: vec![4.0f32.to_bits(); 2] };
    let (mut once, mut twice) = ([1.0f32, -3.0], [1.0f32, -3.0]);
    let whole = run(&training, 5, &from, &mut once);
    let part = run(&training, 3, &from, &mut twice);
    assert_eq!(run(&training, 2, &part, &mut twice), whole);
    assert_eq!(once, twice);
}

#[test]
fn a_saved_state_goes_on_as_if_never_interrupted() {
    let rmsprop = r#"{"rmsprop":{"learning_rate":0.1}}"#;
    for optimizer in [MOMENTUM, r#"{"sgd":{"learning_rate":0.05}}"#, ADAM, rmsprop] {
        let training = training(optimizer);
        let (mut once, mut twice) = ([1.0f32, -3.0], [1.0f32, -3.0]);
        let whole = run(&training, 7, &OptimizerState::default(), &mut once);
        let part = run(&training, 3, &OptimizerState::default(), &mut twice);
        let saved = OptimizerState::decode(&mut &part.encode()[..]).unwrap();
        assert_eq!(run(&training, 4, &saved, &mut twice), whole);
        assert_eq!(once, twice);
    }
}

#[test]
fn threads_change_no_bit_of_a_step() {
    let weights = WORTH_THREADS * 3 + 17;
    let mut training = training(r#"{"adam_w":{"learning_rate":0.01,"weight_decay":0.1}}"#);
    training.clip = Some(Clip::Norm(0.5));
    let steps = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let mut w: Vec<f32> = (0..=weights).map(|i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
            let mut stepper = Stepper::new(&training, &net(weights, Penalty { l1: 0.01, l2: 0.1 }), &w);
            for _ in 0..3 {
                let mut gradient: Vec<f32> = w.iter().map(|w| w * 0.37 - 0.1).collect();
                stepper.step(&mut w, &mut gradient, 0.0, 1.0);
            }
            w
        })
    };
    assert_eq!(steps(1), steps(2));
    assert_eq!(steps(1), steps(5));
}
