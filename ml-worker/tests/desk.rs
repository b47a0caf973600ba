//! The commands for work at a desk, through the program that people run.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_ml_worker::{
    data::{demo, read_file, Reading},
    desk::{self, Bundle},
};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use support::{program, says};

/// Arguments, of which those with a slash are files of this folder.
fn arguments(folder: &Path, line: &str) -> Vec<String> {
    let word = |word: &str| match word.strip_prefix("./") {
        Some(file) => folder.join(file).display().to_string(),
        None => word.to_owned(),
    };
    line.split(' ').map(word).collect()
}

fn run(folder: &Path, line: &str) -> String {
    String::from_utf8(says(&arguments(folder, line))).unwrap()
}

fn json(folder: &Path, line: &str) -> Value {
    serde_json::from_str(&run(folder, line)).unwrap()
}

/// What it says where it fails: after "error", with exit code 1.
fn fails(folder: &Path, line: &str) -> String {
    let output = program(&arguments(folder, line));
    assert_eq!(output.status.code(), Some(1), "{line}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().any(|line| line.starts_with("error: ")) && !said.contains("panicked"), "{said}");
    said
}

/// A folder with the demo's tables and its study.
fn demo_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), "demo-data --out ./demo");
    fs::write(folder.path().join("study.toml"), include_str!("../../examples/breast-cancer/study.toml")).unwrap();
    folder
}

fn site(n: usize) -> String {
    format!("./demo/{}.csv", demo::SITES[n].0)
}

#[test]
fn a_model_of_one_table_is_trained_measured_and_used() {
    let dir = demo_folder();
    let dir = dir.path();
    let data = site(0);
    let train = format!("train --study ./study.toml --data {data} --test ./demo/held-out.csv --out ./model");
    let said = json(dir, &format!("{train} --json"));
    assert_eq!(said["rounds"], 10);
    // the cut was chosen on the rows whose figures at it stand here, and the reader is told so
    assert!(said["validation"]["at_cut"]["cut"].is_number(), "{said}");
    let note = said["note"].as_str().unwrap();
    assert!(note.contains("validation.at_cut") && note.contains("chosen on these very rows"), "{note}");
    assert!(said["test"]["auc"].as_f64().unwrap() > 0.95, "{said}");
    assert_eq!(fs::metadata(dir.join("model/model.json")).unwrap().permissions().mode() & 0o777, 0o600);
    // what was trained before is not lost
    let refused = fails(dir, &train);
    assert!(refused.contains("has a model already, and is not overwritten: name a new folder with --out"), "{refused}");
    // the same again is the same model
    let again = run(dir, &train.replace("./model", "./again"));
    for words in [
        "trained              10 rounds on 1",
        "on those set aside   ",
        "on the held-out rows\nrows                 114, of which 42 are \"M\"",
        "ready for `predict` and `evaluate`",
        "say yes from the probability",
        "caution: ",
        "ml-worker predict --model",
    ] {
        assert!(again.contains(words), "{words} in\n{again}");
    }
    let model = |name: &str| fs::read(dir.join(name).join("model.safetensors")).unwrap();
    assert_eq!(model("model"), model("again"));

    let evaluated = json(dir, "evaluate --model ./model --data ./demo/held-out.csv --json");
    assert_eq!(evaluated, said["test"]);

    let held_out = fs::read_to_string(dir.join("demo/held-out.csv")).unwrap();
    let printed = run(dir, "predict --model ./model --data ./demo/held-out.csv");
    let label = held_out.lines().next().unwrap().split(',').position(|name| name == "diagnosis").unwrap();
    let bare: String = held_out
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').enumerate().filter(|(n, _)| *n != label).map(|(_, c)| c).collect();
            cells.join(",") + "\n"
        })
        .collect();
    fs::write(dir.join("bare.csv"), &bare).unwrap();
    assert!(run(dir, "predict --model ./model --data ./bare.csv --out ./p.csv").contains("p.csv: "));
    assert_eq!(fs::read_to_string(dir.join("p.csv")).unwrap(), printed);
    assert_eq!(fs::metadata(dir.join("p.csv")).unwrap().permissions().mode() & 0o777, 0o600);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), held_out.lines().count());
    assert!(lines[0].starts_with("row,p(M),M if p(M) >= 0.5"), "{}", lines[0]);
    let bundle = Bundle::read(&dir.join("model")).unwrap();
    let table = read_file(&dir.join("demo/held-out.csv"), &bundle.spec.data, &[0; 32], &Reading::default());
    let logits = desk::logits(&bundle, &table.unwrap().table.unwrap()).unwrap().0;
    for (n, (line, z)) in lines[1..].iter().zip(&logits).enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let p: f64 = cells[1].parse().unwrap();
        assert!(cells[0] == (n + 1).to_string() && (p - 1.0 / (1.0 + (-f64::from(*z)).exp())).abs() < 1e-9, "{line}");
        assert_eq!(cells[2], u8::from(p >= 0.5).to_string());
    }

    let inspected = run(dir, "inspect --model ./model");
    for part in ["dense", "513 parameters", "Malignant or benign", "made: {\"desk\""] {
        assert!(inspected.contains(part), "{part}: {inspected}");
    }
    assert!(run(dir, "inspect --study ./study.toml").contains("input [30], 1 outputs"));
}

