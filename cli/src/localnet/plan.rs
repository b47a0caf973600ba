//! What a run needs, checked before anything is started.

use super::{
    folder::Folder,
    founding::{Asked, NAMES, PARTS},
    options::Options,
    ports::check_free,
    record::RUN,
};
use crate::{
    plain::counted,
    process::answer,
    programs::{random, write_private, Programs},
    study::private,
};
use anyhow::{bail, Context, Result};
use consilium_primitives::{StudyRules, SLOT_MILLIS};
use consilium_study::{Dataset, NamedFile, StudyFile, StudySpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The study file, as it was run, in a run's folder.
const STUDY: &str = "study.toml";

/// One site of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SitePlan {
    /// Its name.
    pub name: String,
    /// Rows to train and validate on.
    pub train: PathBuf,
    /// Its own held-out rows.
    pub test: Option<PathBuf>,
    /// A file with the secret its worker is to use: which rows train follows from it. None before there is a folder.
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
    pub(super) folder: Folder,
    /// Its programs.
    pub programs: Programs,
    /// The chain's runtime, where it is not the node's own.
    pub runtime: Option<PathBuf>,
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
    /// What the study needs beside its specification.
    pub means: Means,
}

/// Files that a study needs beside its specification, by whole paths.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Means {
    /// What it begins with.
    pub initial: Option<PathBuf>,
    /// What each site allows of its own trainer.
    pub trainer: Option<PathBuf>,
    /// The trainer's code.
    pub code: Option<PathBuf>,
    /// What all studies together may cost each site's data set, in millionths of ε; none where nothing is promised.
    #[serde(default)]
    pub budget_micro: Option<u32>,
}

impl Means {
    /// The files that were asked for, which must be those that the study names.
    fn of(options: &Options, spec: &StudySpec) -> Result<Self> {
        let whole = |path: &Option<PathBuf>| {
            path.as_ref()
                .map(|path| path.canonicalize().with_context(|| format!("cannot read {}", path.display())))
                .transpose()
        };
        let means = Self {
            initial: whole(&options.initial)?,
            trainer: whole(&options.trainer)?,
            code: whole(&options.code)?,
            budget_micro: private::budget(spec, options.epsilon)?,
        };
        let code = spec.model.external().map(|external| &external.code);
        for (option, named, given) in
            [("--initial", spec.initial.as_ref(), &means.initial), ("--code", code, &means.code)]
        {
            match (named, given) {
                (None, None) => {}
                (None, Some(_)) => bail!("{option}: the study names no such file"),
                (Some(named), None) => bail!("the study needs the file {}: give it with {option}", named.root),
                (Some(named), Some(path)) => {
                    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                    let found = NamedFile::of(&bytes);
                    if found != *named {
                        bail!("{option} {}: is {}, and the study names {}", path.display(), found.root, named.root);
                    }
                }
            }
        }
        Ok(means)
    }

    /// The files that every site's blob store must come to hold: the proposer's from the start.
    pub fn blobs(&self) -> impl Iterator<Item = &PathBuf> {
        self.initial.iter().chain(&self.code)
    }

    /// As a command of the worker takes them.
    pub fn give(&self, command: &mut Command) {
        for (option, file) in [("--initial", &self.initial), ("--trainer", &self.trainer), ("--code", &self.code)] {
            if let Some(file) = file {
                command.arg(option).arg(file);
            }
        }
    }
}

