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
//! longer than 1 and each site's own noise, for this ε over all rounds at δ 10⁻⁵.
//!
//! **Read-off control.** One exact step on few rows: units of the first layer whose quotient of gradients is a row, within .02
//! deviations in every cell. It shows that the bench finds what there is to be found.

mod attack;
mod linear;
mod network;
mod play;
mod promise;
mod readoff;
mod report;
mod sums;
mod world;

use anyhow::{bail, Context, Result};
use clap::Parser;
use report::{Membership, Read, Record};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Instant,
};
use world::Arm;

/// Hidden units of the read-off control.
const WIDTHS: [u32; 3] = [16, 256, 1_024];
/// Rows of a site, where its own step is seen.
const ROWS: [usize; 6] = [1, 4, 8, 16, 32, 49];
/// Rows of each of three sites, where the sum of their steps is seen.
const SUMMED: [usize; 3] = [4, 8, 16];
/// Runs of each cell of the read-off control.
const RUNS: u32 = 40;

/// What updates, masked sums and models tell about single records. The definitions stand in the head of this example's source, and
/// in docs/masks.md.
#[derive(Parser)]
struct Arguments {
    /// How studies train; left out: in each way without a promise, one after the other.
    #[arg(long, value_enum, value_delimiter = ',')]
    arms: Vec<Arm>,
    /// Private studies, beside the same without noise, in place of the others; and no read-off control.
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

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let usual = if arguments.private { "1..20" } else { "1..5" };
    let seeds = range(arguments.seeds.as_deref().unwrap_or(usual))?;
    let arms = match (&arguments.arms[..], arguments.private) {
        // what is found without noise is the control
        ([], true) => std::iter::once(Arm::Steps).chain(Arm::PRIVATE).collect(),
        ([], false) => Arm::PLAIN.to_vec(),
        (named, _) => named.to_vec(),
    };
    rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build_global()?;
    let mut records = match &arguments.json {
        Some(path) if path.exists() => read(path)?,
        _ => Vec::new(),
    };
    let keep = |records: &mut Vec<Record>, new: Vec<Record>| -> Result<()> {
        if let Some(path) = &arguments.json {
            add(path, &new)?;
        }
        records.extend(new);
        Ok(())
    };
    if !arguments.only_tables {
        for (arm, seed) in arms.iter().flat_map(|arm| seeds.clone().map(move |seed| (*arm, seed))) {
            if records.iter().any(|record| record.is_of(arm.name(), seed, arguments.studies)) {
                continue;
            }
            let began = Instant::now();
            let found = play::game(arm, seed, arguments.studies, true)
                .with_context(|| format!("{}, seed {seed}", arm.name()))?;
            let new = found.into_iter().map(|found| {
                Record::Membership(Membership {
                    arm: arm.name().to_owned(),
                    seed,
                    studies: arguments.studies,
                    view: found.view,
                    whitened: found.whitened,
                    auc: found.worth.auc,
                    found: found.worth.found,
                })
            });
            keep(&mut records, new.collect())?;
            eprintln!(
                "{}, seed {seed}: {} studies, {:.0} s",
                arm.name(),
                arguments.studies,
                began.elapsed().as_secs_f64()
            );
        }
        let cells = ROWS.map(|rows| (rows, 1)).into_iter().chain(SUMMED.map(|rows| (rows, 3)));
        let widths = WIDTHS.into_iter().filter(|_| !arguments.private);
        for (width, (rows, sites)) in widths.flat_map(|width| cells.clone().map(move |cell| (width, cell))) {
            if records.iter().any(|record| record.is_cell(width, rows, sites)) {
                continue;
            }
            let share = readoff::read_off(width, rows, sites, RUNS)?;
            keep(&mut records, vec![Record::Read(Read { width, rows, sites, runs: RUNS, share })])?;
        }
    }
    records.retain(|record| record.is_asked(&seeds, arguments.studies));
    print!("{}", report::membership(&records, &arms));
    if !arguments.private {
        print!("{}", report::read_off(&records, &ROWS, &SUMMED, &WIDTHS));
    }
    match report::missed(&records) {
        missed if missed.is_empty() => Ok(()),
        missed => bail!("bars that do not hold:\n{}", missed.join("\n")),
    }
}

fn range(text: &str) -> Result<RangeInclusive<u64>> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (first.parse()?, last.parse()?);
    if first > last {
        bail!("no seeds from {first} to {last}");
    }
    Ok(first..=last)
}

fn read(path: &Path) -> Result<Vec<Record>> {
    let file = BufReader::new(File::open(path).with_context(|| path.display().to_string())?);
    file.lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

fn add(path: &Path, records: &[Record]) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let mut text = String::new();
    for record in records {
        text.push_str(&serde_json::to_string(record)?);
        text.push('\n');
    }
    file.write_all(text.as_bytes())?;
    Ok(())
}
