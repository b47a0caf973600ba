//! `sites.toml`: which agreements this site works for, and with which data.

use crate::data::too_many_files;
use serde::{de::Error, Deserialize, Deserializer};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sites {
    /// One entry per agreement.
    #[serde(default)]
    pub study: Vec<StudySettings>,
}

/// What one agreement may use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudySettings {
    /// Hash of the agreement, 64 hexadecimal digits.
    pub agreement: String,
    /// The data file; relative paths count from the folder of `sites.toml`.
    pub data: PathBuf,
    /// Number of the GPU that trains; left out, the CPU does.
    #[serde(default)]
    pub gpu: Option<usize>,
    /// Mebibytes of the data's values that may be kept in memory, above which a working copy is made on disk; left out, half
    /// of what is available.
    #[serde(default)]
    pub memory_mib: Option<u64>,
    /// Whether this site's people have agreed to masked sums: what is asked for without masks is refused then. `consilium study enrol`
    /// writes it.
    #[serde(default)]
    pub masked: bool,
    /// Duties of later rounds are refused.
    #[serde(default)]
    pub max_rounds: Option<u32>,
    /// The name under which this site counts what studies cost these rows; a private study needs it. The same rows have the same
    /// name in every study.
    #[serde(default)]
    pub dataset: Option<String>,
    /// What all studies together may cost that data set, in millionths of ε; written as ε.
    #[serde(default, rename = "epsilon", deserialize_with = "millionths")]
    pub epsilon_micro: Option<u32>,
    /// The trainer that this site allows, for a study that brings its own.
    #[serde(default)]
    pub trainer: Option<TrainerSettings>,
}

/// Largest ε that a site can set; beyond a dozen it promises next to nothing.
const MOST_EPSILON: f64 = 1_000.0;

/// A number in millionths, rounded down.
fn millionths<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let Some(value) = Option::<f64>::deserialize(from)? else { return Ok(None) };
    if value > 0.0 && value <= MOST_EPSILON {
        Ok(Some((value * 1e6).floor() as u32))
    } else {
        Err(D::Error::custom(format!(
            "epsilon = {value}: must be above 0, and at most {MOST_EPSILON}; 1 to 8 are usual"
        )))
    }
}

/// What this site allows of a study's own trainer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerSettings {
    /// BLAKE3 of the code that this site has looked at and allows: the one that the study names.
    pub code: String,
    /// The program that is started and its arguments; the code lies in `code`, seen from where it starts.
    pub command: Vec<String>,
    /// How it is held; left out, under bubblewrap where that is installed, else as a user of its own.
    #[serde(default)]
    pub confine: Option<Confinement>,
    /// The user that it runs as, where the worker runs as root.
    #[serde(default)]
    pub user: Option<String>,
    /// Folders beside the system's that it may read, as that of its Python environment.
    #[serde(default)]
    pub read: Vec<PathBuf>,
    /// The folder whose files it may read, and not write, where the study's rows are files; a relative path counts from the table's
    /// folder, as the names in the table do.
    #[serde(default)]
    pub files: Option<PathBuf>,
    /// Mebibytes of memory for all its processes together.
    #[serde(default = "memory")]
    pub memory_mib: u64,
    /// Most processes at once.
    #[serde(default = "processes")]
    pub processes: u32,
    /// Longest time of one job, in seconds.
    #[serde(default = "hour")]
    pub seconds: u64,
}

/// How a trainer is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Confinement {
    /// By bubblewrap: it sees its own folder and the system's programs, and no network.
    #[serde(rename = "bubblewrap")]
    Bubblewrap,
    /// As a user of its own without network, who may read what every user of this machine may.
    #[serde(rename = "own user")]
    OwnUser,
    /// Not at all.
    #[serde(rename = "none: this code may do whatever the worker may")]
    Nothing,
}

fn memory() -> u64 {
    4096
}
fn processes() -> u32 {
    64
}
fn hour() -> u64 {
    3600
}

impl TrainerSettings {
    /// Reads a file that holds these settings alone, as the table `[study.trainer]` of `sites.toml` does.
    ///
    /// # Errors
    /// It cannot be read, or is not of this form.
    pub fn read(path: &Path) -> Result<Self, SiteError> {
        let wrong = |problem: String| SiteError { file: path.display().to_string(), problem, passes: false };
        let text = fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        toml::from_str(&text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct SiteError {
    file: String,
    problem: String,
    /// Whether it says nothing of the file: too many files are open on this machine just now.
    pub passes: bool,
}

impl Sites {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is not of this form: file, line, and what was expected.
    pub fn read(path: &Path) -> Result<Self, SiteError> {
        let wrong = |problem: String| SiteError { file: path.display().to_string(), problem, passes: false };
        let text = fs::read_to_string(path)
            .map_err(|e| SiteError { passes: too_many_files(&e), ..wrong(format!("cannot be read: {e}")) })?;
        let mut sites: Self = toml::from_str(&text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for study in &mut sites.study {
            let plain = study.agreement.trim_start_matches("0x").to_ascii_lowercase();
            if plain.len() != 64 || hex::decode(&plain).is_err() {
                return Err(wrong(format!(
                    "agreement {:?}: must have 64 hexadecimal digits, as `consilium study N` prints them",
                    study.agreement
                )));
            }
            study.agreement = plain;
            if let Some(Err(problem)) = study.dataset.as_deref().map(consilium_privacy::dataset_name) {
                return Err(wrong(format!("agreement {}: dataset: {problem}", study.agreement)));
            }
            study.data = folder.join(&study.data);
            for path in study.trainer.iter_mut().flat_map(|trainer| &mut trainer.read) {
                *path = folder.join(&*path);
            }
        }
        Ok(sites)
    }

    /// The entry of an agreement, given as 64 lower-case digits.
    pub fn find(&self, agreement: &str) -> Option<&StudySettings> {
        self.study.iter().find(|s| s.agreement == agreement)
    }
}
