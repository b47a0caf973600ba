//! A round's local training.

use super::{
    candle::CandleNet,
    curvature,
    loss::Objective,
    memory::{copy, zeros},
    net::{logits, Chance, Net, NetError, Workspace},
    optimize::{OptimizerState, Stepper},
};
use crate::{
    data::Rows,
    random::{key, Stream},
};
use candle_core::Device;
use codec::{Decode, Encode};
use consilium_primitives::FailureCode;
use consilium_study::{ClassWeights, Optimizer, StudySpec, Task};
use std::{
    io,
    time::{Duration, Instant},
};

mod run;

use run::Run;

/// Why training gave no update.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The network cannot compute.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Loss or parameters left the finite numbers.
    #[error("training left the finite numbers in epoch {epoch}: lower the learning rate, or scale the features")]
    NotFinite {
        /// Epoch, from 0.
        epoch: u32,
    },
    /// Rows that are read while training goes on cannot be read any more.
    #[error("rows cannot be read: {0}")]
    Rows(#[from] io::Error),
    /// Someone asked it to stop.
    #[error("training was stopped")]
    Halted,
}

impl From<consilium_study::SpecError> for TrainError {
    fn from(error: consilium_study::SpecError) -> Self {
        Self::Net(error.into())
    }
}

impl TrainError {
    /// What others learn of it.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::NotFinite { .. } => FailureCode::NotFinite,
            Self::Rows(_) => FailureCode::DataUnreadable,
            // a network that these data cannot train
            Self::Net(NetError::NoGradient(_)) => FailureCode::SchemaMismatch,
            Self::Net(_) | Self::Halted => FailureCode::Internal,
        }
    }
}

/// Keys of one site's streams in one round.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    shuffle: [u8; 32],
    dropout: [u8; 32],
    round: u32,
}

impl Seeds {
    /// Those of a site's secret, a spec and a round (from 1).
    pub fn new(secret: &[u8; 32], spec: &[u8; 32], round: u32) -> Self {
        let of = |purpose| key(purpose, &[secret, spec, &round.to_le_bytes()]);
        Self { shuffle: of("consilium/shuffle/1"), dropout: of("consilium/dropout/2"), round }
    }

    /// Where dropout comes from in the round's `step`-th step.
    pub fn step(&self, step: u64) -> [u8; 32] {
        key("consilium/step/1", &[&self.dropout, &step.to_le_bytes()])
    }
}

/// What training gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Parameters after it.
    pub parameters: Vec<f32>,
    /// What the optimiser remembers.
    pub state: OptimizerState,
    /// Mean loss of the last epoch's batches, without penalty.
    pub loss: f64,
    /// Epochs begun: fewer than agreed where training ended early.
    pub epochs: u32,
}

/// A training in its middle: with the same rows and seeds it goes on to the same bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Checkpoint {
    /// Steps done in this round.
    step: u64,
    parameters: Vec<u32>,
    state: OptimizerState,
    /// Sum of the losses of this epoch's rows so far, and the last whole epoch's mean, as bits.
    sum: u64,
    loss: u64,
    best: Option<Best>,
}

/// The best epoch so far by validation loss.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Best {
    epoch: u32,
    loss: u64,
    parameters: Vec<u32>,
}

/// Whether to stop. Told the share done (0 to 1) after every step.
pub type Halt<'a> = &'a dyn Fn(f64) -> bool;
/// Keeps a checkpoint.
pub type Keep<'a> = &'a dyn Fn(&Checkpoint);

/// One site's training in one round.
pub struct Session<'a> {
    /// The agreement.
    pub spec: &'a StudySpec,
    /// The model that the round begins with.
    pub base: &'a [f32],
    /// Rows to learn from.
    pub training: &'a Rows,
    /// Rows that early stopping looks at; without them it does not stop early.
    pub validation: Option<&'a Rows>,
    /// What the optimiser remembers of earlier rounds.
    pub state: &'a OptimizerState,
    /// Where chance comes from.
    pub seeds: &'a Seeds,
    /// Where to go on.
    pub from: Option<Checkpoint>,
    /// Candle's device that computes gradients; none: the kernels of this program, on the CPU.
    pub device: Option<Device>,
    /// What is done with checkpoints. One is made every second, or less often where that would take more than a fiftieth
    /// of the time, and when training is stopped.
    pub keep: Option<Keep<'a>>,
}

/// The objective of a study, with class weights from these training rows.
pub fn objective(spec: &StudySpec, training: Option<&Rows>) -> Objective {
    let task = spec.data.task();
    let weights = match (&spec.training.class_weights, training) {
        (Some(ClassWeights::Fixed(weights)), _) => weights.clone(),
        (Some(ClassWeights::Balanced), Some(rows)) => {
            let classes = if let Task::Classes(n) = task { n } else { 2 };
            (0..classes as u32)
                .map(|class| {
                    let own = rows.labels().iter().filter(|label| **label == class).count();
                    // a class without rows has no row that its weight could count for
                    rows.len() as f64 / (classes as f64 * own.max(1) as f64)
                })
                .collect()
        }
        _ => Vec::new(),
    };
    Objective { task, loss: spec.training.loss, weights }
}

