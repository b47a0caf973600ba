//! A site's private training as the worker has it done.

use super::support::demo_csv;
use consilium_aggregation::masked::Noised;
use consilium_ml_worker::{
    data::{read_table, Prepared, Rows, Split},
    learn::{
        initial_parameters,
        private::{Mechanism, Private, Units},
        Checkpoint, OptimizerState, Seeds, Session, TrainError, Trained,
    },
};
use consilium_primitives::FailureCode;
use consilium_study::{ClassWeights, Clip, EarlyStopping, StudyFile, StudySpec};
use std::cell::{Cell, RefCell};

const LAYERS: &str = "[model]\nlayers = [{ dense = { units = 12 } }, { activation = \"relu\" }, { dropout = 0.3 }, \
                      { dense = { units = 6 } }, { activation = \"tanh\" }]";
const ADAM: &str = "{ adam = { learning_rate = 0.01 } }";

struct Site {
    spec: StudySpec,
    training: Rows,
    base: Vec<f32>,
}

impl Site {
    fn new(model: &str, optimizer: &str) -> Self {
        let text = include_str!("../../../examples/breast-cancer/study.toml")
            .replace("scaling = \"swarm\"", "scaling = \"site\"")
            .replace(
                "[model.dense]                    # or [model.logistic]\nhidden = [16]\nactivation = \"relu\"",
                model,
            )
            .replace("{ adam = { learning_rate = 0.01 } }", optimizer);
        let spec = StudyFile::parse(&text).unwrap().spec();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), demo_csv(1)).unwrap();
        let table = read_table(file.path(), &spec.data, &[1; 32]).unwrap();
        let split = Split::of(&table, spec.evaluation.validation_share);
        let training = Prepared::new(&spec, &table, &split, None).unwrap().training;
        Self { base: initial_parameters(&spec).unwrap(), spec, training }
    }

    fn private(&self, rate_ppm: u32, sigma: f64) -> Private {
        let units = Units::records(self.training.len());
        let mechanism = Mechanism { rate_ppm, steps: 8, clip: 0.5, sigma, units: units.len() as u64 };
        Private { mechanism, seed: [7; 32], units }
    }

    fn train(&self, private: &Private) -> Trained {
        self.result(private).unwrap()
    }

    fn result(&self, private: &Private) -> Result<Trained, TrainError> {
        let (state, seeds) = (OptimizerState::default(), seeds());
        self.session(private, &state, &seeds).train(&|_| false)
    }

    fn session<'a>(&'a self, private: &'a Private, state: &'a OptimizerState, seeds: &'a Seeds) -> Session<'a> {
        let session = Session::new(&self.spec, &self.base, &self.training, None, state, seeds);
        Session { private: Some(private), ..session }
    }
}

fn seeds() -> Seeds {
    Seeds::new(&[5; 32], &[6; 32], 1)
}

#[test]
fn a_seed_gives_its_bits_again_at_any_number_of_threads_and_another_gives_others() {
    for (model, optimizer) in [(LAYERS, ADAM), ("[model.logistic]", "{ sgd = { learning_rate = 0.5 } }")] {
        let site = Site::new(model, optimizer);
        let private = site.private(250_000, 1.0);
        let one = site.train(&private);
        assert!(one.loss.is_finite() && one.parameters != site.base);
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| site.train(&private)) == one, "{threads} threads");
        }
        let other = Private { seed: [8; 32], ..site.private(250_000, 1.0) };
        assert_ne!(site.train(&other).parameters, one.parameters);
    }
}

