//! Sentences on single sites: what each has found, whose loss is unlike that of the others, and where two measures say different things.

use super::{
    answers::{list, metric, named, number, signed},
    document::Told,
    fit,
};
use crate::dashboard::state::Study;
use consilium_study::{fixed, MeasuredOn, Metric, Verdict};

/// From which factor on a site's loss is unlike that of the others.
const FACTOR: f64 = 2.0;
/// Most of such sites that have a sentence each; the others are named.
const MOST: usize = 5;

/// One site's figures in a sentence.
pub fn one(told: &Told) -> String {
    let figures = &told.figures;
    let on = match figures.on {
        MeasuredOn::TestFile => "rows of a table of its own",
        MeasuredOn::Validation => "validation rows",
    };
    let share = figures.positives.map_or_else(String::new, |some| format!(", {some} of them positive"));
    let versus = match (told.verdict, figures.difference) {
        (Verdict::Better, _) => "better than its own model",
        (Verdict::Worse, _) => "worse than its own model",
        (Verdict::CannotTell, Some(difference)) if difference.interval.is_some() => {
            "cannot tell whether better or worse than its own model"
        }
        (Verdict::CannotTell, _) => "cannot tell whether better than its own model: too few rows",
    };
    let difference = match figures.difference.and_then(|difference| Some((difference.value, difference.interval?))) {
        Some((value, (low, high))) => {
            let name = named(figures.metric);
            format!(" ({name}, swarm minus own: {}, 95 % interval {} to {})", signed(value), signed(low), signed(high))
        }
        None => String::new(),
    };
    let at = figures.at_cut.and_then(|at| Some((figures.cut?, at.sensitivity?, at.specificity?)));
    let at = at.map_or_else(String::new, |(cut, sensitivity, specificity)| {
        format!(
            "; at the cut of its own validation rows, {}: sensitivity {}, specificity {}",
            number(cut),
            number(sensitivity),
            number(specificity)
        )
    });
    format!("At {}, on {} {on}{share}: {}{at}; {versus}{difference}.", told.site, figures.rows, fit::first(figures))
}

/// A site whose loss is unlike that of the others.
struct Apart<'a> {
    site: &'a str,
    loss: f64,
    /// The median of the others.
    others: f64,
}

/// The middle one of these; both of an even number, the lower one first.
fn middle(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some((*values.get(last / 2)?, *values.get(values.len() / 2)?))
}

/// The sites whose loss is at least [`FACTOR`] times the median of the others, or at most that part of it. A low one must be below the lower of two
/// middle ones, too: of three sites one high loss would else make the others low. Of two sites the higher one alone is told.
fn apart<'a>(losses: &[(&'a str, f64)]) -> Vec<Apart<'a>> {
    let one = |n: usize| {
        let (site, loss) = *losses.get(n)?;
        let rest = losses.iter().enumerate().filter(|(other, _)| *other != n);
        let (lower, upper) = middle(rest.map(|(_, (_, loss))| *loss).collect())?;
        let others = (lower + upper) / 2.0;
        let high = loss >= FACTOR * others;
        let low = losses.len() > 2 && loss < lower && FACTOR * loss <= lower;
        // what is too small to be told apart in three decimals is not unlike
        ((high || low) && number(loss) != number(others)).then_some(Apart { site, loss, others })
    };
    (0..losses.len()).filter_map(one).collect()
}

/// The losses of the certified model that compare with each other, each group with the rows that it is of: those of the certified round that
/// the chain has, and those that were measured after the study on other rows.
fn losses<'a>(study: &'a Study, figures: &'a [Told]) -> Vec<(String, Vec<(&'a str, f64)>)> {
    let certified = study.certificate.as_ref().map(|found| found.round);
    let round = study.rounds.iter().find(|closed| closed.kind == "round" && Some(closed.round) == certified);
    let mut groups = Vec::new();
    if let Some(round) = round.filter(|round| !round.losses.is_empty()) {
        let of = |(place, loss): &(u8, f64)| Some((study.members.get(usize::from(*place))?.name.as_str(), *loss));
        let told = round.losses.iter().filter_map(of).collect();
        groups.push((format!("on its own validation rows, in round {}", round.round), told));
    }
    // of the chain's rows once
    let chain = !groups.is_empty();
    for (on, words) in [
        (MeasuredOn::Validation, "on its own validation rows, measured after the study"),
        (MeasuredOn::TestFile, "on a table of its own, measured after the study"),
    ] {
        if on == MeasuredOn::Validation && chain {
            continue;
        }
        let of = |told: &&'a Told| told.figures.on == on;
        let loss = |told: &'a Told| Some((told.site.as_str(), told.figures.swarm.metric?));
        groups.push((words.to_owned(), figures.iter().filter(of).filter_map(loss).collect()));
    }
    groups
}

