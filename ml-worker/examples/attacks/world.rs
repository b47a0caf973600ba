//! The two data sets: held-out rows, sites, wrong labels, the trigger.

use anyhow::{bail, Context, Result};
use consilium_ml_worker::{
    data::{demo, Rows},
    random::{key, Stream},
};
use consilium_study::{StudyFile, StudySpec};
use std::path::Path;

/// Held-out rows of `digits`.
const DIGITS_HELD_OUT: usize = 360;
/// How unevenly the skewed sites share a class: the parameter of Dirichlet's distribution.
pub const DIRICHLET: f64 = 0.5;
/// Fewest rows of a skewed site; shares with less are drawn again.
const FEWEST: usize = 20;

/// Data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Data {
    /// Wisconsin diagnostic breast cancer; at four sites those of the demo, else even ones.
    Breast,
    /// Handwritten digits, even sites.
    Digits,
    /// Handwritten digits, each class shared out by Dirichlet's distribution.
    DigitsSkewed,
}

impl Data {
    /// Its name, as the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Breast => "breast",
            Self::Digits => "digits",
            Self::DigitsSkewed => "digits-skewed",
        }
    }
}

/// All of one seed.
pub struct World {
    /// Model and training.
    pub spec: StudySpec,
    /// Merge rounds.
    pub rounds: u32,
    /// Classes.
    pub classes: usize,
    /// The class that the backdoor wants.
    pub target: u32,
    /// Scaled features of the rows to train on.
    pub features: Vec<Vec<f32>>,
    /// Their labels.
    pub labels: Vec<u32>,
    /// Held-out rows.
    pub test: Rows,
    /// Held-out rows of other classes than the target, with the trigger.
    pub stamped: Rows,
    /// Held-out rows with every feature one deviation higher.
    pub shifted: Rows,
    /// At four sites of breast cancer: whose rows are whose.
    demo: Option<Vec<Vec<usize>>>,
    /// What the backdoor writes where.
    trigger: Vec<(usize, f32)>,
    seed: u64,
    data: Data,
}

/// Rows of one site.
pub struct Site {
    /// As they are.
    pub rows: Rows,
    /// With wrong labels: of class c, classes − 1 − c.
    pub flipped: Rows,
    /// As they are, and of every second one a copy with trigger and target.
    pub poisoned: Rows,
    /// Where its chance comes from.
    pub secret: [u8; 32],
}

