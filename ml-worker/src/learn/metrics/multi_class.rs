//! One of several classes.

use super::{
    calibration,
    mean::{weighted, Mean},
    roc::Ranked,
    threshold::share,
};
use serde::Serialize;

/// Classes that are taken at most: the confusion matrix holds their square.
pub const MAX_CLASSES: usize = 1_024;

/// Figures of one model on one set of rows of which each belongs to one of several classes. The answer is the class
/// with the highest logit, of equal ones the first. Where a row's softmax is not a number, no figure is defined.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MultiClass {
    /// Rows.
    pub rows: usize,
    /// Classes.
    pub classes: usize,
    /// Classes with no row here. They are left out of means of what they have no value of.
    pub absent_classes: usize,
    /// Share of right answers; 0 to 1.
    pub accuracy: Option<f64>,
    /// Mean recall of the classes that occur; 0 to 1.
    pub balanced_accuracy: Option<f64>,
    /// Share of right answers among the rows called a class; 0 to 1. A class that was never called has none: mind
    /// `defined` of its mean.
    pub precision: Averages,
    /// Share of a class's rows that were called it; 0 to 1.
    pub recall: Averages,
    /// `2·TP ÷ (2·TP + FP + FN)` of a class against the rest; 0 to 1.
    pub f1: Averages,
    /// AUC of a class's probability, this class against the rest; 0 to 1. Plain mean over the classes that have one,
    /// and how many these were: one that has no row here, or all of them, has none.
    pub auc_macro: Mean,
    /// The same, weighted by the rows of a class.
    pub auc_weighted: Option<f64>,
    /// Mean log-loss, in nats; 0 and more, not clipped. Infinite (`null` in JSON) where a row's class was given no
    /// chance.
    pub log_loss: Option<f64>,
    /// Squared distance of the probabilities from 0 and 1, *added up* over the classes (Brier, "Verification of
    /// forecasts expressed in terms of probability", 1950), mean over rows; 0 to 2. With two classes it is twice the
    /// binary one.
    pub brier: Option<f64>,
    /// Expected calibration error of the answer's probability (top-label: Guo, Pleiss, Sun and Weinberger, "On
    /// calibration of modern neural networks", 2017); bins as in [`super::BINS`]; 0 to 1.
    pub ece: Option<f64>,
    /// R_K, the correlation of class and answer (Gorodkin, "Comparing two K-category assignments by a K-category
    /// correlation coefficient", 2004); at most 1. `None` where all rows, or all answers, are of one class.
    pub mcc: Option<f64>,
    /// Rows by class (outer) and answer (inner).
    pub confusion: Option<Vec<Vec<u64>>>,
    /// Figures of each class against the rest.
    pub per_class: Vec<ClassFigures>,
}

/// One class against the rest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassFigures {
    /// Rows of the class.
    pub rows: u64,
    /// Share of right answers among the rows called this class; 0 to 1.
    pub precision: Option<f64>,
    /// Share of this class's rows that were called it; 0 to 1.
    pub recall: Option<f64>,
    /// `2·TP ÷ (2·TP + FP + FN)`; 0 to 1.
    pub f1: Option<f64>,
    /// AUC of this class's probability; 0 to 1.
    pub auc: Option<f64>,
}

/// Three ways to make one figure of those of several classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Averages {
    /// Plain mean over the classes that have the figure.
    pub macro_mean: Mean,
    /// From the counts of all classes together. With one class to a row it is the accuracy.
    pub micro: Option<f64>,
    /// Mean over the classes that have the figure, weighted by their rows.
    pub weighted: Option<f64>,
}

impl MultiClass {
    /// Figures of logits that lie row after row, `classes` to a row. `None` without rows, where the lengths do not fit,
    /// for a label that is not below `classes`, and for less than 2 or more than [`MAX_CLASSES`] classes.
    ///
    /// Logarithms of probabilities that add up to 1 are logits too.
    pub fn of(logits: &[f32], classes: usize, labels: &[usize]) -> Option<Self> {
        let fits = labels.len().checked_mul(classes) == Some(logits.len());
        if labels.is_empty() || !fits || !(2..=MAX_CLASSES).contains(&classes) || labels.iter().any(|l| *l >= classes) {
            return None;
        }
        let rows: Option<Vec<Row>> = logits.chunks_exact(classes).map(Row::of).collect();
        Some(match rows {
            Some(rows) => Self::of_rows(&rows, classes, labels),
            None => Self::undefined(classes, labels),
        })
    }

