//! Swarm, local-only and central side by side: possible only where all data lie on one machine.
//!
//! Every arm has the same architecture, initial parameters, optimiser, batch size and number of epochs (rounds times
//! epochs of a round, with the optimiser's state kept or reset at the same places). *Local-only* sees one site's
//! training rows, scaled by their own mean and deviation, however few there are; *central* sees all sites' training rows,
//! scaled as the swarm's are. Where nothing is scaled, a missing value becomes the mean of the site whose row it is, as in
//! the worker; in the common held-out rows, which are no site's, that of the rows the model was trained on. Where each site
//! scales by its own rows, a site's rows are scaled so for the swarm's and the central model, the common held-out rows by
//! the statistics of all sites' training rows, and every row by those of the local model's site for that model. Where each
//! set of rows is scaled by itself, so is every set here. Nothing is chosen on held-out rows.

use crate::{
    data::{own_statistics, Prepared, Rows, Scaler, Split, Table},
    learn::{figures::Figures, initial_parameters, logits_of, objective, Net, OptimizerState, Seeds, Session},
    random::key,
    simulate::Site,
};
use anyhow::{Context, Result};
use consilium_aggregation::Statistics;
use consilium_study::{Scaling, StudySpec, Task};
use serde::Serialize;

/// Figures of one model: on the held-out rows common to all, and on each site's own held-out rows.
#[derive(Clone, Debug, Serialize)]
pub struct Arm {
    /// Who trained it.
    pub name: String,
    /// Training rows it saw.
    pub training_rows: usize,
    /// On the common held-out rows; none where there are none.
    pub held_out: Option<Figures>,
    /// On each site's own held-out rows, by site.
    pub sites: Vec<(String, Option<Figures>)>,
}

/// All arms.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The positive class, as it stands in the tables.
    pub positive: String,
    /// Predicted probability from which on a row counts as positive.
    pub cut: f64,
    /// Common held-out rows, and how many of them are positive.
    pub held_out: (usize, usize),
    /// One model per site, from its own rows alone.
    pub local: Vec<Arm>,
    /// The study's canonical model.
    pub swarm: Arm,
    /// One model from all sites' rows.
    pub central: Arm,
    /// Sites on whose own held-out rows the swarm's model has a higher log-loss than their own.
    pub losing: Vec<String>,
}

/// What is compared.
pub struct Inputs<'a> {
    /// The spec.
    pub spec: &'a StudySpec,
    /// Rounds that were run: every arm trains for as many.
    pub rounds: u32,
    /// Sites.
    pub sites: &'a [Site],
    /// Their splits.
    pub splits: &'a [Split],
    /// Each site's own held-out table; where there is none, its validation rows are used.
    pub tests: &'a [Option<Table>],
    /// Rows held out from everyone.
    pub held_out: Option<&'a Table>,
    /// The canonical model.
    pub swarm: &'a [f32],
    /// Merged statistics of the study.
    pub statistics: Option<&'a Statistics>,
}

fn labels_per_row(spec: &StudySpec) -> usize {
    match spec.data.task() {
        Task::Binary | Task::Classes(_) => 1,
        Task::Labels(n) => n,
    }
}

