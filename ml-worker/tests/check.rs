//! `ml-worker check` and `ml-worker compare`: what people find out before a study, and after it.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_ml_worker::{
    compare::Inputs,
    data::{own_statistics, read_table, Prepared, Rows, Scaler, Split, Table},
    learn::{
        figures::{groups, Figures},
        initial_parameters, logits_of,
        metrics::Metrics,
        objective, Net, OptimizerState, Seeds, Session,
    },
    simulate::{run, site_group_key, Site},
};
use consilium_primitives::InstitutionId;
use consilium_study::{Missing, Scaling, StudyFile, StudySpec};
use serde_json::{json, Value};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};
use support::{program, says};

const STUDY: &str =
    "title = \"t\"\n[data]\nfeatures = { columns = [\"x\", \"y\"] }\nlabel = \"ill\"\npositive = \"1\"\n\
    negative = \"0\"\ngroup = \"patient\"\nmissing = \"mean\"\nscaling = \"swarm\"\n[model.logistic]\n[training]\n\
    optimizer = { sgd = { learning_rate = 0.5 } }\nbatch_size = 8\nepochs = 2\n[evaluation]\nvalidation_share = 0.3\n\
    [rules]\nrounds = 3\ntraining_seconds = 1\n";

/// Rows of patients FROM.., one to four of each; every third has the illness, and a higher x.
fn patients(from: usize, count: usize) -> String {
    let mut text = String::from("patient,x,y,ill\n");
    for p in from..from + count {
        for visit in 0..=p * 7 % 4 {
            let ill = p.is_multiple_of(3);
            let x = 1_000 * (p % 11) + if ill { 4_000 } else { 0 } + visit;
            let y = if (p + visit).is_multiple_of(5) { String::new() } else { format!("{}.25", p % 7) };
            writeln!(text, "PATIENT{p},{x},{y},{}", u8::from(ill)).unwrap();
        }
    }
    text
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("study.toml", STUDY);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn check(&self, data: &str, more: &[(&str, &str)]) -> Vec<PathBuf> {
        let mut arguments: Vec<PathBuf> = vec!["check".into(), "--study".into(), self.path("study.toml")];
        arguments.extend(["--data".into(), self.path(data)]);
        arguments.extend(more.iter().flat_map(|(option, file)| [option.into(), self.path(file)]));
        arguments
    }

    fn refused(&self, data: &str, more: &[(&str, &str)]) -> String {
        let output = program(&self.check(data, more));
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

fn spec() -> StudySpec {
    StudyFile::parse(STUDY).unwrap().spec()
}

#[test]
fn check_refuses_by_file_what_the_worker_could_not_train_on() {
    let folder = Folder::new();
    let header = "patient,x,y,ill\n";
    let many = |row: &dyn Fn(usize) -> String| header.to_owned() + &(0..40).map(row).collect::<String>();
    for (name, text, why) in [
        ("one-class.csv", many(&|n| format!("p{n},{n},1,0\n")), "rows are of the class \"0\""),
        ("one-row.csv", format!("{header}p1,1,2,0\n"), "1 training rows are left"),
    ] {
        folder.write(name, text);
        let said = folder.refused(name, &[]);
        assert!(said.contains(name) && said.contains(why), "{said}");
    }
    // by their mean and deviation they become small numbers, as they are they are none of f32
    folder.write("huge.csv", many(&|n| format!("p{n},{}1e39,1,{}\n", if n % 3 == 0 { "-" } else { "" }, n % 2)));
    says(&folder.check("huge.csv", &[]));
    folder.write("study.toml", STUDY.replace("\"swarm\"", "\"none\""));
    let said = folder.refused("huge.csv", &[]);
    assert!(said.contains("huge.csv") && said.contains("range of f32"), "{said}");
}

#[test]
fn check_with_a_sites_secret_counts_the_rows_that_the_worker_will_train_on() {
    let folder = Folder::new();
    folder.write("data.csv", patients(0, 80));
    let mut counts = Vec::new();
    for secret in [[0x5a; 32], [0x77; 32], [0x12; 32], [0x0f; 32]] {
        folder.write("secret", hex::encode(secret) + "\n");
        let said: Value = serde_json::from_slice(&says(&folder.check("data.csv", &[("--secret", "secret")]))).unwrap();
        let table =
            read_table(&folder.path("data.csv"), &spec().data, &site_group_key(&spec(), &secret).unwrap()).unwrap();
        let (training, validation) = Split::of(&table, 0.3).rows(&table);
        let of = |rows: &[usize]| json!({ "rows": rows.len(), "positives": rows.iter().filter(|r| table.labels[**r] == 1).count() });
        assert_eq!((&said["training"], &said["validation"]), (&of(&training), &of(&validation)));
        assert_eq!(
            (&said["rows"], &said["groups"], &said["features"]),
            (&json!(table.rows()), &json!(80), &json!(["x", "y"]))
        );
        counts.push(training.len());
    }
    counts.sort_unstable();
    counts.dedup();
    assert!(counts.len() > 1, "the secret decides which patients train, and these have different numbers of rows");
    folder.write("secret", "no secret");
    assert!(folder.refused("data.csv", &[("--secret", "secret")]).contains("64 hexadecimal digits"));
}

#[test]
fn held_out_rows_of_a_patient_who_is_trained_on_are_refused_without_naming_anyone() {
    let folder = Folder::new();
    folder.write("train.csv", patients(0, 60));
    folder.write("apart.csv", patients(60, 20));
    folder.write("shared.csv", patients(59, 20));
    says(&folder.check("train.csv", &[("--test", "apart.csv")]));
    let site = |name: &str, id: u8, train: &str, test: Option<&str>| {
        json!({
            "name": name, "id": hex::encode([id; 32]), "secret": folder.path("secret"), "samples": 10,
            "train": folder.path(train), "test": test.map(|t| folder.path(t)),
        })
    };
    folder.write("secret", "31".repeat(32));
    folder.write("other.csv", patients(200, 50));
    let compare =
        |test: &str| compare(&folder, &[site("a", 1, "train.csv", Some(test)), site("b", 2, "other.csv", None)], &[]);
    assert!(compare("apart.csv").status.success());
    let refused = compare("shared.csv");
    assert!(!refused.status.success());
    for said in [folder.refused("train.csv", &[("--test", "shared.csv")]), String::from_utf8(refused.stderr).unwrap()] {
        assert!(said.contains("train.csv") && said.contains("shared.csv") && said.contains("\"patient\""), "{said}");
        assert!(!said.contains("PATIENT"), "{said}");
    }
}

/// `ml-worker compare` of these sites.
fn compare(folder: &Folder, sites: &[Value], more: &[&str]) -> std::process::Output {
    let file = StudyFile::parse(&fs::read_to_string(folder.path("study.toml")).unwrap()).unwrap();
    folder.write("spec.json", file.spec().canonical().unwrap());
    if !folder.path("rules.json").exists() {
        folder.write("rules.json", serde_json::to_vec(&file.rules(2_000, 2).unwrap()).unwrap());
    }
    folder.write("sites.json", serde_json::to_vec(sites).unwrap());
    let mut arguments: Vec<PathBuf> = vec!["compare".into()];
    for name in ["spec", "rules", "sites"] {
        arguments.extend([format!("--{name}").into(), folder.path(&format!("{name}.json"))]);
    }
    arguments.extend(more.iter().map(PathBuf::from));
    program(&arguments)
}

#[test]
fn compare_takes_its_sites_from_a_file_and_trains_the_other_arms_for_as_many_rounds() {
    let folder = Folder::new();
    folder.write("secret", "31".repeat(32) + "\n");
    for (name, from) in [("a.csv", 0), ("b.csv", 100)] {
        folder.write(name, patients(from, 60));
    }
    let site = |name: &str, id: &str| {
        json!({
            "name": name, "id": id.repeat(32), "secret": folder.path("secret"), "samples": 10,
            "train": folder.path(&format!("{name}.csv")), "test": null,
        })
    };
    let mut with_prefix = site("a", "01");
    with_prefix["id"] = json!(format!("0x{}", "01".repeat(32)));
    let sites = [with_prefix, site("b", "02")];
    let local = |more: &[&str]| -> Value {
        let output = compare(&folder, &sites, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["local"].clone()
    };
    let three = local(&[]);
    assert_eq!(local(&["--rounds", "3"]), three);
    let two = local(&["--rounds", "2"]);
    assert_ne!(two, three);
    let mut rules = StudyFile::parse(STUDY).unwrap().rules(2_000, 2).unwrap();
    rules.max_rounds = 2;
    folder.write("rules.json", serde_json::to_vec(&rules).unwrap());
    assert_eq!(local(&[]), two);

    for (key, value, why) in [
        ("secrets", json!("x"), "secrets"),
        ("id", json!("01"), "id of a: must have 64 hexadecimal digits"),
        ("samples", json!("ten"), "sites.json: no list of sites"),
        ("secret", json!(folder.path("nowhere")), "nowhere"),
        ("train", json!(folder.path("nowhere.csv")), "nowhere.csv"),
    ] {
        let mut wrong = sites.to_vec();
        wrong[0][key] = value;
        let output = compare(&folder, &wrong, &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
    assert!(!compare(&folder, &[], &[]).status.success());
    assert!(!compare(&folder, &sites, &["--rounds", "0"]).status.success());
}

/// Two sites of so many patients, and their table files' folder.
fn sites(spec: &StudySpec, counts: [usize; 2]) -> Vec<Site> {
    let folder = Folder::new();
    let secret = [0x31; 32];
    let key = site_group_key(spec, &secret).unwrap();
    let read = |path: &Path| read_table(path, &spec.data, &key).unwrap();
    counts
        .iter()
        .zip(1u8..)
        .map(|(count, n)| {
            let path = folder.write("t.csv", patients(100 * usize::from(n), *count));
            Site { name: format!("{n}"), id: InstitutionId([n; 32]), secret, samples: 10, table: read(&path) }
        })
        .collect()
}

/// Figures without those at a cut that validation rows chose.
fn plain(figures: &Option<Figures>) -> Option<Figures> {
    let Some(Figures::Binary(metrics)) = figures else { return figures.clone() };
    Some(Figures::Binary(Box::new(Metrics { at_cut: None, ..(**metrics).clone() })))
}

/// Figures of these logits of some of a table's rows, of which several are one patient's.
fn of(spec: &StudySpec, (table, rows): (&Table, &[usize]), z: &[f32]) -> Option<Figures> {
    let labels: Vec<u32> = rows.iter().flat_map(|row| table.label(*row)).copied().collect();
    Figures::by_group(&objective(spec, None), z, &labels, &[], Some(&groups(&spec.data, table, rows)))
}

#[test]
fn a_site_alone_is_scaled_by_its_own_rows_however_few_they_are() {
    let spec = spec();
    let sites = sites(&spec, [60, 7]);
    let file = StudyFile::parse(STUDY).unwrap();
    let outcome = run(&spec, &file.rules(2_000, 2).unwrap(), &sites, &|_, _, loss| loss).unwrap();
    let compared = Inputs {
        engine: &consilium_ml_worker::external::Engine::NONE,
        spec: &spec,
        rounds: 3,
        sites: &sites,
        splits: &outcome.splits,
        tests: &[None, None],
        held_out: Some(&sites[0].table),
        swarm: outcome.swarm(),
        statistics: outcome.statistics.as_ref(),
    }
    .compare()
    .unwrap();
    let (site, split) = (&sites[1], &outcome.splits[1]);
    let (training, _) = split.rows(&site.table);
    assert!(training.len() < consilium_aggregation::MIN_ROWS, "few enough to be withheld from others");
    // the arm, by hand
    let scaler = Scaler::standard(&own_statistics(&site.table, &training).unwrap());
    let rows = scaler.apply(&site.table, &training).unwrap();
    let mut parameters = initial_parameters(&spec).unwrap();
    for round in 1..=3 {
        let seeds = Seeds::new(&site.secret, &spec.hash().unwrap().0, round);
        let fresh = OptimizerState::default();
        parameters =
            Session::new(&spec, &parameters, &rows, None, &fresh, &seeds).train(&|_| false).unwrap().parameters;
    }
    let all: Vec<usize> = (0..sites[0].table.rows()).collect();
    let held_out = scaler.apply(&sites[0].table, &all).unwrap();
    let net = Net::new(spec.architecture().unwrap()).unwrap();
    let z = logits_of(&net, &parameters, &held_out).unwrap();
    assert_eq!(compared.local[1].chosen.held_out, of(&spec, (&sites[0].table, &all), &z));
    // x runs to 14,000: unscaled, nothing would have been learned
    assert!(compared.local[1].chosen.held_out.as_ref().unwrap().log_loss() < 1.0);
}

#[test]
fn unscaled_rows_to_measure_on_are_filled_with_their_own_sites_means() {
    let mut spec = spec();
    spec.data.scaling = consilium_study::Scaling::None;
    assert_eq!(spec.data.missing, Missing::Mean);
    let sites = sites(&spec, [60, 30]);
    let file = StudyFile::parse(STUDY).unwrap();
    let mut rules = file.rules(2_000, 2).unwrap();
    rules.max_rounds = 1;
    let outcome = run(&spec, &rules, &sites, &|_, _, loss| loss).unwrap();
    let tests = [None, Some(sites[1].table.clone())];
    let compared = Inputs {
        engine: &consilium_ml_worker::external::Engine::NONE,
        spec: &spec,
        rounds: 1,
        sites: &sites,
        splits: &outcome.splits,
        tests: &tests,
        held_out: None,
        swarm: outcome.swarm(),
        statistics: None,
    }
    .compare()
    .unwrap();
    let net = Net::new(spec.architecture().unwrap()).unwrap();
    // as the worker prepares them
    let worker = Prepared::new(&spec, &sites[0].table, &outcome.splits[0], None).unwrap().validation;
    let z = logits_of(&net, &outcome.model, &worker).unwrap();
    assert_eq!(
        compared.swarm.chosen.sites[0].1,
        of(&spec, (&sites[0].table, &outcome.splits[0].rows(&sites[0].table).1), &z)
    );
    let table = &sites[1].table;
    assert!(table.missing > 0);
    let own = Scaler::own(table, &outcome.splits[1].rows(table).0).unwrap();
    let all: Vec<usize> = (0..table.rows()).collect();
    let rows = own.apply(table, &all).unwrap();
    let z = logits_of(&net, &outcome.model, &rows).unwrap();
    assert_eq!(plain(&compared.swarm.chosen.sites[1].1), of(&spec, (table, &all), &z));
}

#[test]
fn where_sites_scale_by_themselves_no_statistics_are_merged_and_their_rows_are_measured_as_the_worker_does() {
    for scaling in [Scaling::Site, Scaling::Transductive] {
        let mut spec = spec();
        spec.data.scaling = scaling.clone();
        let sites = sites(&spec, [60, 40]);
        let mut rules = StudyFile::parse(STUDY).unwrap().rules(2_000, 2).unwrap();
        rules.max_rounds = 1;
        let outcome = run(&spec, &rules, &sites, &|_, _, loss| loss).unwrap();
        assert_eq!(outcome.statistics, None);
        let tests = [None, Some(sites[1].table.clone())];
        let compared = Inputs {
            engine: &consilium_ml_worker::external::Engine::NONE,
            spec: &spec,
            rounds: 1,
            sites: &sites,
            splits: &outcome.splits,
            tests: &tests,
            held_out: Some(&sites[0].table),
            swarm: outcome.swarm(),
            statistics: None,
        }
        .compare()
        .unwrap();
        let net = Net::new(spec.architecture().unwrap()).unwrap();
        let figures = |places: (&Table, &[usize]), rows: &Rows| {
            of(&spec, places, &logits_of(&net, &outcome.model, rows).unwrap())
        };
        let all = |table: &Table| (0..table.rows()).collect::<Vec<_>>();
        let prepared = sites
            .iter()
            .zip(&outcome.splits)
            .map(|(site, split)| Prepared::new(&spec, &site.table, split, None).unwrap())
            .collect::<Vec<_>>();
        assert_eq!(
            plain(&compared.swarm.chosen.sites[0].1),
            figures((&sites[0].table, &outcome.splits[0].rows(&sites[0].table).1), &prepared[0].validation)
        );
        // a site's own held-out rows: as what travels with its model makes them
        let rows = prepared[1].preprocessing.rows(&sites[1].table).unwrap();
        assert_eq!(plain(&compared.swarm.chosen.sites[1].1), figures((&sites[1].table, &all(&sites[1].table)), &rows));
        if scaling == Scaling::Transductive {
            let all = all(&sites[0].table);
            let own = Scaler::standard(&own_statistics(&sites[0].table, &all).unwrap());
            let rows = own.apply(&sites[0].table, &all).unwrap();
            assert_eq!(plain(&compared.swarm.chosen.held_out), figures((&sites[0].table, &all), &rows));
        }
    }
}
