//! Columns of a site's table, or its pictures, and how they are read.

mod check;
mod layout;
mod outcome;
mod pictures;
mod task;

pub use layout::{Encoding, Layout, Orientation};
pub use outcome::Outcome;
pub use pictures::{PictureKind, Pictures, Window};
pub use task::Task;

use layout::is_default;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most values of a categorical column, and most classes or labels.
pub const MAX_LEVELS: usize = 1_024;

/// What a site's data hold, and how they are read. Exactly one kind of label: `label` with `positive` and `negative` (two
/// classes), `label` with `classes` (more), `labels` with `positive` and `negative` (several yes-or-no labels), or `outcome`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Numeric feature columns.
    #[serde(default)]
    pub features: Features,
    /// Column of the label.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Columns of several labels, each yes or no.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The label's value of the positive class, as it stands in the table.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub positive: String,
    /// The label's value of the negative class.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub negative: String,
    /// The label's values, where there are more than two classes, in the order of the model's outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// What is predicted, where it is no class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Columns of names, not numbers: each declared value becomes one input of the network, 1 where it stands and 0
    /// elsewhere, after the numeric features and never scaled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categorical: Vec<Categorical>,
    /// Pictures named by the table, in place of feature columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<Pictures>,
    /// Column that says which rows belong together (a patient): such rows are never parted between training and
    /// validation. Left out: every row stands alone, and equal rows stay together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Column that names a row for people, as a pseudonym: no feature, not read in training, and written beside each
    /// prediction. A table need not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What an empty cell means.
    #[serde(default)]
    pub missing: Missing,
    /// Texts and numbers that stand for an empty cell in every feature column, and in that of the group, beside `NA` and
    /// `NaN`: `NULL`, `.`, `-999`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_values: Vec<String>,
    /// More of them, by feature column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing_values_of: BTreeMap<String, Vec<String>>,
    /// What an empty cell in a column of several labels means.
    #[serde(default, skip_serializing_if = "is_default")]
    pub missing_labels: MissingLabels,
    /// What becomes of a row, or a picture, that cannot be read.
    #[serde(default, skip_serializing_if = "BadRows::is_refuse")]
    pub bad_rows: BadRows,
    /// What becomes of a site whose training rows are all of one class.
    #[serde(default, skip_serializing_if = "OneClass::is_refuse")]
    pub one_class: OneClass,
    /// What stands before the decimals of numbers in texts whose cells are not parted by commas, and in texts of Parquet
    /// files. Left out: either, the same in a whole file, and refused where a comma may be a mark between thousands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Decimal>,
    /// What bytes beyond ASCII stand for in texts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encoding: Encoding,
    /// Whether a line of a text is a row, or a column.
    #[serde(default, skip_serializing_if = "is_default")]
    pub orientation: Orientation,
    /// What is done to numeric features before they are scaled.
    #[serde(default, skip_serializing_if = "Transform::is_none")]
    pub transform: Transform,
    /// How features are scaled.
    #[serde(default)]
    pub scaling: Scaling,
}

/// Which columns are features: named one by one, or all columns that the specification does not name otherwise, with
/// their number and the hash of their names. Two sites that only counted theirs could train on different ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Their names; the model takes them in this order, whatever the order in a table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// All others, where they are too many to be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<Others>,
}

/// All columns of a table but those named otherwise. The model takes them sorted by the bytes of their names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Others {
    /// How many.
    pub count: u32,
    /// BLAKE2b-256 of their sorted names with a line feed after each, as 64 hexadecimal digits; `ml-worker columns` prints
    /// it.
    pub hash: String,
    /// Columns that are no features either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
}

impl Others {
    /// Number and hash of these names, in whatever order they come.
    pub fn of<S: AsRef<str>>(names: &[S], ignore: Vec<String>) -> Self {
        let mut sorted: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        sorted.sort_unstable();
        let mut text = String::new();
        for name in &sorted {
            text.push_str(name);
            text.push('\n');
        }
        let hash = sp_crypto_hashing::blake2_256(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        Self { count: u32::try_from(sorted.len()).unwrap_or(u32::MAX), hash, ignore }
    }
}

/// A column of names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Categorical {
    /// Its name.
    pub column: String,
    /// The values it may hold; another one is an error, unless `other` says what it counts as.
    pub levels: Vec<String>,
    /// That of the levels which every other value counts as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
}

/// What an empty cell (or `NA`, or `NaN`) in a feature column means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// An error, by line and column.
    #[default]
    Refuse,
    /// The mean of the column's known values stands in: that of all sites together under [`Scaling::Swarm`], the agreed centre
    /// under [`Scaling::Fixed`].
    Mean,
    /// The row is left out.
    DropRow,
}

/// What an empty cell (or `NA`, `NaN`, or what the study calls missing everywhere) in a column of several labels means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingLabels {
    /// An error, by line and column.
    #[default]
    Refuse,
    /// Nobody knows whether the label holds for the row: it has no part in loss and figures. A row of which no label is known is left
    /// out.
    Mask,
}

/// What becomes of a row, or a picture, that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BadRows {
    /// The data are refused.
    #[default]
    Refuse,
    /// It is left out and counted, as long as no more than this share of all rows is.
    Skip {
        /// Above 0, at most 0.5.
        at_most: f64,
    },
}

impl BadRows {
    fn is_refuse(&self) -> bool {
        matches!(self, Self::Refuse)
    }
}

