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
        // of a number the comparison has errors in its own unit, and the report the measure that was agreed
        let mut reported = document["report"]["figures"].as_array().into_iter().flatten();
        let reported = reported.find(|told| told["site"] == site["institution"]);
        let of = |arm: &str| {
            let agreed = || reported?["figures"][arm]["metric"].as_f64();
            figures[arm][metric].as_f64().or_else(agreed)
        };
        let bounds =
            difference["interval"].as_array().and_then(|ends| Some((ends.first()?.as_f64()?, ends.get(1)?.as_f64()?)));
        Some(Arm {
            own: institution == own,
            name: institution,
            rows: seen(rows),
            count: joined["rows"].as_u64().and_then(|count| u32::try_from(count).ok())?,
            alone: of("alone"),
            swarm: of("swarm"),
            central: of("central"),
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
    fn of_a_number_the_measure_that_was_agreed_is_that_of_the_report() {
        let document = json!({
            "study": { "agreement": "ab" },
            "sites": [{ "name": "alder", "institution": "Alder", "own": { "rows": "validation", "alone": { "rmse": 12.5 }, "swarm": { "rmse": 9.0 } } }],
            "joining": [{ "site": "alder", "metric": "squared_error", "rows": 60, "verdict": "better", "difference": { "difference": -0.3 } }],
            "report": { "figures": [
                { "site": "Birch", "figures": { "alone": { "metric": 0.1 } } },
                { "site": "Alder", "figures": { "alone": { "metric": 0.9 }, "swarm": { "metric": 0.6 } } },
            ] },
        });
        let arm = arms(&document, "ab", "Alder", "r").unwrap().sites.remove(0);
        assert_eq!((arm.alone, arm.swarm, arm.central), (Some(0.9), Some(0.6), None));
    }

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
