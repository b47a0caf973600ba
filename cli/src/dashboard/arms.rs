//! Models to compare the swarm's with. On a real chain nobody holds another site's rows, so that nobody can make them for all: each
//! site trains its own (`consilium study figures`), and its reports have them. Where a study ran under `consilium localnet run`, that
//! one's report has them of all.

use super::{
    site::Site,
    state::{Arm, Arms, Member},
};
use crate::{
    institution::made::{kept, What},
    plain::seen,
};
use consilium_primitives::StudyId;
use consilium_study::{MeasuredOn, SiteFigures};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Most bytes of a report that are read.
const LARGEST: u64 = 256 << 20;
/// Most reports of the institution's people that are read, the newest first.
const MOST: usize = 50;

/// Reports, each read anew when it was written anew.
pub struct Reports {
    /// The institution's folder, which knows where its people have put theirs.
    dir: PathBuf,
    /// Its name.
    own: String,
    /// The one that was named, or that of `localnet run` beside the folder; it may not be there.
    file: PathBuf,
    read: BTreeMap<PathBuf, (SystemTime, Option<Told>)>,
}

/// What a report tells, and of which study.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    study: u64,
    agreement: String,
    arms: Arms,
}

impl Reports {
    /// Those of an institution; none was read yet.
    pub fn of(site: &Site) -> Self {
        Self { dir: site.dir.clone(), own: site.name.clone(), file: site.report.clone(), read: BTreeMap::new() }
    }

    /// What they say of the study with this number and this agreement; of several reports the one that was written last. Nothing where
    /// they are another study's, or have no figures of the own institution.
    pub fn arms(&mut self, study: StudyId, agreement: &str) -> Option<Arms> {
        let files = kept(&self.dir, What::Report).into_iter().rev().take(MOST).chain([self.file.clone()]);
        let mut now = BTreeMap::new();
        for file in files {
            let Ok(found) = fs::metadata(&file) else { continue };
            let Some(changed) = found.modified().ok().filter(|_| found.len() <= LARGEST) else { continue };
            let told = match self.read.remove(&file) {
                Some((then, told)) if then == changed => told,
                _ => read(&file, &self.own),
            };
            now.insert(file, (changed, told));
        }
        self.read = now;
        let fits = |told: &&Told| {
            let ours = told.arms.sites.iter().any(|arm| arm.own);
            ours && told.study == u64::from(study) && told.agreement == agreement
        };
        let told = self.read.values().filter_map(|(changed, told)| Some((changed, told.as_ref().filter(fits)?)));
        told.max_by_key(|(changed, _)| **changed).map(|(_, told)| told.arms.clone())
    }

    /// The page of the report that these come from, which lies beside its JSON; that itself where no page does.
    pub fn page(&mut self, study: StudyId, agreement: &str) -> Option<PathBuf> {
        let file = PathBuf::from(self.arms(study, agreement)?.source);
        let pages = ["html", "htm"].map(|ends| file.with_extension(ends));
        Some(pages.into_iter().find(|page| page.exists()).unwrap_or(file))
    }
}

/// The same in the order of a study's members; who is none any more stands last.
pub fn in_order(mut arms: Arms, members: &[Member]) -> Arms {
    let place = |arm: &Arm| members.iter().position(|member| member.name == arm.name).unwrap_or(members.len());
    arms.sites.sort_by_key(place);
    arms
}

/// Reads a report.
fn read(file: &Path, own: &str) -> Option<Told> {
    let document: Value = fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())?;
    told(&document, own, &file.display().to_string())
}

/// What a report tells of models to compare with; nothing where it has none.
fn told(document: &Value, own: &str, source: &str) -> Option<Told> {
    let one_machine = document["joining"].is_array();
    let sites = match one_machine {
        true => joined(document, own)?,
        false => figured(document, own)?,
    };
    Some(Told {
        study: document["study"]["number"].as_u64()?,
        agreement: document["study"]["agreement"].as_str()?.into(),
        arms: (!sites.is_empty()).then(|| Arms { source: source.into(), one_machine, sites })?,
    })
}

/// The figures that a report of `consilium report --figures` has taken in: the own ones, and those that others have signed.
fn figured(document: &Value, own: &str) -> Option<Vec<Arm>> {
    let of = |told: &Value| {
        let figures: SiteFigures = serde_json::from_value(told["figures"].clone()).ok()?;
        figures.check().ok()?;
        let name = seen(told["site"].as_str()?);
        Some(Arm {
            own: name == own,
            name,
            rows: match figures.on {
                MeasuredOn::Validation => "validation".into(),
                MeasuredOn::TestFile => "test file".into(),
            },
            count: figures.rows,
            alone: figures.alone.metric,
            swarm: figures.swarm.metric,
            central: figures.central.as_ref().and_then(|central| central.metric),
            difference: figures.difference.map(|difference| difference.value),
            interval: figures.difference.and_then(|difference| difference.interval),
            verdict: figures.verdict().to_string(),
        })
    };
    Some(document["figures"].as_array()?.iter().filter_map(of).collect())
}

