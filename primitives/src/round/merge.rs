//! Merging: a frozen list, ballots on its merge, and what follows from them.

use super::{bit, state::*, Refusal, Step, Study, Surroundings};
use crate::{
    ids::{Hash, InstitutionId},
    rules::{close_at_once, holders_needed, Merge},
    vote::{Marks, VoteBody},
};
use alloc::{boxed::Box, vec, vec::Vec};
use codec::Encode;

/// Most attempts of one merge.
const MAX_ATTEMPTS: u32 = 4;
/// Attempts with the same inputs.
const SAME_INPUTS_ATTEMPTS: u32 = 2;

/// What an attempt takes over from the one before.
pub(super) struct Attempt {
    pub kind: Kind,
    pub number: u32,
    pub roster: u32,
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
        let weights = self.weights(&members);
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
        let inputs_root = inputs_root(&listed, &self.rules.merge, self.base);
        let Attempt { kind, number, roster, window, dropped } = attempt;
        let until = around.now().saturating_add(window);
        self.phase = Phase::Merging(Merging {
            kind,
            attempt: number,
            roster,
            inputs,
            inputs_root,
            ballots,
            frozen_at: around.now(),
            window,
            until,
            dropped,
        });
        vec![Effect::Frozen { round: self.round, attempt: number, inputs_root }]
    }

    pub(super) fn ballot(&mut self, around: &dyn Surroundings, index: u8, who: InstitutionId, body: VoteBody) -> Step {
        let Phase::Merging(m) = &mut self.phase else { return Err(Refusal::NoSuchDuty) };
        let Some((_, slot)) = m.inputs.iter().zip(m.ballots.iter_mut()).find(|(i, _)| i.commitment.member == index)
        else {
            return Err(Refusal::NoSuchDuty);
        };
        let effect = match (body, *slot) {
            (VoteBody::Root(root), None | Some(Ballot::Partial { .. })) => {
                *slot = Some(Ballot::Root(root, Marks::default()));
                Effect::Attested { who, root }
            }
            (VoteBody::Marked { root, marks }, None | Some(Ballot::Partial { .. })) => {
                *slot = Some(Ballot::Root(root, marks));
                Effect::Attested { who, root }
            }
            (VoteBody::Partial { have, invalid }, None) => {
                *slot = Some(Ballot::Partial { have, invalid });
                Effect::PartialReported { who, have, invalid }
            }
            (VoteBody::Root(_) | VoteBody::Marked { .. } | VoteBody::Partial { .. }, Some(_)) => {
                return Err(Refusal::AlreadyAnswered)
            }
            _ => return Err(Refusal::WrongAnswer),
        };
        let mut effects = vec![effect];
        effects.extend(self.after_ballot(around));
        Ok(effects)
    }

    pub(super) fn after_ballot(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Merging(m) = &self.phase else { return Vec::new() };
        let count = m.inputs.len() as u32;
        let voices = m.leading().map_or(0, |(_, votes)| votes);
        let agreed = voices >= close_at_once(count);
        let everyone = m.inputs.iter().zip(m.ballots.iter()).all(|(input, ballot)| {
            ballot.is_some() || !self.member(input.commitment.member).is_some_and(|member| member.active)
        });
        let invalid = m.invalid() != 0;
        if !agreed && !everyone && !invalid {
            return Vec::new();
        }
        // who still lacks something has the whole window for it, unless that would change nothing
        let j = self.rules.close_late(count);
        let lacking = m.ballots.iter().any(|ballot| matches!(ballot, Some(Ballot::Partial { .. })));
        if lacking && voices < j && !invalid && m.withheld(j, self.rules.freeze_needs(m.roster)) == 0 {
            return Vec::new();
        }
        self.resolve(around)
    }

    pub(super) fn merge_deadline(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Merging(m) = &self.phase else { return Vec::new() };
        let silent: Vec<u8> = m
            .inputs
            .iter()
            .zip(m.ballots.iter())
            .filter(|(_, ballot)| ballot.is_none())
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

    fn resolve(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Merging(m) = &self.phase else { return Vec::new() };
        let count = m.inputs.len() as u32;
        let j = self.rules.close_late(count);
        if let Some((attested, _)) = m.leading().filter(|(_, votes)| *votes >= j) {
            return self.close_merge(around, attested);
        }
        let needed = self.rules.freeze_needs(m.roster);
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
        let (kind, number, roster, window) = (m.kind, m.attempt, m.roster, m.window);
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
            let attempt = Attempt { kind, number: next, roster, window, dropped };
            self.open_merging(around, attempt, kept)
        } else if culprits.is_empty() && number <= SAME_INPUTS_ATTEMPTS {
            let attempt = Attempt { kind, number: next, roster, window: window.saturating_mul(2), dropped };
            self.open_merging(around, attempt, kept)
        } else {
            let reason =
                if culprits.is_empty() || enough { PauseReason::NoAgreement } else { PauseReason::TooFewInputs };
            let mut commitments = PerMember::new();
            for commitment in kept {
                let _ = commitments.try_push(commitment);
            }
            let dropped = dropped.iter().fold(0, |mask, (member, _)| mask | bit(*member));
            self.pause(around, reason, Back::Collecting { kind, commitments, dropped })
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
        };
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
            let _ = match ballot {
                Some(Ballot::Root(r, m)) if (*r, *m) == attested => record.attesters.try_push(member.id).is_ok(),
                Some(Ballot::Root(r, _)) => record.dissenters.try_push((member.id, *r)).is_ok(),
                Some(Ballot::Partial { .. }) | None => record.silent.try_push(member.id).is_ok(),
            };
        }
        for (index, reason) in &m.dropped {
            if let Some(member) = self.member(*index) {
                let _ = record.dropped.try_push((member.id, *reason));
            }
        }
        let kind = m.kind;
        let mut effects = vec![Effect::Closed(Box::new(record))];
        effects.extend(match kind {
            Kind::Statistics => {
                self.statistics = Some(root);
                self.open_init(around)
            }
            Kind::Model => {
                self.base = root;
                self.after_round(around)
            }
        });
        effects
    }
}

impl Merging {
    /// The root and marks with the most voices, and their number.
    fn leading(&self) -> Option<((Hash, Marks), u32)> {
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

    /// Inputs that enough others than their authors call invalid.
    fn invalid(&self) -> u64 {
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
    fn withheld(&self, j: u32, round: u32) -> u64 {
        let h = holders_needed(self.inputs.len() as u32);
        let all = all_bits(self.inputs.len());
        let unheld = self.positions(|position| {
            let lacked = self.others(position, |ballot| holds(ballot, all) & bit(position) == 0);
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

/// The lowest `count` bits.
pub(super) fn all_bits(count: usize) -> u64 {
    u32::try_from(count).ok().and_then(|c| 1u64.checked_shl(c)).map_or(u64::MAX, |b| b.wrapping_sub(1))
}
