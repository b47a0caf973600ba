//! All that is said of a model on rows whose labels are known.

use super::{logits, Bundle};
use crate::{
    data::Table,
    learn::{
        figures::{groups, outputs, Figures},
        loss::Objective,
        metrics::{AtCut, Calibration, Confusion, Metrics, Recalibration, Resampling},
        objective,
    },
};
use anyhow::{bail, Result};
use consilium_study::{wilson, Loss, Task};
use serde::Serialize;
use std::collections::BTreeMap;

/// Different values that a column of subgroups may have.
const MOST: usize = 64;

/// How rows are drawn again for intervals.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    /// How often; 0: not at all.
    pub count: u32,
    /// What the draws follow from.
    pub seed: u64,
}

/// A model's figures on some rows.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// Cuts and calibration of each output; empty where there are several classes, of a number and of a
    /// time.
    pub outputs: Vec<Output>,
    /// Intervals by drawing groups again.
    pub bootstrap: Option<Bootstrap>,
    /// Figures of subgroups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

/// One output.
#[derive(Clone, Debug, Serialize)]
pub struct Output {
    /// The positive class, or the label.
    pub name: String,
    /// At cuts that were chosen on other rows.
    pub cuts: Vec<Cut>,
    /// How its logits are calibrated here, as the model gives them: before any recalibration. `None` of a model of squared error,
    /// which has none.
    pub calibration: Option<Calibration>,
    /// What the recalibration that came with the model makes of it.
    pub recalibrated: Option<Recalibrated>,
}

/// Figures at a cut, which is held against the probability as the model gives it: not against the recalibrated one.
#[derive(Clone, Debug, Serialize)]
pub struct Cut {
    /// How the cut was chosen, and on which rows.
    pub chosen: String,
    /// 95 % interval of the sensitivity (Wilson's, rows taken for independent).
    pub sensitivity_interval: Option<(f64, f64)>,
    /// 95 % interval of the specificity, likewise.
    pub specificity_interval: Option<(f64, f64)>,
    /// The figures.
    #[serde(flatten)]
    pub figures: AtCut,
}

impl Cut {
    fn of(chosen: String, figures: AtCut) -> Self {
        let Confusion { tp, fp, tn, f_n } = figures.confusion;
        Self { chosen, sensitivity_interval: wilson(tp, tp + f_n), specificity_interval: wilson(tn, tn + fp), figures }
    }
}

/// Figures of probabilities that were recalibrated on other rows. What goes by the order of rows (the AUC) stays.
#[derive(Clone, Debug, Serialize)]
pub struct Recalibrated {
    /// How: `logit P = intercept + slope · output`.
    pub by: Recalibration,
    /// Mean log-loss.
    pub log_loss: f64,
    /// Mean squared distance from the truth.
    pub brier: f64,
    /// Expected calibration error.
    pub ece: f64,
    /// How they are calibrated here.
    pub calibration: Calibration,
}

/// Intervals by drawing groups again.
#[derive(Clone, Debug, Serialize)]
pub struct Bootstrap {
    /// Draws.
    pub draws: u32,
    /// Seed.
    pub seed: u64,
    /// What is drawn: a column's groups, or rows.
    pub of: String,
    /// How many there are.
    pub groups: usize,
    /// From the 2.5th to the 97.5th percentile of the draws, by figure; null where most draws have none.
    pub intervals: BTreeMap<String, Option<(f64, f64)>>,
    /// Draws in which a figure is not defined, where there are any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub undefined: BTreeMap<String, u32>,
}

/// Figures of subgroups.
#[derive(Clone, Debug, Serialize)]
pub struct By {
    /// The column that names them.
    pub column: String,
    /// By what stands there.
    pub subgroups: BTreeMap<String, Figures>,
}

/// What a model says of rows, with their labels and groups.
struct Said<'a> {
    bundle: &'a Bundle,
    goal: Objective,
    logits: Vec<f32>,
    labels: Vec<u32>,
    groups: Vec<[u8; 32]>,
}

