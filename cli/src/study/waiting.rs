//! What a study waits for now: of whom, since when, until when, and what comes then. Pure, but for the times of blocks.

mod masked;
#[cfg(test)]
mod tests;

use crate::{
    chain::{Block, Chain, StudyInfo},
    plain::clock,
    show::{name, Names},
    study::silence::unawaited,
};
use anyhow::Result;
use consilium_primitives::{
    round::{bit, Ballot, Kind, Merging, Phase, Study, Surroundings},
    rules::{OnStall, PAUSE_BLOCKS},
    DutyKind, Hash, InstitutionId, StudyId,
};
use serde_json::{json, Value};

/// What one site is to do, and whether it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Which.
    pub who: InstitutionId,
    /// The duty that the chain asks of it now; none where it has answered, or is not asked.
    pub duty: Option<DutyKind>,
    /// Whether it has answered.
    pub spoken: bool,
    /// In words.
    pub state: String,
}

/// What a study waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What it does.
    pub what: String,
    /// Block since which.
    pub since: u32,
    /// Block in which that ends at the latest.
    pub until: u32,
    /// What comes then.
    pub then: String,
    /// The first block in which it may go on sooner, and what that takes.
    pub sooner: Option<(u32, String)>,
    /// All members, and the invited that have not enrolled.
    pub sites: Vec<Site>,
}

/// The chain, as far as it says what is asked of whom.
struct Around {
    genesis: Hash,
    study: StudyId,
    agreement: Hash,
    now: u32,
}

impl Surroundings for Around {
    fn genesis(&self) -> Hash {
        self.genesis
    }
    fn study(&self) -> StudyId {
        self.study
    }
    fn agreement(&self) -> Hash {
        self.agreement
    }
    fn now(&self) -> u32 {
        self.now
    }
    // what is asked does not depend on what was measured or attested
    fn losses(&self, _: u32) -> Vec<(InstitutionId, u32)> {
        Vec::new()
    }
    fn root(&self, _: u32) -> Option<Hash> {
        None
    }
}

/// What a study waits for in the state of a block; nothing once it has ended.
pub fn waiting(genesis: Hash, number: StudyId, info: &StudyInfo, now: u32) -> Option<Waiting> {
    let study = &info.state;
    let (what, since, until, then) = phase(study, info.registered_at, now)?;
    let around = Around { genesis, study: number, agreement: info.agreement, now };
    let mut sites: Vec<Site> = (0u8..)
        .zip(study.members.iter())
        .map(|(index, member)| {
            let duty = study.open_duty(&around, &member.id).map(|open| open.duty.kind);
            let (spoken, state) = match member.active {
                true => state(study, index, now),
                false => (false, "has withdrawn".into()),
            };
            // what is reported of missing inputs is an answer, and not the one that is asked for
            Site { who: member.id, duty: duty.filter(|_| !spoken), spoken, state }
        })
        .collect();
    if matches!(study.phase, Phase::Enrolling { .. }) {
        let missing = study.rules.invited.iter().filter(|who| study.members.iter().all(|member| member.id != **who));
        let state = "is invited, and has not enrolled";
        sites.extend(missing.map(|who| Site { who: *who, duty: None, spoken: false, state: state.into() }));
    }
    Some(Waiting { what, since, until, then, sooner: sooner(study, now), sites })
}

