//! What a finished study asks of the own people: to read its report, and to keep its model. Pure, but for where the own table lies.

use super::{
    advice::{Asked, Listed},
    site::{quoted, Site},
};
use crate::study::fetch::pack;
use consilium_primitives::StudyId;
use std::path::Path;

/// What use in care takes. It stands in all advice about a model, so that none of it reads as if the model were fit for patients.
const CARE: &str = "Use in care needs a validation of its own, on patients of the place where the model is to be used: until then no decision about \
                    a patient may rest on it";

/// What is left to do about the model of a finished study; nothing once a report compares it and it lies here, packed.
pub fn finished(site: &Site, number: StudyId, listed: &Listed) -> Option<Asked> {
    let (dir, fetched) = (&site.shown, format!("model-{number}"));
    let packed = |folder: &Path| {
        let words = pack(folder, &site.dir, &listed.info.agreement);
        words.into_iter().map(|word| near(site, word)).collect::<Vec<_>>().join(" ")
    };
    let mut commands = Vec::new();
    let report = match &listed.report {
        Some(page) => format!("The next step is to read its report, which lies at {}.", page.display()),
        None => {
            commands.extend([
                format!("consilium study figures {number} --dir {dir} --out figures-{number}.json"),
                format!(
                    "consilium report {number} --dir {dir} --figures figures-{number}.json --out report-{number}.html"
                ),
            ]);
            format!(
                "The next step is its report: whoever runs our node types the first two lines below at this machine, within a day of the \
                 study's end, and our people read the page that the second one writes, report-{number}.html in the folder in which it \
                 was typed. The first one lets our worker train a model of our rows alone, with which the report, and this page then, too, \
                 compare the swarm's."
            )
        }
    };
    let model = match &listed.model {
        Some(model) if model.ready && listed.report.is_some() => return None,
        Some(model) if model.ready => {
            format!("The model lies in the folder {}, packed to be measured on other patients.", named(&model.folder))
        }
        Some(model) => {
            let line = if commands.is_empty() { "line below" } else { "last line" };
            commands.push(packed(&model.folder));
            let folder = named(&model.folder);
            format!("The model lies in the folder {folder}; the {line} packs it, to be measured on other patients.")
        }
        None => {
            let lines = if commands.is_empty() { "lines below" } else { "last two lines" };
            commands.extend([
                format!("consilium study fetch {number} --dir {dir} --out {fetched}"),
                packed(Path::new(&fetched)),
            ]);
            format!("The {lines} fetch the model, within a day of the study's end, and pack it, to be measured on other patients.")
        }
    };
    Some((false, format!("Study {number}, “{}”, has its model. {report} {model} {CARE}", listed.title), commands))
}

/// A folder as a shell takes it.
fn named(folder: &Path) -> String {
    quoted(&folder.display().to_string())
}

/// A word of a command, with the own folder named in it as it is in the other commands.
fn near(site: &Site, word: String) -> String {
    let shown = site.shown.trim_end_matches('/');
    // what is quoted stays as it is
    let plain = !shown.starts_with('\'');
    match word.strip_prefix(&site.dir.display().to_string()).filter(|rest| plain && rest.starts_with('/')) {
        Some(rest) => format!("{shown}{rest}"),
        None => word,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{super::fetched::Model, *};
    use crate::{audit::testing::World, up::arguments::tests::settings};

    fn site() -> Site {
        Site {
            dir: "/srv/alder".into(),
            shown: "alder".into(),
            settings: settings(),
            id: [1; 32],
            name: "Alder".into(),
            report: "report.json".into(),
            bin_dir: None,
        }
    }

    #[test]
    fn the_advice_on_a_finished_study_is_its_report_then_its_model_and_never_use_in_care() {
        let mut listed = Listed {
            info: World::new().history.info,
            title: "Sepsis".into(),
            absent: Vec::new(),
            model: None,
            report: None,
        };
        let figures = "consilium study figures 4 --dir alder --out figures-4.json";
        let report = "consilium report 4 --dir alder --figures figures-4.json --out report-4.html";
        let fetch = "consilium study fetch 4 --dir alder --out model-4";
        let pack = "ml-worker pack --dir model-4 --out model-4/ready";
        let told = |listed: &Listed| {
            let (pressing, words, commands) = finished(&site(), 4, listed).unwrap();
            assert!(!pressing && words.starts_with("Study 4, “Sepsis”, has its model. The next step is "), "{words}");
            assert!(words.ends_with(CARE) && !words.contains("ready for use"), "{words}");
            (words, commands)
        };
        // who types what, and where the page is then
        let (words, commands) = told(&listed);
        assert_eq!(commands, [figures, report, fetch, pack]);
        for part in [
            "whoever runs our node types the first two lines below at this machine",
            "report-4.html in the folder in which it was typed",
            "The last two lines fetch the model",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
        // what is done is asked for no more
        listed.report = Some("/srv/desk/report-4.html".into());
        let (words, commands) = told(&listed);
        assert_eq!(commands, [fetch, pack]);
        assert!(
            words.contains("read its report, which lies at /srv/desk/report-4.html. The lines below fetch"),
            "{words}"
        );
        listed.model = Some(Model { folder: "got it".into(), ready: false });
        let (words, commands) = told(&listed);
        assert_eq!(commands, ["ml-worker pack --dir 'got it' --out 'got it/ready'"]);
        assert!(words.contains("in the folder 'got it'; the line below packs it"), "{words}");
        listed.model = Some(Model { folder: "got it".into(), ready: true });
        assert_eq!(finished(&site(), 4, &listed), None);
        // a model that is ready is no answer: the report is still to be read
        listed.report = None;
        let (words, commands) = told(&listed);
        assert_eq!(commands, [figures, report]);
        assert!(words.contains("lies in the folder 'got it', packed"), "{words}");
    }

    #[test]
    fn the_own_folder_is_named_alike_in_all_commands() {
        let mut site = site();
        assert_eq!(near(&site, "/srv/alder/worker/secret".into()), "alder/worker/secret");
        for other in ["/srv/alder-2/table.csv", "/srv/alder", "'/srv/alder/my table'", "--out"] {
            assert_eq!(near(&site, other.into()), other);
        }
        site.shown = "'my alder'".into();
        assert_eq!(near(&site, "/srv/alder/worker/secret".into()), "/srv/alder/worker/secret");
    }
}
