//! What a finished run of the demo must leave.

use super::SITES;
use consilium_primitives::SLOT_MILLIS;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

/// What must hold for every finished run of the demo with this many rounds.
pub fn check(out: &Path, rounds: u64) -> Value {
    let report: Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    let root = report["final_root"].as_str().unwrap();

    let model = fs::read(out.join("model.safetensors")).unwrap();
    assert_eq!(blake3::hash(&model).to_hex().as_str(), root, "model.safetensors is the certified model");
    for site in SITES {
        let copy = fs::read(out.join(site).join("blobs").join(root)).unwrap();
        assert!(copy == model, "{site} holds the same bytes");
    }

    let certificate = &report["study"]["certificate"];
    assert_eq!(certificate["root"], root);
    assert_eq!(certificate["held_by"].as_array().unwrap().len(), 4);

    let closed: Vec<&Value> = report["rounds"].as_array().unwrap().iter().filter(|r| r["kind"] == "round").collect();
    let numbers: Vec<u64> = closed.iter().map(|r| r["round"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..=rounds).collect::<Vec<_>>(), "round 0 and every merge round has a record");
    for pair in closed.windows(2) {
        assert_eq!(pair[1]["base"], pair[0]["root"], "each round starts from the last merge");
    }
    for record in closed.iter().skip(1) {
        assert_eq!(record["inputs"].as_array().unwrap().len(), 4);
        let distinct: BTreeSet<_> =
            record["inputs"].as_array().unwrap().iter().map(|i| i["root"].as_str().unwrap()).collect();
        assert_eq!(distinct.len(), 4, "four sites train four different updates");
        assert!(record["attesters"].as_array().unwrap().len() >= 3);
        assert!(record["dissenters"].as_array().unwrap().is_empty());
    }
    check_rounds(&report);
    check_figures(&report);
    check_cost(&report);
    report
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn names(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["site"].as_str().unwrap()).collect()
}

/// Times, blocks, and what each site reported.
fn check_rounds(report: &Value) {
    let all = BTreeSet::from(SITES);
    let mut closed = 0;
    for record in report["rounds"].as_array().unwrap() {
        let (opened, blocks) = (record["opened_at"].as_u64().unwrap(), record["blocks"].as_u64().unwrap());
        closed = record["closed_at"].as_u64().unwrap();
        assert_eq!(blocks, closed - opened);
        // one block in a slot, early or late in it
        assert!(
            number(&record["seconds"]) > SLOT_MILLIS as f64 / 1_000.0 * (blocks as f64 - 1.0),
            "{} in {blocks} blocks",
            record["seconds"]
        );
        if record["kind"] == "statistics" {
            assert_eq!(names(&record["losses"]), BTreeSet::new(), "statistics have no loss");
            assert!(record["training"].is_null());
            continue;
        }
        assert_eq!(names(&record["losses"]), all, "every site has measured the merge of round {}", record["round"]);
        for loss in record["losses"].as_array().unwrap() {
            assert!((0.0..10.0).contains(&number(&loss["log_loss"])), "{loss}");
        }
        if record["round"] == 0 {
            assert!(record["training"].is_null(), "nobody trains the initial model");
            continue;
        }
        assert_eq!(names(&record["training"]), all);
        for training in record["training"].as_array().unwrap() {
            assert!(number(&training["seconds"]) > 0.0 && number(&training["loss"]) > 0.0, "{training}");
        }
    }
    assert!(report["certificate_block"].as_u64().unwrap() > closed);
    assert!(number(&report["seconds"]) > 0.0);
}

/// A model's figures on rows of both classes.
fn check_metrics(metrics: &Value) {
    let (rows, positives) = (metrics["rows"].as_u64().unwrap(), metrics["positives"].as_u64().unwrap());
    assert!(0 < positives && positives < rows, "{metrics}");
    for share in ["auc", "balanced_accuracy", "accuracy", "sensitivity", "specificity", "f1"] {
        assert!((0.0..=1.0).contains(&number(&metrics[share])), "{share} in {metrics}");
    }
    assert!(number(&metrics["log_loss"]) > 0.0, "{metrics}");
    if let Some(interval) = metrics["auc_interval"].as_array() {
        let auc = number(&metrics["auc"]);
        assert!(number(&interval[0]) <= auc && auc <= number(&interval[1]), "{metrics}");
    }
}

/// Every arm on the common rows and on each site's own; and who loses by joining.
fn check_figures(report: &Value) {
    assert_eq!(report["held_out"], serde_json::json!([114, 42]));
    assert_eq!((&report["positive"], &report["negative"]), (&Value::from("M"), &Value::from("B")));
    assert_eq!(report["cut"], 0.5);
    let sites = report["sites"].as_array().unwrap();
    assert_eq!(sites.iter().map(|s| s["name"].as_str().unwrap()).collect::<Vec<_>>(), SITES);
    for (n, site) in sites.iter().enumerate() {
        assert_eq!(site["signed_samples"], site["data"]["training"]["rows"]);
        assert_eq!(site["signed_samples"], site["local"]["training_rows"]);
        assert_eq!(site["own"]["rows"], "validation");
        assert_eq!(site["own"]["alone"], site["local"]["sites"][n][1]);
        assert_eq!(site["own"]["swarm"], report["swarm"]["sites"][n][1]);
        assert_eq!(site["own"]["central"], report["central"]["sites"][n][1]);
        for metrics in
            [&site["local"]["held_out"], &site["own"]["alone"], &site["own"]["swarm"], &site["own"]["central"]]
        {
            check_metrics(metrics);
        }
        assert_eq!(site["own"]["swarm"]["rows"], site["data"]["validation"]["rows"]);
        let (joining, own) = (&report["joining"][n], &site["own"]);
        assert_eq!((&joining["site"], &joining["rows"]), (&site["name"], &own["swarm"]["rows"]));
        let difference = number(&own["swarm"]["log_loss"]) - number(&own["alone"]["log_loss"]);
        assert!((number(&joining["difference"]["difference"]) - difference).abs() < 1e-9, "{joining}");
        assert!(["better", "worse", "cannot tell"].contains(&joining["verdict"].as_str().unwrap()), "{joining}");
        assert_eq!(site["local"]["choice"]["rounds"], report["swarm"]["choice"]["rounds"]);
    }
    let joining = report["joining"].as_array().unwrap().iter();
    let losing: Vec<Value> = joining.filter(|j| j["verdict"] == "worse").map(|j| j["site"].clone()).collect();
    assert_eq!(report["losing"], Value::from(losing));
    assert_eq!(report["swarm"]["choice"]["round"], report["study"]["certificate"]["round"]);
    for arm in ["swarm", "central"] {
        check_metrics(&report[arm]["held_out"]);
        assert_eq!(
            (&report[arm]["held_out"]["rows"], &report[arm]["held_out"]["positives"]),
            (&114.into(), &42.into())
        );
    }
}

fn check_cost(report: &Value) {
    let cost = &report["chain_cost"];
    let (median, most) = (cost["median_blocks"].as_u64().unwrap(), cost["p95_blocks"].as_u64().unwrap());
    assert!(0 < median && median <= most, "{cost}");
    assert!((0.0..1.0).contains(&number(&cost["empty_slots"])), "{cost}");
}
