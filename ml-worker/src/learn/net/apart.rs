//! What each unit, a record or a patient, makes of the parameters by itself. One way back makes the slopes of every row's own loss;
//! from these follow how long each unit's gradient is, and then the sum of gradients of which each unit's has a factor of its
//! own. Products of matrices are those of any training step.

use super::{backward::two, *};
use crate::learn::kernels::apart::{add_scaled, scale_rows, square_of_product, square_of_sum};
use rayon::prelude::*;

/// Numbers that gradients of single pictures may take in a step: those of 64 MiB in f32.
const PARTS: usize = 1 << 24;
/// A clip is kept to this part of itself shorter, which is more than rounding in f32 can add: 2⁻¹⁶.
const ROUNDING: f64 = 1.0 / 65536.0;
/// The longest gradient of a row that counts: sums of these, and what they are multiplied by, stay within the range of f32.
const LONGEST: f64 = 1e25;

impl Net {
    /// How many of so many rows go through a private step at a time.
    pub(in crate::learn) fn private_piece(&self, rows: usize) -> usize {
        let parts = self.steps.iter().map(|step| match &step.what {
            What::Conv { conv, .. } => conv.part(),
            _ => 0,
        });
        self.piece(rows).min(PARTS / parts.sum::<usize>().max(1)).max(1)
    }

    /// The way there and back with the rows in the workspace's [input](Workspace::input), up to the slopes of every row's own
    /// loss, from which [`squares`](Self::squares) follow. Gives the sum of the losses. Rows of which a number is not finite change
    /// nothing of the others'.
    ///
    /// # Panics
    /// Another count of parameters.
    pub fn slopes<R: Real>(
        &self,
        work: &mut Workspace<R>,
        parameters: &[R],
        objective: &Objective,
        labels: &[u32],
        chance: Chance,
    ) -> f64 {
        self.backward(work, objective, labels, chance, &mut Slopes { parameters })
    }

    /// The squared length of each unit's gradient, in f64, after [`slopes`](Self::slopes). `units` says how many rows each has;
    /// a unit's rows stand one after the other.
    pub fn squares<R: Real>(&self, work: &Workspace<R>, units: &[usize]) -> Vec<f64> {
        let rows: usize = units.iter().sum();
        let mut end = 0;
        let ranges: Vec<Range<usize>> = units
            .iter()
            .map(|count| {
                end += count;
                end - count..end
            })
            .collect();
        ranges.into_par_iter().map(|unit| self.square(work, rows, unit)).collect()
    }

    /// That of one unit's rows, of so many of the batch.
    fn square<R: Real>(&self, work: &Workspace<R>, rows: usize, unit: Range<usize>) -> f64 {
        let mut total = 0.0;
        for (n, step) in self.steps.iter().enumerate() {
            let (before, after) = (self.sizes[step.from], self.sizes[step.to]);
            let (x, dy) = (&work.values[step.from][..rows * before], &work.gradients[step.to][..rows * after]);
            let kept = &work.kept[n].numbers;
            total += match &step.what {
                What::Dense { inputs, outputs, .. } => {
                    let (dy, x) = (of(dy, *outputs, &unit), of(x, *inputs, &unit));
                    square_of_product(dy, *outputs, x, *inputs)
                }
                What::Conv { conv, .. } => {
                    let parts = conv::parts(conv, kept, rows, step.from > 0);
                    square_of_sum(of(parts, conv.part(), &unit), conv.part())
                }
                What::Norm { weight, bias, norm } => {
                    let mut sum = vec![0.0; weight.len() + bias.len()];
                    unit.clone().for_each(|row| norm::of_row(norm, row, (dy, x), kept, 1.0, &mut sum));
                    sum.iter().map(|g| g * g).sum::<f64>()
                }
                What::Max(_) | What::Average(_) | What::Activation(_) | What::Dropout(_) | What::Add(_) => 0.0,
            };
        }
        total
    }

    /// What each row's gradient is multiplied by, so that none of the units' is longer than the clip, however numbers were rounded;
    /// and the sum of the losses of the rows that count, after [`slopes`](Self::slopes).
    ///
    /// A unit of which a loss or a gradient is no finite number, or a row's gradient is longer than [`LONGEST`], counts for nothing:
    /// its factor is 0, and so is what the workspace holds of it. A failure would tell everybody exactly, and without noise, that such a
    /// unit is among the rows.
    pub(in crate::learn) fn factors<R: Real>(
        &self,
        work: &mut Workspace<R>,
        (objective, labels, units): (&Objective, &[u32], &[usize]),
        clip: f64,
    ) -> (Vec<f64>, f64) {
        let bound = clip * (1.0 - ROUNDING);
        let rows: usize = units.iter().sum();
        let outputs = self.sizes[self.output];
        let logits = work.values[self.output][..rows * outputs].chunks_exact(outputs);
        let labels = labels.chunks_exact(objective.labels_per_row());
        let losses: Vec<f64> = logits.zip(labels).map(|(z, label)| objective.weighted(z, label)).collect();
        let squares = self.squares(work, units);
        // of a unit with one row its own
        let alone = if rows == units.len() { Vec::new() } else { self.squares(work, &vec![1; rows]) };
        let (mut factors, mut loss, mut nothing) = (Vec::with_capacity(rows), 0.0, 0usize);
        for (square, count) in squares.into_iter().zip(units) {
            let unit = factors.len()..factors.len() + count;
            let norm = square.sqrt();
            let short = |square: &f64| square.sqrt() <= LONGEST;
            let rows_short = if alone.is_empty() { short(&square) } else { alone[unit.clone()].iter().all(short) };
            let losses = &losses[unit.clone()];
            let counts = norm.is_finite() && rows_short && losses.iter().all(|loss| loss.is_finite());
            if counts {
                loss = losses.iter().fold(loss, |sum, loss| sum + loss);
                factors.resize(unit.end, if norm > bound { bound / norm } else { 1.0 });
            } else {
                nothing += 1;
                self.leave_out(work, &unit);
                factors.resize(unit.end, 0.0);
            }
        }
        if nothing > 0 {
            tracing::warn!(
                "private training: a loss or a gradient of {nothing} of the records or patients in this step is not finite, or far too \
                 long: they count for nothing in it"
            );
        }
        (factors, loss)
    }