/// A worker that is killed repeats the same bits, which tell nobody anything more.
#[test]
fn a_private_training_interrupted_anywhere_gives_the_bits_of_an_undisturbed_one() {
    let site = Site::new(LAYERS, ADAM);
    let private = site.private(250_000, 1.0);
    let whole = site.train(&private);
    for after in [1, 3, 7] {
        let (state, seeds) = (OptimizerState::default(), seeds());
        let (done, kept) = (Cell::new(0), RefCell::new(None));
        let keep = |checkpoint: &Checkpoint| *kept.borrow_mut() = Some(checkpoint.clone());
        let halt = |_| {
            done.set(done.get() + 1);
            done.get() >= after
        };
        let session = Session { keep: Some(&keep), ..site.session(&private, &state, &seeds) };
        assert!(matches!(session.train(&halt), Err(TrainError::Halted)));
        let from = kept.borrow_mut().take();
        assert_eq!(from.as_ref().map(Checkpoint::steps), Some(after));
        let resumed = Session { from, ..site.session(&private, &state, &seeds) }.train(&|_| false).unwrap();
        assert_eq!(resumed, whole, "stopped after {after} steps");
    }
}

#[test]
fn a_draw_of_nobody_is_noise_and_nothing_else() {
    let site = Site::new(LAYERS, "{ sgd = { learning_rate = 0.5 } }");
    let silent = site.private(1, 0.0);
    assert!((0..8).all(|step| silent.draw(step).is_empty()), "one in a million, of 77 rows");
    assert_eq!(site.train(&silent).parameters, site.base);
    let moved = site.train(&site.private(1, 1.0)).parameters;
    assert!(moved.iter().zip(&site.base).all(|(a, b)| a != b), "every parameter has noise of its own");
}

