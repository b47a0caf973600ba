//! Statistics for standardisation: of each feature column the number of values `n`, their mean and the sum of their
//! squared deviations from it, over the training rows of one site, or over those of all sites after the merge.
//!
//! Two parts become one by the formula of Chan, Golub and LeVeque ("Updating Formulae and a Pairwise Algorithm for
//! Computing Sample Variances", Stanford STAN-CS-79-773, 1979), evaluated exactly in this order in `f64`:
//!
//! ```text
//! n    = n_a + n_b
//! d    = mean_b − mean_a
//! mean = mean_a + d × (n_b ÷ n)
//! m2   = (m2_a + m2_b) + (d × d) × (n_a × n_b ÷ n)
//! ```
//!
//! A column of equal values has exactly these as its mean, and deviation 0, before the merge and after it.
//!
//! Files are safetensors with three `F64` tensors, `count`, `m2` and `mean`, each as long as there are columns. A
//! site's file names its duty. The merged file names none, and its header has spaces in that place's stead at its
//! end: both have the same length, the one registered with the study.

use crate::layout::{pad_header, Dtype, FileError, Layout, LayoutError, TensorShape};
use consilium_primitives::{rules::MAX_WEIGHT, Hash};

/// How far a number of 32 bits may be from what it was rounded from, as a share of it: 2^-24.
const SINGLE: f64 = 1.0 / 16_777_216.0;

/// A site's part of a column is withheld when it has fewer values than this.
pub const MIN_ROWS: usize = 20;
/// Largest magnitude of a site's mean, and largest sum of squares: with these no merge of 64 sites leaves `f64`. Nothing
/// near them can be scaled to `f32` anyway.
const MAX_MEAN: f64 = 1e140;
const MAX_M2: f64 = 1e290;

/// Count, mean and squared deviations of each feature column, in the order of the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// How many values; whole numbers. 0: withheld, or none.
    pub count: Vec<f64>,
    /// Their mean, 0 where there are none.
    pub mean: Vec<f64>,
    /// Sum of squared deviations from the mean, 0 where there are no values.
    pub m2: Vec<f64>,
}

/// [`Statistics::own`] of rows that come one after the other, for those that do not fit into memory: all of them once,
/// then [`again`](RowStatistics::again) all of them in the same order. The same numbers are added in the same order, so
/// that the result has the same bits.
#[derive(Clone, Debug)]
pub struct RowStatistics {
    /// First value of each column.
    first: Vec<f64>,
    sum: Vec<f64>,
    all: Statistics,
    second: bool,
}

impl RowStatistics {
    /// Before the first row.
    pub fn new(columns: usize) -> Self {
        let zero = || vec![0.0; columns];
        let all = Statistics { count: zero(), mean: zero(), m2: zero() };
        Self { first: zero(), sum: zero(), all, second: false }
    }

    /// Adds a row; missing values are NaN.
    pub fn add(&mut self, row: &[f64]) {
        let Statistics { count, mean, m2 } = &mut self.all;
        if self.second {
            for ((value, mean), m2) in row.iter().zip(mean).zip(m2) {
                if !value.is_nan() {
                    *m2 += (value - *mean) * (value - *mean);
                }
            }
        } else {
            for (((value, count), first), sum) in row.iter().zip(count).zip(&mut self.first).zip(&mut self.sum) {
                if !value.is_nan() {
                    if *count == 0.0 {
                        *first = *value;
                    }
                    *count += 1.0;
                    *sum += value - *first;
                }
            }
        }
    }

    /// After all rows, and before all of them come again.
    #[must_use]
    pub fn again(mut self) -> Self {
        for (column, count) in self.all.count.iter().enumerate() {
            if *count > 0.0 {
                self.all.mean[column] = self.first[column] + self.sum[column] / count;
            }
        }
        self.second = true;
        self
    }

    /// After all rows have come again.
    pub fn finish(self) -> Statistics {
        self.all
    }
}

/// Why statistics cannot be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatisticsError {
    /// Nothing to merge.
    #[error("a merge of statistics needs at least one input")]
    NoInputs,
    /// Another number of columns than in the first input.
    #[error("input {input} has {found} columns, the first has {expected}")]
    Columns {
        /// Its position in canonical order.
        input: usize,
        /// Columns of the first input.
        expected: usize,
        /// Columns of this one.
        found: usize,
    },
    /// The merged numbers leave the range of `f64`.
    #[error("column {column} leaves the range of f64 in the merge: its values are too large")]
    NotFinite {
        /// Column, counted from 0.
        column: usize,
    },
}

