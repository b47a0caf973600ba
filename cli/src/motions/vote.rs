//! `consilium vote` and `consilium close`, and what is said after each call about a motion.

use super::{
    history::{decided, Decided, Outcome},
    tally::Tally,
    Acting,
};
use crate::{
    chain::{
        consortium::{Consortium, Motion, CONSORTIUM},
        send::{Happened, Included},
        Block, Chain,
    },
    show::{print_json, running},
};
use anyhow::{bail, Result};
use clap::{Args, ValueEnum};
use codec::{Decode, Encode};
use serde_json::json;
use sp_core::crypto::{AccountId32, Ss58Codec};
use std::time::{Duration, Instant};

/// How long a motion is looked for whose block was replaced by another.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the newest block is looked at meanwhile.
const AGAIN: Duration = Duration::from_millis(500);

/// What `vote` takes.
#[derive(Args)]
pub struct Vote {
    /// Number of the motion
    number: u32,
    /// For it or against it
    #[arg(value_enum)]
    voice: Voice,
    #[command(flatten)]
    acting: Acting,
}

/// For a motion, or against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Voice {
    /// For it
    Aye,
    /// Against it
    Nay,
}

/// What `close` takes.
#[derive(Args)]
pub struct Close {
    /// Number of the motion
    number: u32,
    #[command(flatten)]
    acting: Acting,
}

/// Votes, also in place of what was said before.
///
/// # Errors
/// There is no such motion, or what the chain refused.
pub async fn vote(options: &Vote) -> Result<()> {
    let (acting, number) = (&options.acting, options.number);
    let (signer, chain) = (acting.signer()?, acting.chain().await?);
    let here = chain.consortium(chain.best().await?).await?;
    let Some(open) = here.motions.get(&number) else { bail!("{}", not_open(&here, number, acting)) };
    explain(acting, &here, &open.motion, &running(&chain, here.at).await?);
    let aye = options.voice == Voice::Aye;
    let done = chain.send(&signer, CONSORTIUM, "vote", (number, aye).encode()).await?;
    tell(acting, &chain, number, if aye { "voted aye" } else { "voted nay" }, &done).await
}

/// Takes a motion away whose time is over.
///
/// # Errors
/// It can still be voted on, there is none, or what the chain refused.
pub async fn close(options: &Close) -> Result<()> {
    let (acting, number) = (&options.acting, options.number);
    let (signer, chain) = (acting.signer()?, acting.chain().await?);
    let here = chain.consortium(chain.best().await?).await?;
    match here.motions.get(&number) {
        None => bail!("{}", not_open(&here, number, acting)),
        Some(open) if open.until >= here.at.number => bail!(
            "motion {number} can still be voted on, until block {}, for {} more",
            open.until,
            here.blocks(open.until - here.at.number)
        ),
        Some(_) => {}
    }
    let done = chain.send(&signer, CONSORTIUM, "close", number.encode()).await?;
    tell(acting, &chain, number, "closed", &done).await
}

fn not_open(here: &Consortium, number: u32, acting: &Acting) -> String {
    let hint = acting.asks();
    if number < here.next_motion {
        format!("motion {number} is decided already: `consilium motions {number}{hint}` says how")
    } else {
        format!("there has been no motion {number} yet: `consilium motions{hint}` lists those that are open")
    }
}

/// Says what a motion is about before it is signed.
pub fn explain(acting: &Acting, here: &Consortium, motion: &Motion, studies: &[String]) {
    if acting.json() {
        return;
    }
    out!("{}", here.headline(motion));
    here.details(motion, studies).iter().for_each(|line| out!("  {line}"));
}