#[test]
fn a_table_is_looked_at_before_and_its_columns_counted() {
    let dir = demo_folder();
    let dir = dir.path();
    let said = run(dir, &format!("preflight --study ./study.toml --data {}", site(1)));
    assert!(said.contains("the study can train on it") && said.contains("columns: 31"), "{said}");
    let report = json(dir, &format!("preflight --json --study ./study.toml --data {}", site(1)));
    assert_eq!(report["usable"], true);
    // as training splits
    let trained = json(dir, &format!("train --json --rounds 1 --study ./study.toml --data {} --out ./model", site(1)));
    assert_eq!(trained["rows"]["training"], report["training"]["rows"]);
    assert_eq!(trained["rows"]["validation"], report["validation"]["rows"]);
    let with_secret = format!("--secret ./demo/{}.secret", demo::SITES[1].0);
    run(dir, &format!("preflight --study ./study.toml --data {} {with_secret}", site(1)));
    let columns = run(dir, &format!("columns --data {} --named diagnosis", site(1)));
    assert!(columns.starts_with("features = { others = { count = 30, hash = \""), "{columns}");
    // what is printed goes into a study file as it is
    let study = fs::read_to_string(dir.join("study.toml")).unwrap();
    let (head, rest) = study.split_once("[data.features]").unwrap();
    let rest = &rest[rest.find("[model.dense]").unwrap()..];
    fs::write(dir.join("others.toml"), format!("{head}{columns}\n{rest}")).unwrap();
    run(dir, &format!("preflight --study ./others.toml --data {}", site(1)));

    fs::write(dir.join("bad.csv"), "mean radius,diagnosis\n1,M\n").unwrap();
    let output = program(&arguments(dir, "preflight --study ./study.toml --data ./bad.csv"));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("has no column \"mean texture\""));
}

#[test]
fn a_table_larger_than_memory_is_worked_on_from_a_copy_that_is_purged() {
    let dir = demo_folder();
    let dir = dir.path();
    let train = |more: &str, out: &str| {
        let line = format!("train --json --rounds 2 --study ./study.toml --data {} --out {out}{more}", site(0));
        json(dir, &line)
    };
    train("", "./whole");
    train(" --memory 0 --working-copies ./copies", "./copied");
    let model = |name: &str| fs::read(dir.join(name).join("model.safetensors")).unwrap();
    assert_eq!(model("whole"), model("copied"));
    assert_eq!(fs::read_dir(dir.join("copies")).unwrap().count(), 1);
    let said = run(dir, "purge --dir ./copies");
    assert!(said.contains("removed: ") && said.contains("1 working copies removed from"), "{said}");
    assert_eq!(fs::read_dir(dir.join("copies")).unwrap().count(), 0);
    let refused = fails(dir, &format!("train --study ./study.toml --data {} --out ./no --memory 0", site(0)));
    assert!(refused.contains("allow more memory, or a folder for a working copy"), "{refused}");
    assert!(fails(dir, "purge --dir ./coppies").contains("is no folder"));
    // what the worker would serve is counted as it would be, from a copy that goes again
    let check = format!("check --study ./study.toml --data {}", site(0));
    assert_eq!(run(dir, &format!("{check} --memory 0")), run(dir, &check));
}

