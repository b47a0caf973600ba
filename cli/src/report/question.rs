//! What a study asks, and of which rows, from the specification that everybody has signed.

use super::brought;
use crate::plain::{counted, seen};
use consilium_study::{
    BadRows, ClassWeights, Loss, Metric, Missing, Optimizer, PictureKind, Scaling, StudySpec, Task, Transform,
};
use serde::Serialize;

/// Most names of columns that are listed.
const MOST_NAMES: usize = 200;

/// What kind of answer a model gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Of classes or labels.
    #[default]
    Classes,
    /// A number.
    Number,
    /// How likely an event is by each of some times.
    Times,
}

/// What is asked, and how the answer is learned.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Question {
    /// Why nothing else is known here, where nothing is.
    pub missing: Option<String>,
    /// What its proposer says of it; may be empty.
    pub description: String,
    /// What the model says of a row, in a sentence.
    pub outcome: String,
    /// Names of the classes or labels; of two classes the positive one, then the negative one.
    pub classes: Vec<String>,
    /// Whether there are two classes.
    pub binary: bool,
    /// What kind of answer it is.
    pub kind: Kind,
    /// What a row is made of, in a few words.
    pub rows: String,
    /// Names of the columns that the model reads; the first ones where there are many.
    pub columns: Vec<String>,
    /// How many columns there are; 0 of pictures.
    pub column_count: u32,
    /// How rows are read, sentence by sentence.
    pub reading: Vec<String>,
    /// The model, in a sentence.
    pub model: String,
    /// How many numbers it has.
    pub parameters: u64,
    /// How it is trained in a round, sentence by sentence.
    pub training: Vec<String>,
    /// Papers that the study stands on, each with SHA-256 of its file.
    pub documents: Vec<(String, String)>,
    /// The agreed metric, in words.
    pub metric: String,
}

impl Question {
    /// Of a specification that can be read.
    pub fn of(spec: &StudySpec) -> Self {
        let data = &spec.data;
        let quoted = |text: &str| format!("“{}”", seen(text));
        let mut columns: Vec<String> = data.features.columns.iter().map(|name| seen(name)).collect();
        columns.extend(data.categorical.iter().map(|category| {
            let levels: Vec<String> = category.levels.iter().map(|level| seen(level)).collect();
            let rest = category.other.iter().map(|other| format!("; others count as {}", seen(other)));
            format!("{} (one of: {}{})", seen(&category.column), levels.join(", "), rest.collect::<String>())
        }));
        columns.truncate(MOST_NAMES);
        let (outcome, classes) = match data.task() {
            Task::Binary => (
                format!(
                    "how likely {} is {}, and not {}",
                    quoted(&data.label),
                    quoted(&data.positive),
                    quoted(&data.negative)
                ),
                vec![seen(&data.positive), seen(&data.negative)],
            ),
            Task::Classes(count) => (
                format!("which of {count} values {} has", quoted(&data.label)),
                data.classes.iter().map(|name| seen(name)).collect(),
            ),
            Task::Labels(count) => {
                (format!("which of {count} labels hold"), data.label_columns().into_iter().map(seen).collect())
            }
            Task::Value => (
                format!(
                    "how large {} is, as a number",
                    quoted(data.label_columns().first().copied().unwrap_or_default())
                ),
                Vec::new(),
            ),
            Task::Events(_) => {
                let cuts: Vec<String> = data.cuts().iter().map(ToString::to_string).collect();
                let columns = data.label_columns();
                let [time, event] = [0, 1].map(|n| quoted(columns.get(n).copied().unwrap_or_default()));
                (
                    format!(
                        "how likely the event of {event} is by each of {} (in the unit of {time})",
                        cuts.join(", ")
                    ),
                    Vec::new(),
                )
            }
        };
        let count = data.numeric().saturating_add(data.categorical.len());
        let rows = match &data.pictures {
            Some(_) if data.files() => "one file, which the study's own trainer reads".into(),
            Some(pictures) => format!(
                "one {}, brought to {} × {} {}",
                match pictures.kind {
                    PictureKind::Picture => "picture (PNG or JPEG)",
                    PictureKind::Dicom(_) => "DICOM picture",
                    PictureKind::Files => "file",
                },
                pictures.height,
                pictures.width,
                if pictures.channels == 1 { "grey pixels" } else { "pixels in colours" }
            ),
            None => counted(count as u64, "value"),
        };
        let layout = spec.layout().ok();
        Self {
            missing: None,
            description: seen_lines(&spec.description),
            outcome,
            classes,
            binary: data.task() == Task::Binary,
            kind: match data.task() {
                Task::Binary | Task::Classes(_) | Task::Labels(_) => Kind::Classes,
                Task::Value => Kind::Number,
                Task::Events(_) => Kind::Times,
            },
            rows,
            columns,
            column_count: if data.pictures.is_some() { 0 } else { u32::try_from(count).unwrap_or(u32::MAX) },
            reading: reading(spec),
            model: model(spec),
            parameters: layout.map_or(0, |layout| layout.elements() as u64),
            training: training(spec),
            documents: documents(spec),
            metric: match spec.evaluation.metric {
                Metric::LogLoss => "log-loss (mean, natural logarithm; lower is better, 0 is best)".into(),
                Metric::Brier => "Brier score (mean squared error of probabilities; lower is better, 0 is best)".into(),
                Metric::SquaredError => {
                    "mean squared error, in units of the outcome's variance over all sites' training rows (lower is better, 0 is best, \
                     1 is what their mean has)"
                        .into()
                }
                Metric::AbsoluteError => {
                    "mean absolute error, in units of the outcome's deviation over all sites' training rows (lower is better, 0 is best)"
                        .into()
                }
            },
        }
    }

