//! What a study file becomes, and what is refused.
#![allow(clippy::unwrap_used)]

use consilium_study::{Features, FileError, Model, StudyFile, StudySpec};

const FILE: &str = include_str!("../../examples/breast-cancer/study.toml");
/// Made by `golden/make.py` from the same file.
const GOLDEN: &[u8] = include_bytes!("golden/spec.json");

fn refused(from: &str, to: &str) -> String {
    assert!(FILE.contains(from), "{from}");
    StudyFile::parse(&FILE.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn the_canonical_form_is_what_python_writes() {
    let spec = StudyFile::parse(FILE).unwrap().spec();
    assert_eq!(String::from_utf8(spec.canonical().unwrap()).unwrap(), String::from_utf8(GOLDEN.to_vec()).unwrap());
    assert_eq!(StudySpec::from_canonical(GOLDEN).unwrap(), spec);
    // hashlib.blake2b(spec, digest_size=32)
    assert_eq!(
        format!("{:?}", spec.hash().unwrap()),
        "0xbd6b0aeac0026e1a5976be51ac8c59baa985ef40224b25728d4bf70c555727b1"
    );
}

/// SHA-256 of the bytes `protocol` and `vote`, by Python's hashlib, and BLAKE2b-256 of the specification that names them, by
/// `golden/canonical.py`.
#[test]
fn a_protocol_and_an_ethics_vote_are_part_of_what_is_signed() {
    let (protocol, vote) = (
        "2ea88c7a30351b12a4dcfc06cdce2af6eab18416176466c2500cb6ef74f745bf",
        "ab274474a6aa82c100dddca63977facb556f66f489fb558c044a456f9ba919ce",
    );
    let with = |table: &str| StudyFile::parse(&FILE.replace("[data]\n", &format!("[documents]\n{table}\n[data]\n")));
    let spec = with(&format!("protocol = \"{protocol}\"\nethics_vote = \"{vote}\"")).unwrap().spec();
    assert_eq!(spec.documents.as_ref().unwrap().named(), [("protocol", protocol), ("ethics vote", vote)]);
    assert_eq!(
        format!("{:?}", spec.hash().unwrap()),
        "0x34625fdf63cea8927f6bbb3fd0e0a16ce718b7ce8ee482fd2c3046f46a12d1d6"
    );
    assert_eq!(StudySpec::from_canonical(&spec.canonical().unwrap()).unwrap(), spec);
    // one of them alone, and none
    let alone = with(&format!("protocol = \"{protocol}\"")).unwrap().spec();
    assert_eq!(alone.documents.as_ref().unwrap().named(), [("protocol", protocol)]);
    let wrong = |table: &str| with(table).unwrap_err().to_string();
    assert!(wrong("").contains("documents"));
    assert!(wrong(&format!("protocol = \"{}\"", protocol.to_uppercase())).contains("sha256sum"));
    assert!(wrong("ethics_vote = \"ab\"").contains("documents.ethics_vote"));
    assert!(wrong("vote = \"ab\"").contains("unknown field"));
}

/// What `consilium study validate` printed of these files before the format had `other`, `missing_labels` and `channels`: studies
/// that were agreed on then keep their hashes.
#[test]
fn specifications_without_later_words_keep_their_hashes() {
    let hash = |data: &str, model: &str| {
        let text = format!(
            "title = \"t\"\n[data]\n{data}\n{model}\n[training]\noptimizer = {{ sgd = {{ learning_rate = 0.1 }} }}\n\
             batch_size = 4\nepochs = 1\n[evaluation]\nvalidation_share = 0.25\n[rules]\nrounds = 1\ntraining_seconds = 1\n"
        );
        format!("{:?}", StudyFile::parse(&text).unwrap().spec().hash().unwrap())
    };
    let pictures = "labels = [\"a\", \"b\"]\npositive = \"1\"\nnegative = \"0\"\n\
                    pictures = { column = \"file\", height = 4, width = 4 }";
    assert_eq!(
        hash(pictures, "[model]\nlayers = [\"flatten\"]"),
        "0x00864e97fb8cb3fd1c2a98d8e182d5018898c7f37dff66ee5364cf2a38597d3e"
    );
    let levels = "features = { columns = [\"age\"] }\nlabel = \"ill\"\npositive = \"yes\"\nnegative = \"no\"\n\
                  categorical = [{ column = \"ward\", levels = [\"ICU\", \"other\"] }]";
    assert_eq!(hash(levels, "[model.logistic]"), "0xfe7ed05f441bbe10b9edf6c33cd76970280f5476c09035cdd3dab6936bc465c8");
}

#[test]
fn another_text_of_the_same_specification_is_refused() {
    let text = String::from_utf8(GOLDEN.to_vec()).unwrap();
    for (from, to) in [
        (r#"{"columns":["#, r#"{"columns": ["#),
        ("0.01", "1e-2"),
        (r#","version":1"#, r#","version":1,"version":1"#),
        ("\"version\":1}", "\"version\":1}\n"),
        (r#""min_rows":20,"#, ""),
    ] {
        assert!(text.contains(from), "{from}");
        StudySpec::from_canonical(text.replacen(from, to, 1).as_bytes()).unwrap_err();
    }
    StudySpec::from_canonical(b"").unwrap_err();
}

#[test]
fn unknown_keys_and_impossible_numbers_are_named() {
    assert!(refused("batch_size = 32", "batch_size = 32\nbatchsize = 3").contains("batchsize"));
    assert!(refused("batch_size = 32", "batch_size = 0").contains("training.batch_size"));
    assert!(refused("hidden = [16]", "hidden = [0]").contains("model.hidden"));
    assert!(refused("hidden = [16]", "hidden = [65536, 65536]").contains("parameters"));
    assert!(refused("learning_rate = 0.01", "learning_rate = nan").contains("learning_rate"));
    assert!(refused("positive = \"M\"", "positive = \"B\"").contains("data.positive"));
    assert!(refused("validation_share = 0.3", "validation_share = 0.9").contains("evaluation.validation_share"));
    assert!(refused("rounds = 10", "rounds = 0").contains("rules.rounds"));
    assert!(refused("min_participants = 3", "min_participants = 1").contains("rules.min_participants"));
    assert!(refused("title = ", "seed2 = 1\ntitle = ").contains("line 4"));
    assert!(matches!(StudyFile::parse("[data"), Err(FileError::Syntax(_))));
}

#[test]
fn names_and_values_that_a_table_could_not_tell_apart_are_refused() {
    let columns = |list: &str| {
        let text = FILE.replace("\n    \"mean radius\",", &format!("\n    {list},"));
        StudyFile::parse(&text).unwrap_err().to_string()
    };
    assert!(columns("\"radius error \"").contains("\"radius error\" twice"));
    assert!(columns("\"diagnosis \"").contains("names the label"));
    assert!(columns("\" \"").contains("without a name"));
    assert!(refused("label = \"diagnosis\"", "label = \"diagnosis\"\ngroup = \" diagnosis\"").contains("data.group"));
    assert!(refused("label = \"diagnosis\"", "label = \"diagnosis\"\ngroup = \"mean area \"").contains("group column"));
    for (positive, negative) in [("M", " M "), ("1", "1.0"), ("1e1", "10")] {
        let text = FILE.replace("\"M\"", &format!("{positive:?}")).replace("\"B\"", &format!("{negative:?}"));
        assert!(StudyFile::parse(&text).unwrap_err().to_string().contains("data.positive"), "{positive} {negative}");
    }
    // a study that only counts its columns lets sites train on different ones
    let counted = FILE.replace("columns = [", "count = 30\ncolumns = [");
    assert!(StudyFile::parse(&counted).unwrap_err().to_string().contains("count"));
}

#[test]
fn lengths_follow_from_the_layers() {
    let file = StudyFile::parse(FILE).unwrap();
    let spec = file.spec();
    assert_eq!(spec.architecture().unwrap().parameters(), 30 * 16 + 16 + 16 + 1);
    let rules = file.rules(2_000, 4).unwrap();
    assert_eq!(rules.merged_len, spec.layout().unwrap().file_len(false));
    assert!(rules.update_len > rules.merged_len && rules.statistics_len > 30 * 24);
    assert_eq!((rules.training_blocks, rules.transfer_blocks, rules.max_rounds), (5, 1, 10));
}

#[test]
fn an_expected_transfer_follows_from_size_sites_and_link() {
    let mut file = StudyFile::parse(FILE).unwrap();
    file.data.features = Features { columns: (0..12_708).map(|n| format!("gene{n}")).collect(), others: None };
    file.model = Model::Dense { hidden: vec![256], activation: consilium_study::Activation::Relu, dropout: 0.0 };
    let rules = file.rules(2_000, 4).unwrap();
    // three updates in, three out, 8 bits a byte, 20 Mbit/s, 2 s a block
    let blocks = (rules.update_len as f64 * 6.0 * 8.0 / 20e6 / 2.0).ceil() as u32;
    assert_eq!(rules.transfer_blocks, blocks);
    assert!(blocks > 10);
}

#[test]
fn every_example_is_a_study() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut found = std::collections::BTreeMap::new();
    for example in std::fs::read_dir(&folder).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        for file in std::fs::read_dir(example.path()).unwrap().flatten() {
            if file.path().extension().is_some_and(|end| end == "toml") {
                let name = file.path().strip_prefix(&folder).unwrap().display().to_string();
                let study = StudyFile::parse(&std::fs::read_to_string(file.path()).unwrap());
                let spec = study.unwrap_or_else(|e| panic!("{name}: {e}")).spec();
                found.insert(name, spec.architecture().unwrap().parameters());
            }
        }
    }
    // the weights and biases of nine layers and the output, counted by hand
    let widths = [12_708, 256, 1_024, 512, 512, 256, 256, 128, 128, 64, 1];
    let network: u64 = widths.windows(2).map(|pair| pair[0] * pair[1] + pair[1]).sum();
    assert_eq!(network, 4_558_977);
    assert_eq!(found.get("nature2021/network.toml"), Some(&network));
    assert_eq!(found.get("nature2021/lasso.toml"), Some(&12_709));
    for name in ["breast-cancer/study.toml", "breast-cancer/private.toml", "own-csv/study.toml", "xray/study.toml"] {
        assert!(found.contains_key(name), "{name}");
    }
    assert_eq!(found.get("breast-cancer/shared.toml"), Some(&513));
}
