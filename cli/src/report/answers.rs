//! Three questions of whoever is to use the model, answered from what is known; and what a report does not show.

use super::{
    certified::{self, Outcome},
    document::{HeldOut, Source, Told},
    held_out, measures,
    question::{Kind, Question},
    sites, summary,
};
use crate::{
    dashboard::state::{Round, Study},
    plain::counted,
};
use consilium_study::{fixed, MeasuredOn, Metric, SiteFigures, Verdict, MIN_FOR_CURVES};
use serde::Serialize;

/// Answers, sentence by sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// Whom is this model for?
    pub whom: Vec<String>,
    /// How sure is it?
    pub sure: Vec<String>,
    /// What should I not do with it?
    pub not: Vec<String>,
}

/// What answers rest on.
pub struct Known<'a> {
    /// The study.
    pub study: &'a Study,
    /// Its question.
    pub question: &'a Question,
    /// Figures of sites.
    pub figures: &'a [Told],
    /// Figures on common rows.
    pub held_out: Option<&'a HeldOut>,
    /// What could not be looked at.
    pub unread: &'a [String],
    /// Whether it was a rehearsal, on one machine.
    pub localnet: bool,
}

/// Why an AUC of 1 has no interval.
pub const WITHOUT_ERROR: &str =
    "An AUC of 1.000 has no interval: where no two rows are in the wrong order, they do not show by how much other \
    rows would differ, and few rows are often without an error by chance.";

/// A figure with three decimals.
pub fn number(value: f64) -> String {
    fixed(value, 3)
}

/// A difference with three decimals and its sign: a true minus, as wide as a plus.
pub fn signed(value: f64) -> String {
    consilium_study::signed(value, 3).replace('-', "−")
}

/// Names as a list in a sentence.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.split_last() {
        None => "nobody".into(),
        Some((last, [])) => (*last).into(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// The agreed metric's name.
pub fn metric(metric: &str) -> &'static str {
    named(match metric {
        "brier" => Metric::Brier,
        "squared_error" => Metric::SquaredError,
        "absolute_error" => Metric::AbsoluteError,
        _ => Metric::LogLoss,
    })
}

/// The same.
pub fn named(metric: Metric) -> &'static str {
    match metric {
        Metric::LogLoss => "log-loss",
        Metric::Brier => "Brier score",
        Metric::SquaredError => "squared error in units of the outcome's variance",
        Metric::AbsoluteError => "absolute error in units of the outcome's deviation",
    }
}

/// What a model that says the same of everybody would have, the share of positives among these very rows; none of several classes.
pub fn constant(figures: &SiteFigures) -> Option<f64> {
    let share = f64::from(figures.positives?) / f64::from(figures.rows);
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    match figures.metric {
        _ if figures.rows == 0 => None,
        Metric::LogLoss => Some(part(share) + part(1.0 - share)),
        Metric::Brier => Some(share * (1.0 - share)),
        // of a number there are no positives
        Metric::SquaredError | Metric::AbsoluteError => None,
    }
}

