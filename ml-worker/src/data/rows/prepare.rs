//! A site's rows, split and scaled, and whether anything can be learned from them.

use crate::data::{
    error::DataError,
    rows::Rows,
    rows::{
        scale::{statistics_of, Preprocessing, Scaler},
        split::Split,
        target,
    },
    table::Table,
};
use consilium_aggregation::{masked::MIN_VALUES, Statistics, MIN_ROWS};
use consilium_primitives::FailureCode;
use consilium_study::{OneClass, StudySpec, Task};

/// Where scaled values are held in a study with `[privacy]`.
const MOST_SCALED: f64 = 1e6;

/// Training and validation rows of one site.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Rows to learn from.
    pub training: Rows,
    /// Rows to measure on.
    pub validation: Rows,
    /// How they were made of the table.
    pub preprocessing: Preprocessing,
    /// Of each training row, the keyed hash of its patient, where the study has a column of these; else empty.
    pub patients: Vec<[u8; 32]>,
}

/// What a column of the statistics that sites share is called, counted from 0, where there is no table at hand: a numeric
/// feature, or, behind them, an outcome that is a number.
pub fn numeric_column(spec: &StudySpec, place: usize) -> String {
    if spec.data.task() == Task::Value && place + 1 == spec.data.statistics_columns() {
        let outcome = spec.data.label_columns().first().copied().unwrap_or_default();
        return format!("the outcome, column {outcome:?}");
    }
    match spec.data.features.columns.get(place) {
        Some(name) => format!("column {name:?}"),
        None => format!("column {} of the other columns, sorted by their names", place + 1),
    }
}

/// Whether merged statistics say something of every numeric column.
///
/// # Errors
/// A column of which no site had enough values, or with masks all sites together: it would go into the network unscaled.
pub fn all_known(statistics: &Statistics, spec: &StudySpec) -> Result<(), DataError> {
    let Some(unknown) = statistics.count.iter().position(|count| *count == 0.0) else { return Ok(()) };
    if spec.data.task() == Task::Value && unknown + 1 == statistics.count.len() {
        return Err(target::unknown(spec.data.label_columns().first().copied().unwrap_or_default()));
    }
    let column = numeric_column(spec, unknown);
    Err(DataError::new(
        FailureCode::TooFewSamples,
        format!(
            "{column}: no site has {MIN_ROWS} known values of it among its training rows, or with masks all sites together fewer than \
             {MIN_VALUES}, so that it cannot be scaled; take it out of the study, or set data.scaling to \"none\""
        ),
    ))
}

/// Columns of which other sites see nothing of this one, since too few of its training rows have a value: where all sites
/// are so, the study ends after its statistics ([`all_known`]). An outcome that is a number is one of them. None where the
/// study shares no statistics.
///
/// # Errors
/// Rows on disk that cannot be read.
pub fn withheld(spec: &StudySpec, table: &Table, training: &[usize]) -> Result<Vec<String>, DataError> {
    if spec.data.statistics_columns() == 0 {
        return Ok(Vec::new());
    }
    let shared = statistics_of(table, training)?;
    let names = target::shared_columns(&spec.data, &table.features);
    Ok(names.into_iter().zip(&shared.count).filter(|(_, count)| **count == 0.0).map(|(name, _)| name).collect())
}

