//! How steep a linear unit's loss can be: the step of proximal gradient descent follows from it.

use super::{
    kernels::matrix::{multiply, Into, Matrix},
    loss::Objective,
};
use crate::{
    data::Rows,
    random::{key, Stream},
};
use consilium_study::{Loss, Task};
use std::io;

/// Fewest and most iterations.
const ITERATIONS: (usize, usize) = (12, 100);
/// An estimate that grows by less than this share of itself is taken.
const ENOUGH: f64 = 1e-3;

/// A bound on the curvature (the Lipschitz constant of the gradient) of the mean loss of these rows, as a function of the
/// weights and biases of one layer: `c·λ`, where `λ` is the largest eigenvalue of `1/n·Σ aᵢ·xᵢ·xᵢᵀ` over the rows `xᵢ`, each
/// with a 1 behind it for the bias, `aᵢ` are the rows' class weights, and `c` is the largest second derivative of one
/// row's loss by its logit: 2 of the squared error, 1 of Huber's, 1/4 of the cross-entropy of two classes, or of an interval,
/// 1/2 of several (Böhning, "Multinomial logistic regression algorithm", 1992), 1/4 divided by their number of several labels.
///
/// `λ` comes from power iteration, which begins at a fixed vector of chance and never says too much. It may say a little
/// too little: steps of proximal gradient descent go down as long as they are below `2 ÷ L`, that is, while more than half
/// of `λ` is found. `batch` rows are computed at a time, and `stop` is asked between passes over all rows: `None` when it
/// says so. 0 without rows.
///
/// # Errors
/// Rows that cannot be read.
pub fn of(rows: &Rows, objective: &Objective, batch: usize, stop: &dyn Fn() -> bool) -> io::Result<Option<f64>> {
    let steepest = match (objective.task, objective.loss) {
        (Task::Value, Loss::Huber { .. }) => 1.0,
        (Task::Value, _) | (Task::Binary, Loss::SquaredError) => 2.0,
        // each interval has weights of its own
        (Task::Binary | Task::Events(_), _) => 0.25,
        (Task::Classes(_), _) => 0.5,
        (Task::Labels(labels), _) => 0.25 / labels.max(1) as f64,
    };
    Ok(eigenvalue(rows, objective, batch.max(1), stop)?.map(|found| steepest * found))
}

fn eigenvalue(rows: &Rows, objective: &Objective, batch: usize, stop: &dyn Fn() -> bool) -> io::Result<Option<f64>> {
    if rows.is_empty() {
        return Ok(Some(0.0));
    }
    let width = rows.width();
    let per_row = objective.labels_per_row();
    let weight = |row: usize| match objective.task {
        Task::Labels(_) | Task::Value | Task::Events(_) => 1.0,
        Task::Binary | Task::Classes(_) => {
            objective.weights.get(rows.labels()[row * per_row] as usize).copied().unwrap_or(1.0)
        }
    };
    let mut stream = Stream::new(key("consilium/curvature/1", &[]));
    // the last number is the bias'
    let mut v: Vec<f32> = (0..=width).map(|_| stream.normal() as f32).collect();
    let (mut x, mut z, mut next) = (Vec::new(), Vec::new(), vec![0f32; width + 1]);
    let all: Vec<usize> = (0..rows.len()).collect();
    let mut found = 0.0;
    for iteration in 0..ITERATIONS.1 {
        let length = v.iter().fold(0.0, |sum, v| sum + f64::from(*v) * f64::from(*v)).sqrt();
        if iteration > 0 {
            let grown = length - found;
            found = length;
            let usable = length > 0.0 && length.is_finite();
            // not a number, or beyond all: training will say so
            if !usable || (iteration >= ITERATIONS.0 && grown < ENOUGH * length) {
                break;
            }
        }
        if stop() {
            return Ok(None);
        }
        v.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
        next.fill(0.0);
        for piece in all.chunks(batch) {
            x.resize(piece.len() * width, 0.0);
            rows.gather(piece, &mut x)?;
            z.clear();
            z.resize(piece.len(), v[width]);
            let matrix = Matrix::new(&x, piece.len(), width);
            multiply(&mut z, matrix, Matrix::new(&v[..width], width, 1), Into::Add, true);
            z.iter_mut().zip(piece).for_each(|(z, row)| *z *= (weight(*row) / rows.len() as f64) as f32);
            next[width] += z.iter().sum::<f32>();
            multiply(&mut next[..width], Matrix::new(&z, 1, piece.len()), matrix, Into::Add, true);
        }
        std::mem::swap(&mut v, &mut next);
    }
    Ok(Some(found))
}
