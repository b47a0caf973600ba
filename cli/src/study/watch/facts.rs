//! What a study looks like at a block, what has happened since the last look, and how long it may still take. Pure.

use crate::{
    chain::StudyInfo,
    show::{name, phase, why_aborted, why_paused, Names},
    study::{
        losses::{mean_of, without, Mean},
        sentences::span,
        silence::{self, waits_for},
        waiting::waiting,
    },
};
use consilium_primitives::{
    round::{Phase, RoundRecord},
    Hash, InstitutionId, StudyId,
};
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// Of how many of the last rounds the median is taken.
pub const LAST: u32 = 9;
/// A round is late that takes this many times what one takes while nobody is missing, and longer than that many milliseconds.
const LATE: (u64, u64) = (2, 10_000);

/// What happens to a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A round has closed, or several since the last look.
    Round,
    /// All figures of a closed round's model are there that will come, or of several such rounds.
    Loss,
    /// The study stands still, and waits for sites or for people.
    Paused,
    /// It has ended without a model.
    Aborted,
    /// It has its certificate, for good.
    Finished,
    /// A round takes much longer than rounds do in which nobody is missing, or no blocks are made.
    Late,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Round, Self::Loss, Self::Paused, Self::Aborted, Self::Finished, Self::Late];

    /// As it is named on the command line and in the environment.
    pub fn named(self) -> &'static str {
        match self {
            Self::Round => "round",
            Self::Loss => "loss",
            Self::Paused => "paused",
            Self::Aborted => "aborted",
            Self::Finished => "finished",
            Self::Late => "late",
        }
    }
}

/// In which part of its life a study is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It may still be joined.
    Enrolling,
    /// Rounds go on.
    Running,
    /// It stands still.
    Paused,
    /// It has its certificate, in a final block.
    Finished,
    /// It has ended without one, in a final block.
    Aborted,
}

/// What is looked at.
pub struct Look<'a> {
    /// Number of the study.
    pub study: StudyId,
    /// Hash of block 0.
    pub genesis: Hash,
    /// Its title, where the chain keeps it.
    pub title: Option<&'a str>,
    /// The study at the newest block.
    pub info: &'a StudyInfo,
    /// Whether the study has ended in a final block, too.
    pub ended: bool,
    /// The newest block.
    pub block: u32,
    /// Milliseconds from one block to the next.
    pub slot: u32,
    /// Names of institutions.
    pub names: &'a Names,
    /// The last closed rounds, by their numbers.
    pub records: &'a BTreeMap<u32, RoundRecord>,
    /// The first rounds of training, where they have closed and are known.
    pub early: &'a [RoundRecord],
    /// Rounds that have closed since the last look.
    pub fresh: &'a [u32],
    /// Losses of rounds whose means were not told yet, by their numbers.
    pub losses: &'a [(u32, Vec<(InstitutionId, u32)>)],
    /// The mean that was told last.
    pub loss: Option<&'a (u32, Mean)>,
    /// Why no blocks are made or become final, in words, where that is so.
    pub stands: Option<&'a str>,
}

/// A round that has closed.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// Which.
    pub round: u32,
    /// Updates in its merge.
    pub updates: usize,
    /// Members that have none in it.
    pub without: Vec<String>,
    /// Whether nothing came of it: its masked sum could not be used.
    pub void: bool,
    /// From the block that opened it to the one that closed it, by slots, in milliseconds.
    pub took_ms: u64,
}

/// What is known of a study at a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Number of the study.
    pub study: StudyId,
    /// Its title.
    pub title: Option<String>,
    /// Hash of what was signed.
    pub agreement: String,
    /// The block that was looked at.
    pub block: u32,
    /// In which part of its life it is.
    pub stage: Stage,
    /// Where it stands, in words.
    pub phase: String,
    /// The round it is in.
    pub round: u32,
    /// Rounds that it may have.
    pub max_rounds: u32,
    /// The last round that has closed.
    pub last: Option<u32>,
    /// Rounds that have closed since the last look.
    pub closed: Vec<Closed>,
    /// Mean losses of rounds, each with its round, that are known since the last look.
    pub losses: Vec<(u32, Mean)>,
    /// The last mean loss that is known, with its round.
    pub loss: Option<(u32, Mean)>,
    /// Whom it waits for.
    pub awaited: Vec<String>,
    /// Whom it does not wait for, since nothing came from it, and until when.
    pub unawaited: Vec<String>,
    /// How long it may still take if all goes as it went, in milliseconds.
    pub left_ms: Option<u64>,
    /// Why the present round is late, where it is.
    pub late: Option<String>,
    /// Round of the model that its certificate is of, where it has one.
    pub certified: Option<u32>,
    /// Why it is paused or has ended.
    pub reason: Option<String>,
}

