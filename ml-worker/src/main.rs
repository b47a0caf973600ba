//! `ml-worker`: see `ml-worker --help`.

mod commands;

use anyhow::{bail, Context, Result};
use clap::{Args, Parser, Subcommand};
use commands::{desk::Desk, seeds::Seeds};
use consilium_aggregation::{ModelFile, Statistics};
use consilium_ml_worker::{
    compare::{Inputs, Swarm},
    data::{demo, hash_data, hash_file, own_statistics, purge, read_file, withheld, Prepared, Reading, Split, Table},
    random::key,
    server::{serve, Settings},
    simulate::{run, site_group_key, Site},
    site::{read_secret, Home, Sites},
};
use consilium_primitives::{Hash, InstitutionId, StudyRules};
use consilium_study::{Scaling, StudyFile, StudySpec, Task};
use serde::Deserialize;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Trains, merges and evaluates for one institution of a swarm-learning consortium.
#[derive(Parser)]
#[command(name = "ml-worker", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Desk(Desk),
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
    /// A study in one process over many seeds: the table of what swarm learning gains. Of the demo's data, or of one table
    /// with a column that names each row's site
    Table(Seeds),
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
struct Check {
    /// Study file
    #[arg(long, value_name = "FILE")]
    study: PathBuf,
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
    memory: commands::desk::Memory,
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
    /// The sites: a JSON array of {"name", "id", "secret", "samples", "train", "test"}. `id` has 64 hexadecimal digits;
    /// `secret`, `train` and `test` are files, `test` may be null
    #[arg(long, value_name = "FILE.json")]
    sites: PathBuf,
    /// Rows held out from everyone
    #[arg(long, value_name = "CSV")]
    held_out: Option<PathBuf>,
    /// The canonical model; left out, the study is run in this process
    #[arg(long, value_name = "FILE", requires = "statistics")]
    model: Option<PathBuf>,
    /// The study's merged statistics, where it has any; `none` otherwise
    #[arg(long, value_name = "FILE", requires = "model")]
    statistics: Option<PathBuf>,
    /// Rounds that the study has run; the other models train for as many. Left out: as many as the rules allow, or as
    /// were run in this process
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// The round that --model is of; left out, the last one
    #[arg(long, value_name = "ROUND", requires = "model")]
    canonical: Option<u32>,
    /// The last round's model, where --model is of an earlier one
    #[arg(long, value_name = "FILE", requires = "model")]
    last_model: Option<PathBuf>,
}

/// One site, as `--sites` gives it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SiteFile {
    name: String,
    id: String,
    secret: PathBuf,
    samples: u32,
    train: PathBuf,
    test: Option<PathBuf>,
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
        Command::Desk(command) => commands::desk::act(command),
        Command::Serve(s) => tokio::runtime::Runtime::new()?.block_on(serve(Settings {
            dir: s.dir,
            blobs: s.blobs,
            listen: s.listen,
            token_file: s.token_file,
            sites: s.sites,
        })),
        Command::Hold(f) => {
            Home::existing(&f.dir)?.set_held(true)?;
            println!("held: {}", f.dir.display());
            Ok(())
        }
        Command::Resume(f) => {
            Home::existing(&f.dir)?.set_held(false)?;
            println!("resumed: {}", f.dir.display());
            Ok(())
        }
        Command::AcceptData { folder, sites, agreement } => accept_data(&folder.dir, &sites, &agreement),
        Command::AcceptSplit { folder, agreement } => {
            Home::existing(&folder.dir)?.accept_split(&Hash::from(hash("--agreement", &agreement)?))?;
            println!("accepted: rows are split anew, by the secret in {}", folder.dir.join("secret").display());
            Ok(())
        }
        Command::Check(arguments) => check(&arguments),
        Command::DemoData { seed, out } => {
            demo::write(seed, &out).with_context(|| format!("cannot write to {}", out.display()))?;
            println!("{}", serde_json::json!(demo::SITES.map(|(name, ..)| name)));
            Ok(())
        }
        Command::Compare(arguments) => compare(&arguments),
        Command::Table(arguments) => arguments.print(),
    }
}

fn read_study(path: &Path) -> Result<StudyFile> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    StudyFile::parse(&text).with_context(|| format!("{}", path.display()))
}

/// A secret that follows from a data file, for work at a desk: the same file gives the same training.
fn secret_of(data: &Path) -> Result<[u8; 32]> {
    Ok(key("consilium/desk/1", &[&hash_file(data)?.0]))
}

fn hash(what: &str, text: &str) -> Result<[u8; 32]> {
    let mut hash = [0; 32];
    if hex::decode_to_slice(text.trim_start_matches("0x"), &mut hash).is_err() {
        bail!("{what}: must have 64 hexadecimal digits");
    }
    Ok(hash)
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
    println!("accepted: {}, BLAKE3 {}", study.data.display(), hex::encode(found));
    if data.group.is_none() && data.pictures.is_none() {
        println!(
            "note: the study names no column of patients, so that a row is known by its values: one that was corrected counts as \
             new, and may validate where it trained before, or the other way round"
        );
    }
    Ok(())
}