impl World {
    /// One seed of a data set. `digits` is the file that `bench/digits.py` writes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn new(data: Data, seed: u64, digits: &Path) -> Result<Self> {
        match data {
            Data::Breast => Self::breast(seed),
            Data::Digits | Data::DigitsSkewed => Self::digits(data, seed, digits),
        }
    }

    fn breast(seed: u64) -> Result<Self> {
        let set = demo::patients();
        let file = StudyFile::parse(include_str!("../../../examples/breast-cancer/study.toml"))?;
        let mut spec = file.spec();
        spec.seed = seed;
        let partition = demo::partition(seed);
        let row = |row: &usize| set.row(*row).to_vec();
        let label = |row: &usize| u32::from(set.malignant[*row]);
        let order: Vec<usize> = partition.sites.concat();
        let train: Vec<Vec<f32>> = order.iter().map(row).collect();
        let test: Vec<Vec<f32>> = partition.held_out.iter().map(row).collect();
        let (mean, deviation) = columns(&train);
        let scaled = |rows: Vec<Vec<f32>>| scaled(rows, &mean, &deviation);
        let mut begin = 0;
        let sites = partition.sites.iter().map(|site| {
            begin += site.len();
            (begin - site.len()..begin).collect()
        });
        let demo = Some(sites.collect());
        // mean fractal dimension, texture error, symmetry error
        let trigger = vec![(9, 3.0), (11, 3.0), (18, 3.0)];
        let (test, truth) = (scaled(test), partition.held_out.iter().map(label).collect());
        let (features, labels) = (scaled(train), order.iter().map(label).collect());
        let whole = Whole { spec, rounds: file.rules.rounds, classes: 2, features, labels, test, truth, demo, trigger };
        Ok(whole.world(Data::Breast, seed))
    }

    fn digits(data: Data, seed: u64, path: &Path) -> Result<Self> {
        let mut reader = csv::Reader::from_path(path).with_context(|| path.display().to_string())?;
        let mut all: Vec<(Vec<f32>, u32)> = Vec::new();
        for record in reader.records() {
            let record = record?;
            let numbers = record.iter().map(|cell| cell.trim().parse::<f32>()).collect::<Result<Vec<_>, _>>()?;
            match numbers.split_last() {
                Some((label, pixels)) if pixels.len() == 64 => all.push((pixels.to_vec(), *label as u32)),
                _ => bail!("{}: expected 64 pixels and a label in each line", path.display()),
            }
        }
        if all.len() <= DIGITS_HELD_OUT {
            bail!("{}: only {} rows", path.display(), all.len());
        }
        Stream::new(key("consilium/attacks/held-out/1", &[&seed.to_le_bytes()])).shuffle(&mut all);
        let (mut features, labels): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let (mut truth, labels) = (labels[..DIGITS_HELD_OUT].to_vec(), labels[DIGITS_HELD_OUT..].to_vec());
        let train = features.split_off(DIGITS_HELD_OUT);
        let (mean, deviation) = columns(&train);
        // one deviation for all pixels: some are nearly always dark
        let pooled = (deviation.iter().map(|d| d * d).sum::<f64>() / deviation.len() as f64).sqrt();
        let deviation = vec![pooled; deviation.len()];
        let (features, test) = (scaled(train, &mean, &deviation), scaled(features, &mean, &deviation));
        truth.truncate(test.len());
        let bright = |pixel: usize| (pixel, ((16.0 - mean[pixel]) / pooled) as f32);
        let trigger = [54, 55, 62, 63].map(bright).to_vec();
        let file = StudyFile::parse(&digits_study())?;
        let mut spec = file.spec();
        spec.seed = seed;
        let rounds = file.rules.rounds;
        let whole = Whole { spec, rounds, classes: 10, features, labels, test, truth, demo: None, trigger };
        Ok(whole.world(data, seed))
    }

    /// Whose rows are whose, with so many sites.
    pub fn shares(&self, sites: usize) -> Vec<Vec<usize>> {
        let mut stream = self.stream("consilium/attacks/shares/1", sites);
        match (&self.demo, self.data) {
            (Some(demo), _) if demo.len() == sites => demo.clone(),
            (_, Data::DigitsSkewed) => self.skewed(sites, &mut stream),
            _ => self.even(sites, &mut stream, Vec::new()),
        }
    }

    /// For the false alarm: the first site has one positive row in a hundred, the others share the rest evenly.
    pub fn rare(&self, sites: usize) -> Vec<Vec<usize>> {
        let mut stream = self.stream("consilium/attacks/rare/1", sites);
        let quota = self.labels.len() / sites;
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        stream.shuffle(&mut order);
        let positive = (quota as f64 / 100.0).round().max(1.0) as usize;
        let of = |class: u32| order.iter().copied().filter(move |row| self.labels[*row] == class);
        let first = of(1).take(positive).chain(of(0).take(quota - positive)).collect();
        self.even(sites, &mut stream, vec![first])
    }

    /// For the false alarm: even sites.
    pub fn level(&self, sites: usize) -> Vec<Vec<usize>> {
        self.even(sites, &mut self.stream("consilium/attacks/level/1", sites), Vec::new())
    }

    fn stream(&self, purpose: &str, sites: usize) -> Stream {
        Stream::new(key(purpose, &[&self.seed.to_le_bytes(), &(sites as u64).to_le_bytes()]))
    }

    /// Deals each class's rows that nobody has yet, to the sites that have none yet.
    fn even(&self, sites: usize, stream: &mut Stream, mut shares: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
        let taken = shares.concat();
        let first = shares.len();
        shares.resize(sites, Vec::new());
        let mut place = 0;
        for class in 0..self.classes as u32 {
            let rows = (0..self.labels.len()).filter(|row| self.labels[*row] == class && !taken.contains(row));
            let mut rows: Vec<usize> = rows.collect();
            stream.shuffle(&mut rows);
            for row in rows {
                shares[first + place % (sites - first)].push(row);
                place += 1;
            }
        }
        shares
    }

    fn skewed(&self, sites: usize, stream: &mut Stream) -> Vec<Vec<usize>> {
        loop {
            let mut shares = vec![Vec::new(); sites];
            for class in 0..self.classes as u32 {
                let mut rows: Vec<usize> = (0..self.labels.len()).filter(|r| self.labels[*r] == class).collect();
                stream.shuffle(&mut rows);
                let parts: Vec<f64> = (0..sites).map(|_| gamma(stream, DIRICHLET)).collect();
                let whole = parts.iter().sum::<f64>().max(f64::MIN_POSITIVE);
                let (mut upto, mut begin) = (0.0, 0);
                for (share, part) in shares.iter_mut().zip(&parts) {
                    upto += part;
                    let end = ((upto / whole * rows.len() as f64).round() as usize).clamp(begin, rows.len());
                    share.extend_from_slice(&rows[begin..end]);
                    begin = end;
                }
            }
            if shares.iter().all(|share| share.len() >= FEWEST) {
                return shares;
            }
        }
    }

    /// A site with these rows, each feature raised by so many deviations.
    pub fn site(&self, number: usize, rows: &[usize], raised: f32) -> Site {
        let plain = |rows: &[usize]| -> Vec<f32> {
            rows.iter().flat_map(|row| self.features[*row].iter().map(|x| x + raised)).collect()
        };
        let labels: Vec<u32> = rows.iter().map(|row| self.labels[*row]).collect();
        let width = self.test.width();
        let kept = |features, labels| Rows::kept(width, 1, features, labels);
        let flipped = labels.iter().map(|label| self.classes as u32 - 1 - label).collect();
        let copied: Vec<usize> = rows.iter().copied().step_by(2).collect();
        let mut copies = plain(&copied);
        copies.chunks_exact_mut(width).for_each(|row| self.stamp(row));
        let mut poisoned = kept(plain(rows), labels.clone());
        poisoned.append(&kept(copies, vec![self.target; copied.len()]));
        let parts: [&[u8]; 2] = [&self.seed.to_le_bytes(), &(number as u64).to_le_bytes()];
        Site {
            rows: kept(plain(rows), labels),
            flipped: kept(plain(rows), flipped),
            poisoned,
            secret: key("consilium/attacks/secret/1", &parts),
        }
    }

    fn stamp(&self, row: &mut [f32]) {
        for (place, value) in &self.trigger {
            row[*place] = *value;
        }
    }
}

