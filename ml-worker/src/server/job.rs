//! One duty, done.

use super::{kept::Got, turns::Stop, Worker, RETRY};
use crate::{
    data::{exact_statistics_of, shared_columns, statistics_of, too_many_files, DataError},
    external::ExternalError,
    learn::{candle::CandleNet, figures::Figures, logits_of, logits_on, micro_of, objective, Net, TrainError},
    site::{OwnMerge, StudyKey},
};
use consilium_aggregation::{FileError, ModelFile};
use consilium_primitives::{DutyKind, DutyOrder, DutyOutput, DutyState, FailureCode, Hash};
use consilium_study::{starting_parameters, StudySpec};
use std::{io, panic::AssertUnwindSafe, time::Instant};

/// Why a duty is not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    External(#[from] ExternalError),
    /// Something this worker must have is not there yet.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// It was stopped; what was done so far is kept.
    #[error("stopped: {0:?}")]
    Stopped(Stop),
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
            Self::External(error) => error.code(),
            Self::Missing(_) | Self::Stopped(_) => FailureCode::Internal,
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

    /// Whether it says nothing of the duty: another program's, or this one's, open files are too many just now.
    fn passes(&self) -> bool {
        match self {
            Self::Data(error) => error.passes,
            Self::Train(TrainError::Rows(error)) => too_many_files(error),
            Self::Other(error) => error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(too_many_files),
            Self::External(ExternalError::Io(error)) => too_many_files(error),
            Self::External(_) | Self::Train(_) | Self::Missing(_) | Self::Stopped(_) => false,
        }
    }
}

pub(super) fn other(error: impl Into<anyhow::Error>) -> JobError {
    JobError::Other(error.into())
}

impl Worker {
    /// Does a duty, and keeps what came out. A panic in it is a failure of this duty, and of nothing else.
    pub(super) fn work(&self, order: &DutyOrder) {
        let key = super::key(order);
        let name = format!("study {}, round {}, {:?}", order.duty.study, order.duty.round, order.duty.kind);
        let began = Instant::now();
        let done = std::panic::catch_unwind(AssertUnwindSafe(|| self.try_work(order)));
        if let Ok(Err(JobError::Stopped(Stop::Turn))) = done {
            tracing::info!("{name}: put aside; it is another study's turn");
            self.turns.push(order.clone());
            return;
        }
        // something else than an input is missing: the inputs are looked at again when it is there
        let waits = matches!(done, Ok(Err(JobError::Stopped(_) | JobError::Missing(_))));
        let state = match done {
            Ok(Ok(Some(output))) => match self.keep(order, &key, &output) {
                Ok(()) => {
                    tracing::info!("{name}: done in {:.2} s", began.elapsed().as_secs_f64());
                    if order.duty.kind == DutyKind::Train {
                        self.following.took(StudyKey::of(&order.duty), began.elapsed());
                    }
                    let state = DutyState::Done(output);
                    self.failures.note(&order.duty, &state, "");
                    state
                }
                Err(error) => self.failed(order, &name, &JobError::Other(error)),
            },
            // inputs of a merge are still missing
            Ok(Ok(None)) | Ok(Err(JobError::Missing(_))) => DutyState::Queued,
            Ok(Err(JobError::Stopped(stop))) => {
                let why = match stop {
                    Stop::Held => "this site is on hold",
                    Stop::Refused => "the agreement is no longer in sites.toml",
                    Stop::Unwanted | Stop::Turn => "the node asks for it no longer",
                };
                tracing::warn!("{name}: stopped: {why}; a checkpoint is kept");
                DutyState::Queued
            }
            Ok(Err(error)) => self.failed(order, &name, &error),
            Err(_) => {
                tracing::error!("{name}: the worker's own fault; see the lines above");
                DutyState::Failed(FailureCode::Internal)
            }
        };
        self.change(&key, |job| {
            job.state = state;
            job.working = false;
            if matches!(state, DutyState::Done(_)) {
                job.unreadable = None;
            }
            // a file that was there and turned out damaged was removed: it must count as new when it comes again
            job.seen = if waits { 0 } else { (job.have | job.invalid).count_ones() };
        });
    }

