//! Commands that need no chain.

use super::inspect::Inspect;
use crate::{read_study, secret_of};
use anyhow::{bail, Context, Result};
use clap::{Args, Subcommand};
use consilium_ml_worker::{
    data::{columns, preflight, purge, read_file, read_unlabelled, Reading, Table},
    desk::{self, Bundle, Plan},
    learn::{figures::Figures, objective},
    simulate::site_group_key,
    site::{read_secret, write_whole},
};
use consilium_study::{DataSpec, Task};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{json, Value};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

#[derive(Subcommand)]
pub enum Desk {
    /// Trains a study's model on one site's data, without a chain; writes the model with its preprocessing
    Train(Train),
    /// Measures a model on rows whose labels are known; prints JSON
    Evaluate(Evaluate),
    /// Applies a model to new rows; writes CSV, one line per row
    Predict(Predict),
    /// Makes a model that `predict` takes from a finished study's files
    Pack(Pack),
    /// Shows a study's network layer by layer, or a model's; prints what training needs
    Inspect(Inspect),
    /// Reads a site's data against a study, and says in plain words what fits and what does not
    Preflight(Preflight),
    /// Prints the number and the hash of a table's columns, for a study with too many features to name
    Columns(Columns),
    /// Removes the working copies of large tables that were made in a folder
    Purge {
        /// The worker's own folder, or the folder given as --working-copies
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

#[derive(Args)]
pub struct Memory {
    /// Where a working copy of a table may lie that is too large for memory; left out, such a table is refused (`check`
    /// makes one among temporary files, and removes it)
    #[arg(long, value_name = "DIR")]
    working_copies: Option<PathBuf>,
    /// Mebibytes of values to keep in memory; left out, half of what is available
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,
}

impl Memory {
    /// Where no folder is named, working copies lie in this one.
    pub fn reading_in(&self, folder: &Path) -> Reading {
        let how = self.reading();
        Reading { folder: how.folder.or_else(|| Some(folder.to_owned())), ..how }
    }

    fn reading(&self) -> Reading {
        let mut how = Reading { folder: self.working_copies.clone(), ..Reading::default() };
        if let Some(mebibytes) = self.memory {
            how.allowance = mebibytes.saturating_mul(1 << 20);
        }
        how
    }
}

#[derive(Args)]
pub struct Train {
    /// Study file
    #[arg(long, value_name = "FILE")]
    study: PathBuf,
    /// Table: CSV, TSV (each packed with gzip or not) or Parquet; pictures that it names lie in its folder or below
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Held-out rows, measured on after training
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Folder that the model is written to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How often the study's local training is done, one after the other; left out, as often as the study has rounds
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// File with 64 hexadecimal digits that split, shuffle and dropout follow; left out, they follow from the data file
    #[arg(long, value_name = "FILE")]
    secret: Option<PathBuf>,
    #[command(flatten)]
    memory: Memory,
}

#[derive(Args)]
pub struct Evaluate {
    /// Folder of the model
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Rows with labels
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    #[command(flatten)]
    memory: Memory,
}

#[derive(Args)]
pub struct Predict {
    /// Folder of the model
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// New rows; label and group columns need not be there. Each row is predicted, or the first that cannot be is named
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// File to write to; left out, the predictions are printed
    #[arg(long, value_name = "CSV")]
    out: Option<PathBuf>,
    #[command(flatten)]
    memory: Memory,
}

#[derive(Args)]
pub struct Pack {
    /// The specification, in canonical form
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
    /// The study's model: the blob of its canonical round
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The study's merged statistics, where its scaling asked for them
    #[arg(long, value_name = "FILE")]
    statistics: Option<PathBuf>,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Args)]
pub struct Preflight {
    /// Study file
    #[arg(long, value_name = "FILE")]
    study: PathBuf,
    /// Data file
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The site's secret (file `secret` in its worker's folder): rows are then split as the worker will split them; left
    /// out, as `train` without a secret splits them
    #[arg(long, value_name = "FILE")]
    secret: Option<PathBuf>,
    /// Prints JSON in place of words
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    memory: Memory,
}

