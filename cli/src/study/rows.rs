//! The rows of a table that a site's worker will train on, and the table's entry in `sites.toml`.

use crate::{
    institution::folder::{SITES, WORKER_SECRET},
    process::{answer, output},
    programs::Programs,
};
use anyhow::{bail, Context, Result};
use consilium_primitives::Hash;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// How many rows of a table the worker of a folder will train on, by the agreed specification and the worker's secret: the
/// worker's own program counts them. Of a study that promises privacy to patients, how many patients these are of.
///
/// # Errors
/// The table does not fit the specification, as the worker says; the secret cannot be read, or nothing is left to train on.
pub async fn count(programs: &Programs, dir: &Path, spec: &[u8], data: &Path) -> Result<u32> {
    let file = written(spec)?;
    let mut command = Command::new(&programs.worker);
    command.arg("check").arg("--spec").arg(file.path()).arg("--data").arg(data);
    command.arg("--secret").arg(dir.join(WORKER_SECRET));
    let found = answer(command).await?;
    let rows = found["units"]
        .as_u64()
        .or(found["training"]["rows"].as_u64())
        .context("the worker counted no training rows")?;
    if rows == 0 {
        bail!("{}: no row is left to train on", data.display());
    }
    Ok(u32::try_from(rows)?)
}

/// A specification in a file that goes away with what is returned.
fn written(spec: &[u8]) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new().context("cannot write among temporary files")?;
    fs::write(file.path(), spec).with_context(|| format!("cannot write {}", file.path().display()))?;
    Ok(file)
}

/// What `ml-worker preflight` says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Whether a study can train on it.
    pub usable: bool,
    /// In words, line by line. Nothing in them is a cell's content.
    pub words: String,
}

/// What is found in a table by a study's specification; with the worker's secret, where there is a folder, its very split.
///
/// # Errors
/// The worker's program cannot be started, or cannot read the specification.
pub async fn look(programs: &Programs, dir: Option<&Path>, spec: &[u8], masked: bool, data: &Path) -> Result<Looked> {
    let file = written(spec)?;
    let mut command = Command::new(&programs.worker);
    command.arg("preflight").arg("--spec").arg(file.path()).arg("--data").arg(data);
    if masked {
        command.arg("--masked");
    }
    if let Some(dir) = dir {
        command.arg("--secret").arg(dir.join(WORKER_SECRET));
    }
    let said = output(command).await.with_context(|| format!("cannot start {}", programs.worker.display()))?;
    let words = String::from_utf8_lossy(&said.stdout).into_owned();
    if words.is_empty() {
        bail!("{}", String::from_utf8_lossy(&said.stderr).trim().trim_start_matches("error: "));
    }
    Ok(Looked { usable: said.status.success(), words })
}

/// An agreement's entry of `sites.toml`. Of one with masked sums it says so: the worker then refuses to work without masks.
pub fn entry(agreement: &Hash, masked: bool, data: &Path) -> String {
    let quoted = toml::Value::String(data.to_string_lossy().into_owned());
    let masked = if masked { "masked = true\n" } else { "" };
    format!("[[study]]\nagreement = \"{}\"\ndata = {quoted}\n{masked}", hex::encode(agreement))
}

/// Lines of an entry that say under which name a private study's rows are counted, and how much they may cost.
fn counting(counted: Option<(&str, f64)>) -> String {
    counted.map_or_else(String::new, |(dataset, epsilon)| format!("dataset = \"{dataset}\"\nepsilon = {epsilon:?}\n"))
}

/// A line for a shell that adds an agreement's entry to a folder's `sites.toml`; the table is to be named in it.
pub fn naming(dir: &Path, agreement: &Hash, masked: bool) -> String {
    let folder = dir.join(SITES).display().to_string().replace('\'', "'\\''");
    let lines = entry(agreement, masked, Path::new("FILE")).trim_end().replace('\n', "\\n");
    format!("printf '{lines}\\n' >> '{folder}'")
}

/// What `sites.toml` says of an agreement.
fn said_of<'a>(table: &'a toml::Table, agreement: &Hash) -> Option<&'a toml::Value> {
    let wanted = hex::encode(agreement);
    table.get("study")?.as_array()?.iter().find(|study| {
        let named = study.get("agreement").and_then(toml::Value::as_str).unwrap_or_default();
        named.trim_start_matches("0x").eq_ignore_ascii_case(&wanted)
    })
}

/// The table that `sites.toml` names for an agreement.
fn named<'a>(table: &'a toml::Table, agreement: &Hash) -> Option<&'a str> {
    said_of(table, agreement)?.get("data")?.as_str()
}

/// The table that a folder's `sites.toml` names for an agreement; none where it names none, or cannot be read.
pub fn data_of(dir: &Path, agreement: &Hash) -> Option<PathBuf> {
    let table: toml::Table = fs::read_to_string(dir.join(SITES)).ok()?.parse().ok()?;
    named(&table, agreement).map(|data| dir.join(data))
}

