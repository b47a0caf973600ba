//! The tables that people read of a comparison.

use super::{Arm, Choice, Comparison, Joining, Measured};
use crate::learn::{
    figures::Figures,
    metrics::{AtCut, AucBound, Mean, Metrics, MultiClass, MultiLabel},
};
use consilium_study::{fixed, signed, Metric};
use std::fmt::{self, Write};

/// Columns that names take.
const NAME: usize = 27;

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.common() {
            writeln!(f, "{text}\n")?;
        }
        write!(f, "{}\n\n{}\n\n{}", self.own(), self.choices(), self.changes())
    }
}

impl Comparison {
    /// All models on the rows that are held out from everyone; `None` where there are no such rows.
    fn common(&self) -> Option<String> {
        let some = self.swarm.chosen.held_out.as_ref()?;
        let mut text = format!("On {} held out from everyone{}\n{}", self.rows(some), self.ending(some), head(some));
        for arm in &self.local {
            text += &lines(&format!("only {}", arm.name), arm, |m| m.held_out.as_ref());
        }
        text += &lines("swarm", &self.swarm, |m| m.held_out.as_ref());
        text += &lines("central", &self.central, |m| m.held_out.as_ref());
        text += &self.parts(some);
        Some(text.trim_end().to_owned())
    }

    /// Each site's models on its own rows.
    fn own(&self) -> String {
        let on = |arm: &Arm, n: usize| arm.chosen.sites.get(n).and_then(|(_, figures)| figures.clone());
        let any = (0..self.local.len()).find_map(|n| on(&self.swarm, n));
        let mut text = match &any {
            Some(figures) => format!("On each site's own rows{}\n{}", self.ending(figures), head(figures)),
            None => "On each site's own rows\n".to_owned(),
        };
        for (n, alone) in self.local.iter().enumerate() {
            let what = if self.tested.get(n) == Some(&true) { "of its TEST file" } else { "validation" };
            let Some(swarm) = on(&self.swarm, n) else {
                let _ = writeln!(text, "{}: no {what} rows, nothing to measure on", alone.name);
                continue;
            };
            let _ = writeln!(text, "{}: {what}, {}", alone.name, self.rows(&swarm));
            for (name, arm) in [("  alone", alone), ("  swarm", &self.swarm), ("  central", &self.central)] {
                text += &lines(name, arm, |measured| measured.sites.get(n)?.1.as_ref());
            }
        }
        if self.tested.contains(&false) {
            text += "(validation rows do not train, but they choose the rounds)\n";
        }
        text.trim_end().to_owned()
    }

    /// How many rows, and of which classes.
    fn rows(&self, figures: &Figures) -> String {
        match figures {
            Figures::Binary(m) => {
                format!(
                    "{} rows: {} {}, {} {}",
                    m.rows,
                    m.positives,
                    self.positive,
                    m.rows - m.positives,
                    self.negative
                )
            }
            Figures::Classes(m) => format!("{} rows of {} classes", m.rows, m.classes),
            Figures::Labels(m) => format!("{} rows with {} labels", m.rows, m.labels),
            Figures::Value(m) => format!("{} rows", m.rows),
            Figures::Events(m) => format!("{} rows, {} with the event", m.rows, m.events),
        }
    }

    /// What the figures are at.
    fn ending(&self, figures: &Figures) -> String {
        match figures {
            Figures::Binary(_) => format!("; {} is the positive class, from p >= {} on", self.positive, self.cut),
            Figures::Classes(_) => "; the answer is the likeliest class; AUC is of each class against the rest".into(),
            Figures::Labels(_) => format!("; a label holds from p >= {} on; means are over labels", self.cut),
            Figures::Events(_) => "; C is Harrell's, Brier scores are weighted by being followed".into(),
            Figures::Value(_) => {
                format!("; {}, errors in its own unit, bias is predicted less found", self.outputs.join(", "))
            }
        }
    }

