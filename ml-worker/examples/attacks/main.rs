//! What liars can do to every merge rule, on two data sets, in one process and on the code that merges a study's updates.
//!
//! **Sites.** 1 liar of 4, 5 and 7, 2 of 8 and 11. Every site in turn lies; with two liars, it and the next one. They lie in every
//! round and know all honest updates. Rows are scaled once with the statistics of all training rows. Breast cancer: the study,
//! held-out rows and four sites of the demo, which differ in size and prevalence; with more sites, the same rows in even
//! parts. Digits: 360 rows held out, 64-16-10 dense, 12 rounds of one epoch; even parts, or each class shared out by
//! Dirichlet's distribution with parameter .5.
//!
//! **Attacks**, with `w` the round's model, `D` steps away from it, mean and deviation those of the honest steps:
//!
//! * `flip`: trains on the class `classes − 1 − c` in place of `c`;
//! * `x-1`, `x-10`, `x10`: its own honest step times −1 (sign flip), −10, +10 (scaling);
//! * `noise`: a normal direction as long as ten mean lengths of the honest steps;
//! * `alie z`: `mean − z·deviation` in every coordinate, z of .5, 1, 1.5, 3 (Baruch, Baruch and Goldberg, NeurIPS 2019);
//! * `ipm ε`: `−ε·mean`, ε of .1, .5, 1.5, 5 (Xie, Koyejo and Gupta, UAI 2019);
//! * `count`: signs a hundred times its rows and does as `flip`; the same as `flip` where samples are no weights;
//! * `backdoor`: trains on its rows and, of every second one, a copy with the trigger and the target's label. Trigger: three
//!   features at three deviations (breast cancer), the four pixels of the lower right corner at full brightness (digits).
//!   Target: benign, digit 0. Success is the share of held-out rows of other classes that are taken for the target when
//!   they bear the trigger, less the same share of the honest mean's model on the same rows.
//!
//! **Rules** have these parameters, set before anything was run: f is the number of liars; mean, bounded mean and `median by
//! samples` weigh by signed samples, capped as a study's are (no site above a half, the f largest below one together); the
//! bound is the median length; multi-Krum keeps n − f; centred clipping starts from the last round's step, clips three times
//! at the median distance.
//!
//! **Loss** is that against the honest mean: the mean with all sites honest, same seed and sites.
//!
//! **False alarm.** Nobody lies, even sites; the first has one positive row in a hundred, or all features one deviation higher.
//! *Heard* is how much of what it says differently arrives: with `o` the mean of the other updates, and `M'` the merge if it
//! had said `o`, `⟨M − M', x − o⟩ ÷ ‖x − o‖²`, mean over rounds; 1/n for the mean of equals.

mod attack;
mod game;
#[path = "../shared/records.rs"]
mod records;
mod report;
mod robust;
mod rule;
#[path = "../shared/seeds.rs"]
mod seeds;
mod tables;
mod world;

use anyhow::{Context, Result};
use attack::Attack;
use clap::Parser;
use game::Game;
use rayon::prelude::*;
use report::{Record, HONEST};
use rule::Rule;
use std::{path::PathBuf, time::Instant};
use world::{Data, World};

/// Sites and how many of them lie.
pub const CASES: [(usize, usize); 5] = [(4, 1), (5, 1), (7, 1), (8, 2), (11, 2)];

/// What liars can do to every merge rule. The definitions stand in the head of this example's source, and in docs/attacks.md.
#[derive(Parser)]
struct Arguments {
    /// The data set.
    #[arg(long, value_enum)]
    data: Data,
    /// Seeds, both ends included.
    #[arg(long, default_value = "1..20")]
    seeds: String,
    /// Sites, of those that the bench has; left out: 4, 5, 7, 8 and 11, one after the other.
    #[arg(long, value_delimiter = ',')]
    sites: Vec<usize>,
    /// Threads; 0: one for each core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Keeps what was measured, one line a study. What stands there already is not run again.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The file that bench/digits.py writes.
    #[arg(long, default_value = "bench/attacks/digits.csv")]
    digits: PathBuf,
    /// Runs nothing: prints the tables of what stands in the file.
    #[arg(long, requires = "json")]
    only_tables: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let seeds = seeds::range(&arguments.seeds)?;
    rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build_global()?;
    let mut records: Vec<Record> = arguments.json.as_deref().map_or(Ok(Vec::new()), records::read)?;
    records.retain(|record| seeds.contains(&record.seed));
    let cases = CASES.iter().filter(|(sites, _)| arguments.sites.is_empty() || arguments.sites.contains(sites));
    for (case, seed) in cases.flat_map(|case| seeds.clone().map(move |seed| (*case, seed))) {
        if arguments.only_tables || records.iter().any(|record| (record.sites, record.seed) == (case.0, seed)) {
            continue;
        }
        let began = Instant::now();
        let world = World::new(arguments.data, seed, &arguments.digits)?;
        let new = one_seed(&world, case, seed).with_context(|| format!("{} sites, seed {seed}", case.0))?;
        if let Some(path) = &arguments.json {
            records::add(path, &new)?;
        }
        eprintln!("{} sites, seed {seed}: {} studies, {:.0} s", case.0, new.len(), began.elapsed().as_secs_f64());
        records.extend(new);
    }
    print!("{}", tables::all(arguments.data, &records));
    Ok(())
}

