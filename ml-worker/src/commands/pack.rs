//! `ml-worker pack`: a finished study's model, ready for use.

use super::{means::Means, memory::Memory, say, shown};
use anyhow::{bail, Context, Result};
use clap::Args;
use consilium_ml_worker::{
    data::{hash_data, read_file, Split, Table},
    desk::{Bundle, Own, LOCAL},
    simulate::site_group_key,
    site::{read_secret, write_whole, Home},
};
use consilium_primitives::Hash;
use consilium_study::{StudyFile, StudySpec};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is said of a study file in the place of a specification.
const STUDY_FILE: &str =
    "this is a study file, from which a specification follows, and not what was signed: take the spec.json that \
                          `consilium study fetch` writes, or that of an archive (`consilium export`)";

/// What is said where a table is named without the secret of its site.
const NO_SECRET: &str = "tells nothing without the site's secret, which says which of its rows trained: add --secret FILE, the file \
    `secret` in the worker's folder (worker/secret in the institution's). `consilium study fetch` prints the whole line";

/// How it is typed; what it takes otherwise stands below.
const USAGE: &str = "ml-worker pack --dir DIR --out DIR [--data FILE --secret FILE] [OPTIONS]\n       \
    ml-worker pack --spec FILE --model FILE [--statistics FILE] --out DIR [--data FILE --secret FILE] [OPTIONS]";

#[derive(Args)]
#[command(override_usage = USAGE)]
pub struct Pack {
    /// Folder that `consilium study fetch` wrote, or a finished `localnet run`: its spec.json, model.safetensors and, where it
    /// is there, statistics.safetensors
    #[arg(long, value_name = "DIR", conflicts_with_all = ["spec", "model", "statistics"])]
    dir: Option<PathBuf>,
    /// The specification, in canonical form
    #[arg(long, value_name = "FILE", required_unless_present_any = ["dir", "study"])]
    spec: Option<PathBuf>,
    /// The study's model: the blob of its canonical round
    #[arg(long, value_name = "FILE", required_unless_present_any = ["dir", "study"])]
    model: Option<PathBuf>,
    /// What somebody gives who has the study file at hand; the answer says what is taken in its place
    #[arg(long, value_name = "FILE", hide = true)]
    study: Option<PathBuf>,
    /// The study's merged statistics, where its scaling asked for them
    #[arg(long, value_name = "FILE")]
    statistics: Option<PathBuf>,
    /// The site's own data, as it was in the study: its validation rows choose the cut and the recalibration, its training
    /// rows give what rows are scaled by and what stands in for missing values, where the study leaves that to each site
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The site's secret (file `secret` in its worker's folder): it tells training from validation rows
    #[arg(long, value_name = "FILE", requires = "data")]
    secret: Option<PathBuf>,
    /// The split that the worker kept (studies/AGREEMENT/split.json in its folder), where the data were changed and accepted
    /// while the study ran
    #[arg(long, value_name = "FILE", requires = "data")]
    split: Option<PathBuf>,
    /// Tensors of the model that stay at this site, where the study has such (studies/AGREEMENT/study-N/external/local/ROUND.safetensors
    /// in its worker's folder); left out, local.safetensors of --dir where `consilium study fetch` has put it there, else those of
    /// the initial file
    #[arg(long, value_name = "FILE")]
    local: Option<PathBuf>,
    /// Also find the highest cut that has this sensitivity on the validation rows, such as 0.9
    #[arg(long, value_name = "SHARE", requires = "data")]
    sensitivity: Option<f64>,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print JSON in place of words
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    means: Means,
    #[command(flatten)]
    memory: Memory,
}

