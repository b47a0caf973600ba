//! A round's local training, as a duty.

use super::{
    job::{other, JobError},
    kept::refused,
    private::Told,
    turns::{Stop, Turn},
    Worker,
};
use crate::{
    learn::{candle, Checkpoint, Halt, OptimizerState, Seeds, Session, TrainError},
    random,
    site::{state_name, StudyKey},
};
use candle_core::Device;
use consilium_aggregation::{blob_hash, masked::encode_noised, FileError, ModelFile};
use consilium_primitives::{rules::PPM, DutyOrder, DutyOutput, DutyState, Hash};
use consilium_study::{Node, Op, Optimizer, StudySpec};
use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

/// How often a training looks whether it is to stop; it does so first after its first step.
const LOOK: Duration = Duration::from_millis(100);

/// Whether this program keeps what an optimiser remembers; a trainer of one's own keeps its own state.
fn keeps_state(spec: &StudySpec) -> bool {
    spec.training.keep_optimizer_state && spec.model.external().is_none()
}

/// Rounds between the one trained last and this one, which this site has trained nothing for.
fn between(last: Option<u32>, round: u32) -> Option<(u32, u32)> {
    let (from, to) = (last?.checked_add(1)?, round.checked_sub(1)?);
    (from <= to).then_some((from, to))
}

/// Whether training gives the same update again from the same model, whatever the round: where each step is over all of a site's rows,
/// their order changes nothing but the last bits. What a trainer of one's own draws by chance is not known here.
fn same_again(spec: &StudySpec, rows: usize) -> bool {
    if spec.privacy.is_some() {
        return false;
    }
    if spec.model.external().is_some() {
        return true;
    }
    let whole =
        matches!(spec.training.optimizer, Optimizer::ProximalGradient {}) || rows <= spec.training.batch_size as usize;
    whole && !spec.architecture().is_ok_and(|net| drops(&net.nodes))
}

/// Whether something is left out by chance, anew in each round.
fn drops(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match &node.op {
        Op::Dropout(rate) => *rate > 0.0,
        Op::Residual { branch, shortcut } => drops(branch) || drops(shortcut),
        _ => false,
    })
}

/// What a training gives.
enum Came {
    /// A model.
    Update(Vec<f32>),
    /// What this site adds to a sum whose noise sites share.
    Added(Vec<u32>),
}

/// Trains here: what came of it, its loss, and what the optimiser remembers.
fn made(session: &Session<'_>, told: Option<&Told>, halt: Halt<'_>) -> Result<(Came, f64, OptimizerState), TrainError> {
    if let Some((told, grid)) = told.and_then(|told| Some((told, told.grid?))) {
        let added = session.add_to_sum(&told.private, grid)?;
        return Ok((Came::Added(added.words), added.loss, OptimizerState::default()));
    }
    let trained = session.train(halt)?;
    Ok((Came::Update(trained.parameters), trained.loss, trained.state))
}

impl Worker {
    /// Where chance comes from in a training. Of a study with masks it is of that study alone: from the same rows and the same initial
    /// model, another study of the same specification, with other members, would have the same update in another sum.
    fn seeds(&self, order: &DutyOrder, masked: bool) -> Seeds {
        let duty = &order.duty;
        let secret = match masked {
            true => random::key("consilium/masked/1", &[&self.secret, &duty.agreement.0, &duty.study.to_le_bytes()]),
            false => self.secret,
        };
        Seeds::new(&secret, &order.spec.0, duty.round)
    }

