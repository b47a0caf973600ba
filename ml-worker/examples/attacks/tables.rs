//! What is printed. Losses are in thousandths.

use super::{
    attack::Attack,
    report::{Loss, Losses, Record, Spread, ALARMS, HONEST},
    rule::Rule,
    world::Data,
    CASES,
};
use std::fmt::Write as _;

/// Width of a rule's name.
const NAME: usize = 19;

/// One of several numbers' figures.
type Part = fn(Spread) -> f64;

/// All tables.
pub fn all(data: Data, records: &[Record]) -> String {
    let losses = Losses::of(records);
    let score = if data == Data::Breast { "AUC" } else { "accuracy" };
    let mut out =
        format!("{}. Loss of {score} against the honest mean, in thousandths. * in this bench only.\n", data.name());
    for (sites, liars) in CASES {
        let mut seeds: Vec<u64> = records.iter().filter(|r| r.sites == sites).map(|r| r.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
        let _ = writeln!(out, "{liars} of {sites}: seeds {}", seeds.join(" "));
    }
    summary(&mut out, &losses, score);
    success(&mut out, &losses);
    alarms(&mut out, records, score);
    if data == Data::Breast {
        bars(&mut out, &losses);
    } else {
        best(&mut out, &losses);
    }
    for (sites, liars) in CASES {
        if losses.at(sites, Rule::Mean, HONEST).is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{liars} of {sites}, {score}, mean over seeds and liars");
        in_full(&mut out, (sites, liars), |rule, attack| {
            let left = Spread::of(losses.at(sites, rule, attack).iter().map(|loss| loss.left))?.mean;
            Some(format!("{left:.3}"))
        });
        let parts: [(&str, Part); 3] = [("mean", |s| s.mean), ("95th percentile", |s| s.high), ("worst", |s| s.worst)];
        for (name, part) in parts {
            let _ = writeln!(out, "\n{liars} of {sites}, loss, {name} over seeds and liars");
            in_full(&mut out, (sites, liars), |rule, attack| {
                scores(losses.at(sites, rule, attack)).map(|spread| thousandths(part(spread)))
            });
        }
    }
    out
}

fn thousandths(number: f64) -> String {
    let number = number * 1000.0;
    // + 0.0: no −0
    if number.abs() < 99.95 {
        format!("{:.1}", (number * 10.0).round() / 10.0 + 0.0)
    } else {
        format!("{number:.0}")
    }
}

fn scores(losses: &[Loss]) -> Option<Spread> {
    Spread::of(losses.iter().map(|loss| loss.score))
}

/// The attack with the largest mean loss.
fn worst_attack(losses: &Losses<'_>, sites: usize, rule: Rule) -> Option<(String, Spread)> {
    let all = Attack::ALL.into_iter().filter_map(|attack| {
        let name = attack.name();
        scores(losses.at(sites, rule, &name)).map(|spread| (name, spread))
    });
    all.max_by(|a, b| a.1.mean.total_cmp(&b.1.mean))
}

/// A table with a line for each rule and a column for each case.
fn by_case(out: &mut String, width: usize, cell: impl Fn((usize, usize), Rule) -> Option<String>) {
    let _ = write!(out, "{:NAME$}", "");
    for (sites, liars) in CASES {
        let _ = write!(out, "{:>width$}", format!("{liars} of {sites}"));
    }
    out.push('\n');
    for rule in Rule::ALL {
        let _ = write!(out, "{:NAME$}", rule.name());
        for (sites, liars) in CASES {
            let refused = rule.refuses(sites, liars).map(|_| "n/a".to_owned());
            let text = refused.or_else(|| cell((sites, liars), rule)).unwrap_or_else(|| "-".into());
            let _ = write!(out, "{text:>width$}");
        }
        out.push('\n');
    }
}

fn summary(out: &mut String, losses: &Losses<'_>, score: &str) {
    let _ = writeln!(out, "\nNobody lies: mean {score} / what of it is lost against the mean");
    by_case(out, 20, |(sites, _), rule| {
        let all = losses.at(sites, rule, HONEST);
        let left = Spread::of(all.iter().map(|loss| loss.left))?.mean;
        Some(format!("{left:.4} / {}", thousandths(scores(all)?.mean)))
    });
    let _ = writeln!(out, "\nThe attack with the largest mean loss: mean / 95th percentile / worst");
    by_case(out, 20, |(sites, _), rule| {
        let (_, spread) = worst_attack(losses, sites, rule)?;
        let parts = [spread.mean, spread.high, spread.worst].map(thousandths);
        Some(parts.join(" / "))
    });
    let _ = writeln!(out, "\nWhich attack that is");
    by_case(out, 20, |(sites, _), rule| Some(worst_attack(losses, sites, rule)?.0));
    let _ = writeln!(out, "\nn/a");
    for rule in Rule::ALL {
        for (sites, liars) in CASES {
            if let Some(why) = rule.refuses(sites, liars) {
                let _ = writeln!(out, "{:NAME$}{liars} of {sites}: {why}", rule.name());
            }
        }
    }
}

fn success(out: &mut String, losses: &Losses<'_>) {
    let _ = writeln!(out, "\nBackdoor success beyond the honest mean's, in per cent: mean / 95th percentile / worst");
    let own = CASES.iter().filter_map(|(sites, _)| {
        let all = losses.at(*sites, Rule::Mean, HONEST).iter().filter_map(|loss| loss.fooled_honest);
        Some(format!("{:.0}", Spread::of(all)?.mean * 100.0))
    });
    let _ = writeln!(out, "(the honest mean's, in this order: {})", own.collect::<Vec<_>>().join(", "));
    by_case(out, 20, |(sites, _), rule| {
        let all = losses.at(sites, rule, &Attack::Backdoor.name());
        let spread = Spread::of(all.iter().filter_map(|loss| loss.fooled))?;
        let parts = [spread.mean, spread.high, spread.worst].map(|part| format!("{:.0}", (part * 100.0).round() + 0.0));
        Some(parts.join(" / "))
    });
}

fn alarms(out: &mut String, records: &[Record], score: &str) {
    for alarm in ALARMS {
        let all: Vec<&Record> = records.iter().filter(|record| record.attack == alarm).collect();
        if all.is_empty() {
            continue;
        }
        let (what, own) = match alarm {
            "rare" => ("one positive row in a hundred", "held-out rows"),
            _ => ("all features one deviation higher", "held-out rows, raised likewise"),
        };
        let _ = writeln!(
            out,
            "\nFalse alarm, {what}: heard (of 100) / loss of {score} against the mean / balanced accuracy on {own}"
        );
        by_case(out, 20, |(sites, _), rule| {
            let of = |rule: Rule| all.iter().filter(move |r| r.sites == sites && r.rule == rule.name());
            let mean = |rule: Rule, part: fn(&Record) -> f64| Spread::of(of(rule).map(|r| part(r))).map(|s| s.mean);
            let loss = mean(Rule::Mean, |r| r.score)? - mean(rule, |r| r.score)?;
            let heard = mean(rule, |r| r.heard.unwrap_or(f64::NAN))?;
            let own = mean(rule, |r| r.balanced)?;
            Some(format!("{:.0} / {} / {:.3}", (heard * 100.0).round() + 0.0, thousandths(loss), own))
        });
    }
}

/// A table with a line for each rule and a column for each attack.
fn in_full(out: &mut String, (sites, liars): (usize, usize), cell: impl Fn(Rule, &str) -> Option<String>) {
    let attacks: Vec<String> = std::iter::once(HONEST.to_owned()).chain(Attack::ALL.map(Attack::name)).collect();
    let _ = write!(out, "{:NAME$}", "");
    for attack in &attacks {
        let _ = write!(out, "{attack:>width$}", width = attack.len().max(6) + 1);
    }
    out.push('\n');
    for rule in Rule::ALL {
        let _ = write!(out, "{:NAME$}", rule.name());
        if let Some(why) = rule.refuses(sites, liars) {
            let _ = writeln!(out, "n/a: {why}");
            continue;
        }
        for attack in &attacks {
            let text = cell(rule, attack).unwrap_or_else(|| "-".into());
            let _ = write!(out, "{text:>width$}", width = attack.len().max(6) + 1);
        }
        out.push('\n');
    }
}

/// Breast cancer: the coordinate median at four sites against its bars, by attack and liar.
fn bars(out: &mut String, losses: &Losses<'_>) {
    let _ = writeln!(
        out,
        "\nThe worst attack and liar, for each figure by itself. Bars for the median at 1 of 4: 6, 20, -, 40, -"
    );
    let heads = ["AUC, mean", "AUC, 95 %", "AUC, largest", "balanced, mean", "balanced, 95 %"];
    let _ = writeln!(out, "{:width$}{}", "", heads.map(|head| format!("{head:>18}")).concat(), width = NAME + 8);
    for (sites, liars) in CASES {
        for rule in Rule::ALL.into_iter().filter(|rule| rule.refuses(sites, liars).is_none()) {
            let mut worst: [Option<(f64, String)>; 5] = Default::default();
            for attack in Attack::ALL {
                let all = losses.at(sites, rule, &attack.name());
                for turn in 0..sites {
                    let of = |part: fn(&Loss) -> f64| Spread::of(all.iter().filter(|l| l.turn == Some(turn)).map(part));
                    let (Some(score), Some(balanced)) = (of(|l| l.score), of(|l| l.balanced)) else { continue };
                    let place = format!("{}, {}", attack.name(), turn + 1);
                    let figures = [score.mean, score.high, score.worst, balanced.mean, balanced.high];
                    for (worst, figure) in worst.iter_mut().zip(figures) {
                        if worst.as_ref().is_none_or(|(there, _)| figure > *there) {
                            *worst = Some((figure, place.clone()));
                        }
                    }
                }
            }
            let _ = write!(out, "{:NAME$}{:>8}", rule.name(), format!("{liars} of {sites}"));
            for worst in &worst {
                let text =
                    worst.as_ref().map_or("-".into(), |(figure, place)| format!("{} ({place})", thousandths(*figure)));
                let _ = write!(out, "{text:>18}");
            }
            out.push('\n');
        }
    }
}

/// The rule whose largest mean loss, over attacks and all cases of more than four sites, is least.
fn best(out: &mut String, losses: &Losses<'_>) {
    let cases = CASES.iter().filter(|(sites, _)| *sites > 4);
    let mut all: Vec<(f64, String, Rule)> = Rule::ALL
        .into_iter()
        .filter_map(|rule| {
            let worst = cases.clone().map(|(sites, liars)| {
                let (attack, spread) = worst_attack(losses, *sites, rule)?;
                Some((spread.mean, format!("{attack}, {liars} of {sites}")))
            });
            let worst = worst.collect::<Option<Vec<_>>>()?;
            let (figure, place) = worst.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
            Some((figure, place, rule))
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let _ = writeln!(
        out,
        "\nMore than four sites, rules that apply to all: largest mean loss over cases and attacks, least first"
    );
    for (figure, place, rule) in all {
        let _ = writeln!(out, "{:NAME$}{:>8}  {place}", rule.name(), thousandths(figure));
    }
}
