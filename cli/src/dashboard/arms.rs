//! Models to compare the swarm's with. On a real chain nobody holds another site's rows, so that nobody can make them for all; where
//! a study ran under `consilium localnet run`, its report has them.

use super::state::{Arm, Arms};
use crate::plain::seen;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Most bytes of a report that are read.
const LARGEST: u64 = 256 << 20;

/// A report, read anew when it was written anew.
pub struct Report {
    file: PathBuf,
    read: Option<(SystemTime, Value)>,
}

impl Report {
    /// The one of this name, which may not be there.
    pub fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), read: None }
    }

    /// What it says of the study with this agreement; nothing where it is another study's.
    pub fn arms(&mut self, agreement: &str, own: &str) -> Option<Arms> {
        let found = fs::metadata(&self.file).ok().filter(|found| found.len() <= LARGEST)?;
        let changed = found.modified().ok()?;
        if self.read.as_ref().is_none_or(|(then, _)| *then != changed) {
            let document = fs::read(&self.file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())?;
            self.read = Some((changed, document));
        }
        let (_, document) = self.read.as_ref()?;
        arms(document, agreement, own, &self.file.display().to_string())
    }
}

fn arms(document: &Value, agreement: &str, own: &str, source: &str) -> Option<Arms> {
    if document["study"]["agreement"] != agreement {
        return None;
    }
    let joining = document["joining"].as_array()?;
    let of = |site: &Value| {
        let name = site["name"].as_str()?;
        let joined = joining.iter().find(|one| one["site"] == name)?;
        let (metric, difference) = (joined["metric"].as_str()?, &joined["difference"]);
        let (rows, figures) = (site["own"]["rows"].as_str()?, &site["own"]);
        let institution = seen(site["institution"].as_str()?);
        let bounds =
            difference["interval"].as_array().and_then(|ends| Some((ends.first()?.as_f64()?, ends.get(1)?.as_f64()?)));
        Some(Arm {
            own: institution == own,
            name: institution,
            rows: seen(rows),
            count: joined["rows"].as_u64().and_then(|count| u32::try_from(count).ok())?,
            alone: figures["alone"][metric].as_f64(),
            swarm: figures["swarm"][metric].as_f64(),
            central: figures["central"][metric].as_f64(),
            difference: difference["difference"].as_f64(),
            interval: bounds,
            verdict: seen(joined["verdict"].as_str()?),
        })
    };
    let sites: Vec<Arm> = document["sites"].as_array()?.iter().filter_map(of).collect();
    (!sites.is_empty()).then(|| Arms { source: source.into(), sites })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_says_how_each_site_fares_and_is_not_taken_for_another_study() {
        let document = json!({
            "study": { "agreement": "ab" },
            "sites": [{ "name": "alder", "institution": "Alder", "own": {
                "rows": "validation", "alone": { "log_loss": 0.4 }, "swarm": { "log_loss": 0.1 }, "central": { "log_loss": 0.2 },
            } }],
            "joining": [{ "site": "alder", "metric": "log_loss", "rows": 60, "verdict": "better",
                "difference": { "difference": -0.3, "interval": [-0.5, -0.1] } }],
        });
        let told = arms(&document, "ab", "Alder", "r").unwrap();
        let arm = &told.sites[0];
        assert_eq!((arm.own, arm.count, arm.verdict.as_str()), (true, 60, "better"));
        assert_eq!((arm.alone, arm.swarm, arm.central), (Some(0.4), Some(0.1), Some(0.2)));
        assert_eq!(arm.interval, Some((-0.5, -0.1)));
        assert_eq!(arms(&document, "cd", "Alder", "r"), None);
        let dir = tempfile::tempdir().unwrap();
        let mut report = Report::of(&dir.path().join("report.json"));
        assert_eq!(report.arms("ab", "Alder"), None);
        fs::write(dir.path().join("report.json"), "{").unwrap();
        assert_eq!(report.arms("ab", "Alder"), None);
        fs::write(dir.path().join("report.json"), document.to_string()).unwrap();
        assert!(report.arms("ab", "Alder").is_some());
    }
}
