//! Whether the chain moves, as far as its node's RPC tells: the newest block's age, how far finality is behind, and who is not
//! connected.

use super::{Block, Chain};
use crate::plain::seen;
use anyhow::Result;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A newest block older than this says that none is made: an idle chain on which makers are away has one every few seconds.
const OLD_MS: u64 = 15_000;
/// Finality stands where the newest final block is further behind than this, in blocks and in milliseconds.
const BEHIND: u32 = 10;
const BEHIND_MS: u64 = 10_000;

/// How the chain stands at one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Its newest block.
    pub best: Block,
    /// How old that is by this machine's clock, in milliseconds; 0 where it is of the future.
    age_ms: u64,
    /// The newest final block's number, and how much older it is than the newest by the chain's own time, in milliseconds.
    settled: (u32, u64),
    /// How many nodes are connected.
    peers: usize,
    /// Names of the other institutions that have a node.
    others: Vec<String>,
}

impl Chain {
    /// How the chain stands.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn pulse(&self) -> Result<Pulse> {
        let (best, last) = (self.best().await?, self.finalised().await?);
        let time = self.time(best.number).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
        let age_ms = match time {
            // block 0 has no time
            0 => 0,
            time => u64::try_from(now)?.saturating_sub(time),
        };
        let unsettled = match last.number {
            0 => 0,
            number => time.saturating_sub(self.time(number).await?),
        };
        let (peers, own) = (self.peers().await?, self.local_peer_id().await?);
        let institutions = self.institutions(best).await?;
        let others = institutions
            .iter()
            .filter(|it| it.peer_id.as_ref().is_some_and(|peer| bs58::encode(peer).into_string() != own))
            .map(|it| seen(&String::from_utf8_lossy(&it.name)))
            .collect();
        Ok(Pulse { best, age_ms, settled: (last.number, unsettled), peers, others })
    }
}

impl Pulse {
    /// What people must know before they read on, where the chain stands; nothing where it moves. `look` ends a command that says
    /// more (`doctor`).
    pub fn stands(&self, look: &str) -> Option<String> {
        let absent = self.absent(look).map(|words| format!("; {words}")).unwrap_or_default();
        let number = self.best.number;
        if self.age_ms > OLD_MS {
            let seconds = self.age_ms / 1_000;
            return Some(format!("no block for {seconds} s: what follows is of block {number}{absent}"));
        }
        let (last, behind_ms) = self.settled;
        (number.saturating_sub(last) > BEHIND && behind_ms >= BEHIND_MS).then(|| {
            let seconds = behind_ms / 1_000;
            format!("nothing has become final for {seconds} s (since block {last} of {number}){absent}")
        })
    }

    /// What is waited for by whoever waits for a block.
    pub fn waits(&self, look: &str) -> String {
        let absent = self.absent(look).map(|words| format!("; {words}")).unwrap_or_default();
        format!("the newest is {}, {} s old{absent}", self.best.number, self.age_ms / 1_000)
    }

    /// What is waited for by whoever waits for a final block.
    pub fn unsettled(&self, look: &str) -> String {
        let absent = self.absent(look).map(|words| format!("; {words}")).unwrap_or_default();
        let ((last, behind_ms), number) = (self.settled, self.best.number);
        let stands = match (self.age_ms > OLD_MS, number.saturating_sub(last)) {
            (true, _) => format!("no block was made for {} s", self.age_ms / 1_000),
            (false, 0) => format!("final is block {last}, which is the newest"),
            (false, _) => format!("final is block {last} of {number}, {} s before the newest", behind_ms / 1_000),
        };
        stands + &absent
    }

    /// Who is not connected, as far as a count of connections tells.
    fn absent(&self, look: &str) -> Option<String> {
        let all = self.others.len();
        match self.peers {
            0 if all > 0 => Some(format!("not connected: {} (`consilium doctor{look}`)", self.others.join(", "))),
            some if some < all => {
                Some(format!("{some} of {all} others are connected (`consilium doctor{look}` says who is not)"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use consilium_primitives::Hash;

    fn pulse(age_ms: u64, settled: (u32, u64), peers: usize) -> Pulse {
        let best = Block { hash: Hash::zero(), number: 198 };
        Pulse { best, age_ms, settled, peers, others: vec!["Birch Hospital".into(), "Cedar".into()] }
    }

    #[test]
    fn a_chain_that_stands_says_so_since_when_and_who_is_not_connected() {
        assert_eq!(pulse(900, (196, 1_000), 2).stands(" --dir alder"), None);
        assert_eq!(pulse(14_000, (197, 500), 2).stands(""), None, "makers of an idle chain may be away");
        let said = pulse(37_400, (197, 500), 0).stands(" --dir alder").unwrap();
        assert_eq!(
            said,
            "no block for 37 s: what follows is of block 198; not connected: Birch Hospital, Cedar (`consilium doctor --dir alder`)"
        );
        assert!(pulse(37_400, (197, 500), 1).stands("").unwrap().contains("1 of 2 others are connected"));
        // all are there: it is not said that somebody is not
        assert!(pulse(37_400, (197, 500), 2).stands("").unwrap().ends_with("block 198"));
        let said = pulse(400, (150, 24_000), 2).stands("").unwrap();
        assert_eq!(said, "nothing has become final for 24 s (since block 150 of 198)");
        // far behind in blocks alone, or in time alone
        assert_eq!(pulse(400, (150, 9_000), 2).stands(""), None);
        assert_eq!(pulse(400, (190, 24_000), 2).stands(""), None);
    }

    #[test]
    fn who_waits_for_a_block_is_told_what_stands_in_the_way() {
        assert_eq!(
            pulse(4_200, (197, 500), 0).waits(" --dir alder"),
            "the newest is 198, 4 s old; not connected: Birch Hospital, Cedar (`consilium doctor --dir alder`)"
        );
        assert_eq!(pulse(200, (197, 500), 2).waits(""), "the newest is 198, 0 s old");
    }

    #[test]
    fn who_waits_for_finality_is_told_how_far_it_is_behind_and_who_is_not_connected() {
        assert_eq!(
            pulse(400, (150, 24_000), 1).unsettled(""),
            "final is block 150 of 198, 24 s before the newest; 1 of 2 others are connected (`consilium doctor` says who is not)"
        );
        assert_eq!(pulse(400, (198, 0), 2).unsettled(""), "final is block 198, which is the newest");
        assert_eq!(pulse(90_000, (150, 24_000), 2).unsettled(""), "no block was made for 90 s");
    }
}