    /// The swarm's figures class by class, or label by label.
    fn parts(&self, swarm: &Figures) -> String {
        let name = |n: usize| self.outputs.get(n).map_or("", String::as_str);
        let mut text = String::new();
        match swarm {
            Figures::Binary(_) | Figures::Value(_) | Figures::Events(_) => {}
            Figures::Classes(m) => {
                let _ = writeln!(
                    text,
                    "swarm, class by class\n{:NAME$}{:>7}{:>11}{:>9}{:>9}{:>9}",
                    "", "rows", "precision", "recall", "F1", "AUC"
                );
                for (n, c) in m.per_class.iter().enumerate() {
                    let [precision, recall, f1, auc] = [c.precision, c.recall, c.f1, c.auc].map(figure);
                    let _ = writeln!(text, "  {:25}{:>7}{precision:>11}{recall:>9}{f1:>9}{auc:>9}", name(n), c.rows);
                }
            }
            Figures::Labels(m) => {
                let _ = writeln!(text, "swarm, label by label\n{}", binary_head().trim_end());
                for (n, m) in m.per_label.iter().enumerate() {
                    match m {
                        Some(m) => text += &line_of(&format!("  {} ({})", name(n), m.positives), m),
                        None => _ = writeln!(text, "  {}: not known of any row", name(n)),
                    }
                }
            }
        }
        text
    }

    /// How the models were chosen that the tables show.
    fn choices(&self) -> String {
        let arms: Vec<(String, Choice)> = self
            .local
            .iter()
            .map(|arm| (format!("only {}", arm.name), arm.choice))
            .chain([("swarm".to_owned(), self.swarm.choice), ("central".to_owned(), self.central.choice)])
            .collect();
        let mut text =
            "Each model is that of the round with the lowest loss on the arm's own validation rows".to_owned();
        if arms.iter().all(|(_, choice)| choice.round == choice.rounds) {
            let _ = write!(text, ": of all of them the last, round {}", self.swarm.choice.rounds);
        }
        let few: Vec<&str> = arms.iter().filter(|(_, choice)| choice.too_few).map(|(name, _)| name.as_str()).collect();
        if !few.is_empty() {
            let _ = write!(text, ".\nToo few validation rows to choose by, and so the last round: {}", few.join(", "));
        }
        for note in &self.notes {
            let _ = write!(text, ".\n{note}");
        }
        text + "."
    }

    /// What each site gains or loses by joining.
    fn changes(&self) -> String {
        let metric = match self.joining.first().map(|joining| joining.metric) {
            Some(Metric::Brier) => "squared error",
            Some(Metric::SquaredError) => "squared error in units of the outcome's variance",
            Some(Metric::AbsoluteError) => "absolute error in units of the outcome's deviation",
            Some(Metric::LogLoss) | None => "log-loss",
        };
        let mut text =
            format!("What joining changes on each site's own rows ({metric}, swarm less alone, 95 % interval)\n");
        for arm in &self.local {
            let Some(Joining { rows, difference, verdict, .. }) = self.joining.iter().find(|j| j.site == arm.name)
            else {
                let _ = writeln!(text, "{:NAME$} not measured: no rows", arm.name);
                continue;
            };
            let interval = match difference.interval {
                Some((low, high)) => format!("{} to {}", signed(low, 4), signed(high, 4)),
                None => "no interval".into(),
            };
            let of =
                if *rows == difference.groups { String::new() } else { format!(" of {} groups", difference.groups) };
            let _ = writeln!(
                text,
                "{:NAME$}{:>9}  {interval:<20} on {rows} rows{of}: {}",
                arm.name,
                signed(difference.difference, 4),
                verdict
            );
        }
        text.trim_end().to_owned()
    }
}

/// An arm's chosen model on some rows and, where that is of an earlier round, the last one.
fn lines<'a>(name: &str, arm: &'a Arm, on: impl Fn(&'a Measured) -> Option<&'a Figures>) -> String {
    let one = |measured: &'a Measured, name: &str| on(measured).map_or_else(String::new, |figures| line(name, figures));
    let Choice { round, rounds, .. } = arm.choice;
    if round == rounds {
        return one(&arm.chosen, name);
    }
    let indent = &name[..name.len() - name.trim_start().len()];
    let last = match &arm.last {
        Some(last) => one(last, &format!("{indent}  round {rounds}")),
        None => format!("{indent}  round {rounds}: its model is not kept any more\n"),
    };
    one(&arm.chosen, &format!("{name}, round {round}")) + &last
}

fn figure(value: Option<f64>) -> String {
    value.filter(|v| !v.is_nan()).map_or_else(|| "n/a".into(), |v| fixed(v, 4))
}

/// A mean, and over how many it is where some have no value.
fn mean(of: &Mean) -> String {
    let of_some = if of.defined < of.of { format!(" ({}/{})", of.defined, of.of) } else { String::new() };
    figure(of.mean) + &of_some
}