/// Who lies when it is this site's turn.
fn lying(turn: usize, sites: usize, liars: usize) -> Vec<usize> {
    (0..liars).map(|k| (turn + k) % sites).collect()
}

fn one_seed(world: &World, (sites, liars): (usize, usize), seed: u64) -> Result<Vec<Record>> {
    let shares = world.shares(sites);
    let all = shares.iter().enumerate().map(|(i, rows)| world.site(i, rows, 0.0)).collect();
    let game = Game::new(world, all, liars)?;
    let rules = || Rule::ALL.into_iter().filter(|rule| rule.refuses(sites, liars).is_none());
    let turns = || std::iter::once(None).chain((0..sites).map(Some));
    let jobs: Vec<(Rule, Option<usize>)> = rules().flat_map(|rule| turns().map(move |turn| (rule, turn))).collect();
    let parts = jobs
        .into_par_iter()
        .map(|(rule, turn)| {
            let record = |attack: Option<Attack>| -> Result<Record> {
                let who = turn.map_or(Vec::new(), |turn| lying(turn, sites, liars));
                let played = game.play(&who, attack, rule, false)?;
                let worth = game.worth(&played.model, &world.test)?;
                let fooled = matches!(attack, None | Some(Attack::Backdoor));
                Ok(Record {
                    seed,
                    sites,
                    liars,
                    turn,
                    attack: attack.map_or(HONEST.to_owned(), Attack::name),
                    rule: rule.name().to_owned(),
                    score: worth.score,
                    balanced: worth.balanced,
                    fooled: if fooled { Some(game.fooled(&played.model)?) } else { None },
                    heard: None,
                })
            };
            if turn.is_none() {
                return Ok(vec![record(None)?]);
            }
            let mut records = Vec::new();
            for attack in Attack::ALL {
                if attack == Attack::InflatedCount && !rule.weighs() {
                    // nobody looks at the count: the same as the flip, which comes first
                    let same = records.first().cloned();
                    records.extend(same.map(|flip: Record| Record { attack: attack.name(), ..flip }));
                    continue;
                }
                records.push(record(Some(attack))?);
            }
            Ok(records)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut records = parts.concat();
    records.extend(false_alarms(world, (sites, liars), seed)?);
    Ok(records)
}

fn false_alarms(world: &World, (sites, liars): (usize, usize), seed: u64) -> Result<Vec<Record>> {
    let rules: Vec<Rule> = Rule::ALL.into_iter().filter(|rule| rule.refuses(sites, liars).is_none()).collect();
    let parts = rules
        .into_par_iter()
        .map(|rule| {
            let mut records = Vec::new();
            for name in report::ALARMS {
                let rare = name == report::ALARMS[0];
                if rare && world.classes > 2 {
                    continue;
                }
                let shares = if rare { world.rare(sites) } else { world.level(sites) };
                let raised = |i| if i == 0 && !rare { 1.0 } else { 0.0 };
                let all = shares.iter().enumerate().map(|(i, rows)| world.site(i, rows, raised(i))).collect();
                let game = Game::new(world, all, liars)?;
                let played = game.play(&[], None, rule, true)?;
                let own = if rare { &world.test } else { &world.shifted };
                let (worth, own) = (game.worth(&played.model, &world.test)?, game.worth(&played.model, own)?);
                records.push(Record {
                    seed,
                    sites,
                    liars,
                    turn: None,
                    attack: name.to_owned(),
                    rule: rule.name().to_owned(),
                    score: worth.score,
                    balanced: own.balanced,
                    fooled: None,
                    heard: Some(played.heard),
                });
            }
            Ok(records)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(parts.concat())
}