/// The median of some times; of two in the middle the smaller one.
fn median(mut times: Vec<u64>) -> Option<u64> {
    times.sort_unstable();
    times.get(times.len().checked_sub(1)? / 2).copied()
}

/// The median of what rounds took, without the time in which each waited for sites that were late or did not come: from the last update
/// that is in it to the freeze of the list, with merges that were tried again. `slot` and the answer are milliseconds.
fn unhindered<'a>(records: impl Iterator<Item = &'a RoundRecord>, slot: u64) -> Option<u64> {
    let blocks = |record: &RoundRecord| {
        let took = record.closed_at.saturating_sub(record.opened_at);
        let last = record.inputs.iter().map(|input| input.committed_at).max();
        let waited = last.map_or(0, |last| record.frozen_at.saturating_sub(last.max(record.opened_at)));
        u64::from(took.saturating_sub(waited))
    };
    median(records.map(|record| blocks(record).saturating_mul(slot)).collect())
}

/// What is to be known of what was looked at.
pub fn facts(look: &Look<'_>) -> Facts {
    let (study, slot) = (&look.info.state, u64::from(look.slot));
    let millis = |from: u32, to: u32| u64::from(to.saturating_sub(from)).saturating_mul(slot);
    let stage = match (&study.phase, look.ended) {
        (Phase::Enrolling { .. }, _) => Stage::Enrolling,
        (Phase::Paused(_), _) => Stage::Paused,
        (Phase::Completed(_), true) => Stage::Finished,
        (Phase::Aborted { .. }, true) => Stage::Aborted,
        _ => Stage::Running,
    };
    let waits = waiting(look.genesis, look.study, look.info, look.block);
    let awaited = waits.iter().flat_map(|waits| &waits.sites).filter(|site| match stage {
        // the others have all said so
        Stage::Enrolling | Stage::Paused => !site.spoken,
        _ => site.duty.is_some() && waits_for(look.info, &site.who),
    });
    let trained = || look.records.values().rev().filter(|record| record.round > 0).take(LAST as usize);
    let usual = median(trained().map(|record| millis(record.opened_at, record.closed_at)).collect());
    // of the first rounds, too: where a site is slow for long, the last ones are all slow, and would say that all is well
    let whole = [unhindered(trained(), slot), unhindered(look.early.iter(), slot)].into_iter().flatten().min();
    let last = look.records.keys().next_back().copied();
    let runs = stage == Stage::Running && !study.ended();
    let elapsed = millis(study.opened_at, look.block);
    let left_ms = usual.filter(|_| runs && study.round > 0).map(|usual| {
        let rounds = study.rules.max_rounds.saturating_sub(last.unwrap_or_default());
        u64::from(rounds).saturating_mul(usual).saturating_sub(elapsed.min(usual))
    });
    let slow = whole.filter(|whole| runs && elapsed > whole.saturating_mul(LATE.0).max(LATE.1)).map(|whole| {
        format!(
            "round {} has taken {}; a round of this study takes {} while nobody is missing",
            study.round,
            span(elapsed),
            span(whole)
        )
    });
    let closed = look.fresh.iter().filter_map(|round| look.records.get(round)).map(|record| Closed {
        round: record.round,
        updates: record.inputs.len(),
        without: without(study, record).iter().map(|who| name(look.names, who)).collect(),
        void: record.void().is_some(),
        took_ms: millis(record.opened_at, record.closed_at),
    });
    let known = |(round, told): &(u32, Vec<(InstitutionId, u32)>)| {
        let mean = mean_of(study, *round, told)?;
        // they come with the updates of the next round: once that has closed, no more do
        let whole = study.ended() || last.is_some_and(|last| last > *round) || mean.silent.is_empty();
        whole.then_some((*round, mean))
    };
    let losses: Vec<(u32, Mean)> = look.losses.iter().filter_map(known).collect();
    Facts {
        study: look.study,
        title: look.title.map(str::to_owned),
        agreement: hex::encode(look.info.agreement),
        block: look.block,
        stage,
        phase: phase(study),
        round: study.round,
        max_rounds: study.rules.max_rounds,
        last: last.filter(|round| *round > 0),
        closed: closed.collect(),
        loss: losses.last().or(look.loss).cloned(),
        losses,
        awaited: awaited.map(|site| name(look.names, &site.who)).collect(),
        unawaited: silence::all(study, look.names),
        left_ms,
        late: look.stands.filter(|_| !look.ended).map(str::to_owned).or(slow),
        certified: if let Phase::Completed(certificate) = &study.phase { Some(certificate.round) } else { None },
        reason: match &study.phase {
            Phase::Paused(pause) => Some(why_paused(pause.reason).into()),
            Phase::Aborted { reason } => Some(why_aborted(*reason).into()),
            _ => None,
        },
    }
}