/// What becomes of a site whose training rows are all of one class; of several labels, each of which is the same in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OneClass {
    /// It cannot take part.
    #[default]
    Refuse,
    /// It trains. What needs both classes to be measured is not measured there.
    Train,
}

impl OneClass {
    fn is_refuse(&self) -> bool {
        matches!(self, Self::Refuse)
    }
}

/// A decimal mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decimal {
    /// `1,5` is one and a half, `1,234` a little more than one; a point is an error.
    Comma,
    /// `1.5` is one and a half; a comma is an error.
    Point,
}

/// What is done to numeric features before they are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Nothing.
    #[default]
    None,
    /// `ln(1 + x)`; values at or below −1 are errors.
    Log1p,
    /// Each row's values become their ranks in that row, ties in the middle, divided by their number: between 0 and 1.
    /// Missing values have no rank.
    Rank,
}

impl Transform {
    fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// How numeric features are scaled before training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Not at all.
    #[default]
    None,
    /// To mean 0 and (population) standard deviation 1 over the training rows of all sites together.
    Swarm,
    /// Likewise over the site's own training rows; rows from elsewhere are scaled by those of the site that looks at them.
    Site,
    /// Every set of rows by its own mean and deviation, held-out rows too: what the published scripts of Warnat-Herresthal
    /// et al. do. Figures on held-out rows then depend on which rows are held out together; they flatter where prevalence
    /// is the same, and mislead where it is not.
    Transductive,
    /// Each column by an agreed centre and deviation, which come from elsewhere than the sites' rows: from a textbook, a
    /// published study, the range of a device. They count after [`Transform`]; a missing value becomes the centre where
    /// [`Missing::Mean`] is set.
    Fixed(BTreeMap<String, (f64, f64)>),
}

impl Scaling {
    /// Agreed centres and deviations of these columns, in this order; none where nothing is agreed, or nothing of one of them.
    pub fn agreed<'a>(&self, columns: impl Iterator<Item = &'a str>) -> Option<(Vec<f64>, Vec<f64>)> {
        let Self::Fixed(by_name) = self else { return None };
        let of = |column: &str| by_name.iter().find(|(name, _)| name.trim() == column.trim()).map(|(_, scale)| *scale);
        columns.map(of).collect::<Option<Vec<_>>>().map(|all| all.into_iter().unzip())
    }
}

/// Whether two texts stand for the same value: the same text but for blanks around it, or the same number.
pub fn same_value(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}

impl DataSpec {
    /// What kind of label it is.
    pub fn task(&self) -> Task {
        if let Some(outcome) = &self.outcome {
            return match outcome {
                Outcome::Value { .. } => Task::Value,
                Outcome::TimeToEvent { cuts, .. } => Task::Events(cuts.len()),
            };
        }
        match (self.classes.len(), self.labels.len()) {
            (0, 0) => Task::Binary,
            (0, labels) => Task::Labels(labels),
            (classes, _) => Task::Classes(classes),
        }
    }

    /// Number of numeric feature columns.
    pub fn numeric(&self) -> usize {
        match &self.features.others {
            Some(others) => others.count as usize,
            None => self.features.columns.len(),
        }
    }

    /// Numbers per row that the network takes.
    pub fn inputs(&self) -> usize {
        match &self.pictures {
            Some(pictures) => pictures.numbers(),
            None => self.numeric() + self.categorical.iter().map(|c| c.levels.len()).sum::<usize>(),
        }
    }

    /// Whether rows are files that the study's own trainer reads.
    pub fn files(&self) -> bool {
        self.pictures.as_ref().is_some_and(|pictures| pictures.kind == PictureKind::Files)
    }

    /// Shape of one row: `[features]` or `[channels, height, width]`; `[0]` of files.
    pub fn input_shape(&self) -> Vec<usize> {
        match &self.pictures {
            Some(_) if self.files() => vec![0],
            Some(pictures) => [pictures.channels, pictures.height, pictures.width].map(|n| n as usize).to_vec(),
            None => vec![self.inputs()],
        }
    }

    /// How its texts are written and laid out.
    pub fn layout(&self) -> Layout {
        Layout { encoding: self.encoding, orientation: self.orientation }
    }

    /// What stands for an empty cell in a feature column, beside `NA` and `NaN`.
    pub fn missing_in(&self, column: &str) -> Vec<&str> {
        let own = self.missing_values_of.iter().filter(|(name, _)| name.trim() == column.trim());
        self.missing_values.iter().chain(own.flat_map(|(_, values)| values)).map(|value| value.trim()).collect()
    }

    /// Columns of the label or labels, or of the outcome.
    pub fn label_columns(&self) -> Vec<&str> {
        match (&self.outcome, self.labels.is_empty()) {
            (Some(outcome), _) => outcome.columns(),
            (None, true) => vec![self.label.trim()],
            (None, false) => self.labels.iter().map(|label| label.trim()).collect(),
        }
    }

    /// Ends of the intervals of a time until an event; else empty.
    pub fn cuts(&self) -> &[f64] {
        match &self.outcome {
            Some(Outcome::TimeToEvent { cuts, .. }) => cuts,
            Some(Outcome::Value { .. }) | None => &[],
        }
    }

    /// Columns of the statistics that sites share before training: the numeric features, where the swarm's statistics scale
    /// them, and behind them an outcome that is a number. 0: there are none.
    pub fn statistics_columns(&self) -> usize {
        let features = if self.scaling == Scaling::Swarm { self.numeric() } else { 0 };
        features + usize::from(self.task() == Task::Value)
    }
}
