//! The part of the page that a clinician looks for: how many of those who have it the model finds, and how many of the others it leaves
//! alone, at the cut that a site's own rows ask for.

use super::{
    answers::number,
    document::Document,
    held_out,
    html::{code, escaped, paragraph, table, Cell},
};
use consilium_study::{wilson, CutFigures};

/// A line of the table.
struct Line {
    who: String,
    rows: u64,
    positives: Option<u64>,
    cut: Option<f64>,
    /// Whose validation rows have chosen the cut.
    whose: &'static str,
    at: Option<CutFigures>,
}

/// All lines: of each site with figures, and of the rows that were held out from everyone.
fn lines(document: &Document) -> Vec<Line> {
    let mut lines: Vec<Line> = document
        .figures
        .iter()
        .map(|told| Line {
            who: told.site.clone(),
            rows: told.figures.rows.into(),
            positives: told.figures.positives.map(u64::from),
            cut: told.figures.cut,
            whose: "its own",
            at: told.figures.at_cut,
        })
        .collect();
    if let Some(held) = &document.held_out {
        let swarm = held.models.iter().find(|model| model.name == "swarm");
        lines.extend(swarm.map(|model| Line {
            who: "held out from everyone".into(),
            rows: held.rows,
            positives: held.positives,
            cut: model.cut,
            whose: "of all sites",
            at: model.at_cut,
        }));
    }
    lines
}

/// A share of so many rows with Wilson's interval.
fn share(value: Option<f64>, of: Option<u64>) -> Cell {
    let Some(value) = value else { return Cell::Number("–".into()) };
    // the file has shares, and of how many rows each is: what was counted is a whole number
    let interval = of.and_then(|of| wilson((value * of as f64).round() as u64, of));
    Cell::Number(match interval {
        Some((low, high)) => format!("{} ({} to {})", number(value), number(low), number(high)),
        None => number(value),
    })
}

/// The table, and how to come by what is not in it.
pub fn section(document: &Document) -> String {
    let yes = document.question.classes.first().map_or("yes", String::as_str);
    let lines = lines(document);
    let rows: Vec<Vec<Cell>> = lines
        .iter()
        .map(|line| {
            let at = |of: fn(&CutFigures) -> Option<f64>| line.at.as_ref().and_then(of);
            let negatives = line.positives.map(|some| line.rows.saturating_sub(some));
            // rows that are called positive: those found, and those of the others that are not left alone
            let called = || {
                let found = at(|at| at.sensitivity)? * line.positives? as f64;
                Some((found + (1.0 - at(|at| at.specificity)?) * negatives? as f64).round() as u64)
            };
            let called = called();
            vec![
                Cell::Head(line.who.clone()),
                Cell::Text(match line.positives {
                    Some(some) => format!("{}, {some} {yes}", line.rows),
                    None => line.rows.to_string(),
                }),
                Cell::Number(
                    line.cut.map_or_else(|| "no cut".into(), |cut| format!("{} ({})", number(cut), line.whose)),
                ),
                share(at(|at| at.sensitivity), line.positives),
                share(at(|at| at.specificity), negatives),
                share(at(|at| at.ppv), called),
                share(at(|at| at.npv), called.map(|called| line.rows.saturating_sub(called))),
            ]
        })
        .collect();
    let heads = ["Site", "Rows", "Cut", "Sensitivity", "Specificity", "PPV", "NPV"];
    let mut body =
        // seven columns, four of them with intervals, which may stand below their numbers
        format!("<h3>Sensitivity and specificity</h3>{}<div class=\"fold\">{}</div>", paragraph("Of the swarm's model."), table(&heads, &rows));
    body += &format!(
        "<p class=\"dim\">Sensitivity: of those who are {0}, the share that the model calls so. Specificity: of the others, the share that \
         it does not call so. PPV and NPV: of those called {0} the share that are, and of the others the share that are not; both hold only \
         where as large a share is {0} as among these rows. In brackets 95\u{a0}% intervals (Wilson's, as if rows were independent). Cut: the \
         probability from which on the model is taken to say {0}, as it gives it, before any recalibration. The table says beside \
         each cut whose it is: “its own” is the one at which sensitivity and specificity together are highest on that site's validation \
         rows (Youden). {1}</p>",
        escaped(yes),
        document.held_out.as_ref().and_then(held_out::cut).unwrap_or_default()
    );
    if lines.iter().any(|line| line.cut.is_none()) {
        body += &paragraph(
            "No cut, and dashes beside it: too few validation rows to choose one by, or none parts the two classes.",
        );
    }
    let hollow = |at: &CutFigures| [at.sensitivity, at.specificity, at.ppv, at.npv].iter().any(Option::is_none);
    if lines.iter().filter_map(|line| line.at.as_ref()).any(hollow) {
        body += &paragraph("A dash beside shares that are known: there is no row that it would be a share of.");
    }
    if lines.iter().any(|line| line.cut.is_some() && line.at.is_none()) {
        body += &paragraph(
            "Dashes beside a cut: these rows have chosen the cut themselves, and what they show at it would look too good. Rows that neither \
             trained nor chose anything give these figures.",
        );
        body += &paragraph(place(document));
        body += &code(&how(document));
    }
    body
}

/// Where no site's figures were taken in: what is missing, and how to come by it.
pub fn missing(document: &Document) -> String {
    paragraph(
        "Sensitivity and specificity are not in this report either: they are measured on rows that neither trained nor chose anything.",
    ) + &paragraph(place(document))
        + &code(&how(document))
}

/// Where that is typed: a rehearsal has no sites that could.
fn place(document: &Document) -> &'static str {
    match document.made.localnet {
        true => "In a rehearsal, where all sites are folders, a new run takes such a table of each beside the one that trains:",
        false => "At a site:",
    }
}

/// What to type for sensitivity and specificity.
fn how(document: &Document) -> String {
    if document.made.localnet {
        return "consilium localnet run --site NAME=TRAIN.csv,TEST.csv …".into();
    }
    let number = document.study.number;
    format!(
        "consilium study figures {number} --dir FOLDER --test later-rows.csv --out figures-{number}-test.json\n\
         consilium report {number} --dir FOLDER --figures figures-{number}-test.json --out report-{number}-with-test-figures.html\n\
         # or, with the folder of a model that `ml-worker pack` has made:\n\
         ml-worker evaluate --model model/ready --data later-rows.csv"
    )
}
