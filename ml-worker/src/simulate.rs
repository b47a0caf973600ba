//! A study as a plain loop in one process: statistics, initial model, then rounds of training and merging. A run on the
//! chain with the same spec, data, secrets and sample counts gives the same bits.

mod masked;

use crate::{
    data::{all_known, statistics_of, Prepared, Split, Table},
    learn::{initial_parameters, loss_micro, OptimizerState, Seeds, Session},
    site::group_key,
};
use anyhow::{Context, Result};
use consilium_aggregation::{merge, ModelFile, Statistics};
use consilium_primitives::{
    round::{best_round, voting_weights},
    rules::capped_against,
    Hash, InstitutionId, StudyRules,
};
use consilium_study::StudySpec;

/// One site of a simulated study.
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its id; merges go by the order of ids.
    pub id: InstitutionId,
    /// Its secret.
    pub secret: [u8; 32],
    /// Sample count it signed.
    pub samples: u32,
    /// Its rows, read with [`site_group_key`].
    pub table: Table,
}

/// One round of a simulated study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// BLAKE3 hash of the merged model's file.
    pub root: Hash,
    /// What each site reported on it, by id. With masks nobody sees these.
    pub losses: Vec<(InstitutionId, u32)>,
    /// With masks: the loss over all sites' validation rows, where enough have reported one.
    pub pooled: Option<u32>,
}

/// The study's model.
#[derive(Clone, Copy, Debug)]
pub struct Swarm<'a> {
    /// Its canonical model.
    pub chosen: &'a [f32],
    /// The round it is of.
    pub round: u32,
    /// The last round's model; none where it is not there any more.
    pub last: Option<&'a [f32]>,
}

/// A finished study.
pub struct Outcome {
    /// Merged statistics.
    pub statistics: Option<Statistics>,
    /// Rounds, from the initial model on.
    pub rounds: Vec<Round>,
    /// The round whose model is canonical.
    pub canonical: u32,
    /// Parameters of the canonical model.
    pub model: Vec<f32>,
    /// Parameters of the last round's model.
    pub last: Vec<f32>,
    /// Each site's split.
    pub splits: Vec<Split>,
}

impl Outcome {
    /// The study's model, as [`Inputs`](crate::compare::Inputs) takes it.
    pub fn swarm(&self) -> Swarm<'_> {
        Swarm { chosen: &self.model, round: self.canonical, last: Some(&self.last) }
    }
}

/// Key of the hashes of a site's patients; tables for [`run`] must be read with it.
pub fn site_group_key(spec: &StudySpec, secret: &[u8; 32]) -> Result<[u8; 32]> {
    Ok(group_key(secret, &spec.hash()?.0))
}

/// Changes what a site reports as its loss: gets the site, the round and the true loss.
pub type Report<'a> = &'a dyn Fn(usize, u32, Option<u32>) -> Option<u32>;

