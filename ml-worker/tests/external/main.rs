//! A study's own trainer under the worker: what it gives, what it is kept from, and what others learn of it.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod asked;
mod checked;
mod compared;
mod files;
mod hostile;
mod job;
mod killed;
mod packed;

use consilium_aggregation::ModelFile;
use consilium_ml_worker::{
    external::{pack, Trainer},
    site::TrainerSettings,
};
use consilium_primitives::{DutyKind, DutyOutput, DutyState, FailureCode, Hash};
use consilium_study::{NamedFile, StudyFile, StudySpec};
use std::{fs, path::Path};
use support::{below, demo_csv, entry, root, Door, Lab, AGREEMENT};

/// A trainer that needs nothing but Python.
const TRAINER: &str = include_str!("trainer.py");
const SLEEPLESS: &str = "seconds = 60\n";

/// A safetensors file of these tensors: name, element type, shape, bytes.
fn tensors(list: &[(&str, safetensors::Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let views = list.iter().map(|(name, dtype, shape, bytes)| {
        (*name, safetensors::tensor::TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// What the study begins with: zeros, and a counter that each site keeps where `counts`.
fn initial(counts: bool) -> Vec<u8> {
    use safetensors::Dtype::{F32, I64};
    let mut list = vec![("weight", F32, vec![1, 30], vec![0; 120]), ("bias", F32, vec![1], vec![0; 4])];
    if counts {
        list.push(("rounds", I64, vec![1], vec![0; 8]));
    }
    tensors(&list)
}

fn code() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("trainer.py"), TRAINER).unwrap();
    pack(folder.path()).unwrap()
}

/// The demo's study with this trainer, unscaled but standardised by each site's own rows.
fn study(settings: &str, counts: bool) -> StudySpec {
    StudyFile::parse(&study_text(settings, counts)).unwrap().spec()
}

/// Its file.
fn study_text(settings: &str, counts: bool) -> String {
    let named = |bytes: &[u8]| {
        let NamedFile { root, len } = NamedFile::of(bytes);
        format!("{{ root = \"{root}\", len = {len} }}")
    };
    let integers = if counts { "integers = \"local\"\n" } else { "" };
    include_str!("../../../examples/breast-cancer/study.toml")
        .replace("seed = 1\n", &format!("seed = 1\ninitial = {}\n", named(&initial(counts))))
        .replace("scaling = \"swarm\"", "scaling = \"site\"")
        .replace("[model.dense]", "[model.external]")
        .replace(
            "hidden = [16]\nactivation = \"relu\"\n",
            &format!(
                "code = {}\ntensors = [\"bias 1\", \"weight 1x30\"]\n{integers}[model.external.settings]\n{settings}",
                named(&code())
            ),
        )
}

/// How this machine can hold a trainer, as sites.toml says it. At least one must be there.
fn forms() -> Vec<&'static str> {
    use std::os::unix::fs::MetadataExt;
    let bubblewrap = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"].iter().any(|path| Path::new(path).exists());
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let forms = [("bubblewrap", bubblewrap), ("own user", root)];
    let there: Vec<_> = forms.into_iter().filter(|(_, there)| *there).map(|(form, _)| form).collect();
    assert!(!there.is_empty(), "run these tests as root, or install bubblewrap");
    there
}

/// What a site allows, beside the code.
fn allowed(form: &str, more: &str) -> String {
    format!(
        "{}\n[study.trainer]\ncode = \"{}\"\ncommand = [\"/usr/bin/python3\", \"code/trainer.py\"]\nconfine = {form:?}\nuser = \
         \"nobody\"\n{more}",
        entry(&AGREEMENT),
        NamedFile::of(&code()).root
    )
}

/// A trainer at a desk, in a folder below this one.
fn at_a_desk(dir: &Path, spec: &StudySpec) -> Trainer {
    let allowed = allowed(forms()[0], SLEEPLESS);
    fs::write(dir.join("trainer.toml"), allowed.split_once("[study.trainer]\n").unwrap().1).unwrap();
    let settings = TrainerSettings::read(&dir.join("trainer.toml")).unwrap();
    let initial = initial(spec.model.external().unwrap().integers.is_some());
    Trainer::new(spec, &dir.join("trainer"), (&settings, None), (&code(), &initial)).unwrap()
}

/// A site that holds the study's files and allows its trainer.
fn lab(spec: StudySpec, sites: &str) -> Lab {
    let counts = spec.model.external().unwrap().integers.is_some();
    let lab = Lab::with(&demo_csv(0), spec);
    for bytes in [code(), initial(counts)] {
        lab.blobs().put(&bytes).unwrap();
    }
    fs::write(lab.dir.path().join("sites.toml"), sites).unwrap();
    lab
}

/// The initial model's root.
fn begin(lab: &Lab) -> Hash {
    root(lab.done(&lab.order(DutyKind::Init, 0, None, None)))
}

/// A trainer's folder.
fn folder(lab: &Lab) -> std::path::PathBuf {
    lab.dir.path().join(format!("home/studies/{}/study-0/external", hex::encode(AGREEMENT)))
}

#[test]
fn two_rounds_in_one_process_that_keeps_its_state_give_updates_that_anyone_can_merge() {
    for form in forms() {
        let lab = lab(study("steps = 20", true), &allowed(form, SLEEPLESS));
        let start = begin(&lab);
        let layout = lab.spec.layout().unwrap();
        let zeros = ModelFile { layout: layout.clone(), duty: None, data: vec![0.0; 31] }.encode().unwrap();
        assert_eq!(start, consilium_aggregation::blob_hash(&zeros), "{form}: of the file, what is merged");
        let mut base = start;
        let mut losses = Vec::new();
        for round in 1..=2 {
            let order = lab.order(DutyKind::Train, round, Some(base), None);
            let DutyOutput::Update { root, metric } = lab.done(&order) else { panic!("{form}") };
            losses.push(metric.unwrap());
            let bytes = fs::read(lab.blob(&root)).unwrap();
            let update = ModelFile::decode_update(&bytes, &layout, &order.duty.hash()).unwrap();
            base = lab.blobs().put(&ModelFile { duty: None, ..update }.encode().unwrap()).unwrap();
        }
        let DutyOutput::Metric(Some(last)) = lab.done(&lab.order(DutyKind::Evaluate, 2, Some(base), None)) else {
            panic!("{form}")
        };
        // ln 2 of the model of zeros, and less from round to round
        assert_eq!(losses[0], 693_147, "{form}");
        assert!(losses[1] < 400_000 && last < losses[1], "{form}: {losses:?}, {last}");
        let rounds = fs::read_to_string(folder(&lab).join("state/rounds")).unwrap();
        let lines: Vec<Vec<&str>> = rounds.lines().map(|line| line.split(' ').collect()).collect();
        assert_eq!([lines[0][0], lines[1][0]], ["1", "2"], "{form}");
        assert_eq!(lines[0][1], lines[1][1], "{form}: one process");
        // the counter stays here, and is handed back
        let kept = fs::read(folder(&lab).join("local.safetensors")).unwrap();
        let kept = safetensors::SafeTensors::deserialize(&kept).unwrap();
        assert_eq!(kept.tensor("rounds").unwrap().data(), 2i64.to_le_bytes(), "{form}");
        // and stays as each round has left it, for the round that is certified
        for round in 1..=2i64 {
            let kept = fs::read(folder(&lab).join(format!("local/{round:08}.safetensors"))).unwrap();
            let kept = safetensors::SafeTensors::deserialize(&kept).unwrap();
            assert_eq!(kept.tensor("rounds").unwrap().data(), round.to_le_bytes(), "{form}");
        }
    }
}

#[test]
fn an_order_to_hold_ends_the_trainer_and_the_round_is_done_once_the_site_goes_on() {
    let form = forms()[0];
    let lab = lab(study("steps = 400", false), &allowed(form, SLEEPLESS));
    let order = lab.order(DutyKind::Train, 1, Some(begin(&lab)), None);
    lab.worker.until(&lab.spec, &order, |state| match state {
        DutyState::Running { .. } if folder(&lab).join("state/rounds").exists() => Some(()),
        DutyState::Done(_) | DutyState::Failed(_) => panic!("{state:?}"),
        _ => None,
    });
    assert!(running(&lab));
    lab.home().set_held(true).unwrap();
    lab.settles(&order, DutyState::Held);
    let ended = std::time::Instant::now();
    while running(&lab) {
        assert!(ended.elapsed().as_secs() < 15, "the trainer still runs");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    lab.home().set_held(false).unwrap();
    assert!(matches!(lab.done(&order), DutyOutput::Update { .. }));
}

/// Whether what holds this site's trainer runs: its command names the trainer's folder.
fn running(lab: &Lab) -> bool {
    let own = folder(lab).display().to_string();
    let commands =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    commands.into_iter().any(|command| String::from_utf8_lossy(&command).contains(&own))
}

#[test]
fn a_site_that_allows_no_trainer_or_another_code_refuses_and_says_why() {
    let spec = study("steps = 1", false);
    let none = lab(spec.clone(), &entry(&AGREEMENT));
    let start = begin(&none);
    assert_eq!(none.failed(&none.order(DutyKind::Train, 1, Some(start), None)), FailureCode::Refused);
    let other = allowed(forms()[0], "").replace(&NamedFile::of(&code()).root, &"0".repeat(64));
    let other = lab(spec, &other);
    assert_eq!(other.failed(&other.order(DutyKind::Train, 1, Some(begin(&other)), None)), FailureCode::Refused);
    assert!(below(&other.dir.path().join("home")).iter().all(|path| path.file_name().unwrap() != "trainer.log"));
}

#[test]
fn a_study_waits_for_the_files_that_it_names() {
    let lab = lab(study("steps = 1", false), &allowed(forms()[0], SLEEPLESS));
    let file = lab.blob(&NamedFile::of(&initial(false)).blob("initial").unwrap().root);
    let away = file.with_extension("away");
    fs::rename(&file, &away).unwrap();
    let order = lab.order(DutyKind::Init, 0, None, None);
    for _ in 0..5 {
        assert_eq!(lab.ask(&order), DutyState::Queued);
    }
    fs::rename(&away, &file).unwrap();
    assert!(matches!(lab.done(&order), DutyOutput::Root(_)));
    // the store may forget it: the worker does not
    fs::remove_file(&file).unwrap();
    lab.done(&lab.order(DutyKind::Train, 1, Some(begin(&lab)), None));
}
