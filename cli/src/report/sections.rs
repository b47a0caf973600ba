//! The parts of a report's page.

use super::{
    certified::{self, Outcome},
    document::Document,
    faults::called,
    html::{code, contents, dash, escaped, list, loud, note, page, pairs, paragraph, section, table, Cell},
    losses, measured, people, privacy, summary, sums,
};
use crate::{
    dashboard::state::Round,
    plain::{clock, counted},
};

/// Most faults that the page lists; all of them are in the document.
const MOST_FAULTS: usize = 200;

/// What nobody must take for a study of hospitals.
pub const REHEARSAL: &str =
    "A rehearsal: the “sites” of this report were folders on one computer, started by one person, and all rows lay \
    there. No hospital took part, whatever the sites are called.";

/// The page of a report.
pub fn render(document: &Document) -> String {
    let study = &document.study;
    let mut parts = summary::section(document);
    parts += &short(document);
    parts += &question(document);
    parts += &people::section(document);
    parts += &losses::section(document);
    parts += &measured::section(document);
    parts += &people::columns(document);
    parts += &privacy::section(document);
    parts += &part(document);
    parts += &faults(document);
    parts += &left(document);
    parts += &certificate(document);
    parts += &section("limits", "What this report does not show", &list(&document.limits));
    parts += &made(document);
    let body = head(document) + &contents(&parts) + &parts;
    page(&format!("Study {}: {}", study.number, study.title), &body)
}

fn head(document: &Document) -> String {
    let (study, made) = (&document.study, &document.made);
    let (state, at) = match Outcome::of(study) {
        // nothing green: it has shown that it runs, and nothing of patients
        Outcome::Model if made.localnet => ("rehearsal", study.phase.clone()),
        Outcome::Model => ("done", study.phase.clone()),
        Outcome::None => ("none", study.phase.clone()),
        Outcome::Open => ("", certified::at(study)),
    };
    let at = if made.localnet { format!("{at}, as a rehearsal") } else { at };
    let rehearsal = if made.localnet { loud(&[REHEARSAL]) } else { String::new() };
    format!(
        "<header><p class=\"by\">Report on study {} of the consortium whose chain begins with block {}…</p><h1>{}</h1>{rehearsal}<p><span \
         class=\"state {state}\">{}</span></p><p class=\"by\">Made by {}, of what was final in block {} on {}.</p></header>",
        study.number,
        escaped(made.genesis.get(..12).unwrap_or(&made.genesis)),
        escaped(&study.title),
        escaped(&at),
        escaped(&made.by),
        made.block,
        escaped(&clock(made.at_ms))
    )
}

fn short(document: &Document) -> String {
    let answers = &document.answers;
    let card = |((id, title), lines): (&(&str, &str), &Vec<String>)| {
        format!("<div id=\"{id}\"><h3>{title}</h3>{}</div>", list(lines))
    };
    let cards: String = summary::QUESTIONS.iter().zip([&answers.whom, &answers.sure, &answers.not]).map(card).collect();
    let warning: Vec<String> = certified::warning(&document.study).into_iter().collect();
    section("short", "Three questions", &format!("{}<div class=\"three\">{cards}</div>", loud(&warning)))
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
        ("The model says", format!("{}, from {}", question.outcome, question.rows)),
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
                 the merge before it, by itself no fault · checked: sent nothing, and computed the merge as the others did · – did not take part · \
                 differs: computed another result than the others · dropped: its part was not used · left out: the merge rule passed its \
                 part over. Statistics are the sums of each column that scale the values, before the first round.</p>";
    section("part", "Who took part in which round", &(table(&heads, &rows) + words + &sums::lost(study)))
}

fn faults(document: &Document) -> String {
    let all = &document.faults;
    let unread = match document.unread.is_empty() {
        true => "",
        false => {
            "<p>Not all was looked at: <a href=\"#limits\">What this report does not show</a> says what was not.</p>"
        }
    };
    if all.is_empty() {
        let words = if document.study.rounds.is_empty() {
            "Nothing that is known: no round has closed."
        } else if document.unread.is_empty() {
            "Nothing: every site took part in every round, no update was dropped, no site computed another result or failed, and the study \
             was never paused."
        } else {
            "Nothing in the closed rounds: every site took part in each, no update was dropped, and no site computed another result."
        };
        return section("faults", "What went wrong", &(paragraph(words) + unread));
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
    if rows.iter().flatten().any(dash) {
        body += &note("A dash: only the round is known, and not the block.");
    }
    if all.len() > MOST_FAULTS {
        body += &paragraph(&format!("and {} more, in the JSON beside this page.", all.len() - MOST_FAULTS));
    }
    section("faults", "What went wrong", &(body + unread))
}

/// What left, in words.
fn what(kind: &str) -> &str {
    match kind {
        "statistics" => "statistics of columns, before the first round",
        "update" => "updates, one for each round",
        "masked" => "masked files: statistics before the first round, an update in each, and the last figures; others see their sums alone",
        "merged" => "merged models",
        "initial" => "the file that the study begins with",
        "code" => "the code of the study's own trainer",
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
        let words = match Outcome::of(study) {
            Outcome::Open => {
                format!("None yet: it is given at the study's end. The study is at: {}.", certified::at(study))
            }
            _ => format!("None ({}).", study.phase),
        };
        return section("certificate", "Certificate", &paragraph(&words));
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
