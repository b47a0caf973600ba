//! `ml-worker evaluate`: a model on rows whose labels are known.

use super::{means::Means, memory::Memory, say, shown};
use anyhow::{bail, Context, Result};
use clap::Args;
use consilium_ml_worker::{
    data::{read_file, read_texts},
    desk::{self, Bundle, Draws},
};
use serde_json::json;
use std::path::PathBuf;

#[derive(Args)]
pub struct Evaluate {
    /// Folder of the model
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Rows with labels
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Also figures of each subgroup that this column of the table names
    #[arg(long, value_name = "COLUMN")]
    by: Option<String>,
    /// Print all figures as JSON in place of the first ones in words
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
    #[command(flatten)]
    means: Means,
    #[command(flatten)]
    memory: Memory,
}

/// How intervals are drawn.
#[derive(Args)]
pub struct Bootstrap {
    /// How often groups of rows are drawn again for intervals; 0: not at all
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(..=100_000))]
    draws: u32,
    /// What the draws follow from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

impl Bootstrap {
    pub fn draws(&self) -> Draws {
        Draws { count: self.draws, seed: self.seed }
    }
}

pub fn evaluate(arguments: &Evaluate) -> Result<()> {
    let mut bundle = Bundle::read(&arguments.model)?;
    let _ready = arguments.means.equip(&mut bundle, &arguments.model)?;
    let (data, how) = (&arguments.data, arguments.memory.reading());
    let table = read_file(data, &bundle.spec.data, &[0; 32], &how)?.table?;
    let texts = match &arguments.by {
        Some(column) => Some((column.as_str(), read_texts(data, &bundle.spec.data, column, &how)?)),
        None => None,
    };
    let by = texts.as_ref().map(|(column, texts)| (*column, &texts[..]));
    let found =
        desk::evaluate(&bundle, &table, arguments.bootstrap.draws(), by).with_context(|| data.display().to_string())?;
    match found {
        Some(found) if !arguments.json => say(shown::evaluation(&found, &bundle.made)),
        None if !arguments.json => bail!("{}: has no row to measure on", data.display()),
        found => say(format_args!("{:#}\n", json!(found))),
    }
}
