//! The rows and the studies of the membership game.

use super::{
    attack::Candidate,
    network::Network,
    promise::{Promise, ROUNDS},
};
use anyhow::Result;
use consilium_ml_worker::{
    data::{demo, Rows},
    random::{key, Stream},
};
use consilium_study::{Clip, Model, Optimizer, StudyFile, StudySpec};

/// Rows of which it is asked whether they were in; the site attacked trains on half of them.
const CANDIDATES: usize = 98;
/// Share of its rows that each other site trains on.
const TRAINED: f64 = 0.7;

/// How studies train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Arm {
    /// The demo's study: 30-16-1, Adam, 10 rounds of 2 epochs.
    Net,
    /// The same with a logistic model.
    Logistic,
    /// 30-16-1, 30 rounds of a single step over all rows, of length 1 at most.
    Steps,
    /// 30-16-1, 30 rounds of a single step over all rows, each row's gradient of length 1 at most, with each site's noise for ε 8.
    Epsilon8,
    /// The same for ε 4.
    Epsilon4,
    /// The same for ε 2.
    Epsilon2,
    /// The same for ε 1.
    Epsilon1,
}

impl Arm {
    /// Without a promise.
    pub const PLAIN: [Self; 3] = [Self::Net, Self::Logistic, Self::Steps];
    /// With one, beside the same without noise: what is found there is the control.
    pub const PRIVATE: [Self; 5] = [Self::Steps, Self::Epsilon8, Self::Epsilon4, Self::Epsilon2, Self::Epsilon1];

    /// Its name, as the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Logistic => "logistic",
            Self::Steps => "steps",
            Self::Epsilon8 => "epsilon8",
            Self::Epsilon4 => "epsilon4",
            Self::Epsilon2 => "epsilon2",
            Self::Epsilon1 => "epsilon1",
        }
    }

    /// What is promised; none: nothing is.
    pub fn promise(self) -> Option<Promise> {
        let (epsilon, sigma_1024) = match self {
            Self::Net | Self::Logistic | Self::Steps => return None,
            Self::Epsilon8 => (8.0, 3_579),
            Self::Epsilon4 => (4.0, 6_494),
            Self::Epsilon2 => (2.0, 12_057),
            Self::Epsilon1 => (1.0, 22_690),
        };
        Some(Promise { epsilon, sigma_1024 })
    }

    /// The study, and its rounds.
    ///
    /// # Errors
    /// None: the demo's file is part of the program.
    pub fn study(self, seed: u64) -> Result<(StudySpec, u32)> {
        let file = StudyFile::parse(include_str!("../../../examples/breast-cancer/study.toml"))?;
        let (mut spec, mut rounds) = (file.spec(), file.rules.rounds);
        spec.seed = seed;
        match self {
            Self::Net => {}
            Self::Logistic => spec.model = Model::Logistic {},
            _ => {
                rounds = ROUNDS;
                spec.training.optimizer = Optimizer::Sgd { learning_rate: 1.0, momentum: 0.0, nesterov: false };
                // of a private study each row's gradient is shortened, and no mean of them
                spec.training.clip = Some(Clip::Norm(1.0)).filter(|_| self == Self::Steps);
                (spec.training.batch_size, spec.training.epochs) = (1_000, 1);
            }
        }
        Ok((spec, rounds))
    }

    /// Its network.
    pub fn network(self) -> Network {
        Network { inputs: 30, hidden: if self == Self::Logistic { 0 } else { 16 } }
    }
}

/// The rows of one draw: three sites, and the candidates, of whom some train at the fourth one.
pub struct World {
    /// Scaled features of all rows.
    features: Vec<Vec<f32>>,
    /// Their classes.
    labels: Vec<u32>,
    /// Rows of the sites that are not attacked.
    sites: Vec<Vec<usize>>,
    /// Rows of which it is asked whether they were in.
    candidates: Vec<usize>,
    /// Training rows that each of the four sites signs.
    pub samples: Vec<u32>,
    seed: u64,
}

/// Who trains on what in one study.
pub struct Shares {
    /// Rows of each of the four sites; the last one is attacked.
    pub rows: Vec<Rows>,
    /// Which candidates are among the last one's.
    pub members: Vec<bool>,
    /// Where each site's chance comes from.
    pub secrets: Vec<[u8; 32]>,
}

