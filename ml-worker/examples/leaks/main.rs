//! What updates, masked sums and models tell about single records, in one process: with the engine that studies train with and the
//! code that merges their updates, under masks and without.
//!
//! **Membership.** The demo's four sites. Of 98 candidates, the fourth site's 70 rows and 28 held-out ones, a half drawn anew in each
//! study trains at the fourth site; each of the others trains on 70 % of its rows, drawn anew. The attacker is the second
//! site: it knows every model, its own update and the agreement, and makes studies of its own. Two thirds of the studies are such
//! shadows. For each candidate and round it takes the cosine between what it saw and the step that the candidate alone would ask
//! for, and what the step adds to the candidate's margin; `whitened` adds the former after the step was divided by the
//! covariance of the shadows' steps. A shrunken linear discriminant for each candidate scores the remaining third. The ROC curve is of
//! all candidates and remaining studies together.
//!
//! **Views.** The fourth site's own update, as a study without masks shows it; the sum of all updates but the attacker's own, as
//! whole numbers under masks give it; the merged models alone.
//!
//! **Arms.** `net`: the demo's study, 30-16-1. `logistic`: the same with a logistic model. `steps`: 30-16-1, 30 rounds of one step
//! over all rows, no longer than 1. `--private`: `epsilon8`, `epsilon4`, `epsilon2` and `epsilon1`: as `steps`, with each row's gradient no
//! longer than 1 and each site's own noise, for this ε over all rounds at δ 10⁻⁵; and `steps`, the control.
//!
//! **Rows read off.** One exact step on few rows: units of the first layer whose quotient of gradients is a row, within .02
//! deviations in every cell. It shows that the bench finds what there is to be found.
//!
//! **Gradient matching.** The same step: rows are searched for whose gradient is the one that was seen, with their number and classes
//! known. Share of cells within .319 deviations, beside what guessing reaches; to the letter in `matching.rs`.

mod attack;
mod exact;
mod linear;
mod matching;
mod network;
mod play;
mod promise;
mod readoff;
#[path = "../shared/records.rs"]
mod records;
mod report;
#[path = "../shared/seeds.rs"]
mod seeds;
mod sums;
mod world;

use anyhow::{bail, Context, Result};
use clap::Parser;
use exact::Setting;
use matching::Search;
use report::{bars, Matched, Membership, Read, Record, Tried};
use std::{path::PathBuf, time::Instant};
use world::Arm;

/// Rows of a site, where its own step is seen.
const ROWS: [usize; 6] = [1, 4, 8, 16, 32, 49];
/// Rows of each of three sites, where the sum of their steps is seen.
const SUMMED: [usize; 3] = [4, 8, 16];
/// Steps that rows are read off.
const READ: Tried<'static> = Tried { widths: &[16, 256, 1_024], rows: &ROWS, summed: &SUMMED };
/// Runs of each.
const READ_RUNS: u32 = 40;
/// Steps that rows are searched for in.
const MATCHED: Tried<'static> = Tried { widths: &[16, 256], rows: &ROWS, summed: &SUMMED };
/// Runs of each.
const MATCHED_RUNS: u32 = 10;
/// How hard.
const SEARCH: Search = Search { starts: 6, steps: 1_500 };

/// What updates, masked sums and models tell about single records. The definitions stand in the head of this example's source, and
/// in docs/masks.md.
#[derive(Parser)]
struct Arguments {
    /// How studies train; left out: in each way without a promise, one after the other.
    #[arg(long, value_enum, value_delimiter = ',')]
    arms: Vec<Arm>,
    /// The membership game of private studies, beside the same without noise, and nothing else.
    #[arg(long, conflicts_with = "arms")]
    private: bool,
    /// Draws of the sites, both ends included; left out: 1..5, and with --private 1..20.
    #[arg(long)]
    seeds: Option<String>,
    /// Studies of each draw, shadows included.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(12..))]
    studies: u32,
    /// Threads; 0: one for each core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Keeps what was measured, one line each. What stands there already is not run again.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Runs nothing: prints the tables of what stands in the file.
    #[arg(long, requires = "json")]
    only_tables: bool,
}

