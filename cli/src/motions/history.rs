//! Motions that are decided: the chain keeps none of them, but their blocks can be found, and say what happened.

use crate::chain::{
    consortium::{Open, CONSORTIUM},
    send::Happened,
    Block, Chain,
};
use anyhow::{Context, Result};
use codec::{Decode, Encode};
use sp_core::crypto::AccountId32;

/// How a motion ended.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The block in which it did.
    pub block: Block,
    /// What was voted on, with all votes; none where it was decided in the block in which it was proposed.
    pub open: Option<Open>,
    /// How.
    pub outcome: Outcome,
    /// What it brought about, by the chain's own events.
    pub brought: Vec<Happened>,
}

/// How a motion ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Decided, and done.
    Passed,
    /// Decided, and could not be done any more.
    Failed(String),
    /// Enough were against it.
    Rejected,
    /// Not decided in time.
    Expired,
}

impl Outcome {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Passed => "passed, and done".into(),
            Self::Failed(why) => format!("passed, but could not be done any more: {why}"),
            Self::Rejected => "rejected".into(),
            Self::Expired => "not decided in time".into(),
        }
    }

    /// What became of a motion by these events; none while it is open.
    pub fn of(number: u32, events: &[Happened]) -> Option<Self> {
        let about =
            events.iter().filter(|event| event.pallet == CONSORTIUM && event.fields.starts_with(&number.encode()));
        let mut outcomes = about.filter_map(|event| match event.name.as_str() {
            "Passed" => Some(Self::Passed),
            "Failed" => Some(Self::Failed(event.why.clone().unwrap_or_default())),
            "Rejected" => Some(Self::Rejected),
            "Expired" => Some(Self::Expired),
            _ => None,
        });
        outcomes.next()
    }
}

/// What a motion brought about, among the events of the block in which it passed: they stand between the vote that decided it (or
/// the proposal, where one voice is enough) and the word that it passed. Nothing where it did not pass.
pub fn brought(number: u32, events: &[Happened]) -> Vec<Happened> {
    let ours = |event: &Happened, names: &[&str]| {
        event.pallet == CONSORTIUM && names.contains(&event.name.as_str()) && event.fields.starts_with(&number.encode())
    };
    let Some(passed) = events.iter().position(|event| ours(event, &["Passed"])) else { return Vec::new() };
    let before = &events[..passed];
    let from = before.iter().rposition(|event| ours(event, &["Voted", "Proposed"])).map_or(passed, |at| at + 1);
    before[from..].to_vec()
}

/// Finds how a motion ended that is open no more at `best`.
///
/// # Errors
/// The node keeps the states of those blocks no longer, or does not answer.
pub async fn decided(chain: &Chain, number: u32, best: Block) -> Result<Decided> {
    find(chain, number, best).await.with_context(|| {
        format!("motion {number} is decided, but this node cannot say how: it needs the states of old blocks (pruning = \"archive-canonical\")")
    })
}

async fn find(chain: &Chain, number: u32, best: Block) -> Result<Decided> {
    // the first block by which it was proposed, then the first by which it was gone; both are true from some block on
    let (mut before, mut proposed) = (0, best.number);
    while proposed - before > 1 {
        let middle = before + (proposed - before) / 2;
        match chain.next_motion(chain.block_at(middle).await?).await? > number {
            true => proposed = middle,
            false => before = middle,
        }
    }
    let gone_at_once = chain.motion(number, chain.block_at(proposed).await?).await?.is_none();
    let (mut there, mut gone) = (proposed, if gone_at_once { proposed } else { best.number });
    while gone - there > 1 {
        let middle = there + (gone - there) / 2;
        match chain.motion(number, chain.block_at(middle).await?).await? {
            None => gone = middle,
            Some(_) => there = middle,
        }
    }
    let block = chain.block_at(gone).await?;
    let events = chain.events(block).await?;
    let open = match gone_at_once {
        true => None,
        false => {
            chain.motion(number, chain.block_at(there).await?).await?.map(|open| last_votes(open, number, &events))
        }
    };
    let outcome = Outcome::of(number, &events).context("its block says nothing of it")?;
    Ok(Decided { block, open, outcome, brought: brought(number, &events) })
}

/// A motion with the votes of the block that decided it.
fn last_votes(mut open: Open, number: u32, events: &[Happened]) -> Open {
    for event in events.iter().filter(|event| event.pallet == CONSORTIUM && event.name == "Voted") {
        let Ok((motion, who, aye)) = <(u32, AccountId32, bool)>::decode(&mut &event.fields[..]) else { continue };
        if motion != number {
            continue;
        }
        open.ayes.retain(|other| *other != who);
        open.nays.retain(|other| *other != who);
        let side = if aye { &mut open.ayes } else { &mut open.nays };
        // a side holds every voice that there can be
        let _ = side.try_push(who);
    }
    open
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tally::tests::open;
    use super::*;
    use crate::chain::consortium::Motion;

    fn event(name: &str, fields: Vec<u8>) -> Happened {
        Happened { pallet: CONSORTIUM.into(), name: name.into(), fields, why: Some("late".into()) }
    }

    #[test]
    fn what_became_of_a_motion_is_read_from_the_events_about_it() {
        let events = [event("Rejected", 4u32.encode()), event("Voted", 3u32.encode()), event("Failed", 3u32.encode())];
        assert_eq!(Outcome::of(3, &events), Some(Outcome::Failed("late".into())));
        assert_eq!(Outcome::of(4, &events), Some(Outcome::Rejected));
        assert_eq!(Outcome::of(5, &events), None);
        let elsewhere = Happened { pallet: "Other".into(), ..event("Passed", 5u32.encode()) };
        assert_eq!(Outcome::of(5, &[elsewhere]), None);
    }

    #[test]
    fn what_a_motion_brought_about_stands_between_its_deciding_vote_and_its_passing() {
        let voted = |motion: u32| event("Voted", (motion, AccountId32::from([2; 32]), true).encode());
        let did = |n: u8| event("Admitted", AccountId32::from([n; 32]).encode());
        let passed = |motion: u32| event("Passed", motion.encode());
        // two motions in one block, the first of which had one vote before
        let events = [voted(3), voted(3), did(8), passed(3), voted(4), did(9), passed(4), voted(5)];
        let names = |number| brought(number, &events).iter().map(|event| event.fields[0]).collect::<Vec<_>>();
        assert_eq!((names(3), names(4), names(5)), (vec![8], vec![9], vec![]));
        let at_once = [event("Proposed", 6u32.encode()), did(7), passed(6)];
        assert_eq!(brought(6, &at_once), [did(7)]);
    }

    #[test]
    fn the_votes_of_the_deciding_block_belong_to_what_is_shown() {
        let account = |n: u8| AccountId32::from([n; 32]);
        let vote = |motion: u32, n: u8, aye: bool| event("Voted", (motion, account(n), aye).encode());
        let shown = last_votes(
            open(Motion::CancelUpgrade, &[1], &[2]),
            7,
            &[vote(7, 2, true), vote(8, 3, true), vote(7, 4, false)],
        );
        assert_eq!(shown.ayes.to_vec(), [account(1), account(2)]);
        assert_eq!(shown.nays.to_vec(), [account(4)]);
    }
}
