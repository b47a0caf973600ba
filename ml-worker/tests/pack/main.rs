//! A finished study's model, made ready for use at one of its sites.
#![allow(clippy::unwrap_used)]

mod hands;
#[path = "../support/mod.rs"]
mod support;

use consilium_aggregation::ModelFile;
use consilium_ml_worker::{
    data::{hash_data, own_statistics, Scaler, Split, Table},
    desk::Bundle,
    learn::{
        figures::groups,
        metrics::{validated_cut, Calibration, Metrics, PairedAuc, Recalibration, Resampling},
    },
    site::Home,
};
use consilium_primitives::Hash;
use consilium_study::StudySpec;
use std::{fs, path::Path};
use support::{
    finished::{rows, Study, STUDY},
    program, says,
};

fn truths(table: &Table, rows: &[usize]) -> Vec<bool> {
    rows.iter().map(|row| table.label(*row) == [1]).collect()
}

fn sigmoid(z: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(z)).exp())
}

#[test]
fn a_sites_validation_rows_choose_cuts_and_recalibration_which_predict_and_evaluate_use() {
    let study = Study::new("swarm");
    let said = study.json(&format!("{} --data ./1.csv --secret ./1.secret --sensitivity 0.9 --json", study.pack()));
    let site = &study.sites[0];
    let validation = Split::of(&site.table, 0.4).rows(&site.table).1;
    let scaler = Scaler::standard(study.outcome.statistics.as_ref().unwrap());
    let z = study.logits(&scaler, &site.table, &validation);
    let labels = truths(&site.table, &validation);
    let bundle = Bundle::read(&study.path("packed")).unwrap();
    let fitted = bundle.fitted.clone().unwrap();
    assert_eq!((fitted.rows, &fitted.positives), (validation.len(), &vec![labels.iter().filter(|l| **l).count()]));
    assert_eq!(said["fitted"], serde_json::to_value(&fitted).unwrap());
    let youden = validated_cut(&z, &labels).unwrap();
    assert_eq!((&bundle.cuts, &fitted.cuts), (&vec![Some(youden)], &vec![Some(youden)]));
    let wide: Vec<f64> = z.iter().map(|z| f64::from(*z)).collect();
    let by = Recalibration::of(&wide, &labels).unwrap();
    assert_eq!(fitted.recalibration, [Some(by)]);
    let wanted = fitted.sensitivity.unwrap();
    let cut = wanted.cuts[0].unwrap();
    assert!(wanted.sensitivity == 0.9 && cut != youden);
    let found = z.iter().zip(&labels).filter(|(z, l)| **l && sigmoid(**z) >= cut).count();
    assert!(found as f64 >= 0.9 * fitted.positives[0] as f64);

    let new = study.table("new.csv");
    let all: Vec<usize> = (0..new.rows()).collect();
    let z = study.logits(&scaler, &new, &all);
    let printed = study.run("predict --model ./packed --data ./new.csv");
    let mut lines = printed.lines();
    let header = format!(
        "row,patient,p(1),1 if p(1) >= 0.5,1 if p(1) >= {youden:.4} (Youden),1 if p(1) >= {cut:.4} (sensitivity 0.9),recalibrated p(1)"
    );
    assert_eq!(lines.next(), Some(header.as_str()));
    let text = fs::read_to_string(study.path("new.csv")).unwrap();
    let patients = text.lines().skip(1).map(|line| line.split(',').next().unwrap());
    for ((line, z), patient) in lines.zip(&z).zip(patients) {
        let (row, rest) = line.split_once(&format!(",{patient},")).unwrap();
        let cells: Vec<f64> = [row].into_iter().chain(rest.split(',')).map(|cell| cell.parse().unwrap()).collect();
        let p = sigmoid(*z);
        let at = |cut: f64| f64::from(u8::from(p >= cut));
        assert_eq!(&cells[2..5], [at(0.5), at(youden), at(cut)]);
        assert!((cells[1] - p).abs() < 1e-12 && (cells[5] - by.probability(f64::from(*z))).abs() < 1e-12, "{line}");
    }

    let evaluated = study.json("evaluate --model ./packed --data ./new.csv --by sex --draws 300 --seed 4 --json");
    let labels = truths(&new, &all);
    let patients = groups(&study.spec.data, &new, &all);
    let metrics = Metrics::by_group(&z, &labels, Some(youden), Some(&patients)).unwrap();
    let figures = serde_json::to_value(&metrics).unwrap();
    for (name, value) in figures.as_object().unwrap() {
        assert_eq!(&evaluated[name], value, "{name}");
    }
    let output = &evaluated["outputs"][0];
    let on = format!("on {} validation rows", validation.len());
    assert_eq!(output["cuts"][0]["chosen"], format!("highest Youden's J {on}"));
    assert_eq!(output["cuts"][1]["chosen"], format!("highest with a sensitivity of 0.9 {on}"));
    assert_eq!((&output["cuts"][0]["cut"], &output["cuts"][1]["cut"]), (&youden.into(), &cut.into()));
    let wide: Vec<f64> = z.iter().map(|z| f64::from(*z)).collect();
    let calibration = Calibration::of(&wide, &labels);
    assert_eq!(output["calibration"], serde_json::to_value(calibration).unwrap());
    assert!(output["calibration"]["slope"].is_f64() && output["calibration"]["in_the_large"].is_f64());
    // a line through a line: the slope that is left is the one over the other
    let left = output["recalibrated"]["calibration"]["slope"].as_f64().unwrap();
    assert!((left - calibration.slope.unwrap() / by.slope).abs() < 1e-6);
    // groups are drawn, as the module does by itself
    let bootstrap = &evaluated["bootstrap"];
    assert_eq!((&bootstrap["draws"], &bootstrap["seed"], &bootstrap["groups"]), (&300.into(), &4.into(), &60.into()));
    assert_eq!(bootstrap["of"], "groups of column \"patient\"");
    let drawn = Resampling::new(&patients, 300, 4).intervals(|rows| {
        let z: Vec<f32> = rows.iter().map(|row| z[*row]).collect();
        let labels: Vec<bool> = rows.iter().map(|row| labels[*row]).collect();
        vec![Metrics::of(&z, &labels).unwrap().auc]
    });
    assert_eq!(bootstrap["intervals"]["auc"], serde_json::to_value(drawn[0].interval).unwrap());
    assert!(bootstrap["intervals"]["calibration slope"][0].is_f64());
    // subgroups
    let by = &evaluated["by"];
    let women: Vec<usize> = all.iter().copied().filter(|row| row / 2 % 2 == 0).collect();
    let of: Vec<f32> = women.iter().map(|row| z[*row]).collect();
    assert_eq!((&by["column"], by["subgroups"].as_object().unwrap().len()), (&"sex".into(), 2));
    assert_eq!(by["subgroups"]["f"]["rows"], 60);
    assert_eq!(by["subgroups"]["f"]["brier"], Metrics::of(&of, &truths(&new, &women)).unwrap().brier);
    assert!(study.fails("evaluate --model ./packed --data ./new.csv --by a").contains("more than 64 different values"));
    assert!(study.fails("evaluate --model ./packed --data ./new.csv --by age").contains("no column \"age\""));
    let gap = fs::read_to_string(study.path("new.csv")).unwrap().replacen(",f,", ",,", 1);
    fs::write(study.path("gap.csv"), gap).unwrap();
    assert!(study
        .fails("evaluate --model ./packed --data ./gap.csv --by sex")
        .contains("every row needs a value there"));
    // all draws are kept until their percentiles are known
    let more = program(&study.arguments("evaluate --model ./packed --data ./new.csv --draws 100001"));
    assert_eq!(more.status.code(), Some(2));
    assert!(PairedAuc::by_group(&z, &z, &labels, &patients).is_some());
}

