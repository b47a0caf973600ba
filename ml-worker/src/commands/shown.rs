//! What `evaluate` and `pack` say to people: the few figures that one reads first. All of them are in the JSON.

use consilium_ml_worker::{
    desk::{Bundle, Cut, Evaluation, Fitted, Made, Outcome, Output},
    learn::{
        figures::{outputs, Figures},
        metrics::{AtCut, AucBound, Calibration, Metrics},
    },
};
use consilium_study::{fixed, Task, MIN_FOR_CURVES};
use std::fmt::Write;

/// A figure with three digits, or that there is none.
fn figure(value: impl Into<Option<f64>>) -> String {
    match value.into().filter(|value| value.is_finite()) {
        Some(value) => fixed(value, 3),
        None => "none".into(),
    }
}

fn line(text: &mut String, name: &str, what: &str) {
    // writing to a text cannot fail
    let _ = writeln!(text, "{name:<20} {what}");
}

/// An AUC with what is known of how sure it is.
fn auc(m: &Metrics) -> String {
    let sure = match (m.auc_interval, &m.auc_bound) {
        (Some((low, high)), _) => format!(" (95 % interval {low:.3} to {high:.3})"),
        (_, Some(AucBound::AtLeast { bound })) => format!(" (with 95 % at least {bound:.3})"),
        (_, Some(AucBound::AtMost { bound })) => format!(" (with 95 % at most {bound:.3})"),
        (_, Some(AucBound::TooFew { smaller_class, needed })) => {
            format!(" (no interval: {smaller_class} of the smaller class, and {needed} are needed)")
        }
        (_, Some(AucBound::NoVariance)) => " (no interval: all rows have one score)".into(),
        (None, None) => " (not defined: all rows are of one class)".into(),
    };
    figure(m.auc) + &sure
}

/// The lines of one output of two classes.
fn of_two(text: &mut String, m: &Metrics, output: Option<&Output>) {
    line(text, "AUC", &auc(m));
    let chosen = output.and_then(|output| output.cuts.first());
    let at = |of: fn(&AtCut) -> Option<f64>, sure: fn(&Cut) -> Option<(f64, f64)>, half: Option<f64>| match chosen {
        Some(cut) => format!(
            "{}{} at the cut {:.4}, {} at 0.5",
            figure(of(&cut.figures)),
            sure(cut).map_or_else(String::new, |(low, high)| format!(" (95 % interval {low:.3} to {high:.3})")),
            cut.figures.cut,
            figure(half)
        ),
        None => format!("{} at 0.5", figure(half)),
    };
    line(text, "sensitivity", &at(|cut| cut.sensitivity, |cut| cut.sensitivity_interval, m.sensitivity));
    line(text, "specificity", &at(|cut| cut.specificity, |cut| cut.specificity_interval, m.specificity));
    if let Some(cut) = chosen {
        let words = format!("{}: {}; of the probability as the model gives it", figure(cut.figures.cut), cut.chosen);
        line(text, "the cut", &words);
    }
    if let Some(calibration) = output.and_then(|output| output.calibration.as_ref()) {
        let words = format!("of the probability as the model gives it, not recalibrated: {}", calibrated(calibration));
        line(text, "calibration", &words);
    }
    if let Some(recalibrated) = output.and_then(|output| output.recalibrated.as_ref()) {
        let words = format!(
            "of the probability with the recalibration that came with the model: {}",
            calibrated(&recalibrated.calibration)
        ) + worse(m.log_loss, recalibrated.log_loss);
        line(text, "recalibrated", &words);
    }
}

/// What is said where a recalibration of few rows does harm on others.
fn worse(as_given: f64, recalibrated: f64) -> &'static str {
    if recalibrated > as_given {
        "; on these rows it is farther from what came true (by the log-loss) than the probability as the model gives it: do not use it"
    } else {
        ""
    }
}

/// What slope and intercept say.
fn calibrated(calibration: &Calibration) -> String {
    format!(
        "slope {} (1 is right), in the large {} (0 is right)",
        figure(calibration.slope),
        figure(calibration.in_the_large)
    )
}

/// Whose model it is.
fn made(made: &Made) -> String {
    match made {
        Made::Desk { training_rows, .. } => format!("of one site, trained at a desk on {training_rows} rows"),
        Made::Study { root } => {
            format!("the study's (the swarm's), BLAKE3 {}…", root.get(..12).unwrap_or(root))
        }
    }
}

