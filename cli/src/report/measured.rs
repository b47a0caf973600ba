//! The part of the page that says what was measured at sites: the swarm's model beside each site's own.

use super::{
    answers::{auc, constant, named, named_fit, number},
    chart::{intervals, Interval, Plot, Series, Style},
    document::{Document, HeldOutModel, Source, Told},
    html::{escaped, paragraph, section as part, table, Cell},
};
use crate::plain::counted;
use consilium_study::{Curves, Difference, MeasuredOn, ModelFigures, SiteFigures, Verdict, MIN_FOR_CURVES, ROC_STEPS};

/// The whole part.
pub fn section(document: &Document) -> String {
    let title = "Swarm or own model?";
    if document.figures.is_empty() {
        let words = format!(
            "Not known: to tell, each site must train a model of its own rows alone. `consilium study figures {} --dir FOLDER --out \
             figures.json` does that at a site, after the study and for as many rounds, and signs what it finds; `consilium report {0} \
             --figures figures.json …` takes in such files.",
            document.study.number
        );
        return part("figures", title, &paragraph(&words));
    }
    let mut body = words(document);
    body += &compared(document);
    body += &differences(document);
    body += &own_rounds(document);
    if document.question.binary {
        body += "<h3>ROC, calibration and cut at each site</h3>";
        document.figures.iter().for_each(|told| body += &curves(told, document));
    }
    body += &held_out(document);
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
         one side of 0. Cannot tell: it holds 0, or there are too few rows for an interval. Sites that lose stand first."
    ));
    let losing = document.losing();
    if !losing.is_empty() {
        text += &format!("<p class=\"bad\">Lose by joining: {}.</p>", escaped(&super::answers::list(&losing)));
    }
    text
}

fn value(value: Option<f64>) -> Cell {
    Cell::Number(value.map_or_else(|| "–".into(), number))
}

fn signed(value: f64) -> String {
    // a true minus, as wide as a plus
    format!("{value:+.3}").replace('-', "−")
}

/// A difference with its interval.
fn difference(difference: Option<Difference>) -> String {
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
    let mut heads = vec!["Site", "Rows", "Own", "Swarm"];
    if central {
        heads.push("Central");
    }
    // of an outcome that is no class there is no AUC
    let fit = document.figures.iter().find_map(|told| told.figures.swarm.fit).map(|fit| named_fit(fit).0);
    let of_fit = fit.map(|name| [format!("{name} own"), format!("{name} swarm")]);
    heads.extend(["Swarm − own (95 %)", ""]);
    match &of_fit {
        Some(names) => heads.extend(names.iter().map(String::as_str)),
        None => heads.extend(["AUC own", "AUC swarm", "AUC, swarm − own (95 %)"]),
    }
    heads.push("Source");
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
                Source::OneMachine => "one machine",
                Source::Own => "own, unsigned",
                Source::Signed => "signed",
            };
            cells.extend([
                Cell::Number(difference(figures.difference)),
                Cell::Marked(class(told.verdict), told.verdict.to_string()),
            ]);
            let of = |model: &ModelFigures| model.fit.map(|fit| named_fit(fit).1);
            if fit.is_some() {
                cells.extend([value(of(&figures.alone)), value(of(&figures.swarm))]);
            } else {
                cells.extend([
                    value(figures.alone.auc),
                    value(figures.swarm.auc),
                    Cell::Number(difference(figures.auc_difference)),
                ]);
            }
            cells.push(Cell::Text(source.into()));
            cells
        })
        .collect();
    let mut notes = vec![
        "Own, swarm, central: the agreed metric; lower is better. Intervals take rows of one group (a patient) together.".to_owned(),
    ];
    let constants: Vec<String> = document
        .figures
        .iter()
        .filter_map(|told| Some(format!("{} {}", told.site, number(constant(&told.figures)?))))
        .collect();
    if !constants.is_empty() {
        notes.push(format!(
            "To compare with: whoever says of everybody the share of positives among these rows has {}.",
            constants.join(", ")
        ));
    }
    if document.figures.iter().any(|told| told.figures.on == MeasuredOn::Validation) {
        notes.push(
            "Validation rows do not train, but have chosen the round of either model: figures on them flatter both."
                .into(),
        );
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
    let title = format!("difference of the {metric}, swarm less own, by site, with 95 % intervals");
    let svg = intervals(&title, ("the swarm's model is better", "the own model is better"), &rows);
    format!("<figure>{svg}<figcaption>Mean difference of the {metric}, swarm − own, with 95 % intervals.</figcaption></figure>")
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
            series.push(Series { name: Some(format!("{}, own", member.name)), points, style: Style::Line(place) });
        }
    }
    if let Some(central) = document.figures.iter().find_map(|told| told.figures.central.as_ref()) {
        let points = points(central);
        if points.iter().any(|(_, value)| value.is_finite()) {
            series.push(Series {
                name: Some("central, on all validation rows".into()),
                points,
                style: Style::Reference,
            });
        }
    }
    if series.is_empty() {
        return String::new();
    }
    let mean = document.study.rounds.iter().filter(|round| round.kind == "round");
    let mean: Vec<(f64, f64)> = mean.map(|round| (f64::from(round.round), round.mean.unwrap_or(f64::NAN))).collect();
    series.push(Series { name: Some("swarm, all sites by their rows".into()), points: mean, style: Style::Main });
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
    format!(
        "<figure>{}{}<figcaption>Own models round by round, each on its site's validation rows. A line that rises again learns its rows by \
         heart.</figcaption></figure>",
        plot.svg(),
        plot.legend()
    )
}

