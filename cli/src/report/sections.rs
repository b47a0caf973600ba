//! The parts of a report's page.

use super::{
    answers::{metric, number},
    chart::{Plot, Series, Style},
    document::Document,
    faults::called,
    html::{code, escaped, list, page, pairs, paragraph, section, table, Cell},
    measured, people,
};
use crate::{
    dashboard::state::Round,
    plain::{clock, counted},
};

/// Most faults that the page lists; all of them are in the document.
const MOST_FAULTS: usize = 200;
/// From so many sites on, lines of the others are thin and grey: nobody tells twenty colours apart.
const MANY: usize = 13;

/// The page of a report.
pub fn render(document: &Document) -> String {
    let study = &document.study;
    let mut body = head(document);
    body += &short(document);
    body += &question(document);
    body += &people::section(document);
    body += &losses(document);
    body += &measured::section(document);
    body += &part(document);
    body += &faults(document);
    body += &left(document);
    body += &certificate(document);
    body += &section("limits", "What this report does not show", &list(&document.limits));
    body += &made(document);
    page(&format!("Study {}: {}", study.number, study.title), &body)
}

fn head(document: &Document) -> String {
    let (study, made) = (&document.study, &document.made);
    let state = if study.certificate.is_some() {
        "done"
    } else if study.stage == "ended" {
        "none"
    } else {
        ""
    };
    format!(
        "<header><p class=\"by\">Report on study {} of the consortium whose chain begins with block {}…</p><h1>{}</h1><p><span class=\"state \
         {state}\">{}</span></p><p class=\"by\">Made by {}, of what was final in block {} on {}.</p></header>",
        study.number,
        escaped(made.genesis.get(..12).unwrap_or(&made.genesis)),
        escaped(&study.title),
        escaped(&study.phase),
        escaped(&made.by),
        made.block,
        escaped(&clock(made.at_ms))
    )
}

fn short(document: &Document) -> String {
    let answers = &document.answers;
    let card = |title: &str, lines: &[String]| format!("<div><h3>{title}</h3>{}</div>", list(lines));
    let cards = [
        card("Whom is this model for?", &answers.whom),
        card("How sure is it?", &answers.sure),
        card("What should I not do with it?", &answers.not),
    ];
    section("short", "In short", &format!("<div class=\"three\">{}</div>", cards.concat()))
}

fn question(document: &Document) -> String {
    let (question, study) = (&document.question, &document.study);
    if let Some(why) = &question.missing {
        return section("question", "The question", &paragraph(why));
    }
    let mut columns = question.columns.join(", ");
    let more = question.column_count as usize;
    if columns.is_empty() {
        columns = match more {
            0 => "none: pictures".into(),
            some => format!("{some}, which the specification names by the hash of their names"),
        };
    } else if more > question.columns.len() {
        columns += &format!(" and {} more", more - question.columns.len());
    }
    let mut all = vec![
        ("The model says", question.outcome.clone()),
        ("from", question.rows.clone()),
        ("Columns", columns),
        ("Rows", question.reading.join("; ")),
        ("Model", format!("{}; {}", question.model, counted(question.parameters, "number"))),
        ("Training", question.training.join("; ")),
        ("Metric", question.metric.clone()),
        ("Proposed by", study.proposer.clone()),
    ];
    for (what, hash) in &question.documents {
        let named = if what == "protocol" { "Protocol (SHA-256)" } else { "Ethics vote (SHA-256)" };
        all.push((named, hash.clone()));
    }
    if !question.description.is_empty() {
        all.insert(0, ("Description", question.description.replace('\n', " ")));
    }
    let rules = format!("<h3>Rules that were signed</h3>{}", list(&study.rules));
    section("question", "The question", &(pairs(&all) + &rules))
}

