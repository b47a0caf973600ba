//! What a run needs, checked before anything is started.

use super::{
    keys::{check_free, random},
    network::Programs,
    Options,
};
use anyhow::{bail, Context, Result};
use consilium_primitives::StudyRules;
use consilium_study::{Dataset, StudyFile, StudySpec};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Milliseconds between two blocks of the local testnet.
const BLOCK_MS: u32 = 2_000;
/// How many institutions the local testnet has.
const INSTITUTIONS: usize = 4;

/// One site of a run.
#[derive(Clone, Debug)]
pub struct SitePlan {
    /// Its name.
    pub name: String,
    /// Rows to train and validate on.
    pub train: PathBuf,
    /// Its own held-out rows.
    pub test: Option<PathBuf>,
    /// A file with the secret its worker is to use; left out, the worker makes one.
    pub secret: Option<PathBuf>,
    /// Training rows: the sample count it signs.
    pub samples: u32,
    /// What the worker said of its rows.
    pub data: Value,
}

/// A run.
#[derive(Debug)]
pub struct Plan {
    /// Where everything goes.
    pub dir: PathBuf,
    /// Its programs.
    pub programs: Programs,
    /// The specification.
    pub study: StudySpec,
    /// Its canonical bytes.
    pub spec: Vec<u8>,
    /// The chain's rules.
    pub rules: StudyRules,
    /// Sites, at most one per institution.
    pub sites: Vec<SitePlan>,
    /// Rows held out from everyone.
    pub held_out: Option<PathBuf>,
}

impl Plan {
    /// Reads and checks all that was asked for.
    ///
    /// # Errors
    /// The first thing that cannot be used.
    pub fn check(options: &Options) -> Result<Self> {
        let programs = Programs::find(options.bin_dir.as_deref())?;
        let text = fs::read_to_string(&options.study)
            .with_context(|| format!("cannot read the study file {}", options.study.display()))?;
        let mut file = StudyFile::parse(&text).with_context(|| options.study.display().to_string())?;
        file.seed = options.seed.unwrap_or(file.seed);
        file.rules.rounds = options.rounds.unwrap_or(file.rules.rounds);
        let named = sites(&options.sites)?;
        if named.is_empty() && file.dataset.is_none() {
            bail!(
                "{}: names no embedded data set; give each site's data with --site NAME=TRAIN.csv",
                options.study.display()
            );
        }
        if let Some(port) = options.rpc_port {
            check_free(port)?;
        }
        let count = if named.is_empty() { INSTITUTIONS } else { named.len() };
        if file.rules.min_participants as usize > count {
            bail!(
                "{}: rules.min_participants is {}, but there are {count} sites",
                options.study.display(),
                file.rules.min_participants
            );
        }
        let study = file.spec();
        let spec = study.canonical()?;
        let rules = file.rules(BLOCK_MS, count as u32)?;
        for site in &named {
            check_data(&programs, &options.study, &site.train)?;
            if let Some(test) = &site.test {
                check_data(&programs, &options.study, test)?;
            }
        }
        let dir = folder(options.out.as_deref())?;
        let (mut sites, held_out) = match file.dataset.filter(|_| named.is_empty()) {
            Some(Dataset::BreastCancer) => demo(&programs, &dir, file.seed)?,
            None => (named, None),
        };
        for site in &mut sites {
            site.data = check_data(&programs, &options.study, &site.train)?;
            let rows = site.data["training"]["rows"].as_u64().context("the worker counted no training rows")?;
            site.samples = u32::try_from(rows)?;
        }
        for (name, bytes) in [("spec.json", spec.clone()), ("rules.json", serde_json::to_vec_pretty(&rules)?)] {
            fs::write(dir.join(name), bytes).with_context(|| format!("cannot write {}", dir.join(name).display()))?;
        }
        Ok(Self { dir, programs, study, spec, rules, sites, held_out })
    }
}

/// `NAME=TRAIN.csv[,TEST.csv]`, each.
fn sites(texts: &[String]) -> Result<Vec<SitePlan>> {
    let mut seen = BTreeSet::new();
    let mut sites = Vec::new();
    for text in texts {
        let (name, files) = text
            .split_once('=')
            .with_context(|| format!("--site {text}: must be NAME=TRAIN.csv or NAME=TRAIN.csv,TEST.csv"))?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(plain) {
            bail!("--site {text}: a name has 1 to 32 ASCII letters, digits, '-' or '_'");
        }
        if !seen.insert(name.to_owned()) {
            bail!("--site {text}: two sites are called {name}");
        }
        let absolute = |file: &str| {
            let path = PathBuf::from(file);
            path.canonicalize().with_context(|| format!("--site {name}: cannot read {}", path.display()))
        };
        let (train, test) = match files.split_once(',') {
            Some((train, test)) => (absolute(train)?, Some(absolute(test)?)),
            None => (absolute(files)?, None),
        };
        sites.push(SitePlan { name: name.into(), train, test, secret: None, samples: 0, data: Value::Null });
    }
    if sites.len() == 1 || sites.len() > INSTITUTIONS {
        bail!("{} sites were given; this local network takes 2 to {INSTITUTIONS} sites", sites.len());
    }
    Ok(sites)
}

/// Lets the worker read a data file against the study.
fn check_data(programs: &Programs, study: &Path, data: &Path) -> Result<Value> {
    let mut command = Command::new(&programs.worker);
    command.arg("check").arg("--study").arg(study).arg("--data").arg(data);
    answer(command)
}

/// Runs a command of the worker that prints JSON.
pub fn answer(mut command: Command) -> Result<Value> {
    let output =
        command.output().with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{}", text.trim().trim_start_matches("error: "));
    }
    serde_json::from_slice(&output.stdout).context("the worker printed no JSON")
}

/// Writes the embedded data out, as four sites' files.
fn demo(programs: &Programs, dir: &Path, seed: u64) -> Result<(Vec<SitePlan>, Option<PathBuf>)> {
    let data = dir.join("data");
    let mut command = Command::new(&programs.worker);
    command.arg("demo-data").args(["--seed", &seed.to_string()]).arg("--out").arg(&data);
    let names = answer(command)?;
    let names: Vec<String> = serde_json::from_value(names)?;
    let sites = names
        .into_iter()
        .map(|name| SitePlan {
            train: data.join(format!("{name}.csv")),
            test: None,
            secret: Some(data.join(format!("{name}.secret"))),
            samples: 0,
            data: Value::Null,
            name,
        })
        .collect();
    Ok((sites, Some(data.join("held-out.csv"))))
}

/// Makes the folder of a run, and gives its absolute path.
fn folder(wanted: Option<&Path>) -> Result<PathBuf> {
    let dir = match wanted {
        Some(dir) => dir.to_path_buf(),
        None => std::env::temp_dir().join(format!("consilium-{}", hex::encode(random::<6>()?))),
    };
    if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty: name a new folder with --out, or empty this one", dir.display());
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    dir.canonicalize().with_context(|| format!("cannot read {}", dir.display()))
}
