//! What the ballots on a merge say together.

use super::{bit, state::*};
use crate::{ids::Hash, rules::holders_needed, vote::Marks};
use alloc::vec::Vec;

/// Attempts with the same inputs.
pub(super) const SAME_INPUTS_ATTEMPTS: u32 = 2;

impl Merging {
    /// The root and marks with the most voices, and their number.
    pub(super) fn leading(&self) -> Option<((Hash, Marks), u32)> {
        let mut tally: Vec<((Hash, Marks), u32)> = Vec::new();
        for ballot in self.ballots.iter().flatten() {
            if let Ballot::Root(root, marks) = ballot {
                let said = (*root, *marks);
                match tally.iter_mut().find(|(other, _)| *other == said) {
                    Some((_, votes)) => *votes = votes.saturating_add(1),
                    None => tally.push((said, 1)),
                }
            }
        }
        tally.into_iter().max_by_key(|(_, votes)| *votes)
    }

    /// Voices for the root and marks that have the most.
    pub(super) fn voices(&self) -> u32 {
        self.leading().map_or(0, |(_, votes)| votes)
    }

    /// Inputs that enough others than their authors call invalid.
    pub(super) fn invalid(&self) -> u64 {
        let h = holders_needed(self.inputs.len() as u32);
        self.positions(|position| {
            self.others(
                position,
                |ballot| matches!(ballot, Ballot::Partial { invalid, .. } if invalid & bit(position) != 0),
            ) >= h
        })
    }

    /// Inputs that too few others than their authors hold, and that enough others say they lack. Who has not voted yet
    /// neither holds nor lacks anything, so that nobody is dropped because others are slow.
    ///
    /// None unless `j` voters have shown that inputs can be had: by holding together as many as make a round, or, where
    /// no more than `h` are withheld, all the others. What some hold and others still lack may not delay the proof:
    /// liars would serve one input late in each attempt, until there are no attempts left.
    ///
    /// That more are withheld than a merge survives liars, and more than one, is believed only once the windows have been
    /// doubled: it may be the network.
    pub(super) fn withheld(&self, j: u32, round: u32) -> u64 {
        let h = holders_needed(self.inputs.len() as u32);
        let all = all_bits(self.inputs.len());
        let unheld = self.positions(|position| {
            let lacked = self.others(position, |ballot| lacks(ballot, all) & bit(position) != 0);
            let held = self.others(position, |ballot| holds(ballot, all) & bit(position) != 0);
            held < h && lacked >= h
        });
        if unheld.count_ones() > h.saturating_sub(1).max(1) && self.attempt <= SAME_INPUTS_ATTEMPTS {
            return 0;
        }
        let voters =
            |mask: u64| self.ballots.iter().flatten().filter(|ballot| holds(ballot, all) & mask == mask).count() as u32;
        let common = self.positions(|position| voters(bit(position)) >= j);
        let all_others = common == all & !unheld && unheld.count_ones() <= h;
        if voters(common) >= j && (common.count_ones() >= round || all_others) {
            unheld
        } else {
            0
        }
    }

    fn positions(&self, keep: impl Fn(u8) -> bool) -> u64 {
        (0u8..).zip(self.inputs.iter()).fold(0, |mask, (p, _)| if keep(p) { mask | bit(p) } else { mask })
    }

    fn others(&self, position: u8, says: impl Fn(&Ballot) -> bool) -> u32 {
        let yes = (0u8..)
            .zip(self.ballots.iter())
            .filter(|(voter, ballot)| *voter != position && ballot.as_ref().is_some_and(&says));
        yes.count() as u32
    }
}

fn holds(ballot: &Ballot, all: u64) -> u64 {
    match ballot {
        Ballot::Root(..) => all,
        Ballot::Partial { have, .. } => *have,
    }
}

/// Who cannot have got anything yet lacks nothing.
fn lacks(ballot: &Ballot, all: u64) -> u64 {
    match ballot {
        Ballot::Root(..) | Ballot::Partial { not_final: true, .. } => 0,
        Ballot::Partial { have, .. } => all & !have,
    }
}

/// The lowest `count` bits.
pub(in crate::round) fn all_bits(count: usize) -> u64 {
    u32::try_from(count).ok().and_then(|c| 1u64.checked_shl(c)).map_or(u64::MAX, |b| b.wrapping_sub(1))
}
