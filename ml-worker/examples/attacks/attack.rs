//! What liars send. Definitions stand in the bench's head.

use consilium_study::random::Stream;

/// Times its rows that a liar signs who inflates its sample count.
pub const INFLATION: u32 = 100;
/// Length of noise, in mean lengths of an honest step.
pub const NOISE: f64 = 10.0;

/// An attack with its parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Attack {
    /// Trains on wrong labels.
    LabelFlip,
    /// Its own honest step, times this number.
    Times(f64),
    /// Noise as long as ten mean honest steps.
    Noise,
    /// A little is enough: `mean − z·deviation` of the honest steps.
    Alie(f64),
    /// Inner-product manipulation: `−ε·mean` of the honest steps.
    Ipm(f64),
    /// Wrong labels, and a hundred times its rows signed.
    InflatedCount,
    /// Trains that rows with a trigger are of the target's class.
    Backdoor,
}

/// What a liar trains on, where its attack needs an update of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trains {
    /// Nothing.
    No,
    /// Its rows as they are.
    Honestly,
    /// Wrong labels.
    Flipped,
    /// Its rows, and copies with the trigger.
    Poisoned,
}

impl Attack {
    /// All of the bench.
    pub const ALL: [Self; 15] = [
        Self::LabelFlip,
        Self::Times(-1.0),
        Self::Times(-10.0),
        Self::Times(10.0),
        Self::Noise,
        Self::Alie(0.5),
        Self::Alie(1.0),
        Self::Alie(1.5),
        Self::Alie(3.0),
        Self::Ipm(0.1),
        Self::Ipm(0.5),
        Self::Ipm(1.5),
        Self::Ipm(5.0),
        Self::InflatedCount,
        Self::Backdoor,
    ];

    /// Its name in tables.
    pub fn name(self) -> String {
        match self {
            Self::LabelFlip => "flip".into(),
            Self::Times(factor) => format!("x{factor}"),
            Self::Noise => "noise".into(),
            Self::Alie(z) => format!("alie{z}"),
            Self::Ipm(epsilon) => format!("ipm{epsilon}"),
            Self::InflatedCount => "count".into(),
            Self::Backdoor => "backdoor".into(),
        }
    }

    /// What the liar trains on.
    pub fn trains(self) -> Trains {
        match self {
            Self::LabelFlip | Self::InflatedCount => Trains::Flipped,
            Self::Times(_) => Trains::Honestly,
            Self::Backdoor => Trains::Poisoned,
            Self::Noise | Self::Alie(_) | Self::Ipm(_) => Trains::No,
        }
    }

    /// What a liar signs who has so many rows.
    pub fn samples(self, rows: u32) -> u32 {
        if self == Self::InflatedCount {
            rows.saturating_mul(INFLATION)
        } else {
            rows
        }
    }

    /// The update that a liar sends. `base` is the model of the round, `honest` are all honest updates, `own` what the liar's
    /// training gave (the base where it does not train), `chance` where noise comes from.
    pub fn forged(self, base: &[f32], honest: &[&[f32]], own: &[f32], chance: &mut Stream) -> Vec<f32> {
        match self {
            Self::LabelFlip | Self::InflatedCount | Self::Backdoor => own.to_vec(),
            Self::Times(factor) => {
                base.iter().zip(own).map(|(w, x)| (f64::from(*w) + factor * step(*x, *w)) as f32).collect()
            }
            Self::Noise => {
                let noise: Vec<f64> = base.iter().map(|_| chance.normal()).collect();
                let size = noise.iter().map(|x| x * x).sum::<f64>().sqrt();
                let factor = if size > 0.0 { NOISE * mean_length(base, honest) / size } else { 0.0 };
                base.iter().zip(noise).map(|(w, x)| (f64::from(*w) + factor * x) as f32).collect()
            }
            Self::Alie(z) => from_moments(base, honest, |mean, deviation| mean - z * deviation),
            Self::Ipm(epsilon) => from_moments(base, honest, |mean, _| -epsilon * mean),
        }
    }
}

fn step(x: f32, w: f32) -> f64 {
    f64::from(x) - f64::from(w)
}

fn mean_length(base: &[f32], updates: &[&[f32]]) -> f64 {
    let length = |x: &&[f32]| x.iter().zip(base).map(|(x, w)| step(*x, *w) * step(*x, *w)).sum::<f64>().sqrt();
    updates.iter().map(length).sum::<f64>() / updates.len().max(1) as f64
}

/// Each coordinate from mean and deviation (of the sample, n − 1) of the honest steps.
fn from_moments(base: &[f32], honest: &[&[f32]], of: impl Fn(f64, f64) -> f64) -> Vec<f32> {
    let n = honest.len() as f64;
    base.iter()
        .enumerate()
        .map(|(k, w)| {
            let mean = honest.iter().map(|x| step(x[k], *w)).sum::<f64>() / n;
            let squares = honest.iter().map(|x| (step(x[k], *w) - mean).powi(2)).sum::<f64>();
            let deviation = (squares / (n - 1.0).max(1.0)).sqrt();
            (f64::from(*w) + of(mean, deviation)) as f32
        })
        .collect()
}
