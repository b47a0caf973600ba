//! `ml-worker table`: a study over many seeds.

use super::{given::read_study, say};
use anyhow::{Context, Result};
use clap::Args;
use consilium_ml_worker::{
    data::{Draw, Pool},
    over_seeds::{OverSeeds, Source},
};
use std::{fs::File, io::Write, path::PathBuf};

#[derive(Args)]
pub struct Seeds {
    /// Study file; without --data, of the embedded data set
    #[arg(long, value_name = "FILE", default_value = "examples/breast-cancer/study.toml")]
    study: PathBuf,
    /// How many seeds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..1 << 52))]
    first: u64,
    /// Rows of all sites in one table: CSV or the like, packed with gzip or not
    #[arg(long, value_name = "FILE", requires_all = ["site_column", "held_out"])]
    data: Option<PathBuf>,
    /// The table's column that names each row's site; the study must not train on it
    #[arg(long, value_name = "COLUMN", requires = "data")]
    site_column: Option<String>,
    /// Patients (rows, where the study names no group) that each seed holds out of everything, of each class and site its
    /// share
    #[arg(long, value_name = "NUMBER", requires = "data")]
    held_out: Option<usize>,
    /// Let each seed deal the patients to the sites anew, as many of each class to each site as the column says; otherwise
    /// a patient stays at the site that the column names
    #[arg(long, requires = "data")]
    deal: bool,
    /// Write every figure of every seed, one line of JSON for each
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Seeds {
    pub fn print(&self) -> Result<()> {
        let file = read_study(&self.study)?;
        let pool = match (&self.data, &self.site_column) {
            (Some(data), Some(column)) => Some(Pool::read(data, &file.spec().data, column)?),
            _ => None,
        };
        let source = match &pool {
            Some(pool) => {
                Source::Pool { pool, draw: Draw { held_out: self.held_out.unwrap_or_default(), deal: self.deal } }
            }
            None => Source::Demo,
        };
        let unwritten = |path: &PathBuf| format!("cannot write {}", path.display());
        let mut lines = match &self.json {
            Some(path) => Some((File::create(path).with_context(|| unwritten(path))?, path)),
            None => None,
        };
        let seeds = self.first..=self.first + self.seeds - 1;
        let table = OverSeeds::of(&file, source, seeds, &mut |seed, compared| {
            tracing::info!("seed {seed} is done");
            let Some((lines, path)) = &mut lines else { return Ok(()) };
            let mut line = serde_json::to_value(compared)?;
            line["seed"] = seed.into();
            writeln!(lines, "{line}").with_context(|| unwritten(path))
        })?;
        say(table)
    }
}