impl Plan {
    /// Reads and checks all that was asked for; makes the folder and writes the data's secrets, spec and rules there.
    ///
    /// # Errors
    /// The first thing that cannot be used. No folder is left then.
    pub async fn check(options: &Options) -> Result<Self> {
        let programs = Programs::find(options.bin_dir.as_deref())?;
        let shown = || options.study.display().to_string();
        let text =
            fs::read_to_string(&options.study).with_context(|| format!("cannot read the study file {}", shown()))?;
        let mut file = StudyFile::parse(&text).with_context(shown)?;
        file.seed = options.seed.unwrap_or(file.seed);
        file.rules.rounds = options.rounds.unwrap_or(file.rules.rounds);
        file.rules.masked |= options.masked;
        let named = sites(&options.sites)?;
        if named.is_empty() && file.dataset.is_none() {
            bail!("{}: names no embedded data set; give each site's data with --site NAME=TRAIN.csv", shown());
        }
        if let Some(port) = options.rpc_port {
            check_free(port)?;
        }
        // before what takes long; whether the folder can be had is known when it is made
        if let Some(out) = options.out.as_ref().filter(|out| out.exists()) {
            Folder::check_empty(out)?;
        }
        let count = if named.is_empty() { NAMES.len() } else { named.len() };
        let spec = file.spec().canonical().with_context(shown)?;
        let rules = file.rules(u32::try_from(SLOT_MILLIS)?, count as u32).with_context(shown)?;
        if let Some(warning) = file.transfer(count as u32).with_context(shown)?.warning() {
            eprintln!("warning: {}: {warning}", shown());
        }
        if rules.min_participants as usize > count {
            bail!("{}: rules.min_participants is {}, but there are {count} sites", shown(), rules.min_participants);
        }
        let means = Means::of(options, &file.spec())?;
        for site in &named {
            check_data(&programs, &options.study, site).await?;
        }
        let folder = Folder::make(options.out.as_deref())?;
        let mut plan = Self {
            dir: folder.path.clone(),
            folder,
            programs,
            runtime: options.runtime.clone(),
            study: file.spec(),
            spec,
            rules,
            sites: named,
            held_out: None,
            means,
        };
        if let Err(error) = plan.fill(&file, &text).await {
            plan.discard();
            return Err(error);
        }
        Ok(plan)
    }

    /// The network that the run needs.
    pub fn network(&self) -> Asked<'_> {
        Asked { programs: &self.programs, dir: &self.dir, runtime: self.runtime.as_ref() }
    }

    /// Takes away what has been written, after a failure before anything was started.
    pub fn discard(&self) {
        self.folder.remove(&[&["data", "spec.json", "rules.json", STUDY, RUN][..], &PARTS].concat());
    }

    /// Writes what a run begins with into its folder, and counts the rows that each site's worker will train on.
    async fn fill(&mut self, file: &StudyFile, text: &str) -> Result<()> {
        let put = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
            let path = self.dir.join(name);
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(path)
        };
        put("spec.json", &self.spec)?;
        put("rules.json", &serde_json::to_vec_pretty(&self.rules)?)?;
        // with the seed of this run: splits depend on it
        let mut table: toml::Table = text.parse().context("the study file is no TOML")?;
        table.insert("seed".into(), i64::try_from(file.seed)?.into());
        if let Some(rules) = table.get_mut("rules").and_then(toml::Value::as_table_mut) {
            // whether a site's own statistics are withheld depends on it
            rules.insert("masked".into(), file.rules.masked.into());
        }
        let study = put(STUDY, table.to_string().as_bytes())?;
        let data = self.dir.join("data");
        match file.dataset.filter(|_| self.sites.is_empty()) {
            Some(Dataset::BreastCancer) => {
                self.sites = demo(&self.programs, &data, file.seed).await?;
                self.held_out = Some(data.join("held-out.csv"));
            }
            None => {
                fs::create_dir(&data).with_context(|| format!("cannot make {}", data.display()))?;
                for site in &mut self.sites {
                    let secret = data.join(format!("{}.secret", site.name));
                    write_private(&secret, &hex::encode(random::<32>()?))?;
                    site.secret = Some(secret);
                }
            }
        }
        for site in &mut self.sites {
            site.data = check_data(&self.programs, &study, site).await?;
            let rows = site.data["units"].as_u64().context("the worker counted no training rows")?;
            site.samples = u32::try_from(rows)?;
        }
        seen_somewhere(&self.sites)
    }
}

