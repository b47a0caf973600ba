//! What an onlooker who knows everything but one record can tell of it from a step: no more than the noise lets it.

use super::{difference, length, net, Case};
use consilium_ml_worker::{
    learn::{
        private::{Mechanism, Private, Units},
        Stepper,
    },
    random::key,
};
use consilium_study::{Loss, Task, Training};

/// Records besides the one that is looked for, which comes last.
const OTHERS: usize = 30;
const CLIP: f64 = 1.0;
/// How much shorter than the clip gradients are made, so that rounding cannot make them longer.
const SHORTER: f64 = 1.0 - 1.0 / 65536.0;
const RUNS: u32 = 10_000;

struct Game {
    case: Case<f64>,
    training: Training,
}

impl Game {
    /// With a record that is `size` times as large as the others, and whose outcome is missed by so much.
    fn new(size: f64, missed: f64) -> Self {
        let layers = r#"{"dense": {"units": 6}}, {"activation": "tanh"}"#;
        let mut case = Case::<f64>::new(net(layers, &[5], Task::Value), Task::Value, Loss::SquaredError, OTHERS + 1, 9);
        let last = OTHERS * case.net.inputs();
        case.input[last..].iter_mut().for_each(|x| *x *= size);
        let mut work = case.net.workspace(1);
        work.input().copy_from_slice(&case.input[last..]);
        let told = case.net.forward(&mut work, &case.parameters, 1, None)[0];
        case.labels[OTHERS] = ((told - missed) as f32).to_bits();
        let training = r#"{"optimizer": {"sgd": {"learning_rate": 1.0}}, "batch_size": 1, "epochs": 1}"#;
        Self { case, training: serde_json::from_str(training).unwrap() }
    }

    /// The gradient of the record that is looked for.
    fn canary(&self) -> Vec<f64> {
        self.case.gradient(OTHERS, 1, None)
    }

    /// The parameters after one step over all of so many records. The signed count is that with the canary, whether it is there.
    fn after(&self, records: usize, sigma: f64, seed: [u8; 32]) -> Vec<f64> {
        let case = &self.case;
        let mechanism = Mechanism { rate_ppm: 1_000_000, steps: 1, clip: CLIP, sigma, units: OTHERS as u64 + 1 };
        let private = Private { mechanism, seed, units: Units::records(records) };
        assert_eq!(private.draw(0).len(), records);
        let mut work = case.net.workspace(records);
        work.input().copy_from_slice(&case.input[..records * case.net.inputs()]);
        let (mut parameters, mut sums) = (case.parameters.clone(), vec![0.0; case.parameters.len()]);
        let mut stepper = Stepper::new(&self.training, &case.net, &parameters);
        let (units, noise) = (vec![1; records], private.noise(0));
        let batch = (&case.objective, &case.labels[..records], &units[..]);
        let clipping = (CLIP, &noise);
        let loss =
            stepper.train_private(&case.net, &mut work, &mut parameters, batch, None, &mut sums, clipping, (0.0, 1.0));
        assert!(loss.is_finite());
        parameters
    }
}

#[test]
fn with_the_same_seed_a_record_moves_the_step_by_the_clip_in_its_own_direction() {
    let game = Game::new(20.0, 80.0);
    let canary = game.canary();
    assert!(length(&canary) > 2.0 * CLIP, "it is to be shortened");
    let moved = difference(&game.after(OTHERS + 1, 3.0, [1; 32]), &game.after(OTHERS, 3.0, [1; 32]));
    let share = CLIP / (OTHERS as f64 + 1.0);
    let expected: Vec<f64> = canary.iter().map(|g| -share * g / length(&canary)).collect();
    let error = length(&difference(&moved, &expected)) / length(&expected);
    assert!(error < 1e-4, "{error:e}");
    assert!(length(&moved) <= share, "{} of {share}", length(&moved));
    // and the noise is there: with another seed all is elsewhere
    let other = difference(&game.after(OTHERS, 3.0, [2; 32]), &game.after(OTHERS, 3.0, [1; 32]));
    assert!(length(&other) > share);
}

#[test]
fn a_record_within_the_clip_moves_the_step_by_its_own_gradient() {
    let game = Game::new(1e-3, 0.05);
    let canary = game.canary();
    assert!(length(&canary) < 0.9 * CLIP && length(&canary) > 1e-4, "it is not to be shortened: {}", length(&canary));
    let moved = difference(&game.after(OTHERS + 1, 3.0, [1; 32]), &game.after(OTHERS, 3.0, [1; 32]));
    let expected: Vec<f64> = canary.iter().map(|g| -g / (OTHERS as f64 + 1.0)).collect();
    let error = length(&difference(&moved, &expected)) / length(&expected);
    assert!(error < 1e-9, "{error:e}");
}

/// The strongest onlooker has the canary's direction: how far apart its figure is with and without the record, in its own
/// deviations, is one over σ.
#[test]
fn with_fresh_seeds_nobody_tells_a_record_better_than_the_noise_allows() {
    let game = Game::new(20.0, 80.0);
    let canary = game.canary();
    let along = |parameters: &[f64]| {
        let moved = difference(parameters, &game.case.parameters);
        moved.iter().zip(&canary).map(|(m, g)| m * g).sum::<f64>() / length(&canary)
    };
    let sigma = 1.0;
    let figures = |records: usize| -> (f64, f64) {
        let found: Vec<f64> = (0..RUNS)
            .map(|run| along(&game.after(records, sigma, key("canary", &[&[records as u8], &run.to_le_bytes()]))))
            .collect();
        let mean = found.iter().sum::<f64>() / f64::from(RUNS);
        let variance = found.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / f64::from(RUNS - 1);
        (mean, variance)
    };
    let ((with, spread), (without, other)) = (figures(OTHERS + 1), figures(OTHERS));
    let apart = (with - without).abs() / ((spread + other) / 2.0).sqrt();
    println!("a record is {apart:.3} deviations apart; one over sigma is {:.3}", 1.0 / sigma);
    let ratio = apart * sigma / SHORTER;
    assert!((ratio - 1.0).abs() < 0.06, "{ratio} times one over sigma");
}