/// What has happened since the last look.
pub fn events(before: Option<&Facts>, now: &Facts) -> Vec<Event> {
    let mut all = Vec::new();
    if !now.closed.is_empty() {
        all.push(Event::Round);
    }
    if !now.losses.is_empty() {
        all.push(Event::Loss);
    }
    let was = before.map(|before| before.stage);
    let late = |facts: &Facts| facts.late.as_ref().map(|_| facts.round);
    if late(now).is_some() && before.and_then(late) != late(now) {
        all.push(Event::Late);
    }
    let new = match now.stage {
        Stage::Paused => Event::Paused,
        Stage::Aborted => Event::Aborted,
        Stage::Finished => Event::Finished,
        Stage::Enrolling | Stage::Running => return all,
    };
    if was != Some(now.stage) {
        all.push(new);
    }
    all
}

impl Facts {
    /// Where it stands now, in a line.
    pub fn now(&self) -> String {
        let mut parts = vec![self.phase.clone()];
        if self.round > 0 {
            parts.insert(0, format!("round {} of {}", self.round, self.max_rounds));
        }
        if !self.awaited.is_empty() {
            parts.push(format!("awaited: {}", self.awaited.join(", ")));
        }
        if !self.unawaited.is_empty() {
            parts.push(format!("not waited for: {}", self.unawaited.join(", ")));
        }
        if let Some(left) = self.left_ms {
            parts.push(format!("about {} left", span(left)));
        }
        parts.join(" · ")
    }

    /// A round that has closed, in a line.
    pub fn in_a_line(&self, closed: &Closed) -> String {
        let updates = format!("{} update{}", closed.updates, if closed.updates == 1 { "" } else { "s" });
        let absent = match closed.without.as_slice() {
            [] => String::new(),
            some => format!(" (none from {})", some.join(", ")),
        };
        let what = if closed.void { "void, nothing came" } else { "merged" };
        format!(
            "round {} of {}: {what} of {updates}{absent} in {}",
            closed.round,
            self.max_rounds,
            span(closed.took_ms)
        )
    }

    /// For programs, one document an event.
    pub fn json(&self, event: &str, names: &Names) -> Value {
        let of_round = |(round, mean): &(u32, Mean)| {
            let mut mean = mean.json(names);
            mean["round"] = json!(round);
            mean
        };
        json!({
            "event": event,
            "study": self.study,
            "title": self.title,
            "agreement": self.agreement,
            "block": self.block,
            "phase": self.phase,
            "round": self.round,
            "max_rounds": self.max_rounds,
            "last_closed_round": self.last,
            "closed": self.closed.iter().map(|closed| json!({
                "round": closed.round, "updates": closed.updates, "without": closed.without, "void": closed.void, "took_ms": closed.took_ms,
            })).collect::<Vec<_>>(),
            "loss": self.loss.as_ref().map(of_round),
            "losses": self.losses.iter().map(of_round).collect::<Vec<_>>(),
            "awaited": self.awaited,
            "not_waited_for": self.unawaited,
            "left_ms": self.left_ms,
            "late": self.late,
            "reason": self.reason,
        })
    }

    /// What a command that is run on an event finds in its environment.
    pub fn environment(&self, event: Event) -> Vec<(&'static str, String)> {
        let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        let loss = self.loss.as_ref();
        vec![
            ("CONSILIUM_EVENT", event.named().into()),
            ("CONSILIUM_STUDY", self.study.to_string()),
            ("CONSILIUM_TITLE", self.title.clone().unwrap_or_default()),
            ("CONSILIUM_AGREEMENT", self.agreement.clone()),
            ("CONSILIUM_BLOCK", self.block.to_string()),
            ("CONSILIUM_PHASE", self.phase.clone()),
            ("CONSILIUM_ROUND", self.round.to_string()),
            ("CONSILIUM_MAX_ROUNDS", self.max_rounds.to_string()),
            ("CONSILIUM_LAST_CLOSED_ROUND", number(self.last.map(u64::from))),
            ("CONSILIUM_AWAITED", self.awaited.join(", ")),
            ("CONSILIUM_LEFT_MS", number(self.left_ms)),
            ("CONSILIUM_LOSS", loss.map(|(_, mean)| format!("{:.6}", mean.value)).unwrap_or_default()),
            ("CONSILIUM_LOSS_ROUND", number(loss.map(|(round, _)| u64::from(*round)))),
            ("CONSILIUM_LOSS_SITES", number(loss.map(|(_, mean)| mean.told as u64))),
            ("CONSILIUM_REASON", self.reason.clone().or_else(|| self.late.clone()).unwrap_or_default()),
        ]
    }
}
