//! `consilium studies`, `consilium study N`.

use super::{
    answers::{failures, Failure},
    closed::in_a_line,
    gone::gone,
    losses::{mean, without},
    masked,
    sentences::{not_enrolled, rules},
    silence, spending,
    standstill::{absent, before_end, standstill, trouble},
    waiting::{waiting, Times, Waiting},
};
use crate::{
    chain::{Block, Chain, StudyInfo},
    dashboard::state::PrivacySpent,
    options::{Asked, Format},
    out::put,
    plain::{counted, lines},
    report::question::documents,
    show::{
        comes_back, dropped_name, existing, history, losses, marked, members, metric, name, names, phase, print_json,
        record_json, short, study_json, title, why_dropped, Names,
    },
};
use anyhow::Result;
use consilium_primitives::{
    round::{DropReason, Phase, RoundRecord, Study},
    InstitutionId, StudyId,
};
use consilium_study::StudySpec;
use serde_json::{json, Value};

/// How many of the last rounds' losses are shown to people.
const LAST: usize = 5;

/// Prints all studies.
pub async fn studies(asked: &Asked) -> Result<()> {
    let (chain, connection) = (asked.chain().await?, &asked.connection);
    let at = chain.best().await?;
    let names = names(&chain.institutions(at).await?);
    let mut rows = Vec::new();
    for number in 0..chain.study_count(at).await? {
        if let Some(info) = chain.study(number, at).await? {
            let title = title(chain.spec(number, at).await?.as_deref());
            rows.push((number, info, title));
        }
    }
    if connection.format == Format::Json {
        let told = |(number, info, title): &(StudyId, StudyInfo, Option<String>)| {
            let mut document = study_json(*number, info, &names);
            document["title"] = json!(title);
            document
        };
        let list: Vec<Value> = rows.iter().map(told).collect();
        return print_json(&json!(list));
    }
    if let Some(words) = chain.stands().await {
        out!("{words}");
    }
    if rows.is_empty() {
        out!("No study has been registered on this chain (block {}).", at.number);
    }
    for (number, info, title) in rows {
        out!(
            "study {number}, {}: {} · round {} of {} · {} · proposed by {} · agreement {}",
            titled(title.as_deref()),
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

/// A title as it is shown.
fn titled(title: Option<&str>) -> String {
    title.map_or_else(|| "(the chain keeps its specification no longer)".into(), |title| format!("“{title}”"))
}

/// A study as the node that is asked knows it.
struct Seen<'a> {
    asked: &'a Asked,
    number: StudyId,
    at: Block,
    names: Names,
    info: StudyInfo,
    spec: Option<Vec<u8>>,
    /// Closed rounds.
    records: Vec<RoundRecord>,
    /// Whose part will not come; an error where this node cannot tell.
    failed: Result<Vec<Failure>>,
    waits: Option<(Waiting, Times)>,
    /// Since when each site is away that it waits for, and why as far as the chain tells.
    gone: Vec<(InstitutionId, String)>,
    /// What it was before it ended without a model.
    before: Option<Study>,
    /// Who may enrol and has not, in a line.
    enrolment: Option<String>,
    /// What it promises and has spent, where it is private.
    privacy: Option<PrivacySpent>,
}

/// Prints one study with its rounds.
pub async fn study(number: StudyId, asked: &Asked) -> Result<()> {
    let (chain, connection) = (asked.chain().await?, &asked.connection);
    let at = chain.best().await?;
    let institutions = chain.institutions(at).await?;
    let names = names(&institutions);
    let info = existing(&chain, number, at, &asked.hint()).await?;
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
    let records = history(&chain, number, &info.state, at).await?;
    let gone = match &waits {
        Some((waits, _)) => gone(&chain, at, waits, &records).await,
        None => Vec::new(),
    };
    let spec = chain.spec(number, at).await?;
    let ran = spending::ran(&records);
    let seen = Seen {
        asked,
        number,
        at,
        records,
        gone,
        privacy: spending::account(&chain, (number, &info.state), spec.as_deref(), ran, &names, at).await?,
        spec,
        before: before_end(&chain, number, &info).await?,
        enrolment: not_enrolled(&info.state, &institutions),
        names,
        info,
        failed,
        waits,
    };
    match connection.format {
        Format::Json => print_json(&seen.json(&chain).await?),
        Format::Text => seen.print(&chain).await,
    }
}

impl Seen<'_> {
    /// For programs.
    async fn json(&self, chain: &Chain) -> Result<Value> {
        let Self { number, at, names, info, .. } = self;
        let spec = self.spec.as_deref();
        let mut document = study_json(*number, info, names);
        document["title"] = json!(title(spec));
        document["metric"] = json!(metric(spec));
        document["spec"] = spec.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or(Value::Null);
        let mut rounds = Vec::new();
        for record in &self.records {
            let losses = losses(chain, *number, record, *at).await?;
            let mut round = record_json(record, &losses, names);
            round["mean_loss"] = mean(&info.state, record, &losses).map_or(Value::Null, |mean| mean.json(names));
            round["without"] = json!(self.named(&without(&info.state, record)));
            round["masked"] = masked::json(&info.state, &self.records, record, names);
            rounds.push(round);
        }
        document["rounds"] = json!(rounds);
        // null: nothing is promised
        document["privacy"] = json!(self.privacy);
        let last = chain.finalised().await?;
        document["chain"] = json!({ "best": at.number, "final": last.number, "stands": chain.stands().await });
        // null: this node cannot tell
        document["waiting"] = self.waits.as_ref().map_or(Value::Null, |(waits, times)| waits.json(times, names));
        document["missing"] =
            self.gone.iter().map(|(who, words)| json!({ "site": name(names, who), "words": words })).collect();
        document["failed"] = match &self.failed {
            Ok(failed) => failed.iter().map(|f| f.json(names)).collect(),
            Err(_) => Value::Null,
        };
        // null: it goes on, or has its model
        document["standstill"] = match standstill(&info.state, self.before.as_ref(), *number, names) {
            Some(stands) => stands.json(&self.asked.pasted(stands.next()), names),
            None => Value::Null,
        };
        Ok(document)
    }

    /// For people.
    async fn print(&self, chain: &Chain) -> Result<()> {
        let Self { asked, number, at, names, info, .. } = self;
        if let Some(words) = chain.stands().await {
            out!("{words}");
        }
        let spec = self.spec.as_deref();
        out!("study {number}, {} (block {})", phase(&info.state), at.number);
        out!("  {}", titled(title(spec).as_deref()));
        out!("  agreement {}, registered in block {}", hex::encode(info.agreement), info.registered_at);
        let named = spec.and_then(|bytes| StudySpec::from_canonical(bytes).ok());
        for (what, hash) in named.iter().flat_map(documents) {
            out!("  {what}: SHA-256 {hash}");
        }
        out!("  proposed by {}", name(names, &info.state.proposer));
        member_lines(&info.state, names).iter().for_each(|line| out!("  {line}"));
        self.enrolment.iter().for_each(|line| out!("  {line}"));
        self.privacy.iter().flat_map(PrivacySpent::lines).for_each(|line| out!("  {line}"));
        for record in &self.records {
            self.round(record).iter().for_each(|line| out!("  {line}"));
        }
        self.last_losses(chain).await?.iter().for_each(|line| out!("  {line}"));
        if let Some((waits, times)) = &self.waits {
            // who has enrolled and who has not stands above
            let lines = if matches!(info.state.phase, Phase::Enrolling { .. }) { 3 } else { usize::MAX };
            waits.lines(times, names).iter().take(lines).for_each(|line| out!("  {line}"));
        }
        self.gone.iter().for_each(|(who, words)| out!("  {}: {words}", name(names, who)));
        let (none, cannot) = match &self.failed {
            Ok(failed) => (failed.as_slice(), None),
            Err(error) => (&[][..], Some(error)),
        };
        if let Some(error) = cannot {
            out!("  {error:#}");
        }
        match absent(&info.state, names).as_slice() {
            [] => {}
            some => out!("  had not enrolled when it ended: {}", some.join(", ")),
        }
        let trouble = trouble(&info.state, self.before.as_ref(), none, names, *number);
        trouble.iter().for_each(|line| out!("  {}", asked.pasted(line)));
        if let Phase::Completed(certificate) = &info.state.phase {
            out!("  certificate: round {}, root {}", certificate.round, hex::encode(certificate.root));
            if let Some(root) = info.state.statistics {
                out!("  its statistics, which rows are scaled by: {}", hex::encode(root));
            }
            out!("  held by {}", members(&info.state, certificate.held, names).join(", "));
            let fetch = format!("at a member that holds it: consilium study fetch {number} --dir FOLDER --out model");
            out!("  {}", asked.pasted(&fetch));
        }
        match &info.state.phase {
            Phase::Enrolling { .. } => signed(info, spec, names),
            _ => out!(
                "  what was signed, the specification and the rules: consilium study {number}{} --format json",
                asked.hint()
            ),
        }
        Ok(())
    }

    fn named(&self, who: &[InstitutionId]) -> Vec<String> {
        who.iter().map(|who| name(&self.names, who)).collect()
    }

    /// A closed round, and what people must know of it.
    fn round(&self, record: &RoundRecord) -> Vec<String> {
        let names = &self.names;
        let mut lines = vec![in_a_line(record, &self.named(&without(&self.info.state, record)))];
        for (what, marks) in [("left out by the rule", record.marks.left_out), ("shortened", record.marks.shortened)] {
            if marks != 0 {
                lines.push(format!("  {what}: {}", marked(record, marks, names).join(", ")));
            }
        }
        for (who, why) in &record.dropped {
            lines.push(format!("  dropped: {} ({})", name(names, who), with_code(*why)));
        }
        lines.extend(masked::lines(&self.info.state, &self.records, record, names));
        for (who, root) in &record.dissenters {
            lines.push(format!("  dissented: {}, with {}", name(names, who), short(root)));
        }
        if !record.silent.is_empty() {
            lines.push(format!("  enough had agreed without the vote of {}", self.named(&record.silent).join(", ")));
        }
        lines
    }

    /// The losses of the last rounds for which any was reported.
    async fn last_losses(&self, chain: &Chain) -> Result<Vec<String>> {
        let mut told = Vec::new();
        for record in self.records.iter().rev().take(LAST + 1) {
            let losses = losses(chain, self.number, record, self.at).await?;
            if let Some(mean) = mean(&self.info.state, record, &losses) {
                told.push(format!("  round {}: {}", record.round, mean.words(&self.names)));
            }
            told.extend(masked::pooled(record));
        }
        told.truncate(LAST);
        if !told.is_empty() {
            let metric = metric(self.spec.as_deref()).replace('_', "-");
            told.push(format!(
                "{metric} of each round's model on the sites' own validation rows, mean by training rows (lower is better):"
            ));
        }
        told.reverse();
        Ok(told)
    }
}

/// Members, one a line.
fn member_lines(study: &Study, names: &Names) -> Vec<String> {
    let line = |(index, member): (u8, &consilium_primitives::round::Member)| {
        let state = match (member.active, comes_back(study, index)) {
            (false, _) => ", has withdrawn".into(),
            (true, None) => silence::after_name(study, index),
            (true, Some(back)) if back > study.rules.max_rounds => {
                ", is left out for the rest of the study: it was late, or its updates were dropped, twice".into()
            }
            (true, Some(back)) => {
                format!(", is left out for some rounds (it was late, or its updates were dropped, twice); comes back in round {back}")
            }
        };
        format!("member {}: {}{state}", name(names, &member.id), counted(member.samples.into(), "training row"))
    };
    (0u8..).zip(study.members.iter()).map(line).collect()
}

/// Why an update was dropped, with the chain's word for it.
fn with_code(why: DropReason) -> String {
    format!("{}: {}", dropped_name(why), why_dropped(why))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::testing::World;
    use consilium_primitives::round::{Collecting, Kind};

    #[test]
    fn a_member_that_is_left_out_is_told_with_the_round_it_comes_back_in() {
        let world = World::new();
        let mut study = world.history.info.state.clone();
        study.rules.max_rounds = 10;
        (study.round, study.members[1].benched_until) = (2, Some(6));
        study.phase = Phase::Collecting(Collecting {
            kind: Kind::Model,
            roster: 0b101,
            awaited: 0b101,
            commitments: Default::default(),
            start: 1,
            freeze_at: None,
            limit: 99,
            extended: false,
        });
        study.members[2].active = false;
        let lines = member_lines(&study, &world.history.names);
        assert_eq!(lines[0], "member site 1: 100 training rows");
        assert!(
            lines[1].contains("site 2: 60 training rows, is left out") && lines[1].ends_with("in round 7"),
            "{lines:?}"
        );
        assert!(lines[2].ends_with("has withdrawn"), "{lines:?}");
        study.rules.max_rounds = 6;
        assert!(member_lines(&study, &world.history.names)[1].contains("rest of the study"));
    }

    #[test]
    fn a_title_that_is_gone_is_not_made_up() {
        assert_eq!(titled(Some("Sepsis")), "“Sepsis”");
        assert!(titled(None).contains("no longer"));
    }
}
