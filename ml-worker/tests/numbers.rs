//! Studies whose outcome is a number: read, standardised by all sites together, learned, measured and told in its own unit.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_aggregation::Statistics;
use consilium_ml_worker::{
    compare::{Comparison, Inputs},
    data::{
        own_statistics, preflight, read_table, statistics_of, withheld, Prepared, Reading, Scaler, Split, Table, Target,
    },
    desk::{Bundle, Own},
    learn::{figures::Figures, logits_of, loss_micro, Net},
    random::{key, Stream},
    simulate::{run, site_group_key, Outcome, Site},
};
use consilium_primitives::InstitutionId;
use consilium_study::{StudyFile, StudySpec};
use serde_json::Value;
use std::{fmt::Write, fs, path::Path};
use support::says;

const STUDY: &str = "title = \"t\"\n[data]\nfeatures = { columns = [\"x\", \"y\"] }\n\
    outcome = { value = { column = \"egfr\" } }\nmissing_values = [\"-999\"]\nscaling = \"swarm\"\n[model.logistic]\n[training]\n\
    loss = \"squared_error\"\noptimizer = { adam = { learning_rate = 0.05 } }\nbatch_size = 16\nepochs = 5\n[evaluation]\n\
    validation_share = 0.3\nmetric = \"squared_error\"\n[rules]\nrounds = 6\ntraining_seconds = 1\n";

fn spec_of(changes: &[(&str, &str)]) -> StudySpec {
    file_of(changes).spec()
}

fn file_of(changes: &[(&str, &str)]) -> StudyFile {
    let mut text = STUDY.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    StudyFile::parse(&text).unwrap()
}

/// Rows whose outcome is `9000 + 300·x − 200·y` and noise with a deviation of 100.
fn table(name: &str, rows: usize) -> String {
    let mut stream = Stream::new(key("numbers", &[name.as_bytes()]));
    let mut text = String::from("x,y,egfr\n");
    for _ in 0..rows {
        let (x, y) = (stream.normal(), 5.0 + stream.normal());
        writeln!(text, "{x:.4},{y:.4},{:.2}", 9_000.0 + 300.0 * x - 200.0 * y + 100.0 * stream.normal()).unwrap();
    }
    text
}

fn read(folder: &Path, name: &str, text: &str, spec: &StudySpec) -> Table {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    read_table(&path, &spec.data, &site_group_key(spec, &[7; 32]).unwrap()).unwrap()
}

fn sites(folder: &Path, spec: &StudySpec, rows: [usize; 2]) -> Vec<Site> {
    let site = |(n, rows): (usize, usize)| Site {
        name: format!("site {n}"),
        id: InstitutionId([n as u8 + 1; 32]),
        secret: [7; 32],
        samples: rows as u32,
        table: read(folder, &format!("{n}.csv"), &table(&n.to_string(), rows), spec),
    };
    rows.into_iter().enumerate().map(site).collect()
}

fn compared(spec: &StudySpec, sites: &[Site], outcome: &Outcome, held_out: &Table) -> Comparison {
    Inputs {
        engine: &consilium_ml_worker::external::Engine::NONE,
        spec,
        rounds: outcome.rounds.len() as u32 - 1,
        sites,
        splits: &outcome.splits,
        tests: &[None, None],
        held_out: Some(held_out),
        swarm: outcome.swarm(),
        statistics: outcome.statistics.as_ref(),
    }
    .compare()
    .unwrap()
}

