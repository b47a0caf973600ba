mod shared;

use super::*;
use crate::StudyFile;
use consilium_primitives::StudyRules;

/// One of four sites' breast cancer, ε 4 in ten rounds of eight steps.
const FILE: &str = r#"
title = "t"
[data]
features = { columns = ["age", "crp"] }
label = "ill"
positive = "1"
negative = "0"
scaling = { fixed = { age = [61, 12], crp = [8, 20] } }
[model.logistic]
[training]
optimizer = { sgd = { learning_rate = 0.5 } }
[evaluation]
validation_share = 0.3
[rules]
rounds = 10
training_seconds = 10
[privacy]
epsilon = 4.0
delta = 1e-5
clip = 0.5
rate = 0.25
steps = 8
"#;

fn read(text: &str) -> StudyFile {
    toml::from_str(text).unwrap()
}

fn spec() -> StudySpec {
    read(FILE).spec()
}

/// What the file says when this stands in it in place of that.
fn refused(from: &str, to: &str) -> String {
    assert!(FILE.contains(from), "{from}");
    StudyFile::parse(&FILE.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn noise_and_cost_follow_from_what_was_agreed() {
    let spec = spec();
    spec.check().unwrap();
    let rules = spec.privacy_rules().unwrap().unwrap();
    // of the golden file's calibration: rate 0.25, 80 steps, δ 1e-5, ε 4
    assert_eq!(rules.sigma_1024, 2_885);
    assert_eq!((rules.rate_ppm, rules.steps, rules.clip_micro), (250_000, 8, 500_000));
    assert_eq!((rules.delta_exp, rules.unit, rules.shared, rules.colluders), (5, PrivacyUnit::Record, false, 0));
    assert_eq!(rules.spend, spend(&Mechanism { rate_ppm: 250_000, sigma_1024: 2_885 }, 8));
    // ten rounds keep the ε
    let all = (0..10).fold([0; 16], |all, _| consilium_privacy::sum(&all, &rules.spend));
    assert!(consilium_privacy::epsilon_micro(&all, 5) <= 4_060_000);
    let canonical = spec.canonical().unwrap();
    assert_eq!(StudySpec::from_canonical(&canonical).unwrap(), spec);
    assert_eq!(spec.privacy.as_ref().unwrap().rounds, 10, "the rounds are signed with the rest");
    // without a promise the chain's rules have none
    let mut plain = spec;
    plain.privacy = None;
    assert_eq!(plain.privacy_rules().unwrap(), None);
}

/// With a deviation next to nothing, one value would go beyond every range.
#[test]
fn scales_that_nothing_is_measured_by_are_refused_under_privacy_alone() {
    for bad in ["[8, 1e-10]", "[8, 1e13]", "[2e12, 20]", "[-2e12, 20]"] {
        let said = refused("crp = [8, 20]", &format!("crp = {bad}"));
        assert!(said.contains("data.scaling.fixed.crp: ") && said.contains("another unit"), "{bad}: {said}");
    }
    let text = FILE.replace("crp = [8, 20]", "crp = [-1e12, 1e-9]");
    StudyFile::parse(&text).unwrap();
    let mut plain = spec();
    (plain.privacy, plain.training.batch_size, plain.training.epochs) = (None, 8, 1);
    plain.data.scaling = read(&FILE.replace("crp = [8, 20]", "crp = [8, 1e-10]")).data.scaling;
    plain.check().unwrap();
}

#[test]
fn what_does_not_go_with_privacy_is_refused_by_name_with_what_to_do() {
    let fixed = "scaling = { fixed = { age = [61, 12], crp = [8, 20] } }";
    let sgd = "optimizer = { sgd = { learning_rate = 0.5 } }";
    let with = |line: &str| format!("{sgd}\n{line}");
    let rounds = "rounds = 10";
    for (from, to, field, advice) in [
        (sgd, with("batch_size = 32"), "training.batch_size", "rate and steps"),
        (sgd, with("epochs = 2"), "training.epochs", "rate and steps"),
        (sgd, with("batches = 2"), "training.batches", "rate and steps"),
        (sgd, with("clip = { norm = 1.0 }"), "training.clip", "privacy.clip"),
        (sgd, with("early_stopping = { patience = 1 }"), "training.early_stopping", "leave it out"),
        (sgd, with("class_weights = \"balanced\""), "training.class_weights", "{ fixed = [1.0, 3.0] }"),
        (sgd, "optimizer = { proximal_gradient = {} }".into(), "training.optimizer", "take sgd or adam"),
        (fixed, "scaling = \"swarm\"".into(), "data.scaling", "{ fixed = … }"),
        (fixed, "scaling = \"site\"".into(), "data.scaling", "{ fixed = … }"),
        (fixed, "scaling = \"transductive\"".into(), "data.scaling", "{ fixed = … }"),
        (fixed, "scaling = \"none\"\nmissing = \"mean\"".into(), "data.missing", "drop_row"),
        (rounds, format!("{rounds}\ntarget_loss = 0.1"), "rules", "leave them out"),
        (rounds, format!("{rounds}\npatience = 3"), "rules", "leave them out"),
        ("epsilon = 4.0", "epsilon = 0.0".into(), "privacy.epsilon", "1 to 8 are usual"),
        ("epsilon = 4.0", "epsilon = 0.001".into(), "privacy.epsilon", "allow more"),
        ("delta = 1e-5", "delta = 2e-5".into(), "privacy.delta", "power of ten"),
        ("delta = 1e-5", "delta = 1e-2".into(), "privacy.delta", "power of ten"),
        ("clip = 0.5", "clip = 0.0".into(), "privacy.clip", "must lie between"),
        ("rate = 0.25", "rate = 1.5".into(), "privacy.rate", "must lie between"),
        ("steps = 8", "steps = 0".into(), "privacy.steps", "must lie between"),
        ("steps = 8", "steps = 8\nunit = \"patient\"".into(), "privacy.unit", "data.group"),
        ("steps = 8", "steps = 8\nrows_per_patient = 4".into(), "privacy.rows_per_patient", "leave it out"),
        ("steps = 8", "steps = 8\nnoise = \"shared\"".into(), "privacy.noise", "masked = true"),
        ("steps = 8", "steps = 8\ncolluders = 1".into(), "privacy.colluders", "leave it out"),
        ("steps = 8", "steps = 8\nrounds = 10".into(), "privacy.rounds", "rules.rounds"),
        ("negative = \"0\"", "negative = \"0\"\ngroup = \"patient\"".into(), "privacy.unit", "written out"),
    ] {
        let said = refused(from, &to);
        assert!(said.contains(&format!("{field}: ")) && said.contains(advice), "{to}: {said}");
    }
}

#[test]
fn a_number_as_outcome_and_a_trainer_of_ones_own_are_refused() {
    let label = "label = \"ill\"\npositive = \"1\"\nnegative = \"0\"";
    let said = refused(label, "outcome = { value = { column = \"stay\" } }");
    assert!(said.contains("data.outcome: ") && said.contains("predict classes"), "{said}");
    let root = "ab".repeat(32);
    let external = format!("[model.external]\ntensors = [\"w 2\"]\ncode = {{ root = \"{root}\", len = 9 }}\n");
    let said = refused("[model.logistic]", &external);
    assert!(said.contains("model.external: ") && said.contains("nobody has checked"), "{said}");
}

/// What needs nothing of the sites' rows goes with it.
#[test]
fn categorical_columns_fixed_weights_and_patients_are_taken() {
    let text = FILE
        .replace("negative = \"0\"", "negative = \"0\"\ngroup = \"patient\"\nmissing = \"mean\"")
        .replace("steps = 8", "steps = 8\nunit = \"patient\"\nrows_per_patient = 4")
        .replace("learning_rate = 0.5 } }", "learning_rate = 0.5 } }\nclass_weights = { fixed = [1.0, 3.0] }");
    let spec = read(&text).spec();
    spec.check().unwrap();
    assert_eq!(spec.privacy.as_ref().unwrap().rows_per_patient(), 4);
    assert_eq!(spec.privacy_rules().unwrap().unwrap().unit, PrivacyUnit::Patient);
    // one row promised where rows have patients, if that is meant
    let record = text.replace("unit = \"patient\"\nrows_per_patient = 4", "unit = \"record\"");
    read(&record).spec().check().unwrap();
    // a missing name is no number: it needs no centre
    let names = FILE
        .replace(
            "features = { columns = [\"age\", \"crp\"] }",
            "categorical = [{ column = \"sex\", levels = [\"f\", \"m\"] }]",
        )
        .replace("scaling = { fixed = { age = [61, 12], crp = [8, 20] } }", "missing = \"mean\"");
    read(&names).spec().check().unwrap();
}

#[test]
fn a_delta_must_be_small_beside_the_largest_site() {
    let mut privacy = spec().privacy.unwrap();
    privacy.small_enough(10_000).unwrap();
    let said = privacy.small_enough(10_001).unwrap_err().to_string();
    assert!(said.contains("privacy.delta: ") && said.contains("10001 records") && said.ends_with("set 1e-6"), "{said}");
    privacy.delta = 1e-3;
    privacy.unit = Some(Unit::Patient);
    privacy.small_enough(100).unwrap();
    assert!(privacy.small_enough(101).unwrap_err().to_string().contains("101 patients"));
}

/// The rules of a plain study of the same rounds, with these of privacy.
fn rules(privacy: Option<Privacy>) -> StudyRules {
    let text =
        FILE.split("[privacy]").next().unwrap().replace("[evaluation]", "batch_size = 4\nepochs = 1\n[evaluation]");
    StudyRules { privacy, ..StudyFile::parse(&text).unwrap().rules(2_000, 4).unwrap() }
}

#[test]
fn rules_of_privacy_are_those_that_follow_and_no_others() {
    let spec = spec();
    let follows = spec.privacy_rules().unwrap().unwrap();
    spec.privacy_follows(&rules(Some(follows))).unwrap();
    let said = |change: &dyn Fn(&mut Privacy)| {
        let mut slip = follows;
        change(&mut slip);
        spec.privacy_follows(&rules(Some(slip))).unwrap_err().to_string()
    };
    let cheaper = said(&|p| p.spend[3] -= 1);
    assert!(cheaper.contains("spend, place 4") && cheaper.contains(&follows.spend[3].to_string()), "{cheaper}");
    let quieter = said(&|p| p.sigma_1024 -= 1);
    assert!(quieter.contains("2884 in the rules") && quieter.contains("2885 follows"), "{quieter}");
    assert!(said(&|p| p.unit = PrivacyUnit::Patient).contains("unit or noise"));
    assert!(said(&|p| p.clip_micro += 1).contains("clip_micro"));
    let mut plain = spec.clone();
    plain.privacy = None;
    assert!(plain.privacy_follows(&rules(Some(follows))).unwrap_err().to_string().contains("not in the specification"));
    assert!(spec.privacy_follows(&rules(None)).unwrap_err().to_string().contains("not in the rules"));
    plain.privacy_follows(&rules(None)).unwrap();
    let longer = StudyRules { max_rounds: 11, ..rules(Some(follows)) };
    assert!(spec.privacy_follows(&longer).unwrap_err().to_string().contains("privacy.rounds: 10 are counted"));
    let figures = StudyRules { patience: 2, ..rules(Some(follows)) };
    assert!(spec.privacy_follows(&figures).unwrap_err().to_string().contains("patience"));
}

#[test]
fn a_study_file_with_privacy_is_read_and_its_rules_are_such_as_a_chain_takes() {
    let file = StudyFile::parse(FILE).unwrap();
    let rules = file.rules(2_000, 4).unwrap();
    assert_eq!(rules.check(), Ok(()));
    assert_eq!(rules.privacy, file.spec().privacy_rules().unwrap());
    file.spec().privacy_follows(&rules).unwrap();
    // noise of each site's own goes with masks
    let masked = StudyFile::parse(&FILE.replace("[rules]", "[rules]\nmasked = true\nmin_participants = 3")).unwrap();
    assert!(masked.rules(2_000, 4).unwrap().masked.is_some());
}

#[test]
fn the_same_training_without_a_promise_takes_as_many_steps_on_as_many_rows() {
    let spec = spec();
    let plain = spec.without_privacy(100).unwrap();
    plain.check().unwrap();
    assert_eq!((plain.training.batch_size, plain.training.batches, plain.training.epochs), (25, 8, 0));
    assert_eq!(spec.without_privacy(1).unwrap().training.batch_size, 1);
    assert!(plain.without_privacy(100).is_none());
}
