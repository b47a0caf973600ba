//! Sites of which nothing comes: how long rounds wait for them.
//!
//! A member that a round has waited for until its grace was over, in vain, has missed it; and one whose node has said, after as long,
//! that its worker is missing. Two rounds missed within five, and the
//! next five do not wait for it: it is asked as before, and what it commits before the list freezes is merged. Whoever is off then
//! costs the others two graces in seven rounds, then one in six.
//!
//! A commitment clears the record: from the next round on the member is waited for. Without one it is waited for again when the
//! five rounds are over, so that a site which is only a little slower than the others is not out for ever. The time in which
//! nobody waited for it counts as one round missed: one more in the four rounds after it, and it is not waited for again.
//!
//! So many are waited for, or in already, as make the round; were they fewer, all are waited for. Statistics wait for all.

use super::{bit, members::BENCH_ROUNDS, state::*, Effect, Study};
use alloc::vec::Vec;

impl Missed {
    /// Whether a round does not wait for it: the one that it missed last may come again, after a pause, and waits.
    pub fn spares(&self, round: u32) -> bool {
        round > self.last && self.unawaited.is_some_and(|it| round <= it.until)
    }
}

impl Study {
    /// What is noted of the member at a position, where that says that the present round does not wait for it. The others may be
    /// too few without it: what a round that is open does, [`Study::unawaited`] says.
    pub fn spared(&self, index: u8) -> Option<&Missed> {
        self.missed.iter().find(|missed| missed.member == index && missed.spares(self.round))
    }

    /// Whom of those `asked` for an update the present round does not wait for: none where the others do not make a round of this
    /// `roster`.
    pub(super) fn without_silent(&self, asked: Mask, roster: Mask) -> Mask {
        let spared = self.missed.iter().filter(|missed| missed.spares(self.round));
        let silent = spared.fold(0, |mask, missed| mask | bit(missed.member)) & asked;
        let others = asked & !silent;
        if others.count_ones() >= self.rules.freeze_needs(roster.count_ones()) {
            silent
        } else {
            0
        }
    }

    /// Whether what is noted of silence is of members, once of each, and nobody is spared but while updates are asked for.
    pub fn silence_is_sound(&self) -> bool {
        let noted: Mask = self.missed.iter().fold(0, |mask, missed| mask | bit(missed.member));
        let once = noted.count_ones() as usize == self.missed.len();
        let members = self.missed.iter().all(|missed| self.member(missed.member).is_some());
        let asked = match &self.phase {
            Phase::Collecting(c) if c.kind == Kind::Model => c.roster,
            _ => 0,
        };
        once && members && self.unawaited & !asked == 0
    }

    /// Notes that these have missed the present round, which has waited for them until now.
    pub(super) fn miss(&mut self, silent: Mask) -> Vec<Effect> {
        let round = self.round;
        let mut effects = Vec::new();
        for (index, member) in (0u8..).zip(self.members.iter()).filter(|(index, _)| silent & bit(*index) != 0) {
            let Some(missed) = self.missed.iter_mut().find(|missed| missed.member == index) else {
                // there is room for all members
                let _ = self.missed.try_push(Missed { member: index, last: round, unawaited: None });
                continue;
            };
            let reach = missed.unawaited.map_or(missed.last, |it| it.until.max(missed.last));
            // a round is missed once, and none is that did not wait for it
            if round <= reach {
                continue;
            }
            let before = core::mem::replace(&mut missed.last, round);
            let again = round.saturating_sub(reach) < BENCH_ROUNDS;
            let until = round.saturating_add(BENCH_ROUNDS);
            missed.unawaited = again.then_some(Unawaited { before, until });
            if again {
                effects.push(Effect::NotAwaited { who: member.id, before, until_round: until });
            }
        }
        effects
    }
}
