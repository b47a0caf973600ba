//! Rows of numbers made columns.

use super::squares::SQUARE;
use crate::learn::real::Real;

/// `to[column·to_step + row] = from[row·step + column]`.
pub fn turn<R: Real>(to: &mut [R], to_step: usize, from: &[R], step: usize, (rows, columns): (usize, usize)) {
    let (whole, whole_columns) = (rows / SQUARE * SQUARE, columns / SQUARE * SQUARE);
    R::turn_squares(to, to_step, from, step, (whole, whole_columns));
    for row in 0..rows {
        for column in if row < whole { whole_columns } else { 0 }..columns {
            to[column * to_step + row] = from[row * step + column];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        fn check<R: Real>(rows: usize, columns: usize) {
            let (step, to_step) = (columns + 3, rows + 5);
            let from: Vec<R> = (0..rows * step).map(|n| R::of(n as f64)).collect();
            let mut to = vec![R::of(-1.0); columns * to_step];
            turn(&mut to, to_step, &from, step, (rows, columns));
            for (n, number) in to.iter().enumerate() {
                let (column, row) = (n / to_step, n % to_step);
                let expected = if row < rows { from[row * step + column] } else { R::of(-1.0) };
                assert_eq!(*number, expected, "{rows} x {columns}, {row}, {column}");
            }
        }
        for rows in [1, 7, 8, 9, 16, 31] {
            for columns in [1, 8, 15, 24, 33] {
                check::<f32>(rows, columns);
                check::<f64>(rows, columns);
            }
        }
    }
}
