//! Whether each budget on the chain holds exactly the sum of what all studies have charged to it.
//!
//! Studies, what each has charged to whose data set, and closed rounds stay in the chain's state for good. So the state of one block is
//! enough, any node has it, and all sums are of the same moment. What older states alone could tell, in which block a round was charged and
//! which limit held there, is what every node has checked when it took the block; it is not looked at again.

use crate::{
    audit::report::Verdict,
    chain::{Block, Chain, StudyInfo},
    options::{Asked, Format},
    show::{history, name, names, print_json, Names},
    study::private,
};
use anyhow::Result;
use clap::Args;
use consilium_primitives::{
    budget::Budget,
    round::{Kind, RoundRecord},
    Hash, InstitutionId, StudyId,
};
use consilium_privacy::{sum, words, Spend, LEDGER_ORDERS};
use consilium_study::StudySpec;
use pallet_swarm_learning::Counted;
use serde_json::{json, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

/// What `budget audit` takes.
#[derive(Args)]
pub struct Audit {
    #[command(flatten)]
    asked: Asked,
}

/// A data set: whose it is, and the hash that stands for it.
type Set = (InstitutionId, Hash);

/// What the chain says at one block.
#[derive(Default)]
struct Facts {
    budgets: BTreeMap<Set, Budget>,
    /// What each study has charged to whose data set.
    counts: BTreeMap<(StudyId, InstitutionId), Counted>,
    /// Private studies, and those that something was charged in, with their specifications and closed rounds; none of one that is not there.
    studies: BTreeMap<StudyId, Option<Kept>>,
}

/// What is kept of a study.
struct Kept {
    info: StudyInfo,
    spec: Option<Vec<u8>>,
    records: Vec<RoundRecord>,
}

/// A study's part of a sum.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    study: StudyId,
    /// Rounds that it has charged.
    rounds: u32,
    /// Updates of the data set's institution that stand in its closed rounds.
    updates: u32,
}

/// One data set's sum, held against what studies have charged.
#[derive(Debug)]
struct Held {
    set: Set,
    verdict: Verdict,
    budget: Option<Budget>,
    parts: Vec<Part>,
    notes: Vec<String>,
}

impl Held {
    fn lower(&mut self, verdict: Verdict, text: String) {
        self.verdict = self.verdict.max(verdict);
        self.notes.push(text);
    }
}

