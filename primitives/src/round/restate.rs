//! Studies that were stored while a slot was longer: how their bytes are read, and what their deadlines are now.

use super::{state::*, Study};
use crate::{
    ids::Hash,
    time::{as_blocks, restated, SLOT_MILLIS_BEFORE_5},
};
use codec::{Decode, Error, Input};

/// Before runtime 5 a study ended with its phase: slots had two seconds then, and no pause ended by itself. Archives and blocks of
/// that time are read all the same. It must be the last thing that is read, as it is where the chain keeps it.
impl Decode for Study {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let mut study = Self {
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
            slot_millis: SLOT_MILLIS_BEFORE_5,
            base_round: 0,
            taken_up: None,
            tries: 0,
            presence: Presence::default(),
            ahead: PerMember::new(),
            last: None,
            missed: PerMember::new(),
            unawaited: 0,
            masking: Masking::default(),
        };
        if input.remaining_len()? == Some(0) {
            study.base_round = study.last_closed();
            return Ok(study);
        }
        study.slot_millis = Decode::decode(input)?;
        study.base_round = Decode::decode(input)?;
        study.taken_up = Decode::decode(input)?;
        study.tries = Decode::decode(input)?;
        study.presence = Decode::decode(input)?;
        // before runtime 6 nothing was said ahead, and nobody attested late
        if input.remaining_len()? == Some(0) {
            return Ok(study);
        }
        study.ahead = Decode::decode(input)?;
        study.last = Decode::decode(input)?;
        // before runtime 8 every round waited for all
        if input.remaining_len()? == Some(0) {
            return Ok(study);
        }
        study.missed = Decode::decode(input)?;
        study.unawaited = Decode::decode(input)?;
        // before runtime 9 nothing was masked
        if input.remaining_len()? == Some(0) {
            return Ok(study);
        }
        study.masking = Decode::decode(input)?;
        Ok(study)
    }
}

impl Study {
    /// The round that closed last, as far as it follows from where a study stands; 0 before there is one.
    fn last_closed(&self) -> u32 {
        let over = match &self.phase {
            Phase::FinalEvaluation { .. } | Phase::Certifying(_) | Phase::Completed(_) => true,
            Phase::Paused(pause) => matches!(pause.back, Back::Certifying { .. }),
            _ => false,
        };
        if over {
            self.round
        } else {
            self.round.saturating_sub(1)
        }
    }

    /// Says which round's model it stands on, where that was read from bytes that do not say it: an aborted study may stand on that
    /// of its own round. `root` gives the attested model of a closed round.
    pub fn find_base(&mut self, root: impl Fn(u32) -> Option<Hash>) {
        let near = [self.round, self.round.saturating_sub(1)];
        self.base_round = near.into_iter().find(|round| root(*round) == Some(self.base)).unwrap_or(self.base_round);
    }

    /// Its deadlines, as blocks that are to come from `now` on: to be called once, where slots of `slot_millis` milliseconds have
    /// become shorter. Blocks in which something has happened stay what they are; of those that a time counts from, the time that
    /// has passed stays.
    pub fn restate(&mut self, now: u32, slot_millis: u32) {
        let at = |block: &mut u32| *block = restated(*block, now, slot_millis);
        self.taken_up.as_mut().map(at);
        self.presence.settles.as_mut().map(at);
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
            // nothing was masked while slots were longer
            Phase::Gathering(_) | Phase::Revealing(_) | Phase::Summing(_) => {}
            Phase::Completed(_) | Phase::Aborted { .. } => {}
        }
    }
}