#[test]
fn a_swarm_learns_a_number_and_tells_it_in_its_own_unit() {
    let dir = tempfile::tempdir().unwrap();
    let (file, spec) = (file_of(&[]), spec_of(&[]));
    let sites = sites(dir.path(), &spec, [120, 80]);
    let outcome = run(&spec, &file.rules(2_000, 2).unwrap(), &sites, &|_, _, loss| loss).unwrap();
    // the swarm's numbers, over all training rows in one place
    let all: Vec<f64> = sites
        .iter()
        .zip(&outcome.splits)
        .flat_map(|(site, split)| {
            split.rows(&site.table).0.into_iter().map(|row| f64::from(f32::from_bits(site.table.label(row)[0])))
        })
        .collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let deviation = (all.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
    let statistics = outcome.statistics.as_ref().unwrap();
    assert_eq!(statistics.mean.len(), 3, "two features, and the outcome behind them");
    let target = Target::part_of(&spec.data, statistics).1.unwrap();
    assert!(
        (target.mean - mean).abs() < 1e-6 && (target.deviation - deviation).abs() < 1e-6,
        "{target:?} {mean} {deviation}"
    );

    let held_out = read(dir.path(), "held-out.csv", &table("held out", 200), &spec);
    let compared = compared(&spec, &sites, &outcome, &held_out);
    let Some(Figures::Value(swarm)) = &compared.swarm.chosen.held_out else { panic!() };
    // the noise alone has a root mean square of 100, and 80 as its mean size
    assert!((85.0..125.0).contains(&swarm.rmse) && (65.0..100.0).contains(&swarm.mae), "{swarm:?}");
    assert!(swarm.r2.unwrap() > 0.88 && swarm.bias.abs() < 25.0, "{swarm:?}");
    // what a site reports is in units of the swarm's variance
    let prepared = Prepared::new(&spec, &sites[0].table, &outcome.splits[0], Some(statistics)).unwrap();
    let reported = f64::from(loss_micro(&spec, &outcome.model, &prepared.validation).unwrap().unwrap()) / 1e6;
    let Some(Figures::Value(own)) = &compared.swarm.chosen.sites[0].1 else { panic!() };
    assert!((reported - (own.rmse / deviation).powi(2)).abs() < 1e-5, "{reported} {own:?}");
    let told = &compared.figures[0].1;
    assert!((told.swarm.metric.unwrap() - reported).abs() < 1e-5);
    assert_eq!((told.swarm.auc, told.positives, told.swarm.curves.is_none()), (None, None, true));
    told.check().unwrap();
    // in words: no area under a curve, and the unit
    let text = compared.to_string();
    assert!(text.contains("MAE") && text.contains("R2") && !text.contains("AUC"), "{text}");
    assert!(
        text.contains("egfr, errors in its own unit") && text.contains("units of the outcome's variance"),
        "{text}"
    );

    // packed, it predicts in that unit, too
    let own = Own { table: &sites[1].table, split: &outcome.splits[1], sensitivity: None };
    let bytes = statistics.encode(None).unwrap();
    let spec_bytes = spec.canonical().unwrap();
    let model =
        consilium_aggregation::ModelFile { layout: spec.layout().unwrap(), duty: None, data: outcome.model.clone() };
    let model = model.encode().unwrap();
    for own in [None, Some(&own)] {
        let bundle = Bundle::of_study(&spec_bytes, &model, Some(&bytes), own).unwrap();
        assert_eq!(bundle.preprocessing.scaler.target(), Some(target));
        bundle.write(&dir.path().join("packed")).unwrap();
        let again = Bundle::read(&dir.path().join("packed")).unwrap();
        assert_eq!(again.preprocessing, bundle.preprocessing);
    }
    let error = Bundle::of_study(&spec_bytes, &model, None, None).unwrap_err().to_string();
    assert!(error.contains("statistics"), "{error}");
    fs::write(dir.path().join("two.csv"), "y,x\n5.0,0.0\n5.0,2.0\n").unwrap();
    let line = |name: &str| dir.path().join(name).display().to_string();
    let said = says(&["predict", "--model", &line("packed"), "--data", &line("two.csv")]);
    let said = String::from_utf8(said).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "row,predicted egfr");
    for (line, wanted) in lines[1..].iter().zip([8_000.0, 8_600.0]) {
        let value: f64 = line.split(',').nth(1).unwrap().parse().unwrap();
        assert!((value - wanted).abs() < 60.0, "{line} {wanted}");
    }
}

