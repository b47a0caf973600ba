//! A model card: what whoever finds the model's file must know of it, in the form of Hugging Face (a `README.md` with YAML in front).

use super::{
    answers::{list, metric, number, signed},
    document::{Document, Told},
    fit,
    html::typed,
    privacy,
    question::Kind,
    sections::REHEARSAL,
};
use crate::plain::{counted, seen};
use consilium_study::{MeasuredOn, Metric};
use serde_json::Value;

/// Its name, beside the model's file.
pub const FILE: &str = "README.md";

/// Characters that mean something in Markdown wherever they stand.
const MARKS: &str = "`*[]|~$@";

/// A text as text in Markdown: what means something where it stands is spelt out, and so is what is not seen. Nothing else is: whoever
/// opens the card in an editor reads every backslash. What is typed, between backticks, stays so.
fn plain(text: &str) -> String {
    let text = seen(text);
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len() % 2 != 1 {
        return marked(&text, true);
    }
    let shown = |(n, part): (usize, &&str)| match n % 2 {
        1 if typed(part) => format!("`{part}`"),
        1 => format!("\\`{}\\`", marked(part, false)),
        _ => marked(part, n == 0),
    };
    parts.iter().enumerate().map(shown).collect()
}

/// A part of a text with its marks spelt out; `first`: the text begins with it.
fn marked(text: &str, first: bool) -> String {
    let mut out = String::new();
    let mut before = first.then_some(' ');
    let mut left = text.chars().peekable();
    while let Some(c) = left.next() {
        let after = left.peek().copied();
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let means = match c {
            // inside a word it is a letter like others
            '_' => !word(before) || !word(after),
            // begins a heading, or ends one
            '#' => before == Some(' ') || after.is_none(),
            // only before a sign, and at the end of a line
            '\\' => after.is_none_or(|c| c.is_ascii_punctuation()),
            c => MARKS.contains(c),
        };
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c => {
                out.extend(means.then_some('\\'));
                out.push(c);
            }
        }
        before = Some(c);
    }
    out
}

/// A text of others as a scalar in YAML: a JSON string is one, whatever stands in it. What begins HTML is spelt out, for pages that
/// show the front matter as it stands.
fn quoted(text: &str) -> String {
    Value::String(seen(text)).to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// A hash between backticks, in which nothing can be spelt out: what is no digit of one is left out.
fn hash(text: &str) -> String {
    format!("`{}`", text.chars().filter(char::is_ascii_hexdigit).collect::<String>())
}

fn bullets(lines: &[String]) -> String {
    lines.iter().map(|line| format!("- {}\n", plain(line))).collect()
}

/// The card.
pub fn text(document: &Document) -> String {
    let (study, question) = (&document.study, &document.question);
    let mut text = front(document);
    text += &format!("\n# {}\n\n", plain(&study.title));
    if document.made.localnet {
        text += &format!("**{REHEARSAL}**\n\n");
    }
    let root = hash(study.certificate.as_ref().map(|found| found.root.as_str()).unwrap_or_default());
    text += &format!(
        "The model of study {} of the Consilium consortium with genesis {}, trained by swarm learning: the rows of {} stayed at these \
         sites, and several of them computed every merge of their updates, with the same result. Certified of round {}; the file's BLAKE3 is \
         {root}.\n",
        study.number,
        hash(&document.made.genesis),
        plain(&list(&study.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>())),
        study.certificate.as_ref().map_or(0, |found| found.round),
    );
    text += "\n## Model details\n\n";
    let mut details = vec![
        format!("Model: {}; {}", question.model, counted(question.parameters, "number")),
        format!("Proposed by: {}", study.proposer),
        format!("Training: {}", question.training.join("; ")),
        format!("Rounds: {}", study.rounds.iter().filter(|round| round.kind == "round").count()),
    ];
    details.extend(study.rules.iter().map(|rule| format!("Agreed: {rule}")));
    text += &bullets(&details);
    text += "\n## Uses\n\n### Whom it is for\n\n";
    text += &bullets(&document.answers.whom);
    text += "\n### Out-of-scope use\n\n";
    text += &bullets(&document.answers.not);
    text += "\n## Bias, risks and limitations\n\nThis card does not show:\n\n";
    text += &bullets(&document.limits);
    if let Some(spent) = &study.privacy {
        text += &format!("\n## Privacy: what it may tell about one {}\n\n", plain(&spent.unit));
        text += &bullets(&privacy::sentences(spent));
    }
    text += "\n## Training data\n\n| site | training rows, signed |\n|---|---|\n";
    for member in &study.members {
        text += &format!("| {} | {} |\n", plain(&member.name), member.samples);
    }
    let columns = match question.columns.as_slice() {
        [] => "The specification names the columns by the hash of their names, or the rows are pictures.".to_owned(),
        some => {
            format!("Columns, in this order: {}.", some.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", "))
        }
    };
    text += &format!("\nThe model says {}, from {}. {columns}\n\n", plain(&question.outcome), plain(&question.rows));
    text += &bullets(&question.reading);
    text += "\n## Evaluation\n\n";
    text += &bullets(&document.answers.sure);
    text += &table(document);
    text += USE;
    text += &format!(
        "\n## How to check it\n\n```\n{}\n```\n\nSpecification (BLAKE2b-256) {}, agreement {}{}.\n",
        study
            .certificate
            .iter()
            .flat_map(|found| found.commands.iter().map(|(_, command)| seen(command)))
            .collect::<Vec<_>>()
            .join("\n"),
        hash(&document.made.spec),
        hash(&study.agreement),
        match study.certificate.as_ref().and_then(|found| found.statistics.as_ref()) {
            Some(root) => format!(", statistics (BLAKE3) {}", hash(root)),
            None => String::new(),
        }
    );
    text
}

