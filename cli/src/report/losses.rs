//! The part of the page that says how each round's model did at each site, and how one of them was chosen.

use super::{
    answers::{metric, number},
    certified::{self, choice, MASKED},
    chart::{Plot, Series, Style},
    document::Document,
    html::{loud, note, paragraph, section as part, table, Cell},
};
use crate::dashboard::state::{Round, Study};

/// From so many sites on, lines of the others are thin and grey: nobody tells twenty colours apart.
const MANY: usize = 13;

/// Which line is a member's: the own one is 0, the others count from 1 on. So they do on the dashboard, where a site has the same colour.
pub fn line(study: &Study, place: usize) -> usize {
    match study.members.get(place) {
        Some(member) if member.own => 0,
        _ => 1 + study.members.iter().take(place).filter(|member| !member.own).count(),
    }
}

/// The mean over sites from a round on: a line of rounds that all members measured, and rings of the others. A mean of fewer sites is of
/// other rows, and is no step of the line.
pub fn means(study: &Study, from: u32) -> Vec<Series> {
    let all = study.members.len();
    let points = |whole: bool| -> Vec<(f64, f64)> {
        let trained = study.rounds.iter().filter(|round| round.kind != "statistics" && round.round >= from);
        // with masks there is one figure, of all sites together
        let of_all = |round: &Round| study.masked || round.losses.len() == all;
        let mean = |round: &Round| round.mean.filter(|_| of_all(round) == whole);
        trained.map(|round| (f64::from(round.round), mean(round).unwrap_or(f64::NAN))).collect()
    };
    let name = match study.masked {
        true => "swarm, validation rows of all sites together".to_owned(),
        false => format!("swarm, mean of all {all} sites by their rows"),
    };
    let mut series = vec![
        Series { name: Some(name), points: points(true), style: Style::Main },
        Series { name: Some("swarm, mean of fewer sites".into()), points: points(false), style: Style::Rings },
    ];
    series.retain(|series| series.points.iter().any(|(_, mean)| mean.is_finite()));
    series
}

/// What a gap and a ring are.
pub fn reading(study: &Study) -> String {
    if study.masked {
        return "The black line is the loss over the validation rows of all sites together; it has a gap where too few reported one.".into();
    }
    let mut words = format!(
        "The black line is the mean of all {} sites, each counting by its training rows; it has a gap where one of them did not measure the round.",
        study.members.len()
    );
    if means(study, 0).iter().any(|series| series.style == Style::Rings) {
        words += " A ring is the mean of fewer sites: it is of other rows, and does not compare with the line.";
    }
    words
}

/// The whole part.
pub fn section(document: &Document) -> String {
    let study = &document.study;
    let name = metric(&study.metric);
    let trained: Vec<&Round> = study.rounds.iter().filter(|round| round.kind != "statistics").collect();
    if study.masked {
        return part("losses", "Loss by round", &pooled(study, name, &trained));
    }
    if trained.iter().all(|round| round.losses.is_empty()) {
        let words = format!("No site has reported a {name}: too few validation rows, or no round has closed.");
        return part("losses", "Loss by round", &paragraph(&words));
    }
    let many = study.members.len() >= MANY;
    let mut series: Vec<Series> = Vec::new();
    for (place, member) in study.members.iter().enumerate() {
        let at = |round: &&Round| {
            let found = round.losses.iter().find(|(who, _)| usize::from(*who) == place);
            (f64::from(round.round), found.map_or(f64::NAN, |(_, loss)| *loss))
        };
        let points: Vec<(f64, f64)> = trained.iter().map(at).collect();
        if points.iter().all(|(_, loss)| loss.is_nan()) {
            continue;
        }
        let style = if many && !member.own { Style::Thin } else { Style::Line(line(study, place)) };
        let named = style != Style::Thin;
        series.push(Series { name: named.then(|| member.name.clone()), points, style });
    }
    series.extend(means(study, 0));
    let plot = Plot {
        title: format!("{name} of the merged model after each round, by site"),
        x: "round",
        y: name,
        range: None,
        whole: true,
        size: (760.0, 300.0),
        bars: Vec::new(),
        mark: study
            .certificate
            .as_ref()
            .map(|found| (f64::from(found.round), format!("certified: round {}", found.round))),
        series,
    };
    let caption = format!(
        "<figcaption>Each site measures the merged model on its own validation rows, which do not train. Lower is better; round 0 is the \
         model that training began with. {}</figcaption>",
        reading(study)
    );
    let mut body = format!("<figure>{}{}{caption}</figure>", plot.svg(), plot.legend());
    body += &figures(document, &trained);
    if study.certificate.is_some() {
        body += &paragraph(choice(study));
    }
    part("losses", "Loss by round", &body)
}

