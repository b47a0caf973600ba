//! What several commands print or read alike: names, phases, reasons, and studies and rounds for programs.

mod codes;

pub use codes::{
    abort_name, dropped_name, failure_name, pause_name, void_name, why_aborted, why_dropped, why_paused, why_void,
};

use crate::{
    chain::{Block, Chain, StudyInfo},
    plain::seen,
    study::silence::unawaited,
};
use anyhow::{Context, Result};
use consilium_primitives::{
    round::{bit, Back, FixedSet, Kind, Mask, Pause, Phase, Revealing, RoundRecord, Study, Summing},
    Hash, InstitutionId, InstitutionNotice, StudyId, StudyRules,
};
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// Names of institutions by id.
pub type Names = BTreeMap<InstitutionId, String>;

/// The study of this number; `hint` ends a command that reaches the same node.
///
/// # Errors
/// There is none, or the node does not answer.
pub async fn existing(chain: &Chain, number: StudyId, at: Block, hint: &str) -> Result<StudyInfo> {
    chain.study(number, at).await?.with_context(|| {
        format!("there is no study {number} on this chain; `consilium studies{hint}` lists what there is")
    })
}

/// The rules for programs: the invited by their ids, as `institutions` prints them.
pub fn rules_json(rules: &StudyRules) -> Value {
    let mut document = json!(rules);
    document["invited"] = json!(rules.invited.iter().map(ToString::to_string).collect::<Vec<_>>());
    document
}

/// Losses that sites reported for the merge of a closed round; statistics have none.
///
/// # Errors
/// The node does not answer.
pub async fn losses(
    chain: &Chain,
    number: StudyId,
    record: &RoundRecord,
    at: Block,
) -> Result<Vec<(InstitutionId, u32)>> {
    match record.kind {
        Kind::Statistics | Kind::Evaluation => Ok(Vec::new()),
        Kind::Model => chain.losses(number, record.round, at).await,
    }
}

/// All closed rounds of a study, in the order in which they closed.
pub async fn history(chain: &Chain, number: StudyId, study: &Study, at: Block) -> Result<Vec<RoundRecord>> {
    let mut records = Vec::new();
    if let Some(record) = chain.record(number, Kind::Statistics, 0, at).await? {
        records.push(record);
    }
    for round in 0..=study.round {
        if let Some(record) = chain.record(number, Kind::Model, round, at).await? {
            records.push(record);
        }
    }
    if study.rules.masked.is_some() {
        records.extend(chain.record(number, Kind::Evaluation, study.round, at).await?);
    }
    Ok(records)
}

/// A study's title, as its proposer has written it; none where the specification is gone, or cannot be read.
pub fn title(spec: Option<&[u8]>) -> Option<String> {
    let spec: Value = serde_json::from_slice(spec?).ok()?;
    spec["title"].as_str().map(seen)
}

/// What a study measures each round, by its name in the specification; lower is better.
pub fn metric(spec: Option<&[u8]>) -> String {
    let spec: Value = spec.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or(Value::Null);
    spec["evaluation"]["metric"].as_str().map_or_else(|| "log_loss".into(), seen)
}

/// A study for programs.
pub fn study_json(number: StudyId, info: &StudyInfo, names: &Names) -> Value {
    let state = &info.state;
    let certificate = match &state.phase {
        Phase::Completed(c) => json!({
            "round": c.round,
            "root": hex::encode(c.root),
            "held_by": members(state, c.held, names),
            "asked": members(state, c.roster, names),
        }),
        _ => Value::Null,
    };
    json!({
        "number": number,
        "agreement": hex::encode(info.agreement),
        "spec_hash": hex::encode(info.spec_hash),
        "registered_at": info.registered_at,
        "proposer": name(names, &state.proposer),
        "phase": phase(state),
        "round": state.round,
        "rules": rules_json(&state.rules),
        "members": (0u8..).zip(state.members.iter()).map(|(index, m)| json!({
            "name": name(names, &m.id),
            "id": m.id.to_string(),
            "samples": m.samples,
            "active": m.active,
            "comes_back_in_round": comes_back(state, index),
            "waited_for_in_round": unawaited(state, index).map(|it| it.back),
        })).collect::<Vec<_>>(),
        "certificate": certificate,
    })
}

