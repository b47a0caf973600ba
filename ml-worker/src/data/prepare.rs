//! From a table to the numbers the network takes.

use super::{
    split::Split,
    table::{DataError, Table},
};
use consilium_aggregation::{Statistics, MIN_ROWS};
use consilium_primitives::FailureCode;
use consilium_study::StudySpec;
use std::io;

/// Rows ready for the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Features, row by row, scaled.
    features: Vec<f32>,
    /// Numbers per row.
    width: usize,
    /// Labels, as [`Objective`](crate::learn::loss::Objective) says.
    labels: Vec<u32>,
    /// How many of them one row has.
    per_row: usize,
}

impl Rows {
    /// None yet, of so many features and labels each.
    pub fn new(width: usize, per_row: usize) -> Self {
        Self { features: Vec::new(), width, labels: Vec::new(), per_row: per_row.max(1) }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.labels.len() / self.per_row
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Labels of all rows.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Labels of two classes: true is the positive one.
    pub fn positive(&self) -> Vec<bool> {
        self.labels.iter().map(|label| *label == 1).collect()
    }

    /// Writes the features of some rows one after the other.
    ///
    /// # Errors
    /// They lie on disk and cannot be read.
    pub fn gather(&self, rows: &[usize], out: &mut [f32]) -> io::Result<()> {
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(self.width)) {
            out.copy_from_slice(&self.features[row * self.width..(row + 1) * self.width]);
        }
        Ok(())
    }

    /// Writes the labels of some rows.
    pub fn labels_of(&self, rows: &[usize], out: &mut Vec<u32>) {
        out.clear();
        for row in rows {
            out.extend_from_slice(&self.labels[row * self.per_row..(row + 1) * self.per_row]);
        }
    }

    /// Appends other rows of the same kind.
    pub fn append(&mut self, other: &Self) {
        self.features.extend_from_slice(&other.features);
        self.labels.extend_from_slice(&other.labels);
    }
}

/// Training and validation rows of one site.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Rows to learn from.
    pub training: Rows,
    /// Rows to measure on.
    pub validation: Rows,
}

/// `(x − mean) ÷ deviation` for each feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    /// What stands in for a missing value.
    fill: Vec<f64>,
}

impl Scaler {
    /// To mean 0 and deviation 1, by these statistics. A missing value becomes the mean.
    pub fn standard(statistics: &Statistics) -> Self {
        Self { mean: statistics.mean.clone(), deviation: statistics.deviation(), fill: statistics.mean.clone() }
    }

    /// Leaves numbers as they are. A missing value becomes the mean of these statistics; 0 where nothing is known.
    pub fn identity(statistics: &Statistics) -> Self {
        let width = statistics.mean.len();
        Self { mean: vec![0.0; width], deviation: vec![1.0; width], fill: statistics.mean.clone() }
    }

    /// What a site does with its rows where nothing is scaled: [`identity`](Self::identity) with the means of its own
    /// training rows, be they ever so few; no other site sees them.
    pub fn own(table: &Table, training: &[usize]) -> Self {
        Self::identity(&own_statistics(table, training))
    }

    /// These rows of a table; computed in f64, rounded to f32 once.
    pub fn apply(&self, table: &Table, rows: &[usize]) -> Rows {
        let mut out = Rows::new(table.features.len(), 1);
        for row in rows {
            for (column, value) in table.row(*row).iter().enumerate() {
                let value = if value.is_nan() { self.fill[column] } else { *value };
                out.features.push(((value - self.mean[column]) / self.deviation[column]) as f32);
            }
            out.labels.push(u32::from(table.labels[*row]));
        }
        out
    }
}

/// Statistics of some rows of a table, missing values left out, as other sites may see them: columns of too few values
/// are withheld.
pub fn statistics_of(table: &Table, rows: &[usize]) -> Statistics {
    Statistics::of_columns(&known(table, rows))
}

/// Statistics of some rows of a table, missing values left out, for this site alone: nothing is withheld.
pub fn own_statistics(table: &Table, rows: &[usize]) -> Statistics {
    Statistics::own(&known(table, rows))
}

/// Whether merged statistics say something of every column.
///
/// # Errors
/// A column of which no site had enough values: it would go into the network unscaled.
pub fn all_known(statistics: &Statistics, spec: &StudySpec) -> Result<(), DataError> {
    let unknown = statistics.count.iter().zip(&spec.data.features.columns).find(|(count, _)| **count == 0.0);
    unknown.map_or(Ok(()), |(_, name)| {
        Err(DataError::new(
            FailureCode::TooFewSamples,
            format!(
                "column {name:?}: no site has {MIN_ROWS} known values of it among its training rows, so that it cannot be \
                 scaled; take it out of the study, or set data.scaling to \"none\""
            ),
        ))
    })
}

/// The known values of some rows, column by column.
fn known(table: &Table, rows: &[usize]) -> Vec<Vec<f64>> {
    (0..table.features.len())
        .map(|column| rows.iter().map(|row| table.row(*row)[column]).filter(|v| !v.is_nan()).collect())
        .collect()
}

impl Prepared {
    /// Splits and scales a site's table. `swarm`: the study's merged statistics, where its scaling asks for them.
    ///
    /// # Errors
    /// No rows to train on, or rows of one class only; numbers that leave the range of f32.
    pub fn new(spec: &StudySpec, table: &Table, split: &Split, swarm: Option<&Statistics>) -> Result<Self, DataError> {
        let (training, validation) = split.rows(table);
        let scaler = match swarm {
            Some(statistics) => Scaler::standard(statistics),
            None => Scaler::own(table, &training),
        };
        let prepared = Self { training: scaler.apply(table, &training), validation: scaler.apply(table, &validation) };
        let positives = prepared.training.labels.iter().filter(|l| **l == 1).count();
        if prepared.training.len() < 2 {
            return Err(DataError::new(
                FailureCode::TooFewSamples,
                format!("{} training rows are left after validation rows are set aside", prepared.training.len()),
            ));
        }
        if positives == 0 || positives == prepared.training.len() {
            let only = if positives == 0 { &spec.data.negative } else { &spec.data.positive };
            return Err(DataError::new(
                FailureCode::OneClass,
                format!("all {} training rows are of the class {only:?}; both are needed", prepared.training.len()),
            ));
        }
        let finite = |rows: &Rows| rows.features.iter().all(|v| v.is_finite());
        if !finite(&prepared.training) || !finite(&prepared.validation) {
            return Err(DataError::new(FailureCode::NotFinite, "a scaled value leaves the range of f32"));
        }
        Ok(prepared)
    }
}
