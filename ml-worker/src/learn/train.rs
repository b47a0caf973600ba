//! A round's local training.

use super::{
    net::{log_loss, logits, Net, NetError},
    optimize::{OptimizerState, Stepper},
};
use crate::{
    data::Rows,
    random::{key, Stream},
};
use consilium_primitives::FailureCode;
use consilium_study::StudySpec;

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
    /// Someone asked it to stop.
    #[error("training was stopped")]
    Halted,
}

impl TrainError {
    /// What others learn of it.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::NotFinite { .. } => FailureCode::NotFinite,
            Self::Net(_) | Self::Halted => FailureCode::Internal,
        }
    }
}

/// Keys of one site's streams in one round.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    shuffle: [u8; 32],
    dropout: [u8; 32],
}

impl Seeds {
    /// Those of a site's secret, a spec and a round.
    pub fn new(secret: &[u8; 32], spec: &[u8; 32], round: u32) -> Self {
        let of = |purpose| key(purpose, &[secret, spec, &round.to_le_bytes()]);
        Self { shuffle: of("consilium/shuffle/1"), dropout: of("consilium/dropout/1") }
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
}

/// Whether to stop. Told the share done (0 to 1) after every step.
pub type Halt<'a> = &'a dyn Fn(f64) -> bool;

/// Trains for the spec's number of epochs, from `base`. Each epoch goes through all rows in a fresh order.
///
/// # Errors
/// Numbers that are no longer finite; a stop that was asked for.
pub fn train(
    spec: &StudySpec,
    base: &[f32],
    rows: &Rows,
    state: &OptimizerState,
    seeds: &Seeds,
    halt: Halt<'_>,
) -> Result<Trained, TrainError> {
    let net = Net::new(spec)?;
    let width = spec.inputs();
    let batch = spec.training.batch_size as usize;
    let decay = (2.0 * spec.training.l2) as f32;
    let mut parameters = base.to_vec();
    let mut stepper = Stepper::new(&spec.training.optimizer, base.len(), state);
    let mut shuffle = Stream::new(seeds.shuffle);
    let mut dropout = Stream::new(seeds.dropout);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let steps = rows.len().div_ceil(batch) * spec.training.epochs as usize;
    let (mut done, mut loss) = (0usize, 0.0);
    for epoch in 0..spec.training.epochs {
        shuffle.shuffle(&mut order);
        let mut sum = 0.0;
        for part in order.chunks(batch) {
            let mut features = Vec::with_capacity(part.len() * width);
            let mut labels = Vec::with_capacity(part.len());
            for row in part {
                features.extend_from_slice(&rows.features[row * width..(row + 1) * width]);
                labels.push(rows.labels[*row]);
            }
            let (batch_loss, mut gradient) =
                net.loss_and_gradient(&parameters, &features, &labels, Some(&mut dropout))?;
            if decay != 0.0 {
                for range in net.weights() {
                    for (g, w) in gradient[range.clone()].iter_mut().zip(&parameters[range]) {
                        *g += decay * w;
                    }
                }
            }
            stepper.step(&mut parameters, &gradient);
            sum += batch_loss * part.len() as f64;
            done += 1;
            if halt(done as f64 / steps as f64) {
                return Err(TrainError::Halted);
            }
        }
        loss = sum / rows.len() as f64;
        if !loss.is_finite() || parameters.iter().any(|p| !p.is_finite()) {
            return Err(TrainError::NotFinite { epoch });
        }
    }
    Ok(Trained { parameters, state: stepper.state(), loss })
}

/// Mean log-loss of rows in micro-units: the agreed metric. `None` with fewer rows than `min_rows`. Losses beyond what
/// fits say the largest number that does.
///
/// # Errors
/// What the network says.
pub fn loss_micro(spec: &StudySpec, parameters: &[f32], rows: &Rows) -> Result<Option<u32>, NetError> {
    if rows.len() < spec.evaluation.min_rows as usize {
        return Ok(None);
    }
    let net = Net::new(spec)?;
    let z = logits(&net, parameters, &rows.features)?;
    let sum = z.iter().zip(&rows.labels).fold(0.0, |sum, (z, label)| sum + log_loss(f64::from(*z), *label));
    let micro = (sum / rows.len() as f64 * 1e6).round();
    // a cast of a float saturates
    Ok(Some(if micro.is_nan() { u32::MAX } else { micro as u32 }))
}