#[test]
fn what_each_site_scales_by_travels_with_the_model_that_is_packed_there() {
    for scaling in ["site", "none"] {
        let study = Study::new(scaling);
        if scaling == "site" {
            assert!(study.fails(&study.pack()).contains("pack the model where these are (--data"));
        } else {
            study.run(&study.pack());
            let said = study.fails("predict --model ./packed --data ./new.csv");
            assert!(said.contains("values are missing") && said.contains("pack --data"), "{said}");
        }
        study.run(&format!("{} --data ./2.csv --secret ./2.secret", study.pack()));
        let site = &study.sites[1];
        let training = Split::of(&site.table, 0.4).rows(&site.table).0;
        let own = own_statistics(&site.table, &training).unwrap();
        let scaler = if scaling == "site" { Scaler::standard(&own) } else { Scaler::identity(&own) };
        let new = study.table("new.csv");
        let z = study.logits(&scaler, &new, &(0..new.rows()).collect::<Vec<_>>());
        let printed = study.run("predict --model ./packed --data ./new.csv");
        for (line, z) in printed.lines().skip(1).zip(&z) {
            let p: f64 = line.split(',').nth(2).unwrap().parse().unwrap();
            assert!((p - sigmoid(*z)).abs() < 1e-12, "{line}");
        }
    }
}