/// Refuses a study that would stop after its statistics: of a column that it scales by, no site has enough rows to show
/// others anything.
fn seen_somewhere(sites: &[SitePlan]) -> Result<()> {
    fn withheld(site: &SitePlan) -> BTreeSet<&str> {
        site.data["withheld"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }
    let mut each = sites.iter().map(withheld);
    let first = each.next().unwrap_or_default();
    let all = each.fold(first, |all, more| all.intersection(&more).copied().collect());
    match all.first() {
        None => Ok(()),
        Some(name) => bail!(
            "{} columns, the first of them {name:?}: no site has 20 training rows with a value, so that there is no common \
             mean and deviation, and the study would stop after its statistics; add rows, take such columns out, or set \
             data.scaling to \"none\" (an outcome that is a number is shared all the same, and needs the rows)",
            all.len()
        ),
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
    if sites.len() == 1 || sites.len() > NAMES.len() {
        bail!(
            "--site: {} given; this local network takes 2 to {} sites",
            counted(sites.len() as u64, "site"),
            NAMES.len()
        );
    }
    Ok(sites)
}

/// Lets the worker read a site's data against the study. Where the site has its secret already, the rows counted are
/// those that its worker will train on.
async fn check_data(programs: &Programs, study: &Path, site: &SitePlan) -> Result<Value> {
    let mut command = Command::new(&programs.worker);
    command.arg("check").arg("--study").arg(study).arg("--data").arg(&site.train);
    if let Some(test) = &site.test {
        command.arg("--test").arg(test);
    }
    if let Some(secret) = &site.secret {
        command.arg("--secret").arg(secret);
    }
    answer(command).await.with_context(|| format!("site {}", site.name))
}

/// Writes the embedded data out, as four sites' files.
async fn demo(programs: &Programs, data: &Path, seed: u64) -> Result<Vec<SitePlan>> {
    let mut command = Command::new(&programs.worker);
    command.arg("demo-data").args(["--seed", &seed.to_string()]).arg("--out").arg(data);
    let names: Vec<String> = serde_json::from_value(answer(command).await?)?;
    let site = |name: String| SitePlan {
        train: data.join(format!("{name}.csv")),
        test: None,
        secret: Some(data.join(format!("{name}.secret"))),
        samples: 0,
        data: Value::Null,
        name,
    };
    Ok(names.into_iter().map(site).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_column_that_all_sites_withhold_stops_a_run_before_it_begins() {
        let site = |withheld: &[&str]| SitePlan {
            name: "a".into(),
            train: PathBuf::new(),
            test: None,
            secret: None,
            samples: 0,
            data: serde_json::json!({ "withheld": withheld }),
        };
        seen_somewhere(&[]).unwrap();
        seen_somewhere(&[site(&["a", "b"]), site(&["c"])]).unwrap();
        let error = seen_somewhere(&[site(&["a", "b"]), site(&["b", "c"])]).unwrap_err().to_string();
        assert!(error.starts_with("1 columns, the first of them \"b\": no site has 20 training rows"), "{error}");
    }

    #[test]
    fn a_site_has_a_name_a_table_and_perhaps_rows_of_its_own_to_measure_on() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("t.csv");
        fs::write(&file, "").unwrap();
        let file = file.canonicalize().unwrap();
        let shown = file.display();
        let read = sites(&[format!("a={shown}"), format!("b={shown},{shown}")]).unwrap();
        assert_eq!((read[0].name.as_str(), &read[0].train, &read[0].test), ("a", &file, &None));
        assert_eq!((read[1].name.as_str(), &read[1].train, &read[1].test), ("b", &file, &Some(file.clone())));
        for wrong in ["t.csv", "=t.csv", "a b=t.csv", "../x=t.csv"] {
            assert!(sites(&[wrong.to_owned(), format!("c={shown}")]).is_err(), "{wrong}");
        }
        let twice = sites(&[format!("a={shown}"), format!("a={shown}")]).unwrap_err().to_string();
        assert!(twice.contains("two sites are called a"), "{twice}");
    }
}