fn losses(document: &Document) -> String {
    let study = &document.study;
    let name = metric(&study.metric);
    let trained: Vec<&Round> = study.rounds.iter().filter(|round| round.kind != "statistics").collect();
    if trained.iter().all(|round| round.losses.is_empty()) {
        let words = format!("No site has reported a {name}: too few validation rows, or no round has closed.");
        return section("losses", "Loss by round", &paragraph(&words));
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
        let style = if many && !member.own { Style::Thin } else { Style::Line(place) };
        let named = style != Style::Thin;
        series.push(Series { name: named.then(|| member.name.clone()), points, style });
    }
    let mean = |round: &&Round| (f64::from(round.round), round.mean.unwrap_or(f64::NAN));
    let name_of_mean = "all sites, by their rows".to_owned();
    series.push(Series { name: Some(name_of_mean), points: trained.iter().map(mean).collect(), style: Style::Main });
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
         model that training began with. Of {} closed rounds the one with the lowest figure was certified.</figcaption>",
        trained.iter().filter(|round| round.kind == "round").count()
    );
    let mut body = format!("<figure>{}{}{caption}</figure>", plot.svg(), plot.legend());
    let ends: Vec<&&Round> = trained.iter().filter(|round| !round.losses.is_empty()).collect();
    let chosen = study.certificate.as_ref().map(|found| found.round);
    let mut shown: Vec<&Round> = Vec::new();
    for round in
        [ends.first().copied(), ends.iter().find(|round| Some(round.round) == chosen).copied(), ends.last().copied()]
            .into_iter()
            .flatten()
    {
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
    let cell = |value: Option<f64>| Cell::Number(value.map_or_else(|| "–".into(), number));
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (place, member) in study.members.iter().enumerate() {
        let of = |round: &&Round| {
            cell(round.losses.iter().find(|(who, _)| usize::from(*who) == place).map(|(_, loss)| *loss))
        };
        rows.push(std::iter::once(Cell::Head(member.name.clone())).chain(shown.iter().map(of)).collect());
    }
    let means = shown.iter().map(|round| cell(round.mean));
    rows.push(std::iter::once(Cell::Head("all sites, by their rows".into())).chain(means).collect());
    body += &table(&heads, &rows);
    section("losses", "Loss by round", &body)
}

/// What each site did in a round, one letter each.
fn did(round: &Round, members: usize) -> Vec<&'static str> {
    let place = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
    (0..members)
        .map(place)
        .map(|who| {
            let update = round.inputs.iter().any(|(place, _)| *place == who);
            if round.dissenters.iter().any(|(place, _)| *place == who) {
                "differs"
            } else if round.dropped.iter().any(|(place, _)| *place == who) {
                "dropped"
            } else if round.left_out.contains(&who) {
                "left out"
            } else if update && round.attesters.contains(&who) {
                "●"
            } else if update {
                "○"
            } else if round.attesters.contains(&who) {
                "checked"
            } else {
                "–"
            }
        })
        .collect()
}

fn part(document: &Document) -> String {
    let study = &document.study;
    if study.rounds.is_empty() {
        return section("part", "Who took part in which round", &paragraph("No round has closed."));
    }
    // rounds that went alike stand in one row
    let mut runs: Vec<(&Round, &Round, Vec<&'static str>)> = Vec::new();
    for round in &study.rounds {
        let said = did(round, study.members.len());
        match runs.last_mut() {
            Some((first, last, same)) if *same == said && first.kind == round.kind => *last = round,
            _ => runs.push((round, round, said)),
        }
    }
    let rows: Vec<Vec<Cell>> = runs
        .iter()
        .map(|(first, last, said)| {
            let name = match (called(first), first.round == last.round) {
                (name, true) => name,
                (_, false) => format!("rounds {} to {}", first.round, last.round),
            };
            let cell = |what: &&'static str| match *what {
                "differs" | "dropped" => Cell::Marked("bad", (*what).into()),
                "–" | "○" => Cell::Marked("dim", (*what).into()),
                other => Cell::Text(other.into()),
            };
            std::iter::once(Cell::Head(name)).chain(said.iter().map(cell)).collect()
        })
        .collect();
    let heads: Vec<&str> = std::iter::once("").chain(study.members.iter().map(|member| member.name.as_str())).collect();
    let words = "<p class=\"dim\">● sent its part, and computed the merge as the others did · ○ sent its part; enough others had computed \
                 the merge before it, by itself no fault · checked: sent nothing, and computed the merge as the others did · – no part · \
                 differs: computed another result than the others · dropped: its part was not used · left out: the merge rule passed its \
                 part over. Statistics are the sums of each column that scale the values, before the first round.</p>";
    section("part", "Who took part in which round", &(table(&heads, &rows) + words))
}

