//! How rounds go: how many have closed, and how long each of their phases took, by the slots of the blocks in which they began and
//! ended. What is told in blocks that are final is counted, so that nothing counts twice.

use super::{
    figure::{seconds, told},
    said::Said,
};
use consilium_primitives::{
    round::{Kind, Phase},
    StudyId,
};
use pallet_swarm_learning::Progress;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use substrate_prometheus_endpoint::{CounterVec, Histogram, HistogramVec, Opts, PrometheusError, Registry, U64};

/// What studies can stand at.
pub const STANDINGS: [&str; 8] =
    ["enrolling", "statistics", "init", "collecting", "merging", "evaluating", "certifying", "paused"];

/// Where a study stands; none once it has ended.
pub fn standing(phase: &Phase) -> Option<&'static str> {
    Some(match phase {
        Phase::Enrolling { .. } => "enrolling",
        Phase::Collecting(c) if c.kind == Kind::Statistics => "statistics",
        Phase::Collecting(c) if c.kind == Kind::Evaluation => "evaluating",
        Phase::Collecting(_) => "collecting",
        Phase::Init { .. } => "init",
        Phase::Merging(_) | Phase::Gathering(_) | Phase::Revealing(_) | Phase::Summing(_) => "merging",
        Phase::FinalEvaluation { .. } => "evaluating",
        Phase::Certifying(_) => "certifying",
        Phase::Paused(_) => "paused",
        Phase::Completed(_) | Phase::Aborted { .. } => return None,
    })
}

/// What a block says beyond what is counted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Inputs were fixed.
    Froze,
    /// Something can be answered no more.
    Over(Over),
}

/// What a study asks for no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Which study.
    pub study: StudyId,
    /// What of it.
    pub what: Ended,
}

/// What can be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Updates of this round, or statistics; and merges of earlier attempts of it.
    Collecting {
        /// Round.
        round: u32,
        /// The attempt that has begun.
        attempt: u32,
    },
    /// The initial model; and merges of statistics.
    Init,
    /// Merges of rounds before this one.
    RoundsBefore(u32),
    /// All merges, and the last evaluation.
    Evaluation,
    /// Being there.
    Pause,
    /// All but being there and holding the canonical model.
    Work,
    /// Everything.
    All,
}

/// What a study does, and since when, by a block's slot.
#[derive(Clone, Copy, Default)]
struct Stage {
    /// Name of the phase, and milliseconds since 1970.
    phase: Option<(&'static str, u64)>,
    round: u32,
}

/// Figures of rounds. Copies are of one and the same.
#[derive(Clone)]
pub struct Rounds {
    closed: CounterVec<U64>,
    phases: HistogramVec,
    stages: Arc<Mutex<BTreeMap<StudyId, Stage>>>,
}

impl Rounds {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// One of these names exists already.
    pub fn new(registry: Option<&Registry>) -> Result<Self, PrometheusError> {
        let closed = Opts::new("consilium_rounds_closed_total", "Rounds of training that have closed, by study");
        let phases = seconds(
            "consilium_round_phase_seconds",
            "Seconds by phase of a round: between blocks, but for finality and fetching, which are seen by this node and are parts of \
             merging",
        )?;
        Ok(Self {
            closed: told(CounterVec::new(closed, &["study"])?, registry)?,
            phases: told(HistogramVec::new(phases, &["phase"])?, registry)?,
            stages: Arc::default(),
        })
    }

    /// Where the courier notes how long it waited for an update that it may have.
    pub fn fetching(&self) -> Histogram {
        self.phases.with_label_values(&["fetching"])
    }

    /// A freeze became final here so long after its block came.
    pub fn finality(&self, after: Duration) {
        self.phases.with_label_values(&["finality"]).observe(after.as_secs_f64());
    }

