//! Figures of this worker for Prometheus: duties that wait and are worked on, how those that were worked on ended, and how long they
//! took. `docs/metrics.md` says what each means. Labels are kinds of duty, states and codes, of which there are a few.

use super::{Job, Worker};
use consilium_primitives::{DutyKind, DutyOrder, DutyState};
use prometheus::{
    exponential_buckets, Error, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::time::{Duration, Instant};

/// All kinds, so that each is told before anything has happened.
const KINDS: [DutyKind; 13] = [
    DutyKind::Statistics,
    DutyKind::MergeStatistics,
    DutyKind::Init,
    DutyKind::Train,
    DutyKind::Merge,
    DutyKind::Evaluate,
    DutyKind::Acknowledge,
    DutyKind::Present,
    DutyKind::Keys,
    DutyKind::Deal,
    DutyKind::Mask,
    DutyKind::Gather,
    DutyKind::Reveal,
];

/// How work on a duty ended.
const ENDS: [&str; 4] = ["done", "failed", "waits", "put_aside"];

/// Figures.
pub(super) struct Metrics {
    registry: Registry,
    duties: IntGaugeVec,
    worked: IntCounterVec,
    failures: IntCounterVec,
    seconds: HistogramVec,
    held: IntGauge,
}

/// A kind of duty as a label.
fn name(kind: DutyKind) -> String {
    serde_json::json!(kind).as_str().unwrap_or_default().to_owned()
}

/// What a duty that is remembered does now; none where nothing is left to do.
fn standing(job: &Job) -> Option<&'static str> {
    match job.state {
        DutyState::Running { .. } if job.working => Some("running"),
        DutyState::Done(_) | DutyState::Failed(_) => None,
        _ if job.working => Some("queued"),
        _ => Some("waiting"),
    }
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let duties = Opts::new(
            "consilium_worker_duties",
            "Duties that the node asks for: waiting for a file, queued for their turn or merged at this moment, running",
        );
        let worked = Opts::new(
            "consilium_worker_duties_worked_total",
            "Times that a duty was worked on, by how that ended; waits: something is missing, or it was stopped; put_aside: for another \
             study's turn",
        );
        let failures = Opts::new(
            "consilium_worker_failures_total",
            "Duties that could not be done, by the code that the others are told",
        );
        let seconds = HistogramOpts::new("consilium_worker_duty_seconds", "Seconds of work on a duty that was done")
            .buckets(exponential_buckets(0.005, 2.0, 22)?);
        let held = IntGauge::new("consilium_worker_held", "1 while people have put this site's work on hold, else 0")?;
        let metrics = Self {
            duties: IntGaugeVec::new(duties, &["kind", "state"])?,
            worked: IntCounterVec::new(worked, &["kind", "end"])?,
            failures: IntCounterVec::new(failures, &["code"])?,
            seconds: HistogramVec::new(seconds, &["kind"])?,
            held,
            registry,
        };
        metrics.registry.register(Box::new(metrics.duties.clone()))?;
        metrics.registry.register(Box::new(metrics.worked.clone()))?;
        metrics.registry.register(Box::new(metrics.failures.clone()))?;
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.held.clone()))?;
        for kind in KINDS.map(name) {
            for end in ENDS {
                metrics.worked.with_label_values(&[&kind, end]);
            }
        }
        Ok(metrics)
    }

    /// Work on a duty has ended, with this state, and whether it is to go on later in its turn.
    fn ended(&self, kind: DutyKind, state: Option<DutyState>, goes_on: bool, took: Duration) {
        let kind = name(kind);
        let end = match state {
            _ if goes_on => "put_aside",
            Some(DutyState::Done(_)) => {
                self.seconds.with_label_values(&[&kind]).observe(took.as_secs_f64());
                "done"
            }
            Some(DutyState::Failed(code)) => {
                self.failures.with_label_values(&[&format!("{code:?}")]).inc();
                "failed"
            }
            _ => "waits",
        };
        self.worked.with_label_values(&[&kind, end]).inc();
    }

    /// All figures, with those of this moment.
    fn text<'a>(&self, jobs: impl Iterator<Item = &'a Job>, held: bool) -> Result<String, Error> {
        for kind in KINDS.map(name) {
            for state in ["waiting", "queued", "running"] {
                self.duties.with_label_values(&[&kind, state]).set(0);
            }
        }
        for job in jobs {
            if let Some(state) = standing(job) {
                self.duties.with_label_values(&[&name(job.duty.kind), state]).inc();
            }
        }
        self.held.set(held.into());
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl Worker {
    /// Does a duty, and counts how that ended.
    pub(super) fn count(&self, order: &DutyOrder) {
        let (key, began) = (super::key(order), Instant::now());
        self.work(order);
        let left = self.jobs.lock().get(&key).map(|job| (job.state, job.working));
        let (state, goes_on) = left.unzip();
        self.metrics.ended(order.duty.kind, state, goes_on.unwrap_or_default(), began.elapsed());
    }

    /// Figures in the text form of Prometheus. Of what the node has asked for in the last lists alone: it may have gone on.
    ///
    /// # Errors
    /// One has no name: a fault of this program.
    pub(super) fn figures(&self) -> Result<String, Error> {
        let jobs = self.jobs.lock();
        self.metrics.text(jobs.values().filter(|job| job.asked.wanted()), self.home.held())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Asked;
    use super::*;
    use consilium_primitives::{Duty, DutyOutput, FailureCode, Hash, InstitutionId};

    fn job(kind: DutyKind, state: DutyState, working: bool) -> Job {
        let (genesis, agreement) = (Hash::zero(), Hash::repeat_byte(7));
        let institution = InstitutionId([1; 32]);
        let duty = Duty {
            kind,
            genesis,
            study: 0,
            agreement,
            round: 1,
            institution,
            base: Hash::zero(),
            statistics: Hash::zero(),
        };
        Job {
            duty,
            state,
            have: 0,
            invalid: 0,
            scanned: false,
            unreadable: None,
            seen: 0,
            working,
            changed: Instant::now(),
            asked: Asked::now(),
        }
    }

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|other| other == line)
    }

    #[test]
    fn duties_are_told_by_kind_and_state() {
        let metrics = Metrics::new().unwrap();
        let jobs = [
            job(DutyKind::Train, DutyState::Running { done: 10 }, true),
            job(DutyKind::Train, DutyState::Queued, true),
            job(DutyKind::Merge, DutyState::Queued, false),
            job(DutyKind::Merge, DutyState::Queued, false),
            job(DutyKind::Init, DutyState::Done(DutyOutput::Held), false),
            job(DutyKind::Evaluate, DutyState::Failed(FailureCode::Internal), false),
        ];
        let text = metrics.text(jobs.iter(), true).unwrap();
        for line in [
            "consilium_worker_duties{kind=\"train\",state=\"running\"} 1",
            "consilium_worker_duties{kind=\"train\",state=\"queued\"} 1",
            "consilium_worker_duties{kind=\"merge\",state=\"waiting\"} 2",
            "consilium_worker_duties{kind=\"init\",state=\"waiting\"} 0",
            "consilium_worker_duties{kind=\"evaluate\",state=\"waiting\"} 0",
            "consilium_worker_duties_worked_total{end=\"done\",kind=\"merge_statistics\"} 0",
            "consilium_worker_held 1",
        ] {
            assert!(has(&text, line), "{line} in {text}");
        }
        // of the moment, each time
        let text = metrics.text([].iter(), false).unwrap();
        assert!(has(&text, "consilium_worker_duties{kind=\"train\",state=\"running\"} 0"), "{text}");
        assert!(has(&text, "consilium_worker_held 0"), "{text}");
    }

    #[test]
    fn how_work_ended_is_counted_with_codes_and_seconds() {
        let metrics = Metrics::new().unwrap();
        let took = Duration::from_millis(300);
        metrics.ended(DutyKind::Train, Some(DutyState::Done(DutyOutput::Held)), false, took);
        metrics.ended(DutyKind::Train, Some(DutyState::Failed(FailureCode::OutOfDisk)), false, took);
        metrics.ended(DutyKind::Train, Some(DutyState::Queued), false, took);
        metrics.ended(DutyKind::Train, Some(DutyState::Running { done: 5 }), true, took);
        metrics.ended(DutyKind::Merge, None, false, took);
        let text = metrics.text([].iter(), false).unwrap();
        for line in [
            "consilium_worker_duties_worked_total{end=\"done\",kind=\"train\"} 1",
            "consilium_worker_duties_worked_total{end=\"failed\",kind=\"train\"} 1",
            "consilium_worker_duties_worked_total{end=\"waits\",kind=\"train\"} 1",
            "consilium_worker_duties_worked_total{end=\"put_aside\",kind=\"train\"} 1",
            "consilium_worker_duties_worked_total{end=\"waits\",kind=\"merge\"} 1",
            "consilium_worker_failures_total{code=\"OutOfDisk\"} 1",
            "consilium_worker_duty_seconds_sum{kind=\"train\"} 0.3",
            "consilium_worker_duty_seconds_count{kind=\"train\"} 1",
        ] {
            assert!(has(&text, line), "{line} in {text}");
        }
    }
}
