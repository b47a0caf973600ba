//! What an institution's people read before they sign: what the study is, what was found in their data, what will leave their
//! building, and what stays on the chain.

use super::{rows::Looked, sentences::rules};
use crate::{
    plain::{counted, seen},
    report::{brought::RISK, question::Question},
    show::{name, Names},
};
use consilium_aggregation::{
    masked::{MIN_REPORTERS, MIN_VALUES},
    MIN_ROWS,
};
use consilium_primitives::{masks::LEAST, round::Study, rules::MAX_PARTICIPANTS, Hash, InstitutionId, StudyId};
use consilium_study::{Metric, StudySpec};

/// What is shown.
pub struct Screen<'a> {
    /// Number of the study.
    pub number: StudyId,
    /// What is signed.
    pub agreement: Hash,
    /// The study, as the chain has it.
    pub study: &'a Study,
    /// Its specification.
    pub spec: &'a StudySpec,
    /// Who signs.
    pub own: InstitutionId,
    /// The consortium's participants.
    pub participants: &'a [InstitutionId],
    /// Names of institutions.
    pub names: &'a Names,
    /// What was found in the own data; none where only a number of rows was given.
    pub looked: Option<&'a Looked>,
    /// Rows that are signed, where they were given.
    pub samples: Option<u32>,
    /// What it may cost the own data set; nothing where nothing is promised.
    pub cost: &'a [String],
}