/// Runs a study, until its rules say that it ends. Sites may come in any order.
///
/// # Errors
/// What a site's data or training say.
pub fn run(spec: &StudySpec, rules: &StudyRules, sites: &[Site], report: Report<'_>) -> Result<Outcome> {
    let mut order: Vec<usize> = (0..sites.len()).collect();
    order.sort_by_key(|i| sites[*i].id);
    let hash = spec.hash()?.0;
    let layout = spec.layout()?;
    let splits: Vec<Split> = sites.iter().map(|s| Split::of(&s.table, spec.evaluation.validation_share)).collect();
    let statistics = match spec.data.statistics_columns() {
        0 => None,
        _ => {
            let tables = order.iter().map(|i| (&sites[*i].table, splits[*i].rows(&sites[*i].table).0));
            let merged = match rules.masked {
                Some(_) => masked::statistics(&spec.data, tables)?,
                None => {
                    let parts = tables.map(|(table, rows)| statistics_of(table, &rows));
                    Statistics::merge(&parts.collect::<Result<Vec<_>, _>>()?)?
                }
            };
            all_known(&merged, spec)?;
            Some(merged)
        }
    };
    let prepared: Vec<Prepared> = sites
        .iter()
        .zip(&splits)
        .map(|(s, split)| Prepared::new(spec, &s.table, split, statistics.as_ref()).with_context(|| s.name.clone()))
        .collect::<Result<_>>()?;
    let raw: Vec<u32> = order.iter().map(|i| rules.raw_weight(&sites[*i].id, sites[*i].samples).unwrap_or(0)).collect();
    let weights = capped_against(&raw, rules.max_share, rules.merge.liars);
    let whole = layout.with_state(rules.merge.moments())?;
    let root = |model: &[f32], state: &[f32]| -> Result<Hash> {
        let file = ModelFile { layout: whole.clone(), duty: None, data: [model, state].concat() };
        Ok(consilium_aggregation::blob_hash(&file.encode()?))
    };
    let losses = |round: u32, model: &[f32]| -> Result<Vec<(InstitutionId, u32)>> {
        let mut out = Vec::new();
        for i in &order {
            if let Some(loss) = report(*i, round, loss_micro(spec, model, &prepared[*i].validation)?) {
                out.push((sites[*i].id, loss));
            }
        }
        Ok(out)
    };
    let pooled = |losses: &[(InstitutionId, u32)]| {
        let rows = |who: &InstitutionId| {
            let place = sites.iter().position(|site| site.id == *who);
            place.map_or(0, |place| prepared[place].validation.len() as u32)
        };
        rules.masked.and_then(|_| masked::pooled(losses, rows, sites.len()))
    };
    let voters: Vec<(InstitutionId, u32)> = order.iter().map(|i| sites[*i].id).zip(voting_weights(&weights)).collect();
    let mut models = vec![initial_parameters(spec)?];
    let mut rounds = Vec::new();
    let mut states = vec![OptimizerState::default(); sites.len()];
    let mut best = None;
    let mut remembered = vec![0f32; whole.elements() - layout.elements()];
    for round in 1..=rules.max_rounds {
        let base = models.last().context("a study without a model")?;
        // what each site says of a model comes with its next update
        let said = losses(round - 1, base)?;
        rounds.push(Round { root: root(base, &remembered)?, pooled: pooled(&said), losses: said });
        let mut updates = Vec::new();
        for i in &order {
            let seeds = Seeds::new(&sites[*i].secret, &hash, round);
            let Prepared { training, validation, .. } = &prepared[*i];
            let trained = Session::new(spec, base, training, Some(validation), &states[*i], &seeds)
                .train(&|_| false)
                .with_context(|| sites[*i].name.clone())?;
            if spec.training.keep_optimizer_state {
                states[*i] = trained.state;
            }
            updates.push(trained.parameters);
        }
        let inputs: Vec<(&[f32], u32)> = updates.iter().map(Vec::as_slice).zip(weights.iter().copied()).collect();
        let (model, state) = match &rules.masked {
            Some(masked) => masked::merged(rules, masked, &inputs, base, &remembered)?,
            None => {
                let merged = merge(&rules.merge, &inputs, base, &remembered)?;
                (merged.model, merged.state)
            }
        };
        remembered = state;
        models.push(model);
        let over = match rules.masked {
            Some(_) => masked::stops(rules, &rounds, &mut best),
            None => stops(rules, &voters, &rounds, &mut best),
        };
        if over {
            break;
        }
    }
    let last = rounds.len() as u32;
    let model = models.last().context("a study without a model")?;
    let said = losses(last, model)?;
    rounds.push(Round { root: root(model, &remembered)?, pooled: pooled(&said), losses: said });
    let newest = match rules.masked {
        Some(_) => masked::best(&rounds),
        None => best_round(best, last, &voters, |r| rounds[r as usize].losses.clone()),
    };
    let canonical = newest.or(best).unwrap_or(last);
    let (last, model) = (model.clone(), models.swap_remove(canonical as usize));
    Ok(Outcome { statistics, rounds, canonical, model, last, splits })
}

/// Compares the newest round that has been evaluated, the one before the merge just closed, with the best so far; and says
/// whether target or patience ends the study. As `consilium_primitives::round` decides it.
fn stops(rules: &StudyRules, voters: &[(InstitutionId, u32)], evaluated: &[Round], best: &mut Option<u32>) -> bool {
    let Some(newest) = evaluated.len().checked_sub(1).filter(|round| *round > 0) else { return false };
    let newer = best_round(*best, newest as u32, voters, |round| evaluated[round as usize].losses.clone());
    *best = newer.or(*best);
    if let Some(target) = rules.target {
        let weight = |voters: &[(InstitutionId, u32)]| voters.iter().map(|(_, w)| u64::from(*w)).sum::<u64>();
        let reached: Vec<_> = voters
            .iter()
            .filter(|(id, _)| evaluated[newest].losses.iter().any(|(who, loss)| who == id && *loss <= target))
            .copied()
            .collect();
        // more than half of the heads, and of the weight
        if reached.len() * 2 > voters.len() && weight(&reached) * 2 > weight(voters) {
            return true;
        }
    }
    rules.patience > 0 && newer.is_some_and(|best| (newest as u32).saturating_sub(best) >= rules.patience)
}