fn faults(document: &Document) -> String {
    let all = &document.faults;
    if all.is_empty() {
        let words = if document.unread.is_empty() {
            "None: no update was dropped, no site dissented or failed, and the study was never paused."
        } else {
            "None that the records of closed rounds know of. What could not be looked at stands under “What this report does not show”."
        };
        return section("faults", "What went wrong", &paragraph(words));
    }
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .take(MOST_FAULTS)
        .map(|fault| {
            vec![
                Cell::Head(fault.place.clone()),
                Cell::Number(fault.block.map_or_else(|| "–".into(), |block| block.to_string())),
                Cell::Text(fault.words.clone()),
            ]
        })
        .collect();
    let mut body = table(&["Where", "Block", "What"], &rows);
    if all.len() > MOST_FAULTS {
        body += &paragraph(&format!("and {} more, in the JSON beside this page.", all.len() - MOST_FAULTS));
    }
    section("faults", "What went wrong", &body)
}

/// What left, in words.
fn what(kind: &str) -> &str {
    match kind {
        "statistics" => "statistics of columns, before the first round",
        "update" => "updates, one for each round",
        "merged" => "merged models",
        other => other,
    }
}

fn left(document: &Document) -> String {
    if document.made.localnet {
        return String::new();
    }
    if document.left.is_empty() {
        let words = format!("Nothing, by the log of {}'s node.", document.made.by);
        return section("left", "What left our building", &paragraph(&words));
    }
    let rows: Vec<Vec<Cell>> = document
        .left
        .iter()
        .map(|sum| {
            vec![
                Cell::Head(sum.to.clone()),
                Cell::Text(what(&sum.kind).to_owned()),
                Cell::Number(sum.files.to_string()),
                Cell::Number(sum.bytes.to_string()),
                Cell::Marked("t", clock(sum.first_at_ms)),
                Cell::Marked("t", clock(sum.last_at_ms)),
            ]
        })
        .collect();
    let heads = ["To", "What", "Files", "Bytes", "First", "Last"];
    let words = format!(
        "By the log of {}'s node, which notes every file before it is sent; never rows. An update is the model after a round's training \
         at this site; statistics are each column's number of values, mean and spread.",
        document.made.by
    );
    section("left", "What left our building", &(table(&heads, &rows) + &paragraph(&words)))
}

fn certificate(document: &Document) -> String {
    let study = &document.study;
    let Some(found) = &study.certificate else {
        return section("certificate", "Certificate", &paragraph(&format!("None: the study is {}.", study.phase)));
    };
    let names = |places: &[u8]| {
        let each = places.iter().filter_map(|place| study.members.get(usize::from(*place)));
        super::answers::list(&each.map(|member| member.name.as_str()).collect::<Vec<_>>())
    };
    let all = [
        ("Round", found.round.to_string()),
        ("Model, BLAKE3", found.root.clone()),
        ("Statistics, BLAKE3", found.statistics.clone().unwrap_or_else(|| "none are used".into())),
        ("Specification, BLAKE2b-256", document.made.spec.clone()),
        ("Agreement", study.agreement.clone()),
        ("Genesis", document.made.genesis.clone()),
        ("Held by", names(&found.held)),
        ("Asked whether they hold it", names(&found.asked)),
    ];
    let mut body = paragraph(
        "The certificate says by its hashes (fingerprints) which file is the study's model, of which question, and who has it. Whoever has \
         the file can hold it to them; the commands below do.",
    );
    body += &pairs(&all);
    body += "<h3>To check it</h3>";
    for (what, command) in &found.commands {
        body += &paragraph(&format!("This {what} (FOLDER is an institution's own):"));
        body += &code(command);
    }
    body += "<h3>The certificate as text</h3>";
    body += &code(&found.text);
    section("certificate", "Certificate", &body)
}

fn made(document: &Document) -> String {
    let made = &document.made;
    let all = [
        ("Program", format!("consilium {}", made.program)),
        ("Node", made.node.clone().unwrap_or_else(|| "not known".into())),
        ("Runtime", made.runtime.map_or_else(|| "not known".into(), |version| version.to_string())),
        ("State", format!("final block {} of {}", made.block, clock(made.at_ms))),
        ("Document", format!("version {}, as JSON beside this page", document.consilium_report)),
    ];
    section("made", "Versions", &pairs(&all))
}