#[test]
fn where_features_are_not_scaled_together_sites_share_the_outcomes_statistics_alone() {
    let dir = tempfile::tempdir().unwrap();
    for scaling in ["none", "site", "transductive"] {
        let changes = [("scaling = \"swarm\"", &*format!("scaling = \"{scaling}\""))];
        let (file, spec) = (file_of(&changes), spec_of(&changes));
        let rules = file.rules(2_000, 2).unwrap();
        assert_eq!(rules.statistics_len, Statistics::file_len(1).unwrap());
        let sites = sites(dir.path(), &spec, [90, 60]);
        let outcome = run(&spec, &rules, &sites, &|_, _, loss| loss).unwrap();
        let shared = outcome.statistics.as_ref().unwrap();
        assert_eq!(shared.mean.len(), 1);
        let held_out = read(dir.path(), "held-out.csv", &table("held out", 200), &spec);
        let compared = compared(&spec, &sites, &outcome, &held_out);
        for arm in [&compared.swarm, &compared.central, &compared.local[0]] {
            let Some(Figures::Value(figures)) = &arm.chosen.held_out else { panic!() };
            assert!(figures.r2.unwrap() > 0.75, "{scaling} {}: {figures:?}", arm.name);
        }
        // a site of fewer rows than may be told withholds them
        let few = read(dir.path(), "few.csv", &table("few", 12), &spec);
        let rows: Vec<usize> = (0..12).collect();
        assert_eq!(statistics_of(&few, &rows).unwrap().count, [0.0]);
        assert_eq!(own_statistics(&few, &rows).unwrap().count, [12.0; 3]);
        assert_eq!(withheld(&spec, &few, &rows).unwrap(), ["egfr"]);
        let swarm = spec_of(&[]);
        let few = read(dir.path(), "few.csv", &table("few", 12), &swarm);
        assert_eq!(withheld(&swarm, &few, &rows).unwrap(), ["x", "y", "egfr"]);
    }
}

/// One linear unit under squared error, followed to its end, is least squares.
#[test]
fn its_end_is_that_of_least_squares() {
    let dir = tempfile::tempdir().unwrap();
    let changes = [
        ("[model.logistic]", "[model]\nlayers = [{ output = { init = \"zeros\" } }]"),
        ("adam = { learning_rate = 0.05 }", "proximal_gradient = {}"),
        ("epochs = 5", "epochs = 400"),
    ];
    let spec = spec_of(&changes);
    let table = read(dir.path(), "one.csv", &table("one", 60), &spec);
    let plan = consilium_ml_worker::desk::Plan { spec: &spec, rounds: 1, table: &table, secret: [7; 32] };
    let outcome = consilium_ml_worker::desk::train(&plan, &|_| false).unwrap();
    let split = Split::of(&table, 0.3);
    let training = split.rows(&table).0;
    let rows = outcome.bundle.preprocessing.scaler.apply(&table, &training).unwrap();
    let net = Net::new(spec.architecture().unwrap()).unwrap();
    let z = logits_of(&net, &outcome.bundle.parameters, &rows).unwrap();
    // the residuals of least squares are at right angles to every column, and to one
    let x = rows.features().unwrap();
    let rest: Vec<f64> =
        z.iter().zip(rows.labels()).map(|(z, y)| f64::from(*z) - f64::from(f32::from_bits(*y))).collect();
    for column in 0..3 {
        let at = |row: usize| if column < 2 { f64::from(x[row * 2 + column]) } else { 1.0 };
        let product = rest.iter().enumerate().map(|(row, e)| e * at(row)).sum::<f64>() / rest.len() as f64;
        assert!(product.abs() < 1e-5, "column {column}: {product}");
    }
    assert!(rest.iter().any(|e| e.abs() > 0.05), "there is something left to be at right angles");
}

#[test]
fn at_the_desk_a_number_is_trained_measured_and_predicted() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(
        path("study.toml"),
        STUDY.replace("\"squared_error\"\noptimizer", "{ huber = { delta = 1.5 } }\noptimizer"),
    )
    .unwrap();
    fs::write(path("data.csv"), table("desk", 150)).unwrap();
    fs::write(path("later.csv"), table("later", 150)).unwrap();
    let train = [
        "train",
        "--json",
        "--study",
        &path("study.toml"),
        "--data",
        &path("data.csv"),
        "--test",
        &path("later.csv"),
        "--out",
        &path("model"),
    ];
    let said: Value = serde_json::from_slice(&says(&train)).unwrap();
    assert!(said["test"]["r2"].as_f64().unwrap() > 0.85, "{said}");
    assert!(said.get("note").is_none(), "there is no cut: {said}");
    let interval = &said["test"]["bootstrap"]["intervals"]["mae"];
    assert!(interval[0].as_f64().unwrap() < said["test"]["mae"].as_f64().unwrap(), "{said}");
    let words =
        String::from_utf8(says(&["evaluate", "--model", &path("model"), "--data", &path("later.csv")])).unwrap();
    assert!(words.contains("mean absolute error") && words.contains("R squared") && !words.contains("AUC"), "{words}");
    let check: Value =
        serde_json::from_slice(&says(&["check", "--study", &path("study.toml"), "--data", &path("data.csv")])).unwrap();
    assert_eq!((&check["rows"], &check["training"]["rows"]), (&150.into(), &105.into()));
    let report =
        String::from_utf8(says(&["preflight", "--study", &path("study.toml"), "--data", &path("data.csv")])).unwrap();
    assert!(report.contains("training: 105 rows\n"), "{report}");
}

