//! From the raw rows of a table to the numbers the network takes.

use crate::data::{
    error::DataError,
    rows::{
        numbers::{transform, Numbers, Scratch},
        target::{self, Target},
        Rows,
    },
    table::{cells::Cells, header::Form, Table},
};
use consilium_aggregation::{RowStatistics, Statistics, MIN_ROWS};
use consilium_primitives::FailureCode;
use consilium_study::{DataSpec, Missing, Scaling, Task, Transform};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{io, sync::Arc};

/// How the numeric features of a set of rows are scaled: `(x − mean) ÷ deviation`, computed in f64 and rounded to f32
/// once. A missing value becomes the mean. Categorical columns are never scaled.
///
/// With them an outcome that is a number: it is standardised by the same numbers whichever way features are scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Scaler {
    how: How,
    target: Option<Target>,
}

/// A scaler on disk.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Fixed {
        mean: Vec<f64>,
        deviation: Vec<f64>,
        fill: Vec<f64>,
        /// None where the outcome is no number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Target>,
    },
    EachSet,
    EachSetOf {
        target: Target,
    },
}

impl From<Scaler> for Written {
    fn from(Scaler { how, target }: Scaler) -> Self {
        match (how, target) {
            (How::Fixed { mean, deviation, fill }, target) => Self::Fixed { mean, deviation, fill, target },
            (How::EachSet, None) => Self::EachSet,
            (How::EachSet, Some(target)) => Self::EachSetOf { target },
        }
    }
}