/// What is read first of a model's figures on some rows.
pub fn evaluation(found: &Evaluation, of: &Made) -> String {
    let mut text = String::new();
    match &found.figures {
        Figures::Binary(m) => {
            let name = found.outputs.first().map(|output| output.name.clone()).unwrap_or_default();
            line(&mut text, "rows", &format!("{}, of which {} are {name:?}", m.rows, m.positives));
            of_two(&mut text, m, found.outputs.first());
            line(&mut text, "log-loss", &figure(m.log_loss));
        }
        Figures::Classes(m) => {
            line(&mut text, "rows", &format!("{} of {} classes", m.rows, m.classes - m.absent_classes));
            line(&mut text, "accuracy", &figure(m.accuracy));
            line(&mut text, "balanced accuracy", &figure(m.balanced_accuracy));
            line(&mut text, "AUC", &format!("{}, mean of {} classes", figure(m.auc_macro.mean), m.auc_macro.defined));
            line(&mut text, "log-loss", &figure(m.log_loss));
        }
        Figures::Labels(m) => {
            line(&mut text, "rows", &format!("{}, {} labels", m.rows, m.labels));
            line(&mut text, "AUC", &format!("{}, mean of {} labels", figure(m.auc_macro.mean), m.auc_macro.defined));
            line(&mut text, "log-loss", &figure(m.log_loss));
            for (output, m) in found.outputs.iter().zip(&m.per_label) {
                text.push('\n');
                let Some(m) = m else {
                    line(&mut text, "label", &format!("{:?}, not known of any row", output.name));
                    continue;
                };
                line(&mut text, "label", &format!("{:?}, {} of {} rows", output.name, m.positives, m.rows));
                of_two(&mut text, m, Some(output));
            }
        }
        Figures::Events(m) => {
            line(&mut text, "rows", &format!("{}, {} with the event", m.rows, m.events));
            line(&mut text, "Harrell's C", &format!("{} (.5 is chance)", figure(m.concordance)));
            line(&mut text, "log-loss", &figure(m.log_loss));
            for at in &m.horizons {
                let words = format!(
                    "risk {} said, {} found; Brier score {}, and {} with one risk for all",
                    figure(at.said),
                    figure(at.found),
                    figure(at.brier),
                    figure(at.brier_of_all_alike)
                );
                line(&mut text, &format!("by {}", at.time), &words);
            }
        }
        Figures::Value(m) => {
            line(&mut text, "rows", &m.rows.to_string());
            line(&mut text, "mean absolute error", &figure(m.mae));
            line(&mut text, "root mean sq. error", &figure(m.rmse));
            line(&mut text, "R squared", &format!("{} (0 is what the mean of these rows has)", figure(m.r2)));
            line(&mut text, "bias", &format!("{} (predicted less found)", figure(m.bias)));
        }
    }
    line(&mut text, "model", &made(of));
    if let Some(by) = &found.by {
        for (name, figures) in &by.subgroups {
            line(&mut text, &format!("{} {name:?}", by.column), &first(figures));
        }
    }
    text + "all figures: the same with --json (docs/figures.md)\n"
}

/// The one figure of some rows that says most.
fn first(figures: &Figures) -> String {
    let (rows, what, value) = match figures {
        Figures::Binary(m) => (m.rows, "AUC", m.auc),
        Figures::Classes(m) => (m.rows, "AUC", m.auc_macro.mean),
        Figures::Labels(m) => (m.rows, "AUC", m.auc_macro.mean),
        Figures::Value(m) => (m.rows, "mean absolute error", Some(m.mae)),
        Figures::Events(m) => (m.rows, "Harrell's C", m.concordance),
    };
    format!("{rows} rows, {what} {}", figure(value))
}

