//! Networks as data: what they become, and what is refused with the layer's name.
#![allow(clippy::unwrap_used)]

use consilium_study::{
    initial_parameters, Architecture, Initializer, Layer, Loss, Model, Penalty, Preset, Start, StudyFile, StudySpec,
    Task,
};

const FILE: &str = include_str!("../../examples/breast-cancer/study.toml");
const NETWORK: &str = "[model.dense]                    # or [model.logistic]\nhidden = [16]\nactivation = \"relu\"";

fn with(network: &str) -> Result<StudySpec, String> {
    assert!(FILE.contains(NETWORK));
    StudyFile::parse(&FILE.replace(NETWORK, network)).map(|file| file.spec()).map_err(|e| e.to_string())
}

fn layers(layers: &str) -> Result<StudySpec, String> {
    with(&format!("[model]\nlayers = [{layers}]"))
}

fn on(model: &str, input: &[usize]) -> Result<Architecture, String> {
    let model: Model = serde_json::from_str(model).unwrap();
    Architecture::new(&model, input, 1, Penalty::default()).map_err(|e| e.to_string())
}

#[test]
fn the_papers_network_has_its_number_of_parameters() {
    let architecture = Architecture::new(&Model::Preset(Preset::Nature2021), &[12_708], 1, Penalty::default()).unwrap();
    assert_eq!(architecture.parameters(), 4_558_977);
    // nature-2021: 5,948,289 and 6,261,377 parameters for the sets of 18,135 and 19,358 genes
    for (genes, parameters) in [(18_135, 5_948_289), (19_358, 6_261_377)] {
        let architecture = Architecture::new(&Model::Preset(Preset::Nature2021), &[genes], 1, Penalty::default());
        assert_eq!(architecture.unwrap().parameters(), parameters);
    }
    let l2: Vec<f64> = architecture.tensors.iter().filter(|t| t.kernel).map(|t| t.l2).collect();
    assert_eq!(l2, [0.0, 0.005, 0.005, 0.005, 0.005, 0.005, 0.005, 0.005, 0.005, 0.0]);
    assert!(architecture.tensors.iter().filter(|t| !t.kernel).all(|t| t.l2 == 0.0 && t.name.ends_with("bias")));
}

/// The authors' layers name no initialiser, so that all of them, the last too, begin as Keras' do: Glorot, uniform. Their
/// notebook's first epoch shows a loss of 14.70 in all: the penalty, of which Glorot's start has
/// `.005·Σ i·o·2 ÷ (i + o)` = 12.93 over the eight layers that are penalised (He's would have 28.8), and the cross-entropy.
#[test]
fn the_papers_network_starts_where_keras_starts_it() {
    let mut file = StudyFile::parse(include_str!("../../examples/nature2021/network.toml")).unwrap();
    for seed in [0, 1, 2_021] {
        file.seed = seed;
        let spec = file.spec();
        let parameters = initial_parameters(&spec).unwrap();
        let architecture = spec.architecture().unwrap();
        let layout = spec.layout().unwrap();
        let mut penalty = 0.0;
        for (shape, range) in layout.ranges() {
            let tensor = architecture.tensors.iter().find(|t| t.name == shape.name).unwrap();
            let numbers = &parameters[range];
            let Start::Drawn { init, inputs, outputs } = tensor.start else {
                assert!(numbers.iter().all(|b| *b == 0.0), "{}", tensor.name);
                continue;
            };
            assert_eq!(init, Initializer::GlorotUniform, "{}", tensor.name);
            let bound = (6.0 / (inputs + outputs) as f64).sqrt();
            let largest = numbers.iter().fold(0.0f64, |most, w| most.max(f64::from(w.abs())));
            assert!(largest <= bound * 1.000_001 && largest > bound * 0.9, "{}: {largest} {bound}", tensor.name);
            penalty += tensor.l2 * numbers.iter().map(|w| f64::from(*w) * f64::from(*w)).sum::<f64>();
        }
        assert!((penalty - 12.928).abs() < 0.05, "seed {seed}: {penalty}");
    }
}