    /// Sets to 0 what the workspace holds of these rows: 0 times a number that is not finite would not be 0.
    fn leave_out<R: Real>(&self, work: &mut Workspace<R>, rows: &Range<usize>) {
        for (n, size) in self.sizes.iter().enumerate() {
            let range = rows.start * size..rows.end * size;
            for numbers in [&mut work.values[n], &mut work.gradients[n]] {
                if let Some(numbers) = numbers.get_mut(range.clone()) {
                    numbers.fill(R::ZERO);
                }
            }
        }
    }

    /// The sum of the gradients of the units whose rows stand in the workspace's [input](Workspace::input), each shortened to the
    /// clip; `units` says how many rows each has, one after the other. Gives the sum of the rows' losses. A unit of which a number is
    /// not finite counts for nothing, in neither sum.
    ///
    /// # Panics
    /// Another count of parameters, or gradients.
    pub fn clipped<R: Real>(
        &self,
        work: &mut Workspace<R>,
        parameters: &[R],
        (objective, labels, units): (&Objective, &[u32], &[usize]),
        chance: Chance,
        clip: f64,
        sum: &mut [R],
    ) -> f64 {
        assert_eq!(sum.len(), self.parameters, "another model's gradients");
        self.slopes(work, parameters, objective, labels, chance);
        let (factors, loss) = self.factors(work, (objective, labels, units), clip);
        self.gather(work, &factors, &mut Whole { parameters, gradient: sum });
        loss
    }

    /// The sum of all rows' gradients, each times its row's factor, after [`slopes`](Self::slopes), of which nothing is left then.
    /// Rows with the factor 0 add nothing, whatever they hold.
    pub(in crate::learn) fn gather<R: Real>(
        &self,
        work: &mut Workspace<R>,
        factors: &[f64],
        learner: &mut impl Learner<R>,
    ) {
        let rows = factors.len();
        for (n, step) in self.steps.iter().enumerate().rev() {
            let x = &work.values[step.from][..rows * self.sizes[step.from]];
            let dy = &mut work.gradients[step.to][..rows * self.sizes[step.to]];
            let kept = &work.kept[n].numbers;
            match &step.what {
                What::Dense { weight, bias, inputs, outputs, .. } => {
                    scale_rows(dy, *outputs, factors);
                    column_sums(&mut learner.both().1[bias.clone()], dy);
                    learner.dense(weight, dy, x, *inputs);
                }
                What::Conv { weight, bias, conv, .. } => {
                    let (dw, db) = two(learner.both().1, weight, bias);
                    dw.fill(R::ZERO);
                    db.fill(R::ZERO);
                    let parts = conv::parts(conv, kept, rows, step.from > 0).chunks_exact(conv.part());
                    for (part, factor) in parts.zip(factors).filter(|(_, factor)| **factor != 0.0) {
                        let (of_weights, of_biases) = part.split_at(dw.len());
                        add_scaled(dw, *factor, of_weights);
                        add_scaled(db, *factor, of_biases);
                    }
                }
                What::Norm { weight, bias, norm } => {
                    let mut sum = vec![0.0; weight.len() + bias.len()];
                    for (row, factor) in factors.iter().enumerate().filter(|(_, factor)| **factor != 0.0) {
                        norm::of_row(norm, row, (&*dy, x), kept, *factor, &mut sum);
                    }
                    let (dw, db) = two(learner.both().1, weight, bias);
                    dw.iter_mut().chain(db).zip(sum).for_each(|(to, sum)| *to = R::of(sum));
                }
                What::Max(_) | What::Average(_) | What::Activation(_) | What::Dropout(_) | What::Add(_) => {}
            }
        }
    }
}

/// A unit's rows of `width` numbers each.
fn of<'n, R>(numbers: &'n [R], width: usize, unit: &Range<usize>) -> &'n [R] {
    &numbers[unit.start * width..unit.end * width]
}

#[cfg(test)]
mod tests;
