//! What this machine's clock is worth: by the others' clocks, or by the newest block.

use crate::up::rpc::{Clock, Node};
use anyhow::{bail, Context, Result};
use std::time::{SystemTime, UNIX_EPOCH};

/// A block of the future by so much is refused by whoever keeps time; one so old says that none is made, or that this clock is
/// ahead.
const AHEAD_MS: i64 = 500;
const OLD_MS: i64 = 30_000;

/// What the others' clocks say of this machine's; where the node knows too few, the newest block's time says a little.
pub async fn clock(node: &Node) -> Result<String> {
    if let Some(verdict) = node.clock().await.ok().and_then(judge_by_others) {
        return verdict;
    }
    let at = node.best().await?;
    let time = node.time(&at).await?.context("the chain has no time yet: wait for its first block")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("this machine's clock is before 1970")?;
    judge_clock(i64::try_from(now.as_millis())?.saturating_sub(i64::try_from(time)?))
}

/// What the node has found by comparing clocks; nothing where it knows fewer than two others.
fn judge_by_others(clock: Clock) -> Option<Result<String>> {
    let Clock { offset_seconds, others, apart_seconds, warning } = clock;
    if let Some(warning) = warning {
        return Some(Err(anyhow::anyhow!(warning)));
    }
    let (off, apart) = (offset_seconds?.abs(), apart_seconds.unwrap_or_default());
    Some(Ok(format!("{off:.2} s off the middle of {others} other institutions' clocks, which lie {apart:.2} s apart")))
}

/// What the age of the newest block says of this machine's clock.
fn judge_clock(age_ms: i64) -> Result<String> {
    let seconds = age_ms as f64 / 1_000.0;
    if age_ms < -AHEAD_MS {
        bail!(
            "the newest block is of {:.1} s in the future: this machine's clock is behind; set it (timedatectl)",
            -seconds
        );
    }
    if age_ms > OLD_MS {
        bail!(
            "the newest block is {seconds:.0} s old: no block was made since, or this machine's clock is ahead: look at \
             `timedatectl`, and ask another institution for its newest block"
        );
    }
    Ok(format!("the newest block is {} s old", consilium_study::fixed(seconds, 1)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_clock_is_judged_by_others_where_two_are_known() {
        let clock = |offset_seconds, others, warning: Option<&str>| Clock {
            offset_seconds,
            others,
            apart_seconds: offset_seconds.map(|_| 0.04),
            warning: warning.map(str::to_owned),
        };
        assert!(judge_by_others(clock(None, 0, None)).is_none());
        let good = judge_by_others(clock(Some(-0.02), 3, None)).unwrap().unwrap();
        assert_eq!(good, "0.02 s off the middle of 3 other institutions' clocks, which lie 0.04 s apart");
        let words = "this machine's clock is 10.2 s ahead";
        assert_eq!(judge_by_others(clock(Some(10.2), 3, Some(words))).unwrap().unwrap_err().to_string(), words);
    }

    #[test]
    fn a_clock_is_judged_by_the_newest_block_s_age() {
        for good in [-500, -20, 0, 30_000] {
            let said = judge_clock(good).unwrap();
            assert!(!said.contains("-0.0"), "{said}");
        }
        let error = judge_clock(-10_200).unwrap_err().to_string();
        assert!(error.contains("10.2 s in the future") && error.contains("behind"), "{error}");
        let error = judge_clock(60_000).unwrap_err().to_string();
        assert!(error.contains("60 s old") && error.contains("ahead"), "{error}");
    }
}
