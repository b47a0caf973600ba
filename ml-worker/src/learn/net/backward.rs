//! The way back through a network: what a batch's loss says to each operation, the last one first.

use super::*;

impl Net {
    /// Mean loss of a batch, and its gradient with respect to all parameters. Rows stand in the workspace's
    /// [input](Workspace::input), `labels` as [`Objective`] says. Penalties are the optimiser's affair.
    ///
    /// # Panics
    /// Another count of parameters, or gradients.
    pub fn loss_and_gradient<R: Real>(
        &self,
        work: &mut Workspace<R>,
        parameters: &[R],
        objective: &Objective,
        labels: &[u32],
        chance: Chance,
        gradient: &mut [R],
    ) -> f64 {
        self.backward(work, objective, labels, chance, &mut Whole { parameters, gradient })
    }

    /// Loss of a batch, and what its gradient does to parameters or to a whole gradient.
    pub(in crate::learn) fn backward<R: Real, L: Learner<R>>(
        &self,
        work: &mut Workspace<R>,
        objective: &Objective,
        labels: &[u32],
        chance: Chance,
        learner: &mut L,
    ) -> f64 {
        assert_eq!(learner.both().1.len(), if L::GATHERS { self.parameters } else { 0 }, "another model's gradients");
        let rows = labels.len() / objective.labels_per_row();
        self.forward(work, learner.both().0, rows, chance);
        for (n, gradient) in work.gradients.iter_mut().enumerate().skip(1) {
            if gradient.is_empty() {
                *gradient = zeros(self.sizes[n] * work.rows);
            }
        }
        let logits = &work.values[self.output][..rows * self.sizes[self.output]];
        let slope = &mut work.gradients[self.output][..logits.len()];
        let parts = if L::GATHERS { rows as f64 } else { 1.0 };
        let loss = objective.part_and_slope(parts, logits, labels, slope);
        if !learner.begins(loss) {
            return loss;
        }
        // whether a value's gradient holds something yet: the first to write sets it, the others add to it
        let mut written = vec![false; self.sizes.len()];
        for (n, step) in self.steps.iter().enumerate().rev() {
            let x = &work.values[step.from][..rows * self.sizes[step.from]];
            let y = &work.values[step.to][..rows * self.sizes[step.to]];
            let (before, after) = work.gradients.split_at_mut(step.to);
            let dy = &mut after[0][..y.len()];
            let kept = &mut work.kept[n];
            let mask = |drop: &Drop| chance.map(|key| mask(&key, drop.number, drop.rate));
            let into = if written[step.from] { Into::Add } else { Into::Set };
            // nobody asks for the gradient of the input
            let wanted = step.from > 0;
            let dx = match wanted {
                true => &mut before[step.from][..x.len()],
                false => &mut [][..],
            };
            match &step.what {
                What::Dense { weight, bias, inputs, outputs, rectified, drop } => {
                    if *rectified {
                        rectify_back(dy, y, drop.as_ref().and_then(mask).as_ref());
                    }
                    let (parameters, gradient) = learner.both();
                    if L::GATHERS {
                        column_sums(&mut gradient[bias.clone()], dy);
                    }
                    if wanted {
                        let dy = Matrix::new(dy, rows, *outputs);
                        multiply(dx, dy, Matrix::new(&parameters[weight.clone()], *outputs, *inputs), into, true);
                    }
                    if L::GATHERS {
                        // last: the weights may move now
                        learner.dense(weight, dy, x, *inputs);
                    }
                }
                What::Conv { weight, bias, conv, rectified } => {
                    let (parameters, gradient) = learner.both();
                    let (w, y, dy) = (&parameters[weight.clone()], rectified.then_some(y), (&*dy, &kept.places[..]));
                    if L::GATHERS {
                        let (dw, db) = two(gradient, weight, bias);
                        conv::backward(conv, dx, dy, y, x, w, dw, db, &mut kept.numbers, wanted, into);
                    } else {
                        conv::slopes(conv, dx, dy, y, x, w, &mut kept.numbers, wanted, into);
                    }
                }
                What::Max(pool) if wanted => pool::max_back(pool, dx, dy, &kept.places, into),
                What::Average(pool) if wanted => pool::average_back(pool, dx, dy, into),
                What::Max(_) | What::Average(_) => {}
                What::Norm { weight, bias, norm } => {
                    let (parameters, gradient) = learner.both();
                    let w = &parameters[weight.clone()];
                    if L::GATHERS {
                        let (dw, db) = two(gradient, weight, bias);
                        norm::backward(norm, dx, dy, x, w, dw, db, &mut kept.numbers, wanted, into);
                    } else {
                        norm::slopes(norm, dx, dy, x, w, &mut kept.numbers, wanted, into);
                    }
                }
                What::Activation(activation) if wanted => activate_back(*activation, dx, dy, x, y, into == Into::Add),
                What::Dropout(drop) if wanted => match mask(drop) {
                    Some(mask) => mask.back(dx, dy, into == Into::Add),
                    None => pass(dx, dy, into),
                },
                What::Activation(_) | What::Dropout(_) => {}
                What::Add(other) => {
                    if wanted {
                        pass(dx, dy, into);
                        written[step.from] = true;
                    }
                    if *other > 0 {
                        // both ways may be the same value
                        let into = if written[*other] { Into::Add } else { Into::Set };
                        pass(&mut before[*other][..dy.len()], dy, into);
                        written[*other] = true;
                    }
                }
            }
            written[step.from] = true;
        }
        loss
    }
}

fn pass<R: Real>(dx: &mut [R], dy: &[R], into: Into) {
    match into {
        Into::Set => dx.copy_from_slice(dy),
        Into::Add => add(dx, dy),
    }
}

/// Two places of one slice, neither of which reaches into the other.
pub(super) fn two<'g, R>(all: &'g mut [R], a: &Range<usize>, b: &Range<usize>) -> (&'g mut [R], &'g mut [R]) {
    if a.start < b.start {
        let (first, second) = all.split_at_mut(b.start);
        (&mut first[a.clone()], &mut second[..b.len()])
    } else {
        let (first, second) = all.split_at_mut(a.start);
        (&mut second[..a.len()], &mut first[b.clone()])
    }
}
