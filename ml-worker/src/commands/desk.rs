//! Commands that need no chain.

use super::{
    apart::apart,
    evaluate::{evaluate, Bootstrap, Evaluate},
    export::{export, Export},
    given::{read_spec, read_study, secret_of},
    inspect::Inspect,
    means::Means,
    memory::Memory,
    named,
    pack::{pack, Pack},
    predict::{predict, Predict},
    say, shown,
    survey::Survey,
};
use anyhow::{bail, Context, Result};
use clap::{Args, Subcommand};
use consilium_ml_worker::{
    data::{columns_in, preflight, preflight_masked, purge, read_file, Table},
    desk::{self, Plan},
    simulate::site_group_key,
    site::read_secret,
};
use consilium_study::{DataSpec, Encoding, Layout, Orientation, Task};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{json, Value};
use std::{
    fs,
    path::{Path, PathBuf},
};

#[derive(Subcommand)]
pub enum Desk {
    /// Trains a study's model on one site's data, without a chain; writes the model with its preprocessing
    Train(Train),
    /// Measures a model on rows whose labels are known; prints what is read first, or all of it as JSON
    Evaluate(Evaluate),
    /// Applies a model to new rows; writes CSV, one line per row
    Predict(Predict),
    /// Makes a model that `predict` takes from a finished study's files
    Pack(Pack),
    /// Writes a model with its preprocessing as a file of ONNX, which onnxruntime and others compute with
    Export(Export),
    /// Shows a study's network layer by layer, or a model's; prints what training needs
    Inspect(Inspect),
    /// Reads a site's data against a study, and says in plain words what fits and what does not
    Preflight(Preflight),
    /// Prints the number and the hash of a table's columns, for a study with too many features to name
    Columns(Columns),
    /// Prints what the columns of a table hold, for whoever writes a study file (`consilium study new`); prints JSON
    Survey(Survey),
    /// Removes the working copies of large tables that were made in a folder
    Purge {
        /// The worker's own folder, or the folder given as --working-copies
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
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

#[derive(Args)]
pub struct Preflight {
    /// Study file
    #[arg(long, value_name = "FILE", required_unless_present = "spec", conflicts_with = "spec")]
    study: Option<PathBuf>,
    /// In its place the specification that was agreed, in canonical form
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// The specification is of a study whose updates are masked; a study file says so itself
    #[arg(long, requires = "spec")]
    masked: bool,
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
    /// What bytes beyond ASCII stand for, as data.encoding in a study file
    #[arg(long, value_name = "utf8|latin1", value_parser = named::<Encoding>, default_value = "utf8")]
    encoding: Encoding,
    /// Whether a line is a row or a column, as data.orientation in a study file
    #[arg(long, value_name = "rows|columns", value_parser = named::<Orientation>, default_value = "rows")]
    orientation: Orientation,
}

pub fn act(command: Desk) -> Result<()> {
    match command {
        Desk::Train(arguments) => train(&arguments),
        Desk::Evaluate(arguments) => evaluate(&arguments),
        Desk::Predict(arguments) => predict(&arguments),
        Desk::Pack(arguments) => pack(&arguments),
        Desk::Export(arguments) => export(&arguments),
        Desk::Inspect(arguments) => arguments.print(),
        Desk::Preflight(arguments) => look(&arguments),
        Desk::Columns(Columns { data, named, ignore, encoding, orientation }) => {
            let named: Vec<&str> = named.iter().map(String::as_str).collect();
            say(format_args!("{}\n", columns_in(&data, Layout { encoding, orientation }, &named, ignore)?))
        }
        Desk::Survey(arguments) => arguments.print(),
        Desk::Purge { dir } => {
            if !dir.is_dir() {
                bail!("{} is no folder: name the one that working copies were made in", dir.display());
            }
            let mut gone = Vec::new();
            for folder in [dir.join("working-copies"), dir.clone()] {
                gone.extend(purge(&folder).with_context(|| folder.display().to_string())?);
            }
            for path in &gone {
                say(format_args!("removed: {}\n", path.display()))?;
            }
            say(format_args!("{} working copies removed from {}\n", gone.len(), dir.display()))
        }
    }
}

/// What is said where rows were counted without the site's secret. It is no note: those are of the table.
const NOT_THE_SPLIT: &str = "counts: which rows train follows from the site's secret, which was not given: the counts of training \
                             and validation rows above are those of `train` at a desk, not those to sign. With --secret, the \
                             file worker/secret in the institution's folder, they are the worker's own (`consilium study \
                             validate` takes the folder: --dir)\n";

fn table(path: &Path, spec: &DataSpec, key: &[u8; 32], memory: &Memory) -> Result<Table> {
    Ok(read_file(path, spec, key, &memory.reading())?.table?)
}

fn train(arguments: &Train) -> Result<()> {
    let file = read_study(&arguments.study)?;
    let spec = file.spec();
    let rounds = arguments.rounds.unwrap_or(file.rules.rounds);
    let ready = arguments.means.ready(&spec)?;
    let secret = match &arguments.secret {
        Some(path) => read_secret(path)?,
        None => secret_of(&arguments.data)?,
    };
    let key = site_group_key(&spec, &secret)?;
    let rows = table(&arguments.data, &spec.data, &key, &arguments.memory)?;
    let test = match &arguments.test {
        Some(path) => {
            let test = table(path, &spec.data, &key, &arguments.memory)?;
            apart(&spec.data, (&arguments.data, &rows), (path, &test))?;
            Some(test)
        }
        None => None,
    };
    // not after hours of training
    if arguments.out.join("model.json").exists() {
        bail!(
            "{} has a model already, and is not overwritten: name a new folder with --out, or remove that one",
            arguments.out.display()
        );
    }
    let new = !arguments.out.exists();
    fs::create_dir_all(&arguments.out).with_context(|| format!("cannot make {}", arguments.out.display()))?;
    let bar = ProgressBar::new(1_000);
    bar.set_style(ProgressStyle::with_template("training {bar:40} {percent:>3} %, {eta} left")?);
    let plan = Plan { spec: &spec, rounds, table: &rows, secret };
    let outcome = desk::train_by(&ready.engine, &plan, &|done| {
        bar.set_position((done * 1_000.0) as u64);
        false
    })
    .inspect_err(|_| {
        if new {
            // it is empty: nothing is left of a training that did not begin
            let _ = fs::remove_dir(&arguments.out);
        }
    })
    .with_context(|| arguments.data.display().to_string())?;
    bar.finish_and_clear();
    outcome.bundle.write(&arguments.out)?;
    let measure = |test| desk::evaluate(&outcome.bundle, &test, arguments.bootstrap.draws(), None);
    let test = test.map(measure).transpose()?.flatten();
    if !arguments.json {
        let (folder, left_out) = (arguments.out.display().to_string(), rows.skipped + rows.dropped);
        return say(shown::trained(&outcome, (rounds, left_out), &folder, test.as_ref()));
    }
    let mut said = json!({
        "model": arguments.out, "rounds": rounds,
        "rows": { "training": outcome.rows.0, "validation": outcome.rows.1, "skipped": rows.skipped, "dropped": rows.dropped },
        "training_loss": outcome.training_loss, "validation": outcome.validation, "test": test,
    });
    // of a number, and of times, there is no cut
    if !matches!(spec.data.task(), Task::Value | Task::Events(_)) {
        said["note"] =
            "validation.at_cut: the cut was chosen on these very rows, and its figures there are too good".into();
    }
    say(format_args!("{said:#}\n"))
}

fn look(arguments: &Preflight) -> Result<()> {
    let spec = read_spec(arguments.study.as_deref(), arguments.spec.as_deref())?;
    let mut masked = arguments.masked;
    if let Some(study) = &arguments.study {
        let file = read_study(study)?;
        masked = file.rules.masked;
        // with as few sites as may take part: with more it takes longer
        let fewest = file.rules(1_000, 2)?.min_participants;
        if let Some(warning) = file.transfer(fewest)?.warning() {
            eprintln!("warning: {}: {warning}", study.display());
        }
    }
    let key = match &arguments.secret {
        Some(file) => site_group_key(&spec, &read_secret(file)?)?,
        // of a file that cannot be read, the report says so
        None => secret_of(&arguments.data).map_or(Ok([0; 32]), |secret| site_group_key(&spec, &secret))?,
    };
    let found = if masked { preflight_masked } else { preflight };
    let report = found(&arguments.data, &spec, &key, &arguments.memory.reading());
    let usable = report.usable;
    if arguments.json {
        let report: Value = serde_json::to_value(report)?;
        say(format_args!("{report}\n"))?;
    } else {
        say(&report)?;
        if arguments.secret.is_none() {
            say(NOT_THE_SPLIT)?;
        }
    }
    if !usable {
        bail!("the study cannot train on {}", arguments.data.display());
    }
    Ok(())
}