/// A closed round for programs. Losses are those of its merge, micro-units.
pub fn record_json(record: &RoundRecord, losses: &[(InstitutionId, u32)], names: &Names) -> Value {
    json!({
        "kind": kind(record.kind),
        "round": record.round,
        "base": hex::encode(record.base),
        "inputs_root": hex::encode(record.inputs_root),
        "root": hex::encode(record.root),
        "inputs": record.inputs.iter().map(|i| json!({
            "site": name(names, &i.institution),
            "duty": hex::encode(i.duty),
            "root": hex::encode(i.root),
            "weight": i.weight,
            "committed_at": i.committed_at,
        })).collect::<Vec<_>>(),
        "attesters": record.attesters.iter().map(|i| name(names, i)).collect::<Vec<_>>(),
        "dissenters": record.dissenters.iter().map(|(i, root)| json!({
            "site": name(names, i), "root": hex::encode(root),
        })).collect::<Vec<_>>(),
        "silent": record.silent.iter().map(|i| name(names, i)).collect::<Vec<_>>(),
        "left_out": marked(record, record.marks.left_out, names),
        "shortened": marked(record, record.marks.shortened, names),
        "dropped": record.dropped.iter().map(|(i, why)| json!({
            "site": name(names, i), "reason": dropped_name(*why),
        })).collect::<Vec<_>>(),
        "losses": losses.iter().map(|(i, value)| json!({
            "site": name(names, i), "log_loss": f64::from(*value) / 1e6,
        })).collect::<Vec<_>>(),
        "attempts": record.attempts,
        "opened_at": record.opened_at,
        "frozen_at": record.frozen_at,
        "closed_at": record.closed_at,
        "blocks": record.closed_at.saturating_sub(record.opened_at),
    })
}

/// Names of the inputs that a mark is on.
pub fn marked(record: &RoundRecord, marks: u64, names: &Names) -> Vec<String> {
    let inputs = record.inputs.iter().zip(0u8..);
    inputs.filter(|(_, place)| marks & bit(*place) != 0).map(|(i, _)| name(names, &i.institution)).collect()
}

/// Institutions' names by id.
pub fn names(list: &[InstitutionNotice]) -> Names {
    list.iter().map(|i| (i.id, seen(&String::from_utf8_lossy(&i.name)))).collect()
}

/// An institution's name, or its id where it has none.
pub fn name(names: &Names, id: &InstitutionId) -> String {
    names.get(id).cloned().unwrap_or_else(|| id.to_string())
}

/// Where a study stands, in a few words.
pub fn phase(study: &Study) -> String {
    match &study.phase {
        Phase::Enrolling { .. } => "enrolling".into(),
        Phase::Collecting(c) if c.kind == Kind::Statistics => "statistics".into(),
        Phase::Collecting(c) if c.kind == Kind::Evaluation => "final evaluation".into(),
        Phase::Collecting(_) => "training".into(),
        Phase::Gathering(_) => "gathering masked files".into(),
        Phase::Revealing(_) => "opening the masked sum".into(),
        Phase::Summing(s) if s.attempt > 1 => format!("summing (attempt {})", s.attempt),
        Phase::Summing(_) => "summing".into(),
        Phase::Init { .. } => "initial model".into(),
        Phase::Merging(m) if m.stands => "merging, waiting for finality".into(),
        Phase::Merging(m) if m.attempt > 1 => format!("merging (attempt {})", m.attempt),
        Phase::Merging(_) => "merging".into(),
        Phase::FinalEvaluation { .. } => "final evaluation".into(),
        Phase::Certifying(_) => "certifying".into(),
        Phase::Paused(p) if p.reason.passes() => {
            let (there, all) = (study.presence.there().count_ones(), p.roster.count_ones());
            let why = why_paused(p.reason);
            format!("paused: {why}; waiting for sites ({there} of {all} have said that they are there)")
        }
        Phase::Paused(p) => format!("paused: {}", why_paused(p.reason)),
        Phase::Completed(_) => "completed".into(),
        Phase::Aborted { reason } => format!("ended without a model: {}", why_aborted(*reason)),
    }
}

/// The round in which a member that is left out for some rounds takes part again; none where it is not left out, or was called
/// back early because the others were too few.
pub fn comes_back(study: &Study, index: u8) -> Option<u32> {
    let member = study.member(index)?;
    let until = member.benched_until.filter(|until| *until >= study.round)?;
    let takes_part = match &study.phase {
        Phase::Collecting(c) => c.roster & bit(index) != 0,
        Phase::Merging(m) | Phase::Gathering(m) => m.inputs.iter().any(|input| input.commitment.member == index),
        Phase::Revealing(Revealing { set, .. }) | Phase::Summing(Summing { set, .. }) => {
            set.inputs.iter().any(|input| input.commitment.member == index)
        }
        _ => false,
    };
    (member.active && !study.ended() && !takes_part).then(|| until.saturating_add(1))
}

/// Names of the members that a mask holds.
pub fn members(study: &Study, mask: Mask, names: &Names) -> Vec<String> {
    study
        .members
        .iter()
        .enumerate()
        .filter(|(index, _)| mask >> index & 1 == 1)
        .map(|(_, member)| name(names, &member.id))
        .collect()
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Statistics => "statistics",
        Kind::Model => "round",
        Kind::Evaluation => "final evaluation",
    }
}

/// A closed round in words.
pub fn round_name(kind: Kind, round: u32) -> String {
    match kind {
        Kind::Statistics => "the statistics".into(),
        Kind::Model => format!("round {round}"),
        Kind::Evaluation => "the final evaluation".into(),
    }
}