impl Screen<'_> {
    /// All of it, line by line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("This is what you sign: study {}, “{}”", self.number, seen(&self.spec.title)),
            format!(
                "agreement {}, proposed by {}",
                hex::encode(self.agreement),
                name(self.names, &self.study.proposer)
            ),
        ];
        let parts = [
            ("THE STUDY", self.question()),
            ("ITS RULES", rules(self.study, self.names)),
            ("OUR DATA", self.data()),
            ("WHAT IT MAY COST OUR DATA SET", self.cost.to_vec()),
            ("WHAT WILL LEAVE OUR BUILDING", self.leaves()),
            ("WHAT STAYS ON THE CHAIN FOR EVER", self.stays()),
        ];
        for (title, said) in parts.into_iter().filter(|(_, said)| !said.is_empty()) {
            lines.push(String::new());
            lines.push(title.into());
            lines.extend(said.into_iter().map(|line| format!("  {line}")));
        }
        lines.push(String::new());
        lines
    }

    fn question(&self) -> Vec<String> {
        let question = Question::of(self.spec);
        let mut lines: Vec<String> = question.description.lines().map(str::to_owned).collect();
        lines.push(format!("its model says {}, from {}", question.outcome, question.rows));
        let more = (question.column_count as usize).saturating_sub(question.columns.len());
        match (question.columns.as_slice(), more) {
            ([], 0) => {}
            ([], all) => lines.push(format!("columns: all but those named, {all} by the hash of their names")),
            (some, 0) => lines.push(format!("columns: {}", some.join(", "))),
            (some, more) => lines.push(format!("columns: {}, and {more} more", some.join(", "))),
        }
        lines.extend(question.reading);
        lines.push(format!("model: {}; {}", question.model, counted(question.parameters, "number")));
        lines.extend(question.training);
        if question.documents.is_empty() {
            lines.push("neither a protocol nor an ethics vote is named in it".into());
        }
        for (what, hash) in question.documents {
            lines.push(format!("{what}: the file with SHA-256 {hash} (compare: sha256sum FILE)"));
        }
        lines
    }

    fn data(&self) -> Vec<String> {
        match (self.looked, self.samples) {
            (Some(looked), _) => looked.words.lines().map(seen).collect(),
            (None, samples) => vec![format!(
                "were not looked at here: {} were given by --samples, and are what counts; where the table lies, \
                 `ml-worker preflight` says what it holds",
                counted(samples.unwrap_or_default().into(), "training row")
            )],
        }
    }

    /// Who may get what leaves, and how many that can be at most.
    fn others(&self) -> (String, usize) {
        let invited = &self.study.rules.invited;
        let all = if invited.is_empty() { self.participants } else { invited.as_slice() };
        let others: Vec<String> = all.iter().filter(|who| **who != self.own).map(|who| name(self.names, who)).collect();
        let most = others.len().min(MAX_PARTICIPANTS as usize - 1);
        match invited.is_empty() {
            true => (format!("whoever else enrols (it may be any of {})", others.join(", ")), most),
            false => (format!("those of the others who enrol ({})", others.join(", ")), most),
        }
    }

    fn leaves(&self) -> Vec<String> {
        let rules = &self.study.rules;
        let (whom, most) = self.others();
        let (rounds, update) = (u64::from(rules.max_rounds), rules.update_len);
        let all = update.saturating_mul(rounds).saturating_mul(most as u64);
        let numbers = self.spec.layout().map_or(0, |layout| layout.elements() as u64);
        let metric = match self.spec.evaluation.metric {
            Metric::LogLoss => "log-loss",
            Metric::Brier => "Brier score",
            Metric::SquaredError => "mean squared error",
            Metric::AbsoluteError => "mean absolute error",
        };
        let masked = rules.masked.as_ref();
        let mut lines = vec![
            match masked {
                None => format!(
                    "an update in each round: a file of {update} bytes with the {} of a model, as training on our rows has changed them",
                    counted(numbers, "number")
                ),
                Some(_) => format!(
                    "a masked update in each round: a file of {update} bytes of random numbers. Of it others see nothing but the sum \
                     with at least {} other updates: the {} of a model",
                    LEAST - 1,
                    counted(numbers, "number")
                ),
            },
            format!(
                "  to the nodes of {whom}: one such file to each of them, {most} at most, in each of {} at most; {all} bytes in all",
                counted(rounds, "round")
            ),
        ];
        if let Some(masked) = masked.filter(|masked| masked.statistics_len > 0) {
            lines.push(format!(
                "once, before the first round, to the same: {} bytes of masked statistics, of which others see the sum alone: number, mean \
                 and spread of each numeric column, and of an outcome that is a number, over all sites' training rows together (a column \
                 with fewer than {MIN_VALUES} values in all is withheld)",
                masked.statistics_len
            ));
        } else if rules.statistics_len > 0 {
            lines.push(format!(
                "once, before the first round, to the same: {} bytes of statistics, the number, mean and spread of each numeric \
                 column, and of an outcome that is a number, of our training rows (a column with fewer than {MIN_ROWS} values is withheld)",
                rules.statistics_len
            ));
        }
        lines.push(match (masked, &self.spec.privacy) {
            (None, Some(_)) => "to everybody who reads the chain: that we take part, with how many training rows; the hashes of these files; \
                                no figure of our rows; when we answered, and where we cannot, one word why"
                .into(),
            (Some(_), Some(_)) => "to everybody who reads the chain: that we take part, with how many training rows; the hashes of these \
                                   files; keys and shares that open the sum of each round; no figure of our rows; when we answered, and \
                                   where we cannot, one word why"
                .into(),
            (None, None) => format!(
                "to everybody who reads the chain: that we take part, with how many training rows; the hashes of these files; in each \
                 round one {metric} over our validation rows, if they are {} or more; when we answered, and where we cannot, one word why",
                self.spec.evaluation.min_rows
            ),
            (Some(_), None) => format!(
                "to everybody who reads the chain: that we take part, with how many training rows; the hashes of these files; keys and \
                 shares that open the sum of each round, and no site's update; when we answered, and where we cannot, one word why. Our \
                 {metric} in a round is seen by nobody, only that of all sites' validation rows together, where {MIN_REPORTERS} sites or \
                 more report one"
            ),
        });
        lines.push(
            "merged models, which hold what all have sent, to whoever of the members asks our node for them".into(),
        );
        lines.push(match self.spec.model.external() {
            None => {
                "no row, no cell and no picture: the worker, which reads them, reaches nothing but our own node".into()
            }
            Some(_) => RISK.into(),
        });
        lines.push(
            match masked {
                None => {
                    "an update can reveal something about the records that it was trained on: whether a person was among them, and \
                     features of patients who are rare. Whoever has it can try that, now and later; that it is deleted in time is \
                     agreed, not enforced"
                }
                Some(_) => {
                    "the sum and the model can still reveal something about the records behind them, as can the difference of two sums \
                     of which we are in one; masks bring what others see down to about what the model shows anyway. In return nobody \
                     can see a bad update: a site that poisons its own moves the model unseen, within the agreed range and norm bound. \
                     Whoever keeps the files and the chain, and can break X25519 one day, can take the masks off (docs/masks.md)"
                }
            }
            .into(),
        );
        lines.extend(self.shared());
        lines
    }

    /// What a promise rests on that other sites help to keep.
    fn shared(&self) -> Option<String> {
        let privacy = self.spec.privacy.as_ref().filter(|_| self.spec.shares_noise())?;
        Some(format!(
            "what is promised of our rows rests on masks and on the other sites: by itself, our part of a sum has a part of the noise only. \
             More than {} of the others who act together, or who add no noise, and whoever takes the masks off one day, can learn more \
             than ε says (docs/privacy.md)",
            privacy.colluders()
        ))
    }

    fn stays(&self) -> Vec<String> {
        vec![
            "the specification and the rules above, and that we have signed them, with our name and number of training rows".into(),
            "of each round: whose updates were merged, by their hashes; who computed the same and who did not; the reported figures"
                .into(),
            "nothing of it can be taken back. `consilium study withdraw` ends our part from then on: what was merged stays in the model"
                .into(),
        ]
    }
}

#[cfg(test)]
mod tests;
