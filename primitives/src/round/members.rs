//! Who is in, who is awaited, who is left out for a while.

use super::{bit, state::*, Effect, Refusal, Step, Study, Surroundings};
use crate::{
    ids::InstitutionId,
    rules::{self, MAX_WEIGHT},
};
use alloc::{vec, vec::Vec};

/// A second strike within this many rounds benches, for as many rounds. The same for rounds missed: they are not waited for then.
pub(super) const BENCH_ROUNDS: u32 = 5;

impl Study {
    /// Position of an institution among the members, active or not.
    pub fn position(&self, who: &InstitutionId) -> Option<u8> {
        self.members.iter().position(|m| m.id == *who).and_then(|i| u8::try_from(i).ok())
    }

    /// The member at a position.
    pub fn member(&self, index: u8) -> Option<&Member> {
        self.members.get(usize::from(index))
    }

    /// The institutions of a mask, in order of enrolment.
    pub fn named(&self, mask: Mask) -> PerMember<InstitutionId> {
        let mut names = PerMember::new();
        for (index, member) in (0u8..).zip(self.members.iter()) {
            if mask & bit(index) != 0 && names.try_push(member.id).is_err() {
                break;
            }
        }
        names
    }

    /// Active members.
    pub fn active(&self) -> Mask {
        self.mask(|m| m.active)
    }

    /// Active members whose enrolment counts for a round.
    pub fn counted(&self, round: u32) -> Mask {
        self.mask(|m| m.active && m.since <= round)
    }

    fn mask(&self, keep: impl Fn(&Member) -> bool) -> Mask {
        (0u8..).zip(self.members.iter()).fold(0, |mask, (i, m)| if keep(m) { mask | bit(i) } else { mask })
    }

    /// Of whom something is in a merge that runs: until it has closed, others may ask these for it, also those that have
    /// withdrawn since.
    pub fn serving(&self) -> PerMember<InstitutionId> {
        let inputs = match &self.phase {
            Phase::Merging(merging) | Phase::Gathering(merging) => &merging.inputs,
            Phase::Revealing(r) => &r.set.inputs,
            Phase::Summing(s) => &s.set.inputs,
            _ => return PerMember::new(),
        };
        self.named(inputs.iter().fold(0, |mask, input| mask | bit(input.commitment.member)))
    }

    /// Active members that are not benched; all active ones where the others would be too few for a round.
    pub(super) fn roster(&self) -> Mask {
        let active = self.active();
        let seated = self.mask(|m| m.active && m.benched_until.is_none_or(|until| until < self.round));
        if seated.count_ones() >= self.rules.min_participants.max(self.rules.rule_min) {
            seated
        } else {
            active
        }
    }

    /// Who of a round's roster is asked for an update: not those whose inputs were dropped in it, where the others are enough.
    pub(super) fn asked(&self, roster: Mask, dropped: Mask) -> Mask {
        let others = roster & !dropped;
        if others.count_ones() >= self.rules.freeze_needs(roster.count_ones()) {
            others
        } else {
            roster
        }
    }

    /// Capped weights of the members in a list, in its order.
    pub(super) fn weights(&self, members: &[u8]) -> Vec<u32> {
        let raw: Vec<u32> = members.iter().map(|i| self.member(*i).map_or(1, |m| m.weight)).collect();
        rules::capped_against(&raw, self.rules.max_share, self.rules.merge.liars)
    }

    pub(super) fn enough_enrolled(&self) -> bool {
        self.active().count_ones() >= self.rules.min_participants.max(self.rules.rule_min).max(2)
    }

