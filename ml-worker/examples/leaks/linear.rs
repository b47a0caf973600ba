//! Systems of linear equations, as the attacks need them.

/// A symmetric positive definite matrix, taken apart once for many right-hand sides (Cholesky).
pub struct Cholesky {
    n: usize,
    /// The lower triangle, row by row; what stands above it is not looked at.
    lower: Vec<f64>,
}

impl Cholesky {
    /// Takes an `n × n` matrix apart, given row by row. `None`: it is not positive definite.
    pub fn of(mut matrix: Vec<f64>, n: usize) -> Option<Self> {
        for row in 0..n {
            for column in 0..=row {
                let (a, b) = (row * n, column * n);
                let known: f64 = (0..column).map(|k| matrix[a + k] * matrix[b + k]).sum();
                let rest = matrix[a + column] - known;
                matrix[a + column] = match row == column {
                    true if rest > 0.0 => rest.sqrt(),
                    true => return None,
                    false => rest / matrix[b + column],
                };
            }
        }
        Some(Self { n, lower: matrix })
    }

    /// Solves `matrix · x = b`: `x` takes the place of `b`.
    pub fn solve(&self, b: &mut [f64]) {
        let (n, lower) = (self.n, &self.lower);
        for row in 0..n {
            let known: f64 = (0..row).map(|k| lower[row * n + k] * b[k]).sum();
            b[row] = (b[row] - known) / lower[row * n + row];
        }
        for row in (0..n).rev() {
            let known: f64 = (row + 1..n).map(|k| lower[k * n + row] * b[k]).sum();
            b[row] = (b[row] - known) / lower[row * n + row];
        }
    }
}

/// `(1 − share) · covariance + share · diagonal` of these deviations from a mean, each of `n` numbers, row by row, where the
/// diagonal is `of(variances)`.
pub fn shrunk(deviations: &[Vec<f64>], n: usize, share: f64, of: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut matrix = vec![0.0; n * n];
    for deviation in deviations {
        for row in 0..n {
            let factor = deviation[row];
            for (sum, other) in matrix[row * n..row * n + row + 1].iter_mut().zip(deviation) {
                *sum += factor * other;
            }
        }
    }
    let count = deviations.len().max(1) as f64;
    matrix.iter_mut().for_each(|sum| *sum /= count);
    let variances: Vec<f64> = (0..n).map(|k| matrix[k * n + k]).collect();
    let target = of(&variances);
    matrix.iter_mut().for_each(|sum| *sum *= 1.0 - share);
    for (k, variance) in target.iter().enumerate() {
        matrix[k * n + k] += share * variance;
    }
    matrix
}
