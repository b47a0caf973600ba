//! What a run leaves: the model, the report, and the table people read.

use super::{
    network::Network,
    plan::{answer, Plan},
    watch::Finished,
};
use crate::{
    chain::Chain,
    show::{record_json, study_json, Names},
};
use anyhow::{Context, Result};
use consilium_primitives::{
    round::{Kind, RoundRecord},
    StudyId,
};
use serde_json::{json, Value};
use std::{fs, path::Path, process::Command, time::Instant};

/// A finished run.
pub struct Run<'a> {
    /// What was asked for.
    pub plan: &'a Plan,
    /// Its processes.
    pub network: &'a Network,
    /// A connection to the first node.
    pub chain: &'a Chain,
    /// The study's number.
    pub study: StudyId,
    /// Its end.
    pub finished: &'a Finished,
    /// Its closed rounds.
    pub records: &'a [RoundRecord],
    /// Names of institutions.
    pub names: &'a Names,
}

impl Run<'_> {
    /// Writes `model.safetensors`, `statistics.safetensors` and `report.json`; gives the report.
    ///
    /// # Errors
    /// A file that cannot be read or written; the comparison failed.
    pub async fn write(&self, model: &Path, began: Instant) -> Result<Value> {
        let dir = &self.plan.dir;
        let copy = |from: &Path, name: &str| {
            fs::copy(from, dir.join(name))
                .with_context(|| format!("cannot copy {} to {}", from.display(), dir.display()))
        };
        copy(model, "model.safetensors")?;
        let house = self.network.houses.first().context("a network without institutions")?;
        let statistics = self.finished.info.state.statistics;
        if let Some(root) = statistics {
            copy(&house.blobs().join(hex::encode(root)), "statistics.safetensors")?;
        }
        let comparison = self.compare(statistics.is_some())?;
        let mut rounds = Vec::new();
        for record in self.records {
            let losses = self.chain.losses(self.study, record.round, self.finished.at).await?;
            let mut entry = record_json(record, &losses, self.names);
            let (opened, closed) = (self.chain.time(record.opened_at).await?, self.chain.time(record.closed_at).await?);
            entry["seconds"] = json!((closed.saturating_sub(opened)) as f64 / 1000.0);
            entry["training"] = self.training(record);
            rounds.push(entry);
        }
        let certificate = &self.finished.info.state.phase;
        let root = match certificate {
            consilium_primitives::round::Phase::Completed(c) => hex::encode(c.root),
            _ => String::new(),
        };
        let sites: Vec<Value> = self
            .plan
            .sites
            .iter()
            .zip(comparison["local"].as_array().into_iter().flatten())
            .map(|(site, local)| {
                json!({ "name": site.name, "signed_samples": site.samples, "data": site.data, "local": local })
            })
            .collect();
        let document = json!({
            "study": study_json(self.study, &self.finished.info, self.names),
            "spec": self.plan.study,
            "genesis": hex::encode(self.chain.genesis()),
            "certificate_block": self.finished.at.number,
            "final_root": root,
            "rounds": rounds,
            "chain_cost": self.cost().await?,
            "positive": comparison["positive"],
            "cut": comparison["cut"],
            "held_out": comparison["held_out"],
            "sites": sites,
            "swarm": comparison["swarm"],
            "central": comparison["central"],
            "losing": comparison["losing"],
            "seconds": began.elapsed().as_secs_f64(),
        });
        let file = dir.join("report.json");
        fs::write(&file, serde_json::to_vec_pretty(&document)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(document)
    }

    /// Seconds each site trained in a round, from its worker's own notes.
    fn training(&self, record: &RoundRecord) -> Value {
        if record.kind != Kind::Model || record.round == 0 {
            return Value::Null;
        }
        let agreement = hex::encode(self.finished.info.agreement);
        let notes = self.plan.sites.iter().zip(&self.network.houses).map(|(site, house)| {
            let file =
                house.worker_dir().join("studies").join(&agreement).join(format!("training-{:04}.json", record.round));
            let note: Value = fs::read(file).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or(Value::Null);
            json!({ "site": site.name, "seconds": note["seconds"], "loss": note["loss"] })
        });
        Value::Array(notes.collect())
    }

    /// Blocks from the answer of the slowest site's training to the opening of the next round, and empty slots.
    async fn cost(&self) -> Result<Value> {
        let mut blocks: Vec<u32> = self
            .records
            .iter()
            .filter(|r| r.kind == Kind::Model && r.round > 0)
            .filter_map(|r| {
                // a vote is answered on the block before the one that holds it
                let answered = r.inputs.iter().map(|i| i.committed_at).max()?.saturating_sub(1);
                Some(r.closed_at.saturating_sub(answered))
            })
            .collect();
        blocks.sort_unstable();
        let quantile = |q: f64| blocks.get(((blocks.len() as f64 * q).ceil() as usize).saturating_sub(1)).copied();
        let (first, last) = match (self.records.first(), self.records.last()) {
            (Some(first), Some(last)) => (first.opened_at, last.closed_at),
            _ => return Ok(Value::Null),
        };
        let slot = |number: u32| async move { self.chain.slot(self.chain.block_at(number).await?).await };
        let empty = match (slot(first).await?, slot(last).await?) {
            (Some(a), Some(b)) if b > a => {
                let slots = (b - a) as f64;
                Some((slots - f64::from(last - first)) / slots)
            }
            _ => None,
        };
        Ok(json!({ "median_blocks": quantile(0.5), "p95_blocks": quantile(0.95), "empty_slots": empty }))
    }

    fn compare(&self, statistics: bool) -> Result<Value> {
        let dir = &self.plan.dir;
        let mut command = Command::new(&self.plan.programs.worker);
        command.arg("compare").arg("--spec").arg(dir.join("spec.json")).arg("--rules").arg(dir.join("rules.json"));
        command.arg("--model").arg(dir.join("model.safetensors")).arg("--statistics");
        command.arg(if statistics { dir.join("statistics.safetensors") } else { "none".into() });
        for (site, house) in self.plan.sites.iter().zip(&self.network.houses) {
            let secret = house.worker_dir().join("secret");
            let secret = fs::read_to_string(&secret).with_context(|| format!("cannot read {}", secret.display()))?;
            let mut text = format!(
                "{},{},{},{},{}",
                site.name,
                hex::encode(house.account.id().0),
                secret.trim(),
                site.samples,
                site.train.display()
            );
            if let Some(test) = &site.test {
                text.push_str(&format!(",{}", test.display()));
            }
            command.arg("--site").arg(text);
        }
        if let Some(rows) = &self.plan.held_out {
            command.arg("--held-out").arg(rows);
        }
        answer(command).context("the comparison with local-only and central training has failed")
    }

    /// Prints what people want to know.
    pub fn print(&self, report: &Value) {
        let certificate = &report["study"]["certificate"];
        println!();
        println!(
            "Certificate in finalised block {}: the merge of round {} is the study's model, {} of {} hold it.",
            report["certificate_block"],
            certificate["round"],
            certificate["held_by"].as_array().map_or(0, Vec::len),
            certificate["asked"].as_array().map_or(0, Vec::len)
        );
        println!("  BLAKE3 {}", report["final_root"].as_str().unwrap_or_default());
        let positive = report["positive"].as_str().unwrap_or_default();
        if let [rows, positives] = report["held_out"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let (rows, positives) = (rows.as_u64().unwrap_or(0), positives.as_u64().unwrap_or(0));
            if rows > 0 {
                println!();
                println!(
                    "On {rows} rows held out from everyone: {positives} {positive} (the positive class), {} {}; cut at p >= {}",
                    rows - positives,
                    self.plan.study.data.negative,
                    report["cut"]
                );
                head();
                for site in report["sites"].as_array().into_iter().flatten() {
                    let name = site["name"].as_str().unwrap_or_default();
                    line(&format!("only {name}"), &site["local"]["held_out"]);
                }
                line("swarm", &report["swarm"]["held_out"]);
                line("central", &report["central"]["held_out"]);
            }
        }
        println!();
        let own = self.plan.sites.iter().all(|s| s.test.is_some());
        println!(
            "On each site's own {} (positive class {positive}; cut at p >= {})",
            if own { "held-out rows" } else { "validation rows, which also choose the canonical round" },
            report["cut"]
        );
        head();
        for (n, site) in report["sites"].as_array().into_iter().flatten().enumerate() {
            let name = site["name"].as_str().unwrap_or_default();
            let rows = &report["swarm"]["sites"][n][1];
            println!("{name}: {} rows, {} {positive}", rows["rows"], rows["positives"]);
            line("  alone", &site["local"]["sites"][n][1]);
            line("  swarm", rows);
            line("  central", &report["central"]["sites"][n][1]);
        }
        let losing: Vec<&str> = report["losing"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        println!();
        if losing.is_empty() {
            println!("No site loses by joining (log-loss on its own rows, swarm against alone).");
        } else {
            println!(
                "Sites that lose by joining (log-loss on their own rows, swarm above alone): {}",
                losing.join(", ")
            );
        }
        let cost = &report["chain_cost"];
        println!(
            "Chain: median {} blocks, 95th percentile {} from the last update to the next round; {:.1} % of slots empty. {:.0} s in all.",
            cost["median_blocks"],
            cost["p95_blocks"],
            cost["empty_slots"].as_f64().unwrap_or(0.0) * 100.0,
            report["seconds"].as_f64().unwrap_or(0.0)
        );
        println!();
        println!("model   {}", self.plan.dir.join("model.safetensors").display());
        println!("report  {}", self.plan.dir.join("report.json").display());
        println!("logs    {}/hospital-*/node.log, worker.log", self.plan.dir.display());
    }
}

fn head() {
    println!(
        "{:<18}{:>7} {:<17}{:>9}{:>9}{:>9}{:>9}{:>9}{:>7}",
        "", "AUC", " 95 % interval", "log-loss", "bal.acc", "accuracy", "sensit.", "specif.", "F1"
    );
}

fn line(name: &str, m: &Value) {
    let figure = |key: &str| m[key].as_f64().map_or_else(|| "n/a".into(), |v| format!("{v:.4}"));
    let interval = match m["auc_interval"].as_array().map(Vec::as_slice) {
        Some([low, high]) => {
            format!(" {:.4} to {:.4}", low.as_f64().unwrap_or(0.0), high.as_f64().unwrap_or(0.0))
        }
        _ => " n/a".into(),
    };
    println!(
        "{name:<18}{:>7} {interval:<17}{:>9}{:>9}{:>9}{:>9}{:>9}{:>7}",
        figure("auc"),
        figure("log_loss"),
        figure("balanced_accuracy"),
        figure("accuracy"),
        figure("sensitivity"),
        figure("specificity"),
        m["f1"].as_f64().map_or_else(|| "n/a".into(), |v| format!("{v:.3}")),
    );
}
