//! `consilium studies`, `consilium study N`.

use super::{
    answers::{failures, standstill},
    sentences::{missing, rules},
    waiting::{waiting, Times},
};
use crate::{
    chain::StudyInfo,
    options::{Asked, Format},
    out::put,
    plain::{counted, lines},
    show::{
        existing, history, losses, marked, members, name, names, phase, print_json, record_json, short, study_json,
        Names,
    },
};
use anyhow::Result;
use consilium_primitives::{
    round::{DropReason, Kind, Phase, RoundRecord},
    StudyId,
};
use serde_json::{json, Value};

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

/// Why an input was dropped, for people.
fn dropped(why: DropReason) -> &'static str {
    match why {
        DropReason::Withheld => "too few others could get it",
        DropReason::Invalid => "enough others found that it is no valid answer to its duty",
    }
}
