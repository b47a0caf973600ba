//! What does not go with `[privacy]`, by name, and what to do.

use super::refuse;
use crate::{
    data::{Missing, Scaling, Task},
    error::SpecError,
    optimizer::Optimizer,
    spec::StudySpec,
    training::ClassWeights,
};

impl StudySpec {
    /// Whether training and data can go with what is promised of one record or patient.
    pub(crate) fn check_privacy(&self) -> Result<(), SpecError> {
        let Some(privacy) = &self.privacy else { return Ok(()) };
        privacy.check_numbers(self.data.group.is_some())?;
        let t = &self.training;
        let instead = "leave it out beside [privacy]: rate and steps there say what a step is";
        for (field, there) in [
            ("training.batch_size", t.batch_size > 0),
            ("training.epochs", t.epochs > 0),
            ("training.batches", t.batches > 0),
        ] {
            if there {
                return refuse(field, instead);
            }
        }
        if t.clip.is_some() {
            return refuse("training.clip", "leave it out: privacy.clip holds the gradient of each record or patient");
        }
        if t.early_stopping.is_some() {
            return refuse(
                "training.early_stopping",
                "leave it out: when a site stops would tell about its validation rows, uncounted",
            );
        }
        if matches!(t.class_weights, Some(ClassWeights::Balanced)) {
            return refuse(
                "training.class_weights",
                "\"balanced\" counts the site's rows, uncounted: write the weights out, { fixed = [1.0, 3.0] }, or leave them out",
            );
        }
        if matches!(t.optimizer, Optimizer::ProximalGradient {}) {
            return refuse(
                "training.optimizer",
                "proximal_gradient takes its step from all rows, uncounted: take sgd or adam",
            );
        }
        if self.model.external().is_some() {
            return refuse(
                "model.external",
                "a trainer of one's own cannot be held to the noise, which nobody has checked in it: take a built-in network, or \
                 leave [privacy] out",
            );
        }
        let fixed = matches!(self.data.scaling, Scaling::Fixed(_));
        if !fixed && self.data.scaling != Scaling::None {
            return refuse(
                "data.scaling",
                "by the sites' own rows is a release that nothing counts: set \"none\", or { fixed = … } with a centre and a \
                 deviation for each column that come from elsewhere",
            );
        }
        self.data.scaling.check_private()?;
        if let Some(pictures) = &self.data.pictures {
            if pictures.mean.abs() > LARGEST || !(LEAST_DEVIATION..=LARGEST).contains(&pictures.deviation) {
                return refuse(
                    "data.pictures.deviation",
                    "must lie between 1e-9 and 1e12 beside [privacy], and mean between -1e12 and 1e12",
                );
            }
        }
        if self.data.missing == Missing::Mean && self.data.numeric() > 0 && !fixed {
            return refuse(
                "data.missing",
                "\"mean\" puts the site's own mean into its rows, uncounted: scale by { fixed = … }, whose centres then stand in, or \
                 set \"refuse\" or \"drop_row\"",
            );
        }
        if self.data.task() == Task::Value {
            return refuse(
                "data.outcome",
                "a number is learned in units of all sites' deviation, a release that nothing counts: predict classes, labels or a \
                 time until an event",
            );
        }
        self.check_shared(privacy)
    }
}

/// The least and the largest deviation, and the largest centre, that data are scaled by beside `[privacy]`.
const LEAST_DEVIATION: f64 = 1e-9;
const LARGEST: f64 = 1e12;

impl Scaling {
    /// Whether agreed centres and deviations are numbers that values can be measured by.
    fn check_private(&self) -> Result<(), SpecError> {
        let Self::Fixed(by_name) = self else { return Ok(()) };
        for (name, (centre, deviation)) in by_name {
            if centre.abs() > LARGEST || !(LEAST_DEVIATION..=LARGEST).contains(deviation) {
                let problem = format!(
                    "is [{centre:e}, {deviation:e}]: beside [privacy] a deviation must lie between {LEAST_DEVIATION:e} and {LARGEST:e}, and \
                     a centre between -{LARGEST:e} and {LARGEST:e}; measure the column in another unit"
                );
                return refuse(&format!("data.scaling.fixed.{name}"), &problem);
            }
        }
        Ok(())
    }
}
