//! What a training is asked for, what it gives, and where it can go on.

use crate::{
    data::Rows,
    learn::{
        candle::CandleNet,
        loss::Objective,
        net::{logits, Net, NetError},
        optimize::OptimizerState,
        private::Private,
    },
    random::key,
};
use candle_core::Device;
use codec::{Decode, Encode};
use consilium_primitives::FailureCode;
use consilium_study::StudySpec;
use std::{io, ops::Range};

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
    /// The same in a private training.
    #[error(
        "private training left the finite numbers in step {step}: lower the learning rate, scale the features, or bound what their \
         columns may hold"
    )]
    NotFiniteInStep {
        /// Step of the round, from 1.
        step: u64,
    },
    /// A training that cannot be private.
    #[error("this study cannot be trained under [privacy]: {0}")]
    NotPrivate(&'static str),
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
            Self::NotFinite { .. } | Self::NotFiniteInStep { .. } => FailureCode::NotFinite,
            Self::NotPrivate(_) => FailureCode::Refused,
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
    pub(super) shuffle: [u8; 32],
    pub(super) dropout: [u8; 32],
    pub(super) round: u32,
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
    /// Mean loss of the last epoch's batches, without penalty; of a private training that of all its steps.
    pub loss: f64,
    /// Epochs begun: fewer than agreed where training ended early. Of a private training how often, on average, it drew each row,
    /// rounded up.
    pub epochs: u32,
}

/// A training in its middle: with the same rows and seeds it goes on to the same bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Checkpoint {
    /// Steps done in this round.
    pub(super) step: u64,
    pub(super) parameters: Vec<u32>,
    pub(super) state: OptimizerState,
    /// Sum of the losses of this epoch's rows so far, and the last whole epoch's mean, as bits.
    pub(super) sum: u64,
    pub(super) loss: u64,
    pub(super) best: Option<Best>,
}

/// The best epoch so far by validation loss.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Best {
    pub(super) epoch: u32,
    pub(super) loss: u64,
    pub(super) parameters: Vec<u32>,
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
    /// Private training: its steps in place of the agreement's batches, its coins in place of an order of the rows. Of the seeds
    /// only the round counts then.
    pub private: Option<&'a Private>,
    /// Where to go on.
    pub from: Option<Checkpoint>,
    /// Candle's device that computes gradients, and looks at validation rows; none: the kernels of this program, on the CPU.
    pub device: Option<Device>,
    /// What is done with checkpoints. One is made every second, or less often where that would take more than a fiftieth
    /// of the time, and when training is stopped.
    pub keep: Option<Keep<'a>>,
}

impl Checkpoint {
    /// Steps done in its round.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Whether it can be of this network and so many steps.
    pub(super) fn fits(&self, net: &Net, steps: u64) -> bool {
        self.step <= steps && self.parameters.len() == net.parameters()
    }
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
        Self { spec, base, training, validation, state, seeds, private: None, from: None, device: None, keep: None }
    }
}

/// Logits of all rows, without dropout.
///
/// # Errors
/// Rows that cannot be read.
pub fn logits_of(net: &Net, parameters: &[f32], rows: &Rows) -> io::Result<Vec<f32>> {
    logits(net, parameters, rows.len(), gathering(rows))
}

/// The same, computed on candle's device.
///
/// # Errors
/// Rows that cannot be read; what candle says.
pub fn logits_on(candle: &CandleNet<'_>, parameters: &[f32], rows: &Rows) -> Result<Vec<f32>, TrainError> {
    let mut gather = gathering(rows);
    candle.logits_by(parameters, rows.len(), |range, out| Ok(gather(range, out)?))
}

/// Writes rows into a buffer, some at a time.
fn gathering(rows: &Rows) -> impl FnMut(Range<usize>, &mut [f32]) -> io::Result<()> + '_ {
    let mut places = Vec::new();
    move |range, out| {
        places.clear();
        places.extend(range);
        rows.gather(&places, out)
    }
}

/// Mean loss without class weights, by the kernels or on candle's device. `None` without rows.
pub(super) fn mean_loss(
    (net, candle): (&Net, Option<&CandleNet<'_>>),
    objective: &Objective,
    parameters: &[f32],
    rows: &Rows,
) -> Result<Option<f64>, TrainError> {
    if rows.is_empty() {
        return Ok(None);
    }
    let z = match candle {
        Some(candle) => logits_on(candle, parameters, rows)?,
        None => logits_of(net, parameters, rows)?,
    };
    let parts = z.chunks_exact(objective.task.outputs()).zip(rows.labels().chunks_exact(objective.labels_per_row()));
    Ok(Some(parts.fold(0.0, |sum, (z, label)| sum + objective.row(z, label)) / rows.len() as f64))
}