    fn of_rows(rows: &[Row], classes: usize, labels: &[usize]) -> Self {
        let n = rows.len() as f64;
        let mut confusion = vec![vec![0u64; classes]; classes];
        let (mut loss, mut brier) = (0.0, 0.0);
        for (row, label) in rows.iter().zip(labels) {
            confusion[*label][row.answer] += 1;
            loss += row.log_sum - row.shifted[*label];
            let distance = |(k, p): (usize, &f64)| (p - if k == *label { 1.0 } else { 0.0 }).powi(2);
            brier += row.p.iter().enumerate().map(distance).sum::<f64>();
        }
        let right: u64 = (0..classes).map(|k| confusion[k][k]).sum();
        let called: Vec<u64> = (0..classes).map(|k| confusion.iter().map(|of| of[k]).sum()).collect();
        let figures = |k: usize| {
            let (right, of_class) = (confusion[k][k], confusion[k].iter().sum::<u64>());
            let scores: Vec<f64> = rows.iter().map(|row| row.p[k]).collect();
            let own: Vec<bool> = labels.iter().map(|l| *l == k).collect();
            ClassFigures {
                rows: of_class,
                precision: share(right, called[k]),
                recall: share(right, of_class),
                f1: share(2 * right, called[k] + of_class),
                auc: Ranked::of(&scores, &own).map(|r| r.placements().auc()),
            }
        };
        let per_class: Vec<ClassFigures> = (0..classes).map(figures).collect();
        let accuracy = share(right, rows.len() as u64);
        let top = rows.iter().zip(labels).map(|(row, label)| (row.p[row.answer], row.answer == *label));
        Self {
            accuracy,
            log_loss: Some(loss / n),
            brier: Some(brier / n),
            ece: calibration::error(top),
            mcc: r_k(right, rows.len() as u64, &called, &per_class),
            confusion: Some(confusion),
            ..Self::averaged(rows.len(), accuracy, per_class)
        }
    }

    fn undefined(classes: usize, labels: &[usize]) -> Self {
        let none = ClassFigures { rows: 0, precision: None, recall: None, f1: None, auc: None };
        let mut per_class = vec![none; classes];
        labels.iter().for_each(|l| per_class[*l].rows += 1);
        Self::averaged(labels.len(), None, per_class)
    }

    /// What follows from the figures of the classes.
    fn averaged(rows: usize, accuracy: Option<f64>, per_class: Vec<ClassFigures>) -> Self {
        let mean = |of: fn(&ClassFigures) -> Option<f64>| Mean::over(per_class.iter().map(of));
        let by_rows = |of: fn(&ClassFigures) -> Option<f64>| weighted(per_class.iter().map(|c| (of(c), c.rows)));
        let averages = |of| Averages { macro_mean: mean(of), micro: accuracy, weighted: by_rows(of) };
        Self {
            rows,
            classes: per_class.len(),
            absent_classes: per_class.iter().filter(|c| c.rows == 0).count(),
            accuracy,
            balanced_accuracy: mean(|c| c.recall).mean,
            precision: averages(|c| c.precision),
            recall: averages(|c| c.recall),
            f1: averages(|c| c.f1),
            auc_macro: mean(|c| c.auc),
            auc_weighted: by_rows(|c| c.auc),
            log_loss: None,
            brier: None,
            ece: None,
            mcc: None,
            confusion: None,
            per_class,
        }
    }
}

/// Gorodkin's R_K from the right answers, all rows, and how often each class was called and occurs.
fn r_k(right: u64, rows: u64, called: &[u64], per_class: &[ClassFigures]) -> Option<f64> {
    let (right, rows) = (i128::from(right), i128::from(rows));
    let sum = |of: &dyn Fn(usize) -> i128| (0..called.len()).map(of).sum::<i128>();
    let (c, t) = (|k: usize| i128::from(called[k]), |k: usize| i128::from(per_class[k].rows));
    let spread = (rows * rows - sum(&|k| c(k) * c(k)), rows * rows - sum(&|k| t(k) * t(k)));
    let scale = (spread.0 as f64).sqrt() * (spread.1 as f64).sqrt();
    (scale > 0.0).then(|| ((right * rows - sum(&|k| c(k) * t(k))) as f64 / scale).clamp(-1.0, 1.0))
}

/// One row's softmax.
struct Row {
    /// Logits less the highest.
    shifted: Vec<f64>,
    /// Logarithm of the sum of their exponentials.
    log_sum: f64,
    p: Vec<f64>,
    answer: usize,
}

impl Row {
    /// `None` where it is not a number.
    fn of(logits: &[f32]) -> Option<Self> {
        let first = (0, *logits.first()?);
        let (answer, top) = logits.iter().copied().enumerate().fold(first, |a, b| if b.1 > a.1 { b } else { a });
        let shifted: Vec<f64> = logits.iter().map(|z| f64::from(*z) - f64::from(top)).collect();
        if shifted.iter().any(|z| z.is_nan()) {
            return None;
        }
        let powers: Vec<f64> = shifted.iter().map(|z| z.exp()).collect();
        // added in order of size: rows with the same logits at other classes have the same sum, and stay ties
        let mut sorted = powers.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let sum: f64 = sorted.iter().sum();
        Some(Self { p: powers.iter().map(|e| e / sum).collect(), log_sum: sum.ln(), shifted, answer })
    }
}
