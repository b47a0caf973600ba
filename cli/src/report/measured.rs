//! The part of the page that says what was measured at sites: the swarm's model beside each site's own.

use super::{
    answers::{auc, constant, list, named, number, signed},
    areas,
    certified::{names, Lacks},
    chart::{intervals, Interval, Plot, Series, Style},
    cut,
    document::{Document, Source, Told},
    fit, held_out,
    html::{dash, escaped, note, paragraph, section as part, table, Cell},
    losses::{line, means, reading},
    measures::CALIBRATION,
    unmeasured,
};
use crate::plain::counted;
use consilium_study::{Curves, Difference, MeasuredOn, ModelFigures, Verdict, ROC_STEPS};

/// The whole part.
pub fn section(document: &Document) -> String {
    let title = "Swarm or own model?";
    if document.figures.is_empty() {
        return part("figures", title, &unmeasured::body(document));
    }
    let mut body = words(document);
    body += &compared(document);
    body += &differences(document);
    body += &areas::section(document);
    body += &fit::section(document);
    body += &own_rounds(document);
    if document.question.binary {
        body += &cut::section(document);
        body += "<h3>ROC and calibration at each site</h3>";
        if document.figures.iter().any(|told| told.figures.swarm.curves.is_some()) {
            body += &note(CALIBRATION);
        }
        document.figures.iter().for_each(|told| body += &curves(told));
        body += &unmeasured::too_few(document);
    }
    body += &held_out::section(document);
    part("figures", title, &body)
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "good",
        Verdict::Worse => "bad",
        Verdict::CannotTell => "dim",
    }
}

/// How to read it.
fn words(document: &Document) -> String {
    let metric = document.figures.first().map_or("log-loss", |told| named(told.figures.metric));
    let mut text = paragraph(&format!(
        "Each site's rows were given to the swarm's model and to one that was trained on that site's training rows alone, for as many \
         rounds, and chosen among them in the same way. Better or worse: the 95 % interval of the mean difference of the {metric} lies on \
         one side of 0. Cannot tell: it holds 0, or there are too few rows for an interval."
    ));
    let losing = document.losing();
    if !losing.is_empty() {
        text += &paragraph("Sites that lose stand first.");
        text += &format!("<p class=\"bad\">Lose by joining: {}.</p>", escaped(&list(&losing)));
    }
    text
}

fn value(value: Option<f64>) -> Cell {
    Cell::Number(value.map_or_else(|| "–".into(), number))
}

/// A difference with its interval.
pub fn difference(difference: Option<Difference>) -> String {
    match difference {
        None => "–".into(),
        Some(Difference { value, interval: None }) => format!("{}, no interval", signed(value)),
        Some(Difference { value, interval: Some((low, high)) }) => {
            format!("{} ({} to {})", signed(value), signed(low), signed(high))
        }
    }
}

