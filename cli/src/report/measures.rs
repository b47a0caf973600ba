//! What each measure says, in one plain sentence, which stands where the measure is first named.

use super::question::{Kind, Question};

/// Of the calibration at a site: what its two numbers say.
pub const CALIBRATION: &str = "Calibration slope: whether high probabilities are as high, and low ones as low, as what came true asks for; 1 is right, \
    below 1 they are too extreme, above 1 not extreme enough. Calibration intercept (with the slope held at 1): whether probabilities are \
    too high or too low on the whole; 0 is right, below 0 they are too high.";

/// By what a measure is found in a sentence, and what it says.
fn sentences(question: &Question) -> Vec<(&'static str, String)> {
    let (classes, two) = (question.kind == Kind::Classes, question.binary);
    let half = |value: &str| match two {
        true => format!(
            "0 is without an error, {value} is what somebody has who says one half of everybody, and lower is better"
        ),
        false => "0 is without an error, and lower is better".into(),
    };
    let mut all = vec![
        (
            "log-loss",
            format!(
                "Log-loss says how far the probabilities are from what came true, and a mistake that was made with confidence counts most: {}.",
                half("0.693")
            ),
        ),
        (
            "Brier score",
            format!("The Brier score is the mean square of the distance between probability and what came true: {}.", half("0.250")),
        ),
        (
            "squared error",
            "The squared error is the mean square of the distance between prediction and outcome: in units of the outcome's variance 0 is \
             without an error, 1 is what somebody has who says the mean of everybody, and lower is better."
                .into(),
        ),
        (
            "absolute error",
            "The absolute error is the mean distance between prediction and outcome, in units of the outcome's deviation: 0 is without an \
             error, and lower is better."
                .into(),
        ),
    ];
    if classes {
        let several = if two { "" } else { "; of several classes or labels it is the mean over them" };
        all.push((
            "AUC ",
            format!(
                "An AUC says how often the model gives the higher probability to the one of two people who has it: 0.5 is guessing, 1 is \
                 without an error{several}."
            ),
        ));
    }
    all
}

/// The lines, with what a measure says behind the first line that names it.
pub fn explained(mut lines: Vec<String>, question: &Question) -> Vec<String> {
    for (measure, says) in sentences(question) {
        if let Some(first) = lines.iter().position(|line| line.contains(measure)) {
            lines.insert(first + 1, says);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_explained_behind_the_line_that_names_it_first_and_no_other_is() {
        let two = Question { binary: true, ..Question::default() };
        let lines = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let said = explained(lines(&["a", "AUC 0.9 (Brier score, swarm minus own)", "AUC 0.8, Brier score"]), &two);
        assert_eq!((said.len(), said[0].as_str(), said[4].as_str()), (5, "a", "AUC 0.8, Brier score"));
        assert!(said[2].starts_with("An AUC says") && said[3].starts_with("The Brier score is"), "{said:?}");
        assert!(said[3].contains("0.250") && !said.concat().contains("Log-loss"), "{said:?}");
        let said = explained(lines(&["the log-loss is 0.4"]), &Question { binary: false, ..two });
        assert!(said[1].starts_with("Log-loss says") && !said[1].contains("0.693"), "{said:?}");
    }
}