/// What a study does, since when, until when, and what comes then.
fn phase(study: &Study, registered_at: u32, now: u32) -> Option<(String, u32, u32, String)> {
    let (round, windows) = (study.round, study.windows());
    let service = windows.service;
    let stall = || match study.rules.on_stall {
        OnStall::Pause => "it pauses",
        OnStall::Shrink => "it goes on with fewer, or pauses",
        OnStall::Abort => "it ends without a certificate",
    };
    let (what, since, until, then) = match &study.phase {
        Phase::Enrolling { until } => {
            let then = match study.rules.auto_start {
                true => "it starts if enough have enrolled, or ends",
                false => "it ends, unless its proposer has started it",
            };
            ("enrolment".into(), registered_at, *until, then.into())
        }
        Phase::Collecting(c) => {
            let what = match c.kind {
                Kind::Statistics => "the sites' statistics".to_owned(),
                Kind::Model => format!("the updates of round {round}"),
                Kind::Evaluation => "the sites' figures of the last merge".to_owned(),
            } + masked::step(study);
            let (until, then) = match c.freeze_at {
                Some(at) => (at, "the grace is over: enough are in, and it goes on without who is late".into()),
                None if c.extended => (c.limit, stall().into()),
                None => (c.limit, format!("it waits as long once more; if too few are in then, {}", stall())),
            };
            (what, c.start, until, then)
        }
        Phase::Init { until, .. } => {
            let then = "it goes on with the model that enough have computed, or pauses";
            ("the initial model".into(), until.saturating_sub(service), *until, then.into())
        }
        Phase::Merging(m) => {
            let of = match m.kind {
                Kind::Statistics => "the merge of the statistics".into(),
                Kind::Model => format!("the merge of round {round}"),
                Kind::Evaluation => "the sum of the last figures".into(),
            };
            let what = match (m.stands, m.attempt) {
                (true, _) => {
                    format!("{of}; its clock stands until the block that fixed its inputs is final for enough sites")
                }
                (false, 1) => of,
                (false, attempt) => format!("{of}, attempt {attempt}"),
            };
            let then = "it closes with the result that more than half agree on; else it is tried again without what others lack";
            (what, m.began, m.until, then.into())
        }
        Phase::Gathering(_) | Phase::Revealing(_) | Phase::Summing(_) => return masked::phase(study, now),
        Phase::FinalEvaluation { until, .. } => {
            let then = "the best round is chosen by what has been reported";
            ("the last evaluation".into(), until.saturating_sub(service), *until, then.into())
        }
        Phase::Certifying(c) => {
            let lasts = if c.extended { service.saturating_mul(2) } else { service };
            let then = if c.extended { "it pauses, if too few hold the model" } else { "it waits as long once more" };
            (format!("who holds the model of round {}", c.round), c.until.saturating_sub(lasts), c.until, then.into())
        }
        Phase::Paused(p) => {
            let what = match (p.reason.passes(), study.deadline()) {
                (true, Some(at)) if at < p.until => format!(
                    "sites that hold the model: enough are there, and until block {at} they have time to fetch it",
                ),
                (true, _) => "sites, to say that they are there".into(),
                (false, _) => "people".into(),
            };
            (what, p.until.saturating_sub(PAUSE_BLOCKS), p.until, "it ends without a certificate".into())
        }
        Phase::Completed(_) | Phase::Aborted { .. } => return None,
    };
    Some((what, since.min(now), until, then))
}

/// The first block in which a study that collects may go on before the time for all is over, and what that takes: enough updates, and
/// the grace after them. Once enough are in, that block is the one that it waits until.
fn sooner(study: &Study, now: u32) -> Option<(u32, String)> {
    let Phase::Collecting(c) = &study.phase else { return None };
    if c.freeze_at.is_some() {
        return None;
    }
    let (asked, windows) = (c.roster.count_ones(), study.windows());
    let (needed, there) = (study.rules.freeze_needs(asked), c.commitments.len());
    let at = now.max(c.start.saturating_add(windows.expected)).saturating_add(windows.grace);
    let part = match c.kind {
        Kind::Statistics => "statistics",
        Kind::Model => "updates",
        Kind::Evaluation => "figures",
    };
    (at < c.limit).then(|| {
        let words = format!(
            "once the {part} of {needed} of {asked} sites are in ({there} so far), the others have {} blocks more, the grace; then it \
             goes on without who is late",
            windows.grace
        );
        (at, words)
    })
}

/// Whether a member has answered what is asked, and that in words.
fn state(study: &Study, index: u8, now: u32) -> (bool, String) {
    let mine = bit(index);
    let plain = |spoken: bool, yes: &str, no: &str| (spoken, if spoken { yes } else { no }.to_owned());
    match &study.phase {
        Phase::Enrolling { .. } => (true, "has enrolled".into()),
        Phase::Collecting(c) => {
            let part = match c.kind {
                Kind::Statistics => "statistics",
                Kind::Model => "update",
                Kind::Evaluation => "figures",
            };
            match c.commitments.iter().find(|commitment| commitment.member == index) {
                Some(commitment) => (true, format!("has sent its {part}, in block {}", commitment.at)),
                None if c.awaited & mine != 0 => match unawaited(study, index) {
                    Some(it) => (false, it.words(study.rules.max_rounds)),
                    None => masked::paired(study, index).unwrap_or((false, format!("is awaited: its {part}"))),
                },
                None if c.roster & mine != 0 => (true, format!("no {part} of it will come")),
                None => (false, "is not asked in this round".into()),
            }
        }
        Phase::Init { roster, votes, .. } => match votes.iter().any(|(voter, _)| *voter == index) {
            true => (true, "has computed it".into()),
            false if roster & mine != 0 => (false, "is awaited".into()),
            false => (false, "is not asked".into()),
        },
        Phase::Merging(m) => merging(study, m, index, now),
        Phase::Gathering(_) | Phase::Revealing(_) | Phase::Summing(_) => masked::state(study, index),
        Phase::FinalEvaluation { roster, reported, .. } => match roster & mine {
            0 => (false, "is not asked".into()),
            _ => plain(reported & mine != 0, "has reported", "is awaited: its loss of the last merge"),
        },
        Phase::Certifying(c) => match c.roster & mine {
            0 => (false, "is not asked".into()),
            _ => plain(c.held & mine != 0, "holds it", "is awaited: to say that it holds it"),
        },
        Phase::Paused(p) if p.reason.passes() => {
            plain(study.presence.there() & mine != 0, "is there", "has not said that it is there")
        }
        Phase::Paused(p) => match (p.resume & mine != 0, p.abort & mine != 0) {
            (true, _) => (true, "wants it to go on".into()),
            (_, true) => (true, "wants it to end".into()),
            _ => (false, "has said nothing".into()),
        },
        Phase::Completed(_) | Phase::Aborted { .. } => (false, String::new()),
    }
}