fn binary_head() -> String {
    format!(
        "{:NAME$}{:>7}  {:<19}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}\n",
        "", "AUC", "95 % interval", "log-loss", "bal.acc", "accuracy", "sensit.", "specif.", "F1"
    )
}

fn head(figures: &Figures) -> String {
    match figures {
        Figures::Binary(_) => binary_head(),
        Figures::Classes(_) => format!(
            "{:NAME$}{:>16}{:>9}{:>9}{:>9}{:>16}{:>9}\n",
            "", "mean AUC", "log-loss", "accuracy", "bal.acc", "mean F1", "MCC"
        ),
        Figures::Labels(_) => format!(
            "{:NAME$}{:>16}{:>16}{:>9}{:>16}{:>16}{:>9}\n",
            "", "mean AUC", "mean av.prec.", "log-loss", "mean bal.acc", "mean F1", "wrong"
        ),
        Figures::Events(m) => {
            let at = m
                .horizons
                .iter()
                .fold(String::new(), |text, at| text + &format!("{:>16}", format!("Brier at {}", at.time)));
            format!("{:NAME$}{:>9}{:>9}{at}\n", "", "C", "log-loss")
        }
        Figures::Value(_) => {
            format!("{:NAME$}{:>12}{:>12}{:>9}{:>12}{:>9}\n", "", "MAE", "RMSE", "R2", "bias", "slope")
        }
    }
}

fn line(name: &str, figures: &Figures) -> String {
    match figures {
        Figures::Binary(m) => line_of(name, m),
        Figures::Classes(m) => {
            let MultiClass { auc_macro, log_loss, accuracy, balanced_accuracy, f1, mcc, .. } = &**m;
            format!(
                "{name:NAME$}{:>16}{:>9}{:>9}{:>9}{:>16}{:>9}\n",
                mean(auc_macro),
                figure(*log_loss),
                figure(*accuracy),
                figure(*balanced_accuracy),
                mean(&f1.macro_mean),
                figure(*mcc),
            )
        }
        Figures::Events(m) => {
            let at = m.horizons.iter().fold(String::new(), |text, at| text + &format!("{:>16}", figure(at.brier)));
            format!("{name:NAME$}{:>9}{:>9}{at}\n", figure(m.concordance), figure(Some(m.log_loss)))
        }
        Figures::Value(m) => {
            let [mae, rmse, bias] = [m.mae, m.rmse, m.bias].map(|value| figure(Some(value)));
            format!("{name:NAME$}{mae:>12}{rmse:>12}{:>9}{bias:>12}{:>9}\n", figure(m.r2), figure(m.slope))
        }
        Figures::Labels(m) => {
            let MultiLabel { auc_macro, average_precision_macro, balanced_accuracy_macro, f1_macro, .. } = &**m;
            format!(
                "{name:NAME$}{:>16}{:>16}{:>9}{:>16}{:>16}{:>9}\n",
                mean(auc_macro),
                mean(average_precision_macro),
                figure(Some(m.log_loss)),
                mean(balanced_accuracy_macro),
                mean(f1_macro),
                figure(m.hamming_loss),
            )
        }
    }
}

/// A line of two classes; a second one where there are figures at a cut of its own.
fn line_of(name: &str, m: &Metrics) -> String {
    let interval = match (&m.auc_interval, &m.auc_bound) {
        (Some((low, high)), _) => format!("{low:.4} to {high:.4}"),
        (None, Some(AucBound::AtLeast { bound })) => format!("{bound:.4} or more"),
        (None, Some(AucBound::AtMost { bound })) => format!("{bound:.4} or less"),
        (None, Some(AucBound::TooFew { .. })) => "too few rows".into(),
        (None, Some(AucBound::NoVariance) | None) => "n/a".into(),
    };
    let first = format!(
        "{name:NAME$}{:>7}  {interval:<19}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}\n",
        figure(m.auc),
        figure(Some(m.log_loss)),
        figure(m.balanced_accuracy),
        figure(Some(m.accuracy)),
        figure(m.sensitivity),
        figure(m.specificity),
        figure(m.f1),
    );
    let Some(AtCut { cut, balanced_accuracy, accuracy, sensitivity, specificity, f1, .. }) = &m.at_cut else {
        return first;
    };
    let at = format!("  at its cut, {cut:.4}");
    format!(
        "{first}{at:NAME$}{:>7}  {:<19}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}\n",
        "",
        "",
        "",
        figure(*balanced_accuracy),
        figure(Some(*accuracy)),
        figure(*sensitivity),
        figure(*specificity),
        figure(*f1),
    )
}