#[test]
fn the_last_layer_is_written_only_where_it_is_another() {
    let last = |text: &str| {
        let spec = layers(text).unwrap();
        let tensors = spec.architecture().unwrap().tensors;
        let weight = tensors[tensors.len() - 2].clone();
        let Start::Drawn { init, .. } = weight.start else { panic!("a weight is drawn") };
        (init, weight.l1, weight.l2)
    };
    let hidden = "{ dense = { units = 4 } }, { activation = \"relu\" }";
    assert_eq!(last(hidden), (Initializer::GlorotNormal, 0.0, 0.0));
    assert_eq!(last(&format!("{hidden}, {{ output = {{}} }}")), (Initializer::GlorotNormal, 0.0, 0.0));
    let named = format!("{hidden}, {{ output = {{ init = \"zeros\", l1 = 0.5, l2 = 0.25 }} }}");
    assert_eq!(last(&named), (Initializer::Zeros, 0.5, 0.25));
    assert_eq!(last("{ output = { init = \"lecun_normal\" } }"), (Initializer::LecunNormal, 0.0, 0.0));
    let spec = layers(&named).unwrap();
    assert_eq!(StudySpec::from_canonical(&spec.canonical().unwrap()).unwrap(), spec);
    let (plain, written) = (layers(hidden).unwrap(), layers(&format!("{hidden}, {{ output = {{}} }}")).unwrap());
    assert_eq!(plain.architecture().unwrap().hash(), written.architecture().unwrap().hash());
    for (text, words) in [
        (format!("{{ output = {{}} }}, {hidden}"), "model.layers[0].output: is the last layer"),
        ("{ output = {} }, { output = {} }".to_owned(), "model.layers[0].output: is the last layer"),
        ("{ residual = { branch = [{ output = {} }] } }".to_owned(), "branch[0].output: is the last layer"),
        ("{ output = { units = 3 } }".to_owned(), "units"),
        ("{ output = { l1 = -1.0 } }".to_owned(), "model.layers[0].output.l1"),
    ] {
        let error = layers(&text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn presets_fit_the_pictures_they_are_made_for() {
    for (preset, side) in [(Preset::Xray128, 128), (Preset::Xray224, 224), (Preset::ResidualSmall, 64)] {
        let architecture = Architecture::new(&Model::Preset(preset), &[1, side, side], 3, Penalty::default()).unwrap();
        assert_eq!(architecture.nodes.last().unwrap().output, [3]);
        architecture.check_batch(16).unwrap();
    }
    let flat = Architecture::new(&Model::Preset(Preset::Xray128), &[30], 1, Penalty::default()).unwrap_err();
    let wanted = "conv2d expects a picture [channels, height, width], found a row of features [30]";
    assert_eq!(flat.to_string(), format!("model.layers[0]: {wanted}"));
}

#[test]
fn an_agreement_spells_a_preset_out() {
    let spec = with("[model]\npreset = \"nature2021\"").unwrap();
    assert!(matches!(&spec.model, Model::Layers(layers) if layers.len() == 28));
    let text = String::from_utf8(spec.canonical().unwrap()).unwrap();
    assert!(!text.contains("preset") && !text.contains("nature"), "{text}");
    assert_eq!(StudySpec::from_canonical(text.as_bytes()).unwrap(), spec);
    let mut named = spec.clone();
    named.model = Model::Preset(Preset::Nature2021);
    assert!(named.canonical().unwrap_err().to_string().contains("model.preset: is for study files"));
}

#[test]
fn two_ways_to_write_one_network_are_one_network() {
    let short = with("[model.dense]\nhidden = [8, 4]\nactivation = \"tanh\"\ndropout = 0.25").unwrap();
    let long = layers(
        "{ dense = { units = 8 } }, { activation = \"tanh\" }, { dropout = 0.25 }, { dense = { units = 4 } }, \
         { activation = \"tanh\" }, { dropout = 0.25 }",
    )
    .unwrap();
    let hash = |spec: &StudySpec| spec.architecture().unwrap();
    assert_eq!(hash(&short).tensors, hash(&long).tensors);
    assert_eq!(hash(&short).hash(), hash(&long).hash());
    assert_ne!(short.hash().unwrap(), long.hash().unwrap(), "the texts that are signed differ");
    for other in [
        "{ dense = { units = 8 } }, { activation = \"relu\" }, { dropout = 0.25 }, { dense = { units = 4 } }, \
         { activation = \"tanh\" }, { dropout = 0.25 }",
        "{ dense = { units = 8, l2 = 0.1 } }, { activation = \"tanh\" }, { dropout = 0.25 }, { dense = { units = 4 } }, \
         { activation = \"tanh\" }, { dropout = 0.25 }",
        "{ dense = { units = 8, init = \"lecun_normal\" } }, { activation = \"tanh\" }, { dropout = 0.25 }, \
         { dense = { units = 4 } }, { activation = \"tanh\" }, { dropout = 0.25 }",
    ] {
        assert_ne!(hash(&layers(other).unwrap()).hash(), hash(&short).hash(), "{other}");
    }
}

#[test]
fn shapes_follow_from_layer_to_layer() {
    let model = r#"{"layers":[{"conv2d":{"filters":4,"kernel":3,"stride":2,"padding":1}},{"activation":"relu"},
        {"max_pool":{"size":3,"stride":2,"padding":1}},{"residual":{"branch":[{"conv2d":{"filters":6,"kernel":3,"padding":1}},
        {"group_norm":{"groups":3}}],"shortcut":[{"conv2d":{"filters":6,"kernel":1}}]}},{"average_pool":{"size":2}},
        "flatten",{"layer_norm":{}}]}"#;
    let architecture = on(model, &[2, 21, 16]).unwrap();
    let shapes: Vec<&[usize]> = architecture.nodes.iter().map(|n| &n.output[..]).collect();
    let wanted: [&[usize]; 8] = [&[4, 11, 8], &[4, 11, 8], &[4, 6, 4], &[6, 6, 4], &[6, 3, 2], &[36], &[36], &[1]];
    assert_eq!(shapes, wanted);
    let names: Vec<&str> = architecture.tensors.iter().map(|t| t.name.as_str()).collect();
    let numbered = |n: usize| [format!("layer{n:02}.weight"), format!("layer{n:02}.bias")];
    assert_eq!(names, (0..6).flat_map(numbered).collect::<Vec<_>>());
    assert_eq!(architecture.tensors[2].shape, [6, 4, 3, 3], "the branch comes before the shortcut");
    assert_eq!(architecture.tensors[6].shape, [6, 4, 1, 1]);
    // 4·2·9+4, 6·4·9+6, 6+6, 6·4+6, 36+36, 36+1
    assert_eq!(architecture.parameters(), 76 + 222 + 12 + 30 + 72 + 37);
}

#[test]
fn layers_that_do_not_fit_are_named_with_what_they_expect_and_find() {
    let refused = |model: &str, input: &[usize], words: &[&str]| {
        let error = on(model, input).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    refused(
        r#"{"layers":[{"conv2d":{"filters":4,"kernel":3}},{"dense":{"units":4}}]}"#,
        &[1, 8, 8],
        &["model.layers[1]: dense expects a row of features, found a picture [4, 6, 6]", "flatten"],
    );
    refused(
        r#"{"layers":[{"max_pool":{"size":9}}]}"#,
        &[1, 8, 8],
        &["model.layers[0]: max_pool", "at least 9 x 9", "[1, 8, 8]"],
    );
    refused(r#"{"layers":[{"conv2d":{"filters":4,"kernel":3}}]}"#, &[1, 8, 8], &["end with a picture of [4, 6, 6]"]);
    refused(
        r#"{"layers":[{"conv2d":{"filters":4,"kernel":3}},{"group_norm":{"groups":3}},"flatten"]}"#,
        &[1, 8, 8],
        &["model.layers[1]: group_norm expects channels that 3 groups share evenly, found 4"],
    );
    refused(
        r#"{"layers":[{"residual":{"branch":[{"dense":{"units":4}}]}}]}"#,
        &[5],
        &["model.layers[0]: residual adds", "expected [5], found [4]"],
    );
    refused(
        r#"{"layers":[{"residual":{"branch":[{"dense":{"units":5}},"global_average_pool"]}}]}"#,
        &[5],
        &["model.layers[0].residual.branch[1]: global_average_pool expects a picture"],
    );
    refused(r#"{"layers":[{"layer_norm":{}},"flatten"]}"#, &[1, 8, 8], &["model.layers[0]: layer_norm", "group_norm"]);
}

#[test]
fn impossible_numbers_are_named_with_their_layer() {
    for (text, words) in [
        ("{ dense = { units = 0 } }", "model.layers[0].dense.units: 0 is impossible"),
        ("{ dropout = 1.0 }", "model.layers[0].dropout: 1 must be at least 0 and below 1"),
        ("{ dense = { units = 3, l1 = -1.0 } }", "model.layers[0].dense.l1"),
        ("{ residual = { branch = [] } }", "model.layers[0].residual.branch: must have at least one layer"),
        ("\"flattn\"", "flattn"),
        ("{ dense = { units = 3, dropout = 0.1 } }", "dropout"),
        ("{ dense = { units = 65536 } }, { dense = { units = 65536 } }", "parameters"),
    ] {
        let error = layers(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
    let deep = |depth: usize| {
        (0..depth).fold("\"flatten\"".to_owned(), |l, _| format!("{{ residual = {{ branch = [{l}] }} }}"))
    };
    layers(&deep(4)).unwrap();
    assert!(layers(&deep(5)).unwrap_err().contains("more than 4 deep"));
    let many = vec!["\"flatten\""; 257].join(",");
    assert!(layers(&many).unwrap_err().contains("more than 256 layers"));
    assert!(matches!(&layers("\"flatten\"").unwrap().model, Model::Layers(l) if l == &[Layer::Flatten]));
}

#[test]
fn a_batch_that_needs_too_much_memory_is_refused_before_training() {
    let file = include_str!("../../examples/breast-cancer/study.toml")
        .replace(NETWORK, "[model]\nlayers = [{ dense = { units = 65536 } }, { activation = \"tanh\" }]")
        .replace("batch_size = 32", "batch_size = 100000");
    let error = StudyFile::parse(&file).unwrap_err().to_string();
    assert!(
        error.contains("training.batch_size: 100000 rows of this network need") && error.contains("GiB"),
        "{error}"
    );
}

#[test]
fn what_training_cannot_be_is_named() {
    let refused = |from: &str, to: &str, words: &str| {
        assert!(FILE.contains(from));
        let error = StudyFile::parse(&FILE.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(words), "{to}: {error}");
    };
    let epochs = "epochs = 2                       # in each round";
    refused(epochs, "", "training.epochs");
    refused(epochs, "epochs = 2\nbatches = 3", "training.batches: stand in place");
    refused(
        epochs,
        "batches = 3\nearly_stopping = { patience = 1 }",
        "training.early_stopping: looks after each epoch",
    );
    refused(epochs, "epochs = 2\nearly_stopping = { patience = 0 }", "training.early_stopping");
    refused(epochs, "epochs = 2\nclip = { norm = 0.0 }", "training.clip");
    refused(epochs, "epochs = 2\nschedule = { step = { rounds = 0, factor = 0.5 } }", "training.schedule.step");
    refused(epochs, "epochs = 2\nschedule = { cosine = { rounds = 3, floor = 2.0 } }", "training.schedule.cosine");
    refused(epochs, "epochs = 2\nclass_weights = { fixed = [1.0] }", "training.class_weights: must be 2 numbers");
    refused(epochs, "epochs = 2\nproximal = -1.0", "training.proximal");
    refused(epochs, "epochs = 2\nloss = \"squared_error\"", "evaluation.metric");
    let adam = "adam = { learning_rate = 0.01 }";
    refused(adam, "sgd = { learning_rate = 0.01, nesterov = true }", "training.optimizer.nesterov: needs a momentum");
    refused(adam, "rmsprop = { learning_rate = 0.01, epsilon = 0.0 }", "training.optimizer.epsilon");
    refused(adam, "adam_w = { learning_rate = 0.01, weight_decay = -0.1 }", "training.optimizer.weight_decay");
}

#[test]
fn an_outcome_that_is_a_number_has_its_own_loss_and_metric() {
    let base = include_str!("../../examples/breast-cancer/study.toml");
    let label = "label = \"diagnosis\"\npositive = \"M\"\nnegative = \"B\"\n";
    assert!(base.contains(label), "{base}");
    let text = base
        .replace(label, "outcome = { value = { column = \"stay\" } }\n")
        .replace("epochs = 2", "loss = \"squared_error\"\nepochs = 2")
        .replace("[evaluation]\n", "[evaluation]\nmetric = \"squared_error\"\n");
    let spec = StudyFile::parse(&text).unwrap().spec();
    assert_eq!((spec.data.task(), spec.data.label_columns()), (Task::Value, vec!["stay"]));
    assert_eq!(spec.data.statistics_columns(), 31, "the outcome stands behind the features");
    let written = String::from_utf8(spec.canonical().unwrap()).unwrap();
    assert!(
        written.contains(r#""outcome":{"value":{"column":"stay"}}"#) && !written.contains("\"label\""),
        "{written}"
    );
    assert_eq!(StudySpec::from_canonical(written.as_bytes()).unwrap(), spec);
    // a study of classes has no word of it
    assert!(!String::from_utf8(StudyFile::parse(base).unwrap().spec().canonical().unwrap())
        .unwrap()
        .contains("outcome"));
    let huber = text.replace("\"squared_error\"\nepochs", "{ huber = {} }\nepochs");
    assert_eq!(StudyFile::parse(&huber).unwrap().training.loss, Loss::Huber { delta: 1.0 });
    let refused = |text: &str, from: &str, to: &str, words: &str| {
        assert!(text.contains(from), "{from}");
        let error = StudyFile::parse(&text.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(words), "{to}: {error}");
    };
    refused(&text, "loss = \"squared_error\"\n", "", "training.loss: cross_entropy is for classes");
    refused(&text, "loss = \"squared_error\"", "loss = { huber = { delta = 0.0 } }", "needs a delta above 0");
    refused(&text, "metric = \"squared_error\"", "metric = \"brier\"", "evaluation.metric: is of probabilities");
    refused(&text, "metric = \"squared_error\"", "", "evaluation.metric: is of probabilities");
    refused(&text, "epochs = 2", "class_weights = \"balanced\"\nepochs = 2", "training.class_weights");
    refused(&text, "column = \"stay\"", "column = \" \"", "data.outcome: must name");
    refused(&text, "column = \"stay\"", "column = \"mean area\"", "names the column \"mean area\"");
    refused(&text, "outcome =", "label = \"diagnosis\"\noutcome =", "data.outcome: stands in place of label");
    refused(base, "epochs = 2", "loss = { huber = {} }\nepochs = 2", "huber is for an outcome");
    refused(base, "[evaluation]\n", "[evaluation]\nmetric = \"absolute_error\"\n", "is of an outcome that is a number");
}

#[test]
fn a_lasso_is_refused_where_it_would_not_choose() {
    let lasso = include_str!("../../examples/nature2021/lasso.toml");
    let spec = StudyFile::parse(lasso).unwrap().spec();
    let text = String::from_utf8(spec.canonical().unwrap()).unwrap();
    assert!(text.contains(r#""model":{"layers":[{"output":{"init":"zeros"}}]}"#), "{text}");
    assert!(text.contains(r#""optimizer":{"proximal_gradient":{}}"#), "{text}");
    assert_eq!(StudySpec::from_canonical(text.as_bytes()).unwrap(), spec);
    let refused = |from: &str, to: &str, words: &str| {
        assert!(lasso.contains(from), "{from}");
        let error = StudyFile::parse(&lasso.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(words), "{to}: {error}");
    };
    refused("{ proximal_gradient = {} }", "{ sgd = { learning_rate = 0.01 } }", "training.optimizer: of the preset");
    refused("{ proximal_gradient = {} }", "{ proximal_gradient = { learning_rate = 0.1 } }", "learning_rate");
    refused("l1 = 0.01", "l1 = 0.0", "training.l1: must be above 0");
    refused("epochs = 50", "clip = { norm = 1.0 }\nepochs = 50", "training.clip");
    for other in ["preset = \"nature2021\"", "logistic = {}", "layers = [{ output = {} }]"] {
        refused("preset = \"lasso\"", other, "proximal_gradient: takes its step from the data");
    }
}

#[test]
fn what_data_cannot_be_is_named() {
    let refused = |from: &str, to: &str, words: &str| {
        assert!(FILE.contains(from), "{from}");
        let error = StudyFile::parse(&FILE.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(words), "{to}: {error}");
    };
    let label = "label = \"diagnosis\"\npositive = \"M\"\nnegative = \"B\"";
    refused(label, "label = \"diagnosis\"\nclasses = [\"a\", \"b\"]", "data.classes: must be 3 to 1024");
    refused(label, "label = \"diagnosis\"\nclasses = [\"1\", \"1.0\", \"2\"]", "data.classes");
    refused(label, "labels = [\"a\", \"b\"]", "data.positive");
    refused(label, "labels = [\"a\", \"mean area\"]\npositive = \"1\"\nnegative = \"0\"", "\"mean area\"");
    let missing = "missing = \"refuse\"               # or \"mean\"";
    refused(missing, "bad_rows = { skip = { at_most = 0.9 } }", "data.bad_rows.skip.at_most");
    refused(missing, "categorical = [{ column = \"sex\", levels = [\"f\"] }]", "the levels of \"sex\"");
    refused(missing, "categorical = [{ column = \"mean area\", levels = [\"f\", \"m\"] }]", "\"mean area\"");
    let names = FILE.split_once("[data.features]").unwrap().1.split_once("[model").unwrap().0;
    let sex = "[[data.categorical]]\ncolumn = \"sex\"\nlevels = [\"f\", \"m\"]";
    let none = FILE.replace(names, "\n").replace("[data.features]", sex);
    let error = StudyFile::parse(&none).unwrap_err().to_string();
    assert!(error.contains("data.scaling: there is no numeric column"), "{error}");
    StudyFile::parse(&none.replace("scaling = \"swarm\"", "scaling = \"none\"")).unwrap();
    refused(
        missing,
        "pictures = { column = \"file\", height = 8, width = 8 }",
        "data.pictures: take the place of features",
    );
}

#[test]
fn what_stands_for_a_missing_value_is_checked_and_older_specifications_keep_their_hash() {
    let refused = |to: &str, words: &str| {
        let text = FILE.replace("missing = \"refuse\"               # or \"mean\"", to);
        let error = StudyFile::parse(&text).unwrap_err().to_string();
        assert!(error.contains(words), "{to}: {error}");
    };
    refused("missing_values = [\"NULL\", \" \"]", "data.missing_values: must be at most 1024 texts");
    refused("encoding = \"ebcdic\"", "encoding");
    refused("orientation = \"across\"", "orientation");
    refused("id = \"mean area\"", "\"mean area\", which data.");
    refused("id = \" \"", "data.id: must name a column, or be left out");
    refused("missing_values_of = { weight = [\"-1\"] }", "data.missing_values_of.weight: must name a feature column");
    refused("missing_values_of = { \"mean area\" = [] }", "data.missing_values_of.mean area");
    refused(
        "missing_values = [\"9\"]\ncategorical = [{ column = \"sex\", levels = [\"1\", \"9.0\"] }]",
        "\"9.0\" is a level of \"sex\" too",
    );
    let spec = StudyFile::parse(FILE).unwrap().spec();
    let text = String::from_utf8(spec.canonical().unwrap()).unwrap();
    assert!(["missing_values", "\"id\"", "encoding", "orientation"].iter().all(|key| !text.contains(key)), "{text}");
    let mut with = spec.clone();
    with.data.missing_values = vec!["-999".into()];
    assert!(String::from_utf8(with.canonical().unwrap()).unwrap().contains("\"missing_values\":[\"-999\"]"));
    assert_ne!(with.hash().unwrap(), spec.hash().unwrap());
}