#[derive(Args)]
pub struct Columns {
    /// Data file
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// A column that the study names otherwise: its label, its group, a categorical column. Once for each
    #[arg(long = "named", value_name = "COLUMN", required = true)]
    named: Vec<String>,
    /// A column that is no feature either. Once for each
    #[arg(long, value_name = "COLUMN")]
    ignore: Vec<String>,
}

pub fn act(command: Desk) -> Result<()> {
    match command {
        Desk::Train(arguments) => train(&arguments),
        Desk::Evaluate(arguments) => evaluate(&arguments),
        Desk::Predict(arguments) => predict(&arguments),
        Desk::Pack(arguments) => pack(&arguments),
        Desk::Inspect(arguments) => arguments.print(),
        Desk::Preflight(arguments) => look(&arguments),
        Desk::Columns(Columns { data, named, ignore }) => {
            let named: Vec<&str> = named.iter().map(String::as_str).collect();
            println!("{}", columns(&data, &named, ignore)?);
            Ok(())
        }
        Desk::Purge { dir } => {
            if !dir.is_dir() {
                bail!("{} is no folder: name the one that working copies were made in", dir.display());
            }
            let mut gone = Vec::new();
            for folder in [dir.join("working-copies"), dir.clone()] {
                gone.extend(purge(&folder).with_context(|| folder.display().to_string())?);
            }
            for path in &gone {
                println!("removed: {}", path.display());
            }
            println!("{} working copies removed from {}", gone.len(), dir.display());
            Ok(())
        }
    }
}

fn table(path: &Path, spec: &DataSpec, key: &[u8; 32], memory: &Memory) -> Result<Table> {
    Ok(read_file(path, spec, key, &memory.reading())?.table?)
}

fn train(arguments: &Train) -> Result<()> {
    let file = read_study(&arguments.study)?;
    let spec = file.spec();
    let rounds = arguments.rounds.unwrap_or(file.rules.rounds);
    let secret = match &arguments.secret {
        Some(path) => read_secret(path)?,
        None => secret_of(&arguments.data)?,
    };
    let key = site_group_key(&spec, &secret)?;
    let rows = table(&arguments.data, &spec.data, &key, &arguments.memory)?;
    let test = match &arguments.test {
        Some(path) => {
            let test = table(path, &spec.data, &key, &arguments.memory)?;
            if let Some(group) = spec.data.group.as_ref().filter(|_| rows.shares_a_group(&test)) {
                bail!(
                    "{} and {}: rows of the same {group:?} are in both; held-out rows must be of others than those \
                     trained on",
                    arguments.data.display(),
                    path.display()
                );
            }
            Some(test)
        }
        None => None,
    };
    // not after hours of training
    fs::create_dir_all(&arguments.out).with_context(|| format!("cannot make {}", arguments.out.display()))?;
    let bar = ProgressBar::new(1_000);
    bar.set_style(ProgressStyle::with_template("training {bar:40} {percent:>3} %, {eta} left")?);
    let plan = Plan { spec: &spec, rounds, table: &rows, secret };
    let outcome = desk::train(&plan, &|done| {
        bar.set_position((done * 1_000.0) as u64);
        false
    })
    .with_context(|| arguments.data.display().to_string())?;
    bar.finish_and_clear();
    outcome.bundle.write(&arguments.out)?;
    let test = test.map(|test| figures(&outcome.bundle, &test)).transpose()?.flatten();
    println!(
        "{:#}",
        json!({
            "model": arguments.out, "rounds": rounds,
            "rows": { "training": outcome.rows.0, "validation": outcome.rows.1, "skipped": rows.skipped, "dropped": rows.dropped },
            "training_loss": outcome.training_loss, "validation": outcome.validation, "test": test,
        })
    );
    Ok(())
}

/// Figures of a model on rows with labels; none where there are no rows.
fn figures(bundle: &Bundle, table: &Table) -> Result<Option<Figures>> {
    let (logits, rows) = desk::logits(bundle, table)?;
    Ok(Figures::of(&objective(&bundle.spec, None), &logits, rows.labels(), &bundle.cuts))
}

