//! What the models do on rows that were held out from everyone: `localnet run` alone has such, of its example data.

use super::{
    answers::{list, number},
    document::{Document, HeldOut, HeldOutModel},
    fit,
    html::{dash, note, paragraph, table, Cell},
};
use crate::{dashboard::state::Study, plain::counted};
use consilium_study::wilson;

/// Where these rows come from.
const FROM: &str = "Held out from everyone: these rows were taken from the example data before the rest was shared out among the sites. \
    No site had them, neither to train nor to choose a round by.";

fn swarm(held: &HeldOut) -> Option<&HeldOutModel> {
    held.models.iter().find(|model| model.name == "swarm")
}

/// What a model is called.
fn called(name: &str) -> String {
    match (name, name.strip_prefix("only ")) {
        ("swarm", _) => "the swarm's model".into(),
        ("central", _) => "a model of all rows in one place".into(),
        (_, Some(site)) => format!("{site}'s own model"),
        (name, None) => name.into(),
    }
}

/// The swarm's model there, beside what sites found on the rows that chose the round, and which other model is better. `yes` is what it
/// tells from everything else.
pub fn told(held: &HeldOut, study: &Study, yes: Option<&str>) -> Vec<String> {
    let Some(swarm) = swarm(held) else { return Vec::new() };
    let mut lines = vec![format!(
        "On {} that were held out from everyone, before the sites got theirs: {}.",
        counted(held.rows, "row"),
        fit::first_held_out(swarm)
    )];
    lines.extend(at_cut(held, swarm, yes));
    let Some(loss) = swarm.log_loss else {
        lines.extend(better_fit(held, swarm));
        return lines;
    };
    let certified = study.certificate.as_ref().map(|found| found.round);
    let round = study.rounds.iter().find(|closed| closed.kind == "round" && Some(closed.round) == certified);
    // the chain's figure is comparable only where it is of the same measure
    let chosen = round.filter(|_| study.metric == "log_loss").and_then(|round| Some((round, round.mean?)));
    lines.push(match chosen {
        Some((round, mean)) => {
            let (some, all) = (round.losses.len(), study.members.len());
            let by = "each counting by its training rows, on the validation rows that chose the round";
            let of = match some < all {
                // with masks nobody sees a site's own figure
                _ if study.masked => "over all sites' validation rows together, which chose the round".to_owned(),
                true => format!("as the mean of {some} of {all} sites, {by}"),
                false => format!("as the mean of all {all} sites, {by}"),
            };
            format!(
                "The swarm's model has a log-loss of {} on these rows, and of {} {of}: of new rows the former tells more.",
                number(loss),
                number(mean)
            )
        }
        None => format!("The swarm's model has a log-loss of {} on these rows.", number(loss)),
    });
    let better: Vec<String> = held
        .models
        .iter()
        .filter(|model| model.name != "swarm" && model.log_loss.is_some_and(|own| own < loss))
        .map(|model| format!("{} ({})", called(&model.name), number(model.log_loss.unwrap_or(f64::NAN))))
        .collect();
    if !better.is_empty() {
        lines.push(format!(
            "On these rows the swarm's model was not the best: its log-loss is {}, and lower is that of {}. These \
             differences have no interval, and may be chance.",
            number(loss),
            list(&better)
        ));
    }
    lines
}

/// What a clinician asks first: how many it finds, and how many of the others it leaves alone.
fn at_cut(held: &HeldOut, swarm: &HeldOutModel, yes: Option<&str>) -> Option<String> {
    let (cut, at, yes, some) = (swarm.cut?, swarm.at_cut?, yes?, held.positives?);
    let (found, left) = (at.sensitivity?, at.specificity?);
    let others = held.rows.saturating_sub(some);
    let count = |share: f64, of: u64| (share * of as f64).round() as u64;
    let share = |share: f64, of: u64| match wilson(count(share, of), of) {
        Some((low, high)) => format!("{}, 95\u{a0}% interval {} to {}", number(share), number(low), number(high)),
        None => number(share),
    };
    Some(format!(
        "At the cut of all sites' validation rows together, {}, the swarm's model calls {} of the {} that are “{yes}” so (sensitivity {}), and \
         does not call {} of the {} others so \
         (specificity {}).",
        number(cut),
        count(found, some),
        counted(some, "row"),
        share(found, some),
        count(left, others),
        others,
        share(left, others)
    ))
}

/// Which other model is better where there is no log-loss, as of a number.
fn better_fit(held: &HeldOut, swarm: &HeldOutModel) -> Option<String> {
    let (name, value) = fit::named(swarm.fit?);
    let own = |model: &HeldOutModel| model.fit.map(|found| fit::named(found).1);
    let better: Vec<String> = held
        .models
        .iter()
        .filter(|model| model.name != "swarm")
        .filter_map(|model| {
            Some(format!("{} ({})", called(&model.name), number(own(model).filter(|own| *own > value)?)))
        })
        .collect();
    (!better.is_empty()).then(|| {
        format!(
            "On these rows the swarm's model was not the best: its {name} is {}, and higher is that of {}. These differences have no \
             interval, and may be chance.",
            number(value),
            list(&better)
        )
    })
}

/// Whose the cut is at which these rows are measured.
pub fn cut(held: &HeldOut) -> Option<String> {
    let cut = swarm(held)?.cut?;
    Some(format!(
        "“Of all sites”, on the rows held out from everyone, which have no site, is the one that the validation rows of all sites together ask for: {}.",
        number(cut)
    ))
}

/// The table of all models.
pub fn section(document: &Document) -> String {
    let Some(held) = &document.held_out else { return String::new() };
    let value = |value: Option<f64>| Cell::Number(value.map_or_else(|| "–".into(), number));
    let rows: Vec<Vec<Cell>> = held
        .models
        .iter()
        .map(|model| {
            let interval = match model.auc_interval {
                Some((low, high)) => format!("{} to {}", number(low), number(high)),
                None => "–".into(),
            };
            vec![Cell::Head(called(&model.name)), value(model.log_loss), value(model.auc), Cell::Number(interval)]
        })
        .collect();
    let some = held.positives.map_or_else(String::new, |some| format!(", {some} of them positive"));
    let lines = told(held, &document.study, document.question.classes.first().map(String::as_str));
    let classes = || {
        let dashes = match rows.iter().flatten().any(dash) {
            true => note(
                "A dash: not defined on these rows. An AUC takes rows of more than one class, and has an interval of two classes alone, \
                 where some rows are in the wrong order.",
            ),
            false => String::new(),
        };
        table(&["Model", "Log-loss", "AUC", "95 % interval of the AUC"], &rows) + &dashes
    };
    let table = fit::held_out(held, called).unwrap_or_else(classes);
    format!("<h3>On {} held out from everyone{some}</h3>", counted(held.rows, "row"))
        + &note(FROM)
        + &table
        + &paragraph(&lines.get(1..).unwrap_or_default().join(" "))
}