pub fn pack(arguments: &Pack) -> Result<()> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    if let Some(share) = arguments.sensitivity.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
        bail!("--sensitivity {share}: must be above 0 and at most 1");
    }
    if let (Some(data), None) = (&arguments.data, &arguments.secret) {
        bail!("--data {}: {NO_SECRET}", data.display());
    }
    let files = files(arguments)?;
    if let Some(dir) = arguments.dir.as_deref().filter(|dir| same(dir, &arguments.out)) {
        bail!(
            "--out {}: is the folder of the study's own files, which would be overwritten: name another, such as {}",
            arguments.out.display(),
            dir.join("ready").display()
        );
    }
    let statistics = files.statistics.as_ref().map(read).transpose()?;
    let local = files.local.as_ref().map(read).transpose()?;
    let (spec, model) = (read(&files.spec)?, read(&files.model)?);
    if let Some(problem) = no_spec(&spec) {
        bail!("{}: {problem}", files.spec.display());
    }
    let bundle = match (&arguments.data, &arguments.secret) {
        (Some(data), Some(secret)) => {
            let study = StudySpec::from_canonical(&spec)?;
            let key = site_group_key(&study, &read_secret(secret)?)?;
            let table = read_file(data, &study.data, &key, &arguments.memory.reading())?.table?;
            let worked = Worked { spec: &spec, study: &study, data, secret, split: arguments.split.as_deref() };
            let split = worked.split(&table)?;
            let own = Own { table: &table, split: &split, sensitivity: arguments.sensitivity };
            let ready = arguments.means.ready(&study)?;
            ready.engine.keep(local.as_deref())?;
            Bundle::of_study_by(&ready.engine, &spec, &model, statistics.as_deref(), Some(&own))
                .with_context(|| data.display().to_string())?
        }
        _ => Bundle::of_study(&spec, &model, statistics.as_deref(), None)?,
    };
    bundle.write(&arguments.out)?;
    if let (Some(local), Some(_)) = (&local, bundle.spec.model.external()) {
        let path = arguments.out.join(LOCAL);
        write_whole(&path, local, 0o600).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if arguments.json {
        return say(format_args!(
            "{}\n",
            json!({ "model": arguments.out, "made": bundle.made, "fitted": bundle.fitted })
        ));
    }
    say(shown::packed(&bundle, &arguments.out.display().to_string()))
}

/// The files of a finished study.
struct Files {
    spec: PathBuf,
    model: PathBuf,
    statistics: Option<PathBuf>,
    local: Option<PathBuf>,
}

/// Whether two paths are of one folder.
fn same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    whole(one).is_some_and(|one| whole(other) == Some(one))
}

/// Those that are named one by one, or by their folder.
fn files(arguments: &Pack) -> Result<Files> {
    if let Some(study) = &arguments.study {
        bail!("--study {}: {STUDY_FILE}, or name the folder that it wrote: --dir", study.display());
    }
    if let Some(dir) = &arguments.dir {
        if let Some(problem) = no_files(dir) {
            bail!("--dir {}: {problem}", dir.display());
        }
        let there = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
        return Ok(Files {
            spec: dir.join("spec.json"),
            model: dir.join("model.safetensors"),
            statistics: there("statistics.safetensors"),
            local: arguments.local.clone().or_else(|| there(LOCAL)),
        });
    }
    let (Some(spec), Some(model)) = (arguments.spec.clone(), arguments.model.clone()) else {
        bail!("--dir, or --spec and --model, is needed")
    };
    Ok(Files { spec, model, statistics: arguments.statistics.clone(), local: arguments.local.clone() })
}

/// Why a folder is none of a finished study's files.
fn no_files(dir: &Path) -> Option<String> {
    let there = |name: &str| dir.join(name).exists();
    let what = match (dir.is_dir(), there("spec.json"), there("model.safetensors")) {
        (true, true, true) => return None,
        (false, ..) => "there is no such folder",
        (_, false, _) if there("model.json") => {
            return Some("has a model that is ready already: name it to `predict` and `evaluate` with --model".into())
        }
        (_, false, _) => "no spec.json is in it",
        (_, _, false) => "no model.safetensors is in it",
    };
    Some(format!(
        "{what}: name the folder that `consilium study fetch` has written, or that of a finished `localnet run`"
    ))
}

/// A site's table, and what its worker has worked with.
pub(super) struct Worked<'a> {
    /// The specification, and its canonical bytes.
    pub study: &'a StudySpec,
    pub spec: &'a [u8],
    /// The table's file.
    pub data: &'a Path,
    /// The file of the site's secret.
    pub secret: &'a Path,
    /// The split that the worker kept, where it is named.
    pub split: Option<&'a Path>,
}

