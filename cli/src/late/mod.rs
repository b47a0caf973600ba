//! `consilium late`: in which block each vote of a study came, how late after the block that asked for it, and what each phase of
//! each round waited for.
//!
//! * [`read`]: the blocks in which something happened; [`tell`]: what they say, a pure function; [`words`]: in words and for programs.

pub mod read;
pub mod tell;
#[cfg(test)]
mod tests;
mod words;

use crate::{
    chain::Chain,
    options::{Asked, Format},
    show::{self, print_json},
};
use anyhow::{Context, Result};
use clap::Args;
use consilium_primitives::{round::Kind, StudyId};

/// Which study, and how much of it.
#[derive(Args)]
pub struct Options {
    /// Number of the study
    study: StudyId,
    /// The last so many rounds alone. Left out: all, with what came before and after them
    #[arg(long, value_name = "ROUNDS", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,
    #[command(flatten)]
    asked: Asked,
}

/// What the blocks of a study from the first to the last of these say of its rounds; `slot` in milliseconds.
///
/// # Errors
/// The node does not answer, or keeps the states of those blocks no longer.
pub async fn history(chain: &Chain, number: StudyId, range: (u32, u32), slot: u32) -> Result<Vec<tell::Round>> {
    Ok(tell::tell(&read::blocks(chain, number, range, slot).await?))
}

/// Reads a study's blocks, and prints what each of its rounds waited for.
///
/// # Errors
/// No node answers, there is no such study, or the node keeps the states of older blocks no longer.
pub async fn run(options: Options) -> Result<()> {
    let Options { study: number, last, asked } = options;
    let chain = asked.chain().await?;
    let best = chain.best().await?;
    let names = show::names(&chain.institutions(best).await?);
    let info = show::existing(&chain, number, best, &asked.hint()).await?;
    let slot = chain.block_ms().await?;
    let first = match last.and_then(|last| info.state.round.checked_sub(last)) {
        // from the end of the round before them on
        Some(before) => chain.record(number, Kind::Model, before, best).await?.map(|record| record.closed_at),
        None => None,
    };
    let range = (first.unwrap_or(info.registered_at), best.number);
    let told = history(&chain, number, range, slot).await.with_context(|| {
        format!(
            "the blocks {} to {} of study {number} cannot be read here: that takes the states of older blocks (pruning = \
             \"archive-canonical\" in the consilium.toml of the node that is asked)",
            range.0, range.1
        )
    })?;
    let frame = words::Frame { study: number, phase: show::phase(&info.state), best: best.number, slot, names: &names };
    match asked.connection.format {
        Format::Json => print_json(&frame.json(&told)),
        Format::Text => {
            frame.lines(&told).iter().for_each(|line| out!("{line}"));
            Ok(())
        }
    }
}
