//! When files are where: served once their freeze is final, and passed on by who has them.

use super::{Consortium, File};
use crate::{ids::Hash, round::*, rules::FETCH_SLACK};

impl Consortium {
    /// Block in which a freeze is final.
    fn final_at(&self, frozen_at: u32) -> u32 {
        match self.scenario.stall {
            // finality is some blocks behind
            Some((from, blocks)) if frozen_at + 3 >= from && frozen_at < from + blocks => from + blocks,
            _ => frozen_at,
        }
    }

    /// What an honest site says of a freeze: that it is not final, or has not been for a fetch window.
    pub(super) fn not_final(&self, frozen_at: u32) -> bool {
        let (now, settled) = (self.shell.world.now, self.final_at(frozen_at));
        now < settled || settled > frozen_at + FETCH_SLACK && now < settled + self.shell.windows().fetch
    }

    /// When each site gets each input of a new list: from its author, or from an honest site that has it.
    pub(super) fn fetch(&mut self) {
        let Phase::Merging(m) = &self.shell.study.phase else { return };
        let roots: Vec<Hash> = m.inputs.iter().map(|i| i.commitment.root).collect();
        let (frozen, window) = (self.shell.world.now, self.shell.windows().fetch);
        let settled = self.final_at(frozen);
        // what is final in time arrives in time all the same
        let now = if settled > frozen + FETCH_SLACK { settled } else { frozen };
        for root in roots {
            let File { author, sound, served } = self.files[&root];
            self.arrivals.entry((author, root)).or_insert(frozen);
            let lacks = |c: &Self, m: &u8| !c.arrivals.contains_key(&(*m, root));
            let others: Vec<u8> = (0..self.scenario.members).filter(|m| lacks(self, m)).collect();
            let (direct, indirect): (Vec<u8>, Vec<u8>) = others.into_iter().partition(|m| served & bit(*m) != 0);
            let mut first = u32::MAX;
            for member in direct {
                let at = now + 1 + self.up_to(window - 1);
                // both must be on
                let at = self.back(member, self.back(author, at));
                self.arrivals.insert((member, root), at);
                if self.liar(member).is_none() {
                    first = first.min(at);
                }
            }
            // what is malformed is not passed on
            if sound && first < u32::MAX {
                for member in indirect {
                    let at = first + 1 + self.up_to(window);
                    let at = self.back(member, at);
                    self.arrivals.insert((member, root), at);
                }
            }
        }
    }
}
