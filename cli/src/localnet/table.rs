//! The tables that people read at the end of a run.

use serde_json::Value;
use std::{fmt::Write, path::Path};

/// Prints what people want to know of a run's report; `dir` is the run's folder.
pub fn print(report: &Value, dir: &Path) {
    println!("{}", certificate(report));
    if let Some(text) = held_out(report) {
        println!("\n{text}");
    }
    println!("\n{}", own(report));
    println!("\n{}", chosen(report));
    println!("\n{}", joining(report));
    println!("{}\n", cost(report));
    println!("model   {}", dir.join("model.safetensors").display());
    println!("report  {}", dir.join("report.json").display());
    println!("logs    {}/hospital-*/node.log, worker.log", dir.display());
}

fn certificate(report: &Value) -> String {
    let certificate = &report["study"]["certificate"];
    let count = |key: &str| certificate[key].as_array().map_or(0, Vec::len);
    format!(
        "\nCertificate in finalised block {}: the merge of round {} is the study's model, {} of {} hold it.\n  BLAKE3 {}",
        report["certificate_block"],
        certificate["round"],
        count("held_by"),
        count("asked"),
        report["final_root"].as_str().unwrap_or_default()
    )
}

/// All models on the rows that are held out from everyone; `None` where there are no such rows.
fn held_out(report: &Value) -> Option<String> {
    let (rows, positives) = (report["held_out"][0].as_u64()?, report["held_out"][1].as_u64()?);
    if rows == 0 {
        return None;
    }
    let classes = classes(report, rows, positives);
    let mut text = format!("On {rows} rows held out from everyone: {classes}; {}\n{}", cut(report), head());
    for site in sites(report) {
        text += &arm(&format!("only {}", word(&site["name"])), &site["local"]);
    }
    text += &arm("swarm", &report["swarm"]);
    text += &arm("central", &report["central"]);
    Some(text.trim_end().to_owned())
}

/// An arm's chosen model and, where that is of an earlier round, the last one.
fn arm(name: &str, arm: &Value) -> String {
    let (round, rounds) = (&arm["choice"]["round"], &arm["choice"]["rounds"]);
    let chosen = line(name, &arm["held_out"]);
    if round == rounds {
        return chosen;
    }
    let last = match arm["last"].is_null() {
        true => format!("  round {rounds}: its model is not kept any more\n"),
        false => line(&format!("  round {rounds}"), &arm["last"]["held_out"]),
    };
    format!("{}{last}", line(&format!("{name}, r. {round}"), &arm["held_out"]))
}

/// How the models were chosen that the tables show.
fn chosen(report: &Value) -> String {
    let arms = || {
        let local =
            sites(report).iter().map(|site| (format!("only {}", word(&site["name"])), &site["local"]["choice"]));
        local.chain([
            ("swarm".to_owned(), &report["swarm"]["choice"]),
            ("central".to_owned(), &report["central"]["choice"]),
        ])
    };
    let mut text = "Each model is that of the round with the lowest loss on the arm's own validation rows".to_owned();
    let last = arms().all(|(_, choice)| choice["round"] == choice["rounds"]);
    if let Some((_, choice)) = arms().next().filter(|_| last) {
        let _ = write!(text, ": of all of them the last, {}", choice["rounds"]);
    }
    let few: Vec<String> = arms().filter(|(_, choice)| choice["too_few"] == true).map(|(name, _)| name).collect();
    if !few.is_empty() {
        let _ = write!(text, ".\nToo few validation rows to choose by, and so the last round: {}", few.join(", "));
    }
    for note in report["notes"].as_array().into_iter().flatten() {
        let _ = write!(text, ".\n{}", word(note));
    }
    text + "."
}

