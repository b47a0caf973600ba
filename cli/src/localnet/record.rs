//! What a run's folder keeps of the run beside its chain, so that it can be taken up again: `run.json`.

use super::{
    folder::Folder,
    plan::{Means, Plan, SitePlan},
};
use crate::programs::Programs;
use anyhow::{ensure, Context, Result};
use consilium_study::StudySpec;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Name of the file.
pub const RUN: &str = "run.json";
/// Version of its form.
const VERSION: u32 = 1;

/// A run, as its folder has it. What was agreed on is in `spec.json` and `rules.json`, keys and ports in the institutions' folders.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    run: u32,
    /// The folder: paths of data, keys and chain lead into it.
    dir: PathBuf,
    sites: Vec<SitePlan>,
    held_out: Option<PathBuf>,
    means: Means,
    /// Whether sites train while their merges are being attested.
    pub ahead: bool,
}

impl Record {
    /// Of a run that is about to begin.
    pub fn of(plan: &Plan, ahead: bool) -> Self {
        Self {
            run: VERSION,
            dir: plan.dir.clone(),
            sites: plan.sites.clone(),
            held_out: plan.held_out.clone(),
            means: plan.means.clone(),
            ahead,
        }
    }

    /// Writes it into the run's folder.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self) -> Result<()> {
        let file = self.dir.join(RUN);
        fs::write(&file, serde_json::to_vec_pretty(self)?).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Reads that of a folder, named from the root.
    ///
    /// # Errors
    /// It holds none, or was moved since.
    pub fn read(dir: &Path) -> Result<Self> {
        let (file, shown) = (dir.join(RUN), dir.display());
        let bytes = fs::read(&file).with_context(|| {
            format!("{shown}: no run can be taken up again from here; name the folder that `consilium localnet run` has made")
        })?;
        let record: Self = serde_json::from_slice(&bytes).with_context(|| file.display().to_string())?;
        ensure!(
            record.run == VERSION,
            "{}: is of version {}, and this program knows {VERSION}",
            file.display(),
            record.run
        );
        ensure!(
            record.dir == dir,
            "{shown}: this run was made in {}, and its data and keys are named by that path: move it back",
            record.dir.display()
        );
        Ok(record)
    }

    /// The plan that the run was made by.
    ///
    /// # Errors
    /// A file of the folder that is missing or damaged, or a table that is not where it was.
    pub fn plan(self, programs: Programs) -> Result<Plan> {
        let read = |name: &str| {
            let file = self.dir.join(name);
            fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
        };
        let spec = read("spec.json")?;
        let study = StudySpec::from_canonical(&spec).context("spec.json: no specification of a study")?;
        let rules = serde_json::from_slice(&read("rules.json")?).context("rules.json: no rules of a study")?;
        for site in &self.sites {
            for table in [Some(&site.train), site.test.as_ref()].into_iter().flatten() {
                ensure!(
                    table.exists(),
                    "the data of {} are no longer at {}: put them back",
                    site.name,
                    table.display()
                );
            }
        }
        Ok(Plan {
            folder: Folder::there(self.dir.clone()),
            dir: self.dir,
            programs,
            runtime: None,
            study,
            spec,
            rules,
            sites: self.sites,
            held_out: self.held_out,
            means: self.means,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_study::StudyFile;
    use serde_json::{json, Value};

    #[test]
    fn a_run_is_read_again_as_it_was_written_and_from_where_it_was_made() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().canonicalize().unwrap();
        let file = StudyFile::parse(include_str!("../../../examples/own-csv/study.toml")).unwrap();
        let (spec, rules) = (file.spec().canonical().unwrap(), file.rules(500, 2).unwrap());
        fs::write(dir.join("spec.json"), &spec).unwrap();
        fs::write(dir.join("rules.json"), serde_json::to_vec(&rules).unwrap()).unwrap();
        let (table, secret) = (dir.join("north.csv"), dir.join("north.secret"));
        fs::write(&table, "a\n").unwrap();
        let site = SitePlan {
            name: "north".into(),
            train: table.clone(),
            test: None,
            secret: Some(secret.clone()),
            samples: 12,
            data: json!({ "training": { "rows": 12 } }),
        };
        let record = Record {
            run: VERSION,
            dir: dir.clone(),
            sites: vec![site],
            held_out: None,
            means: Means::default(),
            ahead: false,
        };
        record.write().unwrap();
        let programs = || Programs { node: "n".into(), worker: "w".into() };
        let read = Record::read(&dir).unwrap();
        assert!(!read.ahead);
        let plan = read.plan(programs()).unwrap();
        assert_eq!((plan.spec, plan.rules), (spec, rules));
        assert_eq!((plan.sites[0].samples, &plan.sites[0].secret), (12, &Some(secret)));
        // a table that is gone, a folder that was moved, and one that never held a run
        fs::remove_file(&table).unwrap();
        let said = Record::read(&dir).unwrap().plan(programs()).unwrap_err().to_string();
        assert!(said.contains("the data of north are no longer at") && said.contains("north.csv"), "{said}");
        let mut other: Value = serde_json::from_slice(&fs::read(dir.join(RUN)).unwrap()).unwrap();
        other["dir"] = "/elsewhere".into();
        fs::write(dir.join(RUN), other.to_string()).unwrap();
        assert!(Record::read(&dir).unwrap_err().to_string().contains("move it back"));
        fs::remove_file(dir.join(RUN)).unwrap();
        assert!(Record::read(&dir).unwrap_err().to_string().contains("consilium localnet run"));
    }
}
