//! One duty, done.

use super::{leave::Permit, Worker, RETRY};
use crate::{
    data::{all_known, statistics_of, DataError, Prepared, Read, Reading, Split, Table},
    learn::{
        candle, figures::Figures, initial_parameters, logits_of, loss_micro, objective, Checkpoint, Net,
        OptimizerState, Seeds, Session, TrainError,
    },
    site::OwnMerge,
};
use consilium_aggregation::{FileError, ModelFile, Statistics};
use consilium_primitives::{rules::PPM, DutyKind, DutyOrder, DutyOutput, DutyState, FailureCode, Hash};
use consilium_study::{Scaling, StudySpec};
use std::{cell::Cell, io, panic::AssertUnwindSafe, path::PathBuf, time::Instant};

/// How often a training looks whether it is to stop; it does so first after its first step.
const LOOK: std::time::Duration = std::time::Duration::from_millis(100);

/// Why a duty is not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Something this worker must have is not there yet.
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("put on hold")]
    Held,
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> Self {
        Self::Other(error.into())
    }
}

impl JobError {
    fn code(&self) -> FailureCode {
        match self {
            Self::Data(error) => error.code,
            Self::Train(error) => error.code(),
            Self::Missing(_) | Self::Held => FailureCode::Internal,
            Self::Other(error) => {
                let full = |e: &io::Error| e.kind() == io::ErrorKind::StorageFull;
                if error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(full) {
                    FailureCode::OutOfDisk
                } else {
                    FailureCode::Internal
                }
            }
        }
    }
}

pub(super) fn other(error: impl Into<anyhow::Error>) -> JobError {
    JobError::Other(error.into())
}

impl Worker {
    /// Does a duty, and keeps what came out. A panic in it is a failure of this duty, and of nothing else.
    pub(super) fn work(&self, order: &DutyOrder) {
        let hash = order.duty.hash();
        let name = format!("study {}, round {}, {:?}", order.duty.study, order.duty.round, order.duty.kind);
        let began = Instant::now();
        let done = std::panic::catch_unwind(AssertUnwindSafe(|| self.try_work(order, &hash)));
        // something else than an input is missing: the inputs are looked at again when it is there
        let waits = matches!(done, Ok(Err(JobError::Held | JobError::Missing(_))));
        let state = match done {
            Ok(Ok(Some(output))) => match self.keep(order, &hash, &output) {
                Ok(()) => {
                    tracing::info!("{name}: done in {:.2} s", began.elapsed().as_secs_f64());
                    DutyState::Done(output)
                }
                Err(error) => {
                    tracing::error!("{name}: {error:#}");
                    DutyState::Failed(JobError::Other(error).code())
                }
            },
            // inputs of a merge are still missing
            Ok(Ok(None)) => DutyState::Queued,
            Ok(Err(JobError::Held | JobError::Missing(_))) => DutyState::Queued,
            Ok(Err(error)) => {
                let code = error.code();
                tracing::error!("{name}: {code:?}: {error}");
                if code == FailureCode::DataUnreadable && self.may_come_back(&hash) {
                    DutyState::Queued
                } else {
                    DutyState::Failed(code)
                }
            }
            Err(_) => {
                tracing::error!("{name}: the worker's own fault; see the lines above");
                DutyState::Failed(FailureCode::Internal)
            }
        };
        self.change(&hash, |job| {
            job.state = state;
            job.working = false;
            if matches!(state, DutyState::Done(_)) {
                job.unreadable = None;
            }
            // a file that was there and turned out damaged was removed: it must count as new when it comes again
            job.seen = if waits { 0 } else { (job.have | job.invalid).count_ones() };
        });
    }

    /// Keeps what a duty gave, and of a merge what is needed to compute it once more.
    fn keep(&self, order: &DutyOrder, hash: &Hash, output: &DutyOutput) -> anyhow::Result<()> {
        if let Some(own) = OwnMerge::of(order, output) {
            self.home.put_own_merge(&own)?;
        }
        self.home.put_result(hash, output)
    }

    /// Notes that a duty's data file cannot be read; whether that has not lasted long, as when a file is being replaced.
    fn may_come_back(&self, duty: &Hash) -> bool {
        let mut jobs = self.jobs.lock();
        jobs.get_mut(duty).is_some_and(|job| job.unreadable.get_or_insert_with(Instant::now).elapsed() < RETRY)
    }

