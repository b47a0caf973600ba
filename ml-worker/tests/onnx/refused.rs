//! Rows that `predict` refuses, and models that cannot be exported.

use super::{
    fails, line, numbers, run,
    support::{file, says},
    tables::{rows, study},
};
use consilium_ml_worker::{
    desk::{Bundle, Made},
    onnx,
};
use consilium_study::StudyFile;
use std::{fs, path::Path};

/// Trains and exports by this data part, and gives the probabilities of these rows beside whether `predict` takes each of
/// them by itself.
fn each(folder: &Path, data: &str, header: &str, rows: &[&str]) -> Vec<(f64, bool)> {
    let deep = "[model.dense]\nhidden = [16]\nactivation = \"relu\"\n";
    fs::write(folder.join("study.toml"), study(data, deep, "")).unwrap();
    // the one before is not overwritten
    let _ = fs::remove_dir_all(folder.join("model"));
    line(folder, "train --study ./study.toml --data ./rows.csv --out ./model --draws 0");
    let model = folder.join("model.onnx");
    let _ = fs::remove_file(&model);
    line(folder, "export --model ./model --onnx ./model.onnx");
    fs::write(folder.join("new.csv"), format!("{header}\n{}\n", rows.join("\n"))).unwrap();
    let found = run(&[(model, folder.join("new.csv"))]).remove(0);
    for (z, p) in numbers(&found, "logits").iter().zip(numbers(&found, "probabilities")) {
        assert_eq!(z[0].is_nan(), p[0].is_nan());
    }
    let one = |row: &&str| {
        fs::write(folder.join("one.csv"), format!("{header}\n{row}\n")).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        let (model, data) = (path("model"), path("one.csv"));
        super::program(&["predict", "--model", &model, "--data", &data]).status.success()
    };
    numbers(&found, "probabilities").iter().map(|p| p[0]).zip(rows.iter().map(one)).collect()
}

#[test]
fn rows_that_predict_refuses_are_nan_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("rows.csv"), rows(1, 240)).unwrap();
    let table = |missing: &str, transform: &str| {
        format!(
            "features = {{ columns = [\"a\", \"few\"] }}\ncategorical = [{{ column = \"sex\", levels = [\"f\", \"m\"] }}]\nlabel = \"ill\"\n\
             positive = \"1\"\nnegative = \"0\"\nscaling = \"swarm\"\nmissing = \"{missing}\"\ntransform = \"{transform}\"\n"
        )
    };
    // 1e300 by a deviation of some units is beyond 32 bits
    let rows = ["40,1,f", ",1,f", "41,,m", "40,1,x", "40,1,", "40,1,F", "1e300,1,f", "-1e300,2,m", "39.5,0,m"];
    for missing in ["refuse", "drop_row"] {
        let found = each(dir, &table(missing, "none"), "a,few,sex", &rows);
        let taken: Vec<bool> = found.iter().map(|(_, taken)| *taken).collect();
        assert_eq!(taken, [true, false, false, false, false, false, false, false, true], "{missing}");
        for (row, (p, taken)) in rows.iter().zip(found) {
            assert_eq!((0.0..=1.0).contains(&p), taken, "{missing}: {row}: {p}");
            assert_eq!(p.is_nan(), !taken, "{missing}: {row}: {p}");
        }
    }
    let found = each(dir, &table("mean", "none"), "a,few,sex", &rows);
    let taken: Vec<bool> = found.iter().map(|(_, taken)| *taken).collect();
    assert_eq!(taken, [true, true, true, false, true, false, false, false, true]);
    found.iter().for_each(|(p, taken)| assert_eq!(p.is_nan(), !taken));
    // no mean stands in for a logarithm that there is not
    let negative = ["-0.5,1,f", "-1,1,f", "-2,1,m", "40,,m", "40,2,m"];
    // training rows have -1 among their values
    fs::write(dir.join("rows.csv"), super::tables::rows(1, 240).replace(",-1,", ",3,")).unwrap();
    let found = each(dir, &table("mean", "log1p"), "a,few,sex", &negative);
    assert_eq!(found.iter().map(|(_, taken)| *taken).collect::<Vec<_>>(), [true, false, false, true, true]);
    found.iter().for_each(|(p, taken)| assert_eq!(p.is_nan(), !taken));
}

#[test]
fn what_cannot_be_exported_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("rows.csv"), rows(1, 240)).unwrap();
    let data = "features = { columns = [\"a\", \"few\"] }\nlabel = \"ill\"\npositive = \"1\"\nnegative = \"0\"\nscaling = \"SCALING\"\n";
    let train = |scaling: &str| {
        fs::write(dir.join("study.toml"), study(&data.replace("SCALING", scaling), "[model.logistic]", "")).unwrap();
        let _ = fs::remove_dir_all(dir.join("model"));
        line(dir, "train --study ./study.toml --data ./rows.csv --out ./model --draws 0");
    };
    train("transductive");
    let said = fails(dir, "export --model ./model --onnx ./m.onnx");
    assert!(said.contains("own mean and deviation") && said.contains("transductive"), "{said}");
    assert!(!dir.join("m.onnx").exists());
    train("site");
    line(dir, "export --model ./model --onnx ./m.onnx");
    let written = fs::read(dir.join("m.onnx")).unwrap();
    let said = fails(dir, "export --model ./model --onnx ./m.onnx");
    assert!(said.contains("m.onnx is there already"), "{said}");
    assert_eq!(fs::read(dir.join("m.onnx")).unwrap(), written);
    let said = fails(dir, "export --model ./nothing --onnx ./x.onnx");
    assert!(said.contains("nothing"), "{said}");
    // the same model is the same file
    line(dir, "export --model ./model --onnx ./again.onnx");
    assert_eq!(fs::read(dir.join("again.onnx")).unwrap(), written);
    let help = String::from_utf8(says(&["export", "--help"])).unwrap();
    assert!(help.contains("ml-worker export --model model --onnx model.onnx"), "{help}");

    let mut bundle = Bundle::read(&dir.join("model")).unwrap();
    let text = include_str!("../../../examples/breast-cancer/study.toml")
        .replace("seed = 1\n", &format!("seed = 1\ninitial = {{ root = \"{}\", len = 9 }}\n", "0".repeat(64)))
        .replace("[model.dense]", "[model.external]")
        .replace(
            "hidden = [16]\nactivation = \"relu\"\n",
            &format!("code = {{ root = \"{}\", len = 9 }}\ntensors = [\"bias 1\", \"weight 1x30\"]\n", "1".repeat(64)),
        );
    bundle.spec = StudyFile::parse(&text).unwrap().spec();
    assert!(bundle.spec.model.external().is_some() && file().spec().model.external().is_none());
    let said = onnx::export(&bundle, None).unwrap_err().to_string();
    assert!(said.contains("program of its own (model.external)"), "{said}");
    assert!(matches!(bundle.made, Made::Desk { .. }));
}
