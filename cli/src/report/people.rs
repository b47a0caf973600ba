//! The parts of the page that say what the model learned from: sites with their rows and their weights, and columns with mean and spread.

use super::{
    answers::list,
    certified::Outcome,
    document::{Column, Document},
    html::{dash, escaped, note, section as part, table, Cell},
};
use consilium_study::fixed;

/// Shares that differ by less look the same.
const SAME: f64 = 0.000_5;

/// The whole part.
pub fn section(document: &Document) -> String {
    let below = format!(
        "<p>What is known of each column: <a href=\"#columns\">{}</a>, below the results.</p>",
        heading(document)
    );
    part("sites", "Sites and rows", &(sites(document) + &below))
}

/// What the part on columns is called.
fn heading(document: &Document) -> &'static str {
    match Outcome::of(&document.study) {
        Outcome::Model => "The rows that it learned from",
        _ => "The rows that are trained on",
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// How much each site counted in the round that was certified, or else in the last one, and which that is.
fn weights(document: &Document) -> Option<(u32, Vec<Option<f64>>)> {
    let study = &document.study;
    let trained = || study.rounds.iter().filter(|round| round.kind == "round" && !round.inputs.is_empty());
    let certified = study.certificate.as_ref().map(|found| found.round);
    let round = trained().find(|round| Some(round.round) == certified).or_else(|| trained().next_back())?;
    let sum: u64 = round.inputs.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let share = |place: usize| {
        let (_, weight) = round.inputs.iter().find(|(who, _)| usize::from(*who) == place)?;
        (sum > 0).then(|| f64::from(*weight) / sum as f64)
    };
    Some((round.round, (0..study.members.len()).map(share).collect()))
}

fn sites(document: &Document) -> String {
    let study = &document.study;
    let all: u64 = study.members.iter().map(|member| u64::from(member.samples)).sum();
    let (round, weights) = weights(document).unzip();
    let weight = |place: usize| weights.as_ref().and_then(|weights| weights.get(place).copied().flatten());
    let (mut rows, mut apart): (Vec<Vec<Cell>>, Vec<String>) = (Vec::new(), Vec::new());
    for (n, member) in study.members.iter().enumerate() {
        let place = u8::try_from(n).unwrap_or(u8::MAX);
        let trained = study.rounds.iter().filter(|round| round.kind == "round");
        let (took, of) = trained.fold((0u32, 0u32), |(took, of), round| {
            (took + u32::from(round.inputs.iter().any(|(who, _)| *who == place)), of + 1)
        });
        let mut words = Vec::new();
        if member.own {
            words.push("made this report");
        }
        if !member.active {
            words.push("has left the study");
        }
        let share = f64::from(member.samples) / (all as f64).max(1.0);
        if let Some(weight) = weight(n).filter(|weight| share - weight > SAME) {
            apart.push(format!(
                "{} has {} of the rows, and counted with {}",
                member.name,
                percent(share),
                percent(weight)
            ));
        }
        rows.push(vec![
            Cell::Head(member.name.clone()),
            Cell::Number(member.samples.to_string()),
            Cell::Number(percent(share)),
            Cell::Number(weight(n).map_or_else(|| "–".into(), percent)),
            Cell::Number(format!("{took} of {of}")),
            Cell::Text(words.join(", ")),
        ]);
    }
    let in_round = round.map_or_else(|| "Weight".to_owned(), |round| format!("Weight, round {round}"));
    let heads = ["Site", "Training rows", "Share of rows", in_round.as_str(), "In rounds", ""];
    let mut body = table(&heads, &rows);
    if rows.iter().flatten().any(dash) {
        body += &note(match round {
            Some(_) => "A dash: no update of that site was merged in that round, so that it had no weight.",
            None => "A dash: no update has been merged yet, so that no site has a weight.",
        });
    }
    if !apart.is_empty() {
        let bound = study.rules.iter().find(|rule| rule.contains("of the weight"));
        let bound = bound.and_then(|rule| rule.split(',').next());
        let bound = bound.map_or_else(String::new, |rule| format!(" ({rule})"));
        body += &format!(
            "<p>Share of the rows and weight are two things. The rules that were signed say how much a site counts in a merge, and bound \
             it{}: {}.</p>",
            escaped(&bound),
            escaped(&list(&apart))
        );
    }
    body
}

/// A mean and a spread with as many decimals as the spread asks for.
fn spread(column: &Column) -> (String, String) {
    let (Some(mean), Some(deviation)) = (column.mean, column.deviation) else { return ("–".into(), "–".into()) };
    let decimals = match deviation > 0.0 {
        true => (2.0 - deviation.log10().floor()).clamp(0.0, 9.0) as usize,
        false => 3,
    };
    (fixed(mean, decimals), fixed(deviation, decimals))
}

/// The part on columns: a long table, which nobody needs before the results.
pub fn columns(document: &Document) -> String {
    let (from, question) = (&document.learned_from, &document.question);
    let mut body = String::new();
    if let Some(missing) = &from.missing {
        body += &format!("<p>Means and spreads of the columns are not in this report: {}.</p>", escaped(missing));
    } else {
        let row = |column: &Column| {
            let (mean, deviation) = spread(column);
            let values = if column.values > 0 { column.values.to_string() } else { "–".into() };
            vec![Cell::Head(column.name.clone()), Cell::Number(values), Cell::Number(mean), Cell::Number(deviation)]
        };
        let rows: Vec<Vec<Cell>> = from.columns.iter().map(row).collect();
        body += &table(&["Column", "Values", "Mean", "Standard deviation"], &rows);
        let mut words = "Of all sites' training rows together, in the units of the table, as each site holds them since the study merged \
                         its statistics."
            .to_owned();
        if let Some(of) = &from.of {
            words =
                format!("Of all sites' training rows together, of {of}, as the study's merged statistics have them.");
        }
        if from.columns.iter().any(|column| column.values == 0) {
            words += " A dash: no site has enough values of it to tell others.";
        }
        if !from.categories.is_empty() {
            words += &format!(" Nobody counts the levels of {} across sites.", list(&from.categories));
        }
        body += &format!("<p class=\"dim\">{}</p>", escaped(&words));
    }
    if question.binary {
        let yes = question.classes.first().map_or("positive", String::as_str);
        let measured: Vec<String> = document
            .figures
            .iter()
            .filter_map(|told| {
                let (some, rows) = (told.figures.positives?, told.figures.rows);
                Some(format!("{} {some} of {rows}", told.site))
            })
            .collect();
        body += &format!("<p>How many of the training rows are “{}”, no site tells the others.", escaped(yes));
        if !measured.is_empty() {
            body += &format!(" Of the rows that its figures were measured on: {}.", escaped(&list(&measured)));
        }
        body += "</p>";
    }
    part("columns", heading(document), &body)
}