/// Each site's models on its own rows.
fn own(report: &Value) -> String {
    let mut text = format!("On each site's own rows; {}\n{}", cut(report), head());
    let mut validation = false;
    for site in sites(report) {
        let (name, own) = (word(&site["name"]), &site["own"]);
        let tested = own["rows"] == "test file";
        let rows = if tested { "rows of its TEST file" } else { "validation rows" };
        validation |= !tested;
        let (Some(count), Some(positives)) = (own["swarm"]["rows"].as_u64(), own["swarm"]["positives"].as_u64()) else {
            let _ = writeln!(text, "{name}: no {rows}, nothing to measure on");
            continue;
        };
        let _ = writeln!(text, "{name}: {count} {rows}, {}", classes(report, count, positives));
        for (who, key) in [("  alone", "alone"), ("  swarm", "swarm"), ("  central", "central")] {
            text += &line(who, &own[key]);
        }
    }
    if validation {
        text += "(validation rows do not train, but they choose the rounds)\n";
    }
    text.trim_end().to_owned()
}

/// What each site gains or loses by joining.
fn joining(report: &Value) -> String {
    let all = || report["joining"].as_array().into_iter().flatten();
    let metric = match all().next().map(|j| word(&j["metric"])) {
        Some("brier") => "squared error",
        _ => "log-loss",
    };
    let mut text =
        format!("What joining changes on each site's own rows ({metric}, swarm less alone, 95 % interval):\n");
    for joining in all() {
        let (name, difference) = (word(&joining["site"]), &joining["difference"]);
        let change = difference["difference"].as_f64().map_or_else(|| "n/a".into(), |d| format!("{d:+.4}"));
        let interval = match (difference["interval"][0].as_f64(), difference["interval"][1].as_f64()) {
            (Some(low), Some(high)) => format!("{low:+.4} to {high:+.4}"),
            _ => "no interval".into(),
        };
        let (rows, groups) = (&joining["rows"], &difference["groups"]);
        let of = if rows == groups { String::new() } else { format!(" of {groups} groups") };
        let _ =
            writeln!(text, "{name:<18}{change:>9}  {interval:<20} on {rows} rows{of}: {}", word(&joining["verdict"]));
    }
    let known = |name: &str| all().any(|j| word(&j["site"]) == name);
    for site in sites(report).iter().filter(|s| !known(word(&s["name"]))) {
        let _ = writeln!(text, "{:<18} not measured: no rows", word(&site["name"]));
    }
    text.trim_end().to_owned()
}

fn cost(report: &Value) -> String {
    let cost = &report["chain_cost"];
    let empty = cost["empty_slots"].as_f64().map_or_else(|| "n/a".into(), |share| format!("{:.1} %", share * 100.0));
    format!(
        "Chain: median {} blocks, 95th percentile {} from the last update to the next round; {empty} of slots empty. {:.0} s in all.",
        cost["median_blocks"],
        cost["p95_blocks"],
        report["seconds"].as_f64().unwrap_or(0.0)
    )
}

