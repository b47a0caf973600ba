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

/// After so many steps a power of a decay counts as it was: what is left of it changes no bit of `1 − βᵗ`.
const LAST_POWER: u64 = 100_000;

/// One optimiser at work.
pub struct Stepper {
    optimizer: Optimizer,
    steps: u64,
    first: Vec<f32>,
    second: Vec<f32>,
    /// Adam: `β₁ᵗ` and `β₂ᵗ`.
    powers: (f64, f64),
}

fn from_bits(bits: &[u32]) -> Vec<f32> {
    bits.iter().map(|b| f32::from_bits(*b)).collect()
}

impl Stepper {
    /// An optimiser of `parameters` numbers, going on from a state. A state of another length is none: it starts anew.
    pub fn new(optimizer: &Optimizer, parameters: usize, state: &OptimizerState) -> Self {
        let (first, second) = match optimizer {
            Optimizer::Sgd { momentum, .. } if *momentum == 0.0 => (0, 0),
            Optimizer::Sgd { .. } => (parameters, 0),
            Optimizer::Adam { .. } => (parameters, parameters),
        };
        let fits = state.first.len() == first && state.second.len() == second;
        let mut new = Self {
            optimizer: optimizer.clone(),
            steps: 0,
            first: vec![0.0; first],
            second: vec![0.0; second],
            powers: (1.0, 1.0),
        };
        if fits {
            (new.steps, new.first, new.second) = (state.steps, from_bits(&state.first), from_bits(&state.second));
        }
        for _ in 0..new.steps.min(LAST_POWER) {
            new.raise();
        }
        new
    }

    fn raise(&mut self) {
        if let Optimizer::Adam { beta1, beta2, .. } = &self.optimizer {
            self.powers = (self.powers.0 * beta1, self.powers.1 * beta2);
        }
    }

    /// One step, in place.
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32]) {
        self.steps += 1;
        if self.steps <= LAST_POWER {
            self.raise();
        }
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
                let correct1 = (1.0 / (1.0 - self.powers.0)) as f32;
                let correct2 = (1.0 / (1.0 - self.powers.1)) as f32;
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
    fn momentum_steps_are_those_of_the_formula() {
        // gradients 2w from w = 1 and -3, rate .05, momentum .9: numbers by tests/golden/momentum.py in float64
        let sgd = Optimizer::Sgd { learning_rate: 0.05, momentum: 0.9 };
        let mut w = [1.0f32, -3.0];
        let state = run(&sgd, 5, &OptimizerState::default(), &mut w);
        let golden = [-0.029159999999999964, 0.08748];
        assert!(w.iter().zip(golden).all(|(a, b)| (f64::from(*a) - b).abs() < 2e-6), "{w:?}");
        let golden = [5.119199999999999, -15.357600000000001];
        assert!(state.first.iter().zip(golden).all(|(a, b)| (f64::from(f32::from_bits(*a)) - b).abs() < 2e-5));
    }

    #[test]
    fn a_state_of_another_model_is_none_at_all() {
        for optimizer in [
            Optimizer::Sgd { learning_rate: 0.05, momentum: 0.9 },
            Optimizer::Adam { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        ] {
            let (mut fresh, mut other) = ([1.0f32, -3.0], [1.0f32, -3.0]);
            let foreign = run(&optimizer, 9, &OptimizerState::default(), &mut [4.0, 5.0, 6.0]);
            let wanted = run(&optimizer, 3, &OptimizerState::default(), &mut fresh);
            assert_eq!(run(&optimizer, 3, &foreign, &mut other), wanted, "the count of steps starts anew too");
            assert_eq!(other, fresh);
        }
    }

    #[test]
    fn the_correction_of_many_steps_is_that_of_the_power() {
        let adam = Optimizer::Adam { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        let at = |steps| OptimizerState { steps, first: vec![0.5f32.to_bits()], second: vec![0.25f32.to_bits()] };
        for steps in [0, 1, 700, 5_000, 150_000, u64::MAX / 2] {
            let mut w = [0.0f32];
            Stepper::new(&adam, 1, &at(steps)).step(&mut w, &[0.0]);
            let t = (steps + 1) as f64;
            let (m, v) = (0.5 * 0.9 / (1.0 - 0.9f64.powf(t)), 0.25 * 0.999 / (1.0 - 0.999f64.powf(t)));
            let wanted = -0.1 * m / (v.sqrt() + 1e-8);
            assert!((f64::from(w[0]) - wanted).abs() < 2e-6 * wanted.abs(), "{steps}: {} {wanted}", w[0]);
        }
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