    /// Takes what a final block tells of studies whose slot was at this time, in milliseconds since 1970.
    pub fn block(&self, at: u64, said: &[Said]) -> Vec<Told> {
        let mut stages = self.stages.lock();
        let mut told = Vec::new();
        for said in said {
            match said {
                Said::Closed { study, kind, round } => {
                    let what = match (kind, round) {
                        (Kind::Statistics | Kind::Evaluation, _) => continue,
                        (Kind::Model, 0) => Ended::Init,
                        (Kind::Model, round) => {
                            self.closed.with_label_values(&[&study.to_string()]).inc();
                            Ended::RoundsBefore(*round)
                        }
                    };
                    told.push(Told::Over(Over { study: *study, what }));
                }
                Said::Progress { study, round, what } => {
                    let stage = stages.entry(*study).or_insert_with(|| Stage { phase: None, round: *round });
                    told.extend(self.progress(at, *study, stage, what));
                    if matches!(what, Progress::Completed { .. } | Progress::Aborted { .. }) {
                        stages.remove(study);
                    }
                }
            }
        }
        told
    }

    fn progress(&self, at: u64, study: StudyId, stage: &mut Stage, what: &Progress) -> Vec<Told> {
        let over = |what| Told::Over(Over { study, what });
        match what {
            Progress::Opened { kind, round } => {
                // the event names the round in which the step began, and a step may open the next one
                stage.round = *round;
                let phase = match kind {
                    Kind::Statistics => "statistics",
                    Kind::Model => "collecting",
                    Kind::Evaluation => "evaluating",
                };
                self.begins(stage, at, phase);
                Vec::new()
            }
            Progress::InitOpened => {
                self.begins(stage, at, "init");
                Vec::new()
            }
            Progress::Frozen { attempt, .. } => {
                self.begins(stage, at, "merging");
                vec![Told::Froze, over(Ended::Collecting { round: stage.round, attempt: *attempt })]
            }
            Progress::EvaluationOpened => {
                self.begins(stage, at, "evaluating");
                Vec::new()
            }
            Progress::Canonical { .. } => {
                self.begins(stage, at, "certifying");
                vec![over(Ended::Evaluation)]
            }
            Progress::Completed { .. } => {
                self.ends(stage, at);
                Vec::new()
            }
            Progress::Paused { .. } => {
                // what it was at has come to no end
                stage.phase = Some(("paused", at));
                vec![over(Ended::Work)]
            }
            Progress::Resumed => {
                if stage.phase.is_some_and(|(phase, _)| phase == "paused") {
                    self.ends(stage, at);
                }
                vec![over(Ended::Pause)]
            }
            Progress::Aborted { .. } => vec![over(Ended::All)],
            _ => Vec::new(),
        }
    }

    fn begins(&self, stage: &mut Stage, at: u64, phase: &'static str) {
        self.ends(stage, at);
        stage.phase = Some((phase, at));
    }