/// The names of sites whose loss is high beside that of the others.
pub fn high<'a>(study: &'a Study, figures: &'a [Told]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (_, group) in losses(study, figures) {
        for found in apart(&group).iter().filter(|found| found.loss > found.others) {
            if !names.contains(&found.site) {
                names.push(found.site);
            }
        }
    }
    names
}

/// A sentence on each such site, with both numbers.
pub fn stands_out(study: &Study, figures: &[Told]) -> Vec<String> {
    let (name, mut lines) = (metric(&study.metric), Vec::new());
    for (rows, group) in losses(study, figures) {
        let found = apart(&group);
        let (them, beside) = match group.len() {
            2 => ("other", "the other site has".to_owned()),
            all => ("others", format!("the median of the other {} sites is", all.saturating_sub(1))),
        };
        for Apart { site, loss, others } in found.iter().take(MOST) {
            let (more, less, word) = if loss > others { (loss, others, "higher") } else { (others, loss, "lower") };
            let by = if *less > 0.0 { format!(" by a factor of {}", fixed(more / less, 1)) } else { String::new() };
            lines.push(format!(
                "{site} is unlike the {them}: the {name} of the swarm's model there, {rows}, is {}, and {beside} {}: it is {word}{by}. \
                 Other patients, another way to measure or to code, or few rows may be why; nothing here says which.",
                number(*loss),
                number(*others)
            ));
        }
        let more: Vec<&str> = found.iter().skip(MOST).map(|found| found.site).collect();
        if !more.is_empty() {
            lines.push(format!("So it is, {rows}, at {}.", list(&more)));
        }
    }
    lines
}

/// Where the agreed measure says better or worse, and the interval of the AUC's difference holds 0.
pub fn two_measures(figures: &[Told]) -> Vec<String> {
    let open = |told: &&Told| {
        let ends = told.figures.auc_difference.and_then(|difference| difference.interval);
        ends.is_some_and(|(low, high)| low <= 0.0 && high >= 0.0)
    };
    let mut lines = Vec::new();
    for (verdict, word, came, order) in [
        (Verdict::Better, "better", "came nearer to", "better"),
        (Verdict::Worse, "worse", "went further from", "worse"),
    ] {
        let of = |told: &&Told| {
            told.verdict == verdict && matches!(told.figures.metric, Metric::LogLoss | Metric::Brier) && open(told)
        };
        let found: Vec<&Told> = figures.iter().filter(of).collect();
        let Some(first) = found.first() else { continue };
        let sites: Vec<&str> = found.iter().map(|told| told.site.as_str()).collect();
        lines.push(format!(
            "At {} the swarm's model is {word} than the own one by the {}, while the interval of the difference of the AUCs holds 0. The two \
             measure different things: the probabilities {came} what came true; that the model puts people in a {order} order is not shown.",
            list(&sites),
            named(first.figures.metric)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_held_against_the_median_of_the_others() {
        let names = |losses: &[(&'static str, f64)]| apart(losses).iter().map(|found| found.site).collect::<Vec<_>>();
        assert_eq!(names(&[("a", 0.2), ("b", 0.3), ("c", 0.49)]), Vec::<&str>::new());
        // the median of .2 and .3
        assert_eq!(names(&[("a", 0.2), ("b", 0.3), ("c", 0.5)]), ["c"]);
        assert_eq!(names(&[("a", 0.1), ("b", 0.3), ("c", 0.3), ("d", 0.3)]), ["a"]);
        // one that is high makes no other low
        assert_eq!(names(&[("a", 0.3), ("b", 0.3), ("c", 0.9)]), ["c"]);
        assert_eq!(names(&[("a", 0.3), ("b", 0.9), ("c", 0.9)]), ["a"]);
        // of two, once; of one, never; of the same, never
        assert_eq!(names(&[("a", 0.2), ("b", 0.5)]), ["b"]);
        assert!(names(&[("a", 0.2)]).is_empty() && names(&[]).is_empty());
        assert!(names(&[("a", 0.0), ("b", 0.0), ("c", 0.000_2)]).is_empty());
        assert_eq!(names(&[("a", 0.0), ("b", 0.0), ("c", 0.2)]), ["c"]);
        assert_eq!((middle(vec![3.0, 1.0, 2.0]), middle(Vec::new())), (Some((2.0, 2.0)), None));
        assert_eq!(middle(vec![4.0, 1.0, 9.0, 2.0]), Some((2.0, 4.0)));
    }
}
