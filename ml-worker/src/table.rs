//! The demo's study over many seeds, in one process: what the swarm gains over local-only, and loses to central.
//!
//! A seed draws the held-out rows, the sites' shares and all randomness of training. No seed is left out.

use crate::{
    compare::{Arm, Comparison, Inputs},
    data::{demo, read_table, Split},
    simulate::{run, site_group_key, Site},
};
use anyhow::{Context, Result};
use consilium_primitives::InstitutionId;
use consilium_study::StudyFile;
use std::fmt;

/// First bytes of the four institutions' ids on the local testnet. Merges go by the order of ids: with this one, a seed
/// gives here the bits that it gives on that chain.
const ORDER: [u8; 4] = [0xd4, 0x8e, 0x90, 0x30];

/// Figures of one model on the held-out rows.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Area under the ROC curve.
    pub auc: f64,
    /// Mean binary cross-entropy, nats.
    pub log_loss: f64,
    /// Mean of sensitivity and specificity at the cut.
    pub balanced_accuracy: f64,
}

impl Figures {
    fn of(arm: &Arm) -> Option<Self> {
        let m = arm.held_out.as_ref()?.binary()?;
        Some(Self { auc: m.auc?, log_loss: m.log_loss, balanced_accuracy: m.balanced_accuracy? })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.4}  {:.4}  {:.4}", self.auc, self.log_loss, self.balanced_accuracy))
    }
}

/// One seed.
#[derive(Clone, Debug)]
pub struct Row {
    /// The seed.
    pub seed: u64,
    /// The study's canonical model.
    pub swarm: Figures,
    /// The model from all sites' rows.
    pub central: Figures,
    /// Means over the sites' own models.
    pub local: Figures,
    /// AUC of the best of the sites' own models.
    pub best_local_auc: f64,
}

/// All seeds.
#[derive(Clone, Debug)]
pub struct Table(pub Vec<Row>);

impl Table {
    /// Runs the study for seeds 1 to `seeds`.
    ///
    /// # Errors
    /// What data or training say.
    pub fn of(file: &StudyFile, seeds: u64) -> Result<Self> {
        (1..=seeds)
            .map(|seed| Row::of(file, seed).with_context(|| format!("seed {seed}")))
            .collect::<Result<_>>()
            .map(Self)
    }

    fn mean(&self, of: impl Fn(&Row) -> f64) -> f64 {
        self.0.iter().map(of).sum::<f64>() / self.0.len() as f64
    }

    /// Mean AUC of the swarm.
    pub fn swarm_auc(&self) -> f64 {
        self.mean(|r| r.swarm.auc)
    }

    /// Lowest AUC of the swarm.
    pub fn lowest_swarm_auc(&self) -> f64 {
        self.0.iter().map(|r| r.swarm.auc).fold(f64::INFINITY, f64::min)
    }

    /// Mean of central minus swarm AUC; below 0 where the swarm is above.
    pub fn auc_behind_central(&self) -> f64 {
        self.mean(|r| r.central.auc - r.swarm.auc)
    }

    /// Largest central minus swarm AUC.
    pub fn furthest_behind_central(&self) -> f64 {
        self.0.iter().map(|r| r.central.auc - r.swarm.auc).fold(f64::NEG_INFINITY, f64::max)
    }

    /// Mean of the swarm's balanced accuracy minus the mean of the local models'.
    pub fn balanced_accuracy_gain(&self) -> f64 {
        self.mean(|r| r.swarm.balanced_accuracy - r.local.balanced_accuracy)
    }

    /// Seeds in which the swarm's log-loss is below the mean of the local models'.
    pub fn log_loss_below_local(&self) -> usize {
        self.0.iter().filter(|r| r.swarm.log_loss < r.local.log_loss).count()
    }

    /// Seeds in which the swarm's AUC is above the best local model's.
    pub fn above_best_local(&self) -> usize {
        self.0.iter().filter(|r| r.swarm.auc > r.best_local_auc).count()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "AUC, log-loss and balanced accuracy at .5 on 114 held-out patients (42 malignant, the positive class)"
        )?;
        writeln!(
            f,
            "seed   swarm                     central                   mean of 4 local           best local AUC"
        )?;
        for r in &self.0 {
            writeln!(f, "{:>4}   {:<26}{:<26}{:<26}{:.4}", r.seed, r.swarm, r.central, r.local, r.best_local_auc)?;
        }
        let n = self.0.len();
        writeln!(f)?;
        writeln!(f, "swarm AUC: mean {:.4}, lowest {:.4}", self.swarm_auc(), self.lowest_swarm_auc())?;
        let (mean, largest) = (self.auc_behind_central(), self.furthest_behind_central());
        writeln!(f, "central minus swarm AUC: mean {mean:.4}, largest {largest:.4}")?;
        writeln!(f, "balanced accuracy, swarm minus mean of local: mean {:.4}", self.balanced_accuracy_gain())?;
        writeln!(f, "log-loss below the mean of local: {} of {n}", self.log_loss_below_local())?;
        write!(f, "swarm AUC above the best local model's: {} of {n}", self.above_best_local())
    }
}

impl Row {
    fn of(file: &StudyFile, seed: u64) -> Result<Self> {
        let compared = compared(file, seed)?;
        let figures = |arm: &Arm| Figures::of(arm).context("no figures on the held-out rows");
        let local = compared.local.iter().map(figures).collect::<Result<Vec<_>>>()?;
        let mean = |of: fn(&Figures) -> f64| local.iter().map(of).sum::<f64>() / local.len() as f64;
        Ok(Self {
            seed,
            swarm: figures(&compared.swarm)?,
            central: figures(&compared.central)?,
            local: Figures {
                auc: mean(|l| l.auc),
                log_loss: mean(|l| l.log_loss),
                balanced_accuracy: mean(|l| l.balanced_accuracy),
            },
            best_local_auc: local.iter().map(|l| l.auc).fold(0.0, f64::max),
        })
    }
}

fn compared(file: &StudyFile, seed: u64) -> Result<Comparison> {
    let mut file = file.clone();
    file.seed = seed;
    let spec = file.spec();
    let rules = file.rules(2_000, demo::SITES.len() as u32)?;
    let folder = std::env::temp_dir().join(format!("consilium-table-{}-{seed}", std::process::id()));
    demo::write(seed, &folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    let sites = demo::SITES
        .iter()
        .zip(ORDER)
        .map(|((name, ..), order)| {
            let secret = demo::secret(seed, name);
            let table = read_table(&folder.join(format!("{name}.csv")), &spec.data, &site_group_key(&spec, &secret)?)?;
            // what a site signs, as `consilium localnet run` counts it
            let samples = Split::of(&table, spec.evaluation.validation_share).rows(&table).0.len() as u32;
            Ok(Site { name: (*name).to_owned(), id: InstitutionId([order; 32]), secret, samples, table })
        })
        .collect::<Result<Vec<_>>>();
    let held_out = read_table(&folder.join("held-out.csv"), &spec.data, &[0; 32]);
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    let (sites, held_out) = (sites?, held_out?);
    let outcome = run(&spec, &rules, &sites, &|_, _, loss| loss)?;
    Inputs {
        spec: &spec,
        rounds: outcome.rounds.len() as u32 - 1,
        sites: &sites,
        splits: &outcome.splits,
        tests: &[None, None, None, None],
        held_out: Some(&held_out),
        swarm: &outcome.model,
        statistics: outcome.statistics.as_ref(),
    }
    .compare()
}
