//! The steps of a training, one after the other.

use super::session::{mean_loss, Best, Checkpoint, Halt, Session, TrainError, Trained};
use crate::learn::{
    candle::CandleNet,
    loss::Objective,
    net::{Chance, Net, NetError, Workspace},
    optimize::Stepper,
};
use std::time::{Duration, Instant};

/// When to stop, and when to keep a checkpoint.
pub(super) struct Watch {
    kept: Instant,
    every: Duration,
}

impl Watch {
    pub fn new() -> Self {
        Self { kept: Instant::now(), every: Duration::from_secs(1) }
    }

    /// After a step of so many: keeps a checkpoint, where it is time to. True: the training is to stop before its end.
    pub fn stops(&mut self, run: &Run<'_>, steps: u64, halt: Halt<'_>) -> bool {
        let stop = halt(run.step as f64 / steps as f64);
        if let Some(keep) = run.session.keep.filter(|_| stop || self.kept.elapsed() >= self.every) {
            let began = Instant::now();
            keep(&run.checkpoint());
            self.every = self.every.max(began.elapsed() * 50);
            self.kept = Instant::now();
        }
        stop && run.step < steps
    }
}

/// A round's training under way.
pub(super) struct Run<'r> {
    pub session: &'r Session<'r>,
    pub net: &'r Net,
    pub objective: Objective,
    pub work: Workspace<f32>,
    pub candle: Option<CandleNet<'r>>,
    pub gradient: Vec<f32>,
    pub stepper: Stepper<f32>,
    pub parameters: Vec<f32>,
    pub labels: Vec<u32>,
    pub step: u64,
    pub sum: f64,
    pub loss: f64,
    pub best: Option<Best>,
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|n| n.to_bits()).collect()
}