    pub(super) fn enrol(&mut self, who: InstitutionId, samples: u32) -> Step {
        let over = match &self.phase {
            Phase::FinalEvaluation { .. } | Phase::Certifying(_) => true,
            Phase::Paused(pause) => matches!(pause.back, Back::Certifying { .. }),
            _ => self.ended() || self.evaluates(),
        };
        if over {
            return Err(Refusal::WrongPhase);
        }
        if !self.rules.invited.is_empty() && !self.rules.invited.contains(&who) {
            return Err(Refusal::NotInvited);
        }
        if samples == 0 || samples >= MAX_WEIGHT {
            return Err(Refusal::BadSampleCount);
        }
        let weight = self.rules.raw_weight(&who, samples).ok_or(Refusal::NoDeclaredWeight)?;
        let since = match self.phase {
            Phase::Enrolling { .. } => 0,
            _ => self.round.saturating_add(1),
        };
        if let Some(member) = self.members.iter_mut().find(|m| m.id == who) {
            if member.active {
                return Err(Refusal::AlreadyEnrolled);
            }
            // coming back is no way to a new weight
            if member.samples != samples {
                return Err(Refusal::BadSampleCount);
            }
            member.active = true;
            member.since = since;
            return Ok(Vec::new());
        }
        let member = Member { id: who, samples, weight, active: true, since, struck: None, benched_until: None };
        self.members.try_push(member).map_err(|_| Refusal::Full)?;
        Ok(Vec::new())
    }

    pub(super) fn withdraw(&mut self, around: &dyn Surroundings, who: InstitutionId) -> Step {
        if self.ended() {
            return Err(Refusal::WrongPhase);
        }
        let index = self.position(&who).ok_or(Refusal::NotAMember)?;
        let Some(member) = self.members.get_mut(usize::from(index)).filter(|m| m.active) else {
            return Err(Refusal::NotAMember);
        };
        member.active = false;
        let mine = bit(index);
        match &mut self.phase {
            Phase::Collecting(c) => {
                c.awaited &= !mine;
                // what was committed and is not frozen yet is taken back with the consent
                c.commitments.retain(|commitment| commitment.member != index);
                // as is a part in a pairing whose list is not closed
                match &mut self.masking.pair {
                    Some(pair) if pair.step == PairingStep::Keys => pair.keys.retain(|(member, _)| *member != index),
                    Some(pair) if pair.step == PairingStep::Deal => pair.deals.retain(|(member, _)| *member != index),
                    _ => {}
                }
                Ok(self.after_commitment(around))
            }
            Phase::Init { .. } => Ok(self.after_init_vote(around)),
            Phase::Merging(_) | Phase::Gathering(_) => Ok(self.after_ballot(around)),
            Phase::Revealing(_) => Ok(self.after_reveal(around)),
            Phase::Summing(_) => Ok(self.after_sum_ballot(around)),
            Phase::FinalEvaluation { .. } => {
                self.after_report(around);
                Ok(Vec::new())
            }
            Phase::Certifying(c) => {
                c.roster &= !mine;
                c.held &= !mine;
                Ok(self.after_acknowledgement())
            }
            Phase::Paused(p) => {
                p.roster &= !mine;
                p.resume &= !mine;
                p.abort &= !mine;
                self.masking.abandon &= !mine;
                self.presence.voices.retain(|(member, _)| *member != index);
                match &mut p.back {
                    Back::Collecting { commitments, .. } => {
                        commitments.retain(|commitment| commitment.member != index);
                    }
                    Back::Certifying { roster, held, .. } => {
                        *roster &= !mine;
                        *held &= !mine;
                    }
                    Back::Init | Back::Revealing(_) | Back::Summing(_) => {}
                }
                Ok(self.recount_pause(around))
            }
            Phase::Enrolling { .. } | Phase::Completed(_) | Phase::Aborted { .. } => Ok(Vec::new()),
        }
    }

    /// Notes a strike, at most one per round; the second within five rounds benches.
    pub(super) fn strike(&mut self, index: u8) -> Vec<Effect> {
        let round = self.round;
        let Some(member) = self.members.get_mut(usize::from(index)) else { return Vec::new() };
        match member.struck {
            Some(before) if before == round => Vec::new(),
            Some(before) if round.saturating_sub(before) < BENCH_ROUNDS => {
                let until_round = round.saturating_add(BENCH_ROUNDS);
                member.struck = None;
                member.benched_until = Some(until_round);
                vec![Effect::Benched { who: member.id, until_round }]
            }
            _ => {
                member.struck = Some(round);
                Vec::new()
            }
        }
    }
}
