//! The seeds that a bench is asked for.

use anyhow::{bail, Context, Result};
use std::ops::RangeInclusive;

/// Seeds as a command line names them: `FIRST..LAST`, both ends included, or one alone.
///
/// # Errors
/// What is no such range, or has its ends in the wrong order.
pub fn range(text: &str) -> Result<RangeInclusive<u64>> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let number = |end: &str| {
        end.parse::<u64>()
            .with_context(|| format!("seeds {text}: {end:?} is no number; write them as 1..5, or one alone"))
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        bail!("seeds {text}: the first is larger than the last");
    }
    Ok(first..=last)
}