/// Says in which block a call about a motion is, and what the motion has come to.
///
/// # Errors
/// The node does not answer.
pub async fn tell(acting: &Acting, chain: &Chain, number: u32, what: &str, done: &Included) -> Result<()> {
    let (mut here, ended) = match Outcome::of(number, &done.events) {
        Some(outcome) => {
            let brought = if outcome == Outcome::Passed { done.events.clone() } else { Vec::new() };
            (chain.consortium(done.block).await?, Some(Ended { block: done.block, outcome, brought }))
        }
        None => looked_for(chain, number, done.block).await?,
    };
    if let Some(ended) = &ended {
        chain.recall(&mut here, removed(&ended.brought), ended.block.number.saturating_sub(1)).await;
    }
    let tally = here.motions.get(&number).map(|open| here.tally(open));
    if acting.json() {
        return print_json(&json!({
            "motion": number,
            "done": what,
            "block": done.block.number,
            "outcome": ended.as_ref().map(|ended| ended.outcome.words()),
            "ayes": tally.as_ref().map(|tally| tally.ayes.len()),
            "needed": tally.as_ref().map(|tally| tally.needed),
            "missing": tally.as_ref().map(Tally::missing),
        }));
    }
    out!("motion {number}: {what} (block {})", done.block.number);
    match (ended, tally) {
        (Some(Ended { outcome: Outcome::Expired, .. }), _) => {
            out!("  its time is over: not decided in time, and nothing of it is done")
        }
        (Some(ended), _) => ending(&here, &ended).iter().for_each(|line| out!("  {line}")),
        (None, Some(tally)) => {
            out!(
                "  ayes {} of {} that are needed, {} more decide it; nays {}",
                tally.ayes.len(),
                tally.needed,
                tally.missing(),
                tally.nays.len()
            );
            let hint = acting.connection.hint();
            out!("  the others: consilium vote {number} aye|nay --dir FOLDER{hint}");
        }
        (None, None) => out!("  {}", unseen(number, &here, &acting.asks())),
    }
    Ok(())
}

/// How a motion ended that a call was about.
struct Ended {
    /// The block in which it did.
    block: Block,
    outcome: Outcome,
    /// What it brought about.
    brought: Vec<Happened>,
}

impl From<Decided> for Ended {
    fn from(found: Decided) -> Self {
        Self { block: found.block, outcome: found.outcome, brought: found.brought }
    }
}

/// How a motion ended and what it brought about, whether the call itself said so or the chain was looked at again.
fn ending(here: &Consortium, ended: &Ended) -> Vec<String> {
    let mut lines = vec![format!("it is decided: {}", ended.outcome.words())];
    if ended.outcome == Outcome::Passed {
        lines.extend(happened(here, &ended.brought));
    }
    lines
}

/// Those who are no institution any more by these events: only blocks before know their names.
fn removed(events: &[Happened]) -> Vec<AccountId32> {
    let removed = events.iter().filter(|event| event.pallet == CONSORTIUM && event.name == "Removed");
    removed.filter_map(|event| AccountId32::decode(&mut &event.fields[..]).ok()).collect()
}

/// How a motion stands in a block's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// It is voted on.
    Open,
    /// It was there, and is not any more.
    Gone,
    /// It was not proposed yet: the block that had it was replaced by another, or is not built upon yet.
    NotYet,
}

/// How a motion stands.
fn stands(here: &Consortium, number: u32) -> Stands {
    match here.motions.contains_key(&number) {
        true => Stands::Open,
        false if number < here.next_motion => Stands::Gone,
        false => Stands::NotYet,
    }
}

/// The consortium with a motion that a call was about, and how the motion ended where it did meanwhile. The call's block may have
/// been replaced by another of its height, and the call comes into a later one: a state without the motion is no answer.
async fn looked_for(chain: &Chain, number: u32, block: Block) -> Result<(Consortium, Option<Ended>)> {
    let until = Instant::now() + PATIENCE;
    let mut at = block;
    loop {
        // the state of a block that was replaced may be gone
        let read = chain.consortium(at).await;
        let ended = match read.as_ref().map_or(Stands::NotYet, |here| stands(here, number)) {
            Stands::Open => return Ok((read?, None)),
            Stands::Gone => decided(chain, number, at).await.ok().map(Ended::from),
            Stands::NotYet => None,
        };
        if ended.is_some() || Instant::now() >= until {
            return Ok((read?, ended));
        }
        tokio::time::sleep(AGAIN).await;
        at = chain.best().await?;
    }
}