impl Statistics {
    /// Statistics of rows, given by column, for use where the rows are: nothing is withheld.
    ///
    /// The mean is `v₀ + (Σ (v − v₀)) ÷ n`, with the first value `v₀` and the sum in order, so that equal values give
    /// exactly themselves; the squared deviations from it are summed in order in a second pass.
    pub fn own<C: AsRef<[f64]>>(columns: &[C]) -> Self {
        let mut all = Self { count: Vec::new(), mean: Vec::new(), m2: Vec::new() };
        for values in columns.iter().map(AsRef::as_ref) {
            let (mut count, mut mean, mut m2) = (0.0, 0.0, 0.0);
            if let Some(first) = values.first() {
                count = values.len() as f64;
                mean = first + values.iter().fold(0.0, |sum, value| sum + (value - first)) / count;
                m2 = values.iter().fold(0.0, |sum, value| sum + (value - mean) * (value - mean));
            }
            all.count.push(count);
            all.mean.push(mean);
            all.m2.push(m2);
        }
        all
    }

    /// As others may see them: columns of fewer than [`MIN_ROWS`] values are withheld.
    #[must_use]
    pub fn withheld(mut self) -> Self {
        for column in 0..self.count.len() {
            if self.count[column] < MIN_ROWS as f64 {
                (self.count[column], self.mean[column], self.m2[column]) = (0.0, 0.0, 0.0);
            }
        }
        self
    }

    /// Statistics of one site's training rows, given by column, as others may see them: as [`own`](Self::own), with
    /// columns of fewer than [`MIN_ROWS`] values withheld.
    pub fn of_columns<C: AsRef<[f64]>>(columns: &[C]) -> Self {
        let shown: Vec<&[f64]> =
            columns.iter().map(|c| if c.as_ref().len() < MIN_ROWS { &[][..] } else { c.as_ref() }).collect();
        Self::own(&shown)
    }

    /// One from many, in the order given, which is the canonical one (by institution id).
    ///
    /// # Errors
    /// No inputs, different numbers of columns, or numbers beyond `f64`.
    pub fn merge(inputs: &[Self]) -> Result<Self, StatisticsError> {
        let (first, rest) = inputs.split_first().ok_or(StatisticsError::NoInputs)?;
        let mut all = first.clone();
        let expected = all.count.len();
        for (input, part) in rest.iter().enumerate() {
            if part.count.len() != expected {
                return Err(StatisticsError::Columns { input: input + 1, expected, found: part.count.len() });
            }
            for column in 0..expected {
                let (n_a, n_b) = (all.count[column], part.count[column]);
                if n_b == 0.0 {
                    continue;
                }
                if n_a == 0.0 {
                    all.count[column] = n_b;
                    all.mean[column] = part.mean[column];
                    all.m2[column] = part.m2[column];
                    continue;
                }
                let n = n_a + n_b;
                let d = part.mean[column] - all.mean[column];
                all.count[column] = n;
                all.mean[column] += d * (n_b / n);
                all.m2[column] = (all.m2[column] + part.m2[column]) + (d * d) * (n_a * n_b / n);
            }
        }
        for column in 0..expected {
            // the format has one zero only
            all.mean[column] += 0.0;
            all.m2[column] += 0.0;
            if !all.mean[column].is_finite() || !all.m2[column].is_finite() {
                return Err(StatisticsError::NotFinite { column });
            }
        }
        Ok(all)
    }

    /// Population standard deviation of each column, `√(m2 ÷ n)`; 1 where nothing is known, or where it is no larger than
    /// rounding makes of a constant, so that one can divide by it.
    ///
    /// Two roundings are allowed for: of the sums, `n·ε·|mean|`, as scikit-learn's scalers do (their guard is the square
    /// of it); and of the values themselves, `2^-24·|mean|`, where some passed through numbers of 32 bits, as one site's
    /// file may have them and another's not.
    pub fn deviation(&self) -> Vec<f64> {
        let columns = self.m2.iter().zip(&self.count).zip(&self.mean);
        columns
            .map(|((m2, n), mean)| {
                let deviation = if *n > 0.0 { (m2 / n).sqrt() } else { 0.0 };
                let rounding = mean.abs() * (n * f64::EPSILON).max(SINGLE);
                if deviation > rounding {
                    deviation
                } else {
                    1.0
                }
            })
            .collect()
    }