/// What is said at one site of curves and cut.
fn curves(told: &Told, document: &Document) -> String {
    let figures = &told.figures;
    let mut body = format!("<h4>{}</h4>", escaped(&told.site));
    body += &paragraph(&cut(figures, document));
    let Some(swarm) = &figures.swarm.curves else {
        let some = figures.positives.unwrap_or_default();
        return body
            + &paragraph(&format!(
                "ROC and calibration: too few. {} of {} rows are positive; curves are shown from {MIN_FOR_CURVES} rows of each class on.",
                some, figures.rows
            ));
    };
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

fn cut(figures: &SiteFigures, document: &Document) -> String {
    let yes = document.question.classes.first().map_or("yes", String::as_str);
    let Some(cut) = figures.cut else {
        return "Cut: too few validation rows to choose one by, or none parts the classes.".into();
    };
    let share = |value: Option<f64>| value.map_or_else(|| "not defined".into(), number);
    let measured = match figures.at_cut {
        Some(at) => format!(
            "On rows that did not choose it: sensitivity {}, specificity {}, of those called {yes} {} are, of the others {} are not.",
            share(at.sensitivity),
            share(at.specificity),
            share(at.ppv),
            share(at.npv)
        ),
        None => "No figures are shown at it: the rows at hand have chosen it.".into(),
    };
    format!(
        "Cut: say {yes} from a probability of {} on (highest Youden's J on validation rows). {measured}",
        number(cut)
    )
}

fn held_out(document: &Document) -> String {
    let Some(held) = &document.held_out else { return String::new() };
    let rows: Vec<Vec<Cell>> = held
        .models
        .iter()
        .map(|model| {
            let interval = match model.auc_interval {
                Some((low, high)) => format!("{} to {}", number(low), number(high)),
                None => "–".into(),
            };
            vec![Cell::Head(model.name.clone()), value(model.log_loss), value(model.auc), Cell::Number(interval)]
        })
        .collect();
    let some = held.positives.map_or_else(String::new, |some| format!(", {some} of them positive"));
    if let Some(name) = held.models.iter().find_map(|model| model.fit).map(|fit| named_fit(fit).0) {
        let row =
            |model: &HeldOutModel| vec![Cell::Head(model.name.clone()), value(model.fit.map(|fit| named_fit(fit).1))];
        return format!("<h3>On {} held out from everyone</h3>", counted(held.rows, "row"))
            + &table(&["Model", name], &held.models.iter().map(row).collect::<Vec<_>>());
    }
    format!("<h3>On {} held out from everyone{some}</h3>", counted(held.rows, "row"))
        + &table(&["Model", "Log-loss", "AUC", "95 % interval of the AUC"], &rows)
}
