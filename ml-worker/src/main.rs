//! `ml-worker`: see `ml-worker --help`.

mod commands;
mod examples;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use commands::{
    apart::apart,
    compare::Compare,
    desk::Desk,
    given::{hash, read_spec, read_study},
    nobody_reads, say,
    seeds::Seeds,
};
use consilium_founding::EXIT_CONFIGURATION;
use consilium_ml_worker::{
    data::{demo, hash_data, own_statistics, read_file, withheld, Prepared, Split, Table},
    learn::kernels::vectors,
    scratch::Scratch,
    server::{serve, Misconfigured, Settings},
    simulate::site_group_key,
    site::{read_secret, Home, Sites},
};
use consilium_primitives::Hash;
use consilium_privacy::Unit;
use consilium_program::{version, Manuals};
use consilium_study::{Scaling, StudySpec, Task};
use std::{
    collections::HashSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Trains, merges and evaluates for one institution of a swarm-learning consortium.
#[derive(Parser)]
#[command(name = "ml-worker", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Desk(Desk),
    /// What a study with a model of its own is made of: its trainer and the file that it begins with
    #[command(subcommand)]
    Trainer(commands::trainer::Trainer),
    /// Takes duties from this institution's node until it is stopped
    Serve(Serve),
    /// Stops all work at this site at once, until `resume`
    Hold(Folder),
    /// Takes work up again after `hold`
    Resume(Folder),
    /// Accepts a study's data file as it is now, after it has changed
    AcceptData {
        #[command(flatten)]
        folder: Folder,
        /// The file that names the agreement's data file
        #[arg(long, value_name = "FILE")]
        sites: PathBuf,
        /// The agreement, 64 hexadecimal digits
        #[arg(long, value_name = "HASH")]
        agreement: String,
    },
    /// Lets a site go on in mid-study although it has lost which of its rows train and which validate
    AcceptSplit {
        #[command(flatten)]
        folder: Folder,
        /// The agreement, 64 hexadecimal digits
        #[arg(long, value_name = "HASH")]
        agreement: String,
    },
    /// Says what is in a data file and whether a study can train on it; prints JSON
    Check(Check),
    /// Says whether sites.toml can be used, as `serve` reads it; prints JSON
    Sites {
        /// The file that names agreements and their data files
        #[arg(long, value_name = "FILE")]
        sites: PathBuf,
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
    /// After a study: a model of this site's rows alone, trained for as many rounds, beside the study's, on this site's own rows;
    /// prints JSON, which `consilium study figures` signs and `consilium report` takes in
    OwnArm(Box<commands::own_arm::OwnArm>),
    /// A study in one process over many seeds: the table of what swarm learning gains. Of the demo's data, or of one table
    /// with a column that names each row's site
    Table(Seeds),
    /// Write manual pages and the shells' completions, as packages have them
    #[command(hide = true)]
    Manuals(Manuals),
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
    /// Trains only when it is asked to, and not already while its merge is being attested: rounds take longer, and come to the
    /// same
    #[arg(long)]
    no_ahead: bool,
}

#[derive(Args)]
struct Check {
    /// Study file
    #[arg(long, value_name = "FILE", required_unless_present = "spec", conflicts_with = "spec")]
    study: Option<PathBuf>,
    /// In its place the specification that was agreed, in canonical form
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Data file
    #[arg(long, value_name = "CSV")]
    data: PathBuf,
    /// The site's secret (file `secret` in its worker's folder): rows are then split as the worker will split them
    #[arg(long, value_name = "FILE")]
    secret: Option<PathBuf>,
    /// The site's own held-out rows; refused where a group is in both files
    #[arg(long, value_name = "CSV")]
    test: Option<PathBuf>,
    #[command(flatten)]
    memory: commands::memory::Memory,
}

#[derive(Args)]
struct Folder {
    /// The worker's own folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// The whole command line, as this build describes itself.
fn command_line() -> clap::Command {
    examples::with(Cli::command()).version(version!().to_string())
}

fn main() -> ExitCode {
    // the JPEG 2000 decoder tells of each picture how it begins and ends
    let said = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,jpeg2k=warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(said)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    let cli = match command_line().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && std::env::args().nth(1).is_some_and(|command| command == "serve") => {
            // nothing can be done for who cannot be told
            let _ = error.print();
            return ExitCode::from(EXIT_CONFIGURATION);
        }
        Err(error) => error.exit(),
    };
    if let Err(error) = vectors::allowed() {
        eprintln!("error: {error}");
        return ExitCode::from(EXIT_CONFIGURATION);
    }
    match act(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if nobody_reads(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<Misconfigured>() => {
            eprintln!("error: {error:#}");
            ExitCode::from(EXIT_CONFIGURATION)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(command: Command) -> Result<()> {
    match command {
        Command::Desk(command) => commands::desk::act(command),
        Command::Trainer(command) => commands::trainer::act(&command),
        Command::Serve(s) => tokio::runtime::Runtime::new()?.block_on(serve(Settings {
            dir: s.dir,
            blobs: s.blobs,
            listen: s.listen,
            token_file: s.token_file,
            sites: s.sites,
            ahead: !s.no_ahead,
        })),
        Command::Hold(f) => {
            Home::existing(&f.dir)?.set_held(true)?;
            say(format_args!("held: {}\n", f.dir.display()))
        }
        Command::Resume(f) => {
            Home::existing(&f.dir)?.set_held(false)?;
            say(format_args!("resumed: {}\n", f.dir.display()))
        }
        Command::AcceptData { folder, sites, agreement } => accept_data(&folder.dir, &sites, &agreement),
        Command::AcceptSplit { folder, agreement } => {
            Home::existing(&folder.dir)?.accept_split(&Hash::from(hash("--agreement", &agreement)?))?;
            let secret = folder.dir.join("secret");
            say(format_args!("accepted: rows are split anew, by the secret in {}\n", secret.display()))
        }
        Command::Check(arguments) => check(&arguments),
        Command::Sites { sites } => {
            let studies = Sites::read(&sites)?.study;
            let studies = studies.iter().map(|s| serde_json::json!({ "agreement": s.agreement, "data": s.data }));
            say(format_args!("{}\n", serde_json::Value::Array(studies.collect())))
        }
        Command::DemoData { seed, out } => {
            demo::write(seed, &out).with_context(|| format!("cannot write to {}", out.display()))?;
            say(format_args!("{}\n", serde_json::json!(demo::SITES.map(|(name, ..)| name))))
        }
        Command::Compare(arguments) => commands::compare::compare(&arguments),
        Command::OwnArm(arguments) => commands::own_arm::own_arm(&arguments),
        Command::Table(arguments) => arguments.print(),
        Command::Manuals(manuals) => manuals.write(command_line()).context("cannot write manuals"),
    }
}

fn accept_data(dir: &Path, sites: &Path, agreement: &str) -> Result<()> {
    let home = Home::existing(dir)?;
    let agreement = Hash::from(hash("--agreement", agreement)?);
    let study = Sites::read(sites)?;
    let study = study
        .find(&hex::encode(agreement))
        .with_context(|| format!("{}: has no entry for this agreement", sites.display()))?;
    let spec = home.spec_of(&agreement)?.with_context(|| {
        format!("{}: no agreement {} was ever worked on here", dir.display(), hex::encode(agreement))
    })?;
    let data = StudySpec::from_canonical(&spec)?.data;
    let found = hash_data(&study.data, &data)?;
    home.accept_data(&agreement, &found)?;
    say(format_args!("accepted: {}, BLAKE3 {}\n", study.data.display(), hex::encode(found)))?;
    if data.group.is_none() && data.pictures.is_none() {
        say(
            "note: the study names no column of patients, so that a row is known by its values: one that was corrected counts as \
             new, and may validate where it trained before, or the other way round\n",
        )?;
    }
    Ok(())
}

fn check(arguments: &Check) -> Result<()> {
    let data = &arguments.data;
    let spec = read_spec(arguments.study.as_deref(), arguments.spec.as_deref())?;
    let key = match &arguments.secret {
        Some(file) => site_group_key(&spec, &read_secret(file)?)?,
        None => [0; 32],
    };
    let scratch = Scratch::new()?;
    let how = arguments.memory.reading_in(scratch.path());
    let read = |path: &Path| -> Result<Table> { Ok(read_file(path, &spec.data, &key, &how)?.table?) };
    let table = read(data)?;
    if let Some(test) = &arguments.test {
        apart(&spec.data, (data, &table), (test, &read(test)?))?;
    }
    let split = Split::of(&table, spec.evaluation.validation_share);
    let (training, validation) = split.rows(&table);
    // the swarm's statistics are not known yet; what this site could do with its own is the nearest
    let own = own_statistics(&table, &training)?;
    let scaled = matches!(spec.data.scaling, Scaling::Swarm).then_some(&own);
    Prepared::new(&spec, &table, &split, scaled).with_context(|| data.display().to_string())?;
    // with masks nobody sees a site's own statistics: none are withheld
    let masked = match &arguments.study {
        Some(study) => read_study(study)?.rules.masked,
        None => false,
    };
    let withheld = if masked { Vec::new() } else { withheld(&spec, &table, &training)? };
    let positive = |rows: &[usize]| rows.iter().filter(|r| table.label(**r) == [1]).count();
    let part = |rows: &[usize]| {
        let classes = table.classes(rows.iter().copied());
        match spec.data.task() {
            Task::Binary => serde_json::json!({ "rows": rows.len(), "positives": positive(rows) }),
            Task::Classes(_) | Task::Labels(_) => serde_json::json!({ "rows": rows.len(), "classes": classes }),
            Task::Value => serde_json::json!({ "rows": rows.len() }),
            Task::Events(_) => serde_json::json!({ "rows": rows.len(), "events": classes.get(1) }),
        }
    };
    // what a site signs for: patients, where a study's privacy is theirs
    let units = match spec.privacy.as_ref().map(|privacy| privacy.unit()) {
        Some(Unit::Patient) => training.iter().map(|row| &table.groups[*row]).collect::<HashSet<_>>().len(),
        Some(Unit::Record) | None => training.len(),
    };
    let mut groups = table.groups.clone();
    groups.sort_unstable();
    groups.dedup();
    say(format_args!(
        "{}\n",
        serde_json::json!({
            "rows": table.rows(), "positives": table.positives(), "groups": groups.len(), "missing": table.missing,
            "skipped": table.skipped, "dropped": table.dropped,
            "features": table.features, "withheld": withheld, "units": units,
            "training": part(&training),
            "validation": part(&validation),
        })
    ))
}
