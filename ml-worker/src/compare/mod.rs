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
//! An outcome that is a number is standardised in every arm as the swarm does it, so that all losses are in one unit: a local
//! model knows the swarm's mean and deviation of it, which a site by itself would not.
//!
//! The swarm's model sees each site's rows as that site's worker prepares them.

mod arm;
mod inputs;
mod joining;
mod site;
mod text;

pub use arm::{Arm, Choice, Measured};
pub use consilium_study::Verdict;
pub use inputs::Inputs;
pub use joining::Joining;

use crate::{
    data::{own_statistics, Rows, Scaler, Target},
    learn::figures::outputs,
    random::key,
};
use anyhow::{ensure, Context, Result};
use arm::{Judges, Kept, Model, Point, Said, Sets};
use consilium_aggregation::Statistics;
use consilium_study::{Scaling, SiteFigures, StudySpec, Task};
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
    /// Each site's figures as a report shows them; sites without rows to measure on are left out.
    pub figures: Vec<(String, SiteFigures)>,
    /// What has to be known to read the figures.
    pub notes: Vec<String>,
}

/// A site's own model, what it says of that site's held-out rows, and the statistics of the rows that it was trained on.
struct Alone {
    arm: Arm,
    said: Said,
    own: Statistics,
}

/// A model of the swarm's: what is not merged of it stays at each site.
fn joined(parameters: &[f32]) -> Point {
    Point { parameters: parameters.to_vec(), kept: Kept::EachSite }
}

fn labels_per_row(spec: &StudySpec) -> usize {
    match spec.data.task() {
        Task::Binary | Task::Classes(_) | Task::Value => 1,
        Task::Labels(n) => n,
        Task::Events(_) => 2,
    }
}

