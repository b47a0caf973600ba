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
    println!("\n{}", losing(report));
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
        text += &line(&format!("only {}", word(&site["name"])), &site["local"]["held_out"]);
    }
    text += &line("swarm", &report["swarm"]["held_out"]);
    text += &line("central", &report["central"]["held_out"]);
    Some(text.trim_end().to_owned())
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
        text += "(validation rows do not train, but they choose the canonical round)\n";
    }
    text.trim_end().to_owned()
}

fn losing(report: &Value) -> String {
    let list = |names: Vec<&str>| names.join(", ");
    let losing: Vec<&str> = report["losing"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let unknown: Vec<&str> =
        sites(report).iter().filter(|s| s["own"]["swarm"].is_null()).map(|s| word(&s["name"])).collect();
    let mut text = if losing.is_empty() {
        "No site loses by joining (log-loss on its own rows, swarm against alone)".to_owned()
    } else {
        format!("Sites that lose by joining (log-loss on their own rows, swarm above alone): {}", list(losing))
    };
    if !unknown.is_empty() {
        let _ = write!(text, "; not measured: {}", list(unknown));
    }
    text + "."
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
        let site = |name: &str, rows: &str, own: &Value| {
            json!({
                "name": name,
                "local": { "held_out": figures },
                "own": { "rows": rows, "alone": own, "swarm": own, "central": own },
            })
        };
        json!({
            "positive": "ill", "negative": "well", "cut": 0.5, "held_out": [40, 15], "losing": [],
            "swarm": { "held_out": figures }, "central": { "held_out": figures },
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
        let text = [held_out(&report()).unwrap_or_default(), own(&report()), losing(&report())].concat();
        assert!(!text.contains("null"), "{text}");
        assert!(text.contains("west: no validation rows, nothing to measure on"), "{text}");
        assert!(text.contains("No site loses by joining") && text.contains("not measured: west"), "{text}");
        let swarm = text.lines().find(|l| l.starts_with("swarm")).unwrap_or_default();
        assert!(swarm.contains("0.9123  n/a"), "an AUC without an interval: {swarm}");
    }

    #[test]
    fn without_common_rows_there_is_no_table_of_them() {
        let mut report = report();
        report["held_out"] = json!([0, 0]);
        assert_eq!(held_out(&report), None);
    }
}
