//! Which states of old blocks a node keeps, and how it gets the chain at first: one depends on the other.

use anyhow::{ensure, Result};
use serde::{Deserialize, Serialize};

/// Fewest states of old blocks that a node may be told to keep: commands look a few blocks back.
const LEAST_STATES: u32 = 32;

/// How a node without a database gets the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// All blocks, one after the other.
    #[default]
    Full,
    /// Proofs of how the validators changed, then one state; older blocks follow, their states do not.
    Warp,
}

impl Way {
    /// As the node's --sync.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Warp => "warp",
        }
    }

    /// Whether a node that gets the chain so can keep these states, the value of its --state-pruning.
    ///
    /// # Errors
    /// It cannot, or nothing can.
    pub fn keeps(self, pruning: &str) -> Result<()> {
        let all = ["archive-canonical", "archive"].contains(&pruning);
        ensure!(
            all || pruning.parse::<u32>().is_ok_and(|blocks| blocks >= LEAST_STATES),
            "pruning = {pruning:?}: \"archive-canonical\" keeps all states, and a number of blocks, {LEAST_STATES} or more, those \
             of the last final ones, as \"256\" does"
        );
        ensure!(
            !all || self == Self::Full,
            "sync = \"warp\" fetches no states of old blocks, and pruning = {pruning:?} is to keep them all: say pruning = \"256\", \
             or sync = \"full\""
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn states_that_no_node_can_keep_are_refused() {
        for (way, pruning) in
            [(Way::Full, "32"), (Way::Warp, "256"), (Way::Full, "archive"), (Way::Full, "archive-canonical")]
        {
            way.keeps(pruning).unwrap();
        }
        for (way, pruning, says) in [
            (Way::Full, "31", "32 or more"),
            (Way::Full, "-1", "32 or more"),
            (Way::Full, "some", "archive-canonical"),
            (Way::Warp, "archive-canonical", "sync = \"full\""),
            (Way::Warp, "archive", "pruning = \"256\""),
        ] {
            let error = way.keeps(pruning).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