impl Run<'_> {
    pub fn step(&mut self, part: &[usize], epoch: u32, per_epoch: u64) -> Result<(), TrainError> {
        let whole = part.len() > self.work.rows();
        if !whole {
            self.gather(part)?;
        }
        if !whole && self.step == 0 && self.session.seeds.round <= 1 {
            // with nothing left out by chance, every tensor must move
            self.gradient(None)?;
            let mut reached = Vec::new();
            if self.net.reach(&self.gradient, &mut reached).is_err() {
                self.reach(part.len(), reached)?;
                self.gather(part)?;
            }
        }
        let t = &self.session.spec.training;
        let share = 1.0 / if t.batches > 0 { f64::from(t.batches) } else { per_epoch as f64 * f64::from(t.epochs) };
        let round = f64::from(self.session.seeds.round.saturating_sub(1)) + self.step as f64 * share;
        let chance = Some(self.session.seeds.step(self.step));
        let loss = if whole || self.candle.is_some() {
            let loss = if whole { self.whole_gradient(part)? } else { self.gradient(chance)? };
            if loss.is_finite() {
                self.stepper.step(&mut self.parameters, &mut self.gradient, round, share);
            }
            loss
        } else {
            let batch = (&self.objective, &self.labels[..]);
            let (parameters, gradient) = (&mut self.parameters[..], &mut self.gradient[..]);
            self.stepper.train(self.net, &mut self.work, parameters, batch, chance, gradient, (round, share))
        };
        if !loss.is_finite() {
            return Err(TrainError::NotFinite { epoch });
        }
        self.sum += loss * part.len() as f64;
        self.step += 1;
        Ok(())
    }

    /// Makes these rows the batch.
    pub fn gather(&mut self, part: &[usize]) -> Result<(), TrainError> {
        let rows = self.session.training;
        rows.gather(part, &mut self.work.input()[..part.len() * self.net.inputs()])?;
        rows.labels_of(part, &mut self.labels);
        Ok(())
    }

    /// Looks at all rows, since a batch by itself may say nothing: of rare yes-or-no columns it may have no row that is not
    /// 0, and of a few units in a layer all may be silent. A site whose rows are all 0 has nothing to say, and does no harm.
    fn reach(&mut self, batch: usize, mut reached: Vec<bool>) -> Result<(), TrainError> {
        let all: Vec<usize> = (0..self.session.training.len()).collect();
        let (mut found, mut empty) = (Ok(()), true);
        for part in all.chunks(batch.max(1)) {
            self.gather(part)?;
            let width = self.net.inputs();
            empty &= self.work.input()[..part.len() * width].iter().all(|number| *number == 0.0);
            self.gradient(None)?;
            found = self.net.reach(&self.gradient, &mut reached);
            if found.is_ok() {
                return Ok(());
            }
        }
        if empty {
            tracing::warn!(
                "every number of every training row is 0: nothing can be learned from them but how often classes are"
            );
            return Ok(());
        }
        found.map_err(TrainError::Net)
    }

    /// Mean loss and gradient of more rows than fit into the workspace; nothing is left out by chance.
    fn whole_gradient(&mut self, part: &[usize]) -> Result<f64, TrainError> {
        let (mut loss, mut sum) = (0.0, vec![0f32; self.gradient.len()]);
        for piece in part.chunks(self.work.rows()) {
            self.gather(piece)?;
            let share = piece.len() as f64 / part.len() as f64;
            loss += share * self.gradient(None)?;
            sum.iter_mut().zip(&self.gradient).for_each(|(sum, g)| *sum += share as f32 * g);
        }
        self.gradient = sum;
        Ok(loss)
    }

    fn gradient(&mut self, chance: Chance) -> Result<f64, NetError> {
        let (net, work, labels, gradient) = (self.net, &mut self.work, &self.labels[..], &mut self.gradient[..]);
        let Some(candle) = &self.candle else {
            return Ok(net.loss_and_gradient(work, &self.parameters, &self.objective, labels, chance, gradient));
        };
        let rows = labels.len() / self.objective.labels_per_row() * net.inputs();
        candle.loss_and_gradient(&self.parameters, &work.input()[..rows], &self.objective, labels, chance, gradient)
    }

    /// After an epoch's last batch, or the round's. True: training is over.
    pub fn epoch_ends(&mut self, epoch: u32, place: usize, batch: usize) -> Result<bool, TrainError> {
        let rows = self.session.training.len().min((place + 1) * batch);
        self.loss = self.sum / rows as f64;
        self.sum = 0.0;
        // all are looked at, many at once
        if !self.loss.is_finite() || !self.parameters.iter().fold(true, |all, p| all & p.is_finite()) {
            return Err(TrainError::NotFinite { epoch });
        }
        let (Some(stop), Some(validation)) = (self.session.spec.training.early_stopping, self.session.validation)
        else {
            return Ok(false);
        };
        let engine = (self.net, self.candle.as_ref());
        let Some(loss) = mean_loss(engine, &self.objective, &self.parameters, validation)? else { return Ok(false) };
        let better = self.best.as_ref().is_none_or(|best| loss < f64::from_bits(best.loss) - stop.min_delta);
        if better {
            self.best = Some(Best { epoch, loss: loss.to_bits(), parameters: bits(&self.parameters) });
        }
        Ok(self.best.as_ref().is_some_and(|best| epoch - best.epoch >= stop.patience))
    }

    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            step: self.step,
            parameters: bits(&self.parameters),
            state: self.stepper.state(),
            sum: self.sum.to_bits(),
            loss: self.loss.to_bits(),
            best: self.best.clone(),
        }
    }

    pub fn resume(&mut self, from: &Checkpoint) {
        self.step = from.step;
        self.parameters.iter_mut().zip(&from.parameters).for_each(|(p, b)| *p = f32::from_bits(*b));
        self.stepper.resume(&from.state);
        (self.sum, self.loss) = (f64::from_bits(from.sum), f64::from_bits(from.loss));
        self.best.clone_from(&from.best);
    }

    pub fn done(self, per_epoch: u64) -> Trained {
        let epochs = self.step.div_ceil(per_epoch.max(1)) as u32;
        let state = self.stepper.state();
        let parameters = match self.best {
            Some(best) => best.parameters.iter().map(|b| f32::from_bits(*b)).collect(),
            None => self.parameters,
        };
        Trained { parameters, state, loss: self.loss, epochs }
    }
}
