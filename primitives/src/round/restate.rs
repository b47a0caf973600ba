//! Studies that were stored while a slot was longer: how their bytes are read, and what their deadlines are now.

use super::{state::*, Study};
use crate::time::{as_blocks, restated, SLOT_MILLIS_BEFORE_5};
use codec::{Decode, Error, Input};

/// Before runtime 5 a study ended with its phase: slots had two seconds then. Archives and blocks of that time are read
/// all the same. It must be the last thing that is read, as it is where the chain keeps it.
impl Decode for Study {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        Ok(Self {
            proposer: Decode::decode(input)?,
            rules: Decode::decode(input)?,
            validators: Decode::decode(input)?,
            members: Decode::decode(input)?,
            round: Decode::decode(input)?,
            base: Decode::decode(input)?,
            statistics: Decode::decode(input)?,
            best: Decode::decode(input)?,
            ended_at: Decode::decode(input)?,
            opened_at: Decode::decode(input)?,
            resumed: Decode::decode(input)?,
            phase: Decode::decode(input)?,
            slot_millis: if input.remaining_len()? == Some(0) { SLOT_MILLIS_BEFORE_5 } else { Decode::decode(input)? },
        })
    }
}

impl Study {
    /// Its deadlines, as blocks that are to come from `now` on: to be called once, where slots of `slot_millis` milliseconds have
    /// become shorter. Blocks in which something has happened stay what they are; of those that a time counts from, the time that
    /// has passed stays.
    pub fn restate(&mut self, now: u32, slot_millis: u32) {
        let at = |block: &mut u32| *block = restated(*block, now, slot_millis);
        match &mut self.phase {
            Phase::Enrolling { until } | Phase::Init { until, .. } | Phase::FinalEvaluation { until, .. } => at(until),
            Phase::Collecting(it) => {
                at(&mut it.start);
                it.freeze_at.as_mut().map(at);
                at(&mut it.limit);
            }
            Phase::Merging(it) => {
                it.window = as_blocks(it.window, slot_millis);
                at(&mut it.began);
                it.stood.as_mut().map(at);
                at(&mut it.until);
            }
            Phase::Certifying(it) => at(&mut it.until),
            Phase::Paused(it) => at(&mut it.until),
            Phase::Completed(_) | Phase::Aborted { .. } => {}
        }
    }
}