/// What the report of `localnet run` says of all sites.
fn joined(document: &Value, own: &str) -> Option<Vec<Arm>> {
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
    Some(document["sites"].as_array()?.iter().filter_map(of).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{institution::made::keep, report::tests::figures, up::arguments::tests::settings};
    use serde_json::json;

    /// Alder, whose folder lies in this one.
    fn site(root: &Path) -> Site {
        fs::create_dir_all(root.join("alder")).unwrap();
        Site {
            dir: root.join("alder"),
            shown: "alder".into(),
            settings: settings(),
            id: [1; 32],
            name: "Alder".into(),
            report: root.join("report.json"),
            bin_dir: None,
        }
    }

    #[test]
    fn sites_stand_in_the_order_of_the_members_whatever_the_report_has() {
        let arm = |name: &str| Arm { name: name.into(), ..Arm::default() };
        let member = |name: &str| Member { name: name.into(), ..Member::default() };
        let arms = Arms { sites: ["Elm", "Cedar", "Alder", "Birch"].map(arm).into(), ..Arms::default() };
        let told = in_order(arms, &["Birch", "Alder", "Cedar"].map(member));
        let names: Vec<&str> = told.sites.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["Birch", "Alder", "Cedar", "Elm"]);
    }

    #[test]
    fn of_a_number_the_measure_that_was_agreed_is_that_of_the_report() {
        let document = json!({
            "study": { "number": 4, "agreement": "ab" },
            "sites": [{ "name": "alder", "institution": "Alder", "own": { "rows": "validation", "alone": { "rmse": 12.5 }, "swarm": { "rmse": 9.0 } } }],
            "joining": [{ "site": "alder", "metric": "squared_error", "rows": 60, "verdict": "better", "difference": { "difference": -0.3 } }],
            "report": { "figures": [
                { "site": "Birch", "figures": { "alone": { "metric": 0.1 } } },
                { "site": "Alder", "figures": { "alone": { "metric": 0.9 }, "swarm": { "metric": 0.6 } } },
            ] },
        });
        let arm = told(&document, "Alder", "r").unwrap().arms.sites.remove(0);
        assert_eq!((arm.alone, arm.swarm, arm.central), (Some(0.9), Some(0.6), None));
    }

    #[test]
    fn a_report_of_one_machine_says_how_each_site_fares_and_is_not_taken_for_another_study() {
        let document = json!({
            "study": { "number": 4, "agreement": "ab" },
            "sites": [{ "name": "alder", "institution": "Alder", "own": {
                "rows": "validation", "alone": { "log_loss": 0.4 }, "swarm": { "log_loss": 0.1 }, "central": { "log_loss": 0.2 },
            } }],
            "joining": [{ "site": "alder", "metric": "log_loss", "rows": 60, "verdict": "better",
                "difference": { "difference": -0.3, "interval": [-0.5, -0.1] } }],
        });
        let scratch = tempfile::tempdir().unwrap();
        let mut reports = Reports::of(&site(scratch.path()));
        assert_eq!(reports.arms(4, "ab"), None);
        fs::write(scratch.path().join("report.json"), "{").unwrap();
        assert_eq!(reports.arms(4, "ab"), None);
        fs::write(scratch.path().join("report.json"), document.to_string()).unwrap();
        // written within the same tick of the clock, perhaps
        reports.read.clear();
        let told = reports.arms(4, "ab").unwrap();
        let arm = &told.sites[0];
        assert_eq!((arm.own, arm.count, arm.verdict.as_str(), told.one_machine), (true, 60, "better", true));
        assert_eq!((arm.alone, arm.swarm, arm.central), (Some(0.4), Some(0.1), Some(0.2)));
        assert_eq!(arm.interval, Some((-0.5, -0.1)));
        assert_eq!((reports.arms(4, "cd"), reports.arms(5, "ab")), (None, None));
    }

    #[test]
    fn the_report_that_the_page_s_own_lines_write_is_found_wherever_it_lies_for_this_study_alone() {
        let figures = figures();
        let verdict = figures.verdict().to_string();
        let with = |site: &str| {
            json!({
                "consilium_report": 1, "made": { "by": "Alder" }, "study": { "number": 4, "agreement": "ab" },
                "figures": [{ "site": site, "source": "signed", "verdict": verdict, "figures": figures }],
            })
        };
        let scratch = tempfile::tempdir().unwrap();
        let site = site(scratch.path());
        let desk = scratch.path().join("desk");
        fs::create_dir(&desk).unwrap();
        let mut reports = Reports::of(&site);
        let write = |name: &str, document: &Value| {
            fs::write(desk.join(name), document.to_string()).unwrap();
            keep(&site.dir, What::Report, &desk.join(name)).unwrap();
        };
        // without figures, and with those of another site alone
        write("so-far.json", &json!({ "study": { "number": 4, "agreement": "ab" }, "figures": [] }));
        write("others.json", &with("Birch"));
        assert_eq!(reports.arms(4, "ab"), None);
        write("report-4.json", &with("Alder"));
        let told = reports.arms(4, "ab").unwrap();
        assert!(!told.one_machine && told.source.ends_with("desk/report-4.json"), "{told:?}");
        let arm = &told.sites[0];
        assert_eq!((arm.own, arm.name.as_str(), arm.count, &arm.verdict), (true, "Alder", figures.rows, &verdict));
        assert_eq!((arm.swarm, arm.alone), (figures.swarm.metric, figures.alone.metric));
        assert_eq!(arm.interval, figures.difference.and_then(|difference| difference.interval));
        assert_eq!((reports.arms(5, "ab"), reports.arms(4, "cd")), (None, None));
        // its page, which people read
        assert_eq!((reports.page(4, "ab"), reports.page(4, "cd")), (Some(PathBuf::from(&told.source)), None));
        fs::write(desk.join("report-4.html"), "").unwrap();
        assert!(reports.page(4, "ab").unwrap().ends_with("desk/report-4.html"));
        // one that was not made for this folder says nothing here
        let other = Site { dir: scratch.path().join("birch"), ..site };
        assert_eq!(Reports::of(&other).arms(4, "ab"), None);
    }
}
