//! What stands in an AUC's place where the outcome is no class: R² of a number, Harrell's C of the time until an event.

use super::{
    answers::{auc, number},
    document::{Document, HeldOut, HeldOutModel, Told},
    html::{dash, note, table, Cell},
};
use consilium_study::{Fit, Metric, ModelFigures, SiteFigures};

/// Its name, and how large it is.
pub fn named(fit: Fit) -> (&'static str, f64) {
    match fit {
        Fit::R2(r2) => ("R²", r2),
        Fit::Concordance(c) => ("Harrell's C", c),
    }
}

/// The same in words.
pub fn words(fit: Fit) -> String {
    let (name, value) = named(fit);
    let scale = match fit {
        Fit::R2(_) => "0 is what the mean of these rows has, 1 is without an error",
        Fit::Concordance(_) => "0.5 is guessing, 1 is without an error",
    };
    format!("{name} {} ({scale})", number(value))
}

/// What is said first of the swarm's model at a site: its AUC, or what stands in its place.
pub fn first(figures: &SiteFigures) -> String {
    match (figures.swarm.fit, figures.metric) {
        (Some(found), _) => words(found),
        (None, Metric::SquaredError | Metric::AbsoluteError) => "R² is not defined on these rows".into(),
        (None, Metric::LogLoss | Metric::Brier) => auc(figures.swarm.auc, figures.swarm.auc_interval),
    }
}

/// The same of a model on the rows that were held out from everyone.
pub fn first_held_out(model: &HeldOutModel) -> String {
    model.fit.map_or_else(|| auc(model.auc, model.auc_interval), words)
}

fn cell(fit: Option<Fit>) -> Cell {
    Cell::Number(fit.map_or_else(|| "–".into(), |fit| number(named(fit).1)))
}

/// What is to be known of it, under a table.
fn explained(fit: Fit) -> String {
    note(match fit {
        Fit::R2(_) => {
            "R²: which share of the spread of the outcome among these rows the predictions explain; 0 is what somebody has who says their \
             mean of all, below 0 is worse than that, 1 is without an error. Higher is better; there is no interval."
        }
        Fit::Concordance(_) => {
            "Harrell's C: of two people of whom it is known who had the event first, how often the model gave that one the higher risk; 0.5 \
             is guessing, 1 is without an error. Higher is better; there is no interval."
        }
    })
}

/// What a dash under such a heading is, where one stands.
fn undefined(rows: &[Vec<Cell>]) -> String {
    if rows.iter().flatten().any(dash) {
        note("A dash: not defined on these rows, as where all outcomes are the same or no two can be put in an order.")
    } else {
        String::new()
    }
}

/// The table of all sites; empty where the outcome is a class.
pub fn section(document: &Document) -> String {
    let shown: Vec<&Told> = document
        .figures
        .iter()
        .filter(|told| told.figures.swarm.fit.is_some() || told.figures.alone.fit.is_some())
        .collect();
    let of = |told: &&Told| told.figures.swarm.fit.or(told.figures.alone.fit);
    let Some(example) = shown.iter().find_map(of) else { return String::new() };
    let central = shown.iter().any(|told| told.figures.central.is_some());
    let mut heads = vec!["Site", "Own model", "Swarm's model"];
    if central {
        heads.push("All rows in one place");
    }
    let row = |told: &&Told| {
        let fit = |model: &ModelFigures| cell(model.fit);
        let mut cells = vec![Cell::Head(told.site.clone()), fit(&told.figures.alone), fit(&told.figures.swarm)];
        if central {
            cells.push(cell(told.figures.central.as_ref().and_then(|model| model.fit)));
        }
        cells
    };
    let rows: Vec<Vec<Cell>> = shown.iter().map(row).collect();
    let dashes = undefined(&rows);
    format!("<h3>{} on the same rows</h3>{}{}{dashes}", named(example).0, table(&heads, &rows), explained(example))
}

/// The table of models on rows that were held out from everyone, each called by `called`; none where the outcome is a class.
pub fn held_out(held: &HeldOut, called: impl Fn(&str) -> String) -> Option<String> {
    let example = held.models.iter().find_map(|model| model.fit)?;
    let losses = held.models.iter().any(|model| model.log_loss.is_some());
    let mut heads = vec!["Model", named(example).0];
    if losses {
        heads.push("Log-loss");
    }
    let row = |model: &HeldOutModel| {
        let mut cells = vec![Cell::Head(called(&model.name)), cell(model.fit)];
        if losses {
            cells.push(Cell::Number(model.log_loss.map_or_else(|| "–".into(), number)));
        }
        cells
    };
    let rows: Vec<Vec<Cell>> = held.models.iter().map(row).collect();
    Some(table(&heads, &rows) + &explained(example) + &undefined(&rows))
}