fn compared(document: &Document) -> String {
    let central = document.figures.iter().any(|told| told.figures.central.is_some());
    let mut heads = vec!["Site", "Rows", "Own model", "Swarm's model"];
    if central {
        heads.push("All rows in one place");
    }
    heads.extend(["Swarm − own (95 %)", "The swarm's model is", "Measured"]);
    let rows: Vec<Vec<Cell>> = document
        .figures
        .iter()
        .map(|told| {
            let figures = &told.figures;
            let on = match figures.on {
                MeasuredOn::TestFile => "of its own table",
                MeasuredOn::Validation => "validation",
            };
            let rows = match figures.positives {
                Some(some) => format!("{} {on}, {some} positive", figures.rows),
                None => format!("{} {on}", figures.rows),
            };
            let grouped = if figures.groups < figures.rows {
                format!("{rows}, of {}", counted(figures.groups.into(), "group"))
            } else {
                rows
            };
            let mut cells = vec![
                Cell::Head(told.site.clone()),
                Cell::Text(grouped),
                value(figures.alone.metric),
                value(figures.swarm.metric),
            ];
            if central {
                cells.push(value(figures.central.as_ref().and_then(|model| model.metric)));
            }
            let source = match told.source {
                Source::OneMachine => "on this computer",
                Source::Own => "here, not signed",
                Source::Signed => "there, signed",
            };
            cells.extend([
                Cell::Number(difference(figures.difference)),
                Cell::Marked(class(told.verdict), told.verdict.to_string()),
                Cell::Text(source.into()),
            ]);
            cells
        })
        .collect();
    let grouped = document.figures.iter().any(|told| told.figures.groups < told.figures.rows);
    let mut notes = vec![format!(
        "Own model and swarm's model: the {} of either, which is the measure that was agreed; lower is better. Intervals take {}.",
        document.figures.first().map_or("metric", |told| named(told.figures.metric)),
        if grouped { "rows of one group (a patient) together" } else { "each row for itself" }
    )];
    if let Some(lacks) = Lacks::of(&document.study).filter(|lacks| !lacks.figures.is_empty()) {
        notes.push(format!(
            "The figures were measured after the study, at all of these sites; while it ran, {} did not measure round {}, so that “Loss by \
             round” has a dash there.",
            names(&document.study, &lacks.figures),
            lacks.round.round
        ));
    }
    let constants: Vec<String> = document
        .figures
        .iter()
        .filter_map(|told| Some(format!("{} {}", told.site, number(constant(&told.figures)?))))
        .collect();
    if !constants.is_empty() {
        notes.push(format!(
            "To compare with: what knows nothing of a person, and says of everybody the share of positives among these rows, has {}.",
            constants.join(", ")
        ));
    }
    if central {
        notes.push(
            "All rows in one place: a model that was trained on the rows of all sites together, which only a rehearsal has.".into(),
        );
    }
    if document.figures.iter().any(|told| told.figures.on == MeasuredOn::Validation) {
        notes.push(
            "Validation rows do not train, but have chosen the round of either model: figures on them flatter both."
                .into(),
        );
    }
    if rows.iter().flatten().any(dash) {
        notes.push("A dash: the figure is not defined on these rows, or is no finite number.".into());
    }
    let notes: String = notes.iter().map(|note| format!("<p class=\"dim\">{}</p>", escaped(note))).collect();
    table(&heads, &rows) + &notes
}

