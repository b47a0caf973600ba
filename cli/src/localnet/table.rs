//! What people read at the end of a run.

use crate::report::PAGE;
use serde_json::Value;
use std::path::Path;

/// Prints what people want to know of a run's report; `dir` is the run's folder. The tables are those of `ml-worker compare`.
pub fn print(report: &Value, dir: &Path) {
    out!("{}", certificate(report));
    out!("\n{}\n", word(&report["tables"]));
    out!("{}\n", cost(report));
    out!("model   {}", dir.join("model.safetensors").display());
    out!("report  {} (the same for programs: report.json)", dir.join(PAGE).display());
    out!("logs    {}/hospital-*/node.log, worker.log", dir.display());
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
        word(&report["final_root"])
    )
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

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_certificate_says_who_holds_the_model_and_what_is_not_known_is_not_called_null() {
        let report = json!({
            "study": { "certificate": { "round": 7, "held_by": ["a", "b"], "asked": ["a", "b", "c"] } },
            "certificate_block": 90, "final_root": "ab", "chain_cost": { "median_blocks": 5, "p95_blocks": 7, "empty_slots": null },
        });
        let text = certificate(&report);
        assert!(
            text.contains("block 90: the merge of round 7 is the study's model, 2 of 3 hold it.\n  BLAKE3 ab"),
            "{text}"
        );
        let text = cost(&report);
        assert!(text.contains("median 5 blocks") && text.contains("n/a of slots empty"), "{text}");
    }
}