#[test]
fn errors_say_what_is_wrong_and_where() {
    let dir = demo_folder();
    let dir = dir.path();
    let train = |data: &str| format!("train --study ./study.toml --data {data} --out ./model");
    assert!(fails(dir, &train("./nowhere.csv")).contains("nowhere.csv: cannot be read"));
    let whole = fs::read_to_string(dir.join("demo/held-out.csv")).unwrap();
    let (header, rows) = whole.split_once('\n').unwrap();
    let label = header.split(',').position(|name| name == "diagnosis").unwrap();
    let mut cells: Vec<&str> = rows.lines().next().unwrap().split(',').collect();
    let number = usize::from(label == 0);
    cells[number] = "SECRET";
    fs::write(dir.join("bad.csv"), format!("{header}\n{}\n{rows}", cells.join(","))).unwrap();
    let said = fails(dir, &train("./bad.csv"));
    assert!(said.contains("bad.csv, line 2, column") && said.contains("is not a number"), "{said}");
    assert!(!said.contains("SECRET"), "{said}");
    assert!(fails(dir, "evaluate --model ./model --data ./bad.csv").contains("--model takes the folder that"));
    assert!(fails(dir, "inspect --study ./bad.csv").contains("bad.csv"));
    assert!(fails(dir, &format!("columns --data {} --named diagnose", site(0)))
        .contains("has no column \"diagnose\"; is \"diagnosis\" meant?"));
    // the output's folder is looked at before training
    fs::write(dir.join("file"), "").unwrap();
    assert!(fails(dir, &train(&site(0)).replace("./model", "./file/model")).contains("cannot make"));
    // a command without what it needs: the exit code of clap
    assert_eq!(program(&["train"]).status.code(), Some(2));

    run(dir, &train(&site(0)));
    cells[number] = "";
    fs::write(dir.join("bad.csv"), format!("{header}\n{rows}{}\n", cells.join(","))).unwrap();
    let said = fails(dir, "predict --model ./model --data ./bad.csv --out ./p.csv");
    assert!(said.contains(&format!("bad.csv, line {}, column", whole.lines().count() + 1)), "{said}");
    assert!(!dir.join("p.csv").exists(), "nothing is written of a part");
    let mut model = fs::read(dir.join("model/model.safetensors")).unwrap();
    *model.last_mut().unwrap() ^= 1;
    fs::write(dir.join("model/model.safetensors"), model).unwrap();
    assert!(fails(dir, "inspect --model ./model").contains("is not the model that model.json was written with"));
}

/// Pictures whose upper half is bright where the finding is there, and their table and study.
fn album() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut table = String::from("file,finding\n");
    for n in 0..40u32 {
        let ill = n.is_multiple_of(2);
        let picture = image::GrayImage::from_fn(14, 12, |x, y| {
            image::Luma([((n * 37 + x * 11 + y * 7) % 50 + if ill && y < 6 { 150 } else { 30 }) as u8])
        });
        picture.save(folder.path().join(format!("{n}.png"))).unwrap();
        table.push_str(&format!("{n}.png,{}\n", if ill { "present" } else { "absent" }));
    }
    let dir = folder.path().to_path_buf();
    // later pictures, of others
    let mut later = String::from("file,finding\n");
    for n in 0..10 {
        let name = format!("later-{n}.png");
        fs::copy(dir.join(format!("{n}.png")), dir.join(&name)).unwrap();
        later.push_str(&format!("{name},{}\n", if n % 2 == 0 { "present" } else { "absent" }));
    }
    fs::write(dir.join("later.csv"), later).unwrap();
    fs::write(dir.join("table.csv"), table).unwrap();
    let study = "title = \"Pictures\"\n[data]\nlabel = \"finding\"\npositive = \"present\"\nnegative = \"absent\"\n\
        pictures = { column = \"file\", height = 12, width = 12 }\n[model]\nlayers = [{ conv2d = { filters = 4, kernel = 3 } }, \
        { activation = \"relu\" }, { max_pool = { size = 2 } }, \"flatten\"]\n[training]\noptimizer = { adam = { \
        learning_rate = 0.01 } }\nbatch_size = 8\nepochs = 4\n[evaluation]\nvalidation_share = 0.25\nmin_rows = 4\n\
        [rules]\nrounds = 3\ntraining_seconds = 1\n";
    fs::write(dir.join("study.toml"), study).unwrap();
    (folder, dir)
}