    /// Trains, measures the base model on the way, and puts the update into the blob store.
    pub(super) fn train(&self, order: &DutyOrder, hash: &Hash, spec: &StudySpec) -> Result<DutyOutput, JobError> {
        let turn = RefCell::new(Turn::begin());
        let (duty, study, key) = (&order.duty, StudyKey::of(&order.duty), super::key(order));
        // of a masked study what comes out stays here: what leaves is made of it, and the node hears nothing of it
        let masked = self.stays_here(order);
        let began = Instant::now();
        let got = self.rows(order, spec)?;
        // before anything else is made of the rows
        let told = self.private(order, spec, &got)?;
        let base = self.base(order, spec)?;
        let metric = self.evaluate(order, spec, &base, &got)?;
        let state = self.state(order, spec)?;
        let (stopped, looked) = (Cell::new(None), Cell::new(None::<Instant>));
        let halt = |done: f64| {
            if looked.get().is_some_and(|at| at.elapsed() < LOOK) {
                return false;
            }
            looked.set(Some(Instant::now()));
            let done = (done * f64::from(PPM)) as u32;
            self.change(&key, |job| job.state = DutyState::Running { done });
            stopped.set(self.stop(order, &mut turn.borrow_mut()));
            stopped.get().is_some()
        };
        let trainer = self.trainer(order, spec)?;
        let seeds = self.seeds(order, masked);
        let keep = |checkpoint: &Checkpoint| {
            if let Err(error) = self.home.put_checkpoint(&study, &key, &got.name, checkpoint) {
                tracing::warn!("study {}, round {}: no checkpoint: {error:#}", duty.study, duty.round);
            }
        };
        let from = self.home.checkpoint(&study, &key, &got.name)?;
        if let Some(from) = &from {
            tracing::info!("study {}, round {}: goes on after step {}", duty.study, duty.round, from.steps());
        }
        let session = Session {
            from,
            // a trainer of one's own is given it as it starts
            device: if trainer.is_none() { self.device(&duty.agreement)? } else { None },
            keep: Some(&keep),
            private: told.as_ref().map(|told| &told.private),
            ..Session::new(spec, &base, &got.rows.training, Some(&got.rows.validation), &state, &seeds)
        };
        let before = began.elapsed();
        let trained = match &trainer {
            Some(trainer) => {
                let update = self.train_outside(trainer, (order, &got, &base), (&halt, &stopped))?;
                let state = OptimizerState::default();
                (Came::Update(update.parameters), update.loss, state)
            }
            None => match made(&session, told.as_ref(), &halt) {
                Err(TrainError::Halted) if stopped.get() == Some(Stop::Refused) => return Err(refused().into()),
                Err(TrainError::Halted) => return Err(JobError::Stopped(stopped.get().unwrap_or(Stop::Held))),
                other => other?,
            },
        };
        let (came, training_loss, new_state) = trained;
        let training = began.elapsed().saturating_sub(before);
        let layout = spec.layout().map_err(other)?;
        let file = match came {
            // with too little noise by itself: it stays here, whatever the node says
            Came::Added(words) if masked => encode_noised(&layout, hash, &words).map_err(other)?,
            Came::Added(_) => {
                return Err(other(anyhow::anyhow!("a part of a sum is masked, and this study has no masks")))
            }
            Came::Update(data) => {
                ModelFile { layout, duty: Some(*hash), data }.encode().map_err(|error| match error {
                    // it has left the numbers that anyone could merge
                    FileError::TooLarge { .. } => TrainError::NotFinite { epoch: spec.training.epochs }.into(),
                    error => other(error),
                })?
            }
        };
        let keep_state = || match keeps_state(spec) {
            true => self.home.put_optimizer(&study, duty.round, hash, &new_state),
            false => Ok(()),
        };
        let loss = metric.map(|loss| (loss, got.rows.validation.len() as u32));
        let put = || match masked {
            true => {
                let again = same_again(spec, got.rows.training.len());
                self.home.put_worked(&study, &key, Some(&file), (loss, again)).map(|()| blob_hash(&file))
            }
            false => Ok(self.blobs.put_update(&file)?),
        };
        // each is some ten megabytes that are hashed and written
        let (root, kept) = rayon::join(put, keep_state);
        let (root, ()) = (root?, kept?);
        if keeps_state(spec) {
            *self.state.lock() = Some((study, state_name(duty.round, hash), new_state));
        }
        self.home.drop_checkpoints(&study)?;
        let whole = began.elapsed();
        let measuring = before.saturating_sub(got.reading).saturating_sub(got.preparing);
        let writing = whole.saturating_sub(before).saturating_sub(training);
        let beside = whole.saturating_sub(training);
        let [reading, preparing, measuring, training, writing, beside] =
            [got.reading, got.preparing, measuring, training, writing, beside].map(|time| time.as_secs_f64());
        tracing::info!(
            "study {}, round {}: training loss {:.5}; {} in {reading:.3} s, prepared in {preparing:.3}, the base measured in \
             {measuring:.3}, trained in {training:.3}, written in {writing:.3}: {beside:.3} s beside the training",
            duty.study,
            duty.round,
            training_loss,
            if got.kept { "rows kept, looked at" } else { "read" },
        );
        let note = serde_json::json!({
            "seconds": training, "loss": training_loss, "rows": got.rows.training.len(), "reading": reading,
            "kept": got.kept, "preparing": preparing, "measuring": measuring, "writing": writing, "result": hex::encode(root),
        });
        let last = self.home.newest_note(&study, "training")?;
        if let Some((from, to)) = between(last, duty.round) {
            tracing::info!(
                "study {}: this site has trained nothing for rounds {from} to {to}: they were merged without it, and it takes part again",
                duty.study
            );
        }
        self.home.put_note(&study, "training", duty.round, &note)?;
        Ok(if masked { DutyOutput::Held } else { DutyOutput::Update { root, metric } })
    }

    /// The GPU that this site gives to a study, where it gives one.
    ///
    /// # Errors
    /// It cannot be used.
    pub(super) fn device(&self, agreement: &Hash) -> Result<Option<Device>, TrainError> {
        let gpu = self.leave.lock().settings(agreement).and_then(|settings| settings.gpu);
        Ok(gpu.map(candle::gpu).transpose()?)
    }

    /// What the optimiser remembers of the round before: in memory, where that was the last training here.
    fn state(&self, order: &DutyOrder, spec: &StudySpec) -> Result<OptimizerState, JobError> {
        let duty = &order.duty;
        if !keeps_state(spec) || duty.round <= 1 {
            return Ok(OptimizerState::default());
        }
        let study = StudyKey::of(duty);
        let name = self.home.optimizer_name(&study, duty.round)?;
        if let Some((of, file, state)) = self.state.lock().take() {
            if of == study && Some(file) == name {
                return Ok(state);
            }
        }
        let kept = self.home.optimizer(&study, duty.round)?;
        if kept.is_none() {
            tracing::warn!(
                "study {}, round {}: no optimiser state of the round before is there; it starts anew",
                duty.study,
                duty.round
            );
        }
        Ok(kept.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::between;

    #[test]
    fn rounds_without_this_site_are_those_between_two_that_it_trained() {
        assert_eq!(between(None, 4), None);
        assert_eq!((between(Some(3), 4), between(Some(4), 4)), (None, None));
        assert_eq!((between(Some(2), 4), between(Some(1), 9)), (Some((3, 3)), Some((2, 8))));
    }
}
