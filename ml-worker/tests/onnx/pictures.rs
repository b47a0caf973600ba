//! Models of pictures.

use super::{
    compare, line, numbers, run,
    tables::{study, uniform},
};
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::json;
use std::{fmt::Write, fs, path::Path};

const HEIGHT: u32 = 12;
const WIDTH: u32 = 10;

/// Pictures with a bright or a dark corner, a table that names them, and their pixels from 0 to 1.
fn draw(folder: &Path, name: &str, seed: u64, count: usize) {
    let mut next = uniform(seed);
    let (mut table, mut pixels) = (String::from("file,ill\n"), Vec::new());
    for n in 0..count {
        let ill = n % 2 == 0;
        let mut picture = GrayImage::new(WIDTH, HEIGHT);
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let bright = ill && x < 4 && y > 6;
            *pixel = Luma([(next() * 200.0) as u8 + if bright { 55 } else { 0 }]);
        }
        picture.save(folder.join(format!("{name}-{n}.png"))).unwrap();
        pixels.push(picture.as_raw().iter().map(|pixel| f64::from(*pixel) / 255.0).collect::<Vec<_>>());
        writeln!(table, "{name}-{n}.png,{}", u8::from(ill)).unwrap();
    }
    fs::write(folder.join(format!("{name}.csv")), table).unwrap();
    fs::write(folder.join(format!("{name}.json")), json!(pixels).to_string()).unwrap();
}

#[test]
fn models_of_pictures_take_their_pixels() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    draw(dir, "rows", 1, 60);
    draw(dir, "new", 2, 20);
    let data = format!(
        "pictures = {{ column = \"file\", height = {HEIGHT}, width = {WIDTH}, mean = 0.4, deviation = 0.2 }}\nlabel = \"ill\"\n\
         positive = \"1\"\nnegative = \"0\"\n"
    );
    let block = "{ conv2d = { filters = 4, kernel = 3, padding = 1 } }, { group_norm = { groups = 2 } }, { activation = \"silu\" }, \
                 { max_pool = { size = 3, stride = 2, padding = 1 } }, { residual = { branch = [{ conv2d = { filters = 6, kernel = 3, \
                 padding = 1 } }, { group_norm = { groups = 3, epsilon = 0.001 } }], shortcut = [{ conv2d = { filters = 6, kernel = 1 } \
                 }] } }, { average_pool = { size = 2, padding = 1 } }, { activation = \"relu\" }, ";
    let strided = "{ conv2d = { filters = 3, kernel = 4, stride = 2 } }, { activation = \"gelu_tanh\" }, { max_pool = { size = 2 } }, ";
    let ends = [
        "\"global_average_pool\"",
        "\"flatten\", { dense = { units = 5 } }, { activation = \"elu\" }, { layer_norm = {} }",
    ];
    let nets = [(block, ends[0]), (block, ends[1]), (strided, ends[1]), ("", "\"flatten\"")];
    let mut pairs = Vec::new();
    for (n, (first, last)) in nets.iter().enumerate() {
        let model = format!("[model]\nlayers = [{first}{last}]\n");
        fs::write(dir.join("study.toml"), study(&data, &model, "")).unwrap();
        line(dir, &format!("train --study ./study.toml --data ./rows.csv --out ./m{n} --draws 0"));
        line(dir, &format!("export --model ./m{n} --onnx ./m{n}.onnx"));
        pairs.push((dir.join(format!("m{n}.onnx")), dir.join("new.json")));
    }
    // what is no pixel from 0 to 1 gives no number
    let none = |value: f64| [vec![0.5; (HEIGHT * WIDTH) as usize - 1], vec![value]].concat();
    fs::write(dir.join("bad.json"), json!([none(0.5), none(128.0), none(-0.1)]).to_string()).unwrap();
    pairs.push((pairs[0].0.clone(), dir.join("bad.json")));
    let found = run(&pairs);
    for (n, found) in found.iter().take(nets.len()).enumerate() {
        let compared = compare(&format!("net {n}"), dir, &format!("m{n}"), "new.csv", found);
        assert!(compared >= 40, "{compared}");
        assert_eq!(found["about"]["pictures"], json!({ "height": HEIGHT, "width": WIDTH }).to_string());
    }
    let bad: Vec<bool> = numbers(&found[nets.len()], "probabilities").iter().map(|p| p[0].is_nan()).collect();
    assert_eq!(bad, [false, true, true]);
}

/// Pictures whose colour says who is ill, a table that names them, and their pixels from 0 to 1: red, green, blue one after another.
fn paint(folder: &Path, name: &str, seed: u64, count: usize) {
    let mut next = uniform(seed);
    let (mut table, mut pixels) = (String::from("file,ill\n"), Vec::new());
    for n in 0..count {
        let ill = n % 2 == 0;
        let mut picture = RgbImage::new(WIDTH, HEIGHT);
        for pixel in picture.pixels_mut() {
            let mut colour = [next(), next(), next()].map(|part| (part * 200.0) as u8);
            colour[usize::from(ill)] += 50;
            *pixel = Rgb(colour);
        }
        picture.save(folder.join(format!("{name}-{n}.png"))).unwrap();
        let plane = |part: usize| picture.pixels().map(move |pixel| f64::from(pixel.0[part]) / 255.0);
        pixels.push((0..3).flat_map(plane).collect::<Vec<f64>>());
        writeln!(table, "{name}-{n}.png,{}", u8::from(ill)).unwrap();
    }
    fs::write(folder.join(format!("{name}.csv")), table).unwrap();
    fs::write(folder.join(format!("{name}.json")), json!(pixels).to_string()).unwrap();
}

#[test]
fn models_of_pictures_in_colours_take_three_planes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    paint(dir, "rows", 3, 60);
    paint(dir, "new", 4, 20);
    let data = format!(
        "pictures = {{ column = \"file\", height = {HEIGHT}, width = {WIDTH}, mean = 0.4, deviation = 0.2, channels = 3 }}\n\
         label = \"ill\"\npositive = \"1\"\nnegative = \"0\"\n"
    );
    let model = "[model]\nlayers = [{ conv2d = { filters = 4, kernel = 3, padding = 1 } }, { activation = \"relu\" }, \"global_average_pool\"]\n";
    fs::write(dir.join("study.toml"), study(&data, model, "")).unwrap();
    line(dir, "train --study ./study.toml --data ./rows.csv --out ./m --draws 0");
    line(dir, "export --model ./m --onnx ./m.onnx");
    let found = run(&[(dir.join("m.onnx"), dir.join("new.json"))]).remove(0);
    assert!(compare("colours", dir, "m", "new.csv", &found) >= 40);
    assert_eq!(found["about"]["pictures"], json!({ "height": HEIGHT, "width": WIDTH, "channels": 3 }).to_string());
}
