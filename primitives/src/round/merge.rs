//! Merging: a frozen list, ballots on its merge, and what follows from them.

use super::{ballots::SAME_INPUTS_ATTEMPTS, bit, state::*, Effect, Refusal, Step, Study, Surroundings};
use crate::{
    ids::{Hash, InstitutionId},
    rules::{close_at_once, holders_needed, masked_inputs_root, Merge, PAUSE_BLOCKS},
    vote::{Marks, VoteBody},
};
use alloc::{boxed::Box, vec, vec::Vec};
use codec::Encode;

/// Most attempts of one merge.
const MAX_ATTEMPTS: u32 = 4;

/// What an attempt takes over from the one before.
pub(super) struct Attempt {
    pub kind: Kind,
    pub number: u32,
    pub needs: u32,
    pub window: u32,
    pub dropped: PerMember<(u8, DropReason)>,
}

/// Hash over what a merge merges: the ordered (institution, file, weight), the rules with their parameters, and the base.
pub fn inputs_root(inputs: &[(InstitutionId, Hash, u32)], merge: &Merge, base: Hash) -> Hash {
    Hash::from(sp_crypto_hashing::blake2_256(&(inputs, merge, base).encode()))
}

impl Study {
    pub(super) fn open_merging(
        &mut self,
        around: &dyn Surroundings,
        attempt: Attempt,
        mut commitments: Vec<Commitment>,
    ) -> Vec<Effect> {
        commitments.sort_by_key(|c| self.member(c.member).map(|m| m.id));
        let members: Vec<u8> = commitments.iter().map(|c| c.member).collect();
        let weights = match &self.masking.pair {
            // those of the partners are fixed: what is masked was multiplied by them
            Some(pair) => members.iter().map(|index| pair.weight(*index)).collect(),
            None => self.weights(&members),
        };
        let mut inputs = PerMember::new();
        let mut ballots = PerMember::new();
        let mut listed = Vec::new();
        for (commitment, weight) in commitments.into_iter().zip(weights) {
            let Some(member) = self.member(commitment.member) else { continue };
            listed.push((member.id, commitment.root, weight));
            // both lists are as long as the commitments, which are bounded alike
            let _ = inputs.try_push(Input { commitment, weight });
            let _ = ballots.try_push(None);
        }
        let masked = self.masking.pair.is_some();
        let inputs_root = match &self.masking.pair {
            Some(pair) => masked_inputs_root(&listed, &self.rules.merge, self.base, pair.partners_root),
            None => inputs_root(&listed, &self.rules.merge, self.base),
        };
        let Attempt { kind, number, needs, window, dropped } = attempt;
        self.ahead = PerMember::new();
        let until = around.now().saturating_add(window);
        let merging = Merging {
            kind,
            attempt: number,
            needs,
            inputs,
            inputs_root,
            ballots,
            frozen_at: around.now(),
            window,
            began: around.now(),
            stands: false,
            stood: None,
            until,
            dropped,
        };
        self.phase = if masked { Phase::Gathering(merging) } else { Phase::Merging(merging) };
        vec![Effect::Frozen { round: self.round, attempt: number, inputs_root }]
    }

    pub(super) fn ballot(&mut self, around: &dyn Surroundings, index: u8, who: InstitutionId, body: VoteBody) -> Step {
        let Phase::Merging(m) = &mut self.phase else { return Err(Refusal::NoSuchDuty) };
        let Some((_, slot)) = m.inputs.iter().zip(m.ballots.iter_mut()).find(|(i, _)| i.commitment.member == index)
        else {
            return Err(Refusal::NoSuchDuty);
        };
        let effect = match (body, *slot) {
            (
                VoteBody::Root(_) | VoteBody::Marked { .. } | VoteBody::Ahead { .. },
                None | Some(Ballot::Partial { .. }),
            ) => {
                let (root, marks) = body.merged().ok_or(Refusal::WrongAnswer)?;
                *slot = Some(Ballot::Root(root, marks));
                if let Some(next) = body.next() {
                    // bounded like the inputs
                    let _ = self.ahead.try_push((index, next));
                }
                Effect::Attested { who, root }
            }
            (VoteBody::Partial { have, invalid, not_final }, None)
            | (
                VoteBody::Partial { have, invalid, not_final: not_final @ false },
                Some(Ballot::Partial { not_final: true, .. }),
            ) => {
                *slot = Some(Ballot::Partial { have, invalid, not_final });
                Effect::PartialReported { who, have, invalid, not_final }
            }
            (
                VoteBody::Root(_) | VoteBody::Marked { .. } | VoteBody::Ahead { .. } | VoteBody::Partial { .. },
                Some(_),
            ) => return Err(Refusal::AlreadyAnswered),
            _ => return Err(Refusal::WrongAnswer),
        };
        let mut effects = vec![effect];
        effects.extend(self.after_ballot(around));
        Ok(effects)
    }

