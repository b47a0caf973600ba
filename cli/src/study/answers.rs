//! Whose part of a round will not come, and why: the chain tells it in an event, and keeps only that it waits for that site no
//! longer.

use crate::{
    chain::{send::Happened, Block, Chain, StudyInfo, SWARM},
    show::{failure_name, name, Names},
};
use anyhow::{Context, Result};
use consilium_primitives::{
    round::{bit, Collecting, Phase},
    FailureCode, InstitutionId, StudyId,
};
use pallet_swarm_learning::Progress;
use serde_json::{json, Value};

/// A site that has said that its part of a round will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who.
    pub who: InstitutionId,
    /// Why, as far as others learn it.
    pub code: FailureCode,
    /// Round; 0 for statistics.
    pub round: u32,
    /// The block that says so.
    pub block: u32,
}

impl Failure {
    /// For people.
    pub fn words(&self, names: &Names) -> String {
        format!("no part will come from {}: {} ({})", name(names, &self.who), why(self.code), failure_name(self.code))
    }

    /// For programs.
    pub fn json(&self, names: &Names) -> Value {
        json!({
            "site": name(names, &self.who), "code": failure_name(self.code), "why": why(self.code), "round": self.round,
            "block": self.block,
        })
    }
}

/// What a code says, and what that site's people do.
pub fn why(code: FailureCode) -> &'static str {
    match code {
        FailureCode::DataUnreadable => {
            "its data file could not be read: see `data` in its sites.toml, and the file's mode"
        }
        FailureCode::DataChanged => {
            "its data file is another one than the study began with: `ml-worker accept-data` accepts it as it is now"
        }
        FailureCode::SchemaMismatch => {
            "its data do not fit the study: `consilium doctor` and its worker's log name file, line and column"
        }
        FailureCode::TooFewSamples => "it has too few rows",
        FailureCode::OneClass => "its training rows are all of one class (`data.one_class` in the study file)",
        FailureCode::NotFinite => "training left the finite numbers: a smaller learning rate, or other data",
        FailureCode::OutOfMemory => "its machine had too little memory (`memory_mib` in its sites.toml)",
        FailureCode::OutOfDisk => "its disk is full",
        FailureCode::WorkerMissing => "its worker did not answer its node: `consilium doctor` there says why",
        FailureCode::Refused => {
            "it does not allow this agreement, or stands still in it: see its sites.toml, and `consilium doctor` there"
        }
        FailureCode::Internal => "a fault of its worker, whose log says more",
        FailureCode::StepTooLarge => {
            "its update moved further than the range of masked steps: a smaller learning rate, other data, or a new study with a larger \
             `masked_range`"
        }
    }
}

/// The same, for the people of the site itself, by a command that looks at its folder.
pub fn why_here(code: FailureCode) -> &'static str {
    match code {
        FailureCode::SchemaMismatch => "the data do not fit the study: the worker's log names file, line and column",
        FailureCode::WorkerMissing => "the worker did not answer the node: is it as it should be now?",
        FailureCode::Refused => {
            "the worker does not allow this agreement, or stands still in it: see sites.toml, and the worker's log"
        }
        FailureCode::Internal => "a fault of the worker, whose log says more",
        of_its_table_or_machine => why(of_its_table_or_machine),
    }
}

/// Failures of a study that a block tells of.
fn told(study: StudyId, block: u32, events: &[Happened]) -> Vec<Failure> {
    let about = events.iter().filter(|event| event.pallet == SWARM);
    let said = about.filter_map(|event| Progress::read(&event.name, &event.fields));
    said.filter_map(|(of, round, what)| match what {
        Progress::Failed { who, code } if of == study => Some(Failure { who, code, round, block }),
        _ => None,
    })
    .collect()
}

/// Whose part of the round that was collected last will not come. It reads some states and blocks, at most a dozen for each
/// such site.
///
/// # Errors
/// The node does not answer, or keeps the states of those blocks no longer.
pub async fn failures(chain: &Chain, study: StudyId, info: &StudyInfo, best: Block) -> Result<Vec<Failure>> {
    find(chain, study, info, best).await.context(
        "whose part will not come, and why, cannot be told here: that takes the states of older blocks (pruning = \
         \"archive-canonical\")",
    )
}

