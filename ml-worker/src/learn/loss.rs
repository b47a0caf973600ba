//! What is made small, from the logits; and what logits say.

use super::real::Real;
use crate::data::UNKNOWN;
use consilium_study::{Loss, Task};

/// A loss on logits, for a kind of label.
///
/// Labels are whole numbers: of two classes 0 or 1; of several classes one index per row; of several labels one 0, 1 or
/// [`UNKNOWN`] per label, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The kind of label.
    pub task: Task,
    /// The loss.
    pub loss: Loss,
    /// Factor on the loss of each class's rows; empty: none.
    pub weights: Vec<f64>,
}

impl Objective {
    /// How many whole numbers are one row's label.
    pub fn labels_per_row(&self) -> usize {
        match self.task {
            Task::Binary | Task::Classes(_) => 1,
            Task::Labels(n) => n,
        }
    }

    /// Mean loss of the rows, and its derivative with respect to each logit, both computed in f64:
    ///
    /// * two classes: `max(z, 0) − y·z + ln(1 + e^(−|z|))`, derivative `σ(z) − y`;
    /// * several: `ln Σ e^z − z_y`, derivative `softmax(z) − 1_y`;
    /// * several labels: the sum of the first over those that are known, divided by the number of all: what is not known of one
    ///   label changes nothing for another;
    /// * squared error: `(z − y)²`, derivative `2·(z − y)`;
    ///
    /// each times the weight of the row's class and divided by the number of rows.
    pub fn loss_and_slope<R: Real>(&self, logits: &[R], labels: &[u32], slope: &mut [R]) -> f64 {
        let outputs = self.task.outputs();
        let rows = (logits.len() / outputs) as f64;
        let mut sum = 0.0;
        let per = self.labels_per_row();
        for ((z, label), slope) in
            logits.chunks_exact(outputs).zip(labels.chunks_exact(per)).zip(slope.chunks_exact_mut(outputs))
        {
            let weight = self.weights.get(label[0] as usize).copied().unwrap_or(1.0);
            sum += weight * self.row(z, label);
            let factor = weight / rows;
            match (self.task, self.loss) {
                (Task::Binary, Loss::SquaredError) => {
                    slope[0] = R::of(factor * 2.0 * (z[0].f64() - f64::from(label[0])));
                }
                (Task::Binary, Loss::CrossEntropy) => {
                    slope[0] = R::of(factor * (sigmoid(z[0].f64()) - f64::from(label[0])));
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
        sum / rows
    }

    /// Loss of one row, without its class's weight.
    pub fn row<R: Real>(&self, z: &[R], label: &[u32]) -> f64 {
        match (self.task, self.loss) {
            (Task::Binary, Loss::SquaredError) => {
                let error = z[0].f64() - f64::from(label[0]);
                error * error
            }
            (Task::Binary, Loss::CrossEntropy) => log_loss(z[0].f64(), label[0] == 1),
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

    /// Predicted probabilities, one per output; of a squared error the output held between 0 and 1.
    pub fn probabilities<R: Real>(&self, logits: &[R]) -> Vec<f64> {
        match (self.task, self.loss) {
            (Task::Binary, Loss::SquaredError) => logits.iter().map(|z| z.f64().clamp(0.0, 1.0)).collect(),
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

    /// Sum over outputs of the squared error of the predicted probabilities of one row.
    pub fn brier<R: Real>(&self, z: &[R], label: &[u32]) -> f64 {
        let probabilities = self.probabilities(z);
        let truth = |output: usize| match self.task {
            Task::Classes(_) => f64::from(u8::from(label[0] as usize == output)),
            Task::Binary | Task::Labels(_) => f64::from(label[output]),
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
