//! `ml-worker`: see `ml-worker --help`.

use anyhow::{bail, Context, Result};
use clap::{Args, Parser, Subcommand};
use consilium_aggregation::{ModelFile, Statistics};
use consilium_ml_worker::{
    compare::Inputs,
    data::{demo, read_table, Split},
    server::{serve, Settings},
    simulate::{run, site_group_key, Site},
    site::Home,
};
use consilium_primitives::{Hash, InstitutionId, StudyRules};
use consilium_study::{Scaling, StudyFile, StudySpec};
use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode};

mod table;

/// Trains, merges and evaluates for one institution of a swarm-learning consortium.
#[derive(Parser)]
#[command(name = "ml-worker", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Takes duties from this institution's node until it is stopped
    Serve(Serve),
    /// Stops all work at this site at once, until `resume`
    Hold(Folder),
    /// Takes work up again after `hold`
    Resume(Folder),
    /// Accepts that a study's data file has changed
    AcceptData {
        #[command(flatten)]
        folder: Folder,
        /// The agreement, 64 hexadecimal digits
        #[arg(long, value_name = "HASH")]
        agreement: String,
    },
    /// Reads a data file against a study, and says what is there; prints JSON
    Check {
        /// Study file
        #[arg(long, value_name = "FILE")]
        study: PathBuf,
        /// Data file
        #[arg(long, value_name = "CSV")]
        data: PathBuf,
    },
    /// Writes the embedded breast-cancer data: a CSV file and a secret per site, and held-out.csv; prints the sites
    DemoData {
        /// Seed of the partition
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Folder to write to
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Swarm, local-only and central side by side, where all data lie on this machine; prints JSON
    Compare(Compare),
    /// The demo's study in one process over many seeds: the table of what swarm learning gains
    Table {
        /// Study file with the embedded data set
        #[arg(long, value_name = "FILE", default_value = "examples/breast-cancer/study.toml")]
        study: PathBuf,
        /// Seeds from 1 to this
        #[arg(long, default_value_t = 20)]
        seeds: u64,
    },
}

#[derive(Args)]
struct Serve {
    /// The worker's own folder: secret, results, states
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The blob store, shared with the node
    #[arg(long, value_name = "DIR")]
    blobs: PathBuf,
    /// Address to listen on; of this machine alone
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8601")]
    listen: SocketAddr,
    /// File with the token that the node shows; made where there is none
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Which agreements this site works for, and with which data
    #[arg(long, value_name = "FILE")]
    sites: PathBuf,
}

