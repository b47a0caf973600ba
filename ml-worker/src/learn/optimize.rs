//! How parameters follow gradients.

use codec::{Decode, Encode};
use consilium_study::Optimizer;

/// What an optimiser remembers between steps. Numbers are kept by their bits, so that a saved state is the same state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct OptimizerState {
    /// Steps taken.
    pub steps: u64,
    /// SGD: velocity. Adam: first moment. One `f32` per parameter, by its bits; empty before the first step.
    pub first: Vec<u32>,
    /// Adam: second moment.
    pub second: Vec<u32>,
}

/// One optimiser at work.
pub struct Stepper {
    optimizer: Optimizer,
    steps: u64,
    first: Vec<f32>,
    second: Vec<f32>,
}

fn from_bits(bits: &[u32], len: usize) -> Vec<f32> {
    if bits.len() == len {
        bits.iter().map(|b| f32::from_bits(*b)).collect()
    } else {
        vec![0.0; len]
    }
}

impl Stepper {
    /// An optimiser of `parameters` numbers, going on from a state.
    pub fn new(optimizer: &Optimizer, parameters: usize, state: &OptimizerState) -> Self {
        let (first, second) = match optimizer {
            Optimizer::Sgd { momentum, .. } if *momentum == 0.0 => (Vec::new(), Vec::new()),
            Optimizer::Sgd { .. } => (from_bits(&state.first, parameters), Vec::new()),
            Optimizer::Adam { .. } => (from_bits(&state.first, parameters), from_bits(&state.second, parameters)),
        };
        Self { optimizer: optimizer.clone(), steps: state.steps, first, second }
    }

    /// One step, in place.
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32]) {
        self.steps += 1;
        match &self.optimizer {
            Optimizer::Sgd { learning_rate, momentum } => {
                let (rate, momentum) = (*learning_rate as f32, *momentum as f32);
                if self.first.is_empty() {
                    for (w, g) in parameters.iter_mut().zip(gradient) {
                        *w -= rate * g;
                    }
                } else {
                    for ((w, g), v) in parameters.iter_mut().zip(gradient).zip(&mut self.first) {
                        *v = momentum * *v + g;
                        *w -= rate * *v;
                    }
                }
            }
            Optimizer::Adam { learning_rate, beta1, beta2, epsilon } => {
                let power = |beta: f64| (0..self.steps.min(100_000)).fold(1.0, |p, _| p * beta);
                let correct1 = (1.0 / (1.0 - power(*beta1))) as f32;
                let correct2 = (1.0 / (1.0 - power(*beta2))) as f32;
                let (rate, epsilon) = (*learning_rate as f32, *epsilon as f32);
                let (b1, b2) = (*beta1 as f32, *beta2 as f32);
                let (r1, r2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
                for (((w, g), m), v) in parameters.iter_mut().zip(gradient).zip(&mut self.first).zip(&mut self.second) {
                    *m = b1 * *m + r1 * g;
                    *v = b2 * *v + r2 * g * g;
                    *w -= rate * (*m * correct1) / ((*v * correct2).sqrt() + epsilon);
                }
            }
        }
    }

    /// What must be kept to go on later.
    pub fn state(&self) -> OptimizerState {
        let bits = |numbers: &[f32]| numbers.iter().map(|n| n.to_bits()).collect();
        OptimizerState { steps: self.steps, first: bits(&self.first), second: bits(&self.second) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn run(optimizer: &Optimizer, steps: usize, state: &OptimizerState, w: &mut [f32]) -> OptimizerState {
        let mut stepper = Stepper::new(optimizer, w.len(), state);
        for _ in 0..steps {
            let gradient: Vec<f32> = w.iter().map(|w| 2.0 * w).collect();
            stepper.step(w, &gradient);
        }
        stepper.state()
    }

    #[test]
    fn adam_steps_are_those_of_the_paper() {
        // gradients 2w from w = 1 and -3, rate .1: numbers by tests/golden/adam.py in float64
        let adam = Optimizer::Adam { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        let mut w = [1.0f32, -3.0];
        run(&adam, 5, &OptimizerState::default(), &mut w);
        let golden = [0.5079636592643417, -2.5017794562272866];
        assert!(w.iter().zip(golden).all(|(a, b)| (f64::from(*a) - b).abs() < 2e-6), "{w:?}");
    }

    #[test]
    fn a_saved_state_goes_on_as_if_never_interrupted() {
        for optimizer in [
            Optimizer::Sgd { learning_rate: 0.05, momentum: 0.9 },
            Optimizer::Sgd { learning_rate: 0.05, momentum: 0.0 },
            Optimizer::Adam { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        ] {
            let (mut once, mut twice) = ([1.0f32, -3.0], [1.0f32, -3.0]);
            let whole = run(&optimizer, 7, &OptimizerState::default(), &mut once);
            let part = run(&optimizer, 3, &OptimizerState::default(), &mut twice);
            let saved = OptimizerState::decode(&mut &part.encode()[..]).unwrap();
            assert_eq!(run(&optimizer, 4, &saved, &mut twice), whole);
            assert_eq!(once, twice);
        }
    }
}
