//! One seed's hospitals and held-out patients.

use anyhow::{bail, Result};
use consilium_ml_worker::{
    data::{demo, Rows},
    random::{key, Stream},
};
use consilium_study::{StudyFile, StudySpec};

/// Of each class of a site, the share that is set apart.
const VALIDATION: f64 = 0.3;
/// What the example's study says of model and optimiser.
const MODEL: &str = "[model.dense]                    # or [model.logistic]\nhidden = [16]\nactivation = \"relu\"";
const OPTIMIZER: &str = "{ adam = { learning_rate = 0.01 } }";

/// One hospital.
pub struct Site {
    /// Its training rows.
    pub rows: Rows,
    /// Where its chance comes from.
    pub secret: [u8; 32],
}

/// All of one seed.
pub struct World {
    /// Model and training.
    pub spec: StudySpec,
    /// The hospitals.
    pub sites: Vec<Site>,
    /// Patients that none of them has.
    pub held_out: Rows,
}

impl World {
    /// One seed of the demo's data, with this model and optimiser.
    ///
    /// # Errors
    /// The example's study does not take them.
    pub fn new(seed: u64, model: &str, optimizer: &str) -> Result<Self> {
        let text = include_str!("../../../examples/breast-cancer/study.toml");
        if !text.contains(MODEL) || !text.contains(OPTIMIZER) {
            bail!("the example's study has another model or optimiser than this knows");
        }
        let text = text.replace(MODEL, model).replace(OPTIMIZER, optimizer);
        let mut spec = StudyFile::parse(&text)?.spec();
        spec.seed = seed;
        let partition = demo::partition(seed);
        let scale = constants();
        let sites = demo::SITES.iter().zip(&partition.sites).map(|((name, ..), patients)| {
            let secret = demo::secret(seed, name);
            Site { rows: rows(&training(patients, &secret), &scale), secret }
        });
        Ok(Self { sites: sites.collect(), held_out: rows(&partition.held_out, &scale), spec })
    }
}

/// To two digits.
fn rounded(number: f64) -> f64 {
    let unit = 10f64.powf(number.abs().log10().floor() - 1.0);
    (number / unit).round() * unit
}

/// Centre and deviation of each column.
fn constants() -> Vec<(f64, f64)> {
    let set = demo::patients();
    let count = set.malignant.len();
    let of_column = |column: usize| {
        let values = || (0..count).map(move |patient| f64::from(set.row(patient)[column]));
        let mean = values().sum::<f64>() / count as f64;
        let variance = values().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count as f64;
        (rounded(mean), rounded(variance.sqrt()))
    };
    (0..set.features.len()).map(of_column).collect()
}

/// The patients of a site that it trains with, of each class the same share.
fn training(patients: &[usize], secret: &[u8; 32]) -> Vec<usize> {
    let set = demo::patients();
    let mut stream = Stream::new(key("consilium/private-example/split/1", &[secret]));
    let mut kept = Vec::new();
    for malignant in [false, true] {
        let mut class: Vec<usize> = patients.iter().copied().filter(|p| set.malignant[*p] == malignant).collect();
        stream.shuffle(&mut class);
        class.drain(..(VALIDATION * class.len() as f64).round() as usize);
        kept.extend(class);
    }
    kept.sort_unstable();
    kept
}

fn rows(patients: &[usize], scale: &[(f64, f64)]) -> Rows {
    let set = demo::patients();
    let features = patients.iter().flat_map(|patient| {
        let values = set.row(*patient).iter().zip(scale);
        values.map(|(value, (centre, deviation))| ((f64::from(*value) - centre) / deviation) as f32)
    });
    let labels = patients.iter().map(|patient| u32::from(set.malignant[*patient])).collect();
    Rows::kept(scale.len(), 1, features.collect(), labels)
}
