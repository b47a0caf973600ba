//! What the page says of “Swarm or own model?” where no site's figures were taken in, and how to come by them; and where its curves are
//! missing, and why.

use super::{
    answers::list,
    certified::Outcome,
    cut,
    document::Document,
    html::{code, paragraph},
};
use consilium_study::MIN_FOR_CURVES;

/// The part's body.
pub fn body(document: &Document) -> String {
    match Outcome::of(&document.study) {
        Outcome::None => return paragraph("There is nothing to compare: the study has ended without a model."),
        Outcome::Open if document.made.localnet => {
            return paragraph(
                "Not known: this run ended before its study. One that comes to its end measures the swarm's model beside each site's own.",
            )
        }
        Outcome::Open => {
            return paragraph(
                "Not known before the study has ended with a model. Then each site can train a model of its own rows alone, and measure \
                 both; the report that is made at that time says how.",
            )
        }
        Outcome::Model => {}
    }
    let mut body = paragraph(
        "Not known: to tell, each site must train a model of its own rows alone. The first of these commands does that at a site, after the \
         study and for as many rounds, and signs what it finds; the second makes this report anew, with such files in it (--figures once \
         for each). FOLDER is an institution's own.",
    );
    body += &code(&commands(document.study.number));
    if document.question.binary {
        body += &cut::missing(document);
    }
    body
}

/// Both, as they are typed.
fn commands(number: u32) -> String {
    format!(
        "consilium study figures {number} --dir FOLDER --out figures-{number}.json\n\
         consilium report {number} --dir FOLDER --figures figures-{number}.json --out report-{number}-with-figures.html"
    )
}

/// Where there are no curves, and why.
pub fn too_few(document: &Document) -> String {
    let without = document.figures.iter().filter(|told| told.figures.swarm.curves.is_none());
    let mut each: Vec<String> = without
        .map(|told| format!("at {} {} of {}", told.site, told.figures.positives.unwrap_or_default(), told.figures.rows))
        .collect();
    let held = document.held_out.as_ref().and_then(|held| Some((held.rows, held.positives?)));
    let few = held.filter(|(rows, some)| (*some).min(rows.saturating_sub(*some)) < u64::from(MIN_FOR_CURVES));
    each.extend(few.map(|(rows, some)| format!("of the rows held out from everyone {some} of {rows}")));
    let mut body = String::new();
    if !each.is_empty() {
        body += &paragraph(&format!(
            "Too few rows for curves, which are shown from {MIN_FOR_CURVES} rows of each class on. Positive are {}.",
            list(&each)
        ));
    }
    if held.is_some() && few.is_none() {
        body += &paragraph("Of the rows held out from everyone no curves are drawn.");
    }
    body
}