#[test]
fn a_folder_of_pictures_is_worked_on_like_a_table() {
    let (_folder, dir) = album();
    let dir = dir.as_path();
    let said = run(dir, "preflight --study ./study.toml --data ./table.csv");
    assert!(said.contains("pictures: 40 can be read, 0 cannot; sizes: 14 x 12: 40"), "{said}");
    let trained = json(dir, "train --json --study ./study.toml --data ./table.csv --test ./later.csv --out ./model");
    assert_eq!(trained["rows"]["training"], 30);
    json(
        dir,
        "train --json --study ./study.toml --data ./table.csv --out ./copied --memory 0 --working-copies ./copies",
    );
    let model = |name: &str| fs::read(dir.join(name).join("model.safetensors")).unwrap();
    assert_eq!(model("model"), model("copied"));
    assert!(run(dir, "purge --dir ./copies").contains("1 working copies removed"));
    assert_eq!(json(dir, "evaluate --model ./model --data ./later.csv --json"), trained["test"]);
    assert!(run(dir, "inspect --model ./model").contains("conv2d 3x3"));
    let names: String = (0..40).map(|n| format!("{n}.png\n")).collect();
    fs::write(dir.join("new.csv"), format!("file\n{names}")).unwrap();
    let predicted = run(dir, "predict --model ./model --data ./new.csv");
    assert_eq!(predicted, run(dir, "predict --model ./model --data ./table.csv"));
    assert!(predicted.starts_with("row,file,p(present),present if p(present) >= 0.5"), "{predicted}");
    let right = predicted.lines().skip(1).enumerate().filter(|(n, line)| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells[1], format!("{n}.png"));
        (cells[3] == "1") == n.is_multiple_of(2)
    });
    assert!(right.count() > 36, "{predicted}");

    fs::write(dir.join("7.png"), "no picture").unwrap();
    for command in ["train --study ./study.toml --out ./no", "evaluate --model ./model", "predict --model ./model"] {
        let said = fails(dir, &format!("{command} --data ./table.csv"));
        assert!(said.contains("table.csv, line 9, picture 7.png: is neither a PNG nor a JPEG file"), "{said}");
    }
    let output = program(&arguments(dir, "preflight --study ./study.toml --data ./table.csv"));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("pictures: 39 can be read, 1 cannot") && said.contains("line 9, picture 7.png"), "{said}");
}

#[test]
fn rows_that_are_counted_without_the_secret_are_not_called_the_worker_s() {
    let dir = demo_folder();
    let dir = dir.path();
    let data = site(0);
    let secret = format!("./demo/{}.secret", demo::SITES[0].0);
    let said = run(dir, &format!("preflight --study ./study.toml --data {data}"));
    assert!(
        said.contains("counts: which rows train follows from the site's secret") && said.contains("--secret"),
        "{said}"
    );
    let said = run(dir, &format!("preflight --study ./study.toml --data {data} --secret {secret}"));
    assert!(!said.contains("which rows train follows"), "{said}");
    // the same count by the study file and by what is signed
    let counted = json(dir, &format!("check --study ./study.toml --data {data} --secret {secret}"));
    assert!(said.contains(&format!("training: {} rows", counted["training"]["rows"])), "{said}");
    let file = consilium_study::StudyFile::parse(&fs::read_to_string(dir.join("study.toml")).unwrap()).unwrap();
    fs::write(dir.join("spec.json"), file.spec().canonical().unwrap()).unwrap();
    assert_eq!(json(dir, &format!("check --spec ./spec.json --data {data} --secret {secret}")), counted);
    let by_spec = run(dir, &format!("preflight --spec ./spec.json --data {data} --secret {secret}"));
    assert_eq!(by_spec, said);
    let said = fails(dir, &format!("check --spec ./study.toml --data {data} --secret {secret}"));
    assert!(said.contains("study.toml"), "{said}");
    // and in the place of a specification, a study file is called one
    let said = fails(dir, "pack --spec ./study.toml --model ./study.toml --out ./packed");
    assert!(said.contains("this is a study file") && said.contains("study fetch"), "{said}");
}

#[test]
fn a_sites_file_is_read_as_the_worker_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let file = dir.join("sites.toml");
    let agreement = "Ab".repeat(32);
    fs::write(&file, format!("[[study]]\nagreement = \"0x{agreement}\"\ndata = \"t.csv\"\n")).unwrap();
    let list = json(dir, "sites --sites ./sites.toml");
    assert_eq!(list[0]["agreement"], agreement.to_lowercase());
    assert_eq!(list[0]["data"], dir.join("t.csv").display().to_string());
    fs::write(&file, "[[study]]\nagreement = \"abababababab\"\ndata = \"t.csv\"\n").unwrap();
    let said = fails(dir, "sites --sites ./sites.toml");
    assert!(said.contains("must have 64 hexadecimal digits") && said.contains("consilium study N"), "{said}");
    fs::write(&file, "[[study]\n").unwrap();
    assert!(fails(dir, "sites --sites ./sites.toml").contains("sites.toml"));
}
