//! What a run leaves: the model, the report, and the table people read.

use super::{house::House, network::Network, plan::Plan, watch::Finished};
use crate::{
    chain::Chain,
    dashboard::base::Link,
    process::answer,
    report::{localnet_so_far, of_localnet, PAGE},
    show::{losses, record_json, study_json, Names},
    study::means::local,
};
use anyhow::{Context, Result};
use consilium_primitives::{
    round::{Kind, Phase, RoundRecord},
    StudyId,
};
use serde_json::{json, Value};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant,
};

/// The report for programs, and the study's model.
const FILE: &str = "report.json";
const MODEL: &str = "model.safetensors";

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

/// The report that an earlier part of this run has written, where it is of this study's model.
pub fn written(dir: &Path, finished: &Finished) -> Option<Value> {
    let Phase::Completed(certificate) = &finished.info.state.phase else { return None };
    let document: Value = serde_json::from_slice(&fs::read(dir.join(FILE)).ok()?).ok()?;
    let whole = dir.join(PAGE).exists() && dir.join(MODEL).exists();
    (whole && document["final_root"] == hex::encode(certificate.root)).then_some(document)
}

impl Run<'_> {
    /// Writes `model.safetensors`, `statistics.safetensors`, `report.html`, `README.md` (a model card) and `report.json`; gives the
    /// last.
    ///
    /// # Errors
    /// A file that cannot be read or written; the comparison failed.
    pub async fn write(&self, model: &Path, began: Instant) -> Result<Value> {
        let dir = &self.plan.dir;
        let copy = |from: &Path, name: &str| {
            fs::copy(from, dir.join(name))
                .with_context(|| format!("cannot copy {} to {}", from.display(), dir.display()))
        };
        copy(model, MODEL)?;
        let house = self.network.houses.first().context("a network without institutions")?;
        let statistics = self.finished.info.state.statistics;
        if let Some(root) = statistics {
            copy(&house.blobs().join(hex::encode(root)), "statistics.safetensors")?;
        }
        let comparison = self.compare(statistics.is_some()).await?;
        let rounds = self.rounds().await?;
        let root = match &self.finished.info.state.phase {
            Phase::Completed(c) => hex::encode(c.root),
            _ => String::new(),
        };
        let sites: Vec<Value> = self
            .plan
            .sites
            .iter()
            .zip(&self.network.houses)
            .zip(comparison["local"].as_array().into_iter().flatten())
            .enumerate()
            .map(|(n, ((site, house), local))| {
                json!({
                    "name": site.name,
                    "institution": house.name,
                    "signed_samples": site.samples,
                    "data": site.data,
                    "local": local,
                    "own": {
                        "rows": if site.test.is_some() { "test file" } else { "validation" },
                        "alone": local["sites"][n][1],
                        "swarm": comparison["swarm"]["sites"][n][1],
                        "central": comparison["central"]["sites"][n][1],
                    },
                })
            })
            .collect();
        let page = self.page(&comparison).await.context("the report's page cannot be made")?;
        let document = json!({
            "study": study_json(self.study, &self.finished.info, self.names),
            "spec": self.plan.study,
            "genesis": hex::encode(self.chain.genesis()),
            "certificate_block": self.finished.at.number,
            "final_root": root,
            "rounds": rounds,
            "chain_cost": self.cost().await?,
            "positive": comparison["positive"],
            "negative": self.plan.study.data.negative,
            "cut": comparison["cut"],
            "held_out": comparison["held_out"],
            "sites": sites,
            "swarm": comparison["swarm"],
            "central": comparison["central"],
            "joining": comparison["joining"],
            "losing": comparison["losing"],
            "notes": comparison["notes"],
            "tables": comparison["tables"],
            "report": page,
            "seconds": began.elapsed().as_secs_f64(),
        });
        let file = dir.join(FILE);
        fs::write(&file, serde_json::to_vec_pretty(&document)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(document)
    }

    /// The closed rounds, with the seconds that they and their trainings took.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn rounds(&self) -> Result<Vec<Value>> {
        let mut rounds = Vec::new();
        for record in self.records {
            let losses = losses(self.chain, self.study, record, self.finished.at).await?;
            let mut entry = record_json(record, &losses, self.names);
            let (opened, closed) = (self.chain.time(record.opened_at).await?, self.chain.time(record.closed_at).await?);
            entry["seconds"] = json!((closed.saturating_sub(opened)) as f64 / 1000.0);
            entry["training"] = self.training(record);
            rounds.push(entry);
        }
        Ok(rounds)
    }

    /// The report that people read, and a model card; gives the former's document.
    async fn page(&self, comparison: &Value) -> Result<Value> {
        let house = self.network.houses.first().context("a network without institutions")?;
        of_localnet(&house.dir, &self.link(house).await?, self.study, comparison, &self.plan.dir).await
    }

    /// The page of a study that has not ended, by a house whose node answers; gives its document.
    ///
    /// # Errors
    /// The node does not answer, or the page cannot be written.
    pub async fn page_so_far(&self, house: &House, page: &Path) -> Result<Value> {
        localnet_so_far(&house.dir, &self.link(house).await?, self.study, page).await
    }

    async fn link(&self, house: &House) -> Result<Link> {
        let chain = Chain::connect(&house.url()).await?;
        let (block_ms, names) = (chain.block_ms().await?, Arc::new(self.names.clone()));
        Ok(Link { chain: Arc::new(chain), at: self.finished.at, names, block_ms })
    }

    /// Seconds each site trained in a round, from its worker's own notes.
    fn training(&self, record: &RoundRecord) -> Value {
        if record.kind != Kind::Model || record.round == 0 {
            return Value::Null;
        }
        let folder = format!("{}/study-{}", hex::encode(self.finished.info.agreement), self.study);
        let notes = self.plan.sites.iter().zip(&self.network.houses).map(|(site, house)| {
            let file =
                house.worker_dir().join("studies").join(&folder).join(format!("training-{:04}.json", record.round));
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

    /// Local-only, swarm and central side by side, by a worker that sees all sites' data: possible on this machine only.
    async fn compare(&self, statistics: bool) -> Result<Value> {
        let dir = &self.plan.dir;
        // fewer than agreed where the target was reached or patience ran out
        let newest = self.records.iter().filter(|r| r.kind == Kind::Model).max_by_key(|r| r.round);
        let rounds = newest.map(|r| r.round).unwrap_or_default();
        let mut command = Command::new(&self.plan.programs.worker);
        command.arg("compare").arg("--spec").arg(dir.join("spec.json")).arg("--rules").arg(dir.join("rules.json"));
        command.arg("--sites").arg(self.write_sites()?).arg("--rounds").arg(rounds.to_string());
        command.arg("--model").arg(dir.join(MODEL)).arg("--statistics");
        command.arg(if statistics { dir.join("statistics.safetensors") } else { "none".into() });
        if let Phase::Completed(certificate) = &self.finished.info.state.phase {
            command.arg("--canonical").arg(certificate.round.to_string());
        }
        // the last round's model is shown beside the chosen one, where a house still has it
        let last = newest.and_then(|r| {
            let name = hex::encode(r.root);
            self.network.houses.iter().map(|house| house.blobs().join(&name)).find(|file| file.exists())
        });
        if let Some(last) = last {
            command.arg("--last-model").arg(last);
        }
        if let Some(rows) = &self.plan.held_out {
            command.arg("--held-out").arg(rows);
        }
        self.plan.means.give(&mut command);
        answer(command).await.context("the comparison with local-only and central training has failed")
    }

    /// Writes down which site has which data and which secret; the secrets by their files, since others on this machine
    /// can read what stands on a command line.
    fn write_sites(&self) -> Result<PathBuf> {
        let study = format!("{}/study-{}", hex::encode(self.finished.info.agreement), self.study);
        let round = match &self.finished.info.state.phase {
            Phase::Completed(certificate) => certificate.round,
            _ => u32::MAX,
        };
        let sites: Vec<Value> = self
            .plan
            .sites
            .iter()
            .zip(&self.network.houses)
            .map(|(site, house)| {
                json!({
                    "name": site.name,
                    "id": hex::encode(house.id().0),
                    "secret": house.secret_file(),
                    "samples": site.samples,
                    "train": site.train,
                    "test": site.test,
                    "local": local(&house.worker_dir().join("studies").join(&study), round),
                })
            })
            .collect();
        let file = self.plan.dir.join("sites.json");
        fs::write(&file, serde_json::to_vec_pretty(&sites)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}