impl Known<'_> {
    /// The three answers.
    pub fn answers(&self) -> Answers {
        Answers { whom: self.whom(), sure: self.sure(), not: self.not() }
    }

    /// The round that was certified.
    fn certified(&self) -> Option<&Round> {
        let round = self.study.certificate.as_ref()?.round;
        self.study.rounds.iter().find(|closed| closed.kind != "statistics" && closed.round == round)
    }

    fn whom(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let outcome = Outcome::of(self.study);
        if self.localnet {
            lines.push(
                "A rehearsal: for trying out how such a study goes, and for no patient. What follows is said as it would be of hospitals."
                    .into(),
            );
        }
        let (says, whose) = match outcome {
            Outcome::Model => ("It says", "Its proposer"),
            Outcome::Open => ("It is to say", "The study's proposer"),
            Outcome::None => ("It was to say", "The study's proposer"),
        };
        match outcome {
            Outcome::Model => {}
            Outcome::Open => lines.push(format!(
                "For nobody yet: the study has not ended, and only its end certifies a model. It is at: {}. Below stands what that \
                 model is to be.",
                certified::at(self.study)
            )),
            Outcome::None => lines.push(format!(
                "For nobody: there is no model of this study, and none will come ({}). Below stands what the model was to be.",
                self.study.phase
            )),
        }
        match &self.question.missing {
            Some(why) => lines.push(format!("What the study asks is not known here: {why}.")),
            None => lines.push(format!("{says} {}, from {}.", self.question.outcome, self.question.rows)),
        }
        if !self.question.description.is_empty() {
            lines.push(format!(
                "{whose}, {}, says of it: “{}”",
                self.study.proposer,
                self.question.description.replace('\n', " ")
            ));
        }
        let rows: u64 = self.study.members.iter().map(|member| u64::from(member.samples)).sum();
        let names: Vec<&str> = self.study.members.iter().map(|member| member.name.as_str()).collect();
        let rows = format!("{} of {}", counted(rows, "row"), list(&names));
        lines.push(match outcome {
            _ if names.is_empty() => "No site has signed for rows to train on yet.".into(),
            Outcome::Model => format!(
                "It learned from {rows}. It is for people like those whose rows these are, measured in the same way and in the same \
                 units; whether yours are like them, only rows of your own can show."
            ),
            Outcome::Open => format!("The sites that take part have signed for these training rows: {rows}."),
            Outcome::None => format!("The sites that took part had signed for these training rows: {rows}."),
        });
        lines
    }

    /// How sure a model is that does not exist: what there is of rounds, and that it is no result.
    fn unsure(&self, outcome: Outcome) -> Vec<String> {
        let mut lines = vec![match outcome {
            Outcome::None => "There is no model, so that there is nothing to be sure of.".to_owned(),
            _ => certified::undecided(self.study).into(),
        }];
        lines.extend(certified::so_far(self.study));
        let measured = |round: &&Round| round.kind != "statistics" && !round.losses.is_empty();
        if let Some(round) = self.study.rounds.iter().rev().find(measured) {
            let which =
                if round.kind == "initial" { "the initial model".to_owned() } else { format!("round {}", round.round) };
            lines.push(format!(
                "The last model that sites have measured is that of {which}: the {} on their own validation rows is {}; lower is better.",
                metric(&self.study.metric),
                self.each(&round.losses)
            ));
        }
        lines
    }

    /// The chain's figures of a round, by site.
    fn each(&self, losses: &[(u8, f64)]) -> String {
        let each = losses.iter().map(|(place, loss)| format!("{} {}", self.member(*place), number(*loss)));
        each.collect::<Vec<_>>().join(", ")
    }

    fn sure(&self) -> Vec<String> {
        let outcome = Outcome::of(self.study);
        if outcome != Outcome::Model {
            return measures::explained(self.unsure(outcome), self.question);
        }
        let mut lines = certified::told(self.study, self.figures);
        // rows that chose nothing tell more than those that chose the round
        if let Some(held) = self.held_out {
            lines.extend(held_out::told(held, self.study, self.question.classes.first().map(String::as_str)));
        }
        lines.extend(self.figures.iter().map(sites::one));
        lines.extend(sites::stands_out(self.study, self.figures));
        lines.extend(sites::two_measures(self.figures));
        if lines.iter().any(|line| line.contains("AUC 1.000, without an interval")) {
            lines.push(WITHOUT_ERROR.into());
        }
        let losing: Vec<&str> =
            self.figures.iter().filter(|told| told.verdict == Verdict::Worse).map(|told| told.site.as_str()).collect();
        if !losing.is_empty() {
            lines.push(format!("{} lost by joining: there the own model is better.", list(&losing)));
        }
        if self.figures.is_empty() {
            let losses = self.certified().map(|round| &round.losses).filter(|losses| !losses.is_empty());
            let what =
                if self.question.binary { "How well it tells the two answers apart" } else { "How well it answers" };
            lines.push(format!("{what} is not known here: no site's figures were taken in."));
            match losses {
                Some(losses) => lines.push(format!(
                    "The chain has one figure of each site, the {} on its own validation rows, without an interval: {}. By it alone \
                     nobody can tell whether the model is good enough for anything.",
                    metric(&self.study.metric),
                    self.each(losses)
                )),
                None => lines.push(certified::without_sites(self.study, self.certified())),
            }
        }
        lines.push(summary::EXTERNAL.into());
        measures::explained(lines, self.question)
    }

    fn not(&self) -> Vec<String> {
        if Outcome::of(self.study) != Outcome::Model {
            return vec![
                "Do not use a round's model that lies in a site's folder: it is a step on the way, and nobody has certified it.".into(),
                "Do not quote the figures of rounds as the study's result.".into(),
                "Do not hand a round's model on as if it held nothing of its patients: what was trained on rows can reveal something about \
                 them."
                    .into(),
            ];
        }
        let mut lines = vec![
            "Do not let it decide about a person: it is the outcome of a study, no medical device, and has not been tested in care."
                .to_owned(),
            "Do not use it for people, machines or laboratories unlike those whose rows it learned from, before it was measured on \
             rows of theirs."
                .into(),
        ];
        let losing: Vec<&str> =
            self.figures.iter().filter(|told| told.verdict == Verdict::Worse).map(|told| told.site.as_str()).collect();
        if !losing.is_empty() {
            lines.push(format!("Do not use it at {} in place of the own model, which is better there.", list(&losing)));
        }
        if self.question.binary {
            lines.push(
                "Do not say yes from .5 on unless .5 is the cut that your own rows ask for, and do not read its probability as a risk \
                 before it was calibrated on your own rows: `ml-worker pack --data`, whose whole line `consilium study fetch` prints, finds that \
                 cut and that calibration."
                    .into(),
            );
        }
        lines.extend(match self.question.kind {
            Kind::Classes => None,
            Kind::Number => Some(
                "Do not ask it about people whose values lie outside those of the people it learned from: of them its numbers are a guess, \
                 and it does not say so."
                    .to_owned(),
            ),
            Kind::Times => Some(
                "Do not read what it says as a person's risk before it was held against what came true among rows of your own, which \
                 `ml-worker evaluate` does at each time; beyond the last of these times it says nothing."
                    .to_owned(),
            ),
        });
        if self.figures.iter().any(|told| told.figures.on == MeasuredOn::Validation) {
            lines.push(
                "Do not quote figures on validation rows as what it will do on new patients: these rows have chosen the round, so that \
                 they flatter."
                    .into(),
            );
        }
        lines.push(certified::handed_on(self.study));
        lines
    }

    /// What it does not show.
    pub fn limits(&self) -> Vec<String> {
        let twice = "Whether one patient's rows lie at two sites: nobody can see the rows of both.".to_owned();
        let outcome = Outcome::of(self.study);
        if outcome != Outcome::Model {
            let mut lines = vec![
                "That each site trains honestly, and on real rows: nobody but the site sees that.".to_owned(),
                twice,
            ];
            if outcome == Outcome::Open {
                lines.push(
                    "What joining gives to any site: that is measured once the study has ended with a model, by each site on its own rows."
                        .into(),
                );
            }
            lines.extend(self.unread.iter().cloned());
            return lines;
        }
        let mut lines = vec![
            "That each site trained honestly, and on real rows: the certificate says that the model came out of the sites' updates by \
             the agreed rule, and who computed the same."
                .to_owned(),
            "How it does in subgroups (age, sex, machine), on rows of other years, or in care. On a site's own rows, `ml-worker evaluate \
             --model MODEL --data FILE --by COLUMN` measures the former; MODEL is the folder that `ml-worker pack` has made."
                .into(),
            twice,
        ];
        let silent: Vec<&str> = self
            .study
            .members
            .iter()
            .filter(|member| !self.figures.iter().any(|told| told.site == member.name))
            .map(|member| member.name.as_str())
            .collect();
        if !silent.is_empty() {
            lines.push(format!("What joining gave to {}: no figures of theirs were taken in.", list(&silent)));
        }
        if !self.figures.is_empty() {
            lines.push(
                "Anything about all sites at once: each interval is of one site, and of twenty sites that neither gain nor lose, one is \
                 called better or worse by chance."
                    .into(),
            );
            if self.figures.iter().all(|told| told.figures.central.is_none()) {
                lines.push("What a model of all rows in one place would do: nobody has all rows.".into());
            }
        }
        if self.figures.iter().any(|told| told.source != Source::OneMachine) {
            lines.push(
                "That a site's figures are true: its signature says that the site stands by them, and nobody else can compute them."
                    .into(),
            );
        }
        if self.question.binary && self.figures.iter().any(|told| !told.figures.enough_for_curves()) {
            lines.push(format!(
                "A ROC curve or a calibration curve of a site with fewer than {MIN_FOR_CURVES} rows of either class: such a curve shows \
                 single rows rather than a model."
            ));
        }
        lines.extend(self.unread.iter().cloned());
        lines
    }

    fn member(&self, place: u8) -> String {
        let found = self.study.members.get(usize::from(place));
        found.map_or_else(|| format!("member {place}"), |member| member.name.clone())
    }
}

/// An AUC in words.
pub fn auc(auc: Option<f64>, interval: Option<(f64, f64)>) -> String {
    match (auc, interval) {
        (None, _) => "an AUC is not defined".into(),
        (Some(auc), Some((low, high))) => {
            format!("AUC {} (95 % interval {} to {})", number(auc), number(low), number(high))
        }
        (Some(auc), None) => format!("AUC {}, without an interval", number(auc)),
    }
}