    fn try_work(&self, order: &DutyOrder, hash: &Hash) -> Result<Option<DutyOutput>, JobError> {
        if self.home.held() {
            return Err(JobError::Held);
        }
        let spec = self.spec(&order.spec).ok_or(JobError::Missing("the spec"))?;
        match order.duty.kind {
            DutyKind::Statistics => self.statistics(order, hash, &spec).map(Some),
            DutyKind::Init => self.init(order, &spec).map(Some),
            DutyKind::Train => self.train(order, hash, &spec).map(Some),
            DutyKind::Merge | DutyKind::MergeStatistics => self.merge(order, hash, &spec),
            DutyKind::Evaluate => {
                let base = self.base(order, &spec)?;
                let prepared = self.prepared(order, &spec)?;
                Ok(Some(DutyOutput::Metric(self.evaluate(order, &spec, &base, &prepared)?)))
            }
            DutyKind::Acknowledge => {
                let blob = order.base.ok_or(JobError::Missing("the canonical model"))?;
                self.blobs.read(&blob)?.ok_or(JobError::Missing("the canonical model"))?;
                Ok(Some(DutyOutput::Held))
            }
        }
    }

    /// The initial model.
    pub(super) fn init(&self, order: &DutyOrder, spec: &StudySpec) -> Result<DutyOutput, JobError> {
        // what a server-side optimiser remembers follows, and is 0 at first
        let layout = spec.layout().map_err(other)?.merged(order.output_len).map_err(other)?;
        let mut data = initial_parameters(spec).map_err(other)?;
        data.resize(layout.elements(), 0.0);
        let file = ModelFile { layout, duty: None, data };
        Ok(DutyOutput::Root(self.blobs.put(&file.encode().map_err(other)?)?))
    }

    fn base(&self, order: &DutyOrder, spec: &StudySpec) -> Result<Vec<f32>, JobError> {
        let blob = order.base.ok_or(JobError::Missing("the base model"))?;
        let bytes = self.blobs.read(&blob)?.ok_or(JobError::Missing("the base model"))?;
        Ok(ModelFile::decode_merged(&bytes, &spec.layout().map_err(other)?).map_err(other)?.data)
    }

    /// This site's table for a study, its split and its file; the split is made on the first call and kept.
    fn table(&self, order: &DutyOrder, spec: &StudySpec) -> Result<(Table, Split, PathBuf), JobError> {
        let agreement = &order.duty.agreement;
        let mut leave = self.leave.lock();
        leave.look();
        let path = match leave.of(agreement, order.duty.round) {
            Permit::Given(path) => path,
            Permit::Wait => return Err(JobError::Missing("the agreement's entry in sites.toml")),
            Permit::Refused => {
                return Err(DataError::new(FailureCode::Refused, "the agreement is no longer in sites.toml").into());
            }
        };
        let sites_file = leave.file().display().to_string();
        let mut how = Reading { folder: Some(self.home.folder().join("working-copies")), ..Reading::default() };
        if let Some(mebibytes) = leave.settings(agreement).and_then(|settings| settings.memory_mib) {
            how.allowance = mebibytes.saturating_mul(1 << 20);
        }
        drop(leave);
        // read once: what is hashed is what is trained on
        let Read { hash: found, table } = self.read(&path, order, spec, &how)?;
        let known = self.home.data(agreement)?;
        if known.is_some_and(|known| known != found) {
            let what = match spec.data.pictures {
                Some(_) => "or a picture that it names, is no longer the file",
                None => "is no longer the file",
            };
            let message = format!(
                "{what} this study began with; put that back, or accept this one with `ml-worker \
                 accept-data --dir {} --sites {sites_file} --agreement {}`",
                self.home.folder().display(),
                hex::encode(agreement)
            );
            return Err(DataError::new(FailureCode::DataChanged, message).of(&path).into());
        }
        let table = table?;
        if known.is_none() {
            self.home.put_data(agreement, &found)?;
        }
        let mut split = self.home.split(agreement)?.unwrap_or_default();
        if !split.knows(&table) {
            tracing::warn!(
                "{}: none of its rows is among those that this study trained or validated on before; is it the right \
                 file?",
                path.display()
            );
        }
        let before = split.clone();
        split.extend(&table, spec.evaluation.validation_share);
        if split != before {
            self.home.put_split(agreement, &split)?;
        }
        Ok((table, split, path))
    }

    fn prepared(&self, order: &DutyOrder, spec: &StudySpec) -> Result<Prepared, JobError> {
        let statistics = match spec.data.scaling {
            Scaling::None | Scaling::Site | Scaling::Transductive => None,
            Scaling::Swarm => {
                let blob = order.statistics.ok_or(JobError::Missing("the study's statistics"))?;
                let bytes = self.blobs.read(&blob)?.ok_or(JobError::Missing("the study's statistics"))?;
                let statistics = Statistics::decode(&bytes, spec.data.numeric(), None).map_err(other)?;
                all_known(&statistics, spec)?;
                Some(statistics)
            }
        };
        let (table, split, path) = self.table(order, spec)?;
        Ok(Prepared::new(spec, &table, &split, statistics.as_ref()).map_err(|e| e.of(&path))?)
    }

