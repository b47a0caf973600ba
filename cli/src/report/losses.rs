//! The part of the page that says how each round's model did at each site, and how one of them was chosen.

use super::{
    answers::{list, metric, number},
    certified::{self, choice, MASKED},
    chart::{Plot, Series, Style},
    document::Document,
    html::{dash, escaped, loud, note, paragraph, section as part, table, Cell},
};
use crate::{
    dashboard::state::{Round, Study},
    plain::counted,
};

/// From so many sites on, lines of the others are thin and grey: nobody tells twenty colours apart.
const MANY: usize = 13;
/// Most runs of rounds, and most sites, that a sentence names.
const MOST: usize = 5;

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
        true => "swarm, validation rows of all sites together, each row counting once".to_owned(),
        false => format!("swarm, mean of all {all} sites, weighted by training rows"),
    };
    let fewer = "swarm, mean of fewer sites, weighted by training rows".to_owned();
    let mut series = vec![
        Series { name: Some(name), points: points(true), style: Style::Main },
        Series { name: Some(fewer), points: points(false), style: Style::Rings },
    ];
    series.retain(|series| series.points.iter().any(|(_, mean)| mean.is_finite()));
    series
}

/// Rounds in a few words, those in a row together.
fn rounds(of: &[u32]) -> String {
    let mut each: Vec<String> = of
        .chunk_by(|one, next| next.saturating_sub(*one) == 1)
        .filter_map(|run| match (run.first()?, run.last()?) {
            (first, last) if first == last => Some(first.to_string()),
            (first, last) => Some(format!("{first} to {last}")),
        })
        .collect();
    let more = each.len().saturating_sub(MOST);
    each.truncate(MOST);
    if more > 0 {
        each.push("others".into());
    }
    let word = if of.len() == 1 { "round" } else { "rounds" };
    format!("{word} {}", list(&each))
}

/// The first and the last round that have a mean: before and after them there is no line that could have a gap.
fn measured(study: &Study) -> Option<(u32, u32)> {
    let known = |round: &&Round| round.kind != "statistics" && round.mean.is_some();
    let rounds = || study.rounds.iter().filter(known).map(|round| round.round);
    Some((rounds().min()?, rounds().max()?))
}

/// Which rows weigh in the black line, why it has gaps where it has, and what a ring is.
pub fn reading(study: &Study, from: u32) -> String {
    let drawn = means(study, from);
    let mut words = String::new();
    if let Some(line) = drawn.iter().find(|series| series.style == Style::Main) {
        words += &match study.masked {
            true => "The black line is the loss over the validation rows of all sites together: each of these rows counts once, whichever \
                     site has it, and training rows do not weigh."
                .to_owned(),
            false => format!(
                "The black line is the mean of the figures of all {} sites, and training rows weigh in it: a site's figure counts by the rows \
                 that it trains on, however many it measures on. Pooled by validation rows, each of which would count once, the same figures \
                 can give another number.",
                study.members.len()
            ),
        };
        let (first, last) = measured(study).unwrap_or_default();
        let gaps = line.points.iter().filter(|(_, loss)| !loss.is_finite()).map(|(round, _)| *round as u32);
        let gaps: Vec<u32> = gaps.filter(|round| (first..=last).contains(round)).collect();
        if !gaps.is_empty() {
            let why = match study.masked {
                true => "too few sites told a figure of it in time, or the sum could not be used",
                false => "not every site has told a figure of it",
            };
            words += &format!(" It has a gap at {}: {why}.", rounds(&gaps));
        }
    }
    if drawn.iter().any(|series| series.style == Style::Rings) {
        words += " A ring is the mean of fewer sites: it is of other rows, and does not compare with a mean of all.";
    }
    words
}

/// Why lines of sites have gaps, where they have, and whose line there is not.
fn gaps(study: &Study, trained: &[&Round]) -> String {
    let Some((first, last)) = measured(study) else { return String::new() };
    let told = |round: &Round, place: usize| round.losses.iter().any(|(who, _)| usize::from(*who) == place);
    let (mut parted, mut without): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for (place, member) in study.members.iter().enumerate() {
        let silent = trained.iter().filter(|round| !told(round, place)).map(|round| round.round);
        let silent: Vec<u32> = silent.filter(|round| (first..=last).contains(round)).collect();
        if !trained.iter().any(|round| told(round, place)) {
            without.push(&member.name);
        } else if !silent.is_empty() {
            parted.push(format!("that of {} at {}", member.name, rounds(&silent)));
        }
    }
    let mut words = String::new();
    if !parted.is_empty() {
        let more = parted.len().saturating_sub(MOST);
        parted.truncate(MOST);
        if more > 0 {
            parted.push(format!("those of {} more", counted(more as u64, "site")));
        }
        words += &format!(
            " Lines of sites have gaps where the chain has no figure: {}. A site tells its figure of a round with what it sends in the next \
             one, and these sent nothing in time then.",
            parted.join("; ")
        );
    }
    if !without.is_empty() {
        let who = if without.len() > MOST { counted(without.len() as u64, "site") } else { list(&without) };
        words += &format!(
            " There is no line of {who}, of which the chain has no figure: too few validation rows, or nothing came in time."
        );
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
         model that training began with. {}{}</figcaption>",
        escaped(&reading(study, 0)),
        escaped(&gaps(study, &trained))
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
            name: Some(format!("all {} sites together, each validation row counting once", study.members.len())),
            points,
            style: Style::Main,
        }],
    };
    let caption = format!(
        "<figcaption>Each site measures the merged model on its own validation rows, which do not train, and adds its figure under masks: only \
         the sum is seen. Lower is better. {}</figcaption>",
        escaped(&reading(study, 0))
    );
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
    if rows.iter().flatten().any(dash) {
        let after = match document.figures.is_empty() {
            true => "",
            false => {
                " Where “Swarm or own model?” has a figure of it all the same, that was measured after the study, on the site's own rows."
            }
        };
        let awaited = match rows.last().into_iter().flatten().any(dash) {
            true => " There is no mean before all figures have come that are awaited.",
            false => "",
        };
        body += &note(&format!("A dash: the chain has no figure by that site of that round.{awaited}{after}"));
    }
    body + &loud(&certified::told(study, &document.figures))
}