impl Inputs<'_> {
    /// `statistics`: of all numeric columns, and of an outcome that is a number.
    fn scaler(&self, statistics: &Statistics) -> Scaler {
        let features = Target::part_of(&self.spec.data, statistics).0;
        let scaler = match self.spec.data.scaling {
            Scaling::None => Scaler::identity(&features),
            Scaling::Swarm | Scaling::Site => Scaler::standard(&features),
            Scaling::Transductive => Scaler::transductive(),
            Scaling::Fixed(_) => {
                let columns = self.spec.data.features.columns.iter().map(String::as_str);
                // the specification was checked: each column has its numbers
                Scaler::agreed(&self.spec.data.scaling, columns).unwrap_or_else(|| Scaler::identity(&features))
            }
        };
        scaler.with_target(self.target())
    }

    /// How every arm standardises an outcome that is a number: as the swarm does, so that losses are in one unit.
    fn target(&self) -> Option<Target> {
        Target::part_of(&self.spec.data, self.statistics?).1
    }

    /// How a site's worker scales its rows.
    fn workers(&self, site: usize) -> Result<Scaler> {
        let table = &self.sites[site].table;
        let training = self.splits[site].rows(table).0;
        Ok(Scaler::of(&self.spec.data.scaling, table, &training, self.statistics)?)
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
                let all = Statistics::merge(&parts.collect::<Result<Vec<_>>>()?)?;
                let features = Target::part_of(&self.spec.data, &all).0;
                Some(Scaler::standard(&features).with_target(self.target()))
            }
            Scaling::None | Scaling::Swarm | Scaling::Site | Scaling::Fixed(_) => None,
        };
        let mut pooled = Rows::new(self.spec.inputs(), labels_per_row(self.spec));
        for (n, site) in self.sites.iter().enumerate() {
            let scaler = match (&one_set, &self.spec.data.scaling) {
                (Some(scaler), _) => scaler.clone(),
                (None, Scaling::Site) => self.workers(n)?,
                (None, _) => common.clone(),
            };
            pooled.append(&scaler.apply(&site.table, &side(n))?);
        }
        Ok(pooled)
    }

    /// A site's own model, from its rows alone.
    fn alone(&self, n: usize) -> Result<Alone> {
        let (site, split) = (&self.sites[n], &self.splits[n]);
        let (training, validation) = split.rows(&site.table);
        let own = own_statistics(&site.table, &training)?;
        let scaler = self.scaler(&own);
        let rows = scaler.apply(&site.table, &training)?;
        let validation = scaler.apply(&site.table, &validation)?;
        let model =
            self.fit(&rows, &validation, &site.secret).with_context(|| format!("local-only model of {}", site.name))?;
        let sets = Sets { sites: vec![scaler.clone(); self.sites.len()], common: scaler };
        let (arm, mut on, _) = self.arm(&site.name, &model, (&sets, &Judges::One(&validation)), rows.len())?;
        Ok(Alone { arm, said: on.swap_remove(n), own })
    }

    /// What one site can tell by itself: its own model, trained for as many rounds, beside the study's, on its own rows. `None`
    /// where it has no rows to measure on.
    ///
    /// # Errors
    /// More sites than one; what data or training say.
    pub fn own(&self) -> Result<Option<SiteFigures>> {
        ensure!(self.sites.len() == 1, "what a site tells by itself is of one site");
        let Alone { arm: alone, said, own: _ } = self.alone(0)?;
        let workers = self.workers(0)?;
        let sets = Sets { sites: vec![workers.clone()], common: workers };
        let validation_rows = self.splits[0].rows(&self.sites[0].table).1.len();
        let choice = Choice { round: self.swarm.round, rounds: self.rounds, validation_rows, too_few: false };
        let swarm = Model { chosen: joined(self.swarm.chosen), last: None, choice, by_round: Vec::new() };
        let (swarm, said_by, cuts) = self.arm("swarm", &swarm, (&sets, &Judges::EachSite), 0)?;
        let told = site::figures(
            self.spec,
            self.tests[0].is_some(),
            (
                site::Measured { arm: &swarm, site: 0, said: said_by.first() },
                site::Measured { arm: &alone, site: 0, said: Some(&said) },
            ),
            None,
            cuts.sites[0].first().copied().flatten(),
        );
        Ok(told.map(|mut figures| {
            // others' rows are not known here
            figures.swarm.training_rows = None;
            figures
        }))
    }

    /// With which of the tensors that stay at sites the swarm's model is measured.
    fn told_of_kept(&self) -> String {
        let missing: Vec<&str> = self
            .sites
            .iter()
            .enumerate()
            .filter(|(n, _)| self.engine.at_site(*n).is_none())
            .map(|(_, site)| site.name.as_str())
            .collect();
        let mut note = "swarm: on a site's rows with the tensors that stay at that site, as training in the chosen round has left them, on \
                        rows that are no site's with those of the initial file; local-only and central models have their own"
            .to_owned();
        if !missing.is_empty() {
            note.push_str("; not at hand, so that those of the initial file stand in: ");
            note.push_str(&missing.join(", "));
        }
        note
    }

    /// Trains the other arms, and measures all.
    ///
    /// # Errors
    /// What data or training say.
    pub fn compare(&self) -> Result<Comparison> {
        let sites = 0..self.sites.len();
        let (mut local, mut alone, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        let mut judges = 0;
        for n in sites.clone() {
            let Alone { arm, said, own } = self.alone(n)?;
            judges += usize::from(!arm.choice.too_few);
            local.push(arm);
            alone.push(said);
            parts.push(own);
        }
        let merged = match self.statistics {
            Some(statistics) if self.spec.data.scaling == Scaling::Swarm => statistics.clone(),
            Some(_) | None => Statistics::merge(&parts)?,
        };
        let common = self.scaler(&merged);
        let workers = Sets { sites: sites.map(|n| self.workers(n)).collect::<Result<_>>()?, common: common.clone() };
        let (pooled, validation) = (self.pooled(false, &common)?, self.pooled(true, &common)?);
        let secrets: Vec<&[u8]> = self.sites.iter().map(|s| &s.secret[..]).collect();
        let central = self.fit(&pooled, &validation, &key("consilium/central/1", &secrets)).context("central model")?;
        let one = Sets { sites: vec![common.clone(); self.sites.len()], common };
        let by_site = self.spec.data.scaling == Scaling::Site;
        let sets = if by_site { &workers } else { &one };
        let (central, everywhere, _) =
            self.arm("central", &central, (sets, &Judges::One(&validation)), pooled.len())?;
        let choice = Choice {
            round: self.swarm.round,
            rounds: self.rounds,
            validation_rows: validation.len(),
            // as the chain: a round counts where more than half of the sites have reported on it
            too_few: judges * 2 <= self.sites.len(),
        };
        let last = self.swarm.last.or((choice.round == choice.rounds).then_some(self.swarm.chosen));
        let last = last.map(joined);
        let swarm = Model { chosen: joined(self.swarm.chosen), last, choice, by_round: Vec::new() };
        let (swarm, joined, cuts) = self.arm("swarm", &swarm, (&workers, &Judges::EachSite), pooled.len())?;
        let joining: Vec<Joining> = self
            .sites
            .iter()
            .zip(alone.iter().zip(&joined))
            .filter_map(|(site, (alone, joined))| Joining::of(self.spec, &site.name, alone, joined))
            .collect();
        let figures = (0..self.sites.len()).filter_map(|n| {
            let told = site::figures(
                self.spec,
                self.tests[n].is_some(),
                (site::Measured::at(&swarm, &joined, n), site::Measured::at(&local[n], &alone, n)),
                Some(site::Measured::at(&central, &everywhere, n)),
                cuts.sites[n].first().copied().flatten(),
            )?;
            Some((self.sites[n].name.clone(), told))
        });
        let figures = figures.collect();
        let losing = joining.iter().filter(|j| j.verdict == Verdict::Worse).map(|j| j.site.clone()).collect();
        let mut notes = Vec::new();
        if by_site {
            notes.push(
                "central: each site's rows are scaled by that site's own mean and deviation, as the study agrees; it is \
                 not one data set on one scale"
                    .to_owned(),
            );
        }
        if self.engine.trainer.as_ref().is_some_and(|trainer| trainer.keeps()) {
            notes.push(self.told_of_kept());
        }
        Ok(Comparison {
            positive: self.spec.data.positive.clone(),
            negative: self.spec.data.negative.clone(),
            outputs: outputs(&self.spec.data),
            tested: self.tests.iter().map(Option::is_some).collect(),
            cut: crate::learn::metrics::CUT,
            held_out: self.held_out.map_or((0, 0), |t| (t.rows(), t.positives())),
            local,
            swarm,
            central,
            joining,
            losing,
            figures,
            notes,
        })
    }
}