/// How the file is opened and used.
const USE: &str = "
## How to use it

`model.safetensors` has the parameters, `spec.json` how rows become its input, `statistics.safetensors`, where it is there, what values are
scaled by. At a site, with a table of its own, `ml-worker pack` makes them ready, with a cut and a calibration that the site's own rows ask
for; then `ml-worker predict` and `ml-worker evaluate`. In Python the parameters open with the `safetensors` package:

```python
from safetensors.numpy import load_file
tensors = load_file(\"model.safetensors\")
```
";

fn table(document: &Document) -> String {
    if document.figures.is_empty() {
        return String::new();
    }
    let fit = document.figures.iter().find_map(|told| told.figures.swarm.fit);
    let mut text = format!(
        "\n| site | rows | own model | this model | swarm minus own (95 %) | this model is | {} of this model |\n|---|---|---|---|---|---|---|\n",
        fit.map_or("AUC", |found| fit::named(found).0)
    );
    for Told { site, verdict, figures, .. } in &document.figures {
        let value = |value: Option<f64>| value.map_or_else(|| "-".into(), number);
        let difference = match figures.difference {
            Some(difference) => match difference.interval {
                Some((low, high)) => format!("{} ({} to {})", signed(difference.value), signed(low), signed(high)),
                None => signed(difference.value),
            },
            None => "-".into(),
        };
        text += &format!(
            "| {} | {} | {} | {} | {difference} | {verdict} | {} |\n",
            plain(site),
            figures.rows,
            value(figures.alone.metric),
            value(figures.swarm.metric),
            fit::first(figures)
        );
    }
    text += "\nOwn and this model: the agreed metric, lower is better.";
    let dashes = if text.contains("| - |") { " A dash: not defined on these rows." } else { "" };
    text + dashes + "\n"
}

