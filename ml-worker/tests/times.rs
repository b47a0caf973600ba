//! Studies of the time until an event: intervals and what was seen of them, hazards, risks, and what is said of them.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_ml_worker::{
    compare::Inputs,
    data::{read_table, Split, Table},
    learn::{
        figures::Figures,
        logits_of,
        loss::{log_loss, Objective},
        loss_micro, Net,
    },
    random::{key, Stream},
    simulate::{run, site_group_key, Site},
};
use consilium_primitives::InstitutionId;
use consilium_study::{Fit, Loss, StudyFile, StudySpec, Task};
use serde_json::Value;
use std::{fmt::Write, fs, path::Path};
use support::says;

const STUDY: &str = "title = \"t\"\n[data]\nfeatures = { columns = [\"x\"] }\nscaling = \"swarm\"\n\
    [data.outcome.time_to_event]\ntime = \"days\"\nevent = \"died\"\nhappened = \"yes\"\ncensored = \"no\"\ncuts = [30, 90, 180.5]\n\
    [model.logistic]\n[training]\noptimizer = { adam = { learning_rate = 0.05 } }\nbatch_size = 32\nepochs = 5\n[evaluation]\n\
    validation_share = 0.3\n[rules]\nrounds = 6\ntraining_seconds = 1\n";

fn file_of(changes: &[(&str, &str)]) -> StudyFile {
    let mut text = STUDY.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    StudyFile::parse(&text).unwrap()
}

/// Patients whose hazard a day is `.01 · e^(.9·x)`, followed for up to 300 days.
fn table(name: &str, rows: usize) -> String {
    let mut stream = Stream::new(key("times", &[name.as_bytes()]));
    let mut text = String::from("x,days,died\n");
    for _ in 0..rows {
        let x = stream.normal();
        let mut uniform = || (f64::from(stream.below(1 << 20)) + 0.5) / f64::from(1 << 20);
        let (until, followed) = (-uniform().ln() / (0.01 * (0.9 * x).exp()), 20.0 + 280.0 * uniform());
        let died = if until <= followed { "yes" } else { "no" };
        writeln!(text, "{x:.4},{:.0},{died}", until.min(followed).ceil()).unwrap();
    }
    text
}

fn read(folder: &Path, name: &str, text: &str, spec: &StudySpec) -> Table {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    read_table(&path, &spec.data, &site_group_key(spec, &[7; 32]).unwrap()).unwrap()
}

#[test]
fn of_each_interval_that_was_seen_there_is_a_term_and_of_no_other() {
    let goal = Objective::new(Task::Events(3), Loss::CrossEntropy, Vec::new()).with_cuts(&[30.0, 90.0, 180.5]);
    let z = [-1.0f64, 0.5, 2.0];
    let term = |n: usize, y: bool| log_loss(z[n], y);
    let none = [false; 3];
    let died = |n: usize| std::array::from_fn::<bool, 3, _>(|k| k == n);
    // time, whether the event ended it, how many intervals were seen, and in which of them the event was
    for (time, event, seen, terms) in [
        (0.0, true, 1, died(0)),
        (10.0, true, 1, died(0)),
        (30.0, true, 1, died(0)),
        (30.5, true, 2, died(1)),
        (180.5, true, 3, died(2)),
        (181.0, true, 3, none),
        (0.0, false, 0, none),
        (29.9, false, 0, none),
        (30.0, false, 1, none),
        (89.0, false, 1, none),
        (90.0, false, 2, none),
        (1e6, false, 3, none),
    ] {
        let label = [f32::to_bits(time), u32::from(event)];
        let wanted: f64 = (0..seen).map(|n| term(n, terms[n])).sum();
        assert!((goal.row(&z, &label) - wanted).abs() < 1e-12, "{time} {event}");
        let mut slope = [f64::NAN; 3];
        let loss = goal.loss_and_slope(&z, &label, &mut slope);
        assert!((loss - wanted).abs() < 1e-12);
        assert!(slope[seen..].iter().all(|slope| *slope == 0.0) && slope[..seen].iter().all(|slope| *slope != 0.0));
    }
    let risks = goal.probabilities(&z);
    let hazard = |n: usize| 1.0 / (1.0 + (-z[n]).exp());
    let alive = (1.0 - hazard(0)) * (1.0 - hazard(1));
    assert!((risks[1] - (1.0 - alive)).abs() < 1e-12 && risks[0] < risks[1] && risks[1] < risks[2]);
}

