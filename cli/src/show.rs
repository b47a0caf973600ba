//! What several commands print or read alike: names, phases, reasons, and studies and rounds for programs.

use crate::{
    chain::{Block, Chain, StudyInfo},
    plain::seen,
};
use anyhow::{Context, Result};
use consilium_primitives::{
    round::{bit, AbortReason, Back, Kind, Mask, Pause, PauseReason, Phase, RoundRecord, Study},
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
        Kind::Statistics => Ok(Vec::new()),
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
    Ok(records)
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
        "members": state.members.iter().map(|m| json!({
            "name": name(names, &m.id),
            "id": m.id.to_string(),
            "samples": m.samples,
            "active": m.active,
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
            "site": name(names, i), "reason": format!("{why:?}"),
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
        Phase::Collecting(_) => "training".into(),
        Phase::Init { .. } => "initial model".into(),
        Phase::Merging(m) if m.stands => "merging, waiting for finality".into(),
        Phase::Merging(m) if m.attempt > 1 => format!("merging (attempt {})", m.attempt),
        Phase::Merging(_) => "merging".into(),
        Phase::FinalEvaluation { .. } => "final evaluation".into(),
        Phase::Certifying(_) => "certifying".into(),
        Phase::Paused(p) if p.reason.passes() => {
            let (there, all) = (study.presence.there().count_ones(), p.roster.count_ones());
            format!("paused: {:?}, waiting for sites ({there} of {all} have said that they are there)", p.reason)
        }
        Phase::Paused(p) => format!("paused: {:?}", p.reason),
        Phase::Completed(_) => "completed".into(),
        Phase::Aborted { reason } => format!("ended without a model: {}", why_aborted(*reason)),
    }
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
    }
}

/// A closed round in words.
pub fn round_name(kind: Kind, round: u32) -> String {
    match kind {
        Kind::Statistics => "the statistics".into(),
        Kind::Model => format!("round {round}"),
    }
}

/// The first bytes of a hash, enough for a person to tell two apart.
pub fn short(hash: &Hash) -> String {
    hex::encode(&hash.as_bytes()[..6])
}

/// Why a study is paused, for people.
pub fn why_paused(reason: PauseReason) -> &'static str {
    match reason {
        PauseReason::TooFewUpdates => "fewer sites have sent their part than the agreement asks for",
        PauseReason::TooFewMembers => "fewer sites take part than the agreement asks for",
        PauseReason::TooFewInputs => "without the parts that were dropped, there are fewer than the agreement asks for",
        PauseReason::NoAgreement => "the sites have merged to different results, or too few have merged at all",
        PauseReason::NoCommonStart => "the sites do not start from the same model, or too few have answered",
        PauseReason::NotHeld => "too few sites hold the final model",
    }
}

/// Why a study has ended without a certificate, for people.
pub fn why_aborted(reason: AbortReason) -> &'static str {
    match reason {
        AbortReason::TooFewEnrolled => "too few had enrolled in time, or nobody started it",
        AbortReason::PausedTooLong => "it was paused, and nobody let it go on",
        AbortReason::Stalled => "training stalled, and the agreement ends the study then (rules.on_stall)",
        AbortReason::Decided => "its members decided so",
    }
}

/// Whether a member had done its part when the study was paused.
pub fn done(pause: &Pause, index: u8) -> &'static str {
    match &pause.back {
        Back::Collecting { commitments, .. } if commitments.iter().any(|c| c.member == index) => " has committed",
        Back::Collecting { .. } => " has NOT committed",
        Back::Init => "",
        Back::Certifying { held, .. } if held & bit(index) != 0 => " holds the final model",
        Back::Certifying { .. } => " does NOT hold the final model",
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

    #[test]
    fn the_invited_are_printed_by_their_ids() {
        let text = include_str!("../../examples/breast-cancer/study.toml");
        let mut rules = consilium_study::StudyFile::parse(text).unwrap().rules(2_000, 4).unwrap();
        rules.invited.try_push(InstitutionId([7; 32])).unwrap();
        assert_eq!(rules_json(&rules)["invited"], json!([format!("0x{}", "07".repeat(32))]));
    }
}