/// What programs read: tags, metrics, and results by site. A licence is for those whose rows it learned from to say.
fn front(document: &Document) -> String {
    let mut text = "---\nlibrary_name: consilium\nlicense: unknown\ntags:\n- swarm-learning\n- federated-learning\n- safetensors\n".to_owned();
    let table = document.question.column_count > 0;
    if table {
        text += "- tabular\n";
    }
    if let Some(kind) = task(document).filter(|_| table || document.question.missing.is_none()) {
        text += &format!("pipeline_tag: {kind}\n");
    }
    let name = format!("consilium-study-{}", document.study.number);
    let results: String = document.figures.iter().filter_map(|told| result(document, told)).collect();
    if !results.is_empty() {
        let metrics = if document.figures.iter().any(|told| told.figures.swarm.auc.is_some()) {
            "metrics:\n- roc_auc\n"
        } else {
            ""
        };
        text += &format!("{metrics}model-index:\n- name: {name}\n  results:\n{results}");
    }
    text + "---\n"
}

/// The task by the names that Hugging Face has; none where none fits: of a number that is read from a picture, and of times.
fn task(document: &Document) -> Option<&'static str> {
    match (document.question.column_count > 0, document.question.kind) {
        (true, Kind::Classes) => Some("tabular-classification"),
        (true, Kind::Number) => Some("tabular-regression"),
        (false, Kind::Classes) => Some("image-classification"),
        (false, Kind::Number) | (_, Kind::Times) => None,
    }
}

/// One site's results.
fn result(document: &Document, told: &Told) -> Option<String> {
    let figures = &told.figures;
    let kind = task(document).unwrap_or("other");
    let on = match figures.on {
        MeasuredOn::TestFile => "test",
        MeasuredOn::Validation => "validation",
    };
    let mut metrics = String::new();
    for (name, value) in [
        ("roc_auc", figures.swarm.auc),
        (
            match document.question.kind {
                Kind::Number => "r_squared",
                Kind::Classes | Kind::Times => "concordance",
            },
            figures.swarm.fit.map(|found| fit::named(found).1),
        ),
        (
            match figures.metric {
                Metric::LogLoss => "log_loss",
                Metric::Brier => "brier_score",
                Metric::SquaredError => "mse",
                Metric::AbsoluteError => "mae",
            },
            figures.swarm.metric,
        ),
    ] {
        if let Some(value) = value {
            metrics += &format!(
                "    - type: {name}\n      value: {value:.6}\n      name: {}\n",
                quoted(title(name, document))
            );
        }
    }
    (!metrics.is_empty()).then(|| {
        format!(
            "  - task:\n      type: {kind}\n    dataset:\n      type: private\n      name: {}\n      split: {on}\n    metrics:\n{metrics}",
            quoted(&format!("rows of {}", told.site))
        )
    })
}

fn title(name: &str, document: &Document) -> &'static str {
    match name {
        "roc_auc" => "AUC",
        "r_squared" => "R²",
        "concordance" => "Harrell's C",
        _ => metric(&document.study.metric),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_mean_nothing_in_markdown_have_no_backslash() {
        for text in
            ["patient_id", "`ml-worker pack --data` does both.", "C# {a} 30 % (x): 1.5 - 2!", "age, sex (one of: f, m)"]
        {
            assert_eq!(plain(text), text);
        }
        assert_eq!((plain("_a_"), plain("a #")), ("\\_a\\_".into(), "a \\#".into()));
    }

    #[test]
    fn texts_of_others_are_text_in_markdown_and_in_yaml() {
        let said = plain("# [x](javascript:a) <b>|`*_\u{202e}\n- y");
        assert_eq!(said, "\\# \\[x\\](javascript:a) &lt;b&gt;\\|\\`\\*\\_\\u{202e}\\u{a}- y");
        // a backslash of theirs spells out nothing of ours
        assert_eq!(plain("\\*a* \\_ \\"), "\\\\\\*a\\* \\\\\\_ \\\\");
        assert_eq!(plain("a `<b>` `"), "a \\`&lt;b&gt;\\` \\`");
        assert_eq!(quoted("a: \"b\"\n---"), "\"a: \\\"b\\\"\\\\u{a}---\"");
    }
}