    fn evaluate(
        &self,
        order: &DutyOrder,
        spec: &StudySpec,
        model: &[f32],
        prepared: &Prepared,
    ) -> Result<Option<u32>, JobError> {
        let validation = &prepared.validation;
        let net = Net::new(spec.architecture().map_err(other)?).map_err(TrainError::Net)?;
        let z = logits_of(&net, model, validation)?;
        let of = if order.duty.kind == DutyKind::Train { order.duty.round.saturating_sub(1) } else { order.duty.round };
        let figures = Figures::of(&objective(spec, None), &z, validation.labels(), &[]);
        // which rows are of one patient is not known any more here
        let figures = if spec.data.group.is_some() { figures.map(Figures::without_intervals) } else { figures };
        self.home.put_note(&order.duty.agreement, "figures", of, &figures)?;
        Ok(loss_micro(spec, model, validation)?)
    }

    fn statistics(&self, order: &DutyOrder, hash: &Hash, spec: &StudySpec) -> Result<DutyOutput, JobError> {
        let (table, split, path) = self.table(order, spec)?;
        let own = statistics_of(&table, &split.rows(&table).0).map_err(|e| e.of(&path))?;
        let file = own.encode(Some(hash)).map_err(|error| match error {
            FileError::NotFinite { index: column, .. } | FileError::Statistics { column, .. } => {
                let message = format!("column {:?}: its values are too large", table.features[column]);
                JobError::Data(DataError::new(FailureCode::NotFinite, message).of(&path))
            }
            error => other(error),
        })?;
        Ok(DutyOutput::Update { root: self.blobs.put(&file)?, metric: None })
    }

    fn train(&self, order: &DutyOrder, hash: &Hash, spec: &StudySpec) -> Result<DutyOutput, JobError> {
        let base = self.base(order, spec)?;
        let prepared = self.prepared(order, spec)?;
        let metric = self.evaluate(order, spec, &base, &prepared)?;
        let duty = &order.duty;
        let state = if spec.training.keep_optimizer_state && duty.round > 1 {
            let kept = self.home.optimizer(&duty.agreement, duty.round)?;
            if kept.is_none() {
                tracing::warn!(
                    "study {}, round {}: no optimiser state of the round before is there; it starts anew",
                    duty.study,
                    duty.round
                );
            }
            kept.unwrap_or_default()
        } else {
            OptimizerState::default()
        };
        let looked: Cell<Option<Instant>> = Cell::new(None);
        let halt = |done: f64| {
            if looked.get().is_some_and(|at| at.elapsed() < LOOK) {
                return false;
            }
            looked.set(Some(Instant::now()));
            let done = (done * f64::from(PPM)) as u32;
            self.change(hash, |job| job.state = DutyState::Running { done });
            self.home.held()
        };
        let seeds = Seeds::new(&self.secret, &order.spec.0, duty.round);
        let began = Instant::now();
        let Prepared { training, validation, .. } = &prepared;
        let keep = |checkpoint: &Checkpoint| {
            if let Err(error) = self.home.put_checkpoint(&duty.agreement, hash, checkpoint) {
                tracing::warn!("study {}, round {}: no checkpoint: {error:#}", duty.study, duty.round);
            }
        };
        let from = self.home.checkpoint(&duty.agreement, hash)?;
        if let Some(from) = &from {
            tracing::info!("study {}, round {}: goes on after step {}", duty.study, duty.round, from.steps());
        }
        let gpu = self.leave.lock().settings(&duty.agreement).and_then(|settings| settings.gpu);
        let session = Session {
            from,
            device: gpu.map(candle::gpu).transpose().map_err(TrainError::Net)?,
            keep: Some(&keep),
            ..Session::new(spec, &base, training, Some(validation), &state, &seeds)
        };
        let trained = match session.train(&halt) {
            Err(TrainError::Halted) => return Err(JobError::Held),
            other => other?,
        };
        tracing::info!("study {}, round {}: training loss {:.5}", duty.study, duty.round, trained.loss);
        let note = serde_json::json!({
            "seconds": began.elapsed().as_secs_f64(), "loss": trained.loss, "rows": prepared.training.len(),
        });
        self.home.put_note(&duty.agreement, "training", duty.round, &note)?;
        let file = ModelFile { layout: spec.layout().map_err(other)?, duty: Some(*hash), data: trained.parameters };
        let file = file.encode().map_err(|error| match error {
            // it has left the numbers that anyone could merge
            FileError::TooLarge { .. } => TrainError::NotFinite { epoch: spec.training.epochs }.into(),
            error => other(error),
        })?;
        let root = self.blobs.put(&file)?;
        if spec.training.keep_optimizer_state {
            self.home.put_optimizer(&duty.agreement, duty.round, hash, &trained.state)?;
        }
        self.home.drop_checkpoints(&duty.agreement)?;
        Ok(DutyOutput::Update { root, metric })
    }
}
