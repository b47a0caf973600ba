//! A study over many seeds, in one process: what the swarm gains over local-only, and loses to central.
//!
//! A seed draws the held-out rows and all randomness of training, and of the demo's data, or where it is asked to, which
//! site has which rows. No seed is left out.

mod print;
mod source;

pub use source::Source;

use crate::{
    compare::{Arm, Choice, Comparison, Measured},
    learn::{figures::Figures as Measures, metrics::PairedMean},
    random::key,
};
use anyhow::{bail, Context, Result};
use consilium_study::{StudyFile, Task};
use std::{fmt, ops::RangeInclusive};

/// Figures of one model on the held-out rows: of two classes, or what stands in their place of another outcome.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Area under the ROC curve; of a number R², of the time until an event Harrell's C.
    pub auc: f64,
    /// Mean binary cross-entropy, nats; of a number the root mean squared error.
    pub log_loss: f64,
    /// Mean of sensitivity and specificity at the cut; of a number the mean absolute error, of
    /// the time until an event the mean of the Brier scores at those cuts that have one.
    pub balanced_accuracy: f64,
}

/// What the three figures of [`Figures`] are called.
fn names(task: Task) -> [&'static str; 3] {
    match task {
        Task::Value => ["R2", "RMSE", "MAE"],
        Task::Events(_) => ["C", "log-loss", "Brier score"],
        Task::Binary | Task::Classes(_) | Task::Labels(_) => ["AUC", "log-loss", "balanced accuracy"],
    }
}

impl Figures {
    fn of(measured: &Measured) -> Option<Self> {
        let (auc, log_loss, balanced_accuracy) = match measured.held_out.as_ref()? {
            Measures::Binary(m) => (m.auc?, m.log_loss, m.balanced_accuracy?),
            Measures::Value(m) => (m.r2?, m.rmse, m.mae),
            Measures::Events(m) => {
                let scores: Vec<f64> = m.horizons.iter().filter_map(|at| at.brier).collect();
                (m.concordance?, m.log_loss, scores.iter().sum::<f64>() / scores.len() as f64)
            }
            Measures::Classes(_) | Measures::Labels(_) => return None,
        };
        Some(Self { auc, log_loss, balanced_accuracy })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.4}  {:.4}  {:.4}", self.auc, self.log_loss, self.balanced_accuracy))
    }
}

/// Figures of all arms of one seed.
#[derive(Clone, Copy, Debug)]
pub struct Arms {
    /// The study's model.
    pub swarm: Figures,
    /// The model from all sites' rows.
    pub central: Figures,
    /// Means over the sites' own models.
    pub local: Figures,
    /// AUC of the best of the sites' own models.
    pub best_local_auc: f64,
}

/// One seed.
#[derive(Clone, Debug)]
pub struct Row {
    /// The seed.
    pub seed: u64,
    /// Each arm's chosen model.
    pub chosen: Arms,
    /// Each arm's model of the last round.
    pub last: Arms,
    /// How the swarm's and the central model were chosen.
    pub choices: (Choice, Choice),
    /// How the sites' own models were.
    pub local_choices: Vec<Choice>,
    /// Training rows of each site.
    pub training_rows: Vec<usize>,
    /// Held-out rows, and how many of them are positive.
    pub held_out: (usize, usize),
}

/// All seeds.
#[derive(Clone, Debug)]
pub struct OverSeeds {
    /// One row per seed.
    pub rows: Vec<Row>,
    /// The positive class, as it stands in the tables; empty where there are no classes.
    pub positive: String,
    /// What is predicted.
    pub task: Task,
    /// Validation rows that choosing needs.
    pub min_rows: u32,
}

impl OverSeeds {
    /// Runs the study for these seeds. `each` gets every seed's comparison as soon as it is there.
    ///
    /// # Errors
    /// What data or training say; what `each` says.
    pub fn of(
        file: &StudyFile,
        source: Source<'_>,
        seeds: RangeInclusive<u64>,
        each: &mut dyn FnMut(u64, &Comparison) -> Result<()>,
    ) -> Result<Self> {
        let mut rows = Vec::new();
        for seed in seeds {
            let compared = source.compared(file, seed).with_context(|| format!("seed {seed}"))?;
            each(seed, &compared)?;
            rows.push(Row::of(&compared, seed).with_context(|| format!("seed {seed}"))?);
        }
        let (positive, task) = (file.data.positive.clone(), file.data.task());
        Ok(Self { rows, positive, task, min_rows: file.evaluation.min_rows })
    }