/// So many rows that they do not go through at once, and no noise: the step is that of all gradients, one by one.
#[test]
fn a_large_draw_is_made_in_pieces_and_nothing_is_left_out() {
    let rows = 9000;
    let mut site = Site::new("[model.logistic]", "{ sgd = { learning_rate = 0.5 } }");
    let width = site.training.width();
    let number = |n: usize| ((n * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
    let features: Vec<f32> = (0..rows * width).map(number).collect();
    let labels: Vec<u32> = (0..rows as u32).map(|n| n * 7 % 5 % 2).collect();
    site.training = Rows::kept(width, 1, features.clone(), labels.clone());
    let mut private = site.private(1_000_000, 0.0);
    private.mechanism.steps = 1;
    let found = site.train(&private).parameters;
    // bias first, as in the file
    let (bias, weights) = (f64::from(site.base[0]), &site.base[1..]);
    let mut sum = vec![0.0; width + 1];
    for (x, label) in features.chunks_exact(width).zip(&labels) {
        let z = x.iter().zip(weights).fold(bias, |z, (x, w)| z + f64::from(*x) * f64::from(*w));
        let slope = 1.0 / (1.0 + (-z).exp()) - f64::from(*label);
        let length = slope.abs() * x.iter().fold(1.0, |sum, x| sum + f64::from(*x).powi(2)).sqrt();
        let slope = slope * (0.5 / length).min(1.0);
        sum[0] += slope;
        sum[1..].iter_mut().zip(x).for_each(|(sum, x)| *sum += slope * f64::from(*x));
    }
    for (n, sum) in sum.iter().enumerate() {
        let expected = f64::from(site.base[n]) - 0.5 * sum / rows as f64;
        assert!((f64::from(found[n]) - expected).abs() < 1e-5, "{n}: {} of {expected}", found[n]);
    }
}

/// A patient of many rows is one unit, wherever its rows stand.
#[test]
fn patients_are_drawn_and_shortened_as_one() {
    let site = Site::new("[model.logistic]", "{ sgd = { learning_rate = 0.5 } }");
    let groups: Vec<[u8; 32]> = (0..site.training.len()).map(|row| [(row % 11) as u8; 32]).collect();
    let units = Units::patients(&groups, 8, &[3; 32]);
    let mechanism = Mechanism { rate_ppm: 1_000_000, steps: 1, clip: 1e-4, sigma: 0.0, units: 11 };
    let private = Private { mechanism, seed: [7; 32], units };
    let moved = site.train(&private).parameters;
    let far = moved.iter().zip(&site.base).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    // eleven units of at most a clip each, over eleven
    assert!(far <= 0.5 * 1e-4 * 1.001, "{far}");
    assert!(far > 0.5 * 1e-4 * 0.1, "{far}");
}

#[test]
fn what_would_look_at_records_without_noise_is_refused() {
    type Change<'a> = &'a dyn Fn(&mut StudySpec);
    let refused = |change: Change<'_>| {
        let mut site = Site::new(LAYERS, ADAM);
        change(&mut site.spec);
        let error = site.result(&site.private(250_000, 1.0)).unwrap_err();
        assert_eq!(error.code(), FailureCode::Refused, "{error}");
        error.to_string()
    };
    let changes: [(&str, Change<'_>); 4] = [
        ("clip", &|spec| spec.training.clip = Some(Clip::Norm(1.0))),
        ("early_stopping", &|spec| {
            spec.training.early_stopping = Some(EarlyStopping { patience: 3, min_delta: 0.0 });
        }),
        ("class_weights", &|spec| spec.training.class_weights = Some(ClassWeights::Balanced)),
        ("proximal_gradient", &|spec| {
            spec.training.optimizer = serde_json::from_str(r#"{"proximal_gradient": {}}"#).unwrap();
        }),
    ];
    for (word, change) in changes {
        let said = refused(change);
        assert!(said.starts_with("this study cannot be trained under [privacy]: ") && said.contains(word), "{said}");
    }
    let site = Site::new(LAYERS, ADAM);
    let (private, state, seeds) = (site.private(250_000, 1.0), OptimizerState::default(), seeds());
    let device = Some(candle_core::Device::Cpu);
    let error = Session { device, ..site.session(&private, &state, &seeds) }.train(&|_| false).unwrap_err();
    assert!(error.to_string().contains("GPU"), "{error}");
}

/// What rows make of the model may be no number: an end by that would tell of them, exactly and uncounted. A model that is none by
/// itself, with the noise in it, is told.
#[test]
fn numbers_that_are_not_finite_end_it_only_where_they_are_the_models_own() {
    let mut site = Site::new(LAYERS, "{ sgd = { learning_rate = 0.1 } }");
    // finite, and what layers make of it is not
    site.base.fill(3e38);
    let trained = site.result(&site.private(1_000_000, 1.0)).unwrap();
    assert!(trained.loss.is_finite() && trained.parameters.iter().all(|number| number.is_finite()));
    site.base.fill(f32::NAN);
    let error = site.result(&site.private(1_000_000, 1.0)).unwrap_err();
    assert_eq!(error.code(), FailureCode::NotFinite);
    assert!(error.to_string().starts_with("private training left the finite numbers in step "), "{error}");
}

/// An update has its part of the noise alone: it is not even made. What a site adds to a sum is the same bits wherever it is made.
#[test]
fn where_sites_share_the_noise_no_update_of_one_site_comes_out_and_what_it_adds_repeats() {
    let mut site = Site::new(LAYERS, "{ sgd = { learning_rate = 0.5 } }");
    let promise = "epsilon = 4.0\ndelta = 1e-5\nclip = 0.5\nrate = 1.0\nsteps = 1\nrounds = 10\nnoise = \"shared\"";
    site.spec.privacy = Some(toml::from_str(promise).unwrap());
    let several = site.private(1_000_000, 1.0);
    let mut private = site.private(1_000_000, 1.0);
    private.mechanism.steps = 1;
    for refused in [&several, &private] {
        let error = site.result(refused).unwrap_err();
        assert_eq!(error.code(), FailureCode::Refused);
        assert!(error.to_string().contains("too little"), "{error}");
    }
    let (state, seeds) = (OptimizerState::default(), seeds());
    let grid = Noised::new(14, 0.5, 1.0);
    let added = |private: &Private| site.session(private, &state, &seeds).add_to_sum(private, grid);
    assert!(added(&several).is_err(), "the noise of several steps does not add up to a known one");
    let one = added(&private).unwrap();
    assert!(one.words.len() == site.base.len() && one.loss.is_finite());
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| added(&private).unwrap()) == one, "{threads} threads");
    }
    let other = Private { seed: [8; 32], ..private };
    assert_ne!(added(&other).unwrap().words, one.words);
}