#[derive(Args)]
struct Folder {
    /// The worker's own folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Args)]
struct Compare {
    /// The specification, in canonical form
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
    /// The chain's rules, as JSON
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// NAME,ID,SECRET,SAMPLES,TRAIN.csv[,TEST.csv] of each site; id and secret as 64 hexadecimal digits
    #[arg(long = "site", required = true, value_name = "SITE")]
    sites: Vec<String>,
    /// Rows held out from everyone
    #[arg(long, value_name = "CSV")]
    held_out: Option<PathBuf>,
    /// The canonical model; left out, the study is run in this process
    #[arg(long, value_name = "FILE", requires = "statistics")]
    model: Option<PathBuf>,
    /// The study's merged statistics, where it has any; `none` otherwise
    #[arg(long, value_name = "FILE", requires = "model")]
    statistics: Option<PathBuf>,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    match act(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(command: Command) -> Result<()> {
    match command {
        Command::Serve(s) => tokio::runtime::Runtime::new()?.block_on(serve(Settings {
            dir: s.dir,
            blobs: s.blobs,
            listen: s.listen,
            token_file: s.token_file,
            sites: s.sites,
        })),
        Command::Hold(f) => Home::open(&f.dir)?.set_held(true),
        Command::Resume(f) => Home::open(&f.dir)?.set_held(false),
        Command::AcceptData { folder, agreement } => {
            let mut hash = [0; 32];
            if hex::decode_to_slice(agreement.trim_start_matches("0x"), &mut hash).is_err() {
                bail!("--agreement: must have 64 hexadecimal digits");
            }
            Home::open(&folder.dir)?.accept_data(&Hash::from(hash))
        }
        Command::Check { study, data } => check(&study, &data),
        Command::DemoData { seed, out } => {
            demo::write(seed, &out).with_context(|| format!("cannot write to {}", out.display()))?;
            println!("{}", serde_json::json!(demo::SITES.map(|(name, ..)| name)));
            Ok(())
        }
        Command::Compare(arguments) => compare(&arguments),
        Command::Table { study, seeds } => table::print(&read_study(&study)?, seeds),
    }
}

fn read_study(path: &std::path::Path) -> Result<StudyFile> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    StudyFile::parse(&text).with_context(|| format!("{}", path.display()))
}

fn check(study: &std::path::Path, data: &std::path::Path) -> Result<()> {
    let spec = read_study(study)?.spec();
    let table = read_table(data, &spec.data, &[0; 32])?;
    let split = Split::of(&table, spec.evaluation.validation_share);
    let (training, validation) = split.rows(&table);
    let positive = |rows: &[usize]| rows.iter().filter(|r| table.labels[**r]).count();
    let mut groups = table.groups.clone();
    groups.sort_unstable();
    groups.dedup();
    println!(
        "{}",
        serde_json::json!({
            "rows": table.rows(), "positives": table.positives(), "groups": groups.len(), "missing": table.missing,
            "features": table.features,
            "training": { "rows": training.len(), "positives": positive(&training) },
            "validation": { "rows": validation.len(), "positives": positive(&validation) },
        })
    );
    Ok(())
}

fn compare(arguments: &Compare) -> Result<()> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let spec = StudySpec::from_canonical(&read(&arguments.spec)?)?;
    let rules: StudyRules = serde_json::from_slice(&read(&arguments.rules)?)
        .with_context(|| format!("{}: no rules", arguments.rules.display()))?;
    let mut sites = Vec::new();
    let mut tests = Vec::new();
    for text in &arguments.sites {
        let parts: Vec<&str> = text.split(',').collect();
        let (&[name, id, secret, samples, train], test) = match parts.as_slice() {
            [a, b, c, d, e] => (&[*a, *b, *c, *d, *e], None),
            [a, b, c, d, e, f] => (&[*a, *b, *c, *d, *e], Some(*f)),
            _ => bail!("--site {text}: must be NAME,ID,SECRET,SAMPLES,TRAIN.csv[,TEST.csv]"),
        };
        let bytes = |text: &str| -> Result<[u8; 32]> {
            let mut out = [0; 32];
            hex::decode_to_slice(text, &mut out)
                .with_context(|| format!("--site {name}: not 64 hexadecimal digits"))?;
            Ok(out)
        };
        let secret = bytes(secret)?;
        let key = site_group_key(&spec, &secret)?;
        sites.push(Site {
            name: name.to_owned(),
            id: InstitutionId(bytes(id)?),
            secret,
            samples: samples.parse().with_context(|| format!("--site {name}: the sample count is no number"))?,
            table: read_table(train.as_ref(), &spec.data, &key)?,
        });
        tests.push(test.map(|t| read_table(t.as_ref(), &spec.data, &key)).transpose()?);
    }
    let held_out = arguments.held_out.as_ref().map(|p| read_table(p, &spec.data, &[0; 32])).transpose()?;
    let splits: Vec<Split> = sites.iter().map(|s| Split::of(&s.table, spec.evaluation.validation_share)).collect();
    let (swarm, statistics, simulated) = match (&arguments.model, &arguments.statistics) {
        (Some(model), Some(statistics)) => {
            let data = ModelFile::decode_merged(&read(model)?, &spec.layout()?)?.data;
            let statistics = match spec.data.scaling {
                Scaling::None => None,
                Scaling::Swarm => Some(Statistics::decode(&read(statistics)?, spec.inputs(), None)?),
            };
            (data, statistics, None)
        }
        _ => {
            let outcome = run(&spec, &rules, &sites, &|_, _, loss| loss)?;
            let rounds: Vec<String> = outcome.rounds.iter().map(|r| hex::encode(r.root)).collect();
            (outcome.model, outcome.statistics, Some((outcome.canonical, rounds)))
        }
    };
    let comparison = Inputs {
        spec: &spec,
        rounds: rules.max_rounds,
        sites: &sites,
        splits: &splits,
        tests: &tests,
        held_out: held_out.as_ref(),
        swarm: &swarm,
        statistics: statistics.as_ref(),
    }
    .compare()?;
    let mut out = serde_json::to_value(&comparison)?;
    if let Some((canonical, rounds)) = simulated {
        out["simulated"] = serde_json::json!({ "canonical": canonical, "rounds": rounds });
    }
    println!("{out}");
    Ok(())
}
