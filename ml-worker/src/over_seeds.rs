//! The demo's study over many seeds, in one process: what the swarm gains over local-only, and loses to central.
//!
//! A seed draws the held-out rows, the sites' shares and all randomness of training. No seed is left out.

use crate::{
    compare::{Arm, Comparison, Inputs, Measured},
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
    fn of(measured: &Measured) -> Option<Self> {
        let m = measured.held_out.as_ref()?.binary()?;
        Some(Self { auc: m.auc?, log_loss: m.log_loss, balanced_accuracy: m.balanced_accuracy? })
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
    /// The rounds that the swarm's and the central model are of.
    pub rounds: (u32, u32),
    /// The rounds that the sites' own models are of.
    pub local_rounds: Vec<u32>,
    /// The last round.
    pub of: u32,
}

/// All seeds.
#[derive(Clone, Debug)]
pub struct OverSeeds(pub Vec<Row>);

impl OverSeeds {
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
        self.mean(|r| r.chosen.swarm.auc)
    }

    /// Lowest AUC of the swarm.
    pub fn lowest_swarm_auc(&self) -> f64 {
        self.0.iter().map(|r| r.chosen.swarm.auc).fold(f64::INFINITY, f64::min)
    }

    /// Mean of central minus swarm AUC; below 0 where the swarm is above.
    pub fn auc_behind_central(&self) -> f64 {
        self.mean(|r| r.chosen.central.auc - r.chosen.swarm.auc)
    }

    /// Largest central minus swarm AUC.
    pub fn furthest_behind_central(&self) -> f64 {
        self.0.iter().map(|r| r.chosen.central.auc - r.chosen.swarm.auc).fold(f64::NEG_INFINITY, f64::max)
    }

    /// Mean of the swarm's balanced accuracy minus the mean of the local models'.
    pub fn balanced_accuracy_gain(&self) -> f64 {
        self.mean(|r| r.chosen.swarm.balanced_accuracy - r.chosen.local.balanced_accuracy)
    }

    /// Seeds in which the swarm's log-loss is below the mean of the local models'.
    pub fn log_loss_below_local(&self) -> usize {
        self.0.iter().filter(|r| r.chosen.swarm.log_loss < r.chosen.local.log_loss).count()
    }

    /// Seeds in which the swarm's log-loss is below the central model's.
    pub fn log_loss_below_central(&self) -> usize {
        self.0.iter().filter(|r| r.chosen.swarm.log_loss < r.chosen.central.log_loss).count()
    }

    /// Seeds in which the swarm's AUC is above the best local model's.
    pub fn above_best_local(&self) -> usize {
        self.0.iter().filter(|r| r.chosen.swarm.auc > r.chosen.best_local_auc).count()
    }
}

impl fmt::Display for OverSeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "AUC, log-loss and balanced accuracy at .5 on 114 held-out patients (42 malignant, the positive class);"
        )?;
        writeln!(f, "every arm's model is that of the round with the lowest loss on its own validation rows")?;
        writeln!(
            f,
            "seed   swarm                     round  central                   round  mean of 4 local           best local AUC"
        )?;
        for r in &self.0 {
            let Arms { swarm, central, local, best_local_auc } = &r.chosen;
            let (ours, theirs) = r.rounds;
            writeln!(
                f,
                "{:>4}   {swarm:<26}{ours:>5}  {central:<26}{theirs:>5}  {local:<26}{best_local_auc:.4}",
                r.seed
            )?;
        }
        let n = self.0.len();
        let earlier = |of: &dyn Fn(&Row) -> usize| self.0.iter().map(of).sum::<usize>();
        let locals: usize = self.0.iter().map(|r| r.local_rounds.len()).sum();
        writeln!(f)?;
        writeln!(f, "swarm AUC: mean {:.4}, lowest {:.4}", self.swarm_auc(), self.lowest_swarm_auc())?;
        let (mean, largest) = (self.auc_behind_central(), self.furthest_behind_central());
        writeln!(f, "central minus swarm AUC: mean {mean:.4}, largest {largest:.4}")?;
        writeln!(f, "balanced accuracy, swarm minus mean of local: mean {:.4}", self.balanced_accuracy_gain())?;
        writeln!(f, "log-loss below the mean of local: {} of {n}", self.log_loss_below_local())?;
        writeln!(f, "log-loss below central: {} of {n}", self.log_loss_below_central())?;
        writeln!(f, "swarm AUC above the best local model's: {} of {n}", self.above_best_local())?;
        writeln!(
            f,
            "an earlier round than the last was chosen: swarm {} of {n}, central {} of {n}, local {} of {locals}",
            earlier(&|r| usize::from(r.rounds.0 < r.of)),
            earlier(&|r| usize::from(r.rounds.1 < r.of)),
            earlier(&|r| r.local_rounds.iter().filter(|round| **round < r.of).count()),
        )?;
        write!(
            f,
            "every arm at its last round: swarm AUC mean {:.4}, central {:.4}, local {:.4}; log-loss swarm {:.4}, central {:.4}, local {:.4}",
            self.mean(|r| r.last.swarm.auc),
            self.mean(|r| r.last.central.auc),
            self.mean(|r| r.last.local.auc),
            self.mean(|r| r.last.swarm.log_loss),
            self.mean(|r| r.last.central.log_loss),
            self.mean(|r| r.last.local.log_loss),
        )
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
            best_local_auc: local.iter().map(|l| l.auc).fold(0.0, f64::max),
        })
    }
}

impl Row {
    fn of(file: &StudyFile, seed: u64) -> Result<Self> {
        let compared = compared(file, seed)?;
        Ok(Self {
            seed,
            chosen: Arms::of(&compared, |arm| Some(&arm.chosen))?,
            last: Arms::of(&compared, |arm| arm.last.as_ref())?,
            rounds: (compared.swarm.choice.round, compared.central.choice.round),
            local_rounds: compared.local.iter().map(|arm| arm.choice.round).collect(),
            of: compared.swarm.choice.rounds,
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
        swarm: outcome.swarm(),
        statistics: outcome.statistics.as_ref(),
    }
    .compare()
}
