//! What a study file that is being written predicts: classes of a column, a number, or the time until an event.

use super::{guess, list, quoted, Column, Said, Survey};
use anyhow::{bail, ensure, Context, Result};

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Predicted<'a> {
    /// One of these values of the label.
    Classes(&'a [String]),
    /// The label, as a number.
    Number,
    /// The time in this column until the event that the label tells; of its two values the first says that it happened.
    Time { column: &'a str, happened: &'a str, censored: &'a str },
}

/// The column of this name.
///
/// # Errors
/// There is none.
pub(super) fn find<'a>(survey: &'a Survey, option: &str, name: &str) -> Result<&'a Column> {
    let column = survey.columns.iter().find(|column| column.name == name.trim());
    column.with_context(|| format!("{option} {name}: there is no such column"))
}

/// The label's two values of which one must be chosen: none where there are others, or where one is.
pub(super) fn open<'a>(survey: &'a Survey, said: &Said) -> Option<(&'a str, &'a str)> {
    let column = find(survey, "--label", &said.label).ok()?;
    match column.values.as_slice() {
        [one, other] if !said.number && said.positive.is_none() && guess::positive(&column.values).is_none() => {
            Some((one.as_str(), other.as_str()))
        }
        _ => None,
    }
}

/// Of two values the one that is looked for, and the other one.
fn sides<'a>(values: &'a [String], positive: Option<&str>) -> Result<(&'a str, &'a str)> {
    let [one, other] = values else { bail!("there are {} values, and not two", values.len()) };
    let first = match (positive, guess::positive(values)) {
        (Some(given), _) if given == one => true,
        (Some(given), _) if given == other => false,
        (Some(given), _) => bail!("--positive {given}: the label's values are {one:?} and {other:?}"),
        (None, Some(place)) => place == 0,
        (None, None) => bail!("which of {one:?} and {other:?} is looked for? Give --positive VALUE"),
    };
    Ok(if first { (one.as_str(), other.as_str()) } else { (other.as_str(), one.as_str()) })
}

impl<'a> Predicted<'a> {
    /// What the columns, and what was said, ask for.
    ///
    /// # Errors
    /// No such column; a label of one value, or of texts that are too many for classes; a time or an event that is none.
    pub(super) fn of(survey: &'a Survey, said: &'a Said) -> Result<Self> {
        let option = if said.time.is_some() { "--event" } else { "--label" };
        let column = find(survey, option, &said.label)?;
        let name = &said.label;
        if let Some(time) = &said.time {
            ensure!(
                survey.others.is_none(),
                "of a table with so many columns --time is not looked at: write the study file by hand"
            );
            let times = find(survey, "--time", time)?;
            let numbers = times.holds == "numbers" || times.holds == "row_numbers";
            ensure!(numbers, "--time {time}: not all of its cells are numbers");
            ensure!(
                column.values.len() == 2,
                "--event {name}: it has {} values, and must have two: that the event ended the time, and that it did not",
                column.values.len()
            );
            ensure!(!said.cuts.is_empty(), "--time {time}: into which intervals is it cut? Give --cuts, as 90,180,365");
            let (happened, censored) = sides(&column.values, said.positive.as_deref())?;
            return Ok(Self::Time { column: times.name.as_str(), happened, censored });
        }
        let number = column.holds == "numbers" || column.holds == "row_numbers";
        match column.values.len() {
            _ if said.number => {
                ensure!(number, "--number: not all cells of {name:?} are numbers");
                Ok(Self::Number)
            }
            0 if column.holds == "numbers" => Ok(Self::Number),
            0 => bail!(
                "--label {name}: it has no values, or too many for classes, and is no column of numbers (with --number one of whole \
                 numbers that rise from row to row is taken, too)"
            ),
            1 => bail!("--label {name}: it has one value only; nothing can be learned from that"),
            _ => Ok(Self::Classes(&column.values)),
        }
    }

    /// Its lines in `[data]`.
    ///
    /// # Errors
    /// Of two classes it is not said which one is looked for.
    pub(super) fn data(&self, said: &Said) -> Result<String> {
        let label = quoted(said.label.trim());
        Ok(match self {
            Self::Classes(values) if values.len() == 2 => {
                let (wanted, other) = sides(values, said.positive.as_deref())?;
                format!(
                    "label = {label}\npositive = {}   # what is looked for\nnegative = {}\n",
                    quoted(wanted),
                    quoted(other)
                )
            }
            Self::Classes(values) => format!("label = {label}\nclasses = {}\n", list(values)),
            Self::Number => format!("outcome = {{ value = {{ column = {label} }} }}   # a number, in its own unit\n"),
            Self::Time { column, happened, censored } => format!(
                "# the time until the event, or until a row was followed without it; cuts: ends of intervals, in the time's unit\n\
                 outcome = {{ time_to_event = {{ time = {}, event = {label}, happened = {}, censored = {}, cuts = {:?} }} }}\n",
                quoted(column),
                quoted(happened),
                quoted(censored),
                said.cuts
            ),
        })
    }

    /// The line of the loss in `[training]`, where it is another than the usual one.
    pub(super) fn loss(&self) -> &'static str {
        match self {
            Self::Number => {
                "loss = \"squared_error\"   # or { huber = { delta = 1.5 } }, which wild values pull less\n"
            }
            Self::Classes(_) | Self::Time { .. } => "",
        }
    }

    /// The line of the metric in `[evaluation]`, where it is another than the usual one.
    pub(super) fn metric(&self) -> &'static str {
        match self {
            Self::Number => {
                "metric = \"squared_error\"   # in units of the outcome's variance; or \"absolute_error\"\n"
            }
            Self::Classes(_) | Self::Time { .. } => "",
        }
    }
}
