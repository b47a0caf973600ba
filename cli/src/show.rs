//! `consilium studies`, `consilium study`.

use crate::{
    chain::{Block, Chain, StudyInfo},
    localnet::why_aborted,
    out::put,
    plain::{counted, lines, seen},
    study::{
        answers::{failures, standstill},
        sentences::{missing, rules},
        waiting::{waiting, Times},
    },
    Asked, Format,
};
use anyhow::{Context, Result};
use consilium_primitives::{
    round::{bit, DropReason, Kind, Mask, Phase, RoundRecord, Study},
    Hash, InstitutionId, InstitutionNotice, StudyId, StudyRules,
};
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// Names of institutions by id.
pub type Names = BTreeMap<InstitutionId, String>;

/// Prints all studies.
pub async fn studies(asked: &Asked) -> Result<()> {
    let (chain, connection) = (asked.chain().await?, &asked.connection);
    let at = chain.best().await?;
    let names = names(&chain.institutions(at).await?);
    let mut rows = Vec::new();
    for number in 0..chain.study_count(at).await? {
        if let Some(info) = chain.study(number, at).await? {
            rows.push((number, info));
        }
    }
    if connection.format == Format::Json {
        let list: Vec<Value> = rows.iter().map(|(number, info)| study_json(*number, info, &names)).collect();
        return print_json(&json!(list));
    }
    if let Some(words) = chain.stands().await {
        out!("{words}");
    }
    if rows.is_empty() {
        out!("No study has been registered on this chain (block {}).", at.number);
    }
    for (number, info) in rows {
        out!(
            "study {number}: {} · round {} of {} · {} · proposed by {} · agreement {}",
            phase(&info.state),
            info.state.round,
            info.state.rules.max_rounds,
            counted(info.state.members.len() as u64, "member"),
            name(&names, &info.state.proposer),
            hex::encode(info.agreement),
        );
    }
    Ok(())
}

