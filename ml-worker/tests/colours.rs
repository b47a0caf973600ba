//! Pictures in colours: three channels in place of one.
#![allow(clippy::unwrap_used)]

use consilium_ml_worker::{
    data::{
        image::{parse_colours, parse_picture, Grey},
        preflight, read_file, Preprocessing, Reading, Scaler, Table,
    },
    desk::{self, Plan},
    learn::figures::Figures,
};
use consilium_study::{StudyFile, StudySpec};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

const KEY: [u8; 32] = [3; 32];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pictures").join(name)
}

/// `golden/pictures/colours.json`, by Pillow (`colours.py`).
#[test]
fn colours_are_those_that_pillow_finds_and_a_grey_picture_has_three_that_are_the_same() {
    let all: Value = serde_json::from_slice(&fs::read(golden("colours.json")).unwrap()).unwrap();
    let cases = all.as_array().unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let name = case["file"].as_str().unwrap();
        let path = golden(name);
        let bytes = fs::read(&path).unwrap();
        let mut planes: Vec<Grey> = Vec::new();
        parse_colours(&bytes, &path, &mut |plane| planes.push(plane)).unwrap();
        assert_eq!(planes.len(), 3, "{name}");
        // decoders of JPEG round colours each in its own way
        let tolerance = if name == "rgb.jpg" { 4.0 / 255.0 } else { 1e-7 };
        for (plane, wanted) in planes.iter().zip(case["planes"].as_array().unwrap()) {
            let wanted = wanted.as_array().unwrap();
            assert_eq!(
                (plane.width as u64, plane.pixels.len()),
                (case["width"].as_u64().unwrap(), wanted.len()),
                "{name}"
            );
            for (n, (found, wanted)) in plane.pixels.iter().zip(wanted).enumerate() {
                let off = (f64::from(*found) - wanted.as_f64().unwrap()).abs();
                assert!(off <= tolerance, "{name}, pixel {n}: {found} instead of {wanted}");
            }
        }
        if name.starts_with("grey") || name == "alpha.png" {
            let grey = parse_picture(&bytes, &path).unwrap();
            assert!(planes.iter().all(|plane| *plane == grey), "{name}");
        } else {
            assert!(planes[0] != planes[1] && planes[1] != planes[2], "{name}");
        }
    }
    let cut = fs::read(golden("truncated.png")).unwrap();
    let error = parse_colours(&cut, &golden("truncated.png"), &mut |_| ()).unwrap_err();
    assert!(error.message.contains("damaged or cut-off"), "{error}");
}

fn text(pictures: &str) -> String {
    format!(
        "title = \"t\"\n[data]\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\n\
         pictures = {{ column = \"file\", height = 4, width = 6, mean = 0.4, deviation = 0.3{pictures} }}\n[model]\n\
         layers = [{{ conv2d = {{ filters = 4, kernel = 3, padding = 1 }} }}, {{ activation = \"tanh\" }}, \"global_average_pool\"]\n\
         [training]\noptimizer = {{ adam = {{ learning_rate = 0.05 }} }}\nbatch_size = 8\nepochs = 8\n[evaluation]\n\
         validation_share = 0.3\nmin_rows = 2\n[rules]\nrounds = 3\ntraining_seconds = 5\n"
    )
}

fn study(pictures: &str) -> StudySpec {
    StudyFile::parse(&text(pictures)).unwrap().spec()
}

/// Pictures of one colour each, red of the ill, blue of the others; of the first one the colour.
fn album(folder: &Path, count: u8) -> (PathBuf, [u8; 3]) {
    let colour = |n: u8| if n.is_multiple_of(2) { [180 + n, 20, n] } else { [n, 20, 180 + n] };
    let mut table = String::from("file,ill\n");
    for n in 0..count {
        image::RgbImage::from_pixel(9, 5, image::Rgb(colour(n))).save(folder.join(format!("{n}.png"))).unwrap();
        table += &format!("{n}.png,{}\n", ["yes", "no"][usize::from(n % 2)]);
    }
    let path = folder.join("t.csv");
    fs::write(&path, table).unwrap();
    (path, colour(0))
}

fn numbers(spec: &StudySpec, table: &Table) -> Vec<f32> {
    let all: Vec<usize> = (0..table.rows()).collect();
    let scaler = Scaler::own(table, &all).unwrap();
    Preprocessing { spec: spec.data.clone(), scaler }.rows(table).unwrap().features().unwrap()
}

#[test]
fn a_network_takes_red_then_green_then_blue_from_memory_and_from_a_working_copy() {
    let folder = tempfile::tempdir().unwrap();
    let (path, first) = album(folder.path(), 40);
    let spec = study(", channels = 3");
    assert_eq!((spec.data.inputs(), spec.data.input_shape()), (72, vec![3, 4, 6]));
    let table = read_file(&path, &spec.data, &KEY, &Reading::default()).unwrap().table.unwrap();
    let found = numbers(&spec, &table);
    assert_eq!(found.len(), 40 * 72);
    for (channel, value) in first.into_iter().enumerate() {
        let wanted = ((f64::from((f64::from(value) / 255.0) as f32) - 0.4) / 0.3) as f32;
        for pixel in &found[channel * 24..(channel + 1) * 24] {
            assert!((pixel - wanted).abs() < 1e-6, "channel {channel}: {pixel} instead of {wanted}");
        }
    }
    let small = Reading { allowance: 1_000, folder: Some(folder.path().join("work")) };
    fs::create_dir(folder.path().join("work")).unwrap();
    for _ in 0..2 {
        let stored = read_file(&path, &spec.data, &KEY, &small).unwrap().table.unwrap();
        assert!(stored.on_disk());
        assert_eq!(numbers(&spec, &stored), found);
    }
    // it can be told red from blue by their colour
    let outcome = desk::train(&Plan { spec: &spec, rounds: 3, table: &table, secret: [4; 32] }, &|_| false).unwrap();
    let Some(Figures::Binary(figures)) = outcome.validation else { panic!() };
    assert_eq!(figures.auc, Some(1.0));
    let report = preflight(&path, &spec, &KEY, &Reading::default());
    assert!(report.usable, "{report}");
    // and of one channel it is grey
    let grey = study("");
    assert_eq!(grey.data.input_shape(), [1, 4, 6]);
    let table = read_file(&path, &grey.data, &KEY, &Reading::default()).unwrap().table.unwrap();
    assert_eq!(numbers(&grey, &table).len(), 40 * 24);
}

#[test]
fn channels_are_one_or_three_and_dicom_has_one() {
    let said = |pictures: &str| StudyFile::parse(&text(pictures)).unwrap_err().to_string();
    assert!(
        said(", channels = 2").contains("data.pictures.channels: 2 must be 1 (grey) or 3"),
        "{}",
        said(", channels = 2")
    );
    assert!(said(", channels = 3, kind = { dicom = \"own\" }").contains("DICOM is read as grey"));
    let canonical = |pictures: &str| String::from_utf8(study(pictures).canonical().unwrap()).unwrap();
    assert!(canonical(", channels = 3").contains("\"channels\":3"));
    assert_eq!(canonical(", channels = 1"), canonical(""));
    assert!(!canonical("").contains("channels"));
}