impl From<Written> for Scaler {
    fn from(written: Written) -> Self {
        match written {
            Written::Fixed { mean, deviation, fill, target } => {
                Self { how: How::Fixed { mean, deviation, fill }, target }
            }
            Written::EachSet => Self { how: How::EachSet, target: None },
            Written::EachSetOf { target } => Self { how: How::EachSet, target: Some(target) },
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum How {
    /// All rows alike.
    Fixed {
        mean: Vec<f64>,
        deviation: Vec<f64>,
        /// What stands in for a missing value.
        fill: Vec<f64>,
    },
    /// Each set of rows by its own mean and deviation.
    EachSet,
}

impl Scaler {
    /// To mean 0 and deviation 1, by these statistics.
    pub fn standard(statistics: &Statistics) -> Self {
        Self::alike(statistics.mean.clone(), statistics.deviation(), statistics.mean.clone())
    }

    /// All rows alike.
    fn alike(mean: Vec<f64>, deviation: Vec<f64>, fill: Vec<f64>) -> Self {
        Self { how: How::Fixed { mean, deviation, fill }, target: None }
    }

    /// With an outcome that is a number.
    #[must_use]
    pub fn with_target(self, target: Option<Target>) -> Self {
        Self { target, ..self }
    }

    /// How an outcome that is a number is standardised.
    pub fn target(&self) -> Option<Target> {
        self.target
    }

    /// By agreed centres and deviations, where each of these columns has them. A missing value becomes the centre.
    pub fn agreed<'a>(scaling: &Scaling, columns: impl Iterator<Item = &'a str>) -> Option<Self> {
        let (centre, deviation) = scaling.agreed(columns)?;
        Some(Self::alike(centre.clone(), deviation, centre))
    }

    /// Leaves numbers as they are. A missing value becomes the mean of these statistics; 0 where nothing is known.
    pub fn identity(statistics: &Statistics) -> Self {
        let width = statistics.mean.len();
        Self::alike(vec![0.0; width], vec![1.0; width], statistics.mean.clone())
    }

    /// Mean, deviation, and what stands in for a missing value, of each numeric column; none where each set of rows has its
    /// own.
    pub fn fixed(&self) -> Option<[&[f64]; 3]> {
        match &self.how {
            How::Fixed { mean, deviation, fill } => Some([mean, deviation, fill]),
            How::EachSet => None,
        }
    }

    /// To mean 0 and deviation 1 of whichever rows are looked at together.
    pub fn transductive() -> Self {
        Self { how: How::EachSet, target: None }
    }

    /// What a site does with its rows where nothing is scaled: [`identity`](Self::identity) with the means of its own
    /// training rows, be they ever so few; no other site sees them.
    ///
    /// # Errors
    /// Rows on disk that cannot be read; a column of which no training row has a value, where the mean is to stand in for
    /// missing ones.
    pub fn own(table: &Table, training: &[usize]) -> Result<Self, DataError> {
        let own = feature_statistics(table, training)?;
        let never = own.count.iter().position(|count| *count == 0.0);
        if let (Some(column), Missing::Mean) = (never.filter(|_| !training.is_empty()), table.form.missing) {
            let name = table.features.get(column).map_or("", String::as_str);
            return Err(DataError::new(
                FailureCode::TooFewSamples,
                format!(
                    "column {name:?}: no training row has a value of it, so that there is no mean to stand in for missing \
                     ones (data.missing), and 0 would be taken for a measurement; take it out of the study, or agree on \
                     data.scaling \"swarm\""
                ),
            ));
        }
        Ok(Self::identity(&own))
    }

    /// What a study asks for at a site with these training rows. `swarm`: the study's merged statistics, where its scaling
    /// asks for them.
    ///
    /// # Errors
    /// Rows on disk that cannot be read.
    pub fn of(
        scaling: &Scaling,
        table: &Table,
        training: &[usize],
        swarm: Option<&Statistics>,
    ) -> Result<Self, DataError> {
        let (swarm, target) = match (swarm, table.form.task) {
            (Some(statistics), Task::Value) => {
                let (features, target) = Target::part(statistics);
                ((*scaling == Scaling::Swarm).then_some(features), target)
            }
            (None, Task::Value) => (None, Some(Target::of(table, training))),
            (swarm, Task::Binary | Task::Classes(_) | Task::Labels(_) | Task::Events(_)) => (swarm.cloned(), None),
        };
        let scaler = match (swarm, scaling) {
            (Some(statistics), _) => Self::standard(&statistics),
            (None, Scaling::None | Scaling::Swarm) => Self::own(table, training)?,
            (None, Scaling::Site) => Self::standard(&feature_statistics(table, training)?),
            (None, Scaling::Transductive) => Self::transductive(),
            (None, Scaling::Fixed(_)) => {
                Self::agreed(scaling, table.features.iter().map(String::as_str)).ok_or_else(|| {
                    DataError::schema("has other numeric columns than those that data.scaling has numbers of")
                })?
            }
        };
        Ok(scaler.with_target(target))
    }

    /// These rows of a table, as the network takes them. Those of a table on disk are made when they are asked for.
    ///
    /// # Errors
    /// Rows on disk that cannot be read; a table of another number of columns.
    pub fn apply(&self, table: &Table, rows: &[usize]) -> Result<Rows, DataError> {
        self.apply_within(table, rows, None)
    }

    /// The same, with scaled values held between `-most` and `most`.
    pub(super) fn apply_within(&self, table: &Table, rows: &[usize], most: Option<f64>) -> Result<Rows, DataError> {
        let (mean, deviation, fill) = match &self.how {
            How::Fixed { mean, deviation, fill } => (mean.clone(), deviation.clone(), fill.clone()),
            How::EachSet => {
                let own = feature_statistics(table, rows)?;
                (own.mean.clone(), own.deviation(), own.mean)
            }
        };
        let form = table.form.clone();
        let labels = self.labels(table, rows);
        if let Some(pixels) = &table.pixels {
            return Ok(Rows::made(form.inputs(), form.per_row(), pixels.clone(), rows, labels));
        }
        if [&mean, &deviation, &fill].iter().any(|part| part.len() != form.numeric) {
            let message =
                format!("{} numeric columns are scaled as {} are; is this the right table?", form.numeric, mean.len());
            return Err(DataError::new(FailureCode::SchemaMismatch, message));
        }
        let (width, raw, per_row) = (form.inputs(), form.raw(), form.per_row());
        let numbers = Numbers { form, mean, deviation, fill, most };
        let Cells::Memory(values) = &*table.cells else {
            return Ok(Rows::table(width, per_row, (table.cells.clone(), Arc::new(numbers)), rows, labels));
        };
        let mut features = vec![0.0; rows.len() * width];
        features.par_chunks_mut(width).zip(rows).for_each_init(Scratch::default, |scratch, (out, row)| {
            numbers.row(&values.from(row * raw)[..raw], out, scratch);
        });
        Ok(Rows::kept(width, per_row, features, labels))
    }

    fn labels(&self, table: &Table, rows: &[usize]) -> Vec<u32> {
        let labels = rows.iter().flat_map(|row| table.label(*row)).copied();
        match self.target {
            None => labels.collect(),
            Some(target) => {
                let standard = |bits: u32| target.standard(f64::from(f32::from_bits(bits))) as f32;
                labels.map(|bits| standard(bits).to_bits()).collect()
            }
        }
    }
}

/// Everything that turns a raw table into the network's rows: it travels with a model, so that others can use it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Which columns are read, and how.
    pub spec: DataSpec,
    /// How they are scaled.
    pub scaler: Scaler,
}

impl Preprocessing {
    /// All rows of a table that was read by [`spec`](Self::spec).
    ///
    /// # Errors
    /// Rows on disk that cannot be read; a table of other columns.
    pub fn rows(&self, table: &Table) -> Result<Rows, DataError> {
        if table.form != Form::of(&self.spec) {
            return Err(DataError::schema("the table was read by another specification than the model's"));
        }
        self.scaler.apply(table, &(0..table.rows()).collect::<Vec<_>>())
    }
}

/// Statistics of some rows of a table, missing values left out, as other sites may see them: columns of too few values
/// are withheld. Of an outcome that is a number where nothing else is shared, that alone.
///
/// # Errors
/// Rows on disk that cannot be read.
pub fn statistics_of(table: &Table, rows: &[usize]) -> Result<Statistics, DataError> {
    let all = match (table.form.task, table.form.swarm) {
        (Task::Value, false) => target::own(table, rows),
        _ => own_statistics(table, rows)?,
    };
    Ok(all.withheld())
}

/// How many of a site's own deviations its mean may lie from the common one; batches of the same measurement differ by
/// less, another unit by far more.
const STRANGE: f64 = 5.0;

/// Columns whose mean at a site lies so far from that of all sites together that they are likely to be measured in another
/// unit somewhere: the column's place, and how many of the site's own deviations it is off. Columns of few rows, of
/// constants, of yes and no, and of numbers that are mostly 0 are left out.
pub fn far_from_common(own: &Statistics, common: &Statistics) -> Vec<(usize, f64)> {
    let deviations = own.deviation();
    let columns = own.mean.iter().zip(&common.mean).zip(deviations).enumerate();
    let strange = columns.filter_map(|(place, ((mean, all), deviation))| {
        let variance = own.m2[place] / own.count[place];
        let known = own.count[place] >= MIN_ROWS as f64 && common.count[place] > 0.0 && own.m2[place] > 0.0;
        let flag = flags(*mean, variance);
        let sparse = deviation > 2.0 * mean.abs();
        let off = (all - mean).abs() / deviation;
        // a constant has the deviation 1, not its own
        let constant = variance.sqrt() < deviation * (1.0 - 1e-9);
        (known && !flag && !sparse && !constant && off > STRANGE).then_some((place, off))
    });
    strange.collect()
}

/// Whether a column of this mean and variance is of yes and no.
fn flags(mean: f64, variance: f64) -> bool {
    (variance - mean * (1.0 - mean)).abs() <= 1e-9 * variance
}

/// How many times as large the values of a column may be at one site as at another.
const BEYOND_REASON: f64 = 100.0;

/// A column whose values are far larger at one site than at another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Apart {
    /// The column's place.
    pub column: usize,
    /// Places among the sites of the one with the largest values, and of that with the smallest.
    pub sites: (usize, usize),
    /// How many times as large they are.
    pub times: f64,
}