    fn mean(&self, of: impl Fn(&Row) -> f64) -> f64 {
        self.rows.iter().map(of).sum::<f64>() / self.rows.len() as f64
    }

    /// The mean of a difference between two figures of the same seed, with Student's interval over seeds. It says how sure
    /// the mean over such draws of the same rows is, not how sure it is for other patients.
    pub fn paired(&self, of: impl Fn(&Row) -> (f64, f64)) -> Option<PairedMean> {
        let (first, second): (Vec<f64>, Vec<f64>) = self.rows.iter().map(of).unzip();
        let seeds: Vec<[u8; 32]> =
            self.rows.iter().map(|r| key("consilium/seeds/row/1", &[&r.seed.to_le_bytes()])).collect();
        PairedMean::of(&first, &second, &seeds)
    }

    /// Mean AUC of the swarm.
    pub fn swarm_auc(&self) -> f64 {
        self.mean(|r| r.chosen.swarm.auc)
    }

    /// Lowest AUC of the swarm.
    pub fn lowest_swarm_auc(&self) -> f64 {
        self.rows.iter().map(|r| r.chosen.swarm.auc).fold(f64::INFINITY, f64::min)
    }

    /// Mean of central minus swarm AUC; below 0 where the swarm is above.
    pub fn auc_behind_central(&self) -> f64 {
        self.mean(|r| r.chosen.central.auc - r.chosen.swarm.auc)
    }

    /// Largest central minus swarm AUC.
    pub fn furthest_behind_central(&self) -> f64 {
        self.rows.iter().map(|r| r.chosen.central.auc - r.chosen.swarm.auc).fold(f64::NEG_INFINITY, f64::max)
    }

    /// Mean of the swarm's balanced accuracy minus the mean of the local models'.
    pub fn balanced_accuracy_gain(&self) -> f64 {
        self.mean(|r| r.chosen.swarm.balanced_accuracy - r.chosen.local.balanced_accuracy)
    }

    /// Seeds in which the swarm's log-loss is below the mean of the local models'.
    pub fn log_loss_below_local(&self) -> usize {
        self.rows.iter().filter(|r| r.chosen.swarm.log_loss < r.chosen.local.log_loss).count()
    }

    /// Seeds in which the swarm's log-loss is below the central model's.
    pub fn log_loss_below_central(&self) -> usize {
        self.rows.iter().filter(|r| r.chosen.swarm.log_loss < r.chosen.central.log_loss).count()
    }

    /// Seeds in which the swarm's AUC is above the best local model's.
    pub fn above_best_local(&self) -> usize {
        self.rows.iter().filter(|r| r.chosen.swarm.auc > r.chosen.best_local_auc).count()
    }
}

impl Arms {
    fn of(compared: &Comparison, of: impl Fn(&Arm) -> Option<&Measured>) -> Result<Self> {
        let figures = |arm: &Arm| of(arm).and_then(Figures::of).context("no figures on the held-out rows");
        let local = compared.local.iter().map(figures).collect::<Result<Vec<_>>>()?;
        let mean = |of: fn(&Figures) -> f64| local.iter().map(of).sum::<f64>() / local.len() as f64;
        Ok(Self {
            swarm: figures(&compared.swarm)?,
            central: figures(&compared.central)?,
            local: Figures {
                auc: mean(|l| l.auc),
                log_loss: mean(|l| l.log_loss),
                balanced_accuracy: mean(|l| l.balanced_accuracy),
            },
            best_local_auc: local.iter().map(|l| l.auc).fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

impl Row {
    fn of(compared: &Comparison, seed: u64) -> Result<Self> {
        let (rows, positives) = compared.held_out;
        let classes = compared.swarm.chosen.held_out.as_ref().is_some_and(|figures| figures.binary().is_some());
        if classes && (positives == 0 || positives == rows) {
            bail!("the {rows} held-out rows are all of one class, of which there is no AUC; hold out more");
        }
        Ok(Self {
            seed,
            chosen: Arms::of(compared, |arm| Some(&arm.chosen))?,
            last: Arms::of(compared, |arm| arm.last.as_ref())?,
            choices: (compared.swarm.choice, compared.central.choice),
            local_choices: compared.local.iter().map(|arm| arm.choice).collect(),
            training_rows: compared.local.iter().map(|arm| arm.training_rows).collect(),
            held_out: compared.held_out,
        })
    }
}