    /// Tensors of a statistics file of `columns` columns.
    ///
    /// # Errors
    /// No columns, or more than can be counted.
    pub fn layout(columns: usize) -> Result<Layout, LayoutError> {
        Layout::new(["count", "m2", "mean"].map(|name| TensorShape::new(name, [columns])).to_vec())
    }

    /// Length in bytes of a statistics file of `columns` columns, a site's or the merged one.
    ///
    /// # Errors
    /// No columns, or more than can be counted.
    pub fn file_len(columns: usize) -> Result<u64, LayoutError> {
        let layout = Self::layout(columns)?;
        Ok(layout.header(Dtype::F64, Some(&Hash::zero())).len() as u64 + layout.elements() as u64 * 8)
    }

    /// The file's bytes: of a site's part with the duty it answers, of the merge without.
    ///
    /// # Errors
    /// Numbers that cannot be statistics, by column.
    pub fn encode(&self, duty: Option<&Hash>) -> Result<Vec<u8>, FileError> {
        let columns = self.count.len();
        let layout = Self::layout(columns).map_err(|e| FileError::Syntax(e.to_string()))?;
        for other in [&self.mean, &self.m2] {
            if other.len() != columns {
                return Err(FileError::Length { expected: columns as u64 * 8, found: other.len() as u64 * 8 });
            }
        }
        self.check(duty.is_some())?;
        let mut bytes = layout.header(Dtype::F64, duty);
        if duty.is_none() {
            pad_header(&mut bytes, layout.header(Dtype::F64, Some(&Hash::zero())).len());
        }
        for number in self.count.iter().chain(&self.m2).chain(&self.mean) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        Ok(bytes)
    }

    /// Reads a file of `columns` columns. `duty`: what a site's file must name; `None` for the merged file.
    ///
    /// # Errors
    /// Any byte that is not as it must be; all these errors mean that the *file* is invalid.
    pub fn decode(bytes: &[u8], columns: usize, duty: Option<&Hash>) -> Result<Self, FileError> {
        let layout = Self::layout(columns).map_err(|e| FileError::Syntax(e.to_string()))?;
        let (found, start) = layout.open(Dtype::F64, bytes, true)?;
        if found != duty.copied() {
            return Err(FileError::Duty { expected: duty.copied(), found });
        }
        let numbers: Vec<f64> = bytes[start..]
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
            .collect();
        let part = |index: usize| numbers[index * columns..(index + 1) * columns].to_vec();
        let statistics = Self { count: part(0), m2: part(1), mean: part(2) };
        statistics.check(duty.is_some())?;
        Ok(statistics)
    }

    /// Whether these can be statistics: of one site, or merged.
    fn check(&self, one_site: bool) -> Result<(), FileError> {
        let most = if one_site { 1.0 } else { 64.0 };
        for (tensor, numbers) in [("count", &self.count), ("m2", &self.m2), ("mean", &self.mean)] {
            if let Some(index) = numbers.iter().position(|number| !number.is_finite()) {
                return Err(FileError::NotFinite { tensor: tensor.to_owned(), index, value: numbers[index] });
            }
        }
        for (column, ((n, m2), mean)) in self.count.iter().zip(&self.m2).zip(&self.mean).enumerate() {
            let what = if *n < 0.0 || n.fract() != 0.0 || *n >= f64::from(MAX_WEIGHT) * most {
                "the count is no whole number of rows"
            } else if *m2 < 0.0 {
                "the sum of squares is negative"
            } else if *n == 0.0 && (*m2 != 0.0 || *mean != 0.0) {
                "there are no values, yet a mean or deviation"
            } else if one_site && (mean.abs() > MAX_MEAN || *m2 > MAX_M2) {
                "the values are too large to be merged"
            } else {
                continue;
            };
            return Err(FileError::Statistics { column, what });
        }
        Ok(())
    }
}
