//! What is measured of a finished study's model at one site, beside a model of the site's rows alone: the form in which a worker
//! writes it, a site signs it, and a report takes it in.

mod file;
#[cfg(test)]
mod tests;

pub use file::{FiguresFile, ReadError, Signed, FIGURES_VERSION};

use crate::training::Metric;
use consilium_primitives::rules::MAX_ROUNDS;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Rows of each class from which a ROC curve and a calibration curve are shown: of fewer, a curve shows single rows rather than a
/// model.
pub const MIN_FOR_CURVES: u32 = 50;
/// Steps of a ROC curve: sensitivities are given at false-positive shares of 0, 1 ÷ this, 2 ÷ this and so on up to 1.
pub const ROC_STEPS: u32 = 50;
/// Most bins of a calibration curve.
pub const CALIBRATION_BINS: usize = 10;

/// 95 % interval of a share of rows, taken for independent (Wilson, "Probable inference, the law of succession, and statistical
/// inference", 1927). None of no rows.
pub fn wilson(some: u64, of: u64) -> Option<(f64, f64)> {
    // the 97.5 % quantile of the normal distribution
    const Z: f64 = 1.959_963_984_540_054;
    let (n, share, square) = (of as f64, some as f64 / of as f64, Z * Z);
    let middle = (share + square / (2.0 * n)) / (1.0 + square / n);
    let half = Z / (1.0 + square / n) * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    (of > 0 && some <= of).then(|| ((middle - half).max(0.0), (middle + half).min(1.0)))
}

/// One of three words. Each is of one site's interval alone: of twenty sites that neither gain nor lose, one is called so
/// by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The interval lies below 0: the swarm's figure is lower, which is better.
    #[serde(rename = "better")]
    Better,
    /// The interval lies above 0.
    #[serde(rename = "worse")]
    Worse,
    /// 0 is in the interval, or there is none.
    #[serde(rename = "cannot tell")]
    CannotTell,
}

impl Verdict {
    /// The word for an interval of the swarm's figure less the site's own, of which lower is better.
    pub fn of(interval: Option<(f64, f64)>) -> Self {
        match interval {
            Some((_, high)) if high < 0.0 => Self::Better,
            Some((low, _)) if low > 0.0 => Self::Worse,
            _ => Self::CannotTell,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::CannotTell => "cannot tell",
        })
    }
}

/// On which of its rows a site measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasuredOn {
    /// Rows that did not train, but chose the round of either model.
    Validation,
    /// Rows of a table of their own, which had no part in the study.
    TestFile,
}

/// A difference of two models on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Swarm less alone.
    pub value: f64,
    /// Its 95 % interval, which takes rows of one group (a patient) together; none where there are too few groups.
    pub interval: Option<(f64, f64)>,
}

/// Of rows whose probabilities are next to each other: what was said, and what came true.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// Rows.
    pub rows: u32,
    /// Mean of their probabilities; 0 to 1.
    pub said: f64,
    /// Share of positives among them; 0 to 1.
    pub found: f64,
    /// 95 % interval of that share (Wilson 1927), as if rows were independent.
    pub interval: (f64, f64),
}

/// Curves of a model of two classes on at least [`MIN_FOR_CURVES`] rows of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curves {
    /// The highest sensitivity at a false-positive share of at most `k ÷` [`ROC_STEPS`], for `k` from 0 on.
    pub roc: Vec<f64>,
    /// Tenths of the rows by their probability, equal probabilities together.
    pub calibration: Vec<Bin>,
    /// Slope of `logit P = intercept + slope · logit` on these rows; 1 is right. None where it is not defined.
    pub slope: Option<f64>,
    /// The intercept where the slope is held at 1: below 0 where probabilities are too high. None where it is not defined.
    pub in_the_large: Option<f64>,
}

/// Figures at a cut that was chosen on other rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutFigures {
    /// Share of positives found; 0 to 1.
    pub sensitivity: Option<f64>,
    /// Share of negatives found; 0 to 1.
    pub specificity: Option<f64>,
    /// Share of positives among rows called positive; 0 to 1.
    pub ppv: Option<f64>,
    /// Share of negatives among rows called negative; 0 to 1.
    pub npv: Option<f64>,
}

/// What stands in an AUC's place where the outcome is no class; higher is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Of a number: R² on these rows; at most 1, and 0 is what their mean has.
    R2(f64),
    /// Of the time until an event: Harrell's C; 0 to 1.
    Concordance(f64),
}

/// One model on a site's own rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFigures {
    /// Rows that it was trained on; none where whoever measured does not know.
    pub training_rows: Option<u32>,
    /// The round that it is of.
    pub round: u32,
    /// Rounds that were trained.
    pub rounds: u32,
    /// Whether validation rows were too few to choose a round by, so that the last one was taken.
    pub last_taken: bool,
    /// The agreed metric; lower is better. None where it is not defined.
    pub metric: Option<f64>,
    /// Area under the ROC curve; of several classes or labels the mean over them. None where it is not defined.
    pub auc: Option<f64>,
    /// 95 % interval of the AUC of two classes.
    pub auc_interval: Option<(f64, f64)>,
    /// What stands in the AUC's place where the outcome is no class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// The agreed metric after each round on the arm's own validation rows. Of the swarm's it is empty: the chain has them.
    pub by_round: Vec<Option<f64>>,
    /// None where rows are too few, or classes more than two.
    pub curves: Option<Curves>,
}

