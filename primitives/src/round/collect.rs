//! Statistics and Training: commitments are collected, until the list freezes.

use super::{bit, merge, state::*, Effect, Refusal, Step, Study, Surroundings};
use crate::{
    ids::{Hash, InstitutionId},
    kinds::FailureCode,
    rules::OnStall,
    vote::VoteBody,
};
use alloc::{vec, vec::Vec};

impl Study {
    /// Opens a round (or statistics) for commitments; those of `kept` that still fit stay valid. Members in `dropped` are not
    /// asked, unless the others are too few without them.
    pub(super) fn open_collecting(
        &mut self,
        around: &dyn Surroundings,
        kind: Kind,
        kept: Vec<Commitment>,
        dropped: Mask,
    ) -> Vec<Effect> {
        let now = around.now();
        if kind == Kind::Model && self.round == 0 {
            self.round = 1;
        }
        // who enrolled while the last round ran has no part in the end
        let roster = if kind == Kind::Evaluation { self.counted(self.round) } else { self.roster() };
        let masked = self.rules.masked.is_some();
        let mut commitments = PerMember::new();
        // what is masked is masked anew, for other partners
        for commitment in kept.into_iter().filter(|_| !masked) {
            if roster & bit(commitment.member) != 0 && commitments.try_push(commitment).is_err() {
                break;
            }
        }
        if roster.count_ones() < self.rules.freeze_needs(roster.count_ones()) {
            return self.pause(around, PauseReason::TooFewMembers, Back::Collecting { kind, commitments, dropped });
        }
        self.opened_at = now;
        // who is asked for a round has a part in it, also where it came while the round was paused: it gives and gets its
        // updates. It commits before it can see any of them
        for (index, member) in (0u8..).zip(self.members.iter_mut()) {
            if roster & bit(index) != 0 {
                member.since = member.since.min(self.round);
            }
        }
        let in_already = commitments.iter().fold(0, |mask, c| mask | bit(c.member));
        let windows = self.windows();
        let asked = self.asked(roster, dropped);
        // the last evaluation lasts as long as where nothing is masked, and never waits for people
        let evaluates = kind == Kind::Evaluation;
        let limit = if evaluates { windows.service } else { windows.training };
        self.unawaited = if kind == Kind::Model { self.without_silent(asked, roster) } else { 0 };
        self.phase = Phase::Collecting(Collecting {
            kind,
            roster,
            awaited: asked & !in_already,
            commitments,
            start: now,
            freeze_at: None,
            limit: now.saturating_add(limit),
            extended: evaluates,
        });
        let mut effects = vec![Effect::Opened { kind, round: self.round }];
        if masked {
            effects.extend(self.open_pairing(around, kind, false));
        }
        if in_already != 0 {
            effects.extend(self.after_commitment(around));
        }
        effects
    }

    pub(super) fn commit(
        &mut self,
        around: &dyn Surroundings,
        index: u8,
        who: InstitutionId,
        duty: Hash,
        body: VoteBody,
    ) -> Step {
        let commitment = |root| Commitment { member: index, duty, root, at: around.now() };
        let mut effects = match body {
            VoteBody::Update { root, metric, .. } => self.committed(who, commitment(root), metric)?,
            VoteBody::Failure(code) => {
                let Phase::Collecting(c) = &mut self.phase else { return Err(Refusal::NoSuchDuty) };
                c.awaited &= !bit(index);
                let mut effects = vec![Effect::FailureReported { who, code }];
                // the round has waited for it as long as its own node has: it is as if nobody had said so
                if c.kind == Kind::Model && code == FailureCode::WorkerMissing {
                    effects.extend(self.miss(bit(index)));
                }
                effects
            }
            _ => return Err(Refusal::WrongAnswer),
        };
        effects.extend(self.after_commitment(around));
        Ok(effects)
    }

