//! `consilium motions`: what is voted on, and what was decided lately.

use super::{
    history::{decided, Decided},
    propose::admission,
    upgrade::code_of,
    words::{numbered, span},
};
use crate::{
    chain::{
        calls::Calls,
        consortium::{Consortium, Motion, Open},
        Chain,
    },
    options::{Asked, Format},
    programs::Programs,
    show::{print_json, running},
};
use anyhow::{bail, Context, Result};
use clap::Args;
use consilium_founding::Card;
use serde_json::{json, Value};
use sp_core::crypto::AccountId32;
use std::{fs, path::PathBuf};

/// What `motions` takes.
#[derive(Args)]
pub struct Options {
    /// Number of a motion. Left out: all that are open, and those decided last
    number: Option<u32>,
    /// A compiled runtime: say whether the motion is about this one
    #[arg(long, value_name = "FILE", requires = "number")]
    wasm: Option<PathBuf>,
    /// A newcomer's card: say whether the motion admits exactly this one
    #[arg(long, value_name = "FILE", requires = "number", conflicts_with = "wasm")]
    card: Option<PathBuf>,
    /// How many of those decided last are shown
    #[arg(long, value_name = "N", default_value_t = 5)]
    decided: u32,
    #[command(flatten)]
    asked: Asked,
}

/// Shows motions.
///
/// # Errors
/// There is none of this number, a file cannot be read, or the node does not answer.
pub async fn run(options: &Options) -> Result<()> {
    let chain = options.asked.chain().await?;
    let at = chain.best().await?;
    let mut here = chain.consortium(at).await?;
    for open in here.motions.clone().into_values() {
        chain.recall(&mut here, mentioned(&open), open.proposed_at).await;
    }
    let studies = running(&chain, at).await?;
    match options.number {
        Some(number) => one(&chain, here, &studies, number, options).await,
        None => all(&chain, here, &studies, options).await,
    }
}

async fn all(chain: &Chain, mut here: Consortium, studies: &[String], options: &Options) -> Result<()> {
    let past: Vec<u32> = (0..here.next_motion).rev().filter(|number| !here.motions.contains_key(number)).collect();
    let mut ended = Vec::new();
    for number in past.into_iter().take(options.decided as usize) {
        ended.push((number, ending(chain, &mut here, number).await));
    }
    let here = &here;
    if options.asked.connection.format == Format::Json {
        let open: Vec<Value> =
            here.motions.iter().map(|(number, open)| open_json(here, *number, open, studies)).collect();
        let ended: Vec<Value> = ended.iter().map(|(number, end)| ended_json(here, *number, end)).collect();
        return print_json(&json!({ "block": here.at.number, "open": open, "decided": ended }));
    }
    if here.motions.is_empty() {
        out!("No motion is open (block {}).", here.at.number);
    }
    for (number, open) in &here.motions {
        lines(here, *number, open, studies, (&options.asked.hint(), false)).iter().for_each(|line| out!("{line}"));
    }
    if !ended.is_empty() {
        out!("decided last:");
    }
    for (number, end) in ended {
        let ago = ago(chain, here, &end).await;
        out!("  {}", past_line(here, number, &end, ago));
    }
    Ok(())
}

async fn one(chain: &Chain, mut here: Consortium, studies: &[String], number: u32, options: &Options) -> Result<()> {
    if number >= here.next_motion {
        bail!(
            "there has been no motion {number} yet; `consilium motions{}` lists those that are open",
            options.asked.hint()
        );
    }
    if !here.motions.contains_key(&number) {
        let end = ending(chain, &mut here, number).await;
        let here = &here;
        if options.asked.connection.format == Format::Json {
            let compared = match end.as_ref().ok().and_then(|end| end.open.as_ref()) {
                Some(open) => compare(here, chain, &open.motion, options).await?,
                None => Vec::new(),
            };
            return print_json(&with(ended_json(here, number, &end), &compared));
        }
        let end = Ok(end?);
        let ago = ago(chain, here, &end).await;
        out!("{}", past_line(here, number, &end, ago));
        let end = end?;
        if let Some(open) = &end.open {
            out!("  ayes {}; nays {}", here.names(&open.ayes), here.names(&open.nays));
            compare(here, chain, &open.motion, options).await?.iter().for_each(|line| out!("  {line}"));
        }
        return Ok(());
    }
    let here = &here;
    let Some(open) = here.motions.get(&number) else { return Ok(()) };
    if options.asked.connection.format == Format::Json {
        let compared = compare(here, chain, &open.motion, options).await?;
        return print_json(&with(open_json(here, number, open, studies), &compared));
    }
    let given = options.card.is_some() || options.wasm.is_some();
    lines(here, number, open, studies, (&options.asked.hint(), given)).iter().for_each(|line| out!("{line}"));
    compare(here, chain, &open.motion, options).await?.iter().for_each(|line| out!("  {line}"));
    Ok(())
}

