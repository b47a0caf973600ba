//! Models of one's own, and files that a study begins with: what may be written, and what is said of what may not.
#![allow(clippy::unwrap_used)]

use consilium_study::{starting_parameters, Attachments, NamedFile, StudyFile, StudySpec};
use safetensors::{tensor::TensorView, Dtype};

const STUDY: &str = include_str!("../../examples/own-csv/study.toml");

fn file(list: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let views =
        list.iter().map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn named(bytes: &[u8]) -> String {
    let NamedFile { root, len } = NamedFile::of(bytes);
    format!("{{ root = \"{root}\", len = {len} }}")
}

/// The study of `examples/own-csv` with this model and this initial file.
fn study(model: &str, initial: &str) -> Result<StudySpec, String> {
    let begin = STUDY.find("[model").unwrap();
    let end = begin + STUDY[begin..].find("[training]").unwrap();
    let text = format!("{initial}\n{}{model}\n{}", &STUDY[..begin], &STUDY[end..]);
    StudyFile::parse(&text).map(|file| file.spec()).map_err(|error| error.to_string())
}

fn external(more: &str) -> String {
    format!("[model.external]\ncode = {}\n{more}", named(b"code"))
}

/// `w` and `b` are merged, `bn.mean` stays, `deep.w` never changes, `count` is no float.
fn whole() -> Vec<u8> {
    file(&[
        ("w", Dtype::F32, &[1, 2], &floats(&[1.0, 2.0])),
        ("b", Dtype::F32, &[], &floats(&[3.0])),
        ("bn.mean", Dtype::F32, &[1], &floats(&[4.0])),
        ("deep.w", Dtype::F32, &[1], &floats(&[5.0])),
        ("count", Dtype::I64, &[], &7i64.to_le_bytes()),
    ])
}

#[test]
fn what_is_merged_follows_from_the_specification_and_what_it_begins_with_from_the_file() {
    let model = external("tensors = [\"b\", \"w 1x2\"]\nlocal = [\"bn.\"]\nfrozen = [\"deep.\"]\nintegers = \"local\"\nsettings = { rate = 0.5, deep = [1, 2] }");
    let bytes = whole();
    let spec = study(&model, &format!("initial = {}", named(&bytes))).unwrap();
    assert_eq!(StudySpec::from_canonical(&spec.canonical().unwrap()).unwrap(), spec);
    let attachments = Attachments::of(&spec.canonical().unwrap());
    assert_eq!(attachments.initial, Some(NamedFile::of(&bytes).blob("").unwrap()), "what couriers read of it");
    assert_eq!(attachments.code, Some(NamedFile::of(b"code").blob("").unwrap()));
    assert_eq!(spec.layout().unwrap().elements(), 3);
    assert_eq!(starting_parameters(&spec, Some(&bytes)).unwrap(), [3.0, 1.0, 2.0], "by the bytes of the names");
    let missing = starting_parameters(&spec, None).unwrap_err().to_string();
    assert!(missing.contains("not at hand"), "{missing}");
    let other = file(&[("w", Dtype::F32, &[1, 2], &floats(&[1.0, 2.0]))]);
    assert!(starting_parameters(&spec, Some(&other)).unwrap_err().to_string().contains("not the one"));
}

#[test]
fn a_study_without_a_file_to_begin_with_has_the_specification_it_always_had() {
    let spec = StudyFile::parse(STUDY).unwrap().spec();
    let text = String::from_utf8(spec.canonical().unwrap()).unwrap();
    assert!(!text.contains("\"initial\""), "{text}");
}

#[test]
fn what_cannot_be_is_said_by_its_field() {
    let bytes = whole();
    let initial = format!("initial = {}", named(&bytes));
    let tensors = "tensors = [\"b\", \"w 1x2\"]\n";
    let wrong = [
        (external(tensors), "", "initial: must be there"),
        (external("tensors = []"), initial.as_str(), "between 1 and"),
        (external("tensors = [\"w 1 x 2\"]"), &initial, "is no tensor"),
        (external("tensors = [\"w 01x2\"]"), &initial, "is no tensor"),
        (external("tensors = [\"w/x 1\"]"), &initial, "ASCII"),
        (external(&format!("{tensors}local = [\"\"]")), &initial, "an empty name"),
        (external(&format!("{tensors}frozen = [\"w\"]")), &initial, "is not merged"),
        (external(&format!("{tensors}lock = \"abc\"")), &initial, "no BLAKE3 hash"),
        (external(tensors).replace("root = \"", "root = \"0"), &initial, "no BLAKE3 hash"),
    ];
    for (model, initial, said) in wrong {
        let error = study(&model, initial).unwrap_err();
        assert!(error.contains(said), "{model}\n{error}");
    }
}

#[test]
fn rows_that_are_files_are_for_a_trainer_of_ones_own() {
    let columns = "features = { columns = [\"age\", \"crp\", \"spo2\"] }";
    let with = |pictures: &str, model: &str, initial: &str| {
        let text = STUDY.replace(columns, &format!("pictures = {{ column = \"scan\", {pictures} }}"));
        let text = text.replace("scaling = \"swarm\"", "scaling = \"none\"");
        let begin = text.find("[model").unwrap();
        let end = begin + text[begin..].find("[training]").unwrap();
        let text = format!("{initial}\n{}{model}\n{}", &text[..begin], &text[end..]);
        StudyFile::parse(&text).map(|file| file.spec()).map_err(|error| error.to_string())
    };
    let (initial, model) = (format!("initial = {}", named(&whole())), external("tensors = [\"b\", \"w 1x2\"]\n"));
    let spec = with("kind = \"files\"", &model, &initial).unwrap();
    assert!(spec.data.files() && spec.inputs() == 0 && spec.data.input_shape() == [0]);
    let canonical = spec.canonical().unwrap();
    assert_eq!(StudySpec::from_canonical(&canonical).unwrap(), spec);
    assert!(!String::from_utf8(canonical).unwrap().contains("\"height\""));
    let error = with("kind = \"files\", height = 8, width = 8", &model, &initial).unwrap_err();
    assert!(error.contains("leave out height"), "{error}");
    let error = with("kind = \"files\"", "[model.logistic]\n", "").unwrap_err();
    assert!(error.contains("data.pictures.kind") && error.contains("model.external"), "{error}");
    // pictures need their size as ever
    let error = with("width = 8", &model, &initial).unwrap_err();
    assert!(error.contains("data.pictures.height: 0 must lie between 1 and 4096"), "{error}");
}

#[test]
fn a_file_that_does_not_fit_is_refused_by_its_tensor() {
    let model = external("tensors = [\"b\", \"w 1x2\"]\n");
    let start = |list: &[(&str, Dtype, &[usize], &[u8])]| {
        let bytes = file(list);
        let spec = study(&model, &format!("initial = {}", named(&bytes))).unwrap();
        starting_parameters(&spec, Some(&bytes)).unwrap_err().to_string()
    };
    let (w, b) = (floats(&[1.0, 2.0]), floats(&[3.0]));
    let both = [("w", Dtype::F32, &[1usize, 2][..], &w[..]), ("b", Dtype::F32, &[][..], &b[..])];
    assert!(start(&both[..1]).contains("tensor b [] is missing"));
    assert!(start(&[both[1], ("w", Dtype::F32, &[2, 1], &w)]).contains("expected F32 [1, 2]"));
    assert!(
        start(&[both[0], both[1], ("more", Dtype::F32, &[1], &b)]).contains("tensor more [1] is none of the model's")
    );
    assert!(start(&[both[0], both[1], ("n", Dtype::I64, &[], &[0; 8])]).contains("model.external.integers"));
    let nan = floats(&[f32::NAN]);
    assert!(start(&[both[0], ("b", Dtype::F32, &[], &nan)]).contains("tensor b holds NaN"));
}

#[test]
fn a_network_of_this_program_goes_on_from_a_file_too() {
    let plain = study("[model.logistic]\n", "").unwrap();
    let inputs = plain.inputs();
    let weight: Vec<f32> = (0..inputs).map(|n| n as f32).collect();
    let bytes = file(&[
        ("layer00.weight", Dtype::F32, &[1, inputs], &floats(&weight)),
        ("layer00.bias", Dtype::F32, &[1], &floats(&[0.5])),
    ]);
    let names: Vec<String> = plain.layout().unwrap().tensors().iter().map(|t| t.name.clone()).collect();
    assert_eq!(names, ["layer00.bias", "layer00.weight"]);
    let spec = study("[model.logistic]\n", &format!("initial = {}", named(&bytes))).unwrap();
    assert_eq!(starting_parameters(&spec, Some(&bytes)).unwrap(), [vec![0.5], weight].concat());
    assert_ne!(spec.hash().unwrap(), plain.hash().unwrap());
}

/// Numbers beyond all measure can make a network single out rows.
#[test]
fn a_private_study_begins_with_numbers_within_bounds() {
    let inputs = study("[model.logistic]\n", "").unwrap().inputs();
    for (number, taken) in [(1e4f32, true), (-1e4, true), (1.1e4, false), (-3e38, false)] {
        let mut weight = vec![0.0; inputs];
        weight[inputs - 1] = number;
        let bytes = file(&[
            ("layer00.weight", Dtype::F32, &[1, inputs], &floats(&weight)),
            ("layer00.bias", Dtype::F32, &[1], &floats(&[0.5])),
        ]);
        let mut spec = study("[model.logistic]\n", &format!("initial = {}", named(&bytes))).unwrap();
        starting_parameters(&spec, Some(&bytes)).unwrap();
        let privacy = r#"{"epsilon": 4.0, "delta": 1e-5, "clip": 0.5, "rate": 0.25, "steps": 8}"#;
        spec.privacy = Some(serde_json::from_str(privacy).unwrap());
        match starting_parameters(&spec, Some(&bytes)) {
            Ok(_) => assert!(taken, "{number}"),
            Err(error) => assert!(!taken && error.to_string().contains("beside [privacy]"), "{number}: {error}"),
        }
    }
}
