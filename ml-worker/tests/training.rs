//! A round's local training: what ends it, what it goes on from, and what the agreement can ask of it.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_ml_worker::{
    data::{read_table, Prepared, Split},
    learn::{
        initial_parameters, loss_micro, objective, Checkpoint, OptimizerState, Seeds, Session, TrainError, Trained,
    },
};
use consilium_study::{ClassWeights, EarlyStopping, StudyFile, StudySpec};
use std::cell::{Cell, RefCell};

/// The example, unscaled values divided down by a layer norm, with dropout and everything else that has a state.
fn spec(training: &str) -> StudySpec {
    let text = include_str!("../../examples/breast-cancer/study.toml")
        .replace("scaling = \"swarm\"", "scaling = \"site\"")
        .replace(
            "[model.dense]                    # or [model.logistic]\nhidden = [16]\nactivation = \"relu\"",
            "[model]\nlayers = [{ dense = { units = 12 } }, { activation = \"relu\" }, { dropout = 0.3 }, \
             { dense = { units = 6 } }, { activation = \"tanh\" }]",
        );
    let (before, rest) = text.split_once("[training]").unwrap();
    let (_, after) = rest.split_once("[evaluation]").unwrap();
    StudyFile::parse(&format!("{before}[training]\n{training}\n[evaluation]{after}")).unwrap().spec()
}

fn prepared(spec: &StudySpec) -> Prepared {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), support::demo_csv(1)).unwrap();
    let table = read_table(file.path(), &spec.data, &[1; 32]).unwrap();
    Prepared::new(spec, &table, &Split::of(&table, spec.evaluation.validation_share), None).unwrap()
}

fn seeds(round: u32) -> Seeds {
    Seeds::new(&[5; 32], &[6; 32], round)
}

struct Site {
    spec: StudySpec,
    prepared: Prepared,
    base: Vec<f32>,
}

impl Site {
    fn new(training: &str) -> Self {
        let spec = spec(training);
        Self { prepared: prepared(&spec), base: initial_parameters(&spec).unwrap(), spec }
    }

    fn train(&self) -> Trained {
        self.session(&OptimizerState::default(), &seeds(1)).train(&|_| false).unwrap()
    }

    fn session<'a>(&'a self, state: &'a OptimizerState, seeds: &'a Seeds) -> Session<'a> {
        let Prepared { training, validation, .. } = &self.prepared;
        Session::new(&self.spec, &self.base, training, Some(validation), state, seeds)
    }

    /// Stopped after some steps, and gone on from what was kept then.
    fn interrupted(&self, after: &[usize]) -> Trained {
        let (state, seeds) = (OptimizerState::default(), seeds(1));
        let mut from = None;
        for steps in after {
            let (done, kept) = (Cell::new(0), RefCell::new(None));
            let keep = |checkpoint: &Checkpoint| *kept.borrow_mut() = Some(checkpoint.clone());
            let session = Session { from: from.take(), keep: Some(&keep), ..self.session(&state, &seeds) };
            let halt = |_| {
                done.set(done.get() + 1);
                done.get() >= *steps
            };
            assert!(matches!(session.train(&halt), Err(TrainError::Halted)), "it was to be stopped on its way");
            from = Some(kept.into_inner().unwrap());
        }
        Session { from, ..self.session(&state, &seeds) }.train(&|_| false).unwrap()
    }
}

const PLAIN: &str = "optimizer = { adam = { learning_rate = 0.01 } }\nbatch_size = 32\nepochs = 6";

#[test]
fn a_training_interrupted_anywhere_gives_the_bits_of_an_undisturbed_one() {
    let full = "optimizer = { sgd = { learning_rate = 0.05, momentum = 0.9, nesterov = true } }\nbatch_size = 32\n\
                epochs = 12\nl2 = 0.001\nproximal = 0.01\nschedule = { cosine = { rounds = 2 } }\nwarmup_rounds = 0.5\n\
                clip = { norm = 1.0 }\nclass_weights = \"balanced\"\nearly_stopping = { patience = 4 }";
    for training in [PLAIN, full, "optimizer = { rmsprop = { learning_rate = 0.01 } }\nbatch_size = 24\nbatches = 31"] {
        let site = Site::new(training);
        let whole = site.train();
        for after in [&[1][..], &[5], &[4, 1], &[3, 3, 7, 2]] {
            assert_eq!(site.interrupted(after), whole, "{training}, interrupted after {after:?}");
        }
    }
}

#[test]
fn a_checkpoint_of_another_network_is_none() {
    let site = Site::new(PLAIN);
    let kept = RefCell::new(None);
    let keep = |checkpoint: &Checkpoint| *kept.borrow_mut() = Some(checkpoint.clone());
    let (state, seeds) = (OptimizerState::default(), seeds(1));
    let _ = Session { keep: Some(&keep), ..site.session(&state, &seeds) }.train(&|_| true);
    let mut other = Site::new(PLAIN);
    other.spec.model = consilium_study::Model::Logistic {};
    other.base = initial_parameters(&other.spec).unwrap();
    let from = kept.into_inner();
    assert!(from.is_some());
    let resumed = Session { from, ..other.session(&state, &seeds) }.train(&|_| false).unwrap();
    assert_eq!(resumed, other.train());
}

