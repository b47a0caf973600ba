//! The areas under the ROC curves at each site, in a table of their own: one of all figures is wider than a page.

use super::{
    answers::{number, WITHOUT_ERROR},
    document::{Document, Told},
    html::{dash, note, paragraph, table, Cell},
    measured::difference,
    sites,
};
use consilium_study::ModelFigures;

/// Of an interval beside an AUC of 1.
const TOO_NARROW: &str =
    "An interval of a difference from an AUC of 1.000 has the spread of the other model alone, and is too narrow.";

/// The table, and what to know of it; nothing where there are no such areas.
pub fn section(document: &Document) -> String {
    let known = |told: &&Told| told.figures.alone.auc.is_some() || told.figures.swarm.auc.is_some();
    let shown: Vec<&Told> = document.figures.iter().filter(known).collect();
    if shown.is_empty() {
        return String::new();
    }
    let area = |model: &ModelFigures| {
        Cell::Number(match (model.auc, model.auc_interval) {
            (None, _) => "–".into(),
            (Some(auc), None) => number(auc),
            (Some(auc), Some((low, high))) => format!("{} ({} to {})", number(auc), number(low), number(high)),
        })
    };
    let central = shown.iter().any(|told| told.figures.central.is_some());
    let mut heads = vec!["Site", "Own model (95 %)", "Swarm's model (95 %)"];
    if central {
        heads.push("All rows in one place (95 %)");
    }
    heads.push("Swarm − own (95 %)");
    let row = |told: &&Told| {
        let figures = &told.figures;
        let mut cells = vec![Cell::Head(told.site.clone()), area(&figures.alone), area(&figures.swarm)];
        if central {
            cells.push(figures.central.as_ref().map_or_else(|| Cell::Number("–".into()), area));
        }
        cells.push(Cell::Number(difference(figures.auc_difference)));
        cells
    };
    let rows: Vec<Vec<Cell>> = shown.iter().map(row).collect();
    let mut words = note(
        "AUC: of a positive and a negative row, how often the model gives the positive one the higher probability; 0.5 is guessing, 1 is \
         without an error; of several classes or labels the mean over them. Higher is better.",
    );
    let whole = |model: &ModelFigures| model.auc.is_some_and(|auc| auc >= 1.0) && model.auc_interval.is_none();
    if shown.iter().any(|told| whole(&told.figures.swarm) || whole(&told.figures.alone)) {
        words += &note(WITHOUT_ERROR);
        let narrow = |told: &&Told| {
            let beside = told.figures.auc_difference.is_some_and(|difference| difference.interval.is_some());
            beside && (whole(&told.figures.swarm) || whole(&told.figures.alone))
        };
        // said where such an interval stands, and not beside “no interval”
        if shown.iter().any(narrow) {
            words += &note(TOO_NARROW);
        }
    }
    if rows.iter().flatten().any(dash) {
        words += &note(
            "A dash: on rows of one class alone there is no AUC, and of several classes or labels no difference is told.",
        );
    }
    words += &sites::two_measures(&document.figures).iter().map(|said| paragraph(said)).collect::<String>();
    format!("<h3>AUC on the same rows</h3>{}{words}", table(&heads, &rows))
}