async fn find(chain: &Chain, study: StudyId, info: &StudyInfo, best: Block) -> Result<Vec<Failure>> {
    let opened = info.state.opened_at;
    if opened == 0 || opened > best.number {
        return Ok(Vec::new());
    }
    let opened = taken_up(chain, study, info, (opened, best.number)).await?;
    // from there on it is collected, and from some block on it is not
    if collecting(chain, study, opened).await?.is_none() {
        return Ok(Vec::new());
    }
    let (mut last, mut after) = (opened, best.number.saturating_add(1));
    while after - last > 1 {
        let middle = last + (after - last) / 2;
        if collecting(chain, study, middle).await?.is_some() {
            last = middle;
        } else {
            after = middle;
        }
    }
    let Some(there) = collecting(chain, study, last).await? else { return Ok(Vec::new()) };
    let mut blocks = std::collections::BTreeSet::new();
    for member in gone(&there, info.state.members.len()) {
        let (mut before, mut by) = (opened.saturating_sub(1), last);
        while by - before > 1 {
            let middle = before + (by - before) / 2;
            let waits = collecting(chain, study, middle).await?.is_some_and(|c| c.awaited & bit(member) != 0);
            if waits {
                before = middle;
            } else {
                by = middle;
            }
        }
        blocks.insert(by);
    }
    // the last answer of all ends the collecting in its own block
    if after <= best.number {
        blocks.insert(after);
    }
    let mut all = Vec::new();
    for number in blocks {
        let block = chain.block_at(number).await?;
        all.extend(told(study, number, &chain.events(block).await?));
    }
    Ok(all)
}

/// The first block of these in which it was taken up as often as now: before it lie pauses.
async fn taken_up(chain: &Chain, study: StudyId, info: &StudyInfo, (first, last): (u32, u32)) -> Result<u32> {
    if info.state.resumed == 0 {
        return Ok(first);
    }
    let (mut before, mut by) = (first.saturating_sub(1), last);
    while by - before > 1 {
        let middle = before + (by - before) / 2;
        let then = chain.study(study, chain.block_at(middle).await?).await?;
        if then.is_some_and(|then| then.state.resumed == info.state.resumed) {
            by = middle;
        } else {
            before = middle;
        }
    }
    Ok(by)
}

/// The study's collecting in the state of a block; none where it was at something else.
async fn collecting(chain: &Chain, study: StudyId, number: u32) -> Result<Option<Collecting>> {
    let at = chain.block_at(number).await?;
    Ok(chain.study(study, at).await?.and_then(|info| match info.state.phase {
        Phase::Collecting(collecting) => Some(collecting),
        _ => None,
    }))
}

/// Members that were asked, have committed nothing, and are not awaited.
fn gone(c: &Collecting, members: usize) -> Vec<u8> {
    let committed = |index: u8| c.commitments.iter().any(|one| one.member == index);
    let asked = (0u8..).take(members).filter(|index| c.roster & bit(*index) != 0 && c.awaited & bit(*index) == 0);
    asked.filter(|index| !committed(*index)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use codec::Encode;
    use consilium_primitives::{
        round::{Commitment, Kind, PauseReason, PerMember},
        Hash,
    };

    fn event(name: &str, fields: Vec<u8>) -> Happened {
        Happened { pallet: SWARM.into(), name: name.into(), fields, why: None }
    }

    #[test]
    fn failures_are_read_from_a_block_s_events_with_who_and_why() {
        let who = InstitutionId([7; 32]);
        let failed = Progress::Failed { who, code: FailureCode::SchemaMismatch };
        let paused = Progress::Paused { reason: PauseReason::TooFewUpdates };
        let now = |study: u32| event("Failed", (study, 3u32, who, FailureCode::SchemaMismatch).encode());
        let before_7 = |study: u32, what: &Progress| event("Progress", (study, 3u32, what).encode());
        let pause = event("Paused", (0u32, 3u32, PauseReason::TooFewUpdates).encode());
        let failure = [Failure { who, code: FailureCode::SchemaMismatch, round: 3, block: 40 }];
        assert_eq!(told(0, 40, &[now(0), pause, now(1)]), failure);
        let events = [before_7(0, &failed), before_7(0, &paused), before_7(1, &failed)];
        let told = told(0, 40, &events);
        assert_eq!(told, failure);
        let names = Names::from([(who, "Birch".to_owned())]);
        let words = told[0].words(&names);
        assert!(words.contains("from Birch: its data do not fit") && words.ends_with("(SchemaMismatch)"), "{words}");
        let document = told[0].json(&names);
        consilium_e2e::schema::documented("consilium study N").unwrap().part("failed[]").check(&document).unwrap();
        assert_eq!((&document["site"], &document["round"]), (&json!("Birch"), &json!(3)));
    }

    #[test]
    fn who_was_asked_and_is_neither_awaited_nor_has_committed_has_failed() {
        let mut commitments = PerMember::new();
        let commitment = Commitment { member: 1, duty: Hash::zero(), root: Hash::zero(), at: 9 };
        commitments.try_push(commitment).unwrap();
        // 0 is awaited, 1 has committed, 2 has failed, 3 was not asked
        let c = Collecting {
            kind: Kind::Model,
            roster: 0b0111,
            awaited: 0b0001,
            commitments,
            start: 1,
            freeze_at: None,
            limit: 99,
            extended: false,
        };
        assert_eq!(gone(&c, 4), [2]);
    }
}