#[test]
fn local_work_in_batches_is_that_in_epochs_where_both_are_as_long() {
    let site = Site::new(PLAIN);
    let per_epoch = site.prepared.training.len().div_ceil(32);
    let batches = Site::new(&PLAIN.replace("epochs = 6", &format!("batches = {}", per_epoch * 6)));
    // the schedule counts in shares of a round, which are the same here
    assert_eq!(batches.train().parameters, site.train().parameters);
    let fewer = Site::new(&PLAIN.replace("epochs = 6", "batches = 7")).train();
    assert_eq!(fewer.epochs as usize, 7usize.div_ceil(per_epoch));
}

#[test]
fn early_stopping_gives_the_epoch_with_the_lowest_validation_loss() {
    let hot = "optimizer = { adam = { learning_rate = 0.2 } }\nbatch_size = 16\nepochs = 40";
    let mut site = Site::new(hot);
    site.spec.training.early_stopping = Some(EarlyStopping { patience: 3, min_delta: 0.0 });
    let stopped = site.train();
    assert!(stopped.epochs < 40, "a learning rate this hot overfits");
    site.spec.training.early_stopping = None;
    let loss = |epochs: u32| {
        let mut site = Site::new(hot);
        site.spec.training.epochs = epochs;
        let trained = site.train();
        (loss_micro(&site.spec, &trained.parameters, &site.prepared.validation).unwrap().unwrap(), trained.parameters)
    };
    let all: Vec<_> = (1..=stopped.epochs).map(loss).collect();
    let best = all.iter().min_by_key(|(loss, _)| *loss).unwrap();
    assert_eq!(stopped.parameters, best.1);
    assert_eq!(stopped.epochs as usize, all.iter().position(|a| a == best).unwrap() + 1 + 3);
}

#[test]
fn balanced_weights_are_rows_over_classes_times_rows_of_the_class() {
    let mut site = Site::new(PLAIN);
    let plain = site.train();
    site.spec.training.class_weights = Some(ClassWeights::Balanced);
    let (rows, positive) =
        (site.prepared.training.len() as f64, site.prepared.training.positive().iter().filter(|p| **p).count() as f64);
    let wanted = [rows / (2.0 * (rows - positive)), rows / (2.0 * positive)];
    assert_eq!(objective(&site.spec, Some(&site.prepared.training)).weights, wanted);
    let balanced = site.train();
    assert_ne!(balanced.parameters, plain.parameters);
    site.spec.training.class_weights = Some(ClassWeights::Fixed(wanted.to_vec()));
    assert_eq!(site.train(), balanced);
}

#[test]
fn the_proximal_term_holds_parameters_near_the_base() {
    let far = |mu: f64| {
        let mut site =
            Site::new(PLAIN.replace("adam = { learning_rate = 0.01", "sgd = { learning_rate = 0.02").as_str());
        site.spec.training.proximal = mu;
        site.train().parameters.iter().zip(&site.base).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
    };
    let (free, held, tight) = (far(0.0), far(1.0), far(20.0));
    assert!(free > held * 1.1 && held > tight * 1.1, "{free} {held} {tight}");
}

#[test]
fn a_tensor_that_no_gradient_reaches_is_named_in_the_first_round() {
    let mut site = Site::new(PLAIN);
    // all units of the first layer are dead
    site.base[..12].fill(-1e6);
    let (state, first, second) = (OptimizerState::default(), seeds(1), seeds(2));
    let error = site.session(&state, &first).train(&|_| false).unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("no gradient reaches layer00.bias: it cannot be trained. Its units are dead"), "{said}");
    // later it may be what training came to
    site.session(&state, &second).train(&|_| false).unwrap();
}

#[test]
fn the_schedule_goes_by_rounds() {
    let text = "optimizer = { sgd = { learning_rate = 0.1 } }\nbatch_size = 1000\nepochs = 1\n\
                schedule = { step = { rounds = 2, factor = 0.5 } }";
    let site = Site::new(text);
    let moved = |round: u32| {
        let (state, seeds) = (OptimizerState::default(), seeds(round));
        let mut site = Site::new(text);
        site.spec.model = consilium_study::Model::Logistic {};
        site.base = initial_parameters(&site.spec).unwrap();
        let trained = site.session(&state, &seeds).train(&|_| false).unwrap();
        f64::from(trained.parameters[1] - site.base[1])
    };
    assert!(site.prepared.training.len() < 1000);
    let (first, second, third, fifth) = (moved(1), moved(2), moved(3), moved(5));
    assert!((first - second).abs() < 1e-7, "{first} {second}");
    assert!((first / third - 2.0).abs() < 1e-4 && (first / fifth - 4.0).abs() < 1e-4, "{first} {third} {fifth}");
}

#[test]
fn candles_operations_train_as_the_kernels_do() {
    let site = Site::new(&PLAIN.replace("adam", "sgd"));
    let (state, seeds) = (OptimizerState::default(), seeds(1));
    let candle = Session { device: Some(candle_core::Device::Cpu), ..site.session(&state, &seeds) };
    let (a, b) = (candle.train(&|_| false).unwrap(), site.train());
    assert!((a.loss - b.loss).abs() < 1e-5 * b.loss, "{} {}", a.loss, b.loss);
    let far = a.parameters.iter().zip(&b.parameters).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // so small a network may have the very same sums
    assert!(far < 1e-4, "{far}: other sums, but the same training");
}

#[test]
fn a_gpu_that_is_not_there_is_said_to_be_so() {
    let missing = consilium_ml_worker::learn::candle::gpu(999).unwrap_err().to_string();
    assert!(missing.contains("GPU 999 cannot be used"), "{missing}");
    assert_eq!(missing.contains("built without `--features cuda`"), cfg!(not(feature = "cuda")), "{missing}");
}