/// Measures a model on a table's rows. `by`: a column's name, and what stands in it, row by row. `None` without rows.
///
/// # Errors
/// What [`logits`] says; a column with too many different values to be one of subgroups.
pub fn evaluate(
    bundle: &Bundle,
    table: &Table,
    draws: Draws,
    by: Option<(&str, &[String])>,
) -> Result<Option<Evaluation>> {
    let (logits, rows) = logits(bundle, table)?;
    let all: Vec<usize> = (0..table.rows()).collect();
    let said = Said {
        bundle,
        goal: objective(&bundle.spec, None).told_in(bundle.preprocessing.scaler.target()),
        logits,
        labels: rows.labels().to_vec(),
        groups: groups(&bundle.spec.data, table, &all),
    };
    let Some(figures) = said.figures(&all, true) else { return Ok(None) };
    let by = match by {
        Some((column, texts)) => Some(said.by(column, texts)?),
        None => None,
    };
    let bootstrap = (draws.count > 0).then(|| said.bootstrap(&all, draws));
    Ok(Some(Evaluation { figures, outputs: said.outputs(&all), bootstrap, by }))
}

impl Said<'_> {
    /// Logits, labels and groups of some rows.
    fn of(&self, rows: &[usize]) -> (Vec<f32>, Vec<u32>, Vec<[u8; 32]>) {
        let (outputs, per) = (self.goal.task.outputs(), self.goal.labels_per_row());
        let logits = rows.iter().flat_map(|row| &self.logits[row * outputs..(row + 1) * outputs]).copied().collect();
        let labels = rows.iter().flat_map(|row| &self.labels[row * per..(row + 1) * per]).copied().collect();
        (logits, labels, rows.iter().map(|row| self.groups[*row]).collect())
    }

    /// `grouped`: with intervals that take a group's rows together.
    fn figures(&self, rows: &[usize], grouped: bool) -> Option<Figures> {
        let (logits, labels, groups) = self.of(rows);
        let groups = grouped.then_some(&groups[..]);
        Figures::by_group(&self.goal, &logits, &labels, &self.bundle.cuts, groups)
    }

    fn outputs(&self, rows: &[usize]) -> Vec<Output> {
        let count = match self.goal.task {
            Task::Classes(_) | Task::Value | Task::Events(_) => return Vec::new(),
            Task::Binary | Task::Labels(_) => self.goal.task.outputs(),
        };
        let (logits, labels, _) = self.of(rows);
        let probabilities = self.goal.probabilities(&logits);
        let fitted = self.bundle.fitted.as_ref();
        let on = fitted.map_or_else(|| "validation rows".to_owned(), |f| format!("{} validation rows", f.rows));
        outputs(&self.bundle.spec.data)
            .into_iter()
            .enumerate()
            .take(count)
            .map(|(n, name)| {
                let (p, truths) = self.goal.of_output(n, &probabilities, &labels);
                let z: Vec<f64> = self.goal.of_output(n, &logits, &labels).0.into_iter().map(f64::from).collect();
                let wanted = fitted.and_then(|f| f.sensitivity.as_ref()).map(|w| {
                    (
                        format!("highest with a sensitivity of {} on {on}", w.sensitivity),
                        w.cuts.get(n).copied().flatten(),
                    )
                });
                let youden = (format!("highest Youden's J on {on}"), self.bundle.cuts.get(n).copied().flatten());
                let cuts = std::iter::once(youden)
                    .chain(wanted)
                    .filter_map(|(chosen, cut)| Some(Cut::of(chosen, AtCut::of(&p, &truths, cut?)?)))
                    .collect();
                let calibration = (self.goal.loss == Loss::CrossEntropy).then(|| Calibration::of(&z, &truths));
                let recalibration = fitted.and_then(|f| f.recalibration.get(n).copied().flatten());
                let recalibrated = recalibration.and_then(|by| recalibrated(by, &z, &truths));
                Output { name, cuts, calibration, recalibrated }
            })
            .collect()
    }

    fn bootstrap(&self, rows: &[usize], draws: Draws) -> Bootstrap {
        let sampling = Resampling::new(&self.groups, draws.count, draws.seed);
        let of = |rows: &[usize]| -> Vec<(String, Option<f64>)> {
            let mut all = self.figures(rows, false).map_or_else(Vec::new, |figures| numbers(&figures));
            for output in self.outputs(rows) {
                let name = |what: &str| match self.goal.task {
                    Task::Labels(_) => format!("{}: {what}", output.name),
                    Task::Binary | Task::Classes(_) | Task::Value | Task::Events(_) => what.to_owned(),
                };
                if let Some(Calibration { slope, intercept, in_the_large }) = output.calibration {
                    all.push((name("calibration slope"), slope));
                    all.push((name("calibration intercept"), intercept));
                    all.push((name("calibration in the large"), in_the_large));
                }
                for Cut { figures, .. } in &output.cuts {
                    let at = |what: &str| name(&format!("{what} at {:.4}", figures.cut));
                    all.push((at("sensitivity"), figures.sensitivity));
                    all.push((at("specificity"), figures.specificity));
                    all.push((at("ppv"), figures.ppv));
                    all.push((at("npv"), figures.npv));
                }
            }
            all
        };
        let names: Vec<String> = of(rows).into_iter().map(|(name, _)| name).collect();
        let drawn = sampling.intervals(|rows| {
            // by their names: a draw without the row that is no number has more figures
            let found: BTreeMap<String, Option<f64>> = of(rows).into_iter().collect();
            names.iter().map(|name| found.get(name).copied().flatten()).collect()
        });
        let named = || names.iter().cloned().zip(&drawn);
        Bootstrap {
            draws: draws.count,
            seed: draws.seed,
            of: match &self.bundle.spec.data.group {
                Some(column) => format!("groups of column {column:?}"),
                None => "rows".into(),
            },
            groups: sampling.groups(),
            intervals: named().map(|(name, d)| (name, d.interval)).collect(),
            undefined: named().filter(|(_, d)| d.undefined > 0).map(|(name, d)| (name, d.undefined)).collect(),
        }
    }

    fn by(&self, column: &str, texts: &[String]) -> Result<By> {
        if texts.len() != self.groups.len() {
            bail!(
                "column {column:?} says of {} rows which subgroup they are of, and {} were measured: fill in the rows that \
                 have nothing there, which the study lets go (data.bad_rows)",
                texts.len(),
                self.groups.len()
            );
        }
        let mut parts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (row, text) in texts.iter().enumerate() {
            parts.entry(text).or_default().push(row);
            if parts.len() > MOST {
                bail!("column {column:?} has more than {MOST} different values: name one that parts the rows into few subgroups");
            }
        }
        let subgroups =
            parts.into_iter().filter_map(|(text, rows)| Some((text.to_owned(), self.figures(&rows, true)?)));
        Ok(By { column: column.to_owned(), subgroups: subgroups.collect() })
    }
}

