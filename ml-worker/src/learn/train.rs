//! A round's local training.

use super::{
    candle::CandleNet,
    curvature,
    loss::Objective,
    memory::{copy, zeros},
    net::Net,
    optimize::Stepper,
};
use crate::{data::Rows, random::Stream};
use consilium_study::{ClassWeights, Optimizer, StudySpec, Task};

mod private;
mod run;
mod session;
#[cfg(test)]
mod tests;

use run::{Run, Watch};
pub use private::Added;
pub use session::{logits_of, logits_on, Checkpoint, Halt, Keep, Seeds, Session, TrainError, Trained};
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
    Objective::new(task, spec.training.loss, weights).with_cuts(spec.data.cuts())
}

impl Session<'_> {
    /// Trains for the spec's number of epochs or batches. Each epoch goes through all rows in a fresh order; with proximal
    /// gradient descent it is one step over all of them. Private training takes its own number of steps.
    ///
    /// # Errors
    /// Numbers that are no longer finite; a stop that was asked for; rows that cannot be read; in the first round, a tensor
    /// that no gradient reaches.
    pub fn train(&self, halt: Halt<'_>) -> Result<Trained, TrainError> {
        if let Some(private) = self.private {
            return self.train_private(private, halt);
        }
        if self.spec.privacy.is_some() {
            return Err(TrainError::NotPrivate(
                "only a site's worker trains it, within a study, and counts what that costs",
            ));
        }
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
        let mut watch = Watch::new();
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
            if watch.stops(&run, steps, halt) {
                return Err(TrainError::Halted);
            }
        }
        Ok(run.done(per_epoch))
    }
}