/// A motion's document with what a comparison has found.
fn with(mut motion: Value, compared: &[String]) -> Value {
    motion["compared"] = json!(compared);
    motion
}

/// Everybody whom a motion names.
fn mentioned(open: &Open) -> Vec<AccountId32> {
    let about = match &open.motion {
        Motion::SetFlags { who, .. }
        | Motion::Suspend { who }
        | Motion::Reinstate { who }
        | Motion::Remove { who, .. }
        | Motion::RotateAccount { who, .. } => Some(who),
        _ => None,
    };
    open.ayes.iter().chain(&open.nays).chain(about).chain([&open.proposer]).cloned().collect()
}

/// How a motion ended, with the names of those whom it names as they were then.
async fn ending(chain: &Chain, here: &mut Consortium, number: u32) -> Result<Decided> {
    let end = decided(chain, number, here.at).await?;
    if let Some(open) = &end.open {
        chain.recall(here, mentioned(open), end.block.number.saturating_sub(1)).await;
    }
    Ok(end)
}

/// What comes out where a motion is compared with the file that was named; nothing where none was.
///
/// # Errors
/// It is about another file, or about none.
async fn compare(here: &Consortium, chain: &Chain, motion: &Motion, options: &Options) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if let Some(file) = &options.wasm {
        let Motion::Upgrade { code, .. } = motion else {
            bail!("this motion is about no runtime: {}", here.headline(motion))
        };
        let (_, hash) = code_of(file)?;
        if hash != *code {
            bail!("{} is ANOTHER runtime than the one of this motion: its hash is {hash:?}", file.display());
        }
        found.push(format!("{} is the runtime of this motion, to the byte", file.display()));
        // the hash is what is voted on; what is in it takes a node's program to say
        let changes = async {
            let programs = Programs::find(None)?;
            let (old, new) = (chain.calls(here.at).await?, Calls::of_file(&programs.node, file).await?);
            anyhow::Ok(old.changes(&new))
        };
        match changes.await {
            Ok(lines) => found.extend(lines),
            Err(error) => found.push(format!("its calls cannot be told: {error:#}")),
        }
    }
    if let Some(file) = &options.card {
        let Motion::Admit(admitted) = motion else { bail!("this motion admits nobody: {}", here.headline(motion)) };
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let card = Card::read(&bytes).map_err(|error| error.context(file.display().to_string()))?;
        if admission(&card.0, &card.1, &chain.genesis())? != *admitted {
            bail!("{} is ANOTHER card than the one of this motion", file.display());
        }
        found.push(format!(
            "{} is the card of this motion, to the letter; its fingerprint is {}",
            file.display(),
            card.0.fingerprint()
        ));
    }
    Ok(found)
}

/// An open motion in lines, with the end of commands that reach the same node, and whether it is compared with a file.
fn lines(
    here: &Consortium,
    number: u32,
    open: &Open,
    studies: &[String],
    (hint, compared): (&str, bool),
) -> Vec<String> {
    let tally = here.tally(open);
    let mut lines = vec![format!("motion {number}: {}", here.headline(&open.motion))];
    let details = numbered(here.details(&open.motion, studies), number, hint, compared);
    lines.extend(details.into_iter().map(|line| format!("  {line}")));
    lines.push(format!("  proposed by {} in block {}", here.name(&open.proposer), open.proposed_at));
    lines.push(format!(
        "  ayes {} of {} that are needed ({} are counted): {}",
        tally.ayes.len(),
        tally.needed,
        tally.electorate,
        here.names(&tally.ayes)
    ));
    lines.push(format!(
        "  nays {}: {}; not heard: {}",
        tally.nays.len(),
        here.names(&tally.nays),
        here.names(&tally.silent)
    ));
    // what signs takes a folder
    let signs = if hint.contains(" --dir ") { hint.to_owned() } else { format!(" --dir FOLDER{hint}") };
    lines.push(if open.until >= here.at.number {
        format!(
            "  can be voted on until block {}, for {} more: consilium vote {number} aye|nay{signs}",
            open.until,
            here.blocks(open.until - here.at.number)
        )
    } else {
        format!("  its time is over: `consilium close {number}{signs}` takes it away")
    });
    lines
}

