//! A whole training step. A gradient of millions of weights that is written and read again costs more, at small batches, than
//! it takes to make it; so where the optimiser lets each parameter follow its own gradient alone, the weights of dense layers
//! follow theirs piece by piece, while it is in a core's cache.

use super::{
    learner::Learner,
    loss::Objective,
    net::{Chance, Net, Workspace},
    optimize::{Now, Stepper},
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
            self.stepper.follow_dense(now, self.parameters, weight, (dy, x), inputs);
            self.moved.push(weight.clone());
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
        let mut hot = Hot { parameters, gradient, stepper: self, round, share, now: None, moved: Vec::new() };
        let loss = net.backward(work, objective, labels, chance, &mut hot);
        let Hot { parameters, gradient, stepper, now, moved, .. } = hot;
        if let Some(now) = now {
            let moved = |start| moved.iter().any(|weight| weight.contains(&start));
            stepper.follow_all(now, parameters, gradient, |start| !moved(start));
        }
        loss
    }
}