impl Worked<'_> {
    /// Which of the table's rows trained, and which validated.
    pub fn split(&self, table: &Table) -> Result<Split> {
        let Some(path) = self.split else {
            if let Some(folder) = self.secret.parent() {
                of_this_study(folder, self.spec, self.study, self.data)?;
            }
            return Ok(Split::of(table, self.study.evaluation.validation_share));
        };
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let kept: Split = serde_json::from_slice(&bytes).with_context(|| format!("{}: no split", path.display()))?;
        if !kept.knows(table) {
            bail!(
                "{}: knows none of the rows of {}; is it this site's, and this secret?",
                path.display(),
                self.data.display()
            );
        }
        Ok(kept)
    }
}

/// Refuses a table that the worker in whose folder the secret lies did not work with in this study: with another site's secret, or
/// another site's table, rows that trained would choose the cut. Where the folder knows nothing of the study, nothing is known.
fn of_this_study(folder: &Path, spec: &[u8], study: &StudySpec, data: &Path) -> Result<()> {
    let Ok(home) = Home::existing(folder) else { return Ok(()) };
    let (mut found, mut other) = (None, None);
    for entry in fs::read_dir(folder.join("studies")).into_iter().flatten().flatten() {
        let mut agreement = [0; 32];
        if hex::decode_to_slice(entry.file_name().as_encoded_bytes(), &mut agreement).is_err() {
            continue;
        }
        let agreement = Hash::from(agreement);
        if home.spec_of(&agreement)?.as_deref() != Some(spec) {
            continue;
        }
        let Some(worked) = home.data(&agreement)? else { continue };
        let hash = match found {
            Some(hash) => hash,
            None => *found.insert(hash_data(data, &study.data)?),
        };
        if worked == hash {
            return Ok(());
        }
        other = Some(entry.path());
    }
    let Some(other) = other else { return Ok(()) };
    bail!(
        "{}: is not the table that the worker in {} has worked with in this study: it is another site's, or the secret is. (If it was \
         changed since, give its split: --split {})",
        data.display(),
        folder.display(),
        other.join("split.json").display()
    )
}

/// What somebody has taken for a specification that is none, and where the right file comes from.
pub(super) fn no_spec(bytes: &[u8]) -> Option<&'static str> {
    if serde_json::from_slice::<serde_json::Value>(bytes).is_ok() {
        // whether it is a specification is for the reader of one to say
        return None;
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    Some(if StudyFile::parse(text).is_ok() || text.lines().any(|line| line.trim() == "[training]") {
        STUDY_FILE
    } else {
        "this is no JSON, and so no specification: take the spec.json that `consilium study fetch` writes, or that of an archive \
         (`consilium export`)"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_study_file_in_the_place_of_a_specification_is_named_with_where_the_right_one_comes_from() {
        let study = include_bytes!("../../../examples/own-csv/study.toml");
        let said = no_spec(study).unwrap();
        assert!(said.contains("study file") && said.contains("study fetch"), "{said}");
        assert!(no_spec(b"[training]\nepochs = \n").unwrap().contains("study file"));
        let said = no_spec(b"\x89PNG").unwrap();
        assert!(said.contains("no JSON") && said.contains("spec.json"), "{said}");
        assert_eq!(no_spec(b"{}"), None);
    }

    #[test]
    fn a_folder_without_a_study_s_files_is_told_what_it_lacks_and_what_makes_one() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let said = no_files(&dir.join("nothing")).unwrap();
        assert!(said.starts_with("there is no such folder") && said.contains("consilium study fetch"), "{said}");
        assert!(no_files(dir).unwrap().starts_with("no spec.json is in it"));
        fs::write(dir.join("model.json"), "{}").unwrap();
        assert!(no_files(dir).unwrap().contains("ready already"));
        fs::write(dir.join("spec.json"), "{}").unwrap();
        assert!(no_files(dir).unwrap().starts_with("no model.safetensors"));
        fs::write(dir.join("model.safetensors"), "").unwrap();
        assert_eq!(no_files(dir), None);
        // the study's files are not overwritten by the model that is made of them
        assert!(same(dir, &dir.join(".")) && !same(dir, &dir.join("ready")));
    }
}