/// What is read first of a model that was trained at a desk: on which rows, how it does on those set aside and on held-out ones, and
/// how it is used.
pub fn trained(outcome: &Outcome, (rounds, left_out): (u32, usize), folder: &str, test: Option<&Evaluation>) -> String {
    let mut text = String::new();
    let (training, validation) = outcome.rows;
    let left_out = if left_out > 0 { format!("; {left_out} were left out") } else { String::new() };
    line(&mut text, "trained", &format!("{rounds} rounds on {training} rows, {validation} set aside{left_out}"));
    if let Some(figures) = &outcome.validation {
        line(&mut text, "on those set aside", &first(figures));
    }
    if let Some(test) = test {
        let _ = writeln!(text, "\non the held-out rows");
        text += &evaluation(test, &outcome.bundle.made);
    } else {
        text += "all figures: the same with --json (docs/figures.md)\n";
    }
    text.push('\n');
    text + &packed(&outcome.bundle, folder)
}

/// What a packed model brings, and how it is used.
pub fn packed(bundle: &Bundle, folder: &str) -> String {
    brings(bundle, folder)
        + &format!("  to use it: ml-worker predict --model {folder} --data FILE --out predictions.csv\n")
}

fn brings(bundle: &Bundle, folder: &str) -> String {
    let mut text = format!("{folder}: the model, ready for `predict` and `evaluate`\n");
    match bundle.spec.data.task() {
        Task::Value => return text + "  what it predicts is a number: there is no cut\n",
        Task::Events(_) => {
            return text + "  what it predicts are risks by each of the study's times (data.outcome): there is no cut\n"
        }
        Task::Binary | Task::Classes(_) | Task::Labels(_) => {}
    }
    let Some(fitted) = &bundle.fitted else {
        return text
            + "  without cut and recalibration, which a site's own validation rows give (--data TABLE --secret worker/secret)\n";
    };
    if matches!(bundle.spec.data.task(), Task::Classes(_)) {
        return text + "  of several classes the likeliest is taken: there is no cut\n";
    }
    for (n, name) in outputs(&bundle.spec.data).into_iter().enumerate() {
        let _ = writeln!(text, "  {name:?}: {}", of_output(fitted, n));
    }
    text
}

/// What follows for whoever uses a model that was not recalibrated.
const AS_IT_IS: &str = "its probability stays as the model gives it, and is not to be read as a risk";

fn of_output(fitted: &Fitted, n: usize) -> String {
    let (rows, positives) = (fitted.rows, fitted.positives.get(n).copied().unwrap_or_default());
    if positives == 0 || positives == rows {
        let all = match (rows, positives) {
            (0, _) => "there are no validation rows".to_owned(),
            (_, 0) => format!("none of the {rows} validation rows is positive"),
            _ => format!("all {rows} validation rows are positive"),
        };
        return format!("no cut and no recalibration, which take rows of both classes: {all}; {AS_IT_IS}");
    }
    let on = format!("{rows} validation rows, {positives} of them positive");
    let (cut, recalibration) = (fitted.cuts.get(n).copied().flatten(), fitted.recalibration.get(n).copied().flatten());
    let cut_words = match cut {
        Some(cut) => format!("say yes from the probability {cut:.4} on (highest Youden's J on {on})"),
        None => format!("no cut: on {on}, none does better than one answer for everybody"),
    };
    let recalibrated = match (recalibration, cut) {
        (Some(by), _) => {
            let harm = match positives.min(rows - positives) < MIN_FOR_CURVES as usize {
                true => ", which of so few rows may do harm: hold it against later ones by `ml-worker evaluate`",
                false => "",
            };
            format!("recalibrated with slope {} and intercept {}{harm}", fixed(by.slope, 3), fixed(by.intercept, 3))
        }
        (None, Some(_)) => format!(
            "no recalibration: the model tells all positive rows from all others here, and no curve fits that best (few rows are often \
             told apart by chance); {AS_IT_IS}"
        ),
        (None, None) => format!("no recalibration: the model does not tell these rows apart; {AS_IT_IS}"),
    };
    format!("{cut_words}{}; {recalibrated}", caution(positives.min(rows - positives)))
}