impl World {
    /// The demo's partition of this seed. Candidates are the fourth site's rows, and as many of the held-out ones as are missing;
    /// rows are scaled once, with the statistics of all four sites' rows.
    pub fn new(seed: u64) -> Self {
        let set = demo::patients();
        let partition = demo::partition(seed);
        let mut sites = partition.sites;
        let all = sites.concat();
        let mut candidates = sites.pop().unwrap_or_default();
        let missing = CANDIDATES.saturating_sub(candidates.len());
        candidates.extend(partition.held_out.iter().take(missing));
        let width = set.features.len();
        let scales: Vec<(f64, f64)> =
            (0..width).map(|k| scale(all.iter().map(|row| f64::from(set.row(*row)[k])))).collect();
        let scaled = |row: usize| -> Vec<f32> {
            let numbers = set.row(row).iter().zip(&scales);
            numbers.map(|(x, (mean, deviation))| ((f64::from(*x) - mean) / deviation) as f32).collect()
        };
        let mut samples: Vec<u32> = sites.iter().map(|rows| trained(rows.len()) as u32).collect();
        samples.push((candidates.len() / 2) as u32);
        Self {
            features: (0..set.malignant.len()).map(scaled).collect(),
            labels: set.malignant.iter().map(|malignant| u32::from(*malignant)).collect(),
            sites,
            candidates,
            samples,
            seed,
        }
    }

    /// The candidates, as an attacker knows them.
    pub fn candidates(&self) -> Vec<Candidate> {
        let of = |row: &usize| Candidate {
            row: self.features[*row].iter().map(|x| f64::from(*x)).collect(),
            positive: self.labels[*row] == 1,
        };
        self.candidates.iter().map(of).collect()
    }

    /// Who trains on what in one study: half of the candidates at the last site, and a part of the others' rows, all drawn anew.
    pub fn shares(&self, study: u32) -> Shares {
        let parts: [&[u8]; 2] = [&self.seed.to_le_bytes(), &study.to_le_bytes()];
        let mut chance = Stream::new(key("consilium/leaks/shares/1", &parts));
        let mut rows: Vec<Vec<usize>> = Vec::new();
        for site in &self.sites {
            let mut order = site.clone();
            chance.shuffle(&mut order);
            order.truncate(trained(site.len()));
            rows.push(order);
        }
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        chance.shuffle(&mut order);
        order.truncate(self.candidates.len() / 2);
        let members = (0..self.candidates.len()).map(|candidate| order.contains(&candidate)).collect();
        rows.push(order.iter().map(|candidate| self.candidates[*candidate]).collect());
        let secrets = (0..rows.len() as u64).map(|site| {
            key("consilium/leaks/secret/1", &[&self.seed.to_le_bytes(), &study.to_le_bytes(), &site.to_le_bytes()])
        });
        Shares { secrets: secrets.collect(), rows: rows.iter().map(|rows| self.rows(rows)).collect(), members }
    }

    /// Some rows of the four sites', drawn for one run with an exact step.
    pub fn drawn(&self, run: u32, count: usize) -> Vec<usize> {
        let parts: [&[u8]; 2] = [&self.seed.to_le_bytes(), &run.to_le_bytes()];
        let mut all = [self.sites.concat(), self.candidates.clone()].concat();
        Stream::new(key("consilium/leaks/drawn/1", &parts)).shuffle(&mut all);
        all.truncate(count);
        all
    }

    /// These rows, as the engine takes them.
    pub fn rows(&self, rows: &[usize]) -> Rows {
        let width = self.features.first().map_or(0, Vec::len);
        let features = rows.iter().flat_map(|row| self.features[*row].iter().copied()).collect();
        Rows::kept(width, 1, features, rows.iter().map(|row| self.labels[*row]).collect())
    }

    /// Features of a row.
    pub fn features(&self, row: usize) -> &[f32] {
        &self.features[row]
    }

    /// Whether a row is of the positive class.
    pub fn is_positive(&self, row: usize) -> bool {
        self.labels[row] == 1
    }

    /// The value of any patient in a column.
    pub fn somebodys(&self, column: usize, chance: &mut Stream) -> f64 {
        let row = chance.below(self.features.len() as u32);
        f64::from(self.features[row as usize][column])
    }

    /// The middle value of each column.
    pub fn medians(&self) -> Vec<f64> {
        let width = self.features.first().map_or(0, Vec::len);
        let median = |column: usize| {
            let mut values: Vec<f32> = self.features.iter().map(|row| row[column]).collect();
            values.sort_by(f32::total_cmp);
            f64::from(values[values.len() / 2])
        };
        (0..width).map(median).collect()
    }
}

/// How many of so many rows a site trains on.
fn trained(rows: usize) -> usize {
    (rows as f64 * TRAINED).round() as usize
}

/// Mean and deviation.
fn scale(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = numbers.clone().count().max(1) as f64;
    let mean = numbers.clone().sum::<f64>() / count;
    let deviation = (numbers.map(|x| (x - mean) * (x - mean)).sum::<f64>() / count).sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}