fn differences(document: &Document) -> String {
    let rows: Vec<Interval> = document
        .figures
        .iter()
        .filter_map(|told| {
            let found = told.figures.difference?;
            Some(Interval {
                name: told.site.clone(),
                value: found.value,
                ends: found.interval,
                words: told.verdict.to_string(),
            })
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let metric = document.figures.first().map_or("log-loss", |told| named(told.figures.metric));
    let title = format!("difference of the {metric}, swarm minus own, by site, with 95 % intervals");
    let svg = intervals(&title, ("the swarm's model is better", "the own model is better"), &rows);
    format!("<figure>{svg}<figcaption>Mean difference of the {metric}, swarm − own, with 95\u{a0}% intervals.</figcaption></figure>")
}

/// How the own models fared round by round.
fn own_rounds(document: &Document) -> String {
    let points = |model: &ModelFigures| {
        let each = model.by_round.iter().enumerate();
        each.map(|(n, value)| ((n + 1) as f64, value.unwrap_or(f64::NAN))).collect::<Vec<_>>()
    };
    let mut series: Vec<Series> = Vec::new();
    // in the order of the study's members, so that a site has one colour on the whole page
    for (place, member) in document.study.members.iter().enumerate() {
        let Some(told) = document.figures.iter().find(|told| told.site == member.name) else { continue };
        let points = points(&told.figures.alone);
        if points.iter().any(|(_, value)| value.is_finite()) {
            series.push(Series {
                name: Some(format!("{}, own", member.name)),
                points,
                style: Style::Line(line(&document.study, place)),
            });
        }
    }
    if let Some(central) = document.figures.iter().find_map(|told| told.figures.central.as_ref()) {
        let points = points(central);
        if points.iter().any(|(_, value)| value.is_finite()) {
            series.push(Series {
                name: Some(
                    "a model of all rows in one place, on all validation rows together, each row counting once".into(),
                ),
                points,
                style: Style::Reference,
            });
        }
    }
    if series.is_empty() {
        return String::new();
    }
    series.extend(means(&document.study, 1));
    let metric = document.figures.first().map_or("log-loss", |told| named(told.figures.metric));
    let plot = Plot {
        title: format!("{metric} of each site's own model after each round, beside the swarm's"),
        x: "round",
        y: metric,
        range: None,
        whole: true,
        size: (760.0, 280.0),
        bars: Vec::new(),
        mark: None,
        series,
    };
    let mut words = reading(&document.study, 1);
    if plot.series.iter().any(|series| series.style == Style::Reference) {
        words += " The dashed line weighs otherwise: each validation row counts once, whichever site has it.";
    }
    let own = |told: &&Told| told.figures.alone.by_round.iter().any(Option::is_none);
    let without: Vec<&str> = document.figures.iter().filter(own).map(|told| told.site.as_str()).collect();
    if !without.is_empty() {
        words += &format!(
            " A gap in the line of an own model, or no line, is of rounds that its site has no figure of, as with too few validation rows: so at {}.",
            list(&without)
        );
    }
    format!(
        "<h3>Own models round by round: {metric}</h3><figure>{}{}<figcaption>Each on its site's validation rows. A line that rises again learns its rows by \
         heart (overfitting). {}</figcaption></figure>",
        plot.svg(),
        plot.legend(),
        escaped(&words)
    )
}

/// What is said at one site of curves.
fn curves(told: &Told) -> String {
    let figures = &told.figures;
    let Some(swarm) = &figures.swarm.curves else { return String::new() };
    let mut body = format!("<h4>{}</h4>", escaped(&told.site));
    let mut roc = vec![Series { name: None, points: vec![(0.0, 0.0), (1.0, 1.0)], style: Style::Reference }];
    if let Some(alone) = &figures.alone.curves {
        roc.push(Series { name: Some("own".into()), points: steps(alone), style: Style::Line(1) });
    }
    roc.push(Series { name: Some("swarm".into()), points: steps(swarm), style: Style::Main });
    let square = (340.0, 300.0);
    let unit = Some(((0.0, 1.0), (0.0, 1.0)));
    let roc = Plot {
        title: format!("ROC curve at {}", told.site),
        x: "1 − specificity",
        y: "sensitivity",
        range: unit,
        whole: false,
        size: square,
        bars: Vec::new(),
        mark: None,
        series: roc,
    };
    let dots = swarm.calibration.iter().map(|bin| (bin.said, bin.found));
    // dots by themselves: a line between tenths says nothing
    let dots: Vec<(f64, f64)> = dots.flat_map(|dot| [dot, (f64::NAN, f64::NAN)]).collect();
    let calibration = Plot {
        title: format!("calibration of the swarm's model at {}", told.site),
        x: "probability that it says",
        y: "share that came true",
        range: unit,
        whole: false,
        size: square,
        bars: swarm.calibration.iter().map(|bin| (bin.said, bin.interval.0, bin.interval.1)).collect(),
        mark: None,
        series: vec![
            Series { name: None, points: vec![(0.0, 0.0), (1.0, 1.0)], style: Style::Reference },
            Series { name: None, points: dots, style: Style::Main },
        ],
    };
    body += &format!(
        "<div class=\"pair\"><figure>{}{}<figcaption>ROC. Swarm: {}. Own: {}.</figcaption></figure><figure>{}<figcaption>{}</figcaption>\
         </figure></div>",
        roc.svg(),
        roc.legend(),
        escaped(&auc(figures.swarm.auc, figures.swarm.auc_interval)),
        escaped(&auc(figures.alone.auc, figures.alone.auc_interval)),
        calibration.svg(),
        escaped(&calibrated(swarm))
    );
    body
}

/// A ROC curve's points: each step's sensitivity holds from its false-positive share on.
fn steps(curves: &Curves) -> Vec<(f64, f64)> {
    let at = |k: usize| k as f64 / f64::from(ROC_STEPS);
    let mut points = vec![(0.0, 0.0)];
    for (k, sensitivity) in curves.roc.iter().enumerate() {
        if let Some((_, before)) = points.last().copied() {
            points.push((at(k), before));
        }
        points.push((at(k), *sensitivity));
    }
    points
}

/// What slope and intercept say.
fn calibrated(curves: &Curves) -> String {
    let mut text =
        "Calibration, by tenths of the rows, with 95 % intervals that take rows for independent. ".to_owned();
    text += &match (curves.slope, curves.in_the_large) {
        (Some(slope), Some(large)) => format!(
            "Slope {} (1 is right; below 1: probabilities too far from one half), intercept at slope 1 {} (0 is right; below 0: \
             probabilities too high).",
            number(slope),
            signed(large)
        ),
        _ => "Slope and intercept are not defined.".into(),
    };
    text
}