/// What is said of a motion that the newest block does not have, and of which the chain does not say how it ended.
fn unseen(number: u32, here: &Consortium, hint: &str) -> String {
    let newest = here.at.number;
    match stands(here, number) {
        Stands::Gone => format!(
            "it is not voted on in block {newest}, and this node cannot say how it ended: ask another member's node \
             (consilium motions {number} --url ws://HOST:PORT)"
        ),
        _ => format!(
            "block {newest} does not have it: the block that had it was replaced by another, as happens, and the call comes into a later \
             one. `consilium motions{hint}` lists what is open, perhaps under another number: look before you send it again"
        ),
    }
}

/// What the deciding vote did, by the chain's own events.
fn happened(here: &Consortium, events: &[Happened]) -> Vec<String> {
    let of = |event: &Happened| {
        let who = AccountId32::decode(&mut &event.fields[..]).map(|who| here.bare_name(&who)).unwrap_or_default();
        Some(match event.name.as_str() {
            "Admitted" => {
                format!("{who} is an institution of this consortium now: its people start its node (consilium up)")
            }
            "FlagsSet" => format!("the flags of {who} are set"),
            "Suspended" => format!("{who} is suspended"),
            "Reinstated" => format!("{who} is reinstated"),
            "Removed" => format!("{who} is no institution any more"),
            "AccountRotated" => {
                let new = <(AccountId32, AccountId32)>::decode(&mut &event.fields[..]).ok()?.1.to_ss58check();
                format!("{new} signs for {who} from now on, and the account before it for nothing")
            }
            _ => return None,
        })
    };
    let mut lines: Vec<String> = events.iter().filter(|event| event.pallet == CONSORTIUM).filter_map(of).collect();
    if let Some((code, at)) = here.pending.filter(|_| lines.is_empty()) {
        let left = here.blocks(at.saturating_sub(here.at.number));
        lines.push(format!(
            "the runtime {code:?} can be applied from block {at} on, in {left}: consilium upgrade apply --wasm FILE"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motions::tally::tests::{consortium, open};
    use consilium_primitives::Hash;

    #[test]
    fn what_a_motion_brought_about_is_said_also_where_its_end_was_found_by_looking_again() {
        let here = consortium(&["North", "South"]);
        let event = |name: &str| Happened {
            pallet: CONSORTIUM.into(),
            name: name.into(),
            fields: AccountId32::from([2; 32]).encode(),
            why: None,
        };
        let found = |outcome, brought| {
            let block = Block { hash: Hash::zero(), number: 999 };
            Ended::from(Decided { block, open: None, outcome, brought })
        };
        let said = ending(&here, &found(Outcome::Passed, vec![event("Admitted")]));
        assert_eq!(said[0], "it is decided: passed, and done");
        assert!(said[1].starts_with("South is an institution of this consortium now"), "{said:?}");
        assert_eq!(ending(&here, &found(Outcome::Rejected, vec![])), ["it is decided: rejected"]);
        assert_eq!(removed(&[event("Removed"), event("Suspended")]), [AccountId32::from([2; 32])]);
    }

    #[test]
    fn a_motion_that_a_replaced_block_had_is_not_said_to_be_over() {
        let mut here = consortium(&["North", "South"]);
        assert_eq!(stands(&here, 0), Stands::NotYet);
        let said = unseen(0, &here, " --dir alder");
        for part in ["block 1000", "replaced by another", "consilium motions --dir alder", "before you send it again"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        here.next_motion = 1;
        assert_eq!(stands(&here, 0), Stands::Gone);
        let said = unseen(0, &here, "");
        assert!(said.contains("cannot say how it ended") && said.contains("consilium motions 0"), "{said}");
        here.motions.insert(0, open(Motion::CancelUpgrade, &[1], &[]));
        assert_eq!(stands(&here, 0), Stands::Open);
    }
}
