//! A whole training step. A gradient of millions of weights that is written and read again costs more, at small batches, than
//! it takes to make it; so where the optimiser lets each parameter follow its own gradient alone, the weights of dense layers
//! follow theirs piece by piece, while it is in a core's cache.

use super::{
    learner::Learner,
    loss::Objective,
    net::{Chance, Net, Workspace},
    optimize::{Now, Stepper},
    private::Noise,
    real::Real,
};
use std::ops::Range;

/// Lets weights of dense layers follow at once.
struct Hot<'a, R> {
    parameters: &'a mut [R],
    gradient: &'a mut [R],
    stepper: &'a mut Stepper<R>,
    round: f64,
    share: f64,
    /// Once the loss is known to be finite.
    now: Option<Now>,
    /// Where the weights that have moved lie.
    moved: Vec<Range<usize>>,
    /// Of a private step.
    noise: Option<&'a Noise>,
}

impl<R: Real> Learner<R> for Hot<'_, R> {
    fn both(&mut self) -> (&[R], &mut [R]) {
        (self.parameters, self.gradient)
    }

    fn begins(&mut self, loss: f64) -> bool {
        self.now = loss.is_finite().then(|| self.stepper.begin(self.round, self.share));
        self.now.is_some()
    }

    fn dense(&mut self, weight: &Range<usize>, dy: &[R], x: &[R], inputs: usize) {
        if let Some(now) = self.now {
            self.stepper.follow_dense(now, self.parameters, weight, (dy, x), inputs, self.noise);
            self.moved.push(weight.clone());
        }
    }
}

impl<R: Real> Hot<'_, R> {
    /// Lets all parameters follow that have not moved yet.
    fn ends(self) {
        let Self { parameters, gradient, stepper, now, moved, noise, .. } = self;
        if let Some(now) = now {
            let moved = |start| moved.iter().any(|weight| weight.contains(&start));
            stepper.follow_all(now, parameters, gradient, |start| !moved(start), noise);
        }
    }
}

impl<R: Real> Stepper<R> {
    /// One training step of a network with the rows in the workspace's [input](Workspace::input): their mean loss, its
    /// gradient, and what the parameters make of it, as [`Net::loss_and_gradient`] and [`Stepper::step`] do one after the
    /// other. Gives the loss; where that is not finite, nothing has moved. `gradient` is memory to write on.
    ///
    /// # Panics
    /// Another count of parameters, or gradients.
    #[allow(clippy::too_many_arguments)]
    pub fn train(
        &mut self,
        net: &Net,
        work: &mut Workspace<R>,
        parameters: &mut [R],
        batch: (&Objective, &[u32]),
        chance: Chance,
        gradient: &mut [R],
        (round, share): (f64, f64),
    ) -> f64 {
        let (objective, labels) = batch;
        if !self.follows_parts() {
            let loss = net.loss_and_gradient(work, parameters, objective, labels, chance, gradient);
            if loss.is_finite() {
                self.step(parameters, gradient, round, share);
            }
            return loss;
        }
        let mut hot =
            Hot { parameters, gradient, stepper: self, round, share, now: None, moved: Vec::new(), noise: None };
        let loss = net.backward(work, objective, labels, chance, &mut hot);
        hot.ends();
        loss
    }

    /// One private step with the rows in the workspace's [input](Workspace::input): their units' gradients, each shortened to the
    /// clip, are summed, noise makes a gradient of the sum, and the parameters follow it. `units` says how many rows each unit
    /// has; these stand one after the other. Gives the sum of the rows' losses. A unit of which a number is not finite counts
    /// for nothing. `sums` is memory to write on.
    ///
    /// # Panics
    /// Another count of parameters, or gradients.
    #[allow(clippy::too_many_arguments)]
    pub fn train_private(
        &mut self,
        net: &Net,
        work: &mut Workspace<R>,
        parameters: &mut [R],
        (objective, labels, units): (&Objective, &[u32], &[usize]),
        chance: Chance,
        sums: &mut [R],
        (clip, noise): (f64, &Noise),
        (round, share): (f64, f64),
    ) -> f64 {
        let batch = (objective, labels, units);
        if !self.follows_parts() {
            let loss = net.clipped(work, parameters, batch, chance, clip, sums);
            self.step_with_noise(parameters, sums, noise, (round, share));
            return loss;
        }
        net.slopes(work, parameters, objective, labels, chance);
        let (factors, loss) = net.factors(work, batch, clip);
        let now = Some(self.begin(round, share));
        let (gradient, stepper, noise) = (sums, self, Some(noise));
        let mut hot = Hot { parameters, gradient, stepper, round, share, now, moved: Vec::new(), noise };
        net.gather(work, &factors, &mut hot);
        hot.ends();
        loss
    }
}