/// How long ago a motion was decided, in milliseconds.
async fn ago(chain: &Chain, here: &Consortium, end: &Result<Decided>) -> Option<u64> {
    let now = chain.time(here.at.number).await.ok()?;
    let then = chain.made(end.as_ref().ok()?.block.number, (now, here.block_ms)).await?;
    Some(now.saturating_sub(then))
}

/// A motion that is decided, in one line; `ago`: for how many milliseconds it is.
fn past_line(here: &Consortium, number: u32, end: &Result<Decided>, ago: Option<u64>) -> String {
    match end {
        Err(error) => format!("motion {number}: {error:#}"),
        Ok(end) => {
            let what = end.open.as_ref().map_or_else(
                || "what it was about is not kept: it was decided in the block of its proposal".into(),
                |open| here.headline(&open.motion),
            );
            let ago = ago.map(|millis| format!(", {} ago", span(millis))).unwrap_or_default();
            format!("motion {number}: {what}: {} (block {}{ago})", end.outcome.words(), end.block.number)
        }
    }
}

fn open_json(here: &Consortium, number: u32, open: &Open, studies: &[String]) -> Value {
    let tally = here.tally(open);
    let names = |all: &[AccountId32]| all.iter().map(|who| here.name(who)).collect::<Vec<_>>();
    json!({
        "number": number,
        "motion": here.headline(&open.motion),
        "details": here.details(&open.motion, studies),
        "proposer": here.name(&open.proposer),
        "proposed_at": open.proposed_at,
        "until": open.until,
        "seconds_left": u64::from(open.until.saturating_sub(here.at.number)) * u64::from(here.block_ms) / 1_000,
        "ayes": names(&tally.ayes),
        "nays": names(&tally.nays),
        "not_heard": names(&tally.silent),
        "electorate": tally.electorate,
        "needed": tally.needed,
    })
}

fn ended_json(here: &Consortium, number: u32, end: &Result<Decided>) -> Value {
    match end {
        Ok(end) => json!({
            "number": number,
            "motion": end.open.as_ref().map(|open| here.headline(&open.motion)),
            "outcome": end.outcome.words(),
            "block": end.block.number,
        }),
        Err(error) => json!({ "number": number, "error": format!("{error:#}") }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tally::tests::{consortium, open};
    use super::*;

    #[test]
    fn an_open_motion_says_who_is_for_it_and_how_many_are_missing_until_when() {
        let here = consortium(&["north", "south", "east", "west"]);
        let open = open(Motion::Suspend { who: AccountId32::from([4; 32]) }, &[1], &[4]);
        let text = lines(&here, 3, &open, &[], ("", false)).join("\n");
        for part in [
            "motion 3: suspend west",
            "proposed by north in block 990",
            "ayes 1 of 3 that are needed (4 are counted): north",
            "nays 1: west; not heard: south, east",
            "until block 1500, for 16 min 40 s more",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text.contains(": consilium vote 3 aye|nay --dir FOLDER"), "{text}");
        let text = lines(&here, 3, &open, &[], (" --dir north", false)).join("\n");
        assert!(text.contains(": consilium vote 3 aye|nay --dir north"), "{text}");
        let mut late = here;
        late.at.number = 1_501;
        assert!(lines(&late, 3, &open, &[], ("", false)).join("\n").contains("consilium close 3 --dir FOLDER"));
        // programs learn what came out of a comparison, too
        assert_eq!(with(json!({ "number": 3 }), &["it is".into()]), json!({ "number": 3, "compared": ["it is"] }));
    }
}