/// One interval's hazard without features is the share of events among those who were seen in it.
#[test]
fn hazards_without_features_are_those_of_a_life_table() {
    let dir = tempfile::tempdir().unwrap();
    let spec = file_of(&[("epochs = 5", "epochs = 200"), ("learning_rate = 0.05", "learning_rate = 0.01")]).spec();
    let text = table("life", 400).lines().enumerate().fold(String::new(), |text, (n, line)| {
        // x says nothing
        let rest = line.split_once(',').unwrap().1;
        text + &if n == 0 { format!("x,{rest}\n") } else { format!("{},{rest}\n", n % 2) }
    });
    let table = read(dir.path(), "life.csv", &text, &spec);
    let plan = consilium_ml_worker::desk::Plan { spec: &spec, rounds: 2, table: &table, secret: [7; 32] };
    let outcome = consilium_ml_worker::desk::train(&plan, &|_| false).unwrap();
    let training = Split::of(&table, 0.3).rows(&table).0;
    let net = Net::new(spec.architecture().unwrap()).unwrap();
    let rows = outcome.bundle.preprocessing.scaler.apply(&table, &training).unwrap();
    let z = logits_of(&net, &outcome.bundle.parameters, &rows).unwrap();
    let cuts = [30.0, 90.0, 180.5];
    for (n, end) in cuts.into_iter().enumerate() {
        let begin = n.checked_sub(1).map_or(-1.0, |n| cuts[n]);
        let label = |row: usize| (f64::from(f32::from_bits(table.label(row)[0])), table.label(row)[1] == 1);
        let had =
            training.iter().filter(|row| label(**row).1 && label(**row).0 > begin && label(**row).0 <= end).count();
        let through =
            training.iter().filter(|row| label(**row).0 > end || (!label(**row).1 && label(**row).0 >= end)).count();
        let wanted = had as f64 / (had + through) as f64;
        let mean = z.iter().skip(n).step_by(3).map(|z| 1.0 / (1.0 + (-f64::from(*z)).exp())).sum::<f64>();
        let mean = mean / training.len() as f64;
        assert!((mean - wanted).abs() < 0.04, "interval {n}: {mean} {wanted}");
    }
}

#[test]
fn a_swarm_learns_hazards_and_tells_risks() {
    let dir = tempfile::tempdir().unwrap();
    let (file, spec) = (file_of(&[]), file_of(&[]).spec());
    let site = |(n, rows): (usize, usize)| Site {
        name: format!("site {n}"),
        id: InstitutionId([n as u8 + 1; 32]),
        secret: [7; 32],
        samples: rows as u32,
        table: read(dir.path(), &format!("{n}.csv"), &table(&n.to_string(), rows), &spec),
    };
    let sites: Vec<Site> = [150, 100].into_iter().enumerate().map(site).collect();
    let outcome = run(&spec, &file.rules(2_000, 2).unwrap(), &sites, &|_, _, loss| loss).unwrap();
    let held_out = read(dir.path(), "held-out.csv", &table("held out", 500), &spec);
    let compared = Inputs {
        engine: &consilium_ml_worker::external::Engine::NONE,
        spec: &spec,
        rounds: outcome.rounds.len() as u32 - 1,
        sites: &sites,
        splits: &outcome.splits,
        tests: &[None, None],
        held_out: Some(&held_out),
        swarm: outcome.swarm(),
        statistics: outcome.statistics.as_ref(),
    }
    .compare()
    .unwrap();
    let Some(Figures::Events(swarm)) = &compared.swarm.chosen.held_out else { panic!() };
    assert!(swarm.concordance.unwrap() > 0.65, "{swarm:?}");
    for at in &swarm.horizons {
        assert!(at.brier.unwrap() < at.brier_of_all_alike.unwrap(), "{at:?}");
        assert!((at.said - at.found.unwrap()).abs() < 0.1, "{at:?}");
        assert_eq!(at.calibration.len(), 5);
        // of the highest risks nobody may be left to be followed
        let ends = [0, 4].map(|n| at.calibration[n].found);
        assert!(ends[0].unwrap() < ends[1].unwrap_or(1.0), "{at:?}");
    }
    // what a site reports is the masked log-loss of its validation rows
    let split = &outcome.splits[0];
    let prepared =
        consilium_ml_worker::data::Prepared::new(&spec, &sites[0].table, split, outcome.statistics.as_ref()).unwrap();
    let reported = loss_micro(&spec, &outcome.model, &prepared.validation).unwrap().unwrap();
    let Some(Figures::Events(own)) = &compared.swarm.chosen.sites[0].1 else { panic!() };
    assert!((f64::from(reported) / 1e6 - own.log_loss).abs() < 1e-5);
    let told = &compared.figures[0].1;
    assert_eq!((told.swarm.fit, told.swarm.auc), (own.concordance.map(Fit::Concordance), None));
    told.check().unwrap();
    let text = compared.to_string();
    assert!(text.contains("Brier at 180.5") && text.contains("with the event") && !text.contains("AUC"), "{text}");
    // with and without the event, both sides of a split have both
    let (training, validation) = split.rows(&sites[0].table);
    for side in [training, validation] {
        let events = sites[0].table.classes(side.iter().copied());
        let share = events[1] as f64 / side.len() as f64;
        let all = sites[0].table.classes(0..sites[0].table.rows());
        assert!((share - all[1] as f64 / sites[0].table.rows() as f64).abs() < 0.05, "{events:?} {all:?}");
    }
}