    pub(super) fn after_ballot(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let mut effects = self.wind(around);
        let (Phase::Merging(m) | Phase::Gathering(m)) = &self.phase else { return effects };
        let count = m.inputs.len() as u32;
        let voices = m.voices();
        let j = self.rules.close_late(count);
        if m.stands {
            // nothing is dropped then; but who agrees need not wait for those who cannot
            if voices >= j {
                effects.extend(self.resolve(around));
            }
            return effects;
        }
        let agreed = voices >= close_at_once(count);
        let everyone = m.inputs.iter().zip(m.ballots.iter()).all(|(input, ballot)| {
            ballot.is_some() || !self.member(input.commitment.member).is_some_and(|member| member.active)
        });
        let invalid = m.invalid() != 0;
        if !agreed && !everyone && !invalid {
            return effects;
        }
        // who still lacks something has the whole window for it, unless that would change nothing
        let lacking = m.ballots.iter().any(|ballot| matches!(ballot, Some(Ballot::Partial { .. })));
        if lacking && voices < j && !invalid && m.withheld(j, m.needs) == 0 {
            return effects;
        }
        effects.extend(self.resolve(around));
        effects
    }

    /// Whether as many active authors say that the freeze is not final where they are as would make an input invalid.
    fn not_final(&self, m: &Merging) -> bool {
        let active = self.active();
        let says = m.inputs.iter().zip(m.ballots.iter()).filter(|(input, ballot)| {
            matches!(ballot, Some(Ballot::Partial { not_final: true, .. }))
                && active & bit(input.commitment.member) != 0
        });
        says.count() as u32 >= holders_needed(m.inputs.len() as u32)
    }

    /// Stops the clock of an attempt while too many cannot have got its inputs, and starts it again. As many liars as a merge
    /// survives are too few to stop it. It stands no longer than a pause, however often.
    fn wind(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let now = around.now();
        let Phase::Merging(m) = &self.phase else { return Vec::new() };
        let spent = m.stood.is_some_and(|first| now >= first.saturating_add(PAUSE_BLOCKS));
        let stands =
            self.not_final(m) && !spent && (m.stands || m.voices() < self.rules.close_late(m.inputs.len() as u32));
        let Phase::Merging(m) = &mut self.phase else { return Vec::new() };
        if stands == m.stands {
            return Vec::new();
        }
        m.stands = stands;
        if stands {
            m.until = m.stood.get_or_insert(now).saturating_add(PAUSE_BLOCKS);
            return vec![Effect::Stood];
        }
        // what was missing while nothing could be had says nothing about who withholds what
        for ballot in m.ballots.iter_mut() {
            if matches!(ballot, Some(Ballot::Partial { .. })) {
                *ballot = None;
            }
        }
        m.began = now;
        m.until = now.saturating_add(m.window);
        self.resumed = self.resumed.saturating_add(1);
        vec![Effect::WentOn]
    }

    pub(super) fn merge_deadline(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let (Phase::Merging(m) | Phase::Gathering(m)) = &self.phase else { return Vec::new() };
        if m.stands {
            let (kind, dropped) = (m.kind, m.dropped.clone());
            let kept = m.inputs.iter().map(|input| input.commitment).collect();
            return self.give_up(around, PauseReason::NoAgreement, kind, kept, &dropped);
        }
        let excused = self.not_final(m);
        let silent: Vec<u8> = m
            .inputs
            .iter()
            .zip(m.ballots.iter())
            .filter(|(_, ballot)| ballot.is_none() && !excused)
            .map(|(input, _)| input.commitment.member)
            .filter(|index| self.member(*index).is_some_and(|member| member.active))
            .collect();
        let mut effects = Vec::new();
        for index in silent {
            effects.extend(self.strike(index));
        }
        effects.extend(self.resolve(around));
        effects
    }

    /// Pauses with the commitments that stay.
    fn give_up(
        &mut self,
        around: &dyn Surroundings,
        reason: PauseReason,
        kind: Kind,
        kept: Vec<Commitment>,
        dropped: &[(u8, DropReason)],
    ) -> Vec<Effect> {
        let mut commitments = PerMember::new();
        for commitment in kept {
            let _ = commitments.try_push(commitment);
        }
        let dropped = dropped.iter().fold(0, |mask, (member, _)| mask | bit(*member));
        self.pause(around, reason, Back::Collecting { kind, commitments, dropped })
    }