    fn ends(&self, stage: &mut Stage, at: u64) {
        if let Some((phase, since)) = stage.phase.take() {
            self.phases.with_label_values(&[phase]).observe(at.saturating_sub(since) as f64 / 1_000.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_primitives::{
        round::{AbortReason, PauseReason},
        Hash,
    };

    fn progress(study: StudyId, round: u32, what: Progress) -> Said {
        Said::Progress { study, round, what }
    }

    fn closed(study: StudyId, kind: Kind, round: u32) -> Said {
        Said::Closed { study, kind, round }
    }

    fn opened(kind: Kind, round: u32) -> Progress {
        Progress::Opened { kind, round }
    }

    fn frozen(attempt: u32) -> Progress {
        Progress::Frozen { attempt, inputs_root: Hash::zero() }
    }

    /// How often a phase was seen, and its seconds in all.
    fn phase(rounds: &Rounds, name: &str) -> (u64, f64) {
        let seen = rounds.phases.with_label_values(&[name]);
        (seen.get_sample_count(), seen.get_sample_sum())
    }

    #[test]
    fn a_study_s_phases_are_timed_from_block_to_block() {
        let rounds = Rounds::new(None).expect("figures");
        let blocks: [(u64, Vec<Said>); 9] = [
            (1_000, vec![progress(0, 0, opened(Kind::Statistics, 0))]),
            (2_000, vec![progress(0, 0, frozen(1))]),
            (2_500, vec![closed(0, Kind::Statistics, 0), progress(0, 0, Progress::InitOpened)]),
            (3_000, vec![closed(0, Kind::Model, 0), progress(0, 0, opened(Kind::Model, 1))]),
            (5_000, vec![progress(0, 1, frozen(1))]),
            // one that closes, opens and freezes the next in the same block
            (5_500, vec![closed(0, Kind::Model, 1), progress(0, 1, opened(Kind::Model, 2)), progress(0, 1, frozen(1))]),
            (6_000, vec![closed(0, Kind::Model, 2), progress(0, 2, Progress::EvaluationOpened)]),
            (6_500, vec![progress(0, 2, Progress::Canonical { round: 2, root: Hash::zero() })]),
            (7_500, vec![progress(0, 2, Progress::Completed { round: 2, root: Hash::zero() })]),
        ];
        let told: Vec<Told> = blocks.iter().flat_map(|(at, events)| rounds.block(*at, events)).collect();
        assert_eq!(phase(&rounds, "statistics"), (1, 1.0));
        assert_eq!(phase(&rounds, "init"), (1, 0.5));
        assert_eq!(phase(&rounds, "collecting"), (2, 2.0), "the second took no block");
        assert_eq!(phase(&rounds, "merging"), (3, 0.5 + 0.5 + 0.5));
        assert_eq!(phase(&rounds, "evaluating"), (1, 0.5));
        assert_eq!(phase(&rounds, "certifying"), (1, 1.0));
        assert_eq!(rounds.closed.with_label_values(&["0"]).get(), 2, "neither statistics nor the initial model");
        assert_eq!(told.iter().filter(|told| **told == Told::Froze).count(), 3);
        let over: Vec<Ended> =
            told.iter().filter_map(|told| if let Told::Over(o) = told { Some(o.what) } else { None }).collect();
        let froze = |round| Ended::Collecting { round, attempt: 1 };
        let wanted = [
            froze(0),
            Ended::Init,
            froze(1),
            Ended::RoundsBefore(1),
            froze(2),
            Ended::RoundsBefore(2),
            Ended::Evaluation,
        ];
        assert_eq!(over, wanted, "and the round that froze is the one that was opened last");
        assert!(rounds.stages.lock().is_empty(), "what has ended is forgotten");
    }

    #[test]
    fn a_pause_is_timed_and_what_it_broke_off_is_not() {
        let rounds = Rounds::new(None).expect("figures");
        rounds.block(0, &[progress(3, 4, opened(Kind::Model, 4))]);
        let paused = Progress::Paused { reason: PauseReason::TooFewUpdates };
        assert_eq!(rounds.block(9_000, &[progress(3, 4, paused)]), [Told::Over(Over { study: 3, what: Ended::Work })]);
        let resumed = [progress(3, 4, Progress::Resumed), progress(3, 4, opened(Kind::Model, 4))];
        rounds.block(20_000, &resumed);
        rounds.block(20_500, &[progress(3, 4, frozen(1))]);
        assert_eq!(phase(&rounds, "paused"), (1, 11.0));
        assert_eq!(phase(&rounds, "collecting"), (1, 0.5));
        // another study's blocks are its own
        rounds.block(21_000, &[progress(5, 1, opened(Kind::Model, 1))]);
        rounds.block(22_000, &[progress(5, 1, Progress::Aborted { reason: AbortReason::Decided })]);
        assert_eq!(phase(&rounds, "collecting"), (1, 0.5));
        assert_eq!(rounds.stages.lock().keys().copied().collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_node_that_starts_amid_a_phase_times_the_next_ones() {
        let rounds = Rounds::new(None).expect("figures");
        rounds.block(5_000, &[progress(0, 7, frozen(1))]);
        rounds.block(6_000, &[closed(0, Kind::Model, 7), progress(0, 7, opened(Kind::Model, 8))]);
        assert_eq!(phase(&rounds, "collecting"), (0, 0.0));
        assert_eq!(phase(&rounds, "merging"), (1, 1.0));
        assert_eq!(rounds.closed.with_label_values(&["0"]).get(), 1);
        rounds.finality(Duration::from_millis(250));
        rounds.fetching().observe(0.5);
        assert_eq!((phase(&rounds, "finality"), phase(&rounds, "fetching")), ((1, 0.25), (1, 0.5)));
    }
}
