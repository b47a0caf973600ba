//! The demo's study over many seeds, in one process: what the swarm gains over local-only, and loses to central.

use anyhow::{Context, Result};
use consilium_ml_worker::{
    compare::{Comparison, Inputs},
    data::{demo, read_table},
    simulate::{run, site_group_key, Site},
};
use consilium_primitives::InstitutionId;
use consilium_study::StudyFile;

fn one(file: &StudyFile, seed: u64) -> Result<Comparison> {
    let mut file = file.clone();
    file.seed = seed;
    let spec = file.spec();
    let rules = file.rules(2_000, demo::SITES.len() as u32)?;
    let folder = std::env::temp_dir().join(format!("consilium-table-{}-{seed}", std::process::id()));
    demo::write(seed, &folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    let sites = demo::SITES
        .iter()
        .zip(1u8..)
        .map(|((name, rows, _), n)| {
            let secret = demo::secret(seed, name);
            let table = read_table(&folder.join(format!("{name}.csv")), &spec.data, &site_group_key(&spec, &secret)?)?;
            let samples = *rows as u32;
            Ok(Site { name: (*name).to_owned(), id: InstitutionId([n; 32]), secret, samples, table })
        })
        .collect::<Result<Vec<_>>>();
    let held_out = read_table(&folder.join("held-out.csv"), &spec.data, &[0; 32]);
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    let (sites, held_out) = (sites?, held_out?);
    let outcome = run(&spec, &rules, &sites, &|_, _, loss| loss)?;
    Inputs {
        spec: &spec,
        rounds: rules.max_rounds,
        sites: &sites,
        splits: &outcome.splits,
        tests: &[None, None, None, None],
        held_out: Some(&held_out),
        swarm: &outcome.model,
        statistics: outcome.statistics.as_ref(),
    }
    .compare()
}

/// AUC, log-loss, balanced accuracy.
type Figures = (f64, f64, f64);

/// Prints a line per seed and the summary.
///
/// # Errors
/// What data or training say.
pub fn print(file: &StudyFile, seeds: u64) -> Result<()> {
    println!("AUC, log-loss and balanced accuracy at .5 on 114 held-out patients (42 malignant, the positive class)");
    println!("seed   swarm                     central                   mean of 4 local           best local AUC");
    let (mut all, mut best_beaten, mut loss_below) = (Vec::new(), 0, 0);
    for seed in 1..=seeds {
        let c = one(file, seed)?;
        let figures = |arm: &consilium_ml_worker::compare::Arm| {
            let m = arm.held_out.as_ref()?;
            Some((m.auc?, m.log_loss, m.balanced_accuracy?))
        };
        let swarm = figures(&c.swarm).context("no figures on held-out rows")?;
        let central = figures(&c.central).context("no figures on held-out rows")?;
        let local: Vec<_> = c.local.iter().filter_map(figures).collect();
        let n = local.len() as f64;
        let mean = |f: fn(&(f64, f64, f64)) -> f64| local.iter().map(f).sum::<f64>() / n;
        let mean = (mean(|l| l.0), mean(|l| l.1), mean(|l| l.2));
        let best = local.iter().map(|l| l.0).fold(0.0, f64::max);
        best_beaten += u32::from(swarm.0 > best);
        loss_below += u32::from(swarm.1 < mean.1);
        let text = |(a, b, c): (f64, f64, f64)| format!("{a:.4}  {b:.4}  {c:.4}");
        println!("{seed:>4}   {:<26}{:<26}{:<26}{best:.4}", text(swarm), text(central), text(mean));
        all.push([swarm, central, mean]);
    }
    let n = all.len().max(1) as f64;
    let mean = |f: &dyn Fn(&[Figures; 3]) -> f64| all.iter().map(f).sum::<f64>() / n;
    let lowest = all.iter().map(|a| a[0].0).fold(f64::INFINITY, f64::min);
    let furthest = all.iter().map(|a| a[1].0 - a[0].0).fold(f64::NEG_INFINITY, f64::max);
    println!();
    println!("swarm AUC: mean {:.4}, lowest {lowest:.4}", mean(&|a| a[0].0));
    println!("central minus swarm AUC: mean {:.4}, largest {furthest:.4}", mean(&|a| a[1].0 - a[0].0));
    println!("balanced accuracy, swarm minus mean of local: mean {:.4}", mean(&|a| a[0].2 - a[2].2));
    println!("log-loss below the mean of local: {loss_below} of {}", all.len());
    println!("swarm AUC above the best local model's: {best_beaten} of {}", all.len());
    Ok(())
}