fn evaluate(arguments: &Evaluate) -> Result<()> {
    let bundle = Bundle::read(&arguments.model)?;
    let table = table(&arguments.data, &bundle.spec.data, &[0; 32], &arguments.memory)?;
    let figures = figures(&bundle, &table).with_context(|| arguments.data.display().to_string())?;
    println!("{:#}", json!(figures));
    Ok(())
}

/// Names of a model's outputs.
fn outputs(data: &DataSpec) -> Vec<&str> {
    match data.task() {
        Task::Binary => vec![data.positive.as_str()],
        Task::Classes(_) => data.classes.iter().map(String::as_str).collect(),
        Task::Labels(_) => data.label_columns(),
    }
}

fn predict(arguments: &Predict) -> Result<()> {
    let bundle = Bundle::read(&arguments.model)?;
    let table = read_unlabelled(&arguments.data, &bundle.spec.data, &arguments.memory.reading())?;
    let (logits, _) = desk::logits(&bundle, &table).with_context(|| arguments.data.display().to_string())?;
    let goal = objective(&bundle.spec, None);
    let mut out = csv::Writer::from_writer(Vec::new());
    let names = outputs(&bundle.spec.data);
    let classes = matches!(goal.task, Task::Classes(_));
    let cuts: Vec<f64> = (0..names.len()).filter_map(|n| bundle.cuts.get(n).copied().flatten()).collect();
    let validated = !classes && cuts.len() == names.len();
    let mut header = vec!["row".to_owned()];
    header.extend(bundle.spec.data.pictures.iter().map(|pictures| pictures.column.clone()));
    header.extend(names.iter().map(|name| format!("p({name})")));
    match classes {
        true => header.push("likeliest".into()),
        false => {
            header.extend(names.iter().map(|name| format!("{name} at 0.5")));
            if validated {
                header.extend(names.iter().zip(&cuts).map(|(name, cut)| format!("{name} at {cut:.4}")));
            }
        }
    }
    out.write_record(&header)?;
    for (row, p) in goal.probabilities(&logits).chunks_exact(names.len()).enumerate() {
        let mut line = vec![(row + 1).to_string()];
        line.extend(table.pictures.get(row).cloned());
        line.extend(p.iter().map(f64::to_string));
        if classes {
            let best = (0..p.len()).max_by(|a, b| p[*a].total_cmp(&p[*b]).then(b.cmp(a))).unwrap_or_default();
            line.push(names[best].to_owned());
        } else {
            line.extend(p.iter().map(|p| u8::from(*p >= 0.5).to_string()));
            if validated {
                line.extend(p.iter().zip(&cuts).map(|(p, cut)| u8::from(p >= cut).to_string()));
            }
        }
        out.write_record(&line)?;
    }
    let bytes = out.into_inner().map_err(|e| anyhow::anyhow!("{e}"))?;
    match &arguments.out {
        // of patients, and nobody else's business
        Some(path) => {
            write_whole(path, &bytes, 0o600).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => std::io::stdout().write_all(&bytes)?,
    }
    Ok(())
}

fn pack(arguments: &Pack) -> Result<()> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let statistics = arguments.statistics.as_ref().map(read).transpose()?;
    let bundle = Bundle::of_study(&read(&arguments.spec)?, &read(&arguments.model)?, statistics.as_deref())?;
    bundle.write(&arguments.out)?;
    println!("{}", json!({ "model": arguments.out, "made": bundle.made }));
    Ok(())
}

fn look(arguments: &Preflight) -> Result<()> {
    let spec = read_study(&arguments.study)?.spec();
    let key = match &arguments.secret {
        Some(file) => site_group_key(&spec, &read_secret(file)?)?,
        // of a file that cannot be read, the report says so
        None => secret_of(&arguments.data).map_or(Ok([0; 32]), |secret| site_group_key(&spec, &secret))?,
    };
    let report = preflight(&arguments.data, &spec, &key, &arguments.memory.reading());
    let usable = report.usable;
    if arguments.json {
        let report: Value = serde_json::to_value(report)?;
        println!("{report}");
    } else {
        print!("{report}");
    }
    if !usable {
        bail!("the study cannot train on {}", arguments.data.display());
    }
    Ok(())
}