impl Inputs<'_> {
    fn fit(&self, rows: &Rows, validation: &Rows, secret: &[u8; 32]) -> Result<Vec<f32>> {
        let hash = self.spec.hash()?.0;
        let mut parameters = initial_parameters(self.spec)?;
        let mut state = OptimizerState::default();
        for round in 1..=self.rounds {
            let seeds = Seeds::new(secret, &hash, round);
            let trained =
                Session::new(self.spec, &parameters, rows, Some(validation), &state, &seeds).train(&|_| false)?;
            parameters = trained.parameters;
            if self.spec.training.keep_optimizer_state {
                state = trained.state;
            }
        }
        Ok(parameters)
    }

    /// Figures of a model. `alone`: of one site's own, which scales all rows as it scales its own.
    fn arm(
        &self,
        (name, alone): (&str, bool),
        parameters: &[f32],
        scaler: &Scaler,
        training_rows: usize,
    ) -> Result<Arm> {
        let net = Net::new(self.spec.architecture()?)?;
        let objective = objective(self.spec, None);
        let figures = |scaler: &Scaler, table: &Table, rows: &[usize]| -> Result<Option<Figures>> {
            let rows = scaler.apply(table, rows)?;
            Ok(Figures::of(&objective, &logits_of(&net, parameters, &rows)?, rows.labels(), &[]))
        };
        let all = |table: &Table| (0..table.rows()).collect::<Vec<_>>();
        let mut sites = Vec::new();
        for ((site, split), test) in self.sites.iter().zip(self.splits).zip(self.tests) {
            let (training, validation) = split.rows(&site.table);
            let own = match (self.spec.data.scaling, alone) {
                (Scaling::None, _) => Some(Scaler::own(&site.table, &training)?),
                (Scaling::Site, false) => Some(Scaler::standard(&own_statistics(&site.table, &training)?)),
                _ => None,
            };
            let scaler = own.as_ref().unwrap_or(scaler);
            let own = match test {
                Some(table) => figures(scaler, table, &all(table))?,
                None => figures(scaler, &site.table, &validation)?,
            };
            sites.push((site.name.clone(), own));
        }
        let held_out = self.held_out.map(|table| figures(scaler, table, &all(table))).transpose()?.flatten();
        Ok(Arm { name: name.to_owned(), training_rows, held_out, sites })
    }

    fn scaler(&self, statistics: &Statistics) -> Scaler {
        match self.spec.data.scaling {
            Scaling::None => Scaler::identity(statistics),
            Scaling::Swarm | Scaling::Site => Scaler::standard(statistics),
            Scaling::Transductive => Scaler::transductive(),
        }
    }

    /// Trains the other arms, and measures all.
    ///
    /// # Errors
    /// What data or training say.
    pub fn compare(&self) -> Result<Comparison> {
        let mut local = Vec::new();
        let mut pooled = Rows::new(self.spec.inputs(), labels_per_row(self.spec));
        let mut pooled_validation = pooled.clone();
        let mut parts = Vec::new();
        for (site, split) in self.sites.iter().zip(self.splits) {
            let (training, validation) = split.rows(&site.table);
            let own = own_statistics(&site.table, &training)?;
            let scaler = self.scaler(&own);
            let rows = scaler.apply(&site.table, &training)?;
            let parameters = self
                .fit(&rows, &scaler.apply(&site.table, &validation)?, &site.secret)
                .with_context(|| format!("local-only model of {}", site.name))?;
            local.push(self.arm((&site.name, true), &parameters, &scaler, rows.len())?);
            parts.push(own);
        }
        let merged = match self.statistics {
            Some(statistics) => statistics.clone(),
            None => Statistics::merge(&parts)?,
        };
        let scaler = self.scaler(&merged);
        for (site, split) in self.sites.iter().zip(self.splits) {
            let prepared = Prepared::new(self.spec, &site.table, split, self.statistics)?;
            pooled.append(&prepared.training);
            pooled_validation.append(&prepared.validation);
        }
        let secrets: Vec<&[u8]> = self.sites.iter().map(|s| &s.secret[..]).collect();
        let central =
            self.fit(&pooled, &pooled_validation, &key("consilium/central/1", &secrets)).context("central model")?;
        let central = self.arm(("central", false), &central, &scaler, pooled.len())?;
        let swarm = self.arm(("swarm", false), self.swarm, &scaler, pooled.len())?;
        let losing = local
            .iter()
            .zip(&swarm.sites)
            .zip(0..)
            .filter_map(|((arm, (name, joined)), n)| {
                let (alone, joined) = (arm.sites.get(n)?.1.as_ref()?, joined.as_ref()?);
                (joined.log_loss() > alone.log_loss()).then(|| name.clone())
            })
            .collect();
        Ok(Comparison {
            positive: self.spec.data.positive.clone(),
            cut: crate::learn::metrics::CUT,
            held_out: self.held_out.map_or((0, 0), |t| (t.rows(), t.positives())),
            local,
            swarm,
            central,
            losing,
        })
    }
}
