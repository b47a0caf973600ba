//! What is made small, from the logits; and what logits say.

use super::real::Real;
use crate::data::{Target, UNKNOWN};
use consilium_study::{Loss, Metric, Task};

/// A loss on logits, for a kind of label.
///
/// Labels are whole numbers: of two classes 0 or 1; of several classes one index per row; of several labels one 0, 1 or
/// [`UNKNOWN`] per label, row by row. Of an outcome that is a number, the bits of its f32, standardised; of the time until an
/// event, the bits of the time's f32, and behind them 1 where the event ended it, else 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The kind of label.
    pub task: Task,
    /// The loss.
    pub loss: Loss,
    /// Factor on the loss of each class's rows; empty: none.
    pub weights: Vec<f64>,
    /// How an outcome that is a number was standardised: predictions and figures are told in its own unit. Without it they
    /// are told as they are learned.
    pub target: Option<Target>,
    /// Ends of the intervals of a time until an event.
    pub cuts: Vec<f64>,
}

impl Objective {
    /// A loss on logits.
    pub fn new(task: Task, loss: Loss, weights: Vec<f64>) -> Self {
        Self { task, loss, weights, target: None, cuts: Vec::new() }
    }

    /// The same, with an outcome told in its own unit.
    #[must_use]
    pub fn told_in(self, target: Option<Target>) -> Self {
        Self { target, ..self }
    }

    /// The same, with the ends of the intervals of a time until an event.
    #[must_use]
    pub fn with_cuts(self, cuts: &[f64]) -> Self {
        Self { cuts: cuts.to_vec(), ..self }
    }

    /// How many numbers are one row's label.
    pub fn labels_per_row(&self) -> usize {
        match self.task {
            Task::Binary | Task::Classes(_) | Task::Value => 1,
            Task::Labels(n) => n,
            Task::Events(_) => 2,
        }
    }

    /// Mean loss of the rows, and its derivative with respect to each logit, both computed in f64:
    ///
    /// * two classes: `max(z, 0) − y·z + ln(1 + e^(−|z|))`, derivative `σ(z) − y`;
    /// * several: `ln Σ e^z − z_y`, derivative `softmax(z) − 1_y`;
    /// * several labels: the sum of the first over those that are known, divided by the number of all: what is not known of one
    ///   label changes nothing for another;
    /// * the time until an event: the sum of the first over the intervals that were seen of a row, `y` saying whether the event
    ///   was in it; of an interval that was not seen to its end, and of those after an event, there is no term;
    /// * squared error: `(z − y)²`, derivative `2·(z − y)`;
    /// * Huber's, with `e = z − y`: `e² ÷ 2` up to `δ` and `δ·(|e| − δ ÷ 2)` beyond, derivative `e` held between `−δ` and `δ`;
    ///
    /// each times the weight of the row's class and divided by the number of rows.
    pub fn loss_and_slope<R: Real>(&self, logits: &[R], labels: &[u32], slope: &mut [R]) -> f64 {
        self.part_and_slope((logits.len() / self.task.outputs()) as f64, logits, labels, slope)
    }

