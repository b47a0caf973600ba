//! The summary at the top of the page: three questions, each answered in a sentence or two, with the way to the whole answer below.

use super::{
    answers::list,
    certified::Outcome,
    document::Document,
    fit,
    html::{escaped, prose, section as part},
    sites,
};
use crate::plain::counted;
use consilium_study::{MeasuredOn, Verdict};

/// The three questions, each with the place on the page that answers it.
pub const QUESTIONS: [(&str, &str); 3] =
    [("whom", "Whom is this model for?"), ("sure", "How sure is it?"), ("not", "What should I not do with it?")];

/// What no report has: it takes in signed figures of members alone.
pub const EXTERNAL: &str = "No external validation: no site that took no part in the study has signed a figure of this report, and rows that were \
    kept aside at those that did take part tell less about people elsewhere.";

/// Most names in a sentence; more are counted.
const MOST: usize = 4;

/// The whole part.
pub fn section(document: &Document) -> String {
    let said = [whom(document), sure(document), not(document)];
    let line = |((id, title), said): (&(&str, &str), &String)| {
        format!("<dt><a href=\"#{id}\">{}</a></dt><dd>{}</dd>", escaped(title), prose(said))
    };
    let lines: String = QUESTIONS.iter().zip(&said).map(line).collect();
    part("summary", "In short", &format!("<dl class=\"brief\">{lines}</dl>"))
}

/// Sites by name, or how many they are.
fn sites_of(names: &[&str]) -> String {
    if names.len() > MOST {
        counted(names.len() as u64, "site")
    } else {
        list(names)
    }
}

fn whom(document: &Document) -> String {
    let (study, question) = (&document.study, &document.question);
    let first = match (Outcome::of(study), document.made.localnet) {
        (Outcome::Model, true) => "A rehearsal: for trying out how such a study goes, and for no patient.".to_owned(),
        (Outcome::Model, false) => {
            let rows: u64 = study.members.iter().map(|member| u64::from(member.samples)).sum();
            let names: Vec<&str> = study.members.iter().map(|member| member.name.as_str()).collect();
            format!(
                "For people like those at {}: it learned from {} of theirs.",
                sites_of(&names),
                counted(rows, "row")
            )
        }
        (Outcome::Open, true) => "A rehearsal, and for nobody yet: the study is not over.".into(),
        (Outcome::Open, false) => "For nobody yet: the study is not over, and no model is certified.".into(),
        (Outcome::None, true) => "A rehearsal, and for nobody: it has come to no model.".into(),
        (Outcome::None, false) => "For nobody: the study has come to no model.".into(),
    };
    match (Outcome::of(study), &question.missing) {
        (Outcome::Model, None) => format!("{first} It says {}.", question.outcome),
        _ => first,
    }
}

fn sure(document: &Document) -> String {
    match Outcome::of(&document.study) {
        Outcome::Open => return "Nothing can be said yet: rounds may come that are better or worse.".into(),
        Outcome::None => return "There is no model to be sure of.".into(),
        Outcome::Model => {}
    }
    let of = |verdict: Verdict| -> Vec<&str> {
        let found = document.figures.iter().filter(|told| told.verdict == verdict);
        found.map(|told| told.site.as_str()).collect()
    };
    let mut parts: Vec<String> = [
        (of(Verdict::Better), "better at"),
        (of(Verdict::Worse), "worse at"),
        (of(Verdict::CannotTell), "better or worse cannot be told at"),
        (sites::high(&document.study, &document.figures), "and its loss is at least twice that of the others at"),
    ]
    .iter()
    .filter(|(names, _)| !names.is_empty())
    .map(|(names, words)| format!("{words} {}", sites_of(names)))
    .collect();
    if document.figures.is_empty() {
        parts.insert(0, "not known, since no site's figures were taken in".into());
    }
    let rows = if document.made.localnet { "in this rehearsal" } else { "on their own rows" };
    let figure = figure(document).map_or_else(String::new, |figure| format!("{figure} "));
    format!("{figure}Beside the sites' own models, {rows}: {}. No external validation.", parts.join("; "))
}

/// The one figure that tells most: of rows that chose nothing where there are such, and of most rows.
fn figure(document: &Document) -> Option<String> {
    let held = document.held_out.as_ref().and_then(|held| {
        let swarm = held.models.iter().find(|model| model.name == "swarm")?;
        Some((fit::first_held_out(swarm), format!("{} that were held out from everyone", counted(held.rows, "row"))))
    });
    let (found, on) = held.or_else(|| {
        let told =
            document.figures.iter().max_by_key(|told| (told.figures.on == MeasuredOn::TestFile, told.figures.rows))?;
        let rows = counted(told.figures.rows.into(), "row");
        let on = match told.figures.on {
            MeasuredOn::TestFile => format!("{rows} of a table of its own at {}", told.site),
            MeasuredOn::Validation => format!("{rows} at {} that have chosen the round, and so flatter", told.site),
        };
        Some((fit::first(&told.figures), on))
    })?;
    let scale = if found.starts_with("AUC ") { ", where 0.5 is guessing and 1 is without an error," } else { "" };
    Some(format!("{found}{scale} on {on}."))
}

fn not(document: &Document) -> String {
    if Outcome::of(&document.study) != Outcome::Model {
        return "Do not use a round's model, and do not quote its figures as a result.".into();
    }
    let losing = document.losing();
    let second = match losing.is_empty() {
        true => "Do not use it elsewhere before it was measured on rows of there.".to_owned(),
        false => format!("Do not use it at {} in place of the own model.", sites_of(&losing)),
    };
    format!("Do not let it decide about a person: it is the outcome of a study, no medical device. {second}")
}