/// A part that is measured, and kept, at once.
#[derive(Clone, Copy)]
enum Job {
    /// The membership game, of one draw.
    Game { arm: Arm, seed: u64, studies: u32 },
    /// Rows read off.
    Read(Setting),
    /// Rows searched for.
    Matched(Setting),
}

impl Job {
    fn is_done(self, records: &[Record]) -> bool {
        records.iter().any(|record| match self {
            Self::Game { arm, seed, studies } => record.is_game(arm, seed, studies),
            Self::Read(setting) => record.is_read(setting, READ_RUNS),
            Self::Matched(setting) => record.is_matched(setting, MATCHED_RUNS, SEARCH),
        })
    }

    fn name(self) -> String {
        let of = |Setting { width, rows, sites }: Setting| match sites {
            1 => format!("{width} hidden units, the step of a site with {rows} rows"),
            _ => format!("{width} hidden units, the masked sum of {sites} sites with {rows} rows each"),
        };
        match self {
            Self::Game { arm, seed, studies } => format!("membership, {}, seed {seed}, {studies} studies", arm.name()),
            Self::Read(setting) => format!("read off, {}, {READ_RUNS} runs", of(setting)),
            Self::Matched(setting) => format!("matching, {}, {MATCHED_RUNS} runs", of(setting)),
        }
    }

    fn run(self) -> Result<Vec<Record>> {
        match self {
            Self::Game { arm, seed, studies } => {
                let found = play::game(arm, seed, studies, true)?;
                let record = |found: play::Measured| {
                    Record::Membership(Membership {
                        arm: arm.name().to_owned(),
                        seed,
                        studies,
                        view: found.view,
                        whitened: found.whitened,
                        auc: found.worth.auc,
                        found: found.worth.found,
                    })
                };
                Ok(found.into_iter().map(record).collect())
            }
            Self::Read(setting) => {
                let share = readoff::read_off(setting, READ_RUNS)?;
                Ok(vec![Record::Read(Read { setting, runs: READ_RUNS, share })])
            }
            Self::Matched(setting) => {
                let cells = matching::cells(setting, MATCHED_RUNS, SEARCH)?;
                let (found, guessed) = (cells.found, cells.guessed);
                Ok(vec![Record::Matched(Matched { setting, runs: MATCHED_RUNS, search: SEARCH, found, guessed })])
            }
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let usual = if arguments.private { "1..20" } else { "1..5" };
    let seeds = seeds::range(arguments.seeds.as_deref().unwrap_or(usual))?;
    rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build_global()?;
    let mut records: Vec<Record> = arguments.json.as_deref().map_or(Ok(Vec::new()), records::read)?;
    if !arguments.only_tables {
        let arms = match (&arguments.arms[..], arguments.private) {
            ([], true) => Arm::PRIVATE.to_vec(),
            ([], false) => Arm::PLAIN.to_vec(),
            (named, _) => named.to_vec(),
        };
        let mut jobs: Vec<Job> = Vec::new();
        for arm in arms {
            jobs.extend(seeds.clone().map(|seed| Job::Game { arm, seed, studies: arguments.studies }));
        }
        if !arguments.private {
            jobs.extend(READ.settings().into_iter().map(Job::Read));
            jobs.extend(MATCHED.settings().into_iter().map(Job::Matched));
        }
        jobs.retain(|job| !job.is_done(&records));
        let start = Instant::now();
        for (place, job) in jobs.iter().enumerate() {
            eprintln!("{} of {}: {}", place + 1, jobs.len(), job.name());
            let began = Instant::now();
            let new = job.run().with_context(|| job.name())?;
            if let Some(path) = &arguments.json {
                records::add(path, &new)?;
            }
            records.extend(new);
            let (this, all) = (began.elapsed().as_secs_f64(), start.elapsed().as_secs_f64());
            eprintln!("  {this:.1} s; {:.1} min since the start", all / 60.0);
        }
    }
    records.retain(|record| record.is_asked(&seeds, arguments.studies));
    if arguments.private {
        print!("{}", report::private(&records));
    } else {
        print!("{}", report::tables(&records, &READ, &MATCHED));
    }
    let missed = bars(&records).into_iter().filter(|bar| !bar.holds()).map(|bar| bar.line()).collect::<String>();
    if !missed.is_empty() {
        bail!("bars that do not hold:\n{missed}");
    }
    Ok(())
}
