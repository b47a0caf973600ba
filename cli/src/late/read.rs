//! The blocks of a study in which something happened to it: the votes in them, and what the chain told.

use crate::chain::{send::Happened, Block, Chain, SWARM};
use anyhow::Result;
use codec::Decode;
use consilium_primitives::{round::Kind, DutyKind, Hash, InstitutionId, StudyId, Vote};
use pallet_swarm_learning::Progress;

/// A place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Number of the block.
    pub block: u32,
    /// Its slot, in milliseconds since 1970.
    pub millis: u64,
}

/// What the chain told of a study in one block.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Something went on.
    Progress(Progress),
    /// A round has closed.
    Closed {
        /// Statistics or models; the initial model is that of round 0.
        kind: Kind,
        /// Round.
        round: u32,
    },
    /// A member has left.
    Left,
}

/// A block in which something happened to a study.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which.
    pub at: At,
    /// Votes in it, in their order.
    pub votes: Vec<Vote>,
    /// What it told, in that order.
    pub told: Vec<Told>,
}

/// Blocks of these, the first and the last one included, in which something happened to a study. The chain counts a study's steps, so
/// that those without any need not be read.
///
/// # Errors
/// The node does not answer, or keeps the states of those blocks no longer.
pub async fn blocks(chain: &Chain, study: StudyId, (first, last): (u32, u32), slot: u32) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    for number in stepped(chain, study, (first, last)).await? {
        let block = chain.block_at(number).await?;
        let millis = chain.slot(block).await?.unwrap_or_default().saturating_mul(slot.into());
        let votes = chain.votes(block).await?.into_iter().filter(|vote| vote.study == study).collect();
        let told = chain.events(block).await?.iter().filter_map(|event| about(study, event)).collect();
        seen.push(Seen { at: At { block: number, millis }, votes, told });
    }
    Ok(seen)
}

/// Halves a stretch of blocks as long as the study made a step in it.
async fn stepped(chain: &Chain, study: StudyId, (first, last): (u32, u32)) -> Result<Vec<u32>> {
    let before = first.saturating_sub(1);
    let mut stretches = vec![(before, steps(chain, study, before).await?, last, steps(chain, study, last).await?)];
    let mut found = Vec::new();
    while let Some((from, then, to, now)) = stretches.pop() {
        if then == now {
            continue;
        }
        if to - from <= 1 {
            found.push(to);
            continue;
        }
        let middle = from + (to - from) / 2;
        let between = steps(chain, study, middle).await?;
        stretches.extend([(from, then, middle, between), (middle, between, to, now)]);
    }
    found.sort_unstable();
    Ok(found)
}

async fn steps(chain: &Chain, study: StudyId, number: u32) -> Result<u64> {
    let Block { hash, .. } = chain.block_at(number).await?;
    chain.steps(study, Block { hash, number }).await
}

/// What an event says of a study.
fn about(study: StudyId, event: &Happened) -> Option<Told> {
    if event.pallet != SWARM {
        return None;
    }
    let fields = &mut &event.fields[..];
    let (of, told) = match event.name.as_str() {
        "RoundClosed" => {
            let (of, kind, round, ..) = <(StudyId, Kind, u32, Hash, u32, u32)>::decode(fields).ok()?;
            (of, Told::Closed { kind, round })
        }
        "Withdrawn" => (StudyId::decode(fields).ok()?, Told::Left),
        name => {
            let (of, _, what) = Progress::read(name, fields)?;
            (of, Told::Progress(what))
        }
    };
    (of == study).then_some(told)
}

/// Whether a site has voted in a block on what it was asked to make of its rows. A vote may hold more than one answer: what
/// comes with one on another duty was made ahead.
pub fn own_vote(votes: &[Vote], who: &InstitutionId) -> bool {
    let own = |kind| matches!(kind, DutyKind::Train | DutyKind::Statistics | DutyKind::Mask);
    votes.iter().any(|vote| vote.institution == *who && own(vote.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Encode;

    #[test]
    fn events_are_read_as_the_pallet_writes_them_and_those_of_other_studies_are_not() {
        let event =
            |name: &str, fields: Vec<u8>| Happened { pallet: SWARM.into(), name: name.into(), fields, why: None };
        let committed = Progress::Committed { who: InstitutionId([1; 32]), root: Hash::zero() };
        let (who, root) = (InstitutionId([1; 32]), Hash::zero());
        let now = event("Committed", (4u32, 2u32, who, root).encode());
        let before_7 = event("Progress", (4u32, 2u32, &committed).encode());
        for progress in [now, before_7] {
            assert_eq!(about(4, &progress), Some(Told::Progress(committed.clone())));
            assert_eq!(about(5, &progress), None);
        }
        let closed = event("RoundClosed", (4u32, Kind::Model, 7u32, Hash::zero(), 3u32, 1u32).encode());
        assert_eq!(about(4, &closed), Some(Told::Closed { kind: Kind::Model, round: 7 }));
        let left = event("Withdrawn", (4u32, InstitutionId([1; 32])).encode());
        assert_eq!(about(4, &left), Some(Told::Left));
        assert_eq!(about(4, &event("Registered", 4u32.encode())), None);
        assert_eq!(about(4, &event("Committed", vec![4, 0])), None, "cut off");
    }
}