fn sites(report: &Value) -> &[Value] {
    report["sites"].as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn classes(report: &Value, rows: u64, positives: u64) -> String {
    let negatives = rows.saturating_sub(positives);
    format!("{positives} {}, {negatives} {}", word(&report["positive"]), word(&report["negative"]))
}

fn cut(report: &Value) -> String {
    format!("{} is the positive class, from p >= {} on", word(&report["positive"]), report["cut"])
}

fn head() -> String {
    format!(
        "{:<18}{:>7} {:<17}{:>9}{:>9}{:>9}{:>9}{:>9}{:>7}\n",
        "", "AUC", " 95 % interval", "log-loss", "bal.acc", "accuracy", "sensit.", "specif.", "F1"
    )
}

fn line(name: &str, m: &Value) -> String {
    let figure = |key: &str| m[key].as_f64().map_or_else(|| "n/a".into(), |v| format!("{v:.4}"));
    let interval = match (m["auc_interval"][0].as_f64(), m["auc_interval"][1].as_f64()) {
        (Some(low), Some(high)) => format!(" {low:.4} to {high:.4}"),
        _ => " n/a".into(),
    };
    format!(
        "{name:<18}{:>7} {interval:<17}{:>9}{:>9}{:>9}{:>9}{:>9}{:>7}\n",
        figure("auc"),
        figure("log_loss"),
        figure("balanced_accuracy"),
        figure("accuracy"),
        figure("sensitivity"),
        figure("specificity"),
        m["f1"].as_f64().map_or_else(|| "n/a".into(), |v| format!("{v:.3}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report() -> Value {
        let figures = json!({ "rows": 40, "positives": 15, "auc": 0.91234, "auc_interval": null, "log_loss": 0.25 });
        let choice = |round: u32, too_few: bool| json!({ "round": round, "rounds": 10, "too_few": too_few });
        let site = |name: &str, rows: &str, own: &Value| {
            json!({
                "name": name,
                "local": {
                    "choice": choice(if name == "west" { 10 } else { 9 }, name == "west"), "held_out": figures, "last": null,
                },
                "own": { "rows": rows, "alone": own, "swarm": own, "central": own },
            })
        };
        json!({
            "positive": "ill", "negative": "well", "cut": 0.5, "held_out": [40, 15],
            "joining": [
                {
                    "site": "north", "rows": 40, "metric": "log_loss", "verdict": "worse",
                    "difference": { "difference": 0.05, "groups": 30, "interval": [0.01, 0.09] },
                },
                {
                    "site": "south", "rows": 40, "metric": "log_loss", "verdict": "cannot tell",
                    "difference": { "difference": -0.05, "groups": 40, "interval": null },
                },
            ],
            "notes": ["central: so and so"],
            "swarm": { "choice": choice(7, false), "held_out": figures, "last": { "held_out": figures } },
            "central": { "choice": choice(10, false), "held_out": figures, "last": { "held_out": figures } },
            "sites": [
                site("north", "test file", &figures),
                site("south", "validation", &figures),
                site("west", "validation", &Value::Null),
            ],
        })
    }

    #[test]
    fn each_head_names_both_classes_with_their_numbers_and_the_cut() {
        let text = held_out(&report()).unwrap_or_default();
        let head = "On 40 rows held out from everyone: 15 ill, 25 well; ill is the positive class, from p >= 0.5 on";
        assert_eq!(text.lines().next(), Some(head));
        assert!(text.contains("only west"), "{text}");
        let text = own(&report());
        assert!(text.contains("north: 40 rows of its TEST file, 15 ill, 25 well"), "{text}");
        assert!(text.contains("south: 40 validation rows, 15 ill, 25 well"), "{text}");
    }

    #[test]
    fn what_cannot_be_measured_is_said_and_never_null() {
        let text =
            [held_out(&report()).unwrap_or_default(), own(&report()), joining(&report()), chosen(&report())].concat();
        assert!(!text.contains("null"), "{text}");
        assert!(text.contains("west: no validation rows, nothing to measure on"), "{text}");
        assert!(text.contains("west               not measured"), "{text}");
        let swarm = text.lines().find(|l| l.starts_with("swarm, r. 7")).unwrap_or_default();
        assert!(swarm.contains("0.9123  n/a"), "an AUC without an interval: {swarm}");
    }

    #[test]
    fn the_round_that_counts_and_the_last_one_are_both_there() {
        let text = held_out(&report()).unwrap_or_default();
        let after =
            |name: &str| text.lines().skip_while(|l| !l.starts_with(name)).nth(1).unwrap_or_default().to_owned();
        assert!(after("swarm, r. 7").starts_with("  round 10  "), "{text}");
        assert!(after("only north, r. 9").contains("not kept any more"), "{text}");
        assert!(after("only west").starts_with("swarm") && !text.contains("only west, r."), "{text}");
        let text = chosen(&report());
        assert!(text.contains("Too few validation rows to choose by, and so the last round: only west."), "{text}");
        assert!(text.ends_with("central: so and so."), "{text}");
    }

    #[test]
    fn joining_is_a_difference_with_an_interval_and_a_word() {
        let text = joining(&report());
        assert!(
            text.contains("north               +0.0500  +0.0100 to +0.0900   on 40 rows of 30 groups: worse"),
            "{text}"
        );
        assert!(text.contains("south               -0.0500  no interval          on 40 rows: cannot tell"), "{text}");
    }

    #[test]
    fn without_common_rows_there_is_no_table_of_them() {
        let mut report = report();
        report["held_out"] = json!([0, 0]);
        assert_eq!(held_out(&report), None);
    }
}