    /// Where no specification can be read.
    pub fn unknown(why: &str) -> Self {
        Self { missing: Some(why.to_owned()), ..Self::default() }
    }
}

/// Papers that a specification names.
pub fn documents(spec: &StudySpec) -> Vec<(String, String)> {
    let all = spec.documents.iter().flat_map(|documents| documents.named());
    all.map(|(what, hash)| (what.to_owned(), hash.to_owned())).collect()
}

/// A text of several lines, each with what is not seen spelt out.
fn seen_lines(text: &str) -> String {
    text.lines().map(seen).collect::<Vec<_>>().join("\n")
}

/// A share, in tenths of a percent.
fn percent(share: f64) -> String {
    format!("{} %", (1_000.0 * share).round() / 10.0)
}

fn reading(spec: &StudySpec) -> Vec<String> {
    let data = &spec.data;
    let mut lines = Vec::new();
    lines.push(match &data.group {
        Some(group) => format!(
            "rows of one “{}” (a patient) stay together: none is partly trained on and partly measured on",
            seen(group)
        ),
        None => "each row stands for itself: the study names no column of patients".into(),
    });
    if data.pictures.is_none() {
        lines.push(
            match data.missing {
                Missing::Refuse => "a missing value is an error",
                Missing::Mean => "a missing value becomes the mean of its column",
                Missing::DropRow => "a row with a missing value is left out",
            }
            .into(),
        );
        match data.transform {
            Transform::None => {}
            Transform::Log1p => lines.push("values become ln(1 + value)".into()),
            Transform::Rank => lines.push("a row's values become their ranks in that row".into()),
        }
        lines.push(
            match data.scaling {
                Scaling::None => "values are not scaled",
                Scaling::Swarm => "values are scaled by the mean and deviation of all sites' training rows together",
                Scaling::Site => "values are scaled by each site's own mean and deviation",
                Scaling::Fixed(_) => "values are scaled by the centre and deviation that the study names for each column",
                Scaling::Transductive => {
                    "each set of rows is scaled by its own mean and deviation, also the rows that are measured on: figures then depend \
                     on which rows are measured together"
                }
            }
            .into(),
        );
    }
    if let BadRows::Skip { at_most } = data.bad_rows {
        lines.push(format!("rows that cannot be read are left out, up to {} of all", percent(at_most)));
    }
    if data.task() == Task::Value {
        lines.push(
            "the outcome is learned in units of its deviation over all sites' training rows, around their mean".into(),
        );
    }
    lines.push(format!(
        "each site keeps {} of {} out of training, to measure on",
        percent(spec.evaluation.validation_share),
        match (data.task(), data.group.is_some()) {
            (Task::Value, true) => "its patients",
            (Task::Value, false) => "its rows",
            (Task::Events(_), true) => "its patients with the event, and of those without,",
            (Task::Events(_), false) => "its rows with the event, and of those without,",
            (Task::Binary | Task::Classes(_) | Task::Labels(_), true) => "each class's patients",
            (Task::Binary | Task::Classes(_) | Task::Labels(_), false) => "each class's rows",
        }
    ));
    lines
}

fn model(spec: &StudySpec) -> String {
    if spec.model.external().is_some() {
        return "a model of the study's own, trained by a program that it brings".into();
    }
    match spec.model.layers().len() {
        0 if spec.data.task() == Task::Value => "linear regression: a weight for each input, and a bias".into(),
        0 if matches!(spec.data.task(), Task::Events(_)) => {
            "logistic regression of the hazard of each interval: a weight for each input, and a bias".into()
        }
        0 => "logistic regression: a weight for each input, and a bias".into(),
        layers => format!("a neural network, written in the specification with {}", counted(layers as u64, "layer")),
    }
}