    /// What is said of a duty that could not be done. What may be otherwise in a moment binds nobody.
    fn failed(&self, order: &DutyOrder, name: &str, error: &JobError) -> DutyState {
        let code = error.code();
        tracing::error!("{name}: {code:?}: {error}");
        if error.passes() || code == FailureCode::DataUnreadable && self.may_come_back(&super::key(order)) {
            return DutyState::Queued;
        }
        let state = DutyState::Failed(code);
        self.failures.note(&order.duty, &state, &error.to_string());
        state
    }

    /// Keeps what a duty gave, and of a merge what is needed to compute it once more.
    fn keep(&self, order: &DutyOrder, key: &Hash, output: &DutyOutput) -> anyhow::Result<()> {
        // what is to be masked lies elsewhere, and is told to nobody
        let works = matches!(order.duty.kind, DutyKind::Statistics | DutyKind::Train | DutyKind::Evaluate);
        if works && *output == DutyOutput::Held {
            return Ok(());
        }
        if let Some(own) = OwnMerge::of(order, self.mask_order(order).as_deref(), output) {
            self.home.put_own_merge(&own)?;
        }
        self.keep_first(key, output)
    }

    /// Notes that a duty's data file cannot be read; whether that has not lasted long, as when a file is being replaced.
    fn may_come_back(&self, key: &Hash) -> bool {
        let mut jobs = self.jobs.lock();
        jobs.get_mut(key).is_some_and(|job| job.unreadable.get_or_insert_with(Instant::now).elapsed() < RETRY)
    }

    fn try_work(&self, order: &DutyOrder) -> Result<Option<DutyOutput>, JobError> {
        if self.home.held() {
            return Err(JobError::Stopped(Stop::Held));
        }
        let hash = &order.duty.hash();
        let spec = self.spec(&order.spec).ok_or(JobError::Missing("the spec"))?;
        match order.duty.kind {
            DutyKind::Statistics => self.statistics(order, hash, &spec).map(Some),
            DutyKind::Init => self.init(order, &spec).map(Some),
            DutyKind::Train => self.train(order, hash, &spec).map(Some),
            DutyKind::Merge | DutyKind::MergeStatistics => self.merge(order, &spec),
            DutyKind::Evaluate => {
                let base = self.base(order, &spec)?;
                let got = self.rows(order, &spec)?;
                let metric = self.evaluate(order, &spec, &base, &got)?;
                if !self.stays_here(order) {
                    return Ok(Some(DutyOutput::Metric(metric)));
                }
                let loss = metric.map(|loss| (loss, got.rows.validation.len() as u32));
                self.home.put_worked(&StudyKey::of(&order.duty), &super::key(order), None, (loss, true))?;
                Ok(Some(DutyOutput::Held))
            }
            DutyKind::Acknowledge => {
                let blob = order.base.ok_or(JobError::Missing("the canonical model"))?;
                self.blobs.read(&blob)?.ok_or(JobError::Missing("the canonical model"))?;
                // what it says to the others, that it holds the model, is true after a power cut, too
                self.blobs.force(&blob.root)?;
                // no sum of this study is to be opened any more
                self.home.close_pairings(&StudyKey::of(&order.duty), u32::MAX)?;
                Ok(Some(DutyOutput::Held))
            }
            DutyKind::Mask => self.mask(order, hash, &spec).map(Some),
            DutyKind::Gather => self.gather(order, &spec),
            // answered at once
            DutyKind::Present => Ok(Some(self.present(order))),
            DutyKind::Keys | DutyKind::Deal | DutyKind::Reveal => Err(JobError::Missing("the call that asks for it")),
        }
    }