/// The first bytes of a hash, enough for a person to tell two apart.
pub fn short(hash: &Hash) -> String {
    hex::encode(&hash.as_bytes()[..6])
}

/// Whether a member had done its part when the study was paused; none where nothing of the kind was asked.
pub fn part(pause: &Pause, index: u8) -> Option<bool> {
    match &pause.back {
        Back::Collecting { commitments, .. } => Some(commitments.iter().any(|c| c.member == index)),
        Back::Init | Back::Summing(_) => None,
        Back::Certifying { held, .. } => Some(held & bit(index) != 0),
        Back::Revealing(set) => revealed(set, index),
    }
}

/// Whether a member whose masked file is in a sum has given its shares; none where its file is not.
pub fn revealed(set: &FixedSet, index: u8) -> Option<bool> {
    let inside = set.inputs.iter().any(|input| input.commitment.member == index);
    inside.then(|| set.reveals.iter().any(|(who, _)| *who == index))
}

/// [`part`] in words, after the member's name.
pub fn done(pause: &Pause, index: u8) -> &'static str {
    match (&pause.back, part(pause, index)) {
        (Back::Collecting { .. }, Some(true)) => " has committed",
        (Back::Collecting { .. }, _) => " has NOT committed",
        (Back::Init | Back::Summing(_), _) | (Back::Revealing(_), None) => "",
        (Back::Revealing(_), Some(true)) => " has given its shares",
        (Back::Revealing(_), Some(false)) => " has NOT given its shares",
        (Back::Certifying { .. }, Some(true)) => " holds the final model",
        (Back::Certifying { .. }, _) => " does NOT hold the final model",
    }
}

/// Studies that have not ended.
///
/// # Errors
/// The node does not answer.
pub async fn running(chain: &Chain, at: Block) -> Result<Vec<String>> {
    let mut running = Vec::new();
    for number in 0..chain.study_count(at).await? {
        if let Some(info) = chain.study(number, at).await?.filter(|info| !info.state.ended()) {
            running.push(format!("study {number} ({})", phase(&info.state)));
        }
    }
    Ok(running)
}

/// Prints one JSON document.
pub fn print_json(document: &Value) -> Result<()> {
    out!("{}", serde_json::to_string_pretty(document)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;
    use consilium_primitives::round::{Collecting, PauseReason, PerMember};

    #[test]
    fn the_invited_are_printed_by_their_ids() {
        let text = include_str!("../../examples/breast-cancer/study.toml");
        let mut rules = consilium_study::StudyFile::parse(text).unwrap().rules(2_000, 4).unwrap();
        rules.invited.try_push(InstitutionId([7; 32])).unwrap();
        assert_eq!(rules_json(&rules)["invited"], json!([format!("0x{}", "07".repeat(32))]));
    }

    #[test]
    fn a_pause_is_told_in_words() {
        let mut study = World::new().history.info.state;
        for reason in [PauseReason::TooFewUpdates, PauseReason::TooFewMembers] {
            study.phase = paused(reason);
            let said = phase(&study);
            assert!(said.starts_with(&format!("paused: {}", why_paused(reason))), "{said}");
            assert!(!said.contains(pause_name(reason)), "{said}");
        }
    }

    #[test]
    fn a_site_that_is_left_out_has_the_round_that_it_comes_back_in() {
        let mut study = World::new().history.info.state;
        (study.round, study.members[1].benched_until) = (2, Some(6));
        let collecting = |roster| {
            Phase::Collecting(Collecting {
                kind: Kind::Model,
                roster,
                awaited: roster,
                commitments: PerMember::new(),
                start: 1,
                freeze_at: None,
                limit: 99,
                extended: false,
            })
        };
        study.phase = collecting(0b101);
        assert_eq!([0, 1, 2].map(|index| comes_back(&study, index)), [None, Some(7), None]);
        // called back, since the others were too few
        study.phase = collecting(0b111);
        assert_eq!(comes_back(&study, 1), None);
        // over
        (study.phase, study.round) = (collecting(0b101), 7);
        assert_eq!(comes_back(&study, 1), None);
        (study.round, study.members[1].active) = (2, false);
        assert_eq!(comes_back(&study, 1), None);
    }

    fn paused(reason: PauseReason) -> Phase {
        let back = Back::Collecting { kind: Kind::Model, commitments: PerMember::new(), dropped: 0 };
        Phase::Paused(Pause { reason, until: 99, roster: 7, resume: 0, abort: 0, back })
    }

    #[test]
    fn a_title_is_read_where_there_is_a_specification() {
        let spec = br#"{"title":"one\u001b","evaluation":{"metric":"brier"}}"#;
        assert_eq!((title(Some(spec)).unwrap(), metric(Some(spec))), ("one\\u{1b}".into(), "brier".into()));
        assert_eq!((title(None), title(Some(b"no")), metric(None)), (None, None, "log_loss".into()));
    }
}
