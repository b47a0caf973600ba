//! Studies that bring a trainer of their own: where its files are found, and how a round is trained with it.

use super::{
    job::{other, JobError},
    kept::{refused, Got},
    turns::Stop,
    Worker,
};
use crate::{
    external::{ExternalError, RoundRows, Trainer, Update},
    learn::Halt,
    site::StudyKey,
};
use consilium_primitives::DutyOrder;
use consilium_study::{NamedFile, StudySpec};
use std::{cell::Cell, sync::Arc, time::Duration};

/// A trainer whose study has had no duty for so long is asked to end.
const UNUSED: Duration = Duration::from_secs(3600);

impl Worker {
    /// A file that a study names, from the blob store; copied into the worker's own folder, for the store keeps only what the
    /// chain knows of.
    fn named(&self, what: &'static str, file: &NamedFile) -> Result<Vec<u8>, JobError> {
        let blob = file.blob(what).map_err(other)?;
        if let Some(bytes) = self.home.named(&blob)? {
            return Ok(bytes);
        }
        let Some(bytes) = self.blobs.read(&blob)? else {
            let mut told = self.told.lock();
            if told.insert(blob.root) {
                tracing::warn!(
                    "{what}: the study names the file {}, {} bytes, which is not here yet; the courier brings it from another \
                     participant that has it. The study's duties wait for it; if nobody has it, put it into the blob store with \
                     `ml-worker trainer put FILE --blobs DIR`",
                    file.root,
                    file.len
                );
            }
            return Err(JobError::Missing(what));
        };
        self.home.put_named(&blob, &bytes)?;
        Ok(bytes)
    }

    /// The file that a study begins with, where it names one.
    pub(super) fn initial_file(&self, spec: &StudySpec) -> Result<Option<Vec<u8>>, JobError> {
        spec.initial.as_ref().map(|file| self.named("the initial file", file)).transpose()
    }

    /// The trainer of a study that brings its own; its process stays from one duty to the next.
    pub(super) fn trainer(&self, order: &DutyOrder, spec: &StudySpec) -> Result<Option<Arc<Trainer>>, JobError> {
        let Some(external) = spec.model.external() else { return Ok(None) };
        let study = StudyKey::of(&order.duty);
        let (settings, gpu) = {
            let leave = self.leave.lock();
            let settings = leave.settings(&order.duty.agreement).ok_or_else(refused)?;
            let trainer = settings.trainer.clone().ok_or_else(|| {
                ExternalError::Refused(format!(
                    "sites.toml allows this agreement no trainer, and the study brings one: look at its code, {}, and write \
                     [study.trainer] with `code` and `command` (docs/external.md)",
                    external.code.root
                ))
            })?;
            (trainer, settings.gpu)
        };
        let mut trainers = self.trainers.lock();
        if let Some(there) = trainers.get(&study).filter(|there| there.fits(&settings, gpu)) {
            return Ok(Some(there.clone()));
        }
        let code = self.named("the trainer's code", &external.code)?;
        let initial = self.initial_file(spec)?.ok_or(JobError::Missing("the initial file"))?;
        trainers.remove(&study);
        let folder = self.home.study_folder(&study).join("external");
        let trainer = Arc::new(Trainer::new(spec, &folder, (&settings, gpu), (&code, &initial))?);
        trainers.insert(study, trainer.clone());
        Ok(Some(trainer))
    }

    /// A round's training by the study's own trainer.
    pub(super) fn train_outside(
        &self,
        trainer: &Trainer,
        (order, got, base): (&DutyOrder, &Got, &[f32]),
        (halt, stopped): (Halt<'_>, &Cell<Option<Stop>>),
    ) -> Result<Update, JobError> {
        let name = hex::encode(got.name);
        trainer.forget_rows(&name)?;
        let rows = RoundRows { name: &name, training: &got.rows.training, validation: &got.rows.validation };
        match trainer.train(&rows, base, (&self.secret, order.duty.round), halt) {
            Err(ExternalError::Halted) if stopped.get() == Some(Stop::Refused) => Err(refused().into()),
            Err(ExternalError::Halted) => Err(JobError::Stopped(stopped.get().unwrap_or(Stop::Held))),
            other => Ok(other?),
        }
    }

    /// Lets trainers end that have no duty: all of them where the site is on hold.
    pub(super) fn rest_trainers(&self) {
        let held = self.home.held();
        // one that works is asked by its own duty
        let Some(mut trainers) = self.trainers.try_lock() else { return };
        trainers.retain(|_, trainer| Arc::strong_count(trainer) > 1 || !held && !trainer.unused(UNUSED));
    }
}
