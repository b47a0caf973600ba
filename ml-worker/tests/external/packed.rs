//! A finished study's model made ready at a site, with the tensors that stay there.

use super::{support::says, *};

#[test]
fn a_packed_model_has_the_tensors_that_stay_at_the_site_and_predicts_with_them() {
    let spec = study("steps = 1\nshift = 0.01", true);
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let zeros = ModelFile { layout: spec.layout().unwrap(), duty: None, data: vec![0.0; 31] }.encode().unwrap();
    let counter = tensors(&[("rounds", safetensors::Dtype::I64, vec![1], 1_000i64.to_le_bytes().to_vec())]);
    let settings = allowed(forms()[0], SLEEPLESS);
    let settings = settings.split_once("[study.trainer]\n").unwrap().1;
    fs::create_dir(at("got")).unwrap();
    let files: [(&str, Vec<u8>); 7] = [
        ("got/spec.json", spec.canonical().unwrap()),
        ("got/model.safetensors", zeros),
        ("data.csv", demo_csv(3).into_bytes()),
        ("secret", "07".repeat(32).into_bytes()),
        ("trainer.toml", settings.as_bytes().to_vec()),
        ("initial.safetensors", initial(true)),
        ("trainer.tar", code()),
    ];
    for (name, bytes) in files {
        fs::write(at(name), bytes).unwrap();
    }
    let words = |line: &str| -> Vec<String> {
        let word = |word: &str| match word.strip_prefix("./") {
            Some(file) => at(file).display().to_string(),
            None => word.to_owned(),
        };
        line.split(' ').map(word).collect()
    };
    let means = "--data ./data.csv --initial ./initial.safetensors --trainer ./trainer.toml --code ./trainer.tar";
    // all that this model says of a row is what the counter says: the probabilities of all rows
    let shares = |model: &str| -> Vec<f64> {
        let said = String::from_utf8(says(&words(&format!("predict --model ./{model} {means}")))).unwrap();
        let column = said.lines().next().unwrap().split(',').position(|name| name.starts_with("p(")).unwrap();
        said.lines().skip(1).map(|line| line.split(',').nth(column).unwrap().parse().unwrap()).collect()
    };
    says(&words(&format!("pack --dir ./got --out ./bare --secret ./secret {means}")));
    let bare = shares("bare");
    assert!(!bare.is_empty() && bare.iter().all(|share| (share - 0.5).abs() < 1e-6), "{bare:?}");
    // named, and as `consilium study fetch` puts it into the folder
    fs::write(at("counter"), &counter).unwrap();
    says(&words(&format!("pack --dir ./got --out ./named --secret ./secret --local ./counter {means}")));
    fs::write(at("got/local.safetensors"), &counter).unwrap();
    says(&words(&format!("pack --dir ./got --out ./found --secret ./secret {means}")));
    for model in ["named", "found"] {
        assert_eq!(fs::read(at(model).join("local.safetensors")).unwrap(), counter);
        let shares = shares(model);
        assert!(shares.iter().all(|share| *share > 0.9999), "{model}: {shares:?}");
    }
    // one of another model is refused before anything is written
    fs::write(at("got/local.safetensors"), tensors(&[("rounds", safetensors::Dtype::F32, vec![1], vec![0; 4])]))
        .unwrap();
    let output = support::program(&words(&format!("pack --dir ./got --out ./wrong --secret ./secret {means}")));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("rounds") && !at("wrong").exists(), "{said}");
}