    /// The same, divided by another number than that of the rows.
    pub(super) fn part_and_slope<R: Real>(&self, parts: f64, logits: &[R], labels: &[u32], slope: &mut [R]) -> f64 {
        let outputs = self.task.outputs();
        let mut sum = 0.0;
        let per = self.labels_per_row();
        for ((z, label), slope) in
            logits.chunks_exact(outputs).zip(labels.chunks_exact(per)).zip(slope.chunks_exact_mut(outputs))
        {
            let weight = self.weight(label);
            sum += self.weighted(z, label);
            let factor = weight / parts;
            match (self.task, self.loss) {
                (Task::Binary, Loss::SquaredError) => {
                    slope[0] = R::of(factor * 2.0 * (z[0].f64() - f64::from(label[0])));
                }
                (Task::Binary, _) => {
                    slope[0] = R::of(factor * (sigmoid(z[0].f64()) - f64::from(label[0])));
                }
                (Task::Value, loss) => slope[0] = R::of(factor * steepness(loss, error(z, label))),
                (Task::Events(_), _) => {
                    for (n, (slope, z)) in slope.iter_mut().zip(z).enumerate() {
                        *slope = match self.seen(label, n) {
                            Some(y) => R::of(factor * (sigmoid(z.f64()) - f64::from(u8::from(y)))),
                            None => R::ZERO,
                        };
                    }
                }
                (Task::Labels(n), _) => {
                    for ((slope, z), y) in slope.iter_mut().zip(z).zip(label) {
                        *slope = match *y {
                            UNKNOWN => R::of(0.0),
                            y => R::of(factor / n as f64 * (sigmoid(z.f64()) - f64::from(y))),
                        };
                    }
                }
                (Task::Classes(_), _) => {
                    let (most, total) = normaliser(z);
                    for (class, (slope, z)) in slope.iter_mut().zip(z).enumerate() {
                        let hit = f64::from(u8::from(class == label[0] as usize));
                        *slope = R::of(factor * ((z.f64() - most).exp() / total - hit));
                    }
                }
            }
        }
        sum / parts
    }

    /// The weight of a row's class.
    fn weight(&self, label: &[u32]) -> f64 {
        self.weights.get(label[0] as usize).copied().unwrap_or(1.0)
    }

    /// Loss of one row, times its class's weight.
    pub(super) fn weighted<R: Real>(&self, z: &[R], label: &[u32]) -> f64 {
        self.weight(label) * self.row(z, label)
    }

    /// Loss of one row, without its class's weight.
    pub fn row<R: Real>(&self, z: &[R], label: &[u32]) -> f64 {
        match (self.task, self.loss) {
            (Task::Binary, Loss::SquaredError) => {
                let error = z[0].f64() - f64::from(label[0]);
                error * error
            }
            (Task::Binary, _) => log_loss(z[0].f64(), label[0] == 1),
            (Task::Events(_), _) => z
                .iter()
                .enumerate()
                .fold(0.0, |sum, (n, z)| sum + self.seen(label, n).map_or(0.0, |y| log_loss(z.f64(), y))),
            (Task::Value, Loss::Huber { delta }) => huber(error(z, label), delta),
            (Task::Value, _) => error(z, label) * error(z, label),
            (Task::Labels(n), _) => {
                let known = z.iter().zip(label).filter(|(_, y)| **y != UNKNOWN);
                known.fold(0.0, |sum, (z, y)| sum + log_loss(z.f64(), *y == 1)) / n as f64
            }
            (Task::Classes(_), _) => {
                let (most, total) = normaliser(z);
                most + total.ln() - z.get(label[0] as usize).map_or(f64::NAN, |z| z.f64())
            }
        }
    }

    /// Whether the event was in an interval of a row; `None` of one that was not seen.
    fn seen(&self, label: &[u32], interval: usize) -> Option<bool> {
        let (time, event) = (f32::from_bits(label[0]), label[1] == 1);
        let end = |n: usize| self.cuts.get(n).map(|cut| *cut as f32);
        let after = interval.checked_sub(1).and_then(end).is_none_or(|begin| time > begin);
        match end(interval)? {
            end if event && time <= end => after.then_some(true),
            end => (time >= end).then_some(false),
        }
    }

    /// The agreed metric of one row.
    pub fn metric<R: Real>(&self, metric: Metric, z: &[R], label: &[u32]) -> f64 {
        match metric {
            Metric::LogLoss => self.row(z, label),
            Metric::Brier => self.brier(z, label),
            Metric::SquaredError => error(z, label) * error(z, label),
            Metric::AbsoluteError => error(z, label).abs(),
        }
    }