fn check(arguments: &Check) -> Result<()> {
    let data = &arguments.data;
    let spec = read_study(&arguments.study)?.spec();
    let key = match &arguments.secret {
        Some(file) => site_group_key(&spec, &read_secret(file)?)?,
        None => [0; 32],
    };
    let scratch = Scratch::new();
    let how = arguments.memory.reading_in(&scratch.0);
    let read = |path: &Path| -> Result<Table> { Ok(read_file(path, &spec.data, &key, &how)?.table?) };
    let table = read(data)?;
    if let Some(test) = &arguments.test {
        apart(&spec, (data, &table), (test, &read(test)?))?;
    }
    let split = Split::of(&table, spec.evaluation.validation_share);
    let (training, validation) = split.rows(&table);
    // the swarm's statistics are not known yet; what this site could do with its own is the nearest
    let own = own_statistics(&table, &training)?;
    let scaled = matches!(spec.data.scaling, Scaling::Swarm).then_some(&own);
    Prepared::new(&spec, &table, &split, scaled).with_context(|| data.display().to_string())?;
    let withheld = withheld(&spec, &table, &training)?;
    let positive = |rows: &[usize]| rows.iter().filter(|r| table.label(**r) == [1]).count();
    let part = |rows: &[usize]| {
        let classes = table.classes(rows.iter().copied());
        match spec.data.task() {
            Task::Binary => serde_json::json!({ "rows": rows.len(), "positives": positive(rows) }),
            Task::Classes(_) | Task::Labels(_) => serde_json::json!({ "rows": rows.len(), "classes": classes }),
        }
    };
    let mut groups = table.groups.clone();
    groups.sort_unstable();
    groups.dedup();
    println!(
        "{}",
        serde_json::json!({
            "rows": table.rows(), "positives": table.positives(), "groups": groups.len(), "missing": table.missing,
            "skipped": table.skipped, "dropped": table.dropped,
            "features": table.features, "withheld": withheld,
            "training": part(&training),
            "validation": part(&validation),
        })
    );
    Ok(())
}

/// A folder for working copies of tables that are too large for memory, of this process alone; they go when it ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("consilium-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.is_dir() {
            let gone = purge(&self.0).map(drop).and_then(|()| fs::remove_dir(&self.0));
            if let Err(error) = gone {
                tracing::warn!("{}: working copies of patients' data were left here: {error}", self.0.display());
            }
        }
    }
}

/// Refuses held-out rows of patients whose other rows are trained on.
fn apart(spec: &StudySpec, train: (&Path, &Table), test: (&Path, &Table)) -> Result<()> {
    if let Some(group) = spec.data.group.as_ref().filter(|_| train.1.shares_a_group(test.1)) {
        bail!(
            "{} and {}: rows of the same {group:?} are in both; held-out rows must be of others than those trained on",
            train.0.display(),
            test.0.display()
        );
    }
    Ok(())
}

fn compare(arguments: &Compare) -> Result<()> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let spec = StudySpec::from_canonical(&read(&arguments.spec)?)?;
    let rules: StudyRules = serde_json::from_slice(&read(&arguments.rules)?)
        .with_context(|| format!("{}: no rules", arguments.rules.display()))?;
    let files: Vec<SiteFile> = serde_json::from_slice(&read(&arguments.sites)?)
        .with_context(|| format!("{}: no list of sites", arguments.sites.display()))?;
    if files.is_empty() {
        bail!("{}: names no site", arguments.sites.display());
    }
    let scratch = Scratch::new();
    let how = Reading { folder: Some(scratch.0.clone()), ..Reading::default() };
    let rows = |path: &Path, key: &[u8; 32]| -> Result<Table> { Ok(read_file(path, &spec.data, key, &how)?.table?) };
    let mut sites = Vec::new();
    let mut tests = Vec::new();
    for file in files {
        let secret = read_secret(&file.secret)?;
        let key = site_group_key(&spec, &secret)?;
        let table = rows(&file.train, &key)?;
        let test = file.test.as_ref().map(|path| rows(path, &key)).transpose()?;
        if let (Some(path), Some(test)) = (&file.test, &test) {
            apart(&spec, (&file.train, &table), (path, test))?;
        }
        let id = InstitutionId(hash(&format!("{}: id of {}", arguments.sites.display(), file.name), &file.id)?);
        sites.push(Site { name: file.name, id, secret, samples: file.samples, table });
        tests.push(test);
    }
    let held_out = arguments.held_out.as_ref().map(|path| rows(path, &[0; 32])).transpose()?;
    let splits: Vec<Split> = sites.iter().map(|s| Split::of(&s.table, spec.evaluation.validation_share)).collect();
    let rounds = arguments.rounds;
    let model = |path: &PathBuf| -> Result<Vec<f32>> {
        Ok(ModelFile::decode_merged(&read(path)?, &spec.layout()?).with_context(|| path.display().to_string())?.data)
    };
    let (rounds, chosen, canonical, last, statistics, simulated) = match (&arguments.model, &arguments.statistics) {
        (Some(file), Some(statistics)) => {
            let statistics = match spec.data.scaling {
                Scaling::None | Scaling::Site | Scaling::Transductive => None,
                Scaling::Swarm => Some(Statistics::decode(&read(statistics)?, spec.data.numeric(), None)?),
            };
            let rounds = rounds.unwrap_or(rules.max_rounds);
            let canonical = arguments.canonical.unwrap_or(rounds);
            if canonical > rounds {
                bail!("--canonical {canonical}: the study has run {rounds} rounds");
            }
            let last = arguments.last_model.as_ref().map(model).transpose()?;
            (rounds, model(file)?, canonical, last, statistics, None)
        }
        _ => {
            let outcome = run(&spec, &rules, &sites, &|_, _, loss| loss)?;
            let rounds = rounds.unwrap_or(outcome.rounds.len() as u32 - 1);
            let roots: Vec<String> = outcome.rounds.iter().map(|r| hex::encode(r.root)).collect();
            let simulated = Some((outcome.canonical, roots));
            (rounds, outcome.model, outcome.canonical, Some(outcome.last), outcome.statistics, simulated)
        }
    };
    let comparison = Inputs {
        spec: &spec,
        rounds,
        sites: &sites,
        splits: &splits,
        tests: &tests,
        held_out: held_out.as_ref(),
        swarm: Swarm { chosen: &chosen, round: canonical, last: last.as_deref() },
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
