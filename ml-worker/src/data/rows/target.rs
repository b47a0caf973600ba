//! An outcome that is a number, as the network learns it: in units of its deviation, around its mean.

use crate::data::{error::DataError, table::Table};
use consilium_aggregation::{masked::MIN_VALUES, RowStatistics, Statistics, MIN_ROWS};
use consilium_primitives::FailureCode;
use consilium_study::{DataSpec, Task};
use serde::{Deserialize, Serialize};

/// Mean and deviation of an outcome that is a number, over the training rows of all sites together, or of those there are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// In the outcome's unit.
    pub mean: f64,
    /// In the outcome's unit; above 0.
    pub deviation: f64,
}

impl Target {
    /// As the network learns it.
    pub fn standard(&self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }

    /// In its own unit again.
    pub fn back(&self, standard: f64) -> f64 {
        self.mean + self.deviation * standard
    }

    /// What statistics say of the features, and of an outcome that is a number, which stands behind them.
    pub fn part_of(data: &DataSpec, statistics: &Statistics) -> (Statistics, Option<Self>) {
        match data.task() {
            Task::Value => Self::part(statistics),
            Task::Binary | Task::Classes(_) | Task::Labels(_) | Task::Events(_) => (statistics.clone(), None),
        }
    }

    /// The same of a study whose outcome is a number.
    pub(super) fn part(statistics: &Statistics) -> (Statistics, Option<Self>) {
        let deviation = statistics.deviation().pop();
        let mut features = statistics.clone();
        let mean = features.mean.pop();
        features.count.pop();
        features.m2.pop();
        (features, mean.zip(deviation).map(|(mean, deviation)| Self { mean, deviation }))
    }

    /// That of some rows of a table, whose values are no class.
    pub(super) fn of(table: &Table, rows: &[usize]) -> Self {
        let own = own(table, rows);
        Self {
            mean: own.mean.first().copied().unwrap_or_default(),
            deviation: own.deviation().first().copied().unwrap_or(1.0),
        }
    }
}

/// Statistics of the outcome of some rows, one column.
pub(super) fn own(table: &Table, rows: &[usize]) -> Statistics {
    let mut all = RowStatistics::new(1);
    let pass = |all: &mut RowStatistics| rows.iter().for_each(|row| all.add(&[value(table, *row)]));
    pass(&mut all);
    let mut all = all.again();
    pass(&mut all);
    all.finish()
}

/// One row's outcome.
pub(super) fn value(table: &Table, row: usize) -> f64 {
    table.label(row).first().map_or(f64::NAN, |bits| f64::from(f32::from_bits(*bits)))
}

/// Names of the columns of the statistics that sites share.
pub fn shared_columns(data: &DataSpec, features: &[String]) -> Vec<String> {
    let targets = usize::from(data.task() == Task::Value);
    let mut names: Vec<String> = match data.statistics_columns() - targets {
        0 => Vec::new(),
        _ => features.to_vec(),
    };
    if targets > 0 {
        names.extend(data.label_columns().into_iter().map(str::to_owned));
    }
    names
}

/// Why an outcome cannot be standardised that no site has enough rows of.
pub(super) fn unknown(column: &str) -> DataError {
    DataError::new(
        FailureCode::TooFewSamples,
        format!(
            "the outcome, column {column:?}: no site has {MIN_ROWS} training rows, or with masks all sites together fewer than \
             {MIN_VALUES}, so that its mean and deviation stay unknown; add rows"
        ),
    )
}