/// Prints one study with its rounds.
pub async fn study(number: StudyId, asked: &Asked) -> Result<()> {
    let (chain, connection) = (asked.chain().await?, &asked.connection);
    let at = chain.best().await?;
    let names = names(&chain.institutions(at).await?);
    let info = existing(&chain, number, at, &asked.hint()).await?;
    let records = history(&chain, number, &info.state, at).await?;
    let spec = chain.spec(number, at).await?;
    let failed = match info.state.ended() && !matches!(info.state.phase, Phase::Aborted { .. }) {
        true => Ok(Vec::new()),
        false => failures(&chain, number, &info, at).await,
    };
    let waits = match waiting(chain.genesis(), number, &info, at.number) {
        Some(waits) => {
            let times = Times::read(&chain, at, waits.since).await?;
            Some((waits, times))
        }
        None => None,
    };
    if connection.format == Format::Json {
        let mut document = study_json(number, &info, &names);
        document["spec"] = spec.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
        let mut rounds = Vec::new();
        for record in &records {
            let losses = losses(&chain, number, record, at).await?;
            rounds.push(record_json(record, &losses, &names));
        }
        document["rounds"] = json!(rounds);
        // null: this node cannot tell
        document["waiting"] = waits.as_ref().map_or(Value::Null, |(waits, times)| waits.json(times, &names));
        document["failed"] = failed.ok().map_or(Value::Null, |failed| failed.iter().map(|f| f.json(&names)).collect());
        return print_json(&document);
    }
    if let Some(words) = chain.stands().await {
        out!("{words}");
    }
    out!("study {number}, {} (block {})", phase(&info.state), at.number);
    out!("  agreement {}, registered in block {}", hex::encode(info.agreement), info.registered_at);
    out!("  proposed by {}", name(&names, &info.state.proposer));
    for member in &info.state.members {
        out!(
            "  member {}: {}{}",
            name(&names, &member.id),
            counted(member.samples.into(), "training row"),
            if member.active { "" } else { ", has withdrawn" }
        );
    }
    if matches!(info.state.phase, Phase::Enrolling { .. }) {
        match missing(&info.state, &names).as_slice() {
            [] if info.state.rules.invited.is_empty() => {}
            [] => out!("  all who are invited have enrolled"),
            some => out!("  not enrolled yet: {}", some.join(", ")),
        }
    }
    for record in &records {
        out!("  {}", in_a_line(record));
        for (what, marks) in [("left out by the rule", record.marks.left_out), ("shortened", record.marks.shortened)] {
            if marks != 0 {
                out!("    {what}: {}", marked(record, marks, &names).join(", "));
            }
        }
        for (who, why) in &record.dropped {
            out!("    dropped: {} ({})", name(&names, who), dropped(*why));
        }
        for (who, root) in &record.dissenters {
            out!("    dissented: {}, with {}", name(&names, who), short(root));
        }
        if !record.silent.is_empty() {
            let silent: Vec<String> = record.silent.iter().map(|who| name(&names, who)).collect();
            out!("    not heard when it closed: {}", silent.join(", "));
        }
    }
    if let Some((waits, times)) = &waits {
        // who has enrolled and who has not stands above
        let lines = if matches!(info.state.phase, Phase::Enrolling { .. }) { 3 } else { usize::MAX };
        waits.lines(times, &names).iter().take(lines).for_each(|line| out!("  {line}"));
    }
    match &failed {
        Ok(failed) => {
            standstill(&info.state, failed, &names, number).iter().for_each(|line| out!("  {}", asked.pasted(line)));
        }
        Err(error) => out!("  {error:#}"),
    }
    if let Phase::Completed(certificate) = &info.state.phase {
        out!("  certificate: round {}, root {}", certificate.round, hex::encode(certificate.root));
        if let Some(root) = info.state.statistics {
            out!("  its statistics, which rows are scaled by: {}", hex::encode(root));
        }
        out!("  held by {}", members(&info.state, certificate.held, &names).join(", "));
        out!(
            "  {}",
            asked
                .pasted(&format!("at a member that holds it: consilium study fetch {number} --dir FOLDER --out model"))
        );
    }
    match &info.state.phase {
        Phase::Enrolling { .. } => signed(&info, spec.as_deref(), &names),
        _ => out!(
            "  what was signed, the specification and the rules: consilium study {number}{} --format json",
            asked.hint()
        ),
    }
    Ok(())
}

/// Prints what is signed by whoever enrols.
fn signed(info: &StudyInfo, spec: Option<&[u8]>, names: &Names) {
    out!("  what is signed, the rules:");
    rules(&info.state, names).iter().for_each(|line| out!("    {line}"));
    out!("  what is signed, the specification (docs/study-file.md has its words):");
    match spec.map(serde_json::from_slice) {
        Some(Ok(spec)) => put(lines("    ", &spec)),
        Some(Err(_)) => out!("    it is no JSON: no worker will take it"),
        None => out!("    the chain keeps it no longer; its BLAKE2b-256 is {}", hex::encode(info.spec_hash)),
    }
}

/// A closed round in a line.
fn in_a_line(record: &RoundRecord) -> String {
    let what = match (record.kind, record.round) {
        (Kind::Statistics, _) => format!("the statistics, of {}", counted(record.inputs.len() as u64, "site")),
        (Kind::Model, 0) => "the initial model, which each site has made alike".into(),
        (Kind::Model, round) => format!("round {round}, merged of {}", counted(record.inputs.len() as u64, "update")),
    };
    let dissent = match record.dissenters.len() {
        0 => String::new(),
        some => format!(", otherwise by {some}"),
    };
    format!(
        "{what}: computed alike by {}{dissent}; blocks {} to {}; hash {}…",
        counted(record.attesters.len() as u64, "site"),
        record.opened_at,
        record.closed_at,
        short(&record.root)
    )
}

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

/// Why an input was dropped, for people.
fn dropped(why: DropReason) -> &'static str {
    match why {
        DropReason::Withheld => "too few others could get it",
        DropReason::Invalid => "enough others found that it is no valid answer to its duty",
    }
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

fn members(study: &Study, mask: Mask, names: &Names) -> Vec<String> {
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
