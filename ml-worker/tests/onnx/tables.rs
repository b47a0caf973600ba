//! Models of tables.

use super::{columns, compare, entry, fails, line, numbers, run};
use consilium_ml_worker::desk::Bundle;
use serde_json::json;
use std::{
    fmt::Write,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::support::finished::Study;

/// Numbers from 0 to 1 that follow from a seed.
pub fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    }
}

/// Rows: `a` around 40; `gap` with empty cells; `day` far from 0 for its deviation; `few` whole numbers with ties; `sex` and
/// `stage` of names, `stage` with empty cells; labels of every kind, and `stay`, a number that is also a time.
pub fn rows(seed: u64, count: usize) -> String {
    let mut next = uniform(seed);
    let mut text = String::from("a,gap,day,few,sex,stage,ill,kind,first,second,stay\n");
    for n in 0..count {
        let ill = next() < 0.4;
        let a = 40.0 + 10.0 * (next() + next()) + if ill { 5.0 } else { 0.0 };
        let gap = if n % 7 == 3 { String::new() } else { format!("{}", next() * 3.0) };
        let day = 20_260_101.0 + next() * 0.5;
        let few = (next() * 5.0).floor() - 1.0;
        let sex = ["f", "m"][usize::from(next() < 0.5)];
        let stage = ["1", "2", "3", ""][(next() * 4.0) as usize];
        let kind = ["x", "y", "z"][(next() * 3.0) as usize];
        let (first, second) = (u8::from(next() < 0.5), u8::from(ill != (next() < 0.2)));
        let stay = 0.9 * a + few - 30.0;
        writeln!(text, "{a},{gap},{day},{few},{sex},{stage},{},{kind},{first},{second},{stay}", u8::from(ill)).unwrap();
    }
    text
}

/// A study file.
pub fn study(data: &str, model: &str, training: &str) -> String {
    format!(
        "title = \"t\"\n[data]\n{data}\n{model}\n[training]\noptimizer = {{ adam = {{ learning_rate = 0.05 }} }}\nbatch_size = 32\n\
         epochs = 3\n{training}\n[evaluation]\nvalidation_share = 0.3\nmetric = \"{}\"\n[rules]\nrounds = 3\ntraining_seconds = 1\n",
        match (data.contains("outcome = { value"), training.contains("squared_error")) {
            (true, _) => "absolute_error",
            (false, true) => "brier",
            (false, false) => "log_loss",
        }
    )
}

const ILL: &str = "label = \"ill\"\npositive = \"1\"\nnegative = \"0\"\n";
const LOGISTIC: &str = "[model.logistic]";

/// Numeric columns of a study.
fn of(columns: &[&str], more: &str) -> String {
    format!("features = {{ columns = {columns:?} }}\n{more}")
}

/// Trains on `rows.csv` and exports; the model's folder and the file have this name.
fn made(folder: &Path, name: &str, study: &str) -> PathBuf {
    fs::write(folder.join(format!("{name}.toml")), study).unwrap();
    line(folder, &format!("train --study ./{name}.toml --data ./rows.csv --out ./{name} --draws 0"));
    let said = line(folder, &format!("export --model ./{name} --onnx ./{name}.onnx"));
    assert!(said.contains(&format!("{name}.onnx: the model as ONNX, operator set 17")), "{said}");
    folder.join(format!("{name}.onnx"))
}