/// Columns whose values at one site are a hundred times as large as at another, or more, as another unit or a code for "not known"
/// makes them; from the statistics of all sites, before they are merged.
///
/// How large a site's values are is the root of the mean of their squares, `√(mean² + m2 ÷ n)`: there are no medians among the
/// statistics. Columns that a site withholds, since it has fewer than 20 values, say nothing of that site. Left out are columns that
/// are nothing but 0 at one of both sites, of yes and no, and of numbers that are mostly 0 at both, where it is a matter of how rare
/// the others are.
pub fn apart(sites: &[Statistics]) -> Vec<Apart> {
    let columns = sites.first().map_or(0, |site| site.count.len());
    let size = |site: usize, column: usize| {
        let (n, mean) = (sites[site].count[column], sites[site].mean[column]);
        let variance = sites[site].m2[column] / n;
        let size = (mean * mean + variance).sqrt();
        let known = n >= MIN_ROWS as f64 && size > 0.0 && !flags(mean, variance);
        known.then_some((size, site, variance.sqrt() > 2.0 * mean.abs()))
    };
    let found = (0..columns).filter_map(|column| {
        let sizes: Vec<_> = (0..sites.len()).filter_map(|site| size(site, column)).collect();
        let largest = sizes.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0))?;
        let smallest = sizes.iter().copied().min_by(|a, b| a.0.total_cmp(&b.0))?;
        let times = largest.0 / smallest.0;
        let rare = largest.2 && smallest.2;
        (times >= BEYOND_REASON && !rare).then_some(Apart { column, sites: (largest.1, smallest.1), times })
    });
    found.collect()
}