    /// Notes a commitment, with the loss of the model that it stands on.
    pub(super) fn committed(&mut self, who: InstitutionId, commitment: Commitment, metric: Option<u32>) -> Step {
        let round = self.base_round;
        let spent = self.spends(who);
        let Phase::Collecting(c) = &mut self.phase else { return Err(Refusal::NoSuchDuty) };
        c.commitments.try_push(commitment).map_err(|_| Refusal::Full)?;
        c.awaited &= !bit(commitment.member);
        // it is there again
        self.missed.retain(|missed| missed.member != commitment.member);
        let loss = metric.filter(|_| c.kind == Kind::Model).map(|value| Effect::Loss { round, who, value });
        Ok([Effect::Committed { who, root: commitment.root }].into_iter().chain(spent).chain(loss).collect())
    }

    /// Freezes where all that are waited for are in, pauses where nobody is left to wait for, sets the freeze where enough are in.
    pub(super) fn after_commitment(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        if self.pairing_until().is_some() {
            return self.after_pairing(around);
        }
        let windows = self.windows();
        let Phase::Collecting(c) = &self.phase else { return Vec::new() };
        let needed = self.needs(c.roster.count_ones());
        let Phase::Collecting(c) = &mut self.phase else { return Vec::new() };
        let enough = c.commitments.len() as u32 >= needed;
        let there: Mask = c.commitments.iter().fold(0, |mask, commitment| mask | bit(commitment.member));
        // a failure, or a withdrawal, may leave too few without those that nobody waits for: then all are waited for
        if (there | (c.awaited & !self.unawaited)).count_ones() < needed {
            self.unawaited = 0;
        }
        if c.awaited & !self.unawaited == 0 {
            if enough {
                return self.freeze(around, needed);
            }
            let back = Back::Collecting { kind: c.kind, commitments: c.commitments.clone(), dropped: 0 };
            return self.pause(around, PauseReason::TooFewUpdates, back);
        }
        let now = around.now();
        match (enough, c.freeze_at) {
            (true, None) => {
                let at = now.max(c.start.saturating_add(windows.expected)).saturating_add(windows.grace);
                c.freeze_at = Some(at);
            }
            // a withdrawal took back a commitment
            (false, Some(_)) => {
                c.freeze_at = None;
                c.limit = c.limit.max(now.saturating_add(windows.grace));
            }
            _ => {}
        }
        Vec::new()
    }

    pub(super) fn collecting_deadline(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let windows = self.windows();
        let Phase::Collecting(c) = &self.phase else { return Vec::new() };
        if c.freeze_at.is_some() {
            let needs = self.needs(c.roster.count_ones());
            return self.freeze_without(around, needs);
        }
        let smallest = self.fewest();
        let Phase::Collecting(c) = &mut self.phase else { return Vec::new() };
        if !c.extended {
            c.extended = true;
            c.limit = around.now().saturating_add(windows.training);
            let silent = c.awaited;
            return vec![Effect::Extended { silent: self.named(silent) }];
        }
        let back = Back::Collecting { kind: c.kind, commitments: c.commitments.clone(), dropped: 0 };
        let there = c.commitments.len() as u32;
        match self.rules.on_stall {
            _ if c.kind == Kind::Evaluation => self.pause(around, PauseReason::TooFewUpdates, back),
            OnStall::Shrink if there >= smallest => self.freeze_without(around, smallest),
            OnStall::Pause | OnStall::Shrink => self.pause(around, PauseReason::TooFewUpdates, back),
            OnStall::Abort => self.end(AbortReason::Stalled),
        }
    }

    /// Freezes when the time for it is over: who is still awaited has missed the round.
    fn freeze_without(&mut self, around: &dyn Surroundings, needs: u32) -> Vec<Effect> {
        let Phase::Collecting(c) = &self.phase else { return Vec::new() };
        let silent = if c.kind == Kind::Model { c.awaited } else { 0 };
        let mut effects = self.miss(silent);
        effects.extend(self.freeze(around, needs));
        effects
    }

    /// `needs`: how many inputs make this round, also after some were dropped.
    fn freeze(&mut self, around: &dyn Surroundings, needs: u32) -> Vec<Effect> {
        let Phase::Collecting(c) = &self.phase else { return Vec::new() };
        let kind = c.kind;
        let commitments = c.commitments.to_vec();
        self.unawaited = 0;
        let window = self.windows().attest;
        let attempt = merge::Attempt { kind, number: 1, needs, window, dropped: PerMember::new() };
        self.open_merging(around, attempt, commitments)
    }
}
