//! Sites that are off for a while, and what sites hold.

use super::Consortium;
use crate::{
    duty::{held_bit, HELD_BASE},
    round::bit,
};

impl Consortium {
    /// The first block from this one on in which a site is on.
    pub(super) fn back(&self, member: u8, at: u32) -> u32 {
        let off = self.scenario.off.iter().filter(|(members, ..)| members & bit(member) != 0);
        // one outage after the other
        off.fold(at, |at, (_, from, blocks)| if (*from..from + blocks).contains(&at) { from + blocks } else { at })
    }

    pub(super) fn is_off(&self, member: u8) -> bool {
        let now = self.shell.world.now;
        self.back(member, now) > now
    }

    /// Whether a site was off in any of these blocks.
    pub(super) fn was_off(&self, member: u8, blocks: std::ops::RangeInclusive<u32>) -> bool {
        blocks.into_iter().any(|at| self.back(member, at) > at)
    }

    /// What an honest site says that it holds.
    pub(super) fn all_models(&self, newest: u32) -> u16 {
        (0..=newest).fold(HELD_BASE, |mask, round| mask | held_bit(newest, round))
    }
}