fn recalibrated(by: Recalibration, scores: &[f64], truths: &[bool]) -> Option<Recalibrated> {
    let z: Vec<f64> = scores.iter().map(|z| by.intercept + by.slope * z).collect();
    let p: Vec<f64> = scores.iter().map(|z| by.probability(*z)).collect();
    let Metrics { log_loss, brier, ece, .. } = Metrics::of_probabilities(&p, truths, None)?;
    Some(Recalibrated { by, log_loss, brier, ece, calibration: Calibration::of(&z, truths) })
}

/// The figures that are drawn again.
fn numbers(figures: &Figures) -> Vec<(String, Option<f64>)> {
    let list: Vec<(&str, Option<f64>)> = match figures {
        Figures::Binary(m) => vec![
            ("auc", m.auc),
            ("average_precision", m.average_precision),
            ("log_loss", Some(m.log_loss)),
            ("brier", Some(m.brier)),
            ("accuracy", Some(m.accuracy)),
            ("balanced_accuracy", m.balanced_accuracy),
            ("sensitivity", m.sensitivity),
            ("specificity", m.specificity),
            ("ppv", m.ppv),
            ("npv", m.npv),
            ("f1", m.f1),
            ("mcc", m.mcc),
        ],
        Figures::Classes(m) => vec![
            ("auc_macro", m.auc_macro.mean),
            ("log_loss", m.log_loss),
            ("brier", m.brier),
            ("accuracy", m.accuracy),
            ("balanced_accuracy", m.balanced_accuracy),
            ("f1_macro", m.f1.macro_mean.mean),
            ("mcc", m.mcc),
        ],
        Figures::Labels(m) => vec![
            ("auc_macro", m.auc_macro.mean),
            ("average_precision_macro", m.average_precision_macro.mean),
            ("log_loss", Some(m.log_loss)),
            ("balanced_accuracy_macro", m.balanced_accuracy_macro.mean),
            ("f1_macro", m.f1_macro.mean),
            ("hamming_loss", m.hamming_loss),
        ],
        Figures::Events(m) => vec![("concordance", m.concordance), ("log_loss", Some(m.log_loss))],
        Figures::Value(m) => {
            vec![("mae", Some(m.mae)), ("rmse", Some(m.rmse)), ("r2", m.r2), ("bias", Some(m.bias)), ("slope", m.slope)]
        }
    };
    let mut list: Vec<(String, Option<f64>)> = list.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if let Figures::Events(m) = figures {
        for at in &m.horizons {
            list.push((format!("brier at {}", at.time), at.brier));
            list.push((format!("said less found at {}", at.time), at.found.map(|found| at.said - found)));
        }
    }
    list
}