#[test]
fn at_the_desk_risks_are_trained_measured_and_predicted() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("study.toml"), STUDY).unwrap();
    fs::write(path("data.csv"), table("desk", 200)).unwrap();
    fs::write(path("later.csv"), table("later", 200)).unwrap();
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
        "--draws",
        "100",
    ];
    let said: Value = serde_json::from_slice(&says(&train)).unwrap();
    assert!(said["test"]["concordance"].as_f64().unwrap() > 0.6, "{said}");
    assert_eq!(said["test"]["horizons"].as_array().unwrap().len(), 3);
    let intervals = &said["test"]["bootstrap"]["intervals"];
    assert!(intervals["concordance"][0].is_number() && intervals["brier at 90"][1].is_number(), "{said}");
    let words =
        String::from_utf8(says(&["evaluate", "--model", &path("model"), "--data", &path("later.csv"), "--draws", "0"]))
            .unwrap();
    assert!(words.contains("Harrell's C") && words.contains("by 180.5") && !words.contains("AUC"), "{words}");
    fs::write(path("new.csv"), "x\n-1.5\n1.5\n").unwrap();
    let predicted =
        String::from_utf8(says(&["predict", "--model", &path("model"), "--data", &path("new.csv")])).unwrap();
    let lines: Vec<&str> = predicted.lines().collect();
    assert_eq!(lines[0], "row,p(died by 30),p(died by 90),p(died by 180.5)");
    let risks: Vec<Vec<f64>> =
        lines[1..].iter().map(|line| line.split(',').skip(1).map(|cell| cell.parse().unwrap()).collect()).collect();
    assert!(risks[0][2] < risks[1][2] && risks[0][0] < risks[0][1] && risks[0][1] < risks[0][2], "{predicted}");
    let check: Value =
        serde_json::from_slice(&says(&["check", "--study", &path("study.toml"), "--data", &path("data.csv")])).unwrap();
    assert!(check["training"]["events"].as_u64().unwrap() > 20, "{check}");
    let report =
        String::from_utf8(says(&["preflight", "--study", &path("study.toml"), "--data", &path("data.csv")])).unwrap();
    assert!(report.contains("\"event\": "), "{report}");
}

#[test]
fn times_and_events_that_are_none_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let spec = file_of(&[]).spec();
    let refused = |row: &str| {
        let path = dir.path().join("wrong.csv");
        fs::write(&path, format!("x,days,died\n1,5,yes\n{row}\n")).unwrap();
        read_table(&path, &spec.data, &[0; 32]).unwrap_err().to_string()
    };
    for (row, column, words) in [
        ("1,-1,no", "days", "below 0"),
        ("1,,no", "days", "every row needs its outcome"),
        ("1,soon,no", "days", "is not a number"),
        ("1,5,", "died", "is neither \"yes\""),
        ("1,5,perhaps", "died", "which stands for none"),
    ] {
        let said = refused(row);
        assert!(said.contains("line 3") && said.contains(column) && said.contains(words), "{row}: {said}");
        assert!(!said.contains("perhaps") && !said.contains("soon"), "{said}");
    }
    let numbers = file_of(&[("\"yes\"", "\"2\""), ("\"no\"", "\"1\"")]).spec();
    let table = read(dir.path(), "numbers.csv", "x,days,died\n1,5,2.0\n2,6.5,1\n", &numbers);
    assert_eq!((table.label(0), table.label(1)), (&[5f32.to_bits(), 1][..], &[6.5f32.to_bits(), 0][..]));
    // nothing is learned of a time that never came
    let path = dir.path().join("none.csv");
    fs::write(&path, format!("x,days,died\n{}", (0..30).map(|n| format!("{n},{n},no\n")).collect::<String>())).unwrap();
    let report = consilium_ml_worker::data::preflight(&path, &spec, &[0; 32], &Default::default());
    assert!(!report.usable && report.problems.iter().any(|p| p.message.contains("has an event")), "{report:?}");
    let wrong = |from: &str, to: &str, words: &str| {
        let error = StudyFile::parse(&STUDY.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(words), "{to}: {error}");
    };
    wrong("[30, 90, 180.5]", "[]", "data.outcome.time_to_event.cuts");
    wrong("[30, 90, 180.5]", "[30, 30]", "each later than the one before");
    wrong("[30, 90, 180.5]", "[0, 30]", "above 0");
    wrong("\"yes\"", "\"no\"", "must be different");
    wrong("scaling =", "missing_values = [\"no\"]\nscaling =", "is a value of the outcome too");
    wrong("validation_share = 0.3", "validation_share = 0.3\nmetric = \"brier\"", "is \"log_loss\"");
}
