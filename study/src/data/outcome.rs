//! What is predicted, where it is no class: a number, or the time until an event.

use crate::{
    data::same_value,
    error::{wrong, SpecError},
};
use serde::{Deserialize, Serialize};

/// What is predicted, in place of classes or labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// A number. It is learned in units of its deviation over all sites' training rows, around their mean, and told in its
    /// own.
    Value {
        /// Its column.
        column: String,
    },
    /// The time until an event, of rows of which some were not followed until it. The times from 0 on are cut into intervals;
    /// each output is the logit of the hazard of one: the probability of an event in it, of those that had none before
    /// (Brown, "On the use of indicator variables for studying the time-dependence of parameters in a response-time model",
    /// Biometrics 31, 1975; Gensheimer and Narasimhan, "A scalable discrete-time survival model for neural networks", PeerJ 7,
    /// 2019).
    TimeToEvent {
        /// Column of the time that a row was followed, until the event or without one; 0 and more, in any unit.
        time: String,
        /// Column that says whether the event ended it.
        event: String,
        /// Its value where it did.
        happened: String,
        /// Its value where it did not.
        censored: String,
        /// Ends of the intervals, ascending, in the unit of the time. The first begins at 0; each has its end in it. Whatever
        /// comes after the last is not looked at.
        cuts: Vec<f64>,
    },
}

/// Most intervals.
const MAX_CUTS: usize = 64;

impl Outcome {
    /// Its columns, in the order in which a row's labels have them.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::Value { column } => vec![column.trim()],
            Self::TimeToEvent { time, event, .. } => vec![time.trim(), event.trim()],
        }
    }

    /// Whether it can be read.
    pub(super) fn check(&self) -> Result<(), SpecError> {
        if self.columns().contains(&"") {
            return Err(wrong("data.outcome", "must name its column, or columns"));
        }
        let Self::TimeToEvent { happened, censored, cuts, .. } = self else { return Ok(()) };
        if happened.trim().is_empty() || censored.trim().is_empty() || same_value(happened, censored) {
            return Err(wrong(
                "data.outcome.time_to_event",
                "happened and censored must be different texts or numbers, and not empty",
            ));
        }
        // as times are compared with them
        let apart = cuts.windows(2).all(|pair| (pair[0] as f32) < pair[1] as f32);
        let possible = cuts.iter().all(|cut| *cut > 0.0 && (*cut as f32).is_finite());
        if cuts.is_empty() || cuts.len() > MAX_CUTS || !possible || !apart {
            return Err(wrong(
                "data.outcome.time_to_event.cuts",
                format!("must be 1 to {MAX_CUTS} times above 0, each later than the one before"),
            ));
        }
        Ok(())
    }
}