#[test]
fn models_of_every_kind_give_what_predict_gives() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("rows.csv"), rows(1, 240)).unwrap();
    fs::write(dir.join("new.csv"), rows(2, 60)).unwrap();
    let mixed = "categorical = [{ column = \"sex\", levels = [\"m\", \"f\"] }, { column = \"stage\", levels = [\"1\", \"2\", \"3\"] }]\n\
                 missing = \"mean\"\nscaling = \"swarm\"\n";
    let mixed = |label: &str| of(&["gap", "a", "day"], &format!("{label}{mixed}"));
    let mut studies: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, data: &str, model: &str, training: &str| {
        studies.push((name.to_owned(), study(data, model, training)));
    };
    add("plain", &of(&["few", "a"], ILL), LOGISTIC, "");
    add("mixed", &mixed(ILL), LOGISTIC, "");
    for activation in ["relu", "leaky_relu", "elu", "tanh", "sigmoid", "silu", "gelu_tanh"] {
        let dense = format!("[model.dense]\nhidden = [12, 7]\nactivation = \"{activation}\"\ndropout = 0.2\n");
        add(&format!("dense-{activation}"), &mixed(ILL), &dense, "");
        let act = format!("{{ activation = \"{activation}\" }}");
        let layers = format!(
            "[model]\nlayers = [{{ dense = {{ units = 9 }} }}, {act}, {{ residual = {{ branch = [{{ layer_norm = {{}} }}, \
             {{ dense = {{ units = 9 }} }}, {act}, {{ dropout = 0.1 }}] }} }}, {{ residual = {{ branch = [{{ dense = {{ units = 4 }} }}], \
             shortcut = [{{ layer_norm = {{ epsilon = 0.01 }} }}, {{ dense = {{ units = 4 }} }}] }} }}]\n"
        );
        add(&format!("layers-{activation}"), &mixed(ILL), &layers, "");
    }
    let classes = "label = \"kind\"\nclasses = [\"z\", \"x\", \"y\"]\nmissing = \"mean\"\n";
    let deep = "[model.dense]\nhidden = [10]\nactivation = \"tanh\"\n";
    add("classes", &of(&["gap", "a"], &format!("{classes}scaling = \"site\"\ntransform = \"log1p\"\n")), deep, "");
    let labels = "labels = [\"second\", \"first\", \"ill\"]\npositive = \"1\"\nnegative = \"0\"\n";
    add("labels", &mixed(labels), deep, "");
    add("unscaled", &of(&["gap", "few"], &format!("{ILL}missing = \"mean\"\n")), deep, "");
    add("squared", &of(&["a", "few"], &format!("{ILL}scaling = \"swarm\"\n")), LOGISTIC, "loss = \"squared_error\"");
    let fixed = "missing = \"mean\"\nscaling = { fixed = { a = [45, 8.5], gap = [1.5, 1] } }\n";
    add("fixed", &of(&["gap", "a"], &format!("{ILL}{fixed}")), deep, "");
    let ranks = format!("{ILL}missing = \"mean\"\nscaling = \"swarm\"\ntransform = \"rank\"\n");
    add("rank", &of(&["few", "gap", "first", "a", "second"], &ranks), deep, "");
    add("rank-of-two", &of(&["first", "gap"], &ranks), LOGISTIC, "");
    add("rank-of-one", &of(&["a"], &ranks.replace("swarm", "none")), LOGISTIC, "");
    let names = "categorical = [{ column = \"stage\", levels = [\"3\", \"1\", \"2\"] }]\nmissing = \"mean\"\n";
    add("names", &format!("{ILL}{names}"), LOGISTIC, "");
    // a level for all other texts, where empty cells are no level and where they are refused
    let other = |missing: &str| {
        format!(
            "{ILL}categorical = [{{ column = \"stage\", levels = [\"3\", \"9\"], other = \"9\" }}, {{ column = \"sex\", levels = \
             [\"m\", \"x\"], other = \"x\" }}]\nmissing = \"{missing}\"\n"
        )
    };
    add("other", &other("mean"), LOGISTIC, "");
    add("other-refused", &other("refuse").replace("\"stage\"", "\"kind\"").replace("\"3\"", "\"y\""), LOGISTIC, "");
    // outcomes that are no classes
    let number = mixed("outcome = { value = { column = \"stay\" } }\n");
    add("number", &number, deep, "loss = \"squared_error\"");
    let unscaled = of(&["a", "few"], "outcome = { value = { column = \"stay\" } }\n");
    add("number-huber", &unscaled, LOGISTIC, "loss = { huber = { delta = 1.5 } }");
    let event = "time = \"stay\", event = \"ill\", happened = \"1\", censored = \"0\", cuts = [10.0, 12.5, 25.0]";
    let times = mixed(&format!("outcome = {{ time_to_event = {{ {event} }} }}\n"));
    add("times", &times, deep, "");
    // a number and a text for what is missing, for all columns and for one more
    let codes = "missing = \"mean\"\nscaling = \"swarm\"\nmissing_values = [\"0\", \".\"]\nmissing_values_of = { few = [\"-1\"] }\n";
    add("codes", &of(&["few", "gap", "first"], &format!("{ILL}{codes}")), deep, "");

    let files: Vec<PathBuf> = studies.iter().map(|(name, study)| made(dir, name, study)).collect();
    let pairs: Vec<(PathBuf, PathBuf)> = files.into_iter().map(|file| (file, dir.join("new.csv"))).collect();
    let found = run(&pairs);
    for ((name, _), found) in studies.iter().zip(&found) {
        let compared = compare(name, dir, name, "new.csv", found);
        assert!(compared >= 120, "{name}: {compared}");
    }
    let of = |name: &str| &found[studies.iter().position(|(other, _)| other == name).unwrap()];

    // what the files say of themselves
    let mixed = of("mixed");
    assert_eq!(entry(mixed, "numeric"), json!(["gap", "a", "day"]));
    let levels = json!([{ "column": "sex", "levels": ["m", "f"] }, { "column": "stage", "levels": ["1", "2", "3"] }]);
    assert_eq!(entry(mixed, "categorical"), levels);
    assert_eq!((&mixed["about"]["task"], &mixed["about"]["empty_cells"]), (&json!("binary"), &json!("mean")));
    assert_eq!((&mixed["about"]["negative"], &mixed["about"]["title"]), (&json!("0"), &json!("t")));
    let bundle = Bundle::read(&dir.join("mixed")).unwrap();
    assert_eq!(entry(mixed, "cuts"), json!([{ "chosen": "Youden", "cuts": [bundle.cuts[0].unwrap()] }]));
    assert_eq!(entry(mixed, "recalibration"), json!(bundle.fitted.unwrap().recalibration));
    assert_eq!(entry(of("other"), "categorical")[1], json!({ "column": "sex", "levels": ["m", "x"], "other": "x" }));
    let classes = of("classes");
    assert_eq!((entry(classes, "outputs"), &classes["about"]["task"]), (json!(["z", "x", "y"]), &json!("classes")));
    assert!(classes["about"].get("cuts").is_none() && classes["outputs"].get("recalibrated").is_none());
    assert_eq!(entry(of("labels"), "outputs"), json!(["second", "first", "ill"]));
    let (number, times) = (of("number"), of("times"));
    assert_eq!((entry(number, "outputs"), &number["about"]["task"]), (json!(["stay"]), &json!("value")));
    assert!(number["outputs"].get("probabilities").is_none() && number["about"].get("cuts").is_none(), "{number}");
    assert_eq!(entry(times, "outputs"), json!(["ill by 10", "ill by 12.5", "ill by 25"]));
    assert_eq!((entry(times, "times"), &times["about"]["task"]), (json!([10.0, 12.5, 25.0]), &json!("events")));
    assert_eq!(of("plain")["about"]["empty_cells"], "refused");
    assert!(of("names")["about"].get("numeric").is_none());
    // means of patients' values are in it
    assert_eq!(fs::metadata(dir.join("mixed.onnx")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_packed_model_brings_its_cut_and_its_recalibration() {
    let study = Study::new("swarm");
    let dir = study.folder.path();
    study.run(&format!("{} --data ./1.csv --secret ./1.secret --sensitivity 0.9", study.pack()));
    study.run("export --model ./packed --onnx ./m.onnx");
    let found = run(&[(dir.join("m.onnx"), dir.join("new.csv"))]).remove(0);
    // logits, probabilities, recalibrated probabilities of 120 rows
    assert_eq!(compare("packed", dir, "packed", "new.csv", &found), 360);
    let fitted = Bundle::read(&dir.join("packed")).unwrap().fitted.unwrap();
    let wanted = fitted.sensitivity.unwrap().cuts[0].unwrap();
    let cuts = json!([{ "chosen": "Youden", "cuts": [fitted.cuts[0].unwrap()] }, { "chosen": "sensitivity 0.9", "cuts": [wanted] }]);
    assert_eq!(entry(&found, "cuts"), cuts);
    assert!(entry(&found, "made")["study"]["root"].is_string(), "{found}");
}

#[test]
fn where_a_packed_model_knows_no_means_rows_with_gaps_are_nan() {
    let study = Study::new("none");
    let dir = study.folder.path();
    study.run(&study.pack());
    study.run("export --model ./packed --onnx ./m.onnx");
    let text = fs::read_to_string(dir.join("new.csv")).unwrap();
    let gap = |line: &&str| line.split(',').nth(3) == Some("");
    let whole: Vec<&str> = text.lines().filter(|line| !gap(line)).collect();
    fs::write(dir.join("whole.csv"), whole.join("\n") + "\n").unwrap();
    let model = dir.join("m.onnx");
    let found = run(&[(model.clone(), dir.join("whole.csv")), (model, dir.join("new.csv"))]);
    assert_eq!(compare("whole", dir, "packed", "whole.csv", &found[0]), 2 * (whole.len() - 1));
    assert_eq!(found[1]["about"]["empty_cells"], "refused");
    let mut wanted = numbers(&found[0], "probabilities").into_iter();
    let rows = numbers(&found[1], "probabilities");
    assert_eq!(rows.len(), text.lines().count() - 1);
    for (line, row) in text.lines().skip(1).zip(rows) {
        match gap(&line) {
            true => assert!(row[0].is_nan(), "{line}"),
            false => assert_eq!(Some(row), wanted.next(), "{line}"),
        }
    }
}

#[test]
fn a_study_that_counts_its_columns_names_them_with_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // in another order than the model's, and with columns that are no features
    let text = rows(1, 240);
    let keep = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        format!("{},{},{},{},{},{}\n", cells[4], cells[6], cells[3], cells[0], cells[7], cells[1])
    };
    let table = |text: &str| text.lines().map(keep).collect::<String>();
    fs::write(dir.join("rows.csv"), table(&text)).unwrap();
    fs::write(dir.join("new.csv"), table(&rows(2, 60))).unwrap();
    let features = line(dir, "columns --data ./rows.csv --named ill --named sex --ignore kind");
    let data = format!(
        "{}\n{ILL}categorical = [{{ column = \"sex\", levels = [\"f\", \"m\"] }}]\nmissing = \"mean\"\nscaling = \"swarm\"\n\
         missing_values = [\"-1\"]\n",
        features.trim()
    );
    let without = made(dir, "others", &study(&data, LOGISTIC, ""));
    let said = line(dir, "export --model ./others --onnx ./named.onnx --data ./rows.csv");
    assert!(!said.contains("note:"), "{said}");
    let found = run(&[(dir.join("named.onnx"), dir.join("new.csv"))]).remove(0);
    assert!(compare("others", dir, "others", "new.csv", &found) >= 120);
    assert_eq!(entry(&found, "numeric"), json!(["a", "few", "gap"]));
    // without a table it says how many, and by which hash
    let said = line(dir, "export --model ./others --onnx ./again.onnx");
    assert!(said.contains("note: the study counts its features"), "{said}");
    let bytes = fs::read(without).unwrap();
    let stated = b"{\"others\":{\"count\":3,\"hash\":\"";
    assert!(bytes.windows(stated.len()).any(|part| part == stated), "count and hash stand in the metadata");

    fs::write(dir.join("other.csv"), "sex,ill,few,b,kind,gap\nf,1,1,2,x,3\n").unwrap();
    let said = fails(dir, "export --model ./others --onnx ./x.onnx --data ./other.csv");
    assert!(said.contains("are not the 3 that were agreed") && !dir.join("x.onnx").exists(), "{said}");
    // where one column has codes of its own, its place must be known
    let more = data.replace("missing_values = [\"-1\"]", "missing_values_of = { few = [\"-1\"] }");
    fs::write(dir.join("codes.toml"), study(&more, LOGISTIC, "")).unwrap();
    line(dir, "train --study ./codes.toml --data ./rows.csv --out ./codes --draws 0");
    let said = fails(dir, "export --model ./codes --onnx ./x.onnx");
    assert!(said.contains("\"few\"") && said.contains("--data"), "{said}");
    line(dir, "export --model ./codes --onnx ./codes.onnx --data ./rows.csv");
    let found = run(&[(dir.join("codes.onnx"), dir.join("new.csv"))]).remove(0);
    assert!(compare("codes", dir, "codes", "new.csv", &found) >= 120);
    assert_eq!(columns("a,b\n1,2\n")["b"], ["2"]);
}