/// Statistics of some rows of a table, missing values left out, for this site alone: nothing is withheld. Behind the numeric
/// features stands an outcome that is a number.
///
/// # Errors
/// Rows on disk that cannot be read.
pub fn own_statistics(table: &Table, rows: &[usize]) -> Result<Statistics, DataError> {
    let mut all = feature_statistics(table, rows)?;
    if table.form.task == Task::Value {
        let Statistics { count, mean, m2 } = target::own(table, rows);
        all.count.extend(count);
        all.mean.extend(mean);
        all.m2.extend(m2);
    }
    Ok(all)
}

/// Those of the numeric features alone.
fn feature_statistics(table: &Table, rows: &[usize]) -> Result<Statistics, DataError> {
    let mut all = RowStatistics::new(table.form.numeric);
    each_row(table, rows, |row| all.add(row))?;
    let mut all = all.again();
    each_row(table, rows, |row| all.add(row))?;
    Ok(all.finish())
}

/// Hands over the numeric features of rows, one row after the other, as they are before they are scaled.
pub(super) fn each_row(table: &Table, rows: &[usize], mut each: impl FnMut(&[f64])) -> Result<(), DataError> {
    let (numeric, raw) = (table.form.numeric, table.form.raw());
    let mut changed = Vec::new();
    let read = table.cells.each_block::<io::Error>(raw, rows, |_, block| {
        if raw == 0 {
            return Ok(());
        }
        let block = match table.form.transform {
            Transform::None => block,
            how => {
                changed.clear();
                changed.extend_from_slice(block);
                changed.par_chunks_mut(raw).for_each_init(Vec::new, |order, row| {
                    transform(how, &mut row[..numeric], order);
                });
                &changed
            }
        };
        block.chunks_exact(raw).for_each(|row| each(&row[..numeric]));
        Ok(())
    });
    read.map_err(|error| DataError::io("rows of a table cannot be read", &error))
}