fn training(spec: &StudySpec) -> Vec<String> {
    let training = &spec.training;
    let by = match &training.optimizer {
        Optimizer::Sgd { learning_rate, momentum, .. } if *momentum > 0.0 => {
            format!("SGD (learning rate {learning_rate}, momentum {momentum})")
        }
        Optimizer::Sgd { learning_rate, .. } => format!("SGD (learning rate {learning_rate})"),
        Optimizer::Adam { learning_rate, .. } => format!("Adam (learning rate {learning_rate})"),
        Optimizer::AdamW { learning_rate, weight_decay, .. } => {
            format!("AdamW (learning rate {learning_rate}, weight decay {weight_decay})")
        }
        Optimizer::RmsProp { learning_rate, .. } => format!("RMSprop (learning rate {learning_rate})"),
        Optimizer::ProximalGradient {} => "proximal gradient descent".into(),
    };
    let much = match (training.batches, training.epochs) {
        (0, 1) => "1 pass over the rows".into(),
        (0, passes) => format!("{passes} passes over the rows"),
        (steps, _) => counted(steps.into(), "step"),
    };
    if let Some(external) = spec.model.external() {
        let told = format!("{much}, {} rows a step, {by}", training.batch_size);
        return brought::begins(spec).into_iter().chain(brought::trained(external, &told)).collect();
    }
    let mut lines = match &spec.privacy {
        None => vec![format!("in each round {much} by {by}, {} rows a step", training.batch_size)],
        Some(privacy) => {
            let steps = counted(privacy.steps.into(), "step");
            let mut lines = vec![format!("in each round {steps} by {by}, each with the rows that coins draw")];
            lines.extend(privacy.sentences());
            lines
        }
    };
    lines.extend(brought::begins(spec));
    lines.push(match training.loss {
        Loss::CrossEntropy if matches!(spec.data.task(), Task::Events(_)) => {
            "the loss that training makes small is the cross-entropy of the intervals that were seen of each row".to_owned()
        }
        Loss::CrossEntropy => "the loss that training makes small is cross-entropy".to_owned(),
        Loss::SquaredError => "the loss that training makes small is the squared error of the output".into(),
        Loss::Huber { delta } => {
            format!(
                "the loss that training makes small is Huber's loss of the output, linear from {delta} deviations of the outcome on"
            )
        }
    });
    for (value, what) in [(training.l1, "L1"), (training.l2, "L2"), (training.proximal, "proximal (FedProx)")] {
        if value > 0.0 {
            lines.push(format!("with a {what} penalty of {value}"));
        }
    }
    match &training.class_weights {
        None => {}
        Some(ClassWeights::Balanced) => lines.push("classes count alike, however many rows they have".into()),
        Some(ClassWeights::Fixed(weights)) => {
            let each: Vec<String> = weights.iter().map(ToString::to_string).collect();
            lines.push(format!("classes count by {}", each.join(", ")));
        }
    }
    if training.early_stopping.is_some() {
        lines.push("a round's training ends early where the site's own validation loss stops falling".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_study::StudyFile;

    fn spec(text: &str) -> StudySpec {
        StudyFile::parse(text).unwrap().spec()
    }

    #[test]
    fn a_table_of_two_classes_reads_as_a_question() {
        let text = include_str!("../../../examples/own-csv/study.toml");
        let question = Question::of(&spec(text));
        assert_eq!(question.outcome, "how likely “admitted” is “yes”, and not “no”");
        assert_eq!((question.rows.as_str(), question.column_count), ("3 values", 3));
        assert_eq!(question.columns, ["age", "crp", "spo2"]);
        assert_eq!((question.parameters, question.binary), (4, true));
        assert!(question.model.starts_with("logistic regression"), "{}", question.model);
        let said = [question.reading.join("\n"), question.training.join("\n")].concat();
        for part in ["“patient”", "the mean of its column", "all sites' training rows", "30 %", "2 passes", "Adam"]
        {
            assert!(said.contains(part), "{part} in {said}");
        }
    }

    #[test]
    fn pictures_and_labels_are_told_in_their_own_words_and_names_show_what_is_not_seen() {
        let question = Question::of(&spec(include_str!("../../../examples/xray/study.toml")));
        assert!(question.rows.contains("pixels") && question.column_count == 0, "{}", question.rows);
        assert!(!question.binary);
        let text = include_str!("../../../examples/own-csv/study.toml").replace("\"crp\"", "\"cr\\u202ep\"");
        let question = Question::of(&spec(&text));
        assert_eq!(question.columns[1], "cr\\u{202e}p");
    }
}