    /// The initial model, put into the blob store.
    pub(super) fn init(&self, order: &DutyOrder, spec: &StudySpec) -> Result<DutyOutput, JobError> {
        Ok(DutyOutput::Root(self.blobs.put_loosely(&self.initial_model(spec, order.output_len)?)?))
    }

    pub(super) fn base(&self, order: &DutyOrder, spec: &StudySpec) -> Result<Vec<f32>, JobError> {
        let blob = order.base.ok_or(JobError::Missing("the base model"))?;
        self.restore_initial(order, spec)?;
        let bytes = self.blobs.read(&blob)?.ok_or(JobError::Missing("the base model"))?;
        Ok(ModelFile::decode_merged(&bytes, &spec.layout().map_err(other)?).map_err(other)?.data)
    }

    /// The agreed metric of a model on this site's validation rows; figures for this site's own people are noted.
    pub(super) fn evaluate(
        &self,
        order: &DutyOrder,
        spec: &StudySpec,
        model: &[f32],
        got: &Got,
    ) -> Result<Option<u32>, JobError> {
        let (duty, validation) = (&order.duty, &got.rows.validation);
        let z = match self.trainer(order, spec)? {
            Some(trainer) => {
                trainer.logits(model, validation, Some(&format!("{}-validation", hex::encode(got.name))))?
            }
            None => {
                let net = Net::new(spec.architecture().map_err(other)?).map_err(TrainError::Net)?;
                match self.device(&duty.agreement)? {
                    Some(device) => logits_on(&CandleNet::new(&net, device), model, validation)?,
                    None => logits_of(&net, model, validation)?,
                }
            }
        };
        let of = if duty.kind == DutyKind::Train { duty.round.saturating_sub(1) } else { duty.round };
        let goal = objective(spec, None).told_in(got.rows.preprocessing.scaler.target());
        let figures = Figures::of(&goal, &z, validation.labels(), &[]);
        // which rows are of one patient is not known any more here
        let figures = if spec.data.group.is_some() { figures.map(Figures::without_intervals) } else { figures };
        self.home.put_note(&StudyKey::of(duty), "figures", of, &figures)?;
        // a figure of this site's rows would leave it uncounted
        Ok(if spec.privacy.is_some() { None } else { micro_of(spec, &z, validation) })
    }

    fn statistics(&self, order: &DutyOrder, hash: &Hash, spec: &StudySpec) -> Result<DutyOutput, JobError> {
        let (table, split, path) = self.table_of(order, spec)?;
        if self.stays_here(order) {
            let sums = exact_statistics_of(&spec.data, &table, &split.rows(&table).0).map_err(|e| e.of(&path))?;
            self.put_exact(order, super::key(order), sums);
            return Ok(DutyOutput::Held);
        }
        let own = statistics_of(&table, &split.rows(&table).0).map_err(|e| e.of(&path))?;
        let file = own.encode(Some(hash)).map_err(|error| match error {
            FileError::NotFinite { index: column, .. } | FileError::Statistics { column, .. } => {
                let names = shared_columns(&spec.data, &table.features);
                let name = names.get(column).map_or("", String::as_str);
                let message = format!("column {name:?}: its values are too large");
                JobError::Data(DataError::new(FailureCode::NotFinite, message).of(&path))
            }
            error => other(error),
        })?;
        Ok(DutyOutput::Update { root: self.blobs.put_update(&file)?, metric: None })
    }

    /// The initial model's file, of this length: what a server-side optimiser remembers follows, and is 0 at first.
    pub(super) fn initial_model(&self, spec: &StudySpec, len: u64) -> Result<Vec<u8>, JobError> {
        let layout = spec.layout().map_err(other)?.merged(len).map_err(other)?;
        let file = self.initial_file(spec)?;
        let mut data = starting_parameters(spec, file.as_deref()).map_err(other)?;
        data.resize(layout.elements(), 0.0);
        ModelFile { layout, duty: None, data }.encode().map_err(other)
    }
}