/// The swarm's model beside a site's own, on that site's rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteFigures {
    /// The agreed metric.
    pub metric: Metric,
    /// Which rows.
    pub on: MeasuredOn,
    /// How many.
    pub rows: u32,
    /// How many groups (patients) these are of; as many as rows where the study names no group.
    pub groups: u32,
    /// Rows of the positive class, of two classes.
    pub positives: Option<u32>,
    /// The study's model.
    pub swarm: ModelFigures,
    /// The model of the site's rows alone, trained for as many rounds.
    pub alone: ModelFigures,
    /// The model of all sites' rows in one place, where somebody has them all.
    pub central: Option<ModelFigures>,
    /// The metric, swarm less alone; none where it is not finite.
    pub difference: Option<Difference>,
    /// The AUC, swarm less alone, of two classes; higher is better.
    pub auc_difference: Option<Difference>,
    /// From which probability on the swarm's model says yes, by Youden's J on validation rows; none where these are too few.
    pub cut: Option<f64>,
    /// Figures at that cut, on rows of a table of their own alone.
    pub at_cut: Option<CutFigures>,
}

impl SiteFigures {
    /// Whether joining made this site's figure better, by the interval of the difference.
    pub fn verdict(&self) -> Verdict {
        Verdict::of(self.difference.and_then(|difference| difference.interval))
    }

    /// Whether there are enough rows of each class for curves.
    pub fn enough_for_curves(&self) -> bool {
        self.positives.is_some_and(|some| some.min(self.rows.saturating_sub(some)) >= MIN_FOR_CURVES)
    }

    /// Looks whether every number can be what it is called: such a file may come from somebody else.
    ///
    /// # Errors
    /// The first one that cannot.
    pub fn check(&self) -> Result<(), FiguresError> {
        let wrong = |what: &'static str| Err(FiguresError(what));
        if self.groups > self.rows || self.positives.is_some_and(|some| some > self.rows) {
            return wrong("there are more groups or positives than rows");
        }
        for model in [&self.swarm, &self.alone].into_iter().chain(&self.central) {
            model.check(self.enough_for_curves())?;
        }
        for difference in [self.difference, self.auc_difference].into_iter().flatten() {
            let ordered = |(low, high): (f64, f64)| low <= difference.value && difference.value <= high;
            if !difference.value.is_finite() || !difference.interval.is_none_or(|ends| finite(ends) && ordered(ends)) {
                return wrong("a difference does not lie in its interval");
            }
        }
        let at = self.at_cut.map(|at| [at.sensitivity, at.specificity, at.ppv, at.npv]).unwrap_or_default();
        if !at.into_iter().chain([self.cut]).flatten().all(share) {
            return wrong("the cut, or a figure at it, is none of 0 to 1");
        }
        Ok(())
    }
}

impl ModelFigures {
    fn check(&self, curves: bool) -> Result<(), FiguresError> {
        let wrong = |what: &'static str| Err(FiguresError(what));
        if self.round == 0 || self.round > self.rounds || self.rounds > MAX_ROUNDS {
            return wrong("a model is of a round that there was not");
        }
        let known = self.by_round.iter().flatten().chain(&self.metric);
        if self.by_round.len() > self.rounds as usize || !known.clone().all(|value| value.is_finite() && *value >= 0.0)
        {
            return wrong("a metric is no number of 0 or more, or of a round that there was not");
        }
        if !self.auc.is_none_or(share)
            || !self.auc_interval.is_none_or(|(low, high)| share(low) && share(high) && low <= high)
        {
            return wrong("an AUC, or an end of its interval, is none of 0 to 1");
        }
        match self.fit {
            Some(Fit::R2(r2)) if !(r2.is_finite() && r2 <= 1.0) => return wrong("R² is no number of at most 1"),
            Some(Fit::Concordance(c)) if !share(c) => return wrong("a concordance is none of 0 to 1"),
            _ => {}
        }
        match &self.curves {
            None => Ok(()),
            Some(_) if !curves => wrong("there are curves of too few rows"),
            Some(curves) => curves.check(),
        }
    }
}

impl Curves {
    fn check(&self) -> Result<(), FiguresError> {
        let rising = self.roc.windows(2).all(|two| two[0] <= two[1]);
        if self.roc.len() != ROC_STEPS as usize + 1 || !rising || !self.roc.iter().copied().all(share) {
            return Err(FiguresError("a ROC curve is none"));
        }
        let bin = |bin: &Bin| share(bin.said) && share(bin.found) && share(bin.interval.0) && share(bin.interval.1);
        if self.calibration.len() > CALIBRATION_BINS || !self.calibration.iter().all(bin) {
            return Err(FiguresError("a calibration curve is none"));
        }
        if ![self.slope, self.in_the_large].into_iter().flatten().all(f64::is_finite) {
            return Err(FiguresError("a calibration slope or intercept is no number"));
        }
        Ok(())
    }
}

fn share(value: f64) -> bool {
    (0.0..=1.0).contains(&value)
}

fn finite((low, high): (f64, f64)) -> bool {
    low.is_finite() && high.is_finite()
}

/// What makes figures unfit to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FiguresError(&'static str);
