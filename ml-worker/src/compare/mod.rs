//! Swarm, local-only and central side by side: possible only where all data lie on one machine.
//!
//! Every arm has the same architecture, initial parameters, optimiser, batch size and number of epochs (rounds times
//! epochs of a round, with the optimiser's state kept or reset at the same places), and every arm's model is *chosen*
//! alike: it is that of the round with the lowest figure, in the agreed metric, on the arm's own validation rows, the later
//! of two that are equal. The swarm's is the study's canonical round; a local model is judged by its site's validation rows,
//! the central one by all sites' together. With fewer validation rows than the study asks a site for before it reports
//! (`evaluation.min_rows`, 20 unless agreed otherwise) nothing is chosen and the last round counts. The last round's figures
//! stand beside the chosen ones in any case. Nothing is chosen on held-out rows.
//!
//! *Local-only* sees one site's training rows, scaled by their own mean and deviation, however few there are.
//!
//! *Central* sees all sites' training rows as one data set. Where the swarm's statistics scale, they scale it too. Where
//! each set of rows is scaled by itself, all training rows together are one set, all validation rows together another, and
//! each set that is measured on a third. Where nothing is scaled, a missing value becomes the mean of all training rows.
//! Where each site scales by its own rows, there is no one scale: a site's rows are scaled by that site's training rows for
//! the swarm's and for the central model, and only the common held-out rows, which are no site's, by all training rows; what
//! is called central is then trained on rows from which the sites' differences have been taken out.
//!
//! Beside the cut at .5 stand figures at a cut (Youden's) that is chosen on validation rows: those of the arm's own; of the
//! swarm's model at a site, that site's, and for the common held-out rows all sites' together. On the rows that chose it no
//! cut is measured, and too few to choose a round by are too few to choose a cut by.
//!
//! The swarm's model sees each site's rows as that site's worker prepares them.

mod arm;
mod inputs;
mod joining;
mod text;

pub use arm::{Arm, Choice, Measured};
pub use inputs::Inputs;
pub use joining::{Joining, Verdict};

use crate::{
    data::{own_statistics, Rows, Scaler},
    learn::figures::outputs,
    random::key,
};
use anyhow::{Context, Result};
use arm::{Judges, Model, Sets};
use consilium_aggregation::Statistics;
use consilium_study::{Scaling, StudySpec, Task};
use serde::Serialize;

/// All arms.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The positive class, as it stands in the tables; empty where there are several.
    pub positive: String,
    /// The negative class.
    pub negative: String,
    /// Names of the model's outputs: the positive class, the classes, or the labels.
    pub outputs: Vec<String>,
    /// Predicted probability from which on a row counts as positive.
    pub cut: f64,
    /// Whether each site's own rows are those of a table of its own, and not its validation rows.
    pub tested: Vec<bool>,
    /// Common held-out rows, and how many of them are positive; 0 where there are no two classes.
    pub held_out: (usize, usize),
    /// One model per site, from its own rows alone.
    pub local: Vec<Arm>,
    /// The study's canonical model.
    pub swarm: Arm,
    /// One model from all sites' rows.
    pub central: Arm,
    /// What each site gains or loses by joining, on its own rows.
    pub joining: Vec<Joining>,
    /// Sites of which [`joining`](Self::joining) says that they lose.
    pub losing: Vec<String>,
    /// What has to be known to read the figures.
    pub notes: Vec<String>,
}

fn labels_per_row(spec: &StudySpec) -> usize {
    match spec.data.task() {
        Task::Binary | Task::Classes(_) => 1,
        Task::Labels(n) => n,
    }
}