/// Audits all budgets, prints what came out, and says it in the exit code: 0 all sums are right, 2 something differs, 3 something that
/// should be there is not.
///
/// # Errors
/// The node does not answer.
pub async fn run(options: &Audit) -> Result<ExitCode> {
    let asked = &options.asked;
    let chain = asked.chain().await?;
    let at = chain.finalised().await?;
    if let Some(words) = chain.behind().await {
        eprintln!("note: {words}; what is audited is block {}, the newest that is final", at.number);
    }
    let names = names(&chain.institutions(at).await?);
    let (all, loose) = held(&read(&chain, at).await?, &names);
    let worst = all.iter().map(|held| held.verdict).chain(loose.iter().map(|(verdict, _)| *verdict)).max();
    let worst = worst.unwrap_or(Verdict::Verified);
    let code = worst.code();
    let (url, hash) = (asked.url()?, hex::encode(at.hash));
    if asked.connection.format == Format::Json {
        print_json(&json!({
            "rests_on": { "node": url, "block": hash, "number": at.number },
            "verdict": worst.words(),
            "exit_code": code,
            "datasets": all.iter().map(|held| told(held, &names, at.number)).collect::<Vec<_>>(),
            "notes": loose.iter().map(|(_, text)| text).collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::from(code));
    }
    out!("relative to what the node at {url} says of block {}, {hash}", at.number);
    for held in &all {
        lines(held, &names, at.number).iter().for_each(|line| out!("{line}"));
    }
    loose.iter().for_each(|(_, text)| out!("{text}"));
    out!("{}", end(worst, all.len()));
    Ok(ExitCode::from(code))
}

/// What came out, in a sentence.
fn end(worst: Verdict, many: usize) -> String {
    match (worst, many) {
        (Verdict::Differs, _) => "something is not what the studies have charged".into(),
        (Verdict::Missing, _) => "something that should be there is not".into(),
        (_, 0) => "no data set has a budget on this chain, and nothing was charged".into(),
        (_, 1) => "the one budget holds exactly what the studies have charged to it".into(),
        (_, many) => format!("all {many} budgets hold exactly what the studies have charged to them"),
    }
}

/// Everything that sums are of, in one block.
async fn read(chain: &Chain, at: Block) -> Result<Facts> {
    let (budgets, counts) = (chain.budgets(at).await?, chain.all_counts(at).await?);
    let mut numbers: BTreeSet<StudyId> = counts.keys().map(|(study, _)| *study).collect();
    numbers.extend(0..chain.study_count(at).await?);
    let mut studies = BTreeMap::new();
    for number in numbers {
        let charged = counts.keys().any(|(study, _)| *study == number);
        let kept = match chain.study(number, at).await? {
            Some(info) if info.state.rules.privacy.is_none() && !charged => continue,
            None if !charged => continue,
            None => None,
            Some(info) => Some(Kept {
                spec: chain.spec(number, at).await?,
                records: history(chain, number, &info.state, at).await?,
                info,
            }),
        };
        studies.insert(number, kept);
    }
    Ok(Facts { budgets, counts, studies })
}

/// All data sets, and what is wrong and belongs to none.
fn held(facts: &Facts, names: &Names) -> (Vec<Held>, Vec<(Verdict, String)>) {
    let mut sets: BTreeSet<Set> = facts.budgets.keys().copied().collect();
    sets.extend(facts.counts.iter().map(|((_, who), counted)| (*who, counted.dataset)));
    let all = sets.into_iter().map(|set| of_set(facts, set)).collect();
    let mut loose = Vec::new();
    for (number, kept) in &facts.studies {
        let Some(kept) = kept else { continue };
        loose.extend(of_study(*number, kept).map(|(verdict, text)| (verdict, format!("study {number}: {text}"))));
        if kept.info.state.rules.privacy.is_none() {
            continue;
        }
        for member in &kept.info.state.members {
            if !facts.counts.contains_key(&(*number, member.id)) {
                let who = name(names, &member.id);
                let text =
                    format!("study {number}: {who} is a member, and the chain names no data set that it counts for");
                loose.push((Verdict::Differs, text));
            }
        }
    }
    (all, loose)
}

/// What is wrong with what a study says that a round costs, or could not be looked at.
fn of_study(number: StudyId, kept: &Kept) -> Option<(Verdict, String)> {
    let rules = &kept.info.state.rules;
    let closed: BTreeSet<u32> = kept.records.iter().filter(|it| it.kind == Kind::Model).map(|it| it.round).collect();
    // all before the present one are closed
    let gone: Vec<u32> = (1..kept.info.state.round).filter(|round| !closed.contains(round)).collect();
    if let Some(first) = gone.first() {
        let many = gone.len();
        return Some((
            Verdict::Missing,
            format!(
                "the chain has no record of {many} of its closed rounds, the first of which is {first}: whether each update of these was \
                 charged cannot be told"
            ),
        ));
    }
    let Some(bytes) = &kept.spec else {
        let started = kept.info.state.round > 0;
        return started.then(|| {
            (
                Verdict::Missing,
                "the chain has no specification of it: whether what a round costs follows from it cannot be told"
                    .into(),
            )
        });
    };
    let follows = match StudySpec::from_canonical(bytes) {
        Ok(spec) => spec.privacy_follows(rules).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let error = follows.err()?;
    Some((
        Verdict::Differs,
        format!(
            "what its rules say that a round costs does not follow from its specification: {error} (consilium audit {number} says more)"
        ),
    ))
}

/// One data set.
fn of_set(facts: &Facts, set: Set) -> Held {
    let (who, dataset) = set;
    let budget = facts.budgets.get(&set).copied();
    let mut held = Held { set, verdict: Verdict::Verified, budget, parts: Vec::new(), notes: Vec::new() };
    let mut charged: Spend = [0; 16];
    let own = facts.counts.iter().filter(|((_, id), counted)| *id == who && counted.dataset == dataset);
    for ((study, _), counted) in own {
        let Some(Some(kept)) = facts.studies.get(study) else {
            held.lower(Verdict::Missing, format!("study {study} has charged it, and the chain has no such study"));
            continue;
        };
        let state = &kept.info.state;
        let Some(privacy) = &state.rules.privacy else {
            held.lower(Verdict::Differs, format!("study {study} is counted for it, and promises nothing"));
            continue;
        };
        let models = kept.records.iter().filter(|record| record.kind == Kind::Model);
        let given = models.filter(|record| record.inputs.iter().any(|input| input.institution == who)).count();
        let updates = u32::try_from(given).unwrap_or(u32::MAX);
        held.parts.push(Part { study: *study, rounds: counted.rounds, updates });
        if counted.rounds < updates {
            let text = format!("study {study}: {} rounds were charged, and {updates} have its update", counted.rounds);
            held.lower(Verdict::Differs, text);
        }
        if state.position(&who).is_none() {
            held.lower(Verdict::Differs, format!("study {study} is counted for it, and its institution is no member"));
        }
        if let Some(budget) = &budget {
            if (budget.unit(), budget.delta_exp()) != (privacy.unit, privacy.delta_exp) {
                held.lower(
                    Verdict::Differs,
                    format!("study {study} counts another unit, or at another δ, than the budget"),
                );
            }
        }
        charged = sum(&charged, &privacy.spend.map(|one| one.saturating_mul(counted.rounds.into())));
    }
    match &budget {
        None => held.lower(Verdict::Differs, "studies are counted for it, and it has no budget on the chain".into()),
        Some(budget) => {
            let apart =
                budget.spent().iter().zip(&charged).zip(LEDGER_ORDERS).find(|((holds, charged), _)| holds != charged);
            if let Some(((holds, charged), order)) = apart {
                let text = format!(
                    "its budget holds {holds} billionths at order {order}, and what studies have charged comes to {charged}"
                );
                held.lower(Verdict::Differs, text);
            }
        }
    }
    held
}

/// A data set for people: in a line what came out, and below it the studies, and what is wrong.
fn lines(held: &Held, names: &Names, block: u32) -> Vec<String> {
    let (who, dataset) = &held.set;
    let spent = held.budget.as_ref().map_or_else(String::new, |budget| {
        let limit = words::epsilon(budget.limit_micro(block).into());
        format!(
            "; {} of {} spent ({}, per {})",
            words::epsilon(budget.epsilon_micro()),
            limit.trim_start_matches("ε "),
            words::delta(budget.delta_exp()),
            private::per(budget.unit())
        )
    });
    let mut lines =
        vec![format!("{}, data set {}: {}{spent}", name(names, who), hex::encode(dataset), held.verdict.words())];
    let part = |part: &Part| {
        format!("  study {}: {} rounds charged, of which {} have its update", part.study, part.rounds, part.updates)
    };
    lines.extend(held.parts.iter().map(part));
    lines.extend(held.notes.iter().map(|note| format!("  {note}")));
    lines
}

/// A data set for programs.
fn told(held: &Held, names: &Names, block: u32) -> Value {
    let (who, dataset) = &held.set;
    let budget = held.budget.as_ref();
    json!({
        "institution": name(names, who),
        "id": who.to_string(),
        "dataset": hex::encode(dataset),
        "verdict": held.verdict.words(),
        "epsilon_micro": budget.map(Budget::epsilon_micro),
        "limit_micro": budget.map(|budget| budget.limit_micro(block)),
        "delta_exp": budget.map(Budget::delta_exp),
        "unit": budget.map(|budget| private::per(budget.unit())),
        "studies": held.parts.iter().map(|part| json!({
            "study": part.study,
            "rounds": part.rounds,
            "updates": part.updates,
        })).collect::<Vec<_>>(),
        "notes": held.notes,
    })
}

#[cfg(test)]
mod tests;