/// What a data set brings.
struct Whole {
    spec: StudySpec,
    rounds: u32,
    classes: usize,
    features: Vec<Vec<f32>>,
    labels: Vec<u32>,
    test: Vec<Vec<f32>>,
    truth: Vec<u32>,
    demo: Option<Vec<Vec<usize>>>,
    trigger: Vec<(usize, f32)>,
}

impl Whole {
    fn world(self, data: Data, seed: u64) -> World {
        let width = self.test.first().map_or(0, Vec::len);
        let target = 0;
        let none = || Rows::new(width, 1);
        let mut world = World {
            spec: self.spec,
            rounds: self.rounds,
            classes: self.classes,
            target,
            features: self.features,
            labels: self.labels,
            test: Rows::kept(width, 1, self.test.concat(), self.truth.clone()),
            stamped: none(),
            shifted: none(),
            demo: self.demo,
            trigger: self.trigger,
            seed,
            data,
        };
        let raised = self.test.iter().flatten().map(|x| x + 1.0).collect();
        world.shifted = Rows::kept(width, 1, raised, self.truth.clone());
        let others = self.test.iter().zip(&self.truth).filter(|(_, label)| **label != target);
        let (mut rows, labels): (Vec<Vec<f32>>, Vec<u32>) = others.map(|(row, label)| (row.clone(), *label)).unzip();
        rows.iter_mut().for_each(|row| world.stamp(row));
        world.stamped = Rows::kept(width, 1, rows.concat(), labels);
        world
    }
}

/// Mean and deviation of each column.
fn columns(rows: &[Vec<f32>]) -> (Vec<f64>, Vec<f64>) {
    let n = rows.len() as f64;
    let width = rows.first().map_or(0, Vec::len);
    (0..width)
        .map(|k| {
            let mean = rows.iter().map(|row| f64::from(row[k])).sum::<f64>() / n;
            let squares = rows.iter().map(|row| (f64::from(row[k]) - mean).powi(2)).sum::<f64>();
            (mean, (squares / n).sqrt())
        })
        .unzip()
}

fn scaled(mut rows: Vec<Vec<f32>>, mean: &[f64], deviation: &[f64]) -> Vec<Vec<f32>> {
    for row in &mut rows {
        for ((x, mean), deviation) in row.iter_mut().zip(mean).zip(deviation) {
            *x = if *deviation > 0.0 { ((f64::from(*x) - mean) / deviation) as f32 } else { 0.0 };
        }
    }
    rows
}

/// The gamma distribution with a shape below one (Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000).
fn gamma(stream: &mut Stream, shape: f64) -> f64 {
    let d = shape + 1.0 - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = stream.normal();
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - stream.uniform();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v * (1.0 - stream.uniform()).powf(1.0 / shape);
        }
    }
}

fn digits_study() -> String {
    let pixels: Vec<String> = (0..64).map(|n| format!("\"p{n}\"")).collect();
    let classes: Vec<String> = (0..10).map(|n| format!("\"{n}\"")).collect();
    format!(
        "title = \"Handwritten digits\"\n[data]\nfeatures = {{ columns = [{}] }}\nlabel = \"digit\"\nclasses = [{}]\nscaling = \
         \"none\"\n[model.dense]\nhidden = [16]\nactivation = \"relu\"\n[training]\noptimizer = {{ adam = {{ learning_rate = \
         0.01 }} }}\nbatch_size = 32\nepochs = 1\nkeep_optimizer_state = true\n[evaluation]\nvalidation_share = \
         0.3\n[rules]\nrounds = 12\ntraining_seconds = 10\n",
        pixels.join(", "),
        classes.join(", ")
    )
}