    fn resolve(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let (Phase::Merging(m) | Phase::Gathering(m)) = &self.phase else { return Vec::new() };
        let count = m.inputs.len() as u32;
        let j = self.rules.close_late(count);
        if let Some((attested, _)) = m.leading().filter(|(_, votes)| *votes >= j) {
            return match &self.phase {
                Phase::Gathering(_) => self.close_gathering(around),
                _ => self.close_merge(around, attested),
            };
        }
        let needed = m.needs;
        let invalid = m.invalid();
        let gone = invalid | m.withheld(j, needed);
        let mut dropped = m.dropped.clone();
        let mut kept = Vec::new();
        let mut culprits = Vec::new();
        for (position, input) in (0u8..).zip(m.inputs.iter()) {
            if gone & bit(position) == 0 {
                kept.push(input.commitment);
                continue;
            }
            let reason = if invalid & bit(position) != 0 { DropReason::Invalid } else { DropReason::Withheld };
            culprits.push((input.commitment.member, reason));
            let _ = dropped.try_push((input.commitment.member, reason));
        }
        let (kind, number, window) = (m.kind, m.attempt, m.window);
        let mut effects = Vec::new();
        for (index, reason) in &culprits {
            if let Some(member) = self.member(*index) {
                effects.push(Effect::Dropped { who: member.id, reason: *reason });
            }
            effects.extend(self.strike(*index));
        }
        let next = number.saturating_add(1);
        let enough = kept.len() as u32 >= needed;
        effects.extend(if !culprits.is_empty() && enough && next <= MAX_ATTEMPTS {
            let attempt = Attempt { kind, number: next, needs: needed, window, dropped };
            self.open_merging(around, attempt, kept)
        } else if culprits.is_empty() && number <= SAME_INPUTS_ATTEMPTS {
            let attempt = Attempt { kind, number: next, needs: needed, window: window.saturating_mul(2), dropped };
            self.open_merging(around, attempt, kept)
        } else {
            let reason =
                if culprits.is_empty() || enough { PauseReason::NoAgreement } else { PauseReason::TooFewInputs };
            self.give_up(around, reason, kind, kept, &dropped)
        });
        effects
    }

    fn close_merge(&mut self, around: &dyn Surroundings, attested: (Hash, Marks)) -> Vec<Effect> {
        let Phase::Merging(m) = &self.phase else { return Vec::new() };
        let (root, marks) = attested;
        let mut record = RoundRecord {
            kind: m.kind,
            round: self.round,
            base: self.base,
            inputs: PerMember::new(),
            inputs_root: m.inputs_root,
            root,
            marks,
            attesters: PerMember::new(),
            dissenters: PerMember::new(),
            silent: PerMember::new(),
            dropped: PerMember::new(),
            attempts: m.attempt,
            opened_at: self.opened_at,
            frozen_at: m.frozen_at,
            closed_at: around.now(),
            masked: None,
        };
        let mut last = Closed {
            kind: m.kind,
            round: self.round,
            attempt: m.attempt,
            resumed: self.resumed,
            inputs_root: m.inputs_root,
            root,
            marks,
            authors: 0,
            said: 0,
        };
        let mut agree = 0;
        // every list is bounded like the inputs, so no push can fail
        for (input, ballot) in m.inputs.iter().zip(m.ballots.iter()) {
            let Some(member) = self.member(input.commitment.member) else { continue };
            let _ = record.inputs.try_push(RecordedInput {
                institution: member.id,
                duty: input.commitment.duty,
                root: input.commitment.root,
                weight: input.weight,
                committed_at: input.commitment.at,
            });
            let mine = bit(input.commitment.member);
            last.authors |= mine;
            let _ = match ballot {
                Some(Ballot::Root(r, m)) if (*r, *m) == attested => {
                    (last.said, agree) = (last.said | mine, agree | mine);
                    record.attesters.try_push(member.id).is_ok()
                }
                Some(Ballot::Root(r, _)) => {
                    last.said |= mine;
                    record.dissenters.try_push((member.id, *r)).is_ok()
                }
                Some(Ballot::Partial { .. }) | None => record.silent.try_push(member.id).is_ok(),
            };
        }
        for (index, reason) in &m.dropped {
            if let Some(member) = self.member(*index) {
                let _ = record.dropped.try_push((member.id, *reason));
            }
        }
        let kind = m.kind;
        self.last = Some(last);
        let mut ahead = core::mem::take(&mut self.ahead);
        ahead.retain(|(member, _)| agree & bit(*member) != 0);
        self.tries = 0;
        let mut effects = vec![Effect::Closed(Box::new(record))];
        effects.extend(match kind {
            Kind::Statistics => {
                self.statistics = Some(root);
                self.open_init(around)
            }
            // figures are only ever summed
            Kind::Model | Kind::Evaluation => {
                let evaluated = self.base_round;
                (self.base, self.base_round) = (root, self.round);
                let mut effects = self.after_round(around, evaluated);
                effects.extend(self.take_ahead(around, &ahead));
                effects
            }
        });
        effects
    }
}
