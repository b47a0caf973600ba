//! What is written of a run that has ended before its study: the rounds that were closed, the newest model, and how to go on.

use super::{agree, house::House, network::Network, plan::Plan, report::Run, watch::Finished};
use crate::{
    chain::Chain,
    plain::told,
    programs::replace_private,
    show::{self, study_json, Names},
    study::registered,
};
use anyhow::{Context, Result};
use consilium_primitives::round::{Kind, RoundRecord};
use serde_json::json;
use std::{fs, path::PathBuf, time::Duration};
use tokio::time::timeout;

/// The page, the same for programs, and the newest model.
pub const FILES: [&str; 3] = ["report-so-far.html", "report-so-far.json", "model-so-far.safetensors"];
/// How long one node may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long all of it may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What was written.
pub struct Written {
    /// Closed rounds, the initial model not counted.
    pub rounds: u32,
    /// Rounds that were agreed.
    pub agreed: u32,
    /// The files.
    pub files: Vec<PathBuf>,
    /// Whether the study can go on.
    pub goes_on: bool,
}

/// Writes what there is of a run whose processes have not all ended yet; nothing where its study was not registered.
///
/// # Errors
/// No node answers, or a file cannot be written.
pub async fn write(plan: &Plan, network: &Network, why: &anyhow::Error) -> Result<Option<Written>> {
    let (house, chain) = survivor(network).await.context("no node of this network answers")?;
    let agreement = agree::agreement(&chain, plan, network)?;
    let Some(study) = registered(&chain, &agreement).await? else { return Ok(None) };
    let at = chain.finalised().await?;
    let Some(info) = chain.study(study, at).await? else { return Ok(None) };
    let names: Names = plan.sites.iter().zip(&network.houses).map(|(s, h)| (h.id(), s.name.clone())).collect();
    let records = show::history(&chain, study, &info.state, at).await?;
    let finished = Finished { info, at };
    let run = Run { plan, network, chain: &chain, study, finished: &finished, records: &records, names: &names };
    let newest = newest(&records);
    let model = newest.and_then(|record| {
        let name = hex::encode(record.root);
        network.houses.iter().map(|house| house.blobs().join(&name)).find(|file| file.is_file())
    });
    let [page, document, copy] = FILES.map(|name| plan.dir.join(name));
    if let Some(file) = &model {
        fs::copy(file, &copy).with_context(|| format!("cannot copy {} to {}", file.display(), copy.display()))?;
    }
    let goes_on = !finished.info.state.ended();
    // the figures do not depend on the page
    let shown = run.page_so_far(house, &page).await;
    let written = json!({
        "complete": false,
        "ended_by": told(why),
        "resume": goes_on.then(|| resume_line(plan)),
        "study": study_json(study, &finished.info, &names),
        "spec": plan.study,
        "genesis": hex::encode(chain.genesis()),
        "block": at.number,
        "rounds": run.rounds().await?,
        "newest_model": newest.map(|record| json!({
            "round": record.round,
            "root": hex::encode(record.root),
            "file": model.as_ref().map(|_| FILES[2]),
        })),
        "report": shown.as_ref().ok(),
    });
    replace_private(&document, &serde_json::to_vec_pretty(&written)?)?;
    if let Err(error) = &shown {
        super::say(&format!("warning: the page of the rounds so far cannot be made: {}", told(error)));
    }
    let files = [(page, shown.is_ok()), (document, true), (copy, model.is_some())];
    Ok(Some(Written {
        rounds: newest.map_or(0, |record| record.round),
        agreed: plan.rules.max_rounds,
        files: files.into_iter().filter(|(_, there)| *there).map(|(file, _)| file).collect(),
        goes_on,
    }))
}

/// How a run is taken up again.
pub fn resume_line(plan: &Plan) -> String {
    format!("consilium localnet resume {}", plan.dir.display())
}

/// Takes away what an earlier part of a run has left, once there is a report of all of it.
pub fn remove(plan: &Plan) {
    for name in FILES {
        // what is not there need not be removed
        let _ = fs::remove_file(plan.dir.join(name));
    }
}

/// The first institution whose node still answers.
async fn survivor(network: &Network) -> Option<(&House, Chain)> {
    for house in &network.houses {
        if let Ok(Ok(chain)) = timeout(ANSWER, Chain::connect(&house.url())).await {
            return Some((house, chain));
        }
    }
    None
}

/// The closed round whose model is the newest.
fn newest(records: &[RoundRecord]) -> Option<&RoundRecord> {
    records.iter().filter(|record| record.kind == Kind::Model).max_by_key(|record| record.round)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;

    #[test]
    fn the_newest_model_is_that_of_the_last_closed_round_and_no_statistics() {
        let world = World::new();
        let records = &world.history.records;
        assert!(records.iter().any(|record| record.kind == Kind::Statistics));
        let found = newest(records).unwrap();
        assert_eq!((found.kind, found.root), (Kind::Model, world.history.info.state.base));
        assert!(newest(&[]).is_none());
    }
}