impl Inputs<'_> {
    fn scaler(&self, statistics: &Statistics) -> Scaler {
        match self.spec.data.scaling {
            Scaling::None => Scaler::identity(statistics),
            Scaling::Swarm | Scaling::Site => Scaler::standard(statistics),
            Scaling::Transductive => Scaler::transductive(),
        }
    }

    /// How a site's worker scales its rows.
    fn workers(&self, site: usize) -> Result<Scaler> {
        let table = &self.sites[site].table;
        let training = self.splits[site].rows(table).0;
        Ok(Scaler::of(self.spec.data.scaling, table, &training, self.statistics)?)
    }

    /// All sites' rows of one side of their splits, as the central model sees them. `common`: the scale of all training rows.
    fn pooled(&self, validation: bool, common: &Scaler) -> Result<Rows> {
        let side = |site: usize| {
            let (training, rest) = self.splits[site].rows(&self.sites[site].table);
            if validation {
                rest
            } else {
                training
            }
        };
        let one_set = match self.spec.data.scaling {
            Scaling::Transductive => {
                let parts = self.sites.iter().enumerate().map(|(n, s)| Ok(own_statistics(&s.table, &side(n))?));
                Some(Scaler::standard(&Statistics::merge(&parts.collect::<Result<Vec<_>>>()?)?))
            }
            Scaling::None | Scaling::Swarm | Scaling::Site => None,
        };
        let mut pooled = Rows::new(self.spec.inputs(), labels_per_row(self.spec));
        for (n, site) in self.sites.iter().enumerate() {
            let scaler = match (&one_set, self.spec.data.scaling) {
                (Some(scaler), _) => scaler.clone(),
                (None, Scaling::Site) => self.workers(n)?,
                (None, _) => common.clone(),
            };
            pooled.append(&scaler.apply(&site.table, &side(n))?);
        }
        Ok(pooled)
    }

    /// Trains the other arms, and measures all.
    ///
    /// # Errors
    /// What data or training say.
    pub fn compare(&self) -> Result<Comparison> {
        let sites = 0..self.sites.len();
        let (mut local, mut alone, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        let mut judges = 0;
        for (n, (site, split)) in self.sites.iter().zip(self.splits).enumerate() {
            let (training, validation) = split.rows(&site.table);
            let own = own_statistics(&site.table, &training)?;
            let scaler = self.scaler(&own);
            let rows = scaler.apply(&site.table, &training)?;
            let validation = scaler.apply(&site.table, &validation)?;
            let model = self
                .fit(&rows, &validation, &site.secret)
                .with_context(|| format!("local-only model of {}", site.name))?;
            judges += usize::from(!model.choice.too_few);
            let sets = Sets { sites: vec![scaler.clone(); self.sites.len()], common: scaler };
            let (arm, mut on) = self.arm(&site.name, &model, (&sets, &Judges::One(&validation)), rows.len())?;
            local.push(arm);
            alone.push(on.swap_remove(n));
            parts.push(own);
        }
        let merged = match self.statistics {
            Some(statistics) => statistics.clone(),
            None => Statistics::merge(&parts)?,
        };
        let common = self.scaler(&merged);
        let workers = Sets { sites: sites.map(|n| self.workers(n)).collect::<Result<_>>()?, common: common.clone() };
        let (pooled, validation) = (self.pooled(false, &common)?, self.pooled(true, &common)?);
        let secrets: Vec<&[u8]> = self.sites.iter().map(|s| &s.secret[..]).collect();
        let central = self.fit(&pooled, &validation, &key("consilium/central/1", &secrets)).context("central model")?;
        let one = Sets { sites: vec![common.clone(); self.sites.len()], common };
        let by_site = self.spec.data.scaling == Scaling::Site;
        let sets = if by_site { &workers } else { &one };
        let central = self.arm("central", &central, (sets, &Judges::One(&validation)), pooled.len())?.0;
        let choice = Choice {
            round: self.swarm.round,
            rounds: self.rounds,
            validation_rows: validation.len(),
            // as the chain: a round counts where more than half of the sites have reported on it
            too_few: judges * 2 <= self.sites.len(),
        };
        let last = self.swarm.last.or((choice.round == choice.rounds).then_some(self.swarm.chosen));
        let swarm = Model { chosen: self.swarm.chosen.to_vec(), last: last.map(<[f32]>::to_vec), choice };
        let (swarm, joined) = self.arm("swarm", &swarm, (&workers, &Judges::EachSite), pooled.len())?;
        let joining: Vec<Joining> = self
            .sites
            .iter()
            .zip(alone.iter().zip(&joined))
            .filter_map(|(site, (alone, joined))| Joining::of(self.spec, &site.name, alone, joined))
            .collect();
        let losing = joining.iter().filter(|j| j.verdict == Verdict::Worse).map(|j| j.site.clone()).collect();
        let mut notes = Vec::new();
        if by_site {
            notes.push(
                "central: each site's rows are scaled by that site's own mean and deviation, as the study agrees; it is \
                 not one data set on one scale"
                    .to_owned(),
            );
        }
        Ok(Comparison {
            positive: self.spec.data.positive.clone(),
            negative: self.spec.data.negative.clone(),
            outputs: outputs(&self.spec.data).into_iter().map(str::to_owned).collect(),
            tested: self.tests.iter().map(Option::is_some).collect(),
            cut: crate::learn::metrics::CUT,
            held_out: self.held_out.map_or((0, 0), |t| (t.rows(), t.positives())),
            local,
            swarm,
            central,
            joining,
            losing,
            notes,
        })
    }
}