    /// Predicted probabilities, one per output; of a squared error the output held between 0 and 1. Of an outcome that is a
    /// number the prediction, in its own unit; of the time until an event the probability of one by each cut.
    pub fn probabilities<R: Real>(&self, logits: &[R]) -> Vec<f64> {
        match (self.task, self.loss) {
            (Task::Binary, Loss::SquaredError) => logits.iter().map(|z| z.f64().clamp(0.0, 1.0)).collect(),
            (Task::Events(n), _) => {
                logits.chunks_exact(n).flat_map(|z| survivals(z).into_iter().map(|alive| 1.0 - alive)).collect()
            }
            (Task::Value, _) => logits.iter().map(|z| self.told(z.f64())).collect(),
            (Task::Binary | Task::Labels(_), _) => logits.iter().map(|z| sigmoid(z.f64())).collect(),
            (Task::Classes(n), _) => logits
                .chunks_exact(n)
                .flat_map(|z| {
                    let (most, total) = normaliser(z);
                    z.iter().map(move |z| (z.f64() - most).exp() / total)
                })
                .collect(),
        }
    }

    /// A standardised number in its own unit.
    pub fn told(&self, standard: f64) -> f64 {
        self.target.map_or(standard, |target| target.back(standard))
    }

    /// Sum over outputs of the squared error of the predicted probabilities of one row.
    pub fn brier<R: Real>(&self, z: &[R], label: &[u32]) -> f64 {
        let probabilities = self.probabilities(z);
        let truth = |output: usize| match self.task {
            Task::Classes(_) => f64::from(u8::from(label[0] as usize == output)),
            Task::Binary | Task::Labels(_) => f64::from(label[output]),
            // there are no probabilities of classes
            Task::Value | Task::Events(_) => f64::NAN,
        };
        let known = probabilities.iter().enumerate().filter(|(n, _)| label.get(*n) != Some(&UNKNOWN));
        known.fold(0.0, |sum, (n, p)| sum + (p - truth(n)) * (p - truth(n)))
    }

    /// How many rows' worth of labels are known among these: the rows, where none is unknown. What [`row`](Self::row) and
    /// [`brier`](Self::brier) come to, divided by it, is a mean over what is known.
    pub fn known(&self, labels: &[u32]) -> f64 {
        labels.iter().filter(|label| **label != UNKNOWN).count() as f64 / self.labels_per_row() as f64
    }

    /// What belongs to one output, counted from 0, of values row by row, and whether its label holds: of the rows of which that is
    /// known. For two classes and for several labels.
    pub fn of_output<T: Copy>(&self, output: usize, values: &[T], labels: &[u32]) -> (Vec<T>, Vec<bool>) {
        let column = |n: usize| labels.iter().skip(n).step_by(self.labels_per_row());
        let values = values.iter().skip(output).step_by(self.task.outputs());
        values.zip(column(output)).filter(|(_, label)| **label != UNKNOWN).map(|(v, label)| (*v, *label == 1)).unzip()
    }
}

/// Probabilities of no event by each cut, from the logits of the intervals' hazards.
pub fn survivals<R: Real>(z: &[R]) -> Vec<f64> {
    let mut alive = 1.0;
    z.iter()
        .map(|z| {
            alive *= sigmoid(-z.f64());
            alive
        })
        .collect()
}

/// Output less outcome, both standardised.
fn error<R: Real>(z: &[R], label: &[u32]) -> f64 {
    z[0].f64() - f64::from(f32::from_bits(label[0]))
}

fn huber(error: f64, delta: f64) -> f64 {
    let size = error.abs();
    if size <= delta {
        size * size / 2.0
    } else {
        delta * (size - delta / 2.0)
    }
}

/// Derivative of a loss by the error.
fn steepness(loss: Loss, error: f64) -> f64 {
    match loss {
        Loss::Huber { delta } => error.clamp(-delta, delta),
        Loss::SquaredError | Loss::CrossEntropy => 2.0 * error,
    }
}

/// The largest logit `m`, and `Σ e^(z − m)`.
fn normaliser<R: Real>(z: &[R]) -> (f64, f64) {
    let most = z.iter().fold(f64::NEG_INFINITY, |most, z| most.max(z.f64()));
    (most, z.iter().fold(0.0, |sum, z| sum + (z.f64() - most).exp()))
}

/// `1 ÷ (1 + e^(−z))`.
pub fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// Log-loss of one row from its logit.
pub fn log_loss(z: f64, positive: bool) -> f64 {
    z.max(0.0) - if positive { z } else { 0.0 } + (-z.abs()).exp().ln_1p()
}