/// What a folder's `sites.toml` allows of an agreement's own trainer, as a file of its own holds it: with the folders that it may read
/// named from the root. None where it allows no trainer, or cannot be read.
pub fn trainer_of(dir: &Path, agreement: &Hash) -> Option<String> {
    let table: toml::Table = fs::read_to_string(dir.join(SITES)).ok()?.parse().ok()?;
    let mut trainer = said_of(&table, agreement)?.get("trainer")?.as_table()?.clone();
    for path in trainer.get_mut("read").and_then(toml::Value::as_array_mut).into_iter().flatten() {
        let whole = path.as_str().and_then(|path| std::path::absolute(dir.join(path)).ok());
        if let Some(whole) = whole {
            *path = whole.to_string_lossy().into_owned().into();
        }
    }
    Some(trainer.to_string())
}

/// Number of the GPU that a folder's `sites.toml` gives to an agreement.
pub fn gpu_of(dir: &Path, agreement: &Hash) -> Option<u64> {
    let table: toml::Table = fs::read_to_string(dir.join(SITES)).ok()?.parse().ok()?;
    u64::try_from(said_of(&table, agreement)?.get("gpu")?.as_integer()?).ok()
}

/// Names the table for an agreement in the folder's `sites.toml`, where nothing is said of that agreement yet; of a private study
/// with the data set that it counts for, and what that may cost.
///
/// # Errors
/// The file cannot be read or written, or names another table.
pub fn name_in_sites(
    dir: &Path,
    (agreement, masked): (&Hash, bool),
    data: &Path,
    counted: Option<(&str, f64)>,
) -> Result<()> {
    let file = dir.join(SITES);
    let shown = file.display();
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
    };
    let table: toml::Table = text.parse().with_context(|| shown.to_string())?;
    if let Some(named) = named(&table, agreement).map(|data| dir.join(data)) {
        if named.canonicalize().ok().as_deref() == Some(data) {
            return Ok(());
        }
        bail!(
            "{shown}: names {} for this agreement already, and not {}: change the entry by hand, if that is meant",
            named.display(),
            data.display()
        );
    }
    let between = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    // the worker reads it at any moment, and must find it whole
    let new = dir.join(".sites.toml.new");
    let write = || {
        let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&new)?;
        if let Ok(old) = fs::metadata(&file) {
            to.set_permissions(old.permissions())?;
        }
        to.write_all(format!("{text}{between}{}{}", entry(agreement, masked, data), counting(counted)).as_bytes())?;
        to.sync_all()?;
        fs::rename(&new, &file)
    };
    write().with_context(|| format!("cannot write {shown}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_line_that_names_a_table_can_be_pasted_and_gives_an_entry() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("st mary's");
        fs::create_dir(&dir).unwrap();
        let agreement = Hash::repeat_byte(0xab);
        fs::write(dir.join(SITES), "# ours\n").unwrap();
        let line = naming(&dir, &agreement, true);
        assert_eq!(line.lines().count(), 1);
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
        assert_eq!(data_of(&dir, &agreement), Some(dir.join("FILE")));
        let table: toml::Table = fs::read_to_string(dir.join(SITES)).unwrap().parse().unwrap();
        assert_eq!(table["study"][0]["masked"].as_bool(), Some(true));
    }

    #[test]
    fn a_table_is_named_once_for_an_agreement_and_no_other_one_takes_its_place() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().canonicalize().unwrap();
        let (one, other) = (dir.join("one \"1\".csv"), dir.join("other.csv"));
        fs::write(&one, "a\n").unwrap();
        fs::write(&other, "a\n").unwrap();
        let agreement = Hash::repeat_byte(0xab);
        fs::write(dir.join(SITES), "# ours").unwrap();
        name_in_sites(&dir, (&agreement, false), &one, None).unwrap();
        name_in_sites(&dir, (&agreement, false), &one, None).unwrap();
        let text = fs::read_to_string(dir.join(SITES)).unwrap();
        assert_eq!(text, format!("# ours\n{}", entry(&agreement, false, &one)));
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["study"][0]["data"].as_str(), one.to_str());
        let error = name_in_sites(&dir, (&agreement, false), &other, None).unwrap_err().to_string();
        assert!(error.contains("one \"1\".csv") && error.contains("other.csv"), "{error}");
        name_in_sites(&dir, (&Hash::repeat_byte(1), true), &other, None).unwrap();
        let table: toml::Table = fs::read_to_string(dir.join(SITES)).unwrap().parse().unwrap();
        assert_eq!(table["study"].as_array().unwrap().len(), 2);
        // a study whose people agreed on masks says so, and no other one does
        assert_eq!((table["study"][0].get("masked"), table["study"][1]["masked"].as_bool()), (None, Some(true)));
        fs::write(dir.join(SITES), "[[study]\n").unwrap();
        assert!(format!("{:#}", name_in_sites(&dir, (&agreement, false), &one, None).unwrap_err()).contains(SITES));
        fs::remove_file(dir.join(SITES)).unwrap();
        name_in_sites(&dir, (&agreement, false), &one, None).unwrap();
        fs::remove_file(dir.join(SITES)).unwrap();
        name_in_sites(&dir, (&agreement, false), &one, Some(("oncology-2026", 8.0))).unwrap();
        let table: toml::Table = fs::read_to_string(dir.join(SITES)).unwrap().parse().unwrap();
        assert_eq!(table["study"][0]["dataset"].as_str(), Some("oncology-2026"));
        assert_eq!(table["study"][0]["epsilon"].as_float(), Some(8.0));
    }
}