#[test]
fn people_read_the_first_figures_and_what_was_written() {
    let study = Study::new("swarm");
    let said = study.run(&format!("{} --data ./1.csv --secret ./1.secret", study.pack()));
    assert!(said.contains("packed: the model, ready") && said.contains("say yes from the probability 0."), "{said}");
    assert!(said.contains("validation rows") && said.contains("recalibrated with slope"), "{said}");
    assert!(said.contains("to use it: ml-worker predict --model ") && said.contains("packed --data FILE"), "{said}");
    let said = study.run("evaluate --model ./packed --data ./new.csv --by sex");
    for part in [
        "rows                 120, of which 24 are \"1\"",
        "(95 % interval 0.",
        "sensitivity",
        "specificity",
        "sex \"f\"",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(said.lines().count() < 14 && said.contains("--json"), "{said}");
    let said = study.run("predict --model ./packed --data ./new.csv --out ./p.csv");
    assert!(said.contains("p.csv: 120 predictions, one for each row of "), "{said}");
    let written = fs::read(study.path("p.csv")).unwrap();
    let said = study.fails("predict --model ./packed --data ./1.csv --out ./p.csv");
    assert!(said.contains("p.csv is there already"), "{said}");
    assert_eq!(fs::read(study.path("p.csv")).unwrap(), written);
}

#[test]
fn a_cut_is_not_chosen_with_another_sites_secret_or_table_where_the_workers_folder_tells() {
    let study = Study::new("swarm");
    // a worker's folder as it is after the study
    let home = Home::open(&study.path("worker")).unwrap();
    let (agreement, own) = (Hash::repeat_byte(7), study.path("1.csv"));
    let spec = study.spec.canonical().unwrap();
    assert!(home.same_spec(&agreement, &home.put_spec(&spec).unwrap()).unwrap());
    home.put_data(&agreement, &hash_data(&own, &study.spec.data).unwrap()).unwrap();
    fs::copy(study.path("1.secret"), study.path("worker/secret")).unwrap();
    let with = |data: &str| format!("{} --data {data} --secret ./worker/secret", study.pack());
    study.run(&with("./1.csv"));
    let said = study.fails(&with("./2.csv"));
    assert!(said.contains("2.csv: is not the table") && said.contains("split.json"), "{said}");
    // of another study nothing is known
    let other = StudySpec { seed: study.spec.seed + 1, ..study.spec.clone() };
    fs::write(study.path("spec.json"), other.canonical().unwrap()).unwrap();
    study.run(&with("./2.csv"));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let study = Study::new("swarm");
    assert_eq!(program(&study.arguments(&format!("{} --data ./1.csv", study.pack()))).status.code(), Some(1));
    let with = |more: &str| study.fails(&format!("{} --data ./1.csv --secret ./1.secret {more}", study.pack()));
    assert!(with("--sensitivity 1.5").contains("must be above 0 and at most 1"));
    // a kept split is taken as it is; one of other rows is refused
    let split = Split::of(&study.sites[0].table, 0.1);
    fs::write(study.path("split.json"), serde_json::to_vec(&split).unwrap()).unwrap();
    let said = study.json(&format!("{} --data ./1.csv --secret ./1.secret --split ./split.json --json", study.pack()));
    assert_eq!(said["fitted"]["rows"], split.rows(&study.sites[0].table).1.len());
    let other = Split::of(&study.sites[1].table, 0.1);
    fs::write(study.path("split.json"), serde_json::to_vec(&other).unwrap()).unwrap();
    assert!(with("--split ./split.json").contains("knows none of the rows"));
}

#[test]
fn a_value_beyond_f32_is_named_and_not_predicted() {
    let study = Study::new("swarm");
    study.run(&study.pack());
    let text = fs::read_to_string(study.path("new.csv")).unwrap();
    let row = "P1,f,1e300,0.5,1\n";
    fs::write(study.path("new.csv"), text + row).unwrap();
    for command in ["predict", "evaluate"] {
        let said = study.fails(&format!("{command} --model ./packed --data ./new.csv"));
        assert!(said.contains("row 121, column \"a\": a scaled value leaves the range of f32"), "{said}");
        assert!(!said.contains("1e300"), "{said}");
    }
    // nor does it choose a cut
    let own = fs::read_to_string(study.path("1.csv")).unwrap();
    let far: String = (0..12).map(|n| format!("far{n},f,1e300,0.5,1\n")).collect();
    fs::write(study.path("1.csv"), own + &far).unwrap();
    let said = study.fails(&format!("{} --data ./1.csv --secret ./1.secret", study.pack()));
    assert!(
        said.contains("1.csv") && said.contains(", column \"a\": a scaled value leaves the range of f32"),
        "{said}"
    );
}

#[test]
fn a_row_without_a_subgroup_moves_no_other_row_into_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let study =
        STUDY.replace("SCALING", "site").replace("missing =", "bad_rows = { skip = { at_most = 0.2 } }\nmissing =");
    fs::write(file("study.toml"), study).unwrap();
    let text = rows(1, 60);
    fs::write(file("whole.csv"), &text).unwrap();
    fs::write(file("gap.csv"), text.replacen(",f,", ",,", 1)).unwrap();
    says(&["train", "--study", &file("study.toml"), "--data", &file("whole.csv"), "--out", &file("model")]);
    let evaluate = |data: &str| program(&["evaluate", "--model", &file("model"), "--data", &file(data), "--by", "sex"]);
    assert!(evaluate("whole.csv").status.success());
    let gap = evaluate("gap.csv");
    let said = String::from_utf8(gap.stderr).unwrap();
    assert!(
        !gap.status.success() && said.contains("says of 119 rows") && said.contains("and 120 were measured"),
        "{said}"
    );
}

