//! Gathering: the masked files of a frozen list are fetched and looked at. What too few hold, or enough call damaged, is dropped by
//! the rules of a merge ([`merge`](super::merge)); what is left when it closes is fixed for good, since from then on secrets are opened
//! for exactly this set.

use super::{state::*, Effect, Refusal, Step, Study, Surroundings};
use crate::{ids::InstitutionId, kinds::Marks, vote::VoteBody};
use alloc::{vec, vec::Vec};

impl Study {
    /// A member says what it holds of a frozen list.
    pub(super) fn gathered(
        &mut self,
        around: &dyn Surroundings,
        index: u8,
        who: InstitutionId,
        body: VoteBody,
    ) -> Step {
        let Phase::Gathering(m) = &mut self.phase else { return Err(Refusal::NoSuchDuty) };
        let Some((_, slot)) = m.inputs.iter().zip(m.ballots.iter_mut()).find(|(i, _)| i.commitment.member == index)
        else {
            return Err(Refusal::NoSuchDuty);
        };
        let effect = match (body, *slot) {
            (VoteBody::Held(root), None | Some(Ballot::Partial { .. })) => {
                *slot = Some(Ballot::Root(root, Marks::default()));
                Effect::Gathered { who }
            }
            (VoteBody::Partial { have, invalid, not_final }, None) => {
                *slot = Some(Ballot::Partial { have, invalid, not_final });
                Effect::PartialReported { who, have, invalid, not_final }
            }
            (VoteBody::Held(_) | VoteBody::Partial { .. }, Some(_)) => return Err(Refusal::AlreadyAnswered),
            _ => return Err(Refusal::WrongAnswer),
        };
        let mut effects = vec![effect];
        effects.extend(self.after_ballot(around));
        Ok(effects)
    }

    /// Enough hold all of them: the set never changes after that.
    pub(super) fn close_gathering(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Gathering(m) = &self.phase else { return Vec::new() };
        let set = FixedSet {
            kind: m.kind,
            inputs: m.inputs.clone(),
            inputs_root: m.inputs_root,
            frozen_at: m.frozen_at,
            fixed_at: around.now(),
            attempts: m.attempt,
            dropped: m.dropped.clone(),
            reveals: PerMember::new(),
        };
        let mut effects = vec![Effect::SetFixed { round: self.round, inputs_root: set.inputs_root }];
        effects.extend(self.open_revealing(around, set));
        effects
    }
}