fn merging(study: &Study, m: &Merging, index: u8, now: u32) -> (bool, String) {
    let found = m.inputs.iter().zip(m.ballots.iter()).find(|(input, _)| input.commitment.member == index);
    let Some((_, ballot)) = found else {
        let spared =
            unawaited(study, index).map_or_else(String::new, |it| format!("; {}", it.words(study.rules.max_rounds)));
        return (false, format!("has no update in it, and is not asked{spared}"));
    };
    match ballot {
        Some(Ballot::Root(..)) => (true, "has merged".into()),
        Some(Ballot::Partial { not_final: true, .. }) => {
            (false, "is awaited; the block that fixed the inputs was not final there".into())
        }
        Some(Ballot::Partial { have, .. }) => {
            (false, format!("is awaited; it has {} of {} updates", have.count_ones(), m.inputs.len()))
        }
        None => {
            let fetch = m.began.saturating_add(study.windows().fetch);
            match now < fetch {
                true => (false, format!("is awaited: to fetch the others' (until block {fetch}), and to merge")),
                false => (false, "is awaited: its merge, or what it lacks".into()),
            }
        }
    }
}

/// Times of blocks: the past ones as the chain has them, where the node still knows; of those to come, if none is missed.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// A block and its time, in milliseconds since 1970.
    now: (u32, u64),
    since: Option<u64>,
    slot: u32,
}

impl Times {
    /// Of the block since which a study waits, and of those to come.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn read(chain: &Chain, at: Block, since: u32) -> Result<Self> {
        let slot = chain.block_ms().await?;
        let now = (at.number, chain.time(at.number).await?);
        Ok(Self { now, since: chain.made(since, (now.1, slot)).await, slot })
    }

    /// When a past block was made; estimated where nothing tells.
    pub fn since(&self, block: u32) -> u64 {
        let before = u64::from(self.now.0.saturating_sub(block)).saturating_mul(self.slot.into());
        self.since.unwrap_or(self.now.1.saturating_sub(before))
    }

    /// When a block to come will be made, if no slot is missed.
    pub fn until(&self, block: u32) -> u64 {
        self.now.1.saturating_add(u64::from(block.saturating_sub(self.now.0)).saturating_mul(self.slot.into()))
    }
}

impl Waiting {
    /// For people.
    pub fn lines(&self, times: &Times, names: &Names) -> Vec<String> {
        let Self { what, since, until, then, sooner, sites } = self;
        let mut lines = vec![
            format!("it waits for {what}"),
            format!(
                "  since block {since}, {}; until block {until}, {}, at the latest",
                clock(times.since(*since)),
                clock(times.until(*until))
            ),
            format!("  then {then}"),
        ];
        let earlier = |(at, words): &(u32, String)| {
            format!("  sooner, from block {at}, {}, on: {words}", clock(times.until(*at)))
        };
        lines.extend(sooner.iter().map(earlier));
        lines.extend(sites.iter().map(|site| format!("  {}: {}", name(names, &site.who), site.state)));
        lines
    }

    /// For programs.
    pub fn json(&self, times: &Times, names: &Names) -> Value {
        let Self { what, since, until, then, sooner, sites } = self;
        json!({
            "for": what,
            "since": { "block": since, "time_ms": times.since(*since) },
            "until": { "block": until, "time_ms": times.until(*until) },
            "then": then,
            "sooner": sooner.as_ref().map(|(at, words)| json!({ "block": at, "time_ms": times.until(*at), "words": words })),
            "sites": sites.iter().map(|site| json!({
                "name": name(names, &site.who),
                "id": site.who.to_string(),
                "duty": site.duty,
                "spoken": site.spoken,
                "state": site.state,
            })).collect::<Vec<_>>(),
        })
    }
}