impl<'a> Session<'a> {
    /// A training from its beginning, of which nothing is kept on the way.
    pub fn new(
        spec: &'a StudySpec,
        base: &'a [f32],
        training: &'a Rows,
        validation: Option<&'a Rows>,
        state: &'a OptimizerState,
        seeds: &'a Seeds,
    ) -> Self {
        Self { spec, base, training, validation, state, seeds, from: None, device: None, keep: None }
    }

    /// Trains for the spec's number of epochs or batches. Each epoch goes through all rows in a fresh order; with proximal
    /// gradient descent it is one step over all of them.
    ///
    /// # Errors
    /// Numbers that are no longer finite; a stop that was asked for; rows that cannot be read; in the first round, a tensor
    /// that no gradient reaches.
    pub fn train(&self, halt: Halt<'_>) -> Result<Trained, TrainError> {
        let t = &self.spec.training;
        let net = Net::new(self.spec.architecture()?)?;
        let objective = objective(self.spec, Some(self.training));
        let rows = self.training.len();
        let batch = (t.batch_size as usize).min(rows.max(1));
        let whole = matches!(t.optimizer, Optimizer::ProximalGradient {});
        let curvature = match whole {
            true => curvature::of(self.training, &objective, batch, &|| halt(0.0))?.ok_or(TrainError::Halted)?,
            false => 1.0,
        };
        // rows of one step; a batch of them is computed at a time
        let span = if whole { rows.max(1) } else { batch };
        let per_epoch = rows.div_ceil(span) as u64;
        let steps = if t.batches > 0 { u64::from(t.batches) } else { per_epoch * u64::from(t.epochs) };
        let mut run = Run {
            session: self,
            work: net.workspace(batch),
            candle: self.device.clone().map(|device| CandleNet::new(&net, device)),
            gradient: zeros(net.parameters()),
            stepper: Stepper::new(t, &net, self.base).with_curvature(curvature),
            parameters: copy(self.base),
            objective,
            net: &net,
            labels: Vec::new(),
            step: 0,
            sum: 0.0,
            loss: 0.0,
            best: None,
        };
        run.stepper.resume(self.state);
        if let Some(from) = self.from.as_ref().filter(|from| from.fits(&net, steps)) {
            run.resume(from);
        }
        let mut order: Vec<usize> = (0..rows).collect();
        let mut shuffle = Stream::new(self.seeds.shuffle);
        let mut shuffled = 0;
        let (mut kept, mut every) = (Instant::now(), Duration::from_secs(1));
        while run.step < steps {
            let epoch = run.step / per_epoch;
            while shuffled <= epoch {
                shuffle.shuffle(&mut order);
                shuffled += 1;
            }
            let place = (run.step % per_epoch) as usize;
            let part = order.chunks(span).nth(place).unwrap_or_default();
            run.step(part, epoch as u32, per_epoch)?;
            let ended =
                (place as u64 + 1 == per_epoch || run.step == steps) && run.epoch_ends(epoch as u32, place, span)?;
            if ended {
                break;
            }
            let stop = halt(run.step as f64 / steps as f64);
            if let Some(keep) = self.keep.filter(|_| stop || kept.elapsed() >= every) {
                let began = Instant::now();
                keep(&run.checkpoint());
                every = every.max(began.elapsed() * 50);
                kept = Instant::now();
            }
            if stop && run.step < steps {
                return Err(TrainError::Halted);
            }
        }
        Ok(run.done(per_epoch))
    }
}

impl Checkpoint {
    /// Steps done in its round.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Whether it can be of this network and so many steps.
    fn fits(&self, net: &Net, steps: u64) -> bool {
        self.step <= steps && self.parameters.len() == net.parameters()
    }
}

/// Logits of all rows, without dropout.
///
/// # Errors
/// Rows that cannot be read.
pub fn logits_of(net: &Net, parameters: &[f32], rows: &Rows) -> io::Result<Vec<f32>> {
    let mut places = Vec::new();
    logits(net, parameters, rows.len(), |range, out| {
        places.clear();
        places.extend(range);
        rows.gather(&places, out)
    })
}

/// Mean loss without class weights. `None` without rows.
fn mean_loss(net: &Net, objective: &Objective, parameters: &[f32], rows: &Rows) -> io::Result<Option<f64>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let z = logits_of(net, parameters, rows)?;
    let parts = z.chunks_exact(objective.task.outputs()).zip(rows.labels().chunks_exact(objective.labels_per_row()));
    Ok(Some(parts.fold(0.0, |sum, (z, label)| sum + objective.row(z, label)) / rows.len() as f64))
}