/// What is said where so few rows of the rarer answer have chosen a cut that others would choose another.
fn caution(rarer: usize) -> String {
    match rarer {
        few if few < MIN_FOR_CURVES as usize => format!(
            " (caution: {few} rows of the rarer answer, and fewer than {MIN_FOR_CURVES} say little of where it lies: other rows of this \
             site may put it far from here)"
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_ml_worker::{desk::Recalibrated, learn::metrics::Recalibration};

    #[test]
    fn it_is_said_of_which_model_and_of_which_probability_figures_are() {
        let labels = [false, true, false, true];
        let z = [-2.0, -1.0, 1.0, 2.0];
        let calibration = Calibration { slope: Some(0.5), intercept: Some(-0.000_1), in_the_large: Some(-0.000_1) };
        let cut = Cut {
            chosen: "highest Youden's J on 20 validation rows".into(),
            sensitivity_interval: Some((0.095, 0.905)),
            specificity_interval: None,
            figures: AtCut::of(&[0.1, 0.3, 0.7, 0.9], &labels, 0.4).unwrap(),
        };
        let recalibrated = Recalibrated {
            by: Recalibration { intercept: 0.1, slope: 0.6 },
            log_loss: 0.8,
            brier: 0.2,
            ece: 0.1,
            calibration: Calibration { slope: Some(0.9), ..calibration },
        };
        let output = Output {
            name: "1".into(),
            cuts: vec![cut],
            calibration: Some(calibration),
            recalibrated: Some(recalibrated),
        };
        let mut text = String::new();
        of_two(&mut text, &Metrics::of(&z, &labels).unwrap(), Some(&output));
        for part in [
            "sensitivity          0.500 (95 % interval 0.095 to 0.905) at the cut 0.4000",
            "specificity          0.500 at the cut 0.4000",
            "rows; of the probability as the model gives it",
            "calibration          of the probability as the model gives it, not recalibrated: slope 0.500 (1 is right), in the large 0.000",
            "recalibrated         of the probability with the recalibration that came with the model: slope 0.900",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        // the model's own log-loss is .720, so that the recalibration has done harm
        assert!(text.contains("(by the log-loss) than the probability as the model gives it: do not use it"), "{text}");
        assert_eq!((worse(0.6, 0.6), worse(0.7, 0.6)), ("", ""));
        assert!(made(&Made::Study { root: "ab".repeat(32) }).contains("the swarm's"));
        assert!(made(&Made::Desk { training_rows: 9, rounds: 1 }).contains("9 rows"));
    }

    #[test]
    fn what_is_not_there_is_said_to_be_not_there_and_why() {
        let labels = [false, false, true, true];
        let mut text = String::new();
        of_two(&mut text, &Metrics::of(&[-2.0, -1.0, 1.0, 2.0], &labels).unwrap(), None);
        assert!(
            text.contains("AUC                  1.000 (no interval: 2 of the smaller class, and 5 are needed)"),
            "{text}"
        );
        assert!(text.contains("sensitivity          1.000 at 0.5\n"), "{text}");
        let one = Metrics::of(&[-1.0, 1.0], &[true, true]).unwrap();
        assert!(auc(&one).contains("none (not defined: all rows are of one class)"));
        let fitted =
            Fitted { rows: 4, positives: vec![2], cuts: vec![None], sensitivity: None, recalibration: vec![None] };
        let said = of_output(&fitted, 0);
        assert!(
            said.contains("no cut") && said.contains("no recalibration") && said.contains("4 validation rows"),
            "{said}"
        );
        assert!(said.contains("does not tell these rows apart; its probability stays"), "{said}");
        // few rows choose a cut by chance
        let cautious = |rows: usize, few: usize| {
            of_output(&Fitted { rows, positives: vec![few], cuts: vec![Some(0.4)], ..fitted.clone() }, 0)
        };
        for (rows, few, warned) in [(300, 12, true), (300, 289, true), (300, 50, false)] {
            let said = cautious(rows, few);
            assert_eq!(said.contains("caution: 1"), warned, "{said}");
        }
        // which of the two it is, and what follows
        let parted = Fitted { cuts: vec![Some(0.4)], ..fitted.clone() };
        let said = of_output(&parted, 0);
        assert!(said.contains("0.4000") && said.contains("tells all positive rows from all others"), "{said}");
        assert!(said.ends_with(AS_IT_IS) && !said.contains("both classes"), "{said}");
        for (positives, words) in
            [(0, "none of the 4 validation rows is positive"), (4, "all 4 validation rows are positive")]
        {
            let said = of_output(&Fitted { positives: vec![positives], ..fitted.clone() }, 0);
            assert!(said.contains(words) && said.contains("both classes") && said.ends_with(AS_IT_IS), "{said}");
            assert!(!said.contains("told apart"), "{said}");
        }
    }
}