#[test]
fn an_outcome_that_is_no_number_is_named_by_line_and_never_by_what_stands_there() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec_of(&[]);
    let refused = |rows: &str, spec: &StudySpec| {
        let path = dir.path().join("wrong.csv");
        fs::write(&path, rows).unwrap();
        read_table(&path, &spec.data, &[0; 32]).unwrap_err().to_string()
    };
    let good = "1,1,51.5\n2,1,60\n";
    for (cell, words) in [
        ("", "every row needs its outcome"),
        ("NA", "every row needs its outcome"),
        // a code for nothing is none of the patient's numbers
        ("-999", "every row needs its outcome"),
        ("-999.0", "every row needs its outcome"),
        ("SECRET", "is not a number"),
        ("1e60", "is not a finite number"),
    ] {
        let said = refused(&format!("x,y,egfr\n{good}3,1,{cell}\n"), &spec);
        assert!(said.contains("line 4") && said.contains("\"egfr\"") && said.contains(words), "{cell}: {said}");
        assert!(!said.contains("SECRET"), "{said}");
    }
    let said = refused("x,y\n1,1\n", &spec);
    assert!(said.contains("has no column \"egfr\", which the study names as its outcome"), "{said}");
    // where one lets such rows go, they are counted
    let skip = spec_of(&[("scaling =", "bad_rows = { skip = { at_most = 0.5 } }\nscaling =")]);
    let table = read(dir.path(), "some.csv", &format!("x,y,egfr\n{good}3,1,\n"), &skip);
    assert_eq!((table.rows(), table.skipped, f32::from_bits(table.label(0)[0])), (2, 1, 51.5));
    // 1,234 may be a little more than one, or a thousand and more
    let said = refused("x;y;egfr\n1;1;1,234\n2;1;2,345\n", &spec);
    assert!(said.contains("\"egfr\"") && said.contains("decimal mark"), "{said}");
    let comma = spec_of(&[("scaling =", "decimal = \"comma\"\nscaling =")]);
    let table = read(dir.path(), "comma.csv", "x;y;egfr\n1;1;1,25\n2;1;2,5\n", &comma);
    assert_eq!((f32::from_bits(table.label(0)[0]), f32::from_bits(table.label(1)[0])), (1.25, 2.5));
    // of one number in all rows there is nothing to learn
    let path = dir.path().join("same.csv");
    fs::write(&path, format!("x,y,egfr\n{}", (0..40).map(|n| format!("{n},{},7\n", n % 7)).collect::<String>()))
        .unwrap();
    let report = preflight(&path, &spec, &[0; 32], &Reading::default());
    assert!(
        !report.usable && report.problems.iter().any(|p| p.message.contains("the outcome is the same")),
        "{report:?}"
    );
    fs::write(&path, "x,y\n1,1\n").unwrap();
    let report = preflight(&path, &spec, &[0; 32], &Reading::default());
    assert!(report.problems.iter().any(|p| p.message.contains("no outcome is among the names")), "{report:?}");
}

#[test]
fn how_rows_are_scaled_is_read_as_it_was_written_also_by_who_knew_of_no_numbers() {
    let target = Target { mean: 61.25, deviation: 18.5 };
    for before in [r#"{"fixed":{"mean":[0.1,2.0],"deviation":[1.5,1.0],"fill":[0.1,2.0]}}"#, r#""each_set""#] {
        let scaler: Scaler = serde_json::from_str(before).unwrap();
        assert_eq!((scaler.target(), serde_json::to_string(&scaler).unwrap().as_str()), (None, before));
        let with = scaler.with_target(Some(target));
        let again: Scaler = serde_json::from_str(&serde_json::to_string(&with).unwrap()).unwrap();
        assert_eq!((again.target(), again), (Some(target), with));
    }
}
