//! `ml-worker compare`: swarm, local-only and central side by side.

use super::{
    apart::{apart, at_several},
    given::hash,
    means::Means,
    say,
};
use anyhow::{bail, Context, Result};
use clap::Args;
use consilium_aggregation::{ModelFile, Statistics};
use consilium_ml_worker::{
    compare::Inputs,
    data::{read_file, Reading, Split, Table},
    scratch::Scratch,
    simulate::{run, site_group_key, Site, Swarm},
    site::read_secret,
};
use consilium_primitives::{InstitutionId, StudyRules};
use consilium_study::StudySpec;
use serde::Deserialize;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Keys the hashes of rows that are no site's.
const NOBODY: [u8; 32] = [0; 32];

/// What is compared with a private study's model.
const WITHOUT_NOISE: &str = "The swarm's model was trained under [privacy]; the others, which never left one machine, without noise and \
                             without shortened gradients, in as many steps, each on as many rows as one of the swarm draws on average.";

#[derive(Args)]
pub struct Compare {
    /// The specification, in canonical form
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
    /// The chain's rules, as JSON
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// The sites: a JSON array of {"name", "id", "secret", "samples", "train", "test", "local"}. `id` has 64 hexadecimal digits;
    /// `secret`, `train`, `test` and `local` are files, `test` may be null; `local`, the tensors that stay at the site, null or
    /// left out
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
    /// Prints tables for people in place of JSON
    #[arg(long)]
    tables: bool,
    /// Runs the study in this process and prints the hashes of its models, without the other arms
    #[arg(long, conflicts_with_all = ["model", "tables", "held_out", "rounds"])]
    hashes: bool,
    /// The last round's model, where --model is of an earlier one
    #[arg(long, value_name = "FILE", requires = "model")]
    last_model: Option<PathBuf>,
    #[command(flatten)]
    means: Means,
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
    /// Tensors that stay at the site, as its worker keeps them.
    #[serde(default)]
    local: Option<PathBuf>,
}

pub fn compare(arguments: &Compare) -> Result<()> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let spec = StudySpec::from_canonical(&read(&arguments.spec)?)?;
    let rules: StudyRules = serde_json::from_slice(&read(&arguments.rules)?)
        .with_context(|| format!("{}: no rules", arguments.rules.display()))?;
    let files: Vec<SiteFile> = serde_json::from_slice(&read(&arguments.sites)?)
        .with_context(|| format!("{}: no list of sites", arguments.sites.display()))?;
    if files.is_empty() {
        bail!("{}: names no site", arguments.sites.display());
    }
    let scratch = Scratch::new()?;
    let how = Reading { folder: Some(scratch.path().to_owned()), ..Reading::default() };
    let rows = |path: &Path, key: &[u8; 32]| -> Result<Table> { Ok(read_file(path, &spec.data, key, &how)?.table?) };
    let (mut sites, mut tests, mut equal) = (Vec::new(), Vec::new(), Vec::new());
    let (mut patients, mut at_sites) = (Vec::new(), Vec::new());
    let held_out = match &arguments.held_out {
        Some(path) => Some((path, rows(path, &NOBODY)?)),
        None => None,
    };
    for file in files {
        let secret = read_secret(&file.secret)?;
        let key = site_group_key(&spec, &secret)?;
        let table = rows(&file.train, &key)?;
        let test = file.test.as_ref().map(|path| rows(path, &key)).transpose()?;
        if let (Some(path), Some(test)) = (&file.test, &test) {
            equal.extend(apart(&spec.data, (&file.train, &table), (path, test))?);
        }
        if held_out.is_some() || spec.data.group.is_some() {
            // with the common rows' key: a site's own gives other hashes
            let alike = rows(&file.train, &NOBODY)?;
            if let Some((path, held_out)) = &held_out {
                equal.extend(apart(&spec.data, (&file.train, &alike), (path, held_out))?);
            }
            patients.push((file.name.clone(), alike.groups.into_iter().collect()));
        }
        let id = InstitutionId(hash(&format!("{}: id of {}", arguments.sites.display(), file.name), &file.id)?);
        sites.push(Site { name: file.name, id, secret, samples: file.samples, table });
        tests.push(test);
        at_sites.push(file.local.as_ref().map(read).transpose()?);
    }
    equal.extend(spec.data.group.as_ref().and_then(|group| at_several(group, &patients)));
    let splits: Vec<Split> = sites.iter().map(|s| Split::of(&s.table, spec.evaluation.validation_share)).collect();
    let rounds = arguments.rounds;
    let model = |path: &PathBuf| -> Result<Vec<f32>> {
        Ok(ModelFile::decode_merged(&read(path)?, &spec.layout()?).with_context(|| path.display().to_string())?.data)
    };
    let (rounds, chosen, canonical, last, statistics, simulated) = match (&arguments.model, &arguments.statistics) {
        (Some(file), Some(statistics)) => {
            let statistics = match spec.data.statistics_columns() {
                0 => None,
                columns => Some(Statistics::decode(&read(statistics)?, columns, None)?),
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
            if arguments.hashes {
                let simulated = json!({ "canonical": outcome.canonical, "rounds": roots });
                return say(format_args!("{}\n", json!({ "simulated": simulated })));
            }
            let simulated = Some((outcome.canonical, roots));
            (rounds, outcome.model, outcome.canonical, Some(outcome.last), outcome.statistics, simulated)
        }
    };
    let mut ready = arguments.means.ready(&spec)?;
    ready.engine.at_sites = Some(at_sites);
    let mut comparison = Inputs {
        engine: &ready.engine,
        spec: &spec,
        rounds,
        sites: &sites,
        splits: &splits,
        tests: &tests,
        held_out: held_out.as_ref().map(|(_, table)| table),
        swarm: Swarm { chosen: &chosen, round: canonical, last: last.as_deref() },
        statistics: statistics.as_ref(),
    }
    .compare()?;
    comparison.notes.extend(equal);
    if spec.privacy.is_some() {
        comparison.notes.push(WITHOUT_NOISE.into());
    }
    if arguments.tables {
        return say(format_args!("{comparison}\n"));
    }
    let mut out = serde_json::to_value(&comparison)?;
    out["tables"] = comparison.to_string().into();
    if let Some((canonical, rounds)) = simulated {
        out["simulated"] = json!({ "canonical": canonical, "rounds": rounds });
    }
    say(format_args!("{out}\n"))
}