#[test]
fn the_safetensors_crate_opens_what_is_written() {
    let study = Study::new("swarm");
    study.run(&study.pack());
    let open = |name: &Path| fs::read(study.folder.path().join(name)).unwrap();
    for name in ["model.safetensors", "packed/model.safetensors"] {
        let bytes = open(Path::new(name));
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut found = Vec::new();
        for tensor in study.spec.layout().unwrap().tensors() {
            let view = tensors.tensor(&tensor.name).unwrap();
            assert_eq!((view.dtype(), view.shape()), (safetensors::Dtype::F32, &tensor.shape[..]));
            found.extend(view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())));
        }
        assert_eq!(found, study.outcome.model, "{name}");
    }
    let bytes = open(Path::new("statistics.safetensors"));
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mean: Vec<f64> = tensors
        .tensor("mean")
        .unwrap()
        .data()
        .chunks_exact(8)
        .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(mean, study.outcome.statistics.as_ref().unwrap().mean);
    // an update names the duty it answers
    let layout = study.spec.layout().unwrap();
    let update = ModelFile { layout, duty: Some([7; 32].into()), data: study.outcome.model.clone() }.encode().unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&update).unwrap();
    assert!(header.metadata().as_ref().unwrap().values().any(|value| value.contains(&"07".repeat(32))));
}