/// The one line that there is with masks: the loss over all sites' validation rows together.
fn pooled(study: &Study, name: &str, trained: &[&Round]) -> String {
    let points: Vec<(f64, f64)> =
        trained.iter().map(|round| (f64::from(round.round), round.mean.unwrap_or(f64::NAN))).collect();
    if points.iter().all(|(_, loss)| loss.is_nan()) {
        let words = format!("Too few sites have reported a {name}, or no round has closed.");
        return paragraph(&words) + &paragraph(MASKED);
    }
    let plot = Plot {
        title: format!("{name} of the merged model after each round, over all sites together"),
        x: "round",
        y: name,
        range: None,
        whole: true,
        size: (760.0, 300.0),
        bars: Vec::new(),
        mark: study
            .certificate
            .as_ref()
            .map(|found| (f64::from(found.round), format!("certified: round {}", found.round))),
        series: vec![Series {
            name: Some(format!("all {} sites together, by rows", study.members.len())),
            points,
            style: Style::Main,
        }],
    };
    let caption = "<figcaption>Each site measures the merged model on its own validation rows, which do not train, and adds its figure under masks: only \
                   the sum is seen. Lower is better; a gap is a round of which too few reported one.</figcaption>";
    let mut body = format!("<figure>{}{}{caption}</figure>", plot.svg(), plot.legend());
    if study.certificate.is_some() {
        body += &paragraph(choice(study));
    }
    body + &paragraph(MASKED)
}

/// Figures of the first, the certified and the last round, and what is not in them.
fn figures(document: &Document, trained: &[&Round]) -> String {
    let study = &document.study;
    let chosen = study.certificate.as_ref().map(|found| found.round);
    let ends: Vec<&Round> = trained.iter().copied().filter(|round| !round.losses.is_empty()).collect();
    let middle = ends.iter().find(|round| Some(round.round) == chosen);
    let mut shown: Vec<&Round> = Vec::new();
    for round in [ends.first(), middle, ends.last()].into_iter().flatten() {
        if !shown.iter().any(|other| other.round == round.round) {
            shown.push(round);
        }
    }
    let titles: Vec<String> = shown
        .iter()
        .map(|round| match Some(round.round) == chosen {
            true => format!("Round {}, certified", round.round),
            false => format!("Round {}", round.round),
        })
        .collect();
    let heads: Vec<&str> = std::iter::once("Site").chain(titles.iter().map(String::as_str)).collect();
    let loss = |round: &Round, place: usize| {
        round.losses.iter().find(|(who, _)| usize::from(*who) == place).map(|(_, loss)| *loss)
    };
    let cell = |value: Option<f64>| Cell::Number(value.map_or_else(|| "–".into(), number));
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (place, member) in study.members.iter().enumerate() {
        let of = shown.iter().map(|round| cell(loss(round, place)));
        rows.push(std::iter::once(Cell::Head(member.name.clone())).chain(of).collect());
    }
    let all = study.members.len();
    let mean = |round: &&Round| match round.mean {
        Some(mean) if round.losses.len() < all => {
            Cell::Number(format!("{} ({} of {all} sites)", number(mean), round.losses.len()))
        }
        mean => cell(mean),
    };
    rows.push(
        std::iter::once(Cell::Head("mean, each site by its training rows".into()))
            .chain(shown.iter().map(mean))
            .collect(),
    );
    let mut body = table(&heads, &rows);
    if shown.iter().any(|round| round.losses.len() < all) {
        let after = match document.figures.is_empty() {
            true => "",
            false => {
                " Where “Swarm or own model?” has a figure of it all the same, that was measured after the study, on the site's own rows."
            }
        };
        body += &note(&format!("A dash: the chain has no figure by that site of that round.{after}"));
    }
    body + &loud(&certified::told(study, &document.figures))
}