impl Prepared {
    /// Splits and scales a site's table. `swarm`: the study's merged statistics, where its scaling asks for them.
    ///
    /// # Errors
    /// No rows to train on, or rows of one class only; numbers that leave the range of f32.
    pub fn new(spec: &StudySpec, table: &Table, split: &Split, swarm: Option<&Statistics>) -> Result<Self, DataError> {
        let (training, validation) = split.rows(table);
        enough(spec, table, &training)?;
        let scaler = Scaler::of(&spec.data.scaling, table, &training, swarm)?;
        // that one value is too large would be known to all, exactly and uncounted, if it were an error
        let most = spec.privacy.is_some().then_some(MOST_SCALED);
        let prepared = Self {
            training: scaler.apply_within(table, &training, most)?,
            validation: scaler.apply_within(table, &validation, most)?,
            preprocessing: Preprocessing { spec: spec.data.clone(), scaler },
            patients: match spec.data.group {
                Some(_) => training.iter().map(|row| table.groups[*row]).collect(),
                None => Vec::new(),
            },
        };
        for rows in [&prepared.training, &prepared.validation] {
            let found = rows.not_finite().map_err(|e| DataError::io("rows of a table cannot be read", &e))?;
            if let Some((_, place)) = found {
                let message = match table.features.get(place) {
                    Some(name) => format!(
                        "column {name:?}: a scaled value leaves the range of f32; scale or transform the features"
                    ),
                    None => "a scaled pixel leaves the range of f32; agree on another data.pictures.deviation".into(),
                };
                return Err(DataError::new(FailureCode::NotFinite, message));
            }
        }
        Ok(prepared)
    }
}

/// Whether something can be learned from these training rows: at least two, and not all of one class, unless the study
/// takes such sites. Of several labels, at least one must differ between rows.
pub(in crate::data) fn enough(spec: &StudySpec, table: &Table, training: &[usize]) -> Result<(), DataError> {
    let rows = training.len();
    if rows < 2 {
        return Err(DataError::new(
            FailureCode::TooFewSamples,
            format!("{rows} training rows are left after validation rows are set aside; at least two are needed"),
        ));
    }
    if spec.data.one_class == OneClass::Train {
        return Ok(());
    }
    let counts = table.classes(training.iter().copied());
    let message = match spec.data.task() {
        Task::Binary => counts.iter().position(|count| *count == rows).map(|class| {
            let only = [&spec.data.negative, &spec.data.positive][class.min(1)];
            format!("all {rows} training rows are of the class {only:?}; both are needed (data.one_class)")
        }),
        Task::Classes(_) => counts.iter().position(|count| *count == rows).map(|class| {
            let only = spec.data.classes.get(class).map_or("", String::as_str);
            format!("all {rows} training rows are of the class {only:?}; at least two are needed (data.one_class)")
        }),
        Task::Labels(_) => counts
            .iter()
            .zip(table.known(training.iter().copied()))
            .all(|(count, known)| *count == 0 || *count == known)
            .then(|| {
                format!("each label is the same in all of {rows} training rows that know it; one at least must differ")
            }),
        Task::Events(_) => (counts.get(1) == Some(&0)).then(|| {
            format!(
                "none of the {rows} training rows has an event; of some it must be known when it came (data.one_class)"
            )
        }),
        Task::Value => training
            .windows(2)
            .all(|pair| table.label(pair[0]) == table.label(pair[1]))
            .then(|| format!("the outcome is the same in all {rows} training rows; it must differ (data.one_class)")),
    };
    message.map_or(Ok(()), |message| Err(DataError::new(FailureCode::OneClass, message)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::data::{rows::numbers::Numbers, table::header::Form};
    use consilium_study::DataSpec;

    const DATA: &str = r#"{"features": {"columns": ["a"]}, "label": "ill", "positive": "1", "negative": "0"}"#;

    fn scaled(value: f64, most: Option<f64>) -> f32 {
        let spec: DataSpec = serde_json::from_str(DATA).unwrap();
        let form = Form::of(&spec);
        let numbers = Numbers { form, mean: vec![0.0], deviation: vec![1e-9], fill: vec![0.0], most };
        let mut out = [0.0];
        numbers.row(&[value], &mut out, &mut Default::default());
        out[0]
    }

    #[test]
    fn scaled_values_are_held_where_a_bound_is_agreed_on() {
        assert_eq!(scaled(1e300, None), f32::INFINITY);
        assert_eq!((scaled(1e300, Some(1e6)), scaled(-1e300, Some(1e6))), (1e6, -1e6));
        assert_eq!((scaled(2e-9, Some(1e6)), scaled(f64::NAN, Some(1e6))), (2.0, 0.0));
    }
}
